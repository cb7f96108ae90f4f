//! `agent call` beside an unmodified `salt-call` on the same machine: what they print, byte for byte, and their exit codes.
//!
//! Both read the same configuration and the same state tree, `--local`. Times of states are the moment's own and are
//! replaced by one sign before they are compared.

use std::{
    path::Path,
    process::{Command, Output},
};

use anyhow::{Result, ensure};
use serde_json::json;
use tests::{binaries::binary, salt::Series, scratch::Scratch, skip::skipped};

/// Arguments of calls that must print the same.
const CALLS: &[&[&str]] = &[
    &["test.echo", "{a: [1, {b: null}], c: true, d: 1.5, e: 'two\nlines', f: {}, g: []}"],
    &["test.echo", "{a: [1, {b: null}], c: true, d: 1.5, e: 'two\nlines', f: {}, g: []}", "--out=json"],
    &["test.echo", "{a: [1, {b: null}], c: true, d: 1.5, e: 'ünïcode'}", "--out=json", "--out-indent=-1"],
    &["test.echo", "{a: [1, {b: null}], c: true, d: 1.5, e: 'two\nlines', f: {}, g: []}", "--out=yaml"],
    &["test.echo", "{a: [1, {b: null}], c: true}", "--out=txt"],
    &["test.echo", "{a: [1, {b: x}], c: true}", "--out=raw"],
    &["grains.item", "practice", "rooms", "site", "--force-color"],
    &["test.false", "--retcode-passthrough"],
    &["test.retcode", "3", "--retcode-passthrough"],
    &["state.apply", "mixed"],
    &["state.apply", "mixed", "--state-output=terse"],
    &["state.apply", "mixed", "--state-output=mixed", "--state-verbose=False", "--force-color"],
    &["state.apply", "mixed", "--state-output=changes", "--retcode-passthrough"],
    &["state.apply", "plain", "--out=json"],
    &["state.apply", "nothing_of_that_name"],
];

/// Layouts that 3006 has and 3008 has not.
const CALLS_OF_3006: &[&[&str]] = &[
    &["test.echo", "{a: [one, {b: x}], c: two}", "--out=newline_values_only"],
    &["test.echo", "x", "--out=quiet"],
];

/// Arguments of calls whose exit codes alone must be the same: what fails is said in each program's own words.
const FAILING: &[&[&str]] = &[&["no.such"], &["test.exception"], &["test.fib"]];

const PLAIN: &str = "
good:
  test.succeed_with_changes:
    - name: first
bad:
  test.fail_with_changes:
    - name: second
";

const MIXED: &str = "
good:
  test.succeed_with_changes:
    - name: first
bad:
  test.fail_without_changes:
    - name: second
waits:
  test.nop:
    - require:
      - test: bad
";

#[test]
fn prints_and_exits_as_salt_call_does() {
    let series = Series::S3008;
    match series.installed() {
        Ok(()) => compare(series).unwrap_or_else(|error| panic!("{error:#}")),
        Err(why) => skipped("agent call beside salt-call", &why).unwrap(),
    }
}

fn compare(series: Series) -> Result<()> {
    let scratch = Scratch::new()?;
    prepare(&scratch)?;
    let (agent, etc) = (binary("agent")?, scratch.join("etc"));
    let salt = |series: Series, args: &[&str]| run(Command::new(series.bin().join("salt-call")), &etc, args);
    let ours = |args: &[&str]| {
        let mut command = Command::new(&agent);
        command.arg("call");
        run(command, &etc, args)
    };
    let mut wrong = Vec::new();
    let older = if Series::S3006.installed().is_ok() { CALLS_OF_3006 } else { &[] };
    let calls = CALLS.iter().map(|args| (series, *args, true));
    let calls = calls.chain(older.iter().map(|args| (Series::S3006, *args, true)));
    for (series, args, printed) in calls.chain(FAILING.iter().map(|args| (series, *args, false))) {
        let (ours, salts) = (ours(args)?, salt(series, args)?);
        let (own, theirs) = (still(&ours.stdout), still(&salts.stdout));
        let codes = (ours.status.code(), salts.status.code());
        if codes.0 != codes.1 || (printed && own != theirs) {
            let said = String::from_utf8_lossy(&ours.stderr).into_owned();
            wrong.push(format!(
                "{args:?} exits {codes:?}\n--- ours\n{own}\n--- salt-call\n{theirs}\n--- {said}"
            ));
        }
    }
    ensure!(wrong.is_empty(), "{} calls differ:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

fn prepare(scratch: &Scratch) -> Result<()> {
    let path = |name: &str| scratch.join(name).to_string_lossy().into_owned();
    std::fs::create_dir_all(scratch.join("etc"))?;
    std::fs::create_dir_all(scratch.join("srv"))?;
    std::fs::write(scratch.join("srv/mixed.sls"), MIXED)?;
    std::fs::write(scratch.join("srv/plain.sls"), PLAIN)?;
    let config = json!({
        "id": "m1", "file_client": "local", "root_dir": path("root"), "pki_dir": path("pki"), "cachedir": path("root/cache"),
        "sock_dir": path("root/run"), "log_file": path("log"), "extension_modules": path("root/ext"),
        "file_roots": { "base": [path("srv")] }, "pillar_roots": { "base": [path("pillar")] },
        "enable_gpu_grains": false, "enable_fqdns_grains": false, "log_level": "quiet", "master": "localhost",
        "grains": { "practice": "dolphin", "rooms": ["red", "blue"], "site": { "state": "TX", "chairs": 4 } },
        "agent": { "data_dir": path("data") },
    });
    std::fs::write(scratch.join("etc/minion"), serde_json::to_string_pretty(&config)?)?;
    Ok(())
}

fn run(mut command: Command, etc: &Path, args: &[&str]) -> Result<Output> {
    Ok(command.arg("-c").arg(etc).arg("--local").args(args).env_remove("RUST_BACKTRACE").output()?)
}

/// What was printed, with the times replaced: of a state's start and duration, and of the whole run.
fn still(printed: &[u8]) -> String {
    let text = String::from_utf8_lossy(printed).into_owned();
    let timed = |line: &str| {
        let names = ["Started:", "Duration:", "Total run time:", "\"start_time\":", "\"duration\":"];
        names.iter().any(|name| line.contains(name))
    };
    let lines = text.split('\n').map(|line| if timed(line) { without_digits(line) } else { line.to_owned() });
    lines.collect::<Vec<_>>().join("\n")
}

fn without_digits(line: &str) -> String {
    let mut shown = String::new();
    for letter in line.chars() {
        match letter {
            '0'..='9' | '.' if shown.ends_with('#') => {}
            '0'..='9' => shown.push('#'),
            other => shown.push(other),
        }
    }
    shown
}
