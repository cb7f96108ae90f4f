//! The form of high data: declarations are padded, and what is not formed as Salt wants is refused in its words.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use crate::{Map, RequisiteKind, Value};

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
pub(super) fn verify(high: &Map) -> Vec<String> {
    let mut errors = Vec::new();
    for (id, body) in high {
        let sls = body.get("__sls__").map(Value::to_string).unwrap_or_default();
        match id.as_str() {
            Some(text) if text.starts_with("__") => continue,
            Some(_) => {}
            None => errors.push(format!(
                "ID '{id}' in SLS '{sls}' is not formed as a string, but is type {}. It may need to be quoted.",
                id.type_name()
            )),
        }
        let Value::Map(body) = body else {
            errors.push(format!("The type {id} in {body} is not formatted as a dictionary"));
            continue;
        };
        let place = Place { id: id.to_string(), sls };
        for (state, args) in body {
            let state = state.to_string();
            if !state.starts_with("__") {
                place.declaration(&state, args, &mut errors);
            }
        }
    }
    errors
}

/// Where a declaration stands, for the words of its errors.
struct Place {
    id: String,
    sls: String,
}

impl Place {
    fn declaration(&self, state: &str, args: &Value, errors: &mut Vec<String>) {
        let Place { id, sls } = self;
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
                Value::Map(arg) => self.argument(arg, errors),
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

    fn argument(&self, arg: &Map, errors: &mut Vec<String>) {
        let Place { id, sls } = self;
        let Some((key, value)) = arg.first() else { return };
        let key = key.to_string();
        if key == "names" && !matches!(value, Value::List(_)) {
            errors.push(format!(
                "The 'names' argument in state '{id}' in SLS '{sls}' needs to be formed as a list"
            ));
        }
        if RequisiteKind::from_name(&key).is_none() && key != "onfail_stop" {
            return;
        }
        let Value::List(targets) = value else {
            errors.push(format!(
                "The {key} statement in state '{id}' in SLS '{sls}' needs to be formed as a list"
            ));
            return;
        };
        for target in targets {
            self.target(target, errors);
        }
        if arg.len() != 1 {
            errors.push(format!("Multiple dictionaries defined in argument of state '{id}' in SLS '{sls}'"));
        }
    }

    fn target(&self, target: &Value, errors: &mut Vec<String>) {
        let Place { id, sls } = self;
        let pair = match target {
            Value::Str(_) => return,
            Value::Map(map) if map.len() == 1 => map.first(),
            _ => None,
        };
        let Some((key, value)) = pair else {
            errors.push(format!(
                "Requisite declaration {target} in state {id} in SLS {sls} is not formed as a single key dictionary"
            ));
            return;
        };
        let key = key.to_string();
        if let Some((module, _)) = key.split_once('.') {
            errors.push(format!(
                "Invalid requisite type '{key}' in state '{id}', in SLS '{sls}'. Requisite types must not contain \
                 dots, did you mean '{module}'?"
            ));
        }
        if matches!(value, Value::List(_) | Value::Map(_)) {
            errors
                .push(format!("Illegal requisite \"{value}\" in SLS \"{sls}\", please check your syntax.\n"));
        }
    }
}
