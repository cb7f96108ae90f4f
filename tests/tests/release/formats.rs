//! Versions with another form of the store: what an older agent can go on with, and what is refused before the switch.
//!
//! The later versions are `later_agent`: today's agent with more steps in its store.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::{
    ehr::EhrSim,
    received::Received,
    source::{Source, hex},
    wait::{PATIENCE, wait_for},
};

use crate::site::{Site, comment};

/// A version that does all its work on the store and never says that it has proved itself.
const NEVER_CONFIRMS: &str = "[ \"$1 $2\" = 'release format' ] && exec \"$LATER\" \"$@\"\n\
    \"$LATER\" \"$@\" | grep --line-buffered -v '^confirm'";

#[tokio::test]
async fn after_a_rejected_trial_that_worked_on_the_store_nothing_is_lost_and_nothing_comes_twice()
-> Result<()> {
    let sim = EhrSim::serve("dolphin", 600)?;
    let site = Site::start(&sim)?;
    let identity = age::x25519::Identity::generate();
    declare_sync(&site, &sim, &identity)?;
    let mut desk = Source::connect(sim.port, EhrSim::SA_PASSWORD).await?;
    delivers_the_table(&site, &identity, &mut desk).await?;

    site.offer_unasked("1.1.0", &format!("export LATER_ADDS=3\n{NEVER_CONFIRMS}"))?;
    let jid = site.begin_update_within("1.1.0", 3600)?;
    wait_for("the later version to open the store", PATIENCE, || match later_steps(&site) {
        Ok(3) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    desk.change(40).await?;
    delivers_the_table(&site, &identity, &mut desk).await?;
    let during = site.ran_once("during the trial")?;
    ensure!(site.pointer()?["trial"]["version"] == "1.1.0", "the trial ended early\n{}", site.logs());
    desk.execute("UPDATE dbo.Appointment SET Status = N'Late' WHERE AppointmentID BETWEEN 100 AND 160")
        .await?;
    site.kill_agent();
    let ret = site.return_of(&jid)?;
    let state = ret.as_object().and_then(|states| states.values().next()).context("no state")?;
    ensure!(
        comment(state).contains("ended by itself") && comment(state).ends_with("Agent 1.0.0 runs."),
        "{ret:#}"
    );

    site.master.wait_for_ping("site")?;
    desk.execute("UPDATE dbo.Appointment SET Status = N'Later' WHERE AppointmentID BETWEEN 200 AND 220")
        .await?;
    delivers_the_table(&site, &identity, &mut desk).await?;
    let after = site.ran_once("after the trial")?;
    ensure!(during && after, "a job ran twice\n{}", site.logs());
    site.finish()
}

#[test]
fn a_version_after_which_the_running_one_could_not_go_on_is_refused_before_the_switch() -> Result<()> {
    let sim = EhrSim::serve("dolphin", 20)?;
    let site = Site::start(&sim)?;
    let rewrites = "export LATER_REWRITES=1\nexec \"$LATER\" \"$@\"";
    site.offer_unasked("1.1.0", rewrites)?;
    let state = site.update("1.1.0", 120)?;
    ensure!(state["result"] == false && state["changes"] == json!({}), "{state:#}");
    ensure!(
        comment(&state).contains("agent 1.1.0 rewrites the store so that agent 1.0.0 could not go on"),
        "{state:#}"
    );
    ensure!(!site.logs().contains("agent 1.1.0 started"), "{}", site.logs());
    site.offer_unasked("1.1.1", "exit 7")?;
    let state = site.update("1.1.1", 120)?;
    ensure!(comment(&state).contains("ended with exit status: 7"), "{state:#}");

    // The way there: a version that reads the new form and does not make it yet.
    site.offer_unasked("1.2.0", "export LATER_READS=3\nexec \"$LATER\" \"$@\"")?;
    site.confirms("1.2.0")?;
    site.offer_unasked("1.3.0", &format!("export LATER_DIES_AFTER='jobs 3'\n{rewrites}"))?;
    let state = site.update("1.3.0", 120)?;
    ensure!(state["result"] == false && comment(&state).ends_with("Agent 1.2.0 runs."), "{state:#}");
    ensure!(held(&site)? == (3, 3), "the trial did not rewrite the store");
    site.master.wait_for_ping("site")?;
    site.offer_unasked("1.4.0", rewrites)?;
    site.confirms("1.4.0")?;

    // The way back is closed for who cannot read it, also by a withdrawal.
    site.withdraw("1.4.0")?;
    site.offer("1.0.1", "exec \"$AGENT\" \"$@\"")?;
    let state = site.update("1.0.1", 120)?;
    ensure!(
        comment(&state).contains("agent 1.0.1 cannot read the store as agent 1.4.0 keeps it"),
        "{state:#}"
    );
    site.confirms("1.2.0")?;
    site.finish()
}

#[test]
fn a_version_that_dies_between_two_steps_of_the_store_leaves_the_older_one_at_work() -> Result<()> {
    let sim = EhrSim::serve("dolphin", 20)?;
    let site = Site::start(&sim)?;
    for (minor, step) in [(1, "jobs 3"), (2, "jobs 4"), (3, "jobs 5")] {
        let version = format!("1.{minor}.0");
        site.offer_unasked(
            &version,
            &format!("export LATER_ADDS=3 LATER_DIES_AFTER='{step}'\nexec \"$LATER\" \"$@\""),
        )?;
        let state = site.update(&version, 120)?;
        ensure!(state["result"] == false && comment(&state).ends_with("Agent 1.0.0 runs."), "{state:#}");
        ensure!(comment(&state).contains("signal: 6"), "{state:#}");
        ensure!(later_steps(&site)? == minor, "killed after {step}");
        ensure!(site.ran_once(step)?, "a job ran twice\n{}", site.logs());
    }
    site.offer_unasked("1.4.0", "export LATER_ADDS=3\nexec \"$LATER\" \"$@\"")?;
    site.confirms("1.4.0")?;
    site.reverts()?;
    site.finish()
}

fn declare_sync(site: &Site, sim: &EhrSim, identity: &age::x25519::Identity) -> Result<()> {
    let sls = format!(
        "main_oms.Appointment:\n  mssql_sync.present:\n    - server: 127.0.0.1\n    - port: {}\n    - user: sa\n    \
         - password: '{}'\n    - database: Main_OMS\n    - table: dbo.Appointment\n    - columns: [{COLUMNS}]\n    \
         - cursor: rowversion\n    - interval: 1\n    - recipients: ['{}']\n    - trust_server_certificate: true\n",
        sim.port,
        EhrSim::SA_PASSWORD,
        identity.to_public()
    );
    site.master.file("sync.sls", sls.as_bytes())?;
    let applied = site.master.call("site", &["state.apply", "sync"])?;
    let well = applied.as_object().is_some_and(|states| states.values().all(|state| state["result"] == true));
    ensure!(well, "{applied:#}");
    Ok(())
}

/// Waits until what arrived is the table: no gap, no version of a row twice, one epoch.
async fn delivers_the_table(site: &Site, identity: &age::x25519::Identity, desk: &mut Source) -> Result<()> {
    let table = desk.read("dbo.Appointment", COLUMNS).await?;
    let inbox = site.master.path("cache/minions/site/files/agent/sync/main_oms.Appointment");
    let looked = wait_for("the table to arrive", PATIENCE, || {
        let mut received = Received::new(inbox.clone(), identity.clone());
        let files = fs::read_dir(&inbox).map_err(|error| error.to_string())?.flatten();
        let digest = |bytes: Vec<u8>| hex(ring::digest::digest(&ring::digest::SHA256, &bytes).as_ref());
        let all: BTreeSet<String> = files.filter_map(|file| fs::read(file.path()).ok()).map(digest).collect();
        received.look(&all).map_err(|error| format!("{error:#}"))?;
        if received.rows == table {
            Ok(received)
        } else {
            Err(format!("{} rows arrived", received.rows.len()))
        }
    });
    let received = looked.with_context(|| site.logs())?;
    ensure!(received.is_gapless() && received.repeats == 0, "{} versions came twice", received.repeats);
    ensure!(received.epochs() == 1, "the table was read anew");
    Ok(())
}

/// How many steps of a later agent the store has.
fn later_steps(site: &Site) -> Result<u32> {
    Ok(held(site)?.0 - 2)
}

/// Version and oldest reader of the jobs' tables.
fn held(site: &Site) -> Result<(u32, u32)> {
    let store = rusqlite::Connection::open(site.path("var/lib/agent/store.sqlite"))?;
    let query = "SELECT version, readable_by FROM migration WHERE area = 'jobs'";
    Ok(store.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

const COLUMNS: &str =
    "AppointmentID, PatientID, ProviderID, ChairID, StartTime, LengthMinutes, Status, Fee, CreatedAt, RowVer";
