//! The arguments of `mssql_sync.present` as a [`JobRequest`].
//!
//! `database`, `table`, `columns` (default: all), `key` (default: the primary key), `cursor` (`auto`, `rowversion` or `digest`), `cursor_column`,
//! `interval` (seconds, default 600), `batch_rows`, `recipients` (default: pillar, then option `agent:sync:recipients`),
//! `allow_plain`, and connection options. An argument that is not one of these is reported, not ignored.

use std::time::Duration;

use states::{Map, Value};

use crate::mssql::arguments::{CONNECTION_ARGUMENTS, OptionSources, scalar};
use crate::mssql::quote::ObjectName;

use super::SyncError;
use super::check::{CursorRequest, JobRequest};
use super::names::JobName;
use super::spec::Seal;

impl JobRequest {
    /// Reads the arguments.
    ///
    /// # Errors
    /// An argument of the wrong kind; nobody to seal for.
    pub fn read(name: &str, sources: &OptionSources<'_>) -> Result<Self, SyncError> {
        let args = sources.arguments;
        let table = text(args, "table")?.ok_or_else(|| wrong("table", "given: 'table' or 'schema.table'"))?;
        let connection = sources.connection()?;
        if connection.database.is_empty() {
            return Err(wrong("database", "given, here or as mssql.database"));
        }
        Ok(Self {
            name: JobName::new(name)?,
            connection,
            table: ObjectName::parse(&table)?,
            columns: names(args, "columns")?.filter(|names| !is_all(names)),
            key: names(args, "key")?,
            cursor: cursor(args)?,
            interval: interval(args)?,
            batch_rows: batch_rows(args)?,
            seal: seal(sources)?,
        })
    }
}

/// Arguments that `mssql_sync.present` does not know.
pub fn unknown_arguments(args: &Map) -> Vec<String> {
    let known = |name: &str| {
        ARGUMENTS.contains(&name) || CONNECTION_ARGUMENTS.contains(&name) || name.starts_with("__")
    };
    args.keys().filter_map(Value::as_str).filter(|name| !known(name)).map(str::to_owned).collect()
}

fn cursor(args: &Map) -> Result<CursorRequest, SyncError> {
    match (text(args, "cursor")?.as_deref(), text(args, "cursor_column")?) {
        (None | Some("auto" | "rowversion"), None) => Ok(CursorRequest::Rowversion),
        (None | Some("auto" | "rowversion"), Some(column)) => Ok(CursorRequest::Column(column)),
        (Some("digest"), None) => Ok(CursorRequest::Digest),
        (Some("digest"), Some(_)) => Err(wrong("cursor_column", "left out: a digest has no cursor column")),
        (Some(other), _) => Err(wrong(
            "cursor",
            &format!(
                "auto, rowversion or digest: '{other}' is not built (name a rowversion column in cursor_column)"
            ),
        )),
    }
}

fn interval(args: &Map) -> Result<Duration, SyncError> {
    let expected = || wrong("interval", "a number of seconds of at least 0.1");
    match args.get("interval") {
        None | Some(Value::Nil) => Ok(DEFAULT_INTERVAL),
        Some(value) => {
            let seconds =
                value.as_float().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
            let duration =
                seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(expected)?;
            if duration < SHORTEST_INTERVAL { Err(expected()) } else { Ok(duration) }
        }
    }
}

fn batch_rows(args: &Map) -> Result<u32, SyncError> {
    match args.get("batch_rows") {
        None | Some(Value::Nil) => Ok(DEFAULT_BATCH_ROWS),
        Some(value) => value
            .as_int()
            .and_then(|rows| u32::try_from(rows).ok())
            .filter(|rows| (1..=MOST_BATCH_ROWS).contains(rows))
            .ok_or_else(|| wrong("batch_rows", "a whole number from 1 to 1000000")),
    }
}

fn seal(sources: &OptionSources<'_>) -> Result<Seal, SyncError> {
    let own = names(sources.arguments, "recipients")?;
    let shared = |root: Option<&Value>| {
        root.and_then(|sync| sync.get("sync")).and_then(|sync| sync.get("recipients")).cloned()
    };
    let recipients = match own {
        Some(recipients) => recipients,
        None => {
            let found = shared(sources.pillar.get("agent")).or_else(|| shared(sources.opts.get("agent")));
            let mut holder = Map::new();
            holder.insert("recipients", found.unwrap_or(Value::Nil));
            names(&holder, "recipients")?.unwrap_or_default()
        }
    };
    let allow_plain = match sources.arguments.get("allow_plain") {
        None | Some(Value::Nil) => false,
        Some(value) => value.as_bool().ok_or_else(|| wrong("allow_plain", "True or False"))?,
    };
    match (recipients.is_empty(), allow_plain) {
        (false, _) => Ok(Seal::Recipients(recipients)),
        (true, true) => Ok(Seal::Plain),
        (true, false) => Err(SyncError::NoRecipients),
    }
}

fn text(args: &Map, name: &'static str) -> Result<Option<String>, SyncError> {
    match args.get(name) {
        None | Some(Value::Nil) => Ok(None),
        Some(value) => scalar(value).map(Some).ok_or_else(|| wrong(name, "a text")),
    }
}

fn names(args: &Map, name: &'static str) -> Result<Option<Vec<String>>, SyncError> {
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

fn is_all(names: &[String]) -> bool {
    matches!(names, [one] if one == "all" || one == "*")
}

fn wrong(name: &'static str, expected: &str) -> SyncError {
    SyncError::Argument { name, expected: expected.to_owned() }
}

const ARGUMENTS: &[&str] = &[
    "name",
    "table",
    "columns",
    "key",
    "cursor",
    "cursor_column",
    "interval",
    "batch_rows",
    "recipients",
    "allow_plain",
];
const DEFAULT_INTERVAL: Duration = Duration::from_secs(600);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
const DEFAULT_BATCH_ROWS: u32 = 50_000;
const MOST_BATCH_ROWS: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, Value)]) -> Result<JobRequest, SyncError> {
        let mut arguments = Map::new();
        arguments.insert("database", "Main_OMS");
        arguments.insert("table", "Appointment");
        for (key, value) in pairs {
            arguments.insert(*key, value.clone());
        }
        let (opts, pillar) =
            (Map::new(), states::yaml::load("agent: {sync: {recipients: [age1x]}}").unwrap());
        JobRequest::read(
            "j",
            &OptionSources { arguments: &arguments, opts: &opts, pillar: &pillar, taken: &[] },
        )
    }

    #[test]
    fn recipients_come_from_the_pillar_when_not_given() {
        assert_eq!(read(&[]).unwrap().seal, Seal::Recipients(vec!["age1x".into()]));
        let own = read(&[("recipients", Value::List(vec!["age1y".into()]))]).unwrap();
        assert_eq!(own.seal, Seal::Recipients(vec!["age1y".into()]));
        let none = ("recipients", Value::List(vec![]));
        assert!(matches!(read(std::slice::from_ref(&none)), Err(SyncError::NoRecipients)));
        assert_eq!(read(&[none, ("allow_plain", Value::Bool(true))]).unwrap().seal, Seal::Plain);
    }

    #[test]
    fn cursors_that_are_not_built_are_refused() {
        assert!(read(&[("cursor", "auto".into())]).is_ok());
        let text = read(&[("cursor", "datetime".into())]).unwrap_err().to_string();
        assert!(text.contains("'datetime' is not built"), "{text}");
    }

    #[test]
    fn numbers_are_bounded() {
        assert_eq!(read(&[]).unwrap().interval, Duration::from_secs(600));
        assert_eq!(read(&[("interval", Value::Float(0.5))]).unwrap().interval, Duration::from_millis(500));
        assert!(read(&[("interval", Value::Int(0))]).is_err());
        assert!(read(&[("interval", Value::Int(-5))]).is_err());
        assert!(read(&[("batch_rows", Value::Int(0))]).is_err());
        assert!(read(&[("table", Value::Nil)]).is_err());
    }

    #[test]
    fn all_columns_may_be_said_in_words() {
        assert_eq!(read(&[("columns", "all".into())]).unwrap().columns, None);
        let some = read(&[("columns", Value::List(vec!["A".into(), "B".into()]))]).unwrap();
        assert_eq!(some.columns, Some(vec!["A".to_owned(), "B".to_owned()]));
    }

    #[test]
    fn a_misspelt_argument_is_named() {
        let args: Map = [("colums", "x"), ("table", "t"), ("__reqs__", "y")].into_iter().collect();
        assert_eq!(unknown_arguments(&args), ["colums"]);
    }
}
