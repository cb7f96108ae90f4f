//! Keyed hashes of rows: of a key, to name a row without its value, and of all delivered cells, to see a change.
//!
//! Each cell goes in with a byte for its kind and with its length, so that no two different rows are the same bytes. HMAC-SHA256
//! truncated to 128 bits: for a billion rows a collision is as likely as 1 in 10^20.

use std::fmt;

use tiberius::ColumnData;

use crate::block::{BlockRow, Cell};
pub use crate::mac::KEY_BYTES;
use crate::mac::Mac;
use crate::moments::{datetime2_ticks, hundred_nanos};

/// Bytes of a hash.
pub const HASH_BYTES: usize = 16;

/// A truncated keyed hash.
pub type Hash = [u8; HASH_BYTES];

/// Hashes one row after the other in the same room.
pub struct RowHasher {
    mac: Mac,
    bytes: Vec<u8>,
}

impl fmt::Debug for RowHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowHasher(***)")
    }
}

impl RowHasher {
    /// With a key that nobody else has.
    #[must_use]
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self { mac: Mac::new(key), bytes: Vec::with_capacity(ROOM) }
    }

    /// The hash that names a row, by the parts of its key.
    pub fn name<'p>(&mut self, parts: impl Iterator<Item = &'p [u8]>) -> Hash {
        self.bytes.clear();
        for part in parts {
            feed(&mut self.bytes, KEY, part);
        }
        self.hash()
    }

    /// The hash that judges whether a row changed, by its first columns.
    pub fn digest(&mut self, row: BlockRow<'_>, columns: usize) -> Hash {
        self.bytes.clear();
        row.cells().take(columns).for_each(|cell| feed_cell(&mut self.bytes, cell));
        self.hash()
    }

    /// What a masked cell is delivered as; `None` for NULL.
    pub fn mask(&mut self, cell: Cell<'_>) -> Option<[u8; 32]> {
        self.bytes.clear();
        self.bytes.extend_from_slice(MASK);
        feed_cell(&mut self.bytes, cell);
        let kind = self.bytes.get(MASK.len());
        (kind != Some(&NULL)).then(|| self.mac.of(&mut self.bytes))
    }

    fn hash(&mut self) -> Hash {
        let whole = self.mac.of(&mut self.bytes);
        whole.first_chunk().copied().unwrap_or_default()
    }
}

fn feed_cell(all: &mut Vec<u8>, cell: Cell<'_>) {
    match cell {
        Cell::Text(text) => feed(all, TEXT, text.as_bytes()),
        Cell::Binary(bytes) => feed(all, BINARY, bytes),
        Cell::Other(cell) => feed_data(all, cell),
    }
}

fn feed_data(all: &mut Vec<u8>, cell: &ColumnData<'_>) {
    match cell {
        ColumnData::U8(Some(v)) => feed(all, 1, &v.to_le_bytes()),
        ColumnData::I16(Some(v)) => feed(all, 2, &v.to_le_bytes()),
        ColumnData::I32(Some(v)) => feed(all, 3, &v.to_le_bytes()),
        ColumnData::I64(Some(v)) => feed(all, 4, &v.to_le_bytes()),
        ColumnData::F32(Some(v)) => feed(all, 5, &v.to_bits().to_le_bytes()),
        ColumnData::F64(Some(v)) => feed(all, 6, &v.to_bits().to_le_bytes()),
        ColumnData::Bit(Some(v)) => feed(all, 7, &[u8::from(*v)]),
        ColumnData::String(Some(v)) => feed(all, TEXT, v.as_bytes()),
        ColumnData::Guid(Some(v)) => feed(all, 9, v.as_bytes()),
        ColumnData::Binary(Some(v)) => feed(all, BINARY, v),
        ColumnData::Numeric(Some(v)) => feed_both(all, 11, &v.value().to_le_bytes(), &[v.scale()]),
        ColumnData::Xml(Some(v)) => feed(all, 12, v.as_ref().as_ref().as_bytes()),
        ColumnData::DateTime(Some(v)) => {
            feed_both(all, 13, &v.days().to_le_bytes(), &v.seconds_fragments().to_le_bytes());
        }
        ColumnData::SmallDateTime(Some(v)) => {
            feed_both(all, 14, &v.days().to_le_bytes(), &v.seconds_fragments().to_le_bytes());
        }
        ColumnData::Date(Some(v)) => feed(all, 15, &v.days().to_le_bytes()),
        ColumnData::Time(Some(v)) => feed(all, 16, &hundred_nanos(*v).to_le_bytes()),
        ColumnData::DateTime2(Some(v)) => feed(all, 17, &datetime2_ticks(*v).to_le_bytes()),
        ColumnData::DateTimeOffset(Some(v)) => {
            feed(all, 18, &datetime2_ticks(v.datetime2()).to_le_bytes());
            feed(all, 19, &v.offset().to_le_bytes());
        }
        ColumnData::U8(None)
        | ColumnData::I16(None)
        | ColumnData::I32(None)
        | ColumnData::I64(None)
        | ColumnData::F32(None)
        | ColumnData::F64(None)
        | ColumnData::Bit(None)
        | ColumnData::String(None)
        | ColumnData::Guid(None)
        | ColumnData::Binary(None)
        | ColumnData::Numeric(None)
        | ColumnData::Xml(None)
        | ColumnData::DateTime(None)
        | ColumnData::SmallDateTime(None)
        | ColumnData::Date(None)
        | ColumnData::Time(None)
        | ColumnData::DateTime2(None)
        | ColumnData::DateTimeOffset(None) => feed(all, NULL, &[]),
    }
}

fn feed(all: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    feed_both(all, kind, bytes, &[]);
}

fn feed_both(all: &mut Vec<u8>, kind: u8, bytes: &[u8], more: &[u8]) {
    all.push(kind);
    all.extend_from_slice(&((bytes.len() + more.len()) as u64).to_le_bytes());
    all.extend_from_slice(bytes);
    all.extend_from_slice(more);
}

/// A row of a dozen columns takes about so much.
const ROOM: usize = 512;
/// What NULL, a text, bytes and a part of a key are marked with.
const NULL: u8 = 0;
const TEXT: u8 = 8;
const BINARY: u8 = 10;
const KEY: u8 = b'k';
/// What comes before a cell that is masked.
const MASK: &[u8] = b"mask";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::RowBlock;

    const SECRET: &[u8; KEY_BYTES] = b"thirty-two bytes that are known.";

    fn with(key: &[u8; KEY_BYTES], cells: &[ColumnData<'static>]) -> Hash {
        let mut rows = RowBlock::default();
        rows.push_row(cells.iter().cloned());
        RowHasher::new(key).digest(rows.row(0), cells.len())
    }

    fn of(cells: &[ColumnData<'static>]) -> Hash {
        with(SECRET, cells)
    }

    #[test]
    fn cells_do_not_run_into_each_other() {
        let text = |text: &'static str| ColumnData::String(Some(text.into()));
        assert_ne!(of(&[text("ab"), text("c")]), of(&[text("a"), text("bc")]));
        assert_ne!(of(&[text(""), ColumnData::String(None)]), of(&[ColumnData::String(None), text("")]));
        assert_ne!(of(&[ColumnData::I32(Some(1))]), of(&[ColumnData::I64(Some(1))]));
        assert_eq!(of(&[text("a")]), of(&[text("a")]));
    }

    /// Marks of former versions lie in stores: what a row is named and judged by must not change.
    #[test]
    fn hashes_are_those_of_every_version_before() {
        // By Python's `hmac`.
        let row = [ColumnData::I32(Some(7)), ColumnData::String(Some("a".into()))];
        assert_eq!(
            of(&row),
            [0xA6, 0x35, 0x2A, 0x78, 0x02, 0xD0, 0x2D, 0xCD, 0x6D, 0x9F, 0x8C, 0x81, 0x47, 0xC7, 0x3B, 0xB6]
        );
        let named = RowHasher::new(SECRET).name([&br#"{"Int":7}"#[..]].into_iter());
        assert_eq!(
            named,
            [0x0E, 0x97, 0x35, 0x2E, 0x80, 0x03, 0x8C, 0x3E, 0x6A, 0xCA, 0x8A, 0x8A, 0x6D, 0xF7, 0x1C, 0x4F]
        );
    }

    #[test]
    fn another_key_gives_another_hash() {
        let cells = [ColumnData::I32(Some(1))];
        assert_ne!(of(&cells), with(&[7; KEY_BYTES], &cells));
    }

    #[test]
    fn null_has_no_mask() {
        let mut hasher = RowHasher::new(SECRET);
        assert_eq!(hasher.mask(Cell::Other(&ColumnData::String(None))), None);
        assert_eq!(hasher.mask(Cell::Other(&ColumnData::Date(None))), None);
        assert_ne!(hasher.mask(Cell::Text("")), hasher.mask(Cell::Text("a")));
        assert!(hasher.mask(Cell::Text("")).is_some());
    }
}
