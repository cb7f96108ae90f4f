//! The running master: two ZeroMQ sockets around [`Master`], and the file that tells command lines where they are.
//!
//! Requests are answered on blocking threads, as many at once as `worker_threads` says; the next is read only when one
//! is free, so a flood waits in the sockets. Replies go back in whatever order they are ready. A minion that vanished
//! meanwhile costs nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use zeromq::{
    Endpoint, PubSocket, RouterRecvHalf, RouterSendHalf, RouterSocket, Socket, SocketRecv, SocketSend,
    ZmqError, ZmqMessage,
};

use crate::config::Config;
use crate::disk;
use crate::master::{Master, MasterError, Publication};
use crate::tasks::Tasks;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port is taken, or the address is not this machine's.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where.
        address: String,
        /// Why.
        source: ZmqError,
    },
    /// Keys or caches.
    #[error("the master cannot be opened")]
    Master(#[from] MasterError),
    /// The file with the ports.
    #[error("cannot write {}", path.display())]
    Ports {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ports {
    /// For publishes.
    pub publish_port: u16,
    /// For requests.
    pub ret_port: u16,
}

impl Ports {
    /// The ports of the server that runs, or ran last, with this configuration.
    pub fn read(config: &Config) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(ports_file(config)).ok()?).ok()
    }

    fn write(self, config: &Config) -> Result<(), ServeError> {
        let path = ports_file(config);
        let text = serde_json::to_vec(&self).unwrap_or_default();
        disk::write(&path, &text).map_err(|source| ServeError::Ports { path, source })
    }
}

/// A started server.
pub struct Server {
    /// Where it listens.
    pub ports: Ports,
    tasks: Tasks,
}

impl Server {
    /// Binds both ports and starts to serve.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        let mut publisher = PubSocket::new();
        let publish_port = bind(&mut publisher, &config.interface, config.publish_port).await?;
        let mut router = RouterSocket::new();
        let ret_port = bind(&mut router, &config.interface, config.ret_port).await?;
        let ports = Ports { publish_port, ret_port };
        let (outbox, publications) = mpsc::channel(PUBLICATIONS);
        let workers = config.worker_threads;
        let master = Arc::new(Master::open(config.clone(), publish_port, outbox)?);
        // Written last: who finds the file finds the root key of this server, too.
        ports.write(&config)?;
        let (replies, requests) = router.split();
        let mut tasks = Tasks::default();
        let token = tasks.token();
        tasks.spawn("publisher", publish(publisher, publications, token.clone()));
        tasks.spawn("maintenance", maintain(Arc::clone(&master), token.clone()));
        tasks.spawn("requests", answer(master, requests, replies, workers, token));
        Ok(Self { ports, tasks })
    }

    /// Ends when `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let token = self.tasks.token();
        tokio::select! {
            () = stop.cancelled() => token.cancel(),
            () = token.cancelled() => tracing::error!("a part of the server ended; the server stops"),
        }
        self.tasks.finish(GRACE).await;
    }
}

async fn bind(socket: &mut impl Socket, interface: &str, port: u16) -> Result<u16, ServeError> {
    let address = format!("tcp://{interface}:{port}");
    match socket.bind(&address).await {
        Ok(Endpoint::Tcp(_, port)) => Ok(port),
        Ok(_) => Ok(port),
        Err(source) => Err(ServeError::Bind { address, source }),
    }
}

async fn publish(
    mut publisher: PubSocket,
    mut publications: mpsc::Receiver<Publication>,
    token: CancellationToken,
) {
    while let Some(Some(publication)) = token.run_until_cancelled(publications.recv()).await {
        let frame = Bytes::from(publication.frame);
        if publication.topics.is_empty() {
            send(&mut publisher, ZmqMessage::from(frame)).await;
            continue;
        }
        for topic in publication.topics {
            let mut message = ZmqMessage::from(topic);
            message.push_back(frame.clone());
            send(&mut publisher, message).await;
        }
    }
}

async fn send(publisher: &mut PubSocket, message: ZmqMessage) {
    if let Err(error) = publisher.send(message).await {
        tracing::error!(%error, "a publish could not be sent");
    }
}

async fn answer(
    master: Arc<Master>,
    mut requests: RouterRecvHalf,
    replies: RouterSendHalf,
    workers: usize,
    token: CancellationToken,
) {
    let free = Arc::new(Semaphore::new(workers));
    let mut working = Tasks::default();
    loop {
        let Some(Ok(worker)) = token.run_until_cancelled(Arc::clone(&free).acquire_owned()).await else {
            break;
        };
        let message = match token.run_until_cancelled(requests.recv()).await {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                tracing::error!(%error, "the request socket failed");
                break;
            }
            None => break,
        };
        let (master, mut replies) = (Arc::clone(&master), replies.clone());
        working.add(async move {
            if let Some(reply) = handle(master, message).await
                && let Err(error) = replies.send(reply).await
            {
                tracing::debug!(%error, "the asker is gone");
            }
            drop(worker);
        });
    }
    working.drain().await;
}

/// The reply to a message: the same envelope frames, then the reply's own.
async fn handle(master: Arc<Master>, message: ZmqMessage) -> Option<ZmqMessage> {
    let mut frames = message.into_vec();
    let payload = frames.pop()?;
    let reply = tokio::task::spawn_blocking(move || master.handle(&payload)).await;
    let reply = reply.unwrap_or_else(|error| {
        tracing::error!(%error, "a request broke its worker");
        proto::msgpack::encode(&"Some exception handling minion payload".into())
    });
    frames.push(reply.into());
    ZmqMessage::try_from(frames).ok()
}

async fn maintain(master: Arc<Master>, token: CancellationToken) {
    let mut beats: u64 = 0;
    while token.run_until_cancelled(tokio::time::sleep(BEAT)).await.is_some() {
        let master = Arc::clone(&master);
        let clean = beats.is_multiple_of(CLEAN_EVERY);
        beats += 1;
        let work = move || {
            master.maintain();
            if clean {
                master.clean();
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "maintenance failed");
        }
    }
}

fn ports_file(config: &Config) -> PathBuf {
    config.cachedir.join(".ports")
}

/// Publishes that wait for the socket before whoever publishes has to.
const PUBLICATIONS: usize = 1000;
/// How often the drop file for a new AES key is looked for.
const BEAT: Duration = Duration::from_millis(500);
/// Beats between two looks for old jobs: an hour.
const CLEAN_EVERY: u64 = 7200;
/// How long running requests may take to end at shutdown.
const GRACE: Duration = Duration::from_secs(10);
