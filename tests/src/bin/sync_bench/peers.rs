//! Clients that nobody here wrote, each as a program that prints its figures.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tests::ehr::EhrSim;

use super::{Figures, Wire};

/// Where a client comes from.
#[derive(Debug, Clone, Copy)]
pub enum Peer {
    /// A program of the system, run by its Python.
    System(&'static str),
    /// A library in one of the environments that `tests/setup-tds-clients` makes.
    Python(&'static str, &'static str),
    /// Microsoft's crate, as `tests/sync-bench` built it; the word says what is made of a row.
    MssqlTds(&'static str),
}

impl Peer {
    /// Reads the table once.
    ///
    /// # Errors
    /// The client is not here, or it failed: its last line says how.
    pub fn run(self, port: u16, wire: Wire) -> Result<Figures> {
        let (program, arguments) = match self {
            Self::System(name) => ("python3".into(), vec!["-c", SCRIPT, name]),
            Self::Python(name, place) => (environment(place)?.join("bin/python"), vec!["-c", SCRIPT, name]),
            Self::MssqlTds(kind) => (mssql_tds_reader()?, vec![kind]),
        };
        let encryption = match wire {
            Wire::Off => "off",
            Wire::On => "on",
        };
        let mut command = Command::new(&program);
        command.args(arguments).args([&port.to_string(), EhrSim::SA_PASSWORD, encryption]);
        let output = command.output().with_context(|| format!("{} is not here", program.display()))?;
        let (said, told) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        ensure!(output.status.success(), "{}", said.lines().last().unwrap_or_default());
        let figures = told.lines().last().with_context(|| format!("{} said nothing", program.display()))?;
        Ok(serde_json::from_str(figures)?)
    }
}

fn environment(place: &str) -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    Ok(cache.context("no cache folder")?.join("salt-peers").join(place))
}

fn mssql_tds_reader() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).context("no target folder")?;
    Ok(target.join("mssql-tds-reader/release/mssql-tds-reader"))
}

const SCRIPT: &str = include_str!("peer.py");
