//! The soak: 10,000 pings and 1,000 state runs by a real master; every one must succeed, and the agent's memory at the end be
//! within a tenth of its memory at the start.
//!
//! The start is after a warm-up, in which whatever is made once is made. Judged is all memory of the idle process from start to
//! end, and what it allocated itself from the middle to the end: a leak goes on growing, what is bounded (the pages of the store,
//! the holes of the allocator) has its size by then. The pages of the program's file count in the first of the two alone; they
//! would hide a small leak, and count less while other processes run the same program.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::{Value, json};
use tests::{
    binaries::{Profile, build},
    memory::{self, Memory},
    minion::{Minion, Sut},
    process::Process,
    salt::{MasterSettings, SaltMaster, Series},
    wait::PATIENCE,
};

/// Keep an agent busy for long and look at its memory.
#[derive(Debug, Parser)]
struct Options {
    /// The series of the real master: 3006, 3007 or 3008.
    #[arg(long, default_value = "3006")]
    series: String,
    /// Pings in all.
    #[arg(long, default_value_t = 10_000)]
    pings: u32,
    /// State runs in all.
    #[arg(long, default_value_t = 1_000)]
    state_runs: u32,
    /// Watch this program; the release build is made and watched when none is given.
    #[arg(long)]
    agent: Option<PathBuf>,
}

const ID: &str = "soak";
const ROUNDS: u32 = 10;
const WARM_UP: (u32, u32) = (500, 100);
/// How much more memory the end may take than the start.
const GROWTH_MOST: f64 = 0.10;
/// Before memory is read.
const IDLE: Duration = Duration::from_secs(10);

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let series = Series::ALL.into_iter().find(|series| series.version().starts_with(&options.series));
    let series = series.with_context(|| format!("no such series: {}", options.series))?;
    if let Err(why) = series.installed() {
        say(&format!("cannot run: {why}"))?;
        return Ok(ExitCode::from(69));
    }
    let master = SaltMaster::launch(series, &MasterSettings::default())?;
    let minion = Minion::prepare(Sut::Agent, master.ret_port, ID, json!({ "log_level": "warning" }))?;
    fs::write(master.path("srv/soak.sls"), states(&minion))?;
    let program = options.agent.clone().map_or_else(release, Ok)?;
    let agent = launch(&minion, &program)?;
    master.wait_for_key("minions_pre", ID)?;
    master.key("accept", ID)?;
    master.driver().ask("first_ping", json!({ "tgt": ID, "limit": 60 }), PATIENCE)?;
    let held = soak(&master, &agent, &options)?;
    minion.expect_errors(&[])?;
    say(if held { "held" } else { "FAILED: the agent grows" })?;
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The release build, as it runs in a practice.
fn release() -> Result<PathBuf> {
    let programs = build(Profile::Release)?;
    programs.get("agent").cloned().context("the workspace has no program agent")
}

fn launch(minion: &Minion, program: &Path) -> Result<Process> {
    let mut command = Command::new(program);
    command.arg("run").arg("-c").arg(minion.path(""));
    Process::spawn(ID, &mut command, &minion.path("console"))
}

/// Runs everything; true when memory held.
fn soak(master: &SaltMaster, agent: &Process, options: &Options) -> Result<bool> {
    say(&format!("fresh: {}", shown(idle(agent)?)))?;
    round(master, WARM_UP)?;
    let start = idle(agent)?;
    say(&format!("start, after {} pings and {} state runs: {}", WARM_UP.0, WARM_UP.1, shown(start)))?;
    let mut middle = start;
    for number in 1..=ROUNDS {
        let share = |all: u32| all * number / ROUNDS - all * (number - 1) / ROUNDS;
        let (ping, run) = round(master, (share(options.pings), share(options.state_runs)))?;
        let now = if number == ROUNDS / 2 { idle(agent)? } else { memory::of_group(agent.pid())? };
        if number == ROUNDS / 2 {
            middle = now;
        }
        say(&format!(
            "round {number}: ping {:.1} ms, state run {:.0} ms (medians); {}",
            ping * 1e3,
            run * 1e3,
            shown(now)
        ))?;
    }
    let end = idle(agent)?;
    say(&format!(
        "end, after {} pings and {} state runs: {}",
        options.pings,
        options.state_runs,
        shown(end)
    ))?;
    let (whole, second_half) = (end.all / start.all - 1.0, end.allocated / middle.allocated - 1.0);
    say(&format!(
        "every job succeeded; memory in all {:+.1}% from start to end, allocated {:+.1}% from the middle to the end",
        whole * 100.0,
        second_half * 100.0
    ))?;
    Ok(whole <= GROWTH_MOST && second_half <= GROWTH_MOST)
}

/// Pings, then state runs; gives the median seconds of each. One that fails ends the soak.
fn round(master: &SaltMaster, (pings, runs): (u32, u32)) -> Result<(f64, f64)> {
    let ping = timed(master, "test.ping", &json!([]), pings)?;
    Ok((ping, timed(master, "state.apply", &json!(["soak"]), runs)?))
}

fn timed(master: &SaltMaster, fun: &str, arg: &Value, count: u32) -> Result<f64> {
    let request = json!({ "tgt": ID, "fun": fun, "arg": arg, "count": count });
    let taken = master.driver().ask("timed", request, Duration::from_secs(3600))?;
    let mut taken: Vec<f64> = taken.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    taken.sort_by(f64::total_cmp);
    taken.get(taken.len() / 2).copied().context("nothing was timed")
}

fn idle(agent: &Process) -> Result<Memory> {
    thread::sleep(IDLE);
    memory::of_group(agent.pid())
}

fn shown(memory: Memory) -> String {
    format!("{:.2} MB allocated, {:.2} MB in all", memory.allocated, memory.all)
}

/// Templates, files, requisites, and a change in each run.
fn states(minion: &Minion) -> String {
    let root = minion.path("managed");
    format!(
        "{{% for number in range(10) %}}\nfile {{{{ number }}}}:\n  file.managed:\n    - name: {root}/{{{{ number }}}}.txt\n    \
         - makedirs: True\n    - contents: {{{{ number }}}} of {{{{ grains['id'] }}}}\n{{% endfor %}}\nchanged:\n  \
         test.succeed_with_changes:\n    - require:\n      - file: file 9\nafterwards:\n  test.nop:\n    - onchanges:\n      \
         - test: changed\n",
        root = root.display()
    )
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}
