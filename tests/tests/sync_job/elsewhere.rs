//! Batches that lie elsewhere than at the master: put only where nothing is, told to the master when it is there, and removed
//! when a newer epoch has replaced them. Against moto's S3.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Weak};
use std::time::Duration;

use agent::sync::check::JobRequest;
use agent::sync::deliver::{announce, deliver_next};
use agent::sync::faults::Faults;
use agent::sync::herald::Herald;
use agent::sync::pass::{Want, run_pass};
use agent::sync::retention;
use agent::sync::spec::Retention;
use agent::tasks::Tasks;
use tests::s3::S3Store;

use crate::life::{Agent, job};
use crate::sim::Sim;
use crate::stores::{deliver, live, sink_at, sink_of, spooled, store_or_skip};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_are_put_together_only_where_nothing_is() {
    let Some(store) = store_or_skip("parts_are_put_together_only_where_nothing_is") else { return };
    let content = vec![7u8; 12 << 20];
    let batch = spooled(1, &content);
    // Somebody puts another content there after the look and before the parts are put together.
    let store = Arc::new(store);
    let port = meddle(Arc::downgrade(&store), batch.row.file.clone());
    let sink = sink_at(port, S3Store::BUCKET).with_parts_above(1 << 20);
    let told = deliver(&sink, &batch).await.unwrap_err();
    assert!(told.contains("holds something else"), "{told}");
    let there = store.get(&format!("fleet/smile-dental/j/{}", batch.row.file)).unwrap().unwrap();
    assert_eq!(there, b"theirs", "never overwritten");
}

/// Passes requests on to the store, one connection each, and puts an object of its own there before parts are put together.
/// The store ends with its owner: the thread outlives the case and must not keep it.
fn meddle(store: Weak<S3Store>, file: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            let (head, body) = request(&mut client);
            let Some(store) = store.upgrade() else { return };
            if head.starts_with("POST ") && head.contains("uploadId=") {
                store.put(&format!("fleet/smile-dental/j/{file}"), b"theirs").unwrap();
            }
            let mut server = TcpStream::connect(("127.0.0.1", store.port)).unwrap();
            server.write_all(head.as_bytes()).unwrap();
            server.write_all(&body).unwrap();
            let mut answer = Vec::new();
            server.read_to_end(&mut answer).unwrap();
            drop(client.write_all(&answer));
        }
    });
    port
}

/// Head and body of a request, the head asking for one answer alone.
fn request(client: &mut TcpStream) -> (String, Vec<u8>) {
    let mut read = Vec::new();
    let mut chunk = [0; 65536];
    loop {
        let length = client.read(&mut chunk).unwrap();
        read.extend_from_slice(&chunk[..length]);
        let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
            if length == 0 {
                return (String::new(), Vec::new());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        let lower = head.to_lowercase();
        let wanted = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let wanted: usize = wanted.map_or(0, |number| number.trim().parse().unwrap());
        while read.len() < end + 4 + wanted {
            let length = client.read(&mut chunk).unwrap();
            assert!(length > 0, "the request broke off");
            read.extend_from_slice(&chunk[..length]);
        }
        let body = read[end + 4..].to_vec();
        return (format!("{head}\r\nConnection: close\r\n\r\n"), body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_epochs_leave_the_bucket_when_the_newest_is_whole() {
    let Some(store) = store_or_skip("replaced_epochs_leave_the_bucket_when_the_newest_is_whole") else {
        return;
    };
    let sim = Sim::start().await;
    sim.book(1, 25).await;
    let retention = Some(Retention { epochs: Some(1), days: None });
    let agent = Agent::declare_as(&sim, |request| JobRequest { retention, batch_rows: 10, ..request }).await;
    let epochs = || {
        let keys = store.keys().unwrap();
        let names = keys.iter().map(|key| key.rsplit('/').next().unwrap().to_owned());
        let mut epochs: Vec<u64> = names.filter_map(|name| name.split('-').next()?.parse().ok()).collect();
        epochs.dedup();
        epochs
    };
    let mut begun = Vec::new();
    for round in 0..3 {
        let room = agent.room(Faults::default());
        let state = match round {
            0 => room.ledger.job(&job()).await.unwrap(),
            _ => room.ledger.resnapshot(&job(), std::time::SystemTime::now()).await.unwrap(),
        };
        begun.push(state.epoch.get());
        let sink = sink_of(&store, S3Store::BUCKET);
        assert_eq!(retention::prune(&room, &sink, &state).await.unwrap(), None, "the snapshot is not read");
        run_pass(&room, &job(), Want::News).await.unwrap();
        let state = room.ledger.job(&job()).await.unwrap();
        deliver_next(&room, &sink).await.unwrap();
        assert_eq!(retention::prune(&room, &sink, &state).await.unwrap(), None, "batches are on their way");
        while deliver_next(&room, &sink).await.unwrap() {}
        let removed = retention::prune(&room, &sink, &state).await.unwrap();
        assert_eq!(removed, Some(if round == 2 { 6 } else { 0 }), "three batches, each with its facts");
    }
    assert_eq!(epochs(), begun[1..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_hears_of_batches_in_the_bucket_once_it_is_there() {
    let Some(store) = store_or_skip("the_master_hears_of_batches_in_the_bucket_once_it_is_there") else {
        return;
    };
    let sim = Sim::start().await;
    sim.book(1, 25).await;
    let agent = Agent::declare(&sim, 10).await;
    agent.master.away.store(true, std::sync::atomic::Ordering::Relaxed);
    live(&agent, &store, Faults::default()).await.unwrap();
    assert!(agent.master.events().is_empty());
    let link = Arc::clone(&agent.master) as Arc<dyn agent::channel::MasterLink>;
    let room = agent.room(Faults::default());
    let room = agent::sync::SyncRoom { herald: Herald::new(link, Tasks::new()), ..room };
    let cancel = tokio_util::sync::CancellationToken::new();
    let announcing = tokio::spawn(announce(room.clone(), cancel.clone()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(agent.master.events().is_empty(), "the master is away");
    agent.master.away.store(false, std::sync::atomic::Ordering::Relaxed);
    tests::wait::wait_for("three events", Duration::from_secs(60), || match agent.master.events().len() {
        3 => Ok(()),
        other => Err(format!("{other} events")),
    })
    .unwrap();
    cancel.cancel();
    announcing.await.unwrap();
    for ((tag, event), sequence) in agent.master.events().iter().zip(1u64..) {
        assert_eq!(tag, "agent/sync/clinic%2FVisit/batch");
        assert_eq!(event.get("sequence").and_then(proto::Value::as_u64), Some(sequence));
        let path = event.get("path").and_then(proto::Value::as_str).unwrap();
        let key = path.strip_prefix("s3://batches/").unwrap();
        assert!(store.get(key).unwrap().is_some(), "{path} is not there");
    }
    assert_eq!(room.ledger.next_event().await.unwrap(), None, "each is sent once");
}
