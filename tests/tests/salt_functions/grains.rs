//! Grains: Salt's names, kinds and, where the machine fixes them, values.

use serde_json::{Value, json};

use super::{Call, Side, runtime, with_salt};

/// Grains of Salt that the agent does not have, by the reason.
const LEFT_OUT: &[(&str, &[&str])] = &[
    (
        "they describe the Python runtime",
        &["pythonexecutable", "pythonpath", "pythonversion", "zmqversion", "ca_truststore"],
    ),
    (
        "they need a tool that the agent does not run",
        &[
            "package",
            "fibre_channel_host",
            "iscsi_iqn",
            "zfs_support",
            "zfs_feature_flags",
            "gpus",
            "num_gpus",
        ],
    ),
];

/// Grains whose value is the process' or the moment's own.
const OWN: &[&str] = &["pid", "cwd", "saltpath", "path", "systempath", "locale_info", "mem_total"];

#[test]
fn are_salts() {
    with_salt("grains beside Salt's", |series| {
        let side = Side::new()?;
        let calls = [Call::new("grains.items", json!([]), json!({}))];
        let theirs = side.salt(series, &calls)?.remove(0);
        let own = runtime().block_on(side.agent(&calls))?.remove(0);
        let (theirs, own) = (&theirs["ret"], &own["ret"]);
        let mut wrong = Vec::new();
        for (name, value) in theirs.as_object().into_iter().flatten() {
            if LEFT_OUT.iter().any(|(_, names)| names.contains(&name.as_str())) {
                continue;
            }
            let Some(ours) = own.get(name) else {
                wrong.push(format!("{name} is missing; Salt has {value}"));
                continue;
            };
            let equal = if OWN.contains(&name.as_str()) {
                kind(ours) == kind(value)
            } else {
                sorted(ours) == sorted(value)
            };
            if !equal {
                wrong.push(format!("{name}: ours {ours}, Salt's {value}"));
            }
        }
        anyhow::ensure!(wrong.is_empty(), "{} grains differ:\n{}", wrong.len(), wrong.join("\n"));
        anyhow::ensure!(own["agent"]["version"].is_string(), "the agent's own grain is missing");
        Ok(())
    });
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "truth",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}

/// Lists whose order means nothing (addresses of an interface) in one order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_key(ToString::to_string);
            items.into()
        }
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
