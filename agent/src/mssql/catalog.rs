//! What the catalog says of a table: columns with their types, primary key, indexes, the rowversion column.
//!
//! Reads `sys.columns`, `sys.indexes` and their kin with parameters only. Metadata is visible for what the login may
//! access, so "no such table" and "no permission" look the same (Microsoft, "Metadata Visibility Configuration").

use rows::kind::CellKind;
use tiberius::{ColumnData, Row};

use super::param::{Param, integer, text};
use super::quote::ObjectName;
use super::{Session, SqlError};

/// A table or view as the catalog describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// In column order.
    pub columns: Vec<ColumnInfo>,
    /// Primary key columns in key order; empty when there is none.
    pub primary_key: Vec<String>,
    /// Enabled, unfiltered indexes, the primary key's included.
    pub indexes: Vec<IndexInfo>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Its name as the catalog spells it.
    pub name: String,
    /// System type name (`int`, `timestamp` for rowversion, …); empty for CLR types.
    pub type_name: String,
    /// In bytes; -1 for max types.
    pub max_length: i64,
    /// Of decimals and the like.
    pub precision: u8,
    /// Of decimals, times and the like.
    pub scale: u8,
    /// May hold NULL.
    pub nullable: bool,
    /// Collation of a text column.
    pub collation: Option<String>,
}

/// One index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexInfo {
    /// Its name.
    pub name: String,
    /// Key columns in key order.
    pub columns: Vec<String>,
    /// Enforces uniqueness.
    pub unique: bool,
}

impl TableInfo {
    /// Reads the catalog; `None` when the table does not exist or may not be seen.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn read(session: &mut Session, table: &ObjectName) -> Result<Option<Self>, SqlError> {
        let name = [Param::Text(table.quoted())];
        let columns = session.query(COLUMNS, &name).await?;
        if columns.is_empty() {
            return Ok(None);
        }
        let indexes = session.query(INDEXES, &name).await?;
        Ok(Some(Self {
            columns: columns.iter().map(column).collect::<Result<_, _>>()?,
            primary_key: primary_key(&indexes)?,
            indexes: grouped(&indexes)?,
        }))
    }

    /// The column of that name; SQL Server's usual collations ignore case, so an exact match wins over another.
    pub fn column(&self, name: &str) -> Option<&ColumnInfo> {
        self.columns
            .iter()
            .find(|column| column.name == name)
            .or_else(|| self.columns.iter().find(|column| column.name.to_lowercase() == name.to_lowercase()))
    }

    /// The rowversion column; a table has at most one.
    pub fn rowversion(&self) -> Option<&ColumnInfo> {
        self.columns.iter().find(|column| column.is_rowversion())
    }

    /// True when an index starts with that column.
    pub fn is_indexed(&self, column: &str) -> bool {
        self.indexes.iter().any(|index| index.columns.first().is_some_and(|first| first == column))
    }
}

impl ColumnInfo {
    /// How it travels; `None` for a type that cannot be kept exactly.
    pub fn kind(&self) -> Option<CellKind> {
        CellKind::of(&self.type_name, self.precision, self.scale)
    }

    /// True for `rowversion`, which the catalog calls `timestamp`.
    pub fn is_rowversion(&self) -> bool {
        self.type_name == "timestamp"
    }

    /// The type as one writes it in T-SQL: `nvarchar(40)`, `decimal(10,2)`, `rowversion`.
    pub fn sql_type(&self) -> String {
        let name = self.type_name.as_str();
        match name {
            "timestamp" => "rowversion".to_owned(),
            "" => "a CLR type".to_owned(),
            "nchar" | "nvarchar" => format!("{name}({})", length(self.max_length, 2)),
            "char" | "varchar" | "binary" | "varbinary" => format!("{name}({})", length(self.max_length, 1)),
            "decimal" | "numeric" => format!("{name}({},{})", self.precision, self.scale),
            "time" | "datetime2" | "datetimeoffset" => format!("{name}({})", self.scale),
            _ => name.to_owned(),
        }
    }
}

fn length(bytes: i64, unit: i64) -> String {
    if bytes < 0 { "max".to_owned() } else { (bytes / unit).to_string() }
}

fn column(row: &Row) -> Result<ColumnInfo, SqlError> {
    Ok(ColumnInfo {
        name: text(cell(row, 0)?).ok_or_else(odd)?,
        type_name: text(cell(row, 1)?).unwrap_or_default(),
        max_length: integer(cell(row, 2)?).ok_or_else(odd)?,
        precision: byte(cell(row, 3)?)?,
        scale: byte(cell(row, 4)?)?,
        nullable: integer(cell(row, 5)?) == Some(1),
        collation: text(cell(row, 6)?),
    })
}

fn primary_key(rows: &[Row]) -> Result<Vec<String>, SqlError> {
    let mut names = Vec::new();
    for row in rows {
        if integer(cell(row, 2)?) == Some(1) {
            names.push(text(cell(row, 3)?).ok_or_else(odd)?);
        }
    }
    Ok(names)
}

/// Rows come ordered by index, then by key position.
fn grouped(rows: &[Row]) -> Result<Vec<IndexInfo>, SqlError> {
    let mut indexes: Vec<IndexInfo> = Vec::new();
    for row in rows {
        let name = text(cell(row, 0)?).unwrap_or_default();
        let column = text(cell(row, 3)?).ok_or_else(odd)?;
        match indexes.last_mut().filter(|last| last.name == name) {
            Some(last) => last.columns.push(column),
            None => indexes.push(IndexInfo {
                name,
                columns: vec![column],
                unique: integer(cell(row, 1)?) == Some(1),
            }),
        }
    }
    Ok(indexes)
}

fn byte(cell: &ColumnData<'_>) -> Result<u8, SqlError> {
    integer(cell).and_then(|v| u8::try_from(v).ok()).ok_or_else(odd)
}

fn cell(row: &Row, at: usize) -> Result<&ColumnData<'static>, SqlError> {
    Ok(row.get_column_data(at)?)
}

fn odd() -> SqlError {
    SqlError::Protocol { reason: "the catalog answered with other types than documented".into() }
}

const COLUMNS: &str = "SELECT c.name, t.name, c.max_length, c.[precision], c.scale, c.is_nullable, c.collation_name \
     FROM sys.columns AS c \
     LEFT JOIN sys.types AS t ON t.user_type_id = c.system_type_id \
     WHERE c.object_id = OBJECT_ID(@P1) ORDER BY c.column_id";

const INDEXES: &str = "SELECT i.name, i.is_unique, i.is_primary_key, c.name \
     FROM sys.indexes AS i \
     INNER JOIN sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id \
     INNER JOIN sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id \
     WHERE i.object_id = OBJECT_ID(@P1) AND i.is_disabled = 0 AND i.has_filter = 0 AND ic.key_ordinal > 0 \
     ORDER BY i.index_id, ic.key_ordinal";

#[cfg(test)]
mod tests {
    use super::*;

    fn column(type_name: &str, max_length: i64, precision: u8, scale: u8) -> ColumnInfo {
        let type_name = type_name.to_owned();
        ColumnInfo {
            name: "c".into(),
            type_name,
            max_length,
            precision,
            scale,
            nullable: true,
            collation: None,
        }
    }

    #[test]
    fn types_are_written_as_in_t_sql() {
        assert_eq!(column("nvarchar", 80, 0, 0).sql_type(), "nvarchar(40)");
        assert_eq!(column("varbinary", -1, 0, 0).sql_type(), "varbinary(max)");
        assert_eq!(column("decimal", 9, 10, 2).sql_type(), "decimal(10,2)");
        assert_eq!(column("timestamp", 8, 0, 0).sql_type(), "rowversion");
        assert_eq!(column("datetime2", 8, 27, 3).sql_type(), "datetime2(3)");
        assert_eq!(column("int", 4, 10, 0).sql_type(), "int");
    }
}
