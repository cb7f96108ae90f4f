//! Keys: pending, accepted, rejected, and a master that is not the one known before.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::json;
use tests::{
    minion::{Minion, Sut},
    salt::{MasterSettings, SaltMaster},
};

crate::each_series!(
    a_pending_key_is_accepted_and_the_first_ping_answered,
    a_minion_with_the_masters_token_is_accepted_and_one_with_another_waits,
    a_rejected_key_is_waited_out,
    another_master_key_is_refused_and_the_process_stays,
    the_key_pair_survives_a_restart,
    a_master_with_another_finger_is_refused,
);

fn a_pending_key_is_accepted_and_the_first_ping_answered(master: &SaltMaster) -> Result<()> {
    let minion = Minion::start(master, "keys-accept", json!({}))?;
    master.wait_for_key("minions_pre", "keys-accept")?;
    ensure!(
        master.cmd("keys-accept", "test.ping", &json!([]), json!({ "timeout": 1 }))? == json!({}),
        "a pending minion must not be targeted"
    );
    master.key("accept", "keys-accept")?;
    minion.wait_for_start(master, 1)?;
    minion.wait_for_ping(master)?;
    for (file, mode) in [("minion.pem", 0o400), ("minion.pub", 0o644), ("minion_master.pub", 0o644)] {
        let found = fs::metadata(minion.path("pki").join(file))?;
        let found = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777;
        ensure!(found & !mode == 0, "{file} has mode {found:o}, looser than {mode:o}");
    }
    minion.finish()
}

/// The options are those that `agent service install --token` writes.
fn a_minion_with_the_masters_token_is_accepted_and_one_with_another_waits(shared: &SaltMaster) -> Result<()> {
    let options = json!({ "autosign_grains_dir": "tokens" }).as_object().cloned().unwrap_or_default();
    let master = SaltMaster::launch(shared.series, &MasterSettings { options, ..MasterSettings::default() })?;
    fs::create_dir_all(master.path("tokens"))?;
    fs::write(master.path("tokens/enrolment_token"), "# of this month\nspring-4711\n")?;
    let with = |token: &str| json!({ "grains": { "enrolment_token": token }, "autosign_grains": ["enrolment_token"] });
    let other = Minion::start(&master, "keys-other-token", with("spring-4712"))?;
    let minion = Minion::start(&master, "keys-token", with("spring-4711"))?;
    minion.wait_for_ping(&master)?;
    master.wait_for_key("minions_pre", "keys-other-token")?;
    ensure!(master.key_is_in("minions", "keys-token")?, "accepted by its token");
    minion.finish()?;
    other.finish()
}

fn a_rejected_key_is_waited_out(master: &SaltMaster) -> Result<()> {
    let minion = Minion::start(master, "keys-reject", json!({}))?;
    master.wait_for_key("minions_pre", "keys-reject")?;
    master.key("reject", "keys-reject")?;
    minion.wait_for_log(&["reject"])?;
    master.key("accept", "keys-reject")?;
    minion.wait_for_ping(master)
}

fn another_master_key_is_refused_and_the_process_stays(master: &SaltMaster) -> Result<()> {
    let mut minion = Minion::accepted(master, "keys-master", json!({}))?;
    minion.kill();
    let known = minion.path("pki").join("minion_master.pub");
    fs::remove_file(&known)?;
    fs::copy(minion.path("pki").join("minion.pub"), &known)?;
    minion.launch()?;
    minion.wait_for_log(&["invalid master key", "master key", "public key has changed"])?;
    if minion.sut == Sut::Agent {
        let log = minion.log();
        // The key that stands in for the one known is the minion's own.
        for finger in [master.finger_of_master()?, master.finger_of("keys-master")?] {
            ensure!(log.contains(&finger), "the log does not show the fingerprint {finger}");
        }
        let exited = match minion.process() {
            Some(process) => process.exited()?,
            None => None,
        };
        ensure!(exited.is_none(), "the agent must stay up and go on trying, but it ended: {exited:?}");
    }
    let answer = master.cmd("keys-master", "test.ping", &json!([]), json!({ "timeout": 2 }))?;
    ensure!(answer["keys-master"]["ret"] != true, "an agent that refuses the master must not run its jobs");
    Ok(())
}

fn the_key_pair_survives_a_restart(master: &SaltMaster) -> Result<()> {
    let mut minion = Minion::accepted(master, "keys-again", json!({}))?;
    let before = fs::read(minion.path("pki/minion.pem"))?;
    minion.kill();
    minion.launch()?;
    minion.wait_for_start(master, 2)?;
    minion.wait_for_ping(master)?;
    ensure!(fs::read(minion.path("pki/minion.pem"))? == before, "the key pair changed");
    minion.finish()
}

fn a_master_with_another_finger_is_refused(master: &SaltMaster) -> Result<()> {
    let (id, finger) = ("keys-finger", master.finger_of_master()?);
    let wrong = format!("{}{}", if finger.starts_with("00") { "11" } else { "00" }, &finger[2..]);
    let mut minion = Minion::start(master, id, json!({ "master_finger": wrong }))?;
    // The master's key is known for certain only once it has accepted this minion.
    master.wait_for_key("minions_pre", id)?;
    master.key("accept", id)?;
    minion.wait_for_log(&["finger"])?;
    let answer = master.cmd(id, "test.ping", &json!([]), json!({ "timeout": 1 }))?;
    ensure!(answer[id]["ret"] != true, "a master with another finger was served: {answer}");
    minion.kill();
    minion.set_option("master_finger", finger.into())?;
    minion.launch()?;
    minion.wait_for_ping(master)
}
