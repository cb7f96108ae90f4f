//! `agent release list|revert|format`: the versions on this machine, the way back by hand, and what this version does with
//! the store, which the version before asks before it gives way.
//!
//! Going back is a trial like every other: the earlier version has to prove itself, or the supervisor returns.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use semver::Version;
use serde::Serialize;

use super::print;
use crate::{
    platform::paths,
    release::{
        DEADLINE,
        layout::Layout,
        pointer::{self, Phase, Pointer, PointerError, Trial},
    },
    store::migrations,
};

/// The verbs of `agent release`.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Lists the versions on this machine.
    List(List),
    /// Goes back to an earlier version that is still here.
    Revert(Revert),
    /// Prints, as one JSON object, which forms of the agent's store this version writes and reads.
    Format,
}

/// The arguments of `agent release list`.
#[derive(Args, Debug)]
pub(super) struct List {
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// The install folder.
    #[arg(long, value_name = "DIR", default_value = paths::INSTALL_DIR)]
    root: PathBuf,
}

/// The arguments of `agent release revert`.
#[derive(Args, Debug)]
pub(super) struct Revert {
    /// The version; the one before when none is given.
    version: Option<Version>,
    /// The install folder.
    #[arg(long, value_name = "DIR", default_value = paths::INSTALL_DIR)]
    root: PathBuf,
}

/// What `agent release list --json` prints.
#[derive(Debug, Serialize)]
struct Listed {
    installed: Vec<Version>,
    #[serde(flatten)]
    pointer: Pointer,
}

/// Runs a verb.
pub(super) fn run(verb: &Verb) -> ExitCode {
    let done = match verb {
        Verb::List(args) => list(args),
        Verb::Revert(args) => revert(args),
        Verb::Format => Ok(serde_json::json!({ "store": migrations::own_format() }).to_string()),
    };
    match done {
        Ok(text) => {
            print::line(&text);
            ExitCode::SUCCESS
        }
        Err(why) => {
            print::error(&why);
            ExitCode::FAILURE
        }
    }
}

fn list(args: &List) -> Result<String, String> {
    let layout = Layout::new(&args.root);
    let pointer = pointer::read(&layout).map_err(|error| super::chain(&error))?;
    let installed =
        layout.installed().map_err(|error| format!("{}: {error}", layout.versions().display()))?;
    if args.json {
        return serde_json::to_string(&Listed { installed, pointer }).map_err(|error| error.to_string());
    }
    let mut lines: Vec<String> =
        installed.iter().rev().map(|version| format!("{version:12} {}", role(&pointer, version))).collect();
    if let Some(verdict) = pointer.verdict.filter(|verdict| !verdict.confirmed) {
        lines.push(format!("last trial: agent {} {}", verdict.version, verdict.why));
    }
    Ok(lines.join("\n"))
}

fn role(pointer: &Pointer, version: &Version) -> String {
    match &pointer.trial {
        _ if pointer.confirmed == *version => "confirmed".to_owned(),
        Some(trial) if trial.version == *version => match trial.phase {
            Phase::Prepared => "on disk, its job still runs".to_owned(),
            Phase::Wanted => "about to be started".to_owned(),
            Phase::Started { attempt } => format!("on trial (start {attempt})"),
        },
        Some(_) | None if pointer.former.contains(version) => "earlier".to_owned(),
        Some(_) | None => "not used".to_owned(),
    }
}

fn revert(args: &Revert) -> Result<String, String> {
    let layout = Layout::new(&args.root);
    let mut chosen = None;
    let done = pointer::update(&layout, |pointer| {
        let version = args.version.clone().or_else(|| pointer.former.first().cloned());
        let version = version.filter(|version| pointer.former.contains(version));
        let version = version.filter(|version| layout.agent(version).is_file()).ok_or(NotThere::Version)?;
        chosen = Some(version.clone());
        Ok(pointer.propose(Trial {
            version,
            jid: None,
            deadline: DEADLINE.as_secs(),
            phase: Phase::Wanted,
        })?)
    });
    match (done, chosen) {
        (Ok(_), Some(version)) => {
            Ok(format!("agent {version} goes on trial; `agent release list` shows how it ends"))
        }
        (Ok(_), None) | (Err(NotThere::Version), _) => {
            Err("that version is not among the earlier ones on this machine; see `agent release list`"
                .to_owned())
        }
        (Err(NotThere::Pointer(error)), _) => Err(super::chain(&error)),
    }
}

enum NotThere {
    Version,
    Pointer(PointerError),
}

impl From<PointerError> for NotThere {
    fn from(error: PointerError) -> Self {
        Self::Pointer(error)
    }
}
