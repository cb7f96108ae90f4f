//! The link to the master: what the rest of the agent may ask of it.
//!
//! The request channel is behind [`MasterLink`], so that `agent call --local` works with a link that refuses
//! and tests with a scripted one. A link never gives up by itself: it redials, authenticates and retries, and
//! an error here is about one request only.
//!
//! [`connect`] starts the two tasks of a link: one authenticates, one listens for publishes. What happens on the link
//! comes out as [`LinkEvent`]s, in order.

mod authenticate;
mod backoff;
mod connection;
mod keys;
mod link;
mod many;
mod names;
mod publishes;
mod requests;
mod sessions;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use proto::{Map, PublishLoad, Value};
use thiserror::Error;
use tokio::sync::mpsc;

pub use backoff::{Growth, Waits};
pub use settings::{ChannelSettings, Heartbeat, MasterAddress, MasterOrder, Subscription, Timing};

use crate::tasks::Tasks;

/// Events that wait to be taken before the link itself waits.
const EVENTS_MAX: usize = 256;

/// What happens on a link.
#[derive(Clone, Debug)]
pub enum LinkEvent {
    /// Authenticated, and listening for publishes. Comes again after every loss.
    Connected {
        /// The master.
        master: MasterAddress,
        /// Where it publishes.
        publish_port: u16,
    },
    /// A job was published. It is authentic, but not yet matched.
    Publish(Box<PublishLoad>),
    /// Publishes that the master sent and that never came here, by the gap in their serials.
    Missed {
        /// How many.
        count: u64,
    },
    /// Publishes come again; what the master published in between may never have come here. Follows
    /// [`LinkEvent::Connected`].
    Gap {
        /// When something came through the connection before for the last time.
        since: SystemTime,
        /// When publishes came again.
        until: SystemTime,
    },
    /// The publish channel is down; it is dialled again.
    Lost {
        /// Why.
        why: String,
    },
    /// Not authenticated; it is tried again.
    Waiting {
        /// Why not.
        why: String,
        /// When.
        retry_in: Duration,
    },
    /// A master answered and does not take this minion, or is not the one it should be. Comes once per reason.
    Refused {
        /// Why.
        why: String,
    },
}

/// Starts a link. Its tasks end with the token of `tasks`; requests are answered as long as the process runs.
///
/// With several masters and [`MasterOrder::All`] the link is one to each of them.
pub fn connect(settings: ChannelSettings, tasks: &Tasks) -> (Arc<dyn MasterLink>, mpsc::Receiver<LinkEvent>) {
    if settings.order != MasterOrder::All || settings.masters.len() < 2 {
        let (link, events) = connect_one(settings, tasks);
        return (link, events);
    }
    let (merged, receiver) = mpsc::channel(EVENTS_MAX);
    let one_each = settings.masters.iter().map(|master| {
        let settings = ChannelSettings { masters: vec![master.clone()], ..settings.clone() };
        connect_one(settings, tasks)
    });
    let (links, events): (Vec<_>, Vec<_>) = one_each.unzip();
    let links = Arc::new(many::ManyLinks::new(links));
    for (index, events) in events.into_iter().enumerate() {
        let forward = Arc::clone(&links).forward(index, events, merged.clone());
        spawn_until_shutdown(tasks, "events of one master", forward);
    }
    (links, receiver)
}

fn connect_one(settings: ChannelSettings, tasks: &Tasks) -> (Arc<link::Link>, mpsc::Receiver<LinkEvent>) {
    let settings = Arc::new(settings);
    let (events, receiver) = mpsc::channel(EVENTS_MAX);
    let (heartbeat, names) = (settings.timing.heartbeat, settings.names.clone());
    let requests = Arc::new(requests::Requests::new(tasks.clone(), heartbeat, names));
    let sessions = Arc::new(sessions::Sessions::new());
    let authenticator = authenticate::Authenticator::new(
        (Arc::clone(&settings), tasks.clone()),
        Arc::clone(&requests),
        Arc::clone(&sessions),
        events.clone(),
    );
    let publishes = publishes::Publishes::new(Arc::clone(&settings), Arc::clone(&sessions), events);
    let link = Arc::new(link::Link::new(settings, requests, sessions));
    spawn_until_shutdown(tasks, "authenticator", authenticator.run());
    spawn_until_shutdown(tasks, "publish channel", publishes.run());
    spawn_until_shutdown(tasks, "request probe", Arc::clone(&link).probe());
    spawn_until_shutdown(tasks, "clock", Arc::clone(&link).mind_the_clock());
    (link, receiver)
}

fn spawn_until_shutdown<F>(tasks: &Tasks, name: &'static str, work: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let token = tasks.token();
    tasks.spawn(name, async move {
        tokio::select! {
            () = work => {}
            () = token.cancelled() => {}
        }
    });
}

/// The request channel, session-encrypted.
pub trait MasterLink: Send + Sync {
    /// Sends one request (`cmd` and its load; id, nonce, ts and tok are added) and waits for the decoded reply.
    fn request<'a>(&'a self, cmd: &'a str, load: Map) -> BoxFuture<'a, Result<Value, LinkError>>;

    /// The same, with strings of the reply left as bytes (`_serve_file`).
    fn request_raw<'a>(&'a self, cmd: &'a str, load: Map) -> BoxFuture<'a, Result<Value, LinkError>>;

    /// Sends a `_pillar` load (grains, saltenv, pillarenv, ...) and waits for the verified pillar.
    fn pillar<'a>(&'a self, load: Map) -> BoxFuture<'a, Result<Value, LinkError>>;

    /// Fires one event on the master's bus.
    fn fire_event<'a>(&'a self, tag: &'a str, data: Value) -> BoxFuture<'a, Result<(), LinkError>>;

    /// Fires one event on the bus of one master alone, where there are several.
    fn fire_event_to<'a>(
        &'a self,
        master: &'a MasterAddress,
        tag: &'a str,
        data: Value,
    ) -> BoxFuture<'a, Result<(), LinkError>> {
        let _ = master;
        self.fire_event(tag, data)
    }

    /// Sends one request to one master alone, where there are several.
    fn request_of<'a>(
        &'a self,
        master: &'a MasterAddress,
        cmd: &'a str,
        load: Map,
    ) -> BoxFuture<'a, Result<Value, LinkError>> {
        let _ = master;
        self.request(cmd, load)
    }

    /// Asks for a sign of life at once, and dials again where none comes: this machine woke up.
    fn doubt(&self) {}

    /// Fires an event of a job: the master's bus carries the jid beside the data, as Salt's progress events do.
    fn fire_job_event<'a>(
        &'a self,
        jid: &'a str,
        tag: &'a str,
        data: Value,
    ) -> BoxFuture<'a, Result<(), LinkError>> {
        let _ = jid;
        self.fire_event(tag, data)
    }

    /// Hands a job's return over; `Ok` when the master took it.
    fn return_job<'a>(&'a self, ret: Map) -> BoxFuture<'a, Result<(), LinkError>>;
}

/// Why a request got no answer.
#[derive(Clone, Debug, Error)]
pub enum LinkError {
    /// This process works without a master.
    #[error("there is no master in --local mode")]
    Local,
    /// No master is connected, or the connection broke before the answer came.
    #[error("the master cannot be reached: {why}")]
    Unreachable {
        /// What happened last.
        why: String,
    },
    /// The master answered, but not with what was asked for.
    #[error("the master refused {cmd}: {why}")]
    Refused {
        /// The request's command.
        cmd: String,
        /// Its answer in words.
        why: String,
    },
}

impl LinkError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Local | Self::Refused { .. } => false,
        }
    }
}

/// The link of a process without a master: refuses everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalLink;

impl MasterLink for LocalLink {
    fn request<'a>(&'a self, _cmd: &'a str, _load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(std::future::ready(Err(LinkError::Local)))
    }

    fn request_raw<'a>(&'a self, _cmd: &'a str, _load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(std::future::ready(Err(LinkError::Local)))
    }

    fn pillar<'a>(&'a self, _load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(std::future::ready(Err(LinkError::Local)))
    }

    fn fire_event<'a>(&'a self, _tag: &'a str, _data: Value) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(std::future::ready(Err(LinkError::Local)))
    }

    fn return_job<'a>(&'a self, _ret: Map) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(std::future::ready(Err(LinkError::Local)))
    }
}
