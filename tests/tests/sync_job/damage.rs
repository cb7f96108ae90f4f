//! Values that a type does not have, as old databases hold them: half a surrogate pair, a date in year 10113. SQL Server
//! does not check its pages when it reads. Such a cell arrives as NULL and is named in the batch's own report; nothing
//! else of its row, of its page or of the job is lost.

use agent::mssql::quote::ObjectName;
use agent::sync::check::{CursorRequest, JobRequest};
use agent::sync::faults::Faults;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use ehr_sim::data::{Profile, TableRows};
use ehr_sim::engine::{Engine, EngineOptions};
use ehr_sim::types::{DateTimeValue, Datum, utf16};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::batches::open;
use crate::life::Agent;
use crate::sim::{CANARY, PASSWORD, Sim};

/// Id, note and moment as they arrived.
type Appointment = (i32, Option<String>, Option<i64>);

const ROWS: i32 = 40;
const YEAR_10113: i32 = 3_000_000;

/// One appointment of the damaged table: every tenth note ends in half a pair, number 7 is in year 10113.
fn appointment(id: i32) -> Vec<Datum> {
    let half: &[u16] = if id % 10 == 0 { &[0xD83D] } else { &[] };
    let units = format!("{CANARY} {id} ").encode_utf16().chain(half.iter().copied()).collect::<Vec<_>>();
    let days = if id == 7 { YEAR_10113 } else { 46_000 };
    vec![
        Datum::Int(id),
        Datum::text(utf16::text(units.into_iter())),
        Datum::DateTime(DateTimeValue { days, ticks: 0 }),
        Datum::Null,
    ]
}

async fn damaged() -> Sim {
    let engine = Engine::new(EngineOptions { sa_password: PASSWORD.into(), ..EngineOptions::default() });
    let named = |name: &[u16]| vec![Datum::text(utf16::text(name.iter().copied())), Datum::Null];
    let keys = vec![named(&[0x41]), named(&[0xDC00, 0x42])];
    let profile = Profile {
        database: "Old",
        schema: &[
            "CREATE TABLE dbo.Appointment (ID int NOT NULL CONSTRAINT PK_Appointment PRIMARY KEY, Note nvarchar(100) NULL, \
             Booked datetime NULL, RowVer rowversion NOT NULL)",
            "CREATE UNIQUE INDEX IX_RowVer ON dbo.Appointment (RowVer)",
            "CREATE TABLE dbo.Named (Name nvarchar(20) NOT NULL CONSTRAINT PK_Named PRIMARY KEY, RowVer rowversion NOT NULL)",
        ],
        tables: vec![
            TableRows {
                table: "dbo.Appointment",
                count: u64::from(ROWS.unsigned_abs()),
                rows: Box::new((1..=ROWS).map(appointment)),
            },
            TableRows { table: "dbo.Named", count: 2, rows: Box::new(keys.into_iter()) },
        ],
    };
    engine.load(profile).unwrap();
    Sim::of(engine).await
}

async fn declare(sim: &Sim, table: &str, cursor: CursorRequest) -> Agent {
    let (table, connection) = (ObjectName::parse(table).unwrap(), sim.connection("Old"));
    Agent::declare_as(sim, |request| JobRequest { table, connection, cursor, batch_rows: 15, ..request })
        .await
}

/// What arrived: the rows as id, note and moment, and the report of each file.
fn arrived(agent: &Agent) -> (Vec<Appointment>, Vec<Value>) {
    let (mut rows, mut reports) = (Vec::new(), Vec::new());
    for sealed in agent.master.files().into_values() {
        let clear = Bytes::from(open(&sealed, &agent.identity).unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(clear).unwrap();
        let footer = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
        let report = footer.iter().find(|pair| pair.key == "agent.cell_errors");
        reports.extend(report.map(|pair| serde_json::from_str(pair.value.as_ref().unwrap()).unwrap()));
        for batch in reader.build().unwrap() {
            rows.extend(appointments(&batch.unwrap()));
        }
    }
    (rows, reports)
}

fn appointments(batch: &RecordBatch) -> Vec<Appointment> {
    let ids = batch.column_by_name("ID").unwrap().as_primitive::<Int32Type>();
    let notes = batch.column_by_name("Note").unwrap().as_string::<i32>();
    let booked = batch.column_by_name("Booked").unwrap().as_primitive::<TimestampMillisecondType>();
    let row = |at: usize| {
        let note = notes.is_valid(at).then(|| notes.value(at).to_owned());
        (ids.value(at), note, booked.is_valid(at).then(|| booked.value(at)))
    };
    (0..batch.num_rows()).map(row).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_cell_is_null_and_reported_and_everything_else_arrives() {
    for cursor in [CursorRequest::Rowversion(None), CursorRequest::Digest, CursorRequest::Full] {
        let sim = damaged().await;
        let agent = declare(&sim, "Appointment", cursor.clone()).await;
        let report = agent.live(Faults::default()).await.unwrap();
        assert_eq!((report.rows, report.bad_cells), (40, 5), "{cursor:?}");
        let (mut rows, reports) = arrived(&agent);
        rows.sort();
        assert_eq!(rows.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), (1..=ROWS).collect::<Vec<_>>());
        for (id, note, booked) in &rows {
            let expected = (id % 10 != 0).then(|| format!("{CANARY} {id} "));
            assert_eq!(note, &expected, "{cursor:?}: the note of {id}");
            assert_eq!(booked.is_none(), *id == 7, "{cursor:?}: the moment of {id}");
        }
        let facts: Vec<Value> =
            reports.iter().flat_map(|report| report.as_array().unwrap().clone()).collect();
        let of = |column: &str| facts.iter().filter(|fact| fact["column"] == column).count();
        assert_eq!((of("Note"), of("Booked")), (4, 1), "{cursor:?}: {facts:?}");
        assert!(!json!(facts).to_string().contains(CANARY), "a report says where, not what");
        let moment = facts.iter().find(|fact| fact["column"] == "Booked").unwrap();
        assert_eq!(moment["key"], json!({ "ID": 7 }), "{cursor:?}");
        assert_eq!(moment["reason"], "a date or time outside of what its type holds");

        let again = agent.live(Faults::default()).await.unwrap();
        assert_eq!(again.rows, 0, "{cursor:?}: what cannot be read is no change");
        let mut session = sim.session("Old").await;
        session.batch("UPDATE dbo.Appointment SET Note = N'mended' WHERE ID = 20").await.unwrap();
        agent.live(Faults::default()).await.unwrap();
        let (rows, _) = arrived(&agent);
        assert!(rows.iter().any(|(id, note, _)| *id == 20 && note.as_deref() == Some("mended")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_batch_event_counts_bad_cells_by_column_and_reason() {
    let sim = damaged().await;
    let agent = declare(&sim, "Appointment", CursorRequest::Rowversion(None)).await;
    agent.live(Faults::default()).await.unwrap();
    let mut counted = 0;
    for (_, event) in agent.master.events() {
        let Some(proto::Value::Map(columns)) = event.get("cell_errors").cloned() else { continue };
        for (_, reasons) in columns.iter() {
            let proto::Value::Map(reasons) = reasons else { panic!("{reasons:?}") };
            counted += reasons.iter().map(|(_, cells)| cells.as_u64().unwrap()).sum::<u64>();
        }
    }
    assert_eq!(counted, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_cannot_be_read_stops_the_job_in_words() {
    let sim = damaged().await;
    let agent = declare(&sim, "Named", CursorRequest::Rowversion(None)).await;
    let error = agent.live(Faults::default()).await.unwrap_err();
    assert!(error.starts_with("a key of dbo.Named is not valid in the encoding of its column"), "{error}");
}
