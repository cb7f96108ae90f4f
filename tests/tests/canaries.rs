//! Nothing of a row, a password, a write's parameters or the keys of a re-snapshot is anywhere it should not be: not on the wire, not in what a master
//! holds decrypted, not in what the agent left on disk.
//!
//! Both ports of the master and the object store's are reached through recording relays; what the channel encrypts is looked at
//! where it is clear again: job cache, received files, minion data, logs, the event bus as `salt-run state.event` prints it. The
//! same canaries must be found where they belong (the opened batches, the pillar), or the search proves nothing. The connection
//! to SQL Server is exempt: rows are read and passwords are given there.

#[path = "canaries/place.rs"]
mod place;
#[path = "canaries/practice.rs"]
mod practice;

use anyhow::{Result, ensure};
use serde_json::json;
use tests::{
    canary::{Canaries, Sighting},
    salt::Series,
};

use place::Place;
use practice::Practice;

#[test]
fn of_a_salt_master_of_3006() -> Result<()> {
    with_salt(Series::S3006)
}

#[test]
fn of_a_salt_master_of_3007() -> Result<()> {
    with_salt(Series::S3007)
}

#[test]
fn of_a_salt_master_of_3008() -> Result<()> {
    with_salt(Series::S3008)
}

#[test]
fn of_the_bundled_master() -> Result<()> {
    everyday_life(Place::bundled()?)
}

fn with_salt(series: Series) -> Result<()> {
    match series.installed() {
        Ok(()) => everyday_life(Place::salt(series)?),
        Err(why) => tests::skip::skipped(&format!("canaries at a salt-master {}", series.version()), &why),
    }
}

/// Rows go out, writes come in, things fail; then everything is searched.
fn everyday_life(master: Place) -> Result<()> {
    let mut practice = Practice::open(master)?;
    practice.apply("dolphin")?;
    practice.apply("dolphin.writes")?;
    practice.apply("canary")?;
    practice.wait_for_rows()?;

    let rowver = practice.rowver()?;
    let contact = json!({ "patient_id": 1, "email": PARAMETER, "phone": null, "rowver": rowver });
    practice.submit("dolphin.change_contact", "c-1", &contact, "landed")?;
    practice.submit("dolphin.change_contact", "c-2", &contact, "conflict")?;
    // SQL Server's own words about a key that is there already quote it.
    practice.submit("canary.code", "k-1", &json!({ "code": PARAMETER }), "landed")?;
    practice.submit("canary.code", "k-2", &json!({ "code": PARAMETER }), "constraint")?;
    practice.submit("dolphin.record_payment", "p-1", &json!({ "patient_id": PARAMETER }), "refused")?;
    practice.preview("canary.code", "k-3", &json!({ "code": PARAMETER }))?;
    let code = json!({ "code": SEALED });
    practice.submit_sealed("canary.code", "s-1", &code, "landed")?;
    practice.submit_sealed("canary.code", "s-1", &code, "already_landed")?;
    practice.submit_sealed("canary.code", "s-2", &code, "constraint")?;
    practice.submit_sealed("dolphin.record_payment", "s-3", &json!({ "patient_id": SEALED }), "refused")?;
    for fun in ["mssql_sync.status", "mssql_write.list", "mssql_grant.diff", "agent.status", "agent.doctor"] {
        practice.call(fun, &json!({}))?;
    }
    practice.call("mssql_sync.audit", &json!({ "name": "main_oms.Patient" }))?;
    practice.resnapshot("canary.charts", &json!({ "keys": [KEY] }), "caught up")?;
    practice.resnapshot("canary.charts", &json!({ "from_key": KEY, "to_key": [KEY] }), "caught up")?;
    practice.resnapshot(
        "canary.charts",
        &json!({ "keys": [[KEY, KEY]] }),
        "given with a value for each column",
    )?;
    practice.resnapshot("canary.charts", &json!({ "keys": [KEY], "to_key": KEY }), "give either keys")?;
    // SQL Server's own words about a text that is no number quote it.
    practice.resnapshot("canary.codes", &json!({ "keys": [KEY] }), "onver")?;
    practice.resnapshot("canary.nowhere", &json!({ "keys": [KEY] }), "there is no sync job")?;
    practice.call("saltutil.refresh_pillar", &json!({}))?;
    practice.end()?;
    search(&practice)
}

fn search(practice: &Practice) -> Result<()> {
    let canaries = Canaries::new(&[ROW, PARAMETER, KEY, SEALED, &practice.password, &practice.secret])?;

    let mut recorded = 0;
    for (what, relay) in practice.relays() {
        for stream in relay.recorded() {
            recorded += stream.len();
            let seen = canaries.within(what.as_ref(), &stream);
            ensure!(seen.is_empty(), "on the wire: {seen:?}");
        }
    }
    ensure!(recorded > 100_000, "only {recorded} bytes were recorded");

    let (files, seen) = canaries.below(&practice.minion.path(""))?;
    ensure!(files > 5 && seen.is_empty(), "{files} files of the agent: {seen:?}");

    let (files, seen) = canaries.below(&practice.master.root())?;
    ensure!(files > 20, "only {files} files of the master");
    let (pillar, other): (Vec<Sighting>, Vec<Sighting>) =
        seen.into_iter().partition(|sighting| practice.master.holds_pillar(&sighting.place));
    ensure!(pillar.iter().any(|sighting| sighting.canary == practice.password), "the search finds nothing");
    let leaked: Vec<&Sighting> =
        pillar.iter().filter(|seen| [ROW, PARAMETER, KEY, SEALED].contains(&&*seen.canary)).collect();
    ensure!(leaked.is_empty(), "beside the pillar: {leaked:?}");
    let published = |canary: &str| [PARAMETER, KEY].contains(&canary);
    let submitted = practice.master.job_arguments(&practice.submitted);
    let leaked: Vec<&Sighting> = other
        .iter()
        .filter(|sighting| !practice.master.is_event_log(&sighting.place))
        .filter(|sighting| !published(&sighting.canary) || !submitted.contains(&sighting.place))
        .collect();
    ensure!(leaked.is_empty(), "at the master: {leaked:?}");

    for line in practice.master.events()? {
        let seen = canaries.within("event bus".as_ref(), line.as_bytes());
        // The second is of masters from 3008 on.
        let publishes = |jid: &String| {
            ["new", "publish"].iter().any(|what| line.contains(&format!("salt/job/{jid}/{what}")))
        };
        let is_publish = practice.submitted.iter().any(publishes);
        let leaked = seen.iter().any(|sighting| !published(&sighting.canary) || !is_publish);
        ensure!(!leaked, "on the event bus: {seen:?} in {}", line.chars().take(120).collect::<String>());
    }
    Ok(())
}

/// Stands in rows.
pub const ROW: &str = "Canary-row-7f3a9c";
/// Stands in the parameters of writes. Master and bus hold these where they hold the arguments of every job, and nowhere else.
pub const PARAMETER: &str = "canary-parameter-51d0e2";
/// A key that re-snapshots name. Master and bus hold it where they hold the arguments of every job, and nowhere else.
pub const KEY: &str = "canary-key-92b6f8";
/// Stands in parameters that were sealed for the minion. Nothing but the row itself may hold it.
pub const SEALED: &str = "canary-sealed-e07c44";
