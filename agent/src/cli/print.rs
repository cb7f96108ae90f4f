//! The one place that writes to the terminal.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this file is the program's output")]

use std::{
    fs::OpenOptions,
    io::{self, IsTerminal, Write},
    path::Path,
};

use anyhow::Context;
use states::{
    Value, json,
    output::{self, Options, Outputter},
};

use crate::{
    policy::switches::{Pause, Switch},
    status::Status,
};

/// Whether the output goes to a terminal.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Prints an error line.
pub fn error(text: &str) {
    eprintln!("{text}");
}

/// Prints a text as it is.
pub fn text(text: &str) {
    print!("{text}");
}

/// Prints a result.
pub fn line(text: &str) {
    println!("{text}");
}

/// How a return is laid out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// One of Salt's outputters that the state language knows.
    Salt(Outputter),
    /// Salt's `newline_values_only`: the value alone, as Python prints it.
    Values,
}

/// A function's return under `local`, laid out.
pub fn laid_out(layout: Layout, value: &Value, options: &Options, indent: Option<i64>) -> String {
    match layout {
        Layout::Values => value.to_string(),
        Layout::Salt(Outputter::Json) if indent.is_some() => {
            let indent = indent.filter(|indent| *indent >= 0);
            let whole = Value::Map([("local", value.clone())].into_iter().collect());
            json::dump(&whole, &json::Layout { indent, sort_keys: false, ascii: false })
        }
        Layout::Salt(outputter) => output::print_minion(outputter, "local", value, options),
    }
}

/// Prints a laid-out return.
pub fn returned(layout: Layout, text: &str) {
    if layout != Layout::Salt(Outputter::Quiet) {
        println!("{text}");
    }
}

/// Writes a laid-out return to a file, or adds it.
///
/// # Errors
/// The file cannot be written.
pub fn to_file(path: &Path, text: &str, append: bool) -> anyhow::Result<()> {
    let open = OpenOptions::new().create(true).write(true).append(append).truncate(!append).open(path);
    let written = open.and_then(|mut file| writeln!(file, "{text}"));
    written.with_context(|| format!("the output could not be written to {}", path.display()))
}

/// Prints what functions do.
pub fn docs(docs: &[(String, &str)]) {
    for (name, doc) in docs {
        println!("{name}:\n{doc}\n");
    }
}

/// Whether the error stream goes to a terminal.
pub fn errors_are_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Shows how far a state run is, over what was shown before.
pub fn progress(done: usize, all: usize) {
    if all > 0 {
        eprint!("\r{done} of {all} states");
    }
}

/// Removes what [`progress`] showed.
pub fn progress_ended() {
    if errors_are_terminal() {
        eprint!("\r\u{1b}[K");
    }
}

/// Prints the agent's state.
pub fn status(status: &Status, json: bool) {
    if json {
        println!("{}", serde_json::to_string(status).unwrap_or_default());
        return;
    }
    println!("id:               {}", status.id);
    println!("version:          {}", status.version);
    match &status.service {
        Some(service) => {
            let master = service.master.as_deref().map(|master| format!(" to {master}")).unwrap_or_default();
            println!(
                "service:          runs (pid {}), {}{master} since {}",
                service.pid, service.link, service.since
            );
        }
        None => println!("service:          does not run"),
    }
    println!("waiting returns:  {}", status.waiting_returns);
    println!("unfinished jobs:  {}", status.unfinished_jobs);
    for (what, pause) in &status.paused {
        println!("{:18}{pause}", format!("{what}:"));
    }
    for (job, sync) in &status.syncs {
        let age = sync.age_seconds.map_or("nothing read yet".to_owned(), |age| format!("{age} s old"));
        let cause = sync.behind_because.as_deref().map(|cause| format!(", {cause}")).unwrap_or_default();
        let cost = sync.server_cost.map(|cost| cost.words()).filter(|words| !words.is_empty());
        let cost = cost.map(|words| format!("; its last pass cost {words}")).unwrap_or_default();
        let left = match sync.left_to_others_ms / 1000 {
            0 => String::new(),
            left => format!("; {left} of its {} s it left the server to others", sync.pass_ms / 1000),
        };
        println!("sync {job}: {age}, {} batches wait{cause}{cost}{left}", sync.spool_batches);
    }
}

/// Prints how a switch stands after it was moved, and whether it moved.
pub fn switched(switch: Switch, pause: Option<&Pause>, changed: bool, json: bool) {
    if json {
        let shown = serde_json::json!({ "switch": switch.name(), "paused": pause, "changed": changed });
        println!("{shown}");
        return;
    }
    let already = if changed { "" } else { " (as before)" };
    match pause {
        Some(pause) => println!("{switch}: {pause}{already}"),
        None => println!("{switch}: not paused{already}"),
    }
}
