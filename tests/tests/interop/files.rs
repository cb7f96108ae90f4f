//! Files both ways: a 3 MB binary fetched, a file pushed.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::json;
use tests::{minion::Minion, salt::SaltMaster};

crate::each_series!(a_large_binary_is_fetched_unchanged, a_pushed_file_lands_in_the_master_cache);

fn a_large_binary_is_fetched_unchanged(master: &SaltMaster) -> Result<()> {
    let id = "files-get";
    let minion = Minion::accepted(master, id, json!({}))?;
    let sent = noise(3 * 1024 * 1024 + 17);
    fs::write(master.path("srv/blob.bin"), &sent)?;
    fs::write(master.path("srv/empty.bin"), b"")?;
    let target = minion.path("fetched.bin");
    let answer = master.cmd(id, "cp.get_file", &json!(["salt://blob.bin", target]), json!({}))?;
    ensure!(answer[id]["ret"] == json!(target), "{answer}");
    ensure!(fs::read(&target)? == sent, "the fetched file differs");
    let target = minion.path("fetched-empty.bin");
    let answer = master.cmd(id, "cp.get_file", &json!(["salt://empty.bin", target]), json!({}))?;
    ensure!(answer[id]["ret"] == json!(target) && fs::read(&target)?.is_empty(), "{answer}");
    let answer =
        master.cmd(id, "cp.get_file", &json!(["salt://not/there", minion.path("nothing")]), json!({}))?;
    ensure!(answer[id]["ret"] == "" && !minion.path("nothing").exists(), "{answer}");
    minion.finish()
}

fn a_pushed_file_lands_in_the_master_cache(master: &SaltMaster) -> Result<()> {
    let id = "files-push";
    let minion = Minion::accepted(master, id, json!({}))?;
    let sent = noise(1024 * 1024 * 2 + 5);
    let source = minion.path("pushed.bin");
    fs::write(&source, &sent)?;
    let answer = master.cmd(id, "cp.push", &json!([source]), json!({}))?;
    ensure!(answer[id]["ret"] == true, "{answer}");
    let landed = master.path("cache/minions").join(id).join("files").join(source.strip_prefix("/")?);
    ensure!(fs::read(&landed)? == sent, "{} differs", landed.display());
    minion.finish()
}

/// Bytes of every value and no text, the same at each call.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
