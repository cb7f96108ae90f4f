//! ZMTP 3.1 over a byte stream, as a state machine without a socket or a clock.
//!
//! Owns greeting, NULL mechanism, READY, frames, subscriptions and heartbeats for one connection: bytes go in
//! through [`Engine::receive`], [`Event`]s come out of [`Engine::poll`], and what must be written comes out of
//! [`Engine::outgoing`]. Peers that greet as 3.0 are spoken to in 3.0's subscription form.
//!
//! Refuses to decide when to ping, when a silent peer is dead, or when to redial: the caller has the clock.
//!
//! Invariants: every PING is answered by a PONG with its context; a PING is sent only to a peer that greeted 3.1
//! (older peers may close on it); nothing is buffered past the limits in [`Limits`]; after one error the engine
//! stays failed.
//!
//! Specified by ZMTP 3.1 (RFC 37/ZMTP) and 3.0 (RFC 23/ZMTP). Observed beside the text: libzmq sends PING to 3.0
//! peers too, so PINGs are answered whatever the peer greeted.

mod command;
mod frame;
mod greeting;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use command::Command;
use frame::{Decoded, Frame, FrameKind};
pub use greeting::Version;
use greeting::{GREETING_LEN, encode_greeting, parse_greeting};

/// What went wrong on a connection. All but [`NotReady`](Self::NotReady), [`PeerTooOld`](Self::PeerTooOld) and
/// [`MessageRefused`](Self::MessageRefused) are the peer's fault, and end the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZmtpError {
    /// The first bytes are not a ZMTP greeting: something else listens on that port.
    #[error("peer does not speak ZMTP (its first bytes are no ZMTP greeting)")]
    NotZmtp,
    /// The peer speaks ZMTP 1 or 2.
    #[error("peer speaks ZMTP {0}, at least 3.0 is needed")]
    OldVersion(u8),
    /// The peer demands a security mechanism other than NULL.
    #[error("peer demands ZMTP mechanism {0:?}, only NULL is spoken")]
    Mechanism(String),
    /// The peer's socket type cannot talk to ours.
    #[error("peer is a {theirs} socket, which does not fit our {ours} socket (wrong port?)")]
    IncompatibleSocket {
        /// Socket type of this side.
        ours: SocketType,
        /// Socket type that the peer announced.
        theirs: SocketType,
    },
    /// The peer refused the handshake with an ERROR command.
    #[error("peer refused the connection: {0}")]
    Refused(String),
    /// A frame or command that ZMTP does not allow at this point.
    #[error("peer broke ZMTP: {0}")]
    Malformed(&'static str),
    /// A frame, message or part count beyond [`Limits`].
    #[error("peer sent {what} of {size}, the limit is {limit}")]
    TooLarge {
        /// Which limit: `a frame`, `a message`, `a command`, `parts`.
        what: &'static str,
        /// Size announced or reached.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Something was sent before the handshake had finished.
    #[error("the ZMTP handshake has not finished")]
    NotReady,
    /// A PING for a peer that greeted as 3.0.
    #[error("peer greeted as ZMTP 3.0, it may close the connection on a PING")]
    PeerTooOld,
    /// A message without parts, or a heartbeat context over 16 bytes.
    #[error("cannot send this: {0}")]
    MessageRefused(&'static str),
}

/// Socket types of ZeroMQ that take part in Salt's two channels; others survive as they were named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketType {
    /// Publisher: the master's side of the publish channel.
    Pub,
    /// Publisher that sees subscriptions.
    XPub,
    /// Subscriber: the minion's side of the publish channel.
    Sub,
    /// Subscriber that sends raw subscriptions.
    XSub,
    /// Lock-step requester: the minion's side of the request channel.
    Req,
    /// Lock-step replier.
    Rep,
    /// Asynchronous requester.
    Dealer,
    /// Asynchronous replier: the master's side of the request channel.
    Router,
    /// Any other name.
    Other(String),
}

/// Upper bounds on what a peer may make this side hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in one message frame.
    pub frame: u64,
    /// Bytes in one command frame.
    pub command: u64,
    /// Bytes in all parts of one message.
    pub message: u64,
    /// Parts in one message.
    pub parts: usize,
}

/// What this side says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Socket type announced to the peer.
    pub socket: SocketType,
    /// Identity announced to the peer (routing id); empty for none.
    pub identity: Vec<u8>,
    /// Version to greet with; 3.1 unless a test wants an old peer.
    pub version: Version,
    /// Bounds on received data.
    pub limits: Limits,
}

/// What the peer said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Version the peer greeted with.
    pub version: Version,
    /// Its socket type.
    pub socket: SocketType,
    /// Its identity; empty for none.
    pub identity: Vec<u8>,
}

/// What came out of the received bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The peer's READY fits: messages may be sent.
    Handshake(Peer),
    /// A whole message, by part.
    Message(Vec<Vec<u8>>),
    /// The peer subscribed to a prefix (publisher side only).
    Subscribe(Vec<u8>),
    /// The peer cancelled a prefix (publisher side only).
    Cancel(Vec<u8>),
    /// The peer pinged and was answered. `ttl` is in tenths of a second, 0 for none.
    Ping {
        /// How long the peer lets the connection live without hearing from us.
        ttl: u16,
    },
    /// The peer answered a ping.
    Pong {
        /// Context of the ping that it answers.
        context: Vec<u8>,
    },
}

/// One end of one ZMTP connection.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    phase: Phase,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    parts: Vec<Vec<u8>>,
    events: VecDeque<Event>,
}

#[derive(Debug, Clone)]
enum Phase {
    Greeting,
    Ready(Version),
    Open(Version),
    Failed(ZmtpError),
}

impl Default for Limits {
    /// 128 MiB a message: Salt puts no cap on publishes or replies, a pillar of this size is past use.
    fn default() -> Self {
        Self { frame: 128 << 20, command: 64 << 10, message: 128 << 20, parts: 64 }
    }
}

impl Config {
    /// A 3.1 socket without identity and with the default limits.
    pub fn new(socket: SocketType) -> Self {
        Self { socket, identity: Vec::new(), version: Version::V3_1, limits: Limits::default() }
    }
}

impl Engine {
    /// Starts a connection; the greeting is in [`outgoing`](Self::outgoing) at once.
    pub fn new(config: Config) -> Self {
        let outbox = encode_greeting(config.version).to_vec();
        Self {
            config,
            phase: Phase::Greeting,
            inbox: Vec::new(),
            outbox,
            parts: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes bytes from the peer, however they were cut.
    ///
    /// # Errors
    /// When the peer breaks the protocol, does not fit or passes a limit; events that came before stay in
    /// [`poll`](Self::poll), every later call gives the same error.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), ZmtpError> {
        if let Phase::Failed(error) = &self.phase {
            return Err(error.clone());
        }
        self.inbox.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            match self.step(at) {
                Ok(0) => break,
                Ok(used) => at += used,
                Err(error) => {
                    self.inbox = Vec::new();
                    self.parts = Vec::new();
                    self.phase = Phase::Failed(error.clone());
                    return Err(error);
                }
            }
        }
        self.inbox.drain(..at);
        if self.inbox.is_empty() && self.inbox.capacity() > (64 << 10) {
            self.inbox = Vec::new();
        }
        Ok(())
    }

    /// The next event, oldest first.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes the bytes that must be written to the peer.
    pub fn outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outbox)
    }

    /// Queues one message.
    ///
    /// # Errors
    /// Before the handshake, after a failure, and for a message without parts.
    pub fn send<P: AsRef<[u8]>>(&mut self, parts: &[P]) -> Result<(), ZmtpError> {
        self.open_version()?;
        let Some((last, front)) = parts.split_last() else {
            return Err(ZmtpError::MessageRefused("a message has at least one part"));
        };
        for part in front {
            frame::encode(&mut self.outbox, FrameKind::More, part.as_ref());
        }
        frame::encode(&mut self.outbox, FrameKind::Last, last.as_ref());
        Ok(())
    }

    /// Subscribes to every message whose first part starts with `prefix`.
    ///
    /// # Errors
    /// Before the handshake and after a failure.
    pub fn subscribe(&mut self, prefix: &[u8]) -> Result<(), ZmtpError> {
        self.subscription(1, Command::Subscribe(prefix.to_vec()), prefix)
    }

    /// Takes one subscription back.
    ///
    /// # Errors
    /// Before the handshake and after a failure.
    pub fn cancel(&mut self, prefix: &[u8]) -> Result<(), ZmtpError> {
        self.subscription(0, Command::Cancel(prefix.to_vec()), prefix)
    }

    /// Pings the peer; `ttl` in tenths of a second tells it how long to wait for the next sign of life.
    ///
    /// # Errors
    /// Before the handshake, after a failure, for a peer that greeted as 3.0, and for a context over 16 bytes.
    pub fn ping(&mut self, ttl: u16, context: &[u8]) -> Result<(), ZmtpError> {
        if self.open_version()? < Version::V3_1 {
            return Err(ZmtpError::PeerTooOld);
        }
        if context.len() > command::CONTEXT_MAX {
            return Err(ZmtpError::MessageRefused("a heartbeat context has at most 16 bytes"));
        }
        self.push_command(&Command::Ping { ttl, context: context.to_vec() });
        Ok(())
    }

    /// The peer's version once the handshake is over.
    pub fn peer_version(&self) -> Option<Version> {
        self.open_version().ok()
    }

    /// Handles what stands at `at` of the inbox; returns how many bytes it used, 0 when more are needed.
    fn step(&mut self, at: usize) -> Result<usize, ZmtpError> {
        match self.phase.clone() {
            Phase::Greeting => self.step_greeting(at),
            Phase::Ready(version) => self.step_frame(at, version, Self::take_ready),
            Phase::Open(version) => self.step_frame(at, version, Self::take_frame),
            Phase::Failed(error) => Err(error),
        }
    }

    fn step_greeting(&mut self, at: usize) -> Result<usize, ZmtpError> {
        let Some(version) = parse_greeting(&self.inbox[at..])? else { return Ok(0) };
        self.phase = Phase::Ready(version);
        let ready = Command::ready(&self.config.socket, &self.config.identity);
        self.push_command(&ready);
        Ok(GREETING_LEN)
    }

    fn step_frame(
        &mut self,
        at: usize,
        version: Version,
        take: fn(&mut Self, Frame, Version) -> Result<(), ZmtpError>,
    ) -> Result<usize, ZmtpError> {
        match frame::decode(&self.inbox[at..], &self.config.limits)? {
            Decoded::Partial { missing } => {
                self.inbox.reserve(missing.min(1 << 20));
                Ok(0)
            }
            Decoded::Whole { frame, used } => take(self, frame, version).map(|()| used),
        }
    }

    fn take_ready(&mut self, frame: Frame, version: Version) -> Result<(), ZmtpError> {
        if frame.kind != FrameKind::Command {
            return Err(ZmtpError::Malformed("a message came before READY"));
        }
        match Command::parse(&frame.body)? {
            Command::Ready { socket, identity } => {
                if !self.config.socket.fits(&socket) {
                    return Err(ZmtpError::IncompatibleSocket {
                        ours: self.config.socket.clone(),
                        theirs: socket,
                    });
                }
                self.phase = Phase::Open(version);
                self.events.push_back(Event::Handshake(Peer { version, socket, identity }));
                Ok(())
            }
            Command::Error(reason) => Err(ZmtpError::Refused(reason)),
            // libzmq's heartbeat timer may fire before the handshake is over.
            Command::Ping { ttl, context } => {
                self.answer_ping(ttl, context);
                Ok(())
            }
            Command::Subscribe(_) | Command::Cancel(_) | Command::Pong { .. } | Command::Unknown => {
                Err(ZmtpError::Malformed("another command came before READY"))
            }
        }
    }

    fn take_frame(&mut self, frame: Frame, _version: Version) -> Result<(), ZmtpError> {
        match frame.kind {
            FrameKind::Command => self.take_command(&frame.body),
            FrameKind::More => self.push_part(frame.body),
            FrameKind::Last => {
                self.push_part(frame.body)?;
                let parts = std::mem::take(&mut self.parts);
                let event = self.message_event(parts);
                self.events.push_back(event);
                Ok(())
            }
        }
    }

    fn take_command(&mut self, body: &[u8]) -> Result<(), ZmtpError> {
        match Command::parse(body)? {
            Command::Ping { ttl, context } => self.answer_ping(ttl, context),
            Command::Pong { context } => self.events.push_back(Event::Pong { context }),
            Command::Subscribe(prefix) => self.events.push_back(Event::Subscribe(prefix)),
            Command::Cancel(prefix) => self.events.push_back(Event::Cancel(prefix)),
            Command::Error(reason) => return Err(ZmtpError::Refused(reason)),
            Command::Ready { .. } => return Err(ZmtpError::Malformed("a second READY came")),
            // A later minor version may add commands; ZMTP lets a peer ignore them.
            Command::Unknown => {}
        }
        Ok(())
    }

    fn answer_ping(&mut self, ttl: u16, context: Vec<u8>) {
        self.push_command(&Command::Pong { context });
        self.events.push_back(Event::Ping { ttl });
    }

    fn push_part(&mut self, body: Vec<u8>) -> Result<(), ZmtpError> {
        let limits = self.config.limits;
        if self.parts.len() >= limits.parts {
            let size = self.parts.len() as u64 + 1;
            return Err(ZmtpError::TooLarge { what: "parts", size, limit: limits.parts as u64 });
        }
        self.parts.push(body);
        let size: u64 = self.parts.iter().map(|part| part.len() as u64).sum();
        if size > limits.message {
            return Err(ZmtpError::TooLarge { what: "a message", size, limit: limits.message });
        }
        Ok(())
    }

    /// On a publisher, a one-part message that starts with 1 or 0 is a subscription in 3.0's form.
    fn message_event(&self, mut parts: Vec<Vec<u8>>) -> Event {
        let publisher = matches!(self.config.socket, SocketType::Pub | SocketType::XPub);
        if publisher && parts.len() == 1 {
            match parts[0].first() {
                Some(1) => return Event::Subscribe(parts[0].split_off(1)),
                Some(0) => return Event::Cancel(parts[0].split_off(1)),
                Some(_) | None => {}
            }
        }
        Event::Message(parts)
    }

    fn subscription(&mut self, flag: u8, command: Command, prefix: &[u8]) -> Result<(), ZmtpError> {
        if self.open_version()? < Version::V3_1 {
            let mut body = Vec::with_capacity(1 + prefix.len());
            body.push(flag);
            body.extend_from_slice(prefix);
            frame::encode(&mut self.outbox, FrameKind::Last, &body);
        } else {
            self.push_command(&command);
        }
        Ok(())
    }

    fn push_command(&mut self, command: &Command) {
        frame::encode(&mut self.outbox, FrameKind::Command, &command.encode());
    }

    fn open_version(&self) -> Result<Version, ZmtpError> {
        match &self.phase {
            Phase::Open(version) => Ok((*version).min(self.config.version)),
            Phase::Failed(error) => Err(error.clone()),
            Phase::Greeting | Phase::Ready(_) => Err(ZmtpError::NotReady),
        }
    }
}

impl SocketType {
    /// ZeroMQ's name for it.
    pub fn name(&self) -> &str {
        match self {
            Self::Pub => "PUB",
            Self::XPub => "XPUB",
            Self::Sub => "SUB",
            Self::XSub => "XSUB",
            Self::Req => "REQ",
            Self::Rep => "REP",
            Self::Dealer => "DEALER",
            Self::Router => "ROUTER",
            Self::Other(name) => name,
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "PUB" => Self::Pub,
            "XPUB" => Self::XPub,
            "SUB" => Self::Sub,
            "XSUB" => Self::XSub,
            "REQ" => Self::Req,
            "REP" => Self::Rep,
            "DEALER" => Self::Dealer,
            "ROUTER" => Self::Router,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Whether the two types may be connected (the table in RFC 37/ZMTP, "Socket types").
    fn fits(&self, peer: &Self) -> bool {
        match self {
            Self::Pub | Self::XPub => matches!(peer, Self::Sub | Self::XSub),
            Self::Sub | Self::XSub => matches!(peer, Self::Pub | Self::XPub),
            Self::Req => matches!(peer, Self::Rep | Self::Router),
            Self::Rep => matches!(peer, Self::Req | Self::Dealer),
            Self::Dealer => matches!(peer, Self::Rep | Self::Dealer | Self::Router),
            Self::Router => matches!(peer, Self::Req | Self::Dealer | Self::Router),
            Self::Other(name) => peer.name() == name,
        }
    }

    /// Whether READY carries an Identity for it.
    fn announces_identity(&self) -> bool {
        match self {
            Self::Req | Self::Dealer | Self::Router => true,
            Self::Pub | Self::XPub | Self::Sub | Self::XSub | Self::Rep | Self::Other(_) => false,
        }
    }
}

impl std::fmt::Display for SocketType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
