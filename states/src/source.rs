//! What compilation reads: files of a saltenv, execution modules for templates, and the context that
//! templates see. The caller implements the traits; they are synchronous, so a caller with an
//! asynchronous file client bridges (for instance on a blocking thread).

use std::sync::Arc;

use crate::{Map, StateFunctions, Value};

/// The file server as templates and SLS files see it.
pub trait Files: Send + Sync {
    /// The content of `salt://path` in a saltenv; `None` when there is no such file.
    fn read(&self, saltenv: &str, path: &str) -> Result<Option<Vec<u8>>, FileError>;

    /// Every file path of a saltenv, relative to its root, with forward slashes.
    fn list(&self, saltenv: &str) -> Result<Vec<String>, FileError>;

    /// The saltenvs the file server offers.
    fn envs(&self) -> Result<Vec<String>, FileError>;
}

/// Why the file server could not answer (a missing file is not an error).
#[derive(Debug, Clone, thiserror::Error)]
#[error("the file server could not give salt://{path}: {reason}")]
pub struct FileError {
    /// The path that was asked for.
    pub path: String,
    /// What went wrong, in the words of whoever failed.
    pub reason: String,
}

/// Execution modules as templates call them: `salt['mod.fun'](...)`.
pub trait Functions: Send + Sync {
    /// Calls an execution module function.
    fn call(&self, fun: &str, args: Vec<Value>, kwargs: Map) -> Result<Value, FunctionError>;

    /// Whether there is a function of this name.
    fn exists(&self, fun: &str) -> bool;
}

/// Why an execution module function gave no value.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FunctionError {
    /// No function of this name.
    #[error("'{0}' is not available.")]
    NotFound(String),
    /// The function refused or failed; the text is what the operator sees.
    #[error("{0}")]
    Failed(String),
}

/// The Salt series whose behaviour is followed where series differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Series {
    /// 3006 LTS.
    V3006,
    /// 3007.
    V3007,
    /// 3008.
    #[default]
    V3008,
}

/// What templates see and what compilation follows.
#[derive(Debug, Clone, Default)]
pub struct RenderContext {
    /// The minion's grains.
    pub grains: Value,
    /// The pillar, already compiled by the master (with any override merged in).
    pub pillar: Value,
    /// The minion's configuration; `id`, `test`, `renderer`, `state_top`, `env_order`,
    /// `default_top`, `top_file_merging_strategy`, `jinja_env`, `jinja_sls_env`,
    /// `allow_undefined` are read from here when there.
    pub opts: Value,
    /// The saltenv that was asked for; `None` means `base` for SLS lists and every saltenv
    /// for a highstate.
    pub saltenv: Option<String>,
    /// Which series to follow.
    pub series: Series,
    /// What filters of chance draw from.
    pub seed: u64,
}

/// Whether a target expression of a top file names this minion: the expression, and its kind in Salt's
/// words (`compound`, `glob`, `pcre`, `grain`, `grain_pcre`, `list`, `pillar`, `ipcidr` …).
pub type Matcher = dyn Fn(&Value, &str) -> bool + Send + Sync;

/// Where compilation reads from.
#[derive(Clone)]
pub struct Sources {
    /// The file server.
    pub files: Arc<dyn Files>,
    /// The execution modules.
    pub functions: Arc<dyn Functions>,
    /// The state modules: which functions there are decides what `watch` means.
    pub states: Arc<dyn StateFunctions>,
    /// Top file matching.
    pub matcher: Arc<Matcher>,
}

/// What is to be compiled.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Everything the top file assigns to this minion.
    Highstate {
        /// SLS names and `{id: ..}`/`{sls: ..}` maps to leave out, as `state.highstate exclude=` takes.
        exclude: Vec<Value>,
    },
    /// The named SLS files.
    Sls {
        /// SLS names, dotted; globs allowed.
        mods: Vec<String>,
        /// What to leave out, as `state.sls exclude=` takes.
        exclude: Vec<Value>,
    },
    /// One state: `state.single fun name key=value`.
    Single {
        /// `module.function`.
        fun: String,
        /// The state's name, also its ID.
        name: String,
        /// Its arguments and requisites.
        kwargs: Map,
    },
    /// High data given as it is: `state.high`.
    High(Map),
    /// An SLS text given as it is: `state.template_str`.
    Template(String),
}
