//! Getting accepted, and staying so: the one task that speaks `_auth`.
//!
//! It tries until a master accepts, opens the session, and does it again whenever somebody finds the session stale. A
//! pending key waits as long as Salt's options say; a rejected key, a full master, a master with the wrong key or
//! none at all never end the process: each is said once, clearly, and tried again after growing waits.
//!
//! A changed master key is refused, with both fingerprints in the line, until the operator removes the pinned one.

use std::{sync::Arc, time::Duration};

use proto::auth::{Accepted, AuthError, AuthSession, AuthSettings, MasterTrust, Next, Pin};
use rand::rngs::OsRng;
use thiserror::Error;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::{
    LinkEvent,
    backoff::Backoff,
    keys::{KeyFileError, KeyFolder, KeyPair},
    requests::{ExchangeError, Repeat, Requests},
    sessions::{OpenSession, Sessions},
    settings::{ChannelSettings, MasterAddress},
};
use crate::tasks::Tasks;

/// Least time between two authentications: what cannot be decrypted must not make the minion hammer its master.
const RENEWAL_MIN: Duration = Duration::from_secs(1);

/// With several masters, requests that one may leave unanswered before the next one is asked.
const FAIL_OVER_TRIES: u32 = 2;

/// The task's state.
pub struct Authenticator {
    settings: Arc<ChannelSettings>,
    keys: KeyFolder,
    tasks: Tasks,
    requests: Arc<Requests>,
    sessions: Arc<Sessions>,
    events: mpsc::Sender<LinkEvent>,
    generation: u64,
    said: Option<String>,
}

/// What one attempt with one master came to, short of acceptance.
#[derive(Debug, Error)]
enum Setback {
    #[error(
        "The Salt Master has cached the public key for this node: it waits to be accepted (salt-key -a {id}); \
         this minion's key is {fingerprint}"
    )]
    Pending { id: String, fingerprint: String },
    #[error(
        "The Salt Master has rejected this minion's public key {fingerprint}: it must be deleted there (salt-key -d {id}) or accepted"
    )]
    Rejected { id: String, fingerprint: String },
    #[error("Master is full: it has reached max_minions")]
    Full,
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Unreachable(#[from] ExchangeError),
    #[error(transparent)]
    Keys(#[from] KeyFileError),
}

/// How a setback is dealt with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// The operator accepts the key: ask again as `acceptance_wait_time` says.
    Acceptance,
    /// Somebody has to change something: ask again, less and less often.
    Repair,
    /// The network or the master comes back: dial again.
    Redial,
}

impl Setback {
    fn remedy(&self) -> Remedy {
        match self {
            Self::Pending { .. } => Remedy::Acceptance,
            Self::Rejected { .. } | Self::Full | Self::Keys(_) => Remedy::Repair,
            Self::Auth(error) if error.is_retryable() => Remedy::Redial,
            Self::Auth(_) => Remedy::Repair,
            Self::Unreachable(_) => Remedy::Redial,
        }
    }
}

impl Authenticator {
    /// Prepares the task.
    pub fn new(
        (settings, tasks): (Arc<ChannelSettings>, Tasks),
        requests: Arc<Requests>,
        sessions: Arc<Sessions>,
        events: mpsc::Sender<LinkEvent>,
    ) -> Self {
        let keys = KeyFolder::new(&settings.pki_dir);
        Self { settings, keys, tasks, requests, sessions, events, generation: 0, said: None }
    }

    /// Authenticates for ever.
    pub async fn run(mut self) {
        let pair = self.until_keys().await;
        loop {
            self.until_accepted(&pair).await;
            let not_before = Instant::now() + RENEWAL_MIN;
            self.sessions.wanted_after(self.generation).await;
            sleep_until(not_before).await;
        }
    }

    /// Returns once the key pair is read or made.
    async fn until_keys(&mut self) -> Arc<KeyPair> {
        let mut repair = Backoff::new(self.settings.timing.acceptance.for_refusals());
        loop {
            let (keys, bits) = (self.keys.clone(), self.settings.keysize);
            let why = match self.tasks.blocking(move || keys.minion_pair(bits)).await {
                Ok(Ok(pair)) => return Arc::new(pair),
                Ok(Err(error)) => chain(&error),
                Err(error) => chain(&error),
            };
            let wait = repair.next(rand::random());
            tracing::error!(?wait, "without its keys this minion cannot connect: {why}");
            self.sessions.close(why.clone());
            self.tell(LinkEvent::Waiting { why, retry_in: wait }).await;
            sleep(wait).await;
        }
    }

    /// Returns once a session is open.
    async fn until_accepted(&mut self, pair: &Arc<KeyPair>) {
        let settings = Arc::clone(&self.settings);
        let mut acceptance = Backoff::new(settings.timing.acceptance);
        let mut repair = Backoff::new(settings.timing.acceptance.for_refusals());
        let mut redial = Backoff::new(settings.timing.recon);
        loop {
            let mut last = None;
            for master in self.in_order() {
                match self.attempt(&master, pair).await {
                    Ok(()) => return,
                    Err(setback) => {
                        self.report(&master, &setback).await;
                        last = Some(setback);
                    }
                }
            }
            let chance = rand::random();
            let (wait, why) = match last {
                Some(setback) => (
                    match setback.remedy() {
                        Remedy::Acceptance => acceptance.next(chance),
                        Remedy::Repair => repair.next(chance),
                        Remedy::Redial => redial.next(chance),
                    },
                    chain(&setback),
                ),
                None => (repair.next(chance), "no master is configured".to_owned()),
            };
            self.tell(LinkEvent::Waiting { why, retry_in: wait }).await;
            sleep(wait).await;
        }
    }

    /// The masters as configured; one whose publishes cannot be had comes last.
    fn in_order(&self) -> Vec<MasterAddress> {
        let avoided = self.sessions.avoided();
        let mut masters = self.settings.masters.clone();
        masters.sort_by_key(|master| Some(master) == avoided.as_ref());
        masters
    }

    /// One attempt with one master; opens the session when it accepts.
    async fn attempt(&mut self, master: &MasterAddress, pair: &Arc<KeyPair>) -> Result<(), Setback> {
        let auth = self.auth_settings(pair)?;
        let attempt = AuthSession::new(&auth, &mut OsRng)?;
        let answer = self.ask(master, attempt.request()).await?;
        let (id, fingerprint) = (auth.id.to_string(), auth.public_key.fingerprint().to_string());
        match attempt.handle(&answer, &mut OsRng)? {
            Next::Accepted(accepted) => self.open((master, pair), *accepted),
            Next::Pending => Err(Setback::Pending { id, fingerprint }),
            Next::Rejected => Err(Setback::Rejected { id, fingerprint }),
            Next::Full => Err(Setback::Full),
        }
    }

    /// Sends the same request until it is answered, `auth_tries` times at most, fewer when another master can be asked.
    async fn ask(&self, master: &MasterAddress, request: &[u8]) -> Result<Vec<u8>, ExchangeError> {
        let several = self.settings.masters.len() > 1;
        let most = if several { FAIL_OVER_TRIES } else { u32::MAX }.min(self.settings.timing.auth_tries);
        let mut tries = 1;
        loop {
            let answer = self
                .requests
                .exchange(master, request, self.settings.timing.auth_timeout, Repeat::Allowed)
                .await;
            match answer {
                Err(ExchangeError::Timeout(_) | ExchangeError::Lost(_)) if tries < most => {
                    tries += 1;
                }
                Ok(_) | Err(_) => return answer,
            }
        }
    }

    fn auth_settings(&self, pair: &KeyPair) -> Result<AuthSettings, KeyFileError> {
        let settings = &self.settings;
        let signer = settings.master_sign_key.as_ref().map(|name| self.keys.signer(name)).transpose()?;
        Ok(AuthSettings {
            id: settings.id.clone(),
            key: pair.private.clone(),
            public_key: pair.public.clone(),
            encryption: settings.encryption,
            signing: settings.signing,
            autosign_grains: settings.autosign_grains.clone(),
            trust: MasterTrust {
                pinned: self.keys.pinned_master()?,
                finger: settings.master_finger.clone(),
                signer,
                always_verify_signature: settings.always_verify_signature,
            },
        })
    }

    fn open(
        &mut self,
        (master, pair): (&MasterAddress, &Arc<KeyPair>),
        accepted: Accepted,
    ) -> Result<(), Setback> {
        match accepted.pin {
            Pin::Known => {}
            Pin::FirstSeen => {
                self.keys.pin_master(&accepted.master_key)?;
                let key = accepted.master_key.fingerprint();
                tracing::info!(%master, %key, "the master's key was met for the first time and is pinned");
            }
            Pin::Replaced => {
                self.keys.pin_master(&accepted.master_key)?;
                let key = accepted.master_key.fingerprint();
                tracing::warn!(%master, %key, "the master has a new key, which the operator's signature covers");
            }
        }
        self.generation += 1;
        if self.said.take().is_some() || self.generation == 1 {
            tracing::info!(%master, "authenticated with the master");
        }
        self.sessions.open(OpenSession {
            generation: self.generation,
            master: master.clone(),
            session: accepted.session,
            aes: accepted.aes,
            master_key: accepted.master_key,
            publish_port: self.settings.publish_port.unwrap_or(accepted.publish_port),
            since: Instant::now(),
            pair: Arc::clone(pair),
        });
        Ok(())
    }

    /// Says what happened: once as a warning, as long as it stays the same.
    async fn report(&mut self, master: &MasterAddress, setback: &Setback) {
        let why = format!("{master}: {}", chain(setback));
        // An unreachable master may still know this minion; one that answered so does not.
        if setback.remedy() != Remedy::Redial || self.sessions.current().is_none() {
            self.sessions.close(why.clone());
        }
        if self.said.as_ref() == Some(&why) {
            tracing::debug!(why, "still not authenticated");
            return;
        }
        tracing::warn!(%master, "{}", chain(setback));
        if setback.remedy() == Remedy::Repair {
            self.tell(LinkEvent::Refused { why: why.clone() }).await;
        }
        self.said = Some(why);
    }

    async fn tell(&self, event: LinkEvent) {
        // Nobody listens any more when the process is about to end.
        let _ = self.events.send(event).await;
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}
