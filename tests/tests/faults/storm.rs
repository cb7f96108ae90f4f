//! A master that is killed again and again while jobs run: every job that it published and the agent accepted is returned
//! exactly once.
//!
//! Small here; `tests/storm` runs it with 50 deaths and 200 jobs on every series. What a master had published and the agent
//! was not there to hear is not accepted; it is counted and printed, as are returns that a dying master took without saying so.
//! A master that dies while it writes a return leaves a folder without it in its job cache, and keeps none that is sent
//! again; what it then tells on its event bus shows that the return came.

use std::{collections::BTreeMap, io::Write as _};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::{
    minion::{Minion, Sut},
    process::read_lossy,
    salt::{MasterSettings, SaltMaster, Series},
    skip::skipped,
    wait::{PATIENCE, wait_for},
};

const ID: &str = "faults-storm";

#[test]
fn a_master_killed_again_and_again_gets_every_accepted_job_returned_once() -> Result<()> {
    let (deaths, jobs) = (size("STORM_DEATHS", 3)?, size("STORM_JOBS", 24)?);
    let wanted = std::env::var("STORM_SERIES").unwrap_or_else(|_| "3006".to_owned());
    for series in Series::ALL.into_iter().filter(|series| wanted.contains(&series.version()[..4])) {
        match series.installed() {
            Ok(()) => storm(series, deaths, jobs)?,
            Err(why) => skipped("faults storm", &why)?,
        }
    }
    Ok(())
}

fn size(variable: &str, default: usize) -> Result<usize> {
    match std::env::var(variable) {
        Ok(given) => given.parse().with_context(|| format!("{variable} is no number: {given}")),
        Err(_) => Ok(default),
    }
}

fn storm(series: Series, deaths: usize, jobs: usize) -> Result<()> {
    let master = SaltMaster::launch(series, &MasterSettings::default())?;
    let minion = Minion::start_as(Sut::Agent, master.ret_port, ID, json!({}))?;
    master.wait_for_key("minions_pre", ID)?;
    master.key("accept", ID)?;
    minion.wait_for_start(&master, 1)?;
    minion.wait_for_ping(&master)?;
    let mut published = Vec::new();
    for death in 1..=deaths {
        while published.len() < jobs * death / deaths {
            published.push(publish(&master, published.len())?);
        }
        // Every other time the master sees a return before it dies.
        if let (0, Some(jid)) = (death % 2, published.last()) {
            master.wait_for_return(jid, ID)?;
        }
        master.stop(true)?;
        master.start()?;
        minion.wait_for_ping(&master)?;
    }
    let starts = starts(&read_lossy(&minion.path("log")));
    let accepted: Vec<_> = published.iter().filter(|jid| starts.contains_key(*jid)).collect();
    let mut half_written = 0;
    for jid in &accepted {
        half_written += usize::from(wait_until_told(&master, jid)? == Told::OnTheBus);
        ensure!(starts[*jid] == 1, "job {jid} ran {} times", starts[*jid]);
    }
    ensure!(accepted.len() * 2 > published.len(), "the agent heard of {} jobs only", accepted.len());
    minion.expect_errors(&[])?;
    report(series, &master, (published.len(), accepted.len(), half_written))
}

/// Where the master has a return.
#[derive(PartialEq)]
enum Told {
    InTheCache,
    OnTheBus,
}

fn wait_until_told(master: &SaltMaster, jid: &str) -> Result<Told> {
    wait_for(&format!("the return of job {jid}"), PATIENCE, || {
        let cached = master.driver().ask("cached", json!({ "jid": jid }), PATIENCE);
        let cached = cached.map_err(|error| format!("{error:#}"))?;
        if cached[ID].is_object() {
            return Ok(Told::InTheCache);
        }
        let events = master.events(&format!("salt/job/{jid}/ret/{ID}"));
        if events.is_empty() { Err(cached.to_string()) } else { Ok(Told::OnTheBus) }
    })
}

/// Long ones, large ones, ones that ask the master for something, and quick ones.
fn publish(master: &SaltMaster, number: usize) -> Result<String> {
    let queue = json!({ "queue": true });
    match number % 4 {
        0 => master.start_job(ID, "test.sleep", &json!([number % 7]), &json!({})),
        1 => master.start_job(ID, "test.arg", &json!(["x".repeat(100_000)]), &json!({})),
        2 => master.start_job(ID, "state.single", &json!(["test.nop", "storm"]), &queue),
        _ => master.start_job(ID, "grains.items", &json!([]), &json!({})),
    }
}

/// How often each job was started, by the agent's own log.
fn starts(log: &str) -> BTreeMap<String, usize> {
    let mut starts = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains("job starts")) {
        let digits = line.split("jid=").nth(1).unwrap_or_default().trim_start_matches('"');
        let jid: String = digits.chars().take_while(char::is_ascii_digit).collect();
        *starts.entry(jid).or_default() += 1;
    }
    starts
}

fn report(
    series: Series,
    master: &SaltMaster,
    (published, accepted, half_written): (usize, usize, usize),
) -> Result<()> {
    let log = master.log();
    let twice =
        log.lines().filter(|line| line.contains("uplicate return") || line.contains("xtra return")).count();
    let gaps = master.events("agent/publish/gap").len();
    writeln!(
        std::io::stderr(),
        "storm {}: {published} jobs published, {accepted} accepted and each returned once, {half_written} of them \
         half written by a master that died over it, {twice} sent again to a master that had them, {gaps} gaps told",
        series.version()
    )?;
    Ok(())
}
