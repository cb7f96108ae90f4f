//! Several masters: all at once, or one after the other.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{
    minion::Minion,
    salt::{MasterSettings, SaltMaster},
};

crate::each_series!(several_masters_are_served_at_once_or_in_turn);

fn several_masters_are_served_at_once_or_in_turn(first: &SaltMaster) -> Result<()> {
    let settings = MasterSettings { keys_of: Some(first.path("pki")), ..MasterSettings::default() };
    let second = SaltMaster::launch(first.series, &settings)?;
    all_at_once(first, &second)?;
    in_turn(first, &second)
}

fn list(masters: [&SaltMaster; 2]) -> Value {
    masters.map(|master| format!("127.0.0.1:{}", master.ret_port)).into_iter().collect()
}

fn all_at_once(first: &SaltMaster, second: &SaltMaster) -> Result<()> {
    let id = "masters-both";
    let minion = Minion::start(first, id, json!({ "master": list([first, second]) }))?;
    for master in [first, second] {
        master.wait_for_key("minions_pre", id)?;
        master.key("accept", id)?;
        minion.wait_for_start(master, 1)?;
        minion.wait_for_ping(master)?;
    }
    let jid = second.start_job(id, "test.arg", &json!(["second"]), &json!({}))?;
    let ret = second.wait_for_return(&jid, id)?;
    ensure!(ret["ret"]["args"] == json!(["second"]), "{ret}");
    ensure!(first.events(&format!("salt/job/{jid}")).is_empty(), "the first master has the second's return");
    first.cmd(id, "event.fire_master", &json!([{ "from": id }, "tests/both"]), json!({}))?;
    for master in [first, second] {
        master.wait_for_event("tests/both")?;
    }
    second.stop(true)?;
    minion.wait_for_ping(first)?;
    second.start()?;
    minion.wait_for_ping(second)?;
    minion.finish()
}

fn in_turn(first: &SaltMaster, second: &SaltMaster) -> Result<()> {
    let id = "masters-turn";
    let options = json!({
        "master": list([second, first]), "master_type": "failover", "master_alive_interval": 2, "retry_dns": 0,
    });
    let mut minion = Minion::start(first, id, options)?;
    second.wait_for_key("minions_pre", id)?;
    second.key("accept", id)?;
    minion.wait_for_ping(second)?;
    second.stop(true)?;
    first.wait_for_key("minions_pre", id)?;
    first.key("accept", id)?;
    minion.wait_for_ping(first)?;
    // A start with the preferred master away.
    minion.kill();
    minion.launch()?;
    minion.wait_for_ping(first)
}
