//! `master-sim tree …`: gives a state tree to a share of the fleet first, and takes it back when it fails.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use crate::config::Config;
use crate::events;
use crate::rollout::{Limit, Of, Outcomes};
use crate::tree::{Ring, RingFile};

/// The arguments of `master-sim tree`.
#[derive(Args, Debug)]
pub struct Tree {
    /// The event log: the bundled master's own when none is given, else what `salt-run state.event` prints.
    #[arg(long, global = true, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Above this share of minions on which it failed the rollout halts.
    #[arg(long, global = true, value_name = "PERCENT", default_value_t = 10)]
    halt_above: u8,
    /// On how many it must have failed before a share means anything.
    #[arg(long, global = true, value_name = "COUNT", default_value_t = 2)]
    halt_least: usize,
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Shows the ring, and how the tree fares in it.
    Show,
    /// Gives the tree of an environment to a share of the fleet; the same minions are always first.
    Promote {
        /// The share of the fleet; 0 takes it back from everybody.
        #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100))]
        percent: u8,
        /// The environment with the new tree.
        #[arg(long, default_value = "canary")]
        saltenv: String,
        /// Gives it although it fails.
        #[arg(long)]
        force: bool,
    },
    /// Looks at how the tree fares and takes it back from everybody when it fails.
    Watch {
        /// How many minutes between two looks.
        #[arg(long, value_name = "MINUTES", default_value_t = 1)]
        every: u64,
        /// Looks once and ends; exit code 1 when the rollout was halted.
        #[arg(long)]
        once: bool,
    },
}

/// Runs the verb.
pub fn run(config: &Config, args: &Tree) -> Result<ExitCode> {
    let rollout = Rollout {
        file: RingFile::of(config)?,
        log: args.events.clone().unwrap_or_else(|| events::path(config)),
        limit: Limit { percent: args.halt_above, least: args.halt_least },
    };
    match &args.verb {
        Verb::Show => rollout.show()?,
        Verb::Promote { percent, saltenv, force } => rollout.promote(saltenv, *percent, *force)?,
        Verb::Watch { every, once } => loop {
            if let Some(why) = rollout.halt()? {
                println!("{why}");
                if *once {
                    return Ok(ExitCode::FAILURE);
                }
            }
            if *once {
                break;
            }
            std::thread::sleep(Duration::from_secs(every * 60));
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// A ring and the fleet's word.
struct Rollout {
    file: RingFile,
    log: PathBuf,
    limit: Limit,
}

impl Rollout {
    fn outcomes(&self, ring: &Ring) -> Outcomes {
        Outcomes::of_log(&self.log, Of::Tree { since: &ring.since, percent: ring.percent })
    }

    fn show(&self) -> Result<()> {
        let Some(ring) = self.file.read()? else {
            println!("no ring was opened: everybody has base");
            return Ok(());
        };
        println!("{} % of the fleet have {} since {}", ring.percent, ring.saltenv, ring.since);
        if let Some(why) = &ring.halted {
            println!("halted: {why}");
        }
        let outcomes = self.outcomes(&ring);
        println!(
            "state runs since then: on {} minions, failed on {}",
            outcomes.tried.len(),
            outcomes.failed().count()
        );
        for (id, why) in outcomes.failed() {
            println!("  {id}: {why}");
        }
        Ok(())
    }

    fn promote(&self, saltenv: &str, percent: u8, force: bool) -> Result<()> {
        let before = self.file.read()?;
        let open = before.filter(|ring| ring.saltenv == saltenv && ring.percent > 0);
        if let Some(ring) = open.as_ref().filter(|ring| percent > ring.percent && !force)
            && let Some(why) = self.outcomes(ring).halts(self.limit)
        {
            bail!("{saltenv} is not given to more: {why}. --force does it all the same");
        }
        let since = open.map_or_else(now, |ring| ring.since);
        self.file.write(&Ring { saltenv: saltenv.to_owned(), percent, since, halted: None })?;
        println!("{percent} % of the fleet take {saltenv} with their next state run");
        if let Some(missing) = self.file.missing() {
            println!("but {missing}");
        }
        Ok(())
    }

    /// Takes a tree back that fails; says why.
    fn halt(&self) -> Result<Option<String>> {
        let Some(ring) = self.file.read()?.filter(|ring| ring.percent > 0) else { return Ok(None) };
        let Some(why) = self.outcomes(&ring).halts(self.limit) else { return Ok(None) };
        let told = format!("the rollout of {} is halted at {} %: {why}", ring.saltenv, ring.percent);
        self.file.write(&Ring { percent: 0, halted: Some(why), ..ring })?;
        Ok(Some(told))
    }
}

fn now() -> String {
    chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}
