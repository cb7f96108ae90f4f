//! One delivered column: what is selected for it, under which name it travels, how it is masked.
//!
//! A masked column is masked in the SELECT where SQL Server can do it: `null` never names the column at all, `truncate`
//! cuts on the server. `hash` is a keyed hash made here, because an unkeyed one of a name or a number is guessed in
//! minutes. Invariant: what [`SourceColumn::reads`] denies is in no statement, so it needs no grant.

use serde::{Deserialize, Serialize};

use crate::mssql::catalog::ColumnInfo;
use crate::mssql::collation::Collation;
use crate::mssql::quote::SqlName;
use crate::sync::SyncError;
use rows::kind::CellKind;

/// A delivered column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Its name as the catalog spells it.
    pub name: SqlName,
    /// The name it is delivered under.
    pub delivered_as: String,
    /// Its type in T-SQL.
    pub sql_type: String,
    /// How it travels, before masking.
    pub kind: CellKind,
    /// How it is masked.
    pub mask: Mask,
    pub(crate) info: ColumnInfo,
}

/// How a column is masked. A dropped column is not delivered at all, so it is no [`SourceColumn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mask {
    /// Not at all.
    Open,
    /// Always NULL; the column is never read.
    Null,
    /// The first characters of a text, cut on the server.
    Truncate(u16),
    /// A keyed SHA-256 in hex: equal values of one agent give equal hashes.
    Hash,
}

impl SourceColumn {
    /// A column as the catalog describes it; `None` when its type cannot be kept exactly.
    ///
    /// # Errors
    /// The catalog gave no usable name.
    pub fn of(info: &ColumnInfo) -> Result<Option<Self>, SyncError> {
        let name = SqlName::new(info.name.clone())?;
        Ok(info.kind().map(|kind| Self {
            delivered_as: info.name.clone(),
            name,
            sql_type: info.sql_type(),
            kind,
            mask: Mask::Open,
            info: info.clone(),
        }))
    }

    /// Name, type, mask and delivered name, as changes show it.
    pub fn shown(&self) -> String {
        let mut text = format!("{} {}", self.name, self.sql_type);
        match self.mask {
            Mask::Open => {}
            Mask::Null => text.push_str(", masked: null"),
            Mask::Hash => text.push_str(", masked: hash"),
            Mask::Truncate(length) => text.push_str(&format!(", masked: truncate {length}")),
        }
        if self.delivered_as != self.name.as_str() {
            text.push_str(&format!(", as {}", self.delivered_as));
        }
        text
    }

    /// True when a statement names the column.
    pub fn reads(&self) -> bool {
        self.mask != Mask::Null
    }

    /// How it travels, after masking.
    pub fn delivered_kind(&self) -> CellKind {
        if self.mask == Mask::Hash { CellKind::Text } else { self.kind }
    }

    /// The type that the delivered field tells.
    pub fn delivered_type(&self) -> &str {
        if self.mask == Mask::Hash { HASH_TYPE } else { &self.sql_type }
    }

    /// What stands in the SELECT list, of the table called `from` (empty, or an alias with its dot).
    pub(crate) fn select(&self, from: &str) -> String {
        let name = self.name.quoted();
        match self.mask {
            Mask::Null => format!("CAST(NULL AS {}) AS {name}", self.null_type()),
            Mask::Truncate(length) => format!("LEFT({from}{name}, {length}) AS {name}"),
            Mask::Open | Mask::Hash => self.kind.select(self.name.quoted(), from),
        }
    }

    /// `value`, a parameter's name, as this column's own type and collation: a text cast in the database's code page
    /// would lose what only the column's holds.
    pub(crate) fn exactly(&self, value: &str) -> String {
        exactly(&self.info, value)
    }

    /// The type that a key value is cast to and read as.
    pub(crate) fn key_type(&self) -> String {
        self.null_type()
    }

    fn null_type(&self) -> String {
        match self.sql_type.as_str() {
            "rowversion" => "binary(8)".to_owned(),
            "money" => "decimal(19,4)".to_owned(),
            "smallmoney" => "decimal(10,4)".to_owned(),
            "text" => "varchar(max)".to_owned(),
            "ntext" => "nvarchar(max)".to_owned(),
            "image" => "varbinary(max)".to_owned(),
            other => other.to_owned(),
        }
    }
}

/// `value` as exactly the type of that column; whole numbers compare as they come.
pub(crate) fn exactly(info: &ColumnInfo, value: &str) -> String {
    let sql_type = info.sql_type();
    match (sql_type.as_str(), info.type_name.as_str(), &info.collation) {
        ("tinyint" | "smallint" | "int" | "bigint" | "bit", ..) => value.to_owned(),
        ("rowversion", ..) => format!("CAST({value} AS binary(8))"),
        (_, "char" | "varchar", Some(name)) => {
            Collation { name: name.clone(), code_page: None }.cast(value, &sql_type)
        }
        _ => format!("CAST({value} AS {sql_type})"),
    }
}

/// The column as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ColumnV1 {
    name: String,
    type_name: String,
    max_length: i64,
    precision: u8,
    scale: u8,
    nullable: bool,
    collation: Option<String>,
    delivered_as: String,
    mask: Mask,
}

impl From<&SourceColumn> for ColumnV1 {
    fn from(column: &SourceColumn) -> Self {
        Self { delivered_as: column.delivered_as.clone(), mask: column.mask, ..Self::of_info(&column.info) }
    }
}

impl ColumnV1 {
    /// A column that is read, not delivered.
    pub(super) fn of_info(info: &ColumnInfo) -> Self {
        let ColumnInfo { name, type_name, max_length, precision, scale, nullable, collation } = info.clone();
        let (delivered_as, mask) = (name.clone(), Mask::Open);
        Self { name, type_name, max_length, precision, scale, nullable, collation, delivered_as, mask }
    }

    pub(super) fn into_info(self) -> (ColumnInfo, String, Mask) {
        let Self { name, type_name, max_length, precision, scale, nullable, collation, delivered_as, mask } =
            self;
        let info = ColumnInfo { name, type_name, max_length, precision, scale, nullable, collation };
        (info, delivered_as, mask)
    }
}

const HASH_TYPE: &str = "char(64)";
