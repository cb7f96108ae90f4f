//! Jobs against a scripted master: what runs, how often, and what is returned.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use proto::{Map, Value};

use tokio_util::sync::CancellationToken;

use super::{Job, JobTable, accept::Acceptor, queue::ReturnQueue};
use crate::{
    channel::{LinkError, MasterLink},
    config::Config,
    services::Services,
    store::{Store, jobs},
    tasks::Tasks,
};

/// A master that answers what state runs ask for and keeps what it is given; it can be away.
#[derive(Default)]
struct ScriptedMaster {
    away: AtomicBool,
    returns: Mutex<Vec<Map>>,
}

impl ScriptedMaster {
    fn returned(&self, jid: &str) -> Vec<Map> {
        let returns = self.returns.lock().unwrap();
        returns.iter().filter(|ret| ret.get("jid").and_then(Value::as_str) == Some(jid)).cloned().collect()
    }
}

impl MasterLink for ScriptedMaster {
    fn request<'a>(&'a self, _cmd: &'a str, _load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(std::future::ready(Ok(Map::new().into())))
    }

    fn request_raw<'a>(&'a self, _cmd: &'a str, _load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(std::future::ready(Ok(Map::new().into())))
    }

    fn pillar<'a>(&'a self, _load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(std::future::ready(Ok(Map::new().into())))
    }

    fn fire_event<'a>(&'a self, _tag: &'a str, _data: Value) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn return_job<'a>(&'a self, ret: Map) -> BoxFuture<'a, Result<(), LinkError>> {
        let taken = if self.away.load(Ordering::SeqCst) {
            Err(LinkError::Unreachable { why: "the scripted master is away".to_owned() })
        } else {
            self.returns.lock().unwrap().push(ret);
            Ok(())
        };
        Box::pin(std::future::ready(taken))
    }
}

/// A minion of that master, over a folder that outlives it.
struct Minion {
    services: Arc<Services>,
    acceptor: Acceptor,
    queue: ReturnQueue,
}

impl Minion {
    async fn start(folder: &Path, master: &Arc<ScriptedMaster>, options: &str) -> Self {
        let mut opts = states::yaml::load(options).unwrap().as_map().cloned().unwrap_or_default();
        for (key, value) in [
            ("root_dir", folder.to_str().unwrap()),
            ("cachedir", "/cache"),
            ("master", "localhost"),
            ("id", "m1"),
        ] {
            opts.insert(key, value);
        }
        let config = Arc::new(Config::from_options(&folder.join("etc"), opts).unwrap());
        let store = Arc::new(Store::open(&config.data_dir.join("store.sqlite")).unwrap());
        let link: Arc<dyn MasterLink> = Arc::clone(master) as _;
        let services = Services::new(config, Arc::clone(&link), Arc::clone(&store), Tasks::new());
        services.refresh_grains().await;
        let queue = ReturnQueue::new(&services.config, store, link);
        drop(services.tasks.spawn("return queue", queue.clone().drain(services.tasks.token())));
        Self { acceptor: Acceptor::new(Arc::clone(&services), queue.clone()), services, queue }
    }

    fn publish(&self, jid: &str, fun: &str, arg: &[Value]) {
        self.acceptor.publish(load(jid, "*", fun.into(), Value::List(arg.to_vec())));
    }

    async fn stop(self) {
        self.services.tasks.shutdown(Duration::from_secs(60)).await;
    }
}

fn load(jid: &str, tgt: &str, fun: Value, arg: Value) -> Map {
    let fields = [
        ("jid", Value::from(jid)),
        ("tgt", tgt.into()),
        ("tgt_type", "glob".into()),
        ("fun", fun),
        ("arg", arg),
    ];
    fields.into_iter().collect()
}

async fn wait_for<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let patience = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(patience.elapsed() < Duration::from_secs(60), "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn one_return(master: &ScriptedMaster, jid: &str) -> Map {
    wait_for(&format!("the return of {jid}"), || master.returned(jid).into_iter().next()).await
}

const FIRST: &str = "20261122100000000001";
const SECOND: &str = "20261122100000000002";

#[tokio::test(flavor = "multi_thread")]
async fn a_redelivered_jid_runs_once_also_after_a_restart() {
    let (folder, master) = (tempfile::tempdir().unwrap(), Arc::new(ScriptedMaster::default()));
    let minion = Minion::start(folder.path(), &master, "").await;
    minion.publish(FIRST, "test.arg", &["a".into()]);
    minion.publish(FIRST, "test.arg", &["a".into()]);
    one_return(&master, FIRST).await;
    minion.stop().await;
    let again = Minion::start(folder.path(), &master, "").await;
    again.publish(FIRST, "test.arg", &["a".into()]);
    again.publish(SECOND, "test.arg", &["b".into()]);
    one_return(&master, SECOND).await;
    again.stop().await;
    assert_eq!(master.returned(FIRST).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_waits_for_a_master_that_is_away_and_arrives_once() {
    let (folder, master) = (tempfile::tempdir().unwrap(), Arc::new(ScriptedMaster::default()));
    master.away.store(true, Ordering::SeqCst);
    let minion = Minion::start(folder.path(), &master, "").await;
    minion.publish(FIRST, "test.arg", &[]);
    minion.publish(SECOND, "test.ping", &[]);
    let store = Arc::clone(&minion.services.store);
    wait_for("both returns in the queue", || (store.with(jobs::waiting).unwrap() == 2).then_some(())).await;
    minion.stop().await;
    master.away.store(false, Ordering::SeqCst);
    let again = Minion::start(folder.path(), &master, "").await;
    again.queue.wake();
    one_return(&master, FIRST).await;
    one_return(&master, SECOND).await;
    let store = Arc::clone(&again.services.store);
    wait_for("an empty queue", || (store.with(jobs::waiting).unwrap() == 0).then_some(())).await;
    again.stop().await;
    assert_eq!((master.returned(FIRST).len(), master.returned(SECOND).len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_restart_interrupted_returns_so_under_its_jid() {
    let (folder, master) = (tempfile::tempdir().unwrap(), Arc::new(ScriptedMaster::default()));
    let minion = Minion::start(folder.path(), &master, "").await;
    minion.publish(FIRST, "test.sleep", &[3600.into()]);
    wait_for("the job to run", || minion.services.jobs.find(FIRST)).await;
    let store = Arc::clone(&minion.services.store);
    wait_for("the job's record", || (!store.with(jobs::unfinished).unwrap().is_empty()).then_some(())).await;
    minion.stop().await;
    assert!(master.returned(FIRST).is_empty());
    let again = Minion::start(folder.path(), &master, "").await;
    again.acceptor.return_interrupted().await.unwrap();
    let ret = one_return(&master, FIRST).await;
    assert_eq!(ret.get("success"), Some(&false.into()));
    let text = ret.get("return").and_then(Value::as_str).unwrap_or_default();
    assert!(text.contains("restarted"), "{text}");
    again.publish(FIRST, "test.sleep", &[0.into()]);
    again.stop().await;
    assert_eq!(master.returned(FIRST).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_is_answered_while_every_turn_is_taken() {
    let (folder, master) = (tempfile::tempdir().unwrap(), Arc::new(ScriptedMaster::default()));
    let minion = Minion::start(folder.path(), &master, "process_count_max: 1").await;
    minion.publish(FIRST, "test.sleep", &[3600.into()]);
    minion.publish(SECOND, "test.sleep", &[3600.into()]);
    wait_for("both jobs", || minion.services.jobs.find(SECOND)).await;
    minion.publish("20261122100000000003", "test.ping", &[]);
    minion.publish("20261122100000000004", "saltutil.find_job", &[SECOND.into()]);
    let ping = one_return(&master, "20261122100000000003").await;
    assert_eq!(ping.get("return"), Some(&true.into()));
    let found = one_return(&master, "20261122100000000004").await;
    assert_eq!(found.get("return").unwrap().get("jid"), Some(&SECOND.into()));
    minion.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_job_ends_at_once_and_says_so() {
    let (folder, master) = (tempfile::tempdir().unwrap(), Arc::new(ScriptedMaster::default()));
    let minion = Minion::start(folder.path(), &master, "").await;
    minion.publish(FIRST, "test.sleep", &[3600.into()]);
    wait_for("the job to run", || minion.services.jobs.find(FIRST)).await;
    minion.publish(SECOND, "saltutil.kill_job", &[FIRST.into()]);
    let told = one_return(&master, SECOND).await;
    assert!(told.get("return").and_then(Value::as_str).unwrap().starts_with("Signal 9 sent to job "));
    let ret = one_return(&master, FIRST).await;
    assert_eq!(ret.get("success"), Some(&false.into()));
    minion.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_for_which_there_is_no_room_is_told_to_be_lost() {
    let (folder, master) = (tempfile::tempdir().unwrap(), Arc::new(ScriptedMaster::default()));
    master.away.store(true, Ordering::SeqCst);
    let minion = Minion::start(folder.path(), &master, "agent: {returns_max_mb: 1}").await;
    let large = "x".repeat(700_000);
    for jid in [FIRST, SECOND] {
        minion.publish(jid, "test.arg", &[large.as_str().into()]);
        let store = Arc::clone(&minion.services.store);
        let waiting = if jid == FIRST { 1 } else { 2 };
        wait_for("the return in the queue", || (store.with(jobs::waiting).unwrap() == waiting).then_some(()))
            .await;
    }
    master.away.store(false, Ordering::SeqCst);
    minion.queue.wake();
    assert_eq!(one_return(&master, FIRST).await.get("success"), Some(&true.into()));
    let lost = one_return(&master, SECOND).await;
    assert_eq!((lost.get("success"), lost.get("retcode")), (Some(&false.into()), Some(&1.into())));
    let text = lost.get("return").and_then(Value::as_str).unwrap();
    assert!(text.contains("returns_max_mb: 1") && text.contains("the job ran"), "{text}");
    assert!(lost.get("fun_args").is_none(), "what made the return large is echoed");
    minion.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_state_run_is_refused_with_salts_sentence() {
    let (folder, master) = (tempfile::tempdir().unwrap(), Arc::new(ScriptedMaster::default()));
    let minion = Minion::start(folder.path(), &master, "").await;
    let holder = super::StateHolder { fun: "state.apply".to_owned(), jid: FIRST.to_owned() };
    let turn = minion.services.jobs.states.take(holder).unwrap();
    minion.publish(SECOND, "state.single", &["test.nop".into(), "x".into()]);
    let ret = one_return(&master, SECOND).await;
    assert_eq!(ret.get("retcode"), Some(&1.into()));
    let texts = ret.get("return").and_then(Value::as_list).unwrap();
    assert!(texts[0].as_str().unwrap().starts_with("The function \"state.apply\" is running as PID "));
    drop(turn);
    minion.publish("20261122100000000003", "state.single", &["test.nop".into(), "x".into()]);
    let ret = one_return(&master, "20261122100000000003").await;
    assert_eq!(ret.get("retcode"), Some(&0.into()), "{ret:?}");
    assert_eq!(ret.get("out"), Some(&"highstate".into()));
    minion.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_functions_run_in_order_and_return_by_name() {
    let (folder, master) = (tempfile::tempdir().unwrap(), Arc::new(ScriptedMaster::default()));
    let minion = Minion::start(folder.path(), &master, "").await;
    let funs = Value::List(vec!["test.echo".into(), "no.such".into()]);
    let args = Value::List(vec![Value::List(vec!["x".into()]), Value::List(vec![])]);
    minion.acceptor.publish(load(SECOND, "other*", funs.clone(), args.clone()));
    minion.acceptor.publish(load(FIRST, "m?", funs, args));
    let ret = one_return(&master, FIRST).await;
    assert_eq!(ret.get("return").unwrap().get("test.echo"), Some(&"x".into()));
    assert_eq!(ret.get("retcode").unwrap().get("no.such"), Some(&1.into()));
    minion.stop().await;
    assert!(master.returned(SECOND).is_empty(), "a publish for another minion was run");
}

fn fields(fun: Value, arg: Value) -> Map {
    [("jid", Value::from("20261122104500000001")), ("tgt", "*".into()), ("fun", fun), ("arg", arg)]
        .into_iter()
        .collect()
}

#[test]
fn reads_one_function_and_several() {
    let one = Job::from_load(fields("test.ping".into(), Value::List(vec![]))).unwrap();
    assert_eq!(one.fun_text(), "test.ping");
    assert!(one.is_instant());
    let funs = Value::List(vec!["test.ping".into(), "test.echo".into()]);
    let args = Value::List(vec![Value::List(vec![]), Value::List(vec!["a".into()])]);
    let several = Job::from_load(fields(funs, args)).unwrap();
    assert_eq!(several.fun_text(), "test.ping,test.echo");
    assert!(!several.is_instant());
}

#[test]
fn drops_a_load_without_a_required_field() {
    for field in ["jid", "tgt", "fun", "arg"] {
        let mut broken = fields("test.ping".into(), Value::List(vec![]));
        broken.remove(field);
        assert!(Job::from_load(broken).is_none(), "{field}");
    }
}

#[test]
fn notes_a_jid_once() {
    let table = JobTable::default();
    assert!(table.note("1"));
    assert!(!table.note("1"));
}

#[test]
fn a_registered_job_is_found_until_its_guard_drops() {
    let table = JobTable::default();
    let job = Job::from_load(fields("test.sleep".into(), Value::List(vec![]))).unwrap();
    let (_cancel, guard) = table.register(&job, &CancellationToken::new());
    let found = table.find(&job.jid).unwrap();
    assert_eq!(found.shown.get("fun"), Some(&"test.sleep".into()));
    assert!(found.shown.get("pid").is_some());
    drop(guard);
    assert!(table.snapshot().is_empty());
}
