//! The listening server: accepts connections, gives each its own task, and ends them all when it is told to stop.
//!
//! This file and [`connection`] are the only ones that spawn. Every connection task is owned by [`Server::run`]; every
//! request runs on a blocking thread its connection waits for, or cancels when it goes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::tds::prelogin::TlsMode;
use backend::Backend;
use browser::{Browser, Instance};
use tls::{CertificateError, ServerTls};

pub mod backend;
pub mod browser;
mod connection;
mod login;
pub mod tls;

/// Where and how to listen.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Address to bind.
    pub host: String,
    /// Port to bind; 0 takes a free one.
    pub port: u16,
    /// Encryption offered or insisted on.
    pub tls: TlsMode,
    /// `@@SERVERNAME`, named in every message; `HOST\INSTANCE` names an instance.
    pub server_name: String,
    /// UDP port that answers where the instance listens; 0 takes a free one.
    pub browser_port: Option<u16>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 0,
            tls: TlsMode::Login,
            server_name: "EHRSIM".into(),
            browser_port: None,
        }
    }
}

/// Why the server does not listen.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address cannot be bound.
    #[error("cannot listen on {host}:{port}")]
    Bind {
        /// Address asked for.
        host: String,
        /// Port asked for.
        port: u16,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// There is no certificate to encrypt with.
    #[error("cannot offer TLS")]
    Certificate(#[from] CertificateError),
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    browser: Option<Browser>,
    shared: Arc<Shared>,
    restarts: mpsc::Receiver<Duration>,
}

/// What every connection uses.
pub(crate) struct Shared {
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) mode: TlsMode,
    pub(crate) server_name: Arc<str>,
}

impl Server {
    /// Binds the address and makes a certificate unless TLS is off.
    pub async fn bind(backend: impl Backend, options: ServerOptions) -> Result<Self, ServerError> {
        let ServerOptions { host, port, tls: mode, server_name, browser_port } = options;
        let tls = match mode {
            TlsMode::Off => None,
            TlsMode::Login | TlsMode::On => {
                Some(ServerTls::self_signed(certificate_names(&host, &server_name))?)
            }
        };
        let fail = |port| {
            let host = host.clone();
            move |source| ServerError::Bind { host, port, source }
        };
        let listener = TcpListener::bind((host.as_str(), port)).await.map_err(fail(port))?;
        let address = listener.local_addr().map_err(fail(port))?;
        let browser = match browser_port {
            Some(port) => {
                let (server, name) = browser::instance_name(&server_name);
                let instance = Instance { server: server.into(), name: name.into(), port: address.port() };
                Some(Browser::bind(&host, port, instance).await.map_err(fail(port))?)
            }
            None => None,
        };
        let shared =
            Arc::new(Shared { backend: Box::new(backend), tls, mode, server_name: Arc::from(server_name) });
        // A restart asked for while one is waiting is the same restart.
        let (ask, restarts) = mpsc::channel(1);
        shared.backend.on_restart(Box::new(move |down| {
            let _ = ask.try_send(down);
        }));
        Ok(Self { listener, address, browser, shared, restarts })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The address its browser answers on.
    pub fn browser_addr(&self) -> Option<SocketAddr> {
        self.browser.as_ref().and_then(|browser| browser.local_addr().ok())
    }

    /// Its certificate, for clients that trust exactly this server.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.shared.tls.as_ref().map(ServerTls::certificate)
    }

    /// Serves until `stop` is ready, then ends every connection.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let Self { mut listener, address, browser, shared, mut restarts } = self;
        let mut services = JoinSet::new();
        if let Some(browser) = browser {
            services.spawn(browser.run());
        }
        loop {
            let mut connections = JoinSet::new();
            let down = tokio::select! {
                () = &mut stop => None,
                down = accept(&listener, &shared, &mut connections, &mut restarts) => Some(down),
            };
            // First the door, so that nobody comes in while the others leave.
            drop(listener);
            connections.shutdown().await;
            let Some(down) = down else { break };
            let again = restart(address, shared.clone(), down);
            listener = tokio::select! {
                () = &mut stop => break,
                listener = again => match listener {
                    Ok(listener) => listener,
                    Err(error) => {
                        tracing::error!(%error, %address, "cannot listen again after a restart");
                        break;
                    }
                },
            };
        }
        services.shutdown().await;
    }
}

/// Accepts connections until a restart is asked for; answers how long to stay down.
async fn accept(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    connections: &mut JoinSet<()>,
    restarts: &mut mpsc::Receiver<Duration>,
) -> Duration {
    loop {
        tokio::select! {
            Some(down) = restarts.recv() => return down,
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    connections.spawn(serve(socket, peer, shared.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Keeps the port, so that nobody else takes it, but refuses clients until the time is over.
async fn restart(address: SocketAddr, shared: Arc<Shared>, down: Duration) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    tracing::info!(?down, "restarting");
    let ended = tokio::task::spawn_blocking(move || shared.backend.restart());
    ended.await.map_err(io::Error::other)?;
    tokio::time::sleep(down).await;
    socket.listen(BACKLOG)
}

async fn serve(socket: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    match connection::serve(socket, peer, shared).await {
        Ok(()) => tracing::debug!(%peer, "connection closed"),
        Err(error) => tracing::info!(%peer, %error, "connection ended"),
    }
}

fn certificate_names(host: &str, server_name: &str) -> Vec<String> {
    let mut names = vec![host.to_owned(), "localhost".to_owned()];
    if !names.iter().any(|name| name.eq_ignore_ascii_case(server_name)) && server_name.is_ascii() {
        names.push(server_name.replace('\\', "-"));
    }
    names
}

const BACKLOG: u32 = 1024;
/// Out of sockets, accepting fails at once again and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
