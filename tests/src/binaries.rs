//! Where our own programs are: built once a process, with the cargo that runs the tests.
//!
//! Cargo gives `CARGO_BIN_EXE_*` only for a package's own programs, so the others' are asked of `cargo build` itself, which
//! is quick when they are up to date and never leaves a stale one.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// Which optimisation our programs are built with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// What tests use.
    Dev,
    /// What benchmarks use.
    Release,
}

/// The path of one of our programs (`agent`, `master-sim`, `ehr-sim`) in the dev profile.
///
/// # Errors
/// When it does not build.
pub fn binary(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<HashMap<String, PathBuf>, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build(Profile::Dev).map_err(|error| format!("{error:#}")));
    let found = built.as_ref().map_err(|error| anyhow!("{error}"))?;
    found.get(name).cloned().ok_or_else(|| anyhow!("the workspace has no program {name:?}"))
}

/// Builds every program of the workspace and tells where each is.
///
/// # Errors
/// When cargo cannot be run or the build fails.
pub fn build(profile: Profile) -> Result<HashMap<String, PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_this_test(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command.args(["build", "--quiet", "--workspace", "--bins", "--message-format=json-render-diagnostics"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    let output = command
        .current_dir(workspace_root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo build")?;
    if !output.status.success() {
        bail!("cargo build of the workspace's programs failed");
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(executable).collect())
}

/// The folder of the workspace.
#[must_use]
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

/// What cargo tells a running test about itself; build scripts of dependencies would take it for a change and run again.
fn is_of_this_test(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"]
        .iter()
        .any(|own| variable.starts_with(own))
        || matches!(variable, "LD_LIBRARY_PATH" | "OUT_DIR")
}

fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let path = message.get("executable")?.as_str()?;
    let name = message.pointer("/target/name")?.as_str()?;
    Some((name.to_owned(), PathBuf::from(path)))
}
