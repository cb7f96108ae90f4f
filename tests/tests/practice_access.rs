//! A practice's access from end to end, without a master: the shipped Dolphin states applied by `agent call --local`, the
//! granted login tried by a client that is not ours (pymssql over FreeTDS), the report, and the script that ends it.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails it by panicking")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tests::{binaries::binary, ehr::EhrSim, scratch::Scratch, skip::skipped, source::Source};

/// An agent's folder, its pillar and the simulator.
struct Practice {
    sim: EhrSim,
    folder: Scratch,
}

impl Practice {
    fn open(dolphin: &Value) -> Self {
        let practice = Self { sim: EhrSim::serve("dolphin", 300).unwrap(), folder: Scratch::new().unwrap() };
        let options = json!({ "root_dir": practice.folder.path(), "id": "practice", "file_client": "local" });
        fs::write(practice.folder.join("minion"), options.to_string()).unwrap();
        fs::create_dir(practice.folder.join("pillar")).unwrap();
        fs::write(practice.folder.join("pillar/top.sls"), "base: {'*': [dolphin]}").unwrap();
        practice.pillar(dolphin);
        practice
    }

    /// Writes the pillar anew.
    fn pillar(&self, dolphin: &Value) {
        let pillar = json!({
            "mssql.server": "127.0.0.1", "mssql.port": self.sim.port, "mssql.user": "sa",
            "mssql.password": EhrSim::SA_PASSWORD, "mssql.trust_server_certificate": true, "dolphin": dolphin,
        });
        fs::write(self.folder.join("pillar/dolphin.sls"), pillar.to_string()).unwrap();
    }

    fn agent(&self, args: &[&str]) -> String {
        let mut command = Command::new(binary("agent").unwrap());
        let output = command.arg("-c").arg(self.folder.path()).args(args).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}: {err}{out}");
        out.into_owned()
    }

    /// Applies the shipped tree; everything must hold. Gives how many states changed something.
    fn apply(&self) -> usize {
        let tree = concat!(env!("CARGO_MANIFEST_DIR"), "/../states/tree");
        let pillar = self.folder.join("pillar").display().to_string();
        let returned = self.agent(&[
            "call",
            "--local",
            "--file-root",
            tree,
            "--pillar-root",
            &pillar,
            "--out",
            "json",
            "state.apply",
            "dolphin",
        ]);
        let returned: Value = serde_json::from_str(&returned).unwrap();
        let chunks = returned["local"].as_object().unwrap();
        assert!(chunks.values().all(|chunk| chunk["result"] == true), "{returned}");
        assert!(!returned.to_string().contains("Sync-only"), "a password is in the return");
        chunks.values().filter(|chunk| chunk["changes"] != json!({})).count()
    }

    fn report(&self) -> Value {
        serde_json::from_str(&self.agent(&["access", "report", "--json"])).unwrap()
    }

    /// The error number that a foreign client gets for a statement as this login, 0 for none.
    fn foreign(&self, (login, password): (&str, &str), statement: &str) -> Option<u64> {
        let python = directories::BaseDirs::new()?.cache_dir().join("salt-peers/tds-clients/bin/python");
        if !python.exists() {
            return None;
        }
        let script: PathBuf = [env!("CARGO_MANIFEST_DIR"), "ehr-sim/tests/clients/query.py"].iter().collect();
        let input = self.folder.join("statements");
        fs::write(&input, format!("{}\n", Value::from(statement))).unwrap();
        let mut command = Command::new(python);
        command.arg(script).args(["pymssql", &self.sim.port.to_string(), login, "Main_OMS", "on"]);
        command.env("TDS_PASSWORD", password).env("TDS_PLAIN", "1").stdin(fs::File::open(&input).unwrap());
        let output = command.output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if answer["results"].is_array() {
            return Some(0);
        }
        let refusal = String::from_utf8_lossy(&output.stderr).into_owned();
        let number = answer["error"][0].as_u64();
        Some(number.unwrap_or_else(|| login_refusal(&refusal)))
    }
}

/// The number in the client's own words about a login that failed.
fn login_refusal(text: &str) -> u64 {
    [18456, 18470, 4060].into_iter().find(|number| text.contains(&number.to_string())).unwrap_or(1)
}

const READS: &str = "SELECT AppointmentID, StartTime, RowVer FROM dbo.Appointment";
const FIRST: (&str, &str) = ("nexhealth_sync", "Sync-only-1");

fn settings(password: &str, more: &Value) -> Value {
    let mut settings = json!({ "password": password, "allow_plain": true });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

#[test]
fn a_practice_agrees_to_access_looks_at_it_and_ends_it() {
    let practice = Practice::open(&settings(FIRST.1, &json!({})));
    assert!(practice.apply() >= 5);
    assert_eq!(practice.apply(), 0, "a second run changes nothing");

    let Some(0) = practice.foreign(FIRST, READS) else {
        skipped("the granted login as pymssql sees it", "tests/setup-tds-clients was not run").unwrap();
        return;
    };
    for (statement, number) in [
        ("SELECT COUNT(*) FROM dbo.Legacy", 229),
        ("UPDATE dbo.Appointment SET Status = 1", 229),
        ("DELETE FROM dbo.Patient", 229),
        ("CREATE TABLE dbo.Theirs (a int)", 262),
        ("GRANT SELECT ON dbo.Appointment TO public", 15151),
    ] {
        assert_eq!(practice.foreign(FIRST, statement), Some(number), "{statement}");
    }

    let report = practice.report();
    let access = &report["accesses"][0];
    assert_eq!((&access["login"], &access["agreed"]), (&json!("nexhealth_sync"), &json!("derived")));
    assert_eq!((&access["excess"], &access["missing"]), (&json!([]), &json!([])), "{report}");
    assert!(access["tables"].to_string().contains("main_oms.Appointment"), "{report}");
    assert!(practice.agent(&["access", "report"]).contains("In excess"));
    let page = practice.folder.join("access.html");
    practice.agent(&["access", "report", "--html", "--output", &page.display().to_string()]);
    assert!(fs::read_to_string(page).unwrap().contains("<h2>nexhealth_sync <span>in Main_OMS</span></h2>"));

    practice.pillar(&settings(FIRST.1, &json!({ "access": "full" })));
    assert_eq!(practice.apply(), 1, "one word of the pillar");
    assert_eq!(practice.foreign(FIRST, "CREATE TABLE dbo.Theirs (a int)"), Some(0));
    assert!(practice.report()["accesses"][0]["excess"].to_string().contains("db_owner"));

    practice.pillar(&settings("Sync-only-2", &json!({ "rotation": 1 })));
    assert!(practice.apply() > 3);
    let second = ("nexhealth_sync_b", "Sync-only-2");
    assert_eq!(practice.foreign(second, READS), Some(0));
    assert_eq!(practice.foreign(second, "CREATE TABLE dbo.More (a int)"), Some(262), "derived again");
    assert_eq!(practice.foreign(FIRST, READS), Some(18470), "the former login is disabled");
    assert_eq!(practice.apply(), 0);

    let script = practice.report()["accesses"].as_array().unwrap().iter().find_map(|access| {
        (access["login"] == second.0).then(|| access["revoke_script"].as_str().unwrap_or_default().to_owned())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut source = Source::connect(practice.sim.port, EhrSim::SA_PASSWORD).await.unwrap();
        source.execute(&script.unwrap()).await.unwrap();
    });
    assert_eq!(practice.foreign(second, READS), Some(18456), "nothing is left");
    assert!(practice.agent(&["access", "report"]).contains("does not work"));
}
