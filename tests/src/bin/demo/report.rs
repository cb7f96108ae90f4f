//! What the demo prints: one line a step with its figures, a bar where a step takes time, the summary.
//!
//! On a terminal the bar is drawn in place; into a pipe every line stands for itself. The summary is the
//! same facts again, for a person or (with `--json`) as one JSON object on the last line.
#![expect(clippy::print_stdout, reason = "the demo's one output file")]

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

/// Collects figures and checks while the steps are printed.
pub struct Report {
    started: Instant,
    json: bool,
    figures: Map<String, Value>,
    checks: Vec<(String, bool)>,
}

impl Report {
    /// A report that starts its clock.
    pub fn new(json: bool) -> Self {
        Self { started: Instant::now(), json, figures: Map::new(), checks: Vec::new() }
    }

    /// Prints one finished step.
    pub fn step(&self, title: &str, detail: &str) {
        println!("{:>7.1} s  {title:<22} {detail}", self.started.elapsed().as_secs_f64());
    }

    /// Prints text that a program gave, indented.
    pub fn quote(&self, text: &str) {
        for line in text.trim_end().lines() {
            println!("           | {line}");
        }
    }

    /// Records a figure for the summary.
    pub fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    /// Records and prints a check.
    pub fn check(&mut self, what: &str, held: bool) {
        println!("           {} {what}", if held { "ok      " } else { "FAILED  " });
        self.checks.push((what.to_owned(), held));
    }

    /// A bar towards `total`: drawn in place on a terminal, a line each tenth in a pipe.
    pub fn progress(&self, title: &str, total: u64) -> Progress {
        let bar = std::io::stdout().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{prefix:>33} [{bar:40}] {pos}/{len} rows  {per_sec}");
            let bar = ProgressBar::new(total);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar.set_prefix(title.to_owned());
            bar
        });
        Progress { bar, title: title.to_owned(), total, tenth: 0, started: self.started }
    }

    /// Prints the summary; success only when the story was told to its end and every check held.
    pub fn close(mut self, story: anyhow::Result<()>) -> ExitCode {
        let error = story.as_ref().err().map(|error| format!("{error:#}"));
        let ok = error.is_none() && !self.checks.is_empty() && self.checks.iter().all(|(_, held)| *held);
        if let Some(error) = &error {
            println!("           FAILED   {error}");
        }
        let held = self.checks.iter().filter(|(_, held)| *held).count();
        let took = self.started.elapsed();
        println!("{:>7.1} s  {:<22} {held} of {} checks held", took.as_secs_f64(), "Done", self.checks.len());
        if self.json {
            println!("{}", self.summary(ok, error.as_deref(), took));
        }
        if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn summary(&mut self, ok: bool, error: Option<&str>, took: Duration) -> Value {
        let checks: Map<String, Value> =
            self.checks.iter().map(|(what, held)| (what.clone(), json!(held))).collect();
        let mut summary = Map::new();
        summary.insert("ok".to_owned(), json!(ok));
        summary.insert("error".to_owned(), json!(error));
        summary.insert("seconds".to_owned(), json!(rounded(took.as_secs_f64())));
        summary.append(&mut self.figures);
        summary.insert("checks".to_owned(), Value::Object(checks));
        Value::Object(summary)
    }
}

/// A value rounded to three digits after the point.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A running count.
pub struct Progress {
    bar: Option<ProgressBar>,
    title: String,
    total: u64,
    tenth: u64,
    started: Instant,
}

impl Progress {
    /// Shows that `count` of the total is reached.
    pub fn reach(&mut self, count: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(count),
            None => self.line(count),
        }
    }

    /// Takes the bar off the screen.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&mut self, count: u64) {
        let tenth = count * 10 / self.total.max(1);
        if tenth > self.tenth {
            self.tenth = tenth;
            let elapsed = self.started.elapsed().as_secs_f64();
            println!("{elapsed:>7.1} s  {:<22} {count} of {} rows", self.title, self.total);
        }
    }
}
