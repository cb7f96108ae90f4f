//! Bound expressions and query plans: names resolved, types known, conversions explicit.
//!
//! Row layout: a FROM's row is the concatenation of its tables' rows, left to right; a column is (depth, index),
//! depth 0 being the query's own row, 1 the enclosing query's, and so on.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]

use std::sync::Arc;

use super::ast::{BinaryOp, JoinKind};
use super::functions::Builtin;
use super::storage::table::Table;
use crate::types::{Column, Datum, Row, SqlType};

/// An expression with its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    pub kind: Kind,
    pub ty: SqlType,
    pub nullable: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Const(Datum),
    Variable(usize),
    Column {
        depth: usize,
        index: usize,
    },
    /// Result of the n-th aggregate, before grouping is resolved.
    Aggregate(usize),
    Arith(BinaryOp, Box<Bound>, Box<Bound>),
    Negate(Box<Bound>),
    BitNot(Box<Bound>),
    Compare(BinaryOp, Box<Bound>, Box<Bound>),
    And(Box<Bound>, Box<Bound>),
    Or(Box<Bound>, Box<Bound>),
    Not(Box<Bound>),
    IsNull(Box<Bound>),
    Like {
        value: Box<Bound>,
        pattern: Box<Bound>,
        escape: Option<Box<Bound>>,
    },
    In(Box<Bound>, Vec<Bound>),
    InQuery(Box<Bound>, PlanRef),
    Exists(PlanRef),
    Scalar(PlanRef),
    Case {
        whens: Vec<(Bound, Bound)>,
        otherwise: Option<Box<Bound>>,
    },
    Cast {
        value: Box<Bound>,
        style: Option<Box<Bound>>,
        tries: bool,
    },
    Call(&'static Builtin, Vec<Bound>),
}

/// A shared plan; two are equal when they are the same.
#[derive(Debug, Clone)]
pub struct PlanRef(pub Arc<QueryPlan>);

impl PartialEq for PlanRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Bound {
    pub fn constant(value: Datum, ty: SqlType) -> Self {
        let nullable = value.is_null();
        Self { kind: Kind::Const(value), ty, nullable }
    }

    pub fn column(index: usize, ty: SqlType, nullable: bool) -> Self {
        Self { kind: Kind::Column { depth: 0, index }, ty, nullable }
    }

    pub fn condition(kind: Kind) -> Self {
        Self { kind, ty: SqlType::Bit, nullable: true }
    }

    /// A NULL written as such: it takes any type.
    pub fn is_null_literal(&self) -> bool {
        matches!(self.kind, Kind::Const(Datum::Null))
    }

    /// Calls `f` on each direct part.
    pub fn for_each_child(&self, f: &mut dyn FnMut(&Self)) {
        match &self.kind {
            Kind::Const(_)
            | Kind::Variable(_)
            | Kind::Column { .. }
            | Kind::Aggregate(_)
            | Kind::Exists(_)
            | Kind::Scalar(_) => {}
            Kind::Arith(_, a, b) | Kind::Compare(_, a, b) | Kind::And(a, b) | Kind::Or(a, b) => {
                f(a);
                f(b);
            }
            Kind::Negate(a) | Kind::BitNot(a) | Kind::Not(a) | Kind::IsNull(a) | Kind::InQuery(a, _) => f(a),
            Kind::Like { value, pattern, escape } => {
                f(value);
                f(pattern);
                escape.iter().for_each(|e| f(e));
            }
            Kind::In(a, list) => {
                f(a);
                list.iter().for_each(f);
            }
            Kind::Case { whens, otherwise } => {
                for (when, then) in whens {
                    f(when);
                    f(then);
                }
                otherwise.iter().for_each(|e| f(e));
            }
            Kind::Cast { value, style, .. } => {
                f(value);
                style.iter().for_each(|e| f(e));
            }
            Kind::Call(_, args) => args.iter().for_each(f),
        }
    }

    /// Calls `f` on each direct part, to change it.
    pub fn for_each_child_mut<E>(&mut self, f: &mut dyn FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
        match &mut self.kind {
            Kind::Const(_)
            | Kind::Variable(_)
            | Kind::Column { .. }
            | Kind::Aggregate(_)
            | Kind::Exists(_)
            | Kind::Scalar(_) => Ok(()),
            Kind::Arith(_, a, b) | Kind::Compare(_, a, b) | Kind::And(a, b) | Kind::Or(a, b) => {
                f(a)?;
                f(b)
            }
            Kind::Negate(a) | Kind::BitNot(a) | Kind::Not(a) | Kind::IsNull(a) | Kind::InQuery(a, _) => f(a),
            Kind::Like { value, pattern, escape } => {
                f(value)?;
                f(pattern)?;
                escape.iter_mut().try_for_each(|e| f(e))
            }
            Kind::In(a, list) => {
                f(a)?;
                list.iter_mut().try_for_each(f)
            }
            Kind::Case { whens, otherwise } => {
                for (when, then) in whens {
                    f(when)?;
                    f(then)?;
                }
                otherwise.iter_mut().try_for_each(|e| f(e))
            }
            Kind::Cast { value, style, .. } => {
                f(value)?;
                style.iter_mut().try_for_each(|e| f(e))
            }
            Kind::Call(_, args) => args.iter_mut().try_for_each(f),
        }
    }

    /// Whether it runs a query of its own (and so may look at any enclosing column).
    pub fn has_query(&self) -> bool {
        let mut found = matches!(self.kind, Kind::Exists(_) | Kind::Scalar(_) | Kind::InQuery(..));
        self.for_each_child(&mut |child| found |= child.has_query());
        found
    }

    /// The highest column of the query's own row it reads, plus one.
    pub fn reach(&self) -> usize {
        let mut reach = match self.kind {
            Kind::Column { depth: 0, index } => index + 1,
            _ => 0,
        };
        self.for_each_child(&mut |child| reach = reach.max(child.reach()));
        reach
    }

    /// Whether it reads a column in `from..to` of the query's own row.
    pub fn reads(&self, from: usize, to: usize) -> bool {
        let mut found = matches!(self.kind, Kind::Column { depth: 0, index } if (from..to).contains(&index));
        self.for_each_child(&mut |child| found |= child.reads(from, to));
        found
    }
}

/// How a table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Dirty,
    /// Newest committed, waiting for writers.
    Committed,
    /// As of a commit sequence.
    Versioned(u64),
    /// Shared locks kept.
    Repeatable,
    /// Update locks kept.
    Update,
    /// Exclusive locks kept.
    Exclusive,
    /// Rows another transaction has locked are passed over.
    ReadPast,
}

/// A table in a FROM.
#[derive(Debug, Clone)]
pub struct TableSource {
    pub table: Arc<Table>,
    pub access: Access,
    /// Whole-table lock instead of rows (TABLOCK).
    pub table_lock: Option<super::storage::lock::Mode>,
    /// Key ranges kept free of new rows (SERIALIZABLE, HOLDLOCK).
    pub range: Option<super::storage::range::RangeMode>,
    pub no_wait: bool,
    /// First column in the query's row.
    pub base: usize,
    /// Conditions to hold for its rows; may read columns left of it.
    pub filters: Vec<Bound>,
    /// Order that would spare a sort.
    pub wanted: Vec<(usize, bool)>,
    /// The row's place follows its columns, for statements that will write it.
    pub with_key: bool,
}

/// Where rows come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// One row without columns.
    Single,
    Table(Box<TableSource>),
    /// Materialized rows (catalog views, table functions).
    Rows {
        rows: Arc<Vec<Row>>,
        filters: Vec<Bound>,
    },
    /// A derived table, view or CTE; `lateral` for APPLY.
    Query {
        plan: Arc<QueryPlan>,
        lateral: bool,
        filters: Vec<Bound>,
    },
    /// Expressions per row (VALUES).
    Values {
        rows: Vec<Vec<Bound>>,
        filters: Vec<Bound>,
    },
    Join(Box<JoinSource>),
}

#[derive(Debug, Clone)]
pub struct JoinSource {
    pub kind: JoinKind,
    pub left: Source,
    pub right: Source,
    pub on: Vec<Bound>,
    pub left_width: usize,
    pub right_width: usize,
    /// Conditions above an outer join.
    pub filters: Vec<Bound>,
}

/// An aggregate.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    pub kind: AggregateKind,
    pub arg: Option<Bound>,
    pub separator: Option<Bound>,
    pub distinct: bool,
    pub ty: SqlType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateKind {
    Count,
    CountBig,
    Sum,
    Avg,
    Min,
    Max,
    StringAgg,
}

#[derive(Debug, Clone)]
pub struct Grouping {
    pub keys: Vec<Bound>,
    pub aggregates: Vec<Aggregate>,
    pub having: Option<Bound>,
}

/// ROW_NUMBER; its value is appended to the row.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    pub partition: Vec<Bound>,
    pub order: Vec<(Bound, bool)>,
}

#[derive(Debug, Clone)]
pub struct SelectPlan {
    pub source: Source,
    pub filters: Vec<Bound>,
    pub group: Option<Grouping>,
    pub windows: Vec<Window>,
    pub items: Vec<Bound>,
    pub distinct: bool,
    pub top: Option<TopPlan>,
}

#[derive(Debug, Clone)]
pub struct TopPlan {
    pub count: Bound,
    pub percent: bool,
    pub ties: bool,
}

#[derive(Debug, Clone)]
pub enum BodyPlan {
    Select(Box<SelectPlan>),
    Set(super::ast::SetOp, Box<QueryPlan>, Box<QueryPlan>),
}

/// What a sort key is computed from.
#[derive(Debug, Clone)]
pub enum SortKey {
    /// A select item.
    Item(usize),
    /// An expression over the row before projection.
    Expr(Bound),
}

#[derive(Debug, Clone)]
pub struct QueryPlan {
    pub body: BodyPlan,
    pub order: Vec<(SortKey, bool)>,
    pub offset: Option<Bound>,
    pub fetch: Option<Bound>,
    pub columns: Vec<Column>,
    /// Variables the items are assigned to, instead of being returned.
    pub assign: Vec<(usize, Option<BinaryOp>)>,
}
