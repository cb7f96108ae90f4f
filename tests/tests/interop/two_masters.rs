//! Two masters of one agent, of different series: who submits a write twice, once at each, has it written once; the batches of
//! both together are the table; one of them dies and the other goes on.

use std::{
    collections::BTreeSet,
    fs,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    ehr::EhrSim,
    minion::{Minion, Sut},
    received::Received,
    salt::{MasterSettings, SaltMaster, Series},
    scratch::Scratch,
    skip::skipped,
    source::{Rows, Source},
    wait::{PATIENCE, wait_for},
};

use crate::{
    sql::{APPOINTMENT, all_hold},
    writes::submit,
};

const ID: &str = "sql-two";
const JOB: &str = "main_oms.Appointment";

#[test]
fn a_request_of_two_masters_lands_once_and_one_of_them_may_die() -> Result<()> {
    for series in [Series::S3006, Series::S3008] {
        if let Err(why) = series.installed() {
            return skipped("interop two masters", &why);
        }
    }
    let first = SaltMaster::launch(Series::S3006, &MasterSettings::default())?;
    let keys_of = Some(first.path("pki"));
    let second = SaltMaster::launch(Series::S3008, &MasterSettings { keys_of, ..MasterSettings::default() })?;
    let site = Site::open([&first, &second])?;
    for sls in ["dolphin", "dolphin.writes"] {
        let applied = first.cmd(ID, "state.apply", &json!([sls]), json!({}))?;
        ensure!(applied[ID]["retcode"] == 0 && all_hold(&applied[ID]), "{sls}: {applied}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut source = runtime.block_on(Source::connect(site.sim.port, EhrSim::SA_PASSWORD))?;
    let mut payments = || runtime.block_on(source.count("dbo.Payment"));

    let before = payments()?;
    let mut answers = Vec::new();
    for number in 0..SUBMITTED_AT_BOTH {
        answers.push(site.submit_at_both(&format!("both-{number}"))?);
    }
    ensure!(payments()? == before + SUBMITTED_AT_BOTH, "a request of two masters was not written once");

    let read = |source: &mut Source| runtime.block_on(source.read("dbo.Appointment", APPOINTMENT));
    site.wait_until_received(&read(&mut source)?)?;
    runtime.block_on(source.change(30))?;
    site.wait_until_received(&read(&mut source)?)?;

    first.stop(true)?;
    runtime
        .block_on(source.execute("UPDATE dbo.Appointment SET Fee = Fee + 1 WHERE AppointmentID % 7 = 0"))?;
    let received = site.wait_until_received(&read(&mut source)?)?;
    ensure!(received.repeats == 0, "{} row versions came twice", received.repeats);
    let again = submit(&second, ID, &payment("both-0"))?;
    same(&again["ret"], &answers[0])?;
    let alone = submit(&second, ID, &payment("alone"))?;
    ensure!(alone["ret"]["outcome"] == "landed", "{alone}");

    first.start()?;
    site.minion.wait_for_ping(&first)?;
    for (request, answer) in [("both-0", &answers[0]), ("alone", &alone["ret"])] {
        let again = submit(&first, ID, &payment(request))?;
        same(&again["ret"], answer)?;
    }
    ensure!(
        runtime.block_on(source.count("dbo.Payment"))? == before + SUBMITTED_AT_BOTH + 1,
        "written twice"
    );
    site.wait_until_received(&read(&mut source)?)?;
    site.minion.finish()
}

struct Site<'a> {
    masters: [&'a SaltMaster; 2],
    minion: Minion,
    sim: EhrSim,
    identity: age::x25519::Identity,
}

impl<'a> Site<'a> {
    fn open(masters: [&'a SaltMaster; 2]) -> Result<Self> {
        let (sim, identity) = (EhrSim::serve("dolphin", 500)?, age::x25519::Identity::generate());
        let pillar = json!({
            "mssql.server": "127.0.0.1", "mssql.port": sim.port, "mssql.user": "sa",
            "mssql.password": EhrSim::SA_PASSWORD, "mssql.trust_server_certificate": true,
            "dolphin": { "login": "nexhealth_sync", "password": "Sync-only-9", "write_password": "Write-only-1", "interval": 1 },
            "agent": { "sync": { "recipients": [identity.to_public().to_string()] } },
        });
        for master in masters {
            fs::write(master.path("pillar").join(format!("{ID}.sls")), pillar.to_string())?;
        }
        let list = masters.map(|master| format!("127.0.0.1:{}", master.ret_port));
        let minion = Minion::start_as(Sut::Agent, masters[0].ret_port, ID, json!({ "master": list }))?;
        for master in masters {
            master.wait_for_key("minions_pre", ID)?;
            master.key("accept", ID)?;
            minion.wait_for_start(master, 1)?;
            minion.wait_for_ping(master)?;
        }
        Ok(Self { masters, minion, sim, identity })
    }

    /// Submits a request at both masters at the same time; gives what both were told.
    fn submit_at_both(&self, request: &str) -> Result<Value> {
        let answers = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for master in self.masters {
                let take = || answers.lock().unwrap_or_else(PoisonError::into_inner);
                scope.spawn(move || {
                    let answer = submit(master, ID, &payment(request));
                    take().push(answer);
                });
            }
        });
        let answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
        let answers: Vec<Value> = answers.into_iter().collect::<Result<_>>()?;
        let mut words: Vec<&str> =
            answers.iter().filter_map(|answer| answer["ret"]["outcome"].as_str()).collect();
        words.sort_unstable();
        ensure!(words == ["already_landed", "landed"], "{answers:?}");
        let [one, other] = &answers[..] else { anyhow::bail!("{answers:?}") };
        same(&one["ret"], &other["ret"])?;
        Ok(one["ret"].clone())
    }

    /// Waits until what lies at either master, taken together, is the table; every batch was told to both that live.
    fn wait_until_received(&self, wanted: &Rows) -> Result<Received> {
        wait_for("the rows at either master", PATIENCE, || {
            self.received().map_err(|error| format!("{error:#}")).and_then(|received| {
                if received.rows == *wanted && received.is_gapless() {
                    return Ok(received);
                }
                let same =
                    wanted.iter().filter(|(key, cells)| received.rows.get(key) == Some(*cells)).count();
                Err(format!("{} rows, {same} of {} right", received.rows.len(), wanted.len()))
            })
        })
    }

    fn received(&self) -> Result<Received> {
        let (copy, mut announced) = (Scratch::new()?, BTreeSet::new());
        for master in self.masters {
            let folder = master.path("cache/minions").join(ID).join("files/agent/sync").join(JOB);
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let entry = entry?;
                fs::copy(entry.path(), copy.join(&entry.file_name().to_string_lossy()))?;
            }
            let told = master.events(&format!("agent/sync/{JOB}/batch"));
            announced.extend(
                told.iter()
                    .filter_map(|event| event.pointer("/data/data/sha256")?.as_str().map(str::to_owned)),
            );
        }
        let mut received = Received::new(copy.join(""), self.identity.clone());
        received.look(&announced)?;
        Ok(received)
    }
}

fn payment(request: &str) -> Value {
    json!({
        "name": "dolphin.record_payment", "request": request,
        "params": { "patient_id": 1, "amount": "12.50", "method": "Card" },
    })
}

/// One row, whoever asks.
fn same(one: &Value, other: &Value) -> Result<()> {
    for field in ["keys", "at", "write", "request"] {
        let (one, other) = (one.get(field).context("no such field")?, other.get(field));
        ensure!(Some(one) == other, "{field} is {one} and {other:?}");
    }
    Ok(())
}

const SUBMITTED_AT_BOTH: u64 = 5;
