//! Where the EHR keeps its own version, and the statement that reads it.
//!
//! A column of one row: the only one, the one that the conditions leave, or the newest by another column. The text travels
//! as bytes, because a text that is not valid in its encoding would end the session of the pass.

use crate::mssql::catalog::ColumnInfo;
use crate::mssql::quote::{ObjectName, SqlName};
use crate::mssql::{Param, Rows, Session, SqlError};
use crate::schema::VersionReading;

use super::{Condition, all};

/// Where the EHR keeps its version.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionSource {
    /// The table or view.
    pub table: ObjectName,
    /// The column that holds the version.
    pub column: SqlName,
    /// The column whose greatest value marks the row; none when there is but one row.
    pub newest_by: Option<SqlName>,
    /// Which rows count.
    pub filter: Vec<Condition>,
    pub(crate) info: ColumnInfo,
}

impl VersionSource {
    /// The columns that the statement names: what must be granted.
    pub fn read_columns(&self) -> Vec<&SqlName> {
        let mut names = vec![&self.column];
        for name in self.newest_by.iter().chain(self.filter.iter().map(|condition| &condition.column)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// As changes show it, without the values of its conditions.
    pub fn shown(&self) -> String {
        let newest = self.newest_by.as_ref().map(|column| format!(", newest by {column}"));
        let filter: Vec<String> = self.filter.iter().map(Condition::shown).collect();
        let filter =
            if filter.is_empty() { String::new() } else { format!(" where {}", filter.join(" and ")) };
        format!("{} of {}{filter}{}", self.column, self.table, newest.unwrap_or_default())
    }

    /// True when the version can stand in a column of this type.
    pub(crate) fn fits(info: &ColumnInfo) -> bool {
        TEXTS.contains(&info.type_name.as_str())
            || NUMBERS.contains(&info.type_name.as_str())
            || MOMENTS.contains(&info.type_name.as_str())
    }

    /// Reads the version; what the server refuses is a reading as well.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn read(&self, session: &mut Session) -> Result<VersionReading, SqlError> {
        let (sql, params) = self.statement();
        match session.query(&sql, &params).await {
            Ok(rows) => self.reading(&rows),
            Err(error) if error.number().is_some() => Ok(VersionReading::Unreadable(error.to_string())),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn statement(&self) -> (String, Vec<Param>) {
        let mut params = Vec::new();
        let filter = all(&self.filter, "", &mut params);
        let filter = if filter.is_empty() { filter } else { format!(" WHERE {filter}") };
        let style = if MOMENTS.contains(&self.info.type_name.as_str()) { ", 120" } else { "" };
        let (rows, order) = match &self.newest_by {
            Some(column) => (1, format!(" ORDER BY {} DESC", column.quoted())),
            None => (2, String::new()),
        };
        let sql = format!(
            "SELECT TOP ({rows}) CONVERT(varbinary({}), CONVERT(nvarchar({CHARACTERS}), {}{style})) AS Version FROM \
             {}{filter}{order} OPTION (MAXDOP 1)",
            CHARACTERS * 2,
            self.column.quoted(),
            self.table.quoted()
        );
        (sql, params)
    }

    fn reading(&self, rows: &Rows) -> Result<VersionReading, SqlError> {
        let unreadable = |why: &str| Ok(VersionReading::Unreadable(format!("{} {why}", self.shown())));
        let row = match rows.as_slice() {
            [row] => row,
            [] => return unreadable("has no row"),
            [_, _, ..] => return unreadable("has more than one row: give a filter or newest_by"),
        };
        let Some(Param::Bytes(bytes)) = Param::from_cell(row.get_column_data(0)?)? else {
            return unreadable("is NULL");
        };
        let (pairs, _) = bytes.as_chunks::<2>();
        let text = String::from_utf16_lossy(
            &pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect::<Vec<u16>>(),
        );
        Ok(VersionReading::of(&text))
    }
}

/// One more than a version may have, so that a longer text is seen to be one.
const CHARACTERS: usize = 65;
const TEXTS: &[&str] = &["char", "varchar", "nchar", "nvarchar", "sysname"];
const NUMBERS: &[&str] = &["tinyint", "smallint", "int", "bigint", "decimal", "numeric"];
const MOMENTS: &[&str] = &["date", "datetime", "datetime2", "smalldatetime"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::spec::tests::column;
    use crate::sync::spec::{Comparison, Test};

    #[test]
    fn the_statement_reads_one_row_and_no_more_of_a_text_than_a_version_has() {
        let name = |text: &str| SqlName::new(text).unwrap();
        let info = column("Number", "varchar", 40, Some("Latin1_General_CI_AS")).info;
        let product = column("Product", "int", 4, None).info;
        let test = Test::Compares(Comparison::Equal, Param::BigInt(3));
        let mut source = VersionSource {
            table: ObjectName::parse("cfg.Version").unwrap(),
            column: name("Number"),
            newest_by: None,
            filter: vec![Condition { column: name("Product"), test, info: product }],
            info,
        };
        let (sql, params) = source.statement();
        assert_eq!(
            sql,
            "SELECT TOP (2) CONVERT(varbinary(130), CONVERT(nvarchar(65), [Number])) AS Version FROM [cfg].[Version] WHERE \
             [Product] = @P1 OPTION (MAXDOP 1)"
        );
        assert_eq!(params, [Param::BigInt(3)]);
        source.newest_by = Some(name("Installed"));
        source.info = column("Number", "datetime", 8, None).info;
        assert!(
            source
                .statement()
                .0
                .contains("TOP (1) CONVERT(varbinary(130), CONVERT(nvarchar(65), [Number], 120))")
        );
        assert!(source.statement().0.contains(" ORDER BY [Installed] DESC "));
        let needed: Vec<&str> = source.read_columns().into_iter().map(SqlName::as_str).collect();
        assert_eq!(needed, ["Number", "Installed", "Product"]);
        assert_eq!(source.shown(), "Number of cfg.Version where Product = …, newest by Installed");
    }
}
