//! Single arguments: texts, lists, spans of time, masks and conditions.

use std::time::Duration;

use states::{Map, Value};

use crate::mssql::Param;
use crate::mssql::arguments::scalar;
use crate::sync::SyncError;
use crate::sync::check::{ConditionRequest, MaskRequest, TestRequest};
use crate::sync::spec::{Comparison, Mask};

pub(super) fn text(args: &Map, name: &'static str) -> Result<Option<String>, SyncError> {
    match args.get(name) {
        None | Some(Value::Nil) => Ok(None),
        Some(value) => scalar(value).map(Some).ok_or_else(|| wrong(name, "a text")),
    }
}

pub(super) fn names(args: &Map, name: &'static str) -> Result<Option<Vec<String>>, SyncError> {
    match args.get(name) {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::Str(one)) => Ok(Some(vec![one.clone()])),
        Some(Value::List(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(name, "a list of texts")))
            .collect::<Result<_, _>>()
            .map(Some),
        Some(Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Bytes(_) | Value::Map(_)) => {
            Err(wrong(name, "a list of texts"))
        }
    }
}

pub(super) fn pairs(args: &Map, name: &'static str) -> Result<Vec<(String, String)>, SyncError> {
    let expected = || wrong(name, "a mapping of column names to texts");
    let pair = |(key, value): (&Value, &Value)| Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()));
    entries(args, name, expected)?.into_iter().map(|entry| pair(entry).ok_or_else(expected)).collect()
}

pub(super) fn seconds(
    args: &Map,
    name: &'static str,
    shortest: Duration,
) -> Result<Option<Duration>, SyncError> {
    let expected = || wrong(name, &format!("a number of seconds of at least {}", shortest.as_secs_f64()));
    match args.get(name) {
        None | Some(Value::Nil) => Ok(None),
        Some(value) => {
            let seconds =
                value.as_float().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
            let duration =
                seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(expected)?;
            if duration < shortest { Err(expected()) } else { Ok(Some(duration)) }
        }
    }
}

pub(super) fn mask(args: &Map) -> Result<Vec<(String, MaskRequest)>, SyncError> {
    let expected = || wrong("mask", "a mapping of columns to drop, hash, null or {truncate: characters}");
    let one = |(column, how): (&Value, &Value)| {
        let mask = match how {
            Value::Nil => MaskRequest::As(Mask::Null),
            Value::Str(how) => match how.as_str() {
                "drop" => MaskRequest::Drop,
                "null" => MaskRequest::As(Mask::Null),
                "hash" => MaskRequest::As(Mask::Hash),
                _ => return None,
            },
            Value::Map(how) => {
                let length = how.get("truncate").and_then(Value::as_int)?;
                MaskRequest::As(Mask::Truncate(u16::try_from(length).ok().filter(|length| *length > 0)?))
            }
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Bytes(_) | Value::List(_) => {
                return None;
            }
        };
        Some((column.as_str()?.to_owned(), mask))
    };
    entries(args, "mask", expected)?.into_iter().map(|entry| one(entry).ok_or_else(expected)).collect()
}

pub(super) fn filter(args: &Map) -> Result<Vec<ConditionRequest>, SyncError> {
    let expected = || {
        wrong(
            "filter",
            "a list of {column, op, value}; op is =, <>, <, <=, >, >=, like, in, is null or is not null",
        )
    };
    match args.get("filter") {
        None | Some(Value::Nil) => Ok(Vec::new()),
        Some(Value::List(conditions)) => {
            conditions.iter().map(|one| condition(one).ok_or_else(expected)).collect()
        }
        Some(_) => Err(expected()),
    }
}

fn condition(given: &Value) -> Option<ConditionRequest> {
    let column = given.get("column")?.as_str()?.to_owned();
    let op = given.get("op").map_or(Some("="), Value::as_str)?;
    let value = given.get("value");
    let test = match op.trim().to_ascii_lowercase().as_str() {
        "is null" => TestRequest::Null(true),
        "is not null" => TestRequest::Null(false),
        "in" => {
            let values: Vec<Param> = value?.as_list()?.iter().map(param).collect::<Option<_>>()?;
            if values.is_empty() || values.len() > MOST_VALUES {
                return None;
            }
            TestRequest::In(values)
        }
        op => TestRequest::Compares(Comparison::read(op)?, param(value?)?),
    };
    Some(ConditionRequest { column, test })
}

fn param(value: &Value) -> Option<Param> {
    match value {
        Value::Str(text) => Some(Param::Text(text.clone())),
        Value::Int(number) => Some(Param::BigInt(*number)),
        Value::Float(number) => Some(Param::Float(*number)),
        Value::Bool(truth) => Some(Param::Bit(*truth)),
        Value::Nil | Value::Bytes(_) | Value::List(_) | Value::Map(_) => None,
    }
}

fn entries<'a>(
    args: &'a Map,
    name: &'static str,
    expected: impl Fn() -> SyncError,
) -> Result<Vec<(&'a Value, &'a Value)>, SyncError> {
    match args.get(name) {
        None | Some(Value::Nil) => Ok(Vec::new()),
        Some(Value::Map(map)) => Ok(map.iter().collect()),
        Some(_) => Err(expected()),
    }
}

pub(super) fn wrong(name: &'static str, expected: &str) -> SyncError {
    SyncError::Argument { name, expected: expected.to_owned() }
}

/// A statement takes 2100 parameters, and a page needs some for itself.
const MOST_VALUES: usize = 500;
