//! One connection to SQL Server.
//!
//! A session is used by one statement at a time. After an error of the connection, or when a future of it was dropped,
//! it must be thrown away: [`Session::is_usable`] says so. Every wait has an end (connect, login, each answer).

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Once;
use std::task::Poll;
use std::time::Duration;

use futures_util::Stream;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel, Query, QueryStream, Row};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use super::options::{ConnectionOptions, Encryption, Endpoint, Trust};
use super::wire::sent::{Sent, canonical};
use super::wire::{RowsOf, Wire, tls};
use super::{SqlError, browser};
use rows::RowBlock;

pub use super::param::Param;

/// The rows of one result.
pub type Rows = Vec<Row>;

/// A logged-in connection with the agent's session settings.
#[derive(Debug)]
pub struct Session {
    client: Client<Compat<Wire>>,
    rows: RowsOf,
    server: Option<SocketAddr>,
    sent: Sent,
    broken: bool,
}

impl Session {
    /// Connects, logs in and sets lock timeout, deadlock priority and isolation level.
    ///
    /// # Errors
    /// The server cannot be reached, TLS fails, or the login is refused (with its number and state).
    pub async fn connect(options: &ConnectionOptions) -> Result<Self, SqlError> {
        install_crypto_provider();
        let (host, port) = (options.server.host.as_str(), port(options).await?);
        let unreachable =
            |reason: String| SqlError::Unreachable { server: options.server.to_string(), reason };
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port)))
            .await
            .map_err(|_| unreachable(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())))?
            .map_err(|error| unreachable(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
        let rows = RowsOf::default();
        let server = stream.peer_addr().ok().map(canonical);
        let sent = Sent::to(server);
        let wire = match options.encryption {
            Encryption::Required => {
                let encrypted = timeout(CONNECT_TIMEOUT, tls::encrypt(stream, host, &options.trust)).await;
                let (stream, prelogin) = encrypted.map_err(|_| handshake_timed_out())??;
                Wire::encrypted(stream, prelogin, rows.clone(), sent.clone())
            }
            Encryption::Login | Encryption::Off => Wire::plain(stream, rows.clone(), sent.clone()),
        };
        let client = Client::connect(config(options, port), wire.compat_write()).await;
        let client = client.map_err(|error| SqlError::of_connect(error, options.encryption))?;
        let mut session = Self { client, rows, server, sent, broken: false };
        session.batch(&settings(options)).await?;
        Ok(session)
    }

    /// Runs a batch without parameters and gives its results.
    ///
    /// # Errors
    /// The server's error, or a broken connection.
    pub async fn batch(&mut self, sql: &str) -> Result<Vec<Rows>, SqlError> {
        let done = match self.client.simple_query(sql).await {
            Ok(stream) => stream.into_results().await,
            Err(error) => Err(error),
        };
        self.noted(done)
    }

    /// Runs one statement with parameters `@P1 …` and gives the rows of its first result.
    ///
    /// # Errors
    /// The server's error, or a broken connection.
    pub async fn query(&mut self, sql: &str, params: &[Param]) -> Result<Rows, SqlError> {
        let done = match bound(sql, params).query(&mut self.client).await {
            Ok(stream) => stream.into_first_result().await,
            Err(error) => Err(error),
        };
        self.noted(done)
    }

    /// Runs statements with parameters `@P1 …` and gives the rows of the last result: a trigger may answer before it.
    ///
    /// # Errors
    /// The server's error, or a broken connection.
    pub async fn last(&mut self, sql: &str, params: &[Param]) -> Result<Rows, SqlError> {
        let done = match bound(sql, params).query(&mut self.client).await {
            Ok(stream) => stream.into_results().await,
            Err(error) => Err(error),
        };
        Ok(self.noted(done)?.pop().unwrap_or_default())
    }

    /// Runs one statement with parameters and streams its rows; the caller reads it to the end or drops the session.
    ///
    /// # Errors
    /// The server's error, or a broken connection.
    pub async fn stream<'s>(&'s mut self, sql: &str, params: &[Param]) -> Result<RowStream<'s>, SqlError> {
        self.broken = true;
        self.rows.expect();
        let stream = bound(sql, params).query(&mut self.client).await?;
        Ok(RowStream { stream, rows: self.rows.clone(), is_over: false })
    }

    /// Says that a stream was read to its end, so that the session may go on.
    pub fn stream_ended(&mut self) {
        self.broken = false;
    }

    /// The address by which the server is known; nothing where the system does not say.
    pub fn server(&self) -> Option<SocketAddr> {
        self.server
    }

    /// How many packets this process has sent to the server, over all its sessions.
    pub fn packets_sent(&self) -> u64 {
        self.sent.packets()
    }

    /// False after a broken connection or an abandoned stream.
    pub fn is_usable(&self) -> bool {
        !self.broken
    }

    /// Has the server stop the statement whose future was dropped (TDS attention), and closes. A server that does not
    /// confirm it in time learns of it by the end of the connection.
    pub async fn interrupt(mut self) {
        self.rows.let_go();
        if !matches!(timeout(CLOSE_TIMEOUT, self.client.cancel_query()).await, Ok(Ok(()))) {
            tracing::debug!("the server did not confirm that it stopped the statement");
        }
        self.close().await;
    }

    /// Says goodbye. Dropping a session does as well, less politely.
    pub async fn close(self) {
        drop(timeout(CLOSE_TIMEOUT, self.client.close()).await);
    }

    fn noted<T>(&mut self, done: tiberius::Result<T>) -> Result<T, SqlError> {
        done.map_err(|error| {
            let error = SqlError::from(error);
            self.broken = error.number().is_none();
            error
        })
    }
}

/// The rows of one statement.
pub struct RowStream<'s> {
    stream: QueryStream<'s>,
    rows: RowsOf,
    is_over: bool,
}

impl RowStream<'_> {
    /// Puts some of the rows that come next into `rows`, in their order and in the place of what was there; false after the last.
    ///
    /// # Errors
    /// The server's error, or a broken connection.
    pub async fn next(&mut self, rows: &mut RowBlock) -> Result<bool, SqlError> {
        poll_fn(|cx| {
            while !self.is_over {
                if self.rows.fetch_many(rows) {
                    return Poll::Ready(Ok(true));
                }
                match Pin::new(&mut self.stream).poll_next(cx) {
                    Poll::Ready(Some(item)) => {
                        if let Some(row) = item?.into_row() {
                            self.rows.push(row.into_iter());
                        }
                    }
                    Poll::Ready(None) => self.is_over = true,
                    Poll::Pending if self.rows.is_full() => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
            self.rows.fetch(rows);
            Poll::Ready(Ok(!rows.is_empty()))
        })
        .await
    }
}

fn handshake_timed_out() -> SqlError {
    SqlError::TimedOut { what: "handshake", seconds: CONNECT_TIMEOUT.as_secs() }
}

fn bound<'q>(sql: &'q str, params: &[Param]) -> Query<'q> {
    let mut query = Query::new(sql);
    query.bind_iter(params.iter().cloned());
    query
}

async fn port(options: &ConnectionOptions) -> Result<u16, SqlError> {
    match &options.server.endpoint {
        Endpoint::Port(port) => Ok(*port),
        Endpoint::Instance(instance) => browser::port_of(&options.server.host, instance)
            .await
            .map_err(|reason| SqlError::Unreachable { server: options.server.to_string(), reason }),
    }
}

fn config(options: &ConnectionOptions, port: u16) -> Config {
    let mut config = Config::new();
    config.host(&options.server.host);
    config.port(port);
    if !options.database.is_empty() {
        config.database(&options.database);
    }
    config.application_name(PROGRAM_NAME);
    config.authentication(AuthMethod::sql_server(&options.user, options.password.reveal()));
    config.encryption(match options.encryption {
        // Agreed on below, see `wire`.
        Encryption::Required => EncryptionLevel::NotSupported,
        Encryption::Login => EncryptionLevel::Off,
        Encryption::Off => EncryptionLevel::NotSupported,
    });
    match &options.trust {
        Trust::System => {}
        Trust::Ca(path) => config.trust_cert_ca(path.display()),
        Trust::Anyone => config.trust_cert(),
    }
    config.packet_size(PACKET_SIZE);
    config.handshake_timeout(Some(CONNECT_TIMEOUT));
    // Of rows that it never sees it would think that nothing comes; `wire` has a limit of its own.
    config.command_timeout(None);
    config
}

fn settings(options: &ConnectionOptions) -> String {
    format!(
        "SET LOCK_TIMEOUT {}; SET DEADLOCK_PRIORITY LOW; SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
        options.lock_timeout.as_millis()
    )
}

/// Two rustls providers are in the dependency tree; the process uses `ring`.
fn install_crypto_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// `program_name` in `sys.dm_exec_sessions`, by which a DBA knows the agent.
pub const PROGRAM_NAME: &str = "NexHealth agent";
const PACKET_SIZE: u32 = 16_384;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
