//! The session with the master, as all parts of the link see it.
//!
//! One task authenticates; everybody else reads the session here, and asks for a newer one than the one that failed.
//! Generations make that safe: however many parts find the same session stale, it is renewed once.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use proto::{Crypticle, PublicKey, Session};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{keys::KeyPair, settings::MasterAddress};

/// What an accepted authentication gave.
#[derive(Debug)]
pub struct OpenSession {
    /// Counts authentications of this process, from 1.
    pub generation: u64,
    /// The master that accepted.
    pub master: MasterAddress,
    /// Seals requests.
    pub session: Session,
    /// Opens publishes.
    pub aes: Crypticle,
    /// The master's key.
    pub master_key: PublicKey,
    /// Where the master publishes.
    pub publish_port: u16,
    /// When it was opened.
    pub since: Instant,
    /// The minion's keys.
    pub pair: Arc<KeyPair>,
}

/// Where the link stands.
#[derive(Clone, Debug)]
pub enum State {
    /// No session, and why.
    Closed(String),
    /// A session that worked when it was made.
    Open(Arc<OpenSession>),
}

/// The session, shared.
#[derive(Debug)]
pub struct Sessions {
    state: watch::Sender<State>,
    wanted: watch::Sender<u64>,
    avoided: Mutex<Option<MasterAddress>>,
    doubts: watch::Sender<()>,
}

impl Sessions {
    /// No session yet.
    pub fn new() -> Self {
        let state = watch::Sender::new(State::Closed("not connected yet".to_owned()));
        Self {
            state,
            wanted: watch::Sender::new(1),
            avoided: Mutex::new(None),
            doubts: watch::Sender::new(()),
        }
    }

    /// The session, if there is one.
    pub fn current(&self) -> Option<Arc<OpenSession>> {
        match &*self.state.borrow() {
            State::Open(open) => Some(Arc::clone(open)),
            State::Closed(_) => None,
        }
    }

    /// Follows the state.
    pub fn follow(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Waits for a session of a later generation than `generation`, up to `patience`.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn later_than(&self, generation: u64, patience: Duration) -> Result<Arc<OpenSession>, String> {
        let mut follow = self.follow();
        let later = |state: &State| matches!(state, State::Open(open) if open.generation > generation);
        match timeout(patience, follow.wait_for(later)).await {
            Ok(Ok(state)) => match &*state {
                State::Open(open) => Ok(Arc::clone(open)),
                State::Closed(why) => Err(why.clone()),
            },
            Ok(Err(_closed)) => Err("the link has ended".to_owned()),
            Err(_elapsed) => Err(match &*self.state.borrow() {
                State::Closed(why) => why.clone(),
                State::Open(_) => "authenticating again takes too long".to_owned(),
            }),
        }
    }

    /// Asks for a session after the one of `generation`.
    pub fn want_after(&self, generation: u64) {
        self.wanted.send_if_modified(|wanted| {
            let more = generation + 1 > *wanted;
            *wanted = (*wanted).max(generation + 1);
            more
        });
    }

    /// Waits until somebody wants a session after the one of `generation`.
    pub async fn wanted_after(&self, generation: u64) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.wanted.subscribe().wait_for(|wanted| *wanted > generation).await;
    }

    /// Puts a master last: it accepts this minion, but its publishes do not come through.
    pub fn avoid(&self, master: Option<MasterAddress>) {
        *self.avoided.lock().unwrap_or_else(PoisonError::into_inner) = master;
    }

    /// The master to try last.
    pub fn avoided(&self) -> Option<MasterAddress> {
        self.avoided.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says that what is connected may be dead.
    pub fn doubt(&self) {
        self.doubts.send_replace(());
    }

    /// Follows the doubts.
    pub fn doubts(&self) -> watch::Receiver<()> {
        self.doubts.subscribe()
    }

    /// Puts a new session in place.
    pub fn open(&self, session: OpenSession) {
        self.state.send_replace(State::Open(Arc::new(session)));
    }

    /// Takes the session away.
    pub fn close(&self, why: String) {
        self.state.send_replace(State::Closed(why));
    }
}
