//! The publish channel: one SUB connection, every publish opened and handed on in order.
//!
//! A publish that does not open is not dropped: it waits, with all behind it that do not open either, until the
//! minion has authenticated again, and is then tried once more, so a key rotation or a master restart loses no job.
//! What is held is bounded by [`HELD_MAX`] and [`HELD_BYTES_MAX`].
//!
//! After every reconnect the minion authenticates again: the master may be another process with other keys. What the
//! master published meanwhile is gone; the gap is told with its times, and with a count as soon as a serial shows it.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

use proto::{
    publish::{BROADCAST, PublishError, PublishReader, topic},
    zmtp::{Config, SocketType},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{
    LinkEvent,
    authenticate::chain,
    backoff::Backoff,
    connection::{Connection, ConnectionError},
    sessions::{OpenSession, Sessions, State},
    settings::{ChannelSettings, MasterAddress, Subscription},
};

/// Publishes that wait for a new key.
const HELD_MAX: usize = 1_000;
/// Their size together.
const HELD_BYTES_MAX: usize = 64 << 20;
/// With several masters, dials of one's publish port that fail before the next one is tried.
const FAIL_OVER_AFTER: u32 = 3;
/// A session older than this is renewed when its publish port does not answer.
const STALE_AFTER: Duration = Duration::from_secs(60);
/// A connection that lived this long was a good one: the next failure starts with the shortest wait.
const GOOD_AFTER: Duration = Duration::from_secs(5);

/// The task's state.
pub struct Publishes {
    settings: Arc<ChannelSettings>,
    sessions: Arc<Sessions>,
    events: mpsc::Sender<LinkEvent>,
    opener: Option<Opener>,
    held: VecDeque<Vec<u8>>,
    held_bytes: usize,
    said: Option<String>,
    /// When something came through the last connection for the last time.
    deaf_since: Option<SystemTime>,
}

/// The reader of one session's publishes.
struct Opener {
    generation: u64,
    master: MasterAddress,
    reader: PublishReader,
    /// The serial before the first of this key, where it is known what should have come: 0 for a key that this very
    /// master made while this process was its minion.
    expected_after: Option<u64>,
}

/// Whether the master was told about since this connection was made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Announced {
    No { after: u64 },
    Yes,
}

impl Publishes {
    /// Prepares the task.
    pub fn new(
        settings: Arc<ChannelSettings>,
        sessions: Arc<Sessions>,
        events: mpsc::Sender<LinkEvent>,
    ) -> Self {
        let (held, held_bytes) = (VecDeque::new(), 0);
        Self { settings, sessions, events, opener: None, held, held_bytes, said: None, deaf_since: None }
    }

    /// Listens for ever.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(self.settings.timing.recon);
        // A connection needs a session newer than this.
        let mut fresh_after = 0;
        let mut failed_dials = 0;
        loop {
            let Ok(session) = self.sessions.later_than(0, Duration::MAX).await else { continue };
            let ended = match self.subscribe(&session).await {
                Ok(connection) => {
                    failed_dials = 0;
                    self.said = None;
                    self.sessions.avoid(None);
                    let since = Instant::now();
                    let ended = self.listen(connection, &session, fresh_after).await;
                    if since.elapsed() > GOOD_AFTER {
                        backoff.reset();
                    }
                    ended
                }
                Err(error) => {
                    failed_dials += 1;
                    self.renew_for_another_address(&session, failed_dials);
                    error
                }
            };
            let (why, wait) = (chain(&ended), backoff.next(rand::random()));
            self.report(&session, why, wait).await;
            fresh_after = self.sessions.current().map_or(session.generation, |open| open.generation);
            sleep(wait).await;
        }
    }

    /// Says why the channel is down: once as a warning, as long as it stays the same.
    async fn report(&mut self, session: &OpenSession, why: String, wait: Duration) {
        let (master, port) = (&session.master, session.publish_port);
        if self.said.as_ref() == Some(&why) {
            tracing::debug!(%master, port, ?wait, why, "the publish channel is still down");
        } else {
            tracing::warn!(%master, port, ?wait, "the publish channel is down: {why}");
            self.said = Some(why.clone());
        }
        self.tell(LinkEvent::Lost { why }).await;
    }

    /// A publish port that does not answer may have moved, or another master may have to take over.
    fn renew_for_another_address(&self, session: &OpenSession, failed_dials: u32) {
        let fail_over = self.settings.masters.len() > 1 && failed_dials >= FAIL_OVER_AFTER;
        if fail_over {
            self.sessions.avoid(Some(session.master.clone()));
        }
        if fail_over || session.since.elapsed() > STALE_AFTER {
            self.sessions.want_after(session.generation);
        }
    }

    /// Holds one connection until it ends; returns why it did.
    async fn listen(
        &mut self,
        mut connection: Connection,
        session: &OpenSession,
        fresh_after: u64,
    ) -> ConnectionError {
        let ended = self.listen_on(&mut connection, session, fresh_after).await;
        // A gap that nobody could be told of goes on.
        self.deaf_since.get_or_insert_with(|| SystemTime::now() - connection.heard().elapsed());
        ended
    }

    async fn listen_on(
        &mut self,
        connection: &mut Connection,
        session: &OpenSession,
        fresh_after: u64,
    ) -> ConnectionError {
        let (mut state, mut doubts) = (self.sessions.follow(), self.sessions.doubts());
        if fresh_after > 0 {
            self.sessions.want_after(fresh_after);
        }
        let mut announced = Announced::No { after: fresh_after };
        state.mark_changed();
        loop {
            tokio::select! {
                parts = connection.receive() => match parts.map(|mut parts| parts.pop()) {
                    Ok(Some(frame)) => self.take(frame).await,
                    Ok(None) => {}
                    Err(error) => return error,
                },
                Ok(()) = doubts.changed() => if let Err(error) = connection.doubt() {
                    return error;
                },
                Ok(()) = state.changed() => {
                    let now = state.borrow_and_update().clone();
                    let State::Open(open) = now else { continue };
                    if open.master != session.master || open.publish_port != session.publish_port {
                        return ConnectionError::Moved;
                    }
                    self.renew(&open).await;
                    if let Announced::No { after } = announced && open.generation > after {
                        announced = Announced::Yes;
                        self.announce(&open).await;
                    }
                }
            }
        }
    }

    /// Says that publishes come again, and since when none did.
    async fn announce(&mut self, open: &OpenSession) {
        let (master, publish_port) = (open.master.clone(), open.publish_port);
        tracing::info!(%master, publish_port, "listening for publishes");
        self.tell(LinkEvent::Connected { master, publish_port }).await;
        if let Some(since) = self.deaf_since.take() {
            self.tell(LinkEvent::Gap { since, until: SystemTime::now() }).await;
        }
    }

    async fn subscribe(&self, session: &OpenSession) -> Result<Connection, ConnectionError> {
        let mut config = Config::new(SocketType::Sub);
        config.identity = self.settings.id.as_str().as_bytes().to_vec();
        let address = (session.master.host(), session.publish_port);
        let (names, heartbeat) = (&self.settings.names, self.settings.timing.heartbeat);
        let mut connection = Connection::dial(address, names, config, heartbeat).await?;
        match self.settings.subscription {
            Subscription::Everything => connection.subscribe(b"").await?,
            Subscription::Filtered => {
                connection.subscribe(BROADCAST.as_bytes()).await?;
                connection.subscribe(topic(&self.settings.id).as_bytes()).await?;
            }
        }
        Ok(connection)
    }

    /// Opens a publish, or keeps it for the next session.
    async fn take(&mut self, frame: Vec<u8>) {
        let Some(opener) = &mut self.opener else { return self.hold(frame) };
        let generation = opener.generation;
        match self.open(&frame).await {
            Ok(()) => {}
            Err(error) if error.needs_auth() => {
                tracing::debug!(generation, "a publish does not open, authenticating again");
                self.hold(frame);
                self.sessions.want_after(generation);
            }
            Err(error) => drop_publish(&error),
        }
    }

    fn hold(&mut self, frame: Vec<u8>) {
        self.held_bytes += frame.len();
        self.held.push_back(frame);
        while self.held.len() > HELD_MAX || self.held_bytes > HELD_BYTES_MAX {
            let Some(dropped) = self.held.pop_front() else { return };
            self.held_bytes -= dropped.len();
            tracing::warn!("too many publishes wait for a new key, the oldest is dropped");
        }
    }

    /// Takes up a session, and tries what was held once more.
    async fn renew(&mut self, open: &OpenSession) {
        match &mut self.opener {
            Some(opener) if opener.generation == open.generation => return,
            // The same key goes on with the same serials.
            Some(opener) if opener.reader.has_key(&open.aes) => opener.generation = open.generation,
            before @ (Some(_) | None) => {
                let same_master = before.as_ref().is_some_and(|before| before.master == open.master);
                let (aes, key) = (open.aes.clone(), open.master_key.clone());
                self.opener = Some(Opener {
                    generation: open.generation,
                    master: open.master.clone(),
                    reader: PublishReader::new(aes, key, self.settings.unsigned_publishes),
                    expected_after: same_master.then_some(0),
                });
            }
        }
        self.held_bytes = 0;
        for frame in std::mem::take(&mut self.held) {
            if let Err(error) = self.open(&frame).await {
                drop_publish(&error);
            }
        }
    }

    /// Opens one publish and hands it on, after word of those that never came.
    async fn open(&mut self, frame: &[u8]) -> Result<(), PublishError> {
        let Some(Opener { reader, expected_after, .. }) = &mut self.opener else { return Ok(()) };
        let before = reader.last_serial().or(*expected_after);
        let load = reader.open(frame)?;
        // With `zmq_filtering` the publishes for other minions are not sent here.
        if let (Some(before), Some(now), Subscription::Everything) =
            (before, reader.last_serial(), self.settings.subscription)
            && now > before + 1
        {
            let count = now - before - 1;
            tracing::warn!(count, jid = %load.jid, "publishes of the master never came here");
            self.tell(LinkEvent::Missed { count }).await;
        }
        self.tell(LinkEvent::Publish(Box::new(load))).await;
        Ok(())
    }

    async fn tell(&self, event: LinkEvent) {
        // Nobody listens any more when the process is about to end.
        let _ = self.events.send(event).await;
    }
}

fn drop_publish(error: &PublishError) {
    if let PublishError::Stale { .. } = error {
        // A master with `zmq_filtering` sends a copy for each minion, and a subscriber to everything sees them all.
        tracing::debug!("a publish is dropped: {}", chain(error));
    } else {
        tracing::warn!("a publish is dropped: {}", chain(error));
    }
}
