//! A practice with canaries in its rows, an agent behind recording relays, an object store.

use std::{collections::BTreeSet, fs, path::PathBuf};

use agent::mssql::{ConnectionOptions, Session};
use agent::store::Secret;
use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tests::{
    ehr::EhrSim,
    minion::{Minion, Sut},
    received::Received,
    relay::Relay,
    s3::S3Store,
    scratch::Scratch,
    source::hex,
    wait::{PATIENCE, wait_for},
};

use crate::ROW;
use crate::place::{ID, Place};

/// The practice and its master.
pub struct Practice {
    pub master: Place,
    pub minion: Minion,
    /// Of every login and of the pillar.
    pub password: String,
    /// Of the object store.
    pub secret: String,
    /// The jids of submissions and re-snapshots.
    pub submitted: Vec<String>,
    sim: EhrSim,
    identity: age::x25519::Identity,
    requests: Relay,
    publishes: Relay,
    store: Option<(S3Store, Relay)>,
}

impl Practice {
    /// Canaries are in the rows, the agent is accepted; nothing is declared.
    pub fn open(master: Place) -> Result<Self> {
        let sim = EhrSim::serve("dolphin", 300)?;
        for statement in SEED {
            batch(&sim, statement)?;
        }
        let store = S3Store::start_or_skip("canaries on the way to an object store")?;
        let store =
            store.map(|store| Relay::recording(store.port).map(|relay| (store, relay))).transpose()?;
        let (requests, publishes) = master.ports();
        let (requests, publishes) = (Relay::recording(requests)?, Relay::recording(publishes)?);
        let options = json!({ "publish_port": publishes.port, "log_level": "debug" });
        let minion = Minion::prepare(Sut::Agent, requests.port, ID, options)?;
        let (password, secret) = ("Canary-password-3b8e".to_owned(), "canary-secret-key-a6f4".to_owned());
        let identity = age::x25519::Identity::generate();
        let mut practice = Self {
            master,
            minion,
            password,
            secret,
            submitted: Vec::new(),
            sim,
            identity,
            requests,
            publishes,
            store,
        };
        practice.master.prepare(&practice.pillar(), STATES)?;
        practice.minion.launch()?;
        practice.master.accept(&practice.minion)?;
        Ok(practice)
    }

    /// Applies a state file; everything in it must hold.
    pub fn apply(&self, sls: &str) -> Result<()> {
        let (_, ret) = self.master.call("state.apply", &json!({ "mods": sls }))?;
        let chunks = ret.as_object().with_context(|| format!("{sls}: {ret}"))?;
        ensure!(chunks.values().all(|chunk| chunk["result"] == true), "{sls}: {ret}");
        Ok(())
    }

    /// Calls a function with keywords.
    pub fn call(&self, fun: &str, keywords: &Value) -> Result<Value> {
        let (_, ret) = self.master.call(fun, keywords)?;
        ensure!(!ret.is_null(), "{fun} returned nothing");
        Ok(ret)
    }

    /// Submits a write, which must end so.
    pub fn submit(&mut self, write: &str, request: &str, params: &Value, outcome: &str) -> Result<()> {
        let keywords = json!({ "name": write, "request": request, "params": params });
        let (jid, ret) = self.master.call("mssql_write.submit", &keywords)?;
        ensure!(!jid.is_empty() && ret["outcome"] == outcome, "{write}: {ret}");
        self.submitted.push(jid);
        Ok(())
    }

    /// Has rows of a job read again, by their keys; the return must say this.
    pub fn resnapshot(&mut self, job: &str, more: &Value, said: &str) -> Result<()> {
        let mut keywords = json!({ "name": job });
        for (name, value) in more.as_object().into_iter().flatten() {
            keywords[name] = value.clone();
        }
        let (jid, ret) = self.master.call("mssql_sync.resnapshot", &keywords)?;
        ensure!(!jid.is_empty() && ret.to_string().contains(said), "{job} {more}: {ret}");
        self.submitted.push(jid);
        Ok(())
    }

    /// Seals parameters as an integrator does, for the key that the minion tells, and submits them.
    pub fn submit_sealed(&mut self, write: &str, request: &str, params: &Value, outcome: &str) -> Result<()> {
        let recipient = self.call("mssql_write.recipient", &json!({}))?;
        let recipient = recipient.as_str().context("no recipient")?.parse::<age::x25519::Recipient>();
        let recipient = recipient.map_err(|why| anyhow::anyhow!("{why}"))?;
        let sealed = STANDARD.encode(age::encrypt(&recipient, params.to_string().as_bytes())?);
        let keywords = json!({ "name": write, "request": request, "params_sealed": sealed });
        let (_, ret) = self.master.call("mssql_write.submit", &keywords)?;
        ensure!(ret["outcome"] == outcome, "{write}: {ret}");
        Ok(())
    }

    /// Asks what a write would do.
    pub fn preview(&mut self, write: &str, request: &str, params: &Value) -> Result<()> {
        let keywords = json!({ "name": write, "request": request, "params": params, "test": true });
        let (jid, ret) = self.master.call("mssql_write.submit", &keywords)?;
        ensure!(
            !jid.is_empty() && ret["would"] == "landed" || ret["would"] == "constraint",
            "{write}: {ret}"
        );
        self.submitted.push(jid);
        Ok(())
    }

    /// The rowversion of the patient with the canary.
    pub fn rowver(&self) -> Result<String> {
        let sql =
            "SELECT CONVERT(varchar(20), CONVERT(binary(8), RowVer), 1) FROM dbo.Patient WHERE PatientID = 1";
        batch(&self.sim, sql)?.context("no rowversion")
    }

    /// Waits until both sinks have a batch that holds the row's canary once it is opened.
    pub fn wait_for_rows(&self) -> Result<()> {
        let master = self.received_by_master();
        wait_for("the row at the master", PATIENCE, || holds(&master, &self.identity))?;
        let Some((store, _)) = &self.store else { return Ok(()) };
        let copy = Scratch::new()?;
        wait_for("the row in the object store", PATIENCE, || {
            let keys = store.keys().map_err(|error| format!("{error:#}"))?;
            for key in keys.iter().filter(|key| key.contains("Patient") && key.ends_with(".parquet.age")) {
                let name = key.rsplit('/').next().unwrap_or_default();
                let sealed = store.get(key).map_err(|error| format!("{error:#}"))?.unwrap_or_default();
                fs::write(copy.join(name), sealed).map_err(|error| error.to_string())?;
            }
            holds(&copy.join(""), &self.identity)
        })
    }

    /// The relays, by what they stand before.
    pub fn relays(&self) -> Vec<(&'static str, &Relay)> {
        let mut relays = vec![("requests", &self.requests), ("publishes", &self.publishes)];
        relays.extend(self.store.iter().map(|(_, relay)| ("object store", relay)));
        relays
    }

    /// Ends agent and master.
    pub fn end(&mut self) -> Result<()> {
        if let Some(process) = self.minion.process() {
            process.stop(PATIENCE)?;
        }
        self.minion.expect_errors(&[])?;
        self.master.end()
    }

    fn received_by_master(&self) -> PathBuf {
        self.master.root().join("cache/minions").join(ID).join("files/agent/sync/canary.codes")
    }

    fn pillar(&self) -> Value {
        let mut sync = json!({ "recipients": [self.identity.to_public().to_string()] });
        if let Some((_, relay)) = &self.store {
            sync["sink"] = json!("object_store");
            sync["object_store"] = json!({
                "url": "s3://batches/fleet", "endpoint": format!("http://127.0.0.1:{}", relay.port), "allow_http": true,
                "access_key_id": "AKIDEXAMPLE", "secret_access_key": self.secret,
            });
        }
        json!({
            "mssql.server": "127.0.0.1", "mssql.port": self.sim.port, "mssql.user": "canary_admin",
            "mssql.password": self.password, "mssql.trust_server_certificate": true,
            "dolphin": { "password": self.password, "write_password": self.password, "interval": 1 },
            "agent": { "sync": sync },
        })
    }
}

/// Whether a batch in the folder holds the row's canary.
fn holds(folder: &std::path::Path, identity: &age::x25519::Identity) -> Result<(), String> {
    let mut announced = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let sealed = fs::read(entry.path()).map_err(|error| error.to_string())?;
        announced.insert(hex(ring::digest::digest(&ring::digest::SHA256, &sealed).as_ref()));
    }
    let mut received = Received::new(folder.to_owned(), identity.clone());
    received.look(&announced).map_err(|error| format!("{error:#}"))?;
    let found = received.rows.values().flatten().any(|cell| cell == ROW);
    if found { Ok(()) } else { Err(format!("{} rows", received.rows.len())) }
}

/// The first cell that a statement of `sa` gives, a text.
fn batch(sim: &EhrSim, sql: &str) -> Result<Option<String>> {
    let lookup = |name: &str| match name {
        "server" => Some(format!("127.0.0.1,{}", sim.port)),
        "trust_server_certificate" => Some("true".to_owned()),
        _ => None,
    };
    let options = ConnectionOptions::read(lookup)?.with_login("sa", Secret::new(EhrSim::SA_PASSWORD));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut session = Session::connect(&options.with_database("Main_OMS")).await?;
        let rows = session.batch(sql).await?.into_iter().next().unwrap_or_default();
        Ok(rows.first().and_then(|row| row.get::<&str, _>(0)).map(str::to_owned))
    })
}

const SEED: &[&str] = &[
    "CREATE TABLE dbo.CanaryCode (ID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_CanaryCode PRIMARY KEY, \
     Code nvarchar(60) NOT NULL CONSTRAINT UQ_CanaryCode UNIQUE, RowVer rowversion NOT NULL)",
    "INSERT INTO dbo.CanaryCode (Code) VALUES (N'Canary-row-7f3a9c')",
    "CREATE TABLE dbo.CanaryChart (Number nvarchar(40) NOT NULL CONSTRAINT PK_CanaryChart PRIMARY KEY, \
     RowVer rowversion NOT NULL)",
    "INSERT INTO dbo.CanaryChart (Number) VALUES (N'canary-key-92b6f8')",
    "UPDATE dbo.Patient SET LastName = N'Canary-row-7f3a9c', Active = 1 WHERE PatientID = 1",
    "CREATE LOGIN canary_admin WITH PASSWORD = N'Canary-password-3b8e'",
    "ALTER SERVER ROLE sysadmin ADD MEMBER canary_admin",
];

const STATES: &str = "
canary.codes:
  mssql_sync.present:
    - database: Main_OMS
    - table: dbo.CanaryCode
    - cursor: rowversion
    - interval: 1
    - sink: master

canary.charts:
  mssql_sync.present:
    - database: Main_OMS
    - table: dbo.CanaryChart
    - cursor: rowversion
    - interval: 1
    - sink: master

canary.code:
  mssql_write.present:
    - database: Main_OMS
    - parameters: {code: nvarchar(60)}
    - statements:
      - insert: dbo.CanaryCode
        label: code
        values: {Code: code}
    - read_back: {table: dbo.CanaryCode, columns: [ID, Code], keys: [ID], where: {ID: {key_of: code}}}
    - idempotent: {ledger: nexhealth_agent}
    - clear: [ID]
";
