//! State modules: the functions that a low chunk names, one file per Salt state module name.
//!
//! A state plans first and applies exactly that plan; with [`RunMode::Test`] it stops after the plan and
//! returns what would change. The run's order and requisites are decided in the `states` crate; here one
//! chunk is called and answers one [`StateReturn`].

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};
use tokio_util::sync::CancellationToken;

use crate::services::Services;

mod cmd;
mod file;
mod mssql_database;
mod mssql_grant;
mod mssql_login;
mod mssql_role;
mod mssql_sync;
mod mssql_user;
mod test;

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
    /// Cancelled when the job is killed or the process ends.
    pub cancel: CancellationToken,
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
        Box::new(cmd::Cmd),
        Box::new(file::File),
        Box::new(mssql_database::MssqlDatabase),
        Box::new(mssql_grant::MssqlGrant),
        Box::new(mssql_login::MssqlLogin),
        Box::new(mssql_role::MssqlRole),
        Box::new(mssql_sync::MssqlSync),
        Box::new(mssql_user::MssqlUser),
        Box::new(test::Test),
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
