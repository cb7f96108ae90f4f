//! `master-sim events`: follows the event log.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use proto::target::fnmatch;

use crate::config::Config;
use crate::events;

/// The flags of `events`.
#[derive(Args, Debug)]
pub struct Events {
    /// Only tags that match this glob.
    #[arg(default_value = "*")]
    tag: String,
    /// One JSON object per line: `tag`, `data`, `_stamp`.
    #[arg(long)]
    json: bool,
    /// Begin with the events that are in the log.
    #[arg(long)]
    all: bool,
    /// End after the events that are in the log.
    #[arg(long)]
    once: bool,
}

/// Prints events until it is interrupted.
pub fn run(config: &Config, options: &Events) -> Result<ExitCode> {
    let path = events::path(config);
    let mut follower = Follower { file: None, at: 0, partial: String::new() };
    if !options.all {
        follower.at = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    }
    loop {
        for line in follower.lines(&path)? {
            print(&line, options);
        }
        if options.once {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(LOOK);
    }
}

/// Where in the log we are. A log that is shorter than that was turned over.
struct Follower {
    file: Option<BufReader<File>>,
    at: u64,
    partial: String,
}

impl Follower {
    fn lines(&mut self, path: &Path) -> Result<Vec<String>> {
        let Ok(metadata) = std::fs::metadata(path) else { return Ok(Vec::new()) };
        if metadata.len() < self.at {
            *self = Self { file: None, at: 0, partial: String::new() };
        }
        if self.file.is_none() {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(self.at))?;
            self.file = Some(BufReader::new(file));
        }
        let mut lines = Vec::new();
        let Some(file) = &mut self.file else { return Ok(lines) };
        loop {
            let read = file.read_line(&mut self.partial)?;
            if read == 0 {
                return Ok(lines);
            }
            self.at += read as u64;
            if self.partial.ends_with('\n') {
                lines.push(std::mem::take(&mut self.partial));
            }
        }
    }
}

fn print(line: &str, options: &Events) {
    let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else { return };
    let tag = event["tag"].as_str().unwrap_or_default();
    if !fnmatch(tag, &options.tag) {
        return;
    }
    if options.json {
        print!("{line}");
    } else {
        println!("{tag}\t{}", event["data"]);
    }
}

/// How often the log is looked at.
const LOOK: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn follows_whole_lines_across_a_log_that_was_turned_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let append = |text: &str| {
            let mut file = File::options().append(true).create(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        let mut follower = Follower { file: None, at: 0, partial: String::new() };
        assert!(follower.lines(&path).unwrap().is_empty());
        append("one\ntw");
        assert_eq!(follower.lines(&path).unwrap(), ["one\n"]);
        append("o\n");
        assert_eq!(follower.lines(&path).unwrap(), ["two\n"]);
        std::fs::rename(&path, folder.path().join("old")).unwrap();
        append("new\n");
        assert_eq!(follower.lines(&path).unwrap(), ["new\n"]);
    }
}
