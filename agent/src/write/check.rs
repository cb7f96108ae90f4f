//! A definition against the tables: every column is there and holds what the write gives it.
//!
//! Runs as the writing login when a write is declared, and reads the same catalog again before every commit
//! ([`read_shape`]). A definition that was approved before and whose tables changed since is refused until its new
//! fingerprint is given, so that no automatic state run approves a schema nobody has looked at.

use std::fmt::Write as _;

use states::Value;
use tiberius::Row;

use crate::mssql::catalog::{ColumnInfo, TableInfo};
use crate::mssql::collation::Collation;
use crate::mssql::param::{integer, text};
use crate::mssql::quote::{ObjectName, SqlName};
use crate::mssql::shape::ColumnCollation;
use crate::mssql::{Param, Session, SqlError};

use super::characters;
use super::definition::{
    Comparison, Condition, Demand, Once, Operand, Shape, TableShape, WriteSpec, same_name,
};
use super::error::WriteError;
use super::kind::{Kind, Text};
use super::ledger::Ledger;

/// A definition that holds, and what to know about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The definition with its shape.
    pub spec: WriteSpec,
    /// What works at a price.
    pub warnings: Vec<String>,
}

/// Logs in as the write will and checks the tables and the ledger.
///
/// # Errors
/// What makes the write impossible, see [`WriteError`].
pub async fn check(mut spec: WriteSpec) -> Result<Checked, WriteError> {
    let mut session = Session::connect(&spec.connection).await?;
    let mut tables = Vec::new();
    for (name, columns) in spec.touched() {
        let found = TableInfo::read(&mut session, name).await?;
        let info = found.ok_or_else(|| WriteError::NoTable {
            table: name.to_string(),
            database: spec.connection.database.clone(),
            login: spec.connection.user.clone(),
        })?;
        let mut shape = table_shape(name, &columns, &info)?;
        ask_code_pages(&mut session, &mut shape).await?;
        tables.push((name.clone(), shape, info));
    }
    let warnings = warnings(&spec, &tables);
    spec.shape = Shape { tables: tables.into_iter().map(|(_, shape, _)| shape).collect() };
    check_types(&spec)?;
    if let Once::Ledger(database) = &spec.once {
        let ledger = Ledger { database: database.clone() };
        ledger.probe(&mut session).await.map_err(|source| WriteError::Ledger {
            database: database.to_string(),
            login: spec.connection.user.clone(),
            source,
        })?;
    }
    session.close().await;
    Ok(Checked { spec, warnings })
}

/// Refuses a shape that differs from the approved one, unless its fingerprint was given.
///
/// # Errors
/// [`WriteError::SchemaChanged`].
pub fn approve(approved: Option<&Shape>, found: &Shape, given: Option<&str>) -> Result<(), WriteError> {
    let differences = approved.map(|approved| approved.differences(found)).unwrap_or_default();
    let fingerprint = found.fingerprint();
    if differences.is_empty() || given == Some(fingerprint.as_str()) {
        return Ok(());
    }
    Err(WriteError::SchemaChanged { differences: differences.join(", "), fingerprint })
}

/// The write over tables of which some are as `found`.
///
/// # Errors
/// A column that it touches is gone, or does not hold any more what it is given.
pub fn refit(mut spec: WriteSpec, found: &Shape) -> Result<WriteSpec, WriteError> {
    for table in &mut spec.shape.tables {
        let Some(now) = found.tables.iter().find(|now| same_name(&now.table, &table.table)) else { continue };
        for (column, sql_type) in &mut table.columns {
            let is = now.columns.iter().find(|(name, _)| same_name(name, column));
            let (_, is) = is
                .ok_or_else(|| WriteError::NoColumn { table: table.table.clone(), column: column.clone() })?;
            sql_type.clone_from(is);
        }
        // What a sync job approved knows no collations; those of the write stand until it is declared again.
    }
    check_types(&spec)?;
    Ok(spec)
}

/// The columns that the definition touches as the catalog describes them at this moment, in one query.
///
/// # Errors
/// The catalog cannot be read.
pub async fn read_shape(session: &mut Session, spec: &WriteSpec) -> Result<Shape, SqlError> {
    let tables = &spec.shape.tables;
    let mut sql = SHAPE.to_owned();
    let mut params = Vec::new();
    for at in 1..=tables.len() {
        // Writing to a String cannot fail.
        let _ = write!(sql, "{}OBJECT_ID(@P{at})", if at == 1 { "" } else { ", " });
    }
    sql.push(')');
    for (name, _) in spec.touched() {
        params.push(Param::Text(name.quoted()));
    }
    let rows = session.query(&sql, &params).await?;
    let mut found = Shape::default();
    for (name, columns) in spec.touched() {
        let mut shape = TableShape {
            table: name.to_string(),
            key: Vec::new(),
            columns: Vec::new(),
            collations: Vec::new(),
        };
        for row in rows.iter().filter(|row| is_of(row, name)) {
            let info = column_info(row)?;
            if columns.iter().any(|column| same_name(column.as_str(), &info.name)) {
                shape.columns.push((info.name.clone(), info.sql_type()));
                shape.collations.extend(collation_of(&info));
            }
        }
        if !shape.columns.is_empty() {
            found.tables.push(shape);
        }
    }
    Ok(found)
}

fn table_shape(name: &ObjectName, columns: &[&SqlName], info: &TableInfo) -> Result<TableShape, WriteError> {
    let mut found = Vec::new();
    for column in columns {
        let missing = || WriteError::NoColumn { table: name.to_string(), column: column.as_str().to_owned() };
        let info = info.column(column.as_str()).ok_or_else(missing)?;
        found.push((info.name.clone(), info.sql_type()));
    }
    // In catalog order, so that the fingerprint does not depend on the order of the definition.
    let place = |name: &str| info.columns.iter().position(|column| column.name == name);
    found.sort_by_key(|(name, _)| place(name));
    found.dedup();
    let touched = info.columns.iter().filter(|info| found.iter().any(|(name, _)| *name == info.name));
    let collations = touched.filter_map(collation_of).collect();
    Ok(TableShape { table: name.to_string(), key: info.primary_key.clone(), columns: found, collations })
}

/// The collation of a column whose values are bytes of a code page.
fn collation_of(info: &ColumnInfo) -> Option<ColumnCollation> {
    let name = info.collation.clone().filter(|_| matches!(info.type_name.as_str(), "char" | "varchar"))?;
    Some(ColumnCollation { column: info.name.clone(), collation: Collation { name, code_page: None } })
}

async fn ask_code_pages(session: &mut Session, shape: &mut TableShape) -> Result<(), SqlError> {
    let mut known: Vec<Collation> = Vec::new();
    for column in &mut shape.collations {
        let name = &column.collation.name;
        let found = match known.iter().find(|collation| collation.name == *name) {
            Some(found) => found.clone(),
            None => Collation::read(session, name).await?,
        };
        known.push(found.clone());
        column.collation = found;
    }
    Ok(())
}

/// Every operand against its column.
fn check_types(spec: &WriteSpec) -> Result<(), WriteError> {
    for precondition in &spec.preconditions {
        check_conditions(spec, &precondition.table, &precondition.filter)?;
        if let Demand::Expect(conditions) = &precondition.demand {
            check_conditions(spec, &precondition.table, conditions)?;
        }
    }
    for statement in &spec.statements {
        for assignment in statement.assignments() {
            check_operand(spec, &statement.table, (&assignment.column, &assignment.operand))?;
        }
        check_conditions(spec, &statement.table, statement.filter())?;
    }
    check_conditions(spec, &spec.read_back.table, &spec.read_back.filter)
}

fn check_conditions(
    spec: &WriteSpec,
    table: &ObjectName,
    conditions: &[Condition],
) -> Result<(), WriteError> {
    conditions.iter().try_for_each(|condition| {
        check_operand(spec, table, (&condition.column, &condition.operand))?;
        let kind = spec.shape.kind(table, &condition.column);
        let is_equality = matches!(condition.comparison, Comparison::Equal | Comparison::Unequal);
        match kind {
            Some(Kind::Real | Kind::Float) if is_equality => Err(WriteError::Argument {
                name: format!("{table}.{}", condition.column),
                expected: "compared with lt, le, gt or ge: equality of floating point numbers is chance"
                    .to_owned(),
            }),
            Some(_) | None => Ok(()),
        }
    })
}

fn check_operand(
    spec: &WriteSpec,
    table: &ObjectName,
    (column, operand): (&SqlName, &Operand),
) -> Result<(), WriteError> {
    let sql_type = || {
        let shape = spec.shape.table(table);
        let found = shape.and_then(|shape| {
            shape.columns.iter().find(|(name, _)| same_name(name, column.as_str())).map(|(_, text)| text)
        });
        found.cloned().unwrap_or_default()
    };
    let misfit = |given: String, what: String| WriteError::ColumnType {
        table: table.to_string(),
        column: column.as_str().to_owned(),
        sql_type: sql_type(),
        given,
        what,
    };
    let Some(kind) = spec.shape.kind(table, column) else {
        return Err(misfit("value".to_owned(), "a write".to_owned()));
    };
    match operand {
        Operand::Parameter(name) => {
            let Some(parameter) = spec.parameter(name) else { return Ok(()) };
            if kind.takes(parameter.kind) {
                return Ok(());
            }
            Err(misfit(parameter.kind.to_string(), format!("the parameter {name}")))
        }
        Operand::Constant(value) => {
            let odd = || misfit("value".to_owned(), format!("the constant for {column}"));
            match kind.param(value).map_err(|_| odd())? {
                Some(param) => characters::fits(spec, (table, column), &param).map_err(|_| odd()),
                None => Ok(()),
            }
        }
        Operand::Request if takes_request(kind) => Ok(()),
        Operand::Request => Err(misfit("text of 100 characters".to_owned(), "the request id".to_owned())),
        Operand::AddParameter(name) => {
            let Some(parameter) = spec.parameter(name) else { return Ok(()) };
            if is_sum(kind) && kind.takes(parameter.kind) {
                return Ok(());
            }
            Err(misfit(parameter.kind.to_string(), format!("the parameter {name}, added to it")))
        }
        Operand::KeyOf(_) | Operand::Next | Operand::Add(_) if is_number(kind) => Ok(()),
        Operand::KeyOf(_) | Operand::Next | Operand::Add(_) => {
            Err(misfit("whole number".to_owned(), "a key or a sum".to_owned()))
        }
        Operand::Now(_) if is_moment(kind) => Ok(()),
        Operand::Now(_) => Err(misfit("moment".to_owned(), "the server's clock".to_owned())),
    }
}

/// A shorter column takes shorter ids: a request whose id does not fit is refused by itself.
fn takes_request(kind: Kind) -> bool {
    matches!(kind, Kind::Text(Text { .. }) | Kind::Guid)
}

fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Integer(_) | Kind::Decimal(..))
}

/// What is added to without loss; floating point is not.
fn is_sum(kind: Kind) -> bool {
    is_number(kind) || matches!(kind, Kind::Money | Kind::SmallMoney)
}

fn is_moment(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Date
            | Kind::Time(_)
            | Kind::DateTime
            | Kind::SmallDateTime
            | Kind::DateTime2(_)
            | Kind::DateTimeOffset(_)
    )
}

fn warnings(spec: &WriteSpec, tables: &[(ObjectName, TableShape, TableInfo)]) -> Vec<String> {
    let mut warnings = Vec::new();
    if let (Once::ExternalId(column), Some(first)) = (&spec.once, spec.statements.first()) {
        let info = tables.iter().find(|(name, ..)| *name == first.table).map(|(_, _, info)| info);
        if info.is_some_and(|info| !info.is_indexed(column.as_str())) {
            warnings.push(format!(
                "no index of {} begins with {column}, or the login may not see it: every write reads the whole table",
                first.table
            ));
        }
    }
    let changes_rows = spec.statements.iter().any(|statement| !statement.filter().is_empty());
    if changes_rows && spec.preconditions.is_empty() {
        warnings.push(
            "no precondition: what somebody else changed since the row was read is overwritten".to_owned(),
        );
    }
    warnings
}

fn is_of(row: &Row, name: &ObjectName) -> bool {
    let cell = |at: usize| row.get_column_data(at).ok().and_then(text).unwrap_or_default();
    same_name(&cell(0), name.schema.as_str()) && same_name(&cell(1), name.name.as_str())
}

fn column_info(row: &Row) -> Result<ColumnInfo, SqlError> {
    let odd =
        || SqlError::Protocol { reason: "the catalog answered with other types than documented".into() };
    let number = |at: usize| row.get_column_data(at).ok().and_then(integer);
    let byte = |at: usize| number(at).and_then(|value| u8::try_from(value).ok());
    Ok(ColumnInfo {
        name: row.get_column_data(2).ok().and_then(text).ok_or_else(odd)?,
        type_name: row.get_column_data(3).ok().and_then(text).unwrap_or_default(),
        max_length: number(4).ok_or_else(odd)?,
        precision: byte(5).ok_or_else(odd)?,
        scale: byte(6).ok_or_else(odd)?,
        nullable: number(7) == Some(1),
        collation: row.get_column_data(8).ok().and_then(text),
    })
}

/// The fingerprint that was given to approve a change.
///
/// # Errors
/// It is no text.
pub fn given_fingerprint(args: &states::Map) -> Result<Option<String>, WriteError> {
    match args.get("schema") {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::Str(text)) => Ok(Some(text.clone())),
        Some(_) => Err(WriteError::Argument {
            name: "schema".to_owned(),
            expected: "the fingerprint that the refusal named".to_owned(),
        }),
    }
}

const SHAPE: &str = "SELECT s.name, o.name, c.name, t.name, c.max_length, c.[precision], c.scale, c.is_nullable, \
     c.collation_name \
     FROM sys.columns AS c \
     INNER JOIN sys.objects AS o ON o.object_id = c.object_id \
     INNER JOIN sys.schemas AS s ON s.schema_id = o.schema_id \
     LEFT JOIN sys.types AS t ON t.user_type_id = c.system_type_id \
     WHERE c.object_id IN (";

#[cfg(test)]
mod tests;
