//! Grains of SQL Server and of the EHR that keeps its data there: `sql_server` and `ehr`.
//!
//! They need a connection, so they are asked for beside everything else, and only when the configuration or the pillar names a
//! server or a login. What cannot be had leaves the last answer standing: a server that sleeps at night loses no grains.

use std::sync::Arc;

use states::{Map, Value};

use crate::{
    mssql::{Session, SqlError, arguments::OptionSources, param},
    services::Services,
};

/// Asks the server; `None` where none is configured.
pub(super) async fn gather(services: &Arc<Services>) -> Option<Result<Map, SqlError>> {
    let pillar = services.pillar.current();
    let opts = &services.config.opts;
    let named = |key: &str| opts.get(key).or_else(|| pillar.get(key)).is_some_and(Value::is_truthy);
    if !["mssql.server", "mssql.user"].into_iter().any(named) {
        return None;
    }
    let none = Map::new();
    let sources = OptionSources { arguments: &none, opts, pillar: &pillar, taken: &[] };
    let options = match sources.connection() {
        Ok(options) => options,
        Err(error) => return Some(Err(SqlError::Protocol { reason: error.to_string() })),
    };
    Some(ask(&options).await)
}

async fn ask(options: &crate::mssql::ConnectionOptions) -> Result<Map, SqlError> {
    let mut session = Session::connect(options).await?;
    let rows = session.batch(FACTS).await?.into_iter().next().unwrap_or_default();
    let databases =
        session.batch("SELECT name FROM sys.databases").await?.into_iter().next().unwrap_or_default();
    session.close().await;
    let mut server: Map = [("server", options.server.to_string())].into_iter().collect();
    for row in &rows {
        for (column, cell) in row.cells() {
            server.insert(column.name(), param::text(cell).map_or(Value::Nil, Value::Str));
        }
    }
    let names: Vec<String> = databases
        .iter()
        .filter_map(|row| row.cells().next().and_then(|(_, cell)| param::text(cell)))
        .collect();
    let mut grains: Map = [("sql_server", server)].into_iter().collect();
    grains.insert("ehr", products(&names));
    Ok(grains)
}

/// The EHR products whose database is on the instance.
fn products(databases: &[String]) -> Vec<Value> {
    let held = |name: &str| databases.iter().any(|database| database.eq_ignore_ascii_case(name));
    let mut found: Vec<&str> =
        PRODUCTS.iter().filter(|(database, _)| held(database)).map(|(_, ehr)| *ehr).collect();
    found.dedup();
    found.into_iter().map(Value::from).collect()
}

const FACTS: &str = "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)) AS version, \
    CAST(SERVERPROPERTY('ProductLevel') AS nvarchar(128)) AS level, \
    CAST(SERVERPROPERTY('Edition') AS nvarchar(128)) AS edition, \
    CAST(SERVERPROPERTY('InstanceName') AS nvarchar(128)) AS instance";

/// Databases that tell an EHR product.
const PRODUCTS: [(&str, &str); 4] = [
    ("Dentrix", "dentrix_enterprise"),
    ("DolphinPlatform", "dolphin"),
    ("Main_OMS", "dolphin"),
    ("OrthoTrac", "orthotrac"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_ehr_by_its_database() {
        let names = |list: &[&str]| products(&list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["master", "main_oms", "DolphinPlatform"]), [Value::from("dolphin")]);
        assert_eq!(names(&["Dentrix", "OrthoTrac"]), ["dentrix_enterprise", "orthotrac"].map(Value::from));
        assert!(names(&["master"]).is_empty());
    }
}
