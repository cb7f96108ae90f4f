//! Rows as they are taken out of an answer: many at once, their texts and bytes in one piece of memory each.
//!
//! A row of a dozen columns has no memory of its own. Numbers and moments are kept as tiberius has them.

use std::borrow::Cow;
use std::ops::Range;

use tiberius::ColumnData;

/// One cell of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'r> {
    /// A text.
    Text(&'r str),
    /// Bytes.
    Binary(&'r [u8]),
    /// Anything else, and NULL of any type.
    Other(&'r ColumnData<'static>),
}

/// Some rows of one answer, in their order.
#[derive(Debug, Default)]
pub struct RowBlock {
    cells: Vec<Stored>,
    /// Where the cells of each row end.
    ends: Vec<usize>,
    texts: String,
    binaries: Vec<u8>,
    /// Two bytes each become one here before they are known to be a text.
    narrow: Vec<u8>,
}

/// One row of a block.
#[derive(Debug, Clone, Copy)]
pub struct BlockRow<'r> {
    block: &'r RowBlock,
    cells: &'r [Stored],
}

#[derive(Debug)]
enum Stored {
    Text(Range<usize>),
    Binary(Range<usize>),
    Other(ColumnData<'static>),
}

impl<'r> Cell<'r> {
    /// As tiberius has it.
    pub fn data(self) -> ColumnData<'r> {
        match self {
            Self::Text(text) => ColumnData::String(Some(Cow::Borrowed(text))),
            Self::Binary(bytes) => ColumnData::Binary(Some(Cow::Borrowed(bytes))),
            Self::Other(data) => data.clone(),
        }
    }

    /// As tiberius has it, apart from its block.
    pub fn into_owned(self) -> ColumnData<'static> {
        match self {
            Self::Text(text) => ColumnData::String(Some(Cow::Owned(text.to_owned()))),
            Self::Binary(bytes) => ColumnData::Binary(Some(Cow::Owned(bytes.to_vec()))),
            Self::Other(data) => data.clone(),
        }
    }
}

impl<'r> From<&'r ColumnData<'static>> for Cell<'r> {
    fn from(data: &'r ColumnData<'static>) -> Self {
        if let ColumnData::String(Some(text)) = data {
            Self::Text(text)
        } else if let ColumnData::Binary(Some(bytes)) = data {
            Self::Binary(bytes)
        } else {
            Self::Other(data)
        }
    }
}

impl RowBlock {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Takes all rows out; the memory stays for the next ones, unless it is uncommonly much.
    pub fn clear(&mut self) {
        self.cells.clear();
        self.ends.clear();
        self.texts.clear();
        self.texts.shrink_to(KEPT);
        self.binaries.clear();
        self.binaries.shrink_to(KEPT);
        self.narrow.clear();
        self.narrow.shrink_to(KEPT);
    }

    /// The rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = BlockRow<'_>> + Clone {
        (0..self.len()).map(|row| self.row(row))
    }

    /// One row; a row that is not there has no cells.
    #[inline]
    pub fn row(&self, row: usize) -> BlockRow<'_> {
        BlockRow { block: self, cells: self.cells.get(self.span(row)).unwrap_or_default() }
    }

    /// Makes a text of a cell, or a NULL text; a cell that is not there stays so.
    pub fn set_text(&mut self, row: usize, column: usize, text: Option<&str>) {
        let stored = match text {
            Some(text) => self.keep_text(text),
            None => Stored::Other(ColumnData::String(None)),
        };
        let span = self.span(row);
        if let Some(cell) = self.cells.get_mut(span).and_then(|cells| cells.get_mut(column)) {
            *cell = stored;
        }
    }

    /// A row that tiberius decoded.
    pub fn push_row(&mut self, cells: impl Iterator<Item = ColumnData<'static>>) {
        for cell in cells {
            if let ColumnData::String(Some(text)) = cell {
                self.push_text(&text);
            } else if let ColumnData::Binary(Some(bytes)) = cell {
                self.push_binary(&bytes);
            } else {
                self.push(cell);
            }
        }
        self.end_row();
    }

    /// The next cell of the row that is begun: no text and no bytes.
    #[inline]
    pub(crate) fn push(&mut self, cell: ColumnData<'static>) {
        self.cells.push(Stored::Other(cell));
    }

    /// The next cell.
    #[inline]
    pub(crate) fn push_text(&mut self, text: &str) {
        let stored = self.keep_text(text);
        self.cells.push(stored);
    }

    /// The next cell, in UTF-16 as it came; false when it is none, and nothing is kept of it.
    pub(crate) fn push_utf16(&mut self, units: &[[u8; 2]]) -> bool {
        let from = self.texts.len();
        self.narrow.clear();
        if units.iter().fold(0, |seen, [low, high]| seen | (low & 0x80) | high) == 0 {
            self.narrow.extend(units.iter().map(|[low, _]| *low));
            // It is ASCII: this only says so to the compiler.
            self.texts.push_str(str::from_utf8(&self.narrow).unwrap_or_default());
        } else {
            for character in char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit))) {
                let Ok(character) = character else {
                    self.texts.truncate(from);
                    return false;
                };
                self.texts.push(character);
            }
        }
        self.cells.push(Stored::Text(from..self.texts.len()));
        true
    }

    /// The next cell.
    #[inline]
    pub(crate) fn push_binary(&mut self, bytes: &[u8]) {
        let from = self.binaries.len();
        self.binaries.extend_from_slice(bytes);
        self.cells.push(Stored::Binary(from..self.binaries.len()));
    }

    /// The row that is begun is whole.
    pub(crate) fn end_row(&mut self) {
        self.ends.push(self.cells.len());
    }

    /// Forgets the row that is begun.
    pub(crate) fn drop_row(&mut self) {
        let whole = self.ends.last().copied().unwrap_or_default();
        for dropped in self.cells.drain(whole..).rev() {
            match dropped {
                Stored::Text(span) => self.texts.truncate(span.start),
                Stored::Binary(span) => self.binaries.truncate(span.start),
                Stored::Other(_) => {}
            }
        }
    }

    fn keep_text(&mut self, text: &str) -> Stored {
        let from = self.texts.len();
        self.texts.push_str(text);
        Stored::Text(from..self.texts.len())
    }

    fn span(&self, row: usize) -> Range<usize> {
        let end = |row: usize| self.ends.get(row).copied().unwrap_or_default();
        row.checked_sub(1).map_or(0, end)..end(row)
    }
}

impl<'r> BlockRow<'r> {
    /// The cell of a column, when the row has so many.
    #[inline]
    pub fn get(self, column: usize) -> Option<Cell<'r>> {
        self.cells.get(column).map(|stored| self.block.cell(stored))
    }

    /// The cells, in their order.
    #[inline]
    pub fn cells(self) -> impl ExactSizeIterator<Item = Cell<'r>> + Clone {
        self.cells.iter().map(move |stored| self.block.cell(stored))
    }
}

impl RowBlock {
    #[inline]
    fn cell<'r>(&'r self, stored: &'r Stored) -> Cell<'r> {
        match stored {
            // Written where the span was made.
            Stored::Text(span) => Cell::Text(self.texts.get(span.clone()).unwrap_or_default()),
            Stored::Binary(span) => Cell::Binary(self.binaries.get(span.clone()).unwrap_or_default()),
            Stored::Other(data) => Cell::Other(data),
        }
    }
}

/// More than the texts of as many rows as are fetched at once commonly take.
const KEPT: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: i32) -> ColumnData<'static> {
        ColumnData::I32(Some(n))
    }

    fn all(block: &RowBlock) -> Vec<Vec<ColumnData<'_>>> {
        block.rows().map(|row| row.cells().map(Cell::data).collect()).collect()
    }

    #[test]
    fn rows_are_what_was_pushed_also_in_memory_that_held_others() {
        let mut block = RowBlock::default();
        for n in 0..3 {
            block.push_row([number(n), ColumnData::String(Some("Zoë".into()))].into_iter());
            block.push_row([ColumnData::Binary(Some(vec![7].into())), ColumnData::String(None)].into_iter());
            let text = ColumnData::String(Some("Zoë".into()));
            let expected = [
                vec![number(n), text],
                vec![ColumnData::Binary(Some(vec![7].into())), ColumnData::String(None)],
            ];
            assert_eq!(all(&block), expected);
            block.clear();
            assert!(block.is_empty());
        }
    }

    #[test]
    fn a_row_that_breaks_off_leaves_nothing() {
        let mut block = RowBlock::default();
        block.push_row([ColumnData::String(Some("whole".into()))].into_iter());
        block.push(number(1));
        block.push_text("half");
        block.push_binary(b"half");
        assert!(!block.push_utf16(&[[b'h', 0], [0, 0xDC]]), "half a pair");
        block.drop_row();
        block.push_text("next");
        block.end_row();
        assert_eq!((block.texts.as_str(), block.binaries.len()), ("wholenext", 0));
        assert_eq!(all(&block).concat(), [Cell::Text("whole").data(), Cell::Text("next").data()]);
    }

    #[test]
    fn a_cell_becomes_a_text_where_it_stands() {
        let mut block = RowBlock::default();
        block.push_row([number(1), ColumnData::Binary(Some(b"a".into()))].into_iter());
        block.push_row([number(2), ColumnData::Binary(Some(b"b".into()))].into_iter());
        block.set_text(1, 1, Some("b"));
        block.set_text(0, 1, None);
        block.set_text(9, 9, Some("nowhere"));
        let rows = all(&block);
        assert_eq!(rows, [[number(1), ColumnData::String(None)], [number(2), Cell::Text("b").data()]]);
    }
}
