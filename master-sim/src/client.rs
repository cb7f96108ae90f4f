//! The command line's way to the running master: Salt's clear `publish` at the request port, the job cache for returns.
//!
//! Both ends are on one machine and of one user: the root key and the job cache are files only he can read. Who does
//! not return in time is asked with `saltutil.find_job`, as `salt` does, and is waited for as long as he says that he
//! still works.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proto::envelope::{Envelope, EnvelopeError};
use proto::jid::Jid;
use proto::{JobReturn, Map, MinionId, Value};
use tokio::net::TcpStream;
use zeromq::{ReqSocket, Socket, SocketRecv, SocketSend, ZmqError};

use crate::arguments::Invocation;
use crate::config::Config;
use crate::jobs::JobCache;
use crate::secrets::{SecretError, root_key};
use crate::server::Ports;

/// Why a job could not be published.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No root key: no master ran here, or another user's.
    #[error("no master is running with this configuration, or it is another user's")]
    NotRunning(#[source] SecretError),
    /// Nobody listens.
    #[error("no master listens on {address}: is `master-sim serve` running?")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The master listens and does not answer.
    #[error("the master on {address} does not answer")]
    Silent {
        /// Where.
        address: String,
        /// Why, if the socket says.
        source: Option<ZmqError>,
    },
    /// The master's answer cannot be read.
    #[error("the master's answer is malformed")]
    Answer(#[from] EnvelopeError),
    /// The master refuses.
    #[error("the master refused the job: {0}")]
    Refused(String),
}

/// Whom a job is for and how long to wait.
#[derive(Debug, Clone)]
pub struct Order {
    /// What to run.
    pub invocation: Invocation,
    /// The target.
    pub tgt: Value,
    /// Salt's name for its kind.
    pub tgt_type: String,
    /// How long to wait before asking who still works.
    pub timeout: Duration,
}

/// A job that went out.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// `None` when the target means nobody.
    pub jid: Option<Jid>,
    /// Whom it was sent to.
    pub minions: Vec<MinionId>,
    /// Names of a list target that are no accepted minion.
    pub missing: Vec<String>,
}

/// One minion's outcome.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It returned.
    Returned(Box<JobReturn>),
    /// It did not, and does not say that it still works.
    NoResponse,
}

/// A connection to the master of a configuration.
#[derive(Debug)]
pub struct LocalClient {
    address: String,
    key: String,
    jobs: JobCache,
    gather: Duration,
}

impl LocalClient {
    /// Finds the master.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`].
    pub fn new(config: &Config) -> Result<Self, ClientError> {
        let key = root_key(config).map_err(ClientError::NotRunning)?;
        let port = Ports::read(config).map_or(config.ret_port, |ports| ports.ret_port);
        let address = format!("{}:{port}", config.local_interface());
        Ok(Self { address, key, jobs: JobCache::new(config), gather: config.gather_job_timeout })
    }

    /// Publishes a job.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn publish(&self, order: &Order) -> Result<Published, ClientError> {
        let mut load = Map::new();
        load.insert("cmd", "publish");
        load.insert("tgt", order.tgt.clone());
        load.insert("fun", order.invocation.fun.clone());
        load.insert("arg", order.invocation.arg.clone());
        load.insert("key", self.key.as_str());
        load.insert("tgt_type", order.tgt_type.as_str());
        load.insert("jid", "");
        load.insert("ret", "");
        load.insert("user", std::env::var("USER").unwrap_or_else(|_| "root".to_owned()));
        let answer = Envelope::decode(&self.ask(Envelope::clear(load).encode()).await?)?.load;
        if let Some(error) = answer.get("error").and_then(Value::as_str) {
            return Err(ClientError::Refused(error.to_owned()));
        }
        let names = |field| answer.get(field).and_then(Value::as_list).unwrap_or_default().iter();
        Ok(Published {
            jid: answer.get("jid").and_then(Value::as_str).and_then(|jid| jid.parse().ok()),
            minions: names("minions").filter_map(|id| MinionId::parse(id.as_str()?).ok()).collect(),
            missing: names("missing").filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }

    /// Waits for the returns of a job and tells each as it comes, those that did not come at the end.
    ///
    /// # Errors
    /// When the master goes away while it is asked who still works.
    pub async fn returns(
        &self,
        jid: &Jid,
        minions: &[MinionId],
        timeout: Duration,
        mut tell: impl FnMut(&MinionId, Outcome),
    ) -> Result<(), ClientError> {
        let mut pending: BTreeSet<MinionId> = minions.iter().cloned().collect();
        let mut ask_at = Instant::now() + timeout;
        loop {
            self.collect(jid, &mut pending, &mut tell);
            if pending.is_empty() {
                return Ok(());
            }
            if Instant::now() >= ask_at {
                let working = self.working(jid, &mut pending, &mut tell).await?;
                if working.is_disjoint(&pending) {
                    break;
                }
                ask_at = Instant::now() + timeout;
            }
            tokio::time::sleep(LOOK).await;
        }
        self.collect(jid, &mut pending, &mut tell);
        pending.iter().for_each(|id| tell(id, Outcome::NoResponse));
        Ok(())
    }

    /// Tells what has come since the last look.
    fn collect(
        &self,
        jid: &Jid,
        pending: &mut BTreeSet<MinionId>,
        tell: &mut impl FnMut(&MinionId, Outcome),
    ) {
        for id in self.jobs.returned(jid) {
            if !pending.contains(&id) {
                continue;
            }
            if let Some(ret) = self.jobs.of(jid, &id) {
                pending.remove(&id);
                tell(&id, Outcome::Returned(Box::new(ret)));
            }
        }
    }

    /// Asks the pending minions whether they still work on a job; gives those that do.
    async fn working(
        &self,
        jid: &Jid,
        pending: &mut BTreeSet<MinionId>,
        tell: &mut impl FnMut(&MinionId, Outcome),
    ) -> Result<BTreeSet<MinionId>, ClientError> {
        let names = pending.iter().map(MinionId::as_str);
        let order = Order {
            invocation: Invocation { fun: "saltutil.find_job".into(), arg: Value::from_iter([jid.as_str()]) },
            tgt: Value::from_iter(names),
            tgt_type: "list".to_owned(),
            timeout: self.gather,
        };
        let mut working = BTreeSet::new();
        let asked = self.publish(&order).await?;
        let Some(question) = asked.jid else { return Ok(working) };
        let mut silent: BTreeSet<MinionId> = asked.minions.into_iter().collect();
        let until = Instant::now() + self.gather;
        while Instant::now() < until && !silent.is_empty() {
            self.collect(&question, &mut silent, &mut |id, outcome| {
                let Outcome::Returned(ret) = outcome else { return };
                if ret.value.get("jid").is_some() {
                    working.insert(id.clone());
                }
            });
            self.collect(jid, pending, tell);
            silent.retain(|id| pending.contains(id));
            tokio::time::sleep(LOOK).await;
        }
        Ok(working)
    }

    async fn ask(&self, request: Vec<u8>) -> Result<Vec<u8>, ClientError> {
        // The socket would dial on and on; a plain connection tells at once that nobody listens.
        let unreachable = |source| ClientError::Unreachable { address: self.address.clone(), source };
        TcpStream::connect(&self.address).await.map_err(unreachable)?;
        let exchange = async {
            let mut socket = ReqSocket::new();
            socket.connect(&format!("tcp://{}", self.address)).await?;
            socket.send(request.into()).await?;
            socket.recv().await
        };
        let silent = |source| ClientError::Silent { address: self.address.clone(), source };
        let reply = tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| silent(None))?;
        let reply = reply.map_err(|error| silent(Some(error)))?;
        Ok(reply.into_vec().pop().map(Vec::from).unwrap_or_default())
    }
}

/// How often the job cache is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long the master may take to publish.
const PATIENCE: Duration = Duration::from_secs(30);
