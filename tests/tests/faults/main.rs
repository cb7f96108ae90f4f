//! Bad lines and dying processes between a real master and the agent: nothing is lost, nothing runs twice, nobody gives up.
//!
//! A relay that misbehaves on order stands in both channels. Each case has a master of its own series 3006 or 3008 (the two
//! whose masters send heartbeats) and starts it itself, because it stops it or lies to it.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{
    minion::{Minion, Sut},
    process::Signal,
    relay::{Direction, Relay, Rule},
    salt::{MasterSettings, SaltMaster, Series},
    skip::skipped,
    wait::{PATIENCE, wait_for},
};

/// One practice behind a bad line.
struct Line {
    master: SaltMaster,
    requests: Relay,
    publishes: Relay,
    minion: Minion,
}

impl Line {
    /// A master of `series`, the relays and an accepted agent; None when the series is not installed here.
    fn open(series: Series, id: &str) -> Result<Option<Self>> {
        if let Err(why) = series.installed() {
            return skipped(&format!("faults {id}"), &why).map(|()| None);
        }
        let master = SaltMaster::launch(series, &MasterSettings::default())?;
        let (requests, publishes) = (Relay::to(master.ret_port)?, Relay::to(master.publish_port)?);
        let options = json!({ "publish_port": publishes.port });
        let minion = Minion::start_as(Sut::Agent, requests.port, id, options)?;
        master.wait_for_key("minions_pre", id)?;
        master.key("accept", id)?;
        minion.wait_for_start(&master, 1)?;
        minion.wait_for_ping(&master)?;
        Ok(Some(Self { master, requests, publishes, minion }))
    }

    fn start(&self, fun: &str, arg: Value) -> Result<String> {
        let request = json!({ "tgt": self.minion.id, "fun": fun, "arg": arg });
        let jid = self.master.driver().ask("cmd_async", request, PATIENCE)?;
        Ok(jid.as_str().unwrap_or_default().to_owned())
    }

    fn wait_for_return(&self, jid: &str) -> Result<Value> {
        wait_for(&format!("the return of job {jid}"), PATIENCE, || {
            let cached = self.master.driver().ask("cached", json!({ "jid": jid }), PATIENCE);
            let cached = cached.map_err(|error| format!("{error:#}"))?;
            let found = &cached[&self.minion.id]["ret"];
            if found.is_null() { Err(self.minion.log()) } else { Ok(found.clone()) }
        })
    }

    fn returns(&self, jid: &str) -> usize {
        self.master.events(&format!("salt/job/{jid}/ret/{}", self.minion.id)).len()
    }

    fn wait_until_running(&self, jid: &str) -> Result<()> {
        wait_for("the job to run", PATIENCE, || {
            let request = json!({ "timeout": 5 });
            let answer = self.master.cmd(&self.minion.id, "saltutil.find_job", &json!([jid]), request);
            let answer = answer.map_err(|error| format!("{error:#}"))?;
            if answer[&self.minion.id]["ret"]["jid"] == jid { Ok(()) } else { Err(answer.to_string()) }
        })
    }
}

#[test]
fn a_publish_link_that_is_dead_one_way_is_noticed_and_dialled_again() -> Result<()> {
    let Some(line) = Line::open(Series::S3006, "faults-half")? else { return Ok(()) };
    let before = line.publishes.connections();
    line.publishes.swallow_open(Direction::ToMinion);
    wait_for("a new publish connection", PATIENCE, || {
        if line.publishes.connections() > before { Ok(()) } else { Err(line.minion.log()) }
    })?;
    line.minion.wait_for_ping(&line.master)
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
fn cut_refused_and_truncated_connections_come_back() -> Result<()> {
    let Some(line) = Line::open(Series::S3008, "faults-cut")? else { return Ok(()) };
    for _ in 0..3 {
        line.requests.cut();
        line.publishes.cut();
        line.minion.wait_for_ping(&line.master)?;
    }
    for relay in [&line.requests, &line.publishes] {
        relay.rule(Direction::ToMinion, Rule::CutAfter(20));
    }
    // Something is said, so that both links break in the middle of a frame.
    line.start("test.ping", json!([]))?;
    wait_for("the truncated links to break", PATIENCE, || {
        if line.publishes.connections() >= 5 { Ok(()) } else { Err(line.publishes.connections().to_string()) }
    })?;
    for relay in [&line.requests, &line.publishes] {
        relay.refuse(true);
        relay.rule(Direction::ToMinion, Rule::Pass);
        relay.cut();
        relay.refuse(false);
    }
    line.minion.wait_for_ping(&line.master)
}

#[test]
fn a_publish_said_twice_runs_once() -> Result<()> {
    let Some(line) = Line::open(Series::S3006, "faults-twice")? else { return Ok(()) };
    let jid = line.start("test.echo", json!(["once"]))?;
    ensure!(line.wait_for_return(&jid)? == "once", "the return is wrong");
    let seen = line.returns(&jid);
    line.publishes.say_again();
    line.minion.wait_for_ping(&line.master)?;
    ensure!(line.returns(&jid) == seen, "a publish that was said twice ran twice");
    Ok(())
}

#[test]
fn a_slow_line_is_no_dead_line() -> Result<()> {
    let Some(line) = Line::open(Series::S3008, "faults-slow")? else { return Ok(()) };
    for relay in [&line.requests, &line.publishes] {
        for direction in [Direction::ToMaster, Direction::ToMinion] {
            relay.rule(direction, Rule::Delay(std::time::Duration::from_millis(700)));
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
