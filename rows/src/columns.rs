//! Rows into the columns of Parquet: values and, per cell, whether there is one.
//!
//! [`RowBuffer`] copies the cells of a row and hands out a [`Chunk`] when asked. A cell of another type than its
//! column's is an error naming the column: the server and the catalog disagree. A value that its type does not have (a date in
//! year 20000, half a surrogate pair: SQL Server does not check what is on its pages) becomes NULL and a [`BadCell`].

use std::collections::HashSet;
use std::hash::Hash;

use parquet::basic::Type as Physical;
use tiberius::ColumnData;

use crate::block::{BlockRow, Cell};
use crate::kind::{CellKind, MICROSECOND_SCALE, MILLISECOND_SCALE};
use crate::moments;

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
    Bytes(Pieces),
    /// FIXED_LEN_BYTE_ARRAY.
    Fixed(Pieces),
}

/// Values that are bytes, one behind the other in one piece of memory.
#[derive(Debug, Default)]
pub struct Pieces {
    /// All of them.
    pub bytes: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<usize>,
}

impl RowBuffer {
    /// Empty columns of these names and kinds.
    pub fn new(names: Vec<String>, kinds: Vec<CellKind>) -> Self {
        let chunk = Chunk::empty(&kinds);
        Self { names, kinds, chunk, bytes: 0 }
    }

    /// Takes what became of a row and its cells, `replaced` instead of those that stand there, and gives the cells that are delivered as
    /// NULL because their type does not have their value. Cells beyond the known columns (the cursor's own) are left alone.
    ///
    /// # Errors
    /// A cell of another type than its column's, or a row too short.
    pub fn push_row(
        &mut self,
        operation: &str,
        row: BlockRow<'_>,
        replaced: &[(usize, Option<String>)],
    ) -> Result<Vec<BadCell>, CellError> {
        let first = std::iter::once(Some(Cell::Text(operation)));
        if replaced.is_empty() {
            return self.append(first.chain(row.cells().map(Some)));
        }
        let cells = row.cells().enumerate().map(|(at, cell)| {
            let other = replaced.iter().find(|(column, _)| *column == at);
            other.map_or(Some(cell), |(_, text)| text.as_deref().map(Cell::Text))
        });
        self.append(first.chain(cells))
    }

    /// The same of cells that stand in no row. `None` is a NULL of its column's type.
    ///
    /// # Errors
    /// As [`RowBuffer::push_row`].
    pub fn push(&mut self, cells: &[Option<Cell<'_>>]) -> Result<Vec<BadCell>, CellError> {
        self.append(cells.iter().copied())
    }

    #[inline]
    fn append<'c>(
        &mut self,
        cells: impl Iterator<Item = Option<Cell<'c>>>,
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
        let empty = self.chunk.emptied();
        std::mem::replace(&mut self.chunk, empty)
    }
}

impl Chunk {
    fn empty(kinds: &[CellKind]) -> Self {
        Self { columns: kinds.iter().map(|kind| Column::empty(*kind)).collect(), rows: 0 }
    }

    /// No rows, and room for as many as these.
    fn emptied(&self) -> Self {
        Self { columns: self.columns.iter().map(Column::emptied).collect(), rows: 0 }
    }
}

impl Column {
    fn empty(kind: CellKind) -> Self {
        let values = match kind.physical() {
            Physical::BOOLEAN => Values::Boolean(Vec::new()),
            Physical::INT32 => Values::Int32(Vec::new()),
            Physical::INT64 => Values::Int64(Vec::new()),
            Physical::FLOAT => Values::Float(Vec::new()),
            Physical::DOUBLE => Values::Double(Vec::new()),
            Physical::BYTE_ARRAY | Physical::INT96 => Values::Bytes(Pieces::default()),
            Physical::FIXED_LEN_BYTE_ARRAY => Values::Fixed(Pieces::default()),
        };
        Self { values, levels: Vec::new() }
    }

    fn emptied(&self) -> Self {
        let values = match &self.values {
            Values::Boolean(v) => Values::Boolean(Vec::with_capacity(v.len())),
            Values::Int32(v) => Values::Int32(Vec::with_capacity(v.len())),
            Values::Int64(v) => Values::Int64(Vec::with_capacity(v.len())),
            Values::Float(v) => Values::Float(Vec::with_capacity(v.len())),
            Values::Double(v) => Values::Double(Vec::with_capacity(v.len())),
            Values::Bytes(v) => Values::Bytes(v.emptied()),
            Values::Fixed(v) => Values::Fixed(v.emptied()),
        };
        Self { values, levels: Vec::with_capacity(self.levels.len()) }
    }

    /// Appends one cell and gives about how many bytes it takes; the error says what was expected.
    #[inline]
    fn append(&mut self, kind: CellKind, cell: Cell<'_>) -> Result<usize, Unfit> {
        match cell {
            Cell::Text(text) => self.append_text(kind, text),
            Cell::Binary(bytes) => self.append_binary(kind, bytes),
            Cell::Other(cell) => self.append_other(kind, cell),
        }
    }

    fn append_text(&mut self, kind: CellKind, text: &str) -> Result<usize, Unfit> {
        match (&mut self.values, kind) {
            (Values::Bytes(to), CellKind::Text) => put_bytes(to, &mut self.levels, Some(text.as_bytes())),
            _ => Err(Unfit::Type(OTHER_TYPE)),
        }
    }

    fn append_binary(&mut self, kind: CellKind, bytes: &[u8]) -> Result<usize, Unfit> {
        match (&mut self.values, kind) {
            (Values::Bytes(to), CellKind::Binary) => put_bytes(to, &mut self.levels, Some(bytes)),
            // Only texts that were read as bytes come so, see `texts`.
            (_, CellKind::Text) => {
                Err(Unfit::Value("a text that is not valid in the encoding of its column"))
            }
            (Values::Fixed(to), CellKind::Rowversion) if Some(bytes.len()) == kind.length() => {
                put_bytes(to, &mut self.levels, Some(bytes))
            }
            (_, CellKind::Rowversion) => Err(Unfit::Type("8 bytes")),
            _ => Err(Unfit::Type(OTHER_TYPE)),
        }
    }

    fn append_other(&mut self, kind: CellKind, cell: &ColumnData<'_>) -> Result<usize, Unfit> {
        let Self { values, levels } = self;
        match (values, kind, cell) {
            (Values::Boolean(to), CellKind::Bit, ColumnData::Bit(v)) => put(to, levels, *v),
            (Values::Int32(to), CellKind::TinyInt, ColumnData::U8(v)) => put(to, levels, v.map(i32::from)),
            (Values::Int32(to), CellKind::SmallInt, ColumnData::I16(v)) => put(to, levels, v.map(i32::from)),
            (Values::Int32(to), CellKind::Int, ColumnData::I32(v)) => put(to, levels, *v),
            (Values::Int64(to), CellKind::BigInt, ColumnData::I64(v)) => put(to, levels, *v),
            (Values::Float(to), CellKind::Real, ColumnData::F32(v)) => put(to, levels, *v),
            (Values::Double(to), CellKind::Float, ColumnData::F64(v)) => put(to, levels, *v),
            (Values::Bytes(to), CellKind::Text, ColumnData::String(v)) => {
                put_bytes(to, levels, v.as_deref().map(str::as_bytes))
            }
            (Values::Bytes(to), CellKind::Text, ColumnData::Xml(v)) => {
                put_bytes(to, levels, v.as_ref().map(|xml| xml.as_ref().as_ref().as_bytes()))
            }
            (_, CellKind::Text, _) => Err(Unfit::Type("a text")),
            (Values::Bytes(to), CellKind::Binary, ColumnData::Binary(v)) => {
                put_bytes(to, levels, v.as_deref())
            }
            (Values::Fixed(to), CellKind::Rowversion, ColumnData::Binary(None)) => {
                put_bytes(to, levels, None)
            }
            (Values::Bytes(to), CellKind::Guid, ColumnData::Guid(v)) => {
                let mut text = [0; 36];
                let text = v.map(|guid| guid.hyphenated().encode_upper(&mut text).as_bytes());
                put_bytes(to, levels, text)
            }
            (values, CellKind::Decimal(precision, scale), ColumnData::Numeric(v)) => {
                put_decimal(values, levels, (precision, scale), *v)
            }
            (values, CellKind::Money(precision), ColumnData::Numeric(v)) => {
                put_decimal(values, levels, (precision, 4), *v)
            }
            (values, kind, cell) => put_moment(values, levels, kind, cell),
        }
    }

    /// Appends a NULL and gives about how many bytes it takes.
    fn append_null(&mut self) -> usize {
        self.levels.push(0);
        1
    }
}

impl Values {
    /// True when few of the first values come twice.
    pub fn are_diverse(&self) -> bool {
        match self {
            Self::Boolean(_) => false,
            Self::Int32(values) => are_diverse(values.iter()),
            Self::Int64(values) => are_diverse(values.iter()),
            Self::Float(values) => are_diverse(values.iter().map(|value| value.to_bits())),
            Self::Double(values) => are_diverse(values.iter().map(|value| value.to_bits())),
            Self::Bytes(pieces) | Self::Fixed(pieces) => are_diverse(pieces.iter()),
        }
    }
}

fn are_diverse<T: Eq + Hash>(values: impl ExactSizeIterator<Item = T>) -> bool {
    let looked_at = values.len().min(LOOKED_AT);
    let different: HashSet<T> = values.take(looked_at).collect();
    looked_at >= FEWEST && different.len() > looked_at / 10 * 9
}

impl Pieces {
    /// The values.
    fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut from = 0;
        self.ends.iter().map(move |end| {
            let from = std::mem::replace(&mut from, *end);
            self.bytes.get(from..*end).unwrap_or_default()
        })
    }

    fn emptied(&self) -> Self {
        Self { bytes: Vec::with_capacity(self.bytes.len()), ends: Vec::with_capacity(self.ends.len()) }
    }
}

#[inline]
fn put<T>(values: &mut Vec<T>, levels: &mut Vec<i16>, value: Option<T>) -> Result<usize, Unfit> {
    levels.push(value.is_some().into());
    values.extend(value);
    Ok(8)
}

#[inline]
fn put_bytes(values: &mut Pieces, levels: &mut Vec<i16>, value: Option<&[u8]>) -> Result<usize, Unfit> {
    levels.push(value.is_some().into());
    let Some(value) = value else { return Ok(4) };
    values.bytes.extend_from_slice(value);
    values.ends.push(values.bytes.len());
    Ok(value.len() + 4)
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
    if number.is_some_and(|number| {
        POWERS.get(usize::from(precision)).is_none_or(|power| number.unsigned_abs() >= *power)
    }) {
        return Err(Unfit::Value("a number of more digits than its type has"));
    }
    // The digits are counted above: it fits.
    if let Values::Int32(to) = values {
        put(to, levels, number.and_then(|number| number.try_into().ok()))
    } else if let Values::Int64(to) = values {
        put(to, levels, number.and_then(|number| number.try_into().ok()))
    } else if let Values::Fixed(to) = values {
        let bytes = number.map(i128::to_be_bytes);
        let length = CellKind::Decimal(precision, scale).length().unwrap_or_default();
        put_bytes(to, levels, bytes.as_ref().and_then(|bytes| bytes.get(bytes.len() - length..)))
    } else {
        Err(Unfit::Type(OTHER_TYPE))
    }
}

fn put_moment(
    values: &mut Values,
    levels: &mut Vec<i16>,
    kind: CellKind,
    cell: &ColumnData<'_>,
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
            let text = v.map(|moment| moments::iso(moment, scale));
            put_bytes(to, levels, text.as_deref().map(str::as_bytes))?;
            Ok(8)
        }
        (Values::Bytes(to), CellKind::DateTimeOffset(scale), ColumnData::DateTimeOffset(v)) => {
            let text = v.map(|moment| moments::iso_offset(moment, scale));
            put_bytes(to, levels, text.as_deref().map(str::as_bytes))?;
            Ok(8)
        }
        _ => Err(Unfit::Type(OTHER_TYPE)),
    }
}

/// Of ten, by exponent, as far as a decimal has digits.
const POWERS: [u128; 39] = {
    let (mut powers, mut at) = ([1; 39], 1);
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};
/// Of a column's values so many tell whether they are diverse, and fewer do not.
const LOOKED_AT: usize = 4096;
const FEWEST: usize = 100;
const OTHER_TYPE: &str = "of its column's type";
