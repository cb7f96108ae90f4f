//! The schema that a sync job was approved for, against the one that its passes find.
//!
//! The first look at a table approves it. A column that is gone or of another type since then is a [`Drift`]: an EHR was
//! upgraded, and nobody has said yet that writing into it still means the same. While it stands no write touches the
//! table; reading goes on as long as its own columns still hold what they held. [`approve`] ends it, given the
//! fingerprint of what was found, so that no automatic state run approves a schema nobody has looked at. A write
//! compares the columns it touches by itself as well, in its own transaction (`write::attempt`). Where a job says where the
//! EHR keeps its version, that is kept beside the shape and told with the drift ([`EhrVersion`]).

mod approval;
mod ehr_version;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use crate::mssql::ConnectionOptions;
use crate::mssql::quote::ObjectName;
use crate::mssql::shape::{Shape, same_name};
use crate::store::schema::{self as table, WatchRow};
use crate::store::{Store, StoreError};
use crate::sync::names::JobName;

pub use approval::{Approved, Named, SchemaError, Subject, approve, look};
pub use ehr_version::{EhrVersion, VersionReading};

/// How a table differs from what was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The sync job that found it.
    pub job: String,
    /// The database.
    pub database: String,
    /// `schema.table`; of a query, each that differs.
    pub table: String,
    /// The approved fingerprint.
    pub approved: String,
    /// The fingerprint of what was found.
    pub found: String,
    /// Column by column.
    pub differences: Vec<String>,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// The EHR's version then and at the last look; none where no job says where it stands.
    #[serde(default)]
    pub ehr_version: Option<EhrVersion>,
}

/// What a look at a job's tables found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The tables.
    pub shape: Shape,
    /// The EHR's version; nothing where the job does not say where it stands.
    pub version: Option<VersionReading>,
}

/// What was approved and what was found, per sync job.
#[derive(Debug, Clone)]
pub struct SchemaBook {
    store: Arc<Store>,
}

impl SchemaBook {
    /// The book in `store`.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Notes what a job's look at its table found; gives the drift, if it is one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn seen(
        &self,
        job: &JobName,
        connection: &ConnectionOptions,
        found: Found,
        now: SystemTime,
    ) -> Result<Option<Drift>, StoreError> {
        let fresh = fresh_row(job, connection, &found)?;
        let work = move |tx: &Transaction<'_>| -> Result<Option<Drift>, StoreError> {
            let known = table::watch(tx, &fresh.job)?.filter(|known| {
                known.server == fresh.server
                    && known.database == fresh.database
                    && tables(known).is_ok_and(|tables| tables == names(&found.shape))
            });
            let Some(known) = known else {
                table::put(tx, &fresh)?;
                return Ok(None);
            };
            let differs = !shape(&known.approved)?.differences(&found.shape).is_empty();
            let since = if known.found.is_some() { known.since } else { unix(now) };
            let shape = differs.then(|| fresh.approved.clone());
            let next =
                WatchRow { found: shape, since, ..dated(known.clone(), differs, found.version.clone()) };
            if next != known {
                table::put(tx, &next)?;
            }
            drift(&next)
        };
        self.store.run(work).await
    }

    /// The drift that a job's last look found.
    ///
    /// # Errors
    /// The store failed.
    pub async fn drift(&self, job: &JobName) -> Result<Option<Drift>, StoreError> {
        let row = self.row(job).await?;
        row.as_ref().map_or(Ok(None), drift)
    }

    /// The shape that a job's table was approved with.
    ///
    /// # Errors
    /// The store failed.
    pub async fn approved(&self, job: &JobName) -> Result<Option<Shape>, StoreError> {
        self.row(job).await?.map(|row| shape(&row.approved)).transpose()
    }

    /// The EHR's version as a job's looks found it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn ehr_version(&self, job: &JobName) -> Result<Option<EhrVersion>, StoreError> {
        Ok(self.row(job).await?.as_ref().and_then(version))
    }

    /// The EHR's version as the looks of any job in that database found it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn ehr_version_of(
        &self,
        connection: &ConnectionOptions,
    ) -> Result<Option<EhrVersion>, StoreError> {
        let (server, database) = (connection.server.to_string(), connection.database.clone());
        let all = self.store.run(table::watches).await?;
        let here = |row: &&WatchRow| row.server == server && same_name(&row.database, &database);
        Ok(all.iter().filter(here).find_map(version))
    }

    /// The first drift of any of these tables.
    ///
    /// # Errors
    /// The store failed.
    pub async fn of_tables(
        &self,
        connection: &ConnectionOptions,
        tables: &[&ObjectName],
    ) -> Result<Option<Drift>, StoreError> {
        let (server, database) = (connection.server.to_string(), connection.database.clone());
        for row in self.store.run(table::drifted).await? {
            if row.server != server || !same_name(&row.database, &database) {
                continue;
            }
            let Some(drift) = drift(&row)? else { continue };
            let is_one =
                |name: &&ObjectName| drift.table.split(", ").any(|one| same_name(&name.to_string(), one));
            if tables.iter().any(is_one) {
                return Ok(Some(drift));
            }
        }
        Ok(None)
    }

    /// Writes down that this is how a job's table is to be.
    ///
    /// # Errors
    /// The store failed.
    pub async fn approve(
        &self,
        job: &JobName,
        connection: &ConnectionOptions,
        found: &Found,
    ) -> Result<(), StoreError> {
        let row = fresh_row(job, connection, found)?;
        self.store.run(move |tx| table::put(tx, &row)).await
    }

    async fn row(&self, job: &JobName) -> Result<Option<WatchRow>, StoreError> {
        let job = job.to_string();
        self.store.run(move |tx| table::watch(tx, &job)).await
    }
}

fn fresh_row(job: &JobName, connection: &ConnectionOptions, found: &Found) -> Result<WatchRow, StoreError> {
    let fresh = WatchRow {
        job: job.to_string(),
        server: connection.server.to_string(),
        database: connection.database.clone(),
        approved: serde_json::to_string(&StoredShape::V1(found.shape.clone())).map_err(|_| form())?,
        found: None,
        since: 0,
        version: None,
        found_version: None,
        version_trouble: None,
    };
    Ok(dated(fresh, false, found.version.clone()))
}

/// The row with what the look found of the EHR's version. A look of a drift that cannot read it leaves what an earlier one
/// read, so that a lock for a moment is not told as news.
fn dated(row: WatchRow, differs: bool, reading: Option<VersionReading>) -> WatchRow {
    let drifted_before = row.found.is_some();
    match (reading, differs) {
        (None, _) => WatchRow { version: None, found_version: None, version_trouble: None, ..row },
        (Some(VersionReading::Read(version)), false) => {
            WatchRow { version: Some(version), found_version: None, version_trouble: None, ..row }
        }
        (Some(VersionReading::Unreadable(why)), false) => {
            WatchRow { found_version: None, version_trouble: Some(why), ..row }
        }
        (Some(VersionReading::Read(version)), true) => {
            WatchRow { found_version: Some(version), version_trouble: None, ..row }
        }
        (Some(VersionReading::Unreadable(_)), true) if drifted_before && row.found_version.is_some() => row,
        (Some(VersionReading::Unreadable(why)), true) => {
            WatchRow { found_version: None, version_trouble: Some(why), ..row }
        }
    }
}

/// What a row tells of the EHR's version.
fn version(row: &WatchRow) -> Option<EhrVersion> {
    let as_approved = row.found.is_none() && row.version_trouble.is_none();
    let present = if as_approved { &row.version } else { &row.found_version };
    let version = EhrVersion {
        former: row.version.clone(),
        present: present.clone(),
        unreadable: row.version_trouble.clone(),
    };
    (version != EhrVersion::default()).then_some(version)
}

fn drift(row: &WatchRow) -> Result<Option<Drift>, StoreError> {
    let Some(found) = &row.found else { return Ok(None) };
    let (approved, found) = (shape(&row.approved)?, shape(found)?);
    Ok(Some(Drift {
        job: row.job.clone(),
        database: row.database.clone(),
        table: approved.differing(&found).join(", "),
        approved: approved.fingerprint(),
        found: found.fingerprint(),
        differences: approved.differences(&found),
        since: row.since,
        ehr_version: version(row),
    }))
}

fn tables(row: &WatchRow) -> Result<Vec<String>, StoreError> {
    Ok(names(&shape(&row.approved)?))
}

fn names(shape: &Shape) -> Vec<String> {
    shape.tables.iter().map(|table| table.table.clone()).collect()
}

/// A shape as it is stored. The first agents stored it without its version, and read this one as theirs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
enum StoredShape {
    /// The first form.
    #[serde(rename = "1")]
    V1(Shape),
}

fn shape(json: &str) -> Result<Shape, StoreError> {
    let value: serde_json::Value = serde_json::from_str(json).map_err(|_| form())?;
    let stored = match value.get("version") {
        Some(_) => serde_json::from_value(value).map(|StoredShape::V1(shape)| shape),
        None => serde_json::from_value(value),
    };
    stored.map_err(|_| form())
}

fn form() -> StoreError {
    StoreError::Form { what: "schema" }
}

fn unix(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mssql::shape::TableShape;

    #[test]
    fn a_stored_shape_tells_its_version_and_the_form_without_one_is_read() {
        let columns = vec![("A".to_owned(), "int".to_owned())];
        let known = Shape {
            tables: vec![TableShape {
                table: "dbo.T".into(),
                key: vec!["A".into()],
                columns,
                collations: Vec::new(),
            }],
        };
        let bare = serde_json::to_string(&known).unwrap();
        let tagged = serde_json::to_string(&StoredShape::V1(known.clone())).unwrap();
        assert!(tagged.contains("\"version\":\"1\""), "{tagged}");
        assert_eq!((shape(&bare).unwrap(), shape(&tagged).unwrap()), (known.clone(), known.clone()));
        assert_eq!(
            serde_json::from_str::<Shape>(&tagged).unwrap(),
            known,
            "by an agent that knows no version"
        );
        assert!(shape(&tagged.replace("\"1\"", "\"9\"")).is_err());
    }
}
