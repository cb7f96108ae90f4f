//! The declared writes, in the store.
//!
//! What is stored is the declaration as it was given (never the password in clear), with the approved shape of the
//! tables; it is read by the same code as a new one. Stored forms are versioned.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use states::{Map, Value};

use crate::mssql::options::{ServerName, Trust};
use crate::mssql::{ConnectionOptions, Encryption};
use crate::store::writes::{self as table, DefinitionRow};
use crate::store::{Secret, Store, StoreError};

use super::definition::{Shape, WriteSpec};
use super::error::WriteError;
use super::names::WriteName;

/// A declared write with the arguments that declared it.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// The definition.
    pub spec: WriteSpec,
    /// The arguments, see `declaration::defining`.
    pub arguments: Map,
}

/// Reads and writes declarations.
#[derive(Debug, Clone)]
pub struct Book {
    store: Arc<Store>,
}

/// A declaration as it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
enum StoredWrite {
    /// The first form.
    #[serde(rename = "1")]
    V1(Box<WriteV1>),
}

#[derive(Debug, Serialize, Deserialize)]
struct WriteV1 {
    server: ServerName,
    user: String,
    database: String,
    encryption: Encryption,
    trust: Trust,
    lock_timeout_ms: u64,
    recipients: Vec<String>,
    arguments: Value,
    shape: Shape,
}

impl Book {
    /// The declarations of `store`.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Writes a checked declaration.
    ///
    /// # Errors
    /// The store failed.
    pub async fn declare(&self, declared: Declared) -> Result<(), WriteError> {
        let row = self.row(&declared)?;
        Ok(self.store.run(move |tx| table::put_definition(tx, &row)).await?)
    }

    /// Removes a declaration; true when there was one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn remove(&self, name: &WriteName) -> Result<bool, WriteError> {
        let name = name.clone();
        Ok(self.store.run(move |tx| table::remove_definition(tx, name.as_str())).await?)
    }

    /// The write of that name, if it is declared.
    ///
    /// # Errors
    /// The store failed.
    pub async fn find(&self, name: &WriteName) -> Result<Option<Declared>, WriteError> {
        let wanted = name.clone();
        let row = self.store.run(move |tx| table::definition(tx, wanted.as_str())).await?;
        row.map(|row| self.live(row)).transpose()
    }

    /// Every declared write, by name.
    ///
    /// # Errors
    /// The store failed.
    pub async fn all(&self) -> Result<Vec<Declared>, WriteError> {
        let rows = self.store.run(table::definitions).await?;
        rows.into_iter().map(|row| self.live(row)).collect()
    }

    /// The declaration in a stored row.
    ///
    /// # Errors
    /// The row is of an unknown form, or sealed by another store.
    pub fn live(&self, row: DefinitionRow) -> Result<Declared, WriteError> {
        let form = || StoreError::Form { what: "write" };
        let password = self.store.unseal(&purpose(&row.name), &row.password)?;
        let password = Secret::new(String::from_utf8(password).map_err(|_| form())?);
        let StoredWrite::V1(stored) = serde_json::from_str(&row.declaration).map_err(|_| form())?;
        let connection = ConnectionOptions {
            server: stored.server,
            user: stored.user,
            password,
            database: stored.database,
            encryption: stored.encryption,
            trust: stored.trust,
            lock_timeout: Duration::from_millis(stored.lock_timeout_ms),
        };
        let arguments = stored.arguments.as_map().cloned().ok_or_else(form)?;
        let name = WriteName::new(row.name)?;
        let spec = WriteSpec::assemble(name, connection, stored.recipients, &arguments)?;
        Ok(Declared { spec: WriteSpec { shape: stored.shape, ..spec }, arguments })
    }

    fn row(&self, declared: &Declared) -> Result<DefinitionRow, WriteError> {
        let (spec, connection) = (&declared.spec, &declared.spec.connection);
        let stored = StoredWrite::V1(Box::new(WriteV1 {
            server: connection.server.clone(),
            user: connection.user.clone(),
            database: connection.database.clone(),
            encryption: connection.encryption,
            trust: connection.trust.clone(),
            lock_timeout_ms: u64::try_from(connection.lock_timeout.as_millis()).unwrap_or(u64::MAX),
            recipients: spec.recipients.clone(),
            arguments: Value::Map(declared.arguments.clone()),
            shape: spec.shape.clone(),
        }));
        let name = spec.name.to_string();
        let declaration = serde_json::to_string(&stored).map_err(|_| StoreError::Form { what: "write" })?;
        let password = self.store.seal(&purpose(&name), connection.password.reveal().as_bytes())?;
        Ok(DefinitionRow { name, declaration, password })
    }
}

fn purpose(name: &str) -> String {
    format!("write password {name}")
}
