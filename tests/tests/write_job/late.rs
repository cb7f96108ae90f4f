//! Requests that come again late: what was written in time is not told to have expired, and is remembered for its 30 days.

use std::time::{Duration, SystemTime};

use agent::mssql::quote::SqlName;
use agent::write::faults::Faults;
use agent::write::ledger::Ledger;
use agent::write::names::{RequestId, WriteName};
use agent::write::outcome::{Outcome, Verdict};
use agent::write::room::Submission;
use agent::write::unseal::Given;
use tests::relay::Relay;

use crate::practice::{Practice, map};
use crate::{BOOK, BOOKED, MOVE, MOVED, bookings, moves, port};

/// Submits a request that was made more than an hour ago; the writes here expire after one.
async fn late(practice: &Practice, write: &str, request: &str, params: &str) -> Outcome {
    let submission = Submission {
        write: WriteName::new(write).unwrap(),
        request: RequestId::new(request).unwrap(),
        params: Given::Clear(map(params)),
        issued: SystemTime::now() - Duration::from_secs(3700),
        jid: None,
    };
    practice.room(Faults::default()).submit(submission).await.unwrap().outcome
}

fn booking() -> String {
    format!("{BOOK}expires: 3600\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_in_time_is_told_so_by_an_agent_that_does_not_know_it() {
    let practice = Practice::open().await;
    practice.declare("move", MOVE).await;
    practice.declare("book", &booking()).await;
    for (write, params) in [("move", MOVED), ("book", BOOKED)] {
        assert_eq!(practice.word(write, write, params).await, "landed");
    }
    practice.lose_store();
    practice.declare("move", MOVE).await;
    practice.declare("book", &booking()).await;
    for (write, params) in [("move", MOVED), ("book", BOOKED)] {
        let again = late(&practice, write, write, params).await;
        assert_eq!(again.verdict, Verdict::AlreadyLanded, "{write}: {}", again.reason);
        let new = late(&practice, write, &format!("{write} new"), params).await;
        assert_eq!(new.verdict, Verdict::Expired, "{write}: {}", new.reason);
    }
    assert_eq!((moves(&practice).await, bookings(&practice).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_request_that_nobody_can_be_asked_about_is_not_decided() {
    let mut practice = Practice::open().await;
    let relay = Relay::to(port(&practice)).unwrap();
    practice.port = Some(relay.port);
    practice.declare("move", &MOVE.replace("deadline: 20", "deadline: 1")).await;
    relay.refuse(true);
    relay.cut();
    let away = late(&practice, "move", "r-1", MOVED).await;
    assert_eq!(away.verdict, Verdict::Unreachable, "{}", away.reason);
    assert!(away.reason.contains("cannot be asked"), "{}", away.reason);
    relay.refuse(false);
    assert_eq!(late(&practice, "move", "r-1", MOVED).await.verdict, Verdict::Expired);
    assert_eq!(moves(&practice).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_remembers_for_more_than_thirty_days_and_not_for_ever() {
    let practice = Practice::open().await;
    practice.declare("move", MOVE).await;
    let ledger = Ledger { database: SqlName::new("agent_ledger").unwrap() };
    for (request, days) in [("young", 31), ("old", 41)] {
        assert_eq!(practice.word("move", request, MOVED).await, "landed");
        let aged = format!(
            "UPDATE agent_ledger.dbo.write_ledger SET decided = DATEADD(day, -{days}, SYSUTCDATETIME()) WHERE request = N'{request}'"
        );
        practice.sim.batch(&aged).await;
    }
    let today = i32::try_from(chrono::Utc::now().timestamp() / 86_400).unwrap();
    // The server's clock may be a year ahead for an hour; the agent's days then hold what is not that old.
    ledger.purge(&mut practice.sim.session("Clinic").await, today - 50).await.unwrap();
    let mut session = practice.sim.session("Clinic").await;
    assert!(ledger.find(&mut session, &RequestId::new("old").unwrap()).await.unwrap().is_some());
    ledger.purge(&mut session, today - 40).await.unwrap();
    practice.lose_store();
    practice.declare("move", MOVE).await;
    let mut session = practice.sim.session("Clinic").await;
    let young = ledger.find(&mut session, &RequestId::new("young").unwrap()).await.unwrap();
    let old = ledger.find(&mut session, &RequestId::new("old").unwrap()).await.unwrap();
    assert!(young.is_some() && old.is_none(), "{young:?} {old:?}");
    assert_eq!(practice.word("move", "young", MOVED).await, "already_landed");
}
