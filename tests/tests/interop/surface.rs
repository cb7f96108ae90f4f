//! What a minion does by itself, and what operators ask of it every day: schedule, mine, beacons, start events, files.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    ehr::EhrSim,
    minion::{Minion, Sut},
    salt::SaltMaster,
    wait::{PATIENCE, wait_for},
};

crate::each_series!(
    schedule_beacons_and_start_events_reach_the_master,
    schedules_survive_a_restart_and_are_changed_by_jobs,
    a_mine_is_filled_read_and_emptied,
    the_local_policy_says_how_to_allow_what_it_refuses,
    sql_server_is_watched_and_known_by_its_grains,
);

fn ask(master: &SaltMaster, id: &str, fun: &str, arg: Value, kwarg: Value) -> Result<Value> {
    let answer = master.cmd(id, fun, &arg, json!({ "kwarg": kwarg }))?;
    Ok(answer[id]["ret"].clone())
}

/// Waits for an event below `tag` that `wanted` accepts.
fn wait_for_event(master: &SaltMaster, tag: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    wait_for(&format!("an event {tag}"), PATIENCE, || {
        let events = master.events(tag);
        let last = events.last().map(ToString::to_string).unwrap_or_default();
        events.into_iter().find(|event| wanted(event)).ok_or(last)
    })
}

fn schedule_beacons_and_start_events_reach_the_master(master: &SaltMaster) -> Result<()> {
    let id = "surface-events";
    let options = json!({
        "start_event_grains": ["practice"],
        "schedule": { "often": { "function": "test.arg", "args": ["by itself"], "seconds": 2, "metadata": { "who": "tests" } } },
        "beacons": { "load": [{ "averages": { "1m": [-1.0, -0.5], "5m": [-1.0, -0.5], "15m": [-1.0, -0.5] } }, { "interval": 1 }] },
    });
    let minion = Minion::accepted(master, id, options)?;
    let start = wait_for_event(master, &format!("salt/minion/{id}/start"), |_| true)?;
    ensure!(start["data"]["grains"]["practice"] == "dolphin", "{start}");
    let scheduled = wait_for_event(master, "salt/job/", |event| event["data"]["schedule"] == "often")?;
    ensure!(scheduled["tag"].as_str().is_some_and(|tag| tag.ends_with(&format!("/ret/{id}"))), "{scheduled}");
    let data = &scheduled["data"];
    ensure!(data["return"]["args"] == json!(["by itself"]) && data["success"] == true, "{scheduled}");
    ensure!(data["metadata"]["who"] == "tests" && data["fun_args"][0] == "by itself", "{scheduled}");
    let beacon = wait_for_event(master, &format!("salt/beacon/{id}/load/"), |_| true)?;
    ensure!(beacon["data"]["1m"].is_number() && beacon["data"]["id"] == id, "{beacon}");
    let settings = json!([{ "percent": "0%" }, { "interval": 1 }]);
    let added = ask(master, id, "beacons.add", json!(["memusage", settings]), json!({}))?;
    ensure!(added == json!({ "comment": "Added beacon: memusage.", "result": true }), "{added}");
    wait_for_event(master, &format!("salt/beacon/{id}/memusage/"), |event| {
        event["data"]["memusage"].is_number()
    })?;
    let listed = ask(master, id, "beacons.list", json!([]), json!({ "return_yaml": false }))?;
    ensure!(listed["memusage"] == settings && listed["load"].is_array(), "{listed}");
    let off = ask(master, id, "beacons.disable_beacon", json!(["memusage"]), json!({}))?;
    ensure!(off["comment"] == "Disabled beacon memusage on minion." && off["result"] == true, "{off}");
    let twice = ask(master, id, "beacons.add", json!(["memusage", settings]), json!({}))?;
    ensure!(twice["comment"] == "Beacon memusage is already configured.", "{twice}");
    minion.finish()
}

fn schedules_survive_a_restart_and_are_changed_by_jobs(master: &SaltMaster) -> Result<()> {
    let id = "surface-schedule";
    let mut minion = Minion::accepted(master, id, json!({}))?;
    let job = json!({ "function": "test.ping", "seconds": 3600 });
    let added = ask(master, id, "schedule.add", json!(["kept"]), job.clone())?;
    ensure!(
        added
            == json!({ "comment": "Added job: kept to schedule.", "result": true, "changes": { "kept": "added" } }),
        "{added}"
    );
    let again = ask(master, id, "schedule.add", json!(["kept"]), job)?;
    ensure!(
        again["comment"] == "Job kept already exists in schedule." && again["result"] == false,
        "{again}"
    );
    let off = ask(master, id, "schedule.disable_job", json!(["kept"]), json!({}))?;
    ensure!(
        off["comment"] == "Disabled Job kept in schedule." && off["changes"]["kept"] == "disabled",
        "{off}"
    );
    let run = ask(master, id, "schedule.run_job", json!(["kept"]), json!({}))?;
    ensure!(run == json!({ "comment": "Job kept is disabled.", "result": true }), "{run}");
    ask(master, id, "schedule.enable_job", json!(["kept"]), json!({}))?;
    let run = ask(master, id, "schedule.run_job", json!(["kept"]), json!({}))?;
    ensure!(run == json!({ "comment": "Scheduling Job kept on minion.", "result": true }), "{run}");
    wait_for_event(master, "salt/job/", |event| {
        event["data"]["schedule"] == "kept" && event["data"]["id"] == id
    })?;
    let skip = ask(master, id, "schedule.skip_job", json!(["kept", "2030-01-01T00:00:00"]), json!({}))?;
    ensure!(skip["result"] == true && skip["comment"] == "Added Skip Job kept in schedule.", "{skip}");
    let wrong = ask(master, id, "schedule.postpone_job", json!(["kept", "soon", "later"]), json!({}))?;
    ensure!(wrong == json!({ "comment": "Date string could not be parsed.", "result": false }), "{wrong}");
    ask(master, id, "schedule.save", json!([]), json!({}))?;
    minion.kill();
    minion.launch()?;
    minion.wait_for_start(master, 2)?;
    minion.wait_for_ping(master)?;
    let listed = ask(master, id, "schedule.list", json!([]), json!({ "return_yaml": false }))?;
    ensure!(listed["kept"]["function"] == "test.ping" && listed["kept"]["seconds"] == 3600, "{listed}");
    let yaml = ask(master, id, "schedule.list", json!([]), json!({}))?;
    ensure!(yaml.as_str().is_some_and(|yaml| yaml.contains("    saved: true\n")), "{yaml}");
    let gone = ask(master, id, "schedule.delete", json!(["kept"]), json!({}))?;
    ensure!(gone["comment"] == "Deleted Job kept from schedule." && gone["result"] == true, "{gone}");
    let missing = ask(master, id, "schedule.delete", json!(["kept"]), json!({}))?;
    ensure!(missing["comment"] == "Job kept does not exist." && missing["result"] == false, "{missing}");
    minion.finish()
}

fn a_mine_is_filled_read_and_emptied(master: &SaltMaster) -> Result<()> {
    let id = "surface-mine";
    let options = json!({
        "mine_enabled": true,
        "mine_functions": {
            "test.ping": [],
            "practice": [{ "mine_function": "grains.get" }, "practice"],
            "secret": [{ "mine_function": "test.echo" }, "x", { "allow_tgt": "nobody" }],
        },
    });
    let minion = Minion::accepted(master, id, options)?;
    let get = |fun: &str| ask(master, id, "mine.get", json!([id, fun]), json!({}));
    wait_for("the mine's first results", PATIENCE, || {
        let held = get("practice").map_err(|error| format!("{error:#}"))?;
        if held[id] == "dolphin" { Ok(()) } else { Err(held.to_string()) }
    })?;
    ensure!(get("test.ping")?[id] == true, "{}", get("test.ping")?);
    ensure!(get("secret")? == json!({}), "only those that allow_tgt names may read: {}", get("secret")?);
    ensure!(
        ask(master, id, "mine.send", json!(["sent", "red"]), json!({ "mine_function": "test.echo" }))?
            == true,
        "mine.send"
    );
    ensure!(get("sent")?[id] == "red", "{}", get("sent")?);
    let valid = ask(master, id, "mine.valid", json!([]), json!({}))?;
    ensure!(
        valid["practice"] == json!({ "grains.get": ["practice"] }) || valid["practice"].is_object(),
        "{valid}"
    );
    ensure!(ask(master, id, "mine.delete", json!(["sent"]), json!({}))? == true, "mine.delete");
    ensure!(get("sent")? == json!({}), "{}", get("sent")?);
    ensure!(ask(master, id, "mine.flush", json!([]), json!({}))? == true, "mine.flush");
    ensure!(get("practice")? == json!({}), "{}", get("practice")?);
    ensure!(ask(master, id, "mine.update", json!([]), json!({}))? == true, "mine.update");
    ensure!(get("practice")?[id] == "dolphin", "{}", get("practice")?);
    minion.finish()
}

fn the_local_policy_says_how_to_allow_what_it_refuses(master: &SaltMaster) -> Result<()> {
    let id = "surface-policy";
    if Sut::chosen(master.series) == Sut::Agent {
        fs::create_dir_all(master.path("srv/_modules"))?;
        fs::write(master.path("srv/_modules/of_the_policy_case.py"), "def f():\n    return True\n")?;
    }
    let minion = Minion::accepted(master, id, json!({}))?;
    let inside = minion.path("written.txt");
    let wrote = ask(master, id, "file.write", json!([inside, "a", "b"]), json!({}))?;
    ensure!(wrote == format!("Wrote 2 lines to \"{}\"", inside.display()), "{wrote}");
    ensure!(fs::read_to_string(&inside).context("the written file")? == "a\nb\n", "not what was written");
    ensure!(ask(master, id, "file.stats", json!([inside]), json!({}))?["type"] == "file", "file.stats");
    ensure!(
        ask(master, id, "file.find", json!([minion.path("")]), json!({ "name": "written.*" }))?[0]
            .is_string(),
        "file.find"
    );
    ensure!(ask(master, id, "environ.setval", json!(["SURFACE", "1"]), json!({}))? == "1", "environ.setval");
    ensure!(ask(master, id, "status.uptime", json!([]), json!({}))?["seconds"].is_number(), "status.uptime");
    ensure!(
        ask(master, id, "match.compound", json!(["G@practice:dolphin and not nobody"]), json!({}))? == true,
        "match"
    );
    ensure!(ask(master, id, "data.update", json!(["colour", "red"]), json!({}))? == true, "data.update");
    let aimed = master.cmd("colour:r*", "test.ping", &json!([]), json!({ "tgt_type": "data", "timeout": 5 }));
    if let Ok(aimed) = aimed {
        ensure!(aimed == json!({}) || aimed[id]["ret"] == true, "{aimed}");
    }
    if minion.sut == Sut::Agent {
        let refused = |fun: &str, arg: Value, option: &str| -> Result<()> {
            let answer = master.cmd(id, fun, &arg, json!({}))?;
            let said = answer[id]["ret"].as_str().unwrap_or_default();
            ensure!(
                said.starts_with("ERROR: ") && said.contains(option) && answer[id]["retcode"] == 1,
                "{fun}: {answer}"
            );
            Ok(())
        };
        refused("cmd.run", json!(["id"]), "`agent: allow_commands: true`")?;
        refused("file.write", json!(["/tmp/of-the-policy-case", "x"]), "`agent: writable_paths:`")?;
        refused("file.read", json!(["/etc/passwd"]), "`agent: readable_paths:`")?;
        refused("file.remove", json!([minion.path("pki")]), "`agent: writable_paths:`")?;
        // The master's list of files is some seconds old.
        wait_for("saltutil.sync_modules to be refused", PATIENCE, || {
            refused("saltutil.sync_modules", json!([]), "`agent: allow_code_sync: true`")
                .map_err(|error| format!("{error:#}"))
        })?;
        let other = ask(master, id, "saltutil.sync_grains", json!([]), json!({}))?;
        fs::remove_file(master.path("srv/_modules/of_the_policy_case.py"))?;
        ensure!(other == json!([]), "{other}");
    }
    minion.finish()
}

fn sql_server_is_watched_and_known_by_its_grains(master: &SaltMaster) -> Result<()> {
    let id = "surface-sql";
    if Sut::chosen(master.series) != Sut::Agent {
        return Ok(());
    }
    let sim = EhrSim::serve("dolphin", 10)?;
    let options = json!({
        "mssql.server": "127.0.0.1", "mssql.port": sim.port, "mssql.user": "sa",
        "mssql.password": EhrSim::SA_PASSWORD, "mssql.trust_server_certificate": true,
        "beacons": { "mssql": [{ "interval": 1 }, { "onchangeonly": true }] },
    });
    let minion = Minion::accepted(master, id, options)?;
    let tag = format!("salt/beacon/{id}/mssql/");
    let up = wait_for_event(master, &tag, |event| event["data"]["reachable"] == true)?;
    ensure!(up["data"]["milliseconds"].is_number() && up["data"]["error"].is_null(), "{up}");
    wait_for("the master to know the EHR by its grain", PATIENCE, || {
        let aimed = master
            .cmd(
                "G@ehr:dolphin and G@sql_server:edition:Express*",
                "test.ping",
                &json!([]),
                json!({ "tgt_type": "compound", "timeout": 5 }),
            )
            .map_err(|error| format!("{error:#}"))?;
        if aimed[id]["ret"] == true { Ok(()) } else { Err(aimed.to_string()) }
    })?;
    drop(sim);
    let down = wait_for_event(master, &tag, |event| event["data"]["reachable"] == false)?;
    ensure!(down["data"]["error"].is_string() && !down.to_string().contains(EhrSim::SA_PASSWORD), "{down}");
    ensure!(
        ask(master, id, "grains.get", json!(["ehr"]), json!({}))? == json!(["dolphin"]),
        "the grains of a server that is away stay"
    );
    minion.finish()
}
