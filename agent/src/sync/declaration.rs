//! The arguments of `mssql_sync.present` as a [`JobRequest`].
//!
//! What: `database`, `table`, `columns` (default: all), `exclude`, `rename` (column: name), `mask` (column: `drop`, `hash`,
//! `null`, or `truncate: N`), `filter` (a list of `column`, `op`, `value`), `key` (default: the primary key).
//! A query: `joins`, a list of `table`, `match` (its column: a column of the table, or `alias.column` of an earlier join),
//! `columns` (names, or column: name), `kind` (`left`, `inner`), `as`; then `key` must be given. The other arguments take its
//! columns as they take the table's.
//! How: `cursor` (`auto`, `change_tracking`, `rowversion`, `datetime`, `digest`, `full`), `cursor_column`, `cursor_clock`
//! (`local`, `utc`), `overlap` (seconds), `sweep` (seconds, or `never`), `batch_rows`.
//! When: `interval` (seconds, default 600), `cron`, `quiet_hours` (`HH:MM-HH:MM`), `priority` (0 first, default 50),
//! `audit` (`HH:MM`, default 02:30, or `never`): after it, once a day, every row is compared with what was delivered.
//! Where to: `sink` (`master`, `folder`, `object_store`, or a name of `agent:sync:sinks`; default: the agent's own),
//! `retention` (`epochs`, `days`: how much of what a newer epoch has replaced is kept at the sink; default: all).
//! Beside a changed schema: `ehr_version` (`table`, `column`, and `newest_by` or `filter` where there are several rows).
//! For whom: `recipients` (default: pillar, then option `agent:sync:recipients`), `allow_plain`. And connection options.
//! An argument that is not one of these is reported, not ignored.

mod ehr_version;
mod joins;
mod values;

use std::time::Duration;

use states::{Map, Value};

use crate::mssql::arguments::{CONNECTION_ARGUMENTS, OptionSources};
use crate::mssql::quote::ObjectName;
use crate::schedule::cron::Cron;

use super::SyncError;
use super::check::{
    CursorRequest, DEFAULT_BATCH_ROWS, DEFAULT_INTERVAL, DEFAULT_OVERLAP, JobRequest, JoinRequest,
    SweepRequest,
};
use super::names::JobName;
use super::spec::{Clock, QuietHours, Retention, Seal, TimeOfDay, Timing};

use values::{filter, mask, names, pairs, seconds, text, wrong};

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
        let (table, seal) = (ObjectName::parse(&table)?, seal(sources)?);
        Ok(Self {
            columns: names(args, "columns")?.filter(|names| !is_all(names)),
            exclude: names(args, "exclude")?.unwrap_or_default(),
            rename: pairs(args, "rename")?,
            mask: mask(args)?,
            filter: filter(args)?,
            joins: joined(args)?,
            key: names(args, "key")?,
            cursor: cursor(args)?,
            overlap: seconds(args, "overlap", SHORTEST_OVERLAP)?.unwrap_or(DEFAULT_OVERLAP),
            clock: clock(args)?,
            sweep: sweep(args)?,
            timing: timing(args)?,
            batch_rows: batch_rows(args)?,
            sink: text(args, "sink")?,
            retention: retention(args)?,
            ehr_version: ehr_version::ehr_version(args)?,
            ..Self::new(JobName::new(name)?, connection, table, seal)
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

/// A query has no primary key of its own.
fn joined(args: &Map) -> Result<Vec<JoinRequest>, SyncError> {
    let joins = joins::joins(args)?;
    let keyless = names(args, "key")?.is_none_or(|key| key.is_empty());
    if keyless && !joins.is_empty() {
        return Err(wrong("key", "given: the columns that tell the rows of the joined tables apart"));
    }
    Ok(joins)
}

fn cursor(args: &Map) -> Result<CursorRequest, SyncError> {
    let column = text(args, "cursor_column")?;
    match (text(args, "cursor")?.as_deref(), column) {
        (None | Some("auto"), column) => Ok(CursorRequest::Auto(column)),
        (Some("rowversion"), column) => Ok(CursorRequest::Rowversion(column)),
        (Some("datetime"), Some(column)) => Ok(CursorRequest::Datetime(column)),
        (Some("datetime"), None) => {
            Err(wrong("cursor_column", "given: the column that holds when a row was last changed"))
        }
        (Some("change_tracking"), None) => Ok(CursorRequest::ChangeTracking),
        (Some("digest"), None) => Ok(CursorRequest::Digest),
        (Some("full"), None) => Ok(CursorRequest::Full),
        (Some("change_tracking" | "digest" | "full"), Some(_)) => {
            Err(wrong("cursor_column", "left out: this cursor has no column"))
        }
        (Some(_), _) => Err(wrong("cursor", "auto, change_tracking, rowversion, datetime, digest or full")),
    }
}

fn clock(args: &Map) -> Result<Clock, SyncError> {
    match text(args, "cursor_clock")?.as_deref() {
        None | Some("local") => Ok(Clock::Local),
        Some("utc") => Ok(Clock::Utc),
        Some(_) => Err(wrong("cursor_clock", "local or utc")),
    }
}

fn sweep(args: &Map) -> Result<SweepRequest, SyncError> {
    match args.get("sweep") {
        None | Some(Value::Nil) => Ok(SweepRequest::AsNeeded),
        Some(Value::Bool(false)) => Ok(SweepRequest::Never),
        Some(Value::Str(never)) if never == "never" => Ok(SweepRequest::Never),
        Some(_) => {
            Ok(seconds(args, "sweep", SHORTEST_INTERVAL)?.map_or(SweepRequest::AsNeeded, SweepRequest::Every))
        }
    }
}

fn timing(args: &Map) -> Result<Timing, SyncError> {
    let mut timing = Timing::every(seconds(args, "interval", SHORTEST_INTERVAL)?.unwrap_or(DEFAULT_INTERVAL));
    timing.cron = text(args, "cron")?;
    if let Some(line) = &timing.cron {
        Cron::parse(line).map_err(|error| wrong("cron", &format!("a cron line ({error})")))?;
    }
    timing.audit = audit(args)?;
    for hours in names(args, "quiet_hours")?.unwrap_or_default() {
        let hours = hours.parse::<QuietHours>();
        timing.quiet.push(hours.map_err(|()| wrong("quiet_hours", "a list of HH:MM-HH:MM"))?);
    }
    if let Some(priority) = args.get("priority").filter(|value| !matches!(value, Value::Nil)) {
        let priority = priority.as_int().and_then(|priority| u8::try_from(priority).ok());
        timing.priority = priority.ok_or_else(|| wrong("priority", "a whole number from 0 to 255"))?;
    }
    Ok(timing)
}

fn audit(args: &Map) -> Result<Option<TimeOfDay>, SyncError> {
    let time = match args.get("audit") {
        None | Some(Value::Nil) => DEFAULT_AUDIT.parse().ok(),
        Some(Value::Bool(false)) => return Ok(None),
        Some(Value::Str(never)) if never == "never" => return Ok(None),
        Some(Value::Int(minutes)) => TimeOfDay::from_minutes(*minutes),
        Some(given) => given.as_str().and_then(|text| text.parse().ok()),
    };
    time.map(Some).ok_or_else(|| wrong("audit", "HH:MM, or never"))
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

fn retention(args: &Map) -> Result<Option<Retention>, SyncError> {
    let expected =
        || wrong("retention", "{epochs: N} or {days: N} of what a newer epoch has replaced, or both");
    let Some(Value::Map(given)) = args.get("retention").filter(|value| !value.is_nil()) else {
        return if args.get("retention").is_none_or(Value::is_nil) { Ok(None) } else { Err(expected()) };
    };
    let known = |name: &Value| matches!(name.as_str(), Some("epochs" | "days"));
    let number = |name: &str| match given.get(name) {
        None | Some(Value::Nil) => Ok(None),
        Some(value) => value.as_int().and_then(|n| u64::try_from(n).ok()).map(Some).ok_or_else(expected),
    };
    let retention = Retention { epochs: number("epochs")?, days: number("days")? };
    let says = retention.epochs.is_some() || retention.days.is_some();
    if says && given.keys().all(known) { Ok(Some(retention)) } else { Err(expected()) }
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

fn is_all(names: &[String]) -> bool {
    matches!(names, [one] if one == "all" || one == "*")
}

const ARGUMENTS: &[&str] = &[
    "name",
    "table",
    "joins",
    "columns",
    "exclude",
    "rename",
    "mask",
    "filter",
    "key",
    "cursor",
    "cursor_column",
    "cursor_clock",
    "overlap",
    "sweep",
    "interval",
    "cron",
    "quiet_hours",
    "priority",
    "audit",
    "batch_rows",
    "recipients",
    "allow_plain",
    "sink",
    "retention",
    "ehr_version",
];
/// When practices sleep and backups mostly do not run yet.
const DEFAULT_AUDIT: &str = "02:30";
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
/// A smalldatetime rounds by half a minute.
const SHORTEST_OVERLAP: Duration = Duration::from_secs(60);
const MOST_BATCH_ROWS: u32 = 1_000_000;

#[cfg(test)]
mod tests;
