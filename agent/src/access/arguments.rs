//! The arguments of Salt's `mssql_login` and `mssql_user` states.
//!
//! `options` may be a list of `KEY=VALUE` texts, a mapping, or a list of mappings (`salt/states/mssql_login.py`,
//! `_normalize_options`). Salt pastes them into the statement; here each known option is read and quoted, and an unknown
//! one is refused.

use states::{Map, Value};

use crate::mssql::arguments::scalar;
use crate::mssql::quote::SqlName;

use super::AccessError;

/// One option: upper-case key, value as text.
pub type OptionPair = (String, String);

/// The `options` argument as pairs in order.
///
/// # Errors
/// It has none of the three forms.
pub fn options(args: &Map) -> Result<Vec<OptionPair>, AccessError> {
    match args.get("options") {
        None | Some(Value::Nil) => Ok(Vec::new()),
        Some(Value::Map(map)) => pairs(map),
        Some(Value::List(items)) => {
            let parts: Vec<Vec<OptionPair>> = items.iter().map(option_item).collect::<Result<_, _>>()?;
            Ok(parts.concat())
        }
        Some(Value::Str(_) | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Bytes(_)) => {
            Err(bad_options())
        }
    }
}

/// A text argument; `None` when it was not given or is empty.
///
/// # Errors
/// It is a collection.
pub fn text(args: &Map, name: &str) -> Result<Option<String>, AccessError> {
    match args.get(name) {
        None | Some(Value::Nil) => Ok(None),
        Some(value) => match scalar(value) {
            Some(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            None => Err(AccessError::Argument(format!("the argument {name} must be a text"))),
        },
    }
}

/// A name argument.
///
/// # Errors
/// It is no name.
pub fn name(args: &Map, argument: &str) -> Result<Option<SqlName>, AccessError> {
    Ok(text(args, argument)?.map(SqlName::new).transpose()?)
}

/// A list of names; a single text is a list of one.
///
/// # Errors
/// It holds something that is no name.
pub fn names(args: &Map, argument: &str) -> Result<Vec<SqlName>, AccessError> {
    let wrong = || AccessError::Argument(format!("the argument {argument} must be a list of names"));
    match args.get(argument) {
        None | Some(Value::Nil) => Ok(Vec::new()),
        Some(Value::List(items)) => {
            items.iter().map(|item| Ok(SqlName::new(item.as_str().ok_or_else(wrong)?)?)).collect()
        }
        Some(Value::Str(one)) => Ok(vec![SqlName::new(one.clone())?]),
        Some(Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Bytes(_) | Value::Map(_)) => {
            Err(wrong())
        }
    }
}

/// A yes-or-no argument; `None` when it was not given.
///
/// # Errors
/// It is neither.
pub fn switch(args: &Map, name: &str) -> Result<Option<bool>, AccessError> {
    match args.get(name) {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::Bool(truth)) => Ok(Some(*truth)),
        Some(_) => Err(AccessError::Argument(format!("the argument {name} must be True or False"))),
    }
}

/// An option's value as a name: brackets around it are taken off.
///
/// # Errors
/// It is no name.
pub fn option_name(value: &str) -> Result<SqlName, AccessError> {
    let bare = value.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    Ok(SqlName::new(bare.map_or_else(|| value.to_owned(), |inner| inner.replace("]]", "]")))?)
}

/// An option's value as ON or OFF.
///
/// # Errors
/// It is neither.
pub fn option_switch(key: &str, value: &str) -> Result<bool, AccessError> {
    match value.to_ascii_uppercase().as_str() {
        "ON" | "TRUE" => Ok(true),
        "OFF" | "FALSE" => Ok(false),
        _ => Err(AccessError::Argument(format!("the option {key} must be ON or OFF"))),
    }
}

fn option_item(item: &Value) -> Result<Vec<OptionPair>, AccessError> {
    match item {
        Value::Str(text) => {
            let (key, value) = text.split_once('=').ok_or_else(bad_options)?;
            Ok(vec![(key.trim().to_ascii_uppercase(), value.trim().to_owned())])
        }
        Value::Map(map) => pairs(map),
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Bytes(_) | Value::List(_) => {
            Err(bad_options())
        }
    }
}

fn pairs(map: &Map) -> Result<Vec<OptionPair>, AccessError> {
    map.iter()
        .map(|(key, value)| {
            let key = key.as_str().ok_or_else(bad_options)?;
            Ok((key.trim().to_ascii_uppercase(), scalar(value).ok_or_else(bad_options)?))
        })
        .collect()
}

fn bad_options() -> AccessError {
    AccessError::Argument(
        "options must be a list of KEY=VALUE texts, a mapping, or a list of mappings".into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(options: Value) -> Map {
        let mut args = Map::new();
        args.insert("options", options);
        args
    }

    #[test]
    fn options_are_read_in_salts_three_forms() {
        let mut map = Map::new();
        map.insert("default_database", "x");
        let expected = vec![("DEFAULT_DATABASE".to_owned(), "x".to_owned())];
        assert_eq!(options(&args(Value::Map(map.clone()))).unwrap(), expected);
        assert_eq!(options(&args(Value::List(vec![Value::Map(map)]))).unwrap(), expected);
        assert_eq!(options(&args(Value::List(vec!["DEFAULT_DATABASE = x".into()]))).unwrap(), expected);
        assert!(options(&args("x".into())).is_err());
    }

    #[test]
    fn brackets_of_an_option_are_taken_off() {
        assert_eq!(option_name("[a]]b]").unwrap().as_str(), "a]b");
        assert_eq!(option_name("plain").unwrap().as_str(), "plain");
    }
}
