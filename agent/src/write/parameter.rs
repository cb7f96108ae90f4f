//! The parameters of a write: types, limits, and the values of one request.
//!
//! `parameters` maps a name to a type (`int`) or to `{type, nullable, default, min, max, min_length, values}`. A value outside
//! its limits is refused by the parameter's name and the limit, never with the value.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::cmp::Ordering;
use std::collections::BTreeMap;

use states::{Map, Value};

use crate::mssql::Param;
use crate::mssql::arguments::scalar;

use super::error::WriteError;
use super::kind::Kind;

/// One declared parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// Whether NULL may be given.
    pub nullable: bool,
    default: Option<Option<Param>>,
    least: Option<Param>,
    most: Option<Param>,
    min_length: usize,
    values: Vec<Param>,
}

/// The values of one request by parameter name; `None` is NULL.
pub type Values = BTreeMap<String, Option<Param>>;

/// Reads the declared parameters.
///
/// # Errors
/// Names what is wrong with which parameter.
pub fn declared(args: &Map) -> Result<Vec<Parameter>, WriteError> {
    let parameters = match args.get("parameters") {
        None | Some(Value::Nil) => return Ok(Vec::new()),
        Some(Value::Map(map)) => map,
        Some(_) => return Err(wrong("parameters", "a mapping of names to types")),
    };
    parameters.iter().map(|(name, spec)| one(name, spec)).collect()
}

/// The values of a request.
///
/// # Errors
/// A value that does not fit, a parameter that is missing, a name that is none of the write's parameters.
pub fn values(parameters: &[Parameter], given: &Map) -> Result<Values, WriteError> {
    let unknown =
        given.keys().find(|name| !parameters.iter().any(|known| name.as_str() == Some(&known.name)));
    if let Some(name) = unknown {
        let known: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        return Err(refused(
            &name.to_string(),
            format!("is none of this write's parameters ({})", known.join(", ")),
        ));
    }
    parameters.iter().map(|parameter| Ok((parameter.name.clone(), parameter.value(given)?))).collect()
}

/// SHA-256 over the write's name and the values: what makes two requests the same.
pub fn digest(write: &str, values: &Values) -> Vec<u8> {
    let canonical = serde_json::to_vec(&(write, values)).unwrap_or_default();
    ring::digest::digest(&ring::digest::SHA256, &canonical).as_ref().to_vec()
}

impl Parameter {
    /// The type with its limits, for who reads the definition.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut text = self.kind.to_string();
        let limit = |param: &Param| Kind::json(Some(param)).to_string();
        if let Some(least) = &self.least {
            text.push_str(&format!(", min {}", limit(least)));
        }
        if let Some(most) = &self.most {
            text.push_str(&format!(", max {}", limit(most)));
        }
        if self.min_length > 0 {
            text.push_str(&format!(", min_length {}", self.min_length));
        }
        if !self.values.is_empty() {
            let values: Vec<String> = self.values.iter().map(limit).collect();
            text.push_str(&format!(", one of {}", values.join(", ")));
        }
        if self.nullable {
            text.push_str(", may be null");
        }
        if self.default.is_some() {
            text.push_str(", may be left out");
        }
        text
    }

    fn value(&self, given: &Map) -> Result<Option<Param>, WriteError> {
        let Some(value) = given.get(&self.name) else {
            return self.default.clone().ok_or_else(|| refused(&self.name, "is missing".to_owned()));
        };
        let read = self.kind.param(value);
        let param = read.map_err(|expected| refused(&self.name, format!("must be {expected}")))?;
        match &param {
            None if self.nullable => {}
            None => return Err(refused(&self.name, "may not be null".to_owned())),
            Some(param) => self.within(param).map_err(|limit| refused(&self.name, limit))?,
        }
        Ok(param)
    }

    /// Holds a value against the limits; the error says which.
    fn within(&self, param: &Param) -> Result<(), String> {
        let limit = |param: &Param| Kind::json(Some(param)).to_string();
        if let Some(least) = &self.least
            && order(param, least) == Some(Ordering::Less)
        {
            return Err(format!("must be at least {}", limit(least)));
        }
        if let Some(most) = &self.most
            && order(param, most) == Some(Ordering::Greater)
        {
            return Err(format!("must be at most {}", limit(most)));
        }
        if let Param::Text(text) = param
            && text.chars().count() < self.min_length
        {
            return Err(format!("must have at least {} characters", self.min_length));
        }
        if !self.values.is_empty() && !self.values.contains(param) {
            let values: Vec<String> = self.values.iter().map(limit).collect();
            return Err(format!("must be one of {}", values.join(", ")));
        }
        Ok(())
    }
}

fn one(name: &Value, spec: &Value) -> Result<Parameter, WriteError> {
    let name = name
        .as_str()
        .filter(|name| is_identifier(name))
        .ok_or_else(|| wrong("parameters", "a mapping whose names are letters, digits and underscores"))?;
    let at = format!("parameters:{name}");
    let (kind, limits) = match spec {
        Value::Str(kind) => (kind.clone(), Map::new()),
        Value::Map(map) => {
            (map.get("type").and_then(scalar).ok_or_else(|| wrong(&at, "given a type"))?, map.clone())
        }
        _ => return Err(wrong(&at, "a type, or a mapping with a type and limits")),
    };
    let kind =
        Kind::parse(&kind).ok_or_else(|| wrong(&at, "of a SQL Server type that a parameter can have"))?;
    let known = ["type", "nullable", "default", "min", "max", "min_length", "values"];
    if let Some(odd) = limits.keys().find(|key| !key.as_str().is_some_and(|key| known.contains(&key))) {
        return Err(wrong(&at, &format!("without '{odd}': known are {}", known.join(", "))));
    }
    read(name, kind, &limits).map_err(|(what, expected)| wrong(&format!("{at}:{what}"), &expected))
}

fn read(name: &str, kind: Kind, limits: &Map) -> Result<Parameter, (&'static str, String)> {
    let param = |what: &'static str, value: &Value| match kind.param(value) {
        Ok(Some(param)) => Ok(param),
        Ok(None) => Err((what, kind.to_string())),
        Err(expected) => Err((what, expected)),
    };
    let bound = |what| limits.get(what).map(|value| param(what, value)).transpose();
    let nullable = match limits.get("nullable") {
        None => false,
        Some(value) => value.as_bool().ok_or(("nullable", "True or False".to_owned()))?,
    };
    let values = match limits.get("values") {
        None => Vec::new(),
        Some(Value::List(items)) => {
            items.iter().map(|item| param("values", item)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(("values", "a list".to_owned())),
    };
    let min_length = match limits.get("min_length") {
        None => 0,
        Some(value) => value
            .as_int()
            .and_then(|length| usize::try_from(length).ok())
            .ok_or(("min_length", "a whole number".to_owned()))?,
    };
    let default = match limits.get("default") {
        None => None,
        Some(Value::Nil) if nullable => Some(None),
        Some(value) => Some(Some(param("default", value)?)),
    };
    let (least, most) = (bound("min")?, bound("max")?);
    for (what, limit) in [("min", &least), ("max", &most)] {
        if limit.as_ref().is_some_and(|limit| order(limit, limit).is_none()) {
            return Err((what, format!("left out: {kind} has no order")));
        }
    }
    Ok(Parameter { name: name.to_owned(), kind, nullable, default, least, most, min_length, values })
}

/// How two values of one type compare; `None` where a type has no order of its own here.
fn order(a: &Param, b: &Param) -> Option<Ordering> {
    match (a, b) {
        (Param::TinyInt(a), Param::TinyInt(b)) => Some(a.cmp(b)),
        (Param::SmallInt(a), Param::SmallInt(b)) => Some(a.cmp(b)),
        (Param::Int(a), Param::Int(b)) => Some(a.cmp(b)),
        (Param::BigInt(a), Param::BigInt(b)) => Some(a.cmp(b)),
        (Param::Real(a), Param::Real(b)) => a.partial_cmp(b),
        (Param::Float(a), Param::Float(b)) => a.partial_cmp(b),
        (Param::Decimal(a, _), Param::Decimal(b, _)) => {
            Some(a.parse::<i128>().ok()?.cmp(&b.parse::<i128>().ok()?))
        }
        (Param::Date(a), Param::Date(b)) => Some(a.cmp(b)),
        (Param::Time(a, _), Param::Time(b, _)) => Some(a.cmp(b)),
        (Param::DateTime(a, at), Param::DateTime(b, bt)) => Some((a, at).cmp(&(b, bt))),
        (Param::SmallDateTime(a, at), Param::SmallDateTime(b, bt)) => Some((a, at).cmp(&(b, bt))),
        (Param::DateTime2(a, at, _), Param::DateTime2(b, bt, _))
        | (Param::DateTimeOffset(a, at, _, _), Param::DateTimeOffset(b, bt, _, _)) => {
            Some((a, at).cmp(&(b, bt)))
        }
        _ => None,
    }
}

fn is_identifier(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.len() <= 64
        && name.chars().all(word)
}

fn wrong(at: &str, expected: &str) -> WriteError {
    WriteError::Argument { name: at.to_owned(), expected: expected.to_owned() }
}

fn refused(name: &str, why: String) -> WriteError {
    WriteError::Parameter { name: name.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Map {
        states::yaml::load(text).unwrap().as_map().cloned().unwrap()
    }

    fn parameters() -> Vec<Parameter> {
        declared(&map(
            "parameters:\n  id: {type: int, min: 1}\n  status: {type: nvarchar(20), values: [Scheduled, Confirmed]}\n  \
             note: {type: nvarchar(100), nullable: true, default: null}\n  fee: {type: 'decimal(10,2)', max: 1000, default: '0'}\n",
        ))
        .unwrap()
    }

    fn why(given: &str) -> String {
        values(&parameters(), &map(given)).unwrap_err().to_string()
    }

    #[test]
    fn values_are_typed_and_defaults_filled_in() {
        let values = values(&parameters(), &map("{id: 7, status: Confirmed}")).unwrap();
        assert_eq!(values["id"], Some(Param::Int(7)));
        assert_eq!(values["note"], None);
        assert_eq!(values["fee"], Some(Param::Decimal("0".into(), 2)));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name_and_limit_without_the_value() {
        assert_eq!(why("{status: Confirmed}"), "the parameter id is missing");
        assert_eq!(why("{id: 0, status: Confirmed}"), "the parameter id must be at least 1");
        assert_eq!(why("{id: null, status: Confirmed}"), "the parameter id may not be null");
        assert!(why("{id: 1, status: Confirmed, fee: '1000.01'}").ends_with("at most \"1000.00\""));
        assert!(
            why("{id: 1, status: Confirmed, name: x}").contains("name is none of this write's parameters")
        );
        let said = why("{id: 1, status: Miller}");
        assert!(said.contains("one of \"Scheduled\", \"Confirmed\"") && !said.contains("Miller"), "{said}");
    }

    #[test]
    fn the_digest_sees_values_and_not_their_spelling() {
        let of = |given: &str| digest("w", &values(&parameters(), &map(given)).unwrap());
        assert_eq!(
            of("{id: 1, status: Confirmed}"),
            of("{status: Confirmed, id: '1', note: null, fee: 0.0}")
        );
        assert_ne!(of("{id: 1, status: Confirmed}"), of("{id: 2, status: Confirmed}"));
    }

    #[test]
    fn a_bad_declaration_names_its_place() {
        let why = |text: &str| declared(&map(text)).unwrap_err().to_string();
        assert!(why("parameters: {a: geometry}").contains("parameters:a must be of a SQL Server type"));
        assert!(why("parameters: {a: {type: int, limit: 3}}").contains("without 'limit'"));
        assert!(why("parameters: {a: {type: int, min: x}}").contains("parameters:a:min"));
        assert!(why("parameters: {'a b': int}").contains("letters, digits"));
    }
}
