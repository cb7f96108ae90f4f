//! ROW tokens and single values, written straight into the response buffer without an allocation per value.
//!
//! Invariant `no-desync`: a value whose variant does not fit its column's announced type writes nothing and is reported
//! as [`Mismatch`]; the stream is never left with bytes the client would read as something else.

use thiserror::Error;

use super::collation::encode_1252;
use super::column::{WireColumn, decimal_bytes, time_bytes};
use crate::types::{DateTimeValue, Datum, DecimalValue, Length, SqlType};

mod variant;

/// A value does not fit the type its column was announced with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a value does not fit its column's announced type {0}")]
pub struct Mismatch(pub SqlType);

/// A ROW token. After an error, `out` is as it was before the call.
pub fn row(out: &mut Vec<u8>, columns: &[WireColumn], row: &[Datum]) -> Result<(), Mismatch> {
    let start = out.len();
    out.push(TOKEN_ROW);
    for (column, datum) in columns.iter().zip(row) {
        if let Err(mismatch) = value(out, *column, datum) {
            out.truncate(start);
            return Err(mismatch);
        }
    }
    Ok(())
}

/// One value in the form `column` announced.
pub fn value(out: &mut Vec<u8>, column: WireColumn, datum: &Datum) -> Result<(), Mismatch> {
    let ty = column.ty;
    match (ty, datum) {
        (_, Datum::Null) if column.nullable => null(out, ty),
        (SqlType::Bit, Datum::Bit(v)) => number(out, column, [u8::from(*v)]),
        (SqlType::TinyInt, Datum::TinyInt(v)) => number(out, column, [*v]),
        (SqlType::SmallInt, Datum::SmallInt(v)) => number(out, column, v.to_le_bytes()),
        (SqlType::Int, Datum::Int(v)) => number(out, column, v.to_le_bytes()),
        (SqlType::BigInt, Datum::BigInt(v)) => number(out, column, v.to_le_bytes()),
        (SqlType::Real, Datum::Real(v)) => number(out, column, v.to_le_bytes()),
        (SqlType::Float, Datum::Float(v)) => number(out, column, v.to_le_bytes()),
        (SqlType::Money, Datum::Money(v)) => number(out, column, money(*v)),
        (SqlType::SmallMoney, Datum::SmallMoney(v)) => number(out, column, v.to_le_bytes()),
        (SqlType::DateTime, Datum::DateTime(v)) => number(out, column, datetime(*v)),
        (SqlType::SmallDateTime, Datum::SmallDateTime(v)) => number(out, column, small_datetime(*v)),
        (SqlType::Decimal { precision, scale }, Datum::Decimal(v)) => {
            decimal(out, rescaled(*v, scale).ok_or(Mismatch(ty))?, decimal_bytes(precision));
        }
        (SqlType::Date, Datum::Date(days)) => sized(out, &day(*days)),
        (SqlType::Time(scale), Datum::Time(ticks)) => {
            out.push(time_bytes(scale));
            time(out, *ticks, scale);
        }
        (SqlType::DateTime2(scale), Datum::DateTime2(v)) => {
            out.push(time_bytes(scale) + 3);
            moment(out, *v, scale);
        }
        (SqlType::DateTimeOffset(scale), Datum::DateTimeOffset(v)) => {
            out.push(time_bytes(scale) + 5);
            moment(out, v.utc, scale);
            out.extend_from_slice(&v.offset.to_le_bytes());
        }
        (SqlType::UniqueIdentifier, Datum::Guid(bytes)) => sized(out, &guid(*bytes)),
        (SqlType::RowVersion, Datum::RowVersion(v)) => counted(out, &v.to_be_bytes()),
        (SqlType::Variant, datum) => variant::variant(out, datum)?,
        _ => string(out, ty, datum)?,
    }
    Ok(())
}

/// A uniqueidentifier between text order and wire order; its own inverse.
pub fn guid(b: [u8; 16]) -> [u8; 16] {
    [b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]]
}

fn null(out: &mut Vec<u8>, ty: SqlType) {
    match ty {
        SqlType::VarChar(Length::Max)
        | SqlType::NVarChar(Length::Max)
        | SqlType::VarBinary(Length::Max)
        | SqlType::Xml => out.extend_from_slice(&PLP_NULL.to_le_bytes()),
        SqlType::Variant => out.extend_from_slice(&[0; 4]),
        SqlType::Char(_)
        | SqlType::VarChar(Length::Of(_))
        | SqlType::NChar(_)
        | SqlType::NVarChar(Length::Of(_))
        | SqlType::Binary(_)
        | SqlType::VarBinary(Length::Of(_))
        | SqlType::RowVersion => out.extend_from_slice(&CHARBIN_NULL.to_le_bytes()),
        SqlType::Bit
        | SqlType::TinyInt
        | SqlType::SmallInt
        | SqlType::Int
        | SqlType::BigInt
        | SqlType::Real
        | SqlType::Float
        | SqlType::Decimal { .. }
        | SqlType::Money
        | SqlType::SmallMoney
        | SqlType::Date
        | SqlType::Time(_)
        | SqlType::DateTime
        | SqlType::SmallDateTime
        | SqlType::DateTime2(_)
        | SqlType::DateTimeOffset(_)
        | SqlType::UniqueIdentifier => out.push(0),
    }
}

fn string(out: &mut Vec<u8>, ty: SqlType, datum: &Datum) -> Result<(), Mismatch> {
    match (ty, datum) {
        (SqlType::Char(_) | SqlType::VarChar(Length::Of(_)), Datum::VarChar(text)) => {
            patched(out, |out| encode_1252(text, out));
        }
        (SqlType::NChar(_) | SqlType::NVarChar(Length::Of(_)), Datum::NVarChar(text)) => {
            patched(out, |out| utf16(out, text));
        }
        (SqlType::Binary(_) | SqlType::VarBinary(Length::Of(_)), Datum::Binary(bytes)) => counted(out, bytes),
        (SqlType::VarChar(Length::Max), Datum::VarChar(text)) => plp(out, |out| encode_1252(text, out)),
        (SqlType::NVarChar(Length::Max), Datum::NVarChar(text)) => plp(out, |out| utf16(out, text)),
        (SqlType::VarBinary(Length::Max), Datum::Binary(bytes)) => {
            plp(out, |out| out.extend_from_slice(bytes))
        }
        (SqlType::Xml, Datum::Xml(text)) => plp(out, |out| utf16(out, text)),
        _ => return Err(Mismatch(ty)),
    }
    Ok(())
}

fn number<const N: usize>(out: &mut Vec<u8>, column: WireColumn, bytes: [u8; N]) {
    if column.nullable {
        out.push(N as u8);
    }
    out.extend_from_slice(&bytes);
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(bytes.len() as u8);
    out.extend_from_slice(bytes);
}

fn counted(out: &mut Vec<u8>, bytes: &[u8]) {
    patched(out, |out| out.extend_from_slice(bytes));
}

/// A two-byte length, then what `body` writes.
fn patched(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 2]);
    body(out);
    let length = (out.len() - at - 2) as u16;
    out[at..at + 2].copy_from_slice(&length.to_le_bytes());
}

/// A partially length-prefixed value: total length, one chunk, terminator.
fn plp(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 12]);
    body(out);
    let length = out.len() - at - 12;
    out[at..at + 8].copy_from_slice(&(length as u64).to_le_bytes());
    out[at + 8..at + 12].copy_from_slice(&(length as u32).to_le_bytes());
    if length > 0 {
        out.extend_from_slice(&[0; 4]);
    }
}

/// `text` in UTF-16, little endian.
pub fn utf16(out: &mut Vec<u8>, text: &str) {
    let at = out.len();
    if text.is_ascii() {
        out.resize(at + text.len() * 2, 0);
        for (pair, byte) in out[at..].as_chunks_mut::<2>().0.iter_mut().zip(text.bytes()) {
            pair[0] = byte;
        }
        return;
    }
    out.reserve(text.len() * 2);
    for unit in crate::types::utf16::units(text) {
        out.extend_from_slice(&unit.to_le_bytes());
    }
}

fn money(value: i64) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    [e, f, g, h, a, b, c, d]
}

fn datetime(value: DateTimeValue) -> [u8; 8] {
    let [a, b, c, d] = value.days.to_le_bytes();
    let [e, f, g, h] = (value.ticks as u32).to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

fn small_datetime(value: DateTimeValue) -> [u8; 4] {
    let [a, b] = (value.days as u16).to_le_bytes();
    let [c, d] = (value.ticks as u16).to_le_bytes();
    [a, b, c, d]
}

fn day(days: i32) -> [u8; 3] {
    let [a, b, c, _] = days.to_le_bytes();
    [a, b, c]
}

fn time(out: &mut Vec<u8>, ticks: u64, scale: u8) {
    let units = ticks / 10u64.pow(u32::from(7 - scale.min(7)));
    out.extend_from_slice(&units.to_le_bytes()[..usize::from(time_bytes(scale))]);
}

fn moment(out: &mut Vec<u8>, value: DateTimeValue, scale: u8) {
    time(out, value.ticks, scale);
    out.extend_from_slice(&day(value.days));
}

/// The unscaled value at `scale`; digits are never dropped.
fn rescaled(value: DecimalValue, scale: u8) -> Option<i128> {
    let up = scale.checked_sub(value.scale)?;
    value.unscaled.checked_mul(10i128.checked_pow(u32::from(up))?)
}

fn decimal(out: &mut Vec<u8>, unscaled: i128, bytes: u8) {
    out.push(bytes + 1);
    out.push(u8::from(unscaled >= 0));
    out.extend_from_slice(&unscaled.unsigned_abs().to_le_bytes()[..usize::from(bytes)]);
}

const TOKEN_ROW: u8 = 0xD1;
const CHARBIN_NULL: u16 = u16::MAX;
const PLP_NULL: u64 = u64::MAX;
