//! A page: marks of neighbouring rows, packed.
//!
//! `marks` holds one after the other, in the order of their names: name (16 bytes), digest (16), round (4, little-endian), or
//! the names alone where the rows were only seen. `keys` holds each row's key behind its length (4 bytes, little-endian), all
//! of a page sealed as one and bound to the job and to the page's first name. A page is meant to fill one of SQLite's.

use rusqlite::{Row, params};

use super::{HASH_BYTES, Hash, Mark, RowMarks};
use crate::store::StoreError;

/// A mark with the round it is of.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) mark: Mark,
    pub(super) round: u32,
}

/// All that is known of a row.
#[derive(Debug, Clone)]
pub(super) struct Entry<K = Vec<u8>> {
    pub(super) row: Hash,
    pub(super) digest: Hash,
    pub(super) round: u32,
    pub(super) key: K,
}

/// A page as it lies in the store.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) id: i64,
    pub(super) run: i64,
    oldest: u32,
    marks: Vec<u8>,
    keys: Vec<u8>,
}

impl Page {
    /// From `id, run, oldest, marks, keys`.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            run: row.get(1)?,
            oldest: row.get(2)?,
            marks: row.get(3)?,
            keys: row.get(4)?,
        })
    }

    /// True when all its rows come before this one.
    pub(super) fn is_before(&self, row: &Hash) -> bool {
        self.packed().last().is_none_or(|last| last[..HASH_BYTES] < row[..])
    }

    /// The digest of a row, if it is here.
    pub(super) fn digest(&self, row: &Hash) -> Option<Hash> {
        let packed = self.packed();
        let at = packed.binary_search_by(|mark| mark[..HASH_BYTES].cmp(&row[..])).ok()?;
        Some(hash(packed.get(at)?, HASH_BYTES))
    }

    /// The rounds in which its rows were seen last.
    pub(super) fn rounds(&self) -> impl Iterator<Item = u32> {
        self.packed().iter().map(round)
    }

    /// Its rows, with their keys.
    pub(super) fn entries(&self, marks: &RowMarks<'_>) -> Result<Vec<Entry>, StoreError> {
        let clear = match self.packed().first() {
            Some(first) => marks.store.unseal(&purpose(marks.job, &hash(first, 0)), &self.keys)?,
            None => Vec::new(),
        };
        let mut keys = clear.as_slice();
        let entry = |mark: &[u8; MARK]| {
            let (row, digest, round) = (hash(mark, 0), hash(mark, HASH_BYTES), round(mark));
            Ok(Entry { row, digest, round, key: next_key(&mut keys)?.to_vec() })
        };
        self.packed().iter().map(entry).collect()
    }

    /// What a run's page changes.
    pub(super) fn changes(self, marks: &RowMarks<'_>) -> Result<Vec<Change>, StoreError> {
        if self.run < 0 {
            let (rows, _) = self.marks.as_chunks::<HASH_BYTES>();
            return Ok(rows
                .iter()
                .map(|row| Change { mark: Mark::Seen(*row), round: self.oldest })
                .collect());
        }
        Ok(self.entries(marks)?.into_iter().map(Change::from).collect())
    }

    /// Its rows seen in these rounds, in place: what a sweep of unchanged rows comes to. False when it makes no difference.
    pub(super) fn see(&mut self, seen: &[Change]) -> bool {
        let mut is_changed = false;
        let (packed, _) = self.marks.as_chunks_mut::<MARK>();
        for change in seen {
            let row = change.mark.row();
            let Ok(at) = packed.binary_search_by(|mark| mark[..HASH_BYTES].cmp(&row[..])) else { continue };
            let Some(mark) = packed.get_mut(at) else { continue };
            if round(mark) < change.round {
                mark[2 * HASH_BYTES..].copy_from_slice(&change.round.to_le_bytes());
                is_changed = true;
            }
        }
        is_changed
    }

    /// Writes the rounds back.
    pub(super) fn write_rounds(&self, marks: &RowMarks<'_>) -> Result<(), StoreError> {
        let sql = "UPDATE sync_page SET oldest = ?2, marks = ?3 WHERE id = ?1";
        let oldest = self.rounds().min().unwrap_or_default();
        marks.tx.prepare_cached(sql)?.execute(params![self.id, oldest, self.marks])?;
        Ok(())
    }

    fn packed(&self) -> &[[u8; MARK]] {
        self.marks.as_chunks::<MARK>().0
    }
}

impl From<Entry> for Change {
    fn from(Entry { row, digest, round, key }: Entry) -> Self {
        Self { mark: Mark::Delivered { row, digest, key }, round }
    }
}

/// Writes a run of sorted marks, all of one kind.
pub(super) fn write<'m>(
    marks: &RowMarks<'_>,
    run: i64,
    round: u32,
    run_of: impl Iterator<Item = &'m Mark>,
) -> Result<(), StoreError> {
    if run < 0 {
        let rows: Vec<Hash> = run_of.map(Mark::row).collect();
        return rows.chunks(MOST_BYTES / HASH_BYTES).try_for_each(|some| write_seen(marks, run, round, some));
    }
    let entries = run_of.filter_map(|mark| match mark {
        Mark::Delivered { row, digest, key } => {
            Some(Entry { row: *row, digest: *digest, round, key: key.as_slice() })
        }
        Mark::Seen(_) | Mark::Gone(_) => None,
    });
    write_entries(marks, run, &entries.collect::<Vec<_>>())
}

/// Writes what is left of a run's page.
pub(super) fn write_back(marks: &RowMarks<'_>, run: i64, left: Vec<Change>) -> Result<(), StoreError> {
    let Some(round) = left.first().map(|change| change.round) else { return Ok(()) };
    if run < 0 {
        return write(marks, run, round, left.iter().map(|change| &change.mark));
    }
    let entries = left.into_iter().filter_map(|Change { mark, round }| match mark {
        Mark::Delivered { row, digest, key } => Some(Entry { row, digest, round, key }),
        Mark::Seen(_) | Mark::Gone(_) => None,
    });
    write_entries(marks, run, &entries.collect::<Vec<_>>())
}

/// Writes entries as pages of about the same size.
pub(super) fn write_entries<K: AsRef<[u8]>>(
    marks: &RowMarks<'_>,
    run: i64,
    entries: &[Entry<K>],
) -> Result<(), StoreError> {
    let whole: usize = entries.iter().map(size).sum();
    let target = whole.div_ceil(whole.div_ceil(MOST_BYTES).max(1));
    let (mut from, mut bytes) = (0, 0);
    for (at, entry) in (1..).zip(entries) {
        bytes += size(entry);
        if bytes >= target || at == entries.len() {
            write_page(marks, run, entries.get(from..at).unwrap_or_default())?;
            (from, bytes) = (at, 0);
        }
    }
    Ok(())
}

fn write_page<K: AsRef<[u8]>>(
    marks: &RowMarks<'_>,
    run: i64,
    entries: &[Entry<K>],
) -> Result<(), StoreError> {
    let Some(first) = entries.first() else { return Ok(()) };
    let (mut packed, mut keys) = (Vec::with_capacity(entries.len() * MARK), Vec::with_capacity(MOST_BYTES));
    for entry in entries {
        packed.extend_from_slice(&entry.row);
        packed.extend_from_slice(&entry.digest);
        packed.extend_from_slice(&entry.round.to_le_bytes());
        let key = entry.key.as_ref();
        keys.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
        keys.extend_from_slice(key);
    }
    let keys = marks.store.seal(&purpose(marks.job, &first.row), &keys)?;
    let oldest = entries.iter().map(|entry| entry.round).min().unwrap_or_default();
    insert(marks, (run, &first.row), (entries.len(), oldest), (&packed, &keys))
}

fn write_seen(marks: &RowMarks<'_>, run: i64, round: u32, rows: &[Hash]) -> Result<(), StoreError> {
    let Some(first) = rows.first() else { return Ok(()) };
    insert(marks, (run, first), (rows.len(), round), (rows.as_flattened(), &[]))
}

fn insert(
    marks: &RowMarks<'_>,
    (run, first): (i64, &Hash),
    (rows, oldest): (usize, u32),
    (packed, keys): (&[u8], &[u8]),
) -> Result<(), StoreError> {
    let sql = "INSERT INTO sync_page (job, run, first, rows, oldest, marks, keys) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let mut statement = marks.tx.prepare_cached(sql)?;
    statement.execute(params![marks.job, run, first, rows as i64, oldest, packed, keys])?;
    Ok(())
}

/// A round as it is kept.
pub(super) fn short(round: u64) -> u32 {
    u32::try_from(round).unwrap_or(u32::MAX)
}

fn size<K: AsRef<[u8]>>(entry: &Entry<K>) -> usize {
    MARK + LENGTH + entry.key.as_ref().len()
}

fn hash(mark: &[u8; MARK], at: usize) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(&mark[at..at + HASH_BYTES]);
    hash
}

fn round(mark: &[u8; MARK]) -> u32 {
    let [.., a, b, c, d] = *mark;
    u32::from_le_bytes([a, b, c, d])
}

fn next_key<'k>(keys: &mut &'k [u8]) -> Result<&'k [u8], StoreError> {
    let damaged = || StoreError::Form { what: "page of row marks" };
    let (length, rest) = keys.split_first_chunk::<LENGTH>().ok_or_else(damaged)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| damaged())?;
    let (key, rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
    *keys = rest;
    Ok(key)
}

/// What the keys of a page are sealed for.
fn purpose(job: &str, first: &Hash) -> String {
    format!("sync page {job} {:032x}", u128::from_be_bytes(*first))
}

/// Bytes of a packed mark.
const MARK: usize = 2 * HASH_BYTES + 4;
/// Bytes of a key's length.
const LENGTH: usize = 4;
/// Of a page: with the columns beside, the seal and SQLite's own it fits into 4096.
const MOST_BYTES: usize = 3800;
