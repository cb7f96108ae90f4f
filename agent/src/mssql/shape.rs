//! Tables as the catalog described them when somebody approved them, and what differs from that at another moment.
//!
//! A [`Shape`] has a fingerprint, which an operator names to approve what was found. Column order, added columns and
//! nullability do not count: nothing that reads or writes by name notices them.

use serde::{Deserialize, Serialize};

use super::catalog::TableInfo;
use super::collation::Collation;
use super::quote::ObjectName;

/// Columns of tables, as the catalog describes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Per table.
    pub tables: Vec<TableShape>,
}

/// One table of a shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableShape {
    /// `schema.table`.
    pub table: String,
    /// The primary key's columns.
    pub key: Vec<String>,
    /// Name and T-SQL type of each column.
    pub columns: Vec<(String, String)>,
    /// The collations of columns whose values are bytes of a code page; empty where nobody asked, as in what an earlier
    /// agent stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collations: Vec<ColumnCollation>,
}

/// A column and its collation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnCollation {
    /// The column's name.
    pub column: String,
    /// Its collation.
    pub collation: Collation,
}

impl TableShape {
    /// Every column of `table`.
    #[must_use]
    pub fn of(name: &ObjectName, table: &TableInfo) -> Self {
        let columns = table.columns.iter().map(|info| (info.name.clone(), info.sql_type()));
        let (name, key) = (name.to_string(), table.primary_key.clone());
        Self { table: name, key, columns: columns.collect(), collations: Vec::new() }
    }

    /// The collation of a column, where it was asked for.
    #[must_use]
    pub fn collation(&self, column: &str) -> Option<&Collation> {
        let known = self.collations.iter().find(|known| same_name(&known.column, column));
        known.map(|known| &known.collation)
    }
}

impl Shape {
    /// What is known of a table.
    #[must_use]
    pub fn table(&self, table: &ObjectName) -> Option<&TableShape> {
        let name = table.to_string();
        self.tables.iter().find(|shape| shape.table == name)
    }

    /// Column by column what differs in `found`; nothing when they are equal.
    #[must_use]
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for table in &self.tables {
            let Some(other) = found.tables.iter().find(|other| other.table == table.table) else {
                differences.push(format!("table {} is gone", table.table));
                continue;
            };
            for (column, sql_type) in &table.columns {
                match other.columns.iter().find(|(name, _)| same_name(name, column)) {
                    None => differences.push(format!("column {column} of {} is gone", table.table)),
                    Some((_, is)) if is != sql_type => differences
                        .push(format!("column {column} of {} was {sql_type}, is {is}", table.table)),
                    Some(_) => {}
                }
            }
            for ColumnCollation { column, collation } in &table.collations {
                let is = other.collation(column).filter(|is| is.name != collation.name);
                differences.extend(is.map(|is| {
                    format!("column {column} of {} was {}, is {}", table.table, collation.name, is.name)
                }));
            }
        }
        differences
    }

    /// The tables that are not in `found` what they are here.
    #[must_use]
    pub fn differing(&self, found: &Self) -> Vec<String> {
        let alone = |table: &TableShape| Self { tables: vec![table.clone()] };
        let differs = |table: &&TableShape| !alone(table).differences(found).is_empty();
        self.tables.iter().filter(differs).map(|table| table.table.clone()).collect()
    }

    /// A word that stands for the columns and their types, in whatever order they were found.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for table in &self.tables {
            lines.extend(table.columns.iter().map(|(column, sql_type)| {
                format!("{} {} {sql_type}", table.table.to_lowercase(), column.to_lowercase())
            }));
            lines.extend(table.collations.iter().map(|known| {
                let (table, column) = (table.table.to_lowercase(), known.column.to_lowercase());
                format!("{table} {column} collate {}", known.collation.name)
            }));
        }
        lines.sort();
        let digest = ring::digest::digest(&ring::digest::SHA256, lines.join("\n").as_bytes());
        let digits: String = digest.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        // With a letter in front no YAML reader takes it for a number.
        format!("s{digits}")
    }
}

/// Whether two names are one: SQL Server's usual collations ignore case in names.
pub fn same_name(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}
