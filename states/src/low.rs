//! Low data: one chunk per state function to call, in the order of the run.
//!
//! Salt describes it in `doc/ref/states/layers.rst`. A chunk's arguments and its requisites are kept
//! apart here; `LowChunk::to_value` gives the single mapping that `state.show_low_sls` shows.

use crate::{Map, Value};

/// One call of a state function.
#[derive(Debug, Clone, PartialEq)]
pub struct LowChunk {
    /// The state module, `file`.
    pub state: String,
    /// Its function, `managed`.
    pub fun: String,
    /// The `name` argument; the ID when none was given.
    pub name: String,
    /// The ID declaration, `__id__`.
    pub id: String,
    /// The SLS it was declared in, `__sls__`; empty for a single state.
    pub sls: String,
    /// The saltenv it was declared in, `__env__`.
    pub env: String,
    /// Its place in the order.
    pub order: Order,
    /// What the state function gets, `name` apart: no requisites, no keywords of the runner.
    pub args: Map,
    /// The requisites, in the order they were declared.
    pub requisites: Vec<Requisite>,
    /// Keywords the runner acts on: `failhard`, `onlyif`, `unless`, `creates`, `check_cmd`, `retry`,
    /// `fire_event`, `parallel`, `reload_*`, `runas`, `umask`, `__sls_included_from__` …
    pub keywords: Map,
}

impl LowChunk {
    /// The key of the chunk's return: `state_|-id_|-name_|-fun`.
    pub fn tag(&self) -> String {
        format!("{}_|-{}_|-{}_|-{}", self.state, self.id, self.name, self.fun)
    }

    /// Whether the state runs beside the others.
    pub fn is_parallel(&self) -> bool {
        self.keywords.get("parallel").is_some_and(Value::is_truthy)
    }

    /// Whether its return is masked (`no_log`).
    pub fn is_secret(&self) -> bool {
        self.keywords.get("no_log").is_some_and(Value::is_truthy)
    }

    /// `module.function`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.state, self.fun)
    }

    /// The single mapping Salt keeps a chunk in.
    pub fn to_map(&self) -> Map {
        let mut map = Map::from_iter([("state", &*self.state), ("name", &*self.name)]);
        for (key, value) in [("__sls__", &self.sls), ("__env__", &self.env), ("__id__", &self.id)] {
            if !value.is_empty() {
                map.insert(key, value.as_str());
            }
        }
        map.extend(self.keywords.clone());
        if let Some(name) = map.remove(crate::compile::BAD_NAME) {
            map.insert("name", name);
        }
        map.extend(self.args.clone());
        for requisite in &self.requisites {
            let targets = requisite.targets.iter().map(Target::to_value).collect();
            map.insert(requisite.kind.name(), Value::List(targets));
        }
        map.insert("order", self.order);
        map.insert("fun", self.fun.as_str());
        map
    }

    /// The requisites of one kind.
    pub fn targets(&self, kind: RequisiteKind) -> impl Iterator<Item = &Target> {
        self.requisites.iter().filter(move |requisite| requisite.kind == kind).flat_map(|r| &r.targets)
    }
}

/// A place in the order: whole for declared chunks, with a fraction for the items of `names`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Order(pub f64);

impl From<Order> for Value {
    fn from(order: Order) -> Value {
        if order.0.fract() == 0.0 { Value::Int(order.0 as i64) } else { Value::Float(order.0) }
    }
}

/// One requisite statement of a chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Requisite {
    /// Which requisite.
    pub kind: RequisiteKind,
    /// What it names.
    pub targets: Vec<Target>,
}

/// One line of a requisite, `- file: /etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// A state module, or `id`, or `sls`.
    pub state: String,
    /// An ID, a name, an SLS, or a glob of those.
    pub name: String,
}

impl Target {
    /// As it was written: `{file: /etc/hosts}`, or the ID alone.
    fn to_value(&self) -> Value {
        if self.state == "id" {
            return Value::from(self.name.as_str());
        }
        Value::Map(Map::from_iter([(self.state.as_str(), self.name.as_str())]))
    }
}

/// The requisites Salt knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RequisiteKind {
    /// All must have succeeded.
    Require,
    /// One must have succeeded.
    RequireAny,
    /// All must have succeeded; changes call `mod_watch`.
    Watch,
    /// One must have succeeded; changes call `mod_watch`.
    WatchAny,
    /// Runs when one of them changed.
    Onchanges,
    /// Runs when any of them changed, even when others failed.
    OnchangesAny,
    /// Runs when one of them failed.
    Onfail,
    /// Runs when any of them failed.
    OnfailAny,
    /// Runs when all of them failed.
    OnfailAll,
    /// Runs before the target when the target would change.
    Prereq,
    /// The other side of `prereq`, added by compilation.
    Prerequired,
    /// Calls `mod_watch` at the end of the run when the target changed.
    Listen,
}

impl RequisiteKind {
    /// Every kind.
    pub const ALL: [RequisiteKind; 12] = [
        RequisiteKind::Require,
        RequisiteKind::RequireAny,
        RequisiteKind::Watch,
        RequisiteKind::WatchAny,
        RequisiteKind::Onchanges,
        RequisiteKind::OnchangesAny,
        RequisiteKind::Onfail,
        RequisiteKind::OnfailAny,
        RequisiteKind::OnfailAll,
        RequisiteKind::Prereq,
        RequisiteKind::Prerequired,
        RequisiteKind::Listen,
    ];

    /// Salt's name.
    pub fn name(self) -> &'static str {
        match self {
            RequisiteKind::Require => "require",
            RequisiteKind::RequireAny => "require_any",
            RequisiteKind::Watch => "watch",
            RequisiteKind::WatchAny => "watch_any",
            RequisiteKind::Onchanges => "onchanges",
            RequisiteKind::OnchangesAny => "onchanges_any",
            RequisiteKind::Onfail => "onfail",
            RequisiteKind::OnfailAny => "onfail_any",
            RequisiteKind::OnfailAll => "onfail_all",
            RequisiteKind::Prereq => "prereq",
            RequisiteKind::Prerequired => "prerequired",
            RequisiteKind::Listen => "listen",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<RequisiteKind> {
        RequisiteKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// An ordered low state, ready to run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LowState {
    /// The chunks.
    pub chunks: Vec<LowChunk>,
    /// Why there is nothing to run, when a highstate found no SLS for this minion: the run
    /// answers with Salt's `no_|-states_|-states_|-None` return.
    pub nothing: Option<String>,
    /// The order in which chunks are looked at; a `prereq` target is looked at twice.
    pub(crate) sequence: Vec<Visit>,
    /// What each chunk depends on.
    pub(crate) dependencies: Vec<Vec<Dependency>>,
    /// What the dry run of each chunk depends on, for targets of `prereq`.
    pub(crate) dry_dependencies: Vec<Vec<Dependency>>,
    /// Requisites of each chunk whose target does not exist.
    pub(crate) missing: Vec<Vec<(RequisiteKind, Target)>>,
    /// Chunks that the grain `state_runs_disabled` keeps from running, with the pattern that names them.
    pub(crate) disabled: Vec<(LowChunk, String)>,
    /// Every SLS that was rendered.
    pub(crate) rendered: Vec<String>,
}

/// One look at a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) chunk: usize,
    /// Whether it is the dry run of a `prereq`.
    pub(crate) dry: bool,
}

/// A chunk that another depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) kind: RequisiteKind,
    pub(crate) chunk: usize,
}

impl LowState {
    /// The chunks in the order of the run, as `state.show_low_sls` lists them.
    pub fn in_order(&self) -> impl Iterator<Item = &LowChunk> {
        self.sequence.iter().filter(|visit| !visit.dry).map(|visit| &self.chunks[visit.chunk])
    }

    /// Leaves the run with the chunks of one ID; what they require is still called. Whether there is such an ID.
    pub fn keep_id(&mut self, id: &str) -> bool {
        let chunks = &self.chunks;
        self.sequence.retain(|visit| chunks[visit.chunk].id == id);
        !self.sequence.is_empty()
    }

    /// The list that `state.show_low_sls` and `state.show_lowstate` return.
    pub fn to_value(&self) -> Value {
        Value::List(self.in_order().map(|chunk| Value::Map(chunk.to_map())).collect())
    }
}
