//! The supervisor's command line, read by hand: a parser would be larger than the supervisor.

use std::{path::PathBuf, time::Duration};

use super::Limits;
use crate::platform::paths;

/// What the supervisor was started with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Arguments {
    /// Whether the service manager started it.
    pub service: bool,
    /// The install folder.
    pub root: PathBuf,
    /// The agent's configuration folder.
    pub config_dir: PathBuf,
    /// How long things may take.
    pub limits: Limits,
}

impl Arguments {
    /// Reads `run|service [--root DIR] [--config-dir DIR] [--silence SECONDS] [--drain SECONDS] [--proof SECONDS]`.
    ///
    /// # Errors
    /// What is wrong, for the reader.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let service = match arguments.next().as_deref() {
            Some("run") => false,
            Some("service") => true,
            _ => return Err(USAGE.to_owned()),
        };
        let mut read = Self {
            service,
            root: paths::INSTALL_DIR.into(),
            config_dir: paths::CONFIG_DIR.into(),
            limits: Limits::default(),
        };
        while let Some(option) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{option} needs a value. {USAGE}"))?;
            let seconds =
                || value.parse().map(Duration::from_secs).map_err(|_| format!("{option} {value:?}: seconds"));
            match option.as_str() {
                "--root" => read.root = value.into(),
                "--config-dir" => read.config_dir = value.into(),
                "--silence" => read.limits.silence = seconds()?,
                "--drain" => read.limits.drain = seconds()?,
                "--proof" => read.limits.proof = seconds()?,
                _ => return Err(format!("{option} is unknown. {USAGE}")),
            }
        }
        Ok(read)
    }

    /// How a later supervisor is started.
    #[must_use]
    pub fn successor(&self) -> Vec<String> {
        let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let seconds = |limit: Duration| limit.as_secs().to_string();
        let pairs = [
            ("--root", path(&self.root)),
            ("--config-dir", path(&self.config_dir)),
            ("--silence", seconds(self.limits.silence)),
            ("--drain", seconds(self.limits.drain)),
            ("--proof", seconds(self.limits.proof)),
        ];
        let options = pairs.into_iter().flat_map(|(option, value)| [option.to_owned(), value]);
        std::iter::once("run".to_owned()).chain(options).collect()
    }

    /// How the agent is started.
    #[must_use]
    pub fn program(&self) -> Vec<String> {
        vec!["-c".to_owned(), self.config_dir.to_string_lossy().into_owned(), "run".to_owned()]
    }
}

const USAGE: &str = "supervisor run|service [--root DIR] [--config-dir DIR] [--silence SECONDS] [--drain SECONDS] \
                     [--proof SECONDS]: \
                     starts the agent that DIR/release.json names, watches it, and goes back when an update fails";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn reads_its_options_and_names_what_is_wrong() {
        let read = parse("service --root /r --config-dir /c --silence 5").unwrap();
        assert!(read.service && read.limits.silence == Duration::from_secs(5));
        assert_eq!(read.program(), ["-c", "/c", "run"]);
        let passed_on = Arguments::parse(read.successor()).unwrap();
        assert_eq!(passed_on, Arguments { service: false, ..read });
        assert_eq!(parse("run").unwrap().root, PathBuf::from(paths::INSTALL_DIR));
        for (line, named) in
            [("", "supervisor run|service"), ("run --root", "--root needs"), ("run --x 1", "--x is unknown")]
        {
            assert!(parse(line).unwrap_err().contains(named), "{line}");
        }
    }
}
