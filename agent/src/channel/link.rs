//! The link as the rest of the agent uses it: requests under the session, renewed when the master forgot it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::future::BoxFuture;
use proto::{Map, ReplyError, Strings, Value, pillar::PillarKeys, request::SealedRequest};
use rand::rngs::OsRng;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    LinkError, MasterLink,
    authenticate::chain,
    requests::{ExchangeError, Repeat, Requests},
    sessions::{OpenSession, Sessions},
    settings::{ChannelSettings, MasterAddress},
};
use crate::clock;

/// What a return that the master did not keep is told to be.
const NOT_TAKEN: &str = "the master did not keep it: it may require signatures (minion_sign_messages) or have failed over \
                         it; its own log says why";

/// One minion's link to its master.
pub struct Link {
    settings: Arc<ChannelSettings>,
    requests: Arc<Requests>,
    sessions: Arc<Sessions>,
    answered: watch::Sender<Instant>,
}

/// How the reply to a request is opened.
#[derive(Clone, Copy)]
enum Reply {
    Plain(Strings),
    Pillar,
}

/// Why one round failed.
enum Failure {
    Exchange(ExchangeError),
    Reply(ReplyError),
    Final(LinkError),
}

impl Link {
    /// Puts the parts together.
    pub fn new(settings: Arc<ChannelSettings>, requests: Arc<Requests>, sessions: Arc<Sessions>) -> Self {
        Self { settings, requests, sessions, answered: watch::Sender::new(Instant::now()) }
    }

    /// Whether this is the link to a master.
    pub fn is_to(&self, master: &MasterAddress) -> bool {
        self.settings.masters.contains(master)
    }

    /// Asks the master something small whenever nothing was asked for long, for ever. Connections are kept alive by
    /// heartbeats; this finds out that the master forgot this minion's key or session.
    pub async fn probe(self: Arc<Self>) {
        let (mut answered, mut doubts) = (self.answered.subscribe(), self.sessions.doubts());
        loop {
            let silence = self.settings.timing.probe.mul_f64(1.0 + rand::random::<f64>() / 4.0);
            tokio::select! {
                _ = answered.changed() => continue,
                _ = doubts.changed() => self.requests.forget_idle(),
                () = sleep(silence) => {}
            }
            let Some(session) = self.sessions.current() else { continue };
            if let Err(error) = self.request("_file_envs", Map::new()).await {
                tracing::debug!(%error, "the request channel does not answer, authenticating again");
                self.sessions.want_after(session.generation);
            }
        }
    }

    /// Doubts both channels whenever this machine slept or its clock was set, for ever.
    pub async fn mind_the_clock(self: Arc<Self>) {
        loop {
            let jump = clock::jumped().await;
            tracing::info!(
                ?jump,
                "this machine slept or its clock was set; the master is asked for a sign of life"
            );
            self.doubt();
        }
    }

    /// Asks, and once more after authenticating again when the session turns out to be over.
    async fn ask(&self, cmd: &str, load: Map, reply: Reply) -> Result<Value, LinkError> {
        let unreachable = |why: String| LinkError::Unreachable { why };
        let session = self.sessions.later_than(0, self.patience()).await.map_err(unreachable)?;
        match self.round(&session, (cmd, load.clone()), reply).await {
            Ok(value) => return Ok(value),
            Err(Failure::Reply(error)) if error.needs_auth() && repeat(cmd, &load) == Repeat::Allowed => {
                tracing::debug!(cmd, %error, "the session is over, authenticating again");
                self.sessions.want_after(session.generation);
            }
            Err(failure) => return Err(failure.into_link_error(cmd)),
        }
        let session =
            self.sessions.later_than(session.generation, self.patience()).await.map_err(unreachable)?;
        self.round(&session, (cmd, load), reply).await.map_err(|failure| failure.into_link_error(cmd))
    }

    /// One sealed request and its reply; sent again as it is when no answer comes.
    async fn round(
        &self,
        session: &OpenSession,
        (cmd, load): (&str, Map),
        reply: Reply,
    ) -> Result<Value, Failure> {
        let (repeat, timing) = (repeat(cmd, &load), self.settings.timing);
        let most_tries = if repeat == Repeat::Allowed { timing.request_tries } else { 1 };
        let sealed = self.seal(session, cmd, load)?;
        let mut tries = 1;
        let answer = loop {
            let answer =
                self.requests.exchange(&session.master, &sealed.bytes, timing.request_timeout, repeat).await;
            match answer {
                Err(ExchangeError::Timeout(_)) if tries < most_tries => tries += 1,
                Ok(_) | Err(_) => break answer.map_err(Failure::Exchange)?,
            }
        };
        let opened = match reply {
            Reply::Plain(strings) => session.session.open(&answer, &sealed.nonce, strings),
            Reply::Pillar => {
                let keys = PillarKeys { minion: &session.pair.private, master: &session.master_key };
                session.session.open_pillar(&answer, &sealed.nonce, keys, &mut OsRng)
            }
        };
        if opened.is_ok() {
            self.answered.send_replace(Instant::now());
        }
        opened.map_err(Failure::Reply)
    }

    fn seal(&self, session: &OpenSession, cmd: &str, load: Map) -> Result<SealedRequest, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        if !self.settings.minion_sign_messages {
            return Ok(session.session.seal(cmd, load, now, &mut OsRng));
        }
        let sealed = session.session.seal_signed((cmd, load), &session.pair.private, now, &mut OsRng);
        sealed.map_err(|error| {
            Failure::Final(LinkError::Refused {
                cmd: cmd.to_owned(),
                why: format!("it cannot be signed: {error}"),
            })
        })
    }

    /// How long a request waits for a session.
    fn patience(&self) -> Duration {
        self.settings.timing.request_timeout
    }
}

/// One request is not carried out twice with the same outcome: Salt *appends* a file chunk whose `loc` is not 0.
pub fn repeat(cmd: &str, load: &Map) -> Repeat {
    let appends = cmd == "_file_recv" && load.get("loc").and_then(Value::as_u64).is_some_and(|loc| loc > 0);
    if appends { Repeat::Forbidden } else { Repeat::Allowed }
}

impl Failure {
    fn into_link_error(self, cmd: &str) -> LinkError {
        match self {
            Self::Exchange(error) => LinkError::Unreachable { why: chain(&error) },
            Self::Reply(error) if error.is_retryable() => LinkError::Unreachable { why: chain(&error) },
            Self::Reply(error) => LinkError::Refused { cmd: cmd.to_owned(), why: chain(&error) },
            Self::Final(error) => error,
        }
    }
}

impl MasterLink for Link {
    fn doubt(&self) {
        self.sessions.doubt();
    }

    fn request<'a>(&'a self, cmd: &'a str, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(self.ask(cmd, load, Reply::Plain(Strings::Text)))
    }

    fn request_raw<'a>(&'a self, cmd: &'a str, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(self.ask(cmd, load, Reply::Plain(Strings::Raw)))
    }

    fn pillar<'a>(&'a self, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(self.ask("_pillar", load, Reply::Pillar))
    }

    fn fire_event<'a>(&'a self, tag: &'a str, data: Value) -> BoxFuture<'a, Result<(), LinkError>> {
        let mut load = Map::new();
        load.insert("tag", tag);
        load.insert("data", data);
        load.insert("pretag", Value::Nil);
        Box::pin(async move { self.request("_minion_event", load).await.map(drop) })
    }

    fn fire_job_event<'a>(
        &'a self,
        jid: &'a str,
        tag: &'a str,
        data: Value,
    ) -> BoxFuture<'a, Result<(), LinkError>> {
        let mut load: Map = [("jid", jid), ("tag", tag)].into();
        load.insert("data", data);
        Box::pin(async move { self.request("_minion_event", load).await.map(drop) })
    }

    fn return_job<'a>(&'a self, ret: Map) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async move {
            let answer = self.request("_return", ret).await?;
            // Salt answers nil; `False` when it refuses the return, an empty text when it failed over it.
            match answer == Value::Bool(false) || answer.as_str() == Some("") {
                true => Err(LinkError::Refused { cmd: "_return".to_owned(), why: NOT_TAKEN.to_owned() }),
                false => Ok(()),
            }
        })
    }
}
