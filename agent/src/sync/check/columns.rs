//! Which columns are delivered, under which names and masks, and which conditions hold.

use crate::mssql::catalog::{ColumnInfo, TableInfo};
use crate::mssql::quote::SqlName;
use crate::sync::SyncError;
use crate::sync::spec::{Condition, Mask, SourceColumn, Test};
use rows::kind::CellKind;

use super::{ConditionRequest, JobRequest, MaskRequest, TestRequest};

impl JobRequest {
    pub(super) fn resolve_columns(
        &self,
        table: &TableInfo,
        key: &[&ColumnInfo],
    ) -> Result<Vec<SourceColumn>, SyncError> {
        let mut infos: Vec<&ColumnInfo> = match &self.columns {
            None => table.columns.iter().collect(),
            Some(names) => {
                let joined = self.joins.iter().flat_map(|join| &join.columns).map(|(_, name)| name);
                names.iter().chain(joined).map(|name| self.column(table, name)).collect::<Result<_, _>>()?
            }
        };
        let left_out = self.left_out(table)?;
        infos.retain(|info| !left_out.contains(info));
        for column in key {
            if !infos.contains(column) {
                infos.push(column);
            }
        }
        let columns: Vec<SourceColumn> =
            infos.into_iter().map(|info| self.source_column(info, key)).collect::<Result<_, _>>()?;
        self.check_names(table, &columns)?;
        Ok(columns)
    }

    pub(super) fn resolve_filter(&self, table: &TableInfo) -> Result<Vec<Condition>, SyncError> {
        let name = self.table.to_string();
        self.filter.iter().map(|asked| condition(&name, table, asked)).collect()
    }

    /// Columns that are excluded or dropped by their mask.
    fn left_out<'t>(&self, table: &'t TableInfo) -> Result<Vec<&'t ColumnInfo>, SyncError> {
        let dropped = self.mask.iter().filter(|(_, mask)| *mask == MaskRequest::Drop).map(|(name, _)| name);
        self.exclude.iter().chain(dropped).map(|name| self.column(table, name)).collect()
    }

    fn source_column(&self, info: &ColumnInfo, key: &[&ColumnInfo]) -> Result<SourceColumn, SyncError> {
        let lossy = || SyncError::ColumnType {
            table: self.table.to_string(),
            column: info.name.clone(),
            sql_type: info.sql_type(),
        };
        let mut column = SourceColumn::of(info)?.ok_or_else(lossy)?;
        if let Some((_, name)) = self.rename.iter().find(|(name, _)| is_called(info, name)) {
            column.delivered_as.clone_from(name);
        }
        if let Some((_, mask)) = self.mask.iter().find(|(name, _)| is_called(info, name)) {
            let MaskRequest::As(mask) = mask else { return Err(self.masked(info, "a key column cannot be")) };
            if key.contains(&info) {
                return Err(self.masked(info, "a key column cannot be"));
            }
            if matches!(mask, Mask::Truncate(_)) && !can_be_cut(info, column.kind) {
                return Err(self.masked(info, "only a text can be cut; its type cannot be"));
            }
            column.mask = *mask;
        }
        Ok(column)
    }

    /// Names that were given and name nothing, and names that two columns would share.
    fn check_names(&self, table: &TableInfo, columns: &[SourceColumn]) -> Result<(), SyncError> {
        for (name, _) in &self.rename {
            self.column(table, name)?;
        }
        for (name, _) in &self.mask {
            self.column(table, name)?;
        }
        for (at, column) in columns.iter().enumerate() {
            let taken = column.delivered_as == super::super::spec::OPERATION
                || columns[..at].iter().any(|other| other.delivered_as == column.delivered_as);
            if taken {
                let (table, name) = (self.table.to_string(), column.delivered_as.clone());
                return Err(SyncError::NameTaken { table, name });
            }
        }
        Ok(())
    }

    fn masked(&self, info: &ColumnInfo, why: &'static str) -> SyncError {
        SyncError::Mask { table: self.table.to_string(), column: info.name.clone(), why }
    }
}

/// A column of the table called `shown`.
///
/// # Errors
/// There is none of that name.
pub(super) fn find<'t>(shown: &str, table: &'t TableInfo, name: &str) -> Result<&'t ColumnInfo, SyncError> {
    let missing = || SyncError::NoColumn { table: shown.to_owned(), column: name.to_owned() };
    table.column(name).ok_or_else(missing)
}

/// A condition on a column of the table called `shown`.
///
/// # Errors
/// There is no such column.
pub(super) fn condition(
    shown: &str,
    table: &TableInfo,
    asked: &ConditionRequest,
) -> Result<Condition, SyncError> {
    let info = find(shown, table, &asked.column)?.clone();
    let test = match &asked.test {
        TestRequest::Null(true) => Test::IsNull,
        TestRequest::Null(false) => Test::IsNotNull,
        TestRequest::Compares(comparison, value) => Test::Compares(*comparison, value.clone()),
        TestRequest::In(values) => Test::In(values.clone()),
    };
    Ok(Condition { column: SqlName::new(info.name.clone())?, test, info })
}

fn is_called(info: &ColumnInfo, name: &str) -> bool {
    info.name == name || info.name.to_lowercase() == name.to_lowercase()
}

fn can_be_cut(info: &ColumnInfo, kind: CellKind) -> bool {
    kind == CellKind::Text && !matches!(info.type_name.as_str(), "xml" | "text" | "ntext")
}
