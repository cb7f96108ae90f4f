//! The syntax tree of the T-SQL this engine reads. Names are as written; nothing is resolved.

use crate::types::{Datum, Isolation, SqlType};

mod security;

pub use security::*;

/// `[server.][database.][schema.]object`, last part last; an omitted part is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub Vec<String>);

impl Name {
    pub fn object(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }
    pub fn schema(&self) -> Option<&str> {
        self.part(2)
    }
    pub fn database(&self) -> Option<&str> {
        self.part(3)
    }
    fn part(&self, from_end: usize) -> Option<&str> {
        let at = self.0.len().checked_sub(from_end)?;
        self.0.get(at).map(String::as_str).filter(|s| !s.is_empty())
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    BitAnd,
    BitOr,
    BitXor,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    Literal(Datum, SqlType),
    Null,
    Variable(String),
    System(String),
    Column(Vec<String>),
    Negate(Box<Expr>),
    BitNot(Box<Expr>),
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    IsNull { expr: Box<Expr>, negated: bool },
    Like { expr: Box<Expr>, pattern: Box<Expr>, escape: Option<Box<Expr>>, negated: bool },
    Between { expr: Box<Expr>, low: Box<Expr>, high: Box<Expr>, negated: bool },
    InList { expr: Box<Expr>, list: Vec<Expr>, negated: bool },
    InQuery { expr: Box<Expr>, query: Box<Query>, negated: bool },
    Exists(Box<Query>),
    Subquery(Box<Query>),
    Case { operand: Option<Box<Expr>>, whens: Vec<(Expr, Expr)>, otherwise: Option<Box<Expr>> },
    Cast { expr: Box<Expr>, ty: TypeName, style: Option<Box<Expr>>, tries: bool },
    Call { name: Vec<String>, args: Vec<Expr>, distinct: bool, star: bool },
    RowNumber { partition: Vec<Expr>, order: Vec<OrderItem> },
    Collate(Box<Expr>, String),
}

impl Expr {
    /// Whether it is a condition, not a value.
    pub fn is_condition(&self) -> bool {
        match self {
            Self::Binary(op, ..) => matches!(
                op,
                BinaryOp::Eq
                    | BinaryOp::Ne
                    | BinaryOp::Lt
                    | BinaryOp::Le
                    | BinaryOp::Gt
                    | BinaryOp::Ge
                    | BinaryOp::And
                    | BinaryOp::Or
            ),
            Self::Not(_)
            | Self::IsNull { .. }
            | Self::Like { .. }
            | Self::Between { .. }
            | Self::InList { .. }
            | Self::InQuery { .. }
            | Self::Exists(_) => true,
            Self::Literal(..)
            | Self::Null
            | Self::Variable(_)
            | Self::System(_)
            | Self::Column(_)
            | Self::Negate(_)
            | Self::BitNot(_)
            | Self::Subquery(_)
            | Self::Case { .. }
            | Self::Cast { .. }
            | Self::Call { .. }
            | Self::RowNumber { .. }
            | Self::Collate(..) => false,
        }
    }
}

/// A type as written; resolved by name and arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeName {
    pub name: String,
    pub ty: Option<SqlType>,
    /// A length or precision was written.
    pub sized: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub ctes: Vec<Cte>,
    pub body: Body,
    pub order: Vec<OrderItem>,
    pub offset: Option<Expr>,
    pub fetch: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Cte {
    pub name: String,
    pub columns: Vec<String>,
    pub query: Query,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Select(Box<Select>),
    Set(SetOp, Box<Body>, Box<Body>),
    Nested(Box<Query>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetOp {
    UnionAll,
    Union,
    Except,
    Intersect,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    pub distinct: bool,
    pub top: Option<Top>,
    pub items: Vec<Item>,
    pub into: Option<Name>,
    pub from: Vec<From>,
    pub filter: Option<Expr>,
    pub group: Vec<Expr>,
    pub having: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Top {
    pub count: Expr,
    pub percent: bool,
    pub ties: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// `*` or `t.*`
    Star(Vec<String>),
    Expr {
        expr: Expr,
        alias: Option<String>,
    },
    Assign {
        variable: String,
        op: Option<BinaryOp>,
        expr: Expr,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct OrderItem {
    pub expr: Expr,
    pub descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Cross,
    CrossApply,
    OuterApply,
}

#[derive(Debug, Clone, PartialEq)]
pub enum From {
    Table { name: Name, alias: Option<String>, hints: Vec<Hint> },
    Function { name: Name, args: Vec<Expr>, alias: Option<String>, columns: Vec<String> },
    Changes { table: Name, since: Expr, alias: Option<String> },
    Derived { query: Box<Query>, alias: String, columns: Vec<String> },
    Values { rows: Vec<Vec<Expr>>, alias: String, columns: Vec<String> },
    Join { kind: JoinKind, left: Box<From>, right: Box<From>, on: Option<Expr> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    NoLock,
    ReadPast,
    UpdLock,
    XLock,
    HoldLock,
    RepeatableRead,
    ReadCommittedLock,
    TabLock,
    TabLockX,
    /// Hints that change no result here (ROWLOCK, PAGLOCK, NOWAIT is its own, FORCESEEK, INDEX, ...).
    Neutral,
    NoWait,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    pub target: Name,
    pub top: Option<Top>,
    pub columns: Vec<String>,
    pub output: Option<OutputClause>,
    pub source: InsertSource,
    pub hints: Vec<Hint>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum InsertSource {
    /// `None` is DEFAULT.
    Values(Vec<Vec<Option<Expr>>>),
    Query(Box<Query>),
    Defaults,
}

#[derive(Debug, Clone, PartialEq)]
pub struct OutputClause {
    pub items: Vec<Item>,
    pub into: Option<(Name, Vec<String>)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    pub ctes: Vec<Cte>,
    pub target: Name,
    pub hints: Vec<Hint>,
    pub top: Option<Top>,
    pub sets: Vec<SetClause>,
    pub output: Option<OutputClause>,
    pub from: Vec<From>,
    pub filter: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SetClause {
    /// `column = expr` (`None` is DEFAULT), with `op` for `+=` and friends.
    Column {
        column: String,
        op: Option<BinaryOp>,
        value: Option<Expr>,
    },
    Variable {
        variable: String,
        op: Option<BinaryOp>,
        value: Expr,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    pub ctes: Vec<Cte>,
    pub target: Name,
    pub hints: Vec<Hint>,
    pub top: Option<Top>,
    pub output: Option<OutputClause>,
    pub from: Vec<From>,
    pub filter: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDef {
    pub name: String,
    pub ty: TypeName,
    pub nullable: Option<bool>,
    pub identity: Option<(i64, i64)>,
    pub default: Option<(Option<String>, Expr, String)>,
    pub computed: Option<(Expr, String)>,
    pub constraints: Vec<TableConstraint>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TableConstraint {
    pub name: Option<String>,
    pub kind: ConstraintKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ConstraintKind {
    Key {
        primary: bool,
        clustered: Option<bool>,
        columns: Vec<(String, bool)>,
    },
    Foreign {
        columns: Vec<String>,
        table: Name,
        referenced: Vec<String>,
        on_delete: Action,
        on_update: Action,
    },
    Check {
        condition: Expr,
        text: String,
    },
    Default {
        column: String,
        expr: Expr,
        text: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// NO ACTION
    Refuse,
    Cascade,
    SetNull,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateIndex {
    pub name: String,
    pub table: Name,
    pub unique: bool,
    pub clustered: bool,
    pub columns: Vec<(String, bool)>,
    pub include: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AlterTable {
    AddColumns(Vec<ColumnDef>),
    AddConstraint(TableConstraint),
    DropColumns(Vec<String>),
    DropConstraint { names: Vec<String>, if_exists: bool },
    AlterColumn(ColumnDef),
    ChangeTracking { on: bool, columns_updated: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    Table,
    View,
    Procedure,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SetOption {
    LockTimeout(i64),
    DeadlockPriority(i32),
    Isolation(Isolation),
    NoCount(bool),
    XactAbort(bool),
    RowCount(u64),
    IdentityInsert(Name, bool),
    Implicit(bool),
    /// Options that this engine holds at the one value named; anything else was refused by the parser.
    Accepted,
    QuotedIdentifier(bool),
    /// A binary constant or a variable.
    ContextInfo(Expr),
    FormatOnly(bool),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    pub name: Option<String>,
    /// `None` is DEFAULT.
    pub value: Option<Expr>,
    pub output: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum DatabaseChange {
    ReadCommittedSnapshot(bool),
    AllowSnapshot(bool),
    ReadOnly(bool),
    Online(bool),
    SingleUser(Option<bool>),
    Recovery(String),
    ChangeTracking { on: bool, retention_minutes: Option<i64>, auto_cleanup: Option<bool> },
    CompatibilityLevel(i64),
    Trustworthy(bool),
    Chaining(bool),
    Contained(bool),
    Rename(String),
}

/// A transaction's or savepoint's name, or the variable that holds it.
#[derive(Debug, Clone, PartialEq)]
pub enum TransactionName {
    Name(String),
    Variable(String),
}

/// What happens to the sessions in a database whose state changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Termination {
    Wait,
    NoWait,
    /// Seconds until they are rolled back; 0 is IMMEDIATE.
    RollbackAfter(u64),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Stmt {
    Select(Box<Query>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
    Truncate(Name),
    CreateTable {
        name: Name,
        columns: Vec<ColumnDef>,
        constraints: Vec<TableConstraint>,
    },
    AlterTable {
        name: Name,
        change: AlterTable,
    },
    Drop {
        kind: ObjectKind,
        names: Vec<Name>,
        if_exists: bool,
    },
    CreateIndex(CreateIndex),
    DropIndex {
        name: String,
        table: Name,
        if_exists: bool,
    },
    CreateView {
        name: Name,
        columns: Vec<String>,
        query: Box<Query>,
        text: String,
        or_alter: bool,
        alter: bool,
    },
    CreateSchema {
        name: String,
        owner: Option<String>,
    },
    DropSchema {
        name: String,
        if_exists: bool,
    },
    CreateDatabase {
        name: String,
        options: Vec<DatabaseChange>,
    },
    DropDatabase {
        names: Vec<String>,
        if_exists: bool,
    },
    AlterDatabase {
        name: Option<String>,
        change: DatabaseChange,
        termination: Termination,
    },
    Security(SecurityStmt),
    Declare(Vec<(String, TypeName, Option<Expr>)>),
    DeclareTable {
        name: String,
        columns: Vec<ColumnDef>,
        constraints: Vec<TableConstraint>,
    },
    SetVariable {
        name: String,
        op: Option<BinaryOp>,
        value: Expr,
    },
    Set(SetOption),
    Use(String),
    If {
        condition: Expr,
        then: Box<Located>,
        otherwise: Option<Box<Located>>,
    },
    While {
        condition: Expr,
        body: Box<Located>,
    },
    Block(Vec<Located>),
    Try {
        body: Vec<Located>,
        handler: Vec<Located>,
    },
    Break,
    Continue,
    Return(Option<Expr>),
    Print(Expr),
    RaisError {
        message: Expr,
        severity: Expr,
        state: Expr,
        args: Vec<Expr>,
        log: bool,
        nowait: bool,
    },
    Throw(Option<(Expr, Expr, Expr)>),
    Begin(Option<TransactionName>),
    Commit,
    Rollback(Option<TransactionName>),
    Save(TransactionName),
    Execute {
        procedure: Name,
        args: Vec<Argument>,
        returns: Option<String>,
    },
    ExecuteText(Vec<Expr>),
    ExecuteAs {
        kind: SecurableClass,
        name: String,
        no_revert: bool,
    },
    Revert,
    WaitFor {
        delay: Expr,
        until: bool,
    },
    Kill(i64),
    Checkpoint,
    /// BACKUP DATABASE of that name to NUL.
    Backup(String),
}

/// A statement with the line it starts on.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    pub line: u32,
    pub stmt: Stmt,
}
