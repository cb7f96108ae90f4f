//! Bad lines and dying processes between a real master and the agent: nothing is lost, nothing runs twice, nobody gives up.
//!
//! A relay that misbehaves on order stands in both channels. Each case has a master of its own, because it stops it or lies
//! to it; masters of 3007 send no heartbeats, the others do.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::json;
use tests::{
    minion::{Minion, Sut},
    process::Signal,
    relay::{Direction, Rule},
    salt::{MasterSettings, SaltMaster, Series},
    wait::{PATIENCE, wait_for},
};

mod line;
mod storm;

use line::Line;

#[test]
fn a_publish_link_that_is_dead_towards_the_minion_is_noticed_and_dialled_again() -> Result<()> {
    half_dead(Series::S3006, Direction::ToMinion)
}

#[test]
fn a_publish_link_that_is_dead_towards_a_master_without_heartbeats_is_noticed_and_dialled_again() -> Result<()>
{
    half_dead(Series::S3007, Direction::ToMaster)
}

/// The request channel works all the time, so only the publish path itself can show that it is dead.
fn half_dead(series: Series, direction: Direction) -> Result<()> {
    let Some(line) = Line::open(series, &format!("faults-half-{}", series.version()))? else { return Ok(()) };
    let before = line.publishes.connections();
    line.publishes.swallow_open(direction);
    wait_for("a new publish connection", PATIENCE, || {
        if line.publishes.connections() > before { Ok(()) } else { Err(line.minion.log()) }
    })?;
    line.minion.wait_for_ping(&line.master)?;
    let gap = line.master.wait_for_event("agent/publish/gap")?;
    ensure!(gap["data"]["data"]["seconds"].is_number(), "{gap}");
    Ok(())
}

#[test]
fn a_request_link_that_swallows_answers_delays_a_return_and_loses_none() -> Result<()> {
    let Some(line) = Line::open(Series::S3008, "faults-swallow")? else { return Ok(()) };
    let jid = line.start("test.sleep", json!([3]))?;
    line.wait_until_running(&jid)?;
    line.requests.swallow_open(Direction::ToMinion);
    ensure!(line.wait_for_return(&jid)? == true, "the return is wrong");
    line.minion.wait_for_ping(&line.master)
}

#[test]
fn cut_refused_truncated_and_reset_connections_come_back() -> Result<()> {
    let Some(line) = Line::open(Series::S3008, "faults-cut")? else { return Ok(()) };
    for _ in 0..3 {
        line.requests.cut();
        line.publishes.cut();
        line.minion.wait_for_ping(&line.master)?;
    }
    for rule in [Rule::CutAfter(20), Rule::ResetAfter(20)] {
        let before = line.publishes.connections();
        for relay in [&line.requests, &line.publishes] {
            relay.rule(Direction::ToMinion, rule);
        }
        // Something is said, so that both links break in the middle of a frame.
        line.start("test.ping", json!([]))?;
        wait_for(&format!("the links to break by {rule:?}"), PATIENCE, || {
            let made = line.publishes.connections();
            if made >= before + 2 { Ok(()) } else { Err(made.to_string()) }
        })?;
        for relay in [&line.requests, &line.publishes] {
            relay.refuse(true);
            relay.rule(Direction::ToMinion, Rule::Pass);
            relay.cut();
            relay.refuse(false);
        }
        line.minion.wait_for_ping(&line.master)?;
    }
    Ok(())
}

#[test]
fn a_job_published_while_the_line_was_cut_is_found_where_the_master_tells() -> Result<()> {
    let peer_run = [("peer_run".to_owned(), json!({ ".*": ["jobs.list_jobs"] }))];
    let settings = MasterSettings { options: peer_run.into_iter().collect(), ..MasterSettings::default() };
    let own = json!({ "ask_missed_jobs": true });
    let Some(line) = Line::open_with(Series::S3008, "faults-missed", &settings, own)? else { return Ok(()) };
    let before = line.start("test.arg", json!(["heard"]))?;
    line.wait_for_return(&before)?;
    line.publishes.refuse(true);
    line.publishes.cut();
    let missed = line.start("test.arg", json!(["missed", { "__kwarg__": true, "by": "the line" }]))?;
    line.publishes.refuse(false);
    let ret = line.wait_for_return(&missed)?;
    ensure!(ret["args"] == json!(["missed"]) && ret["kwargs"]["by"] == "the line", "{ret}");
    line.minion.wait_for_ping(&line.master)?;
    ensure!(line.returns(&before) == 1 && line.returns(&missed) == 1, "a job ran twice");
    Ok(())
}

#[test]
fn a_publish_said_twice_runs_once_also_after_a_restart() -> Result<()> {
    let Some(mut line) = Line::open(Series::S3006, "faults-twice")? else { return Ok(()) };
    let jid = line.start("test.echo", json!(["once"]))?;
    ensure!(line.wait_for_return(&jid)? == "once", "the return is wrong");
    let seen = line.returns(&jid);
    line.publishes.say_again();
    line.minion.wait_for_ping(&line.master)?;
    ensure!(line.returns(&jid) == seen, "a publish that was said twice ran twice");
    // The last thing said must be the job again, when another process listens.
    let jid = line.start("test.arg", json!(["once"]))?;
    line.wait_for_return(&jid)?;
    line.minion.kill();
    line.minion.launch()?;
    line.minion.wait_for_start(&line.master, 2)?;
    line.publishes.say_again();
    line.minion.wait_for_log(&["a jid that ran before was dropped"])?;
    line.minion.wait_for_ping(&line.master)?;
    ensure!(line.returns(&jid) == 1, "a publish that was said again after a restart ran twice");
    Ok(())
}

#[test]
fn a_slow_line_is_no_dead_line() -> Result<()> {
    let Some(line) = Line::open(Series::S3008, "faults-slow")? else { return Ok(()) };
    for relay in [&line.requests, &line.publishes] {
        for direction in [Direction::ToMaster, Direction::ToMinion] {
            relay.rule(direction, Rule::Delay(std::time::Duration::from_secs(2)));
        }
    }
    for number in 0..3 {
        let request = json!({ "timeout": 60 });
        let answer = line.master.cmd(&line.minion.id, "test.echo", &json!([number]), request)?;
        ensure!(answer[&line.minion.id]["ret"] == number, "{answer}");
    }
    Ok(())
}

#[test]
fn a_master_killed_while_a_job_runs_gets_the_return_when_it_is_back() -> Result<()> {
    for series in [Series::S3006, Series::S3008] {
        let Some(line) = Line::open(series, "faults-master")? else { return Ok(()) };
        let jid = line.start("test.sleep", json!([5]))?;
        line.wait_until_running(&jid)?;
        line.master.stop(true)?;
        line.minion.wait_for_log(&["a return waits for the master"])?;
        line.master.start()?;
        ensure!(line.wait_for_return(&jid)? == true, "the return is wrong");
        line.minion.wait_for_ping(&line.master)?;
    }
    Ok(())
}

#[test]
fn an_agent_killed_while_a_job_runs_says_so_under_its_jid_and_does_not_run_it_again() -> Result<()> {
    let Some(mut line) = Line::open(Series::S3008, "faults-agent")? else { return Ok(()) };
    let jid = line.start("test.sleep", json!([600]))?;
    line.wait_until_running(&jid)?;
    line.minion.kill();
    line.minion.launch()?;
    let ret = line.wait_for_return(&jid)?;
    ensure!(
        ret.as_str().is_some_and(|said| said.contains("interrupted") || said.contains("restart")),
        "{ret}"
    );
    let answer = line.master.cmd(&line.minion.id, "saltutil.running", &json!([]), json!({}))?;
    ensure!(!answer.to_string().contains(&jid), "the interrupted job runs again: {answer}");
    Ok(())
}

#[test]
fn an_agent_that_stands_still_for_a_minute_goes_on() -> Result<()> {
    let Some(mut line) = Line::open(Series::S3006, "faults-still")? else { return Ok(()) };
    let process = line.minion.process().expect("the agent runs");
    process.signal(Signal::Stop);
    // As a virtual machine that is paused: longer than every heartbeat timeout.
    std::thread::sleep(std::time::Duration::from_secs(60));
    process.signal(Signal::Continue);
    line.minion.wait_for_ping(&line.master)?;
    ensure!(fs::metadata(line.minion.path("pki/minion.pem")).is_ok(), "the key pair is gone");
    Ok(())
}

#[test]
fn a_master_that_stands_still_is_left_for_the_next_one() -> Result<()> {
    if let Err(why) = Series::S3007.installed() {
        return tests::skip::skipped("faults turn", &why);
    }
    let first = SaltMaster::launch(Series::S3007, &MasterSettings::default())?;
    let keys_of = Some(first.path("pki"));
    let second = SaltMaster::launch(Series::S3007, &MasterSettings { keys_of, ..MasterSettings::default() })?;
    let (id, masters) = ("faults-turn", [&first, &second].map(|one| format!("127.0.0.1:{}", one.ret_port)));
    let options = json!({ "master": masters, "master_type": "failover" });
    let minion = Minion::start_as(Sut::Agent, first.ret_port, id, options)?;
    for master in [&first, &second] {
        master.wait_for_key("minions_pre", id)?;
        master.key("accept", id)?;
    }
    minion.wait_for_ping(&first)?;
    first.driver().ask("stand_still", json!({}), PATIENCE)?;
    minion.wait_for_ping(&second)
}
