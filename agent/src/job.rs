//! Jobs: from a publish to a return that the master took.
//!
//! A publish is matched against this minion, its jid is recorded before anything runs, its function runs as a
//! task of its own, and its return goes through a durable queue. `test.ping`, `saltutil.find_job` and the like
//! are answered without waiting for any other job. Invariants: a jid runs at most once, also across restarts;
//! every accepted jid gets exactly one return; at most one `state.*` run at a time. One kind of job is taken up again after a
//! restart: a write, which its request id makes happen once.
//! Behaviour: `salt/minion.py` (`_handle_decoded_payload`, `_thread_return`) and `salt/utils/minion.py`.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use proto::{Map, Value};
use tokio_util::sync::CancellationToken;

pub mod accept;
pub mod execute;
pub mod missed;
pub mod outcome;
pub mod progress;
pub mod queue;
pub mod redact;
pub mod slot;

#[cfg(test)]
mod tests;

pub use outcome::Outcome;
pub use slot::{Queueing, StateHolder, StateSlot};

/// One published job.
#[derive(Clone, Debug)]
pub struct Job {
    /// The job id, as the master gave it.
    pub jid: String,
    /// What to run.
    pub calls: Calls,
    /// The publish load, echoed in parts by the return.
    pub load: Map,
}

/// The functions of a job with their arguments.
#[derive(Clone, Debug)]
pub enum Calls {
    /// `fun` is a text and `arg` a list.
    One(String, Vec<Value>),
    /// `fun` is a list and `arg` a list of lists.
    Several(Vec<(String, Vec<Value>)>),
}

impl Job {
    /// Reads a publish load. `None` when a required field is missing or of the wrong kind, as Salt drops it.
    #[must_use]
    pub fn from_load(load: Map) -> Option<Self> {
        let jid = load.get("jid")?.as_str().filter(|jid| !jid.is_empty())?.to_owned();
        load.get("tgt")?;
        let arg = load.get("arg")?.as_list()?;
        let calls = match load.get("fun")? {
            Value::Str(fun) => Calls::One(fun.clone(), arg.to_vec()),
            Value::List(funs) => Calls::Several(several(funs, arg)?),
            _ => return None,
        };
        Some(Self { jid, calls, load })
    }

    /// The function's name; several joined by commas.
    #[must_use]
    pub fn fun_text(&self) -> String {
        match &self.calls {
            Calls::One(fun, _) => fun.clone(),
            Calls::Several(calls) => calls.iter().map(|(fun, _)| fun.as_str()).collect::<Vec<_>>().join(","),
        }
    }

    /// The arguments of a job that is one write.
    #[must_use]
    pub fn write(&self) -> Option<&[Value]> {
        match &self.calls {
            Calls::One(fun, args) if fun == redact::SUBMIT => Some(args),
            Calls::One(..) | Calls::Several(_) => None,
        }
    }

    /// Whether the job is answered at once, beside everything that runs, and needs no record: it reads only
    /// memory, and running it twice does no harm.
    #[must_use]
    pub fn is_instant(&self) -> bool {
        matches!(&self.calls, Calls::One(fun, _) if INSTANT.contains(&fun.as_str()))
    }
}

fn several(funs: &[Value], args: &[Value]) -> Option<Vec<(String, Vec<Value>)>> {
    let one = |(index, fun): (usize, &Value)| {
        let args = args.get(index).and_then(Value::as_list).unwrap_or_default();
        Some((fun.as_str()?.to_owned(), args.to_vec()))
    };
    funs.iter().enumerate().map(one).collect()
}

/// The jobs of this process: which run, which jids were seen, and who holds the state slot.
#[derive(Debug, Default)]
pub struct JobTable {
    running: Mutex<BTreeMap<String, RunningJob>>,
    seen: Mutex<Seen>,
    last_heard: Mutex<String>,
    /// At most one state run at a time.
    pub states: StateSlot,
}

/// A job that runs or waits for its turn.
#[derive(Clone, Debug)]
pub struct RunningJob {
    /// What `saltutil.running` shows: the publish load and the process id.
    pub shown: Map,
    /// Cancels it.
    pub cancel: CancellationToken,
}

impl JobTable {
    /// Registers a job and gives its cancellation token; the guard takes it off again.
    #[must_use]
    pub fn register<'t>(
        &'t self,
        job: &Job,
        parent: &CancellationToken,
    ) -> (CancellationToken, Registered<'t>) {
        let cancel = parent.child_token();
        let mut shown: Map = job.load.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        shown.insert("arg", redact::shown_args(job));
        shown.insert("pid", i64::from(std::process::id()));
        self.running().insert(job.jid.clone(), RunningJob { shown, cancel: cancel.clone() });
        (cancel, Registered { table: self, jid: job.jid.clone() })
    }

    /// The jobs that run, oldest jid first.
    #[must_use]
    pub fn snapshot(&self) -> Vec<RunningJob> {
        self.running().values().cloned().collect()
    }

    /// The running job of a jid.
    #[must_use]
    pub fn find(&self, jid: &str) -> Option<RunningJob> {
        self.running().get(jid).cloned()
    }

    /// Notes a jid; `false` when it was noted lately.
    #[must_use]
    pub fn note(&self, jid: &str) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.jids.insert(jid.to_owned()) {
            return false;
        }
        seen.order.push_back(jid.to_owned());
        if seen.order.len() > SEEN_JIDS
            && let Some(oldest) = seen.order.pop_front()
        {
            seen.jids.remove(&oldest);
        }
        true
    }

    /// Notes the jid of a publish, whoever it is for.
    pub fn heard(&self, jid: &str) {
        let mut last = self.last_heard.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_str() < jid {
            jid.clone_into(&mut last);
        }
    }

    /// The newest jid that was published to anybody; empty before the first.
    #[must_use]
    pub fn last_heard(&self) -> String {
        self.last_heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, RunningJob>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a job off the table when it ends, however it ends.
#[derive(Debug)]
pub struct Registered<'t> {
    table: &'t JobTable,
    jid: String,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.table.running().remove(&self.jid);
    }
}

#[derive(Debug, Default)]
struct Seen {
    jids: HashSet<String>,
    order: VecDeque<String>,
}

/// How many jids are refused from memory; older ones are refused by the store.
const SEEN_JIDS: usize = 1000;

/// Functions that read memory only.
const INSTANT: &[&str] = &[
    "saltutil.find_job",
    "saltutil.is_running",
    "saltutil.kill_all_jobs",
    "saltutil.kill_job",
    "saltutil.running",
    "saltutil.signal_job",
    "saltutil.term_all_jobs",
    "saltutil.term_job",
    "test.echo",
    "test.false",
    "test.ping",
    "test.true",
    "test.version",
];
