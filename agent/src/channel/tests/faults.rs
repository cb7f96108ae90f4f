//! The link behind a proxy that does to its bytes what networks do.

use super::{
    proxy::{Proxy, Weather},
    scripted_master::ScriptedMaster,
    *,
};

#[tokio::test]
async fn a_publish_path_that_goes_silent_is_noticed_and_healed() {
    let master = ScriptedMaster::start().await;
    let proxy = Proxy::before(master.publish_port).await;
    master.script().publish_port = proxy.port;
    for weather in [Weather::BlackHole, Weather::DeafClient, Weather::Cut] {
        let mut minion = Minion::start(master.request_port, |settings| {
            settings.timing.heartbeat =
                Heartbeat { interval: Duration::from_millis(500), timeout: Duration::from_secs(3) };
        });
        minion.connected().await;
        proxy.turn(weather);
        minion.lost().await;
        assert_eq!(minion.echo("still").await.unwrap(), "still".into(), "requests go on during {weather:?}");
        proxy.turn(Weather::Fair);
        minion.connected().await;
        // A machine under load may lose the link once more, so one publish may not be enough.
        let publish = async {
            for number in 1.. {
                master.publish(&jid(number));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            _ = minion.job() => {}
            () = publish => {}
        }
        minion.tasks.shutdown(PATIENCE).await;
        drop(minion);
        subscribed(&master, 0).await;
    }
}

#[tokio::test]
async fn an_idle_request_socket_that_was_cut_costs_nothing() {
    let master = ScriptedMaster::start().await;
    let proxy = Proxy::before(master.request_port).await;
    let mut minion = Minion::start(proxy.port, |_| {});
    minion.connected().await;
    for round in ["one", "two", "three"] {
        assert_eq!(minion.echo(round).await.unwrap(), round.into());
        proxy.turn(Weather::Cut);
        proxy.turn(Weather::Fair);
    }
}

#[tokio::test]
async fn in_any_weather_each_job_comes_once_or_is_counted_as_missed_and_each_return_arrives() {
    let master = ScriptedMaster::start().await;
    let publishes = Proxy::before(master.publish_port).await;
    let requests = Proxy::before(master.request_port).await;
    master.script().publish_port = publishes.port;
    let mut minion = Minion::start(requests.port, |settings| {
        settings.timing.request_timeout = Duration::from_secs(2);
        settings.timing.heartbeat =
            Heartbeat { interval: Duration::from_millis(500), timeout: Duration::from_secs(3) };
    });
    minion.connected().await;
    subscribed(&master, 1).await;
    // Gaps are counted from the first publish that came.
    master.publish(&jid(0));
    assert_eq!(minion.job().await, jid(0));
    let mut tally = Tally { jobs: vec![jid(0)], missed: 0, returns: Vec::new() };
    let last = tokio::select! {
        last = storms(&master, &publishes, &requests) => last,
        never = tally.take(&mut minion) => match never {},
        () = tokio::time::sleep(PATIENCE * 2) => panic!("the link did not come back"),
    };
    for returned in tally.returns {
        tokio::time::timeout(PATIENCE, returned).await.unwrap().unwrap();
    }
    let jobs = tally.jobs;
    assert!(jobs.is_sorted() && !jobs.windows(2).any(|pair| pair[0] == pair[1]), "out of order: {jobs:?}");
    assert_eq!(jobs.last(), Some(&jid(last)));
    assert_eq!(jobs.len() as u64 + tally.missed, u64::from(last) + 1, "every publish came or was counted");
}

/// What came to the minion.
struct Tally {
    jobs: Vec<String>,
    missed: u64,
    returns: Vec<tokio::task::JoinHandle<()>>,
}

impl Tally {
    async fn take(&mut self, minion: &mut Minion) -> std::convert::Infallible {
        loop {
            match minion.events.recv().await.expect("the link ended") {
                LinkEvent::Publish(load) => {
                    let (link, jid) = (Arc::clone(&minion.link), load.jid.to_string());
                    self.jobs.push(jid.clone());
                    self.returns.push(tokio::spawn(returned(link, jid)));
                }
                LinkEvent::Missed { count } => self.missed += count,
                LinkEvent::Refused { why } => panic!("{why}"),
                LinkEvent::Gap { since, until } => assert!(since <= until),
                LinkEvent::Connected { .. } | LinkEvent::Lost { .. } | LinkEvent::Waiting { .. } => {}
            }
        }
    }
}

/// Publishes through every storm and the calm after it, until the master has the return of its latest job.
async fn storms(master: &ScriptedMaster, publishes: &Proxy, requests: &Proxy) -> u32 {
    let mut sent = 1;
    let mut publish = async |pause| {
        master.publish(&jid(sent));
        sent += 1;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        sent - 1
    };
    for storm in [Weather::Cut, Weather::Doubled, Weather::Truncated, Weather::Slow, Weather::BlackHole] {
        for weather in [storm, Weather::Fair] {
            for proxy in [publishes, requests] {
                proxy.turn(weather);
                for _ in 0..8 {
                    publish(40).await;
                }
            }
        }
    }
    loop {
        // Only the next publish shows the gap before it, so the calm is filled with publishes as well.
        let last = Value::from(jid(publish(100).await));
        if master.script().returns.iter().any(|load| load.get("jid") == Some(&last)) {
            return sent - 1;
        }
    }
}

/// Returns like the return queue: until the master took it.
async fn returned(link: Arc<dyn MasterLink>, jid: String) {
    while let Err(error) = link.return_job([("jid", jid.clone()), ("return", "x".to_owned())].into()).await {
        assert!(error.is_retryable(), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
