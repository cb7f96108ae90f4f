//! What declared jobs and writes need from SQL Server.
//!
//! A sync job or a write definition gives one [`Requirement`]: the login it works as and every permission without which
//! it fails, nothing more. `mssql_grant.from_jobs` grants their union and the access report names who needs what.
//! The connection itself (`CONNECT`) comes with the user and is not listed.

use crate::mssql::ConnectionOptions;
use crate::mssql::options::ServerName;
use crate::mssql::quote::{ObjectName, SqlName};
use crate::sync::spec::{Cursor, JobSpec};

use super::permission::Permission;
use super::securable::Securable;

/// Everything that one job or write needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Who needs it.
    pub by: Requester,
    /// On which instance.
    pub server: ServerName,
    /// The login that the job or write works as.
    pub login: String,
    /// Each permission.
    pub permissions: Vec<RequiredPermission>,
}

/// A job or write by its declared name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requester {
    /// Reads or writes.
    pub kind: RequesterKind,
    /// As declared.
    pub name: String,
}

/// Reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequesterKind {
    /// A sync job.
    SyncJob,
    /// A write definition.
    Write,
}

/// One permission on one securable; columns, where the permission is needed on some of them only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredPermission {
    /// The database that the securable is in.
    pub database: SqlName,
    /// On what.
    pub securable: Securable,
    /// Which.
    pub permission: Permission,
    /// The columns; the whole securable when empty.
    pub columns: Vec<SqlName>,
}

/// Anything declared that needs permissions.
pub trait Requires {
    /// What it needs. Pure: from the declaration alone.
    fn requirement(&self) -> Requirement;
}

impl Requirement {
    /// Nothing yet, for a job or write that works over `connection`.
    #[must_use]
    pub fn new(kind: RequesterKind, name: &str, connection: &ConnectionOptions) -> Self {
        Self {
            by: Requester { kind, name: name.to_owned() },
            server: connection.server.clone(),
            login: connection.user.clone(),
            permissions: Vec::new(),
        }
    }
}

impl RequiredPermission {
    /// On a table or view as a whole.
    #[must_use]
    pub fn on_object(database: SqlName, object: ObjectName, permission: Permission) -> Self {
        Self { database, securable: Securable::Object(object), permission, columns: Vec::new() }
    }

    /// On some columns of a table or view (SELECT, UPDATE, REFERENCES; SQL Server knows no other by column).
    #[must_use]
    pub fn on_columns(
        database: SqlName,
        object: ObjectName,
        permission: Permission,
        columns: Vec<SqlName>,
    ) -> Self {
        Self { database, securable: Securable::Object(object), permission, columns }
    }
}

/// SELECT on each column that a statement names, by column, the EHR's version among them; what its cursor needs.
impl Requires for JobSpec {
    fn requirement(&self) -> Requirement {
        let mut requirement = Requirement::new(RequesterKind::SyncJob, self.name.as_str(), &self.connection);
        let Ok(database) = SqlName::new(self.connection.database.clone()) else { return requirement };
        for (table, columns) in self.read_by_table() {
            requirement.permissions.push(RequiredPermission::on_columns(
                database.clone(),
                table.clone(),
                Permission::select(),
                columns.into_iter().cloned().collect(),
            ));
        }
        if let Some(version) = &self.ehr_version {
            requirement.permissions.push(RequiredPermission::on_columns(
                database.clone(),
                version.table.clone(),
                Permission::select(),
                version.read_columns().into_iter().cloned().collect(),
            ));
        }
        match &self.cursor {
            Cursor::ChangeTracking => requirement.permissions.push(RequiredPermission::on_object(
                database,
                self.table.clone(),
                Permission::view_change_tracking(),
            )),
            Cursor::Rowversion(_) | Cursor::Datetime(_) | Cursor::Digest | Cursor::Full => {}
        }
        requirement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_job_needs_its_columns_and_its_cursor_and_nothing_else() {
        let requirement = crate::sync::spec::tests::spec(&["AppointmentID"]).requirement();
        let [needed] = requirement.permissions.as_slice() else { panic!("{requirement:?}") };
        let columns: Vec<&str> = needed.columns.iter().map(SqlName::as_str).collect();
        assert_eq!(columns, ["AppointmentID", "Note", "Balance", "RowVer"]);
        assert_eq!((needed.permission.as_str(), needed.database.as_str()), ("SELECT", "Main_OMS"));
        assert_eq!(requirement.by.name, "appointments");
    }

    #[test]
    fn a_masked_column_is_not_asked_for_and_change_tracking_is() {
        let mut spec = crate::sync::spec::tests::spec(&["AppointmentID"]);
        spec.columns[1].mask = crate::sync::spec::Mask::Null;
        spec.cursor = Cursor::ChangeTracking;
        let requirement = spec.requirement();
        let [select, tracking] = requirement.permissions.as_slice() else { panic!("{requirement:?}") };
        let columns: Vec<&str> = select.columns.iter().map(SqlName::as_str).collect();
        assert_eq!(columns, ["AppointmentID", "Balance"]);
        assert_eq!(tracking.permission.as_str(), "VIEW CHANGE TRACKING");
    }

    #[test]
    fn the_ehrs_version_is_granted_by_column_as_well() {
        let mut spec = crate::sync::spec::tests::spec(&["AppointmentID"]);
        spec.ehr_version = Some(crate::sync::spec::VersionSource {
            table: crate::mssql::quote::ObjectName::parse("cfg.Version").unwrap(),
            column: SqlName::new("Number").unwrap(),
            newest_by: Some(SqlName::new("Installed").unwrap()),
            filter: Vec::new(),
            info: spec.columns[1].info.clone(),
        });
        let requirement = spec.requirement();
        let [_, needed] = requirement.permissions.as_slice() else { panic!("{requirement:?}") };
        let columns: Vec<&str> = needed.columns.iter().map(SqlName::as_str).collect();
        assert_eq!(
            (needed.securable.to_string().as_str(), &*columns),
            ("cfg.Version", &["Number", "Installed"][..])
        );
    }
}
