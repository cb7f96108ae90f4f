//! Latency of writes: from the master's publish to the outcome at the master, beside what it is made of.
//!
//! Two clocks: the caller's, who uses Salt's own client and waits at least as long as that takes to notice an event, and the
//! master's bus, from the event of the publish to the event of the return. The floor is a ping of the same agent (Salt's
//! own way there and back) and a bare round trip to SQL Server over a kept connection. Measured with an idle simulator,
//! then while a snapshot of its largest table runs.

use std::{collections::HashMap, fs, process::Command, time::Duration};

use agent::{
    mssql::{ConnectionOptions, Session},
    store::Secret,
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    binaries::{Profile, build},
    ehr::EhrSim,
    process::Process,
    salt::{MasterSettings, SaltMaster, Series},
    scratch::Scratch,
    wait::{PATIENCE, wait_for},
};

use crate::measure::{config, first_ping, rank, seconds};

/// One line of the table, in milliseconds.
#[derive(Clone, Debug)]
pub struct Latency {
    /// What was measured.
    pub what: String,
    /// How often.
    pub count: usize,
    /// Median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// Measures `count` writes on one master of `series`.
pub fn all(series: Series, count: u32, profile: Profile) -> Result<Vec<Latency>> {
    let programs = build(profile)?;
    let sim = EhrSim::serve_program(programs.get("ehr-sim").context("no ehr-sim")?, "dolphin", ROWS)?;
    let master = SaltMaster::launch(series, &MasterSettings::default())?;
    fs::write(master.path("pillar").join(format!("{ID}.sls")), pillar(sim.port)?)?;
    let scratch = Scratch::new()?;
    fs::write(scratch.join("minion"), config(ID, scratch.path(), master.ret_port)?)?;
    let mut command = Command::new(programs.get("agent").context("no agent")?);
    command.arg("run").arg("-c").arg(scratch.path());
    let _agent = Process::spawn("agent", &mut command, &scratch.join("console"))?;
    master.wait_for_key("minions_pre", ID)?;
    master.key("accept", ID)?;
    first_ping(&master, ID)?;
    let applied = master.cmd(ID, "state.apply", &json!(["dolphin.writes"]), json!({}))?;
    ensure!(applied[ID]["retcode"] == 0, "dolphin.writes: {applied}");
    let pings = json!({ "tgt": ID, "fun": "test.ping", "arg": [], "count": count });
    let pings = seconds(&master.driver().ask("timed", pings, LIMIT)?);
    let mut figures = vec![
        latency("bare SQL round trip", bare(sim.port, count)?),
        latency("test.ping, for the caller", pings),
        latency("test.ping, on the master's bus", on_bus(&master, "test.ping", count)?),
        latency("write, idle simulator, for the caller", writes(&master, "idle", count)?),
        latency("write, idle simulator, on the master's bus", on_bus(&master, SUBMIT, count)?),
    ];
    let declared = json!({
        "name": "bench", "database": "Main_OMS", "table": "dbo.Appointment", "cursor": "rowversion", "interval": 3600,
        "batch_rows": 2000,
    });
    let answer =
        master.cmd(ID, "state.single", &json!(["mssql_sync.present"]), json!({ "kwarg": declared }))?;
    ensure!(answer[ID]["retcode"] == 0, "mssql_sync.present: {answer}");
    let taken = writes(&master, "busy", count)?;
    let status = master.cmd(ID, "mssql_sync.status", &json!(["bench"]), json!({}))?;
    let phase = status[ID]["ret"]["bench"]["phase"].as_str().unwrap_or("unknown").to_owned();
    figures
        .push(latency(&format!("write while a snapshot runs (at its end: {phase}), for the caller"), taken));
    figures
        .push(latency("write while a snapshot runs, on the master's bus", on_bus(&master, SUBMIT, count)?));
    Ok(figures)
}

/// Submits payments one after the other, each under its own request id.
fn writes(master: &SaltMaster, name: &str, count: u32) -> Result<Vec<f64>> {
    let call = |number: u32| {
        json!({
            "name": "dolphin.record_payment", "request": format!("{name}-{number}"),
            "params": { "patient_id": 1 + number % 100, "amount": "12.50", "method": "Card" },
        })
    };
    let calls: Vec<Value> = (0..=count).map(call).collect();
    let request = json!({ "tgt": ID, "fun": SUBMIT, "calls": calls });
    Ok(seconds(&master.driver().ask("timed_calls", request, LIMIT)?))
}

/// The seconds between publish and return of the last `count` jobs of a function, by the stamps of the master's bus.
fn on_bus(master: &SaltMaster, fun: &str, count: u32) -> Result<Vec<f64>> {
    let count = usize::try_from(count)?;
    wait_for("the last returns on the bus", PATIENCE, || {
        let (mut published, mut taken, mut last) = (HashMap::new(), Vec::new(), String::new());
        for event in master.events("salt/job/") {
            let (tag, data) = (event["tag"].as_str().unwrap_or_default(), &event["data"]);
            let Some(moment) = data["_stamp"].as_str().and_then(of_day) else { continue };
            let (jid, is_of_fun) = (data["jid"].as_str().unwrap_or_default().to_owned(), data["fun"] == fun);
            if is_of_fun && tag.ends_with("/new") {
                last.clone_from(&jid);
                published.insert(jid, moment);
            } else if is_of_fun && let Some(begun) = published.remove(&jid) {
                taken.push((moment - begun).rem_euclid(SECONDS_OF_DAY));
            }
        }
        // The first pings found no minion and never return.
        if published.contains_key(&last) || taken.len() < count {
            return Err(format!("{} returns, not yet that of {last}", taken.len()));
        }
        Ok(taken.split_off(taken.len() - count))
    })
}

/// The seconds since midnight of `2026-11-26T03:33:25.438012`.
fn of_day(stamp: &str) -> Option<f64> {
    let (_, time) = stamp.split_once('T')?;
    let mut parts = time.split(':');
    let mut next = || parts.next()?.parse::<f64>().ok();
    Some(next()? * 3600.0 + next()? * 60.0 + next()?)
}

/// The least that a statement takes over the agent's own client.
fn bare(port: u16, count: u32) -> Result<Vec<f64>> {
    let lookup = |name: &str| match name {
        "server" => Some(format!("127.0.0.1,{port}")),
        "trust_server_certificate" => Some("true".to_owned()),
        _ => None,
    };
    let options = ConnectionOptions::read(lookup)?.with_login("sa", Secret::new(EhrSim::SA_PASSWORD));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut session = Session::connect(&options.with_database("Main_OMS")).await?;
        let mut taken = Vec::new();
        for _ in 0..=count {
            let begun = std::time::Instant::now();
            session.query("SELECT @P1", &["x".into()]).await?;
            taken.push(begun.elapsed().as_secs_f64());
        }
        taken.remove(0);
        Ok(taken)
    })
}

fn latency(what: &str, mut taken: Vec<f64>) -> Latency {
    taken.sort_by(f64::total_cmp);
    let at = |share: f64| taken.get(rank(taken.len(), share)).copied().unwrap_or_default() * 1000.0;
    Latency { what: what.to_owned(), count: taken.len(), p50: at(0.5), p99: at(0.99) }
}

fn pillar(port: u16) -> Result<String> {
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    Ok(serde_json::to_string_pretty(&json!({
        "mssql.server": "127.0.0.1", "mssql.port": port, "mssql.user": "sa", "mssql.password": EhrSim::SA_PASSWORD,
        "mssql.trust_server_certificate": true,
        "dolphin": { "write_password": "Write-only-1" },
        "agent": { "sync": { "recipients": [recipient] } },
    }))?)
}

/// The pillar of the real masters gives `sql-*` a file of its own.
const ID: &str = "sql-bench-writes";
const SUBMIT: &str = "mssql_write.submit";
const SECONDS_OF_DAY: f64 = 86_400.0;
/// Rows of the table that the snapshot reads.
const ROWS: u64 = 1_000_000;
const LIMIT: Duration = Duration::from_secs(900).saturating_add(PATIENCE);
