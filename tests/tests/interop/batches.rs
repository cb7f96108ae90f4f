//! Batches, and several functions at once.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{minion::Minion, salt::SaltMaster};

crate::each_series!(batches_and_several_functions_are_answered);

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
