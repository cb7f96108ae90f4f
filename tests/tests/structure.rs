//! The shape of the house: which package may know which, what is pure, what lies at the root, how long a file may be.
//!
//! DESIGN gives the arrows, STYLE the limits. What cargo knows is read from `cargo metadata`; the rest from the files.

#![expect(clippy::unwrap_used, reason = "every line of this file is a test")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tests::binaries::workspace_root;

/// The siblings each package may depend on.
const ARROWS: [(&str, &[&str]); 7] = [
    ("proto", &[]),
    ("rows", &[]),
    ("states", &[]),
    ("ehr-sim", &[]),
    ("agent", &["proto", "rows", "states"]),
    ("master-sim", &["proto", "states"]),
    ("tests", &["agent", "ehr-sim", "master-sim", "proto", "states"]),
];

/// What a pure package may not depend on outside its own tests.
const NOT_PURE: [&str; 6] = ["tokio", "tokio-util", "zeromq", "reqwest", "rusqlite", "sysinfo"];

/// What a pure package's source may not say outside its own tests.
const NOT_PURE_WORDS: [&str; 7] =
    ["TcpStream", "UdpSocket", "std::fs::", "fs::File", "SystemTime::now", "Instant::now", "Utc::now"];

/// What lies at the root, dotfiles for tools apart.
const ROOT: [&str; 12] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "agent",
    "master-sim",
    "proto",
    "rows",
    "states",
    "tests",
    ".ci",
];

const LONGEST_FILE: usize = 600;

#[test]
fn arrows_point_one_way() {
    let siblings: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in ARROWS {
        let known: Vec<String> =
            dependencies(name).into_iter().filter(|found| siblings.contains(found.as_str())).collect();
        let wrong: Vec<&String> = known.iter().filter(|found| !allowed.contains(&found.as_str())).collect();
        assert!(wrong.is_empty(), "{name} must not depend on {wrong:?}");
    }
    let members: BTreeSet<String> = packages().iter().map(|package| text(package, "name")).collect();
    assert_eq!(members, siblings.into_iter().map(str::to_owned).collect(), "a new package needs its arrows");
}

#[test]
fn proto_rows_and_states_are_pure() {
    for name in ["proto", "rows", "states"] {
        let found = dependencies(name);
        let wrong: Vec<&&str> = NOT_PURE.iter().filter(|banned| found.contains(**banned)).collect();
        assert!(wrong.is_empty(), "{name} must not depend on {wrong:?}");
        for file in rust_files(&workspace_root().join(name).join("src")) {
            let source = fs::read_to_string(&file).unwrap();
            if is_test_file(&file) || source.contains("#![cfg(test)]") {
                continue;
            }
            let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for word in NOT_PURE_WORDS {
                assert!(!source.contains(word), "{} says {word}", file.display());
            }
        }
    }
}

#[test]
fn the_root_holds_what_is_listed() {
    let listed = Command::new("git").args(["ls-files"]).current_dir(workspace_root()).output();
    let Ok(listed) = listed else { return };
    for path in String::from_utf8_lossy(&listed.stdout).lines() {
        let first = path.split('/').next().unwrap_or_default();
        assert!(ROOT.contains(&first) || first.starts_with('.'), "{first} does not belong at the root");
    }
}

#[test]
fn files_say_what_they_own_and_stay_short() {
    for name in ["agent", "master-sim", "proto", "rows", "states", "tests"] {
        for file in rust_files(&workspace_root().join(name)) {
            let source = fs::read_to_string(&file).unwrap();
            let lines = source.lines().count();
            assert!(lines <= LONGEST_FILE, "{} has {lines} lines", file.display());
            assert!(
                source.starts_with("//!") || is_test_file(&file),
                "{} does not open with //!",
                file.display()
            );
        }
    }
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(workspace_root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Normal and build dependencies of a member; its own tests may use more.
fn dependencies(name: &str) -> BTreeSet<String> {
    let packages = packages();
    let package = packages.iter().find(|package| package["name"] == name).unwrap();
    let all = package["dependencies"].as_array().unwrap();
    all.iter().filter(|entry| entry["kind"] != "dev").map(|entry| text(entry, "name")).collect()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}

fn is_test_file(path: &Path) -> bool {
    path.ends_with("tests.rs")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            if !path.ends_with("target") {
                found.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
