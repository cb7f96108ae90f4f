//! Switching Change Tracking on and off, for a database and for a table.
//!
//! Facts: "Enable and Disable Change Tracking", "ALTER DATABASE SET Options". TRACK_COLUMNS_UPDATED is not carried
//! and refused.

use std::sync::{Arc, Mutex};

use super::Runner;
use super::dml::Target;
use crate::engine::ast::Name;
use crate::engine::exec::Exec;
use crate::engine::message::{self, Result};
use crate::engine::storage::database::Database;
use crate::engine::storage::guard;
use crate::engine::storage::tracking::{DatabaseTracking, TableTracking};

impl Runner<'_> {
    pub(super) fn track_database(
        &self,
        database: &Arc<Database>,
        on: bool,
        (retention, auto_cleanup): (Option<i64>, Option<bool>),
    ) -> Result<()> {
        if database.id <= 4 {
            return Err(message::tracking_system(&database.name));
        }
        if retention.is_some_and(|minutes| !(1..=i64::from(i32::MAX)).contains(&minutes)) {
            return Err(message::tracking_retention("CHANGE_RETENTION"));
        }
        let tables_on = self.session.metadata(database).tables().any(|t| t.info.tracking.is_some());
        let mut tracking = guard(&database.tracking);
        if on && tracking.on && retention.is_none() && auto_cleanup.is_none() {
            return Err(message::tracking_already(&database.name));
        }
        if !on {
            if !tracking.on {
                return Err(message::tracking_disabled(&database.name));
            }
            if tables_on {
                return Err(message::tracking_tables_on(&database.name));
            }
            *tracking = DatabaseTracking::default();
            return Ok(());
        }
        tracking.on = true;
        tracking.retention_minutes = retention.unwrap_or(tracking.retention_minutes);
        tracking.auto_cleanup = auto_cleanup.unwrap_or(tracking.auto_cleanup);
        Ok(())
    }

    pub(super) fn track_table(
        &self,
        exec: &Exec<'_>,
        target: &Target,
        name: &Name,
        (on, columns_updated): (bool, bool),
    ) -> Result<()> {
        if columns_updated {
            return Err(message::not_supported("TRACK_COLUMNS_UPDATED"));
        }
        let mut info = target.table.info.clone();
        if !on {
            info.tracking.take().ok_or_else(|| message::tracking_table_off(name.object()))?;
            return self.replace_table(exec, &target.database, &target.table, info, &|row| row.clone());
        }
        if !guard(&target.database.tracking).on {
            return Err(message::tracking_database_off(&target.database.name, name.object()));
        }
        if info.tracking.is_some() {
            return Err(message::tracking_table_on(name.object()));
        }
        if info.primary_key().is_none() {
            return Err(message::tracking_needs_key(name.object()));
        }
        info.tracking = Some(Arc::new(Mutex::new(TableTracking::new(&target.database.tracking))));
        self.replace_table(exec, &target.database, &target.table, info, &|row| row.clone())
    }
}
