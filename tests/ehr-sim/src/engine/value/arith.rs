//! Arithmetic and concatenation: the result's type from the operands', and the value.
//!
//! Facts: "Data type precedence", "Precision, scale, and length", "+ (String concatenation)", "/ (Division)".

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "pairs of types: every pair that is not listed is refused by number"
)]

use super::{convert, temporal};
use crate::engine::ast::BinaryOp;
use crate::engine::message::{self, Result};
use crate::types::{Datum, Length, SqlType};

/// The type of `left op right`; NULL literals take the other side's type before this is asked.
pub fn result_type(op: BinaryOp, left: SqlType, right: SqlType) -> Result<SqlType> {
    let name = operator_name(op);
    if op == BinaryOp::Add && (left.is_text() || left.is_binary()) && (right.is_text() || right.is_binary()) {
        return concat_type(left, right);
    }
    let wide = if left.precedence() >= right.precedence() { left } else { right };
    let bitwise = matches!(op, BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor);
    let refused = || message::incompatible_types(left.name(), right.name(), name);
    if matches!(wide, SqlType::DateTime | SqlType::SmallDateTime) {
        let plain = |t: SqlType| t.is_number() || t.is_text() || t == wide || t == SqlType::SmallDateTime;
        let additive = matches!(op, BinaryOp::Add | BinaryOp::Sub);
        return if additive && plain(left) && plain(right) { Ok(wide) } else { Err(refused()) };
    }
    if bitwise {
        let whole = |t: SqlType| t.is_integer() || t.is_binary();
        return if whole(left) && whole(right) { Ok(wide) } else { Err(refused()) };
    }
    let newer = |t: SqlType| t.is_temporal() && !matches!(t, SqlType::DateTime | SqlType::SmallDateTime);
    if matches!(op, BinaryOp::Add | BinaryOp::Sub)
        && (newer(left) && right.is_number() || left.is_number() && newer(right))
    {
        return Err(message::operand_clash(left.name(), right.name()));
    }
    for side in [left, right] {
        if !side.is_number() && !side.is_text() {
            return Err(if side.is_temporal() || side == SqlType::UniqueIdentifier {
                refused()
            } else {
                message::invalid_operand(side.name(), name)
            });
        }
    }
    if !wide.is_number() {
        return Err(message::invalid_operand(wide.name(), name));
    }
    match wide {
        SqlType::Bit => Err(message::invalid_operand("bit", name)),
        SqlType::Decimal { .. } => decimal_type(op, left, right),
        SqlType::Float | SqlType::Real if op == BinaryOp::Mod => {
            Err(message::incompatible_types(left.name(), right.name(), name))
        }
        other => Ok(other),
    }
}

fn operator_name(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "add",
        BinaryOp::Sub => "subtract",
        BinaryOp::Mul => "multiply",
        BinaryOp::Div => "divide",
        BinaryOp::Mod => "modulo",
        BinaryOp::BitAnd => "'&'",
        BinaryOp::BitOr => "'|'",
        BinaryOp::BitXor => "'^'",
        BinaryOp::Eq => "equal to",
        BinaryOp::Ne => "not equal to",
        BinaryOp::Lt => "less than",
        BinaryOp::Le => "less than or equal to",
        BinaryOp::Gt => "greater than",
        BinaryOp::Ge => "greater than or equal to",
        BinaryOp::And | BinaryOp::Or => "logical",
    }
}

fn concat_type(left: SqlType, right: SqlType) -> Result<SqlType> {
    let length = |t: SqlType| match t {
        SqlType::Char(n) | SqlType::NChar(n) | SqlType::Binary(n) => Some(u32::from(n)),
        SqlType::VarChar(Length::Of(n))
        | SqlType::NVarChar(Length::Of(n))
        | SqlType::VarBinary(Length::Of(n)) => Some(u32::from(n)),
        SqlType::RowVersion => Some(8),
        _ => None,
    };
    let total = |max: u32| match (length(left), length(right)) {
        (Some(a), Some(b)) => Length::Of((a + b).min(max) as u16),
        _ => Length::Max,
    };
    if left.is_text() != right.is_text() {
        return Err(message::incompatible_types(left.name(), right.name(), "add"));
    }
    Ok(if left.is_binary() {
        SqlType::VarBinary(total(8000))
    } else if left.is_unicode() || right.is_unicode() {
        SqlType::NVarChar(total(4000))
    } else {
        SqlType::VarChar(total(8000))
    })
}

/// Precision and scale of a number type seen as decimal.
pub fn decimal_shape(t: SqlType) -> (i32, i32) {
    match t {
        SqlType::Decimal { precision, scale } => (i32::from(precision), i32::from(scale)),
        SqlType::Money => (19, 4),
        SqlType::SmallMoney => (10, 4),
        SqlType::BigInt => (19, 0),
        SqlType::SmallInt => (5, 0),
        SqlType::TinyInt => (3, 0),
        SqlType::Bit => (1, 0),
        _ => (10, 0),
    }
}

fn decimal_type(op: BinaryOp, left: SqlType, right: SqlType) -> Result<SqlType> {
    // A text operand is converted to the other side's decimal.
    let (p1, s1) = decimal_shape(if left.is_text() { right } else { left });
    let (p2, s2) = decimal_shape(if right.is_text() { left } else { right });
    let (precision, scale) = match op {
        BinaryOp::Add | BinaryOp::Sub => {
            let scale = s1.max(s2);
            ((p1 - s1).max(p2 - s2) + scale + 1, scale)
        }
        BinaryOp::Mul => (p1 + p2 + 1, s1 + s2),
        BinaryOp::Div => {
            let scale = 6.max(s1 + p2 + 1);
            (p1 - s1 + s2 + scale, scale)
        }
        _ => ((p1 - s1).min(p2 - s2) + s1.max(s2), s1.max(s2)),
    };
    Ok(capped(precision, scale, matches!(op, BinaryOp::Mul | BinaryOp::Div)))
}

/// Reduces a precision past 38 as documented.
fn capped(precision: i32, scale: i32, product: bool) -> SqlType {
    if precision <= 38 {
        return SqlType::Decimal { precision: precision as u8, scale: scale as u8 };
    }
    let whole = precision - scale;
    let scale = if product {
        if whole < 32 { scale.min(38 - whole) } else { scale.min(6) }
    } else {
        scale.min(38 - whole).max(0)
    };
    SqlType::Decimal { precision: 38, scale: scale as u8 }
}

/// `left op right` as `ty`; NULL in, NULL out. Operands come in their own types.
pub fn apply(op: BinaryOp, left: &Datum, right: &Datum, ty: SqlType) -> Result<Datum> {
    if left.is_null() || right.is_null() {
        return Ok(Datum::Null);
    }
    match ty {
        t if t.is_text() => {
            let joined = format!("{}{}", convert::to_text(left, 0)?, convert::to_text(right, 0)?);
            convert::convert(&Datum::text(joined), ty, 0, convert::Fit::Cut)
        }
        SqlType::VarBinary(_) if op == BinaryOp::Add => {
            let mut bytes = convert::to_bytes(left, 0)?;
            bytes.extend(convert::to_bytes(right, 0)?);
            Ok(Datum::Binary(bytes.into()))
        }
        SqlType::DateTime | SqlType::SmallDateTime => add_days(op, left, right, ty),
        SqlType::Decimal { precision, scale } => decimal_op(op, left, right, (precision, scale)),
        SqlType::Float | SqlType::Real => float_op(op, left, right, ty),
        SqlType::Money | SqlType::SmallMoney => money_op(op, left, right, ty),
        _ => integer_op(op, left, right, ty),
    }
}

fn integer_op(op: BinaryOp, left: &Datum, right: &Datum, ty: SqlType) -> Result<Datum> {
    let as_i64 = |v: &Datum| {
        let wide = convert::convert(v, SqlType::BigInt, 0, convert::Fit::Cut);
        // Text is converted to the result's own type, so that its error names it.
        let exact = if v.as_str().is_some() { convert::convert(v, ty, 0, convert::Fit::Cut) } else { wide };
        exact.map(|v| v.as_i64().unwrap_or(0))
    };
    let (a, b) = (as_i64(left)?, as_i64(right)?);
    if b == 0 && matches!(op, BinaryOp::Div | BinaryOp::Mod) {
        return Err(message::divide_by_zero());
    }
    let result = match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Sub => a.checked_sub(b),
        BinaryOp::Mul => a.checked_mul(b),
        BinaryOp::Div => a.checked_div(b),
        BinaryOp::Mod => a.checked_rem(b),
        BinaryOp::BitAnd => Some(a & b),
        BinaryOp::BitOr => Some(a | b),
        _ => Some(a ^ b),
    };
    let overflow = || message::overflow(ty.name());
    let n = result.ok_or_else(overflow)?;
    convert::convert(&Datum::BigInt(n), ty, 0, convert::Fit::Cut).map_err(|_| overflow())
}

fn float_op(op: BinaryOp, left: &Datum, right: &Datum, ty: SqlType) -> Result<Datum> {
    let float = |v: &Datum| {
        convert::convert(v, SqlType::Float, 0, convert::Fit::Cut)
            .map(|v| convert::to_float(&v).unwrap_or(0.0))
    };
    let (a, b) = (float(left)?, float(right)?);
    let f = match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        _ if b == 0.0 => return Err(message::divide_by_zero()),
        _ => a / b,
    };
    if !f.is_finite() {
        return Err(message::overflow(ty.name()));
    }
    convert::convert(&Datum::Float(f), ty, 0, convert::Fit::Cut)
}

fn decimal_op(op: BinaryOp, left: &Datum, right: &Datum, (precision, scale): (u8, u8)) -> Result<Datum> {
    let overflow = || message::overflow("numeric");
    let number = |v: &Datum| {
        let exact = match v.as_str() {
            Some(_) => {
                convert::convert(v, SqlType::Decimal { precision: 38, scale: 10 }, 0, convert::Fit::Cut)?
            }
            None => v.clone(),
        };
        convert::to_decimal(&exact).ok_or_else(overflow)
    };
    let (a, b) = (number(left)?, number(right)?);
    let common = a.scale.max(b.scale);
    let lift = |d| convert::rescale(d, common).ok_or_else(overflow);
    let (unscaled, at) = match op {
        BinaryOp::Add => (lift(a)?.checked_add(lift(b)?), common),
        BinaryOp::Sub => (lift(a)?.checked_sub(lift(b)?), common),
        BinaryOp::Mul => (a.unscaled.checked_mul(b.unscaled), a.scale + b.scale),
        _ if b.unscaled == 0 => return Err(message::divide_by_zero()),
        BinaryOp::Mod => (lift(a)?.checked_rem(lift(b)?), common),
        _ => {
            // Quotient at the result's scale, cut as SQL Server cuts it.
            let wanted = scale + b.scale;
            let shift = u32::from(wanted.saturating_sub(a.scale));
            let widened = 10i128.checked_pow(shift).and_then(|by| a.unscaled.checked_mul(by));
            (widened.and_then(|n| n.checked_div(b.unscaled)), a.scale.max(wanted) - b.scale)
        }
    };
    let exact = convert::decimal(unscaled.ok_or_else(overflow)?, 38, at);
    convert::convert(&exact, SqlType::Decimal { precision, scale }, 0, convert::Fit::Cut)
        .map_err(|_| overflow())
}

fn money_op(op: BinaryOp, left: &Datum, right: &Datum, ty: SqlType) -> Result<Datum> {
    let money = |v: &Datum| match convert::convert(v, SqlType::Money, 0, convert::Fit::Cut)? {
        Datum::Money(n) => Ok(i128::from(n)),
        _ => Err(message::overflow(ty.name())),
    };
    let (a, b) = (money(left)?, money(right)?);
    if b == 0 && matches!(op, BinaryOp::Div | BinaryOp::Mod) {
        return Err(message::divide_by_zero());
    }
    let n = match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b / 10_000,
        BinaryOp::Div => a * 10_000 / b,
        _ => a % b,
    };
    convert::convert(&convert::decimal(n, 38, 4), ty, 0, convert::Fit::Cut)
}

/// datetime + number of days, or the sum or difference of two.
fn add_days(op: BinaryOp, left: &Datum, right: &Datum, ty: SqlType) -> Result<Datum> {
    let total = |v: &Datum| -> Result<i128> {
        let as_date = convert::convert(v, SqlType::DateTime, 0, convert::Fit::Cut)?;
        let moment = temporal::moment(&as_date).ok_or_else(|| message::overflow(ty.name()))?;
        Ok(moment.total() - i128::from(temporal::EPOCH_1900) * i128::from(temporal::DAY))
    };
    let (a, b) = (total(left)?, total(right)?);
    let sum = if op == BinaryOp::Add { a + b } else { a - b };
    let moment =
        temporal::Moment::from_total(sum + i128::from(temporal::EPOCH_1900) * i128::from(temporal::DAY));
    let moment = moment.ok_or_else(|| message::date_overflow(ty.name()))?;
    let wide = Datum::DateTime2(crate::types::DateTimeValue { days: moment.days, ticks: moment.ticks });
    convert::convert(&wide, ty, 0, convert::Fit::Cut)
}
