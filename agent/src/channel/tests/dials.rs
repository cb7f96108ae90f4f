//! Dials, doubts and gaps: which address is dialled, when a connection is no longer believed, and what came meanwhile.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use super::{
    names::Names,
    proxy::{Proxy, Weather},
    scripted_master::{ScriptedMaster, bind},
    *,
};

const NAME: &str = "salt.example";

/// What an event says is wrong.
fn why(event: LinkEvent) -> Option<String> {
    if let LinkEvent::Lost { why } | LinkEvent::Waiting { why, .. } = event { Some(why) } else { None }
}

/// Counts who connects to a port of loopback, for ever.
async fn trap(port: u16) -> Arc<AtomicUsize> {
    let (listener, caught) = (bind("127.0.0.1", port).await, Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&caught);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    caught
}

#[tokio::test]
async fn a_name_is_looked_up_for_each_dial_and_no_other_address_stands_in() {
    let first = ScriptedMaster::start().await;
    let (identity, ports) = (first.identity(), (first.request_port, first.publish_port));
    let at = |last| BTreeMap::from([(NAME.to_owned(), vec![IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))])]);
    let table = Arc::new(Mutex::new(at(1)));
    let mut minion = Minion::start(ports.0, |settings| {
        settings.masters = vec![MasterAddress::parse(&format!("{NAME}:{}", ports.0), 0).unwrap()];
        settings.names = Names::Table(Arc::clone(&table));
        settings.timing.request_timeout = Duration::from_secs(2);
    });
    minion.connected().await;
    table.lock().unwrap().clear();
    drop(first);
    minion.lost().await;
    let caught = [trap(ports.0).await, trap(ports.1).await];
    let unresolved = |event| {
        let why = why(event)?;
        why.contains("cannot be resolved").then_some(why)
    };
    // The first dial may have looked the name up before it was gone; these have not.
    for _ in 0..3 {
        let why = minion.until("failed lookup", unresolved).await;
        assert!(why.contains(NAME), "{why}");
    }
    let before: Vec<_> = caught.iter().map(|caught| caught.load(Ordering::SeqCst)).collect();
    let _second = ScriptedMaster::start_on("127.0.0.2", identity, ports).await;
    *table.lock().unwrap() = at(2);
    minion.connected().await;
    assert_eq!(minion.echo("moved").await.unwrap(), "moved".into());
    let after: Vec<_> = caught.iter().map(|caught| caught.load(Ordering::SeqCst)).collect();
    assert_eq!(before, after, "the address of before was dialled though the name had none, or another");
}

#[tokio::test]
async fn a_doubted_connection_that_gives_no_sign_of_life_is_dialled_again() {
    let master = ScriptedMaster::start().await;
    let proxy = Proxy::before(master.publish_port).await;
    master.script().publish_port = proxy.port;
    let (dir, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let mut settings = settings(dir.path(), master.request_port);
    // No heartbeat would notice within the test's patience.
    settings.timing.heartbeat = Heartbeat { interval: PATIENCE * 60, timeout: PATIENCE * 60 };
    let (link, events) = connect_one(settings, &tasks);
    let mut minion = Minion { link: Arc::clone(&link) as Arc<dyn MasterLink>, events, tasks, dir };
    minion.connected().await;
    subscribed(&master, 1).await;
    link.doubt();
    // A connection that lives answers, and goes on as before.
    tokio::time::sleep(Duration::from_millis(200)).await;
    master.publish(&jid(1));
    assert_eq!(minion.job().await, jid(1));
    proxy.turn(Weather::BlackHole);
    link.doubt();
    let why = minion.until("loss", why).await;
    assert!(why.contains("nothing came through the connection"), "{why}");
    proxy.turn(Weather::Fair);
    minion.connected().await;
}

#[tokio::test]
async fn a_gap_is_told_with_its_times_and_counted_when_a_serial_shows_it() {
    let master = ScriptedMaster::start().await;
    let proxy = Proxy::before(master.publish_port).await;
    master.script().publish_port = proxy.port;
    let began = SystemTime::now();
    let mut minion = Minion::start(master.request_port, |_| {});
    minion.connected().await;
    subscribed(&master, 1).await;
    master.publish(&jid(1));
    assert_eq!(minion.job().await, jid(1));
    proxy.turn(Weather::Cut);
    subscribed(&master, 0).await;
    master.publish(&jid(2));
    master.publish(&jid(3));
    proxy.turn(Weather::Fair);
    let gap = |event| if let LinkEvent::Gap { since, until } = event { Some((since, until)) } else { None };
    let (since, until) = minion.until("gap", gap).await;
    assert!(began <= since && since <= until && until <= SystemTime::now());
    subscribed(&master, 1).await;
    master.publish(&jid(4));
    let missed = |event| if let LinkEvent::Missed { count } = event { Some(count) } else { None };
    assert_eq!(minion.until("count", missed).await, 2);
    assert_eq!(minion.job().await, jid(4));
}

#[tokio::test]
async fn what_a_restarted_master_published_before_the_minion_was_back_is_counted() {
    let first = ScriptedMaster::start().await;
    let mut minion = Minion::start(first.request_port, |_| {});
    minion.connected().await;
    let (identity, ports) = (first.identity(), (first.request_port, first.publish_port));
    drop(first);
    minion.lost().await;
    let second = ScriptedMaster::start_as(identity, ports).await;
    second.seal(&jid(1));
    second.seal(&jid(2));
    minion.connected().await;
    subscribed(&second, 1).await;
    second.publish(&jid(3));
    let missed = |event| if let LinkEvent::Missed { count } = event { Some(count) } else { None };
    assert_eq!(minion.until("count", missed).await, 2);
    assert_eq!(minion.job().await, jid(3));
}
