//! Jobs that outlive the master's timeout: found, accompanied and ended.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    minion::Minion,
    salt::SaltMaster,
    wait::{PATIENCE, wait_for},
};

crate::each_series!(
    a_job_longer_than_the_timeout_is_found_by_find_job,
    a_running_job_blocks_no_ping_and_can_be_killed,
    a_second_state_run_waits_its_turn,
);

fn a_job_longer_than_the_timeout_is_found_by_find_job(master: &SaltMaster) -> Result<()> {
    let minion = Minion::accepted(master, "jobs-long", json!({}))?;
    let answer = master.cmd("jobs-long", "test.sleep", &json!([12]), json!({ "timeout": 2 }))?;
    ensure!(answer["jobs-long"]["ret"] == true, "the long job's return was not waited for: {answer}");
    minion.finish()
}

fn a_running_job_blocks_no_ping_and_can_be_killed(master: &SaltMaster) -> Result<()> {
    let id = "jobs-kill";
    let minion = Minion::accepted(master, id, json!({}))?;
    let jid = start(master, id, "test.sleep", json!([600]), json!({}))?;
    let found = wait_for("find_job to tell of the job", PATIENCE, || {
        let answer = master
            .cmd(id, "saltutil.find_job", &json!([jid]), json!({}))
            .map_err(|error| format!("{error:#}"))?;
        let found = answer[id]["ret"].clone();
        if found["jid"] == jid { Ok(found) } else { Err(answer.to_string()) }
    })?;
    ensure!(found["fun"] == "test.sleep" && found["pid"].is_number() && found["tgt"] == id, "{found}");
    let answer = master.cmd(id, "test.ping", &json!([]), json!({}))?;
    ensure!(answer[id]["ret"] == true, "a running job must not hold up a ping: {answer}");
    let answer = master.cmd(id, "saltutil.running", &json!([]), json!({}))?;
    ensure!(
        answer[id]["ret"].as_array().is_some_and(|jobs| jobs.iter().any(|job| job["jid"] == jid)),
        "{answer}"
    );
    let answer = master.cmd(id, "saltutil.kill_job", &json!([jid]), json!({}))?;
    ensure!(
        answer[id]["ret"].as_str().is_some_and(|said| said.starts_with("Signal 9 sent to job")),
        "{answer}"
    );
    wait_for("the killed job to be gone", PATIENCE, || {
        let answer = master
            .cmd(id, "saltutil.find_job", &json!([jid]), json!({}))
            .map_err(|error| format!("{error:#}"))?;
        if answer[id]["ret"] == json!({}) { Ok(()) } else { Err(answer.to_string()) }
    })?;
    minion.wait_for_ping(master)
}

fn a_second_state_run_waits_its_turn(master: &SaltMaster) -> Result<()> {
    let id = "jobs-states";
    let minion = Minion::accepted(master, id, json!({}))?;
    let jid = start(master, id, "state.apply", json!(["slow"]), json!({}))?;
    wait_running(master, id, &jid)?;
    let answer = master.cmd(id, "state.apply", &json!(["greeting"]), json!({}))?;
    let said = answer[id]["ret"][0].as_str().unwrap_or_default();
    ensure!(
        said.starts_with("The function \"state.apply\" is running as PID ") && said.contains(&jid),
        "{answer}"
    );
    ensure!(answer[id]["retcode"] == 1, "{answer}");
    minion.wait_for_ping(master)
}

fn wait_running(master: &SaltMaster, id: &str, jid: &str) -> Result<()> {
    wait_for("the state run to be under way", PATIENCE, || {
        let answer = master
            .cmd(id, "saltutil.find_job", &json!([jid]), json!({}))
            .map_err(|error| format!("{error:#}"))?;
        if answer[id]["ret"]["jid"] == jid { Ok(()) } else { Err(answer.to_string()) }
    })
}

fn start(master: &SaltMaster, id: &str, fun: &str, arg: Value, kwarg: Value) -> Result<String> {
    let request = json!({ "tgt": id, "fun": fun, "arg": arg, "kwarg": kwarg });
    let jid = master.driver().ask("cmd_async", request, PATIENCE)?;
    Ok(jid.as_str().with_context(|| format!("no jid: {jid}"))?.to_owned())
}
