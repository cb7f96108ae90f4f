//! Delivery to a master that stores files as Salt's does: truncate at 0, append elsewhere.

use std::collections::HashMap;
use std::sync::Mutex;

use proto::{Map, Value};

use super::*;
use crate::channel::LinkError;

/// A master that fails the requests whose number is listed.
#[derive(Default)]
struct Master {
    files: Mutex<HashMap<String, Vec<u8>>>,
    events: Mutex<Vec<(String, Value)>>,
    requests: Mutex<usize>,
    lost_replies: Vec<usize>,
    refuses: bool,
}

impl Master {
    fn receive(&self, load: &Map) {
        let parts = load.get("path").and_then(Value::as_list).unwrap();
        let path: Vec<&str> = parts.iter().map(|part| part.as_str().unwrap()).collect();
        let mut files = self.files.lock().unwrap();
        let file = files.entry(path.join("/")).or_default();
        if load.get("loc").and_then(Value::as_u64) == Some(0) {
            file.clear();
        }
        file.extend_from_slice(load.get("data").and_then(Value::as_bytes).unwrap());
    }
}

impl MasterLink for Master {
    fn request<'a>(&'a self, cmd: &'a str, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        assert_eq!(cmd, "_file_recv");
        Box::pin(async move {
            if self.refuses {
                return Ok(Value::Bool(false));
            }
            self.receive(&load);
            let mut requests = self.requests.lock().unwrap();
            *requests += 1;
            if self.lost_replies.contains(&requests) {
                return Err(LinkError::Unreachable { why: "no reply".into() });
            }
            Ok(Value::Bool(true))
        })
    }

    fn request_raw<'a>(&'a self, _: &'a str, _: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(async { Err(LinkError::Local) })
    }

    fn pillar<'a>(&'a self, _: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(async { Err(LinkError::Local) })
    }

    fn fire_event<'a>(&'a self, tag: &'a str, data: Value) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async move {
            self.events.lock().unwrap().push((tag.to_owned(), data));
            Ok(())
        })
    }

    fn return_job<'a>(&'a self, _: Map) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async { Err(LinkError::Local) })
    }
}

fn batch(content: &[u8]) -> (tempfile::NamedTempFile, BatchRow) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let sha256 = hex(ring::digest::digest(&SHA256, content).as_ref());
    let row = BatchRow {
        id: 1,
        job: "j 1".into(),
        epoch: 7,
        sequence: 1,
        folder: "j%201".into(),
        sink: None,
        file: "7-0000000001.parquet.age".into(),
        bytes: content.len() as u64,
        rows: 3,
        event: serde_json::json!({"rows": 3, "sha256": sha256}).to_string(),
    };
    (file, row)
}

async fn deliver(master: &Arc<Master>, row: &BatchRow, path: &Path) -> Result<(), SinkError> {
    let sink = MasterSink::new(Arc::clone(master) as Arc<dyn MasterLink>);
    sink.deliver(row, path, &Faults::default()).await.map(drop)
}

const STORED: &str = "agent/sync/j%201/7-0000000001.parquet.age";

#[tokio::test]
async fn a_large_file_arrives_in_chunks_and_is_announced() {
    let content: Vec<u8> = (0..CHUNK_BYTES * 2 + 5).map(|at| at as u8).collect();
    let (file, row) = batch(&content);
    let master = Arc::new(Master::default());
    deliver(&master, &row, file.path()).await.unwrap();
    assert_eq!(*master.requests.lock().unwrap(), 3);
    assert!(master.files.lock().unwrap()[STORED] == content);
    let events = master.events.lock().unwrap();
    assert_eq!(events[0].0, "agent/sync/j%201/batch");
    assert_eq!(events[0].1.get("rows").and_then(Value::as_u64), Some(3));
}

#[tokio::test]
async fn a_lost_reply_does_not_double_a_chunk() {
    let content: Vec<u8> = (0..CHUNK_BYTES * 2 + 5).map(|at| (at / 7) as u8).collect();
    let (file, row) = batch(&content);
    let master = Arc::new(Master { lost_replies: vec![2], ..Master::default() });
    assert!(deliver(&master, &row, file.path()).await.is_err());
    assert!(master.events.lock().unwrap().is_empty());
    deliver(&master, &row, file.path()).await.unwrap();
    assert!(master.files.lock().unwrap()[STORED] == content);
}

#[tokio::test]
async fn a_master_that_takes_no_files_is_told_what_to_set() {
    let (file, row) = batch(b"x");
    let master = Arc::new(Master { refuses: true, ..Master::default() });
    let error = deliver(&master, &row, file.path()).await.unwrap_err().to_string();
    assert!(error.contains("file_recv: True"), "{error}");
}

#[tokio::test]
async fn a_changed_spool_file_is_not_announced() {
    let (file, row) = batch(b"as written");
    std::fs::write(file.path(), b"as changed").unwrap();
    let master = Arc::new(Master::default());
    let outcome = deliver(&master, &row, file.path()).await;
    assert!(matches!(outcome, Err(SinkError::Changed { .. })));
    assert!(master.events.lock().unwrap().is_empty());
}
