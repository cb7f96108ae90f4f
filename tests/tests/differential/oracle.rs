//! The installed Salt, asked by `tests/differential/oracle.py`.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use states::Value;

use super::folder;

/// The series that are installed, with their Python; says which is not.
pub fn installed() -> Vec<(&'static str, PathBuf)> {
    if std::env::var_os("TESTS_WITHOUT_SALT").is_some() {
        println!("SKIPPED asking the installed Salt: TESTS_WITHOUT_SALT is set");
        return Vec::new();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let peers = cache.unwrap_or_else(home).join("salt-peers");
    let mut found = Vec::new();
    for (series, version) in [("3006", "3006.28"), ("3008", "3008.3")] {
        let python = peers.join(format!("salt-{version}/bin/python"));
        if python.is_file() {
            found.push((series, python));
        } else {
            println!("SKIPPED asking Salt {series}: it is not installed in {}", peers.display());
        }
    }
    found
}

/// What Salt answers to each case.
pub fn ask(python: &PathBuf, cases: &[Value]) -> Vec<Value> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = states::json::dump(
        &Value::List(cases.to_vec()),
        &states::json::Layout { indent: None, sort_keys: false, ascii: true },
    );
    std::fs::write(file.path(), text).unwrap();
    let done = Command::new(python)
        .arg(folder().join("oracle.py"))
        .arg("answer")
        .arg(file.path())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(done.status.success(), "Salt's own run failed with {}", done.status);
    let answers = String::from_utf8(done.stdout).unwrap();
    answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
