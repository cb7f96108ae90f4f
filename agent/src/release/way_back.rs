//! Whether the running version could go on after a trial: asked of the version on disk, before the switch.
//!
//! A version on trial works on the practice's own store, so that what it read, delivered and ran counts whoever is confirmed.
//! That holds only when both can read it: the version must be able to work on the store as it stands, and this process on what
//! the version leaves. The version itself says what it does, by `agent release format`; one that does not answer would not
//! have run either.
//!
//! Rejected: a copy of the store for the trial, put back when it fails. It would forget what the trial delivered, so rows would
//! come twice and jobs run twice.

use std::{path::PathBuf, process::Stdio, time::Duration};

use semver::Version;
use serde::Deserialize;
use thiserror::Error;
use tokio::{io::AsyncReadExt as _, process::Command};

use super::layout::Layout;
use crate::store::{
    Store, StoreError,
    format::{Format, Held, Refusal},
    migrations,
};

/// Why a version is not put on trial. The running version stays.
#[derive(Debug, Error)]
pub enum NoWayBack {
    /// It does not answer.
    #[error("agent {version} does not say what it does with the store and is not put on trial: {} {why}", path.display())]
    Silent {
        /// The version.
        version: Version,
        /// Its program.
        path: PathBuf,
        /// What it did instead.
        why: String,
    },
    /// It is too old for the store.
    #[error(
        "agent {version} cannot read the store as agent {current} keeps it: area {} needs an agent that reads version {}, it reads {}",
        refusal.area, refusal.needs, refusal.reads
    )]
    TooOld {
        /// The version.
        version: Version,
        /// The version that runs.
        current: Version,
        /// What it cannot read.
        refusal: Refusal,
    },
    /// This process could not read the store after it.
    #[error(
        "agent {version} rewrites the store so that agent {current} could not go on if the trial failed: area {} would need an \
         agent that reads version {}, {current} reads {}. Go over a version that reads both forms (`master-sim release add --minimum`)",
        refusal.area, refusal.needs, refusal.reads
    )]
    Rewrites {
        /// The version.
        version: Version,
        /// The version that runs.
        current: Version,
        /// What could not be read.
        refusal: Refusal,
    },
    /// The store cannot be asked how it stands.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks the version on disk, and judges.
///
/// # Errors
/// See [`NoWayBack`].
pub async fn check(
    layout: &Layout,
    version: &Version,
    current: &Version,
    store: &Store,
) -> Result<(), NoWayBack> {
    let path = layout.agent(version);
    let theirs = ask(&path).await.map_err(|why| NoWayBack::Silent { version: version.clone(), path, why })?;
    judge((version, &theirs), (current, &migrations::own_format()), &store.held()?)
}

fn judge(
    (version, theirs): (&Version, &Format),
    (current, ours): (&Version, &Format),
    held: &Held,
) -> Result<(), NoWayBack> {
    let (version, current) = (version.clone(), current.clone());
    if let Some(refusal) = theirs.refuses(held) {
        return Err(NoWayBack::TooOld { version, current, refusal });
    }
    match ours.refuses(&held.after(theirs)) {
        Some(refusal) => Err(NoWayBack::Rewrites { version, current, refusal }),
        None => Ok(()),
    }
}

/// What `agent release format` prints.
#[derive(Deserialize)]
struct Answer {
    store: Format,
}

async fn ask(path: &std::path::Path) -> Result<Format, String> {
    let mut tries = 0;
    let mut child = loop {
        let mut command = Command::new(path);
        command.args(["release", "format"]).env_remove("AGENT_SUPERVISED").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        match command.spawn() {
            Ok(child) => break child,
            // A scanner looks at the new file, or a program that was started meanwhile still holds its writer.
            Err(_) if tries < 20 => tries += 1,
            Err(error) => return Err(format!("cannot be started: {error} (held by an antivirus?)")),
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    let mut said = Vec::new();
    let output = child.stdout.take();
    let answer = async {
        if let Some(output) = output {
            output.take(LONGEST_ANSWER).read_to_end(&mut said).await?;
        }
        child.wait().await
    };
    match tokio::time::timeout(PATIENCE, answer).await {
        Err(_) => Err(format!("gave no answer within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(status)) if !status.success() => Err(format!("ended with {status}")),
        Ok(Ok(_)) => {
            let answer: Result<Answer, _> = serde_json::from_slice(&said);
            answer.map(|answer| answer.store).map_err(|error| format!("answered something else: {error}"))
        }
    }
}

/// A program that starts for the first time is looked at by scanners, on a slow disk.
const PATIENCE: Duration = Duration::from_secs(60);
const LONGEST_ANSWER: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::format::{AreaFormat, HeldArea};

    fn format(writes: u32, reads: u32, readable_by: u32) -> Format {
        Format([("jobs".to_owned(), AreaFormat { writes, reads, readable_by })].into())
    }

    fn verdict(theirs: &Format, ours: &Format, held: (u32, u32)) -> Result<(), NoWayBack> {
        let (version, readable_by) = held;
        let held = Held([("jobs".to_owned(), HeldArea { version, readable_by })].into());
        judge((&Version::new(1, 1, 0), theirs), (&Version::new(1, 0, 0), ours), &held)
    }

    #[test]
    fn a_version_is_tried_only_when_both_can_read_what_the_other_leaves() {
        let ours = format(2, 2, 0);
        assert!(verdict(&format(3, 3, 0), &ours, (2, 0)).is_ok(), "it only adds");
        let rewrites = verdict(&format(3, 3, 3), &ours, (2, 0)).unwrap_err();
        assert!(matches!(rewrites, NoWayBack::Rewrites { .. }), "{rewrites}");
        assert!(rewrites.to_string().contains("agent 1.0.0 could not go on"), "{rewrites}");
        assert!(
            verdict(&format(3, 3, 3), &format(2, 3, 0), (2, 0)).is_ok(),
            "the running version leads over"
        );
        let too_old = verdict(&format(2, 2, 0), &format(3, 3, 3), (3, 3)).unwrap_err();
        assert!(matches!(too_old, NoWayBack::TooOld { .. }), "{too_old}");
        assert!(
            verdict(&format(2, 2, 0), &format(3, 3, 0), (3, 0)).is_ok(),
            "an earlier one after additions"
        );
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_does_not_answer_is_told_with_what_it_did() {
        use std::{fs, os::unix::fs::PermissionsExt as _};
        let folder = tempfile::tempdir().unwrap();
        let (layout, version) = (Layout::new(folder.path()), Version::new(1, 1, 0));
        let store = Store::open(&folder.path().join("store.sqlite")).unwrap();
        let answer = async |script: &str| {
            let path = layout.agent(&version);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            check(&layout, &version, &Version::new(1, 0, 0), &store).await.map_err(|error| error.to_string())
        };
        for (script, why) in [
            ("exit 64", "ended with exit status: 64"),
            ("echo hello", "answered something else"),
            ("yes", "ended with"),
        ] {
            let said = answer(script).await.unwrap_err();
            assert!(said.contains(why), "{script}: {said}");
        }
        let own = serde_json::to_string(&migrations::own_format()).unwrap();
        assert_eq!(answer(&format!("echo '{{\"store\": {own}, \"more\": 1}}'")).await, Ok(()));
        let none = answer("echo '{\"store\": {}, \"more\": 1}'").await.unwrap_err();
        assert!(none.contains("agent 1.1.0 cannot read the store as agent 1.0.0 keeps it"), "{none}");
    }
}
