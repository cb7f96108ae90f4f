//! A release that carries a later supervisor: its trial under the installed one, and the way back from it.
//!
//! The good one is the built supervisor itself, so it really watches the agent; the bad ones are programs of the shell.

use std::fs;

use anyhow::{Result, ensure};
use tests::{
    binaries::binary,
    ehr::EhrSim,
    wait::{PATIENCE, wait_for},
};

use crate::site::Site;

#[test]
fn a_later_supervisor_takes_the_watch_and_the_installed_one_is_always_there() -> Result<()> {
    let sim = EhrSim::serve("dolphin", 20)?;
    let mut site = Site::start(&sim)?;
    site.offer_carrying("1.1.0", &binary("supervisor")?)?;
    site.confirms("1.1.0")?;
    until(&site, "supervisor 1.1.0 to be confirmed", |site| site.successors()["confirmed"] == "1.1.0")?;
    site.master.wait_for_ping("site")?;

    // The later one watches a release too, and hands the watch back for the one that it carries, which is bad.
    let bad = site.path("bad");
    fs::write(&bad, "#!/bin/sh\nexit 3\n")?;
    site.offer_carrying("1.2.0", &bad)?;
    site.confirms("1.2.0")?;
    until(&site, "supervisor 1.2.0 to be refused", |site| {
        site.successors()["refused"][0]["why"].to_string().contains("exit status: 3")
    })?;
    until(&site, "supervisor 1.1.0 to watch again", |site| watching(site) == 2)?;
    site.master.wait_for_ping("site")?;
    ensure!(site.successors()["confirmed"] == "1.1.0", "{:#}", site.successors());

    // One that is confirmed and killed leaves the watch to the installed one.
    site.kill_successor();
    until(&site, "the watch to go back", |site| site.logs().contains("supervisor 1.1.0 ended by itself"))?;
    until(&site, "the agent under the installed one", |site| {
        let log = site.logs();
        let back = log.split("supervisor 1.1.0 ended by itself").nth(1).map(str::to_owned);
        back.is_some_and(|after| after.contains("agent 1.2.0 started"))
    })?;
    site.master.wait_for_ping("site")?;

    // As after a restart of the machine.
    site.kill();
    site.launch()?;
    until(&site, "supervisor 1.1.0 to watch after a restart", |site| watching(site) == 3)?;
    site.master.wait_for_ping("site")?;
    site.finish()
}

#[test]
fn a_later_supervisor_survives_a_kill_at_every_step() -> Result<()> {
    let sim = EhrSim::serve("dolphin", 20)?;
    let mut site = Site::start(&sim)?;
    for (minor, step) in (1..).zip(["agent confirmed", "on trial", "confirmed"]) {
        let version = format!("1.{minor}.0");
        site.offer_carrying(&version, &binary("supervisor")?)?;
        let jid = site.begin_update(&version)?;
        // A step may be over before it is seen; the kill then comes later, which must do no harm either.
        until(&site, &format!("{step} of {version}"), |site| match step {
            "agent confirmed" => site.confirmed().is_ok_and(|confirmed| confirmed == version),
            "on trial" => site.successors()["trial"]["version"] == *version || is_confirmed(site, &version),
            _ => is_confirmed(site, &version),
        })?;
        site.kill();
        site.launch()?;
        site.master.wait_for_ping("site")?;
        until(&site, &format!("supervisor {version} after a kill"), |site| is_confirmed(site, &version))?;
        site.return_of(&jid)?;
        site.master.wait_for_ping("site")?;
        // A kill between the confirmation and the removal of the one before leaves that until the next confirmation.
        let left: Vec<_> = fs::read_dir(site.path("supervisors"))?.filter_map(Result::ok).collect();
        ensure!(left.len() <= 2, "{step}: {left:?} are there");
    }
    site.finish()
}

fn is_confirmed(site: &Site, version: &str) -> bool {
    site.successors()["confirmed"] == *version
}

/// How often supervisor 1.1.0 was given the watch.
fn watching(site: &Site) -> usize {
    site.logs().matches("supervisor 1.1.0 watches").count()
}

fn until(site: &Site, what: &str, done: impl Fn(&Site) -> bool) -> Result<()> {
    wait_for(what, PATIENCE, || {
        if done(site) { Ok(()) } else { Err(format!("{:#}\n{}", site.successors(), site.logs())) }
    })
}
