//! The statements that read a page, and where their columns stand. Pure.
//!
//! Every statement is bounded by `TOP`, goes on by keyset (never by offset) and runs on one processor. A parameter is cast
//! to its column's own type and collation, so that it compares as stored and in the order of the column, whatever that is.

use crate::mssql::Param;

use super::cursor::{Progress, Reading, Watermark};
use super::spec::{Cursor, DatetimeCursor, JobSpec, SourceColumn, all};
use super::texts;

/// A statement that reads one page.
#[derive(Debug, Clone, PartialEq)]
pub struct PageQuery {
    /// T-SQL with `@P1 …`.
    pub sql: String,
    /// Their values.
    pub params: Vec<Param>,
    /// What stands behind the job's columns.
    pub layout: Layout,
}

/// Where the columns stand that are not delivered as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// How many columns come first: those of the job, or only its key.
    pub columns: usize,
    /// The cursor's value.
    pub cursor: Option<usize>,
    /// 1 when the row passes the filter.
    pub inside: Option<usize>,
    /// `I`, `U` or `D`.
    pub operation: Option<usize>,
    /// 1 when the row is in the table.
    pub present: Option<usize>,
    /// The row is its key alone.
    pub keys_only: bool,
}

/// A page of the snapshot: in key order, not above its bound when the cursor is a rowversion.
pub fn snapshot_page(spec: &JobSpec, progress: &Progress, rows: u32) -> Option<PageQuery> {
    let Reading::Snapshot { bound, after } = &progress.reading else { return None };
    let mut params = vec![Param::BigInt(rows.into())];
    let mut filters = Vec::new();
    if let Cursor::Rowversion(column) = &spec.cursor {
        filters.push(format!("{} <= {}", column.quoted(), rowversion(&mut params, *bound)));
    }
    by_key(spec, params, filters, after)
}

/// A page in key order from `after` on, whatever the cursor says.
pub fn sweep_page(spec: &JobSpec, after: &[Param], rows: u32) -> Option<PageQuery> {
    by_key(spec, vec![Param::BigInt(rows.into())], Vec::new(), after)
}

/// A page of keys alone from `after` on.
pub fn key_page(spec: &JobSpec, after: &[Param], rows: u32) -> PageQuery {
    let mut params = vec![Param::BigInt(rows.into())];
    let mut filters = filter(spec, &mut params);
    filters.extend(beyond_key(spec, &mut params, after));
    let (keys, table) = (spec.key_list(""), spec.source());
    let sql =
        format!("SELECT TOP (@P1) {keys} FROM {table}{} ORDER BY {keys} OPTION (MAXDOP 1)", clause(&filters));
    let layout = Layout { columns: spec.key.len(), keys_only: true, ..Layout::default() };
    PageQuery { sql, params, layout }
}

/// The rows with these keys that pass the filter: whole rows, or their keys alone.
pub fn rows_of(spec: &JobSpec, keys: &[Vec<Param>], keys_only: bool) -> PageQuery {
    let mut params = Vec::new();
    let mut filters = filter(spec, &mut params);
    let alternatives: Vec<String> = keys.iter().map(|key| is_key(spec, &mut params, key)).collect();
    filters.push(format!("({})", alternatives.join(" OR ")));
    let (select, layout) = match keys_only {
        true => (spec.key_list(""), Layout { columns: spec.key.len(), keys_only: true, ..Layout::default() }),
        false => select(spec, ""),
    };
    let sql = format!("SELECT {select} FROM {}{} OPTION (MAXDOP 1)", spec.source(), clause(&filters));
    PageQuery { sql, params, layout }
}

/// A page of what is new up to and including `bound`.
pub fn increment_page(spec: &JobSpec, progress: &Progress, bound: Watermark, rows: u32) -> Option<PageQuery> {
    let Reading::Increments { after, key } = &progress.reading else { return None };
    match &spec.cursor {
        Cursor::Rowversion(column) => {
            let cursor = column.quoted().to_string();
            let mut params = vec![Param::BigInt(rows.into())];
            let below = format!("{cursor} <= {}", rowversion(&mut params, bound));
            let mut values = vec![after.bytes()];
            values.extend_from_slice(key);
            let terms = cursor_terms(&cursor, "binary(8)", spec, "");
            let (select, layout) = with_inside(spec, "", &mut params);
            let more = beyond(&mut params, &terms[..values.len()], &values);
            let table = spec.source();
            let sql = format!(
                "SELECT TOP (@P1) {select} FROM {table} WHERE {below} AND {more} ORDER BY {cursor}, {} \
                 OPTION (MAXDOP 1)",
                spec.key_list("")
            );
            Some(PageQuery { sql, params, layout })
        }
        Cursor::ChangeTracking => Some(changes_page(spec, (*after, key), bound, rows)),
        Cursor::Datetime(_) | Cursor::Digest | Cursor::Full => None,
    }
}

/// A page of what may be new by a datetime cursor: not before `since`, beyond `after` (cursor and key) when given.
pub fn overlap_page(
    spec: &JobSpec,
    cursor: &DatetimeCursor,
    since: Param,
    after: &[Param],
    rows: u32,
) -> PageQuery {
    let mut params = vec![Param::BigInt(rows.into()), since];
    let name = cursor.column.quoted().to_string();
    let mut filters = vec![format!("{name} >= CAST(@P2 AS {})", cursor.sql_type)];
    if !after.is_empty() {
        filters.push(beyond(&mut params, &cursor_terms(&name, &cursor.sql_type, spec, ""), after));
    }
    ordered(spec, params, &filters, &format!("{name}, {}", spec.key_list("")))
}

/// A page of the rows whose cursor is NULL, in key order.
pub fn null_page(spec: &JobSpec, cursor: &DatetimeCursor, after: &[Param], rows: u32) -> PageQuery {
    let mut params = vec![Param::BigInt(rows.into())];
    let mut filters = vec![format!("{} IS NULL", cursor.column.quoted())];
    filters.extend(beyond_key(spec, &mut params, after));
    ordered(spec, params, &filters, &spec.key_list(""))
}

/// A span of keys, both ends included; open where there is none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KeyRange {
    /// The first key.
    pub from: Option<Vec<Param>>,
    /// The last key.
    pub to: Option<Vec<Param>>,
}

/// A page of the rows in `range` beyond `after`, in key order.
pub fn range_page(spec: &JobSpec, range: &KeyRange, after: &[Param], rows: u32) -> PageQuery {
    let mut params = vec![Param::BigInt(rows.into())];
    let mut filters = filter(spec, &mut params);
    if let Some(from) = &range.from {
        let beyond = beyond(&mut params, &key_terms(spec, ""), from);
        filters.push(format!("({beyond} OR {})", is_key(spec, &mut params, from)));
    }
    filters.extend(beyond_key(spec, &mut params, after));
    if let Some(to) = &range.to {
        filters.push(format!("NOT ({})", beyond(&mut params, &key_terms(spec, ""), to)));
    }
    let (select, layout) = select(spec, "");
    let sql = format!(
        "SELECT TOP (@P1) {select} FROM {}{} ORDER BY {} OPTION (MAXDOP 1)",
        spec.source(),
        clause(&filters),
        spec.key_list("")
    );
    PageQuery { sql, params, layout }
}

/// These keys in the types of their columns.
pub fn typed_keys(spec: &JobSpec, keys: &[Vec<Param>]) -> PageQuery {
    let mut params = Vec::new();
    let mut rows = Vec::new();
    for key in keys {
        let mut cells = Vec::new();
        for (column, value) in spec.key_columns().zip(key) {
            params.push(value.clone());
            cells.push(format!("CAST(@P{} AS {})", params.len(), column.key_type()));
        }
        rows.push(format!("SELECT {}", cells.join(", ")));
    }
    PageQuery { sql: rows.join(" UNION ALL "), params, layout: Layout::default() }
}

/// Everything, in no order.
pub fn whole(spec: &JobSpec) -> PageQuery {
    let mut params = Vec::new();
    let filters = filter(spec, &mut params);
    let (select, layout) = select(spec, "");
    let sql = format!("SELECT {select} FROM {}{} OPTION (MAXDOP 1)", spec.source(), clause(&filters));
    PageQuery { sql, params, layout }
}

/// A statement that reads nothing and fails where a page would.
pub fn probe(spec: &JobSpec) -> String {
    let columns: Vec<String> =
        spec.read_columns().into_iter().map(|column| column.quoted().to_string()).collect();
    format!("SELECT TOP (0) {} FROM {}", columns.join(", "), spec.source())
}

/// Changes join the row as it is; the key comes from the change, because a deleted row has none.
fn changes_page(
    spec: &JobSpec,
    (after, key): (Watermark, &[Param]),
    bound: Watermark,
    rows: u32,
) -> PageQuery {
    // Within a version that is read in part, its changes are asked for again and those read are left out by key.
    let since = if key.is_empty() { after } else { after.below() };
    let mut params = vec![Param::BigInt(rows.into()), since.version(), bound.version()];
    let version = "CT.SYS_CHANGE_VERSION";
    let mut filters = vec![format!("{version} <= @P3")];
    if !key.is_empty() {
        let mut values = vec![after.version()];
        values.extend_from_slice(key);
        filters.push(beyond(&mut params, &cursor_terms(version, "", spec, "CT."), &values));
    }
    let (mut select, mut layout) = with_inside(spec, "T.", &mut params);
    let present = spec.key.first().map(|key| format!("T.{}", key.quoted())).unwrap_or_default();
    select.push_str(&format!(
        ", CT.SYS_CHANGE_OPERATION, {version}, CAST(CASE WHEN {present} IS NULL THEN 0 ELSE 1 END AS bit) AS Present"
    ));
    let end = layout.columns + usize::from(layout.inside.is_some());
    (layout.operation, layout.cursor, layout.present) = (Some(end), Some(end + 1), Some(end + 2));
    let on: Vec<String> = spec.key.iter().map(|key| format!("T.{0} = CT.{0}", key.quoted())).collect();
    let (table, keys) = (spec.table.quoted(), spec.key_list("CT."));
    let sql = format!(
        "SELECT TOP (@P1) {select} FROM CHANGETABLE(CHANGES {table}, @P2) AS CT LEFT JOIN {table} AS T ON {} \
         WHERE {} ORDER BY {version}, {keys} OPTION (MAXDOP 1)",
        on.join(" AND "),
        filters.join(" AND ")
    );
    PageQuery { sql, params, layout }
}

fn by_key(
    spec: &JobSpec,
    mut params: Vec<Param>,
    mut filters: Vec<String>,
    after: &[Param],
) -> Option<PageQuery> {
    filters.extend(filter(spec, &mut params));
    filters.extend(beyond_key(spec, &mut params, after));
    let (select, layout) = select(spec, "");
    let (table, order) = (spec.source(), spec.key_list(""));
    let sql = format!(
        "SELECT TOP (@P1) {select} FROM {table}{} ORDER BY {order} OPTION (MAXDOP 1)",
        clause(&filters)
    );
    (!spec.key.is_empty()).then_some(PageQuery { sql, params, layout })
}

fn ordered(spec: &JobSpec, mut params: Vec<Param>, filters: &[String], order: &str) -> PageQuery {
    let (select, layout) = with_inside(spec, "", &mut params);
    let sql = format!(
        "SELECT TOP (@P1) {select} FROM {}{} ORDER BY {order} OPTION (MAXDOP 1)",
        spec.source(),
        clause(filters)
    );
    PageQuery { sql, params, layout }
}

/// The delivered columns, then the cursor when it is not among them. With Change Tracking the key is the change's.
fn select(spec: &JobSpec, from: &str) -> (String, Layout) {
    let expression = |column: &SourceColumn| match from {
        "T." if spec.key.contains(&column.name) => column.select("CT."),
        from => texts::select(spec, column, from).unwrap_or_else(|| column.select(from)),
    };
    let mut list: Vec<String> = spec.columns.iter().map(expression).collect();
    let mut layout = Layout { columns: spec.columns.len(), ..Layout::default() };
    if let Some(cursor) = spec.cursor_column() {
        let open = |column: &SourceColumn| column.name == *cursor && column.mask == super::spec::Mask::Open;
        layout.cursor = Some(spec.columns.iter().position(open).unwrap_or(list.len()));
        if layout.cursor == Some(list.len()) {
            list.push(format!("{from}{}", cursor.quoted()));
        }
    }
    (list.join(", "), layout)
}

/// As [`select`], and whether the row passes the filter: one that no longer does is to be deleted at the destination.
fn with_inside(spec: &JobSpec, from: &str, params: &mut Vec<Param>) -> (String, Layout) {
    let (mut list, mut layout) = select(spec, from);
    if !spec.filter.is_empty() {
        let filter = all(&spec.filter, from, params);
        list.push_str(&format!(", CAST(CASE WHEN {filter} THEN 1 ELSE 0 END AS bit) AS Inside"));
        layout.inside = Some(layout.cursor.map_or(layout.columns, |at| layout.columns.max(at + 1)));
    }
    (list, layout)
}

fn filter(spec: &JobSpec, params: &mut Vec<Param>) -> Vec<String> {
    if spec.filter.is_empty() { Vec::new() } else { vec![all(&spec.filter, "", params)] }
}

fn clause(filters: &[String]) -> String {
    if filters.is_empty() { String::new() } else { format!(" WHERE {}", filters.join(" AND ")) }
}

/// One column of a keyset comparison; a parameter is written as `exact` with `@` for its name.
struct Term {
    column: String,
    exact: String,
}

fn cursor_terms(cursor: &str, sql_type: &str, spec: &JobSpec, from: &str) -> Vec<Term> {
    let exact = if sql_type.is_empty() { "@".to_owned() } else { format!("CAST(@ AS {sql_type})") };
    let mut terms = vec![Term { column: cursor.to_owned(), exact }];
    terms.extend(key_terms(spec, from));
    terms
}

fn key_terms(spec: &JobSpec, from: &str) -> Vec<Term> {
    spec.key_columns()
        .map(|column| Term { column: format!("{from}{}", column.name.quoted()), exact: column.exactly("@") })
        .collect()
}

fn beyond_key(spec: &JobSpec, params: &mut Vec<Param>, after: &[Param]) -> Option<String> {
    (!after.is_empty()).then(|| beyond(params, &key_terms(spec, ""), after))
}

fn is_key(spec: &JobSpec, params: &mut Vec<Param>, key: &[Param]) -> String {
    let parts: Vec<String> = key_terms(spec, "")
        .iter()
        .zip(key)
        .map(|(term, value)| format!("{} = {}", term.column, term.bind(params, value)))
        .collect();
    format!("({})", parts.join(" AND "))
}

/// `(a, b, …) > (values)` in the form that SQL Server seeks on: `a >= @1 AND (a > @1 OR (a = @1 AND (b > @2 …)))`.
fn beyond(params: &mut Vec<Param>, terms: &[Term], values: &[Param]) -> String {
    let names: Vec<String> = terms.iter().zip(values).map(|(term, value)| term.bind(params, value)).collect();
    let mut nested = String::new();
    for (term, name) in terms.iter().zip(&names).rev() {
        let column = &term.column;
        nested = if nested.is_empty() {
            format!("{column} > {name}")
        } else {
            format!("({column} > {name} OR ({column} = {name} AND {nested}))")
        };
    }
    match (terms.first(), names.first()) {
        (Some(first), Some(name)) if terms.len() > 1 => format!("{} >= {name} AND {nested}", first.column),
        _ => nested,
    }
}

impl Term {
    fn bind(&self, params: &mut Vec<Param>, value: &Param) -> String {
        params.push(value.clone());
        self.exact.replacen('@', &format!("@P{}", params.len()), 1)
    }
}

fn rowversion(params: &mut Vec<Param>, value: Watermark) -> String {
    params.push(value.bytes());
    format!("CAST(@P{} AS binary(8))", params.len())
}

#[cfg(test)]
mod tests;
