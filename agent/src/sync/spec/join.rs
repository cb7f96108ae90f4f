//! Tables joined to a job's table: a query that is declared, never written.
//!
//! The joined rows are read through a derived table, so every statement of a job (page, sweep, repair) stays as it is. It
//! names exactly the columns that the job reads and those that join: what a login needs is known column by column, and a
//! masked column is not read. Invariant: a declared key tells two rows of the query apart (`check::joins` proves it), for
//! a repeated key would be skipped by the next page.

use serde::{Deserialize, Serialize};

use crate::mssql::catalog::{ColumnInfo, TableInfo};
use crate::mssql::quote::{ObjectName, SqlName};
use crate::mssql::shape::{Shape, TableShape};
use crate::mssql::{Session, SqlError};
use crate::schema::VersionReading;
use crate::sync::SyncError;

use super::JobSpec;

/// One joined table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The table.
    pub table: ObjectName,
    /// How later joins name it.
    pub alias: String,
    /// What becomes of a row without a match.
    pub kind: JoinKind,
    /// What joins it.
    pub on: Vec<Match>,
    /// What is taken of it.
    pub columns: Vec<JoinedColumn>,
}

/// What becomes of a row that nothing matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinKind {
    /// It is delivered, with NULL for what is not there.
    Left,
    /// It is not delivered.
    Inner,
}

/// One pair of columns that are equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// Of the joined table.
    pub column: SqlName,
    /// Which table the other is of: the job's own, or that of an earlier join.
    pub of: Option<usize>,
    /// The other column.
    pub other: SqlName,
}

/// A column of a joined table in the query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedColumn {
    /// As its table calls it.
    pub column: SqlName,
    /// As the query calls it.
    pub name: SqlName,
}

/// A job's table and those joined to it, as the catalog describes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Tables {
    /// The query's columns as if they were one table's.
    pub query: TableInfo,
    /// Each table for itself.
    pub shape: Shape,
}

impl Join {
    /// What it brings, NULL where a row may have no match.
    pub(crate) fn columns_of(&self, table: &TableInfo) -> Vec<ColumnInfo> {
        let taken = self.columns.iter().filter_map(|column| {
            let info = table.column(column.column.as_str())?.clone();
            let nullable = info.nullable || self.kind == JoinKind::Left;
            Some(ColumnInfo { name: column.name.as_str().to_owned(), nullable, ..info })
        });
        taken.collect()
    }

    /// The join as changes show it.
    pub fn shown(&self) -> String {
        let on: Vec<String> = self.on.iter().map(|on| format!("{} = {}", on.column, on.other)).collect();
        let columns: Vec<String> = self.columns.iter().map(|column| column.name.to_string()).collect();
        let kind = format!("{:?}", self.kind).to_lowercase();
        format!("{kind} {} on {}: {}", self.table, on.join(" and "), columns.join(", "))
    }

    fn clause(&self, at: usize) -> String {
        let word = match self.kind {
            JoinKind::Left => "LEFT JOIN",
            JoinKind::Inner => "INNER JOIN",
        };
        let own = alias(Some(at));
        let pair =
            |on: &Match| format!("{own}.{} = {}.{}", on.column.quoted(), alias(on.of), on.other.quoted());
        let on: Vec<String> = self.on.iter().map(pair).collect();
        format!("{word} {} AS {own} ON {}", self.table.quoted(), on.join(" AND "))
    }
}

impl JobSpec {
    /// What stands behind FROM: the table, or the query over it and the joined ones.
    pub fn source(&self) -> String {
        if self.joins.is_empty() {
            return self.table.quoted();
        }
        let list: Vec<String> = self.read_columns().into_iter().map(|name| self.origin(name)).collect();
        let joins: Vec<String> = self.joins.iter().enumerate().map(|(at, join)| join.clause(at)).collect();
        format!(
            "(SELECT {} FROM {} AS {} {}) AS Q",
            list.join(", "),
            self.table.quoted(),
            alias(None),
            joins.join(" ")
        )
    }

    /// What is read of each table, the columns that join included.
    pub fn read_by_table(&self) -> Vec<(&ObjectName, Vec<&SqlName>)> {
        let mut read = vec![(&self.table, Vec::new())];
        read.extend(self.joins.iter().map(|join| (&join.table, Vec::new())));
        let mut note = |of: Option<usize>, name| {
            let at = of.map_or(0, |join| join + 1);
            if let Some((_, names)) = read.get_mut(at).filter(|(_, names)| !names.contains(&name)) {
                names.push(name);
            }
        };
        for name in self.read_columns() {
            match self.joined(name) {
                Some((at, column)) => note(Some(at), &column.column),
                None => note(None, name),
            }
        }
        for (at, join) in self.joins.iter().enumerate() {
            for on in &join.on {
                note(Some(at), &on.column);
                note(on.of, &on.other);
            }
        }
        read
    }

    /// Reads the catalog of every table of the job.
    ///
    /// # Errors
    /// A table or a column that joins is gone, or may not be seen.
    pub async fn read_tables(&self, session: &mut Session) -> Result<Tables, SyncError> {
        let base = self.read_table(session, &self.table).await?;
        let mut shape = Shape { tables: vec![TableShape::of(&self.table, &base)] };
        let mut query = base;
        for join in &self.joins {
            let table = self.read_table(session, &join.table).await?;
            if let Some(on) = join.on.iter().find(|on| table.column(on.column.as_str()).is_none()) {
                let differences = format!("column {}, which joins it, is gone", on.column);
                return Err(SyncError::SchemaChanged { table: join.table.to_string(), differences });
            }
            shape.tables.push(TableShape::of(&join.table, &table));
            query.columns.extend(join.columns_of(&table));
        }
        Ok(Tables { query, shape })
    }

    /// Reads the catalog of every table of the job, and the EHR's version where the job says where it stands.
    ///
    /// # Errors
    /// As [`Self::read_tables`]; a version that cannot be read is none.
    pub async fn look(&self, session: &mut Session) -> Result<(Tables, Option<VersionReading>), SyncError> {
        let tables = self.read_tables(session).await?;
        let version = match &self.ehr_version {
            Some(source) => Some(source.read(session).await?),
            None => None,
        };
        Ok((tables, version))
    }

    async fn read_table(&self, session: &mut Session, table: &ObjectName) -> Result<TableInfo, SyncError> {
        let found: Result<_, SqlError> = TableInfo::read(session, table).await;
        found?.ok_or_else(|| SyncError::NoTable {
            table: table.to_string(),
            database: self.connection.database.clone(),
            login: self.connection.user.clone(),
        })
    }

    /// Where a column of the query comes from.
    fn origin(&self, name: &SqlName) -> String {
        match self.joined(name) {
            Some((at, column)) => {
                format!("{}.{} AS {}", alias(Some(at)), column.column.quoted(), name.quoted())
            }
            None => format!("{}.{}", alias(None), name.quoted()),
        }
    }

    fn joined(&self, name: &SqlName) -> Option<(usize, &JoinedColumn)> {
        self.joins.iter().enumerate().find_map(|(at, join)| {
            let column = join.columns.iter().find(|column| column.name == *name)?;
            Some((at, column))
        })
    }
}

fn alias(join: Option<usize>) -> String {
    join.map_or_else(|| "B".to_owned(), |at| format!("J{}", at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::required::Requires;
    use crate::sync::spec::tests::{column, spec};

    fn name(text: &str) -> SqlName {
        SqlName::new(text).unwrap()
    }

    fn joined() -> JobSpec {
        let mut spec = spec(&["AppointmentID"]);
        spec.joins = vec![
            Join {
                table: ObjectName::parse("Patient").unwrap(),
                alias: "Patient".into(),
                kind: JoinKind::Left,
                on: vec![Match { column: name("ID"), of: None, other: name("PatientID") }],
                columns: vec![JoinedColumn { column: name("Name"), name: name("PatientName") }],
            },
            Join {
                table: ObjectName::parse("ref.Town").unwrap(),
                alias: "Town".into(),
                kind: JoinKind::Inner,
                on: vec![Match { column: name("Zip"), of: Some(0), other: name("Zip") }],
                columns: vec![JoinedColumn { column: name("Name"), name: name("Town") }],
            },
        ];
        spec.columns
            .extend([column("PatientName", "nvarchar", 80, None), column("Town", "nvarchar", 80, None)]);
        spec
    }

    #[test]
    fn the_query_names_what_is_read_and_what_joins() {
        assert_eq!(
            joined().source(),
            "(SELECT B.[AppointmentID], B.[Note], B.[Balance], J1.[Name] AS [PatientName], J2.[Name] AS [Town], \
             B.[RowVer] FROM [dbo].[Appointment] AS B LEFT JOIN [dbo].[Patient] AS J1 ON J1.[ID] = B.[PatientID] \
             INNER JOIN [ref].[Town] AS J2 ON J2.[Zip] = J1.[Zip]) AS Q"
        );
    }

    #[test]
    fn a_masked_column_of_a_joined_table_is_neither_read_nor_granted() {
        let mut spec = joined();
        spec.columns[3].mask = super::super::Mask::Null;
        assert!(!spec.source().contains("PatientName"), "{}", spec.source());
        let needed: Vec<String> = spec
            .requirement()
            .permissions
            .iter()
            .map(|needed| {
                let columns: Vec<&str> = needed.columns.iter().map(SqlName::as_str).collect();
                format!("{} on {} ({})", needed.permission.as_str(), needed.securable, columns.join(", "))
            })
            .collect();
        assert_eq!(
            needed,
            [
                "SELECT on dbo.Appointment (AppointmentID, Note, Balance, RowVer, PatientID)",
                "SELECT on dbo.Patient (ID, Zip)",
                "SELECT on ref.Town (Name, Zip)",
            ]
        );
    }
}
