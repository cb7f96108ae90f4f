//! Steps against real SQLite: what only adds must really only add, and older and later agents on one store.

use std::collections::BTreeSet;

use super::*;

#[test]
fn every_step_that_is_said_to_add_only_adds() {
    for area in AREAS {
        let connection = Connection::open_in_memory().unwrap();
        for (number, step) in (1..).zip(area.steps) {
            let before = Shape::of(&connection);
            connection.execute_batch(step.sql).unwrap();
            let broken = before.broken_by(&Shape::of(&connection));
            let said = step.kind == Kind::Rewrites;
            assert!(said || broken.is_empty(), "{} {number} does not only add: {broken:?}", area.name);
        }
    }
}

#[test]
fn what_would_trouble_an_earlier_agent_is_seen() {
    let table = "CREATE TABLE a (id INTEGER PRIMARY KEY, b TEXT, c TEXT) STRICT;";
    for (step, broken) in [
        ("ALTER TABLE a ADD COLUMN d TEXT", false),
        ("ALTER TABLE a ADD COLUMN d TEXT NOT NULL DEFAULT ''", false),
        ("CREATE TABLE z (a INTEGER REFERENCES a (id) ON DELETE CASCADE) STRICT", false),
        ("CREATE INDEX i ON a (b)", false),
        ("ALTER TABLE a DROP COLUMN b", true),
        ("ALTER TABLE a RENAME COLUMN b TO x", true),
        ("ALTER TABLE a RENAME TO x", true),
        ("CREATE UNIQUE INDEX i ON a (b)", true),
        ("CREATE TABLE z (a INTEGER REFERENCES a (id)) STRICT", true),
        ("CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a; END", true),
        (
            "DROP TABLE a; CREATE TABLE a (id INTEGER PRIMARY KEY, b TEXT, c TEXT, d TEXT NOT NULL) STRICT",
            true,
        ),
    ] {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(table).unwrap();
        let before = Shape::of(&connection);
        connection.execute_batch(step).unwrap();
        let found = before.broken_by(&Shape::of(&connection));
        assert_eq!(!found.is_empty(), broken, "{step}: {found:?}");
    }
}

/// A new form of a stored value is a step: without one an earlier agent would meet a value that it cannot read.
#[test]
fn every_form_of_a_stored_value_has_its_step() {
    let sources = [
        ("access", include_str!("../../access/declared.rs"), 1),
        ("sync", include_str!("../../sync/cursor.rs"), 1),
        ("sync", include_str!("../../sync/spec/stored.rs"), 1),
        ("write", include_str!("../../write/book.rs"), 1),
        ("write", include_str!("../../write/outcome.rs"), 1),
    ];
    for (area, source, counted) in sources {
        let forms = (1..10).filter(|number| source.contains(&format!("#[serde(rename = \"{number}\")]")));
        assert_eq!(
            forms.count(),
            counted,
            "a stored value of {area} has a new form: append Step::rewrites(\"\") to that area, then count it here"
        );
    }
}

#[test]
fn an_earlier_agent_works_on_after_a_kill_between_any_two_steps() {
    let steps: usize = later(ADDS).iter().map(|area| area.steps.len()).sum();
    for killed_after in 0..=steps {
        let (_folder, mut connection) = opened(EARLIER);
        let mut left = killed_after;
        'kill: for area in later(ADDS) {
            loop {
                if left == 0 {
                    break 'kill;
                }
                if step(&mut connection, &area).unwrap().is_none() {
                    break;
                }
                left -= 1;
            }
        }
        open(&mut connection, EARLIER).unwrap();
        connection.execute("INSERT INTO thing (id) VALUES (2)", []).unwrap();
        open(&mut connection, &later(ADDS)).unwrap();
        let sum: i64 = connection.query_row("SELECT sum(weight) FROM thing", [], |row| row.get(0)).unwrap();
        assert_eq!(sum, 2, "killed after {killed_after} steps");
    }
}

#[test]
fn a_rewritten_store_is_refused_by_an_earlier_agent_and_left_as_it_is() {
    let (_folder, mut connection) = opened(EARLIER);
    let before = Shape::of(&connection);
    let refused = open_as(&mut connection, &later(REWRITES), Opener::Command).unwrap_err();
    assert!(matches!(refused, StoreError::Older { .. }), "{refused}");
    assert_eq!(Shape::of(&connection), before, "a command beside the agent rewrote its store");
    open(&mut connection, &later(REWRITES)).unwrap();
    let after = (Shape::of(&connection), held_by(&connection, EARLIER).unwrap());
    let refused = open(&mut connection, EARLIER).unwrap_err();
    assert!(matches!(&refused, StoreError::Newer { area, needs: 2, reads: 1, .. } if area == "thing"));
    assert_eq!((Shape::of(&connection), held_by(&connection, EARLIER).unwrap()), after);
    open(&mut connection, BRIDGE).unwrap();
    open(&mut connection, &later(REWRITES)).unwrap();
}

#[test]
fn a_store_that_says_nothing_of_its_readers_is_judged_by_its_steps() {
    let (_folder, mut connection) = opened(EARLIER);
    connection.execute_batch("ALTER TABLE migration DROP COLUMN readable_by").unwrap();
    open(&mut connection, EARLIER).unwrap();
    open(&mut connection, &later(ADDS)).unwrap();
    connection.execute("UPDATE migration SET readable_by = NULL", []).unwrap();
    assert!(matches!(open(&mut connection, EARLIER), Err(StoreError::Newer { .. })), "unknown steps");
    assert!(open(&mut connection, &later(ADDS)).is_ok(), "known steps");
}

fn opened(areas: &[Area]) -> (tempfile::TempDir, Connection) {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = Connection::open(folder.path().join("store")).unwrap();
    open(&mut connection, areas).unwrap();
    connection.execute("INSERT INTO thing (id) VALUES (1)", []).unwrap();
    (folder, connection)
}

fn open(connection: &mut Connection, areas: &[Area]) -> Result<(), StoreError> {
    open_as(connection, areas, Opener::Agent)
}

fn open_as(connection: &mut Connection, areas: &[Area], opener: Opener) -> Result<(), StoreError> {
    apply_areas(connection, (Path::new("store"), opener), areas, nothing)
}

fn later(steps: &'static [Step]) -> Vec<Area> {
    vec![Area::new("other", OTHER), Area::new("thing", steps)]
}

const OTHER: &[Step] = &[Step::adds("CREATE TABLE other (id INTEGER)")];
const THING: Step = Step::adds("CREATE TABLE thing (id INTEGER PRIMARY KEY) STRICT");
const EARLIER: &[Area] = &[Area::new("thing", &[THING])];
const BRIDGE: &[Area] = &[Area::new("thing", &[THING]).reading(2)];
const ADDS: &[Step] = &[
    THING,
    Step::adds("ALTER TABLE thing ADD COLUMN weight INTEGER NOT NULL DEFAULT 1"),
    Step::adds("CREATE INDEX thing_weight ON thing (weight)"),
];
const REWRITES: &[Step] = &[THING, Step::rewrites("ALTER TABLE thing RENAME COLUMN id TO number")];

/// What an earlier agent relies on.
#[derive(Debug, PartialEq)]
struct Shape {
    tables: BTreeMap<String, Table>,
    triggers: BTreeSet<String>,
}

#[derive(Debug, PartialEq)]
struct Table {
    columns: Vec<Column>,
    unique: BTreeSet<String>,
    /// Tables it refers to without following their deletes.
    holds: BTreeSet<String>,
}

/// Name, type, whether it must be given, and its place in the primary key.
type Column = (String, String, bool, i64);

impl Shape {
    fn of(connection: &Connection) -> Self {
        let names = column(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'");
        let table = |name: String| (name.clone(), Table::of(connection, &name));
        Self {
            tables: names.into_iter().map(table).collect(),
            triggers: column(connection, "SELECT name FROM sqlite_schema WHERE type = 'trigger'"),
        }
    }

    fn broken_by(&self, after: &Self) -> Vec<String> {
        let mut broken = Vec::new();
        for (name, before) in &self.tables {
            let Some(table) = after.tables.get(name) else {
                broken.push(format!("{name} is gone"));
                continue;
            };
            let added = table.columns.iter().skip(before.columns.len());
            if !table.columns.starts_with(&before.columns) {
                broken.push(format!("columns of {name} changed"));
            }
            broken.extend(
                added.filter(|added| added.2).map(|added| format!("{}.{} must be given", name, added.0)),
            );
            if table.unique != before.unique {
                broken.push(format!("{name} has another unique index"));
            }
        }
        let fresh = after.tables.iter().filter(|(name, _)| !self.tables.contains_key(*name));
        for (name, table) in fresh {
            let held = table.holds.iter().filter(|held| self.tables.contains_key(*held));
            broken.extend(held.map(|held| format!("{name} holds rows of {held}")));
        }
        broken.extend(after.triggers.difference(&self.triggers).map(|name| format!("{name} is a trigger")));
        broken
    }
}

impl Table {
    fn of(connection: &Connection, name: &str) -> Self {
        let mut query = connection
            .prepare("SELECT name, type, \"notnull\" AND dflt_value IS NULL, pk FROM pragma_table_info(?1)")
            .unwrap();
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let columns = query.query_map([name], read).unwrap().collect::<Result<_, _>>().unwrap();
        let unique = format!("SELECT name FROM pragma_index_list('{name}') WHERE \"unique\"");
        let holds = format!(
            "SELECT \"table\" FROM pragma_foreign_key_list('{name}') WHERE on_delete NOT IN ('CASCADE', 'SET NULL')"
        );
        Self { columns, unique: column(connection, &unique), holds: column(connection, &holds) }
    }
}

fn column(connection: &Connection, query: &str) -> BTreeSet<String> {
    let mut query = connection.prepare(query).unwrap();
    query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}
