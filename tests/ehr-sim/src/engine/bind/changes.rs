//! `CHANGETABLE(CHANGES table, version)`: the net changes of a tracked table after a version.
//!
//! Needs SELECT on the primary key's columns and VIEW CHANGE TRACKING on the table. Facts: "CHANGETABLE".

use std::sync::Arc;

use super::{Binder, ScopeColumn, TableRef};
use crate::engine::ast::{Expr, Name};
use crate::engine::message::{self, Result};
use crate::engine::plan::Source;
use crate::engine::storage::guard;
use crate::engine::storage::schema::TableInfo;
use crate::engine::storage::tracking::Change;
use crate::types::{Datum, Length, Row, SqlType};

impl<'q> Binder<'_, 'q> {
    pub(super) fn changes(
        &mut self,
        name: &Name,
        since: &'q Expr,
        alias: Option<&str>,
    ) -> Result<(Source, Vec<ScopeColumn>)> {
        let alias = alias.ok_or_else(message::changes_alias)?;
        let TableRef::Table(database, table) = self.resolve(name)? else {
            return Err(message::changes_object(name));
        };
        let (Some(tracking), Some(primary)) = (&table.info.tracking, table.info.primary_key()) else {
            return Err(message::changes_untracked(name));
        };
        self.need(&database, table.info.object_id, "VIEW CHANGE TRACKING");
        let used = self.need(&database, table.info.object_id, "SELECT");
        self.uses[used].columns.extend(primary.columns.iter().map(|(at, _)| table.info.columns[*at].id));
        let scopes = std::mem::take(&mut self.scopes);
        let since = self.value(since);
        self.scopes = scopes;
        let since = super::implicit(since?, SqlType::BigInt)?;
        if self.exec.session.compiling.get() {
            return Ok((
                Source::Rows { rows: Arc::default(), filters: Vec::new() },
                scope(&table.info, alias),
            ));
        }
        let since = self.exec.constant(&since)?.as_i64().unwrap_or(0);
        let until = self.exec.tracked_version(&database)?;
        let mut tracking = guard(tracking);
        tracking.clean(self.exec.now);
        let rows: Vec<Row> = tracking.between(since, until).map(|change| change_row(change, since)).collect();
        Ok((Source::Rows { rows: Arc::new(rows), filters: Vec::new() }, scope(&table.info, alias)))
    }
}

fn change_row(change: &Change, since: i64) -> Row {
    let operation = if change.deleted {
        "D"
    } else if change.created.is_some_and(|created| created > since) {
        "I"
    } else {
        "U"
    };
    let mut values = vec![
        Datum::BigInt(change.version),
        change.created.map_or(Datum::Null, Datum::BigInt),
        Datum::text(operation),
        Datum::Null,
        Datum::Null,
    ];
    values.extend(change.key.iter().cloned());
    Arc::from(values)
}

fn scope(info: &TableInfo, alias: &str) -> Vec<ScopeColumn> {
    let column = |name: &str, ty: SqlType, nullable: bool| ScopeColumn {
        qualifier: alias.to_owned(),
        schema: None,
        name: name.to_owned(),
        ty,
        nullable,
        identity: false,
        origin: None,
    };
    let mut columns = vec![
        column("SYS_CHANGE_VERSION", SqlType::BigInt, true),
        column("SYS_CHANGE_CREATION_VERSION", SqlType::BigInt, true),
        column("SYS_CHANGE_OPERATION", SqlType::NChar(1), true),
        column("SYS_CHANGE_COLUMNS", SqlType::VarBinary(Length::Of(4100)), true),
        column("SYS_CHANGE_CONTEXT", SqlType::VarBinary(Length::Of(128)), true),
    ];
    let keys = info.primary_key().map(|index| index.columns.as_slice()).unwrap_or_default();
    columns.extend(keys.iter().map(|(at, _)| column(&info.columns[*at].name, info.columns[*at].ty, false)));
    columns
}
