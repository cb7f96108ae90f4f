//! The type several expressions share, and conversions to it.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]

use crate::engine::message::{self, Result};
use crate::engine::plan::{Bound, Kind};
use crate::engine::value::arith::decimal_shape;
use crate::engine::value::convert;
use crate::types::{Datum, Length, SqlType};

/// The type two values share: the higher precedence, wide enough for both.
pub fn common_type(a: SqlType, b: SqlType) -> SqlType {
    let (high, low) = if a.precedence() >= b.precedence() { (a, b) } else { (b, a) };
    match high {
        SqlType::Decimal { .. } => {
            let ((p1, s1), (p2, s2)) = (decimal_shape(high), decimal_shape(low));
            if low.is_text() {
                return high;
            }
            let scale = s1.max(s2);
            let precision = ((p1 - s1).max(p2 - s2) + scale).min(38);
            SqlType::Decimal { precision: precision as u8, scale: scale.min(precision) as u8 }
        }
        SqlType::NVarChar(_) | SqlType::NChar(_) | SqlType::VarChar(_) | SqlType::Char(_)
            if low.is_text() =>
        {
            text_type(high, low)
        }
        SqlType::VarBinary(_) | SqlType::Binary(_) if low.is_binary() => match (length(high), length(low)) {
            (Some(x), Some(y)) if x == y && high == low => high,
            (Some(x), Some(y)) => SqlType::VarBinary(Length::Of(x.max(y))),
            _ => SqlType::VarBinary(Length::Max),
        },
        SqlType::DateTime2(s) => SqlType::DateTime2(s.max(fraction(low))),
        SqlType::DateTimeOffset(s) => SqlType::DateTimeOffset(s.max(fraction(low))),
        SqlType::Time(s) => SqlType::Time(s.max(fraction(low))),
        other => other,
    }
}

fn fraction(t: SqlType) -> u8 {
    match t {
        SqlType::DateTime2(s) | SqlType::DateTimeOffset(s) | SqlType::Time(s) => s,
        SqlType::DateTime => 3,
        _ => 0,
    }
}

fn length(t: SqlType) -> Option<u16> {
    match t {
        SqlType::Char(n) | SqlType::NChar(n) | SqlType::Binary(n) => Some(n),
        SqlType::VarChar(Length::Of(n))
        | SqlType::NVarChar(Length::Of(n))
        | SqlType::VarBinary(Length::Of(n)) => Some(n),
        _ => None,
    }
}

fn text_type(high: SqlType, low: SqlType) -> SqlType {
    if high == low {
        return high;
    }
    let unicode = high.is_unicode() || low.is_unicode();
    let both = length(high).zip(length(low)).map(|(x, y)| x.max(y));
    let fixed =
        matches!((high, low), (SqlType::Char(_), SqlType::Char(_)) | (SqlType::NChar(_), SqlType::NChar(_)));
    match (unicode, both) {
        (true, Some(n)) if fixed => SqlType::NChar(n),
        (false, Some(n)) if fixed => SqlType::Char(n),
        (true, Some(n)) => SqlType::NVarChar(Length::Of(n.min(4000))),
        (true, None) => SqlType::NVarChar(Length::Max),
        (false, Some(n)) => SqlType::VarChar(Length::Of(n)),
        (false, None) => SqlType::VarChar(Length::Max),
    }
}

/// Whether values of the two types compare without a conversion.
pub fn compares_directly(a: SqlType, b: SqlType) -> bool {
    a == b
        || a.is_text() && b.is_text()
        || a.is_integer() && b.is_integer()
        || matches!((a, b), (SqlType::Decimal { .. }, SqlType::Decimal { .. }))
        || a.is_binary() && b.is_binary()
        || matches!(
            (a, b),
            (SqlType::DateTime2(_), SqlType::DateTime2(_)) | (SqlType::Time(_), SqlType::Time(_))
        )
        || matches!((a, b), (SqlType::DateTimeOffset(_), SqlType::DateTimeOffset(_)))
}

/// Converts both sides of a comparison to their common type where they need it.
pub fn comparable(left: Bound, right: Bound, operator: &str) -> Result<(Bound, Bound)> {
    if left.is_null_literal() || right.is_null_literal() || compares_directly(left.ty, right.ty) {
        if left.ty == SqlType::Xml || right.ty == SqlType::Xml {
            return Err(message::incompatible_types(left.ty.name(), right.ty.name(), operator));
        }
        return Ok((left, right));
    }
    let common = common_type(left.ty, right.ty);
    Ok((implicit(left, common)?, implicit(right, common)?))
}

/// Converts implicitly, or refuses as SQL Server does for the pair.
pub fn implicit(value: Bound, to: SqlType) -> Result<Bound> {
    if !value.is_null_literal() && value.ty != to {
        convert::check_implicit(value.ty, to)?;
    }
    Ok(cast_to(value, to))
}

/// Wraps a value in a conversion unless it has the type already; constants convert when the statement runs.
pub fn cast_to(value: Bound, to: SqlType) -> Bound {
    if value.ty == to {
        return value;
    }
    let nullable = value.nullable;
    if let Kind::Const(Datum::Null) = value.kind {
        return Bound::constant(Datum::Null, to);
    }
    Bound { kind: Kind::Cast { value: Box::new(value), style: None, tries: false }, ty: to, nullable }
}

/// The type a list of alternatives shares; NULL literals do not count.
pub fn common_of(list: &[Bound]) -> SqlType {
    let mut types = list.iter().filter(|b| !b.is_null_literal()).map(|b| b.ty);
    let first = types.next().unwrap_or(SqlType::Int);
    types.fold(first, common_type)
}
