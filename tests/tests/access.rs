//! Permissions as code against ehr-sim, which enforces them: exact grants, grants that follow the jobs, drift, a login
//! without rights, bad input, and names that try to be more than names.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails it by panicking")]

#[path = "access/bus.rs"]
mod bus;
#[path = "access/minion.rs"]
mod minion;
#[path = "access/names.rs"]
mod names;
#[path = "access/refusals.rs"]
mod refusals;
#[path = "sync_job/sim.rs"]
mod sim;

use std::sync::Arc;

use agent::access::drift;
use agent::mssql::Session;
use agent::state_modules::RunMode;
use agent::store::Secret;
use states::{LowChunk, Map};

use crate::bus::Bus;
use crate::minion::{Minion, is_empty};
use crate::sim::{CANARY, Sim};

const LOGIN: &str = "{password: It's-1, sid: fixed, options: [CHECK_POLICY=OFF]}";
const JOB: &str = "{table: Visit, interval: 3600, allow_plain: true, user: sync, password: It's-1";
const FROM_JOBS: &str = "{user: sync, database: Clinic}";

impl Minion {
    /// The next states see these chunks of `mssql_sync` in their run, as `fun`, name and arguments.
    pub fn in_run_with(&mut self, chunks: &[(&str, &str, &str)]) {
        let chunk = |(fun, name, args): &(&str, &str, &str)| {
            let args = states::yaml::load(args).unwrap().as_map().cloned().unwrap_or_default();
            LowChunk {
                state: "mssql_sync".to_owned(),
                fun: (*fun).to_owned(),
                name: (*name).to_owned(),
                id: (*name).to_owned(),
                sls: "test".to_owned(),
                env: "base".to_owned(),
                order: states::Order(1.0),
                args,
                requisites: Vec::new(),
                keywords: Map::new(),
            }
        };
        self.chunks = Arc::new(chunks.iter().map(chunk).collect());
    }
}

/// The error number that `sync` gets for a statement, or nothing.
async fn as_sync(sim: &Sim, sql: &str) -> Result<(), Option<u32>> {
    let options = sim.connection("Clinic").with_login("sync", Secret::new("It's-1"));
    let mut session = Session::connect(&options).await.map_err(|error| error.number())?;
    session.batch(sql).await.map(drop).map_err(|error| error.number())
}

/// A login with its user and nothing else.
async fn with_user(minion: &Minion) {
    minion.converge("mssql_login.present", "sync", LOGIN).await;
    minion.converge("mssql_user.present", "sync", "{login: sync, default_schema: dbo}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exact_gives_what_is_declared_on_every_kind_of_securable_and_nothing_else() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    with_user(&minion).await;
    sim.batch(
        "CREATE ROLE helpers; ALTER ROLE helpers ADD MEMBER sync; GRANT DELETE ON dbo.Visit TO sync; \
               GRANT EXECUTE TO sync WITH GRANT OPTION; GRANT SELECT ON dbo.Visit (Fee, Note) TO sync; \
               DENY UPDATE ON dbo.Visit (Fee) TO sync",
    )
    .await;
    let exact = "{login: sync, roles: [DB_DATAWRITER], grants: [{object: visit, columns: [note, Branch]}, {schema: dbo, \
                 permissions: [INSERT, VIEW DEFINITION]}, {permissions: [VIEW DATABASE STATE], grant_option: true}, \
                 {securable: server, permissions: VIEW SERVER STATE}]}";
    let reported = format!("{}, prune: report}}", exact.trim_end_matches('}'));
    let done = minion.converge("mssql_grant.exact", "sync", &reported).await;
    for named in ["DELETE on dbo.Visit", "EXECUTE on the database", "membership of role helpers", "denied"] {
        assert!(done.comment.contains(named), "{named}: {}", done.comment);
    }
    assert_eq!(as_sync(&sim, "DELETE FROM dbo.Visit").await, Ok(()), "only named");
    let done = minion.converge("mssql_grant.exact", "sync", exact).await;
    let text = format!("{:?}", done.changes);
    assert!(text.contains("helpers") && text.contains("DELETE on dbo.Visit"), "{text}");
    assert!(done.comment.contains("UPDATE on dbo.Visit (Fee), denied"), "a DENY stays: {}", done.comment);
    assert_eq!(as_sync(&sim, "SELECT Note, Branch FROM dbo.Visit").await, Ok(()));
    assert_eq!(as_sync(&sim, "SELECT Fee FROM dbo.Visit").await, Err(Some(230)));
    assert_eq!(as_sync(&sim, "SELECT cpu_count FROM sys.dm_os_sys_info").await, Ok(()), "on the server");
    minion
        .converge("mssql_grant.absent", "sync", "{securable: server, permissions: VIEW SERVER STATE}")
        .await;
    assert_eq!(as_sync(&sim, "SELECT cpu_count FROM sys.dm_os_sys_info").await, Err(Some(300)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_is_made_and_removed_only_when_asked() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    with_user(&minion).await;
    minion.converge("mssql_grant.present", "sync", "{object: Visit}").await;
    let deny = "{object: Visit, columns: [Fee], deny: true}";
    minion.converge("mssql_grant.present", "sync", deny).await;
    assert_eq!(as_sync(&sim, "SELECT Fee FROM dbo.Visit").await, Err(Some(230)));
    assert!(
        minion
            .refused("mssql_grant.present", "sync", "{object: Visit, columns: [Fee]}")
            .await
            .contains("denied")
    );
    minion.converge("mssql_grant.absent", "sync", deny).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_follow_the_jobs_column_by_column() {
    let sim = Sim::start().await;
    sim.book(1, 3).await;
    let mut minion = Minion::of(&sim);
    with_user(&minion).await;
    let job = format!("{JOB}, columns: [Note, Fee]}}");
    assert!(minion.refused("mssql_sync.present", "visits", &job).await.contains("no table dbo.Visit"));
    minion.in_run_with(&[("present", "visits", &job)]);
    let done = minion.converge("mssql_grant.from_jobs", "access", FROM_JOBS).await;
    let columns = done.changes.get("SELECT on dbo.Visit").unwrap().get("new").unwrap().clone();
    assert_eq!(
        columns.to_string(),
        "['Branch', 'Fee', 'Note', 'RowVer', 'VisitID']",
        "key and cursor are needed"
    );
    minion.converge("mssql_sync.present", "visits", &job).await;
    assert_eq!(as_sync(&sim, "SELECT Balance FROM dbo.Visit").await, Err(Some(230)));

    let narrower = format!("{JOB}, columns: [Note]}}");
    minion.in_run_with(&[("present", "visits", &narrower)]);
    minion.converge("mssql_grant.from_jobs", "access", FROM_JOBS).await;
    minion.converge("mssql_sync.present", "visits", &narrower).await;
    assert_eq!(as_sync(&sim, "SELECT Fee FROM dbo.Visit").await, Err(Some(230)), "no longer needed");

    minion.in_run_with(&[("absent", "visits", "{}")]);
    let none = minion.converge("mssql_grant.from_jobs", "access", FROM_JOBS).await;
    assert!(none.comment.contains("no job and no write"), "{}", none.comment);
    assert_eq!(as_sync(&sim, "SELECT Note FROM dbo.Visit").await, Err(Some(229)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_follow_each_table_that_a_job_joins() {
    let sim = Sim::start().await;
    sim.book(1, 3).await;
    sim.batch("CREATE TABLE dbo.Office (Branch nvarchar(10) NOT NULL PRIMARY KEY, Town nvarchar(40) NULL, Rent int)")
        .await;
    let mut minion = Minion::of(&sim);
    with_user(&minion).await;
    let job = format!(
        "{JOB}, columns: [Note], key: [Branch, VisitID], cursor: digest, mask: {{Rent: 'null'}}, \
         joins: [{{table: Office, match: {{Branch: Branch}}, columns: [Town, Rent]}}]}}"
    );
    minion.in_run_with(&[("present", "visits", &job)]);
    let done = minion.converge("mssql_grant.from_jobs", "access", FROM_JOBS).await;
    let new = |table: &str| done.changes.get(table).unwrap().get("new").unwrap().to_string();
    assert_eq!(new("SELECT on dbo.Visit"), "['Branch', 'Note', 'VisitID']");
    assert_eq!(new("SELECT on dbo.Office"), "['Branch', 'Town']");
    let declared = minion.converge("mssql_sync.present", "visits", &job).await;
    assert!(format!("{:?}", declared.changes).contains("visits"), "{:?}", declared.changes);
    assert_eq!(as_sync(&sim, "SELECT Rent FROM dbo.Office").await, Err(Some(230)), "masked");
    assert_eq!(as_sync(&sim, "SELECT Town FROM dbo.Office").await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_and_derived_access_are_one_word_apart() {
    let sim = Sim::start().await;
    let mut minion = Minion::of(&sim);
    with_user(&minion).await;
    let job = format!("{JOB}}}");
    minion.in_run_with(&[("present", "visits", &job)]);
    let full = "{user: sync, database: Clinic, mode: full}";
    minion.converge("mssql_grant.from_jobs", "access", full).await;
    assert_eq!(as_sync(&sim, "CREATE TABLE dbo.Theirs (a int)").await, Ok(()), "db_owner");
    minion.converge("mssql_sync.present", "visits", &job).await;
    let derived = minion.converge("mssql_grant.from_jobs", "access", FROM_JOBS).await;
    assert_eq!(derived.changes.get("roles").unwrap().get("old").unwrap().to_string(), "['db_owner']");
    assert_eq!(as_sync(&sim, "CREATE TABLE dbo.More (a int)").await, Err(Some(262)));
    assert_eq!(as_sync(&sim, "SELECT Note FROM dbo.Visit").await, Ok(()));
    minion.converge("mssql_grant.from_jobs", "access", full).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_changes_through_a_second_login_without_a_failed_pass() {
    let sim = Sim::start().await;
    sim.book(1, 3).await;
    let mut minion = Minion::of(&sim);
    let turn = |login: &str, password: &str| {
        let job = format!(
            "{{table: Visit, interval: 3600, allow_plain: true, user: {login}, password: {password}}}"
        );
        (job, format!("{{password: {password}, sid: fixed, disabled: false, options: [CHECK_POLICY=OFF]}}"))
    };
    let mut former = "b";
    for (login, password) in [("a", "one"), ("b", "two"), ("a", "three")] {
        let (job, options) = turn(login, password);
        minion.in_run_with(&[("present", "visits", &job)]);
        minion.converge("mssql_login.present", login, &options).await;
        minion.converge("mssql_user.present", login, &format!("{{login: {login}}}")).await;
        minion.converge("mssql_grant.from_jobs", login, "{}").await;
        minion.in_run_with(&[]);
        let rotated = format!("{{former: {former}}}");
        if former != "b" || password != "one" {
            let early = minion.state(RunMode::Apply, "mssql_login.rotated", login, &rotated).await;
            assert!(early.comment.contains("visits work as it") && is_empty(&early), "{}", early.comment);
        }
        let name = agent::sync::names::JobName::new("visits").unwrap();
        if password != "one" {
            minion.services.syncs.run(&name).await.unwrap();
        }
        minion.converge("mssql_sync.present", "visits", &job).await;
        minion.services.syncs.run(&name).await.unwrap();
        minion.converge("mssql_login.rotated", login, &rotated).await;
        minion.services.syncs.run(&name).await.unwrap();
        former = login;
    }
    let options = sim.connection("Clinic").with_login("b", Secret::new("two"));
    assert_eq!(Session::connect(&options).await.unwrap_err().number(), Some(18470), "disabled");
}

/// The drift that one look tells, as text; empty when it tells nothing.
async fn look(minion: &Minion, bus: &Bus) -> String {
    drift::check_and_tell(&minion.services).await.unwrap();
    let events = bus.take();
    assert!(events.len() <= 1 && events.iter().all(|(tag, _)| tag == "agent/access/drift"), "{events:?}");
    events.first().map(|(_, data)| format!("{data:?}")).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_someone_changes_by_hand_is_told_once_and_again_when_it_is_gone() {
    let (sim, bus) = (Sim::start().await, Arc::new(Bus::default()));
    let password = sim.connection("Clinic").password.reveal().to_owned();
    let mut minion = Minion::with_login(&sim, "sa", &password, Arc::clone(&bus) as _);
    with_user(&minion).await;
    let job = format!("{JOB}, columns: [Note]}}");
    minion.in_run_with(&[("present", "visits", &job)]);
    minion.converge("mssql_grant.from_jobs", "access", FROM_JOBS).await;
    minion.converge("mssql_sync.present", "visits", &job).await;
    assert_eq!(look(&minion, &bus).await, "", "everything is as declared");

    sim.batch("GRANT DELETE ON dbo.Visit TO sync; REVOKE SELECT ON dbo.Visit (Note) FROM sync").await;
    let told = look(&minion, &bus).await;
    for part in ["DELETE on dbo.Visit", "SELECT on dbo.Visit (Note)", "REVOKE DELETE", "USE [Clinic]"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(look(&minion, &bus).await, "", "told once");
    minion.converge("mssql_grant.from_jobs", "access", FROM_JOBS).await;
    assert!(look(&minion, &bus).await.contains("missing"), "and once more when it is gone");

    for (harm, meaning, repair) in [
        ("ALTER LOGIN sync DISABLE", "is disabled", "ALTER LOGIN sync ENABLE"),
        (
            "ALTER LOGIN sync WITH PASSWORD = N'other'",
            "the password is wrong",
            "ALTER LOGIN sync WITH PASSWORD = N'It''s-1'",
        ),
        (
            "DROP USER sync",
            "no user in database Clinic",
            "CREATE USER sync FOR LOGIN sync; GRANT SELECT ON dbo.Visit \
          (Branch, Note, RowVer, VisitID) TO sync",
        ),
    ] {
        sim.batch(harm).await;
        let told = look(&minion, &bus).await;
        assert!(told.contains(meaning) && !told.contains("It's-1"), "{harm}: {told}");
        sim.batch(repair).await;
        assert!(!look(&minion, &bus).await.is_empty(), "{harm} is gone");
    }
    assert!(!format!("{:?}", std::fs::read(minion.services.store.path())).contains(CANARY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_admin_rights_the_state_gives_the_script_for_the_dba() {
    let sim = Sim::start().await;
    sim.session("master")
        .await
        .batch("CREATE LOGIN sync WITH PASSWORD = N'It''s-1', CHECK_POLICY = OFF")
        .await
        .unwrap();
    let mut minion = Minion::with_login(&sim, "sync", "It's-1", Arc::new(Bus::default()));
    let job = format!("{JOB}, columns: [Note], key: [Branch, VisitID], cursor_column: RowVer}}");
    minion.in_run_with(&[("present", "visits", &job)]);
    minion.converge("mssql_login.present", "sync", "{password: It's-1}").await;
    for (fun, name, args) in [
        ("mssql_user.present", "sync", "{login: sync, database: Clinic}"),
        ("mssql_grant.from_jobs", "access", FROM_JOBS),
    ] {
        let done = minion.state(RunMode::Apply, fun, name, args).await;
        assert_eq!((done.result, is_empty(&done)), (None, true), "{fun}: {}", done.comment);
        let script = done.comment.split_once("has nothing to do:\n").unwrap().1;
        assert!(script.starts_with("USE [Clinic];\n"), "{script}");
        sim.session("master").await.batch(script).await.unwrap();
        let again = minion.state(RunMode::Apply, fun, name, args).await;
        assert_eq!((again.result, is_empty(&again)), (Some(true), true), "{fun}: {}", again.comment);
    }
    minion.converge("mssql_sync.present", "visits", &job).await;
    let more = minion
        .state(
            RunMode::Apply,
            "mssql_grant.present",
            "sync",
            "{object: Visit, columns: [RowVer, Note], permissions: UPDATE}",
        )
        .await;
    assert_eq!((more.result, is_empty(&more)), (None, true), "{}", more.comment);
    assert!(
        more.comment.contains("GRANT UPDATE ON OBJECT::[dbo].[Visit] ([Note], [RowVer]) TO [sync]"),
        "{}",
        more.comment
    );
    let other = minion.state(RunMode::Apply, "mssql_login.present", "other", "{password: Secret-9}").await;
    assert_eq!(other.result, None, "{}", other.comment);
    assert!(other.comment.contains("CREATE LOGIN [other] WITH PASSWORD = N'***'"), "{}", other.comment);
}
