//! Brings the store's tables up to date, area by area, and says who can still read them.
//!
//! An area belongs to one room and lists its steps in order; step N makes version N. Steps are only ever appended, so two
//! rooms never compete for a number. Each step and its version are one transaction: a kill leaves whole steps.
//!
//! A step says what it is. One that [adds](Step::adds) leaves everything an earlier agent reads and writes as it was: new
//! tables, new columns that have a default, indexes that are not unique. One that [rewrites](Step::rewrites) is everything
//! else, and also a new form of a stored value, then without SQL: an earlier agent refuses such a store, and an update to a
//! version with such a step is refused unless the version before reads the new form already ([`Area::reading`]).

use std::{collections::BTreeMap, path::Path, sync::OnceLock};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{
    StoreError, access,
    format::{AreaFormat, Format, Held, HeldArea, Refusal},
    held_returns, jobs, schema, sync, sync_rows, writes,
};

/// One step of an area.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    sql: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Adds,
    Rewrites,
}

impl Step {
    /// An earlier agent does not notice it.
    #[must_use]
    pub const fn adds(sql: &'static str) -> Self {
        Self { sql, kind: Kind::Adds }
    }

    /// An earlier agent can no longer work on the store.
    #[must_use]
    pub const fn rewrites(sql: &'static str) -> Self {
        Self { sql, kind: Kind::Rewrites }
    }
}

/// The tables of one room.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    name: &'static str,
    steps: &'static [Step],
    reads: u32,
}

impl Area {
    /// An area with its steps, oldest first.
    #[must_use]
    pub const fn new(name: &'static str, steps: &'static [Step]) -> Self {
        Self { name, steps, reads: 0 }
    }

    /// This agent can work on the area up to `version` already, and does not bring it there.
    #[must_use]
    pub const fn reading(self, version: u32) -> Self {
        Self { reads: version, ..self }
    }

    /// Its name in the store.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its steps.
    #[must_use]
    pub const fn steps(&self) -> &'static [Step] {
        self.steps
    }

    fn version(&self) -> u32 {
        u32::try_from(self.steps.len()).unwrap_or(u32::MAX)
    }

    /// The oldest reader of a store at `version` of this area.
    fn readable_by(&self, version: u32) -> u32 {
        let numbered = (1u32..).zip(self.steps);
        let rewrites = numbered.filter(|(number, step)| *number <= version && step.kind == Kind::Rewrites);
        rewrites.map(|(number, _)| number).max().unwrap_or(0)
    }

    fn format(&self) -> AreaFormat {
        let writes = self.version();
        AreaFormat { writes, reads: writes.max(self.reads), readable_by: self.readable_by(writes) }
    }
}

/// What a later agent would have. The tests make a later one of this program with it; nothing else sets it.
pub struct Later {
    /// Its areas, in place of [`AREAS`].
    pub areas: Vec<Area>,
    /// Called after each step was committed, with the area and its version.
    pub after_step: fn(&str, u32),
}

static LATER: OnceLock<Later> = OnceLock::new();

/// Makes this process a later agent; false when it is one already.
pub fn become_later(later: Later) -> bool {
    LATER.set(later).is_ok()
}

/// What this agent does with a store.
#[must_use]
pub fn own_format() -> Format {
    format_of(areas())
}

/// Who opens a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Opener {
    /// The agent that works on it.
    Agent,
    /// A command beside it, of whatever version.
    Command,
}

/// Applies the steps that `connection` lacks. A store of which one area cannot be read is left as it is.
pub(super) fn apply(connection: &mut Connection, path: &Path, opener: Opener) -> Result<(), StoreError> {
    let after_step = LATER.get().map_or(nothing as fn(&str, u32), |later| later.after_step);
    apply_areas(connection, (path, opener), areas(), after_step)
}

/// How a store stands.
pub(super) fn held(tx: &Connection) -> Result<Held, StoreError> {
    held_by(tx, areas())
}

fn areas() -> &'static [Area] {
    LATER.get().map_or(AREAS, |later| &later.areas)
}

fn nothing(_area: &str, _version: u32) {}

fn format_of(areas: &[Area]) -> Format {
    Format(areas.iter().map(|area| (area.name.to_owned(), area.format())).collect())
}

fn apply_areas(
    connection: &mut Connection,
    (path, opener): (&Path, Opener),
    areas: &[Area],
    after_step: fn(&str, u32),
) -> Result<(), StoreError> {
    let found = examine(connection, areas)?;
    if let Some(Refusal { area, needs, reads }) = format_of(areas).refuses(&found) {
        return Err(StoreError::Newer { path: path.into(), area, needs, reads });
    }
    let version = |area: &Area| found.0.get(area.name).map_or(0, |at| at.version);
    let rewrites = |area: &&Area| {
        let pending = area.steps.iter().skip(version(area) as usize);
        version(area) > 0 && pending.into_iter().any(|step| step.kind == Kind::Rewrites)
    };
    if opener == Opener::Command
        && let Some(area) = areas.iter().find(rewrites)
    {
        return Err(StoreError::Older { path: path.into(), area: area.name.to_owned() });
    }
    for area in areas {
        while let Some(done) = step(connection, area)? {
            after_step(area.name, done);
        }
    }
    Ok(())
}

/// Reads how the store stands; a store of before `readable_by` was kept gets it.
fn examine(connection: &mut Connection, areas: &[Area]) -> Result<Held, StoreError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS migration (
            area        TEXT PRIMARY KEY,
            version     INTEGER NOT NULL,
            readable_by INTEGER          -- the oldest version of the area whose reader can work on it
        ) STRICT",
    )?;
    let query = "SELECT count(*) FROM pragma_table_info('migration') WHERE name = 'readable_by'";
    if tx.query_row(query, [], |row| row.get::<_, i64>(0))? == 0 {
        tx.execute_batch("ALTER TABLE migration ADD COLUMN readable_by INTEGER")?;
    }
    let held = held_by(&tx, areas)?;
    tx.commit()?;
    Ok(held)
}

fn held_by(tx: &Connection, areas: &[Area]) -> Result<Held, StoreError> {
    let mut query = tx.prepare("SELECT area, version, readable_by FROM migration")?;
    let rows = query.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get::<_, Option<u32>>(2)?))
    })?;
    let mut held = BTreeMap::new();
    for row in rows {
        let (name, version, readable_by) = row?;
        // Where nothing is said, what this agent knows of the steps decides; of steps it does not know, the worst is assumed.
        let known = areas.iter().find(|area| area.name == name && version <= area.version());
        let readable_by = readable_by.or_else(|| known.map(|area| area.readable_by(version)));
        held.insert(name, HeldArea { version, readable_by: readable_by.unwrap_or(version) });
    }
    Ok(Held(held))
}

/// Carries out the next step of an area; its number, or nothing when there is none to do.
fn step(connection: &mut Connection, area: &Area) -> Result<Option<u32>, StoreError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let at = version_of(&tx, area)?;
    let Some(next) = area.steps.get(at as usize) else { return Ok(None) };
    tx.execute_batch(next.sql)?;
    let done = at + 1;
    tx.execute(
        "INSERT INTO migration (area, version, readable_by) VALUES (?1, ?2, ?3)
         ON CONFLICT (area) DO UPDATE SET version = excluded.version,
             readable_by = max(coalesce(readable_by, 0), excluded.readable_by)",
        params![area.name, done, area.readable_by(done)],
    )?;
    tx.commit()?;
    Ok(Some(done))
}

fn version_of(tx: &Transaction<'_>, area: &Area) -> Result<u32, StoreError> {
    let query = "SELECT version FROM migration WHERE area = ?1";
    Ok(tx.query_row(query, [area.name], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Every room's tables. A room adds its line here and its steps beside its own queries.
pub const AREAS: &[Area] = &[
    Area::new("access", access::MIGRATIONS),
    Area::new("held_return", held_returns::MIGRATIONS),
    Area::new("jobs", jobs::MIGRATIONS),
    Area::new("schema", schema::MIGRATIONS),
    Area::new("sync", sync::MIGRATIONS),
    Area::new("sync_row", sync_rows::MIGRATIONS),
    Area::new("write", writes::MIGRATIONS),
];

#[cfg(test)]
mod tests;
