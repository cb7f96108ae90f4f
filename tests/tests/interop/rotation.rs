//! A master that signs, filters and demands signatures changes its keys while jobs run; nothing is lost.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, json};
use tests::{
    minion::{Minion, Sut},
    salt::{MasterSettings, SaltMaster, Series},
    wait::{PATIENCE, wait_for},
};

crate::each_series!(a_strict_master_changes_its_keys_and_no_job_is_lost);

const ID: &str = "rotation";

fn a_strict_master_changes_its_keys_and_no_job_is_lost(shared: &SaltMaster) -> Result<()> {
    // A master of its own: the other cases keep their keys.
    let master = strict_master(shared)?;
    let options =
        json!({ "verify_master_pubkey_sign": true, "minion_sign_messages": true, "zmq_filtering": true });
    let mut minion = Minion::prepare(Sut::chosen(master.series), master.ret_port, ID, options)?;
    fs::copy(master.path("pki/master_sign.pub"), minion.path("pki/master_sign.pub"))?;
    minion.launch()?;
    master.wait_for_key("minions_pre", ID)?;
    master.key("accept", ID)?;
    minion.wait_for_ping(&master)?;
    let session = master.path("cache/sessions").join(ID);
    let first_session = fs::read(&session)?;

    every_kind_of_target_is_heard(&master)?;
    the_publish_key_is_rotated(&master)?;
    if minion.sut == Sut::Agent {
        the_minions_key_is_deleted_and_accepted_again(&master, &minion)?;
    }
    the_master_gets_a_new_key(&master, &minion)?;
    wait_for("the session key to have changed", PATIENCE, || {
        minion.wait_for_ping(&master).map_err(|error| format!("{error:#}"))?;
        let now = fs::read(&session).map_err(|error| error.to_string())?;
        if now == first_session { Err("the same".to_owned()) } else { Ok(()) }
    })?;
    minion.wait_for_ping(&master)
}

fn strict_master(shared: &SaltMaster) -> Result<SaltMaster> {
    let options = [
        ("master_sign_pubkey", json!(true)),
        ("require_minion_sign_messages", json!(true)),
        ("drop_messages_signature_fail", json!(true)),
        // No default of a master has it, and without it each signed return ends in an exception there.
        ("signing_algorithm", json!("PKCS1v15-SHA1")),
        ("zmq_filtering", json!(true)),
        // So many seconds the session and the publish key live.
        ("publish_session", json!(20)),
    ];
    let options: Map<_, _> = options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    SaltMaster::launch(shared.series, &MasterSettings { options, ..MasterSettings::default() })
}

/// With `zmq_filtering` each way of targeting has a topic of its own.
fn every_kind_of_target_is_heard(master: &SaltMaster) -> Result<()> {
    for (tgt, kind) in [(json!(ID), "glob"), (json!([ID]), "list"), (json!("practice:dolphin"), "grain")] {
        let request = json!({ "tgt": tgt, "fun": "test.arg", "tgt_type": kind });
        let jid = master.driver().ask("cmd_async", request, PATIENCE)?;
        let jid = jid.as_str().with_context(|| format!("nobody is targeted by {kind}"))?;
        master.wait_for_return(jid, ID).with_context(|| kind.to_owned())?;
    }
    Ok(())
}

fn the_publish_key_is_rotated(master: &SaltMaster) -> Result<()> {
    let jid = master.start_job(ID, "test.sleep", &json!([5]), &json!({}))?;
    let dropped = master.driver().ask("rotate", json!({}), PATIENCE)?;
    ensure!(dropped.as_array().is_some_and(|names| !names.is_empty()), "no drop file was made");
    let drop_file = master.path("cache/.dfn");
    wait_for("the master to take the drop file and change its key", PATIENCE, || {
        if drop_file.exists() { Err("the drop file is still there".to_owned()) } else { Ok(()) }
    })?;
    for number in 0..3 {
        let answer = master.cmd(ID, "test.echo", &json!([number]), json!({ "timeout": 60 }))?;
        ensure!(answer[ID]["ret"] == number, "the job after the rotation was lost: {answer}");
    }
    let ret = master.wait_for_return(&jid, ID)?;
    ensure!(ret["ret"] == true, "{ret}");
    Ok(())
}

/// The return of a job that ran meanwhile waits until the key is accepted again.
fn the_minions_key_is_deleted_and_accepted_again(master: &SaltMaster, minion: &Minion) -> Result<()> {
    let jid = master.start_job(ID, "test.sleep", &json!([4]), &json!({}))?;
    master.wait_until_running(&jid, ID)?;
    master.key("delete", ID)?;
    if master.series == Series::S3007 {
        // It goes on taking the requests of a session whose key is gone, until it is another process.
        master.stop(false)?;
        master.start()?;
    }
    master.wait_for_key("minions_pre", ID)?;
    minion.wait_for_log(&["waits to be accepted"])?;
    master.key("accept", ID)?;
    let ret = master.wait_for_return(&jid, ID)?;
    ensure!(ret["ret"] == true, "{ret}");
    minion.wait_for_ping(master)
}

/// The operator's signature covers the new key, so the minion takes it.
fn the_master_gets_a_new_key(master: &SaltMaster, minion: &Minion) -> Result<()> {
    let pinned = || fs::read_to_string(minion.path("pki/minion_master.pub"));
    let before = pinned()?;
    master.stop(false)?;
    // The names of the master's own key and of its signature differ from series to series.
    for entry in fs::read_dir(master.path("pki"))? {
        let entry = entry?;
        let of_the_operator = entry.file_name().to_string_lossy().starts_with("master_sign.");
        if entry.file_type()?.is_file() && !of_the_operator {
            fs::remove_file(entry.path())?;
        }
    }
    master.start()?;
    minion.wait_for_ping(master)?;
    ensure!(pinned()? != before, "the minion did not take the new key");
    Ok(())
}
