//! Synthetic EHR databases: schemas invented for this simulator, rows from a seeded generator. Nothing here was taken
//! from any product or any practice; the names of tables and columns are made up to be shaped like such databases.
//!
//! A profile is plain data: statements that make the tables, and rows in the tables' column order with NULL where the
//! server stamps a rowversion. Loading them is the engine's business. The same seed and size give the same rows.

use crate::types::Datum;

pub mod dentrix_enterprise;
pub mod dolphin;
pub mod orthotrac;

mod people;

/// A synthetic database.
pub struct Profile {
    /// The database's name.
    pub database: &'static str,
    /// Batches that make its tables and indexes, in order.
    pub schema: &'static [&'static str],
    /// Its tables' rows, parents before children.
    pub tables: Vec<TableRows>,
}

/// One table's rows.
pub struct TableRows {
    /// Schema and table, as in `dbo.Appointment`.
    pub table: &'static str,
    /// How many rows follow.
    pub count: u64,
    /// The rows in column order; the rowversion column is NULL.
    pub rows: Box<dyn Iterator<Item = Vec<Datum>> + Send>,
}
