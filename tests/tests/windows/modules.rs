//! What only Windows has, called on the machine itself: services under Wine's service manager, the registry, Defender.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::bundled_master::said;

use crate::{machine, wine::Wine};

#[test]
fn drives_the_services_of_the_machine() -> Result<()> {
    let Some((_turn, wine)) = machine()? else { return Ok(()) };
    let _holder = wine.hold()?;
    wine.configure(&json!({ "id": "win", "master": "127.0.0.1" }))?;
    let all = call(&wine, &["service.get_all"])?;
    let names: Vec<&str> = all.as_array().context("no list")?.iter().filter_map(Value::as_str).collect();
    ensure!(names.contains(&"Spooler") && names.is_sorted(), "{names:?}");
    // In any case, as Windows takes names.
    ensure!(call(&wine, &["service.available", "spooler"])? == true, "spooler is not there");
    ensure!(call(&wine, &["service.missing", "NoSuchService"])? == true, "NoSuchService is there");
    ensure!(call(&wine, &["service.status", "NoSuchService"])? == "Not Found", "NoSuchService has a status");
    let refused = wine.agent(&["call", "--local", "--out", "json", "service.start", "NoSuchService"])?;
    ensure!(said(&refused).contains("Failed To Open NoSuchService"), "{}", said(&refused));

    ensure!(call(&wine, &["service.enable", "Spooler"])? == true, "Spooler was not enabled");
    ensure!(call(&wine, &["service.start", "Spooler"])? == true, "Spooler did not start");
    ensure!(call(&wine, &["service.status", "Spooler"])? == true, "Spooler does not run");
    let info = call(&wine, &["service.info", "Spooler"])?;
    ensure!(info["Status"] == "Running" && info["StartType"] == "Auto", "{info:#}");
    ensure!(info["BinaryPath"].to_string().contains("spoolsv.exe"), "{info:#}");
    ensure!(call(&wine, &["service.restart", "Spooler"])? == true, "Spooler did not restart");
    let found = call(&wine, &["service.status", "spool*"])?;
    ensure!(found == json!({ "Spooler": true }), "{found}");
    converges_a_service(&wine)?;
    let told = call(&wine, &["service.modify", "Spooler", "display_name=Printing", "start_type=manual"])?;
    ensure!(told == json!({ "DisplayName": "Printing", "StartType": "Manual" }), "{told}");
    let names = call(&wine, &["service.get_service_name", "Printing"])?;
    ensure!(names == json!({ "Printing": "Spooler" }), "{names}");
    Ok(())
}

fn converges_a_service(wine: &Wine) -> Result<()> {
    let dead = "a:\n  service.dead:\n    - name: Spooler\n    - enable: False\n";
    let told = apply(wine, dead)?;
    ensure!(told["comment"] == "Service Spooler has been disabled, and is dead", "{told:#}");
    ensure!(told["changes"] == json!({ "Spooler": true }), "{told:#}");
    ensure!(
        apply(wine, dead)?["comment"] == "The service Spooler is already dead",
        "a second run changed it"
    );
    let running = "a:\n  service.running:\n    - name: Spooler\n";
    let told = apply(wine, running)?;
    ensure!(
        told["result"] == false && told["comment"].to_string().contains("Set enable to True"),
        "{told:#}"
    );
    let told = apply(wine, &format!("{running}    - enable: True\n"))?;
    ensure!(told["result"] == true && told["comment"] == "Started service Spooler", "{told:#}");
    Ok(())
}

#[test]
fn changes_the_registry_where_the_practice_allows_it() -> Result<()> {
    let Some((_turn, wine)) = machine()? else { return Ok(()) };
    let allowed = json!({ "writable_registry": ["HKCU\\SOFTWARE\\NexHealthTest"] });
    wine.configure(&json!({ "id": "win", "master": "127.0.0.1", "agent": allowed }))?;
    let present = "a:\n  reg.present:\n    - name: 'HKCU\\SOFTWARE\\NexHealthTest'\n    - vname: port\n    - vdata: 8080\n\
                   \x20   - vtype: REG_DWORD\n";
    let told = apply(&wine, present)?;
    ensure!(told["result"] == true, "{told:#}");
    ensure!(apply(&wine, present)?["changes"] == json!({}), "a second run changed it");
    let read = call(&wine, &["reg.read_value", "HKCU", "SOFTWARE\\NexHealthTest", "port"])?;
    ensure!(read["vdata"] == 8080, "{read}");
    ensure!(call(&wine, &["reg.broadcast_change"])?.is_boolean(), "no answer");
    let gone = apply(&wine, "a:\n  reg.key_absent:\n    - name: 'HKCU\\SOFTWARE\\NexHealthTest'\n")?;
    ensure!(gone["result"] == true, "{gone:#}");
    let refused = apply(&wine, &present.replace("NexHealthTest", "Elsewhere"))?;
    ensure!(refused["comment"].to_string().contains("writable_registry"), "{refused:#}");
    Ok(())
}

#[test]
fn says_that_a_machine_has_no_defender() -> Result<()> {
    let Some((_turn, wine)) = machine()? else { return Ok(()) };
    wine.configure(&json!({ "id": "win", "master": "127.0.0.1" }))?;
    let told = apply(&wine, "a:\n  win_defender.exclusion_present:\n    - name: 'C:\\NexHealth'\n")?;
    ensure!(told["result"] == true && told["changes"] == json!({}), "{told:#}");
    ensure!(told["comment"].to_string().contains("Defender is not on this machine"), "{told:#}");
    let refused = apply(&wine, "a:\n  user.present:\n    - name: bob\n")?;
    ensure!(refused["result"] == false, "{refused:#}");
    ensure!(
        refused["comment"].to_string().contains("this minion manages no users and groups"),
        "{refused:#}"
    );
    Ok(())
}

fn call(wine: &Wine, arguments: &[&str]) -> Result<Value> {
    let done = wine.agent(&[&["call", "--local", "--out", "json"], arguments].concat())?;
    let told: Value = serde_json::from_slice(&done.stdout)
        .with_context(|| format!("{arguments:?}: {}: {}", done.status, said(&done)))?;
    Ok(told["local"].clone())
}

/// The one state of `sls`, applied.
fn apply(wine: &Wine, sls: &str) -> Result<Value> {
    let roots = wine.disk("NexHealth/srv/salt");
    fs::create_dir_all::<&Path>(&roots)?;
    fs::write(roots.join("it.sls"), sls)?;
    let told = call(wine, &["state.apply", "it"])?;
    let states = told.as_object().with_context(|| format!("no state run: {told}"))?;
    states.values().next().cloned().context("no state")
}
