//! What an answer's rows are made of: COLMETADATA (MS-TDS 2.2.7.4) as far as it is needed to cut and decode a row.

use tiberius::Collation;

use super::cell::{Bytes, Stop};

/// How the values of a column lie in a row. Numbers are the length that the type is declared with, or its scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Bit,
    BitN,
    Int(u8),
    IntN(u8),
    Float(u8),
    FloatN(u8),
    /// `datetime` (8 bytes) and `smalldatetime` (4).
    Moment(u8),
    MomentN(u8),
    Numeric(u8),
    Guid,
    Date,
    Time(u8),
    DateTime2(u8),
    DateTimeOffset(u8),
    Binary(u16),
    Char(u16, Collation),
    NChar(u16),
    Image,
    Text(Collation),
    NText,
}

/// The columns that a COLMETADATA token describes, whose own byte is read already; [`Stop::Odd`] when one of them is of a type
/// that is left to tiberius.
pub(super) fn columns(bytes: &mut Bytes<'_>) -> Result<Vec<Form>, Stop> {
    let count = bytes.u16()?;
    if count == NO_METADATA {
        return Err(Stop::Odd);
    }
    let mut forms = Vec::new();
    for _ in 0..count {
        // User type and flags.
        bytes.take(6)?;
        forms.push(form(bytes)?);
        let name = usize::from(bytes.u8()?);
        bytes.take(2 * name)?;
    }
    Ok(forms)
}

fn form(bytes: &mut Bytes<'_>) -> Result<Form, Stop> {
    Ok(match bytes.u8()? {
        0x30 => Form::Int(1),
        0x32 => Form::Bit,
        0x34 => Form::Int(2),
        0x38 => Form::Int(4),
        0x3A => Form::Moment(4),
        0x3B => Form::Float(4),
        0x3D => Form::Moment(8),
        0x3E => Form::Float(8),
        0x7F => Form::Int(8),
        0x24 => {
            bytes.u8()?;
            Form::Guid
        }
        0x26 => Form::IntN(bytes.u8()?),
        0x68 => {
            bytes.u8()?;
            Form::BitN
        }
        0x6D => Form::FloatN(bytes.u8()?),
        0x6F => Form::MomentN(bytes.u8()?),
        0x6A | 0x6C => numeric(bytes)?,
        0x28 => Form::Date,
        0x29 => Form::Time(bytes.u8()?),
        0x2A => Form::DateTime2(bytes.u8()?),
        0x2B => Form::DateTimeOffset(bytes.u8()?),
        0xA5 | 0xAD => Form::Binary(bytes.u16()?),
        0xA7 | 0xAF => Form::Char(bytes.u16()?, collation(bytes)?),
        0xE7 | 0xEF => {
            let most = bytes.u16()?;
            collation(bytes)?;
            Form::NChar(most)
        }
        0x22 => {
            bytes.u32()?;
            table_name(bytes)?;
            Form::Image
        }
        0x23 => {
            bytes.u32()?;
            let collation = collation(bytes)?;
            table_name(bytes)?;
            Form::Text(collation)
        }
        0x63 => {
            bytes.u32()?;
            collation(bytes)?;
            table_name(bytes)?;
            Form::NText
        }
        _ => return Err(Stop::Odd),
    })
}

fn numeric(bytes: &mut Bytes<'_>) -> Result<Form, Stop> {
    let (_length, precision, scale) = (bytes.u8()?, bytes.u8()?, bytes.u8()?);
    if precision > MOST_DIGITS || scale > precision { Err(Stop::Odd) } else { Ok(Form::Numeric(scale)) }
}

fn collation(bytes: &mut Bytes<'_>) -> Result<Collation, Stop> {
    Ok(Collation::new(bytes.u32()?, bytes.u8()?))
}

fn table_name(bytes: &mut Bytes<'_>) -> Result<(), Stop> {
    for _ in 0..bytes.u8()? {
        let part = usize::from(bytes.u16()?);
        bytes.take(2 * part)?;
    }
    Ok(())
}

/// The count that stands where the server sends no metadata.
const NO_METADATA: u16 = 0xFFFF;
const MOST_DIGITS: u8 = 38;
