//! What the practice pauses, no master resumes: nothing is read or written until somebody at the practice says so.

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{binaries::binary, ehr::EhrSim, minion::Minion, salt::SaltMaster, source::Source};

use crate::{
    sql::{APPOINTMENT, Practice, all_hold},
    writes::submit,
};

crate::each_series!(what_the_practice_paused_no_master_resumes);

const JOB: &str = "main_oms.Appointment";

fn what_the_practice_paused_no_master_resumes(master: &SaltMaster) -> Result<()> {
    let Some(mut practice) = Practice::open(master, "sql-paused", json!({ "dolphin": secrets() }))? else {
        return Ok(());
    };
    for sls in ["dolphin", "dolphin.writes"] {
        let applied = practice.apply(json!([sls]), json!({}))?;
        ensure!(applied["retcode"] == 0 && all_hold(&applied), "{sls}: {applied}");
    }
    writes_wait(master, &mut practice)?;
    reading_waits(master, &mut practice)?;
    practice.minion.finish()
}

fn writes_wait(master: &SaltMaster, practice: &mut Practice<'_>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut source = runtime.block_on(Source::connect(practice.sim.port, EhrSim::SA_PASSWORD))?;
    let mut payments = || runtime.block_on(source.count("dbo.Payment"));
    let (id, before) = (practice.minion.id.clone(), payments()?);
    let payment = json!({
        "name": "dolphin.record_payment", "request": "paused-1",
        "params": { "patient_id": 1, "amount": "12.50", "method": "Card" },
    });
    let paused = |when: &str| -> Result<()> {
        let answer = submit(master, &id, &payment)?;
        let ret = &answer["ret"];
        ensure!(ret["outcome"] == "paused" && ret["final"] == false, "{when}: {answer}");
        ensure!(answer["retcode"] == 1, "{when}: {answer}");
        Ok(())
    };
    at_the_practice(&practice.minion, "pause", "writes")?;
    paused("after the pause")?;
    restart(master, &mut practice.minion, 2)?;
    paused("after a restart")?;
    a_master_does_not_resume(master, &practice.minion, "writes")?;
    paused("after a master tried")?;
    ensure!(payments()? == before, "a paused write was written");

    at_the_practice(&practice.minion, "resume", "writes")?;
    let landed = submit(master, &id, &payment)?;
    ensure!(landed["ret"]["outcome"] == "landed" && landed["retcode"] == 0, "{landed}");
    let again = submit(master, &id, &payment)?;
    ensure!(again["ret"]["outcome"] == "already_landed", "{again}");
    ensure!(payments()? == before + 1, "the paused request landed more than once");
    Ok(())
}

fn reading_waits(master: &SaltMaster, practice: &mut Practice<'_>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut source = runtime.block_on(Source::connect(practice.sim.port, EhrSim::SA_PASSWORD))?;
    let rows = runtime.block_on(source.read("dbo.Appointment", APPOINTMENT))?;
    practice.wait_until_received(master, &rows)?;
    let id = practice.minion.id.clone();
    let delivered = || -> Result<Value> {
        let status = master.cmd(&id, "mssql_sync.status", &json!([JOB]), json!({}))?;
        let job = &status[&id]["ret"][JOB];
        ensure!(job["delivered_rows"].is_number(), "{status}");
        Ok(json!([job["delivered_rows"], job["watermark"], job["next_sequence"]]))
    };
    at_the_practice(&practice.minion, "pause", "sync")?;
    // A pass that was under way has ended when a run is refused.
    let refused = |when: &str| -> Result<()> {
        let answer = master.cmd(&id, "mssql_sync.run", &json!([JOB]), json!({}))?;
        let said = answer[&id]["ret"].to_string();
        ensure!(said.contains("paused") && answer[&id]["retcode"] != 0, "{when}: {answer}");
        Ok(())
    };
    refused("after the pause")?;
    let before = delivered()?;
    runtime.block_on(source.change(30))?;
    refused("with news")?;
    restart(master, &mut practice.minion, 3)?;
    refused("after a restart")?;
    a_master_does_not_resume(master, &practice.minion, "sync")?;
    for (fun, arg) in [("mssql_sync.audit", json!([JOB])), ("mssql_sync.resnapshot", json!([JOB, [1]]))] {
        let answer = master.cmd(&id, fun, &arg, json!({}))?;
        ensure!(answer[&id]["ret"].to_string().contains("paused"), "{fun}: {answer}");
    }
    ensure!(delivered()? == before, "rows were delivered: {before} became {}", delivered()?);

    at_the_practice(&practice.minion, "resume", "sync")?;
    let ran = master.cmd(&id, "mssql_sync.run", &json!([JOB]), json!({}))?;
    ensure!(ran[&id]["ret"]["ending"] == "caught up", "{ran}");
    let rows = runtime.block_on(source.read("dbo.Appointment", APPOINTMENT))?;
    let received = practice.wait_until_received(master, &rows)?;
    ensure!(received.is_gapless(), "a sequence is missing");
    Ok(())
}

/// What somebody at the practice types.
fn at_the_practice(minion: &Minion, verb: &str, what: &str) -> Result<()> {
    let output = Command::new(binary("agent")?).arg("-c").arg(minion.path("")).args([verb, what]).output()?;
    ensure!(output.status.success(), "agent {verb} {what}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn restart(master: &SaltMaster, minion: &mut Minion, starts: usize) -> Result<()> {
    minion.kill();
    minion.launch()?;
    minion.wait_for_start(master, starts)?;
    minion.wait_for_ping(master)
}

/// The switch's file is there, and no function and no state of a master's takes it away.
fn a_master_does_not_resume(master: &SaltMaster, minion: &Minion, what: &str) -> Result<()> {
    let file = minion.path("var/lib/agent").join(format!("paused-{what}.json"));
    ensure!(file.exists(), "the switch is not {}", file.display());
    master.cmd(&minion.id, "file.remove", &json!([file]), json!({}))?;
    let absent = json!({ "kwarg": { "name": file } });
    let tried = master.cmd(&minion.id, "state.single", &json!(["file.absent"]), absent)?;
    ensure!(tried[&minion.id]["retcode"] != 0, "{tried}");
    ensure!(file.exists(), "a master took the switch away");
    Ok(())
}

fn secrets() -> Value {
    json!({
        "login": "nexhealth_sync", "password": Practice::SYNC_PASSWORD, "write_password": "Write-only-1", "interval": 1,
    })
}
