//! The call of one low chunk's function in a state module.

use std::{sync::Arc, time::Instant};

use states::{Call, LowChunk, RequisiteKind, StateReturn, Timing, Value};
use tokio_util::sync::CancellationToken;

use super::slots;
use crate::{
    services::Services,
    state_modules::{Accumulators, RunMode, StateArgs, StateContext},
};

/// What every call of one run shares.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) services: Arc<Services>,
    pub(super) pillar: Arc<Value>,
    pub(super) grains: Arc<Value>,
    pub(super) low: Arc<Vec<LowChunk>>,
    pub(super) accumulators: Arc<Accumulators>,
    pub(super) cancel: CancellationToken,
}

impl Caller {
    /// Calls the function, and says when and for how long it ran.
    pub(super) async fn call(&self, call: &Call) -> (StateReturn, Timing) {
        let (start, began) = (chrono::Local::now().time(), Instant::now());
        let ret = self.call_function(call).await;
        (ret, Timing { start, duration: began.elapsed() })
    }

    async fn call_function(&self, call: &Call) -> StateReturn {
        let Call { chunk, fun, .. } = call;
        let Some(module) = self.services.state_modules.find(&chunk.state, fun) else {
            return StateReturn::failed(format!("State '{}.{fun}' was not found", chunk.state));
        };
        tracing::debug!(id = chunk.id, state = chunk.state, fun, "state starts");
        let context = StateContext {
            services: Arc::clone(&self.services),
            mode: if call.test { RunMode::Test } else { RunMode::Apply },
            pillar: Arc::clone(&self.pillar),
            grains: Arc::clone(&self.grains),
            low: Arc::clone(&self.low),
            accumulators: Arc::clone(&self.accumulators),
            cancel: self.cancel.clone(),
        };
        let require = chunk.targets(RequisiteKind::Require);
        let require = require.map(|target| (target.state.clone(), target.name.clone())).collect();
        let mut args = StateArgs {
            require,
            name: chunk.name.clone(),
            id: chunk.id.clone(),
            sls: chunk.sls.clone(),
            saltenv: chunk.keywords.get("saltenv").map_or_else(|| chunk.env.clone(), ToString::to_string),
            args: chunk.args.clone(),
        };
        if let Err(error) = slots::fill(&mut args, &context).await {
            return StateReturn::failed(format!("An exception occurred in this state: {error}"));
        }
        let mut ret = module.call(fun, &args, &context).await;
        if args.name != chunk.name {
            ret.extra.entry_or_insert("name", args.name);
        }
        ret
    }
}
