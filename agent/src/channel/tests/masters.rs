//! Several masters, and masters that change their key.

use super::{scripted_master::ScriptedMaster, *};
use crate::channel::tests::proxy::Proxy;

#[tokio::test]
async fn all_masters_of_a_list_are_served_and_each_gets_its_own_returns() {
    let first = ScriptedMaster::start().await;
    // Masters of one minion share their key.
    let second = ScriptedMaster::start_as(first.identity(), (0, 0)).await;
    let mut minion = Minion::start(first.request_port, |settings| {
        settings
            .masters
            .push(MasterAddress::parse(&format!("127.0.0.1:{}", second.request_port), 0).unwrap());
    });
    minion.connected().await;
    minion.connected().await;
    subscribed(&first, 1).await;
    subscribed(&second, 1).await;
    first.publish(&jid(1));
    assert_eq!(minion.job().await, jid(1));
    second.publish(&jid(2));
    assert_eq!(minion.job().await, jid(2));
    for number in [1, 2] {
        minion.link.return_job([("jid", jid(number)), ("return", "x".to_owned())].into()).await.unwrap();
    }
    assert_eq!(minion.link.pillar(Map::new()).await.unwrap().get("ehr"), Some(&"dolphin".into()));
    minion.link.fire_event("agent/hello", "hi".into()).await.unwrap();
    for (master, number) in [(&first, 1), (&second, 2)] {
        let script = master.script();
        let returned: Vec<_> = script.returns.iter().map(|load| load.get("jid").cloned()).collect();
        assert_eq!(returned, [Some(Value::from(jid(number)))]);
        assert_eq!((script.count("_minion_event"), script.count("_pillar")), (1, 1));
    }
    let to_second = MasterAddress::parse(&format!("127.0.0.1:{}", second.request_port), 0).unwrap();
    minion.link.fire_event_to(&to_second, "salt/minion/m1/start", "started".into()).await.unwrap();
    assert_eq!((first.script().count("_minion_event"), second.script().count("_minion_event")), (1, 2));
    drop(first);
    minion.lost().await;
    assert_eq!(minion.echo("other").await.unwrap(), "other".into());
}

#[tokio::test]
async fn failover_takes_the_next_master_when_one_is_gone_or_publishes_nothing() {
    let first = ScriptedMaster::start().await;
    let second = ScriptedMaster::start_as(first.identity(), (0, 0)).await;
    let proxy = Proxy::before(first.publish_port).await;
    first.script().publish_port = proxy.port;
    let mut minion = Minion::start(first.request_port, |settings| {
        settings.order = MasterOrder::Failover;
        settings
            .masters
            .push(MasterAddress::parse(&format!("127.0.0.1:{}", second.request_port), 0).unwrap());
        settings.timing.heartbeat =
            Heartbeat { interval: Duration::from_millis(500), timeout: Duration::from_secs(3) };
    });
    minion.connected().await;
    subscribed(&first, 1).await;
    drop(proxy);
    let master =
        |event| if let LinkEvent::Connected { master, .. } = event { Some(master.port()) } else { None };
    assert_eq!(minion.until("second master", master).await, second.request_port);
    assert_eq!(minion.echo("second").await.unwrap(), "second".into());
    assert_eq!(second.script().count("echo"), 1);
    first.script().publish_port = first.publish_port;
    drop(second);
    assert_eq!(minion.until("first master", master).await, first.request_port);
}

#[tokio::test]
async fn a_changed_master_key_is_refused_with_both_fingerprints_until_the_pin_is_removed() {
    let first = ScriptedMaster::start().await;
    let mut minion = Minion::start(first.request_port, |settings| {
        settings.timing.request_timeout = Duration::from_secs(1);
    });
    minion.connected().await;
    let pinned = first.identity().public_key.fingerprint().to_string();
    let ports = (first.request_port, first.publish_port);
    drop(first);
    minion.lost().await;
    let identity = master_identity(OTHER_MASTER, None);
    let offered = identity.public_key.fingerprint().to_string();
    let _second = ScriptedMaster::start_as(identity, ports).await;
    let why = minion.refused().await;
    assert!(why.contains(&pinned) && why.contains(&offered), "{why}");
    assert!(matches!(minion.echo("x").await, Err(LinkError::Unreachable { .. })));
    std::fs::remove_file(minion.dir.path().join("minion_master.pub")).unwrap();
    minion.connected().await;
}

#[tokio::test]
async fn an_operators_signature_lets_a_master_change_its_key_and_its_absence_does_not() {
    let first = ScriptedMaster::start_as(master_identity(MASTER, Some(OPERATOR)), (0, 0)).await;
    let ports = (first.request_port, first.publish_port);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("master_sign.pub"), key(OPERATOR).public_key().unwrap().pem()).unwrap();
    let mut minion = Minion::start_in(dir, ports.0, |settings| {
        settings.master_sign_key = Some("master_sign.pub".to_owned());
    });
    minion.connected().await;
    drop(first);
    minion.lost().await;
    let unsigned = ScriptedMaster::start_as(master_identity(OTHER_MASTER, None), ports).await;
    let why = minion.refused().await;
    assert!(why.contains("signature"), "{why}");
    drop(unsigned);
    let second = ScriptedMaster::start_as(master_identity(OTHER_MASTER, Some(OPERATOR)), ports).await;
    minion.connected().await;
    let pinned = std::fs::read_to_string(minion.dir.path().join("minion_master.pub")).unwrap();
    assert_eq!(pinned.trim(), second.identity().public_key.pem().trim());
}

#[tokio::test]
async fn failover_does_not_wait_long_for_a_master_that_never_answers() {
    let first = ScriptedMaster::start().await;
    first.script().mute = usize::MAX;
    let second = ScriptedMaster::start_as(first.identity(), (0, 0)).await;
    let mut minion = Minion::start(first.request_port, |settings| {
        settings.order = MasterOrder::Failover;
        settings
            .masters
            .push(MasterAddress::parse(&format!("127.0.0.1:{}", second.request_port), 0).unwrap());
        settings.timing.auth_timeout = Duration::from_secs(1);
        settings.timing.auth_tries = 1_000;
    });
    let master =
        |event| if let LinkEvent::Connected { master, .. } = event { Some(master.port()) } else { None };
    assert_eq!(minion.until("second master", master).await, second.request_port);
}
