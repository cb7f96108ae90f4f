//! The object store as a sink, against moto's S3, which nobody here wrote: every batch lies there once, whatever dies.

use std::collections::BTreeMap;

use agent::store::sync::BatchRow;
use agent::sync::deliver::deliver_next;
use agent::sync::explain;
use agent::sync::faults::{Faults, Step};
use agent::sync::pass::{Want, run_pass};
use agent::sync::sink::{ObjectStoreSink, Sink, StoreSettings};
use agent::tasks::Tasks;
use states::{Map, Value};
use tests::s3::S3Store;

use crate::batches::{hex, source, try_versions_in};
use crate::life::{Agent, die_at, job};
use crate::sim::Sim;

const SECRET: &str = "secret-4711-of-the-store";
/// The bucket as a sink.
pub fn sink_of(store: &S3Store, bucket: &str) -> ObjectStoreSink {
    sink_at(store.port, bucket)
}

/// The same through that port.
pub fn sink_at(port: u16, bucket: &str) -> ObjectStoreSink {
    let options: Map = [
        ("url", Value::from(format!("s3://{bucket}/fleet"))),
        ("endpoint", format!("http://127.0.0.1:{port}").into()),
        ("access_key_id", "AKIDEXAMPLE".into()),
        ("secret_access_key", SECRET.into()),
        ("allow_http", true.into()),
    ]
    .into_iter()
    .collect();
    let settings = StoreSettings::read(&Value::Map(options), "smile-dental").unwrap();
    ObjectStoreSink::open(&settings, Tasks::new()).unwrap()
}

/// A store, unless there is none here.
pub fn store_or_skip(name: &str) -> Option<S3Store> {
    S3Store::start_or_skip(name).unwrap()
}

/// Runs a pass and delivers, in a new process that dies where the hook says.
pub async fn live(agent: &Agent, store: &S3Store, faults: Faults) -> Result<(), String> {
    let room = agent.room(faults);
    let known = room.ledger.batches().await.map_err(|error| explain(&error))?;
    room.spool.clean(&known).map_err(|error| explain(&error))?;
    run_pass(&room, &job(), Want::News).await.map_err(|error| explain(&error))?;
    let sink = sink_of(store, "batches");
    while deliver_next(&room, &sink).await.map_err(|error| explain(&error))? {}
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_batch_lies_in_the_bucket_once_whatever_dies() {
    let Some(store) = store_or_skip("every_batch_lies_in_the_bucket_once_whatever_dies") else { return };
    let sim = Sim::start().await;
    sim.book(1, 25).await;
    let agent = Agent::declare(&sim, 5).await;
    let steps = [Step::ChunkSent, Step::FileSent, Step::EventSent, Step::Freed];
    for (round, step) in (1u32..).zip(steps) {
        let died = live(&agent, &store, die_at(step, 2)).await;
        assert!(died.is_err(), "{step:?} was not reached");
        sim.book(100 * round, 12).await;
    }
    live(&agent, &store, Faults::default()).await.unwrap();

    let keys = store.keys().unwrap();
    let batches: Vec<&String> = keys.iter().filter(|key| key.ends_with(".parquet.age")).collect();
    assert_eq!(keys.len(), batches.len() * 2, "each batch has its facts: {keys:?}");
    let mut newest = BTreeMap::new();
    for (at, key) in batches.iter().enumerate() {
        assert!(key.starts_with("fleet/smile-dental/clinic%2FVisit/"), "{key}");
        assert!(key.ends_with(&format!("-{:010}.parquet.age", at + 1)), "a gap or a repeat: {keys:?}");
        let (sealed, facts) =
            (store.get(key).unwrap().unwrap(), store.get(&format!("{key}.json")).unwrap().unwrap());
        let facts: serde_json::Value = serde_json::from_slice(&facts).unwrap();
        let digest = hex(ring::digest::digest(&ring::digest::SHA256, &sealed).as_ref());
        assert_eq!(facts["sha256"].as_str().unwrap().to_uppercase(), digest);
        for (branch, id, rest) in try_versions_in(&sealed, &agent.identity).unwrap() {
            let former = newest.insert((branch, id), rest.unwrap());
            assert!(former.is_none(), "row {id} came twice: nobody changed it");
        }
    }
    assert_eq!(newest, source(&sim).await);
    assert!(
        agent.files().iter().all(|file| !file.to_string_lossy().contains(".parquet")),
        "the spool is free"
    );
}

/// A batch as it lies in the spool.
pub struct Spooled {
    folder: tempfile::TempDir,
    pub row: BatchRow,
}

/// A batch of that content.
pub fn spooled(sequence: u64, content: &[u8]) -> Spooled {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("batch"), content).unwrap();
    let sha256 = hex(ring::digest::digest(&ring::digest::SHA256, content).as_ref()).to_lowercase();
    let row = BatchRow {
        id: 1,
        job: "j".into(),
        epoch: 7,
        sequence,
        folder: "j".into(),
        sink: None,
        file: format!("7-{sequence:010}.parquet.age"),
        bytes: content.len() as u64,
        rows: 1,
        event: serde_json::json!({ "sha256": sha256 }).to_string(),
    };
    Spooled { folder, row }
}

/// Delivers it once.
pub async fn deliver(sink: &ObjectStoreSink, batch: &Spooled) -> Result<(), String> {
    let file = batch.folder.path().join("batch");
    let delivered = sink.deliver(&batch.row, &file, &Faults::default()).await;
    delivered.map(drop).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gaps_and_other_contents_are_refused_and_repeats_change_nothing() {
    let Some(store) = store_or_skip("gaps_and_other_contents_are_refused_and_repeats_change_nothing") else {
        return;
    };
    let first = "fleet/smile-dental/j/7-0000000001.parquet.age";
    deliver(&sink_of(&store, "batches"), &spooled(1, b"one")).await.unwrap();
    deliver(&sink_of(&store, "batches"), &spooled(1, b"one")).await.unwrap();
    let gap = deliver(&sink_of(&store, "batches"), &spooled(3, b"three")).await.unwrap_err();
    assert!(gap.contains("7-0000000002.parquet.age is not there"), "{gap}");
    let other = deliver(&sink_of(&store, "batches"), &spooled(1, b"another")).await.unwrap_err();
    assert!(other.contains("holds something else"), "{other}");
    assert_eq!(store.get(first).unwrap().unwrap(), b"one", "never overwritten");
    store.ask("DELETE", &format!("/batches/{first}"), b"").unwrap();
    assert!(deliver(&sink_of(&store, "batches"), &spooled(2, b"two")).await.is_err());
    store.ask("PUT", "/batches/fleet/smile-dental/j/7.taken", b"1").unwrap();
    deliver(&sink_of(&store, "batches"), &spooled(2, b"two")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_batch_goes_up_in_parts_and_is_whole() {
    let Some(store) = store_or_skip("a_large_batch_goes_up_in_parts_and_is_whole") else { return };
    let content: Vec<u8> =
        (0..20_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let batch = spooled(1, &content);
    let sink = sink_of(&store, "batches").with_parts_above(1 << 20);
    deliver(&sink, &batch).await.unwrap();
    deliver(&sink_of(&store, "batches").with_parts_above(1 << 20), &batch).await.unwrap();
    let key = "fleet/smile-dental/j/7-0000000001.parquet.age";
    assert!(store.get(key).unwrap().unwrap() == content, "the object is not the file");
    let (head, _) = store.ask("HEAD", &format!("/batches/{key}"), b"").unwrap();
    let etag = head.lines().find(|line| line.to_lowercase().starts_with("etag")).unwrap();
    assert!(etag.contains("-3\""), "three parts: {etag}");
    let other = deliver(&sink, &spooled(1, &content[1..])).await.unwrap_err();
    assert!(other.contains("holds something else"), "{other}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_says_why_and_holds_no_secret() {
    let Some(store) = store_or_skip("a_refusal_says_why_and_holds_no_secret") else { return };
    let missing = deliver(&sink_of(&store, "nobody"), &spooled(1, b"one")).await.unwrap_err();
    assert!(missing.contains("s3://nobody/fleet/smile-dental/j/7-0000000001"), "{missing}");
    assert!(missing.contains("NoSuchBucket"), "{missing}");
    let port = store.port;
    drop(store);
    let away = deliver(&sink_at(port, "batches"), &spooled(1, b"one")).await.unwrap_err();
    assert!(away.contains("the store cannot be reached"), "{away}");
    assert!(![missing, away].iter().any(|text| text.contains(SECRET) || text.contains("Signature")));
}
