//! `master-sim job …`: what was run and what came back, from the job cache.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use proto::Value;
use proto::jid::Jid;
use serde_json::json;
use states::output::Outputter;

use super::run::Printer;
use crate::client::Outcome;
use crate::config::Config;
use crate::events;
use crate::jobs::JobCache;

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists the jobs that are kept, oldest first.
    List {
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Prints the returns of one job.
    Show {
        /// The job.
        jid: Jid,
        /// Salt's layout.
        #[arg(long, visible_alias = "output", value_parser = super::run::outputter)]
        out: Option<Outputter>,
    },
}

/// Does what the verb says.
pub fn run(config: &Config, verb: &Verb) -> Result<ExitCode> {
    let jobs = JobCache::new(config);
    match verb {
        Verb::List { json } => {
            for jid in jobs.list() {
                list(&jobs, &jid, *json)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Verb::Show { jid, out } => show(&jobs, jid, *out),
    }
}

fn list(jobs: &JobCache, jid: &Jid, as_json: bool) -> Result<()> {
    let record = jobs.record(jid)?;
    let returned = jobs.returned(jid).len();
    let field = |name| record.load.get(name).map(events::json).unwrap_or_default();
    if as_json {
        let line = json!({
            "jid": jid.as_str(),
            "fun": field("fun"),
            "tgt": field("tgt"),
            "tgt_type": field("tgt_type"),
            "user": field("user"),
            "minions": record.minions,
            "returned": returned,
        });
        println!("{line}");
    } else {
        let plain = |name| {
            record
                .load
                .get(name)
                .and_then(Value::as_str)
                .map_or_else(|| field(name).to_string(), str::to_owned)
        };
        println!("{jid}  {returned}/{}  {}  {}", record.minions.len(), plain("tgt"), plain("fun"));
    }
    Ok(())
}

fn show(jobs: &JobCache, jid: &Jid, out: Option<Outputter>) -> Result<ExitCode> {
    let record = jobs.record(jid)?;
    let mut printer = Printer::plain(out);
    let mut returned = jobs.returned(jid);
    returned.sort();
    for id in &returned {
        if let Some(ret) = jobs.of(jid, id) {
            printer.tell(id, Outcome::Returned(Box::new(ret)), jid.as_str());
        }
    }
    for id in record.minions.iter().filter(|id| !returned.iter().any(|done| done.as_str() == *id)) {
        eprintln!("{id}: has not returned");
    }
    Ok(printer.finish())
}
