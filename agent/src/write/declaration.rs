//! The arguments of `mssql_write.present` as a [`WriteSpec`].
//!
//! `database`, `parameters`, `preconditions`, `statements`, `read_back`, `idempotent`, `entity`, `deadline` and `expires`
//! (seconds), `recipients` (default: pillar, then option `agent:sync:recipients`), `clear`, `schema`, and connection
//! options. A column is compared with or set to the parameter of the name given, or to one of `{value: CONSTANT}`,
//! `{now: local|utc}`, `{key_of: LABEL}`, `{request: True}`, `{next: True}`, `{add: NUMBER}`; a comparison other than
//! equality is `{lt: …}`, `{le: …}`, `{gt: …}`, `{ge: …}`, `{ne: …}`. There is no place for SQL text.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::time::Duration;

use states::{Map, Value};

use crate::mssql::ConnectionOptions;
use crate::mssql::arguments::{CONNECTION_ARGUMENTS, OptionSources};
use crate::mssql::quote::{ObjectName, SqlName};

use super::definition::{
    Action, Assignment, Clock, Comparison, Condition, Demand, Entity, Once, Operand, Precondition, ReadBack,
    Shape, Statement, WriteSpec,
};
use super::error::WriteError;
use super::names::WriteName;
use super::{parameter, well_formed};

impl WriteSpec {
    /// Reads the arguments. The shape of the tables is not known by this.
    ///
    /// # Errors
    /// An argument of the wrong kind, a name that nothing declares, nothing that makes the write happen once.
    pub fn read(name: &str, sources: &OptionSources<'_>) -> Result<Self, WriteError> {
        let args = sources.arguments;
        let connection = sources.connection()?;
        if connection.database.is_empty() {
            return Err(wrong("database", "given, here or as mssql.database"));
        }
        Self::assemble(WriteName::new(name)?, connection, recipients(sources)?, args)
    }

    /// The definition that the arguments describe, over a connection and for recipients that are known.
    ///
    /// # Errors
    /// As [`WriteSpec::read`].
    pub fn assemble(
        name: WriteName,
        connection: ConnectionOptions,
        recipients: Vec<String>,
        args: &Map,
    ) -> Result<Self, WriteError> {
        let once = once(args)?;
        let spec = Self {
            name,
            connection,
            parameters: parameter::declared(args)?,
            preconditions: each(args, "preconditions", precondition)?,
            statements: each(args, "statements", statement)?,
            read_back: read_back(args)?,
            once,
            entity: entity(args)?,
            deadline: seconds(args, "deadline")?.unwrap_or(DEFAULT_DEADLINE),
            expires: seconds(args, "expires")?,
            recipients,
            clear: texts(args, "clear")?,
            shape: Shape::default(),
        };
        well_formed::check(&spec)?;
        Ok(spec)
    }
}

/// The arguments that make the definition, without connection and recipients: what is stored of it.
#[must_use]
pub fn defining(args: &Map) -> Map {
    let defines = |name: &Value| name.as_str().is_some_and(|name| DEFINING.contains(&name));
    args.iter()
        .filter(|(name, value)| defines(name) && !value.is_nil())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Arguments that `mssql_write.present` does not know.
#[must_use]
pub fn unknown_arguments(args: &Map) -> Vec<String> {
    let known = |name: &str| {
        DEFINING.contains(&name)
            || OTHER.contains(&name)
            || CONNECTION_ARGUMENTS.contains(&name)
            || name.starts_with("__")
    };
    args.keys().filter_map(Value::as_str).filter(|name| !known(name)).map(str::to_owned).collect()
}

fn precondition(at: &str, map: &Map) -> Result<Precondition, WriteError> {
    only(at, map, &["table", "where", "expect", "absent"])?;
    let table = table(at, map, "table")?;
    let filter = conditions(at, map, "where")?;
    let demand = match (map.get("absent").and_then(Value::as_bool), map.contains_key("expect")) {
        (Some(true), false) => Demand::Absent,
        (None | Some(false), _) => Demand::Expect(conditions(at, map, "expect")?),
        (Some(true), true) => return Err(wrong(at, "given either expect or absent: True")),
    };
    Ok(Precondition { table, filter, demand })
}

fn statement(at: &str, map: &Map) -> Result<Statement, WriteError> {
    let verbs: Vec<&str> =
        ["insert", "update", "delete"].into_iter().filter(|verb| map.contains_key(verb)).collect();
    let [verb] = verbs.as_slice() else {
        return Err(wrong(at, "given one of insert, update or delete with a table"));
    };
    let (known, action): (&[&str], _) = match *verb {
        "insert" => (&["insert", "values", "label"], Action::Insert(assignments(at, map, "values")?)),
        "update" => (
            &["update", "set", "where", "rows", "label"],
            Action::Update(assignments(at, map, "set")?, conditions(at, map, "where")?),
        ),
        _ => (&["delete", "where", "rows", "label"], Action::Delete(conditions(at, map, "where")?)),
    };
    only(at, map, known)?;
    let (least, most) = rows(at, map)?;
    let label = match map.get("label") {
        None => at.rsplit(':').next().unwrap_or(at).to_owned(),
        Some(label) => label.as_str().ok_or_else(|| wrong(at, "given a text as label"))?.to_owned(),
    };
    Ok(Statement { label, table: table(at, map, verb)?, action, least, most })
}

/// `rows: 1`, or `rows: [least, most]`.
fn rows(at: &str, map: &Map) -> Result<(u64, u64), WriteError> {
    let expected = || wrong(&format!("{at}:rows"), "a number of rows, or [least, most]");
    let count = |value: &Value| value.as_int().and_then(|rows| u64::try_from(rows).ok()).ok_or_else(expected);
    match map.get("rows") {
        None => Ok((1, 1)),
        Some(Value::List(both)) => match both.as_slice() {
            [least, most] => Ok((count(least)?, count(most)?)),
            _ => Err(expected()),
        },
        Some(one) => count(one).map(|rows| (rows, rows)),
    }
}

fn read_back(args: &Map) -> Result<ReadBack, WriteError> {
    let at = "read_back";
    let map = match args.get(at) {
        Some(value) => mapping(at, value)?,
        None => return Err(wrong(at, "given: table, columns, where and keys of what is read at the end")),
    };
    only(at, &map, &["table", "columns", "where", "keys"])?;
    let columns = names(at, &map, "columns")?;
    let keys = names(at, &map, "keys")?;
    Ok(ReadBack { table: table(at, &map, "table")?, columns, keys, filter: conditions(at, &map, "where")? })
}

fn once(args: &Map) -> Result<Once, WriteError> {
    let map = match args.get("idempotent") {
        None | Some(Value::Nil) => return Err(WriteError::NotIdempotent),
        Some(value) => mapping("idempotent", value).map_err(|_| WriteError::NotIdempotent)?,
    };
    only("idempotent", &map, &["ledger", "external_id"])?;
    let name = |key: &str| map.get(key).and_then(Value::as_str).map(SqlName::new).transpose();
    match (name("ledger")?, name("external_id")?) {
        (Some(database), None) => Ok(Once::Ledger(database)),
        (None, Some(column)) => Ok(Once::ExternalId(column)),
        (None, None) | (Some(_), Some(_)) => Err(WriteError::NotIdempotent),
    }
}

fn entity(args: &Map) -> Result<Option<Entity>, WriteError> {
    let expected = || wrong("entity", "one name and its parameters: {appointment: appointment_id}");
    let map = match args.get("entity") {
        None | Some(Value::Nil) => return Ok(None),
        Some(value) => mapping("entity", value)?,
    };
    let mut pairs = map.iter();
    let (Some((name, _)), None) = (pairs.next(), pairs.next()) else { return Err(expected()) };
    let name = name.as_str().ok_or_else(expected)?.to_owned();
    let parameters = texts(&map, &name)?;
    if parameters.is_empty() { Err(expected()) } else { Ok(Some(Entity { name, parameters })) }
}

fn recipients(sources: &OptionSources<'_>) -> Result<Vec<String>, WriteError> {
    let own = texts(sources.arguments, "recipients")?;
    if !own.is_empty() {
        return Ok(own);
    }
    let shared = |root: Option<&Value>| {
        root.and_then(|agent| agent.get("sync")).and_then(|sync| sync.get("recipients")).cloned()
    };
    let found = shared(sources.pillar.get("agent")).or_else(|| shared(sources.opts.get("agent")));
    texts(&[("recipients", found.unwrap_or(Value::Nil))].into_iter().collect(), "recipients")
}

fn conditions(at: &str, map: &Map, name: &str) -> Result<Vec<Condition>, WriteError> {
    pairs(at, map, name)?
        .into_iter()
        .map(|(column, value)| {
            let compared = value.as_map().and_then(|map| {
                let (word, operand) = map.first().filter(|_| map.len() == 1)?;
                let found = Comparison::WORDS.iter().find(|(known, _)| word.as_str() == Some(known))?;
                Some((found.1, operand.clone()))
            });
            let (comparison, operand) = compared.unwrap_or((Comparison::Equal, value));
            let operand = self::operand(&format!("{at}:{name}:{column}"), &operand)?;
            Ok(Condition { column, comparison, operand })
        })
        .collect()
}

fn assignments(at: &str, map: &Map, name: &str) -> Result<Vec<Assignment>, WriteError> {
    let read = |(column, value): (SqlName, Value)| {
        let operand = operand(&format!("{at}:{name}:{column}"), &value)?;
        Ok(Assignment { column, operand })
    };
    pairs(at, map, name)?.into_iter().map(read).collect()
}

fn operand(at: &str, value: &Value) -> Result<Operand, WriteError> {
    let expected = || {
        let words = "{value: …}, {now: local}, {key_of: …}, {request: True}, {next: True} or {add: …}";
        wrong(at, &format!("the name of a parameter, or one of {words}"))
    };
    let map = match value {
        Value::Str(parameter) => return Ok(Operand::Parameter(parameter.clone())),
        Value::Map(map) if map.len() == 1 => map,
        _ => return Err(expected()),
    };
    let (word, given) = map.first().ok_or_else(expected)?;
    Ok(match (word.as_str().unwrap_or_default(), given) {
        ("value", constant) => Operand::Constant(constant.clone()),
        ("now", Value::Str(clock)) if clock == "local" => Operand::Now(Clock::Local),
        ("now", Value::Str(clock)) if clock == "utc" => Operand::Now(Clock::Utc),
        ("key_of", Value::Str(label)) => Operand::KeyOf(label.clone()),
        ("key_of", Value::Int(number)) => Operand::KeyOf(number.to_string()),
        ("request", Value::Bool(true)) => Operand::Request,
        ("next", Value::Bool(true)) => Operand::Next,
        ("add", Value::Int(number)) => Operand::Add(*number),
        ("add", Value::Str(parameter)) => Operand::AddParameter(parameter.clone()),
        _ => return Err(expected()),
    })
}

/// Reads a list of mappings; a place is named `statements:2`.
fn each<T>(
    args: &Map,
    name: &str,
    read: impl Fn(&str, &Map) -> Result<T, WriteError>,
) -> Result<Vec<T>, WriteError> {
    let items = match args.get(name) {
        None | Some(Value::Nil) => return Ok(Vec::new()),
        Some(Value::List(items)) => items,
        Some(_) => return Err(wrong(name, "a list")),
    };
    let one = |(at, item): (usize, &Value)| {
        let at = format!("{name}:{}", at + 1);
        read(&at, &mapping(&at, item)?)
    };
    items.iter().enumerate().map(one).collect()
}

fn mapping(at: &str, value: &Value) -> Result<Map, WriteError> {
    match value {
        Value::Map(map) => Ok(map.clone()),
        // A state's argument may be a list of one-entry mappings, as SLS files like to write it.
        Value::List(items) => {
            let mut all = Map::new();
            for item in items {
                all.extend(item.as_map().ok_or_else(|| wrong(at, "a mapping"))?.clone());
            }
            Ok(all)
        }
        _ => Err(wrong(at, "a mapping")),
    }
}

fn pairs(at: &str, map: &Map, name: &str) -> Result<Vec<(SqlName, Value)>, WriteError> {
    let at = format!("{at}:{name}");
    let Some(value) = map.get(name) else { return Ok(Vec::new()) };
    let map = mapping(&at, value)?;
    map.iter()
        .map(|(column, value)| {
            let column = column.as_str().ok_or_else(|| wrong(&at, "a mapping of column names"))?;
            Ok((SqlName::new(column)?, value.clone()))
        })
        .collect()
}

fn table(at: &str, map: &Map, name: &str) -> Result<ObjectName, WriteError> {
    let text = map.get(name).and_then(Value::as_str);
    let text = text.ok_or_else(|| wrong(&format!("{at}:{name}"), "'table' or 'schema.table'"))?;
    Ok(ObjectName::parse(text)?)
}

fn names(at: &str, map: &Map, name: &str) -> Result<Vec<SqlName>, WriteError> {
    let texts = texts(map, name).map_err(|_| wrong(&format!("{at}:{name}"), "a list of column names"))?;
    Ok(texts.into_iter().map(SqlName::new).collect::<Result<_, _>>()?)
}

fn texts(map: &Map, name: &str) -> Result<Vec<String>, WriteError> {
    let expected = || wrong(name, "a list of texts");
    match map.get(name) {
        None | Some(Value::Nil) => Ok(Vec::new()),
        Some(Value::Str(one)) => Ok(vec![one.clone()]),
        Some(Value::List(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(expected)).collect()
        }
        Some(_) => Err(expected()),
    }
}

fn seconds(args: &Map, name: &str) -> Result<Option<Duration>, WriteError> {
    let expected = || wrong(name, "a number of seconds greater than 0");
    match args.get(name) {
        None | Some(Value::Nil) => Ok(None),
        Some(value) => {
            let seconds = value.as_float().filter(|seconds| *seconds > 0.0).ok_or_else(expected)?;
            Duration::try_from_secs_f64(seconds).map(Some).map_err(|_| expected())
        }
    }
}

fn only(at: &str, map: &Map, known: &[&str]) -> Result<(), WriteError> {
    match map.keys().find(|key| !key.as_str().is_some_and(|key| known.contains(&key))) {
        Some(odd) => Err(wrong(at, &format!("without '{odd}': known are {}", known.join(", ")))),
        None => Ok(()),
    }
}

fn wrong(name: &str, expected: &str) -> WriteError {
    WriteError::Argument { name: name.to_owned(), expected: expected.to_owned() }
}

const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
/// The arguments that make a definition.
pub const DEFINING: &[&str] = &[
    "parameters",
    "preconditions",
    "statements",
    "read_back",
    "idempotent",
    "entity",
    "deadline",
    "expires",
    "clear",
];
const OTHER: &[&str] = &["name", "recipients", "schema"];
