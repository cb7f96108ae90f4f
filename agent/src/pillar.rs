//! The pillar: asked from the master with this minion's grains, or compiled from local roots.
//!
//! The `_pillar` request carries the grains, which is also what makes the master's grain and pillar targeting
//! see this minion. Errors that the master found arrive in the pillar's `_errors`. Local compilation (`--local`)
//! is a state compilation without low data: the top file of `pillar_roots`, SLS files rendered and merged.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::sync::Arc;

use proto::Value as WireValue;
use states::{Map, Value};
use thiserror::Error;

use crate::{channel::LinkError, services::Services};

mod local;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct PillarRequest {
    /// The saltenv, when one was named.
    pub saltenv: Option<String>,
    /// The pillarenv, when one was named.
    pub pillarenv: Option<String>,
    /// Values merged over what the master has (`pillar=` of a state run).
    pub overlay: Map,
}

/// Why there is no pillar.
#[derive(Debug, Error)]
pub enum PillarError {
    /// The master could not be asked, or refused.
    #[error("the pillar could not be had from the master: {0}")]
    Link(#[from] LinkError),
    /// The master sent something that is not a mapping.
    #[error("the master's pillar is not a mapping")]
    Kind,
    /// The local roots could not be read.
    #[error("the local pillar could not be compiled: {0}")]
    Local(String),
}

/// Compiles the pillar anew, without keeping it.
///
/// # Errors
/// See [`PillarError`].
pub async fn compile(services: &Arc<Services>, request: PillarRequest) -> Result<Value, PillarError> {
    let grains = services.grains_ready().await;
    if services.config.local {
        return local::compile(services, &grains, request).await;
    }
    let config = &services.config;
    let text = |given: Option<String>, key: &str| match given.or_else(|| config.str_opt(key)) {
        Some(text) => WireValue::from(text),
        None => WireValue::Nil,
    };
    let mut load = proto::Map::new();
    load.insert("grains", proto::to_value(&*grains));
    load.insert("saltenv", text(request.saltenv, "saltenv"));
    load.insert("pillarenv", text(request.pillarenv, "pillarenv"));
    load.insert("pillar_override", proto::to_value(&Value::Map(request.overlay)));
    load.insert("extra_minion_data", proto::Map::new());
    load.insert("ver", "2");
    match services.link.pillar(load).await? {
        pillar @ WireValue::Map(_) => Ok(states::to_value(&pillar)),
        _ => Err(PillarError::Kind),
    }
}

/// Compiles the pillar and keeps it as the one in memory.
///
/// # Errors
/// See [`PillarError`]; the pillar in memory stays as it was.
pub async fn refresh(services: &Arc<Services>) -> Result<Arc<Value>, PillarError> {
    let pillar = compile(services, PillarRequest::default()).await?;
    if let Some(errors) = pillar.get("_errors").and_then(Value::as_list).filter(|errors| !errors.is_empty()) {
        tracing::warn!(count = errors.len(), "the master could not render all of the pillar; see its log");
    }
    services.schedule.take_pillar(&pillar);
    services.beacons.take_pillar(&pillar);
    Ok(services.pillar.replace(pillar))
}
