//! A clerk that submits writes through the master until it is told to stop, each again under its request id until it is
//! decided, whatever dies meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::binaries::binary;
use tests::wait::PATIENCE;

/// A write made once by the ledger, and one found again by the table's own external id.
pub const WRITES: [(&str, &str); 2] = [("enter", "dbo.Entry"), ("note", "dbo.Remark")];

/// The tables that the writes go into; nothing in them forbids a second row.
pub const TABLES: &[&str] = &[
    "CREATE TABLE dbo.Entry (EntryID int IDENTITY(1,1) PRIMARY KEY, Request nvarchar(60) NOT NULL)",
    "CREATE TABLE dbo.Remark (RemarkID int IDENTITY(1,1) PRIMARY KEY, Request nvarchar(60) NOT NULL, \
     ExternalID nvarchar(64) NULL)",
    "CREATE INDEX IX_Remark_ExternalID ON dbo.Remark (ExternalID)",
];

/// What each accepted request came to: its write and the key of its row.
pub type Accepted = BTreeMap<String, (&'static str, Value)>;

/// A working clerk.
pub struct Clerk {
    closing: Arc<AtomicBool>,
    work: JoinHandle<Accepted>,
}

impl Clerk {
    /// Begins to work against the master of that folder; requests are numbered from `first` on.
    pub fn open(master: PathBuf, first: usize) -> Self {
        let closing = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&closing);
        let work = std::thread::spawn(move || {
            let mut accepted = Accepted::new();
            for number in first.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let (write, _) = WRITES[number % WRITES.len()];
                let request = format!("crash-{number}");
                let key = insist(&master, write, &request);
                accepted.insert(request, (write, key));
            }
            accepted
        });
        Self { closing, work }
    }

    /// Ends the request it is at and gives all of them.
    pub fn close(self) -> Accepted {
        self.closing.store(true, Ordering::Relaxed);
        self.work.join().unwrap()
    }
}

/// Submits until the request has landed; gives the key of its row.
pub fn insist(master: &Path, write: &str, request: &str) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let (word, outcome) = submit(master, write, request);
        match word.as_str() {
            "landed" | "already_landed" => return outcome["keys"].clone(),
            // Nobody answered, or the server was away, or another program held a lock: all to be submitted again.
            "" | "unreachable" | "locked" | "conflict" | "expired" | "in_doubt" => {}
            other => panic!("{request} is {other}: {outcome}"),
        }
        assert!(Instant::now() < end, "{request} is not decided: {outcome}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One submission: the word of its outcome, empty when there is none, and what was answered.
pub fn submit(master: &Path, write: &str, request: &str) -> (String, Value) {
    let mut command = Command::new(binary("master-sim").unwrap());
    command.arg("-c").arg(master).args(["run", "-t", "10", "--out", "json", "--static", crate::ID]);
    command.args(["mssql_write.submit", write, request, &format!("params={{text: {request}}}")]);
    let output = command.output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let outcome = answer[crate::ID].clone();
    let said = || Value::from(String::from_utf8_lossy(&output.stderr).into_owned());
    match outcome["outcome"].as_str() {
        Some(word) => (word.to_owned(), outcome.clone()),
        None => (String::new(), if outcome.is_null() { said() } else { outcome }),
    }
}

/// The states that declare the writes; `where` is what the other states of the run have.
pub fn states() -> String {
    let connection = "    - encrypt: false\n    - lock_timeout: 500\n    - server: {{ where.server }}\n    \
                      - user: {{ where.user }}\n    - password: {{ where.password }}\n";
    let definition = |name: &str, table: &str, key: &str, values: &str, once: &str, found: &str| {
        format!(
            "{name}:\n  mssql_write.present:\n{connection}    - database: {{{{ where.database }}}}\n    \
             - recipients: {{{{ where.recipients | json }}}}\n    - parameters: {{text: nvarchar(60)}}\n    \
             - statements: [{{insert: {table}, values: {values}}}]\n    \
             - read_back: {{table: {table}, columns: [{key}], keys: [{key}], where: {found}}}\n    \
             - clear: [{key}]\n    - idempotent: {once}\n    - deadline: 5\n"
        )
    };
    format!(
        "ledger:\n  mssql_write.ledger_present:\n    - name: agent_ledger\n{connection}{}{}",
        definition(
            "enter",
            "dbo.Entry",
            "EntryID",
            "{Request: text}",
            "{ledger: agent_ledger}",
            "{Request: text}"
        ),
        definition(
            "note",
            "dbo.Remark",
            "RemarkID",
            "{Request: text, ExternalID: {request: true}}",
            "{external_id: ExternalID}",
            "{ExternalID: {request: true}}"
        ),
    )
}
