//! A supervised agent against the bundled master and the simulated SQL Server: the operator's command, the trial, the return.
//!
//! What a site and a version are here: see `site`.

use anyhow::{Result, ensure};
use serde_json::json;
use tests::{
    ehr::EhrSim,
    wait::{PATIENCE, wait_for},
};

use crate::site::{Site, comment};

#[test]
fn a_good_version_is_confirmed_and_bad_ones_go_back_under_the_same_jid() -> Result<()> {
    let sim = EhrSim::serve("dolphin", 50)?;
    let site = Site::start(&sim)?;
    site.offer("1.1.0", "exec \"$AGENT\" \"$@\"")?;
    let state = site.update("1.1.0", 120)?;
    ensure!(state["result"] == true && comment(&state).contains("is confirmed"), "{state:#}");
    ensure!(state["changes"]["agent_release"]["new"] == "1.1.0", "{state:#}");
    ensure!(site.confirmed()? == "1.1.0", "{:#}", site.pointer()?);
    let state = site.update("1.1.0", 120)?;
    ensure!(comment(&state) == "version 1.1.0 runs", "{state:#}");

    site.offer("1.2.0", "exit 3")?;
    let state = site.update("1.2.0", 120)?;
    ensure!(state["result"] == false && state["changes"] == json!({}), "{state:#}");
    ensure!(
        comment(&state).contains("exit status: 3") && comment(&state).ends_with("Agent 1.1.0 runs."),
        "{state:#}"
    );

    site.offer("1.3.0", "exec sleep 3600")?;
    let state = site.update("1.3.0", 120)?;
    ensure!(comment(&state).contains("said nothing"), "{state:#}");

    let no_sql = "sed 's/master_port/mssql.port: 1\\nmssql.server: 127.0.0.1\\nmssql.user: x\\nmssql.password: x\\nmaster_port/' \
                  \"$2/minion\" > \"$2/x\"; mkdir -p \"$2/bad\"; mv \"$2/x\" \"$2/bad/minion\"; exec \"$AGENT\" -c \"$2/bad\" run";
    site.offer("1.4.0", no_sql)?;
    let state = site.update("1.4.0", 20)?;
    ensure!(comment(&state).contains("did not log in to SQL Server"), "{state:#}");
    ensure!(site.confirmed()? == "1.1.0", "{:#}", site.pointer()?);
    site.reverts()?;
    site.finish()
}

#[test]
fn an_update_survives_a_kill_at_every_step() -> Result<()> {
    let sim = EhrSim::serve("dolphin", 20)?;
    let mut site = Site::start(&sim)?;
    for (minor, phase) in (1..).zip(["wanted", "started", "verdict"]) {
        let version = format!("1.{minor}.0");
        site.offer(&version, "exec \"$AGENT\" \"$@\"")?;
        let jid = site.begin_update(&version)?;
        // A phase may be over before it is seen; the kill then comes later, which must do no harm either.
        wait_for(&format!("{phase} of {version}"), PATIENCE, || {
            let pointer = site.pointer().map_err(|error| error.to_string())?;
            let seen = match phase {
                "verdict" => pointer["verdict"].is_object(),
                _ => pointer["trial"]["phase"].to_string().contains(phase),
            };
            if seen || pointer["confirmed"] == *version { Ok(()) } else { Err(pointer.to_string()) }
        })?;
        site.kill();
        site.launch()?;
        site.master.wait_for_ping("site")?;
        let ret = site.return_of(&jid)?;
        let pointer = site.pointer()?;
        ensure!(pointer["trial"].is_null(), "killed at {phase}: {pointer:#}\n{ret:#}");
    }
    site.finish()
}
