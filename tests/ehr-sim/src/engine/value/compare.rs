//! Comparing values of one type, and keys whose byte order is the values' order.
//!
//! Invariant `key-order`: for values a, b of one column, `key(a) < key(b)` exactly when `a < b`; NULL is lowest.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "pairs of values: only equal kinds compare, the rest is refused"
)]

use std::cmp::Ordering;

use super::{temporal, text};
use crate::types::{Datum, DecimalValue};

/// Compares two non-NULL values of the same type family; the binder made them so.
pub fn compare(a: &Datum, b: &Datum) -> Ordering {
    if let (Some(x), Some(y)) = (a.as_i64(), b.as_i64()) {
        return x.cmp(&y);
    }
    match (a, b) {
        (Datum::VarChar(x) | Datum::NVarChar(x), Datum::VarChar(y) | Datum::NVarChar(y)) => {
            text::compare(x, y)
        }
        (Datum::Decimal(x), Datum::Decimal(y)) => compare_decimals(*x, *y),
        (Datum::RowVersion(x), Datum::RowVersion(y)) => x.cmp(y),
        (Datum::Real(x), Datum::Real(y)) => x.total_cmp(y),
        (Datum::Float(x), Datum::Float(y)) => (x + 0.0).total_cmp(&(y + 0.0)),
        (Datum::Money(x), Datum::Money(y)) => x.cmp(y),
        (Datum::SmallMoney(x), Datum::SmallMoney(y)) => x.cmp(y),
        (Datum::Date(x), Datum::Date(y)) => x.cmp(y),
        (Datum::Time(x), Datum::Time(y)) => x.cmp(y),
        (Datum::DateTime(x), Datum::DateTime(y))
        | (Datum::SmallDateTime(x), Datum::SmallDateTime(y))
        | (Datum::DateTime2(x), Datum::DateTime2(y)) => x.cmp(y),
        (Datum::DateTimeOffset(x), Datum::DateTimeOffset(y)) => x.utc.cmp(&y.utc),
        (Datum::Guid(x), Datum::Guid(y)) => guid_order(x).cmp(&guid_order(y)),
        _ => match (binary(a), binary(b)) {
            (Some(x), Some(y)) => compare_binary(&x, &y),
            _ => kind_rank(a).cmp(&kind_rank(b)),
        },
    }
}

/// Binary comparison pads the shorter with zeros.
fn compare_binary(x: &[u8], y: &[u8]) -> Ordering {
    let length = x.len().max(y.len());
    let at = |bytes: &[u8], i: usize| bytes.get(i).copied().unwrap_or(0);
    (0..length).map(|i| at(x, i).cmp(&at(y, i))).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

fn binary(value: &Datum) -> Option<Vec<u8>> {
    match value {
        Datum::Binary(bytes) => Some(bytes.to_vec()),
        Datum::RowVersion(n) => Some(n.to_be_bytes().to_vec()),
        _ => None,
    }
}

/// sql_variant: different families compare by their rank.
fn kind_rank(value: &Datum) -> u8 {
    match value {
        Datum::Null => 0,
        Datum::Binary(_) | Datum::RowVersion(_) => 1,
        Datum::VarChar(_) | Datum::NVarChar(_) => 2,
        Datum::Guid(_) => 3,
        v if temporal::moment(v).is_some() => 5,
        _ => 4,
    }
}

fn compare_decimals(x: DecimalValue, y: DecimalValue) -> Ordering {
    let scale = x.scale.max(y.scale);
    let lift = |d: DecimalValue| d.unscaled.checked_mul(10i128.pow(u32::from(scale - d.scale)));
    match (lift(x), lift(y)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (None, _) if x.unscaled > 0 => Ordering::Greater,
        (None, _) => Ordering::Less,
        (_, None) if y.unscaled > 0 => Ordering::Less,
        (_, None) => Ordering::Greater,
    }
}

/// SQL Server compares uniqueidentifiers by their last six bytes first.
fn guid_order(g: &[u8; 16]) -> [u8; 16] {
    [g[10], g[11], g[12], g[13], g[14], g[15], g[8], g[9], g[6], g[7], g[4], g[5], g[0], g[1], g[2], g[3]]
}

/// Appends an order-preserving key of the value; `descending` inverts it.
pub fn append_key(value: &Datum, descending: bool, key: &mut Vec<u8>) {
    let start = key.len();
    if value.is_null() {
        key.push(0);
    } else {
        key.push(1);
        append_value(value, key);
    }
    if descending {
        key[start..].iter_mut().for_each(|b| *b = !*b);
    }
}

fn append_value(value: &Datum, key: &mut Vec<u8>) {
    if let Some(n) = value.as_i64() {
        return key.extend_from_slice(&(n as u64 ^ (1 << 63)).to_be_bytes());
    }
    let date_time = |days: i32, ticks: u64, key: &mut Vec<u8>| {
        key.extend_from_slice(&(days as u32 ^ (1 << 31)).to_be_bytes());
        key.extend_from_slice(&ticks.to_be_bytes());
    };
    match value {
        Datum::Decimal(d) => key.extend_from_slice(&(d.unscaled as u128 ^ (1 << 127)).to_be_bytes()),
        Datum::Money(n) => key.extend_from_slice(&(*n as u64 ^ (1 << 63)).to_be_bytes()),
        Datum::SmallMoney(n) => key.extend_from_slice(&(i64::from(*n) as u64 ^ (1 << 63)).to_be_bytes()),
        Datum::Real(f) => key.extend_from_slice(&float_bits(f64::from(*f)).to_be_bytes()),
        Datum::Float(f) => key.extend_from_slice(&float_bits(*f).to_be_bytes()),
        Datum::VarChar(s) | Datum::NVarChar(s) | Datum::Xml(s) => text::sort_key(s, key),
        Datum::Binary(bytes) => append_bytes(bytes, key),
        Datum::RowVersion(n) => key.extend_from_slice(&n.to_be_bytes()),
        Datum::Date(days) => key.extend_from_slice(&(*days as u32 ^ (1 << 31)).to_be_bytes()),
        Datum::Time(ticks) => key.extend_from_slice(&ticks.to_be_bytes()),
        Datum::DateTime(v) | Datum::SmallDateTime(v) | Datum::DateTime2(v) => date_time(v.days, v.ticks, key),
        Datum::DateTimeOffset(v) => date_time(v.utc.days, v.utc.ticks, key),
        Datum::Guid(g) => key.extend_from_slice(&guid_order(g)),
        Datum::Null
        | Datum::Bit(_)
        | Datum::TinyInt(_)
        | Datum::SmallInt(_)
        | Datum::Int(_)
        | Datum::BigInt(_) => {}
    }
}

/// Zero bytes are escaped so that the terminator stays lowest.
fn append_bytes(bytes: &[u8], key: &mut Vec<u8>) {
    let trimmed = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    for byte in &bytes[..trimmed] {
        key.push(*byte);
        if *byte == 0 {
            key.push(0xFF);
        }
    }
    key.extend_from_slice(&[0, 0]);
}

fn float_bits(f: f64) -> u64 {
    let bits = (f + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: &Datum) -> Vec<u8> {
        let mut key = Vec::new();
        append_key(value, false, &mut key);
        key
    }

    #[test]
    fn keys_order_as_values_do() {
        let lists = [
            vec![Datum::Null, Datum::Int(i32::MIN), Datum::Int(-1), Datum::Int(0), Datum::Int(7)],
            vec![Datum::Float(-2.5), Datum::Float(-0.1), Datum::Float(0.0), Datum::Float(3.0)],
            vec![Datum::text("A"), Datum::text("ab"), Datum::text("b"), Datum::text("É"), Datum::text("f")],
            vec![
                Datum::Binary([0u8, 1].as_slice().into()),
                Datum::Binary([1u8].as_slice().into()),
                Datum::Binary([1u8, 2].as_slice().into()),
            ],
        ];
        for list in lists {
            for pair in list.windows(2) {
                assert!(key(&pair[0]) < key(&pair[1]), "{pair:?}");
                if !pair[0].is_null() {
                    assert_eq!(compare(&pair[0], &pair[1]), Ordering::Less, "{pair:?}");
                }
            }
        }
    }

    #[test]
    fn text_keys_agree_on_equality() {
        assert_eq!(key(&Datum::text("Smith ")), key(&Datum::VarChar("sMITH".into())));
    }
}
