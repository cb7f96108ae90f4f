//! The main job: a real master pushes the state tree of the demo, rows arrive in the master's cache; and what goes wrong on
//! the SQL side is said where Salt's users look.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    ehr::EhrSim,
    minion::{Minion, Sut},
    received::Received,
    salt::SaltMaster,
    source::Source,
    wait::{PATIENCE, wait_for},
};

crate::each_series!(
    the_dolphin_tree_brings_rows_to_the_master_cache,
    a_login_that_fails_gives_the_number_and_the_message,
    a_sync_declaration_that_cannot_work_is_refused,
);

const ROWS: u64 = 2_000;
const CHANGES: u32 = 60;
/// What the tree's job reads of `dbo.Appointment`.
pub const APPOINTMENT: &str =
    "AppointmentID, PatientID, ProviderID, ChairID, StartTime, LengthMinutes, Status, Fee, CreatedAt, RowVer";

fn the_dolphin_tree_brings_rows_to_the_master_cache(master: &SaltMaster) -> Result<()> {
    let place = json!({ "table": "dbo.EhrVersion", "column": "Number", "newest_by": "Installed" });
    let Some(practice) = Practice::open(master, "sql-dolphin", json!({ "ehr_version": place }))? else {
        return Ok(());
    };
    let id = practice.minion.id.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut source = runtime.block_on(Source::connect(practice.sim.port, EhrSim::SA_PASSWORD))?;
    for statement in [
        "CREATE TABLE dbo.EhrVersion (Number varchar(20) NOT NULL, Installed date NOT NULL, Secret int NULL)",
        "INSERT INTO dbo.EhrVersion VALUES ('12.1', '2026-01-01', 1)",
    ] {
        runtime.block_on(source.execute(statement))?;
    }

    let tried = practice.apply(json!(["dolphin"]), json!({ "test": true }))?;
    ensure!(tried["retcode"] == 0, "test=True: {tried}");
    let applied = practice.apply(json!(["dolphin"]), json!({}))?;
    ensure!(applied["retcode"] == 0 && all_hold(&applied), "{applied}");
    let printed = master.output("highstate", &id, &applied["ret"])?;
    ensure!(printed.contains("Failed:    0"), "{printed}");
    ensure!(!applied.to_string().contains(Practice::SYNC_PASSWORD), "a password is in the return");

    let snapshot = runtime.block_on(source.read("dbo.Appointment", APPOINTMENT))?;
    ensure!(snapshot.len() as u64 == ROWS, "the simulator serves {} rows", snapshot.len());
    practice.wait_until_received(master, &snapshot)?;

    runtime.block_on(source.change(CHANGES))?;
    let changed = runtime.block_on(source.read("dbo.Appointment", APPOINTMENT))?;
    let received = practice.wait_until_received(master, &changed)?;
    ensure!(received.repeats == 0 && received.is_gapless(), "{} row versions came twice", received.repeats);

    let again = practice.apply(json!(["dolphin"]), json!({}))?;
    ensure!(all_hold(&again) && no_changes(&again), "a second run must change nothing: {again}");
    runtime.block_on(source.execute("GRANT DELETE ON dbo.Appointment TO nexhealth_sync"))?;
    drift_is_told_and_mended(master, &practice)?;
    a_long_pass_tells_of_itself_and_can_be_killed(master, &practice)?;
    a_batch_that_lies_elsewhere_is_told(master, &practice)?;
    runtime.block_on(source.execute("INSERT INTO dbo.EhrVersion VALUES ('12.2', '2026-02-01', 1)"))?;
    runtime.block_on(source.execute("ALTER TABLE dbo.Appointment ALTER COLUMN Reason nvarchar(160) NULL"))?;
    an_upgrade_is_told_and_approved(master, &practice)?;
    practice.minion.finish()
}

/// A pass that takes long, because the server's disk does, is told of on the master's bus while it runs, and ends with the
/// job that asked for it.
fn a_long_pass_tells_of_itself_and_can_be_killed(master: &SaltMaster, practice: &Practice<'_>) -> Result<()> {
    let (id, job) = (&practice.minion.id, "main_oms.Appointment");
    // So slow that the sweep takes longer than a progress event waits, and the EHR's version less than a slice of the pass.
    practice.sim.fault(&["slow-disk", "3000"])?;
    let jid = master.start_job(id, "mssql_sync.audit", &json!([job]), &json!({}))?;
    let tag = format!("salt/job/{jid}/prog/{id}/");
    wait_for("an event of its progress", PATIENCE, || {
        let events = master.events(&tag);
        let told = events.iter().any(|event| event.pointer("/data/data/return/phase").is_some());
        if told { Ok(()) } else { Err(format!("{events:?}")) }
    })?;
    let killed = master.cmd(id, "saltutil.kill_job", &json!([jid]), json!({}))?;
    ensure!(killed[id]["ret"].is_string(), "{killed}");
    practice.minion.wait_for_log(&["the pass was ended because the job that asked for it was killed"])?;
    practice.sim.fault(&["slow-disk", "0"])?;
    let again = master.cmd(id, "mssql_sync.audit", &json!([job]), json!({}))?;
    ensure!(again[id]["ret"]["ending"] == "caught up", "{again}");
    Ok(())
}

/// A job with a sink of its own: its batches lie there, the bus hears where, and what cannot be removed is not promised.
fn a_batch_that_lies_elsewhere_is_told(master: &SaltMaster, practice: &Practice<'_>) -> Result<()> {
    let declare = |name: &str, more: Value| {
        let mut kwarg = json!({ "database": "Main_OMS", "table": "dbo.Payment", "interval": 3600 });
        for (key, value) in more.as_object().into_iter().flatten() {
            kwarg[key] = value.clone();
        }
        practice.single("mssql_sync.present", name, kwarg)
    };
    let refused = declare("elsewhere", json!({ "retention": { "epochs": 1 } }))?;
    ensure!(refused["retcode"] == 2, "{refused}");
    ensure!(refused.to_string().contains("a Salt master has no request that removes a file"), "{refused}");
    let unknown = declare("elsewhere", json!({ "sink": "nowhere" }))?;
    ensure!(unknown.to_string().contains("the sink is 'nowhere'"), "{unknown}");
    let declared = declare("elsewhere", json!({ "sink": "archive", "retention": { "epochs": 1 } }))?;
    ensure!(declared["retcode"] == 0, "{declared}");
    let event = master.wait_for_event("agent/sync/elsewhere/batch")?;
    let path = event.pointer("/data/data/path").and_then(Value::as_str).unwrap_or_default();
    ensure!(PathBuf::from(path).starts_with(practice.archive()), "{event}");
    ensure!(fs::metadata(path)?.len() == event["data"]["data"]["bytes"], "{event}");
    let removed = practice.single("mssql_sync.absent", "elsewhere", json!({}))?;
    ensure!(removed["retcode"] == 0, "{removed}");
    Ok(())
}

/// An upgrade of the EHR: the bus hears exactly what differs, and hears of its approval.
fn an_upgrade_is_told_and_approved(master: &SaltMaster, practice: &Practice<'_>) -> Result<()> {
    let (id, job) = (&practice.minion.id, "main_oms.Appointment");
    let tag = format!("agent/sync/{job}/schema");
    let event = master.wait_for_event(&tag)?;
    let told = &event["data"]["data"];
    let difference = "column Reason of dbo.Appointment was nvarchar(100), is nvarchar(160)";
    ensure!(told["changed"] == json!([difference]), "{event}");
    ensure!(told["writes"].as_str().is_some_and(|writes| writes.starts_with("stopped")), "{event}");
    ensure!(told["ehr_version"]["present"] == "12.2", "{event}");
    let status = master.cmd(id, "mssql_sync.status", &json!([job]), json!({}))?;
    ensure!(status[id]["ret"][job]["error"].is_null(), "reading goes on: {status}");
    let given = json!({ "kwarg": { "fingerprint": told["fingerprint"] } });
    let approved = master.cmd(id, "mssql_schema.fingerprint", &json!([job]), given)?;
    ensure!(approved[id]["retcode"] == 0, "{approved}");
    wait_for("the event of the approval", PATIENCE, || {
        let events = master.events(&tag);
        let told = events.iter().any(|event| event["data"]["data"]["writes"] == "go on");
        if told { Ok(()) } else { Err(format!("{events:?}")) }
    })
}

/// Someone granted more: the master's bus hears of it, and the same push takes it away.
fn drift_is_told_and_mended(master: &SaltMaster, practice: &Practice<'_>) -> Result<()> {
    let id = &practice.minion.id;
    let answer = master.cmd(id, "mssql_grant.drift", &json!([]), json!({}))?;
    ensure!(answer[id]["ret"].to_string().contains("DELETE on dbo.Appointment"), "{answer}");
    wait_for("the event agent/access/drift", PATIENCE, || {
        let events = master.events("agent/access/drift");
        let told = events
            .iter()
            .any(|event| event.to_string().contains("REVOKE DELETE ON OBJECT::[dbo].[Appointment]"));
        if told { Ok(()) } else { Err(format!("{events:?}")) }
    })?;
    let mended = practice.apply(json!(["dolphin.login"]), json!({}))?;
    ensure!(all_hold(&mended) && mended.to_string().contains("DELETE on dbo.Appointment"), "{mended}");
    let answer = master.cmd(id, "mssql_grant.diff", &json!([]), json!({}))?;
    let found = &answer[id]["ret"][0];
    ensure!(found["missing"] == json!([]) && found["excess"] == json!([]), "{answer}");
    Ok(())
}

fn a_login_that_fails_gives_the_number_and_the_message(master: &SaltMaster) -> Result<()> {
    let wrong = json!({ "mssql.password": "not the password" });
    let Some(practice) = Practice::open(master, "sql-login", wrong)? else { return Ok(()) };
    let applied = practice.apply(json!(["dolphin"]), json!({}))?;
    ensure!(applied["retcode"] == 2, "{applied}");
    let said = comment(&applied, "dolphin_login")?;
    ensure!(said.contains("18456") && said.contains("Login failed for user 'sa'"), "{said}");
    ensure!(!applied.to_string().contains("not the password"), "a password is in the return");
    let blocked = comment(&applied, "dolphin_user")?;
    ensure!(blocked == "One or more requisite failed: dolphin.login.dolphin_login", "{blocked}");
    practice.minion.wait_for_ping(master)
}

fn a_sync_declaration_that_cannot_work_is_refused(master: &SaltMaster) -> Result<()> {
    let Some(practice) = Practice::open(master, "sql-refuse", json!({}))? else { return Ok(()) };
    let cases = [
        ("dbo.Nowhere", json!(null), "dbo.Nowhere"),
        ("dbo.Patient", json!(["PatientID", "Shoesize", "RowVer"]), "Shoesize"),
        ("dbo.Legacy", json!(null), "rowversion"),
    ];
    for (table, columns, expected) in cases {
        let mut kwarg = json!({ "database": "Main_OMS", "table": table, "cursor": "rowversion" });
        if !columns.is_null() {
            kwarg["columns"] = columns;
        }
        let answer = practice.single("mssql_sync.present", "refused", kwarg)?;
        ensure!(answer["retcode"] == 2, "{table}: {answer}");
        ensure!(answer["ret"].to_string().contains(expected), "{table}: {answer}");
    }
    let kwarg =
        json!({ "database": "Main_OMS", "table": "dbo.Payment", "cursor": "rowversion", "interval": 3600 });
    let answer = practice.single("mssql_sync.present", "slow", kwarg)?;
    let text = answer["ret"].to_string();
    ensure!(
        answer["retcode"] == 0 && text.contains("index"),
        "no index on the cursor is a warning: {answer}"
    );
    practice.minion.wait_for_ping(master)
}

/// A simulated practice with its agent and its pillar.
pub struct Practice<'a> {
    master: &'a SaltMaster,
    pub minion: Minion,
    pub sim: EhrSim,
    identity: age::x25519::Identity,
}

impl<'a> Practice<'a> {
    pub const SYNC_PASSWORD: &'static str = "Sync-only-9";

    /// None with Salt's own minion, which has no such states.
    pub fn open(master: &'a SaltMaster, id: &str, mut pillar: Value) -> Result<Option<Self>> {
        if Sut::chosen(master.series) != Sut::Agent {
            return Ok(None);
        }
        let sim = EhrSim::serve("dolphin", ROWS)?;
        let identity = age::x25519::Identity::generate();
        let mut secrets = json!({
            "mssql.server": "127.0.0.1", "mssql.port": sim.port, "mssql.user": "sa",
            "mssql.password": EhrSim::SA_PASSWORD, "mssql.trust_server_certificate": true,
            "dolphin": { "login": "nexhealth_sync", "password": Self::SYNC_PASSWORD, "interval": 1 },
            "agent": { "sync": {
                "recipients": [identity.to_public().to_string()],
                "sinks": { "archive": { "sink": "folder", "folder": archive(master, id) } },
            } },
        });
        if let Some(place) = pillar.as_object_mut().and_then(|pillar| pillar.remove("ehr_version")) {
            secrets["dolphin"]["ehr_version"] = place;
        }
        if let (Some(secrets), Value::Object(pillar)) = (secrets.as_object_mut(), pillar) {
            secrets.extend(pillar);
        }
        fs::write(master.path("pillar").join(format!("{id}.sls")), serde_json::to_string_pretty(&secrets)?)?;
        let minion = Minion::accepted(master, id, json!({}))?;
        Ok(Some(Self { master, minion, sim, identity }))
    }

    /// Where the sink `archive` is.
    fn archive(&self) -> PathBuf {
        archive(self.master, &self.minion.id)
    }

    /// `state.apply` with these arguments; the whole return.
    pub fn apply(&self, arg: Value, kwarg: Value) -> Result<Value> {
        let answer = self.master.cmd(&self.minion.id, "state.apply", &arg, json!({ "kwarg": kwarg }))?;
        Ok(answer[&self.minion.id].clone())
    }

    fn single(&self, fun: &str, name: &str, mut kwarg: Value) -> Result<Value> {
        kwarg["name"] = json!(name);
        let answer =
            self.master.cmd(&self.minion.id, "state.single", &json!([fun]), json!({ "kwarg": kwarg }))?;
        Ok(answer[&self.minion.id].clone())
    }

    /// Waits until the rows in the master's cache are `wanted`, and nothing else.
    pub fn wait_until_received(&self, master: &SaltMaster, wanted: &tests::source::Rows) -> Result<Received> {
        let folder =
            master.path("cache/minions").join(&self.minion.id).join("files/agent/sync/main_oms.Appointment");
        wait_for("the rows of dbo.Appointment in the master's cache", PATIENCE, || {
            let announced = self.announced(master);
            let mut received = Received::new(folder.clone(), self.identity.clone());
            received.look(&announced).map_err(|error| format!("{error:#}"))?;
            if received.rows == *wanted { Ok(received) } else { Err(self.distance(&received, wanted)) }
        })
    }

    /// The digests that the batch events named.
    fn announced(&self, master: &SaltMaster) -> std::collections::BTreeSet<String> {
        let events = master.events("agent/sync/");
        let digests =
            events.iter().filter_map(|event| event.pointer("/data/data/sha256").and_then(Value::as_str));
        digests.map(str::to_owned).collect()
    }

    fn distance(&self, received: &Received, wanted: &tests::source::Rows) -> String {
        let same = wanted.iter().filter(|(key, cells)| received.rows.get(key) == Some(*cells)).count();
        let status = self.master.cmd(&self.minion.id, "mssql_sync.status", &json!([]), json!({}));
        let odd =
            wanted.iter().find(|(key, cells)| received.rows.get(key).is_some_and(|found| found != *cells));
        let odd = odd.map(|(key, cells)| format!("{cells:?} came as {:?}", received.rows[key]));
        format!(
            "{} of {} rows, {same} of them right, {} batches; {}; {}",
            received.rows.len(),
            wanted.len(),
            received.batches(),
            odd.unwrap_or_default(),
            status.map_or_else(|error| format!("{error:#}"), |status| status.to_string()),
        )
    }
}

fn archive(master: &SaltMaster, id: &str) -> PathBuf {
    master.path(&format!("archive-{id}"))
}

fn chunks(ret: &Value) -> impl Iterator<Item = (&String, &Value)> {
    ret["ret"].as_object().into_iter().flatten()
}

/// Whether every state of a return holds.
pub fn all_hold(ret: &Value) -> bool {
    chunks(ret).count() > 0 && chunks(ret).all(|(_, chunk)| chunk["result"] == true)
}

fn no_changes(ret: &Value) -> bool {
    chunks(ret).all(|(_, chunk)| chunk["changes"] == json!({}))
}

/// What a state said.
pub fn comment(ret: &Value, id: &str) -> Result<String> {
    let found = chunks(ret).find(|(key, _)| key.split("_|-").nth(1) == Some(id));
    let (_, chunk) = found.with_context(|| format!("no chunk {id} in {ret}"))?;
    Ok(chunk["comment"].as_str().unwrap_or_default().to_owned())
}
