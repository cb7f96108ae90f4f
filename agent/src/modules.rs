//! Execution modules: the functions that a job, a template or `agent call` can name.
//!
//! One file per Salt module name below `modules/`. A module declares its functions with Salt's own
//! signature as text ([`FunctionSpec`]); arguments are bound to it the way Python would, so `sys.argspec`,
//! `sys.doc` and the refusal of wrong arguments come from the same line. [`ModuleTable`] finds
//! `module.function` and calls it; what goes wrong becomes Salt's own text through [`ModuleError`].
//! Behaviour: Salt's `salt/minion.py` (`_thread_return`) and `salt/utils/args.py`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::SystemTime,
};

use futures_util::future::BoxFuture;
use states::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::services::Services;

mod agent;
pub mod arguments;
mod beacons;
pub(crate) mod cmd;
mod config;
mod cp;
mod data;
mod defaults;
mod environ;
pub mod error;
mod event;
mod file;
#[cfg(any(windows, test))]
pub mod firewall;
mod grains;
mod hashutil;
mod http;
pub mod lookup;
mod matching;
mod mine;
mod mssql;
mod mssql_grant;
pub(crate) mod mssql_schema;
mod mssql_sync;
pub(crate) mod mssql_write;
mod pillar;
#[cfg(any(windows, test))]
pub mod reg;
mod saltutil;
mod schedule;
#[cfg(not(windows))]
mod service;
pub mod signature;
mod slsutil;
mod state;
mod status;
mod sys;
mod test;
#[cfg(any(windows, test))]
pub mod win_service;

pub use arguments::Arguments;
pub use error::ModuleError;
pub(crate) use grains::merged as merge_maps;
pub use signature::{Param, Signature};

/// One function of a module, as `sys.doc` and `sys.argspec` show it.
#[derive(Clone, Copy, Debug)]
pub struct FunctionSpec {
    /// The function's name without the module: `get_file`.
    pub name: &'static str,
    /// The parameters in Python's notation: `path, dest, saltenv=None, makedirs=False, **kwargs`.
    pub signature: &'static str,
    /// What it does, for `sys.doc`.
    pub doc: &'static str,
}

/// A Salt execution module.
pub trait Module: Send + Sync {
    /// The name before the dot.
    fn name(&self) -> &'static str;

    /// The functions it offers.
    fn functions(&self) -> &'static [FunctionSpec];

    /// Calls a function that [`Module::functions`] lists, with arguments bound to its signature.
    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>>;
}

/// What a function sees of the job that called it.
pub struct CallContext {
    /// The process' shared parts.
    pub services: Arc<Services>,
    /// The job id; `None` for a call from a template or the command line.
    pub jid: Option<String>,
    /// The publish load's fields, handed to `**kwargs` functions as `__pub_*`.
    pub publish: Map,
    /// When the job was accepted; a job that is taken up again after a restart keeps its moment.
    pub accepted: Option<SystemTime>,
    /// Cancelled when the job is killed or the process ends.
    pub cancel: CancellationToken,
    pillar: Option<Arc<Value>>,
    retcode: AtomicI64,
}

impl CallContext {
    /// A context without a job.
    #[must_use]
    pub fn new(services: Arc<Services>, cancel: CancellationToken) -> Self {
        Self {
            services,
            jid: None,
            publish: Map::new(),
            accepted: None,
            cancel,
            pillar: None,
            retcode: AtomicI64::new(0),
        }
    }

    /// The context of a published job.
    #[must_use]
    pub fn of_job(mut self, jid: &str, publish: Map) -> Self {
        self.jid = Some(jid.to_owned());
        self.publish = publish;
        self
    }

    /// A context whose pillar functions see this pillar, not the one in memory.
    #[must_use]
    pub fn with_pillar(mut self, pillar: Arc<Value>) -> Self {
        self.pillar = Some(pillar);
        self
    }

    /// The pillar that functions read.
    #[must_use]
    pub fn pillar(&self) -> Arc<Value> {
        self.pillar.clone().unwrap_or_else(|| self.services.pillar.current())
    }

    /// Sets the job's retcode, as `__context__['retcode']` does in Salt.
    pub fn set_retcode(&self, retcode: i64) {
        self.retcode.store(retcode, Ordering::Relaxed);
    }

    /// The retcode that the function set; 0 when it set none.
    #[must_use]
    pub fn retcode(&self) -> i64 {
        self.retcode.load(Ordering::Relaxed)
    }
}

/// The modules that are built in.
#[must_use]
pub fn built_in() -> Vec<Box<dyn Module>> {
    vec![
        Box::new(agent::Agent),
        Box::new(beacons::Beacons),
        Box::new(cmd::Cmd),
        Box::new(config::Config),
        Box::new(cp::Cp),
        Box::new(data::Data),
        Box::new(defaults::Defaults),
        Box::new(environ::Environ),
        Box::new(event::Event),
        Box::new(file::File),
        #[cfg(windows)]
        Box::new(firewall::Firewall),
        Box::new(grains::Grains),
        Box::new(hashutil::Hashutil),
        Box::new(http::Http),
        Box::new(matching::Match),
        Box::new(mine::Mine),
        Box::new(mssql::Mssql),
        Box::new(mssql_grant::MssqlGrant),
        Box::new(mssql_schema::MssqlSchema),
        Box::new(mssql_sync::MssqlSync),
        Box::new(mssql_write::MssqlWrite),
        Box::new(pillar::Pillar),
        #[cfg(windows)]
        Box::new(reg::Reg(crate::registry::System)),
        Box::new(saltutil::Saltutil),
        Box::new(schedule::Schedule),
        #[cfg(not(windows))]
        Box::new(service::Service),
        #[cfg(windows)]
        Box::new(win_service::WinService(Arc::new(crate::win_service::System))),
        Box::new(slsutil::Slsutil),
        Box::new(state::State),
        Box::new(status::Status),
        Box::new(sys::Sys),
        Box::new(test::Test),
    ]
}

/// Every module of the process, by name.
pub struct ModuleTable {
    modules: BTreeMap<&'static str, Box<dyn Module>>,
}

impl ModuleTable {
    /// A table of the given modules; a later one of the same name replaces an earlier one.
    #[must_use]
    pub fn new(modules: Vec<Box<dyn Module>>) -> Self {
        Self { modules: modules.into_iter().map(|module| (module.name(), module)).collect() }
    }

    /// The modules, sorted by name.
    pub fn modules(&self) -> impl Iterator<Item = &dyn Module> {
        self.modules.values().map(AsRef::as_ref)
    }

    /// The module and the function's declaration for `module.function`.
    #[must_use]
    pub fn find(&self, fun: &str) -> Option<(&dyn Module, &'static FunctionSpec)> {
        let (module, function) = fun.split_once('.')?;
        let module = self.modules.get(module)?;
        let spec = module.functions().iter().find(|spec| spec.name == function)?;
        Some((module.as_ref(), spec))
    }

    /// Binds the arguments and calls `module.function`.
    ///
    /// # Errors
    /// [`ModuleError::NotAvailable`] for an unknown name, [`ModuleError::Arguments`] for arguments that do
    /// not fit, and whatever the function itself reports.
    pub async fn call(
        &self,
        fun: &str,
        positional: Vec<Value>,
        keywords: Map,
        call: &CallContext,
    ) -> Result<Value, ModuleError> {
        let Some((module, spec)) = self.find(fun) else {
            return Err(ModuleError::NotAvailable { fun: fun.to_owned() });
        };
        let signature = Signature::parse(spec.signature);
        let args = signature.bind(spec.name, positional, keywords)?;
        module.call(spec.name, args, call).await
    }
}
