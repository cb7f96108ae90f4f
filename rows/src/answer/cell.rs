//! One row of an answer, from its bytes (MS-TDS 2.2.5.4, 2.2.7.14, 2.2.7.19), as tiberius would decode it.
//!
//! Invariant: a row that is given equals tiberius' to the bit. Whatever is not decoded here (money, which the agent reads as
//! decimal; values that break a rule) is [`Stop::Odd`], and tiberius says what is wrong with it.

use std::borrow::Cow;

use tiberius::numeric::Numeric;
use tiberius::time::{Date, DateTime, DateTime2, DateTimeOffset, SmallDateTime, Time};
use tiberius::{Collation, ColumnData, Uuid};

use super::form::Form;
use crate::block::RowBlock;

/// Why nothing was decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The rest has not come yet.
    More,
    /// It is not understood here.
    Odd,
}

/// What is left of some bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'b> {
    rest: &'b [u8],
}

impl<'b> Bytes<'b> {
    pub(super) fn new(rest: &'b [u8]) -> Self {
        Self { rest }
    }

    /// How many are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'b [u8], Stop> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Stop::More)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Stop::More)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, Stop> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, Stop> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, Stop> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    fn u64(&mut self) -> Result<u64, Stop> {
        self.array().map(u64::from_le_bytes)
    }
}

/// The cells of a ROW token, whose own byte is read already, as the next row of a block.
pub(super) fn row(bytes: &mut Bytes<'_>, columns: &[Form], block: &mut RowBlock) -> Result<(), Stop> {
    columns.iter().try_for_each(|form| cell(bytes, *form, block))?;
    block.end_row();
    Ok(())
}

/// The cells of an NBCROW token, whose own byte is read already: a bit for each column that is NULL comes first.
pub(super) fn row_with_nulls(
    bytes: &mut Bytes<'_>,
    columns: &[Form],
    block: &mut RowBlock,
) -> Result<(), Stop> {
    let nulls = bytes.take(columns.len().div_ceil(8))?;
    for (at, form) in columns.iter().enumerate() {
        if nulls.get(at / 8).is_some_and(|bits| bits & (1 << (at % 8)) != 0) {
            block.push(null(*form));
        } else {
            cell(bytes, *form, block)?;
        }
    }
    block.end_row();
    Ok(())
}

fn null(form: Form) -> ColumnData<'static> {
    match form {
        Form::Bit | Form::BitN => ColumnData::Bit(None),
        Form::Int(length) | Form::IntN(length) => null_int(length),
        Form::Float(length) | Form::FloatN(length) => null_float(length),
        // What tiberius makes of it, also where it is a smalldatetime.
        Form::MomentN(_) | Form::Moment(8) => ColumnData::DateTime(None),
        Form::Moment(_) => ColumnData::SmallDateTime(None),
        Form::Numeric(_) => ColumnData::Numeric(None),
        Form::Guid => ColumnData::Guid(None),
        Form::Date => ColumnData::Date(None),
        Form::Time(_) => ColumnData::Time(None),
        Form::DateTime2(_) => ColumnData::DateTime2(None),
        Form::DateTimeOffset(_) => ColumnData::DateTimeOffset(None),
        Form::Binary(_) | Form::Image => ColumnData::Binary(None),
        Form::Char(..) | Form::NChar(_) | Form::Text(_) | Form::NText => ColumnData::String(None),
    }
}

fn cell(bytes: &mut Bytes<'_>, form: Form, block: &mut RowBlock) -> Result<(), Stop> {
    match form {
        Form::Binary(most) => binary(sized(bytes, most)?.as_deref(), block),
        Form::Image => binary(pointed(bytes)?, block),
        Form::Char(most, collation) => in_code_page(sized(bytes, most)?.as_deref(), collation, block),
        Form::Text(collation) => in_code_page(pointed(bytes)?, collation, block),
        Form::NChar(most) => utf16(sized(bytes, most)?.as_deref(), block),
        Form::NText => utf16(pointed(bytes)?, block),
        Form::Bit
        | Form::BitN
        | Form::Int(_)
        | Form::IntN(_)
        | Form::Float(_)
        | Form::FloatN(_)
        | Form::Moment(_)
        | Form::MomentN(_)
        | Form::Numeric(_)
        | Form::Guid
        | Form::Date
        | Form::Time(_)
        | Form::DateTime2(_)
        | Form::DateTimeOffset(_) => {
            block.push(fixed(bytes, form)?);
            Ok(())
        }
    }
}

/// A cell of a type that is neither text nor bytes.
#[inline]
fn fixed(bytes: &mut Bytes<'_>, form: Form) -> Result<ColumnData<'static>, Stop> {
    Ok(match form {
        Form::Bit => ColumnData::Bit(Some(bytes.u8()? != 0)),
        Form::BitN => match bytes.u8()? {
            0 => ColumnData::Bit(None),
            1 => ColumnData::Bit(Some(bytes.u8()? != 0)),
            _ => return Err(Stop::Odd),
        },
        Form::Int(length) => int(bytes, length)?,
        Form::IntN(most) => match bytes.u8()? {
            0 => null_int(most),
            length => int(bytes, length)?,
        },
        Form::Float(length) => float(bytes, length)?,
        Form::FloatN(most) => match bytes.u8()? {
            0 => null_float(most),
            length => float(bytes, length)?,
        },
        Form::Moment(length) => moment(bytes, length)?,
        Form::MomentN(most) => match (bytes.u8()?, most) {
            (0, 4) => ColumnData::SmallDateTime(None),
            (0, 8) => ColumnData::DateTime(None),
            (length, _) => moment(bytes, length)?,
        },
        Form::Numeric(scale) => ColumnData::Numeric(numeric(bytes, scale)?),
        Form::Guid => match bytes.u8()? {
            0 => ColumnData::Guid(None),
            16 => ColumnData::Guid(Some(Uuid::from_bytes_le(bytes.array()?))),
            _ => return Err(Stop::Odd),
        },
        Form::Date => match bytes.u8()? {
            0 => ColumnData::Date(None),
            3 => ColumnData::Date(Some(date(bytes)?)),
            _ => return Err(Stop::Odd),
        },
        Form::Time(scale) => match bytes.u8()? {
            0 => ColumnData::Time(None),
            length => ColumnData::Time(Some(time(bytes, scale, length)?)),
        },
        Form::DateTime2(scale) => match bytes.u8()? {
            0 => ColumnData::DateTime2(None),
            length => ColumnData::DateTime2(Some(datetime2(bytes, scale, length)?)),
        },
        Form::DateTimeOffset(scale) => match bytes.u8()? {
            0 => ColumnData::DateTimeOffset(None),
            length => {
                let moment = datetime2(bytes, scale, length.checked_sub(2).ok_or(Stop::Odd)?)?;
                let offset = bytes.array().map(i16::from_le_bytes)?;
                ColumnData::DateTimeOffset(Some(DateTimeOffset::new(moment, offset)))
            }
        },
        Form::Binary(_) | Form::Image | Form::Char(..) | Form::NChar(_) | Form::Text(_) | Form::NText => {
            return Err(Stop::Odd);
        }
    })
}

fn null_int(length: u8) -> ColumnData<'static> {
    match length {
        1 => ColumnData::U8(None),
        2 => ColumnData::I16(None),
        4 => ColumnData::I32(None),
        _ => ColumnData::I64(None),
    }
}

fn int(bytes: &mut Bytes<'_>, length: u8) -> Result<ColumnData<'static>, Stop> {
    Ok(match length {
        1 => ColumnData::U8(Some(bytes.u8()?)),
        2 => ColumnData::I16(Some(bytes.array().map(i16::from_le_bytes)?)),
        4 => ColumnData::I32(Some(bytes.array().map(i32::from_le_bytes)?)),
        8 => ColumnData::I64(Some(bytes.array().map(i64::from_le_bytes)?)),
        _ => return Err(Stop::Odd),
    })
}

fn null_float(length: u8) -> ColumnData<'static> {
    if length == 4 { ColumnData::F32(None) } else { ColumnData::F64(None) }
}

fn float(bytes: &mut Bytes<'_>, length: u8) -> Result<ColumnData<'static>, Stop> {
    Ok(match length {
        4 => ColumnData::F32(Some(bytes.array().map(f32::from_le_bytes)?)),
        8 => ColumnData::F64(Some(bytes.array().map(f64::from_le_bytes)?)),
        _ => return Err(Stop::Odd),
    })
}

fn moment(bytes: &mut Bytes<'_>, length: u8) -> Result<ColumnData<'static>, Stop> {
    Ok(match length {
        4 => ColumnData::SmallDateTime(Some(SmallDateTime::new(bytes.u16()?, bytes.u16()?))),
        8 => {
            let days = bytes.array().map(i32::from_le_bytes)?;
            ColumnData::DateTime(Some(DateTime::new(days, bytes.u32()?)))
        }
        _ => return Err(Stop::Odd),
    })
}

fn numeric(bytes: &mut Bytes<'_>, scale: u8) -> Result<Option<Numeric>, Stop> {
    let length = bytes.u8()?;
    if length == 0 {
        return Ok(None);
    }
    let is_negative = match bytes.u8()? {
        0 => true,
        1 => false,
        _ => return Err(Stop::Odd),
    };
    let magnitude = match length {
        5 => u128::from(bytes.u32()?),
        9 => u128::from(bytes.u64()?),
        13 => u128::from(bytes.u64()?) | u128::from(bytes.u32()?) << 64,
        17 => bytes.array().map(u128::from_le_bytes)?,
        _ => return Err(Stop::Odd),
    };
    let value = i128::try_from(magnitude).map_err(|_| Stop::Odd)?;
    Ok(Some(Numeric::new_with_scale(if is_negative { -value } else { value }, scale)))
}

fn date(bytes: &mut Bytes<'_>) -> Result<Date, Stop> {
    let [low, middle, high] = bytes.array()?;
    Ok(Date::new(u32::from_le_bytes([low, middle, high, 0])))
}

fn time(bytes: &mut Bytes<'_>, scale: u8, length: u8) -> Result<Time, Stop> {
    let increments = match (scale, length) {
        (0..=2, 3) => {
            let [a, b, c] = bytes.array()?;
            u64::from_le_bytes([a, b, c, 0, 0, 0, 0, 0])
        }
        (3..=4, 4) => u64::from(bytes.u32()?),
        (5..=7, 5) => {
            let [a, b, c, d, e] = bytes.array()?;
            u64::from_le_bytes([a, b, c, d, e, 0, 0, 0])
        }
        _ => return Err(Stop::Odd),
    };
    Ok(Time::new(increments, scale))
}

fn datetime2(bytes: &mut Bytes<'_>, scale: u8, length: u8) -> Result<DateTime2, Stop> {
    let time = time(bytes, scale, length.checked_sub(3).ok_or(Stop::Odd)?)?;
    Ok(DateTime2::new(date(bytes)?, time))
}

/// The bytes of a value with its length before it, or in parts where its type has no greatest length.
fn sized<'b>(bytes: &mut Bytes<'b>, most: u16) -> Result<Option<Cow<'b, [u8]>>, Stop> {
    if most == UNBOUNDED {
        return parts(bytes);
    }
    Ok(match bytes.u16()? {
        NULL_LENGTH => None,
        length => Some(Cow::Borrowed(bytes.take(usize::from(length))?)),
    })
}

/// PARTLENTYPE, MS-TDS 2.2.5.2.3. The length announced is not relied on: the parts have theirs.
fn parts<'b>(bytes: &mut Bytes<'b>) -> Result<Option<Cow<'b, [u8]>>, Stop> {
    if bytes.u64()? == u64::MAX {
        return Ok(None);
    }
    let mut whole: Cow<'b, [u8]> = Cow::Borrowed(&[]);
    loop {
        let length = usize::try_from(bytes.u32()?).map_err(|_| Stop::Odd)?;
        if length == 0 {
            return Ok(Some(whole));
        }
        let part = bytes.take(length)?;
        if whole.is_empty() {
            whole = Cow::Borrowed(part);
        } else {
            whole.to_mut().extend_from_slice(part);
        }
    }
}

/// The bytes of a value behind a text pointer and a timestamp, neither of which is needed.
fn pointed<'b>(bytes: &mut Bytes<'b>) -> Result<Option<&'b [u8]>, Stop> {
    let pointer = usize::from(bytes.u8()?);
    if pointer == 0 {
        return Ok(None);
    }
    bytes.take(pointer + 8)?;
    let length = usize::try_from(bytes.u32()?).map_err(|_| Stop::Odd)?;
    bytes.take(length).map(Some)
}

fn binary(bytes: Option<&[u8]>, block: &mut RowBlock) -> Result<(), Stop> {
    match bytes {
        Some(bytes) => block.push_binary(bytes),
        None => block.push(ColumnData::Binary(None)),
    }
    Ok(())
}

fn in_code_page(bytes: Option<&[u8]>, collation: Collation, block: &mut RowBlock) -> Result<(), Stop> {
    let Some(bytes) = bytes else {
        block.push(ColumnData::String(None));
        return Ok(());
    };
    // Every code page that SQL Server has begins with ASCII, and most texts are no more.
    if bytes.is_ascii() {
        block.push_text(str::from_utf8(bytes).map_err(|_| Stop::Odd)?);
        return Ok(());
    }
    let encoding = collation.encoding().map_err(|_| Stop::Odd)?;
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    block.push_text(&text.ok_or(Stop::Odd)?);
    Ok(())
}

fn utf16(bytes: Option<&[u8]>, block: &mut RowBlock) -> Result<(), Stop> {
    let Some(bytes) = bytes else {
        block.push(ColumnData::String(None));
        return Ok(());
    };
    let (units, rest) = bytes.as_chunks::<2>();
    if rest.is_empty() && block.push_utf16(units) { Ok(()) } else { Err(Stop::Odd) }
}

/// The greatest length of a type that has none.
const UNBOUNDED: u16 = 0xFFFF;
/// The length of a NULL.
const NULL_LENGTH: u16 = 0xFFFF;
