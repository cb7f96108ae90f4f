//! A minute of silence, in which masters send their heartbeats; then a ping on the same link.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use serde_json::json;
use tests::{minion::Minion, salt::SaltMaster};

crate::each_series!(sixty_idle_seconds_are_followed_by_a_ping);

fn sixty_idle_seconds_are_followed_by_a_ping(master: &SaltMaster) -> Result<()> {
    let minion = Minion::accepted(master, "idle", json!({}))?;
    let before = minion.log().len();
    // The silence is what is tested: a peer that does not answer heartbeats is cut off 40 seconds in.
    thread::sleep(Duration::from_secs(60));
    let answer = master.cmd("idle", "test.ping", &json!([]), json!({ "timeout": 5 }))?;
    ensure!(answer["idle"]["ret"] == true, "{answer}");
    let said = minion.log().split_off(before).to_lowercase();
    ensure!(!said.contains("reconnect") && !said.contains("lost"), "the link did not hold:\n{said}");
    minion.finish()
}
