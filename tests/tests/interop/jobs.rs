//! Jobs that outlive the master's timeout: found, accompanied and ended.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{
    ehr::EhrSim,
    minion::{Minion, Sut},
    salt::SaltMaster,
    wait::{PATIENCE, wait_for},
};

crate::each_series!(
    a_job_longer_than_the_timeout_is_found_by_find_job,
    a_running_job_blocks_no_ping_and_can_be_killed,
    a_second_state_run_is_refused_or_waits_its_turn,
    what_a_killed_job_started_ends_with_it,
);

fn a_job_longer_than_the_timeout_is_found_by_find_job(master: &SaltMaster) -> Result<()> {
    let minion = Minion::accepted(master, "jobs-long", json!({}))?;
    let answer = master.cmd("jobs-long", "test.sleep", &json!([12]), json!({ "timeout": 2 }))?;
    ensure!(answer["jobs-long"]["ret"] == true, "the long job's return was not waited for: {answer}");
    minion.finish()
}

fn a_running_job_blocks_no_ping_and_can_be_killed(master: &SaltMaster) -> Result<()> {
    let id = "jobs-kill";
    let is_agent = Sut::chosen(master.series) == Sut::Agent;
    // One job at a time; Salt's own minion would keep pings waiting as well.
    let options = if is_agent { json!({ "process_count_max": 1 }) } else { json!({}) };
    let minion = Minion::accepted(master, id, options)?;
    let jid = master.start_job(id, "test.sleep", &json!([600]), &json!({}))?;
    let found = master.wait_until_running(&jid, id)?;
    ensure!(found["fun"] == "test.sleep" && found["pid"].is_number() && found["tgt"] == id, "{found}");
    let next = master.start_job(id, "test.arg", &json!(["next"]), &json!({}))?;
    let answer = master.cmd(id, "test.ping", &json!([]), json!({}))?;
    ensure!(answer[id]["ret"] == true, "a running job must not hold up a ping: {answer}");
    let answer = master.cmd(id, "saltutil.running", &json!([]), json!({}))?;
    ensure!(
        answer[id]["ret"].as_array().is_some_and(|jobs| jobs.iter().any(|job| job["jid"] == jid)),
        "{answer}"
    );
    if is_agent {
        ensure!(answer.to_string().contains(&next), "the job that waits for its turn is not shown: {answer}");
        ensure!(master.events(&format!("salt/job/{next}/ret")).is_empty(), "two jobs ran at once");
    }
    kill(master, id, &jid, ("saltutil.kill_job", 9))?;
    let ret = master.wait_for_return(&next, id)?;
    ensure!(ret["ret"]["args"] == json!(["next"]), "{ret}");
    minion.wait_for_ping(master)
}

fn kill(master: &SaltMaster, id: &str, jid: &str, (fun, signal): (&str, i64)) -> Result<()> {
    let answer = master.cmd(id, fun, &json!([jid]), json!({}))?;
    let said = answer[id]["ret"].as_str().unwrap_or_default();
    ensure!(said.starts_with(&format!("Signal {signal} sent to job {jid} at pid ")), "{answer}");
    wait_for("the killed job to be gone", PATIENCE, || {
        let answer = master
            .cmd(id, "saltutil.find_job", &json!([jid]), json!({}))
            .map_err(|error| format!("{error:#}"))?;
        if answer[id]["ret"] == json!({}) { Ok(()) } else { Err(answer.to_string()) }
    })
}

fn a_second_state_run_is_refused_or_waits_its_turn(master: &SaltMaster) -> Result<()> {
    let id = "jobs-states";
    let minion = Minion::accepted(master, id, json!({}))?;
    let jid = master.start_job(id, "state.apply", &json!(["slow"]), &json!({}))?;
    master.wait_until_running(&jid, id)?;
    let single = json!(["test.succeed_with_changes", "queued"]);
    let queued = master.start_job(id, "state.single", &single, &json!({ "queue": true }))?;
    let answer = master.cmd(id, "state.apply", &json!(["greeting"]), json!({}))?;
    let said = answer[id]["ret"][0].as_str().unwrap_or_default();
    ensure!(
        said.starts_with("The function \"state.apply\" is running as PID ") && said.contains(&jid),
        "{answer}"
    );
    ensure!(answer[id]["retcode"] == 1, "{answer}");
    minion.wait_for_ping(master)?;
    ensure!(master.events(&format!("salt/job/{queued}/ret")).is_empty(), "the queued run did not wait");
    kill(master, id, &jid, ("saltutil.term_job", 15))?;
    let ret = master.wait_for_return(&queued, id)?;
    ensure!(ret["ret"]["test_|-queued_|-queued_|-succeed_with_changes"]["result"] == true, "{ret}");
    minion.finish()
}

fn what_a_killed_job_started_ends_with_it(master: &SaltMaster) -> Result<()> {
    if Sut::chosen(master.series) != Sut::Agent {
        // Salt's own minion kills the job's process, and not what that started.
        return Ok(());
    }
    let (id, sim) = ("jobs-tree", EhrSim::serve("dolphin", 10)?);
    let options = json!({
        "mssql.server": "127.0.0.1", "mssql.port": sim.port, "mssql.user": "sa",
        "mssql.password": EhrSim::SA_PASSWORD, "mssql.trust_server_certificate": true,
        "agent": { "allow_commands": true, "mssql": { "tsql_query": true } },
    });
    let minion = Minion::accepted(master, id, options)?;
    a_killed_command_takes_its_children_along(master, &minion)?;
    a_killed_statement_stops_on_its_server(master, id)?;
    minion.finish()
}

fn a_killed_command_takes_its_children_along(master: &SaltMaster, minion: &Minion) -> Result<()> {
    let mark = minion.path("grandchild");
    let line = format!("sleep 3600 & echo $! > {0}.part; mv {0}.part {0}; wait", mark.display());
    let jid = master.start_job(&minion.id, "cmd.run", &json!([line]), &json!({}))?;
    wait_for("the command to run", PATIENCE, || mark.exists().then_some(()).ok_or_else(|| minion.log()))?;
    kill(master, &minion.id, &jid, ("saltutil.kill_job", 9))?;
    let grandchild = std::fs::read_to_string(&mark)?;
    wait_for("the command's child to be gone", PATIENCE, || gone(grandchild.trim()))?;
    says_so(&master.wait_for_return(&jid, &minion.id)?)
}

fn a_killed_statement_stops_on_its_server(master: &SaltMaster, id: &str) -> Result<()> {
    let wait_for_requests = |wanted: i64| {
        wait_for(&format!("{wanted} other requests on the SQL server"), PATIENCE, || {
            let found = other_requests(master, id)?;
            if found == wanted { Ok(()) } else { Err(found.to_string()) }
        })
    };
    wait_for_requests(0)?;
    let statement = json!(["WAITFOR DELAY '01:00:00'"]);
    let jid = master.start_job(id, "mssql.tsql_query", &statement, &json!({}))?;
    wait_for_requests(1)?;
    kill(master, id, &jid, ("saltutil.kill_job", 9))?;
    wait_for_requests(0)?;
    says_so(&master.wait_for_return(&jid, id)?)
}

fn says_so(ret: &Value) -> Result<()> {
    ensure!(ret["ret"].as_str().is_some_and(|said| said.contains("terminated")), "{ret}");
    Ok(())
}

fn other_requests(master: &SaltMaster, id: &str) -> Result<i64, String> {
    let query = "SELECT COUNT(*) FROM sys.dm_exec_requests WHERE session_id <> @@SPID AND session_id > 50";
    let answer = master.cmd(id, "mssql.tsql_query", &json!([query]), json!({}));
    let answer = answer.map_err(|error| format!("{error:#}"))?;
    answer[id]["ret"][0][0].as_i64().ok_or_else(|| answer.to_string())
}

fn gone(pid: &str) -> Result<(), String> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    if stat.is_empty() || stat.contains(") Z ") { Ok(()) } else { Err(stat) }
}
