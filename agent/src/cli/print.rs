//! The one place that writes to the terminal.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this file is the program's output")]

use std::io::{self, IsTerminal};

use states::{
    Value,
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

/// Prints a function's return under `local`, in one of Salt's layouts.
pub fn returned(outputter: Outputter, value: &Value, options: &Options) {
    let text = output::print_minion(outputter, "local", value, options);
    if outputter != Outputter::Quiet {
        println!("{text}");
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
        println!("sync {job}: {age}, {} batches wait{cause}", sync.spool_batches);
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
