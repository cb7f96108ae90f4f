//! Values on their way into a column: sums with what is there, and texts that a code page holds or does not.

use agent::write::faults::Faults;
use agent::write::outcome::Verdict;

use crate::practice::Practice;

/// Credits a visit.
const CREDIT: &str = "
parameters: {branch: nvarchar(10), id: int, amount: {type: money, min: '0.01'}}
statements:
  - update: dbo.Visit
    set: {Balance: {add: amount}}
    where: {Branch: branch, VisitID: id}
read_back: {table: dbo.Visit, columns: [VisitID, Balance], keys: [VisitID], where: {Branch: branch, VisitID: id}}
idempotent: {ledger: agent_ledger}
entity: {visit: id}
clear: [VisitID, Balance]
";

/// Sets a varchar.
const NUMBER: &str = "
parameters: {id: int, number: varchar(60)}
statements:
  - update: dbo.Appointment
    set: {ExternalID: number}
    where: {AppointmentID: id}
read_back: {table: dbo.Appointment, columns: [AppointmentID, ExternalID], keys: [AppointmentID], where: {AppointmentID: id}}
idempotent: {ledger: agent_ledger}
clear: [AppointmentID, ExternalID]
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sum_is_added_once_per_request_and_read_back() {
    let practice = Practice::open().await;
    practice.declare("credit", CREDIT).await;
    let params = "{branch: b1, id: 1, amount: '2.50'}";
    for (request, verdict, balance) in [
        ("c-1", Verdict::Landed, "3.6250"),
        ("c-2", Verdict::Landed, "6.1250"),
        ("c-1", Verdict::AlreadyLanded, "3.6250"),
    ] {
        let outcome = practice.submit(Faults::default(), "credit", request, params).await.unwrap().outcome;
        assert_eq!(outcome.verdict, verdict, "{}", outcome.reason);
        assert_eq!(outcome.read_back[0]["Balance"], balance);
    }
    let held = "SELECT CONVERT(int, Balance * 1000) FROM dbo.Visit WHERE VisitID = 1";
    assert_eq!(practice.number(held).await, 6125);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sum_that_would_vanish_or_overflow_writes_nothing_and_says_so() {
    let practice = Practice::open().await;
    practice.declare("credit", CREDIT).await;
    let most = "{branch: b1, id: 1, amount: '922337203685477.5807'}";
    let over = practice.submit(Faults::default(), "credit", "c-1", most).await.unwrap().outcome;
    assert_eq!(over.verdict, Verdict::Constraint, "{}", over.reason);
    practice.sim.batch("UPDATE dbo.Visit SET Balance = NULL WHERE VisitID = 1").await;
    let params = "{branch: b1, id: 1, amount: '2.50'}";
    let nothing = practice.submit(Faults::default(), "credit", "c-2", params).await.unwrap().outcome;
    assert_eq!(nothing.verdict, Verdict::Conflict);
    assert!(nothing.reason.contains("would touch 0 row(s)"), "{}", nothing.reason);
    let negative = practice.submit(Faults::default(), "credit", "c-3", &params.replace("2.50", "-1")).await;
    assert_eq!(negative.unwrap().outcome.verdict, Verdict::Refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_its_column_cannot_hold_is_refused_and_never_becomes_a_question_mark() {
    let practice = Practice::open().await;
    practice.declare("number", NUMBER).await;
    let landed =
        practice.submit(Faults::default(), "number", "n-1", "{id: 1, number: 'Zoë 5 €'}").await.unwrap();
    assert_eq!(landed.outcome.verdict, Verdict::Landed, "{}", landed.outcome.reason);
    assert_eq!(landed.outcome.read_back[0]["ExternalID"], "Zoë 5 €");
    let refused =
        practice.submit(Faults::default(), "number", "n-2", "{id: 1, number: 'Zoя'}").await.unwrap();
    assert_eq!(refused.outcome.verdict, Verdict::Refused);
    assert_eq!(
        refused.outcome.reason,
        "the parameter number has at character 3 one that column ExternalID of dbo.Appointment (collation \
         SQL_Latin1_General_CP1_CI_AS, code page 1252) cannot hold"
    );
    let kept = "SELECT COUNT(*) FROM dbo.Appointment WHERE ExternalID LIKE '%?%'";
    assert_eq!(practice.number(kept).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_declared_before_collations_were_asked_for_goes_on() {
    let practice = Practice::open().await;
    let mut declared = practice.checked("number", NUMBER).await.unwrap();
    declared.spec.shape.tables.iter_mut().for_each(|table| table.collations.clear());
    practice.room(Faults::default()).declare(declared).await.unwrap();
    assert_eq!(practice.word("number", "n-1", "{id: 1, number: 'Zoë'}").await, "landed");
    assert_eq!(practice.word("number", "n-2", "{id: 1, number: 'Zoя'}").await, "refused");
}
