//! State modules: the functions that a low chunk names, one file per Salt state module name.
//!
//! A state plans first and applies exactly that plan; with [`RunMode::Test`] it stops after the plan and
//! returns what would change. The run's order and requisites are decided in the `states` crate; here one
//! chunk is called and answers one [`StateReturn`].

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::BoxFuture;
use states::{LowChunk, Map, StateReturn, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    modules::{CallContext, ModuleError},
    services::Services,
};

mod agent_release;
mod archive;
mod cmd;
mod environ;
mod event;
mod file;
mod grains;
mod http;
mod module;
mod mssql_database;
mod mssql_grant;
mod mssql_login;
mod mssql_role;
mod mssql_schema;
mod mssql_sync;
mod mssql_user;
mod mssql_write;
#[cfg(any(windows, test))]
pub mod reg;
mod schedule;
mod service;
mod test;
#[cfg(any(windows, test))]
pub mod win_defender;
#[cfg(any(windows, test))]
pub mod win_firewall;

pub use file::Accumulators;

/// Whether a state may change anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RunMode {
    /// Make the system so.
    Apply,
    /// Say what would change, and change nothing (`test=True`).
    Test,
}

/// The arguments of one low chunk.
#[derive(Clone, Debug)]
pub struct StateArgs {
    /// `name`, after `names` and the id were considered.
    pub name: String,
    /// `__id__`.
    pub id: String,
    /// `__sls__`.
    pub sls: String,
    /// `__env__`.
    pub saltenv: String,
    /// Everything else the chunk gives to the function.
    pub args: Map,
    /// What `require` names, as state module and ID or name.
    pub require: Vec<(String, String)>,
}

impl StateArgs {
    /// An argument that is there and not nothing.
    #[must_use]
    pub fn given(&self, key: &str) -> Option<&Value> {
        self.args.get(key).filter(|value| !value.is_nil())
    }

    /// An argument's truth, as Python sees it.
    #[must_use]
    pub fn flag(&self, key: &str, default: bool) -> bool {
        self.given(key).map_or(default, Value::is_truthy)
    }

    /// An argument as text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        self.given(key).map(ToString::to_string)
    }
}

/// What a state function sees of its run.
pub struct StateContext {
    /// The process' shared parts.
    pub services: Arc<Services>,
    /// Apply or test.
    pub mode: RunMode,
    /// The pillar of this run.
    pub pillar: Arc<Value>,
    /// The grains of this run.
    pub grains: Arc<Value>,
    /// Every chunk of the run.
    pub low: Arc<Vec<LowChunk>>,
    /// What `file.accumulated` gathered in the run.
    pub accumulators: Arc<Accumulators>,
    /// Cancelled when the job is killed or the process ends.
    pub cancel: CancellationToken,
}

impl StateContext {
    /// Calls an execution module function, as Salt's states do.
    ///
    /// # Errors
    /// What the function refused with.
    pub async fn execute(&self, fun: &str, args: Vec<Value>, kwargs: Map) -> Result<Value, ModuleError> {
        let call = CallContext::new(Arc::clone(&self.services), self.cancel.clone())
            .with_pillar(Arc::clone(&self.pillar));
        self.services.modules.call(fun, args, kwargs, &call).await
    }

    /// Whether there is such an execution module function.
    #[must_use]
    pub fn offers(&self, fun: &str) -> bool {
        self.services.modules.find(fun).is_some()
    }
}

/// A Salt state module.
pub trait StateModule: Send + Sync {
    /// The name before the dot.
    fn name(&self) -> &'static str;

    /// The functions it offers; `mod_watch` among them when it reacts to a watch.
    fn functions(&self) -> &'static [&'static str];

    /// Calls a function that [`StateModule::functions`] lists.
    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn>;
}

/// The state modules that are built in.
#[must_use]
pub fn built_in() -> Vec<Box<dyn StateModule>> {
    vec![
        Box::new(agent_release::AgentRelease),
        Box::new(archive::Archive),
        Box::new(cmd::Cmd),
        Box::new(environ::Environ),
        Box::new(event::Event),
        Box::new(file::File),
        Box::new(grains::Grains),
        Box::new(http::Http),
        Box::new(module::ModuleState),
        Box::new(mssql_database::MssqlDatabase),
        Box::new(mssql_grant::MssqlGrant),
        Box::new(mssql_login::MssqlLogin),
        Box::new(mssql_role::MssqlRole),
        Box::new(mssql_schema::MssqlSchema),
        Box::new(mssql_sync::MssqlSync),
        Box::new(mssql_user::MssqlUser),
        Box::new(mssql_write::MssqlWrite),
        #[cfg(windows)]
        Box::new(reg::Reg(crate::registry::System)),
        Box::new(schedule::Schedule),
        Box::new(service::Service),
        Box::new(test::Test),
        #[cfg(windows)]
        Box::new(win_defender::WinDefender),
        #[cfg(windows)]
        Box::new(win_firewall::WinFirewall),
    ]
}

/// Every state module of the process, by name.
pub struct StateModuleTable {
    modules: BTreeMap<&'static str, Box<dyn StateModule>>,
}

impl StateModuleTable {
    /// A table of the given modules; a later one of the same name replaces an earlier one.
    #[must_use]
    pub fn new(modules: Vec<Box<dyn StateModule>>) -> Self {
        Self { modules: modules.into_iter().map(|module| (module.name(), module)).collect() }
    }

    /// The modules, sorted by name.
    pub fn modules(&self) -> impl Iterator<Item = &dyn StateModule> {
        self.modules.values().map(AsRef::as_ref)
    }

    /// The module that offers `state.fun`.
    #[must_use]
    pub fn find(&self, state: &str, fun: &str) -> Option<&dyn StateModule> {
        let module = self.modules.get(state)?;
        module.functions().contains(&fun).then_some(module.as_ref())
    }
}
