//! Several masters at once: one link to each, seen as one.
//!
//! Salt's rules for a list of masters: every master's jobs are taken, a return goes to the master that published the
//! job, events go to all, and so does the request for pillar, which carries the grains that masters target by. Pillar
//! and files are taken from the first master of the list that is connected. When the publisher stays away, its returns go to another master rather than nowhere, because masters of one minion commonly
//! share their job cache; that patience is [`PUBLISHER_PATIENCE`].

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all};
use proto::{Map, Value};
use tokio::{sync::mpsc, time::Instant};

use super::{
    LinkError, LinkEvent, MasterLink,
    link::{Link, repeat},
    requests::Repeat,
    settings::MasterAddress,
};

/// Jobs whose publisher is remembered.
const JOBS_MAX: usize = 10_000;
/// How long a return waits for the master that published its job.
const PUBLISHER_PATIENCE: Duration = Duration::from_secs(60);

/// The links, in the order of the configuration.
pub struct ManyLinks {
    links: Vec<OneLink>,
    publishers: Mutex<VecDeque<(String, usize)>>,
}

/// One of the links, and since when it is as it is.
struct OneLink {
    link: Arc<Link>,
    standing: Mutex<Standing>,
}

#[derive(Clone, Copy, Debug)]
enum Standing {
    Connected,
    Away { since: Instant },
}

impl ManyLinks {
    /// Joins links. There is at least one.
    pub fn new(links: Vec<Arc<Link>>) -> Self {
        let away = Standing::Away { since: Instant::now() };
        let with_standing = |link| OneLink { link, standing: Mutex::new(away) };
        Self { links: links.into_iter().map(with_standing).collect(), publishers: Mutex::default() }
    }

    /// Hands the events of one link on, and remembers which master published what.
    pub async fn forward(
        self: Arc<Self>,
        index: usize,
        mut from: mpsc::Receiver<LinkEvent>,
        to: mpsc::Sender<LinkEvent>,
    ) {
        while let Some(event) = from.recv().await {
            match &event {
                LinkEvent::Publish(load) => self.remember(load.jid.to_string(), index),
                LinkEvent::Connected { .. } => self.links[index].stands(Standing::Connected),
                LinkEvent::Lost { .. } | LinkEvent::Waiting { .. } | LinkEvent::Refused { .. } => {
                    self.links[index].stands(Standing::Away { since: Instant::now() });
                }
                LinkEvent::Missed { .. } | LinkEvent::Gap { .. } => {}
            }
            if to.send(event).await.is_err() {
                return;
            }
        }
    }

    fn remember(&self, jid: String, index: usize) {
        let mut publishers = self.publishers.lock().unwrap_or_else(PoisonError::into_inner);
        if publishers.len() == JOBS_MAX {
            publishers.pop_front();
        }
        publishers.push_back((jid, index));
    }

    fn publisher(&self, jid: &str) -> Option<usize> {
        let publishers = self.publishers.lock().unwrap_or_else(PoisonError::into_inner);
        publishers.iter().rev().find(|(published, _)| published == jid).map(|(_, index)| *index)
    }

    /// The links, those that are connected first.
    fn in_order(&self) -> Vec<&Arc<Link>> {
        let mut links: Vec<_> = self.links.iter().collect();
        links.sort_by_key(|one| !one.is_connected());
        links.into_iter().map(|one| &one.link).collect()
    }

    /// Asks one master after the other until one can be reached.
    async fn ask<'a, T, A, F>(&'a self, ask: A) -> Result<T, LinkError>
    where
        A: Fn(&'a Arc<Link>) -> F,
        F: Future<Output = Result<T, LinkError>>,
    {
        let mut failed = None;
        for link in self.in_order() {
            match ask(link).await {
                Err(error @ LinkError::Unreachable { .. }) => failed = Some(error),
                done => return done,
            }
        }
        Err(failed.unwrap_or_else(|| LinkError::Unreachable { why: "no master is configured".to_owned() }))
    }

    /// Returns to the master that published the job; to another once that one stays away.
    async fn return_to_publisher(&self, ret: Map) -> Result<(), LinkError> {
        let publisher = ret.get("jid").and_then(Value::as_str).and_then(|jid| self.publisher(jid));
        match publisher.map(|publisher| &self.links[publisher]) {
            Some(publisher) if !publisher.is_away_for(PUBLISHER_PATIENCE) => {
                publisher.link.return_job(ret).await
            }
            Some(_) | None => self.ask(|link| link.return_job(ret.clone())).await,
        }
    }

    /// Asks every connected master, because the request is also what tells a master this minion's grains; the first of
    /// the list that answers decides.
    async fn pillar_of_all(&self, load: Map) -> Result<Value, LinkError> {
        let connected: Vec<_> = self.links.iter().filter(|one| one.is_connected()).collect();
        let answers = join_all(connected.iter().map(|one| one.link.pillar(load.clone()))).await;
        match answers.into_iter().find(|answer| !matches!(answer, Err(LinkError::Unreachable { .. }))) {
            Some(answer) => answer,
            None => self.ask(|link| link.pillar(load.clone())).await,
        }
    }

    async fn fire_at_all<'a, F>(&'a self, fire: impl Fn(&'a Arc<Link>) -> F) -> Result<(), LinkError>
    where
        F: Future<Output = Result<(), LinkError>>,
    {
        let connected = self.links.iter().filter(|one| one.is_connected());
        let fired = join_all(connected.map(|one| fire(&one.link))).await;
        if fired.iter().any(Result::is_ok) {
            return Ok(());
        }
        self.ask(fire).await
    }
}

impl OneLink {
    fn stands(&self, now: Standing) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        // Many reasons to be away are one absence.
        if let (Standing::Away { .. }, Standing::Away { .. }) = (*standing, now) {
            return;
        }
        *standing = now;
    }

    fn is_connected(&self) -> bool {
        matches!(*self.standing.lock().unwrap_or_else(PoisonError::into_inner), Standing::Connected)
    }

    fn is_away_for(&self, time: Duration) -> bool {
        match *self.standing.lock().unwrap_or_else(PoisonError::into_inner) {
            Standing::Connected => false,
            Standing::Away { since } => since.elapsed() > time,
        }
    }
}

impl MasterLink for ManyLinks {
    fn doubt(&self) {
        self.links.iter().for_each(|one| one.link.doubt());
    }

    fn request<'a>(&'a self, cmd: &'a str, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        if repeat(cmd, &load) == Repeat::Forbidden {
            return self.in_order()[0].request(cmd, load);
        }
        Box::pin(self.ask(move |link| link.request(cmd, load.clone())))
    }

    fn request_raw<'a>(&'a self, cmd: &'a str, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(self.ask(move |link| link.request_raw(cmd, load.clone())))
    }

    fn pillar<'a>(&'a self, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(self.pillar_of_all(load))
    }

    fn fire_event<'a>(&'a self, tag: &'a str, data: Value) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(self.fire_at_all(move |link| link.fire_event(tag, data.clone())))
    }

    fn fire_event_to<'a>(
        &'a self,
        master: &'a MasterAddress,
        tag: &'a str,
        data: Value,
    ) -> BoxFuture<'a, Result<(), LinkError>> {
        match self.links.iter().find(|one| one.link.is_to(master)) {
            Some(one) => one.link.fire_event(tag, data),
            None => self.fire_event(tag, data),
        }
    }

    fn request_of<'a>(
        &'a self,
        master: &'a MasterAddress,
        cmd: &'a str,
        load: Map,
    ) -> BoxFuture<'a, Result<Value, LinkError>> {
        match self.links.iter().find(|one| one.link.is_to(master)) {
            Some(one) => one.link.request(cmd, load),
            None => self.request(cmd, load),
        }
    }

    fn fire_job_event<'a>(
        &'a self,
        jid: &'a str,
        tag: &'a str,
        data: Value,
    ) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(self.fire_at_all(move |link| link.fire_job_event(jid, tag, data.clone())))
    }

    fn return_job<'a>(&'a self, ret: Map) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(self.return_to_publisher(ret))
    }
}
