//! The ready-made writes of `states/tree`, applied to the synthetic EHRs as they are shipped: each is asked what it would do,
//! lands, is told to have landed when it comes again, and says what forbids it.

use std::sync::Arc;

use agent::channel::LocalLink;
use agent::config::Config;
use agent::modules::CallContext;
use agent::mssql::{ConnectionOptions, Session};
use agent::services::Services;
use agent::store::{Secret, Store};
use agent::tasks::Tasks;
use states::{Map, Value};
use tests::binaries::workspace_root;
use tests::ehr::EhrSim;

use crate::practice::map;

/// An agent without a master beside a simulated EHR.
struct Site {
    services: Arc<Services>,
    _folder: tempfile::TempDir,
    sim: EhrSim,
    database: &'static str,
}

/// A ready-made write with parameters that land, and others with the word that forbids each.
struct Case<'a> {
    write: &'a str,
    lands: String,
    forbidden: &'a [(String, &'a str)],
}

impl Site {
    async fn open(ehr: &str, database: &'static str) -> Self {
        let sim = EhrSim::serve(ehr, 300).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut opts = Map::new();
        opts.insert("id", "site");
        opts.insert("file_client", "local");
        opts.insert("root_dir", folder.path().to_string_lossy().into_owned());
        let tree = workspace_root().join("states/tree").display().to_string();
        opts.insert("file_roots", Value::Map(map(&format!("{{base: ['{tree}']}}"))));
        for (name, value) in [
            ("server", Value::from("127.0.0.1")),
            ("port", i64::from(sim.port).into()),
            ("user", "sa".into()),
            ("password", EhrSim::SA_PASSWORD.into()),
            ("trust_server_certificate", true.into()),
        ] {
            opts.insert(format!("mssql.{name}"), value);
        }
        let key = age::x25519::Identity::generate().to_public();
        opts.insert("agent", Value::Map(map(&format!("{{sync: {{recipients: [{key}]}}}}"))));
        let config = Arc::new(Config::from_options(folder.path(), opts).unwrap());
        let store = Arc::new(Store::open(&config.data_dir.join("store.sqlite")).unwrap());
        let services = Services::new(config, Arc::new(LocalLink), store, Tasks::new());
        services.refresh_grains().await;
        Self { services, _folder: folder, sim, database }
    }

    async fn call(&self, fun: &str, args: &[&str], keywords: &str) -> Value {
        let context = CallContext::new(Arc::clone(&self.services), self.services.tasks.token());
        let positional = args.iter().map(|arg| Value::from(*arg)).collect();
        self.services.modules.call(fun, positional, map(keywords), &context).await.unwrap()
    }

    /// Applies the profile's writes twice; the second run has nothing to do.
    async fn apply(&self, profile: &str) {
        let keywords = format!("{{pillar: {{{profile}: {{write_password: Write-only-1}}}}}}");
        let sls = format!("{profile}.writes");
        for run in 0..2 {
            let done = self.call("state.apply", &[&sls], &keywords).await;
            let chunks = done.as_map().unwrap_or_else(|| panic!("{sls}: {done:?}"));
            for (name, chunk) in chunks.iter() {
                let said = chunk.get("comment").map(ToString::to_string).unwrap_or_default();
                assert_eq!(chunk.get("result"), Some(&Value::from(true)), "{name}: {said}");
                let changes = chunk.get("changes").and_then(Value::as_map).is_some_and(|map| !map.is_empty());
                assert!(run == 0 || !changes, "{name} changes again: {said}");
            }
        }
    }

    /// Submits and gives the outcome, which must be `expected`.
    async fn submit(&self, write: &str, request: &str, params: &str, expected: &str) -> Value {
        let keywords = format!("{{request: {request}, params: {params}}}");
        let outcome = self.call("mssql_write.submit", &[write], &keywords).await;
        assert_eq!(outcome.get("outcome"), Some(&Value::from(expected)), "{write}: {outcome:?}");
        outcome
    }

    /// What `test=True` says would become of it, which must be `expected`; it touches no row.
    async fn would(&self, write: &str, request: &str, params: &str, expected: &str) -> Value {
        let before = self.changes().await;
        let keywords = format!("{{request: {request}, params: {params}, test: true}}");
        let preview = self.call("mssql_write.submit", &[write], &keywords).await;
        assert_eq!(preview.get("would"), Some(&Value::from(expected)), "{write}: {preview:?}");
        assert_eq!(self.changes().await, before, "{write}: test=True touched a row");
        preview
    }

    /// The whole life of one write; gives the landed outcome.
    async fn hold(&self, case: &Case<'_>) -> Value {
        let Case { write, lands, forbidden } = case;
        let name = write.replace('.', "-");
        let preview = self.would(write, &format!("{name}-test"), lands, "landed").await;
        let steps = preview.get("steps").and_then(Value::as_list).unwrap();
        let changing = steps.iter().filter_map(|step| step.get("sql").and_then(Value::as_str));
        let changing =
            changing.filter(|sql| sql.contains("UPDATE [") || sql.contains("INSERT INTO [")).count();
        assert!(changing > 0, "{write}: {preview:?}");

        let landed = self.submit(write, &name, lands, "landed").await;
        let again = self.submit(write, &name, lands, "already_landed").await;
        for told in ["keys", "read_back", "sealed", "at"] {
            assert_eq!(again.get(told), landed.get(told), "{write}: another {told}");
        }
        for (number, (params, word)) in forbidden.iter().enumerate() {
            let request = format!("{name}-{number}");
            // A constraint is SQL Server's to tell, when it is written.
            if *word != "constraint" {
                self.would(write, &request, params, word).await;
            }
            let refused = self.submit(write, &request, params, word).await;
            assert!(refused.get("reason").and_then(Value::as_str).is_some_and(|reason| !reason.is_empty()));
        }
        landed
    }

    /// Counts what is written in EHR and ledger: rows of either, and row versions.
    async fn changes(&self) -> String {
        let ledger = "(SELECT COUNT(*) FROM nexhealth_agent.dbo.write_ledger)";
        self.text(&format!("SELECT CONVERT(varchar(40), @@DBTS, 1) + '/' + CONVERT(varchar(12), {ledger})"))
            .await
    }

    /// The text that a SELECT of `sa` gives.
    async fn text(&self, sql: &str) -> String {
        let lookup = |name: &str| match name {
            "server" => Some(format!("127.0.0.1,{}", self.sim.port)),
            "trust_server_certificate" => Some("true".to_owned()),
            _ => None,
        };
        let options = ConnectionOptions::read(lookup).unwrap();
        let options = options.with_login("sa", Secret::new(EhrSim::SA_PASSWORD)).with_database(self.database);
        let rows = Session::connect(&options).await.unwrap().batch(sql).await.unwrap().remove(0);
        rows[0].get::<&str, _>(0).unwrap_or_default().to_owned()
    }
}

fn read(outcome: &Value, column: &str) -> String {
    let row = outcome.get("read_back").and_then(Value::as_list).and_then(|rows| rows.first());
    row.and_then(|row| row.get(column)).map(ToString::to_string).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_writes_of_dolphin_land_with_the_rights_of_the_tree() {
    let site = Site::open("dolphin", "Main_OMS").await;
    site.apply("dolphin").await;
    let slot = "provider_id: 3, chair: 9, starts: '2027-01-04T09:00:00'";
    let nobody = "{patient_id: 999999, provider_id: 3, chair: 8, starts: '2027-01-04T09:00:00'}".to_owned();
    let active =
        site.text("SELECT CONVERT(varchar(12), MIN(PatientID)) FROM dbo.Patient WHERE Active = 1").await;
    let booked = site
        .hold(&Case {
            write: "dolphin.book_appointment",
            lands: format!("{{patient_id: {active}, {slot}, reason: Checkup, note: bring X-rays}}"),
            forbidden: &[
                (format!("{{patient_id: {active}, minutes: 60, {slot}}}"), "precondition_failed"),
                (nobody, "precondition_failed"),
            ],
        })
        .await;
    let (id, rowver) = (read(&booked, "AppointmentID"), read(&booked, "RowVer"));
    let other = format!("{{patient_id: {active}, provider_id: 3, chair: 9, starts: '2027-01-04T11:00:00'}}");
    site.submit("dolphin.book_appointment", "other", &other, "landed").await;

    let moving = |start: &str, rowver: &str| {
        format!("{{appointment_id: {id}, starts: '{start}', minutes: 45, chair: 9, rowver: '{rowver}'}}")
    };
    let moved = site
        .hold(&Case {
            write: "dolphin.move_appointment",
            lands: moving("2027-01-04T10:00:00", &rowver),
            forbidden: &[(moving("2027-01-04T12:00:00", &rowver), "conflict")],
        })
        .await;
    let newest = read(&moved, "RowVer");
    assert_ne!(newest, rowver);
    let taken = moving("2027-01-04T11:00:00", &newest);
    site.submit("dolphin.move_appointment", "taken", &taken, "precondition_failed").await;

    let which = format!("{{appointment_id: {id}}}");
    site.hold(&Case {
        write: "dolphin.confirm_appointment",
        lands: which.clone(),
        forbidden: &[(which, "precondition_failed")],
    })
    .await;

    let patient =
        "SELECT CONVERT(varchar(20), CONVERT(binary(8), RowVer), 1) FROM dbo.Patient WHERE PatientID = 1";
    let rowver = site.text(patient).await;
    let contact = |patient: u32, rowver: &str| {
        format!("{{patient_id: {patient}, email: zoe@example.invalid, phone: null, rowver: '{rowver}'}}")
    };
    site.hold(&Case {
        write: "dolphin.change_contact",
        lands: contact(1, &rowver),
        forbidden: &[(contact(1, &rowver), "conflict"), (contact(999_999, &rowver), "precondition_failed")],
    })
    .await;
    assert_eq!(site.text("SELECT Email FROM dbo.Patient WHERE PatientID = 1").await, "zoe@example.invalid");

    let unknown = "{patient_id: 999999, amount: 1, method: Cash}".to_owned();
    site.hold(&Case {
        write: "dolphin.record_payment",
        lands: "{patient_id: 1, amount: '12.5', method: Card}".to_owned(),
        forbidden: &[(unknown.clone(), "constraint")],
    })
    .await;
    let foreign = site.submit("dolphin.record_payment", "unknown", &unknown, "constraint").await;
    assert_eq!(foreign.get("names"), Some(&Value::List(vec!["FK_Payment_Patient".into()])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_writes_of_dentrix_enterprise_land_with_the_rights_of_the_tree() {
    let site = Site::open("dentrix-enterprise", "Dentrix").await;
    site.apply("dentrix_enterprise").await;
    let day = "provider: 2, day: '2027-01-04', hour: 9, minute: 30, minutes: 60, reason: Crown";
    let nobody =
        "{patient: 999999, provider: 2, day: '2027-01-05', hour: 9, minute: 30, minutes: 60, reason: Crown}";
    let booked = site
        .hold(&Case {
            write: "dentrix_enterprise.book_appointment",
            lands: format!("{{patient: 1, {day}}}"),
            forbidden: &[
                (format!("{{patient: 2, {day}}}"), "precondition_failed"),
                (nobody.to_owned(), "constraint"),
            ],
        })
        .await;
    assert_eq!(read(&booked, "APPTID"), "301", "the next number after 300 rows");

    let known = "SELECT CONVERT(varchar(23), DDB_LAST_MOD, 126) FROM dbo.DDB_APPT_BASE WHERE APPTID = 301";
    let status = |status: u8, last_mod: &str| {
        format!("{{appointment: 301, status: {status}, last_mod: '{last_mod}'}}")
    };
    let known = site.text(known).await;
    let set = site
        .hold(&Case {
            write: "dentrix_enterprise.set_status",
            lands: status(2, &known),
            forbidden: &[
                (status(3, &known), "precondition_failed"),
                (status(3, "2020-01-01"), "precondition_failed"),
                ("{appointment: 999999, status: 3, last_mod: null}".to_owned(), "precondition_failed"),
            ],
        })
        .await;
    // What it answers guards the next change.
    let next = status(3, &read(&set, "DDB_LAST_MOD"));
    site.submit("dentrix_enterprise.set_status", "next", &next, "landed").await;
    let stored = "SELECT CONVERT(varchar(4), STATUS) FROM dbo.DDB_APPT_BASE WHERE APPTID = 301";
    assert_eq!(site.text(stored).await, "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_writes_of_orthotrac_land_with_the_rights_of_the_tree() {
    let site = Site::open("orthotrac", "OrthoTrac").await;
    site.apply("orthotrac").await;
    let (patient, wire) = (
        site.text("SELECT PatCode FROM dbo.Visit WHERE VisitNo = 1").await,
        site.text("SELECT Archwire FROM dbo.Visit WHERE VisitNo = 1").await,
    );
    let history = "SELECT CONVERT(varchar(12), COUNT(*)) FROM dbo.VisitHistory WHERE VisitNo = 1";
    let before: u32 = site.text(history).await.parse().unwrap();
    let change = |patient: &str, from: &str, to: &str| {
        format!("{{visit: 1, patient: {patient}, from: {from}, to: {to}, note: Próxima cita}}")
    };
    site.hold(&Case {
        write: "orthotrac.change_archwire",
        lands: change(&patient, &wire, "018 SS"),
        forbidden: &[
            (change(&patient, "none", "020 SS"), "precondition_failed"),
            (change("P999999999", "018 SS", "020 SS"), "precondition_failed"),
        ],
    })
    .await;
    assert_eq!(site.text("SELECT Archwire FROM dbo.Visit WHERE VisitNo = 1").await, "018 SS");
    assert_eq!(site.text(history).await.parse::<u32>().unwrap(), before + 1, "the former wire is kept once");
}
