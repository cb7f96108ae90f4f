//! The key of a row as JSON: how it lies, sealed, in the store, and what the row is named by.

use rows::digest::{Hash, RowHasher};

use crate::mssql::{Param, SqlError};

/// Names one row after the other by its key.
#[derive(Debug)]
pub(super) struct RowNames {
    hasher: RowHasher,
    /// The key of the row before.
    json: Vec<u8>,
    /// Where each part of the key ends in its JSON.
    ends: Vec<usize>,
}

impl RowNames {
    pub(super) fn new(hasher: RowHasher) -> Self {
        Self { hasher, json: Vec::new(), ends: Vec::new() }
    }

    /// The hash that names a row, and its key as JSON, as it lies in its mark.
    ///
    /// # Errors
    /// The first error of a part.
    pub(super) fn name<E: From<SqlError>>(
        &mut self,
        key: impl Iterator<Item = Result<Param, E>>,
    ) -> Result<(Hash, Vec<u8>), E> {
        let Self { hasher, json, ends } = self;
        ends.clear();
        json.clear();
        for part in key {
            json.push(if json.is_empty() { b'[' } else { b',' });
            let part = part?;
            // Into memory, and a number that JSON does not have is written as null.
            serde_json::to_writer(&mut *json, &part).map_err(|_| odd())?;
            ends.push(json.len());
        }
        json.push(b']');
        let mut from = 1;
        let parts = ends.iter().map(|end| {
            // Behind the comma.
            let from = std::mem::replace(&mut from, end + 1);
            json.get(from..*end).unwrap_or_default()
        });
        let name = hasher.name(parts);
        // No more than it takes: many of them wait in memory to be written.
        Ok((name, json.clone()))
    }

    /// The hasher, for what else of a row is hashed.
    pub(super) fn hasher(&mut self) -> &mut RowHasher {
        &mut self.hasher
    }
}

fn odd() -> SqlError {
    SqlError::Protocol { reason: "a key is no JSON".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_named_by_each_part_of_its_key() {
        let secret = [7; rows::digest::KEY_BYTES];
        let mut names = RowNames::new(RowHasher::new(&secret));
        let mut name = |key: &[Param]| names.name(key.iter().cloned().map(Ok::<_, SqlError>)).unwrap();
        let key = [Param::Text("a,b".to_owned()), Param::Int(7), Param::Float(f64::NAN)];
        let (hash, json) = name(&key);
        assert_eq!(json, serde_json::to_vec(&key).unwrap());
        let parts = [&br#"{"Text":"a,b"}"#[..], br#"{"Int":7}"#, br#"{"Float":null}"#];
        assert_eq!(hash, RowHasher::new(&secret).name(parts.into_iter()));
        assert_ne!(hash, name(&key[..2]).0);
    }
}
