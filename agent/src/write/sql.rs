//! The T-SQL of one request, rendered from its definition: names quoted, values bound.
//!
//! The same text is shown with `test=True` and run. NULL is the word NULL, because a parameter's type would have to be
//! guessed; a key that an earlier insert makes is bound when it is known.

use std::collections::BTreeMap;

use states::Value;

use crate::mssql::Param;
use crate::mssql::collation::Collation;
use crate::mssql::quote::{ObjectName, SqlName};

use super::definition::{
    Action, Assignment, Clock, Comparison, Condition, Demand, Operand, Precondition, Statement, WriteSpec,
};
use super::error::WriteError;
use super::kind::Kind;
use super::names::RequestId;
use super::parameter::Values;

/// A statement and what is bound to its `@P1 …`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sql {
    /// The text.
    pub text: String,
    binds: Vec<Bind>,
}

/// One bound value.
#[derive(Debug, Clone, PartialEq)]
struct Bind {
    /// What it is, for who reads the plan: `parameter note int`.
    label: String,
    /// The value, once it is known.
    param: Option<Param>,
}

/// The type and the collation of the column that a value stands beside.
type Beside<'a> = (Option<Kind>, Option<&'a Collation>);

/// A request whose statements are to be rendered.
#[derive(Debug, Clone, Copy)]
pub struct Rendering<'a> {
    /// The definition.
    pub spec: &'a WriteSpec,
    /// Its request.
    pub request: &'a RequestId,
    /// The request's values.
    pub values: &'a Values,
    /// Keys that inserts have made, by label.
    pub keys: &'a BTreeMap<String, i64>,
}

impl Sql {
    /// The values in order; `None` while one is not known.
    #[must_use]
    pub fn params(&self) -> Option<Vec<Param>> {
        self.binds.iter().map(|bind| bind.param.clone()).collect()
    }

    /// What stands for each `@P1 …`, without values.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        (1..).zip(&self.binds).map(|(at, bind)| format!("@P{at}: {}", bind.label)).collect()
    }

    /// Binds a value beside a column of that type and collation.
    fn bind(&mut self, label: String, beside: Beside<'_>, param: Option<Param>) -> String {
        self.binds.push(Bind { label, param });
        let number = self.binds.len();
        let (kind, collation) = beside;
        kind.map_or_else(|| format!("@P{number}"), |kind| kind.place(number, collation))
    }
}

impl Rendering<'_> {
    /// The rows of a precondition, locked until the transaction ends. For an expectation: a flag per expected column,
    /// then the columns.
    ///
    /// # Errors
    /// A constant that does not fit its column.
    pub fn precondition(&self, precondition: &Precondition, locks: Locks) -> Result<Sql, WriteError> {
        let mut sql = Sql::default();
        let table = &precondition.table;
        let list = match &precondition.demand {
            Demand::Absent => "1".to_owned(),
            Demand::Expect(conditions) => {
                let mut flags = Vec::new();
                for condition in conditions {
                    let holds = self.condition(&mut sql, table, condition)?;
                    flags.push(format!("CASE WHEN {holds} THEN 1 ELSE 0 END"));
                }
                let columns = conditions.iter().map(|condition| self.selected(table, &condition.column));
                let list: Vec<String> = flags.into_iter().chain(columns).collect();
                if list.is_empty() { "1".to_owned() } else { list.join(", ") }
            }
        };
        let hint = match (&precondition.demand, locks) {
            (_, Locks::None) => "",
            (Demand::Expect(_), Locks::Held) => " WITH (UPDLOCK)",
            // The range is locked as well, so that no such row can come until the end.
            (Demand::Absent, Locks::Held) => " WITH (UPDLOCK, HOLDLOCK)",
        };
        let filter = self.filter(&mut sql, table, &precondition.filter)?;
        sql.text = format!("SELECT TOP (2) {list} FROM {}{hint} WHERE {filter}", table.quoted());
        Ok(sql)
    }

    /// A change; it answers the number of rows and, for an insert, the key it made.
    ///
    /// # Errors
    /// A constant that does not fit its column.
    pub fn statement(&self, statement: &Statement) -> Result<Sql, WriteError> {
        let mut sql = Sql::default();
        let table = statement.table.quoted();
        sql.text = match &statement.action {
            Action::Insert(values) => self.insert(&mut sql, &statement.table, values)?,
            Action::Update(set, filter) => {
                let mut list = Vec::new();
                for assignment in set {
                    let value =
                        self.operand(&mut sql, &statement.table, &assignment.column, &assignment.operand)?;
                    list.push(format!("{} = {value}", assignment.column.quoted()));
                }
                let filter = self.filter(&mut sql, &statement.table, filter)?;
                let filter = format!("{filter}{}", summable(set));
                format!("UPDATE {table} SET {} WHERE {filter}; SELECT @@ROWCOUNT", list.join(", "))
            }
            Action::Delete(filter) => {
                let filter = self.filter(&mut sql, &statement.table, filter)?;
                format!("DELETE FROM {table} WHERE {filter}; SELECT @@ROWCOUNT")
            }
        };
        Ok(sql)
    }

    /// Counts the rows that a change would touch and lists their keys, at most `most`.
    ///
    /// # Errors
    /// A constant that does not fit its column.
    pub fn touched(&self, statement: &Statement, keys: &[SqlName], most: u64) -> Result<Sql, WriteError> {
        let mut sql = Sql::default();
        let keys: Vec<String> = keys.iter().map(|key| self.selected(&statement.table, key)).collect();
        let list = if keys.is_empty() { "1".to_owned() } else { keys.join(", ") };
        let filter = self.filter(&mut sql, &statement.table, statement.filter())?;
        let filter = format!("{filter}{}", summable(statement.assignments()));
        sql.text = format!("SELECT TOP ({most}) {list} FROM {} WHERE {filter}", statement.table.quoted());
        Ok(sql)
    }

    /// The read-back.
    ///
    /// # Errors
    /// A constant that does not fit its column.
    pub fn read_back(&self) -> Result<Sql, WriteError> {
        let read_back = &self.spec.read_back;
        let mut sql = Sql::default();
        let columns: Vec<String> =
            read_back.columns.iter().map(|column| self.selected(&read_back.table, column)).collect();
        let filter = self.filter(&mut sql, &read_back.table, &read_back.filter)?;
        sql.text = format!(
            "SELECT TOP ({MOST_READ_BACK}) {} FROM {} WHERE {filter}",
            columns.join(", "),
            read_back.table.quoted()
        );
        Ok(sql)
    }

    /// The row that carries the request's id, locked with its range.
    ///
    /// # Errors
    /// The id does not fit the column.
    pub fn external(&self, table: &ObjectName, column: &SqlName, locks: Locks) -> Result<Sql, WriteError> {
        let mut sql = Sql::default();
        let place = self.operand(&mut sql, table, column, &Operand::Request)?;
        let hint = if locks == Locks::Held { " WITH (UPDLOCK, HOLDLOCK)" } else { "" };
        sql.text =
            format!("SELECT TOP (1) 1 FROM {}{hint} WHERE {} = {place}", table.quoted(), column.quoted());
        Ok(sql)
    }

    fn insert(&self, sql: &mut Sql, table: &ObjectName, values: &[Assignment]) -> Result<String, WriteError> {
        let next = values.iter().find(|assignment| assignment.operand == Operand::Next);
        let head = next.map_or_else(String::new, |assignment| {
            format!(
                "DECLARE @next bigint = (SELECT COALESCE(MAX({}), 0) + 1 FROM {} WITH (UPDLOCK, HOLDLOCK)); ",
                assignment.column.quoted(),
                table.quoted()
            )
        });
        let made = if next.is_some() { "@next" } else { "CONVERT(bigint, SCOPE_IDENTITY())" };
        let (mut columns, mut places) = (Vec::new(), Vec::new());
        for assignment in values {
            columns.push(assignment.column.quoted().to_string());
            places.push(self.operand(sql, table, &assignment.column, &assignment.operand)?);
        }
        Ok(format!(
            "{head}INSERT INTO {} ({}) VALUES ({}); SELECT @@ROWCOUNT, {made}",
            table.quoted(),
            columns.join(", "),
            places.join(", ")
        ))
    }

    fn filter(
        &self,
        sql: &mut Sql,
        table: &ObjectName,
        conditions: &[Condition],
    ) -> Result<String, WriteError> {
        let texts: Vec<String> = conditions
            .iter()
            .map(|condition| self.condition(sql, table, condition))
            .collect::<Result<_, _>>()?;
        Ok(texts.join(" AND "))
    }

    fn condition(
        &self,
        sql: &mut Sql,
        table: &ObjectName,
        condition: &Condition,
    ) -> Result<String, WriteError> {
        let column = condition.column.quoted();
        let value = self.operand(sql, table, &condition.column, &condition.operand)?;
        let is_null = value == NULL;
        Ok(match condition.comparison {
            Comparison::Equal if is_null => format!("{column} IS NULL"),
            Comparison::Equal => format!("{column} = {value}"),
            Comparison::Unequal if is_null => format!("{column} IS NOT NULL"),
            Comparison::Unequal => format!("({column} <> {value} OR {column} IS NULL)"),
            Comparison::Less => format!("{column} < {value}"),
            Comparison::LessOrEqual => format!("{column} <= {value}"),
            Comparison::Greater => format!("{column} > {value}"),
            Comparison::GreaterOrEqual => format!("{column} >= {value}"),
        })
    }

    fn operand(
        &self,
        sql: &mut Sql,
        table: &ObjectName,
        column: &SqlName,
        operand: &Operand,
    ) -> Result<String, WriteError> {
        let kind = self.spec.shape.kind(table, column);
        let beside = (kind, self.spec.shape.collation(table, column));
        Ok(match operand {
            Operand::Parameter(name) => {
                let declared = self.spec.parameter(name);
                match self.values.get(name).cloned().flatten() {
                    None => NULL.to_owned(),
                    Some(param) => sql.bind(
                        declared.map_or_else(|| name.clone(), |p| format!("{name} {}", p.kind)),
                        beside,
                        Some(param),
                    ),
                }
            }
            Operand::Constant(Value::Nil) => NULL.to_owned(),
            Operand::Constant(value) => {
                let param = constant(table, column, kind, value)?;
                sql.bind(format!("constant of {column}"), beside, param)
            }
            Operand::Request => {
                let param = constant(table, column, kind, &Value::from(self.request.as_str()))?;
                sql.bind("the request id".to_owned(), beside, param)
            }
            Operand::Now(clock) => now(*clock, kind).to_owned(),
            Operand::KeyOf(label) => {
                let param = self.keys.get(label).copied().map(Param::BigInt);
                sql.bind(format!("the key made by {label}"), NOTHING, param)
            }
            Operand::Next => "@next".to_owned(),
            Operand::Add(number) => {
                let place = sql.bind(format!("constant of {column}"), NOTHING, Some(Param::BigInt(*number)));
                format!("{} + {place}", column.quoted())
            }
            Operand::AddParameter(name) => {
                let label = self.spec.parameter(name).map(|p| format!("{name} {}", p.kind));
                let param = self.values.get(name).cloned().flatten();
                let place = sql.bind(label.unwrap_or_else(|| name.clone()), NOTHING, param);
                format!("{} + {place}", column.quoted())
            }
        })
    }

    fn selected(&self, table: &ObjectName, column: &SqlName) -> String {
        let kind = self.spec.shape.kind(table, column);
        kind.map_or_else(|| column.quoted().to_string(), |kind| kind.selected(column.quoted()))
    }
}

/// NULL and a number is NULL: a row whose sum would vanish so is none of the rows that a statement finds.
fn summable(set: &[Assignment]) -> String {
    let sums = set.iter().filter(|assignment| assignment.operand.adds());
    sums.map(|assignment| format!(" AND {} IS NOT NULL", assignment.column.quoted())).collect()
}

/// Whether rows that are read stay locked until the transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locks {
    /// They stay as they are until the end.
    Held,
    /// Nothing is touched.
    None,
}

fn constant(
    table: &ObjectName,
    column: &SqlName,
    kind: Option<Kind>,
    value: &Value,
) -> Result<Option<Param>, WriteError> {
    let name = format!("{table}.{column}");
    let kind = kind.ok_or_else(|| WriteError::NoColumn {
        table: table.to_string(),
        column: column.as_str().to_owned(),
    })?;
    kind.param(value).map_err(|expected| WriteError::Argument { name, expected })
}

/// The clock in the column's precision.
fn now(clock: Clock, kind: Option<Kind>) -> &'static str {
    match (clock, kind) {
        (Clock::Local, Some(Kind::DateTime | Kind::SmallDateTime)) => "GETDATE()",
        (Clock::Utc, Some(Kind::DateTime | Kind::SmallDateTime)) => "GETUTCDATE()",
        (Clock::Local, Some(Kind::Date)) => "CONVERT(date, SYSDATETIME())",
        (Clock::Utc, Some(Kind::Date)) => "CONVERT(date, SYSUTCDATETIME())",
        (_, Some(Kind::DateTimeOffset(_))) => "SYSDATETIMEOFFSET()",
        (Clock::Local, _) => "SYSDATETIME()",
        (Clock::Utc, _) => "SYSUTCDATETIME()",
    }
}

const NULL: &str = "NULL";
/// For numbers, which are no column's text.
const NOTHING: Beside<'static> = (None, None);
/// More rows are not read back.
const MOST_READ_BACK: u32 = 20;

#[cfg(test)]
mod tests;
