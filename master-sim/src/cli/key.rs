//! `master-sim key …`: what `salt-key` does, on the key folders themselves, with or without a running master.
//!
//! A deleted or rejected key also drops the minion's session and asks the running master for a new AES key (the
//! `.dfn` file, as `rotate_aes_key` does), so that the minion is out at once.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use proto::{MinionId, target};
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::pki::{KeyState, Pki, write_whole};

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists the keys by state.
    List {
        /// How to print.
        #[arg(long, value_enum, default_value = "text")]
        out: Out,
    },
    /// Accepts pending keys.
    Accept {
        #[command(flatten)]
        chosen: Chosen,
        /// Also accept a rejected or denied key.
        #[arg(long)]
        include_all: bool,
    },
    /// Rejects pending keys.
    Reject {
        #[command(flatten)]
        chosen: Chosen,
        /// Also reject an accepted or denied key.
        #[arg(long)]
        include_all: bool,
    },
    /// Deletes keys in any state.
    Delete {
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Prints the fingerprints of keys, the master's own first.
    Finger {
        /// A minion id or a glob.
        #[arg(default_value = "*")]
        glob: String,
        /// How to print.
        #[arg(long, value_enum, default_value = "text")]
        out: Out,
    },
}

/// Which keys.
#[derive(Args, Debug)]
pub struct Chosen {
    /// A minion id or a glob.
    #[arg(required_unless_present = "all")]
    glob: Option<String>,
    /// Every key.
    #[arg(long, conflicts_with = "glob")]
    all: bool,
}

impl Chosen {
    fn includes(&self, id: &MinionId) -> bool {
        self.all || self.glob.as_deref().is_some_and(|glob| target::fnmatch(id.as_str(), glob))
    }

    fn name(&self) -> &str {
        self.glob.as_deref().unwrap_or("*")
    }
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Out {
    /// Headings and names.
    Text,
    /// Salt's JSON.
    Json,
}

/// Does what the verb says.
pub fn run(config: &Config, verb: &Verb) -> Result<ExitCode> {
    let pki = Pki::open(&config.pki_dir)?;
    match verb {
        Verb::List { out } => list(&pki, *out),
        Verb::Accept { chosen, include_all } => {
            shift(config, &pki, chosen, KeyState::Accepted, also(*include_all, KeyState::Rejected))
        }
        Verb::Reject { chosen, include_all } => {
            shift(config, &pki, chosen, KeyState::Rejected, also(*include_all, KeyState::Accepted))
        }
        Verb::Delete { chosen } => delete(config, &pki, chosen),
        Verb::Finger { glob, out } => finger(&pki, glob, *out),
    }
}

fn also(include_all: bool, other: KeyState) -> Vec<KeyState> {
    if include_all { vec![KeyState::Pending, other, KeyState::Denied] } else { vec![KeyState::Pending] }
}

fn list(pki: &Pki, out: Out) -> Result<ExitCode> {
    let mut lists = Map::new();
    for state in KeyState::ALL {
        let ids = pki.list(state)?;
        if out == Out::Text {
            println!("{}", state.heading());
            ids.iter().for_each(|id| println!("{id}"));
        }
        lists.insert(state.folder().to_owned(), ids.iter().map(MinionId::as_str).collect());
    }
    if out == Out::Json {
        print_json(&Value::Object(lists));
    }
    Ok(ExitCode::SUCCESS)
}

fn shift(config: &Config, pki: &Pki, chosen: &Chosen, to: KeyState, from: Vec<KeyState>) -> Result<ExitCode> {
    let mut moved = 0;
    for state in from {
        for id in pki.list(state)?.iter().filter(|id| chosen.includes(id)) {
            if pki.shift(id, state, to)? {
                moved += 1;
                println!("Key for minion {id} {to}.");
                if to == KeyState::Rejected {
                    forget(config, id)?;
                }
            }
        }
    }
    if moved == 0 {
        println!("The key glob '{}' does not match any keys that can be {to}.", chosen.name());
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn delete(config: &Config, pki: &Pki, chosen: &Chosen) -> Result<ExitCode> {
    let mut deleted = 0;
    for state in KeyState::ALL {
        for id in pki.list(state)?.iter().filter(|id| chosen.includes(id)) {
            if pki.delete(id, state)? {
                deleted += 1;
                println!("Key for minion {id} deleted.");
                forget(config, id)?;
            }
        }
    }
    if deleted == 0 {
        println!("The key glob '{}' does not match any keys.", chosen.name());
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn finger(pki: &Pki, glob: &str, out: Out) -> Result<ExitCode> {
    let mut all = Map::new();
    if let Some(own) = pki.master_fingerprint()? {
        all.insert("local".to_owned(), json!({ "master.pub": own.to_string() }));
    }
    for state in KeyState::ALL {
        let mut fingers = Map::new();
        for id in pki.list(state)?.iter().filter(|id| target::fnmatch(id.as_str(), glob)) {
            if let Some(key) = pki.key(id, state)? {
                fingers.insert(id.to_string(), json!(key.fingerprint().to_string()));
            }
        }
        if !fingers.is_empty() {
            all.insert(state.folder().to_owned(), Value::Object(fingers));
        }
    }
    if out == Out::Json {
        print_json(&Value::Object(all));
    } else {
        print_fingers(&all);
    }
    Ok(ExitCode::SUCCESS)
}

fn print_fingers(all: &Map<String, Value>) {
    for (folder, fingers) in all {
        let state = KeyState::ALL.into_iter().find(|state| state.folder() == folder);
        println!("{}", state.map_or("Local Keys:", KeyState::heading));
        for (name, finger) in fingers.as_object().into_iter().flatten() {
            println!("{name}:  {}", finger.as_str().unwrap_or_default());
        }
    }
}

/// Takes a minion's session away and asks the running master for a new AES key.
fn forget(config: &Config, id: &MinionId) -> Result<()> {
    let session = config.cachedir.join("sessions").join(id.as_str());
    match std::fs::remove_file(&session) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error)?,
        _ => {}
    }
    std::fs::create_dir_all(&config.cachedir)?;
    Ok(write_whole(&config.cachedir.join(DROP_FILE), b"", 0o600)?)
}

fn print_json(value: &Value) {
    let mut text = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut text, indent);
    if serde::Serialize::serialize(value, &mut writer).is_ok() {
        println!("{}", String::from_utf8_lossy(&text));
    }
}

/// The file whose presence asks the running master to make a new AES key, Salt's drop file.
pub(crate) const DROP_FILE: &str = ".dfn";
