//! A master that receives files as Salt's does (truncate at 0, append elsewhere).

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use agent::channel::{LinkError, MasterLink};
use futures_util::future::BoxFuture;
use proto::{Map, Value};

use crate::batches::{Version, try_versions_in};

/// What arrived. Shared by the agent's lives.
#[derive(Default)]
pub struct Master {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    events: Mutex<Vec<(String, Value)>>,
    /// Requests are refused as if nobody were there.
    pub away: std::sync::atomic::AtomicBool,
}

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
        self.files().into_values().flat_map(|sealed| versions_in(&sealed, identity)).collect()
    }

    /// The last delivered version of each row in the newest epoch.
    pub fn newest(&self, identity: &age::x25519::Identity) -> BTreeMap<(String, i32), Vec<String>> {
        newest(&self.files(), identity).unwrap()
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

/// The versions in one sealed file.
fn versions_in(sealed: &[u8], identity: &age::x25519::Identity) -> Vec<Version> {
    try_versions_in(sealed, identity).expect("a delivered file is whole")
}

/// The last delivered version of each row in the newest epoch; the files by their paths. `None` when one is not whole.
fn newest(
    files: &BTreeMap<String, Vec<u8>>,
    identity: &age::x25519::Identity,
) -> Option<BTreeMap<(String, i32), Vec<String>>> {
    let epoch = |path: &str| path.rsplit('/').next().unwrap().split('-').next().unwrap().to_owned();
    let last = files.keys().map(|path| epoch(path)).max();
    let mut newest = HashMap::new();
    for (_, sealed) in files.iter().filter(|(path, _)| Some(epoch(path)) == last) {
        for (branch, id, rest) in try_versions_in(sealed, identity)? {
            newest.insert((branch, id), rest);
        }
    }
    Some(newest.into_iter().filter_map(|(key, rest)| rest.map(|rest| (key, rest))).collect())
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
