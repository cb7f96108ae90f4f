//! Execution of one statement: its clock, its transaction, its snapshot; expressions evaluated over rows.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::Arc;

use super::ast::BinaryOp;
use super::instance::as_datetime;
use super::message::{self, Result};
use super::plan::{Bound, Kind};
use super::session::SessionCore;
use super::storage::database::Database;
use super::storage::lock::{Mode, Resource, Waiter};
use super::storage::schema::Metadata;
use super::storage::table::Table;
use super::storage::usage::Use;
use super::storage::{TxnId, guard};
use super::value::temporal::Moment;
use super::value::{arith, compare, convert, text};
use crate::types::{Cancel, Datum, Isolation, SqlType};

pub mod aggregate;
pub mod query;
pub mod scan;

/// A row and the rows around it.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub row: &'a [Datum],
    pub outer: Option<&'a Rows<'a>>,
}

/// No row at all.
pub const NO_ROW: Rows<'static> = Rows { row: &[], outer: None };

/// Whether a producer of rows goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    More,
    Enough,
}

/// The statement under way.
pub struct Exec<'a> {
    pub session: &'a SessionCore,
    pub cancel: &'a Cancel,
    pub txn: TxnId,
    /// UTC now, the same for the whole statement.
    pub now: Moment,
    /// Snapshot of this statement (READ_COMMITTED_SNAPSHOT), opened on first use.
    statement_snapshot: Cell<Option<u64>>,
    /// Index uses this statement has counted.
    used: RefCell<HashSet<(i32, i32, Use)>>,
    waiter: Waiter,
}

impl<'a> Exec<'a> {
    pub fn new(session: &'a SessionCore, cancel: &'a Cancel, txn: TxnId, cost: usize) -> Self {
        let waiter = session.waiter(txn, cancel, cost);
        Self {
            session,
            cancel,
            txn,
            now: session.instance.now(),
            statement_snapshot: Cell::new(None),
            used: RefCell::default(),
            waiter,
        }
    }

    /// A database's metadata as this transaction sees it.
    pub fn metadata(&self, database: &Database) -> Arc<Metadata> {
        database.metadata.read(Some(self.txn))
    }

    /// The transaction's snapshot (SNAPSHOT isolation), opened on first use.
    pub fn snapshot(&self, database: &Database) -> Result<u64> {
        if !database.options().allow_snapshot && database.id > 4 {
            return Err(message::snapshot_disallowed(&database.name).reaching(message::Reach::Transaction));
        }
        Ok(self.session.transaction_snapshot().unwrap_or_else(|| self.statement_snapshot()))
    }

    /// The version of Change Tracking that is the last one here: the snapshot's under SNAPSHOT isolation.
    pub fn tracked_version(&self, database: &Database) -> Result<i64> {
        let now = || guard(&database.tracking).version;
        if self.session.isolation() != Isolation::Snapshot {
            return Ok(now());
        }
        self.snapshot(database)?;
        let transaction = self.session.transaction.borrow();
        Ok(transaction.as_ref().and_then(|t| t.tracked.get(&database.id).copied()).unwrap_or_else(now))
    }

    pub fn statement_snapshot(&self) -> u64 {
        if let Some(seq) = self.statement_snapshot.get() {
            return seq;
        }
        let seq = self.session.instance.clock.open_snapshot();
        self.statement_snapshot.set(Some(seq));
        seq
    }

    /// Takes a lock for this transaction.
    pub fn lock(&self, resource: Resource, mode: Mode) -> Result<bool> {
        self.session.instance.locks.acquire(&self.waiter, resource, mode)
    }

    /// Takes a lock without waiting (NOWAIT, READPAST).
    pub fn lock_now(&self, resource: Resource, mode: Mode) -> Result<bool> {
        let waiter = Waiter { timeout: Some(std::time::Duration::ZERO), ..self.waiter.clone() };
        self.session.instance.locks.acquire(&waiter, resource, mode)
    }

    pub fn unlock(&self, resource: &Resource) {
        self.session.instance.locks.release(self.txn, resource);
    }

    /// Fails once the client has sent an attention or the session was killed.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(message::cancelled()) } else { Ok(()) }
    }

    /// Counts a use of an index, once a statement.
    pub fn note_use(&self, table: &Table, index: i32, what: Use) {
        if self.used.borrow_mut().insert((table.info.object_id, index, what)) {
            table.usage.note(index, what, as_datetime(self.now));
        }
    }

    /// Reading a page of a slow disk takes its time.
    pub fn read_disk(&self) -> Result<()> {
        let delay = self.session.instance.faults.disk_delay();
        if delay.is_zero() {
            return Ok(());
        }
        self.session.waiting("PAGEIOLATCH_SH", || self.cancel.wait_timeout(delay));
        self.check_cancelled()
    }

    /// The value of an expression that reads no row.
    pub fn constant(&self, bound: &Bound) -> Result<Datum> {
        self.eval(bound, &NO_ROW)
    }

    /// Evaluates a value.
    pub fn eval(&self, bound: &Bound, rows: &Rows<'_>) -> Result<Datum> {
        match &bound.kind {
            Kind::Const(value) => Ok(value.clone()),
            Kind::Variable(index) => Ok(self.session.variable_value(*index)),
            Kind::Column { depth, index } => Ok(column(rows, *depth, *index)),
            Kind::Aggregate(_) => Err(message::aggregate_in_where()),
            Kind::Arith(op, left, right) => {
                arith::apply(*op, &self.eval(left, rows)?, &self.eval(right, rows)?, bound.ty)
            }
            Kind::Negate(inner) => self.negate(inner, rows, bound.ty),
            Kind::BitNot(inner) => match self.eval(inner, rows)?.as_i64() {
                None => Ok(Datum::Null),
                Some(n) => bit_not(n, bound.ty),
            },
            Kind::Scalar(plan) => self.scalar(&plan.0, rows),
            Kind::Case { whens, otherwise } => {
                for (when, then) in whens {
                    if self.truth(when, rows)? == Some(true) {
                        return self.eval(then, rows);
                    }
                }
                otherwise.as_ref().map_or(Ok(Datum::Null), |e| self.eval(e, rows))
            }
            Kind::Cast { value, style, tries } => {
                let value = self.eval(value, rows)?;
                let style = match style {
                    Some(style) => self.eval(style, rows)?.as_i64().unwrap_or(0) as i32,
                    None => 0,
                };
                let converted = convert::convert(&value, bound.ty, style, convert::Fit::Cut);
                if *tries { Ok(converted.unwrap_or(Datum::Null)) } else { converted }
            }
            Kind::Call(function, args) => {
                let args = args.iter().map(|a| self.eval(a, rows)).collect::<Result<Vec<_>>>()?;
                let value = (function.eval)(self, &args)?;
                if function.exact || value.is_null() { Ok(value) } else { fit(value, bound.ty) }
            }
            Kind::Compare(..)
            | Kind::And(..)
            | Kind::Or(..)
            | Kind::Not(_)
            | Kind::IsNull(_)
            | Kind::Like { .. }
            | Kind::In(..)
            | Kind::InQuery(..)
            | Kind::Exists(_) => Ok(self.truth(bound, rows)?.map_or(Datum::Null, Datum::Bit)),
        }
    }

    /// Evaluates a condition: true, false or unknown.
    pub fn truth(&self, bound: &Bound, rows: &Rows<'_>) -> Result<Option<bool>> {
        match &bound.kind {
            Kind::Compare(op, left, right) => {
                let (a, b) = (self.eval(left, rows)?, self.eval(right, rows)?);
                if a.is_null() || b.is_null() {
                    return Ok(None);
                }
                Ok(Some(holds(*op, compare::compare(&a, &b))))
            }
            Kind::And(left, right) => match self.truth(left, rows)? {
                Some(false) => Ok(Some(false)),
                Some(true) => self.truth(right, rows),
                None => Ok(if self.truth(right, rows)? == Some(false) { Some(false) } else { None }),
            },
            Kind::Or(left, right) => match self.truth(left, rows)? {
                Some(true) => Ok(Some(true)),
                Some(false) => self.truth(right, rows),
                None => Ok(if self.truth(right, rows)? == Some(true) { Some(true) } else { None }),
            },
            Kind::Not(inner) => Ok(self.truth(inner, rows)?.map(|b| !b)),
            Kind::IsNull(inner) => Ok(Some(self.eval(inner, rows)?.is_null())),
            Kind::Like { value, pattern, escape } => self.like(value, pattern, escape.as_deref(), rows),
            Kind::In(value, list) => self.in_list(value, list, rows),
            Kind::InQuery(value, plan) => self.in_query(value, &plan.0, rows),
            Kind::Exists(plan) => {
                let mut found = false;
                self.run(&plan.0, Some(rows), &mut |_| {
                    found = true;
                    Ok(Flow::Enough)
                })?;
                Ok(Some(found))
            }
            Kind::Const(_)
            | Kind::Variable(_)
            | Kind::Column { .. }
            | Kind::Aggregate(_)
            | Kind::Arith(..)
            | Kind::Negate(_)
            | Kind::BitNot(_)
            | Kind::Scalar(_)
            | Kind::Case { .. }
            | Kind::Cast { .. }
            | Kind::Call(..) => Ok(self.eval(bound, rows)?.as_i64().map(|n| n != 0)),
        }
    }

    /// Whether every condition is true.
    pub fn all(&self, conditions: &[Bound], rows: &Rows<'_>) -> Result<bool> {
        for condition in conditions {
            if self.truth(condition, rows)? != Some(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn negate(&self, inner: &Bound, rows: &Rows<'_>, ty: SqlType) -> Result<Datum> {
        let zero = convert::convert(&Datum::Int(0), ty, 0, convert::Fit::Cut)?;
        let value = self.eval(inner, rows)?;
        match (&value, ty) {
            (Datum::Float(f), _) => Ok(Datum::Float(-f)),
            _ => arith::apply(BinaryOp::Sub, &zero, &value, ty),
        }
    }

    fn like(
        &self,
        value: &Bound,
        pattern: &Bound,
        escape: Option<&Bound>,
        rows: &Rows<'_>,
    ) -> Result<Option<bool>> {
        let (value, pattern) = (self.eval(value, rows)?, self.eval(pattern, rows)?);
        let escape = match escape {
            Some(bound) => {
                let value = self.eval(bound, rows)?;
                let text = value.as_str().unwrap_or("").to_owned();
                let mut chars = text.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => Some(c),
                    _ => {
                        let text = format!(
                            "The invalid escape character \"{text}\" was specified in a LIKE predicate."
                        );
                        return Err(message::SqlError::new(506, 16, 1, text));
                    }
                }
            }
            None => None,
        };
        Ok(match (value.as_str(), pattern.as_str()) {
            (Some(value), Some(pattern)) => Some(text::like(value, pattern, escape)),
            _ => None,
        })
    }

    fn in_list(&self, value: &Bound, list: &[Bound], rows: &Rows<'_>) -> Result<Option<bool>> {
        let value = self.eval(value, rows)?;
        if value.is_null() {
            return Ok(None);
        }
        let mut unknown = false;
        for item in list {
            let item = self.eval(item, rows)?;
            if item.is_null() {
                unknown = true;
            } else if compare::compare(&value, &item).is_eq() {
                return Ok(Some(true));
            }
        }
        Ok(if unknown { None } else { Some(false) })
    }

    fn in_query(
        &self,
        value: &Bound,
        plan: &super::plan::QueryPlan,
        rows: &Rows<'_>,
    ) -> Result<Option<bool>> {
        let common = super::bind::common_type(value.ty, plan.columns[0].ty);
        let value = self.eval(value, rows)?;
        let comparable = |v: &Datum| convert::convert(v, common, 0, convert::Fit::Cut);
        let wanted = comparable(&value)?;
        let (mut found, mut unknown, mut any) = (false, false, false);
        self.run(plan, Some(rows), &mut |row| {
            any = true;
            if row[0].is_null() || wanted.is_null() {
                unknown = true;
            } else if compare::compare(&wanted, &comparable(&row[0])?).is_eq() {
                found = true;
                return Ok(Flow::Enough);
            }
            Ok(Flow::More)
        })?;
        Ok(if found {
            Some(true)
        } else if unknown && any {
            None
        } else {
            Some(false)
        })
    }

    fn scalar(&self, plan: &super::plan::QueryPlan, rows: &Rows<'_>) -> Result<Datum> {
        let mut found: Option<Datum> = None;
        let mut many = false;
        self.run(plan, Some(rows), &mut |row| {
            if found.is_some() {
                many = true;
                return Ok(Flow::Enough);
            }
            found = Some(row[0].clone());
            Ok(Flow::More)
        })?;
        if many { Err(message::subquery_rows()) } else { Ok(found.unwrap_or(Datum::Null)) }
    }
}

impl Drop for Exec<'_> {
    fn drop(&mut self) {
        if let Some(seq) = self.statement_snapshot.get() {
            self.session.instance.clock.close_snapshot(seq);
        }
    }
}

fn bit_not(n: i64, ty: SqlType) -> Result<Datum> {
    let flipped = if ty == SqlType::TinyInt { i64::from(!(n as u8)) } else { !n };
    let flipped = if ty == SqlType::Bit { i64::from(n == 0) } else { flipped };
    convert::convert(&Datum::BigInt(flipped), ty, 0, convert::Fit::Cut)
}

fn column(rows: &Rows<'_>, depth: usize, index: usize) -> Datum {
    let mut at = rows;
    for _ in 0..depth {
        match at.outer {
            Some(outer) => at = outer,
            None => return Datum::Null,
        }
    }
    at.row.get(index).cloned().unwrap_or(Datum::Null)
}

/// Whether `left op right` holds, given how they compare.
pub fn holds(op: BinaryOp, ordering: std::cmp::Ordering) -> bool {
    match op {
        BinaryOp::Eq => ordering.is_eq(),
        BinaryOp::Ne => ordering.is_ne(),
        BinaryOp::Lt => ordering.is_lt(),
        BinaryOp::Le => ordering.is_le(),
        BinaryOp::Gt => ordering.is_gt(),
        BinaryOp::Ge => ordering.is_ge(),
        BinaryOp::Add
        | BinaryOp::Sub
        | BinaryOp::Mul
        | BinaryOp::Div
        | BinaryOp::Mod
        | BinaryOp::BitAnd
        | BinaryOp::BitOr
        | BinaryOp::BitXor
        | BinaryOp::And
        | BinaryOp::Or => false,
    }
}

/// A function's value as the type it announced.
fn fit(value: Datum, ty: SqlType) -> Result<Datum> {
    convert::convert(&value, ty, 0, convert::Fit::Cut)
}
