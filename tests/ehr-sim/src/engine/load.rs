//! Loading a synthetic database when the server starts: its statements through a session of `sa`, its rows straight into
//! the tables, committed, stamped and indexed, without locks or constraint checks. Nobody is connected yet.

use std::collections::HashSet;
use std::sync::Arc;

use thiserror::Error;

use super::storage::guard;
use super::storage::schema::Object;
use super::storage::table::Table;
use super::{Engine, Session};
use crate::data::{Profile, TableRows};
use crate::types::{
    Cancel, Column, Datum, Done, EnvChange, Output, Param, Request, Row, SqlMessage, Stopped,
};

/// Why a synthetic database could not be loaded. Each is a fault of the profile, not of the caller.
#[derive(Debug, Error)]
pub enum LoadError {
    /// One of its statements failed.
    #[error("a statement of the synthetic schema failed: {0}")]
    Statement(SqlMessage),
    /// Rows are for a table its statements did not make.
    #[error("the synthetic schema has rows for {0}, which it does not create")]
    NoTable(&'static str),
    /// A row has another number of columns than its table.
    #[error("a synthetic row of {0} does not have the table's columns")]
    Shape(&'static str),
}

impl Engine {
    /// Creates the profile's database with its tables and rows. Answers how many rows there are.
    pub fn load(&self, profile: Profile) -> Result<u64, LoadError> {
        let mut session = self.local_session("ehr-sim load");
        session.must(format!("CREATE DATABASE [{}]", profile.database))?;
        session.must(format!("USE [{}]", profile.database))?;
        for statement in profile.schema {
            session.must((*statement).to_owned())?;
        }
        profile.tables.into_iter().try_fold(0, |total, rows| Ok(total + session.fill(rows)?))
    }
}

impl Session {
    fn must(&mut self, text: String) -> Result<(), LoadError> {
        let mut failure = FirstError::default();
        // An output that never stops lets every request run to its end.
        let _ = self.execute(Request::Batch(text), &mut failure, &Cancel::new());
        failure.0.map_or(Ok(()), |message| Err(LoadError::Statement(message)))
    }

    fn fill(&self, rows: TableRows) -> Result<u64, LoadError> {
        let TableRows { table: name, rows, .. } = rows;
        let database = self.core.database();
        let table = self.table(name).ok_or(LoadError::NoTable(name))?;
        let columns = table.info.columns.len();
        let (rowversion, identity) = (table.info.rowversion(), table.info.identity());
        let txn = self.core.instance.next_transaction();
        let mut last_identity = None;
        let mut texts = Texts::default();
        let mut loaded = Vec::new();
        for mut row in rows {
            if row.len() != columns {
                return Err(LoadError::Shape(name));
            }
            if let Some(at) = rowversion {
                row[at] = Datum::RowVersion(database.stamp(txn));
            }
            last_identity = identity.and_then(|at| row[at].as_i64()).or(last_identity);
            row.iter_mut().for_each(|value| texts.share(value));
            loaded.push(Row::from(row));
        }
        let count = loaded.len() as u64;
        table.load(loaded);
        database.end(txn);
        *guard(&table.identity) = last_identity;
        Ok(count)
    }

    fn table(&self, name: &str) -> Option<Arc<Table>> {
        let (schema, name) = name.split_once('.')?;
        let metadata = self.core.metadata(&self.core.database());
        match metadata.object(metadata.schema(schema)?.id, name)? {
            Object::Table(table) => Some(table.clone()),
            Object::View(_) => None,
        }
    }
}

/// Values of a generator repeat: equal short texts of a table are kept once.
#[derive(Default)]
struct Texts(HashSet<Arc<str>>);

impl Texts {
    fn share(&mut self, value: &mut Datum) {
        let (Datum::VarChar(text) | Datum::NVarChar(text)) = value else { return };
        match self.0.get(text) {
            Some(known) => *text = known.clone(),
            None if text.len() <= SHARED_LENGTH && self.0.len() < SHARED_TEXTS => {
                self.0.insert(text.clone());
            }
            None => {}
        }
    }
}

const SHARED_LENGTH: usize = 64;
const SHARED_TEXTS: usize = 10_000;

/// Keeps the first error and drops everything else.
#[derive(Default)]
struct FirstError(Option<SqlMessage>);

impl Output for FirstError {
    fn columns(&mut self, _columns: &[Column]) -> Result<(), Stopped> {
        Ok(())
    }

    fn row(&mut self, _row: &[Datum]) -> Result<(), Stopped> {
        Ok(())
    }

    fn done(&mut self, _done: Done) -> Result<(), Stopped> {
        Ok(())
    }

    fn message(&mut self, message: &SqlMessage) -> Result<(), Stopped> {
        if message.is_error() {
            self.0.get_or_insert_with(|| message.clone());
        }
        Ok(())
    }

    fn env(&mut self, _change: &EnvChange) -> Result<(), Stopped> {
        Ok(())
    }

    fn return_status(&mut self, _status: i32) -> Result<(), Stopped> {
        Ok(())
    }

    fn return_value(&mut self, _ordinal: u16, _param: &Param) -> Result<(), Stopped> {
        Ok(())
    }
}
