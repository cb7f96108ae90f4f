//! The ready-made writes of `states/tree`, applied to the synthetic EHRs and submitted once each.

use std::sync::Arc;

use agent::channel::LocalLink;
use agent::config::Config;
use agent::modules::CallContext;
use agent::services::Services;
use agent::store::Store;
use agent::tasks::Tasks;
use states::{Map, Value};
use tests::binaries::workspace_root;
use tests::ehr::EhrSim;

use crate::practice::map;

/// An agent without a master beside a simulated EHR.
struct Site {
    services: Arc<Services>,
    _folder: tempfile::TempDir,
    _sim: EhrSim,
}

impl Site {
    async fn open(ehr: &str) -> Self {
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
        Self { services, _folder: folder, _sim: sim }
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

    async fn lands(&self, write: &str, request: &str, params: &str) -> Value {
        self.submit(write, request, params, "landed").await
    }
}

fn read(outcome: &Value, column: &str) -> String {
    let row = outcome.get("read_back").and_then(Value::as_list).and_then(|rows| rows.first());
    row.and_then(|row| row.get(column)).map(ToString::to_string).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_writes_of_dolphin_land_with_the_rights_of_the_tree() {
    let site = Site::open("dolphin").await;
    site.apply("dolphin").await;
    let slot = "provider_id: 3, chair: 9, starts: '2027-01-04T09:00:00'";
    let booked = site.lands("dolphin.book_appointment", "b1", &format!("{{patient_id: 1, {slot}}}")).await;
    let taken = format!("{{patient_id: 1, minutes: 60, {slot}}}");
    site.submit("dolphin.book_appointment", "b2", &taken, "precondition_failed").await;
    let (id, rowver) = (read(&booked, "AppointmentID"), read(&booked, "RowVer"));
    let moving = |rowver: &str| {
        format!(
            "{{appointment_id: {id}, starts: '2027-01-04T10:00:00', minutes: 45, chair: 9, rowver: '{rowver}'}}"
        )
    };
    let moved = site.lands("dolphin.move_appointment", "m1", &moving(&rowver)).await;
    assert_ne!(read(&moved, "RowVer"), rowver);
    site.submit("dolphin.move_appointment", "m2", &moving(&rowver), "conflict").await;
    let which = format!("{{appointment_id: {id}}}");
    site.lands("dolphin.confirm_appointment", "c1", &which).await;
    site.submit("dolphin.confirm_appointment", "c2", &which, "precondition_failed").await;
    site.submit("dolphin.confirm_appointment", "c1", &which, "already_landed").await;
    site.lands("dolphin.record_payment", "p1", "{patient_id: 1, amount: '12.5', method: Card}").await;
    let unknown = "{patient_id: 999999, amount: 1, method: Cash}";
    let foreign = site.submit("dolphin.record_payment", "p2", unknown, "constraint").await;
    assert_eq!(foreign.get("names"), Some(&Value::List(vec!["FK_Payment_Patient".into()])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_writes_of_dentrix_enterprise_and_orthotrac_land_with_the_rights_of_the_tree() {
    let dentrix = Site::open("dentrix-enterprise").await;
    dentrix.apply("dentrix_enterprise").await;
    let day = "provider: 2, day: '2027-01-04', hour: 9, minute: 30, minutes: 60, reason: Crown";
    let params = format!("{{patient: 1, {day}}}");
    let booked = dentrix.lands("dentrix_enterprise.book_appointment", "b1", &params).await;
    assert_eq!(read(&booked, "APPTID"), "301", "the next number after 300 rows");
    dentrix.submit("dentrix_enterprise.book_appointment", "b2", &params, "precondition_failed").await;
    let late = "{appointment: 301, status: 2, last_mod: '2020-01-01'}";
    dentrix.submit("dentrix_enterprise.set_status", "s1", late, "precondition_failed").await;

    let ortho = Site::open("orthotrac").await;
    ortho.apply("orthotrac").await;
    let wrong = "{visit: 1, patient: P000000001, from: none, to: 018 SS}";
    ortho.submit("orthotrac.change_archwire", "a1", wrong, "precondition_failed").await;
    let dry = ortho
        .call(
            "mssql_write.submit",
            &["orthotrac.change_archwire"],
            &format!("{{request: a2, params: {wrong}, test: true}}"),
        )
        .await;
    assert_eq!(dry.get("would"), Some(&Value::from("precondition_failed")), "{dry:?}");
}
