//! Keyed hashes of rows: of a key, to name a row without its value, and of all delivered cells, to see a change.
//!
//! Each cell goes in with a byte for its kind and with its length, so that no two different rows are the same bytes. Truncated to
//! 128 bits: for a billion rows a collision is as likely as 1 in 10^20.

use ring::hmac;
use tiberius::ColumnData;

use crate::mssql::Param;
use crate::store::sync_rows::{HASH_BYTES, Hash};

use super::batch::hex;
use super::moments::{datetime2_ticks, hundred_nanos};

/// The hash that names a row.
pub(super) fn digest_key(key: &hmac::Key, values: &[Param]) -> Hash {
    let mut bytes = Vec::with_capacity(ROOM);
    for value in values {
        feed(&mut bytes, b'k', &serde_json::to_vec(value).unwrap_or_default());
    }
    truncated(hmac::sign(key, &bytes))
}

/// The hash that judges whether a row changed.
pub(super) fn digest_cells<'c>(
    key: &hmac::Key,
    cells: impl Iterator<Item = &'c ColumnData<'static>>,
) -> Hash {
    let mut bytes = Vec::with_capacity(ROOM);
    for cell in cells {
        feed_cell(&mut bytes, cell);
    }
    truncated(hmac::sign(key, &bytes))
}

/// What a masked cell is delivered as; `None` for NULL.
pub(super) fn mask(key: &hmac::Key, cell: &ColumnData<'static>) -> Option<ColumnData<'static>> {
    if Param::from_cell(cell).is_ok_and(|value| value.is_none()) {
        return None;
    }
    let mut bytes = b"mask".to_vec();
    feed_cell(&mut bytes, cell);
    Some(ColumnData::String(Some(hex(hmac::sign(key, &bytes).as_ref()).into())))
}

fn feed_cell(all: &mut Vec<u8>, cell: &ColumnData<'static>) {
    match cell {
        ColumnData::U8(Some(v)) => feed(all, 1, &v.to_le_bytes()),
        ColumnData::I16(Some(v)) => feed(all, 2, &v.to_le_bytes()),
        ColumnData::I32(Some(v)) => feed(all, 3, &v.to_le_bytes()),
        ColumnData::I64(Some(v)) => feed(all, 4, &v.to_le_bytes()),
        ColumnData::F32(Some(v)) => feed(all, 5, &v.to_bits().to_le_bytes()),
        ColumnData::F64(Some(v)) => feed(all, 6, &v.to_bits().to_le_bytes()),
        ColumnData::Bit(Some(v)) => feed(all, 7, &[u8::from(*v)]),
        ColumnData::String(Some(v)) => feed(all, 8, v.as_bytes()),
        ColumnData::Guid(Some(v)) => feed(all, 9, v.as_bytes()),
        ColumnData::Binary(Some(v)) => feed(all, 10, v),
        ColumnData::Numeric(Some(v)) => feed(all, 11, &[&v.value().to_le_bytes()[..], &[v.scale()]].concat()),
        ColumnData::Xml(Some(v)) => feed(all, 12, v.as_ref().as_ref().as_bytes()),
        ColumnData::DateTime(Some(v)) => {
            feed(all, 13, &[v.days().to_le_bytes(), v.seconds_fragments().to_le_bytes()].concat());
        }
        ColumnData::SmallDateTime(Some(v)) => {
            feed(all, 14, &[v.days().to_le_bytes(), v.seconds_fragments().to_le_bytes()].concat());
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
    all.push(kind);
    all.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    all.extend_from_slice(bytes);
}

fn truncated(tag: hmac::Tag) -> Hash {
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(&tag.as_ref()[..HASH_BYTES]);
    hash
}

/// A row of a dozen columns takes about so much.
const ROOM: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cells: &[ColumnData<'static>]) -> Hash {
        digest_cells(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), cells.iter())
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
        assert_eq!(digest_key(&key, &[Param::Int(7)])[..], context.sign().as_ref()[..HASH_BYTES]);
    }

    #[test]
    fn another_key_gives_another_hash() {
        let cells = [ColumnData::I32(Some(1))];
        let other = digest_cells(&hmac::Key::new(hmac::HMAC_SHA256, b"other"), cells.iter());
        assert_ne!(of(&cells), other);
    }
}
