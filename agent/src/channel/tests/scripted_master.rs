//! A master on loopback that does what a test tells it: the server half of `proto` over plain sockets.
//!
//! Its faults are the fields of [`Script`].

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use proto::{
    Crypticle, Map, PublicKey, SigningAlgorithm, Value,
    auth::{AuthRequest, MasterIdentity, Verdict},
    publish::PublishWriter,
    serve::{Incoming, Refusal, Request},
    zmtp::{Config, Event, SocketType},
};
use rand::rngs::OsRng;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::PATIENCE;
use crate::channel::{connection::Connection, settings::Heartbeat};

/// What the master answers to `_auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Pending,
    Rejected,
    Full,
    Accepted,
}

/// How the master behaves, and what it saw.
pub struct Script {
    /// The answer to `_auth`.
    pub answer: Answer,
    /// The publish port to announce.
    pub publish_port: u16,
    /// The key of publishes.
    pub aes: Crypticle,
    /// The key of requests.
    pub session: Crypticle,
    /// This many requests get no answer.
    pub mute: usize,
    /// The `cmd` of every request that could be read.
    pub seen: Vec<String>,
    /// The loads of `_return`s.
    pub returns: Vec<Map>,
    /// The answer to every `_return`; nil when the master takes it.
    pub return_answer: Value,
    /// Whether the minion's signature on each `_return` is right; `None` for none.
    pub signed_by_minion: Vec<Option<bool>>,
    /// Subscribers at this moment.
    pub subscribers: usize,
    writer: PublishWriter,
    minion: Option<PublicKey>,
}

/// A running master. Dropping it closes every socket.
pub struct ScriptedMaster {
    /// Where it takes requests.
    pub request_port: u16,
    /// Where it publishes.
    pub publish_port: u16,
    identity: Arc<MasterIdentity>,
    script: Arc<Mutex<Script>>,
    frames: broadcast::Sender<Vec<u8>>,
    token: CancellationToken,
}

impl ScriptedMaster {
    /// Starts a master on free ports.
    pub async fn start() -> Self {
        Self::start_as(super::master_identity(super::MASTER, None), (0, 0)).await
    }

    /// Starts a master with a given key on given ports.
    pub async fn start_as(identity: Arc<MasterIdentity>, ports: (u16, u16)) -> Self {
        Self::start_on("127.0.0.1", identity, ports).await
    }

    /// Starts a master on another address of loopback.
    pub async fn start_on(host: &str, identity: Arc<MasterIdentity>, ports: (u16, u16)) -> Self {
        let (requests, publishes) = (bind(host, ports.0).await, bind(host, ports.1).await);
        let request_port = requests.local_addr().unwrap().port();
        let publish_port = publishes.local_addr().unwrap().port();
        let aes = Crypticle::generate(&mut OsRng);
        let script = Script {
            answer: Answer::Accepted,
            publish_port,
            writer: PublishWriter::new(aes.clone(), SigningAlgorithm::default()),
            aes,
            session: Crypticle::generate(&mut OsRng),
            mute: 0,
            seen: Vec::new(),
            returns: Vec::new(),
            return_answer: Value::Nil,
            signed_by_minion: Vec::new(),
            subscribers: 0,
            minion: None,
        };
        let master = Self {
            request_port,
            publish_port,
            identity,
            script: Arc::new(Mutex::new(script)),
            frames: broadcast::channel(1000).0,
            token: CancellationToken::new(),
        };
        let (identity, script) = (Arc::clone(&master.identity), Arc::clone(&master.script));
        master.listen(requests, move |stream| answer_requests(stream, identity.clone(), script.clone()));
        let (frames, script) = (master.frames.clone(), Arc::clone(&master.script));
        master.listen(publishes, move |stream| publish_frames(stream, frames.subscribe(), script.clone()));
        master
    }

    /// The script, to change it or to look at it. Do not hold it across an await.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// The keys, to start the same master again.
    pub fn identity(&self) -> Arc<MasterIdentity> {
        Arc::clone(&self.identity)
    }

    /// Takes a new key for publishes, as a rotation or a restart does.
    pub fn rotate_aes(&self) {
        let mut script = self.script();
        script.aes = Crypticle::generate(&mut OsRng);
        script.writer = PublishWriter::new(script.aes.clone(), SigningAlgorithm::default());
    }

    /// Seals a `test.ping` without sending it.
    pub fn seal(&self, jid: &str) -> Vec<u8> {
        let mut load = Map::new();
        load.insert("fun", "test.ping");
        load.insert("arg", Value::List(Vec::new()));
        load.insert("tgt", "*");
        load.insert("tgt_type", "glob");
        load.insert("jid", jid);
        load.insert("ret", "");
        load.insert("user", "root");
        self.script().writer.seal(load, &self.identity.key, &mut OsRng).unwrap()
    }

    /// Sends bytes to every subscriber.
    pub fn send(&self, frame: Vec<u8>) {
        let _ = self.frames.send(frame);
    }

    /// Publishes a `test.ping`.
    pub fn publish(&self, jid: &str) {
        self.send(self.seal(jid));
    }

    fn listen<F, W>(&self, listener: TcpListener, serve: F)
    where
        F: Fn(TcpStream) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let token = self.token.clone();
        tokio::spawn(token.clone().run_until_cancelled_owned(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(token.clone().run_until_cancelled_owned(serve(stream)));
            }
        }));
    }
}

impl Drop for ScriptedMaster {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

/// Binds a port that a master before may be about to leave.
pub async fn bind(host: &str, port: u16) -> TcpListener {
    let start = Instant::now();
    loop {
        match TcpListener::bind((host, port)).await {
            Ok(listener) => return listener,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{host}:{port}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn answer_requests(stream: TcpStream, identity: Arc<MasterIdentity>, script: Arc<Mutex<Script>>) {
    let config = Config::new(SocketType::Router);
    let Ok(mut connection) = Connection::over(stream, config, Heartbeat::default()).await else { return };
    while let Ok(mut parts) = connection.receive().await {
        assert_eq!(parts.len(), 2, "a delimiter and a payload");
        let reply = script.lock().unwrap().answer(&parts.pop().unwrap(), &identity);
        if let Some(reply) = reply
            && connection.send(&[&b""[..], &reply]).await.is_err()
        {
            return;
        }
    }
}

async fn publish_frames(
    stream: TcpStream,
    mut frames: broadcast::Receiver<Vec<u8>>,
    script: Arc<Mutex<Script>>,
) {
    let config = Config::new(SocketType::Pub);
    let Ok(mut connection) = Connection::over(stream, config, Heartbeat::default()).await else { return };
    let mut held: VecDeque<Vec<u8>> = VecDeque::new();
    let mut subscribed = Subscriber { script, counted: false };
    loop {
        tokio::select! {
            event = connection.event() => match event {
                Ok(Event::Subscribe(_)) => subscribed.count(),
                Ok(_) => {}
                Err(_) => return,
            },
            frame = frames.recv() => held.extend(frame.ok()),
        }
        while let (true, Some(frame)) = (subscribed.counted, held.pop_front()) {
            if connection.send(&[frame]).await.is_err() {
                return;
            }
        }
    }
}

/// Counts one subscriber for as long as it is there.
struct Subscriber {
    script: Arc<Mutex<Script>>,
    counted: bool,
}

impl Subscriber {
    fn count(&mut self) {
        if !std::mem::replace(&mut self.counted, true) {
            self.script.lock().unwrap().subscribers += 1;
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        if self.counted {
            self.script.lock().unwrap().subscribers -= 1;
        }
    }
}

impl Script {
    /// How often a command was seen.
    pub fn count(&self, cmd: &str) -> usize {
        self.seen.iter().filter(|seen| *seen == cmd).count()
    }

    fn answer(&mut self, message: &[u8], identity: &MasterIdentity) -> Option<Vec<u8>> {
        let reply = match Incoming::decode(message) {
            Ok(Incoming::Clear(load)) => self.authenticate(&load, identity),
            Ok(Incoming::Sealed(load)) => match &self.minion {
                Some(minion) => match load.open(&self.session, minion) {
                    Ok(request) => self.serve(&request, identity),
                    Err(refusal) => refusal.reply(),
                },
                None => Refusal::Load.reply(),
            },
            Err(refusal) => refusal.reply(),
        };
        if self.mute > 0 {
            self.mute -= 1;
            return None;
        }
        Some(reply)
    }

    fn authenticate(&mut self, load: &Map, identity: &MasterIdentity) -> Vec<u8> {
        let request = AuthRequest::from_load(load).unwrap();
        self.seen.push("_auth".to_owned());
        self.minion = Some(request.public_key.clone());
        let verdict = match self.answer {
            Answer::Pending => Verdict::Pending,
            Answer::Rejected => Verdict::Rejected,
            Answer::Full => Verdict::Full,
            Answer::Accepted => {
                Verdict::Accepted { aes: &self.aes, session: &self.session, publish_port: self.publish_port }
            }
        };
        identity.answer(&request, verdict, &mut OsRng).unwrap()
    }

    fn serve(&mut self, request: &Request, identity: &MasterIdentity) -> Vec<u8> {
        self.seen.push(request.cmd.clone());
        let value = match request.cmd.as_str() {
            "_pillar" => {
                let pillar = Value::Map([("ehr", "dolphin")].into());
                let minion = self.minion.as_ref().unwrap();
                return request.reply_pillar(&pillar, minion, &identity.key, &mut OsRng).unwrap();
            }
            "_return" => {
                self.returns.push(request.load.clone());
                self.signed_by_minion.push(request.is_signed_by(self.minion.as_ref().unwrap()));
                self.return_answer.clone()
            }
            "echo" => request.load.get("what").cloned().unwrap(),
            _ => Value::Map(Map::new()),
        };
        request.reply(&self.session, &value, &mut OsRng)
    }
}
