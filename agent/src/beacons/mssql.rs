//! The `mssql` beacon: whether SQL Server can be reached and lets the agent in.
//!
//! Connection settings are those of the `mssql` module, given to the beacon or in the configuration and the pillar;
//! `onchangeonly`, `delay` and `emitatstartup` mean what they mean to the `service` beacon. An event has the server, whether it
//! was reached, how long that took and, when not, the reason; never a password.

use std::{sync::Arc, time::Instant};

use states::{Map, Value};

use super::{kind::Memory, service::is_told};
use crate::{
    mssql::{Session, SqlError, arguments::OptionSources},
    services::Services,
};

pub(super) async fn look(
    config: &Map,
    memory: &mut Memory,
    services: &Arc<Services>,
) -> Result<Vec<Map>, String> {
    let pillar = services.pillar.current();
    let own: Map = config
        .iter()
        .filter(|(key, _)| !key.as_str().is_some_and(|key| NOT_CONNECTION.contains(&key)))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let sources = OptionSources { arguments: &own, opts: &services.config.opts, pillar: &pillar, taken: &[] };
    let options = sources.connection().map_err(|error| error.to_string())?;
    let (begun, server) = (Instant::now(), options.server.to_string());
    let reached = reach(&options).await;
    let milliseconds = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    if !is_told(&server, reached.is_ok(), config, memory, Instant::now()) {
        return Ok(Vec::new());
    }
    let mut event: Map = [
        ("server", Value::from(server)),
        ("reachable", reached.is_ok().into()),
        ("milliseconds", milliseconds.into()),
    ]
    .into_iter()
    .collect();
    if let Err(error) = reached {
        event.insert("error", error.to_string());
    }
    Ok(vec![event])
}

async fn reach(options: &crate::mssql::ConnectionOptions) -> Result<(), SqlError> {
    let mut session = Session::connect(options).await?;
    session.batch("SELECT 1").await?;
    session.close().await;
    Ok(())
}

const NOT_CONNECTION: &[&str] = &[
    "interval",
    "enabled",
    "beacon_module",
    "run_once",
    "disable_during_state_run",
    "onchangeonly",
    "delay",
    "emitatstartup",
];
