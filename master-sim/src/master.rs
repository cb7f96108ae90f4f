//! The master itself, without sockets: one message in, its one reply out, publishes into a queue.
//!
//! Shared by all workers. What a minion may see is decided by its id, which [`proto::serve`] has proven by session key
//! and token before anything here runs. Every message gets a reply, because a minion's socket waits for it: what
//! cannot be read gets Salt's words for it, an unknown `cmd` the empty map under the session key.

mod authenticate;
mod clear;
mod mine;
mod publish;
mod requests;

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use proto::auth::MasterIdentity;
use proto::publish::PublishWriter;
use proto::serve::{Incoming, Refusal};
use proto::{Crypticle, Event, KeyError, Map, MinionId, SigningAlgorithm, Value, msgpack};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::events::EventLog;
use crate::file_server::FileServer;
use crate::jobs::{JobCache, JobError};
use crate::minion_cache::MinionCache;
use crate::pillar::PillarCompiler;
use crate::pki::{Pki, PkiError};
use crate::secrets::{SecretError, Sessions, make_root_key, take_rotation_request};

/// One publish on its way out.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The topics of `zmq_filtering`: one copy for each. Empty when it is off.
    pub topics: Vec<String>,
    /// The message.
    pub frame: Vec<u8>,
}

/// Why the master could not do what was asked. The asker hears Salt's words, the log the reason.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// Keys on disk.
    #[error("the key folders cannot be used")]
    Pki(#[from] PkiError),
    /// Sessions or root key.
    #[error("the master's secrets cannot be used")]
    Secret(#[from] SecretError),
    /// An RSA operation.
    #[error("a key cannot be used")]
    Key(#[from] KeyError),
    /// The job cache.
    #[error("the job cache cannot be used")]
    Job(#[from] JobError),
    /// The publisher is gone: the master is stopping.
    #[error("the publisher has stopped")]
    Stopping,
}

/// The master.
pub struct Master {
    config: Config,
    pki: Pki,
    identity: MasterIdentity,
    sessions: Sessions,
    jobs: JobCache,
    events: EventLog,
    cache: MinionCache,
    files: FileServer,
    pillar: PillarCompiler,
    root_key: String,
    publish_port: u16,
    publishing: Mutex<Publishing>,
}

/// What only one publish at a time may touch.
struct Publishing {
    aes: Crypticle,
    writer: PublishWriter,
    since: SystemTime,
    outbox: mpsc::Sender<Publication>,
    last_jid: String,
}

impl Master {
    /// Reads or makes keys and opens the caches. `publish_port` is the one that is really listened on.
    ///
    /// # Errors
    /// See [`MasterError`].
    pub fn open(
        config: Config,
        publish_port: u16,
        outbox: mpsc::Sender<Publication>,
    ) -> Result<Self, MasterError> {
        let mut rng = rand::thread_rng();
        let pki = Pki::open(&config.pki_dir)?;
        crate::pki::private_folder(&config.cachedir)?;
        let key = pki.master_key(config.keysize, &mut rng)?;
        let identity = MasterIdentity { public_key: key.public_key()?, key, signer: None };
        let aes = Crypticle::generate(&mut rng);
        let publishing = Publishing {
            writer: PublishWriter::new(aes.clone(), SigningAlgorithm::default()),
            aes,
            since: SystemTime::now(),
            outbox,
            last_jid: String::new(),
        };
        take_rotation_request(&config);
        Ok(Self {
            sessions: Sessions::new(&config),
            jobs: JobCache::new(&config),
            events: EventLog::new(&config),
            cache: MinionCache::new(&config),
            files: FileServer::new(config.file_roots.clone()),
            pillar: PillarCompiler::new(&config),
            root_key: make_root_key(&config, &mut rng)?,
            publishing: Mutex::new(publishing),
            pki,
            identity,
            publish_port,
            config,
        })
    }

    /// Answers one message of the request port. May block: on the disk, on RSA, on a full outbox.
    pub fn handle(&self, message: &[u8]) -> Vec<u8> {
        match Incoming::decode(message) {
            Ok(Incoming::Clear(load)) => self.clear(&load),
            Ok(Incoming::Sealed(sealed)) => self.sealed(sealed).unwrap_or_else(|refusal| refuse(&refusal)),
            Err(refusal) => refuse(&refusal),
        }
    }

    /// What is due now and then: a new AES key, old jobs.
    pub fn maintain(&self) {
        let asked = take_rotation_request(&self.config);
        let old = crate::secrets::is_older(self.lock_publishing().since, self.config.publish_session);
        if asked || old {
            self.rotate();
        }
    }

    /// Forgets old jobs.
    pub fn clean(&self) {
        self.jobs.clean();
    }

    fn rotate(&self) {
        let aes = Crypticle::generate(&mut rand::thread_rng());
        {
            let mut publishing = self.lock_publishing();
            publishing.writer = PublishWriter::new(aes.clone(), SigningAlgorithm::default());
            publishing.aes = aes;
            publishing.since = SystemTime::now();
        }
        tracing::info!("a new AES key is in use");
        if self.config.ping_on_rotate {
            self.ping_all();
        }
    }

    fn fire(&self, tag: impl Into<String>, data: Map) {
        self.events.fire(&Event { tag: tag.into(), data: data.into() });
    }

    /// Reports what went wrong and gives Salt's words for it.
    fn failed(&self, id: &MinionId, what: &str, error: &MasterError) -> Vec<u8> {
        let chain = error_chain(error);
        tracing::error!(minion = %id, request = what, error = chain, "a request could not be served");
        msgpack::encode(&"Some exception handling minion payload".into())
    }

    fn lock_publishing(&self) -> std::sync::MutexGuard<'_, Publishing> {
        self.publishing.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn refuse(refusal: &Refusal) -> Vec<u8> {
    // A rotated session key is everyday life; anything else deserves a look.
    match refusal {
        Refusal::Session { id } => tracing::info!(minion = %id, "a request is under an old session key"),
        Refusal::Envelope(_) | Refusal::Version { .. } | Refusal::Enc { .. } | Refusal::Load => {
            tracing::warn!(%refusal, "a message was refused");
        }
        Refusal::Field { .. } | Refusal::IdMismatch { .. } | Refusal::Token { .. } => {
            tracing::warn!(%refusal, "a message was refused");
        }
    }
    refusal.reply()
}

pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn seconds_since_epoch() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn text<'a>(load: &'a Map, field: &str) -> Option<&'a str> {
    load.get(field).and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
