//! The loop that lets beacons look, and tells the master what they saw.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use proto::Value as WireValue;
use states::{Map, Value};

use super::{Kind, kind::Memory};
use crate::services::Services;

/// How many events wait for the master at most; older ones are dropped and counted in the log.
pub const MOST_WAITING: usize = 1000;

/// Without `interval` a beacon looks once a second, as in Salt.
const EVERY: Duration = Duration::from_secs(1);

/// A look may take no longer.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// When events that the master did not take are sent again.
const AGAIN: Duration = Duration::from_secs(5);

/// While no beacon is configured.
const NOTHING_TO_DO: Duration = Duration::from_secs(3600);

struct Watch {
    name: String,
    kind: Kind,
    config: Map,
    memory: Memory,
    due: Instant,
}

/// Lets beacons look until the process stops.
pub async fn run(services: Arc<Services>) {
    let token = services.tasks.token();
    let mut watches: BTreeMap<String, Watch> = BTreeMap::new();
    let mut waiting = VecDeque::new();
    loop {
        renew(&mut watches, &services, Instant::now());
        look(&mut watches, &services, &mut waiting).await;
        tell(&services, &mut waiting).await;
        let soonest = watches.values().map(|watch| watch.due).min();
        let wait = soonest.map_or(NOTHING_TO_DO, |due| due.saturating_duration_since(Instant::now()));
        let wait = if waiting.is_empty() { wait } else { wait.min(AGAIN) };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = services.beacons.changed.notified() => {}
            () = token.cancelled() => return,
        }
    }
}

/// Takes over what is configured; a beacon whose settings did not change keeps its memory.
fn renew(watches: &mut BTreeMap<String, Watch>, services: &Services, now: Instant) {
    let mut held = std::mem::take(watches);
    for (name, config) in services.beacons.active() {
        if let Some(watch) = held.remove(&name).filter(|watch| watch.config == config) {
            watches.insert(name, watch);
            continue;
        }
        let module = config.get("beacon_module").map_or_else(|| name.clone(), ToString::to_string);
        let Some(kind) = Kind::named(&module) else {
            tracing::warn!(name, "there is no such kind of beacon here");
            continue;
        };
        if let Err(why) = kind.validate(&config.clone().into()) {
            tracing::error!(name, why, "the settings of this beacon cannot be used");
            continue;
        }
        let first = config.contains_key("interval");
        let due = if first { now + interval(&config) } else { now };
        watches.insert(name.clone(), Watch { name, kind, config, memory: Memory::default(), due });
    }
}

fn interval(config: &Map) -> Duration {
    let given = config.get("interval").and_then(Value::as_float).filter(|seconds| *seconds > 0.0);
    given.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(EVERY)
}

/// Lets those that are due look, beside one another.
async fn look(
    watches: &mut BTreeMap<String, Watch>,
    services: &Arc<Services>,
    waiting: &mut VecDeque<WireValue>,
) {
    let now = Instant::now();
    let in_state_run = services.jobs.states.holder().is_some();
    let due = watches.values_mut().filter(|watch| watch.due <= now);
    let looks = due.map(|watch| async move {
        watch.due = now + interval(&watch.config);
        let paused = watch.config.get("disable_during_state_run").is_some_and(Value::is_truthy);
        if paused && in_state_run {
            return Vec::new();
        }
        let look = watch.kind.look(&watch.config, &mut watch.memory, services);
        let seen = match tokio::time::timeout(LONGEST_LOOK, look).await {
            Ok(seen) => seen,
            Err(_) => Err(format!("it took longer than {} s", LONGEST_LOOK.as_secs())),
        };
        let once = watch.config.get("run_once").is_some_and(Value::is_truthy);
        if once && seen.is_ok() && services.beacons.enable(&watch.name, false).is_err() {
            tracing::warn!(
                name = watch.name,
                "a beacon of the pillar cannot be turned off after its first look"
            );
        }
        events(watch, seen, services.config.id.as_str())
    });
    for event in join_all(looks).await.into_iter().flatten() {
        waiting.push_back(event);
    }
}

fn events(watch: &Watch, seen: Result<Vec<Map>, String>, id: &str) -> Vec<WireValue> {
    let base = format!("salt/beacon/{id}/{}/", watch.name);
    let event = |tag: String, data: Map, error: Option<String>| {
        let mut event: Map = [("tag", Value::from(tag)), ("data", data.into())].into_iter().collect();
        event.insert("beacon_name", watch.kind.name());
        if let Some(error) = error {
            event.insert("error", error);
        }
        proto::to_value(&event)
    };
    match seen {
        Ok(all) => all
            .into_iter()
            .map(|mut data| {
                let end = data.remove("tag").map(|tag| tag.to_string()).unwrap_or_default();
                data.entry_or_insert("id", id);
                event(format!("{base}{end}"), data, None)
            })
            .collect(),
        Err(why) => {
            tracing::error!(name = watch.name, why, "a beacon could not look");
            let data: Map = [("id", id), ("error", why.as_str())].into_iter().collect();
            vec![event(base, data, Some(why))]
        }
    }
}

/// Sends what waits; what the master does not take waits on.
async fn tell(services: &Services, waiting: &mut VecDeque<WireValue>) {
    if waiting.is_empty() {
        return;
    }
    let surplus = waiting.len().saturating_sub(MOST_WAITING);
    if surplus > 0 {
        tracing::error!(surplus, "the master cannot be told of beacons; the oldest events are dropped");
        drop(waiting.drain(..surplus));
    }
    let mut load = proto::Map::new();
    load.insert("events", waiting.iter().cloned().collect::<Vec<_>>());
    load.insert("pretag", WireValue::Nil);
    match services.link.request("_minion_event", load).await {
        Ok(_) => waiting.clear(),
        Err(error) => tracing::info!(%error, count = waiting.len(), "events of beacons wait for the master"),
    }
}
