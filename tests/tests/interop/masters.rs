//! Masters that are configured otherwise: everything signed and filtered, no room left, batches and many functions at once.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{
    minion::{Minion, Sut},
    salt::{MasterSettings, SaltMaster},
};

crate::each_series!(
    a_master_that_signs_and_filters_everything_is_served,
    a_full_master_is_waited_out,
    batches_and_several_functions_are_answered,
);

fn a_master_that_signs_and_filters_everything_is_served(shared: &SaltMaster) -> Result<()> {
    let options = json!({
        "zmq_filtering": true, "master_sign_pubkey": true, "publish_signing_algorithm": "PKCS1v15-SHA224",
        "require_minion_sign_messages": true, "drop_messages_signature_fail": true,
    });
    let master = SaltMaster::launch(shared.series, &settings(options))?;
    let options = json!({
        "zmq_filtering": true, "verify_master_pubkey_sign": true, "always_verify_signature": true,
        "minion_sign_messages": true, "encryption_algorithm": "OAEP-SHA224", "signing_algorithm": "PKCS1v15-SHA224",
    });
    let id = "masters-signed";
    let mut minion = Minion::prepare(Sut::chosen(master.series), master.ret_port, id, options)?;
    fs::copy(master.path("pki/master_sign.pub"), minion.path("pki/master_sign.pub"))?;
    minion.launch()?;
    master.wait_for_key("minions_pre", id)?;
    master.key("accept", id)?;
    minion.wait_for_start(&master, 1)?;
    minion.wait_for_ping(&master)?;
    for (kind, tgt) in [("glob", json!(id)), ("list", json!([id])), ("grain", json!("mark:masters-signed"))] {
        let request =
            json!({ "tgt": tgt, "fun": "test.echo", "arg": ["ünïcode"], "tgt_type": kind, "timeout": 30 });
        let answer = master.driver().ask("cmd", request, tests::wait::PATIENCE)?;
        ensure!(answer[id]["ret"] == "ünïcode", "{kind}: {answer}");
    }
    minion.finish()
}

fn a_full_master_is_waited_out(shared: &SaltMaster) -> Result<()> {
    let master = SaltMaster::launch(shared.series, &settings(json!({ "max_minions": 1 })))?;
    let first = Minion::accepted(&master, "masters-first", json!({}))?;
    let second = Minion::start(&master, "masters-second", json!({}))?;
    second.wait_for_log(&["full"])?;
    first.wait_for_ping(&master)
}

fn batches_and_several_functions_are_answered(master: &SaltMaster) -> Result<()> {
    let id = "masters-batch";
    let minion = Minion::accepted(master, id, json!({}))?;
    let done =
        master.cli("salt", &["-b", "1", id, "test.ping", "--out", "json", "--static", "--no-color"])?;
    let printed = String::from_utf8_lossy(&done.stdout);
    let object = printed.find('{').map_or("", |start| &printed[start..]);
    let parsed: Option<Value> = serde_json::Deserializer::from_str(object).into_iter().find_map(Result::ok);
    ensure!(done.status.success() && parsed.is_some_and(|parsed| parsed[id] == true), "{printed}");
    let arguments =
        [id, "test.echo,test.ping,grains.get", "hello", ",", ",", "practice", "--out", "json", "--static"];
    let done = master.cli("salt", &arguments)?;
    let printed: Value = serde_json::from_slice(&done.stdout)?;
    let wanted = json!({ "test.echo": "hello", "test.ping": true, "grains.get": "dolphin" });
    ensure!(printed[id] == wanted, "{printed}");
    minion.finish()
}

fn settings(options: Value) -> MasterSettings {
    let Value::Object(options) = options else { return MasterSettings::default() };
    MasterSettings { options }
}
