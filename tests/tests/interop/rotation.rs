//! The master's AES key changes while a job runs; nothing is lost.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::{
    minion::Minion,
    salt::{MasterSettings, SaltMaster},
    wait::{PATIENCE, wait_for},
};

crate::each_series!(a_key_rotation_loses_no_job);

fn a_key_rotation_loses_no_job(shared: &SaltMaster) -> Result<()> {
    // A master of its own: the other cases keep their keys.
    let master = SaltMaster::launch(shared.series, &MasterSettings::default())?;
    let id = "rotation";
    let minion = Minion::accepted(&master, id, json!({}))?;
    let request = json!({ "tgt": id, "fun": "test.sleep", "arg": [8] });
    let jid = master.driver().ask("cmd_async", request, PATIENCE)?;
    let jid = jid.as_str().context("no jid")?;
    let dropped = master.driver().ask("rotate", json!({}), PATIENCE)?;
    ensure!(dropped.as_array().is_some_and(|names| !names.is_empty()), "no drop file was made");
    let drop_file = master.path("cache/.dfn");
    wait_for("the master to take the drop file and change its key", PATIENCE, || {
        if drop_file.exists() { Err("the drop file is still there".to_owned()) } else { Ok(()) }
    })?;
    for number in 0..3 {
        let answer = master.cmd(id, "test.echo", &json!([number]), json!({ "timeout": 60 }))?;
        ensure!(answer[id]["ret"] == number, "the job after the rotation was lost: {answer}");
    }
    wait_for("the return of the job that ran through the rotation", PATIENCE, || {
        let cached = master
            .driver()
            .ask("cached", json!({ "jid": jid }), PATIENCE)
            .map_err(|error| format!("{error:#}"))?;
        if cached[id]["ret"] == true { Ok(()) } else { Err(cached.to_string()) }
    })?;
    minion.finish()
}
