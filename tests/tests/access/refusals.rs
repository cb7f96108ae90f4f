//! Bad input: a clear comment, the transaction rolled back, nothing half-granted.

use agent::mssql::Session;
use agent::state_modules::RunMode;
use agent::store::Secret;

use crate::minion::Minion;
use crate::sim::Sim;
use crate::{as_sync, with_user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_halfway_leaves_nothing_granted() {
    let sim = Sim::start().await;
    with_user(&Minion::of(&sim)).await;
    sim.session("master")
        .await
        .batch("CREATE LOGIN boss WITH PASSWORD = N'b', CHECK_POLICY = OFF")
        .await
        .unwrap();
    sim.batch("CREATE USER boss FOR LOGIN boss; ALTER ROLE db_owner ADD MEMBER boss").await;
    let boss = Minion::with_login(&sim, "boss", "b", std::sync::Arc::new(crate::bus::Bus::default()));
    let both = "{grants: [{object: Visit}, {securable: server, permissions: VIEW SERVER STATE}]}";
    let done = boss.state(RunMode::Apply, "mssql_grant.exact", "sync", both).await;
    assert!(
        done.comment.contains("4613") && done.comment.contains("Nothing was changed"),
        "{}",
        done.comment
    );
    assert!(done.comment.contains("USE [master];\nGRANT VIEW SERVER STATE TO [sync]"), "{}", done.comment);
    assert_eq!(
        as_sync(&sim, "SELECT Note FROM dbo.Visit").await,
        Err(Some(229)),
        "the first grant was rolled back"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_that_do_not_open_are_told_apart() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    let mut master = sim.session("master").await;
    master.batch("CREATE DATABASE Asleep").await.unwrap();
    master.batch("ALTER DATABASE Asleep SET OFFLINE").await.unwrap();
    let asleep = minion.refused("mssql_user.present", "u", "{database: Asleep}").await;
    assert!(asleep.contains("database Asleep is OFFLINE: someone must bring it online"), "{asleep}");
    let nowhere = minion.refused("mssql_grant.from_jobs", "u", "{database: Nowhere}").await;
    assert!(nowhere.contains("4060") && nowhere.contains("there is no database Nowhere"), "{nowhere}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_taken_are_not_taken_over() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    with_user(&minion).await;
    minion.converge("mssql_login.present", "other", "{password: x, options: [CHECK_POLICY=OFF]}").await;
    let stolen = minion.refused("mssql_user.present", "sync", "{login: other}").await;
    assert!(stolen.contains("User sync belongs to login sync, not other"), "{stolen}");
    let second = minion.refused("mssql_user.present", "again", "{login: sync}").await;
    assert!(second.contains("login sync has the user sync in the database already"), "{second}");
    sim.batch("CREATE USER ghost WITHOUT LOGIN").await;
    let ghost = minion.refused("mssql_user.present", "ghost", "{login: other}").await;
    assert!(ghost.contains("was made WITHOUT LOGIN"), "{ghost}");
    sim.batch("CREATE ROLE clerks").await;
    let role = minion.refused("mssql_user.present", "clerks", "{login: other}").await;
    assert!(role.contains("there is a role clerks"), "{role}");
    let owner = minion.refused("mssql_user.present", "admin", "{login: sa}").await;
    assert!(owner.contains("is dbo there"), "{owner}");
    let missing = minion.refused("mssql_grant.exact", "sync", "{roles: [nobodies], object: Visit}").await;
    assert!(missing.contains("there is no role nobodies"), "{missing}");
    let column = minion.refused("mssql_grant.present", "sync", "{object: Visit, columns: [Shoesize]}").await;
    assert!(column.contains("dbo.Visit has no column Shoesize"), "{column}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_of_schemas_and_logins_in_use_are_not_dropped() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    with_user(&minion).await;
    sim.batch("CREATE ROLE keepers").await;
    sim.batch("CREATE SCHEMA [their own] AUTHORIZATION keepers").await;
    let role = minion.refused("mssql_role.absent", "keepers", "{}").await;
    assert!(role.contains("ALTER AUTHORIZATION ON SCHEMA::[their own] TO [dbo]"), "{role}");
    sim.batch("ALTER AUTHORIZATION ON SCHEMA::[their own] TO [sync]; ALTER ROLE keepers ADD MEMBER sync")
        .await;
    minion.converge("mssql_role.absent", "keepers", "{}").await;
    let user = minion.refused("mssql_user.absent", "sync", "{}").await;
    assert!(user.contains("User sync owns the schema their own"), "{user}");
    let options = sim.connection("Clinic").with_login("sync", Secret::new("It's-1"));
    let session = Session::connect(&options).await.unwrap();
    let login = minion.refused("mssql_login.absent", "sync", "{}").await;
    assert!(login.contains("login sync has 1 sessions open (NexHealth agent on "), "{login}");
    drop(session);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_finished_earlier_run_is_completed() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    sim.session("master")
        .await
        .batch("CREATE LOGIN sync WITH PASSWORD = N'old', CHECK_POLICY = OFF")
        .await
        .unwrap();
    sim.session("master").await.batch("ALTER LOGIN sync DISABLE").await.unwrap();
    // An orphan: its login is gone.
    sim.batch(
        "CREATE LOGIN gone WITH PASSWORD = N'old', CHECK_POLICY = OFF; CREATE USER sync FOR LOGIN gone",
    )
    .await;
    sim.batch("GRANT SELECT ON dbo.Visit (Fee) TO sync; DROP LOGIN gone").await;
    minion.converge("mssql_login.present", "sync", "{password: It's-1, disabled: false}").await;
    minion.converge("mssql_user.present", "sync", "{login: sync}").await;
    minion.converge("mssql_grant.exact", "sync", "{object: Visit, columns: [Note]}").await;
    assert_eq!(as_sync(&sim, "SELECT Note FROM dbo.Visit").await, Ok(()));
    assert_eq!(as_sync(&sim, "SELECT Fee FROM dbo.Visit").await, Err(Some(230)));
}
