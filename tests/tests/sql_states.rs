//! The SQL states against ehr-sim: created, left alone the second time, corrected after someone changed things by hand,
//! refused in one clear comment. The sim enforces the permissions, so a grant that is missing shows.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails it by panicking")]

#[path = "access/minion.rs"]
mod minion;
#[path = "sync_job/sim.rs"]
mod sim;

use agent::mssql::Session;
use agent::store::Secret;
use states::Value;

use crate::minion::Minion;
use crate::sim::{CANARY, Sim};

/// Why `user` cannot log in or read the column, or nothing.
async fn read_as(sim: &Sim, user: &str, password: &str, column: &str) -> Result<(), Option<u32>> {
    let options = sim.connection("Clinic").with_login(user, Secret::new(password));
    let mut session = Session::connect(&options).await.map_err(|error| error.number())?;
    let sql = format!("SELECT {column} FROM dbo.Visit");
    session.batch(&sql).await.map(drop).map_err(|error| error.number())
}

const LOGIN: &str = "{password: It's-1, options: [CHECK_POLICY=OFF, DEFAULT_DATABASE=Clinic]}";
const USER: &str = "{login: sync, database: Clinic}";
const GRANT: &str = "{user: sync, object: Visit, columns: [VisitID, Branch, Note, RowVer]}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn login_user_and_grants_give_exactly_what_was_declared() {
    let sim = Sim::start().await;
    sim.book(1, 3).await;
    let minion = Minion::of(&sim);
    minion.converge("mssql_login.present", "sync", LOGIN).await;
    assert_eq!(read_as(&sim, "sync", "It's-1", "Note").await, Err(Some(4060)), "no user yet");
    minion.converge("mssql_user.present", "sync", USER).await;
    assert_eq!(read_as(&sim, "sync", "It's-1", "Note").await, Err(Some(229)), "no grant yet");
    minion.converge("mssql_grant.present", "notes", GRANT).await;
    assert_eq!(read_as(&sim, "sync", "It's-1", "Note").await, Ok(()));
    assert_eq!(read_as(&sim, "sync", "It's-1", "Fee").await, Err(Some(230)), "a column that was not granted");
    minion.converge("mssql_grant.absent", "notes", GRANT).await;
    assert!(read_as(&sim, "sync", "It's-1", "Note").await.is_err());
    minion.converge("mssql_user.absent", "sync", "{database: Clinic}").await;
    minion.converge("mssql_login.absent", "sync", "{}").await;
    assert_eq!(read_as(&sim, "sync", "It's-1", "Note").await, Err(Some(18456)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_someone_changed_by_hand_is_corrected() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    minion.converge("mssql_login.present", "sync", LOGIN).await;
    minion.converge("mssql_user.present", "sync", "{login: sync, roles: [db_datareader]}").await;
    sim.batch("ALTER LOGIN sync WITH PASSWORD = N'other'").await;
    sim.batch("ALTER LOGIN sync WITH DEFAULT_DATABASE = master").await;
    sim.batch("ALTER ROLE db_datareader DROP MEMBER sync").await;
    let login = minion.converge("mssql_login.present", "sync", LOGIN).await;
    let changes = login.changes.as_map().unwrap();
    assert!(changes.get("password").is_some() && changes.get("default_database").is_some());
    let shown = format!("{} {:?}", login.comment, login.changes);
    assert!(!shown.contains("It's-1") && !shown.contains("other") && !shown.contains(CANARY), "{shown}");
    minion.converge("mssql_user.present", "sync", "{login: sync, roles: [db_datareader]}").await;
    assert_eq!(read_as(&sim, "sync", "It's-1", "Note").await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_login_was_made_anew_is_mapped_again() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    minion.converge("mssql_login.present", "sync", LOGIN).await;
    minion.converge("mssql_user.present", "sync", "{login: sync, roles: [db_datareader]}").await;
    minion.converge("mssql_login.absent", "sync", "{}").await;
    minion.converge("mssql_login.present", "sync", LOGIN).await;
    assert!(
        read_as(&sim, "sync", "It's-1", "Note").await.is_err(),
        "orphaned: the new login has another SID"
    );
    let mapped = minion.converge("mssql_user.present", "sync", "{login: sync, roles: [db_datareader]}").await;
    assert!(mapped.changes.get("login").is_some(), "{}", mapped.comment);
    assert_eq!(read_as(&sim, "sync", "It's-1", "Note").await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_try_to_end_their_quoting_stay_names() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    for name in ["x] ; DROP TABLE dbo.Visit --", "o'brien", "[odd]", "naïve ☃ name", "a.b"] {
        minion.converge("mssql_login.present", name, LOGIN).await;
        minion.converge("mssql_user.present", name, &format!("{{login: {}}}", quoted(name))).await;
        minion.converge("mssql_grant.present", name, "{object: Visit}").await;
        assert_eq!(read_as(&sim, name, "It's-1", "Note").await, Ok(()), "{name}");
        minion.converge("mssql_user.absent", name, "{}").await;
        minion.converge("mssql_login.absent", name, "{}").await;
    }
    sim.batch("SELECT VisitID FROM dbo.Visit").await;
}

/// A YAML double-quoted text.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_say_what_whose_fault_and_the_number() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    let wrong = minion.refused("mssql_user.present", "u", "{password: wrong}").await;
    assert!(wrong.starts_with("User u failed to be added: SQL Server error 18456"), "{wrong}");
    let login = minion.refused("mssql_user.present", "u", "{login: nobody}").await;
    assert!(login.contains("15007") && login.ends_with("; nothing was changed"), "{login}");
    let user = minion.refused("mssql_grant.present", "u", "{object: Visit}").await;
    assert!(user.contains("there is no user u in the database"), "{user}");
    minion.converge("mssql_user.present", "u", "{}").await;
    let object = minion.refused("mssql_grant.present", "u", "{object: Nowhere}").await;
    assert!(object.contains("there is no object dbo.Nowhere"), "{object}");
    sim.batch("DENY SELECT ON OBJECT::dbo.Visit TO u").await;
    let denied = minion.refused("mssql_grant.present", "u", "{object: Visit}").await;
    assert!(denied.contains("is denied to u"), "{denied}");
    let database = minion.refused("mssql_user.present", "u", "{database: Nowhere}").await;
    assert!(database.contains("4060"), "{database}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_job_is_declared_changed_and_removed() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    let job = "{table: Visit, interval: 3600, allow_plain: true}";
    minion.converge("mssql_sync.present", "visits", job).await;
    let slower = "{table: Visit, interval: 7200, allow_plain: true}";
    let changed = minion.converge("mssql_sync.present", "visits", slower).await;
    let keys: Vec<&str> = changed.changes.as_map().unwrap().keys().filter_map(Value::as_str).collect();
    assert_eq!(keys, ["interval"]);
    let narrower = "{table: Visit, interval: 7200, allow_plain: true, columns: [Note]}";
    let changed = minion.converge("mssql_sync.present", "visits", narrower).await;
    assert!(changed.changes.get("snapshot").is_some(), "other columns need a new snapshot");
    minion.converge("mssql_sync.absent", "visits", "{}").await;
    let sealed = minion.refused("mssql_sync.present", "visits", "{table: Visit}").await;
    assert!(sealed.contains("agent:sync:recipients"), "{sealed}");
    let table = minion.refused("mssql_sync.present", "visits", "{table: Nowhere, allow_plain: true}").await;
    assert!(table.contains("no table dbo.Nowhere in database Clinic"), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_and_databases_converge() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    minion.converge("mssql_role.present", "readers", "{grants: [SELECT]}").await;
    sim.batch("REVOKE SELECT FROM readers").await;
    let again = minion.converge("mssql_role.present", "readers", "{grants: [SELECT]}").await;
    assert!(again.changes.get("SELECT on the database").is_some(), "{}", again.comment);
    minion.converge("mssql_role.absent", "readers", "{}").await;
    assert!(minion.refused("mssql_role.absent", "db_owner", "{}").await.contains("cannot be removed"));
    minion.converge("mssql_database.present", "Second", "{}").await;
    let reaching = "{options: [TRUSTWORTHY=ON, DB_CHAINING=OFF]}";
    let corrected = minion.converge("mssql_database.present", "second", reaching).await;
    let named: Vec<&str> = corrected.changes.as_map().unwrap().keys().filter_map(Value::as_str).collect();
    assert_eq!(named, ["trustworthy"], "{}", corrected.comment);
    let contained = minion.refused("mssql_database.present", "Second", "{containment: PARTIAL}").await;
    assert!(contained.contains("contained database authentication"), "{contained}");
    minion.converge("mssql_database.absent", "Second", "{}").await;
    assert!(minion.refused("mssql_database.absent", "msdb", "{}").await.contains("cannot be removed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_must_change_its_password_is_made_usable() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    let must = "CREATE LOGIN sync WITH PASSWORD = N'It''s-1-long' MUST_CHANGE, CHECK_EXPIRATION = ON";
    sim.session("master").await.batch(must).await.unwrap();
    assert_eq!(read_as(&sim, "sync", "It's-1-long", "Note").await, Err(Some(18488)));
    let done = minion.converge("mssql_login.present", "sync", "{password: It's-1-long}").await;
    let changes = done.changes.as_map().unwrap();
    assert!(changes.get("must_change").is_some() && changes.get("password").is_none(), "{}", done.comment);
    minion.converge("mssql_user.present", "sync", "{login: sync, roles: [PUBLIC, DB_DataReader]}").await;
    assert_eq!(read_as(&sim, "sync", "It's-1-long", "Note").await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_in_another_case_are_the_same_names() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    minion.converge("mssql_login.present", "sync", LOGIN).await;
    minion.converge("mssql_user.present", "sync", "{login: sync, roles: [db_datareader]}").await;
    let nothing = [
        (
            "mssql_login.present",
            "SYNC",
            "{password: It's-1, default_database: CLINIC, server_roles: [Public]}",
        ),
        ("mssql_user.present", "Sync", "{login: SYNC, roles: [DB_DATAREADER], roles_exact: true}"),
    ];
    for (fun, name, args) in nothing {
        let done = minion.converge(fun, name, args).await;
        assert!(minion::is_empty(&done), "{fun} {name}: {}", done.comment);
    }
    minion.converge("mssql_login.present", "sync", "{password: It's-1, server_roles: [ProcessAdmin]}").await;
}
