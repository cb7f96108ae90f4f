//! Rows into Arrow columns: one builder per column, one record batch at a time.
//!
//! [`RowBuffer`] takes the cells of a row by value and hands out a record batch when asked. A cell of another type than
//! its column's is an error naming the column: the server and the catalog disagree. A value that its type does not have (a
//! date in year 20000, half a surrogate pair: SQL Server does not check what is on its pages) becomes NULL and a [`BadCell`].

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, FixedSizeBinaryBuilder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder, Time64MicrosecondBuilder,
    Time64NanosecondBuilder, TimestampMicrosecondBuilder, TimestampMillisecondBuilder, UInt8Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
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

/// Rows on their way into a record batch.
#[derive(Debug)]
pub struct RowBuffer {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
}

impl RowBuffer {
    /// Empty columns of the given kinds, which must be those `schema` was made from.
    pub fn new(schema: SchemaRef, kinds: &[CellKind]) -> Self {
        Self {
            schema,
            columns: kinds.iter().map(|kind| ColumnBuilder::new(*kind)).collect(),
            rows: 0,
            bytes: 0,
        }
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
        for ((builder, cell), field) in self.columns.iter_mut().zip(cells).zip(self.schema.fields()) {
            let appended = match cell {
                Some(cell) => builder.append(cell),
                None => Ok(builder.append_null()),
            };
            self.bytes += match appended {
                Ok(bytes) => bytes,
                Err(Unfit::Value(reason)) => {
                    bad.push(BadCell { column: taken, reason });
                    builder.append_null()
                }
                Err(Unfit::Type(expected)) => {
                    return Err(CellError { column: field.name().clone(), expected });
                }
            };
            taken += 1;
        }
        if taken < self.columns.len() {
            return Err(CellError { column: self.schema.field(taken).name().clone(), expected: "there" });
        }
        self.rows += 1;
        Ok(bad)
    }

    /// The name of a column.
    pub fn name(&self, column: usize) -> String {
        self.schema.field(column).name().clone()
    }

    /// Rows held.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// About how many bytes the rows take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows as a record batch; the buffer is empty afterwards.
    ///
    /// # Errors
    /// Arrow refuses the columns.
    pub fn take(&mut self) -> Result<RecordBatch, arrow_schema::ArrowError> {
        let columns = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        self.rows = 0;
        self.bytes = 0;
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

#[derive(Debug)]
enum ColumnBuilder {
    Bit(BooleanBuilder),
    TinyInt(UInt8Builder),
    SmallInt(Int16Builder),
    Int(Int32Builder),
    BigInt(Int64Builder),
    Real(Float32Builder),
    Float(Float64Builder),
    Decimal(Decimal128Builder, (u8, u8)),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Rowversion(FixedSizeBinaryBuilder),
    Guid(StringBuilder),
    Date(Date32Builder),
    TimeMicro(Time64MicrosecondBuilder),
    TimeNano(Time64NanosecondBuilder),
    Millis(TimestampMillisecondBuilder),
    Micros(TimestampMicrosecondBuilder),
    Iso(StringBuilder, u8),
}

impl ColumnBuilder {
    fn new(kind: CellKind) -> Self {
        match kind {
            CellKind::Bit => Self::Bit(BooleanBuilder::new()),
            CellKind::TinyInt => Self::TinyInt(UInt8Builder::new()),
            CellKind::SmallInt => Self::SmallInt(Int16Builder::new()),
            CellKind::Int => Self::Int(Int32Builder::new()),
            CellKind::BigInt => Self::BigInt(Int64Builder::new()),
            CellKind::Real => Self::Real(Float32Builder::new()),
            CellKind::Float => Self::Float(Float64Builder::new()),
            CellKind::Decimal(precision, scale) => Self::decimal(kind, (precision, scale)),
            CellKind::Money(precision) => Self::decimal(kind, (precision, 4)),
            CellKind::Text => Self::Text(StringBuilder::new()),
            CellKind::Binary => Self::Binary(BinaryBuilder::new()),
            CellKind::Rowversion => Self::Rowversion(FixedSizeBinaryBuilder::new(8)),
            CellKind::Guid => Self::Guid(StringBuilder::new()),
            CellKind::Date => Self::Date(Date32Builder::new()),
            CellKind::Time(scale) if scale > MICROSECOND_SCALE => {
                Self::TimeNano(Time64NanosecondBuilder::new())
            }
            CellKind::Time(_) => Self::TimeMicro(Time64MicrosecondBuilder::new()),
            CellKind::DateTime | CellKind::SmallDateTime => Self::Millis(TimestampMillisecondBuilder::new()),
            CellKind::DateTime2(scale) if scale > MICROSECOND_SCALE => Self::Iso(StringBuilder::new(), scale),
            CellKind::DateTime2(scale) if scale > MILLISECOND_SCALE => {
                Self::Micros(TimestampMicrosecondBuilder::new())
            }
            CellKind::DateTime2(_) => Self::Millis(TimestampMillisecondBuilder::new()),
            CellKind::DateTimeOffset(scale) => Self::Iso(StringBuilder::new(), scale),
        }
    }

    fn decimal(kind: CellKind, digits: (u8, u8)) -> Self {
        Self::Decimal(Decimal128Builder::new().with_data_type(kind.data_type()), digits)
    }

    /// Appends one cell and gives about how many bytes it takes; the error says what was expected.
    fn append(&mut self, cell: ColumnData<'static>) -> Result<usize, Unfit> {
        match (self, cell) {
            (Self::Bit(b), ColumnData::Bit(v)) => b.append_option(v),
            (Self::TinyInt(b), ColumnData::U8(v)) => b.append_option(v),
            (Self::SmallInt(b), ColumnData::I16(v)) => b.append_option(v),
            (Self::Int(b), ColumnData::I32(v)) => b.append_option(v),
            (Self::BigInt(b), ColumnData::I64(v)) => b.append_option(v),
            (Self::Real(b), ColumnData::F32(v)) => b.append_option(v),
            (Self::Float(b), ColumnData::F64(v)) => b.append_option(v),
            (Self::Decimal(b, (precision, scale)), ColumnData::Numeric(v)) => {
                if v.is_some_and(|n| n.scale() != *scale) {
                    return Err(Unfit::Type("a decimal of its declared scale"));
                }
                let most = 10_u128.pow(u32::from(*precision));
                if v.is_some_and(|n| n.value().unsigned_abs() >= most) {
                    return Err(Unfit::Value("a number of more digits than its type has"));
                }
                b.append_option(v.map(|n| n.value()));
            }
            (Self::Text(b), cell) => return append_text(b, cell),
            (Self::Binary(b), ColumnData::Binary(v)) => {
                let length = v.as_ref().map_or(0, |bytes| bytes.len());
                b.append_option(v);
                return Ok(length + 4);
            }
            (Self::Rowversion(b), ColumnData::Binary(v)) => match v {
                Some(bytes) => b.append_value(bytes).map_err(|_| Unfit::Type("8 bytes"))?,
                None => b.append_null(),
            },
            (Self::Guid(b), ColumnData::Guid(v)) => {
                b.append_option(v.map(|guid| guid.hyphenated().encode_upper(&mut [0u8; 36]).to_owned()));
                return Ok(36);
            }
            (builder, cell) => builder.append_moment(&cell)?,
        }
        Ok(8)
    }

    fn append_moment(&mut self, cell: &ColumnData<'static>) -> Result<(), Unfit> {
        if !moments::is_in_range(cell) {
            return Err(Unfit::Value("a date or time outside of what its type holds"));
        }
        match (self, cell) {
            (Self::Date(b), ColumnData::Date(v)) => b.append_option(v.map(moments::date_days)),
            (Self::TimeMicro(b), ColumnData::Time(v)) => {
                b.append_option(v.map(|t| moments::hundred_nanos(t) / 10))
            }
            (Self::TimeNano(b), ColumnData::Time(v)) => {
                b.append_option(v.map(|t| moments::hundred_nanos(t) * 100))
            }
            (Self::Millis(b), ColumnData::DateTime(v)) => b.append_option(v.map(moments::datetime_millis)),
            (Self::Millis(b), ColumnData::SmallDateTime(v)) => {
                b.append_option(v.map(moments::smalldatetime_millis))
            }
            (Self::Millis(b), ColumnData::DateTime2(v)) => {
                b.append_option(v.map(|d| moments::datetime2_ticks(d).div_euclid(10_000)))
            }
            (Self::Micros(b), ColumnData::DateTime2(v)) => {
                b.append_option(v.map(|d| moments::datetime2_ticks(d).div_euclid(10)))
            }
            (Self::Iso(b, scale), ColumnData::DateTime2(v)) => {
                b.append_option(v.map(|d| moments::iso(d, *scale)))
            }
            (Self::Iso(b, scale), ColumnData::DateTimeOffset(v)) => {
                b.append_option(v.map(|d| moments::iso_offset(d, *scale)))
            }
            (_, _) => return Err(Unfit::Type("of its column's type")),
        }
        Ok(())
    }

    /// Appends a NULL and gives about how many bytes it takes.
    fn append_null(&mut self) -> usize {
        match self {
            Self::Bit(b) => b.append_null(),
            Self::TinyInt(b) => b.append_null(),
            Self::SmallInt(b) => b.append_null(),
            Self::Int(b) => b.append_null(),
            Self::BigInt(b) => b.append_null(),
            Self::Real(b) => b.append_null(),
            Self::Float(b) => b.append_null(),
            Self::Decimal(b, _) => b.append_null(),
            Self::Text(b) | Self::Guid(b) | Self::Iso(b, _) => b.append_null(),
            Self::Binary(b) => b.append_null(),
            Self::Rowversion(b) => b.append_null(),
            Self::Date(b) => b.append_null(),
            Self::TimeMicro(b) => b.append_null(),
            Self::TimeNano(b) => b.append_null(),
            Self::Millis(b) => b.append_null(),
            Self::Micros(b) => b.append_null(),
        }
        1
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bit(b) => Arc::new(b.finish()),
            Self::TinyInt(b) => Arc::new(b.finish()),
            Self::SmallInt(b) => Arc::new(b.finish()),
            Self::Int(b) => Arc::new(b.finish()),
            Self::BigInt(b) => Arc::new(b.finish()),
            Self::Real(b) => Arc::new(b.finish()),
            Self::Float(b) => Arc::new(b.finish()),
            Self::Decimal(b, _) => Arc::new(b.finish()),
            Self::Text(b) | Self::Guid(b) | Self::Iso(b, _) => Arc::new(b.finish()),
            Self::Binary(b) => Arc::new(b.finish()),
            Self::Rowversion(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::TimeMicro(b) => Arc::new(b.finish()),
            Self::TimeNano(b) => Arc::new(b.finish()),
            Self::Millis(b) => Arc::new(b.finish()),
            Self::Micros(b) => Arc::new(b.finish()),
        }
    }
}

fn append_text(builder: &mut StringBuilder, cell: ColumnData<'static>) -> Result<usize, Unfit> {
    let length = if let ColumnData::String(text) = cell {
        let length = text.as_ref().map_or(0, |text| text.len());
        builder.append_option(text);
        length
    } else if let ColumnData::Xml(xml) = cell {
        let text = xml.map(|xml| xml.into_owned().into_string());
        let length = text.as_ref().map_or(0, String::len);
        builder.append_option(text);
        length
    } else if let ColumnData::Binary(Some(_)) = cell {
        // Only texts that were read as bytes come so, see `texts`.
        return Err(Unfit::Value("a text that is not valid in the encoding of its column"));
    } else {
        return Err(Unfit::Type("a text"));
    };
    Ok(length + 4)
}

#[cfg(test)]
mod tests;
