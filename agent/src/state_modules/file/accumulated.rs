//! `file.accumulated`: texts that states of one run gather for a file; `managed` templates see them as `accumulator`,
//! `blockreplace` puts them below its content.

use std::sync::{Mutex, PoisonError};

use states::{LowChunk, Map, StateReturn, Value};

use crate::state_modules::{StateArgs, StateContext};

/// What the states of a run gathered.
#[derive(Debug, Default)]
pub struct Accumulators(Mutex<Vec<Accumulator>>);

#[derive(Debug)]
struct Accumulator {
    file: String,
    name: String,
    texts: Vec<Value>,
    /// The states it was gathered for.
    required_in: Vec<String>,
}

impl Accumulators {
    /// Whether the last text was new.
    fn add(&self, file: &str, name: &str, texts: &[Value], required_in: Vec<String>) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = held.iter().position(|one| one.file == file && one.name == name).unwrap_or_else(|| {
            let (file, name) = (file.to_owned(), name.to_owned());
            held.push(Accumulator { file, name, texts: Vec::new(), required_in: Vec::new() });
            held.len() - 1
        });
        let Some(one) = held.get_mut(at) else { return false };
        one.required_in.extend(required_in);
        let mut added = false;
        for text in texts {
            if !one.texts.contains(text) {
                one.texts.push(text.clone());
                added = true;
            }
        }
        added
    }

    /// The texts for a file by the name of their accumulator; `None` where nothing was gathered.
    pub(super) fn of(&self, file: &str) -> Option<Map> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = held.iter().filter(|one| one.file == file);
        let map: Map = mine.map(|one| (one.name.as_str(), Value::List(one.texts.clone()))).collect();
        (!map.is_empty()).then_some(map)
    }

    /// The texts for a state of a file: of the accumulators that name the state, or of all.
    pub(super) fn for_state(&self, file: &str, id: &str) -> Vec<Value> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<&Accumulator> = held.iter().filter(|one| one.file == file).collect();
        let named = |one: &&&Accumulator| one.required_in.iter().any(|state| state == id);
        let some: Vec<&Accumulator> = all.iter().filter(named).copied().collect();
        let chosen = if some.is_empty() { all } else { some };
        chosen.into_iter().flat_map(|one| one.texts.clone()).collect()
    }
}

pub(super) fn accumulated(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    if args.name.is_empty() {
        return Err("Must provide name to file.accumulated".to_owned());
    }
    let file = args.text("filename").ok_or("Missing parameter filename for state file.accumulated")?;
    let text = args.given("text").ok_or("No text supplied for accumulator")?;
    let own = |chunk: &&LowChunk| {
        chunk.state == "file" && chunk.fun == "accumulated" && chunk.id == args.id && chunk.name == args.name
    };
    let chunk = run.low.iter().find(own);
    let targets: Vec<&Value> = ["require_in", "watch_in"]
        .iter()
        .filter_map(|key| chunk?.keywords.get(key)?.as_list())
        .flatten()
        .collect();
    let file_of = |target: &&Value| target.get("file").map(ToString::to_string);
    if targets.iter().all(|target| file_of(target).is_none()) {
        return Err(format!("Orphaned accumulator {} in {}:{}", args.name, args.sls, args.id));
    }
    let texts = text.as_list().map_or_else(|| vec![text.clone()], <[Value]>::to_vec);
    let added = run.accumulators.add(&file, &args.name, &texts, targets.iter().filter_map(file_of).collect());
    let comment = format!("Accumulator {} for file {file} was charged by text", args.name);
    Ok(StateReturn::ok(if added { comment } else { String::new() }))
}
