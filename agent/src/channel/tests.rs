//! The link against a scripted master: acceptance, renewal, loss and repair.

mod dials;
mod faults;
mod masters;
mod proxy;
mod scripted_master;

use std::{collections::BTreeMap, path::Path, sync::OnceLock};

use proto::{
    EncryptionAlgorithm, MinionId, SigningAlgorithm, auth::MasterIdentity, publish::UnsignedPublishes,
};
use rand::rngs::OsRng;
use tempfile::TempDir;

use super::*;
use scripted_master::{Answer, ScriptedMaster};

const PATIENCE: Duration = Duration::from_secs(60);

/// A link under test, its events, and what it needs to live.
struct Minion {
    link: Arc<dyn MasterLink>,
    events: mpsc::Receiver<LinkEvent>,
    tasks: Tasks,
    dir: TempDir,
}

/// Keys are slow to make: a few are made once and shared by all cases.
fn key(number: usize) -> proto::PrivateKey {
    static KEYS: [OnceLock<proto::PrivateKey>; 4] = [const { OnceLock::new() }; 4];
    KEYS[number].get_or_init(|| proto::PrivateKey::generate(2048, &mut OsRng).unwrap()).clone()
}

const MINION: usize = 0;
const MASTER: usize = 1;
const OTHER_MASTER: usize = 2;
const OPERATOR: usize = 3;

fn master_identity(number: usize, signer: Option<usize>) -> Arc<MasterIdentity> {
    let public_key = key(number).public_key().unwrap();
    Arc::new(MasterIdentity { key: key(number), public_key, signer: signer.map(key) })
}

fn settings(pki_dir: &Path, port: u16) -> ChannelSettings {
    let short = |max| Waits { first: Duration::from_millis(50), max, growth: Growth::Doubling };
    ChannelSettings {
        masters: vec![MasterAddress::parse(&format!("127.0.0.1:{port}"), 0).unwrap()],
        order: MasterOrder::All,
        publish_port: None,
        id: MinionId::parse("m1").unwrap(),
        pki_dir: pki_dir.to_owned(),
        keysize: 2048,
        encryption: EncryptionAlgorithm::default(),
        signing: SigningAlgorithm::default(),
        master_finger: None,
        master_sign_key: None,
        always_verify_signature: false,
        autosign_grains: None,
        unsigned_publishes: UnsignedPublishes::Refuse,
        minion_sign_messages: false,
        subscription: Subscription::Everything,
        names: names::Names::System,
        timing: Timing {
            auth_timeout: Duration::from_secs(2),
            auth_tries: 3,
            acceptance: short(Duration::from_millis(100)),
            recon: short(Duration::from_millis(200)),
            request_timeout: Duration::from_secs(20),
            request_tries: 3,
            heartbeat: Heartbeat::default(),
            probe: Duration::from_secs(300),
        },
    }
}

impl Minion {
    fn start(port: u16, change: impl FnOnce(&mut ChannelSettings)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), port, change)
    }

    fn start_in(dir: TempDir, port: u16, change: impl FnOnce(&mut ChannelSettings)) -> Self {
        std::fs::write(dir.path().join("minion.pem"), key(MINION).to_pem().unwrap()).unwrap();
        let mut settings = settings(dir.path(), port);
        change(&mut settings);
        let tasks = Tasks::new();
        let (link, events) = connect(settings, &tasks);
        Self { link, events, tasks, dir }
    }

    /// Waits for an event that `pick` takes; gives all that came before in the failure.
    async fn until<T>(&mut self, what: &str, pick: impl Fn(LinkEvent) -> Option<T>) -> T {
        let mut passed = Vec::new();
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the link ended");
                passed.push(format!("{event:?}"));
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_elapsed) => panic!("no {what} within a minute; events: {passed:#?}"),
        }
    }

    async fn connected(&mut self) {
        self.until("connection", |event| matches!(event, LinkEvent::Connected { .. }).then_some(())).await;
    }

    async fn lost(&mut self) {
        self.until("loss", |event| matches!(event, LinkEvent::Lost { .. }).then_some(())).await;
    }

    async fn refused(&mut self) -> String {
        let refused = |event| if let LinkEvent::Refused { why } = event { Some(why) } else { None };
        self.until("refusal", refused).await
    }

    async fn waiting(&mut self) -> String {
        let waiting = |event| if let LinkEvent::Waiting { why, .. } = event { Some(why) } else { None };
        self.until("wait", waiting).await
    }

    async fn job(&mut self) -> String {
        let job =
            |event| if let LinkEvent::Publish(load) = event { Some(load.jid.to_string()) } else { None };
        self.until("job", job).await
    }

    async fn echo(&self, what: &str) -> Result<Value, LinkError> {
        self.link.request("echo", [("what", what)].into()).await
    }
}

fn jid(number: u32) -> String {
    format!("20260101000000{number:06}")
}

/// Waits until the master sees this many subscribers.
async fn subscribed(master: &ScriptedMaster, count: usize) {
    wait_for("subscribers", || {
        let now = master.script().subscribers;
        if now == count { Ok(()) } else { Err(now) }
    })
    .await;
}

async fn wait_for<S: std::fmt::Debug>(what: &str, mut check: impl FnMut() -> Result<(), S>) {
    let start = tokio::time::Instant::now();
    while let Err(status) = check() {
        assert!(start.elapsed() < PATIENCE, "no {what} within a minute, last seen {status:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn connects_and_serves_every_kind_of_request() {
    let master = ScriptedMaster::start().await;
    let mut minion = Minion::start(master.request_port, |_| {});
    minion.connected().await;
    assert_eq!(minion.echo("hello").await.unwrap(), "hello".into());
    let raw = minion.link.request_raw("echo", [("what", "hello")].into()).await.unwrap();
    assert_eq!(raw, Value::Bytes(b"hello".to_vec()));
    assert_eq!(minion.link.pillar(Map::new()).await.unwrap().get("ehr"), Some(&"dolphin".into()));
    minion.link.fire_event("salt/minion/m1/start", "started".into()).await.unwrap();
    minion.link.return_job([("jid", jid(1)), ("return", "x".to_owned())].into()).await.unwrap();
    assert_eq!(master.script().seen, ["_auth", "echo", "echo", "_pillar", "_minion_event", "_return"]);
    subscribed(&master, 1).await;
    master.publish(&jid(2));
    assert_eq!(minion.job().await, jid(2));
    assert!(minion.dir.path().join("minion_master.pub").exists(), "the master's key is pinned");
}

#[tokio::test]
async fn waits_for_acceptance_and_then_connects() {
    let master = ScriptedMaster::start().await;
    master.script().answer = Answer::Pending;
    let mut minion = Minion::start(master.request_port, |_| {});
    let why = minion.waiting().await;
    assert!(why.contains("salt-key -a m1"), "{why}");
    minion.waiting().await;
    master.script().answer = Answer::Accepted;
    minion.connected().await;
}

#[tokio::test]
async fn a_rejected_key_and_a_full_master_are_said_and_outlived() {
    let master = ScriptedMaster::start().await;
    master.script().answer = Answer::Rejected;
    let mut minion = Minion::start(master.request_port, |_| {});
    let why = minion.refused().await;
    assert!(why.contains("rejected"), "{why}");
    master.script().answer = Answer::Full;
    let why = minion.refused().await;
    assert!(why.contains("full"), "{why}");
    master.script().answer = Answer::Accepted;
    minion.connected().await;
}

#[tokio::test]
async fn a_rotated_publish_key_loses_no_job_and_repeats_none() {
    let master = ScriptedMaster::start().await;
    let mut minion = Minion::start(master.request_port, |_| {});
    minion.connected().await;
    subscribed(&master, 1).await;
    for rotation in 0..3 {
        let jobs = rotation * 5..rotation * 5 + 5;
        jobs.clone().for_each(|number| master.publish(&jid(number)));
        for number in jobs {
            assert_eq!(minion.job().await, jid(number));
        }
        master.rotate_aes();
    }
    assert_eq!(master.script().count("_auth"), 3);
}

#[tokio::test]
async fn a_rotated_session_costs_one_authentication_and_no_request() {
    let master = ScriptedMaster::start().await;
    let mut minion = Minion::start(master.request_port, |_| {});
    minion.connected().await;
    master.script().session = proto::Crypticle::generate(&mut OsRng);
    let (one, two) = tokio::join!(minion.echo("one"), minion.echo("two"));
    assert_eq!((one.unwrap(), two.unwrap()), ("one".into(), "two".into()));
    assert_eq!(master.script().count("_auth"), 2);
    master.script().session = proto::Crypticle::generate(&mut OsRng);
    assert!(minion.link.pillar(Map::new()).await.is_ok());
}

#[tokio::test]
async fn an_unanswered_request_is_sent_again_on_a_new_socket() {
    let master = ScriptedMaster::start().await;
    let mut minion = Minion::start(master.request_port, |settings| {
        settings.timing.request_timeout = Duration::from_secs(2);
    });
    minion.connected().await;
    master.script().mute = 1;
    assert_eq!(minion.echo("again").await.unwrap(), "again".into());
    assert!(master.script().count("echo") >= 2);
}

#[tokio::test]
async fn a_chunk_that_the_master_would_append_is_never_sent_twice() {
    let master = ScriptedMaster::start().await;
    let mut minion = Minion::start(master.request_port, |settings| {
        settings.timing.request_timeout = Duration::from_secs(2);
    });
    minion.connected().await;
    master.script().mute = 1;
    let chunk = |loc: u64| -> Map { [("loc", loc)].into() };
    assert!(minion.link.request("_file_recv", chunk(1 << 20)).await.is_err());
    assert_eq!(master.script().count("_file_recv"), 1);
    master.script().mute = 1;
    assert!(minion.link.request("_file_recv", chunk(0)).await.is_ok());
    assert!(master.script().count("_file_recv") >= 3);
}

#[tokio::test]
async fn a_restarted_master_is_found_again_with_its_new_keys() {
    let master = ScriptedMaster::start().await;
    let mut minion = Minion::start(master.request_port, |_| {});
    minion.connected().await;
    let (identity, ports) = (master.identity(), (master.request_port, master.publish_port));
    let mut master = Some(master);
    for number in 0..3 {
        drop(master.take());
        minion.lost().await;
        let next = ScriptedMaster::start_as(Arc::clone(&identity), ports).await;
        minion.connected().await;
        assert_eq!(minion.echo("back").await.unwrap(), "back".into());
        subscribed(&next, 1).await;
        next.publish(&jid(number));
        assert_eq!(minion.job().await, jid(number));
        master = Some(next);
    }
}

#[tokio::test]
async fn a_repeated_an_unsigned_and_a_garbled_publish_are_dropped() {
    let master = ScriptedMaster::start().await;
    let mut minion = Minion::start(master.request_port, |_| {});
    minion.connected().await;
    subscribed(&master, 1).await;
    let first = master.seal(&jid(1));
    master.send(first.clone());
    master.send(first);
    let mut unsigned = proto::msgpack::decode(&master.seal(&jid(2))).unwrap().into_map().unwrap();
    unsigned.remove("sig");
    master.send(proto::msgpack::encode(&Value::Map(unsigned)));
    master.send(b"garbage".to_vec());
    master.publish(&jid(3));
    assert_eq!(minion.job().await, jid(1));
    assert_eq!(minion.job().await, jid(3));
}

#[tokio::test]
async fn many_requests_at_once_get_their_own_replies() {
    let master = ScriptedMaster::start().await;
    let mut minion = Minion::start(master.request_port, |_| {});
    minion.connected().await;
    let echoes = (0..40).map(|number| {
        let link = Arc::clone(&minion.link);
        async move { (number, link.request("echo", [("what", number)].into()).await.unwrap()) }
    });
    let replies: BTreeMap<i64, Value> = futures_util::future::join_all(echoes).await.into_iter().collect();
    assert!(replies.iter().all(|(number, reply)| *reply == Value::Int(*number)), "{replies:?}");
}

#[tokio::test]
async fn an_unreachable_master_is_said_and_the_link_ends_at_shutdown() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut minion =
        Minion::start(port, |settings| settings.timing.request_timeout = Duration::from_millis(100));
    let why = minion.waiting().await;
    assert!(why.contains(&port.to_string()), "{why}");
    let error = minion.echo("x").await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains(&port.to_string()), "{error}");
    minion.tasks.shutdown(PATIENCE).await;
    assert!(minion.tasks.running().is_empty());
}

#[tokio::test]
async fn publishes_that_never_came_are_counted() {
    let master = ScriptedMaster::start().await;
    let mut minion = Minion::start(master.request_port, |_| {});
    minion.connected().await;
    subscribed(&master, 1).await;
    master.publish(&jid(1));
    master.seal(&jid(2));
    master.seal(&jid(3));
    master.publish(&jid(4));
    let missed = |event| if let LinkEvent::Missed { count } = event { Some(count) } else { None };
    assert_eq!(minion.until("gap", missed).await, 2);
    assert_eq!(minion.job().await, jid(4));
}

#[tokio::test]
async fn a_key_deleted_at_the_master_is_noticed_without_any_job() {
    let master = ScriptedMaster::start().await;
    let mut minion =
        Minion::start(master.request_port, |settings| settings.timing.probe = Duration::from_millis(200));
    minion.connected().await;
    {
        let mut script = master.script();
        script.session = proto::Crypticle::generate(&mut OsRng);
        script.answer = Answer::Pending;
    }
    let why = minion.waiting().await;
    assert!(why.contains("salt-key -a m1"), "{why}");
    master.script().answer = Answer::Accepted;
    assert_eq!(minion.echo("again").await.unwrap(), "again".into());
}

#[tokio::test]
async fn a_signed_return_is_one_that_the_master_can_verify() {
    let master = ScriptedMaster::start().await;
    let mut minion = Minion::start(master.request_port, |settings| settings.minion_sign_messages = true);
    minion.connected().await;
    let mut ret = Map::new();
    ret.insert("jid", jid(1));
    ret.insert(
        "return",
        Value::List(vec!["x".repeat(300).into(), Value::Float(1.5), Value::Bytes(vec![0xff])]),
    );
    minion.link.return_job(ret).await.unwrap();
    assert_eq!(master.script().signed_by_minion, [Some(true)]);
}

#[tokio::test]
async fn a_return_that_the_master_did_not_keep_is_no_return() {
    let master = ScriptedMaster::start().await;
    let mut minion = Minion::start(master.request_port, |_| {});
    minion.connected().await;
    for answer in [Value::Bool(false), "".into()] {
        master.script().return_answer = answer;
        let error = minion.link.return_job([("jid", jid(1)), ("return", "x".to_owned())].into()).await;
        assert!(matches!(error, Err(LinkError::Refused { .. })), "{error:?}");
    }
    master.script().return_answer = Value::Nil;
    minion.link.return_job([("jid", jid(1)), ("return", "x".to_owned())].into()).await.unwrap();
}
