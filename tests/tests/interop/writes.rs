//! A real master submits writes; the agent is killed in the middle of one and answers for it under the same jid.

use std::fs;

use agent::mssql::{ConnectionOptions, Session};
use agent::store::Secret;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    ehr::EhrSim,
    minion::{Minion, Sut},
    salt::SaltMaster,
    wait::{PATIENCE, wait_for},
};

crate::each_series!(a_write_is_answered_with_its_outcome_also_by_an_agent_that_was_killed_in_it);

fn a_write_is_answered_with_its_outcome_also_by_an_agent_that_was_killed_in_it(
    master: &SaltMaster,
) -> Result<()> {
    if Sut::chosen(master.series) != Sut::Agent {
        return Ok(());
    }
    let (id, sim) = ("sql-writes", EhrSim::serve("dolphin", 500)?);
    fs::write(master.path("pillar").join(format!("{id}.sls")), pillar(&sim)?)?;
    let mut minion = Minion::accepted(master, id, json!({}))?;
    let applied = master.cmd(id, "state.apply", &json!(["dolphin.writes"]), json!({}))?;
    ensure!(applied[id]["retcode"] == 0, "{applied}");

    let contact = json!({
        "name": "dolphin.change_contact", "request": "c-1",
        "params": { "patient_id": 1, "email": CANARY, "phone": null, "rowver": "0x0000000000000000" },
    });
    let refused = submit(master, id, &contact)?;
    ensure!(refused["ret"]["outcome"] == "conflict" && refused["retcode"] == 1, "{refused}");
    let payment = json!({
        "name": "dolphin.record_payment", "request": "p-1",
        "params": { "patient_id": 1, "amount": "12.50", "method": "Card" },
    });
    let landed = submit(master, id, &payment)?;
    ensure!(landed["ret"]["outcome"] == "landed" && landed["retcode"] == 0, "{landed}");
    ensure!(landed["ret"]["keys"]["PaymentID"].is_number(), "{landed}");
    let again = submit(master, id, &payment)?;
    ensure!(again["ret"]["outcome"] == "already_landed", "{again}");
    ensure!(again["ret"]["keys"] == landed["ret"]["keys"], "{again}");
    let returns =
        master.events("salt/job/").into_iter().filter(|event| event.to_string().contains("fun_args"));
    let returns: Vec<Value> = returns.collect();
    ensure!(!json!(returns).to_string().contains(CANARY), "a parameter is echoed in a return");

    killed_in_a_write(master, &mut minion, &sim)?;
    minion.finish()
}

/// The front desk holds the row, the write waits for it, the agent dies, the front desk ends, the agent comes back.
fn killed_in_a_write(master: &SaltMaster, minion: &mut Minion, sim: &EhrSim) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut desk, mut watch) =
        runtime.block_on(async { Ok::<_, anyhow::Error>((connect(sim).await?, connect(sim).await?)) })?;
    let appointment = runtime.block_on(async {
        let scheduled = "SELECT TOP (1) AppointmentID FROM dbo.Appointment WHERE Status = N'Scheduled'";
        let found = number(&mut desk, scheduled).await?;
        desk.batch("BEGIN TRANSACTION").await?;
        desk.batch(&format!("UPDATE dbo.Appointment SET ChairID = 5 WHERE AppointmentID = {found}")).await?;
        Ok::<_, anyhow::Error>(found)
    })?;
    let confirm = json!({
        "name": "dolphin.confirm_appointment", "request": "confirm", "params": { "appointment_id": appointment },
    });
    let jid = master.start_job(&minion.id, "mssql_write.submit", &json!([]), &confirm)?;
    wait_for("the write to wait for the front desk", PATIENCE, || {
        let blocked = "SELECT COUNT(*) FROM sys.dm_exec_requests WHERE blocking_session_id <> 0";
        match runtime.block_on(number(&mut watch, blocked)) {
            Ok(1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })?;
    minion.kill();
    runtime.block_on(desk.batch("COMMIT TRANSACTION"))?;
    minion.launch()?;
    let ret = master.wait_for_return(&jid, &minion.id)?;
    ensure!(ret["ret"]["outcome"] == "landed", "under the jid of the killed job: {ret}");
    let written = format!(
        "SELECT COUNT(*) FROM dbo.Appointment WHERE AppointmentID = {appointment} AND Status = N'Confirmed'"
    );
    ensure!(runtime.block_on(number(&mut watch, &written))? == 1, "the write did not land");
    let ledger = "SELECT COUNT(*) FROM nexhealth_agent.dbo.write_ledger WHERE request = N'confirm'";
    ensure!(runtime.block_on(number(&mut watch, ledger))? == 1, "the ledger does not hold the request once");
    Ok(())
}

/// Submits a write; the whole return.
pub fn submit(master: &SaltMaster, id: &str, keywords: &Value) -> Result<Value> {
    let answer = master.cmd(id, "mssql_write.submit", &json!([]), json!({ "kwarg": keywords }))?;
    Ok(answer[id].clone())
}

/// A session of `sa` in the EHR's database.
pub async fn connect(sim: &EhrSim) -> Result<Session> {
    let lookup = |name: &str| match name {
        "server" => Some(format!("127.0.0.1,{}", sim.port)),
        "trust_server_certificate" => Some("true".to_owned()),
        _ => None,
    };
    let options = ConnectionOptions::read(lookup)?.with_login("sa", Secret::new(EhrSim::SA_PASSWORD));
    Ok(Session::connect(&options.with_database("Main_OMS")).await?)
}

/// The number that a statement gives.
pub async fn number(session: &mut Session, sql: &str) -> Result<i32> {
    let rows = session.batch(sql).await?.into_iter().next().unwrap_or_default();
    rows.first().and_then(|row| row.get(0)).context("no number")
}

/// The pillar of a minion with `dolphin.writes`.
pub fn pillar(sim: &EhrSim) -> Result<String> {
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    Ok(serde_json::to_string_pretty(&json!({
        "mssql.server": "127.0.0.1", "mssql.port": sim.port, "mssql.user": "sa",
        "mssql.password": EhrSim::SA_PASSWORD, "mssql.trust_server_certificate": true,
        "dolphin": { "write_password": "Write-only-1" },
        "agent": { "sync": { "recipients": [recipient] } },
    }))?)
}

/// Stands in parameters only: no return may hold it.
const CANARY: &str = "canary-4711@example.invalid";
