//! sql_variant (MS-TDS 2.2.5.5.4): total length, the base type of this one value, its properties, the bare value.

use super::{Mismatch, datetime, day, guid, moment, money, small_datetime, time, utf16};
use crate::tds::collation::{Collation, encode_1252};
use crate::tds::column::decimal_bytes;
use crate::types::{Datum, DecimalValue, SqlType};

/// One value as a sql_variant. After an error, `out` is as it was before the call.
pub fn variant(out: &mut Vec<u8>, datum: &Datum) -> Result<(), Mismatch> {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    if let Err(mismatch) = variant_body(out, datum) {
        out.truncate(at);
        return Err(mismatch);
    }
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

fn variant_body(out: &mut Vec<u8>, datum: &Datum) -> Result<(), Mismatch> {
    match datum {
        Datum::Bit(v) => out.extend_from_slice(&[0x32, 0, u8::from(*v)]),
        Datum::TinyInt(v) => out.extend_from_slice(&[0x30, 0, *v]),
        Datum::SmallInt(v) => bare(out, 0x34, &v.to_le_bytes()),
        Datum::Int(v) => bare(out, 0x38, &v.to_le_bytes()),
        Datum::BigInt(v) => bare(out, 0x7F, &v.to_le_bytes()),
        Datum::Real(v) => bare(out, 0x3B, &v.to_le_bytes()),
        Datum::Float(v) => bare(out, 0x3E, &v.to_le_bytes()),
        Datum::Money(v) => bare(out, 0x3C, &money(*v)),
        Datum::SmallMoney(v) => bare(out, 0x7A, &v.to_le_bytes()),
        Datum::DateTime(v) => bare(out, 0x3D, &datetime(*v)),
        Datum::SmallDateTime(v) => bare(out, 0x3A, &small_datetime(*v)),
        Datum::Guid(v) => bare(out, 0x24, &guid(*v)),
        Datum::Date(days) => bare(out, 0x28, &day(*days)),
        Datum::Time(ticks) => {
            out.extend_from_slice(&[0x29, 1, SCALE]);
            time(out, *ticks, SCALE);
        }
        Datum::DateTime2(v) => {
            out.extend_from_slice(&[0x2A, 1, SCALE]);
            moment(out, *v, SCALE);
        }
        Datum::DateTimeOffset(v) => {
            out.extend_from_slice(&[0x2B, 1, SCALE]);
            moment(out, v.utc, SCALE);
            out.extend_from_slice(&v.offset.to_le_bytes());
        }
        Datum::Decimal(v) => variant_decimal(out, *v),
        Datum::VarChar(text) => variant_text(out, 0xA7, |out| encode_1252(text, out)),
        Datum::NVarChar(text) => variant_text(out, 0xE7, |out| utf16(out, text)),
        Datum::Binary(bytes) => variant_bytes(out, bytes),
        Datum::RowVersion(v) => variant_bytes(out, &v.to_be_bytes()),
        Datum::Null | Datum::Xml(_) => return Err(Mismatch(SqlType::Variant)),
    }
    Ok(())
}

fn variant_decimal(out: &mut Vec<u8>, v: DecimalValue) {
    out.extend_from_slice(&[0x6A, 2, v.precision, v.scale, u8::from(v.unscaled >= 0)]);
    let bytes = usize::from(decimal_bytes(v.precision));
    out.extend_from_slice(&v.unscaled.unsigned_abs().to_le_bytes()[..bytes]);
}

fn bare(out: &mut Vec<u8>, token: u8, bytes: &[u8]) {
    out.extend_from_slice(&[token, 0]);
    out.extend_from_slice(bytes);
}

fn variant_text(out: &mut Vec<u8>, token: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&[token, 7]);
    out.extend_from_slice(&Collation::SERVER.bytes());
    out.extend_from_slice(&VARIANT_MAX.to_le_bytes());
    body(out);
}

fn variant_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&[0xA5, 2]);
    out.extend_from_slice(&VARIANT_MAX.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Times inside a variant carry all their digits.
const SCALE: u8 = 7;
const VARIANT_MAX: u16 = 8000;
