//! Rows into the columns of Parquet: values and, per cell, whether there is one.
//!
//! [`RowBuffer`] takes the cells of a row by value and hands out a [`Chunk`] when asked. A cell of another type than its
//! column's is an error naming the column: the server and the catalog disagree. A value that its type does not have (a date in
//! year 20000, half a surrogate pair: SQL Server does not check what is on its pages) becomes NULL and a [`BadCell`].

use parquet::basic::Type as Physical;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use tiberius::ColumnData;

use super::cells::{CellKind, MICROSECOND_SCALE, MILLISECOND_SCALE};
use super::moments;

/// A cell that does not fit its column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column} holds a value that is not {expected}")]
pub struct CellError {
    /// The column.
    pub column: String,
    /// What its catalog type promises.
    pub expected: &'static str,
}

/// A cell whose value its type does not have: it is delivered as NULL and reported, never changed into another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCell {
    /// Where its column stands in the batch.
    pub column: usize,
    /// What is wrong with it, without the value.
    pub reason: &'static str,
}

/// Why a cell is not appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfit {
    /// It is of another type than its column's.
    Type(&'static str),
    /// Its type does not have this value.
    Value(&'static str),
}

/// Rows on their way into a batch file.
#[derive(Debug)]
pub struct RowBuffer {
    names: Vec<String>,
    kinds: Vec<CellKind>,
    chunk: Chunk,
    bytes: usize,
}

/// Some rows, column by column.
#[derive(Debug)]
pub struct Chunk {
    /// The columns, in the order of the schema.
    pub columns: Vec<Column>,
    /// How many rows.
    pub rows: usize,
}

/// The cells of one column.
#[derive(Debug)]
pub struct Column {
    /// Those that are not NULL.
    pub values: Values,
    /// Per cell 1, or 0 for NULL: Parquet's definition levels.
    pub levels: Vec<i16>,
}

/// Values as Parquet stores them.
#[derive(Debug)]
pub enum Values {
    /// BOOLEAN.
    Boolean(Vec<bool>),
    /// INT32.
    Int32(Vec<i32>),
    /// INT64.
    Int64(Vec<i64>),
    /// FLOAT.
    Float(Vec<f32>),
    /// DOUBLE.
    Double(Vec<f64>),
    /// BYTE_ARRAY.
    Bytes(Vec<ByteArray>),
    /// FIXED_LEN_BYTE_ARRAY.
    Fixed(Vec<FixedLenByteArray>),
}

impl RowBuffer {
    /// Empty columns of these names and kinds.
    pub fn new(names: Vec<String>, kinds: Vec<CellKind>) -> Self {
        let chunk = Chunk::empty(&kinds, 0);
        Self { names, kinds, chunk, bytes: 0 }
    }

    /// Takes one row and gives the cells of it that are delivered as NULL because their type does not have their value.
    /// `None` is a NULL of its column's type, cells beyond the known columns (the cursor's own) are left alone.
    ///
    /// # Errors
    /// A cell of another type than its column's, or a row too short.
    pub fn push(
        &mut self,
        cells: impl Iterator<Item = Option<ColumnData<'static>>>,
    ) -> Result<Vec<BadCell>, CellError> {
        let (mut taken, mut bad) = (0, Vec::new());
        for ((column, kind), cell) in self.chunk.columns.iter_mut().zip(&self.kinds).zip(cells) {
            let appended = match cell {
                Some(cell) => column.append(*kind, cell),
                None => Ok(column.append_null()),
            };
            self.bytes += match appended {
                Ok(bytes) => bytes,
                Err(Unfit::Value(reason)) => {
                    bad.push(BadCell { column: taken, reason });
                    column.append_null()
                }
                Err(Unfit::Type(expected)) => {
                    return Err(CellError { column: self.name(taken), expected });
                }
            };
            taken += 1;
        }
        if taken < self.kinds.len() {
            return Err(CellError { column: self.name(taken), expected: "there" });
        }
        self.chunk.rows += 1;
        Ok(bad)
    }

    /// The name of a column.
    pub fn name(&self, column: usize) -> String {
        self.names.get(column).cloned().unwrap_or_default()
    }

    /// Rows held.
    pub fn rows(&self) -> usize {
        self.chunk.rows
    }

    /// About how many bytes the rows take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows; the buffer is empty afterwards.
    pub fn take(&mut self) -> Chunk {
        self.bytes = 0;
        let empty = Chunk::empty(&self.kinds, self.chunk.rows);
        std::mem::replace(&mut self.chunk, empty)
    }
}

impl Chunk {
    fn empty(kinds: &[CellKind], room: usize) -> Self {
        Self { columns: kinds.iter().map(|kind| Column::empty(*kind, room)).collect(), rows: 0 }
    }
}

impl Column {
    fn empty(kind: CellKind, room: usize) -> Self {
        let values = match kind.physical() {
            Physical::BOOLEAN => Values::Boolean(Vec::with_capacity(room)),
            Physical::INT32 => Values::Int32(Vec::with_capacity(room)),
            Physical::INT64 => Values::Int64(Vec::with_capacity(room)),
            Physical::FLOAT => Values::Float(Vec::with_capacity(room)),
            Physical::DOUBLE => Values::Double(Vec::with_capacity(room)),
            Physical::BYTE_ARRAY | Physical::INT96 => Values::Bytes(Vec::with_capacity(room)),
            Physical::FIXED_LEN_BYTE_ARRAY => Values::Fixed(Vec::with_capacity(room)),
        };
        Self { values, levels: Vec::with_capacity(room) }
    }

    /// Appends one cell and gives about how many bytes it takes; the error says what was expected.
    fn append(&mut self, kind: CellKind, cell: ColumnData<'static>) -> Result<usize, Unfit> {
        let Self { values, levels } = self;
        match (values, kind, cell) {
            (Values::Boolean(to), CellKind::Bit, ColumnData::Bit(v)) => put(to, levels, v),
            (Values::Int32(to), CellKind::TinyInt, ColumnData::U8(v)) => put(to, levels, v.map(i32::from)),
            (Values::Int32(to), CellKind::SmallInt, ColumnData::I16(v)) => put(to, levels, v.map(i32::from)),
            (Values::Int32(to), CellKind::Int, ColumnData::I32(v)) => put(to, levels, v),
            (Values::Int64(to), CellKind::BigInt, ColumnData::I64(v)) => put(to, levels, v),
            (Values::Float(to), CellKind::Real, ColumnData::F32(v)) => put(to, levels, v),
            (Values::Double(to), CellKind::Float, ColumnData::F64(v)) => put(to, levels, v),
            (Values::Bytes(to), CellKind::Text, cell) => put_bytes(to, levels, text(cell)?),
            (Values::Bytes(to), CellKind::Binary, ColumnData::Binary(v)) => {
                put_bytes(to, levels, v.map(std::borrow::Cow::into_owned))
            }
            (Values::Bytes(to), CellKind::Guid, ColumnData::Guid(v)) => {
                let text = v.map(|guid| guid.hyphenated().encode_upper(&mut [0; 36]).as_bytes().to_vec());
                put_bytes(to, levels, text)
            }
            (Values::Fixed(to), CellKind::Rowversion, ColumnData::Binary(v)) => {
                if v.as_ref().is_some_and(|bytes| Some(bytes.len()) != kind.length()) {
                    return Err(Unfit::Type("8 bytes"));
                }
                put(to, levels, v.map(|bytes| bytes.into_owned().into()))
            }
            (values, CellKind::Decimal(precision, scale), ColumnData::Numeric(v)) => {
                put_decimal(values, levels, (precision, scale), v)
            }
            (values, CellKind::Money(precision), ColumnData::Numeric(v)) => {
                put_decimal(values, levels, (precision, 4), v)
            }
            (values, kind, cell) => put_moment(values, levels, kind, &cell),
        }
    }

    /// Appends a NULL and gives about how many bytes it takes.
    fn append_null(&mut self) -> usize {
        self.levels.push(0);
        1
    }
}

fn put<T>(values: &mut Vec<T>, levels: &mut Vec<i16>, value: Option<T>) -> Result<usize, Unfit> {
    levels.push(value.is_some().into());
    values.extend(value);
    Ok(8)
}

fn put_bytes(
    values: &mut Vec<ByteArray>,
    levels: &mut Vec<i16>,
    value: Option<Vec<u8>>,
) -> Result<usize, Unfit> {
    let length = value.as_ref().map_or(0, Vec::len);
    put(values, levels, value.map(ByteArray::from))?;
    Ok(length + 4)
}

fn put_decimal(
    values: &mut Values,
    levels: &mut Vec<i16>,
    (precision, scale): (u8, u8),
    number: Option<tiberius::numeric::Numeric>,
) -> Result<usize, Unfit> {
    if number.is_some_and(|number| number.scale() != scale) {
        return Err(Unfit::Type("a decimal of its declared scale"));
    }
    let number = number.map(|number| number.value());
    if number.is_some_and(|number| number.unsigned_abs() >= 10_u128.pow(u32::from(precision))) {
        return Err(Unfit::Value("a number of more digits than its type has"));
    }
    // The digits are counted above: it fits.
    if let Values::Int32(to) = values {
        put(to, levels, number.and_then(|number| number.try_into().ok()))
    } else if let Values::Int64(to) = values {
        put(to, levels, number.and_then(|number| number.try_into().ok()))
    } else if let Values::Fixed(to) = values {
        let bytes = |number: i128| {
            let length = CellKind::Decimal(precision, scale).length()?;
            Some(number.to_be_bytes().get(16 - length..)?.to_vec().into())
        };
        put(to, levels, number.and_then(bytes))
    } else {
        Err(Unfit::Type(OTHER_TYPE))
    }
}

fn put_moment(
    values: &mut Values,
    levels: &mut Vec<i16>,
    kind: CellKind,
    cell: &ColumnData<'static>,
) -> Result<usize, Unfit> {
    if !moments::is_in_range(cell) {
        return Err(Unfit::Value("a date or time outside of what its type holds"));
    }
    match (values, kind, cell) {
        (Values::Int32(to), CellKind::Date, ColumnData::Date(v)) => {
            put(to, levels, v.map(moments::date_days))
        }
        (Values::Int64(to), CellKind::Time(scale), ColumnData::Time(v)) => {
            let ticks = v.map(moments::hundred_nanos);
            let nanos = scale > MICROSECOND_SCALE;
            put(to, levels, ticks.map(|ticks| if nanos { ticks * 100 } else { ticks / 10 }))
        }
        (Values::Int64(to), CellKind::DateTime, ColumnData::DateTime(v)) => {
            put(to, levels, v.map(moments::datetime_millis))
        }
        (Values::Int64(to), CellKind::SmallDateTime, ColumnData::SmallDateTime(v)) => {
            put(to, levels, v.map(moments::smalldatetime_millis))
        }
        (Values::Int64(to), CellKind::DateTime2(scale), ColumnData::DateTime2(v)) => {
            let unit = if scale > MILLISECOND_SCALE { 10 } else { 10_000 };
            put(to, levels, v.map(|moment| moments::datetime2_ticks(moment).div_euclid(unit)))
        }
        (Values::Bytes(to), CellKind::DateTime2(scale), ColumnData::DateTime2(v)) => {
            put_bytes(to, levels, v.map(|moment| moments::iso(moment, scale).into_bytes()))?;
            Ok(8)
        }
        (Values::Bytes(to), CellKind::DateTimeOffset(scale), ColumnData::DateTimeOffset(v)) => {
            put_bytes(to, levels, v.map(|moment| moments::iso_offset(moment, scale).into_bytes()))?;
            Ok(8)
        }
        _ => Err(Unfit::Type(OTHER_TYPE)),
    }
}

/// The UTF-8 of a text cell.
fn text(cell: ColumnData<'static>) -> Result<Option<Vec<u8>>, Unfit> {
    if let ColumnData::String(text) = cell {
        Ok(text.map(|text| text.into_owned().into_bytes()))
    } else if let ColumnData::Xml(xml) = cell {
        Ok(xml.map(|xml| xml.into_owned().into_string().into_bytes()))
    } else if let ColumnData::Binary(Some(_)) = cell {
        // Only texts that were read as bytes come so, see `texts`.
        Err(Unfit::Value("a text that is not valid in the encoding of its column"))
    } else {
        Err(Unfit::Type("a text"))
    }
}

const OTHER_TYPE: &str = "of its column's type";

#[cfg(test)]
mod tests;
