//! The request channel: a small pool of lock-step request sockets to one master.
//!
//! A socket carries one request at a time and announces no identity: a master hands the route of an identity over to
//! the newest socket that claims it. A request that got no answer in time costs its socket, because a late answer
//! could not be told from the next one; so does a caller that no longer waits.
//!
//! Each socket is a task, so that pings are answered while it is idle. A second request on a socket that the master
//! closed meanwhile is sent once more on a fresh one.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use proto::zmtp::{Config, SocketType};
use thiserror::Error;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    connection::{Connection, ConnectionError},
    names::Names,
    settings::{Heartbeat, MasterAddress},
};
use crate::tasks::Tasks;

/// Requests in flight at once.
const SOCKETS_MAX: usize = 8;
/// Sockets kept open between requests.
const IDLE_MAX: usize = 2;

/// How long a socket waits for work once the process is shutting down.
const IDLE_AT_THE_END: Duration = Duration::from_millis(100);

/// Why a request got no reply.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// No connection to the master.
    #[error(transparent)]
    Dial(ConnectionError),
    /// The connection ended before the reply came.
    #[error("the request was sent, but {0}")]
    Lost(String),
    /// The master took the request, or at least the bytes, and did not answer.
    #[error("the master did not answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The process ends.
    #[error("the agent is shutting down")]
    ShuttingDown,
}

/// Whether the same request may reach the master twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Twice is as good as once.
    Allowed,
    /// It must not, so it goes over a socket of its own and is not sent again.
    Forbidden,
}

/// The pool.
pub struct Requests {
    tasks: Tasks,
    heartbeat: Heartbeat,
    names: Names,
    permits: Semaphore,
    idle: Mutex<Vec<Socket>>,
}

/// A connected socket, owned by its task.
struct Socket {
    master: MasterAddress,
    exchanges: mpsc::Sender<Exchange>,
}

struct Exchange {
    payload: Vec<u8>,
    reply: oneshot::Sender<Result<Vec<u8>, String>>,
}

impl Requests {
    /// An empty pool.
    pub fn new(tasks: Tasks, heartbeat: Heartbeat, names: Names) -> Self {
        let (permits, idle) = (Semaphore::new(SOCKETS_MAX), Mutex::default());
        Self { tasks, heartbeat, names, permits, idle }
    }

    /// Closes the sockets that wait for work: they may be dead.
    pub fn forget_idle(&self) {
        self.lock_idle().clear();
    }

    /// Sends one request and waits up to `patience` for its reply.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn exchange(
        &self,
        master: &MasterAddress,
        payload: &[u8],
        patience: Duration,
        repeat: Repeat,
    ) -> Result<Vec<u8>, ExchangeError> {
        let _permit = self.permits.acquire().await.map_err(|_closed| ExchangeError::ShuttingDown)?;
        // A socket that dies with the request may have delivered it.
        let idle = if repeat == Repeat::Allowed { self.take_idle(master) } else { None };
        if let Some(socket) = idle {
            match self.exchange_on(socket, payload, patience).await {
                Err(ExchangeError::Lost(why)) => {
                    tracing::debug!(%master, why, "an idle request socket was dead")
                }
                done => return done,
            }
        }
        let socket = self.dial(master).await?;
        self.exchange_on(socket, payload, patience).await
    }

    async fn exchange_on(
        &self,
        socket: Socket,
        payload: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, ExchangeError> {
        let (reply, answer) = oneshot::channel();
        let gone = || ExchangeError::Lost("the socket was closed".to_owned());
        socket.exchanges.send(Exchange { payload: payload.to_vec(), reply }).await.map_err(|_gone| gone())?;
        match timeout(patience, answer).await {
            Ok(Ok(Ok(bytes))) => {
                self.put_idle(socket);
                Ok(bytes)
            }
            Ok(Ok(Err(why))) => Err(ExchangeError::Lost(why)),
            Ok(Err(_dropped)) => Err(gone()),
            Err(_elapsed) => Err(ExchangeError::Timeout(patience)),
        }
    }

    async fn dial(&self, master: &MasterAddress) -> Result<Socket, ExchangeError> {
        let (address, config) = ((master.host(), master.port()), Config::new(SocketType::Req));
        let connection = Connection::dial(address, &self.names, config, self.heartbeat).await;
        let connection = connection.map_err(ExchangeError::Dial)?;
        let (exchanges, requests) = mpsc::channel(1);
        self.tasks.spawn("request socket", serve(connection, requests, self.tasks.token()));
        Ok(Socket { master: master.clone(), exchanges })
    }

    fn take_idle(&self, master: &MasterAddress) -> Option<Socket> {
        let mut idle = self.lock_idle();
        idle.retain(|socket| !socket.exchanges.is_closed() && socket.master == *master);
        idle.pop()
    }

    fn put_idle(&self, socket: Socket) {
        let mut idle = self.lock_idle();
        if idle.len() < IDLE_MAX && !self.tasks.token().is_cancelled() {
            idle.push(socket);
        }
    }

    fn lock_idle(&self) -> MutexGuard<'_, Vec<Socket>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs one socket until its handle is dropped or the connection ends.
async fn serve(
    mut connection: Connection,
    mut requests: mpsc::Receiver<Exchange>,
    shutdown: CancellationToken,
) {
    // Returns are flushed while the process shuts down, so a socket in use outlives the token.
    let idle_at_the_end = || async {
        shutdown.cancelled().await;
        sleep(IDLE_AT_THE_END).await;
    };
    loop {
        let exchange = tokio::select! {
            exchange = requests.recv() => exchange,
            unasked = connection.receive() => {
                if let Err(error) = unasked {
                    tracing::debug!(%error, "an idle request socket ended");
                }
                return;
            }
            () = idle_at_the_end() => return,
        };
        let Some(Exchange { payload, mut reply }) = exchange else { return };
        let answer = tokio::select! {
            answer = ask(&mut connection, &payload) => answer,
            () = reply.closed() => return,
        };
        let broken = answer.is_err();
        let _ = reply.send(answer.map_err(|error| error.to_string()));
        if broken {
            return;
        }
    }
}

/// One request and its reply, with the empty part that a REQ socket puts before each.
async fn ask(connection: &mut Connection, payload: &[u8]) -> Result<Vec<u8>, ConnectionError> {
    connection.send(&[b"", payload]).await?;
    let mut parts = connection.receive().await?;
    parts.pop().ok_or(ConnectionError::Closed)
}
