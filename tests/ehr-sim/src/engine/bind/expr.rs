//! Binding of expressions: each gets its type, each conversion becomes explicit.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]
#![expect(
    clippy::too_many_arguments,
    reason = "the statement's clock, its target and the versions of a row travel together"
)]

use super::Binder;
use super::common_type::{cast_to, common_of, comparable, implicit};
use crate::engine::ast::{BinaryOp, Expr, Item, OrderItem, Query, TypeName};
use crate::engine::functions::{self, Builtin};
use crate::engine::message::{self, Result};
use crate::engine::plan::{Aggregate, AggregateKind, Bound, Kind, PlanRef, Window};
use crate::engine::value::{arith, convert, text};
use crate::types::{Datum, Length, SqlType};
use std::sync::Arc;

impl<'q> Binder<'_, 'q> {
    /// Binds a value.
    pub fn value(&mut self, expr: &'q Expr) -> Result<Bound> {
        match expr {
            Expr::Literal(value, ty) => Ok(Bound::constant(value.clone(), *ty)),
            Expr::Null => Ok(Bound::constant(Datum::Null, SqlType::Int)),
            Expr::Variable(name) => {
                let (index, ty) =
                    self.exec.session.variable(name).ok_or_else(|| message::must_declare(name))?;
                Ok(Bound { kind: Kind::Variable(index), ty, nullable: true })
            }
            Expr::System(name) => self.builtin(name, Vec::new()),
            Expr::Column(parts) => self.column(parts),
            Expr::Negate(inner) => self.negate(inner),
            Expr::BitNot(inner) => self.bit_not(inner),
            Expr::Binary(op, left, right) => self.binary(*op, left, right),
            Expr::Subquery(query) => self.scalar_subquery(query),
            Expr::Case { operand, whens, otherwise } => {
                self.case(operand.as_deref(), whens, otherwise.as_deref())
            }
            Expr::Cast { expr, ty, style, tries } => self.cast(expr, ty, style.as_deref(), *tries),
            Expr::Call { name, args, distinct, star } => self.call(name, args, *distinct, *star),
            Expr::RowNumber { partition, order } => self.row_number(partition, order),
            Expr::Collate(inner, collation) => {
                let value = self.value(inner)?;
                check_collation(collation)?;
                Ok(value)
            }
            Expr::Not(_)
            | Expr::IsNull { .. }
            | Expr::Like { .. }
            | Expr::Between { .. }
            | Expr::InList { .. }
            | Expr::InQuery { .. }
            | Expr::Exists(_) => self.condition(expr),
        }
    }

    /// Binds a condition.
    pub fn condition(&mut self, expr: &'q Expr) -> Result<Bound> {
        match expr {
            Expr::Binary(BinaryOp::And, left, right) => {
                let (left, right) = (Box::new(self.condition(left)?), Box::new(self.condition(right)?));
                Ok(Bound::condition(Kind::And(left, right)))
            }
            Expr::Binary(BinaryOp::Or, left, right) => {
                let (left, right) = (Box::new(self.condition(left)?), Box::new(self.condition(right)?));
                Ok(Bound::condition(Kind::Or(left, right)))
            }
            Expr::Not(inner) => Ok(negated(self.condition(inner)?, true)),
            Expr::IsNull { expr, negated: not } => {
                let value = self.value(expr)?;
                Ok(negated(Bound::condition(Kind::IsNull(Box::new(value))), *not))
            }
            Expr::Like { expr, pattern, escape, negated: not } => {
                let value = Box::new(self.text_operand(expr, "like")?);
                let pattern = Box::new(self.text_operand(pattern, "like")?);
                let escape =
                    escape.as_ref().map(|e| self.text_operand(e, "like").map(Box::new)).transpose()?;
                Ok(negated(Bound::condition(Kind::Like { value, pattern, escape }), *not))
            }
            Expr::Between { expr, low, high, negated: not } => {
                let value = self.value(expr)?;
                let (low, high) = (self.value(low)?, self.value(high)?);
                let lower = self.compare(BinaryOp::Ge, value.clone(), low)?;
                let upper = self.compare(BinaryOp::Le, value, high)?;
                Ok(negated(Bound::condition(Kind::And(Box::new(lower), Box::new(upper))), *not))
            }
            Expr::InList { expr, list, negated: not } => {
                let value = self.value(expr)?;
                let condition = self.in_list(value, list)?;
                Ok(negated(condition, *not))
            }
            Expr::InQuery { expr, query, negated: not } => {
                let value = self.value(expr)?;
                let plan = self.subquery(query)?;
                if plan.0.columns.len() != 1 {
                    return Err(message::subquery_columns());
                }
                let value = Box::new(value);
                Ok(negated(Bound::condition(Kind::InQuery(value, plan)), *not))
            }
            Expr::Exists(query) => Ok(Bound::condition(Kind::Exists(self.subquery(query)?))),
            Expr::Binary(op, left, right) => self.binary(*op, left, right),
            Expr::Literal(..)
            | Expr::Null
            | Expr::Variable(_)
            | Expr::System(_)
            | Expr::Column(_)
            | Expr::Negate(_)
            | Expr::BitNot(_)
            | Expr::Subquery(_)
            | Expr::Case { .. }
            | Expr::Cast { .. }
            | Expr::Call { .. }
            | Expr::RowNumber { .. }
            | Expr::Collate(..) => Err(message::expected_condition("")),
        }
    }

    fn in_list(&mut self, value: Bound, list: &'q [Expr]) -> Result<Bound> {
        let bound = list.iter().map(|e| self.value(e)).collect::<Result<Vec<_>>>()?;
        let mut all = vec![value.clone()];
        all.extend(bound.iter().cloned());
        let common = common_of(&all);
        let direct = |b: &Bound| super::common_type::compares_directly(b.ty, value.ty) || b.is_null_literal();
        if bound.iter().all(direct) {
            return Ok(Bound::condition(Kind::In(Box::new(value), bound)));
        }
        let items = bound.into_iter().map(|b| implicit(b, common)).collect::<Result<Vec<_>>>()?;
        Ok(Bound::condition(Kind::In(Box::new(implicit(value, common)?), items)))
    }

    fn text_operand(&mut self, expr: &'q Expr, function: &str) -> Result<Bound> {
        let value = self.value(expr)?;
        if value.ty.is_text() {
            return Ok(value);
        }
        if value.ty.is_binary() || value.ty == SqlType::Xml {
            return Err(message::invalid_argument(value.ty.name(), 1, function));
        }
        Ok(cast_to(value, SqlType::VarChar(Length::Of(8000))))
    }

    fn binary(&mut self, op: BinaryOp, left: &'q Expr, right: &'q Expr) -> Result<Bound> {
        let (left, right) = (self.value(left)?, self.value(right)?);
        match op {
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => {
                self.compare(op, left, right)
            }
            BinaryOp::And | BinaryOp::Or => Err(message::expected_condition("")),
            BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::Div
            | BinaryOp::Mod
            | BinaryOp::BitAnd
            | BinaryOp::BitOr
            | BinaryOp::BitXor => arithmetic(op, left, right),
        }
    }

    pub(super) fn compare(&mut self, op: BinaryOp, left: Bound, right: Bound) -> Result<Bound> {
        let operator = match op {
            BinaryOp::Ne => "not equal to",
            BinaryOp::Lt => "less than",
            BinaryOp::Le => "less than or equal to",
            BinaryOp::Gt => "greater than",
            BinaryOp::Ge => "greater than or equal to",
            _ => "equal to",
        };
        let (left, right) = comparable(left, right, operator)?;
        Ok(Bound::condition(Kind::Compare(op, Box::new(left), Box::new(right))))
    }

    fn negate(&mut self, inner: &'q Expr) -> Result<Bound> {
        let inner = self.value(inner)?;
        if !inner.ty.is_number() || inner.ty == SqlType::Bit {
            return Err(message::invalid_operand(inner.ty.name(), "minus"));
        }
        let (ty, nullable) = (inner.ty, inner.nullable);
        Ok(Bound { kind: Kind::Negate(Box::new(inner)), ty, nullable })
    }

    fn bit_not(&mut self, inner: &'q Expr) -> Result<Bound> {
        let inner = self.value(inner)?;
        if !inner.ty.is_integer() {
            return Err(message::invalid_operand(inner.ty.name(), "'~'"));
        }
        let (ty, nullable) = (inner.ty, inner.nullable);
        Ok(Bound { kind: Kind::BitNot(Box::new(inner)), ty, nullable })
    }

    fn scalar_subquery(&mut self, query: &'q Query) -> Result<Bound> {
        let plan = self.subquery(query)?;
        match plan.0.columns.as_slice() {
            [column] => {
                let ty = column.ty;
                Ok(Bound { kind: Kind::Scalar(plan), ty, nullable: true })
            }
            _ => Err(message::subquery_columns()),
        }
    }

    fn subquery(&mut self, query: &'q Query) -> Result<PlanRef> {
        let (aggregates, windows) = (self.aggregates.take(), self.windows.take());
        let plan = self.query(query);
        self.aggregates = aggregates;
        self.windows = windows;
        Ok(PlanRef(Arc::new(plan?)))
    }

    fn case(
        &mut self,
        operand: Option<&'q Expr>,
        whens: &'q [(Expr, Expr)],
        otherwise: Option<&'q Expr>,
    ) -> Result<Bound> {
        let operand = operand.map(|e| self.value(e)).transpose()?;
        let mut bound = Vec::new();
        for (when, then) in whens {
            let condition = match &operand {
                Some(operand) => {
                    let value = self.value(when)?;
                    self.compare(BinaryOp::Eq, operand.clone(), value)?
                }
                None => self.condition(when)?,
            };
            bound.push((condition, self.value(then)?));
        }
        let otherwise = otherwise.map(|e| self.value(e)).transpose()?;
        let mut results: Vec<Bound> = bound.iter().map(|(_, then)| then.clone()).collect();
        results.extend(otherwise.clone());
        if results.iter().all(Bound::is_null_literal) {
            return Err(message::case_all_null());
        }
        let ty = common_of(&results);
        let nullable = otherwise.is_none() || results.iter().any(|r| r.nullable);
        let whens = bound
            .into_iter()
            .map(|(when, then)| Ok((when, implicit(then, ty)?)))
            .collect::<Result<Vec<_>>>()?;
        let otherwise = otherwise.map(|e| implicit(e, ty).map(Box::new)).transpose()?;
        Ok(Bound { kind: Kind::Case { whens, otherwise }, ty, nullable })
    }

    fn cast(
        &mut self,
        expr: &'q Expr,
        ty: &'q TypeName,
        style: Option<&'q Expr>,
        tries: bool,
    ) -> Result<Bound> {
        let value = self.value(expr)?;
        let to = ty.ty.ok_or_else(|| message::bad_type_name(&ty.name))?;
        // In CAST and CONVERT a length left out is 30.
        let to = if ty.sized { to } else { default_length(to) };
        if !value.is_null_literal() {
            convert::check_explicit(value.ty, to)
                .map_err(|_| message::no_explicit(value.ty.name(), to.name()))?;
        }
        let style = style.map(|e| self.value(e).map(|s| Box::new(cast_to(s, SqlType::Int)))).transpose()?;
        let nullable = value.nullable || tries;
        Ok(Bound { kind: Kind::Cast { value: Box::new(value), style, tries }, ty: to, nullable })
    }

    fn call(&mut self, name: &'q [String], args: &'q [Expr], distinct: bool, star: bool) -> Result<Bound> {
        let [function] = name else {
            return Err(match name {
                [.., schema, function] => message::SqlError::new(
                    4121,
                    16,
                    1,
                    format!(
                        "Cannot find either column \"{schema}\" or the user-defined function or aggregate \"{}\", or the name is ambiguous.",
                        [schema.as_str(), function.as_str()].join(".")
                    ),
                ),
                _ => message::not_a_function(""),
            });
        };
        let upper = function.to_ascii_uppercase();
        if let Some(kind) = aggregate_kind(&upper) {
            return self.aggregate(kind, &upper, args, distinct, star);
        }
        if star || distinct {
            return Err(message::syntax_near(if star { "*" } else { "distinct" }));
        }
        let mut bound = Vec::new();
        for (at, arg) in args.iter().enumerate() {
            bound.push(match arg {
                Expr::Column(parts) if at == 0 && parts.len() == 1 && functions::takes_datepart(&upper) => {
                    Bound::constant(Datum::text(&parts[0]), SqlType::SYSNAME)
                }
                _ => self.value(arg)?,
            });
        }
        self.builtin(function, bound)
    }

    fn builtin(&mut self, name: &str, args: Vec<Bound>) -> Result<Bound> {
        let function: &'static Builtin =
            functions::find(name).ok_or_else(|| match name.strip_prefix("@@") {
                Some(_) => message::must_declare(name),
                None => message::not_a_function(name),
            })?;
        function.check_arity(args.len())?;
        if let Some(special) = special_form(function.name, &args)? {
            return Ok(special);
        }
        let ty = (function.ty)(&args)?;
        let nullable = !function.name.starts_with("@@") && function.name != "GETDATE";
        Ok(Bound { kind: Kind::Call(function, args), ty, nullable })
    }

    fn aggregate(
        &mut self,
        kind: AggregateKind,
        name: &str,
        args: &'q [Expr],
        distinct: bool,
        star: bool,
    ) -> Result<Bound> {
        if self.in_aggregate {
            return Err(message::nested_aggregate());
        }
        let Some(mut collected) = self.aggregates.take() else {
            return Err(message::aggregate_in_where());
        };
        let wanted = if kind == AggregateKind::StringAgg { 2 } else { 1 };
        if !star && args.len() != wanted
            || star && !matches!(kind, AggregateKind::Count | AggregateKind::CountBig)
        {
            return Err(message::wrong_arity(name, wanted));
        }
        self.in_aggregate = true;
        let bound = args.iter().map(|e| self.value(e)).collect::<Result<Vec<_>>>();
        self.in_aggregate = false;
        let mut bound = bound?.into_iter();
        let (arg, separator) = (bound.next(), bound.next());
        let ty = aggregate_type(kind, arg.as_ref(), name)?;
        let arg = if kind == AggregateKind::StringAgg { arg.map(|a| cast_to(a, ty)) } else { arg };
        let aggregate = Aggregate { kind, arg, separator, distinct, ty };
        let index = collected.iter().position(|a| *a == aggregate).unwrap_or_else(|| {
            collected.push(aggregate);
            collected.len() - 1
        });
        self.aggregates = Some(collected);
        let nullable = !matches!(kind, AggregateKind::Count | AggregateKind::CountBig);
        Ok(Bound { kind: Kind::Aggregate(index), ty, nullable })
    }

    fn row_number(&mut self, partition: &'q [Expr], order: &'q [OrderItem]) -> Result<Bound> {
        let Some(mut windows) = self.windows.take() else {
            return Err(message::SqlError::new(
                4108,
                15,
                1,
                "Windowed functions can only appear in the SELECT or ORDER BY clauses.",
            ));
        };
        let partition = partition.iter().map(|e| self.value(e)).collect::<Result<Vec<_>>>()?;
        let order =
            order.iter().map(|o| Ok((self.value(&o.expr)?, o.descending))).collect::<Result<Vec<_>>>()?;
        windows.push(Window { partition, order });
        let index = windows.len() - 1;
        self.windows = Some(windows);
        // Numbered from the far end until the width of the row before windows is known.
        Ok(Bound {
            kind: Kind::Column { depth: 0, index: super::query::WINDOW_BASE + index },
            ty: SqlType::BigInt,
            nullable: false,
        })
    }

    /// The name an item shows without alias.
    pub(super) fn item_name(item: &Item) -> String {
        match item {
            Item::Expr { alias: Some(alias), .. } => alias.clone(),
            Item::Expr { expr: Expr::Column(parts), .. } => parts.last().cloned().unwrap_or_default(),
            Item::Expr { .. } | Item::Star(_) | Item::Assign { .. } => String::new(),
        }
    }
}

/// Binds arithmetic on two bound values.
pub fn arithmetic(op: BinaryOp, left: Bound, right: Bound) -> Result<Bound> {
    let left_ty = if left.is_null_literal() { right.ty } else { left.ty };
    let right_ty = if right.is_null_literal() { left.ty } else { right.ty };
    let (left_shape, right_shape) = (literal_shape(&left, right_ty), literal_shape(&right, left_ty));
    let ty = arith::result_type(op, left_shape.unwrap_or(left_ty), right_shape.unwrap_or(right_ty))?;
    let nullable = left.nullable || right.nullable;
    Ok(Bound { kind: Kind::Arith(op, Box::new(left), Box::new(right)), ty, nullable })
}

/// Beside a decimal an integer constant has as many digits as it is written with.
fn literal_shape(side: &Bound, other: SqlType) -> Option<SqlType> {
    match (&side.kind, other) {
        (Kind::Const(value), SqlType::Decimal { .. }) if side.ty.is_integer() => {
            let digits = value.as_i64()?.unsigned_abs().checked_ilog10().map_or(1, |n| n + 1);
            Some(SqlType::Decimal { precision: digits as u8, scale: 0 })
        }
        (Kind::Negate(inner), _) => literal_shape(inner, other),
        _ => None,
    }
}

fn negated(condition: Bound, not: bool) -> Bound {
    if not { Bound::condition(Kind::Not(Box::new(condition))) } else { condition }
}

fn check_collation(name: &str) -> Result<()> {
    if text::equal(name, text::COLLATION)
        || text::equal(name, "DATABASE_DEFAULT")
        || text::equal(name, "CATALOG_DEFAULT")
    {
        return Ok(());
    }
    let upper = name.to_ascii_uppercase();
    if ["_CI", "_CS", "_BIN"].iter().any(|part| upper.contains(part)) {
        return Err(message::not_supported(format!("COLLATE {name}")));
    }
    Err(message::SqlError::new(448, 16, 1, format!("Invalid collation '{name}'.")))
}

fn default_length(ty: SqlType) -> SqlType {
    match ty {
        SqlType::VarChar(Length::Of(1)) => SqlType::VarChar(Length::Of(30)),
        SqlType::NVarChar(Length::Of(1)) => SqlType::NVarChar(Length::Of(30)),
        SqlType::Char(1) => SqlType::Char(30),
        SqlType::NChar(1) => SqlType::NChar(30),
        SqlType::VarBinary(Length::Of(1)) => SqlType::VarBinary(Length::Of(30)),
        SqlType::Binary(1) => SqlType::Binary(30),
        other => other,
    }
}

fn aggregate_kind(name: &str) -> Option<AggregateKind> {
    Some(match name {
        "COUNT" => AggregateKind::Count,
        "COUNT_BIG" => AggregateKind::CountBig,
        "SUM" => AggregateKind::Sum,
        "AVG" => AggregateKind::Avg,
        "MIN" => AggregateKind::Min,
        "MAX" => AggregateKind::Max,
        "STRING_AGG" => AggregateKind::StringAgg,
        _ => return None,
    })
}

fn aggregate_type(kind: AggregateKind, arg: Option<&Bound>, name: &str) -> Result<SqlType> {
    let lower = name.to_ascii_lowercase();
    let ty = arg.map_or(SqlType::Int, |a| a.ty);
    Ok(match kind {
        AggregateKind::Count => SqlType::Int,
        AggregateKind::CountBig => SqlType::BigInt,
        AggregateKind::Min | AggregateKind::Max => match ty {
            SqlType::Bit | SqlType::Xml => return Err(message::invalid_operand(ty.name(), lower)),
            other => other,
        },
        AggregateKind::Sum | AggregateKind::Avg => match ty {
            SqlType::TinyInt | SqlType::SmallInt | SqlType::Int => SqlType::Int,
            SqlType::BigInt => SqlType::BigInt,
            SqlType::Real | SqlType::Float => SqlType::Float,
            SqlType::Money | SqlType::SmallMoney => SqlType::Money,
            SqlType::Decimal { scale, .. } if kind == AggregateKind::Sum => {
                SqlType::Decimal { precision: 38, scale }
            }
            SqlType::Decimal { scale, .. } => SqlType::Decimal { precision: 38, scale: scale.max(6) },
            other => return Err(message::invalid_operand(other.name(), lower)),
        },
        AggregateKind::StringAgg => match ty {
            SqlType::NVarChar(Length::Max) | SqlType::VarChar(Length::Max) => ty,
            t if t.is_unicode() => SqlType::NVarChar(Length::Of(4000)),
            _ => SqlType::VarChar(Length::Of(8000)),
        },
    })
}

/// Functions that are short for another expression.
fn special_form(name: &str, args: &[Bound]) -> Result<Option<Bound>> {
    match (name, args) {
        ("COALESCE", _) if args.iter().all(Bound::is_null_literal) => Err(message::coalesce_all_null()),
        ("NULLIF", [first, _]) if first.is_null_literal() => Err(message::nullif_null()),
        ("COALESCE", _) => {
            let ty = common_of(args);
            let nullable = args.iter().all(|a| a.nullable);
            let mut args = args.iter().map(|a| implicit(a.clone(), ty)).collect::<Result<Vec<_>>>()?;
            let last = args.pop().map(Box::new);
            let whens = args
                .into_iter()
                .map(|a| (negated(Bound::condition(Kind::IsNull(Box::new(a.clone()))), true), a))
                .collect();
            Ok(Some(Bound { kind: Kind::Case { whens, otherwise: last }, ty, nullable }))
        }
        ("ISNULL", [first, second]) => {
            let ty = if first.is_null_literal() { second.ty } else { first.ty };
            let nullable = first.nullable && second.nullable;
            let first = cast_to(first.clone(), ty);
            let second = implicit(second.clone(), ty)?;
            let present = negated(Bound::condition(Kind::IsNull(Box::new(first.clone()))), true);
            let kind = Kind::Case { whens: vec![(present, first)], otherwise: Some(Box::new(second)) };
            Ok(Some(Bound { kind, ty, nullable }))
        }
        ("NULLIF", [first, second]) => {
            let (a, b) = comparable(first.clone(), second.clone(), "equal to")?;
            let equal = Bound::condition(Kind::Compare(BinaryOp::Eq, Box::new(a), Box::new(b)));
            let whens = vec![(equal, Bound::constant(Datum::Null, first.ty))];
            let kind = Kind::Case { whens, otherwise: Some(Box::new(first.clone())) };
            Ok(Some(Bound { kind, ty: first.ty, nullable: true }))
        }
        _ => Ok(None),
    }
}
