//! `extend`, `exclude`, `use` and the requisites written from the other side (`require_in` …).
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::collections::BTreeSet;

use super::fnmatch;
use crate::{Map, RequisiteKind, Value};

/// Whether an extended ID must declare that very state module.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Strictness {
    Loose,
    Strict,
}

/// Applies `__extend__` to the high data.
pub(super) fn reconcile(high: &mut Map, strictness: Strictness) -> Vec<String> {
    let mut errors = Vec::new();
    let Some(Value::List(extends)) = high.remove("__extend__") else { return errors };
    for extend in extends {
        let Value::Map(extend) = extend else { continue };
        for (name, body) in extend {
            let Value::Map(body) = body else { continue };
            if let Err(error) = extend_one(high, &name, body, strictness) {
                errors.push(error);
            }
        }
    }
    errors
}

fn extend_one(high: &mut Map, name: &Value, body: Map, strictness: Strictness) -> Result<(), String> {
    let declared = body.keys().map(Value::to_string).find(|key| !key.starts_with("__"));
    let Some(module) = declared else { return Ok(()) };
    let known = high.get_value(name).is_some_and(|target| target.get(&module).is_some());
    let target = if known {
        name.clone()
    } else {
        let found = find_name(&name.to_string(), &module, high, strictness);
        match found.as_slice() {
            [(id, _)] => Value::from(id.as_str()),
            _ => return Err(cannot_extend(name, &body)),
        }
    };
    let sls = body.get("__sls__").map(Value::to_string);
    if excluded_sls(high).iter().any(|excluded| Some(excluded) == sls.as_ref()) {
        return Ok(());
    }
    let Some(Value::Map(target)) = high.get_value_mut(&target) else { return Ok(()) };
    for (state, args) in body {
        if state.as_str().is_some_and(|state| state.starts_with("__")) {
            continue;
        }
        match (target.get_value_mut(&state), args) {
            (Some(Value::List(own)), Value::List(args)) => extend_args(own, args),
            (Some(_), _) => {}
            (None, args) => {
                target.insert(state, args);
            }
        }
    }
    Ok(())
}

fn cannot_extend(name: &Value, body: &Map) -> String {
    let field = |key: &str| body.get(key).map_or_else(|| "base".to_owned(), Value::to_string);
    let (env, sls) = (field("__env__"), field("__sls__"));
    format!(
        "Cannot extend ID '{name}' in '{env}:{sls}'. It is not part of the high state.\nThis is likely due to a \
         missing include statement or an incorrectly typed ID.\nEnsure that a state with an ID of '{name}' is \
         available\nin environment '{env}' and to SLS '{sls}'"
    )
}

fn extend_args(own: &mut Vec<Value>, args: Vec<Value>) {
    for arg in args {
        let mut updated = false;
        for known in own.iter_mut() {
            if known.as_str().is_some() && arg.as_str().is_some() {
                *known = arg.clone();
                updated = true;
                continue;
            }
            let Some((key, value)) = arg.as_map().and_then(Map::first) else { continue };
            let Some(known_key) = known.as_map().and_then(Map::first).map(|(key, _)| key.clone()) else {
                continue;
            };
            if *key == known_key {
                match (requisite_list(known, key), value) {
                    (Some(list), Value::List(more)) => list.extend(more.iter().cloned()),
                    (_, _) => *known = arg.clone(),
                }
                updated = true;
            } else if key.as_str() == Some("name") && known_key.as_str() == Some("names") {
                *known = arg.clone();
            }
        }
        if !updated {
            own.push(arg);
        }
    }
}

/// The targets of a requisite argument, when it is one.
fn requisite_list<'a>(arg: &'a mut Value, key: &Value) -> Option<&'a mut Vec<Value>> {
    let name = key.as_str()?;
    if RequisiteKind::from_name(name).is_none() && name != "onfail_stop" {
        return None;
    }
    match arg.as_map_mut()?.get_value_mut(key)? {
        Value::List(list) => Some(list),
        _ => None,
    }
}

fn excluded_sls(high: &Map) -> Vec<String> {
    let excludes = high.get("__exclude__").and_then(Value::as_list).unwrap_or_default();
    excludes
        .iter()
        .filter_map(|exclude| match exclude {
            Value::Str(sls) => Some(sls.clone()),
            other => other.get("sls").map(Value::to_string),
        })
        .collect()
}

/// IDs that a name refers to: itself, those of an SLS, or those with an argument of that value.
fn find_name(name: &str, state: &str, high: &Map, strictness: Strictness) -> Vec<(String, String)> {
    let known = high.get(name);
    if known.is_some_and(|body| strictness == Strictness::Loose || body.get(state).is_some()) {
        return vec![(name.to_owned(), state.to_owned())];
    }
    if state == "sls" {
        let of_sls = |body: &Value| body.get("__sls__").and_then(Value::as_str) == Some(name);
        return high
            .iter()
            .filter(|(_, body)| of_sls(body))
            .filter_map(|(id, body)| {
                Some((id.to_string(), body.as_map()?.first().map(|(key, _)| key.to_string())?))
            })
            .collect();
    }
    let mut found = Vec::new();
    for (id, body) in high {
        for arg in body.get(state).and_then(Value::as_list).unwrap_or_default() {
            if let Some(map) = arg.as_map().filter(|map| map.len() == 1)
                && map.first().is_some_and(|(_, value)| value.as_str() == Some(name))
            {
                found.push((id.to_string(), state.to_owned()));
            }
        }
    }
    found
}

/// Removes what `__exclude__` names.
pub(super) fn exclude(high: &mut Map) {
    let Some(Value::List(excludes)) = high.remove("__exclude__") else { return };
    let mut ids: Vec<Value> = Vec::new();
    let mut sls: Vec<String> = Vec::new();
    for exclude in &excludes {
        match exclude {
            Value::Str(name) => sls.push(name.clone()),
            Value::Map(map) if map.len() == 1 => {
                if let Some(id) = map.get("id") {
                    ids.push(id.clone());
                }
                sls.extend(map.get("sls").map(Value::to_string));
            }
            _ => {}
        }
    }
    high.retain(|id, body| {
        let own = body.get("__sls__").map(Value::to_string).unwrap_or_default();
        let by_sls = !own.is_empty() && sls.iter().any(|pattern| fnmatch(&own, pattern));
        !by_sls && !ids.contains(id)
    });
}

/// Turns `require_in`, `use` and their like into what they mean for the other state.
pub(super) fn requisites_in(high: &mut Map, ignored: &[String]) -> Vec<String> {
    let mut pass = InPass { high, ignored, extend: Map::new(), errors: Vec::new() };
    pass.run();
    let InPass { extend, mut errors, .. } = pass;
    let list = extend.into_iter().map(|pair| Value::Map(Map::from_iter([pair]))).collect();
    high.insert("__extend__", Value::List(list));
    errors.extend(reconcile(high, Strictness::Strict));
    errors
}

struct InPass<'a> {
    high: &'a Map,
    /// The forms that the minion has disabled.
    ignored: &'a [String],
    extend: Map,
    errors: Vec<String>,
}

/// The state that wrote the statement.
#[derive(Clone, Copy)]
struct Writer<'a> {
    id: &'a str,
    state: &'a str,
    body: &'a Map,
}

impl InPass<'_> {
    fn run(&mut self) {
        let high = self.high;
        for (id, body) in high {
            let Value::Map(body) = body else { continue };
            let id = id.to_string();
            for (state, args) in body {
                let Some(state) = state.as_str().filter(|state| !state.starts_with("__")) else { continue };
                for arg in args.as_list().unwrap_or_default() {
                    let Some((key, items)) = arg.as_map().and_then(Map::first) else { continue };
                    if let Some(key) = key.as_str().filter(|key| IN_KEYWORDS.contains(key))
                        && !self.ignored.iter().any(|ignored| ignored == key)
                    {
                        self.statement(Writer { id: &id, state, body }, key, items);
                    }
                }
            }
        }
    }

    fn statement(&mut self, writer: Writer<'_>, key: &str, items: &Value) {
        match items {
            Value::Map(map) => {
                for (state, name) in map {
                    let state = self.without_dots(writer, key, &state.to_string(), &name.to_string());
                    self.add(writer, key, &name.to_string(), &state);
                }
            }
            Value::List(list) => {
                // Salt keeps the targets of earlier lines while it walks the list; extending twice
                // by the same requisite changes nothing but its length.
                for item in list {
                    for (name, state) in self.targets(item) {
                        let state = self.without_dots(writer, key, &state, &name);
                        match key {
                            "use_in" => self.use_in(writer, &name, &state),
                            "use" => self.use_from(writer, &name, &state),
                            _ => self.add(writer, key, &name, &state),
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// The (ID, state module) pairs that one line names.
    fn targets(&self, item: &Value) -> Vec<(String, String)> {
        let Value::Map(map) = item else {
            return self.by_bare_name(item).into_iter().collect();
        };
        let Some((state, name)) = map.first() else { return Vec::new() };
        let (state, name) = (state.to_string(), name.to_string());
        if state != "sls" {
            return vec![(name, state)];
        }
        let mut found = Vec::new();
        for (id, body) in self.high {
            if body.get("__sls__").and_then(Value::as_str) != Some(name.as_str()) {
                continue;
            }
            let states = body.as_map().into_iter().flat_map(Map::keys).map(Value::to_string);
            found
                .extend(states.filter(|state| !state.starts_with("__")).map(|state| (id.to_string(), state)));
        }
        found
    }

    /// `- some ID` without its state module.
    fn by_bare_name(&self, item: &Value) -> Option<(String, String)> {
        let states = |body: &Value| -> Vec<String> {
            let keys = body.as_map().into_iter().flat_map(Map::keys).map(Value::to_string);
            keys.filter(|key| !key.starts_with("__")).collect()
        };
        if let Some(body) = self.high.get_value(item) {
            return states(body).into_iter().next().map(|state| (item.to_string(), state));
        }
        self.high.iter().find_map(|(id, body)| {
            states(body).into_iter().find_map(|state| {
                let args = body.get(&state).and_then(Value::as_list).unwrap_or_default();
                args.iter().any(|arg| arg.get("name") == Some(item)).then(|| (id.to_string(), state))
            })
        })
    }

    fn without_dots(&mut self, writer: Writer<'_>, key: &str, state: &str, name: &str) -> String {
        let Some((module, _)) = state.split_once('.') else { return state.to_owned() };
        let base = key.split('_').next().unwrap_or(key);
        let sls = writer.body.get("__sls__").map(Value::to_string).unwrap_or_default();
        self.errors.push(format!(
            "Invalid requisite in {base}: {state} for {name}, in SLS '{sls}'. Requisites must not contain dots, \
             did you mean '{module}'?"
        ));
        module.to_owned()
    }

    fn entry(&mut self, id: &str, state: &str) -> &mut Vec<Value> {
        let body = self.extend.entry_or_insert(id, Map::new());
        if !matches!(body, Value::Map(_)) {
            *body = Value::Map(Map::new());
        }
        let list = match body {
            Value::Map(body) => body.entry_or_insert(state, Value::List(Vec::new())),
            other => other,
        };
        if !matches!(list, Value::List(_)) {
            *list = Value::List(Vec::new());
        }
        match list {
            Value::List(list) => list,
            _ => unreachable!("invariant: made a list two lines above"),
        }
    }

    /// Adds `requisite: [{state: id}]` of the writer to the named state.
    fn add(&mut self, writer: Writer<'_>, key: &str, name: &str, state: &str) {
        let base = key.split('_').next().unwrap_or(key);
        let back = Value::Map(Map::from_iter([(writer.state, writer.id)]));
        let list = self.entry(name, state);
        let known = list.iter_mut().find_map(|arg| match arg.as_map_mut()?.get_mut(base)? {
            Value::List(targets) => Some(targets),
            _ => None,
        });
        match known {
            Some(targets) => targets.push(back),
            None => {
                let targets = Value::List(vec![back]);
                list.push(Value::Map(Map::from_iter([(base, targets)])));
            }
        }
        for mark in ["__env__", "__sls__"] {
            if let (Some(value), Some(Value::Map(body))) = (writer.body.get(mark), self.extend.get_mut(name))
            {
                body.insert(mark, value.clone());
            }
        }
    }

    /// Gives the writer's arguments to the named states.
    fn use_in(&mut self, writer: Writer<'_>, name: &str, state: &str) {
        for (id, target_state) in find_name(name, state, self.high, Strictness::Strict) {
            let own = argument_names(self.high, &id, state);
            let args = usable(self.high, writer.id, writer.state, &own);
            self.entry(&id, &target_state).extend(args);
        }
    }

    /// Gives the named states' arguments to the writer.
    fn use_from(&mut self, writer: Writer<'_>, name: &str, state: &str) {
        for (id, target_state) in find_name(name, state, self.high, Strictness::Strict) {
            let own = argument_names(self.high, writer.id, writer.state);
            let args = usable(self.high, &id, &target_state, &own);
            self.entry(writer.id, writer.state).extend(args);
        }
    }
}

fn single_args<'a>(high: &'a Map, id: &str, state: &str) -> impl Iterator<Item = (&'a Value, &'a Value)> {
    let args = high.get(id).and_then(|body| body.get(state)).and_then(Value::as_list).unwrap_or_default();
    args.iter().filter_map(|arg| Some((arg, arg.as_map().filter(|map| map.len() == 1)?.first()?.0)))
}

fn argument_names(high: &Map, id: &str, state: &str) -> BTreeSet<String> {
    single_args(high, id, state).map(|(_, key)| key.to_string()).collect()
}

/// The arguments of a state that `use` passes on: no names, no requisites, none the other has.
fn usable(high: &Map, id: &str, state: &str, own: &BTreeSet<String>) -> Vec<Value> {
    let passed = |key: &str| !own.contains(key) && !NEVER_USED.contains(&key) && !IN_KEYWORDS.contains(&key);
    single_args(high, id, state)
        .filter(|(_, key)| passed(&key.to_string()))
        .map(|(arg, _)| arg.clone())
        .collect()
}

const IN_KEYWORDS: [&str; 7] =
    ["require_in", "watch_in", "onfail_in", "onchanges_in", "use", "use_in", "prereq_in"];

const NEVER_USED: [&str; 8] =
    ["require", "watch", "prereq", "onfail", "onfail_stop", "onchanges", "name", "names"];
