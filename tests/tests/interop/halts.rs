//! A state tree that submits writes: a write that does not land is a failed state, and what requires it is not written.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{
    ehr::EhrSim,
    minion::{Minion, Sut},
    salt::SaltMaster,
};

use crate::{
    sql::comment,
    writes::{connect, number, pillar},
};

crate::each_series!(a_tree_whose_write_does_not_land_halts_there);

fn a_tree_whose_write_does_not_land_halts_there(master: &SaltMaster) -> Result<()> {
    if Sut::chosen(master.series) != Sut::Agent {
        return Ok(());
    }
    let (id, sim) = ("sql-halts", EhrSim::serve("dolphin", 500)?);
    fs::write(master.path("pillar").join(format!("{id}.sls")), pillar(&sim)?)?;
    fs::write(master.path("srv/halts.sls"), TREE)?;
    let minion = Minion::accepted(master, id, json!({}))?;
    let apply = |sls: &str, failhard: bool| -> Result<Value> {
        let kwarg = json!({ "pillar": { "failhard": failhard } });
        let answer = master.cmd(id, "state.apply", &json!([sls]), json!({ "kwarg": kwarg }))?;
        Ok(answer[id].clone())
    };
    let applied = apply("dolphin.writes", false)?;
    ensure!(applied["retcode"] == 0, "{applied}");
    let payments = count(&sim, "dbo.Payment")?;

    let halted = apply("halts", false)?;
    ensure!(halted["retcode"] == 2, "{halted}");
    for (state, expected) in [
        ("pays", Some(true)),
        ("changes", Some(false)),
        ("pays after", Some(false)),
        ("tells", Some(true)),
        ("beside", Some(true)),
    ] {
        ensure!(result(&halted, state) == expected, "{state}: {halted}");
    }
    ensure!(
        comment(&halted, "changes")?.contains("was changed since it was read"),
        "the reason is not told: {halted}"
    );
    let required = "One or more requisite failed: halts.changes";
    ensure!(comment(&halted, "pays after")? == required, "{halted}");
    ensure!(count(&sim, "dbo.Payment")? == payments + 1, "what required the failed write was written");

    // Pushed again under the same request ids, what has landed is not written again.
    let again = apply("halts", true)?;
    ensure!(again["retcode"] == 2 && result(&again, "pays") == Some(true), "{again}");
    ensure!(result(&again, "changes") == Some(false), "{again}");
    for state in ["pays after", "tells", "beside"] {
        ensure!(result(&again, state).is_none(), "failhard, and {state} ran: {again}");
    }
    ensure!(count(&sim, "dbo.Payment")? == payments + 1, "a payment was written twice");
    let ledger = "SELECT COUNT(*) FROM nexhealth_agent.dbo.write_ledger WHERE request = N'tree-3'";
    ensure!(count_of(&sim, ledger)? == 0, "the write that was not to run is in the ledger");
    minion.finish()
}

/// The result of a state; none when it did not run.
fn result(ret: &Value, id: &str) -> Option<bool> {
    let chunks = ret["ret"].as_object()?;
    let found = chunks.iter().find(|(key, _)| key.split("_|-").nth(1) == Some(id));
    found.and_then(|(_, chunk)| chunk["result"].as_bool())
}

fn count(sim: &EhrSim, table: &str) -> Result<i32> {
    count_of(sim, &format!("SELECT COUNT(*) FROM {table}"))
}

fn count_of(sim: &EhrSim, sql: &str) -> Result<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { number(&mut connect(sim).await?, sql).await })
}

const TREE: &str = "
pays:
  module.run:
    - mssql_write.submit:
      - dolphin.record_payment
      - request: tree-1
      - params: {patient_id: 1, amount: '5.00', method: Card}

changes:
  module.run:
    - mssql_write.submit:
      - dolphin.change_contact
      - request: tree-2
      - params: {patient_id: 1, email: x@example.invalid, phone: null, rowver: '0x0000000000000000'}
    - failhard: {{ pillar['failhard'] }}

pays after:
  module.run:
    - mssql_write.submit:
      - dolphin.record_payment
      - request: tree-3
      - params: {patient_id: 1, amount: '7.00', method: Card}
    - require:
      - module: changes

tells:
  test.nop:
    - onfail:
      - module: changes

beside:
  test.nop
";
