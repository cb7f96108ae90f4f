//! The form of high data: declarations are padded, and what is not formed as Salt wants is refused in its words.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::collections::HashMap;

use crate::{Map, RequisiteKind, Series, Value};

/// Moves an `extend` declaration to `__extend__`.
pub(super) fn take_extend(state: &mut Map, sls: &str, saltenv: &str, errors: &mut Vec<String>) {
    let Some(extend) = state.remove("extend") else { return };
    let Value::Map(mut extend) = extend else {
        errors.push(format!("Extension value in SLS '{sls}' is not a dictionary"));
        return;
    };
    for (name, body) in extend.iter_mut() {
        let Value::Map(body) = body else {
            errors.push(format!("Extension name '{name}' in SLS '{sls}' is not a dictionary"));
            continue;
        };
        body.entry_or_insert("__sls__", sls);
        body.entry_or_insert("__env__", saltenv);
        pad(body);
    }
    if let Value::List(list) = state.entry_or_insert("__extend__", Value::List(Vec::new())) {
        list.push(Value::Map(extend));
    }
}

/// Moves an `exclude` declaration to `__exclude__`.
pub(super) fn take_exclude(state: &mut Map, sls: &str, errors: &mut Vec<String>) {
    let Some(exclude) = state.remove("exclude") else { return };
    let Value::List(exclude) = exclude else {
        errors.push(format!("Exclude Declaration in SLS {sls} is not formed as a list"));
        return;
    };
    if let Value::List(list) = state.entry_or_insert("__exclude__", Value::List(Vec::new())) {
        list.extend(exclude);
    }
}

/// Pads the declarations of an SLS and marks where they come from.
pub(super) fn declarations(state: &mut Map, sls: &str, saltenv: &str, errors: &mut Vec<String>) {
    for (id, body) in state.iter_mut() {
        if matches!(id.as_str(), Some("__extend__" | "__exclude__")) {
            continue;
        }
        if let Some((module, function)) = body.as_str().and_then(|short| short.split_once('.')) {
            let function = function.split('.').next().unwrap_or(function);
            *body = Value::Map(Map::from_iter([
                ("__sls__", Value::from(sls)),
                ("__env__", Value::from(saltenv)),
                (module, Value::List(vec![Value::from(function)])),
            ]));
            continue;
        }
        let Value::Map(body) = body else {
            errors.push(format!("ID {id} in SLS {sls} is not a dictionary"));
            continue;
        };
        if pad(body) {
            errors.push(format!(
                "ID '{id}' in SLS '{sls}' contains multiple state declarations of the same type"
            ));
        }
        body.entry_or_insert("__sls__", sls);
        body.entry_or_insert("__env__", saltenv);
    }
}

/// Pads high data that comes without an SLS.
pub(super) fn pad_functions(high: &mut Map) {
    for (_, body) in high.iter_mut() {
        if let Some((module, function)) = body.as_str().and_then(|short| short.split_once('.')) {
            *body = Value::Map(Map::from_iter([(module, Value::List(vec![Value::from(function)]))]));
        } else if let Value::Map(body) = body {
            pad(body);
        }
    }
}

/// `file.managed: [..]` becomes `file: [.., managed]`. Answers whether one module is declared twice.
fn pad(body: &mut Map) -> bool {
    let mut seen: Vec<String> = Vec::new();
    let mut twice = false;
    let keys: Vec<String> = body.keys().filter_map(Value::as_str).map(str::to_owned).collect();
    for key in keys {
        if key.starts_with('_') || !matches!(body.get(&key), Some(Value::List(_))) {
            continue;
        }
        let Some((module, function)) = key.split_once('.') else {
            seen.push(key);
            continue;
        };
        if seen.iter().any(|known| known == module) {
            twice = true;
            continue;
        }
        let function = function.split('.').next().unwrap_or(function);
        if let Some(Value::List(mut args)) = body.remove(&key) {
            args.push(Value::from(function));
            body.insert(module, args);
        }
        seen.push(module.to_owned());
    }
    twice
}

/// What is wrong with high data, in Salt's words.
pub(super) fn verify(high: &Map, series: Series) -> Vec<String> {
    let mut errors = Vec::new();
    let mut circles = Circles::default();
    for (id, body) in high {
        let sls = body.get("__sls__").map(Value::to_string).unwrap_or_default();
        match id.as_str() {
            Some(text) if text.starts_with("__") => continue,
            Some(_) => {}
            None => errors.push(format!(
                "ID '{id}' in SLS '{sls}' is not formed as a string, but is {} {}. It may need to be quoted.",
                if series >= Series::V3008 { "type" } else { "a" },
                id.type_name()
            )),
        }
        let Value::Map(body) = body else {
            errors.push(format!("The type {id} in {} is not formatted as a dictionary", written(body)));
            continue;
        };
        let mut place = Place { id: id.to_string(), sls, series, circles: &mut circles };
        for (state, args) in body {
            let state = state.to_string();
            if !state.starts_with("__") {
                place.declaration(&state, args, &mut errors);
            }
        }
    }
    errors
}

/// Requisites seen so far by ID: the state module that declares them, and target names with their modules.
/// 3006 and 3007 refuse two states that require each other while they check the form.
type Circles = HashMap<String, (String, HashMap<String, String>)>;

/// Where a declaration stands, for the words of its errors.
struct Place<'a> {
    id: String,
    sls: String,
    series: Series,
    circles: &'a mut Circles,
}

impl Place<'_> {
    fn declaration(&mut self, state: &str, args: &Value, errors: &mut Vec<String>) {
        let (id, sls) = (self.id.clone(), self.sls.clone());
        let args = match args {
            Value::Nil => {
                errors.push(format!(
                    "ID '{id}' in SLS '{sls}' contains a short declaration ({state}) with a trailing colon. When \
                     not passing any arguments to a state, the colon must be omitted."
                ));
                return;
            }
            Value::List(args) => args,
            _ => {
                errors.push(format!("State '{id}' in SLS '{sls}' is not formed as a list"));
                return;
            }
        };
        let mut functions: Vec<&str> =
            state.split_once('.').map(|(_, function)| function).into_iter().collect();
        for arg in args {
            match arg {
                Value::Str(function) => {
                    functions.push(function);
                    if function.trim().contains(' ') {
                        errors.push(self.whitespace(function));
                    }
                }
                Value::Map(arg) => self.argument(state, arg, errors),
                _ => {}
            }
        }
        match functions.len() {
            0 => errors.push(format!("No function declared in state '{id}' in SLS '{sls}'")),
            1 => {}
            _ => errors.push(format!(
                "Too many functions declared in state '{id}' in SLS '{sls}'. Please choose one of the following: {}",
                functions.join(", ")
            )),
        }
    }

    fn whitespace(&self, function: &str) -> String {
        format!(
            "The function \"{function}\" in state \"{}\" in SLS \"{}\" has whitespace, a function with whitespace \
             is not supported, perhaps this is an argument that is missing a \":\"",
            self.id, self.sls
        )
    }

    fn argument(&mut self, state: &str, arg: &Map, errors: &mut Vec<String>) {
        let Place { id, sls, .. } = self;
        let Some((key, value)) = arg.first() else { return };
        let key = key.to_string();
        if key == "names" && !matches!(value, Value::List(_)) {
            errors.push(format!(
                "The 'names' argument in state '{id}' in SLS '{sls}' needs to be formed as a list"
            ));
        }
        let looked_at = match self.series >= Series::V3008 {
            true => RequisiteKind::from_name(&key).is_some() || key == "onfail_stop",
            false => matches!(key.as_str(), "require" | "watch" | "prereq" | "onchanges"),
        };
        if !looked_at {
            return;
        }
        let Value::List(targets) = value else {
            errors.push(format!(
                "The {key} statement in state '{id}' in SLS '{sls}' needs to be formed as a list"
            ));
            return;
        };
        self.circles.insert(self.id.clone(), (state.to_owned(), HashMap::new()));
        for target in targets {
            self.target(state, target, errors);
        }
        let Place { id, sls, .. } = self;
        if arg.len() != 1 {
            errors.push(format!("Multiple dictionaries defined in argument of state '{id}' in SLS '{sls}'"));
        }
    }

    fn target(&mut self, state: &str, target: &Value, errors: &mut Vec<String>) {
        let Place { id, sls, series, .. } = self;
        let newest = *series >= Series::V3008;
        let pair = match target {
            Value::Map(map) if map.len() == 1 || !newest => map.first(),
            Value::Str(_) if newest => return,
            Value::Str(_) => Some((&BARE, target)),
            _ => None,
        };
        let Some((key, value)) = pair else {
            let in_state = if newest { format!("in state {id} ") } else { String::new() };
            errors.push(format!(
                "Requisite declaration {} {in_state}in SLS {sls} is not formed as a single key dictionary",
                written(target)
            ));
            return;
        };
        let key = if *key == BARE { "id".to_owned() } else { key.to_string() };
        if let Some((module, _)) = key.split_once('.') {
            errors.push(format!(
                "Invalid requisite type '{key}' in state '{id}', in SLS '{sls}'. Requisite types must not contain \
                 dots, did you mean '{module}'?"
            ));
        }
        if matches!(value, Value::List(_) | Value::Map(_)) {
            let in_sls = if newest { format!(" in SLS \"{sls}\"") } else { String::new() };
            errors.push(format!(
                "Illegal requisite \"{}\"{in_sls}, please check your syntax.\n",
                written(value)
            ));
        } else if !newest {
            self.circle(state, &key, &value.to_string(), errors);
        }
    }

    /// Notes a requisite, and refuses it when the target has the very same one on this state.
    fn circle(&mut self, state: &str, module: &str, name: &str, errors: &mut Vec<String>) {
        if let Some((_, targets)) = self.circles.get_mut(&self.id) {
            targets.insert(name.to_owned(), module.to_owned());
        }
        let Some((declared, targets)) = self.circles.get(name) else { return };
        if targets.get(&self.id).is_some_and(|back| back == state) && declared == module {
            errors.push(format!(
                "A recursive requisite was found, SLS \"{}\" ID \"{}\" ID \"{name}\"",
                self.sls, self.id
            ));
        }
    }
}

/// The key of a target that is given by its ID alone.
const BARE: Value = Value::Nil;

/// Salt keeps mappings of an SLS ordered, and Python writes those so.
fn written(value: &Value) -> String {
    match value {
        Value::Map(map) if map.is_empty() => "OrderedDict()".to_owned(),
        Value::Map(map) => {
            let pairs = map.iter().map(|(key, value)| format!("({}, {})", inner(key), inner(value)));
            format!("OrderedDict([{}])", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::List(items) => {
            format!("[{}]", items.iter().map(inner).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn inner(value: &Value) -> String {
    match value {
        Value::Map(_) | Value::List(_) => written(value),
        other => other.repr(),
    }
}
