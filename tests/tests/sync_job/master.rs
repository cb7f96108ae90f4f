//! A master that receives files as Salt's does (truncate at 0, append elsewhere), and reads the batches it was given.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::sync::Mutex;

use agent::channel::{LinkError, MasterLink};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type};
use arrow_array::{Array, RecordBatch};
use futures_util::future::BoxFuture;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proto::{Map, Value};

/// What arrived. Shared by the agent's lives.
#[derive(Default)]
pub struct Master {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    events: Mutex<Vec<(String, Value)>>,
    /// Requests are refused as if nobody were there.
    pub away: std::sync::atomic::AtomicBool,
}

/// One delivered version of a visit: branch and id, then the rest as text; nothing for a delete.
pub type Version = (String, i32, Option<Vec<String>>);

impl Master {
    /// The received files, by path.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.files.lock().unwrap().clone()
    }

    /// The events: tag and data.
    pub fn events(&self) -> Vec<(String, Value)> {
        self.events.lock().unwrap().clone()
    }

    /// Every delivered version of every row, file after file in the order of their names.
    pub fn versions(&self, identity: &age::x25519::Identity) -> Vec<Version> {
        self.files().into_values().flat_map(|sealed| rows(&open(&sealed, identity))).collect()
    }

    /// The last delivered version of each row in the newest epoch.
    pub fn newest(&self, identity: &age::x25519::Identity) -> BTreeMap<(String, i32), Vec<String>> {
        let files = self.files();
        let epoch = |path: &str| path.rsplit('/').next().unwrap().split('-').next().unwrap().to_owned();
        let last = files.keys().map(|path| epoch(path)).max();
        let versions = files
            .iter()
            .filter(|(path, _)| Some(epoch(path)) == last)
            .flat_map(|(_, sealed)| rows(&open(sealed, identity)));
        let newest: HashMap<_, _> = versions.map(|(branch, id, rest)| ((branch, id), rest)).collect();
        newest.into_iter().filter_map(|(key, rest)| rest.map(|rest| (key, rest))).collect()
    }

    fn answer(&self) -> Result<Value, LinkError> {
        if self.away.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(LinkError::Unreachable { why: "the test says so".into() });
        }
        Ok(Value::Bool(true))
    }

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

fn open(sealed: &[u8], identity: &age::x25519::Identity) -> Vec<u8> {
    let mut clear = Vec::new();
    let opened = age::Decryptor::new(sealed).unwrap();
    opened.decrypt(std::iter::once(identity as &dyn age::Identity)).unwrap().read_to_end(&mut clear).unwrap();
    clear
}

fn rows(parquet: &[u8]) -> Vec<Version> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(parquet).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.flat_map(|batch| versions(&batch.unwrap())).collect()
}

fn versions(batch: &RecordBatch) -> Vec<Version> {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let (ids, branches) =
        (column("VisitID").as_primitive::<Int32Type>(), column("Branch").as_string::<i32>());
    let (notes, guids) = (column("Note").as_string::<i32>(), column("ExternalID").as_string::<i32>());
    let fees = column("Fee").as_primitive::<Decimal128Type>();
    let balances = column("Balance").as_primitive::<Decimal128Type>();
    let versions = column("RowVer").as_fixed_size_binary();
    let operations = batch.column_by_name("_operation").map(|column| column.as_string::<i32>());
    let text = |valid: bool, text: String| if valid { text } else { "NULL".to_owned() };
    (0..batch.num_rows())
        .map(|at| {
            let rest = vec![
                text(notes.is_valid(at), notes.value(at).to_owned()),
                text(fees.is_valid(at), fees.value(at).to_string()),
                text(balances.is_valid(at), balances.value(at).to_string()),
                text(guids.is_valid(at), guids.value(at).to_owned()),
                hex(versions.value(at)),
            ];
            let deleted = operations.is_some_and(|operations| operations.value(at) == "delete");
            (branches.value(at).to_owned(), ids.value(at), (!deleted).then_some(rest))
        })
        .collect()
}

/// Bytes as SQL Server prints them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

impl MasterLink for Master {
    fn request<'a>(&'a self, cmd: &'a str, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        assert_eq!(cmd, "_file_recv");
        Box::pin(async move {
            let answer = self.answer()?;
            self.receive(&load);
            Ok(answer)
        })
    }

    fn request_raw<'a>(&'a self, cmd: &'a str, _: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(async move { panic!("{cmd} is not for this master") })
    }

    fn pillar<'a>(&'a self, _: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(async { panic!("_pillar is not for this master") })
    }

    fn fire_event<'a>(&'a self, tag: &'a str, data: Value) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async move {
            self.answer()?;
            self.events.lock().unwrap().push((tag.to_owned(), data));
            Ok(())
        })
    }

    fn return_job<'a>(&'a self, _: Map) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async { panic!("_return is not for this master") })
    }
}
