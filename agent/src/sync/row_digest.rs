//! Keyed hashes of rows: of a key, to name a row without its value, and of all delivered cells, to see a change.
//!
//! Each cell goes in with a byte for its kind and with its length, so that no two different rows are the same bytes. Truncated to
//! 128 bits: for a billion rows a collision is as likely as 1 in 10^20.

use ring::hmac;
use tiberius::ColumnData;

use crate::mssql::{Cell, Param};
use crate::store::sync_rows::{HASH_BYTES, Hash};

use super::batch::hex;
use super::moments::{datetime2_ticks, hundred_nanos};

/// Hashes one row after the other in the same room.
#[derive(Debug)]
pub(super) struct RowHasher {
    key: hmac::Key,
    bytes: Vec<u8>,
}

impl RowHasher {
    /// With the store's key.
    pub(super) fn new(key: hmac::Key) -> Self {
        Self { key, bytes: Vec::with_capacity(ROOM) }
    }

    /// The hash that names a row.
    pub(super) fn name(&mut self, values: &[Param]) -> Hash {
        self.bytes.clear();
        for value in values {
            self.bytes.push(b'k');
            let length_at = self.bytes.len();
            self.bytes.extend_from_slice(&[0; LENGTH]);
            // Into memory, and a number that JSON does not have is written as nothing.
            drop(serde_json::to_writer(&mut self.bytes, value));
            let length = (self.bytes.len() - length_at - LENGTH) as u64;
            self.bytes[length_at..length_at + LENGTH].copy_from_slice(&length.to_le_bytes());
        }
        self.hash()
    }

    /// The hash that judges whether a row changed.
    pub(super) fn digest<'c>(&mut self, cells: impl Iterator<Item = Cell<'c>>) -> Hash {
        self.bytes.clear();
        for cell in cells {
            feed_cell(&mut self.bytes, cell);
        }
        self.hash()
    }

    fn hash(&self) -> Hash {
        let mut hash = Hash::default();
        hash.copy_from_slice(&hmac::sign(&self.key, &self.bytes).as_ref()[..HASH_BYTES]);
        hash
    }
}

/// What a masked cell is delivered as; `None` for NULL.
pub(super) fn mask(key: &hmac::Key, cell: Cell<'_>) -> Option<String> {
    if Param::from_cell(&cell.data()).is_ok_and(|value| value.is_none()) {
        return None;
    }
    let mut bytes = b"mask".to_vec();
    feed_cell(&mut bytes, cell);
    Some(hex(hmac::sign(key, &bytes).as_ref()))
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
        | ColumnData::DateTimeOffset(None) => feed(all, 0, &[]),
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
/// What a text and bytes are marked with.
const TEXT: u8 = 8;
const BINARY: u8 = 10;
/// Bytes of a length.
const LENGTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(key: &[u8]) -> RowHasher {
        RowHasher::new(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    fn of(cells: &[ColumnData<'static>]) -> Hash {
        hasher(b"test").digest(cells.iter().map(Cell::from))
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
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"test");
        let mut context = hmac::Context::with_key(&key);
        context.update(&[3, 4, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 8, 1, 0, 0, 0, 0, 0, 0, 0, b'a']);
        let expected = &context.sign().as_ref()[..HASH_BYTES].to_vec();
        assert_eq!(&of(&[ColumnData::I32(Some(7)), ColumnData::String(Some("a".into()))]).to_vec(), expected);
        let mut context = hmac::Context::with_key(&key);
        context.update(b"k");
        context.update(&9u64.to_le_bytes());
        context.update(br#"{"Int":7}"#);
        let mut hasher = hasher(b"test");
        assert_eq!(hasher.name(&[Param::Int(7)])[..], context.sign().as_ref()[..HASH_BYTES]);
    }

    #[test]
    fn another_key_gives_another_hash() {
        let cells = [ColumnData::I32(Some(1))];
        let other = hasher(b"other").digest(cells.iter().map(Cell::from));
        assert_ne!(of(&cells), other);
    }
}
