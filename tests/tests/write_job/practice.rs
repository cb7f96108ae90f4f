//! A practice with a simulated EHR, a ledger, and agents that live and die over one data folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use agent::access::required::Requires;
use agent::channel::LocalLink;
use agent::config::Config;
use agent::modules::CallContext;
use agent::mssql::ConnectionOptions;
use agent::mssql::arguments::OptionSources;
use agent::services::Services;
use agent::state_modules::{RunMode, StateArgs, StateContext};
use agent::store::{Secret, Store};
use agent::tasks::Tasks;
use agent::write::book::Declared;
use agent::write::check::check;
use agent::write::declaration::defining;
use agent::write::definition::WriteSpec;
use agent::write::faults::{Faults, Step};
use agent::write::names::{RequestId, WriteName};
use agent::write::room::{Answer, Submission};
use agent::write::unseal::Given;
use agent::write::{WriteError, WriteRoom};
use states::{Map, StateReturn, Value};

use crate::sim::Sim;

/// The practice.
pub struct Practice {
    pub sim: Sim,
    pub identity: age::x25519::Identity,
    folder: tempfile::TempDir,
    /// Where agents connect; a relay's port in tests that cut connections.
    pub port: Option<u16>,
}

/// Arguments as data.
pub fn map(text: &str) -> Map {
    states::yaml::load(text).unwrap().as_map().cloned().unwrap_or_default()
}

impl Practice {
    /// Appointments with a key of their own, patients, an audit table, a ledger.
    pub async fn open() -> Self {
        let sim = Sim::start().await;
        sim.book(1, 2).await;
        let mut session = sim.session("Clinic").await;
        for statement in SCHEMA {
            session.batch(statement).await.unwrap();
        }
        let practice = Self {
            sim,
            identity: age::x25519::Identity::generate(),
            folder: tempfile::tempdir().unwrap(),
            port: None,
        };
        let made = practice.state(RunMode::Apply, "mssql_write.ledger_present", "agent_ledger", "{}").await;
        assert_eq!(made.result, Some(true), "{}", made.comment);
        practice
    }

    /// How `sa` connects to the EHR's database, through the relay if there is one.
    pub fn connection(&self) -> ConnectionOptions {
        let mut options = self.sim.connection("Clinic");
        if let Some(port) = self.port {
            options.server.endpoint = agent::mssql::options::Endpoint::Port(port);
        }
        options
    }

    /// A new process over the data folder.
    pub fn services(&self) -> Arc<Services> {
        self.services_in(self.folder.path())
    }

    fn services_in(&self, folder: &Path) -> Arc<Services> {
        let connection = self.connection();
        let mut opts = Map::new();
        opts.insert("id", "practice");
        opts.insert("file_client", "local");
        opts.insert("root_dir", folder.to_string_lossy().into_owned());
        opts.insert("mssql.server", connection.server.to_string());
        opts.insert("mssql.user", "sa");
        opts.insert("mssql.password", connection.password.reveal());
        opts.insert("mssql.encrypt", false);
        opts.insert("mssql.lock_timeout", 300);
        let recipients = format!("{{sync: {{recipients: [{}]}}}}", self.identity.to_public());
        opts.insert("agent", Value::Map(map(&recipients)));
        let config = Arc::new(Config::from_options(folder, opts).unwrap());
        let store = Arc::new(Store::open(&config.data_dir.join("store.sqlite")).unwrap());
        Services::new(config, Arc::new(LocalLink), store, Tasks::new())
    }

    /// The writing half of a new process that dies where the hook says.
    pub fn room(&self, faults: Faults) -> WriteRoom {
        self.room_in(self.folder.path(), faults)
    }

    /// The same over another data folder: a second agent.
    pub fn room_in(&self, folder: &Path, faults: Faults) -> WriteRoom {
        let mut room = self.services_in(folder).writes.clone();
        room.faults = faults;
        room
    }

    /// Reads and checks a definition as `sa`.
    pub async fn checked(&self, name: &str, args: &str) -> Result<Declared, WriteError> {
        let services = self.services();
        let mut arguments = map(args);
        arguments.insert("database", "Clinic");
        let (opts, pillar) = (&services.config.opts, Value::Nil);
        let sources = OptionSources { arguments: &arguments, opts, pillar: &pillar, taken: &[] };
        let checked = check(WriteSpec::read(name, &sources)?).await?;
        Ok(Declared { spec: checked.spec, arguments: defining(&arguments) })
    }

    /// Declares a write.
    pub async fn declare(&self, name: &str, args: &str) {
        let declared = self.checked(name, args).await.unwrap();
        self.room(Faults::default()).declare(declared).await.unwrap();
    }

    /// Declares a write that works as the login `writer`, who has exactly what the write says it needs, `but` one.
    pub async fn declare_as_writer(&self, name: &str, args: &str, but: Option<usize>) -> Vec<String> {
        let mut declared = self.checked(name, args).await.unwrap();
        declared.spec.connection = self.connection().with_login("writer", Secret::new("Writer-1"));
        let mut needs = Vec::new();
        for (at, needed) in declared.spec.requirement().permissions.iter().enumerate() {
            let columns: Vec<String> = needed.columns.iter().map(|c| c.quoted().to_string()).collect();
            let columns =
                if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
            let what = format!("{} ON {}{columns}", needed.permission.as_str(), needed.securable);
            let verb =
                if but == Some(at) { format!("REVOKE {what} FROM") } else { format!("GRANT {what} TO") };
            self.sim.session(needed.database.as_str()).await.batch(&format!("{verb} writer")).await.unwrap();
            needs.push(format!("{what} in {}", needed.database));
        }
        self.room(Faults::default()).declare(declared).await.unwrap();
        needs
    }

    /// Makes the login `writer` with a user in both databases and no permission.
    pub async fn make_writer(&self) {
        let mut session = self.sim.session("master").await;
        session.batch("CREATE LOGIN writer WITH PASSWORD = N'Writer-1', CHECK_POLICY = OFF").await.unwrap();
        for database in ["Clinic", "agent_ledger"] {
            self.sim.session(database).await.batch("CREATE USER writer FOR LOGIN writer").await.unwrap();
        }
    }

    /// Submits in a new process that dies where the hook says.
    pub async fn submit(
        &self,
        faults: Faults,
        write: &str,
        request: &str,
        params: &str,
    ) -> Result<Answer, WriteError> {
        submit(&self.room(faults), write, request, params).await
    }

    /// Submits in a new process and gives the outcome's word.
    pub async fn word(&self, write: &str, request: &str, params: &str) -> &'static str {
        let answer = self.submit(Faults::default(), write, request, params).await.unwrap();
        answer.outcome.verdict.word()
    }

    /// Calls an execution function as a job would.
    pub async fn call(&self, fun: &str, args: &[&str], keywords: &str) -> (Value, i64) {
        let services = self.services();
        let context = CallContext::new(Arc::clone(&services), services.tasks.token());
        let positional = args.iter().map(|arg| Value::from(*arg)).collect();
        let value = services.modules.call(fun, positional, map(keywords), &context).await.unwrap();
        (value, context.retcode())
    }

    /// Runs a state.
    pub async fn state(&self, mode: RunMode, fun: &str, name: &str, args: &str) -> StateReturn {
        let services = self.services();
        let (module, function) = fun.split_once('.').unwrap();
        let (name, id) = (name.to_owned(), "id".to_owned());
        let (args, sls) = (map(args), "test".into());
        let args = StateArgs { name, id, sls, saltenv: "base".into(), args, require: Vec::new() };
        let context = StateContext {
            accumulators: Arc::default(),
            services: Arc::clone(&services),
            mode,
            pillar: Arc::new(Value::Map(Map::new())),
            grains: Arc::new(Value::Map(Map::new())),
            low: Arc::default(),
            cancel: services.tasks.token(),
        };
        services.state_modules.find(module, function).unwrap().call(function, &args, &context).await
    }

    /// The first cell of a query as a number.
    pub async fn number(&self, sql: &str) -> i64 {
        let rows = self.sim.batch(sql).await.remove(0);
        let text: Option<i32> = rows[0].get(0);
        i64::from(text.unwrap())
    }

    /// What only the recipient can read of an outcome.
    pub fn opened(&self, answer: &Answer) -> serde_json::Value {
        self.open_text(answer.outcome.sealed.as_deref().unwrap())
    }

    /// What only the recipient can read.
    pub fn open_text(&self, sealed: &str) -> serde_json::Value {
        let armor = age::armor::ArmoredReader::new(sealed.as_bytes());
        let opened = age::Decryptor::new(armor).unwrap();
        let mut reader = opened.decrypt(std::iter::once(&self.identity as &dyn age::Identity)).unwrap();
        let mut clear = String::new();
        std::io::Read::read_to_string(&mut reader, &mut clear).unwrap();
        serde_json::from_str(&clear).unwrap()
    }

    /// Every file of the data folder in one.
    pub fn bytes_on_disk(&self) -> Vec<u8> {
        fn walk(folder: &std::path::Path, all: &mut Vec<u8>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, all) } else { all.extend(std::fs::read(path).unwrap()) }
            }
        }
        let mut all = Vec::new();
        walk(self.folder.path(), &mut all);
        all
    }

    /// Loses everything the agent kept.
    pub fn lose_store(&self) {
        let folder = self.services().config.data_dir.clone();
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// Submits to a running process.
pub async fn submit(
    room: &WriteRoom,
    write: &str,
    request: &str,
    params: &str,
) -> Result<Answer, WriteError> {
    let submission = Submission {
        write: WriteName::new(write).unwrap(),
        request: RequestId::new(request).unwrap(),
        params: Given::Clear(map(params)),
        issued: SystemTime::now(),
        jid: None,
    };
    room.submit(submission).await
}

/// A hook that dies the first time it passes `step`, and lets nothing pass after that.
pub fn die_at(step: Step) -> Faults {
    let dead = AtomicBool::new(false);
    Faults::new(move |at| {
        if at == step {
            dead.store(true, Ordering::SeqCst);
        }
        dead.load(Ordering::SeqCst)
    })
}

/// A hook that runs `act` the first time `step` is passed, and kills nobody.
pub fn once_at(step: Step, act: impl Fn() + Send + Sync + 'static) -> Faults {
    let seen = AtomicUsize::new(0);
    Faults::new(move |at| {
        if at == step && seen.fetch_add(1, Ordering::SeqCst) == 0 {
            act();
        }
        false
    })
}

/// Waits until `holds`, a minute at most.
pub async fn wait_until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), waited).await.is_ok(), "waited in vain: {what}");
}

/// Named values of a return.
pub fn fields(value: &Value) -> BTreeMap<String, Value> {
    let map = value.as_map().unwrap();
    map.iter().map(|(key, value)| (key.to_string(), value.clone())).collect()
}

const SCHEMA: &[&str] = &[
    "CREATE TABLE dbo.Patient (PatientID int NOT NULL CONSTRAINT PK_Patient PRIMARY KEY, Name nvarchar(40) NOT NULL)",
    "INSERT INTO dbo.Patient (PatientID, Name) VALUES (1, N'Zoë'), (2, N'Ann')",
    "CREATE TABLE dbo.Appointment (
        AppointmentID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_Appointment PRIMARY KEY,
        PatientID int NOT NULL CONSTRAINT FK_Appointment_Patient REFERENCES dbo.Patient (PatientID),
        ChairID int NOT NULL,
        StartTime datetime NOT NULL,
        Status nvarchar(20) NOT NULL CONSTRAINT CK_Status CHECK (Status IN (N'Scheduled', N'Confirmed', N'Cancelled')),
        Note nvarchar(200) NULL,
        ExternalID varchar(60) NULL,
        RowVer rowversion NOT NULL)",
    "CREATE INDEX IX_Appointment_ExternalID ON dbo.Appointment (ExternalID)",
    "INSERT INTO dbo.Appointment (PatientID, ChairID, StartTime, Status, Note) VALUES \
     (1, 1, '2026-01-05T09:00:00', N'Scheduled', N'first'), (2, 2, '2026-01-05T10:00:00', N'Scheduled', NULL)",
    "CREATE TABLE dbo.Audit (
        AuditID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_Audit PRIMARY KEY,
        AppointmentID int NOT NULL,
        What varchar(20) NOT NULL,
        Program nvarchar(128) NOT NULL CONSTRAINT DF_Program DEFAULT (APP_NAME()),
        Author varbinary(128) NULL CONSTRAINT DF_Author DEFAULT (CONTEXT_INFO()),
        At datetime2(3) NOT NULL)",
];
