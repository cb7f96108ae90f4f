//! The running minion: connect, gather, serve, drain.
//!
//! Start order as Salt's: authentication and subscription (the link does both), grains gathered meanwhile,
//! `_pillar` with the grains so that the master can target them, then the start events. Publishes are served
//! from the first moment. Shutdown: no more publishes, running jobs get the grace period, returns are flushed.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use proto::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    access, beacons,
    channel::{self, ChannelSettings, LinkEvent, MasterAddress, MasterLink},
    config::Config,
    grains,
    job::{accept::Acceptor, missed, queue::ReturnQueue},
    mine, pillar, release, schedule,
    services::{Acquaintance, Services},
    status,
    store::Store,
    sync::sink::{ChosenSink, CurrentPillar},
    tasks::Tasks,
};

mod stop;

/// The store's file below the data folder.
pub const STORE_FILE: &str = "store.sqlite";

/// How long running jobs may go on after a request to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How long the last returns may take.
const FLUSH: Duration = Duration::from_secs(3);

/// How long `agent call` waits for a master.
const CALL_WAIT: Duration = Duration::from_secs(60);

/// Connects for one call and waits until the master accepted this minion.
///
/// # Errors
/// The keys cannot be used, or no master accepted this minion in time; the last reason is given.
pub async fn connect_for_call(config: &Config, tasks: &Tasks) -> anyhow::Result<Arc<dyn MasterLink>> {
    let (link, mut events) = channel::connect(ChannelSettings::from_config(config)?, tasks);
    let mut last = "no master answered".to_owned();
    let connected = async {
        while let Some(event) = events.recv().await {
            match event {
                LinkEvent::Connected { .. } => return true,
                LinkEvent::Publish(_) | LinkEvent::Missed { .. } | LinkEvent::Gap { .. } => {}
                LinkEvent::Lost { why } | LinkEvent::Waiting { why, .. } | LinkEvent::Refused { why } => {
                    last = why
                }
            }
        }
        false
    };
    if !tokio::time::timeout(CALL_WAIT, connected).await.unwrap_or(false) {
        anyhow::bail!("the master did not accept this minion: {last}");
    }
    // The link must not wait for anybody to take its events.
    drop(tasks.spawn("link events", async move { while events.recv().await.is_some() {} }));
    Ok(link)
}

/// Runs until SIGTERM, SIGINT or the service manager's stop.
///
/// # Errors
/// The store or the configuration of the link cannot be used.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let (config, tasks) = (Arc::new(config), Tasks::new());
    let _alone = release::supervised::alone(&config.data_dir).await?;
    let opened = Store::open(&config.data_dir.join(STORE_FILE));
    let store = Arc::new(opened.inspect_err(release::supervised::tell_why)?);
    let (link, events) = channel::connect(ChannelSettings::from_config(&config)?, &tasks);
    let services = Services::new(config, link, store, tasks);
    let queue = ReturnQueue::new(&services.config, Arc::clone(&services.store), Arc::clone(&services.link));
    tracing::info!(id = %services.config.id, "the agent starts");
    let minion = Minion {
        acceptor: Acceptor::new(Arc::clone(&services), queue.clone()),
        services: Arc::clone(&services),
        queue: queue.clone(),
    };
    minion.start(events).await;
    stop::requested(services.release.as_deref()).await?;
    tracing::info!("the agent stops");
    services.tasks.shutdown(GRACE).await;
    if tokio::time::timeout(FLUSH, queue.flush()).await.is_err() {
        tracing::info!("returns that the master did not take are kept for the next start");
    }
    status::clear(&services.config);
    Ok(())
}

/// What the event of a gap tells: from when to when nothing came.
fn gap(since: SystemTime, until: SystemTime) -> Map {
    let moment = |at: SystemTime| {
        chrono::DateTime::<chrono::Utc>::from(at).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    };
    let seconds = until.duration_since(since).unwrap_or_default().as_secs_f64();
    let mut data: Map = [("since", moment(since)), ("until", moment(until))].into();
    data.insert("seconds", Value::Float((seconds * 1000.0).round() / 1000.0));
    data
}

async fn until_cancelled(token: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = token.cancelled() => {}
        () = work => {}
    }
}

/// The parts that serve a master.
#[derive(Clone)]
struct Minion {
    services: Arc<Services>,
    acceptor: Acceptor,
    queue: ReturnQueue,
}

impl Minion {
    async fn start(&self, events: mpsc::Receiver<LinkEvent>) {
        let tasks = &self.services.tasks;
        if let Some(supervised) = &self.services.release {
            if let Err(error) = supervised.listen() {
                tracing::error!(%error, "the supervisor cannot be heard");
            }
            drop(tasks.spawn("heartbeat", Arc::clone(supervised).beat(tasks.token())));
            let link = Arc::clone(&self.services.link);
            let waking = Arc::clone(supervised).on_waking(move || link.doubt());
            drop(tasks.spawn("waking", until_cancelled(tasks.token(), waking)));
        }
        if let Err(error) = self.services.writes.start().await {
            tracing::error!(%error, "the declared writes could not be read");
        }
        if let Err(error) = self.acceptor.return_interrupted().await {
            tracing::error!(%error, "interrupted jobs could not be returned");
        }
        // Only then: a job that waits for the end of a trial is no longer known by that once it was reported.
        if self.services.release.is_some() {
            let probation = release::probation::run(Arc::clone(&self.services), self.queue.clone());
            drop(tasks.spawn("probation", until_cancelled(tasks.token(), probation)));
        }
        let services = Arc::clone(&self.services);
        drop(tasks.spawn("grains", async move { services.refresh_grains().await }));
        drop(tasks.spawn("return queue", self.queue.clone().drain(tasks.token())));
        drop(tasks.spawn("link events", self.clone().serve(events)));
        let schedule = schedule::run(Arc::clone(&self.services), self.acceptor.clone());
        drop(tasks.spawn("schedule", schedule));
        drop(tasks.spawn("drift of access", access::drift::watch(Arc::clone(&self.services))));
        drop(tasks.spawn("beacons", beacons::run::run(Arc::clone(&self.services))));
        let (config, link) = (Arc::clone(&self.services.config), Arc::clone(&self.services.link));
        let services = Arc::clone(&self.services);
        let pillar: CurrentPillar = Arc::new(move || services.pillar.current());
        let sink = ChosenSink::new(config, pillar, link, tasks.clone());
        if let Err(error) = sink.check() {
            // The pillar may still say otherwise; until then every delivery says so.
            tracing::warn!(%error, "batches are not delivered");
        }
        if let Err(error) = self.services.syncs.start(Arc::new(sink)).await {
            tracing::error!(%error, "sync jobs could not be started");
        }
    }

    async fn serve(self, mut events: mpsc::Receiver<LinkEvent>) {
        let token = self.services.tasks.token();
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = token.cancelled() => return,
            };
            let Some(event) = event else { return };
            self.handle(event);
        }
    }

    /// Never waits: whatever takes time runs as a task of its own.
    fn handle(&self, event: LinkEvent) {
        match event {
            LinkEvent::Publish(publish) => {
                self.services.jobs.heard(publish.jid.as_str());
                self.acceptor.publish(publish.load);
            }
            LinkEvent::Connected { master, publish_port } => {
                tracing::info!(%master, publish_port, "connected to the master");
                if let Some(supervised) = &self.services.release {
                    supervised.note_connected();
                }
                self.note("connected", Some(&master.to_string()));
                let this = self.clone();
                drop(self.services.tasks.spawn("greeting", async move { this.greet(master).await }));
            }
            LinkEvent::Missed { count } => {
                self.report_gap("agent/publish/missed", [("count", count)].into());
            }
            LinkEvent::Gap { since, until } => {
                self.report_gap("agent/publish/gap", gap(since, until));
                if until.duration_since(since).is_ok_and(|gap| gap < missed::LONGEST_GAP) {
                    self.ask_missed();
                }
            }
            // The link has said why in the log.
            LinkEvent::Lost { .. } => self.note("disconnected", None),
            LinkEvent::Waiting { why, .. } | LinkEvent::Refused { why } => self.note(&why, None),
        }
    }

    /// Jobs that never came here, or may not have come: the master cannot send them again, but its operator can be told.
    fn report_gap(&self, tag: &'static str, data: Map) {
        let link = Arc::clone(&self.services.link);
        drop(self.services.tasks.spawn("gap report", async move {
            if let Err(error) = link.fire_event(tag, Value::Map(data)).await {
                tracing::warn!(tag, %error, "the event of a gap in the publishes could not be sent");
            }
        }));
    }

    /// Asks for the jobs of a gap, where that is wanted, and takes them as if they had come.
    fn ask_missed(&self) {
        if !missed::is_wanted(&self.services.config) {
            return;
        }
        let (this, last) = (self.clone(), self.services.jobs.last_heard());
        drop(self.services.tasks.spawn("missed jobs", async move {
            match missed::ask(&*this.services.link, &last).await {
                Ok(loads) => {
                    tracing::info!(found = loads.len(), after = last, "asked for the jobs of the gap");
                    loads.into_iter().for_each(|load| this.acceptor.publish(load));
                }
                Err(error) => tracing::warn!(%error, "the jobs of the gap could not be asked for"),
            }
        }));
    }

    fn note(&self, link: &str, master: Option<&str>) {
        if let Err(error) = status::write(&self.services.config, link, master) {
            tracing::warn!(%error, "the status could not be noted");
        }
    }

    /// Grains and pillar to the master, then the start events, once per process and master; after a later connect the
    /// pillar only, since the master may have forgotten this minion's grains.
    async fn greet(&self, master: MasterAddress) {
        self.queue.wake();
        if let Err(error) = pillar::refresh(&self.services).await {
            tracing::warn!(%error, "the pillar could not be had; it is asked for again at the next state run");
        }
        let acquaintance = self.services.greet(&master);
        if acquaintance != Acquaintance::Known {
            self.start_events(&master).await;
        }
        if acquaintance == Acquaintance::First {
            let mine = mine::keep_updated(Arc::clone(&self.services));
            drop(self.services.tasks.spawn("mine", mine));
            drop(self.services.tasks.spawn("late grains", grains::follow(Arc::clone(&self.services))));
            self.startup_states();
        }
    }

    /// Runs what `startup_states` asks for, as a job that the master gives a jid to.
    fn startup_states(&self) {
        let config = &self.services.config;
        let texts = |key: &str| Value::from(config.list_opt(key).join(","));
        let (fun, arg) = match config.str_opt("startup_states").as_deref() {
            Some("highstate") => ("state.highstate", Vec::new()),
            Some("sls") => ("state.sls", vec![texts("sls_list")]),
            Some("top") => ("state.top", vec![Value::from(config.str_opt("top_file").unwrap_or_default())]),
            Some("" | "none") | None => return,
            Some(other) => {
                return tracing::error!(
                    other,
                    "startup_states must be highstate, sls or top; no states were run"
                );
            }
        };
        self.acceptor.own(fun, arg);
    }

    async fn start_events(&self, master: &MasterAddress) {
        let id = self.services.config.id.as_str();
        let started = chrono::Local::now().format("%a %b %e %H:%M:%S %Y");
        let text = format!("Minion {id} started at {started}");
        let legacy = self.services.config.bool_opt("enable_legacy_startup_events", true);
        let tags =
            legacy.then(|| "minion_start".to_owned()).into_iter().chain([format!("salt/minion/{id}/start")]);
        let grains = self.start_grains();
        for tag in tags {
            let data = Value::from(text.as_str());
            let sent = match &grains {
                None => self.services.link.fire_event_to(master, &tag, data).await,
                Some(grains) => {
                    let mut load = proto::Map::new();
                    load.insert("tag", tag.as_str());
                    load.insert("data", data);
                    load.insert("pretag", Value::Nil);
                    load.insert("grains", grains.clone());
                    self.services.link.request_of(master, "_minion_event", load).await.map(drop)
                }
            };
            if let Err(error) = sent {
                tracing::warn!(tag, %error, "a start event could not be sent");
            }
        }
    }

    /// The grains that `start_event_grains` wants in the start events; `None` when it names none.
    fn start_grains(&self) -> Option<proto::Map> {
        let names = self.services.config.list_opt("start_event_grains");
        let grains = self.services.grains.current();
        let held = |name: String| Some((name.clone(), proto::to_value(grains.get(&name)?)));
        (!names.is_empty()).then(|| names.into_iter().filter_map(held).collect())
    }
}
