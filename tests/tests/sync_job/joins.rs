//! A job over joined tables: delivered equals the query, whatever changes in which of its tables and wherever it dies.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use agent::access::required::Requires;
use agent::mssql::quote::ObjectName;
use agent::mssql::{ConnectionOptions, Param, Session};
use agent::store::Secret;
use agent::sync::check::{
    ConditionRequest, CursorRequest, JobRequest, JoinRequest, MaskRequest, SweepRequest, TestRequest,
    VersionRequest,
};
use agent::sync::faults::{Faults, Step};
use agent::sync::spec::{Comparison, JobSpec, JoinKind, Mask};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tiberius::ColumnData;

use crate::batches::open;
use crate::life::{Agent, die_at};
use crate::sim::Sim;

/// Rows by their key, each cell as text.
type Rows = BTreeMap<Vec<String>, Vec<String>>;

const TABLES: &[&str] = &[
    "CREATE TABLE dbo.Office (Branch nvarchar(10) NOT NULL PRIMARY KEY, Town int NULL)",
    "CREATE TABLE dbo.Town (ID int NOT NULL PRIMARY KEY, Name nvarchar(40) NOT NULL, Secret nvarchar(40) NULL)",
    "CREATE TABLE dbo.Line (Branch nvarchar(10) NOT NULL, VisitID int NOT NULL, Nr int NOT NULL, \
     Code nvarchar(10) NULL, CONSTRAINT PK_Line PRIMARY KEY (Branch, VisitID, Nr))",
    "INSERT INTO dbo.Town VALUES (1, N'Ulm', N'x'), (2, N'Köln', N'y')",
    "INSERT INTO dbo.Office VALUES (N'b0', 1), (N'b1', 2)",
    "INSERT INTO dbo.Line SELECT Branch, VisitID, 1, N'A' FROM dbo.Visit WHERE VisitID % 2 = 0",
    "INSERT INTO dbo.Line SELECT Branch, VisitID, 2, N'B' FROM dbo.Visit WHERE VisitID % 4 = 0",
];

/// The query that the job must deliver.
const QUERY: &str = "SELECT V.Branch, V.VisitID, L.Nr, L.Code, T.Name FROM dbo.Visit AS V \
     INNER JOIN dbo.Line AS L ON L.Branch = V.Branch AND L.VisitID = V.VisitID \
     LEFT JOIN dbo.Office AS O ON O.Branch = V.Branch LEFT JOIN dbo.Town AS T ON T.ID = O.Town";

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

fn join(table: &str, kind: JoinKind, on: &[(&str, &str)], columns: &[(&str, &str)]) -> JoinRequest {
    let table = ObjectName::parse(table).unwrap();
    let alias = table.name.as_str().to_owned();
    JoinRequest { table, alias, kind, on: pairs(on), columns: pairs(columns) }
}

fn joined(request: JobRequest) -> JobRequest {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    JobRequest {
        columns: Some(names(&["Branch", "VisitID"])),
        joins: vec![
            join(
                "Line",
                JoinKind::Inner,
                &[("Branch", "Branch"), ("VisitID", "VisitID")],
                &[("Nr", "Nr"), ("Code", "Code")],
            ),
            join("Office", JoinKind::Left, &[("Branch", "Branch")], &[]),
            join("Town", JoinKind::Left, &[("ID", "Office.Town")], &[("Name", "Town"), ("Secret", "Secret")]),
        ],
        key: Some(names(&["Branch", "VisitID", "Nr"])),
        mask: vec![("Secret".to_owned(), MaskRequest::As(Mask::Null))],
        sweep: SweepRequest::Every(Duration::ZERO),
        ..request
    }
}

async fn start() -> Sim {
    let sim = Sim::start().await;
    sim.book(1, 25).await;
    for statement in TABLES {
        sim.batch(statement).await;
    }
    sim
}

/// What a day brings to each of the tables.
const DAY: &[&str] = &[
    "UPDATE dbo.Line SET Code = N'C' WHERE Nr = 1 AND VisitID % 8 = 0",
    "UPDATE dbo.Town SET Name = N'Neu-Ulm' WHERE ID = 1",
    "INSERT INTO dbo.Office VALUES (N'b2', 1)",
    "DELETE FROM dbo.Line WHERE Nr = 2 AND VisitID = 4",
    "UPDATE dbo.Visit SET Note = NULL, Changed = SYSDATETIME() WHERE VisitID < 9",
    "DELETE FROM dbo.Office WHERE Branch = N'b1'",
];

async fn source(sim: &Sim) -> Rows {
    let rows = sim.batch(QUERY).await.remove(0);
    let text = |cell: &ColumnData<'static>| {
        if let ColumnData::I32(Some(number)) = cell {
            return number.to_string();
        }
        if let ColumnData::String(text) = cell {
            text.as_deref().unwrap_or("NULL").to_owned()
        } else {
            panic!()
        }
    };
    let cells = rows.iter().map(|row| row.cells().map(|(_, cell)| text(cell)).collect::<Vec<_>>());
    cells.map(|cells| (cells[..3].to_vec(), cells[3..].to_vec())).collect()
}

fn delivered(agent: &Agent) -> Rows {
    let files = agent.master.files();
    let epoch = |path: &str| path.rsplit('/').next().unwrap().split('-').next().unwrap().to_owned();
    let newest = files.keys().map(|path| epoch(path)).max();
    let mut rows = Rows::new();
    for (_, sealed) in files.iter().filter(|(path, _)| Some(epoch(path)) == newest) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&open(sealed, &agent.identity).unwrap()).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            apply(&mut rows, &batch.unwrap());
        }
    }
    rows
}

fn apply(rows: &mut Rows, batch: &RecordBatch) {
    let text = |name: &str, at: usize| {
        let column = batch.column_by_name(name).unwrap();
        if column.is_null(at) {
            return "NULL".to_owned();
        }
        match column.as_primitive_opt::<Int32Type>() {
            Some(numbers) => numbers.value(at).to_string(),
            None => column.as_string::<i32>().value(at).to_owned(),
        }
    };
    for at in 0..batch.num_rows() {
        assert_eq!(text("Secret", at), "NULL", "a masked column");
        let key: Vec<String> = ["Branch", "VisitID", "Nr"].iter().map(|name| text(name, at)).collect();
        if text("_operation", at) == "delete" {
            rows.remove(&key);
        } else {
            rows.insert(key, vec![text("Code", at), text("Town", at)]);
        }
    }
}

fn cursors() -> [CursorRequest; 5] {
    [
        CursorRequest::Auto(None),
        CursorRequest::Digest,
        CursorRequest::Rowversion(None),
        CursorRequest::Datetime("Changed".into()),
        CursorRequest::Full,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_over_four_tables_is_delivered_whatever_changes_in_them() {
    for cursor in cursors() {
        let what = format!("{cursor:?}");
        let sim = start().await;
        let agent =
            Agent::declare_as(&sim, |request| joined(JobRequest { cursor, batch_rows: 7, ..request })).await;
        assert_eq!(agent.live(Faults::default()).await.unwrap().rows, 18, "{what}");
        assert_eq!(delivered(&agent), source(&sim).await, "{what}");
        assert_eq!(agent.live(Faults::default()).await.unwrap().rows, 0, "{what}: nothing changed");
        for change in DAY {
            sim.batch(change).await;
            agent.live(Faults::default()).await.unwrap();
            assert_eq!(delivered(&agent), source(&sim).await, "{what}: {change}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_at_any_step_loses_nothing_of_a_query() {
    for cursor in [CursorRequest::Digest, CursorRequest::Rowversion(None)] {
        for step in Step::ALL {
            let sim = start().await;
            let cursor = cursor.clone();
            let agent =
                Agent::declare_as(&sim, |request| joined(JobRequest { cursor, batch_rows: 5, ..request }))
                    .await;
            drop(agent.live(die_at(step, 2)).await);
            for change in DAY {
                sim.batch(change).await;
            }
            drop(agent.live(die_at(step, 1)).await);
            // A sweep that was interrupted goes on where it was: what changed before that place is the next one's.
            for _ in 0..2 {
                agent.live(Faults::default()).await.unwrap();
            }
            assert_eq!(delivered(&agent), source(&sim).await, "death at {step:?}");
        }
    }
}

/// A login that may do what `spec` asks for and nothing else.
pub async fn least(sim: &Sim, spec: &JobSpec) -> ConnectionOptions {
    sim.batch("CREATE LOGIN least WITH PASSWORD = 'Kx7-quartz-9'").await;
    sim.batch("CREATE USER least FOR LOGIN least").await;
    for needed in spec.requirement().permissions {
        let columns: Vec<String> = needed.columns.iter().map(|column| column.quoted().to_string()).collect();
        let (permission, securable) = (needed.permission.as_str(), &needed.securable);
        let columns = if columns.is_empty() { String::new() } else { format!("({})", columns.join(", ")) };
        sim.batch(&format!("GRANT {permission} ON {securable} {columns} TO least")).await;
    }
    sim.connection("Clinic").with_login("least", Secret::new("Kx7-quartz-9"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_of_a_query_are_enough_and_each_is_needed() {
    let sim = start().await;
    let agent =
        Agent::declare_as(&sim, |request| joined(JobRequest { cursor: CursorRequest::Digest, ..request }))
            .await;
    sim.batch("CREATE TABLE dbo.Setup (Product int NOT NULL, Version varchar(20) NOT NULL, Secret int NULL)")
        .await;
    let asked = VersionRequest {
        table: ObjectName::parse("Setup").unwrap(),
        column: "Version".into(),
        newest_by: None,
        filter: vec![ConditionRequest {
            column: "Product".into(),
            test: TestRequest::Compares(Comparison::Equal, Param::BigInt(1)),
        }],
    };
    let plain = JobRequest { cursor: CursorRequest::Digest, ..agent.request(&sim, 10) };
    let request = joined(JobRequest { ehr_version: Some(asked), ..plain });
    let spec = request.check().await.unwrap().spec;
    let request = JobRequest { connection: least(&sim, &spec).await, ..request };
    request.check().await.unwrap();
    for needed in spec.requirement().permissions {
        for column in needed.columns {
            let (column, securable) = (column.quoted(), &needed.securable);
            sim.batch(&format!("REVOKE SELECT ON {securable} ({column}) FROM least")).await;
            request.check().await.unwrap_err();
            sim.batch(&format!("GRANT SELECT ON {securable} ({column}) TO least")).await;
        }
    }
    request.check().await.unwrap();
    let mut least = Session::connect(&request.connection).await.unwrap();
    for table in ["dbo.Town", "dbo.Setup"] {
        let refused = least.batch(&format!("SELECT Secret FROM {table}")).await.unwrap_err();
        assert_eq!(refused.number(), Some(230), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_repeat_a_key_or_miss_a_row_is_refused() {
    let sim = start().await;
    let agent = Agent::declare(&sim, 10).await;
    let refused = async |change: fn(&mut JobRequest)| {
        let mut request = joined(agent.request(&sim, 10));
        change(&mut request);
        request.check().await.unwrap_err().to_string()
    };
    let repeats = refused(|request| request.key = Some(vec!["Branch".into(), "VisitID".into()])).await;
    assert!(repeats.contains("dbo.Line has at most one row for each key (Branch, VisitID)"), "{repeats}");
    let repeats = refused(|request| request.key = Some(vec!["Branch".into(), "Nr".into()])).await;
    assert!(repeats.contains("dbo.Visit has at most one row"), "{repeats}");
    let left = refused(|request| request.joins[0].kind = JoinKind::Left).await;
    assert!(left.contains("key column Nr of dbo.Visit may hold NULL"), "{left}");
    let twice = refused(|request| request.joins[2].columns[0].1 = "Note".into()).await;
    assert!(twice.contains("has a column Note already: give that of dbo.Town another name"), "{twice}");
    let late = refused(|request| request.joins.swap(1, 2)).await;
    assert!(late.contains("no table before dbo.Town is called Office"), "{late}");
    let tracked = refused(|request| request.cursor = CursorRequest::ChangeTracking).await;
    assert!(tracked.contains("Change Tracking sees the changes of one table"), "{tracked}");
    let cursor = refused(|request| request.cursor = CursorRequest::Datetime("Town".into())).await;
    assert!(cursor.contains("must be one of dbo.Visit itself"), "{cursor}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_joined_table_stops_the_pass_and_says_what_changed() {
    let sim = start().await;
    let cursor = CursorRequest::Digest;
    let agent = Agent::declare_as(&sim, |request| joined(JobRequest { cursor, ..request })).await;
    agent.live(Faults::default()).await.unwrap();
    sim.batch("ALTER TABLE dbo.Town ALTER COLUMN Name nvarchar(60) NOT NULL").await;
    agent.live(Faults::default()).await.unwrap();
    let drift = agent.note().await.drift.unwrap();
    assert_eq!(drift.table, "dbo.Town");
    assert_eq!(drift.differences, ["column Name of dbo.Town was nvarchar(40), is nvarchar(60)"]);
    sim.batch("ALTER TABLE dbo.Town DROP COLUMN Name").await;
    let error = agent.live(Faults::default()).await.unwrap_err();
    assert!(error.contains("column Town is gone"), "{error}");
}
