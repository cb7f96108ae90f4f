//! Rows delivered again because an operator asked: a list of keys, or a range of them.
//!
//! Keys come as an operator writes them; the server turns them into the key columns' own types first, so that a row that is
//! gone is named exactly as it was delivered. Neither watermark nor epoch moves.

use std::collections::HashSet;

use crate::mssql::{Param, SqlError};
use crate::store::sync_rows::Hash;

use super::SyncError;
use super::cursor::Phase;
use super::pass::{Ending, Pass};
use super::query::{KeyRange, range_page, rows_of, typed_keys};
use super::reader::{Keep, Reader};
use super::row_key::RowNames;

/// What is to be delivered again.
#[derive(Debug, Clone, PartialEq)]
pub enum Repair {
    /// The rows with these keys.
    Keys(Vec<Vec<Param>>),
    /// The rows from one key to another, both included; open where there is none.
    Range(Option<Vec<Param>>, Option<Vec<Param>>),
}

impl Repair {
    fn keys(&self) -> Vec<&Vec<Param>> {
        match self {
            Self::Keys(keys) => keys.iter().collect(),
            Self::Range(from, to) => from.iter().chain(to).collect(),
        }
    }
}

impl Pass<'_> {
    /// Delivers the rows again; those that are gone as deletes.
    pub(super) async fn repair(&mut self, repair: Repair) -> Result<Ending, SyncError> {
        let width = self.state.spec.key.len();
        if width == 0 || repair.keys().iter().any(|key| key.len() != width) {
            let key = self.state.spec.key_list("");
            return Err(SyncError::Argument {
                name: "keys",
                expected: format!("given with a value for each column of the key ({key})"),
            });
        }
        match repair {
            Repair::Keys(keys) => {
                for group in keys.chunks(AT_ONCE) {
                    let group = self.typed(group).await?;
                    self.repair_keys(&group).await?;
                }
                Ok(Ending::CaughtUp)
            }
            Repair::Range(from, to) => {
                let range = KeyRange { from: self.typed_one(from).await?, to: self.typed_one(to).await? };
                self.repair_range(range).await
            }
        }
    }

    async fn repair_keys(&mut self, keys: &[Vec<Param>]) -> Result<(), SyncError> {
        let mut names = RowNames::new(self.room.ledger.row_hasher());
        let name = |key: &Vec<Param>| {
            let parts = key.iter().cloned().map(Ok::<_, SyncError>);
            Ok((names.name(parts)?.0, key.clone()))
        };
        let named: Vec<(Hash, Vec<Param>)> = keys.iter().map(name).collect::<Result<_, SyncError>>()?;
        let there: HashSet<Hash> = self.look_up(&named).await?;
        let mut reader = Reader::new(self.room, Phase::Repair, self.keep());
        let query = rows_of(&self.state.spec, keys, false);
        self.timed_read(&mut reader, &query).await?;
        for (row, key) in named.iter().filter(|(row, _)| !there.contains(row)) {
            reader.delete(&self.state, *row, key).await?;
        }
        self.finish_repair(reader).await
    }

    async fn repair_range(&mut self, mut range: KeyRange) -> Result<Ending, SyncError> {
        let mut after = Vec::new();
        loop {
            if let Some(ending) = self.must_stop().await? {
                return Ok(ending);
            }
            let rows = self.pace.rows();
            let query = range_page(&self.state.spec, &range, &after, rows);
            let mut reader = Reader::new(self.room, Phase::Repair, self.keep());
            self.timed_read(&mut reader, &query).await?;
            let (read, last) = (reader.tally.read, reader.last.clone());
            self.finish_repair(reader).await?;
            match last {
                Some(last) if read == u64::from(rows) => after = last.key,
                Some(_) | None => return Ok(Ending::CaughtUp),
            }
            range.from = None;
        }
    }

    async fn finish_repair(&mut self, mut reader: Reader<'_>) -> Result<(), SyncError> {
        let progress = self.state.progress.clone();
        reader.record(&mut self.state, progress).await?;
        self.tally.add(reader.tally);
        Ok(())
    }

    fn keep(&self) -> Keep {
        if self.state.spec.keeps_marks() { Keep::Marks } else { Keep::Nothing }
    }

    async fn typed_one(&mut self, key: Option<Vec<Param>>) -> Result<Option<Vec<Param>>, SyncError> {
        match key {
            Some(key) => Ok(self.typed(&[key]).await?.pop()),
            None => Ok(None),
        }
    }

    /// The keys in the types of their columns.
    async fn typed(&mut self, keys: &[Vec<Param>]) -> Result<Vec<Vec<Param>>, SyncError> {
        let query = typed_keys(&self.state.spec, keys);
        let rows = self.session.query(&query.sql, &query.params).await?;
        let mut typed = Vec::with_capacity(rows.len());
        for row in &rows {
            let cells = row.cells().filter_map(|(_, cell)| Param::from_cell(cell).transpose());
            typed.push(cells.collect::<Result<Vec<_>, SqlError>>()?);
        }
        Ok(typed)
    }
}

/// A statement takes 2100 parameters; a key has at most 16 columns.
const AT_ONCE: usize = 100;
