//! Writes against ehr-sim: every accepted request lands once, whatever dies or is cut off between two steps, and every
//! outcome says why. The sim enforces permissions, locks and constraints as SQL Server does.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails it by panicking")]

#[path = "write_job/late.rs"]
mod late;
#[path = "write_job/practice.rs"]
mod practice;
#[path = "write_job/schema.rs"]
mod schema;
#[path = "sync_job/sim.rs"]
mod sim;
#[path = "write_job/tree.rs"]
mod tree;
#[path = "write_job/values.rs"]
mod values;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agent::policy::switches::{Pause, Switch};
use agent::state_modules::RunMode;
use agent::write::WriteError;
use agent::write::faults::{Faults, Step};
use agent::write::names::{RequestId, WriteName};
use agent::write::outcome::Verdict;
use agent::write::room::Submission;
use agent::write::unseal::Given;
use states::Value;
use tests::relay::{Direction, Relay};

use crate::practice::{Practice, die_at, fields, map, once_at, submit, wait_until};
use crate::sim::CANARY;

/// Moves an appointment and says so in the audit table.
const MOVE: &str = "
parameters:
  id: {type: int, min: 1}
  starts: datetime
  note: {type: nvarchar(200), nullable: true, default: null}
  rowver: {type: rowversion, nullable: true, default: null}
preconditions:
  - table: dbo.Appointment
    where: {AppointmentID: id}
    expect: {Status: {value: Scheduled}}
statements:
  - update: dbo.Appointment
    set: {StartTime: starts, Note: note}
    where: {AppointmentID: id}
  - insert: dbo.Audit
    values: {AppointmentID: id, What: {value: moved}, At: {now: utc}}
read_back:
  table: dbo.Appointment
  columns: [AppointmentID, StartTime, Note, RowVer]
  keys: [AppointmentID]
  where: {AppointmentID: id}
idempotent: {ledger: agent_ledger}
entity: {appointment: id}
clear: [AppointmentID, RowVer]
deadline: 20
expires: 3600
";

/// Books an appointment, found again by the EHR's own external id.
const BOOK: &str = "
parameters: {patient: int, chair: int, starts: datetime, note: {type: nvarchar(200), nullable: true, default: null}}
preconditions:
  - table: dbo.Appointment
    where: {ChairID: chair, StartTime: starts, Status: {ne: {value: Cancelled}}}
    absent: true
statements:
  - insert: dbo.Appointment
    label: appointment
    values:
      PatientID: patient
      ChairID: chair
      StartTime: starts
      Status: {value: Scheduled}
      Note: note
      ExternalID: {request: true}
  - insert: dbo.Audit
    values: {AppointmentID: {key_of: appointment}, What: {value: booked}, At: {now: utc}}
read_back:
  table: dbo.Appointment
  columns: [AppointmentID, StartTime, Note, RowVer]
  keys: [AppointmentID]
  where: {ExternalID: {request: true}}
idempotent: {external_id: ExternalID}
deadline: 20
";

const MOVED: &str = "{id: 1, starts: '2026-01-06T11:30:00', note: 'canary-4711 called'}";
const BOOKED: &str = "{patient: 2, chair: 3, starts: '2026-01-07T08:00:00'}";

/// How often the move of appointment 1 was written: by its audit rows.
async fn moves(practice: &Practice) -> i64 {
    practice.number("SELECT COUNT(*) FROM dbo.Audit WHERE What = 'moved'").await
}

async fn bookings(practice: &Practice) -> i64 {
    let audits = practice.number("SELECT COUNT(*) FROM dbo.Audit WHERE What = 'booked'").await;
    let rows = practice.number("SELECT COUNT(*) FROM dbo.Appointment WHERE ExternalID IS NOT NULL").await;
    assert_eq!(audits, rows, "half a booking");
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_lands_once_and_is_told_with_its_key_and_read_back() {
    let practice = Practice::open().await;
    practice.declare("move", MOVE).await;
    let answer = practice.submit(Faults::default(), "move", "r-1", MOVED).await.unwrap();
    let landed = answer.outcome.clone();
    assert_eq!((landed.verdict, answer.attempts), (Verdict::Landed, 1), "{landed:?}");
    assert_eq!(landed.keys["AppointmentID"], 1);
    assert!(landed.read_back[0].get("Note").is_none(), "a sealed column is in clear");
    let opened = practice.opened(&answer);
    assert_eq!(opened["read_back"][0]["Note"], format!("{CANARY} called"));
    assert_eq!(opened["read_back"][0]["StartTime"], "2026-01-06T11:30:00.000");
    assert_eq!(opened["request"], "r-1");
    let again = practice.submit(Faults::default(), "move", "r-1", MOVED).await.unwrap().outcome;
    assert_eq!(again.verdict, Verdict::AlreadyLanded);
    assert_eq!((&again.keys, &again.sealed, &again.at), (&landed.keys, &landed.sealed, &landed.at));
    practice.lose_store();
    practice.declare("move", MOVE).await;
    let by_ledger = practice.submit(Faults::default(), "move", "r-1", MOVED).await.unwrap().outcome;
    assert_eq!((by_ledger.verdict, &by_ledger.sealed), (Verdict::AlreadyLanded, &landed.sealed));
    assert_eq!(moves(&practice).await, 1);
    let program = "SELECT COUNT(*) FROM dbo.Audit WHERE Program = N'NexHealth agent' AND \
                   CONVERT(varchar(128), Author) LIKE 'NexHealth agent|move|r-1%'";
    assert_eq!(practice.number(program).await, 1, "the audit row does not name its author");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_id_with_other_parameters_or_another_write_is_refused_as_such() {
    let practice = Practice::open().await;
    practice.declare("move", MOVE).await;
    practice.declare("move again", MOVE).await;
    assert_eq!(practice.word("move", "r-1", MOVED).await, "landed");
    for lost in [false, true] {
        if lost {
            practice.lose_store();
            practice.declare("move", MOVE).await;
            practice.declare("move again", MOVE).await;
        }
        let other = "{id: 1, starts: '2026-01-06T11:45:00'}";
        let answer = practice.submit(Faults::default(), "move", "r-1", other).await.unwrap().outcome;
        assert_eq!(answer.verdict, Verdict::Refused);
        assert_eq!(answer.reason, "the request id r-1 was used with other parameters; nothing was written");
        let answer = practice.submit(Faults::default(), "move again", "r-1", MOVED).await.unwrap().outcome;
        assert_eq!(answer.reason, "the request id r-1 was used for the write move; nothing was written");
    }
    assert_eq!(moves(&practice).await, 1);
    let (listed, _) = practice.call("mssql_write.list", &[], "{}").await;
    let parameters = listed.get("move").unwrap().get("parameters").unwrap().clone();
    assert_eq!(parameters.get("id"), Some(&Value::from("int, min 1")));
    let (status, _) = practice.call("mssql_write.status", &["r-1"], "{}").await;
    assert_eq!(status.get("outcome"), Some(&Value::from("landed")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_at_any_step_and_a_resubmission_land_the_write_once() {
    for step in Step::ALL {
        let practice = Practice::open().await;
        practice.declare("move", MOVE).await;
        practice.declare("book", BOOK).await;
        for (write, params) in [("move", MOVED), ("book", BOOKED)] {
            let died = practice.submit(die_at(step), write, write, params).await;
            assert!(matches!(died, Err(WriteError::Fault { .. })), "{write} at {step:?}: {died:?}");
            let answer = practice.submit(Faults::default(), write, write, params).await.unwrap().outcome;
            let committed = matches!(step, Step::Committed | Step::Recorded);
            let expected = if committed { Verdict::AlreadyLanded } else { Verdict::Landed };
            assert_eq!(answer.verdict, expected, "{write} at {step:?}: {}", answer.reason);
            assert!(answer.sealed.is_some(), "{write} at {step:?}");
            let third = practice.submit(Faults::default(), write, write, params).await.unwrap().outcome;
            assert_eq!((third.verdict, &third.keys), (Verdict::AlreadyLanded, &answer.keys));
        }
        assert_eq!((moves(&practice).await, bookings(&practice).await), (1, 1), "{step:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_before_or_in_the_commit_lands_the_write_once() {
    for (write, params) in [("move", MOVED), ("book", BOOKED)] {
        let mut practice = Practice::open().await;
        let relay = Arc::new(Relay::to(port(&practice)).unwrap());
        practice.port = Some(relay.port);
        practice.declare("move", MOVE).await;
        practice.declare("book", BOOK).await;

        let cutting = Arc::clone(&relay);
        let before = once_at(Step::Completed, move || cutting.cut());
        let answer = practice.submit(before, write, "before", params).await.unwrap();
        assert_eq!((answer.outcome.verdict, answer.attempts), (Verdict::Landed, 2), "{:?}", answer.outcome);

        // COMMIT arrives, its answer does not: the connection ends when the row is there.
        let cutting = Arc::clone(&relay);
        let practice = Arc::new(practice);
        let (watching, runtime) = (Arc::clone(&practice), tokio::runtime::Handle::current());
        let count =
            move |practice: Arc<Practice>| async move { moves(&practice).await + bookings(&practice).await };
        let after = once_at(Step::Completed, move || {
            cutting.swallow_open(Direction::ToMinion);
            let (practice, relay) = (Arc::clone(&watching), Arc::clone(&cutting));
            runtime.spawn(async move {
                wait_until("the commit", || async { count(Arc::clone(&practice)).await == 2 }).await;
                relay.cut();
            });
        });
        let later = params.replace("2026-01-0", "2026-02-0");
        let answer = practice.submit(after, write, "after", &later).await.unwrap();
        assert_eq!((answer.outcome.verdict, answer.attempts), (Verdict::Landed, 2), "{:?}", answer.outcome);
        assert!(!answer.outcome.in_doubt && answer.outcome.sealed.is_some());
        assert_eq!(moves(&practice).await + bookings(&practice).await, 2, "{write}");
        assert_eq!(practice.word(write, "after", &later).await, "already_landed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_nobody_can_ask_about_is_told_as_in_doubt_and_settled_by_resubmission() {
    let mut practice = Practice::open().await;
    let relay = Arc::new(Relay::to(port(&practice)).unwrap());
    practice.port = Some(relay.port);
    practice.declare("move", &MOVE.replace("deadline: 20", "deadline: 1")).await;
    let cutting = Arc::clone(&relay);
    let cut = once_at(Step::Completed, move || {
        cutting.rule(Direction::ToMinion, tests::relay::Rule::Swallow);
        cutting.refuse(true);
    });
    let answer = practice.submit(cut, "move", "r-1", MOVED).await.unwrap().outcome;
    assert_eq!((answer.verdict, answer.in_doubt), (Verdict::Unreachable, true), "{}", answer.reason);
    relay.cut();
    relay.refuse(false);
    relay.rule(Direction::ToMinion, tests::relay::Rule::Pass);
    practice.declare("move", MOVE).await;
    assert_eq!(practice.word("move", "r-1", MOVED).await, "already_landed");
    assert_eq!(moves(&practice).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_agents_and_many_submissions_of_one_request_land_it_once() {
    let practice = Practice::open().await;
    practice.declare("move", MOVE).await;
    practice.declare("book", BOOK).await;
    let first = practice.room(Faults::default());
    let declared = practice.checked("move", MOVE).await.unwrap();
    let booking = practice.checked("book", BOOK).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let second = practice.room_in(folder.path(), Faults::default());
    second.declare(declared).await.unwrap();
    second.declare(booking).await.unwrap();
    let mut all = tokio::task::JoinSet::new();
    for at in 0..12 {
        let room = if at % 2 == 0 { first.clone() } else { second.clone() };
        let (write, params) = if at % 4 < 2 { ("move", MOVED) } else { ("book", BOOKED) };
        all.spawn(async move { submit(&room, write, write, params).await.unwrap().outcome });
    }
    let outcomes = all.join_all().await;
    let landed = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Landed).count();
    let repeated = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::AlreadyLanded).count();
    assert_eq!((landed, repeated), (2, 10), "{outcomes:?}");
    assert_eq!((moves(&practice).await, bookings(&practice).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_precondition_a_conflict_and_a_constraint_are_told_by_name_and_stay_decided() {
    let practice = Practice::open().await;
    let optimistic = MOVE.replace("expect: {Status", "expect: {RowVer: rowver, Status");
    practice.declare("move", &optimistic).await;
    practice.declare("book", BOOK).await;
    let known = "{id: 1, starts: '2026-01-06T11:30:00', rowver: '0x00000000000000FF'}";
    let conflict = practice.submit(Faults::default(), "move", "r-1", known).await.unwrap().outcome;
    assert_eq!(
        (conflict.verdict, conflict.names.as_slice()),
        (Verdict::Conflict, ["RowVer".to_owned()].as_slice())
    );

    practice.sim.batch("UPDATE dbo.Appointment SET Status = N'Confirmed' WHERE AppointmentID = 1").await;
    let answer = practice.submit(Faults::default(), "move", "r-2", known).await.unwrap();
    assert_eq!(answer.outcome.verdict, Verdict::PreconditionFailed);
    assert_eq!(answer.outcome.names, ["RowVer", "Status"]);
    assert!(!format!("{:?}", answer.outcome.reason).contains("Confirmed"), "a value is in the reason");
    assert_eq!(practice.opened(&answer)["differs"]["Status"], "Confirmed");

    let nobody = practice.submit(Faults::default(), "move", "r-3", &known.replace("id: 1", "id: 99")).await;
    let nobody = nobody.unwrap().outcome;
    assert_eq!(nobody.reason, "dbo.Appointment has no such row (AppointmentID)");

    let foreign =
        practice.submit(Faults::default(), "book", "b-1", &BOOKED.replace("patient: 2", "patient: 7")).await;
    let foreign = foreign.unwrap().outcome;
    assert_eq!(
        (foreign.verdict, foreign.names.as_slice()),
        (Verdict::Constraint, ["FK_Appointment_Patient".to_owned()].as_slice())
    );
    let taken = BOOKED.replace("chair: 3", "chair: 1").replace("2026-01-07T08", "2026-01-05T09");
    let taken = practice.submit(Faults::default(), "book", "b-2", &taken).await.unwrap().outcome;
    assert_eq!(taken.verdict, Verdict::PreconditionFailed, "{}", taken.reason);

    practice.sim.batch("UPDATE dbo.Appointment SET Status = N'Scheduled' WHERE AppointmentID = 1").await;
    practice.sim.batch("INSERT INTO dbo.Patient (PatientID, Name) VALUES (7, N'Bo')").await;
    for lost in [false, true] {
        if lost {
            practice.lose_store();
            practice.declare("move", &optimistic).await;
        }
        let again = practice.submit(Faults::default(), "move", "r-2", known).await.unwrap().outcome;
        assert_eq!((again.verdict, &again.sealed), (Verdict::PreconditionFailed, &answer.outcome.sealed));
        assert_eq!(practice.word("move", "r-1", known).await, "conflict");
    }
    assert_eq!((moves(&practice).await, bookings(&practice).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_waited_for_and_its_holder_is_named_when_the_deadline_passes() {
    let practice = Practice::open().await;
    practice.declare("move", &MOVE.replace("deadline: 20", "deadline: 1.5")).await;
    let mut front_desk = practice.sim.session("Clinic").await;
    front_desk.batch("BEGIN TRANSACTION").await.unwrap();
    front_desk.batch("UPDATE dbo.Appointment SET Note = N'open' WHERE AppointmentID = 1").await.unwrap();
    let locked = practice.submit(Faults::default(), "move", "r-1", MOVED).await.unwrap();
    assert_eq!(locked.outcome.verdict, Verdict::Locked);
    assert!(locked.attempts > 1, "it gave up at the first lock timeout");
    let holder = &locked.outcome.names[0];
    assert!(holder.contains("NexHealth agent") && holder.contains("login sa"), "{holder}");
    front_desk.batch("COMMIT TRANSACTION").await.unwrap();
    assert_eq!(practice.word("move", "r-1", MOVED).await, "landed", "nothing was decided by a lock");
    assert_eq!(moves(&practice).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_with_the_front_desk_is_lost_and_tried_again() {
    let practice = Arc::new(Practice::open().await);
    let both = MOVE.replace(
        "  - insert: dbo.Audit",
        "  - update: dbo.Appointment\n    set: {Note: note}\n    where: {AppointmentID: {value: 2}}\n  - insert: dbo.Audit",
    );
    practice.declare("move", &both).await;
    let mut front_desk = practice.sim.session("Clinic").await;
    front_desk.batch("SET DEADLOCK_PRIORITY NORMAL; SET LOCK_TIMEOUT 20000").await.unwrap();
    front_desk.batch("BEGIN TRANSACTION").await.unwrap();
    front_desk.batch("UPDATE dbo.Appointment SET Note = N'desk' WHERE AppointmentID = 2").await.unwrap();
    let mut declared = practice.checked("move", &both).await.unwrap();
    declared.spec.connection.lock_timeout = Duration::from_secs(15);
    let room = practice.room(Faults::default());
    room.declare(declared).await.unwrap();
    let writing = tokio::spawn(async move { submit(&room, "move", "r-1", MOVED).await.unwrap() });
    let watched = Arc::clone(&practice);
    wait_until("the write to wait for the front desk", || async {
        watched.number("SELECT COUNT(*) FROM sys.dm_exec_requests WHERE blocking_session_id <> 0").await == 1
    })
    .await;
    front_desk.batch("UPDATE dbo.Appointment SET Note = N'desk' WHERE AppointmentID = 1").await.unwrap();
    front_desk.batch("COMMIT TRANSACTION").await.unwrap();
    let answer = writing.await.unwrap();
    assert_eq!(answer.outcome.verdict, Verdict::Landed);
    assert!(answer.attempts > 1, "there was no deadlock");
    assert_eq!(moves(&practice).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_of_one_entity_run_in_the_order_they_came() {
    let practice = Practice::open().await;
    practice.declare("move", MOVE).await;
    let services = practice.services();
    services.writes.start().await.unwrap();
    let room = services.writes.clone();
    let mut writing = Vec::new();
    for minute in 0..20 {
        let params = format!("{{id: {}, starts: '2026-03-01T10:{minute:02}:00'}}", 1 + minute % 2);
        let (jid, request) = (format!("j{minute}"), format!("r{minute}"));
        let place = room.arrive(&jid, "move", &request, &Given::Clear(map(&params))).unwrap();
        writing.push((place, jid, request, params));
    }
    // The last that came is the first to be run.
    let mut all = tokio::task::JoinSet::new();
    for (place, jid, request, params) in writing.into_iter().rev() {
        let submission = Submission {
            write: WriteName::new("move").unwrap(),
            request: RequestId::new(request).unwrap(),
            params: Given::Clear(map(&params)),
            issued: SystemTime::now(),
            jid: Some(jid),
        };
        let room = room.clone();
        all.spawn(async move {
            let answer = room.submit(submission).await.unwrap();
            drop(place);
            answer.outcome.verdict
        });
        tokio::task::yield_now().await;
    }
    assert!(all.join_all().await.iter().all(|verdict| *verdict == Verdict::Landed));
    let last = "SELECT DATEPART(minute, StartTime) FROM dbo.Appointment WHERE AppointmentID = ";
    assert_eq!(practice.number(&format!("{last}1")).await, 18, "an earlier write came last");
    assert_eq!(practice.number(&format!("{last}2")).await, 19, "an earlier write came last");
    services.tasks.shutdown(Duration::from_secs(30)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_needs_exactly_the_permissions_it_says() {
    let practice = Practice::open().await;
    practice.make_writer().await;
    let needs = practice.declare_as_writer("move", MOVE, None).await;
    assert_eq!(practice.word("move", "all", MOVED).await, "landed", "{needs:?}");
    for (at, need) in needs.iter().enumerate() {
        if need.contains("DELETE ON dbo.write_ledger") {
            continue; // for forgetting old rows, which no write waits for
        }
        let request = format!("without {at}");
        practice.declare_as_writer("move", MOVE, Some(at)).await;
        let answer = practice.submit(Faults::default(), "move", &request, MOVED).await.unwrap().outcome;
        assert_eq!(answer.verdict, Verdict::Permission, "without {need}: {}", answer.reason);
        practice.declare_as_writer("move", MOVE, None).await;
        assert_eq!(practice.word("move", &request, MOVED).await, "landed", "{need} came back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_table_stops_writes_until_it_is_approved() {
    let practice = Practice::open().await;
    let args = format!("{MOVE}\ndatabase: Clinic");
    let declared = practice.state(RunMode::Apply, "mssql_write.present", "move", &args).await;
    assert_eq!(declared.result, Some(true), "{}", declared.comment);
    let again = practice.state(RunMode::Apply, "mssql_write.present", "move", &args).await;
    assert_eq!(again.comment, "Write move is already declared");
    practice.sim.batch("ALTER TABLE dbo.Appointment ALTER COLUMN Note nvarchar(300) NULL").await;
    let stopped = practice.submit(Faults::default(), "move", "r-1", MOVED).await.unwrap().outcome;
    assert_eq!(stopped.verdict, Verdict::SchemaChanged);
    let difference = "column Note of dbo.Appointment was nvarchar(200), is nvarchar(300)";
    assert_eq!(stopped.names, [difference]);
    let refused = practice.state(RunMode::Apply, "mssql_write.present", "move", &args).await;
    assert_eq!(refused.result, Some(false), "a state run approved a schema nobody looked at");
    assert!(refused.comment.contains(difference), "{}", refused.comment);
    let fingerprint = refused.comment.split("`schema: ").nth(1).unwrap().split('`').next().unwrap();
    let approved = format!("{args}\nschema: {fingerprint}");
    let done = practice.state(RunMode::Apply, "mssql_write.present", "move", &approved).await;
    assert_eq!(done.result, Some(true), "{}", done.comment);
    assert_eq!(practice.word("move", "r-1", MOVED).await, "landed");
    practice.sim.batch("ALTER TABLE dbo.Appointment DROP COLUMN Note").await;
    assert_eq!(practice.word("move", "r-2", MOVED).await, "schema_changed");
    let gone = practice.state(RunMode::Apply, "mssql_write.absent", "move", "{}").await;
    assert_eq!(gone.comment, "Write move has been removed");
    assert_eq!(practice.word("move", "r-3", MOVED).await, "refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_paused_late_or_away_is_not_written_and_says_so() {
    let mut practice = Practice::open().await;
    let relay = Relay::to(port(&practice)).unwrap();
    practice.port = Some(relay.port);
    practice.declare("move", &MOVE.replace("deadline: 20", "deadline: 1")).await;
    let room = practice.room(Faults::default());
    let pause = Pause { since: "2026-01-01T00:00:00Z".into(), by: "maria".into() };
    room.switches.pause(Switch::Writes, &pause).unwrap();
    let paused = submit(&room, "move", "r-1", MOVED).await.unwrap();
    assert_eq!((paused.outcome.verdict, paused.attempts), (Verdict::Paused, 0));
    assert!(paused.outcome.reason.contains("paused by maria"), "{}", paused.outcome.reason);
    room.switches.resume(Switch::Writes).unwrap();

    relay.refuse(true);
    relay.cut();
    let away = submit(&room, "move", "r-1", MOVED).await.unwrap().outcome;
    assert_eq!((away.verdict, away.in_doubt), (Verdict::Unreachable, false), "{}", away.reason);
    relay.refuse(false);

    let old = Submission {
        write: WriteName::new("move").unwrap(),
        request: RequestId::new("old").unwrap(),
        params: Given::Clear(map(MOVED)),
        issued: SystemTime::now() - Duration::from_secs(3700),
        jid: None,
    };
    let expired = room.submit(old.clone()).await.unwrap().outcome;
    assert_eq!(expired.verdict, Verdict::Expired, "{}", expired.reason);
    let fresh = Submission { issued: SystemTime::now(), ..old };
    assert_eq!(room.submit(fresh).await.unwrap().outcome.verdict, Verdict::Expired, "decided is decided");
    assert_eq!(moves(&practice).await, 0);
    assert_eq!(submit(&room, "move", "r-1", MOVED).await.unwrap().outcome.verdict, Verdict::Landed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_shows_statements_and_rows_and_touches_none() {
    let practice = Practice::open().await;
    practice.declare("move", MOVE).await;
    practice.declare("book", BOOK).await;
    let counter = "SELECT CONVERT(int, @@DBTS)";
    let before = practice.number(counter).await;
    let keywords = format!("{{request: r-1, params: {MOVED}, test: true}}");
    let (shown, retcode) = practice.call("mssql_write.submit", &["move"], &keywords).await;
    assert_eq!((shown.get("would"), retcode), (Some(&Value::from("landed")), 0));
    let steps = shown.get("steps").unwrap().as_list().unwrap().to_vec();
    let update = fields(&steps[1]);
    assert_eq!(
        update["sql"].as_str(),
        Some(
            "UPDATE [dbo].[Appointment] SET [StartTime] = @P1, [Note] = @P2 WHERE [AppointmentID] = @P3; SELECT @@ROWCOUNT"
        )
    );
    assert_eq!(update["rows"], Value::from(1));
    assert!(!format!("{shown:?}").contains(CANARY), "{shown:?}");
    let opened = practice.open_text(shown.get("sealed").unwrap().as_str().unwrap());
    assert_eq!(opened["1"][0]["AppointmentID"], 1);
    let keywords = format!("{{request: r-2, params: {BOOKED}, test: true}}");
    let (shown, _) = practice.call("mssql_write.submit", &["book"], &keywords).await;
    let steps = shown.get("steps").unwrap().as_list().unwrap().to_vec();
    assert!(fields(&steps[2])["bound"].to_string().contains("the key made by appointment"));
    assert_eq!(practice.number(counter).await, before, "a row was touched");
    assert_eq!((moves(&practice).await, bookings(&practice).await), (0, 0));
    assert_eq!(practice.number("SELECT COUNT(*) FROM agent_ledger.dbo.write_ledger").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_of_a_row_or_parameter_is_in_a_return_or_on_the_disk() {
    let practice = Practice::open().await;
    practice.declare("move", MOVE).await;
    let keywords = format!("{{request: r-1, params: {MOVED}}}");
    let (landed, retcode) = practice.call("mssql_write.submit", &["move"], &keywords).await;
    assert_eq!((landed.get("outcome"), retcode), (Some(&Value::from("landed")), 0));
    assert_eq!(landed.get("final"), Some(&Value::from(true)));
    let (status, _) = practice.call("mssql_write.status", &["r-1"], "{}").await;
    let (refused, retcode) =
        practice.call("mssql_write.submit", &["move"], "{request: r-2, params: {id: canary-4711}}").await;
    assert_eq!((refused.get("outcome"), retcode), (Some(&Value::from("refused")), 1));
    for value in [&landed, &status, &refused] {
        assert!(!format!("{value:?}").contains(CANARY), "{value:?}");
    }
    let disk = practice.bytes_on_disk();
    let canary = CANARY.as_bytes();
    assert!(!disk.windows(canary.len()).any(|window| window == canary), "a value lies on the disk");
    let in_ledger =
        format!("SELECT COUNT(*) FROM agent_ledger.dbo.write_ledger WHERE outcome LIKE N'%{CANARY}%'");
    assert_eq!(practice.number(&in_ledger).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_the_tables_do_not_hold_is_refused() {
    let practice = Practice::open().await;
    let said = |args: String| {
        let practice = &practice;
        async move { practice.checked("w", &args).await.map(|_| ()).unwrap_err().to_string() }
    };
    assert!(said(MOVE.replace("dbo.Audit", "dbo.Nowhere")).await.contains("no table dbo.Nowhere"));
    assert!(said(MOVE.replace("What:", "Why:")).await.contains("table dbo.Audit has no column Why"));
    let wide = said(MOVE.replace("note: {type: nvarchar(200)", "note: {type: nvarchar(201)")).await;
    assert_eq!(
        wide,
        "column Note of dbo.Appointment is nvarchar(200), which does not hold every nvarchar(201) of the parameter note"
    );
    let ledger = said(MOVE.replace("{ledger: agent_ledger}", "{ledger: nowhere}")).await;
    assert!(
        ledger.contains("the ledger in database nowhere cannot be used") && ledger.contains("ledger_present"),
        "{ledger}"
    );
    let once = said(MOVE.replace("idempotent: {ledger: agent_ledger}", "")).await;
    assert!(once.contains("how it happens only once"), "{once}");
}

/// The sim's own port.
fn port(practice: &Practice) -> u16 {
    match practice.connection().server.endpoint {
        agent::mssql::options::Endpoint::Port(port) => port,
        agent::mssql::options::Endpoint::Instance(_) => unreachable!("the sim has a port"),
    }
}
