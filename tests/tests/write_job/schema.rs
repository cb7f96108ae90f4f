//! An EHR's upgrade: what it changed is told exactly, writes stop, reading goes on as far as it can, and a fingerprint
//! that somebody names lets writes go on.

use std::time::Duration;

use agent::state_modules::RunMode;
use agent::sync::pass::Ending;
use agent::write::faults::Faults;
use agent::write::outcome::Verdict;
use states::Value;

use crate::practice::{Practice, fields};
use crate::{MOVE, MOVED};

const JOB: &str = "
database: Clinic
table: Appointment
cursor: rowversion
interval: 3600
";

async fn declared() -> Practice {
    let practice = Practice::open().await;
    for (fun, name, args) in
        [("mssql_sync.present", "appointments", JOB), ("mssql_write.present", "move", &in_clinic(MOVE))]
    {
        let done = practice.state(RunMode::Apply, fun, name, args).await;
        assert_eq!(done.result, Some(true), "{}", done.comment);
    }
    practice.call("mssql_sync.run", &["appointments"], "{}").await;
    practice
}

fn in_clinic(args: &str) -> String {
    format!("{args}\ndatabase: Clinic")
}

async fn fingerprint(practice: &Practice, name: &str) -> (String, Vec<String>) {
    let shown = fields(&practice.call("mssql_schema.fingerprint", &[name], "{}").await.0);
    let differences = shown["differences"].as_list().unwrap().iter().map(ToString::to_string).collect();
    (shown["found"].as_str().unwrap().to_owned(), differences)
}

async fn status(practice: &Practice) -> Value {
    let (status, _) = practice.call("mssql_sync.status", &["appointments"], "{}").await;
    status.get("appointments").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_any_column_stops_writes_until_its_fingerprint_is_approved() {
    let practice = declared().await;
    assert_eq!(practice.word("move", "r-1", MOVED).await, "landed");
    // The write never touches this column, and the text that the job reads of it is still a text.
    practice.sim.batch("ALTER TABLE dbo.Appointment ALTER COLUMN ExternalID varchar(80) NULL").await;
    let (read, _) = practice.call("mssql_sync.run", &["appointments"], "{}").await;
    assert_eq!(read.get("ending").and_then(Value::as_str), Some("caught up"), "reading goes on");
    let difference = "column ExternalID of dbo.Appointment was varchar(60), is varchar(80)";
    let shown = status(&practice).await;
    assert_eq!(shown.get("schema_differences").unwrap().as_list().unwrap()[0].as_str(), Some(difference));

    let stopped = practice.submit(Faults::default(), "move", "r-2", MOVED).await.unwrap().outcome;
    assert_eq!((stopped.verdict, &*stopped.names), (Verdict::SchemaChanged, &[difference.to_owned()][..]));
    let preview = practice.call("mssql_write.submit", &["move", "r-2"], &preview_of(MOVED)).await.0;
    assert_eq!(preview.get("would").and_then(Value::as_str), Some("schema_changed"));
    let again = practice.state(RunMode::Apply, "mssql_sync.present", "appointments", JOB).await;
    assert_eq!(again.result, Some(true), "{}", again.comment);
    assert_eq!(practice.word("move", "r-2", MOVED).await, "schema_changed", "a state run approved nothing");

    let (found, differences) = fingerprint(&practice, "appointments").await;
    assert_eq!(differences, [difference]);
    let wrong =
        practice.state(RunMode::Apply, "mssql_schema.fingerprint", "appointments", "fingerprint: s0").await;
    assert_eq!(wrong.result, Some(false));
    assert!(wrong.comment.contains(difference) && wrong.comment.contains(&found), "{}", wrong.comment);
    assert_eq!(practice.word("move", "r-2", MOVED).await, "schema_changed");

    let given = format!("fingerprint: {found}");
    let foreseen = practice.state(RunMode::Test, "mssql_schema.fingerprint", "appointments", &given).await;
    assert_eq!(foreseen.result, None, "{}", foreseen.comment);
    assert_eq!(practice.word("move", "r-2", MOVED).await, "schema_changed", "a dry run approves nothing");
    let done = practice.state(RunMode::Apply, "mssql_schema.fingerprint", "appointments", &given).await;
    assert_eq!(done.result, Some(true), "{}", done.comment);
    assert_eq!(done.changes.get("writes").unwrap().as_list().unwrap(), [Value::from("move")]);
    assert_eq!(practice.word("move", "r-2", MOVED).await, "landed");
    let held = practice.state(RunMode::Apply, "mssql_schema.fingerprint", "appointments", &given).await;
    assert!(
        held.changes.as_map().is_some_and(|changes| changes.is_empty()) && held.result == Some(true),
        "{}",
        held.comment
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_of_a_table_carries_the_writes_that_still_fit_and_names_those_that_do_not() {
    let practice = declared().await;
    practice.sim.batch("ALTER TABLE dbo.Appointment ALTER COLUMN Note nvarchar(300) NULL").await;
    practice.call("mssql_sync.run", &["appointments"], "{}").await;
    assert_eq!(practice.word("move", "r-1", MOVED).await, "schema_changed");
    let (found, _) = fingerprint(&practice, "appointments").await;
    let approval = format!("{{fingerprint: {found}}}");
    let (approved, _) = practice.call("mssql_schema.fingerprint", &["appointments"], &approval).await;
    assert_eq!(
        approved.get("snapshot").and_then(Value::as_bool),
        Some(false),
        "a longer text is the same data"
    );
    assert_eq!(practice.word("move", "r-1", MOVED).await, "landed");

    practice.sim.batch("ALTER TABLE dbo.Appointment DROP COLUMN Note").await;
    let services = practice.services();
    let failed = services.syncs.run(&agent::sync::names::JobName::new("appointments").unwrap()).await;
    assert!(failed.unwrap_err().contains("column Note is gone"), "a column that is gone cannot be read");
    services.tasks.shutdown(Duration::from_secs(30)).await;
    let (found, differences) = fingerprint(&practice, "appointments").await;
    assert_eq!(differences, ["column Note of dbo.Appointment is gone"]);
    let approval = format!("{{fingerprint: {found}}}");
    let (approved, _) = practice.call("mssql_schema.fingerprint", &["appointments"], &approval).await;
    assert_eq!(approved.get("snapshot").and_then(Value::as_bool), Some(true));
    let stopped = approved.get("stopped").and_then(|stopped| stopped.get("move")).unwrap().to_string();
    assert!(stopped.contains("no column Note"), "{stopped}");
    let services = practice.services();
    let read = services.syncs.run(&agent::sync::names::JobName::new("appointments").unwrap()).await.unwrap();
    assert_eq!(read.ending, Ending::CaughtUp, "the job reads on without the column");
    services.tasks.shutdown(Duration::from_secs(30)).await;
    let word = practice.word("move", "r-2", MOVED).await;
    assert_eq!(word, "schema_changed", "the write names a column that is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_without_a_sync_job_is_approved_by_its_own_fingerprint() {
    let practice = Practice::open().await;
    let args = in_clinic(MOVE);
    practice.state(RunMode::Apply, "mssql_write.present", "move", &args).await;
    practice.sim.batch("ALTER TABLE dbo.Appointment ALTER COLUMN Note nvarchar(300) NULL").await;
    assert_eq!(practice.word("move", "r-1", MOVED).await, "schema_changed");
    let (found, _) = fingerprint(&practice, "move").await;
    let given = format!("fingerprint: {found}");
    let done = practice.state(RunMode::Apply, "mssql_schema.fingerprint", "move", &given).await;
    assert_eq!(done.result, Some(true), "{}", done.comment);
    assert_eq!(practice.word("move", "r-1", MOVED).await, "landed");
    let same = practice.state(RunMode::Apply, "mssql_write.present", "move", &args).await;
    assert_eq!(same.comment, "Write move is already declared");
    let nobody = practice.state(RunMode::Apply, "mssql_schema.fingerprint", "nobody", "{}").await;
    assert!(nobody.comment.contains("neither a sync job nor a write nobody"), "{}", nobody.comment);
}

/// The EHR's version as a return shows it: before and now.
fn version(shown: &Value) -> [Option<String>; 3] {
    let version = shown.get("ehr_version").unwrap();
    ["former", "present", "unreadable"].map(|name| version.get(name)?.as_str().map(str::to_owned))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_is_told_with_the_ehrs_version_before_and_after() {
    let practice = Practice::open().await;
    let install = async |number: &str, day: u32| {
        let sql = format!("INSERT INTO dbo.EhrVersion VALUES ('{number}', '2026-01-{day:02}')");
        practice.sim.batch(&sql).await;
    };
    practice
        .sim
        .batch("CREATE TABLE dbo.EhrVersion (Number varchar(20) NOT NULL, Installed date NOT NULL)")
        .await;
    install("7.1.0", 1).await;
    let job = format!("{JOB}ehr_version: {{table: EhrVersion, column: Number, newest_by: Installed}}\n");
    for (fun, name, args) in
        [("mssql_sync.present", "appointments", &job), ("mssql_write.present", "move", &in_clinic(MOVE))]
    {
        let done = practice.state(RunMode::Apply, fun, name, args).await;
        assert_eq!(done.result, Some(true), "{}", done.comment);
    }
    practice.call("mssql_sync.run", &["appointments"], "{}").await;
    install("7.2.0", 2).await;
    practice.call("mssql_sync.run", &["appointments"], "{}").await;
    assert_eq!(
        version(&status(&practice).await),
        [some("7.2.0"), some("7.2.0"), None],
        "an upgrade that changed no table"
    );

    practice.sim.batch("ALTER TABLE dbo.Appointment ALTER COLUMN ExternalID varchar(80) NULL").await;
    install("8.0 (build 12)", 3).await;
    practice.call("mssql_sync.run", &["appointments"], "{}").await;
    assert_eq!(version(&status(&practice).await), [some("7.2.0"), some("8.0 (build 12)"), None]);
    let words = "The EHR's version is 8.0 (build 12); the tables were as approved with 7.2.0";
    let stopped = practice.submit(Faults::default(), "move", "r-1", MOVED).await.unwrap().outcome;
    assert_eq!(stopped.verdict, Verdict::SchemaChanged);
    assert!(stopped.reason.contains(words), "{}", stopped.reason);
    let held = practice.state(RunMode::Apply, "mssql_schema.fingerprint", "appointments", "{}").await;
    assert!(held.result == Some(false) && held.comment.contains(words), "{}", held.comment);

    // A later look that cannot read it keeps what was read, and the pass goes on.
    practice.sim.batch("DROP TABLE dbo.EhrVersion").await;
    let (read, _) = practice.call("mssql_sync.run", &["appointments"], "{}").await;
    assert_eq!(read.get("ending").and_then(Value::as_str), Some("caught up"));
    assert_eq!(version(&status(&practice).await), [some("7.2.0"), some("8.0 (build 12)"), None]);
    let (found, _) = fingerprint(&practice, "appointments").await;
    let given = format!("fingerprint: {found}");
    let done = practice.state(RunMode::Apply, "mssql_schema.fingerprint", "appointments", &given).await;
    assert_eq!(done.result, Some(true), "{}", done.comment);
    let [former, present, unreadable] = version(&done.changes);
    assert_eq!((former, present), (some("7.2.0"), None));
    assert!(unreadable.unwrap().contains("208"), "SQL Server's own words");
    assert_eq!(practice.word("move", "r-1", MOVED).await, "landed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drift_whose_version_cannot_be_read_says_so() {
    let practice = Practice::open().await;
    practice.sim.batch("CREATE TABLE dbo.Setup (Name varchar(20) NOT NULL, Content nvarchar(60) NULL)").await;
    practice.sim.batch("INSERT INTO dbo.Setup VALUES ('version', N'Zoë canary-4711')").await;
    let job = format!(
        "{JOB}ehr_version: {{table: Setup, column: Content, filter: [{{column: Name, value: version}}]}}\n"
    );
    let done = practice.state(RunMode::Apply, "mssql_sync.present", "appointments", &job).await;
    assert!(done.comment.contains("Warning: the EHR's version cannot be read"), "{}", done.comment);
    practice.call("mssql_sync.run", &["appointments"], "{}").await;
    practice.sim.batch("ALTER TABLE dbo.Appointment ALTER COLUMN ExternalID varchar(80) NULL").await;
    let (read, _) = practice.call("mssql_sync.run", &["appointments"], "{}").await;
    assert_eq!(read.get("ending").and_then(Value::as_str), Some("caught up"), "{read:?}");
    let shown = status(&practice).await;
    let [former, present, unreadable] = version(&shown);
    assert_eq!((former, present), (None, None));
    assert!(unreadable.unwrap().contains("does not look like a version"));
    assert!(!shown.to_string().contains("4711") && !done.comment.contains("4711"), "the row is not told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_in_a_table_that_is_delivered_or_not_there_is_refused() {
    let practice = Practice::open().await;
    for (place, expected) in [
        ("{table: Appointment, column: Note}", "in a table of its own"),
        ("{table: Nowhere, column: Note}", "dbo.Nowhere"),
        ("{table: Patient, column: Shoesize}", "Shoesize"),
        ("{table: Patient}", "must be {table, column"),
        ("{table: Patient, column: Name, sql: 'SELECT 1'}", "without 'sql'"),
    ] {
        let job = format!("{JOB}ehr_version: {place}\n");
        let done = practice.state(RunMode::Apply, "mssql_sync.present", "appointments", &job).await;
        assert!(done.result == Some(false) && done.comment.contains(expected), "{place}: {}", done.comment);
    }
}

/// The parameters of a request, asked what they would do.
fn preview_of(params: &str) -> String {
    format!("{{params: {params}, test: True}}")
}
