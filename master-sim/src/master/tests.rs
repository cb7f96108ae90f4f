//! A minion made of `proto`, talking to the master without sockets.

use std::sync::LazyLock;

use proto::auth::{Accepted, AuthSession, AuthSettings, MasterTrust, Next};
use proto::envelope::Envelope;
use proto::jid::Jid;
use proto::pillar::PillarKeys;
use proto::publish::{PublishReader, UnsignedPublishes};
use proto::{EncryptionAlgorithm, PillarRequest, PrivateKey, PublishLoad, ReplyError, Strings};
use rand::thread_rng;

use super::*;
use crate::pki::KeyState;

static KEYS: LazyLock<[PrivateKey; 2]> =
    LazyLock::new(|| [0, 1].map(|_| PrivateKey::generate(1024, &mut thread_rng()).unwrap()));

struct Scene {
    folder: tempfile::TempDir,
    master: Master,
    outbox: mpsc::Receiver<Publication>,
}

impl Scene {
    fn set(options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("master"), format!("keysize: 1024\n{options}")).unwrap();
        std::fs::create_dir_all(folder.path().join("salt")).unwrap();
        std::fs::write(folder.path().join("salt/a.txt"), "hello").unwrap();
        std::fs::create_dir_all(folder.path().join("pillar")).unwrap();
        std::fs::write(folder.path().join("pillar/top.sls"), "base:\n  m1:\n    - a\n").unwrap();
        std::fs::write(folder.path().join("pillar/a.sls"), "role: {{ grains.os }}\n").unwrap();
        let config = Config::load(folder.path()).unwrap();
        let (sender, outbox) = mpsc::channel(10);
        let master = Master::open(config, 4505, sender).unwrap();
        Self { folder, master, outbox }
    }

    fn authenticate(&self, settings: &AuthSettings) -> Next {
        let attempt = AuthSession::new(settings, &mut thread_rng()).unwrap();
        let answer = self.master.handle(attempt.request());
        attempt.handle(&answer, &mut thread_rng()).unwrap()
    }

    fn accepted(&self) -> Minion {
        let settings = settings("m1", 0);
        let Next::Pending = self.authenticate(&settings) else { panic!("a new key waits") };
        self.master.pki.shift(&settings.id, KeyState::Pending, KeyState::Accepted).unwrap();
        let Next::Accepted(accepted) = self.authenticate(&settings) else { panic!("accepted") };
        Minion { settings, accepted: *accepted }
    }

    fn ask(&self, minion: &Minion, cmd: &str, load: Map) -> Result<Value, ReplyError> {
        let sealed = minion.accepted.session.seal(cmd, load, seconds_since_epoch(), &mut thread_rng());
        let reply = self.master.handle(&sealed.bytes);
        minion.accepted.session.open(&reply, &sealed.nonce, Strings::Text)
    }

    fn pillar(&self, minion: &Minion) -> Value {
        let request = PillarRequest { grains: [("os", "Windows")].into(), ..PillarRequest::default() };
        let load = request.into_load();
        let sealed = minion.accepted.session.seal("_pillar", load, seconds_since_epoch(), &mut thread_rng());
        let reply = self.master.handle(&sealed.bytes);
        let keys = PillarKeys { minion: &minion.settings.key, master: &minion.accepted.master_key };
        minion.accepted.session.open_pillar(&reply, &sealed.nonce, keys, &mut thread_rng()).unwrap()
    }

    fn command_line(&self, tgt: &str, tgt_type: &str, key: &str) -> Value {
        let mut load = Map::from([("cmd", "publish"), ("fun", "test.ping"), ("tgt", tgt), ("key", key)]);
        load.insert("tgt_type", tgt_type);
        load.insert("arg", Value::List(vec![]));
        Envelope::decode(&self.master.handle(&Envelope::clear(load).encode())).unwrap().load
    }

    fn publish(&self, tgt: &str, tgt_type: &str) -> Value {
        self.command_line(tgt, tgt_type, &self.master.root_key)
    }

    fn receive(&mut self, minion: &Minion) -> PublishLoad {
        let master_key = minion.accepted.master_key.clone();
        let mut reader =
            PublishReader::new(minion.accepted.aes.clone(), master_key, UnsignedPublishes::Refuse);
        reader.open(&self.outbox.try_recv().unwrap().frame).unwrap()
    }

    fn events(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("cache/events.jsonl")).unwrap()
    }
}

struct Minion {
    settings: AuthSettings,
    accepted: Accepted,
}

fn settings(id: &str, key: usize) -> AuthSettings {
    let key = KEYS[key].clone();
    AuthSettings {
        id: MinionId::parse(id).unwrap(),
        public_key: key.public_key().unwrap(),
        key,
        encryption: EncryptionAlgorithm::default(),
        signing: SigningAlgorithm::default(),
        autosign_grains: None,
        trust: MasterTrust::default(),
    }
}

#[test]
fn a_job_goes_out_and_its_return_is_kept() {
    let mut scene = Scene::set("");
    let minion = scene.accepted();
    let answer = scene.publish("m*", "glob");
    let jid: Jid = answer.get("jid").and_then(Value::as_str).unwrap().parse().unwrap();
    let job = scene.receive(&minion);
    assert_eq!((&job.jid, job.tgt.as_str()), (&jid, Some("m*")));
    let mut ret = Map::from([("jid", jid.as_str()), ("fun", "test.ping"), ("return", "canary")]);
    ret.insert("retcode", 0);
    assert_eq!(scene.ask(&minion, "_return", ret).unwrap(), Value::Nil);
    let kept = scene.master.jobs.of(&jid, &minion.settings.id).unwrap();
    assert_eq!(kept.value, "canary".into());
    let events = scene.events();
    assert!(events.contains(&format!("salt/job/{jid}/ret/m1")), "{events}");
    assert!(!events.contains("canary"), "a return's value is in the job cache only");
}

#[test]
fn pillar_is_compiled_for_the_minion_and_found_by_targets() {
    let scene = Scene::set("");
    let minion = scene.accepted();
    assert!(scene.publish("role:Windows", "pillar").get("jid").unwrap().is_nil());
    assert_eq!(scene.pillar(&minion), Map::from([("role", "Windows")]).into());
    for (tgt, kind) in
        [("role:Windows", "pillar"), ("os:Win*", "grain"), ("I@role:Windows and m1", "compound")]
    {
        assert!(!scene.publish(tgt, kind).get("jid").unwrap().is_nil(), "{kind}");
    }
}

#[test]
fn a_publish_needs_the_root_key() {
    let scene = Scene::set("");
    scene.accepted();
    let answer = scene.command_line("*", "glob", "guess");
    assert_eq!(answer.get("error"), Some(&"Authentication error occurred.".into()));
}

#[test]
fn another_key_under_an_accepted_id_is_denied() {
    let scene = Scene::set("");
    scene.accepted();
    assert!(matches!(scene.authenticate(&settings("m1", 1)), Next::Rejected));
    let denied = scene.master.pki.key(&MinionId::parse("m1").unwrap(), KeyState::Denied).unwrap();
    assert_eq!(denied, Some(KEYS[1].public_key().unwrap()));
    assert!(scene.events().contains("\"act\":\"denied\""));
}

#[test]
fn a_rejected_or_hidden_minion_is_turned_away() {
    let scene = Scene::set("auto_accept: true\n");
    let id = MinionId::parse("m1").unwrap();
    scene.master.pki.store(&id, KeyState::Rejected, &KEYS[0].public_key().unwrap()).unwrap();
    assert!(matches!(scene.authenticate(&settings("m1", 0)), Next::Rejected));
    assert!(matches!(scene.authenticate(&settings(".hidden", 0)), Next::Rejected));
}

#[test]
fn a_minion_whose_grain_is_listed_is_accepted_without_a_look() {
    let scene = Scene::set("autosign_grains_dir: tokens\n");
    let file = scene.folder.path().join("tokens/enrolment_token");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    let with = |id: &str, key, token: &str| {
        let grains = Some([("enrolment_token", token)].into());
        AuthSettings { autosign_grains: grains, ..settings(id, key) }
    };
    assert!(matches!(scene.authenticate(&with("m1", 0, "spring")), Next::Pending));
    std::fs::write(&file, "# spring\n\n summer \n").unwrap();
    assert!(matches!(scene.authenticate(&with("m1", 0, "spring")), Next::Pending), "a comment lists nobody");
    assert!(matches!(scene.authenticate(&with("m1", 0, "")), Next::Pending));
    assert!(
        matches!(scene.authenticate(&with("m1", 0, "summer")), Next::Accepted(_)),
        "a pending one as well"
    );
    let mut elsewhere = with("m2", 1, "summer");
    elsewhere.autosign_grains = Some([("../tokens/enrolment_token", "summer")].into());
    assert!(matches!(scene.authenticate(&elsewhere), Next::Pending));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(scene.authenticate(&with("m2", 1, "summer")), Next::Pending), "anybody wrote it");
    }
}

#[test]
fn a_full_master_takes_no_new_minion_but_keeps_those_it_has() {
    let scene = Scene::set("auto_accept: true\nmax_minions: 1\n");
    assert!(matches!(scene.authenticate(&settings("m1", 0)), Next::Accepted(_)));
    assert!(matches!(scene.authenticate(&settings("m2", 1)), Next::Full));
    assert!(matches!(scene.authenticate(&settings("m1", 0)), Next::Accepted(_)));
}

#[test]
fn a_deleted_minion_is_out_at_once() {
    let scene = Scene::set("");
    let minion = scene.accepted();
    scene.master.pki.delete(&minion.settings.id, KeyState::Accepted).unwrap();
    let error = scene.ask(&minion, "_file_envs", Map::new()).unwrap_err();
    assert!(error.needs_auth());
}

#[test]
fn a_new_aes_key_starts_its_serials_again() {
    let mut scene = Scene::set("ping_on_rotate: true\n");
    let minion = scene.accepted();
    scene.publish("*", "glob");
    scene.receive(&minion);
    std::fs::write(scene.folder.path().join("cache/.dfn"), "").unwrap();
    scene.master.maintain();
    let Next::Accepted(again) = scene.authenticate(&minion.settings) else { panic!("accepted") };
    assert_ne!(again.aes, minion.accepted.aes);
    let minion = Minion { accepted: *again, ..minion };
    assert_eq!(scene.receive(&minion).load.get("fun"), Some(&"test.ping".into()));
    assert!(!scene.folder.path().join("cache/.dfn").exists());
}

#[test]
fn files_are_served_and_received() {
    let scene = Scene::set("file_recv: true\n");
    let minion = scene.accepted();
    let mut load = Map::from([("path", "a.txt"), ("saltenv", "base")]);
    load.insert("loc", 0);
    let chunk = scene.ask(&minion, "_serve_file", load).unwrap();
    assert_eq!(chunk.get("data"), Some(&"hello".into()));
    let mut load = Map::new();
    load.insert("path", Value::from_iter(["sync", "b"]));
    load.insert("loc", 0);
    load.insert("data", "batch");
    assert_eq!(scene.ask(&minion, "_file_recv", load).unwrap(), true.into());
    let stored = scene.folder.path().join("cache/minions/m1/files/sync/b");
    assert_eq!(std::fs::read(stored).unwrap(), b"batch");
}

#[test]
fn the_mine_is_shared_between_minions() {
    let scene = Scene::set("");
    let minion = scene.accepted();
    let data = Map::from([("network.ip", "10.0.0.1")]);
    assert_eq!(scene.ask(&minion, "_mine", [("data", data)].into()).unwrap(), true.into());
    let asked = || scene.ask(&minion, "_mine_get", [("tgt", "*"), ("fun", "network.ip")].into()).unwrap();
    assert_eq!(asked(), Map::from([("m1", "10.0.0.1")]).into());
    scene.ask(&minion, "_mine_flush", Map::new()).unwrap();
    assert_eq!(asked(), Map::new().into());
}

#[test]
fn a_minions_event_is_logged_with_its_tag() {
    let scene = Scene::set("");
    let minion = scene.accepted();
    let load =
        Event { tag: "agent/sync/j/batch".into(), data: [("rows", 5)].into_iter().collect::<Map>().into() };
    assert_eq!(scene.ask(&minion, "_minion_event", load.into_load()).unwrap(), Value::Nil);
    let line = scene.events().lines().last().unwrap().to_owned();
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["tag"], "agent/sync/j/batch");
    assert_eq!(event["data"]["data"]["rows"], 5);
}

#[test]
fn what_is_unknown_is_answered_all_the_same() {
    let scene = Scene::set("");
    let minion = scene.accepted();
    assert_eq!(scene.ask(&minion, "no_such_cmd", Map::new()).unwrap(), Map::new().into());
    let answer = scene.master.handle(&Envelope::clear([("cmd", "no_such")].into()).encode());
    assert_eq!(msgpack::decode(&answer).unwrap(), Map::new().into());
    assert_eq!(msgpack::decode(&scene.master.handle(b"\xc1")).unwrap(), "bad load".into());
}

#[test]
fn an_old_request_is_refused_when_a_limit_is_set() {
    let scene = Scene::set("request_server_ttl: 60\n");
    let minion = scene.accepted();
    assert!(scene.ask(&minion, "_file_envs", Map::new()).is_ok());
    let sealed = minion.accepted.session.seal(
        "_file_envs",
        Map::new(),
        seconds_since_epoch() - 100,
        &mut thread_rng(),
    );
    assert_eq!(msgpack::decode(&scene.master.handle(&sealed.bytes)).unwrap(), "bad load".into());
}

#[test]
fn jids_grow_also_within_a_microsecond() {
    let scene = Scene::set("");
    let jids: Vec<Jid> = (0..1000).map(|_| scene.master.jid("")).collect();
    assert!(jids.windows(2).all(|pair| pair[0] < pair[1]));
}
