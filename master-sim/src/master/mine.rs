//! The mine: values that minions publish for each other. What one minion may ask of another is not restricted, as in
//! Salt; `mine_minions` lists and `allow_tgt` are not built.

use proto::serve::Request;
use proto::target::TargetType;
use proto::{Map, Value};

use super::{Master, text};
use crate::targeting::Target;

impl Master {
    pub(super) fn mine(&self, request: &Request) -> Value {
        let Some(data) = request.load.get("data").and_then(Value::as_map) else { return false.into() };
        let clear = request.load.get("clear").is_some_and(Value::is_truthy);
        let mut mine = if clear { Map::new() } else { self.cache.mine(&request.id) };
        for (fun, value) in data.iter() {
            mine.insert(fun.clone(), value.clone());
        }
        self.cache.set_mine(&request.id, &mine);
        true.into()
    }

    pub(super) fn mine_get(&self, load: &Map) -> Value {
        let Some(tgt) = load.get("tgt").cloned() else { return Map::new().into() };
        let kind = text(load, "tgt_type").unwrap_or("glob").parse().unwrap_or(TargetType::Glob);
        let Ok(matched) = self.matched(&Target { tgt, kind, delimiter: ":".into() }) else {
            return Map::new().into();
        };
        let funs = functions(load);
        let one = funs.len() == 1;
        let mut found = Map::new();
        for id in matched.minions {
            let mine = self.cache.mine(&id);
            for fun in &funs {
                let Some(value) = mine.get(fun).map(published) else { continue };
                if one {
                    found.insert(id.as_str(), value);
                } else {
                    if !found.contains_key(fun) {
                        found.insert(fun.as_str(), Map::new());
                    }
                    if let Some(Value::Map(by_minion)) = found.get_mut(fun) {
                        by_minion.insert(id.as_str(), value);
                    }
                }
            }
        }
        found.into()
    }

    pub(super) fn mine_delete(&self, request: &Request) -> Value {
        let Some(fun) = text(&request.load, "fun") else { return false.into() };
        let mut mine = self.cache.mine(&request.id);
        mine.remove(fun);
        self.cache.set_mine(&request.id, &mine);
        true.into()
    }

    pub(super) fn mine_flush(&self, request: &Request) -> Value {
        self.cache.set_mine(&request.id, &Map::new());
        true.into()
    }
}

fn functions(load: &Map) -> Vec<String> {
    match load.get("fun") {
        Some(Value::List(funs)) => funs.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(fun) => fun.as_str().unwrap_or_default().split(',').map(str::to_owned).collect(),
        None => Vec::new(),
    }
}

/// Newer minions wrap a value together with who may see it.
fn published(value: &Value) -> Value {
    value.get("__data__").unwrap_or(value).clone()
}
