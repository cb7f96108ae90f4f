//! High data to low chunks: one chunk per state and name, arguments apart from requisites and keywords.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use crate::{LowChunk, LowState, Map, Order, Requisite, RequisiteKind, StateFunctions, Target, Value};

/// A chunk before the order is settled.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) chunk: LowChunk,
    /// What `order` said.
    pub(super) order: Value,
    /// What `order` said as a number, before negative ones and places in `names` are settled.
    pub(super) said_order: f64,
    /// The place among the items of `names`, from 1; 0 without `names`.
    pub(super) name_order: u32,
    /// A requisite whose target is no text: its kind, module and value.
    pub(super) illegal: Option<(RequisiteKind, String)>,
}

/// The chunks of high data, in the order of its IDs.
pub(super) fn chunks(high: &Map) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (id, body) in high {
        let (Some(id), Value::Map(body)) = (id.as_str(), body) else { continue };
        if id.starts_with("__") {
            continue;
        }
        for (state, args) in body {
            if let (Some(state), Value::List(args)) = (state.as_str(), args)
                && !state.starts_with("__")
            {
                drafts.extend(declaration(id, state, args, body));
            }
        }
    }
    drafts
}

fn declaration(id: &str, state: &str, args: &[Value], body: &Map) -> Vec<Draft> {
    let mut data = Map::from_iter([("name", id)]);
    let mut names: Vec<Value> = Vec::new();
    let mut fun = None;
    for mark in ["__sls__", "__env__", "__sls_included_from__"] {
        if let Some(value) = body.get(mark) {
            data.insert(mark, value.clone());
        }
    }
    for arg in args {
        match arg {
            Value::Str(function) => fun = Some(function.clone()),
            Value::Map(pairs) => {
                for (key, value) in pairs {
                    match key.as_str() {
                        Some("names") => {
                            for name in value.as_list().unwrap_or_default() {
                                // Python takes True for 1.
                                let same = |known: &Value| {
                                    *known == *name || number(known).is_some_and(|n| number(name) == Some(n))
                                };
                                if !names.iter().any(same) {
                                    names.push(name.clone());
                                }
                            }
                        }
                        Some("state") => {}
                        // Salt falls back to the ID.
                        Some("name") if value.as_str().is_none() => {
                            data.insert("name", id);
                        }
                        _ => {
                            data.insert(key.clone(), value.clone());
                        }
                    }
                }
            }
            _ => {}
        }
    }
    let Some(fun) = fun else { return Vec::new() };
    if names.is_empty() {
        return vec![draft(id, state, &fun, data, 0)];
    }
    (1..)
        .zip(names)
        .map(|(place, entry)| {
            let mut data = data.clone();
            match entry {
                Value::Map(entry) => {
                    if let Some((name, overrides)) = entry.first() {
                        data.insert("name", name.clone());
                        for pairs in overrides.as_list().unwrap_or_default().iter().filter_map(Value::as_map)
                        {
                            data.extend(pairs.clone());
                        }
                    }
                }
                name => {
                    data.insert("name", name);
                }
            }
            draft(id, state, &fun, data, place)
        })
        .collect()
}

/// Sorts what was said into arguments, requisites and keywords.
fn draft(id: &str, state: &str, fun: &str, data: Map, name_order: u32) -> Draft {
    let mut chunk = LowChunk {
        state: state.to_owned(),
        fun: fun.to_owned(),
        name: String::new(),
        id: id.to_owned(),
        sls: String::new(),
        env: "base".to_owned(),
        order: Order::default(),
        args: Map::new(),
        requisites: Vec::new(),
        keywords: Map::new(),
    };
    let mut order = Value::Nil;
    let mut illegal = None;
    for (key, value) in data {
        let name = key.to_string();
        match name.as_str() {
            "name" => {
                chunk.name = value.to_string();
                if value.as_str().is_none() {
                    chunk.keywords.insert(BAD_NAME, value);
                }
            }
            "__sls__" => chunk.sls = value.to_string(),
            "__env__" => chunk.env = value.to_string(),
            "order" => order = value,
            _ => match RequisiteKind::from_name(&name) {
                Some(kind) => match requisite(kind, &value) {
                    Ok(requisite) => chunk.requisites.push(requisite),
                    Err(module) => illegal = illegal.or(Some((kind, module))),
                },
                None if SHARED.contains(&name.as_str()) => {
                    chunk.args.insert(key.clone(), value.clone());
                    chunk.keywords.insert(key, value);
                }
                None if is_keyword(&name) => {
                    chunk.keywords.insert(key, value);
                }
                None => {
                    chunk.args.insert(key, value);
                }
            },
        }
    }
    Draft { chunk, order, said_order: 0.0, name_order, illegal }
}

/// The targets of a requisite; the module of the first one whose value is no text otherwise.
fn requisite(kind: RequisiteKind, value: &Value) -> Result<Requisite, String> {
    let mut targets = Vec::new();
    for item in value.as_list().unwrap_or_default() {
        match item {
            Value::Str(name) => targets.push(Target { state: "id".to_owned(), name: name.clone() }),
            Value::Map(map) => {
                let Some((state, name)) = map.first() else { continue };
                let state = state.to_string();
                let state = state.split('.').next().unwrap_or_default().to_owned();
                match name {
                    Value::Nil => {}
                    Value::Str(name) => targets.push(Target { state, name: name.clone() }),
                    _ => return Err(state),
                }
            }
            _ => {}
        }
    }
    Ok(Requisite { kind, targets })
}

/// A `state.single` call: one chunk, nothing compiled.
pub(super) fn single(
    fun: &str,
    name: &str,
    kwargs: &Map,
    functions: &dyn StateFunctions,
) -> Result<LowState, Vec<String>> {
    let Some((state, fun)) = fun.split_once('.') else {
        return Err(vec!["Invalid function passed".to_owned()]);
    };
    if !functions.exists(&format!("{state}.{fun}")) {
        return Err(vec![format!("Specified state '{state}.{fun}' was not found")]);
    }
    let mut data = kwargs.clone();
    data.insert("name", name);
    let mut draft = draft(name, state, fun, data, 0);
    // A single state has nothing to refer to.
    draft.chunk.requisites.clear();
    Ok(super::order::alone(draft.chunk))
}

fn number(value: &Value) -> Option<i64> {
    value.as_int().or_else(|| value.as_bool().map(i64::from))
}

fn is_keyword(name: &str) -> bool {
    name.starts_with("__") || KEYWORDS.contains(&name)
}

/// What the runner acts on and a state function does not see.
const KEYWORDS: [&str; 34] = [
    "fun",
    "state",
    "check_cmd",
    "cmd_opts_exclude",
    "failhard",
    "onlyif",
    "unless",
    "retry",
    "order",
    "parallel",
    "prereq",
    "prereq_in",
    "prerequired",
    "reload_modules",
    "reload_grains",
    "reload_pillar",
    "fire_event",
    "saltenv",
    "use",
    "use_in",
    "onfail_stop",
    "onchanges_in",
    "onfail_in",
    "watch_in",
    "require_in",
    "listen_in",
    "aggregate",
    "provider",
    "no_log",
    "sfun",
    "name_order",
    "mod_watch_fun",
    "parallel_group",
    "beacon",
];

/// Keeps a name that is no text, which the run refuses.
pub(crate) const BAD_NAME: &str = "__bad_name__";

/// What the runner acts on and a state function may ask for by name.
const SHARED: [&str; 4] = ["creates", "runas", "runas_password", "umask"];
