//! One ZMTP connection over TCP: dial, send, receive, heartbeats.
//!
//! The protocol is in [`proto::zmtp`]; here are the socket and the clock. A connection is alive when something came
//! through it lately: a 3.1 peer, as every Salt master is, is pinged when it is silent, and given up when it stays silent,
//! whether it sends heartbeats itself or not. A 3.0 peer cannot be pinged; there TCP's own keepalive stands in.
//! When this machine slept, the peer is doubted: it has [`DOUBT`] to show a sign of life.
//!
//! [`Connection::receive`] may be dropped at any await and called again: nothing is lost and no frame is torn.

use std::time::Duration;

use proto::zmtp::{Config, Engine, Event, ZmtpError};
use socket2::{SockRef, TcpKeepalive};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};

use super::{names::Names, settings::Heartbeat};

/// How long a name lookup, a TCP connect and a handshake may take, each.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// Finds a dead peer that cannot be pinged within 45 seconds. Windows Server 2016 refuses another number of probes than its
/// own ten, so there it takes two minutes.
#[cfg(unix)]
const KEEPALIVE: TcpKeepalive = PROBES.with_retries(3);
#[cfg(not(unix))]
const KEEPALIVE: TcpKeepalive = PROBES;
const PROBES: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(10));
/// How long a doubted peer may take to answer a ping.
const DOUBT: Duration = Duration::from_secs(5);
const READ_BUFFER: usize = 16 << 10;

/// Why a connection could not be made, or ended.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// The name has no address at this moment.
    #[error("the name {host:?} cannot be resolved: {why}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver says.
        why: String,
    },
    /// Nobody listens, or no way leads there.
    #[error("cannot connect to {host}:{port}: {why}")]
    Connect {
        /// The master's name.
        host: String,
        /// The port.
        port: u16,
        /// What the system says of the last address.
        why: String,
    },
    /// Connected, but the peer did not finish the handshake.
    #[error("no ZMTP handshake within {} s: something other than a master may listen there", .0.as_secs())]
    NoHandshake(Duration),
    /// The peer broke the protocol or does not fit.
    #[error(transparent)]
    Protocol(#[from] ZmtpError),
    /// The peer closed.
    #[error("the master closed the connection")]
    Closed,
    /// The socket failed.
    #[error("the connection broke")]
    Socket(#[from] std::io::Error),
    /// Nothing came although the peer was pinged.
    #[error("nothing came through the connection for {} s, not even the answer to a ping", .0.as_secs())]
    Silent(Duration),
    /// The master now publishes elsewhere, or another master took over.
    #[error("the master publishes at another address now")]
    Moved,
    /// This machine slept, and the peer cannot be pinged.
    #[error(
        "this machine slept or its clock was set, and whether the connection outlived that cannot be asked"
    )]
    Doubtful,
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    engine: Engine,
    heartbeat: Heartbeat,
    pings: Pings,
    heard: Instant,
    pinged: Option<Instant>,
    doubted: Option<Instant>,
    unsent: Vec<u8>,
    sent: usize,
    buffer: Box<[u8]>,
}

/// Whether the peer may be pinged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pings {
    Welcome,
    Unwelcome,
}

impl Connection {
    /// Looks the name up, connects to the first address that answers, and shakes hands.
    ///
    /// # Errors
    /// When any step fails or takes too long. No other name or address than the one given is ever tried.
    pub async fn dial(
        address: (&str, u16),
        names: &Names,
        config: Config,
        heartbeat: Heartbeat,
    ) -> Result<Self, ConnectionError> {
        Self::over(connect(address, names).await?, config, heartbeat).await
    }

    /// Shakes hands over a socket that is connected.
    ///
    /// # Errors
    /// When the peer does not fit or does not answer.
    pub async fn over(
        stream: TcpStream,
        config: Config,
        heartbeat: Heartbeat,
    ) -> Result<Self, ConnectionError> {
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE)?;
        let mut connection = Self {
            stream,
            engine: Engine::new(config),
            heartbeat,
            pings: Pings::Unwelcome,
            heard: Instant::now(),
            pinged: None,
            doubted: None,
            unsent: Vec::new(),
            sent: 0,
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
        };
        let patience = STEP_TIMEOUT.min(heartbeat.timeout);
        match timeout(patience, connection.handshake()).await {
            Ok(done) => done.map(|()| connection),
            Err(_elapsed) => Err(ConnectionError::NoHandshake(patience)),
        }
    }

    /// When something came through last.
    pub fn heard(&self) -> Instant {
        self.heard
    }

    /// Asks the peer for a sign of life, to come within [`DOUBT`].
    ///
    /// # Errors
    /// [`ConnectionError::Doubtful`] when the peer cannot be pinged.
    pub fn doubt(&mut self) -> Result<(), ConnectionError> {
        if self.pings == Pings::Unwelcome {
            return Err(ConnectionError::Doubtful);
        }
        self.ping()?;
        self.doubted = Some(Instant::now());
        Ok(())
    }

    /// Queues and writes one message.
    ///
    /// # Errors
    /// When the socket or the peer fails.
    pub async fn send<P: AsRef<[u8]>>(&mut self, parts: &[P]) -> Result<(), ConnectionError> {
        self.engine.send(parts)?;
        self.flush().await
    }

    /// Subscribes to a prefix.
    ///
    /// # Errors
    /// When the socket or the peer fails.
    pub async fn subscribe(&mut self, prefix: &[u8]) -> Result<(), ConnectionError> {
        self.engine.subscribe(prefix)?;
        self.flush().await
    }

    /// Waits for the next message, answering and sending heartbeats meanwhile.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn receive(&mut self) -> Result<Vec<Vec<u8>>, ConnectionError> {
        loop {
            if let Event::Message(parts) = self.event().await? {
                return Ok(parts);
            }
        }
    }

    /// Waits for whatever the peer does next.
    pub(super) async fn event(&mut self) -> Result<Event, ConnectionError> {
        loop {
            match self.engine.poll() {
                Some(event) => return Ok(event),
                None => self.step().await?,
            }
        }
    }

    async fn handshake(&mut self) -> Result<(), ConnectionError> {
        loop {
            if let Some(Event::Handshake(peer)) = self.engine.poll() {
                if peer.version >= proto::zmtp::Version::V3_1 {
                    self.pings = Pings::Welcome;
                }
                return Ok(());
            }
            self.step().await?;
        }
    }

    async fn flush(&mut self) -> Result<(), ConnectionError> {
        self.collect_outgoing();
        while self.sent < self.unsent.len() {
            let written = self.stream.write(&self.unsent[self.sent..]).await?;
            self.count_sent(written)?;
        }
        Ok(())
    }

    /// Reads or writes what is ready, or minds the heartbeat.
    async fn step(&mut self) -> Result<(), ConnectionError> {
        self.collect_outgoing();
        let deadline = self.next_beat();
        let (mut reader, mut writer) = self.stream.split();
        tokio::select! {
            read = reader.read(&mut self.buffer) => {
                let read = read?;
                if read == 0 {
                    return Err(ConnectionError::Closed);
                }
                self.heard = Instant::now();
                self.doubted = None;
                self.engine.receive(&self.buffer[..read])?;
            }
            written = writer.write(&self.unsent[self.sent..]), if self.sent < self.unsent.len() => {
                let written = written?;
                self.count_sent(written)?;
            }
            () = sleep_until(deadline), if self.pings == Pings::Welcome => self.beat()?,
        }
        Ok(())
    }

    fn collect_outgoing(&mut self) {
        if self.sent == self.unsent.len() {
            self.unsent = self.engine.outgoing();
            self.sent = 0;
        } else {
            self.unsent.extend(self.engine.outgoing());
        }
    }

    fn count_sent(&mut self, written: usize) -> Result<(), ConnectionError> {
        self.sent += written;
        if written == 0 { Err(ConnectionError::Closed) } else { Ok(()) }
    }

    fn next_beat(&self) -> Instant {
        let last = self.pinged.map_or(self.heard, |pinged| pinged.max(self.heard));
        (last + self.heartbeat.interval).min(self.given_up().0)
    }

    /// When the peer counts as dead unless something comes, and the silence that this is.
    fn given_up(&self) -> (Instant, Duration) {
        let by_silence = (self.heard + self.heartbeat.timeout, self.heartbeat.timeout);
        match self.doubted {
            Some(since) if since + DOUBT < by_silence.0 => (since + DOUBT, DOUBT),
            Some(_) | None => by_silence,
        }
    }

    fn beat(&mut self) -> Result<(), ConnectionError> {
        let (given_up, silence) = self.given_up();
        if Instant::now() >= given_up {
            return Err(ConnectionError::Silent(silence));
        }
        self.ping()
    }

    fn ping(&mut self) -> Result<(), ConnectionError> {
        let ttl = self.heartbeat.timeout.as_millis() / 100;
        self.engine.ping(u16::try_from(ttl).unwrap_or(u16::MAX), b"")?;
        self.pinged = Some(Instant::now());
        Ok(())
    }
}

/// Tries every address that the name has at this moment, in the resolver's order.
async fn connect((host, port): (&str, u16), names: &Names) -> Result<TcpStream, ConnectionError> {
    let unresolved = |why: String| ConnectionError::Resolve { host: host.to_owned(), why };
    let addresses = match timeout(STEP_TIMEOUT, names.look_up(host, port)).await {
        Ok(found) => found.map_err(|error| unresolved(error.to_string()))?,
        Err(_elapsed) => return Err(unresolved(format!("no answer within {} s", STEP_TIMEOUT.as_secs()))),
    };
    let mut why = "it has no address".to_owned();
    for address in addresses {
        match timeout(STEP_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => why = format!("{address}: {error}"),
            Err(_elapsed) => why = format!("{address}: no answer within {} s", STEP_TIMEOUT.as_secs()),
        }
    }
    Err(ConnectionError::Connect { host: host.to_owned(), port, why })
}
