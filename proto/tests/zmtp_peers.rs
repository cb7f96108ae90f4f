//! Our ZMTP engine against peers that nobody here wrote: the `zeromq` crate, and libzmq through pyzmq.
//!
//! The libzmq peer is the one inside an installed Salt; without one those cases say SKIPPED and why.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panic, on any surprise"
)]
#![expect(clippy::print_stdout, reason = "a case that cannot run says so")]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use proto::zmtp::{Config, Engine, Event, SocketType, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zeromq::{Socket as _, SocketRecv as _, SocketSend as _};

const PATIENCE: Duration = Duration::from_secs(60);

/// The thinnest shell: one engine on one TCP connection.
struct Link {
    stream: TcpStream,
    engine: Engine,
}

impl Link {
    async fn dial(port: u16, config: Config) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut link = Self { stream, engine: Engine::new(config) };
        let first = link.next().await;
        assert!(matches!(first, Some(Event::Handshake(_))), "{first:?}");
        link
    }

    async fn flush(&mut self) {
        let bytes = self.engine.outgoing();
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next event, or `None` once the peer has closed.
    async fn next(&mut self) -> Option<Event> {
        self.pump(Answer::Written).await
    }

    async fn pump(&mut self, answer: Answer) -> Option<Event> {
        let step = async {
            loop {
                if let Answer::Written = answer {
                    self.flush().await;
                }
                if let Some(event) = self.engine.poll() {
                    return Some(event);
                }
                let mut buffer = [0; 4096];
                match self.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return None,
                    Ok(read) => self.engine.receive(&buffer[..read]).unwrap(),
                }
            }
        };
        tokio::time::timeout(PATIENCE, step).await.expect("the peer said nothing for a minute")
    }

    async fn next_message(&mut self) -> Vec<Vec<u8>> {
        loop {
            match self.next().await.expect("the peer closed the connection") {
                Event::Message(parts) => return parts,
                other => assert!(matches!(other, Event::Ping { .. } | Event::Pong { .. }), "{other:?}"),
            }
        }
    }

    async fn request(&mut self, payload: &[u8]) -> Vec<Vec<u8>> {
        self.engine.send(&[b"", payload]).unwrap();
        self.next_message().await
    }
}

/// Whether what the engine has to say reaches the peer.
#[derive(Clone, Copy)]
enum Answer {
    Written,
    Withheld,
}

fn port_of(endpoint: &zeromq::Endpoint) -> u16 {
    endpoint.to_string().rsplit(':').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn our_sub_hears_a_zeromq_publisher_and_only_what_it_asked_for() {
    let mut publisher = zeromq::PubSocket::new();
    let port = port_of(&publisher.bind("tcp://127.0.0.1:0").await.unwrap());
    let mut link = Link::dial(port, Config::new(SocketType::Sub)).await;
    link.engine.subscribe(b"yes").unwrap();
    link.flush().await;
    let big = vec![b'x'; 100_000];
    let heard = async {
        // The subscription takes effect when the publisher has read it: publish until it is heard.
        loop {
            publisher.send("no".into()).await.unwrap();
            let mut message = zeromq::ZmqMessage::from("yes");
            message.push_back(big.clone().into());
            publisher.send(message).await.unwrap();
            if let Ok(parts) = tokio::time::timeout(Duration::from_millis(200), link.next_message()).await {
                return parts;
            }
        }
    };
    let parts = tokio::time::timeout(PATIENCE, heard).await.unwrap();
    assert_eq!(parts, [b"yes".to_vec(), big]);
}

#[tokio::test]
async fn our_req_talks_to_zeromq_rep_and_router() {
    let mut rep = zeromq::RepSocket::new();
    let port = port_of(&rep.bind("tcp://127.0.0.1:0").await.unwrap());
    let server = tokio::spawn(async move {
        let request = rep.recv().await.unwrap();
        rep.send(request).await.unwrap();
        rep
    });
    let mut link = Link::dial(port, Config::new(SocketType::Req)).await;
    assert_eq!(link.request(b"ping").await, [b"".to_vec(), b"ping".to_vec()]);
    drop(server.await.unwrap());

    let mut router = zeromq::RouterSocket::new();
    let port = port_of(&router.bind("tcp://127.0.0.1:0").await.unwrap());
    let server = tokio::spawn(async move {
        let request = router.recv().await.unwrap();
        assert_eq!(request.len(), 3, "identity, delimiter, payload");
        router.send(request).await.unwrap();
        router
    });
    let mut link = Link::dial(port, Config::new(SocketType::Req)).await;
    assert_eq!(link.request(b"ping").await, [b"".to_vec(), b"ping".to_vec()]);
    drop(server.await.unwrap());
}

/// libzmq in a Python process: a PUB and an echoing ROUTER, both pinging every 200 ms.
struct Libzmq {
    process: Child,
    publish_port: u16,
    request_port: u16,
}

impl Libzmq {
    fn start(case: &str) -> Option<Self> {
        let Some(python) = salt_python() else {
            println!("SKIPPED {case}: no Salt under ~/.cache/salt-peers, so no pyzmq");
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zmtp_peers/libzmq_peer.py");
        let mut process =
            Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut ports = line.split_whitespace().map(|port| port.parse().unwrap());
        let (publish_port, request_port) = (ports.next().unwrap(), ports.next().unwrap());
        Some(Self { process, publish_port, request_port })
    }
}

impl Drop for Libzmq {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn salt_python() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let mut installed: Vec<PathBuf> = std::fs::read_dir(cache.join("salt-peers"))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("salt-")))
        .map(|path| path.join("bin/python"))
        .filter(|python| python.exists())
        .collect();
    installed.sort();
    installed.pop()
}

#[tokio::test]
async fn a_subscription_outlives_many_heartbeats_of_libzmq() {
    let Some(peer) = Libzmq::start("a_subscription_outlives_many_heartbeats_of_libzmq") else { return };
    for version in [Version::V3_1, Version::V3_0] {
        let mut link =
            Link::dial(peer.publish_port, Config { version, ..Config::new(SocketType::Sub) }).await;
        link.engine.subscribe(b"").unwrap();
        let (mut pings, mut messages) = (0, 0);
        // The peer drops a link that left a PING unanswered for 4 s.
        while pings < 25 || messages < 25 {
            match link.next().await.expect("libzmq closed the link") {
                Event::Ping { .. } => pings += 1,
                Event::Message(parts) => {
                    assert_eq!(parts[0], b"tick");
                    messages += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn libzmq_closes_a_link_that_leaves_its_pings_unanswered() {
    let Some(peer) = Libzmq::start("libzmq_closes_a_link_that_leaves_its_pings_unanswered") else { return };
    let mut link = Link::dial(peer.publish_port, Config::new(SocketType::Sub)).await;
    while let Some(event) = link.pump(Answer::Withheld).await {
        assert!(matches!(event, Event::Ping { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn our_pings_and_requests_are_answered_by_libzmq() {
    let Some(peer) = Libzmq::start("our_pings_and_requests_are_answered_by_libzmq") else { return };
    let mut link = Link::dial(peer.request_port, Config::new(SocketType::Req)).await;
    link.engine.ping(300, b"context").unwrap();
    let pong = loop {
        let event = link.next().await.expect("libzmq closed the link");
        if !matches!(event, Event::Ping { .. }) {
            break event;
        }
    };
    assert_eq!(pong, Event::Pong { context: b"context".to_vec() });
    for round in 0..20_u8 {
        let payload = vec![round; 1 << (round.min(18))];
        assert_eq!(link.request(&payload).await, [Vec::new(), payload]);
    }
}
