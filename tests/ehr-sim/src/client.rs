//! A connection to a served simulator, for the commands that work on one from outside.

use thiserror::Error;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

/// Where to log in, and as whom.
#[derive(Clone)]
pub struct ConnectOptions {
    /// Server address.
    pub host: String,
    /// Server port.
    pub port: u16,
    /// Login.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Database to start in.
    pub database: String,
    /// How much of the connection is encrypted; the certificate is trusted unseen.
    pub encryption: EncryptionLevel,
}

impl std::fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, user, database, .. } = self;
        write!(f, "ConnectOptions({user}@{host}:{port}/{database})")
    }
}

/// A logged-in connection.
pub type Connection = Client<Compat<TcpStream>>;

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The server cannot be reached.
    #[error("cannot connect to {host}:{port}")]
    Reach {
        /// Address asked for.
        host: String,
        /// Port asked for.
        port: u16,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The server refused the login.
    #[error("the server refused the login")]
    Login(#[source] tiberius::error::Error),
}

/// Logs in as a program of that name.
pub async fn connect(options: &ConnectOptions, program: &str) -> Result<Connection, ConnectError> {
    // Two providers are in the tree; a second call finds the first one's choice, which is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ConnectOptions { host, port, .. } = options;
    let mut config = Config::new();
    config.host(host);
    config.port(*port);
    config.database(&options.database);
    config.application_name(program);
    config.authentication(AuthMethod::sql_server(&options.user, &options.password));
    config.encryption(options.encryption);
    config.trust_cert();
    let socket = TcpStream::connect((host.as_str(), *port)).await.and_then(|socket| {
        socket.set_nodelay(true)?;
        Ok(socket)
    });
    let socket = socket.map_err(|source| ConnectError::Reach { host: host.clone(), port: *port, source })?;
    Client::connect(config, socket.compat_write()).await.map_err(ConnectError::Login)
}
