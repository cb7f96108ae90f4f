//! An agent of tomorrow: this program with more steps in its store, as its environment says.
//!
//! `LATER_ADDS=N` appends N steps that only add, `LATER_REWRITES=1` one that rewrites, `LATER_READS=V` says that it can read
//! version V of that area already. `LATER_DIES_AFTER='AREA VERSION'` ends the process as a power cut would, right after that
//! step was committed. The area is `jobs`, where the returns and the jids are.

use std::process::ExitCode;

use agent::store::migrations::{AREAS, Area, Later, Step, become_later};

fn main() -> ExitCode {
    become_later(Later { areas: AREAS.iter().map(later).collect(), after_step: die });
    agent::cli::main()
}

fn later(area: &Area) -> Area {
    if area.name() != "jobs" {
        return *area;
    }
    let mut steps = area.steps().to_vec();
    steps.extend(ADDITIONS.iter().take(number("LATER_ADDS")));
    if number("LATER_REWRITES") > 0 {
        steps.push(Step::rewrites("CREATE UNIQUE INDEX job_later ON job (jid, done)"));
    }
    // It lives as long as the process.
    let later = Area::new(area.name(), Box::leak(steps.into_boxed_slice()));
    later.reading(u32::try_from(number("LATER_READS")).unwrap_or(u32::MAX))
}

fn number(name: &str) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn die(area: &str, version: u32) {
    if std::env::var("LATER_DIES_AFTER").is_ok_and(|at| at == format!("{area} {version}")) {
        std::process::abort();
    }
}

const ADDITIONS: [Step; 3] = [
    Step::adds("ALTER TABLE job ADD COLUMN later TEXT NOT NULL DEFAULT ''"),
    Step::adds(
        "CREATE TABLE job_later (jid TEXT PRIMARY KEY REFERENCES job (jid) ON DELETE CASCADE, note TEXT) STRICT",
    ),
    Step::adds("CREATE INDEX job_by_later ON job (later)"),
];
