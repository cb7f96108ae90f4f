//! A state tree goes to a ring of the fleet first, on an unmodified master: the ready-made top file, a ring in the pillar, and
//! `master-sim tree` beside it, which takes the tree back when it fails.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use anyhow::{Result, ensure};
use proto::MinionId;
use serde_json::{Value, json};
use tests::{
    binaries::{binary, workspace_root},
    bundled_master::said,
    minion::Minion,
    process::{Process, read_lossy},
    salt::{MasterSettings, SaltMaster},
    scratch::Scratch,
    wait::{PATIENCE, wait_for},
};

crate::each_series!(a_state_tree_goes_to_a_ring_first_and_is_taken_back_when_it_fails);

const GOOD: &str = "known good:\n  test.succeed_without_changes\n";
const BAD: &str = "new and wrong:\n  test.fail_without_changes\n";

fn a_state_tree_goes_to_a_ring_first_and_is_taken_back_when_it_fails(shared: &SaltMaster) -> Result<()> {
    let trees = Scratch::new()?;
    let ready_made = workspace_root().join("states/tree");
    for (env, states) in [("base", GOOD), ("canary", BAD)] {
        fs::create_dir_all(trees.join(env).join("dolphin"))?;
        fs::copy(ready_made.join("top.sls"), trees.join(env).join("top.sls"))?;
        fs::write(trees.join(env).join("dolphin/init.sls"), states)?;
    }
    fs::create_dir_all(trees.join("pillar"))?;
    for name in ["top.sls", "state_ring.sls"] {
        fs::copy(ready_made.join("pillar").join(name), trees.join("pillar").join(name))?;
    }
    fs::write(trees.join("pillar/dolphin.sls"), "{}\n")?;
    let settings = json!({
        "file_roots": { "base": [trees.join("base")], "canary": [trees.join("canary")] },
        "pillar_roots": { "base": [trees.join("pillar")] },
    });
    let options = settings.as_object().cloned().unwrap_or_default();
    let master = SaltMaster::launch(shared.series, &MasterSettings { options, ..MasterSettings::default() })?;
    let minion = Minion::accepted(&master, "rollout", json!({ "grains": { "ehr": "dolphin" } }))?;
    let events = trees.join("events");
    let mut listen = Command::new(master.series.bin().join("salt-run"));
    listen.arg("-c").arg(master.path("")).arg("state.event");
    let _listener = Process::spawn("salt-run", &mut listen, &events)?;
    wait_for("the listener hears", PATIENCE, || {
        let _pinged = master.cmd("rollout", "test.ping", &json!([]), json!({}));
        if read_lossy(&events).contains("/ret/rollout\t") { Ok(()) } else { Err(read_lossy(&events)) }
    })?;

    let runs = |id: &str| -> Result<Value> {
        let answer = master.cmd("rollout", "state.highstate", &json!([]), json!({}))?;
        let ret = answer["rollout"].clone();
        let states = ret["ret"].as_object().into_iter().flatten();
        let ids: Vec<_> = states.filter_map(|(name, _)| name.split("_|-").nth(1)).collect();
        ensure!(ids == [id], "{ret:#}");
        Ok(ret)
    };
    runs("known good")?;
    let bucket = MinionId::parse("rollout")?.bucket();
    tree(&master, &events, &["promote", "--percent", &bucket.to_string()])?;
    runs("known good")?;
    let promoted = tree(&master, &events, &["promote", "--percent", &(bucket + 1).to_string()])?;
    ensure!(!promoted.contains("but "), "{promoted}");
    let failed = runs("new and wrong")?;
    ensure!(failed["retcode"] == 2, "{failed:#}");
    let failed = "state.highstate of job";
    wait_for("the event of the failed run", PATIENCE, || {
        let shown = tree(&master, &events, &["show"]).map_err(|error| error.to_string())?;
        if shown.contains(failed) { Ok(()) } else { Err(shown) }
    })?;
    let more = asked(&master, &events, &["--halt-least", "1", "promote", "--percent", "100"])?;
    ensure!(!more.status.success() && said(&more).contains("--force"), "{}", said(&more));
    let halted = asked(&master, &events, &["--halt-least", "1", "watch", "--once"])?;
    ensure!(halted.status.code() == Some(1) && said(&halted).contains("is halted at"), "{}", said(&halted));
    runs("known good")?;
    let shown = tree(&master, &events, &["show"])?;
    ensure!(
        shown.starts_with("0 % of the fleet have canary") && shown.contains("halted: it failed on 1 of 1"),
        "{shown}"
    );
    minion.finish()
}

fn asked(master: &SaltMaster, events: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(binary("master-sim")?);
    command.arg("-c").arg(master.path("")).arg("tree").arg("--events").arg(events);
    Ok(command.args(arguments).output()?)
}

fn tree(master: &SaltMaster, events: &Path, arguments: &[&str]) -> Result<String> {
    let done = asked(master, events, arguments)?;
    ensure!(done.status.success(), "{}", said(&done));
    Ok(said(&done))
}
