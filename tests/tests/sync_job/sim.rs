//! An ehr-sim inside the test process, with a small clinic database that has a column of many types.

use std::net::SocketAddr;

use agent::mssql::{ConnectionOptions, Rows, Session};
use agent::store::Secret;
use ehr_sim::engine::{Engine, EngineOptions};
use ehr_sim::server::{Server, ServerOptions};
use ehr_sim::tds::prelogin::TlsMode;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running instance; it ends with this value.
pub struct Sim {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    _run: JoinHandle<()>,
}

impl Sim {
    /// An instance with database `Clinic` and an empty `dbo.Visit`.
    pub async fn start() -> Self {
        Self::of(Engine::new(EngineOptions { sa_password: PASSWORD.into(), ..EngineOptions::default() }))
            .await
    }

    /// The same over an engine that may hold more.
    pub async fn of(engine: Engine) -> Self {
        let options = ServerOptions { tls: TlsMode::Off, ..ServerOptions::default() };
        let server = Server::bind(engine, options).await.unwrap();
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let run = tokio::spawn(server.run(async move { drop(stopped.await) }));
        let sim = Self { address, stop: Some(stop), _run: run };
        sim.session("master").await.batch("CREATE DATABASE Clinic").await.unwrap();
        let mut session = sim.session("Clinic").await;
        for statement in SCHEMA {
            session.batch(statement).await.unwrap();
        }
        sim
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How `sa` connects to `database`.
    pub fn connection(&self, database: &str) -> ConnectionOptions {
        let port = self.port().to_string();
        let lookup = |name: &str| match name {
            "server" => Some("127.0.0.1".to_owned()),
            "port" => Some(port.clone()),
            "encrypt" => Some("false".to_owned()),
            "lock_timeout" => Some("500".to_owned()),
            _ => None,
        };
        let options = ConnectionOptions::read(lookup).unwrap();
        options.with_login("sa", Secret::new(PASSWORD)).with_database(database)
    }

    /// A session of `sa`.
    pub async fn session(&self, database: &str) -> Session {
        Session::connect(&self.connection(database)).await.unwrap()
    }

    /// Runs a batch as `sa` in the clinic.
    pub async fn batch(&self, sql: &str) -> Vec<Rows> {
        self.session("Clinic").await.batch(sql).await.unwrap()
    }

    /// Books `count` visits from `first` on.
    pub async fn book(&self, first: u32, count: u32) {
        let mut session = self.session("Clinic").await;
        for id in first..first + count {
            let sql = format!(
                "INSERT INTO dbo.Visit (VisitID, Branch, Note, Fee, Balance, Booked, Changed, ExternalID) VALUES \
                 ({id}, N'b{}', N'Zoë {CANARY} {id}', {id}.25, {id}.125, '2026-01-02T03:04:05.007', SYSDATETIME(), \
                 '6F9619FF-8B86-D011-B42D-00C04FC964FF')",
                id % 3
            );
            session.batch(&sql).await.unwrap();
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

/// Stands in rows only: nothing else that a run leaves behind may hold it.
pub const CANARY: &str = "canary-4711";

/// Of `sa`.
pub const PASSWORD: &str = "Test-Admin-1";

const SCHEMA: &[&str] = &[
    "CREATE TABLE dbo.Visit (VisitID int NOT NULL, Branch nvarchar(10) NOT NULL, Note nvarchar(100) NULL, \
     Fee decimal(10,2) NULL, Balance money NULL, Booked datetime NULL, Changed datetime2(3) NULL, \
     ExternalID uniqueidentifier NULL, \
     RowVer rowversion NOT NULL, CONSTRAINT PK_Visit PRIMARY KEY (Branch, VisitID))",
    "CREATE UNIQUE INDEX IX_Visit_RowVer ON dbo.Visit (RowVer)",
    "CREATE INDEX IX_Visit_Changed ON dbo.Visit (Changed)",
];
