//! A row group while it grows: every column's pages are encoded and compressed as rows come, and lie in memory until the
//! group is whole, because in the file one column follows the other.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::column::page::{CompressedPage, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnWriter, get_column_writer};
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::types::SchemaDescriptor;

use crate::columns::{Chunk, Column, Pieces, Values};

/// Columns on their way into a file.
pub struct RowGroup {
    columns: Vec<(ColumnWriter<'static>, Pages)>,
}

impl RowGroup {
    /// Nothing yet, of a file with these columns.
    pub fn new(schema: &SchemaDescriptor, properties: &WriterPropertiesPtr) -> Self {
        let column = |description: &Arc<_>| {
            let pages = Pages::default();
            let sink = Box::new(pages.clone());
            (get_column_writer(Arc::clone(description), Arc::clone(properties), sink), pages)
        };
        Self { columns: schema.columns().iter().map(column).collect() }
    }

    /// Takes rows, whose columns must be those of the schema.
    pub fn write(&mut self, chunk: Chunk) -> Result<()> {
        for ((writer, _), column) in self.columns.iter_mut().zip(chunk.columns) {
            write_column(writer, column)?;
        }
        Ok(())
    }

    /// Ends the group and writes it into the file.
    pub fn append_to<W: Write + Send>(self, file: &mut SerializedFileWriter<W>) -> Result<()> {
        let mut group = file.next_row_group()?;
        for (writer, pages) in self.columns {
            let closed = writer.close()?;
            group.append_column(&pages.take(), closed)?;
        }
        group.close().map(drop)
    }
}

fn write_column(writer: &mut ColumnWriter<'static>, column: Column) -> Result<()> {
    let levels = Some(column.levels.as_slice());
    match (writer, column.values) {
        (ColumnWriter::BoolColumnWriter(to), Values::Boolean(values)) => {
            to.write_batch(&values, levels, None)
        }
        (ColumnWriter::Int32ColumnWriter(to), Values::Int32(values)) => to.write_batch(&values, levels, None),
        (ColumnWriter::Int64ColumnWriter(to), Values::Int64(values)) => to.write_batch(&values, levels, None),
        (ColumnWriter::FloatColumnWriter(to), Values::Float(values)) => to.write_batch(&values, levels, None),
        (ColumnWriter::DoubleColumnWriter(to), Values::Double(values)) => {
            to.write_batch(&values, levels, None)
        }
        (ColumnWriter::ByteArrayColumnWriter(to), Values::Bytes(values)) => {
            to.write_batch(&apart::<ByteArray>(values), levels, None)
        }
        (ColumnWriter::FixedLenByteArrayColumnWriter(to), Values::Fixed(values)) => {
            to.write_batch(&apart::<FixedLenByteArray>(values), levels, None)
        }
        _ => Err(ParquetError::General("a column is not stored as its schema says".to_owned())),
    }
    .map(drop)
}

/// The values one by one, in the memory they lie in.
fn apart<T: From<ByteArray>>(pieces: Pieces) -> Vec<T> {
    let bytes = Bytes::from(pieces.bytes);
    let mut from = 0;
    let value = |end| ByteArray::from(bytes.slice(std::mem::replace(&mut from, end)..end)).into();
    pieces.ends.into_iter().map(value).collect()
}

/// The finished pages of a column; clones are the same pages. A dictionary comes before what refers to it.
#[derive(Clone, Default)]
struct Pages(Arc<Mutex<Vec<u8>>>);

impl Pages {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl PageWriter for Pages {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        let mut written = TrackedWrite::new(Vec::with_capacity(page.compressed_size() + HEADER));
        let mut spec = SerializedPageWriter::new(&mut written).write_page(page)?;
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spec.offset = pages.len() as u64;
        pages.extend_from_slice(&written.into_inner()?);
        Ok(spec)
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// More than the header of a page takes.
const HEADER: usize = 256;
