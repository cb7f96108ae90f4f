//! A write as declared: what it changes, under which conditions, what is read back, and how it happens only once.
//!
//! A definition holds names and operands, never SQL text; `sql` renders it. Its [`Shape`] is what the catalog said of
//! the columns it touches when it was approved; every write compares the tables with it before it commits.

use std::time::Duration;

use states::Value;

use crate::mssql::ConnectionOptions;
use crate::mssql::collation::Collation;
use crate::mssql::quote::{ObjectName, SqlName};
pub use crate::mssql::shape::{Shape, TableShape, same_name};

use super::kind::Kind;
use super::names::WriteName;
use super::parameter::Parameter;

/// A declared write.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteSpec {
    /// Its name.
    pub name: WriteName,
    /// Where and as whom it writes; the database included.
    pub connection: ConnectionOptions,
    /// What a request gives.
    pub parameters: Vec<Parameter>,
    /// What must hold before anything is changed.
    pub preconditions: Vec<Precondition>,
    /// The changes, in order, all or nothing.
    pub statements: Vec<Statement>,
    /// What is read at the end, before the commit.
    pub read_back: ReadBack,
    /// How it happens only once.
    pub once: Once,
    /// Whose writes keep their order.
    pub entity: Option<Entity>,
    /// How long one submission is tried.
    pub deadline: Duration,
    /// How old a request may be.
    pub expires: Option<Duration>,
    /// The age public keys that values are sealed for; nobody when empty.
    pub recipients: Vec<String>,
    /// Columns of the read-back whose values may stand in a return.
    pub clear: Vec<String>,
    /// The tables as approved.
    pub shape: Shape,
}

/// How a write happens only once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Once {
    /// By a row of the ledger in this database of the instance, in the same transaction.
    Ledger(SqlName),
    /// By this column of the first statement's table, which the request's id is written to.
    ExternalId(SqlName),
}

/// A condition of the tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Precondition {
    /// Where.
    pub table: ObjectName,
    /// Which row.
    pub filter: Vec<Condition>,
    /// What must hold.
    pub demand: Demand,
}

/// What a precondition demands of its rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Demand {
    /// Exactly one row, with these values.
    Expect(Vec<Condition>),
    /// No row.
    Absent,
}

/// A comparison of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The column.
    pub column: SqlName,
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub operand: Operand,
}

/// How a column is compared. Equal and unequal know NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `eq`
    Equal,
    /// `ne`
    Unequal,
    /// `lt`
    Less,
    /// `le`
    LessOrEqual,
    /// `gt`
    Greater,
    /// `ge`
    GreaterOrEqual,
}

/// A value in a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A parameter of the request.
    Parameter(String),
    /// A constant of the definition, of the column's type.
    Constant(Value),
    /// The server's clock.
    Now(Clock),
    /// The key that the insert of that label made.
    KeyOf(String),
    /// The request's id.
    Request,
    /// One more than the column's largest value; the key of the insert.
    Next,
    /// The column's own value and this.
    Add(i64),
    /// The column's own value and this parameter of the request.
    AddParameter(String),
}

impl Operand {
    /// Whether it is a sum with the column's own value.
    #[must_use]
    pub fn adds(&self) -> bool {
        matches!(self, Self::Add(_) | Self::AddParameter(_))
    }
}

/// Which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The server's local time.
    Local,
    /// UTC.
    Utc,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What others call it.
    pub label: String,
    /// Where.
    pub table: ObjectName,
    /// What.
    pub action: Action,
    /// The fewest rows it may touch.
    pub least: u64,
    /// The most rows it may touch.
    pub most: u64,
}

/// What a statement does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// One row.
    Insert(Vec<Assignment>),
    /// Columns of some rows.
    Update(Vec<Assignment>, Vec<Condition>),
    /// Some rows.
    Delete(Vec<Condition>),
}

/// A column and what it gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The column.
    pub column: SqlName,
    /// Its value.
    pub operand: Operand,
}

/// What is read before the commit.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadBack {
    /// Where.
    pub table: ObjectName,
    /// Which columns.
    pub columns: Vec<SqlName>,
    /// Which of them are the row's key.
    pub keys: Vec<SqlName>,
    /// Which rows.
    pub filter: Vec<Condition>,
}

/// Whose writes keep their order: writes of the same entity with the same values run one after the other as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// What it is: `appointment`.
    pub name: String,
    /// The parameters that tell one from another.
    pub parameters: Vec<String>,
}

impl WriteSpec {
    /// The parameter of that name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// Every table with the columns of it that the definition names.
    #[must_use]
    pub fn touched(&self) -> Vec<(&ObjectName, Vec<&SqlName>)> {
        let mut tables: Vec<(&ObjectName, Vec<&SqlName>)> = Vec::new();
        for (table, column) in self.mentions() {
            match tables.iter_mut().find(|(known, _)| *known == table) {
                Some((_, columns)) if columns.contains(&column) => {}
                Some((_, columns)) => columns.push(column),
                None => tables.push((table, vec![column])),
            }
        }
        tables
    }

    /// Whether every value of the read-back may stand in a return.
    #[must_use]
    pub fn sealed_columns(&self) -> Vec<&SqlName> {
        let is_clear = |column: &&SqlName| self.clear.iter().any(|clear| clear == column.as_str());
        self.read_back.columns.iter().filter(|column| !is_clear(column)).collect()
    }

    /// Every operand with the column it is compared with or written to.
    #[must_use]
    pub fn operands(&self) -> Vec<(&ObjectName, &SqlName, &Operand)> {
        let mut conditions: Vec<(&ObjectName, &[Condition])> = Vec::new();
        for precondition in &self.preconditions {
            conditions.push((&precondition.table, &precondition.filter));
            if let Demand::Expect(expected) = &precondition.demand {
                conditions.push((&precondition.table, expected));
            }
        }
        conditions.extend(self.statements.iter().map(|statement| (&statement.table, statement.filter())));
        conditions.push((&self.read_back.table, &self.read_back.filter));
        let compared = conditions.into_iter().flat_map(|(table, conditions)| {
            conditions.iter().map(move |condition| (table, &condition.column, &condition.operand))
        });
        let written = self.statements.iter().flat_map(|statement| {
            let set = statement.assignments().iter();
            set.map(move |assignment| (&statement.table, &assignment.column, &assignment.operand))
        });
        compared.chain(written).collect()
    }

    fn mentions(&self) -> Vec<(&ObjectName, &SqlName)> {
        let mut all = Vec::new();
        for precondition in &self.preconditions {
            let demand: &[Condition] = match &precondition.demand {
                Demand::Expect(conditions) => conditions,
                Demand::Absent => &[],
            };
            let conditions = precondition.filter.iter().chain(demand);
            all.extend(conditions.map(|condition| (&precondition.table, &condition.column)));
        }
        for statement in &self.statements {
            let filter = statement.filter().iter().map(|condition| &condition.column);
            let columns = filter.chain(statement.assignments().iter().map(|assignment| &assignment.column));
            all.extend(columns.map(|column| (&statement.table, column)));
        }
        let filter = self.read_back.filter.iter().map(|condition| &condition.column);
        all.extend(self.read_back.columns.iter().chain(filter).map(|column| (&self.read_back.table, column)));
        all
    }
}

impl Statement {
    /// Which rows it touches; nothing for an insert.
    #[must_use]
    pub fn filter(&self) -> &[Condition] {
        match &self.action {
            Action::Insert(_) => &[],
            Action::Update(_, filter) | Action::Delete(filter) => filter,
        }
    }

    /// What it sets; nothing for a delete.
    #[must_use]
    pub fn assignments(&self) -> &[Assignment] {
        match &self.action {
            Action::Insert(values) | Action::Update(values, _) => values,
            Action::Delete(_) => &[],
        }
    }

    /// `INSERT`, `UPDATE` or `DELETE`.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self.action {
            Action::Insert(_) => "INSERT",
            Action::Update(..) => "UPDATE",
            Action::Delete(_) => "DELETE",
        }
    }
}

impl Comparison {
    /// Every one with its word in a declaration.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("eq", Self::Equal),
        ("ne", Self::Unequal),
        ("lt", Self::Less),
        ("le", Self::LessOrEqual),
        ("gt", Self::Greater),
        ("ge", Self::GreaterOrEqual),
    ];
}

impl Shape {
    /// The type of a column.
    #[must_use]
    pub fn kind(&self, table: &ObjectName, column: &SqlName) -> Option<Kind> {
        let (_, sql_type) =
            self.table(table)?.columns.iter().find(|(name, _)| same_name(name, column.as_str()))?;
        Kind::parse(sql_type)
    }

    /// The collation of a column, where it was asked for.
    #[must_use]
    pub fn collation(&self, table: &ObjectName, column: &SqlName) -> Option<&Collation> {
        self.table(table)?.collation(column.as_str())
    }
}
