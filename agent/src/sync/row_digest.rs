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
    let mut context = hmac::Context::with_key(key);
    for value in values {
        feed(&mut context, b'k', &serde_json::to_vec(value).unwrap_or_default());
    }
    truncated(context)
}

/// The hash that judges whether a row changed.
pub(super) fn digest_cells<'c>(
    key: &hmac::Key,
    cells: impl Iterator<Item = &'c ColumnData<'static>>,
) -> Hash {
    let mut context = hmac::Context::with_key(key);
    for cell in cells {
        feed_cell(&mut context, cell);
    }
    truncated(context)
}

/// What a masked cell is delivered as; `None` for NULL.
pub(super) fn mask(key: &hmac::Key, cell: &ColumnData<'static>) -> Option<ColumnData<'static>> {
    if Param::from_cell(cell).is_ok_and(|value| value.is_none()) {
        return None;
    }
    let mut context = hmac::Context::with_key(key);
    context.update(b"mask");
    feed_cell(&mut context, cell);
    Some(ColumnData::String(Some(hex(context.sign().as_ref()).into())))
}

fn feed_cell(context: &mut hmac::Context, cell: &ColumnData<'static>) {
    match cell {
        ColumnData::U8(Some(v)) => feed(context, 1, &v.to_le_bytes()),
        ColumnData::I16(Some(v)) => feed(context, 2, &v.to_le_bytes()),
        ColumnData::I32(Some(v)) => feed(context, 3, &v.to_le_bytes()),
        ColumnData::I64(Some(v)) => feed(context, 4, &v.to_le_bytes()),
        ColumnData::F32(Some(v)) => feed(context, 5, &v.to_bits().to_le_bytes()),
        ColumnData::F64(Some(v)) => feed(context, 6, &v.to_bits().to_le_bytes()),
        ColumnData::Bit(Some(v)) => feed(context, 7, &[u8::from(*v)]),
        ColumnData::String(Some(v)) => feed(context, 8, v.as_bytes()),
        ColumnData::Guid(Some(v)) => feed(context, 9, v.as_bytes()),
        ColumnData::Binary(Some(v)) => feed(context, 10, v),
        ColumnData::Numeric(Some(v)) => {
            feed(context, 11, &[&v.value().to_le_bytes()[..], &[v.scale()]].concat())
        }
        ColumnData::Xml(Some(v)) => feed(context, 12, v.as_ref().as_ref().as_bytes()),
        ColumnData::DateTime(Some(v)) => {
            feed(context, 13, &[v.days().to_le_bytes(), v.seconds_fragments().to_le_bytes()].concat());
        }
        ColumnData::SmallDateTime(Some(v)) => {
            feed(context, 14, &[v.days().to_le_bytes(), v.seconds_fragments().to_le_bytes()].concat());
        }
        ColumnData::Date(Some(v)) => feed(context, 15, &v.days().to_le_bytes()),
        ColumnData::Time(Some(v)) => feed(context, 16, &hundred_nanos(*v).to_le_bytes()),
        ColumnData::DateTime2(Some(v)) => feed(context, 17, &datetime2_ticks(*v).to_le_bytes()),
        ColumnData::DateTimeOffset(Some(v)) => {
            feed(context, 18, &datetime2_ticks(v.datetime2()).to_le_bytes());
            feed(context, 19, &v.offset().to_le_bytes());
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
        | ColumnData::DateTimeOffset(None) => feed(context, 0, &[]),
    }
}

fn feed(context: &mut hmac::Context, kind: u8, bytes: &[u8]) {
    context.update(&[kind]);
    context.update(&(bytes.len() as u64).to_le_bytes());
    context.update(bytes);
}

fn truncated(context: hmac::Context) -> Hash {
    let tag = context.sign();
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(&tag.as_ref()[..HASH_BYTES]);
    hash
}

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

    #[test]
    fn another_key_gives_another_hash() {
        let cells = [ColumnData::I32(Some(1))];
        let other = digest_cells(&hmac::Key::new(hmac::HMAC_SHA256, b"other"), cells.iter());
        assert_ne!(of(&cells), other);
    }
}
