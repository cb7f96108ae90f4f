//! `master-sim release …`: makes, signs and offers releases of the agent.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::key::Out;
use crate::config::Config;
use crate::events;
use crate::release::{Lifetimes, Offer, Repository, shown};
use crate::rollout::{Limit, Of, Outcomes};

/// The arguments of `master-sim release`.
#[derive(Args, Debug)]
pub struct Release {
    /// The folder of the repository; `release` in the first file root when none is given.
    #[arg(long, global = true, value_name = "DIR")]
    repository: Option<PathBuf>,
    /// The folder of the private keys; `release-keys` in the configuration folder when none is given.
    #[arg(long, global = true, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The event log: the bundled master's own when none is given, else what `salt-run state.event` prints.
    #[arg(long, global = true, value_name = "FILE")]
    events: Option<PathBuf>,
    /// How long the root's signature lasts.
    #[arg(long, global = true, value_name = "DAYS", default_value_t = 365)]
    root_days: u32,
    /// How long the signatures of targets and snapshot last.
    #[arg(long, global = true, value_name = "DAYS", default_value_t = 90)]
    targets_days: u32,
    /// How long the timestamp's signature lasts: for so long a master could hide a release.
    #[arg(long, global = true, value_name = "DAYS", default_value_t = 7)]
    timestamp_days: u32,
    /// Above this share of taken-back trials a rollout halts.
    #[arg(long, global = true, value_name = "PERCENT", default_value_t = 10)]
    halt_above: u8,
    /// How many trials must have been taken back before a share means anything.
    #[arg(long, global = true, value_name = "COUNT", default_value_t = 2)]
    halt_least: usize,
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes the keys and an empty repository, and prints the root that agents get.
    Keygen {
        /// How many root keys.
        #[arg(long, default_value_t = 3)]
        roots: u8,
        /// How many of them must sign.
        #[arg(long, default_value_t = 2)]
        threshold: u8,
    },
    /// Adds the program of a version; nobody is offered it yet.
    Add {
        /// The version.
        version: String,
        /// The program.
        program: PathBuf,
        /// x86_64-windows, x86_64-linux …
        #[arg(long)]
        platform: String,
        /// The oldest version that may go to this one directly.
        #[arg(long)]
        minimum: Option<String>,
        /// A later supervisor, which goes on trial once this version is confirmed; hardly ever needed.
        #[arg(long)]
        supervisor: Option<PathBuf>,
    },
    /// Offers a version to a share of a channel; the same minions are always first.
    Promote {
        /// The version.
        version: String,
        /// The channel.
        #[arg(long, default_value = "stable")]
        channel: String,
        /// The share of the fleet; 0 pauses it.
        #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100))]
        percent: u8,
        /// Offers it although too many trials were taken back.
        #[arg(long)]
        force: bool,
    },
    /// Takes a version back: nobody gets it, and those who run it may go to an older one.
    Withdraw {
        /// The version.
        version: String,
    },
    /// Replaces the keys of a role.
    Rotate {
        /// root, targets, snapshot or timestamp.
        role: String,
    },
    /// Lists what is offered to whom.
    List {
        /// How to print.
        #[arg(long, value_enum, default_value = "text")]
        out: Out,
    },
    /// Shows who tried a version and how it went.
    Progress {
        /// The version.
        version: String,
    },
    /// Keeps the signatures fresh and halts a rollout that fails; the master's file server carries the repository.
    Serve {
        /// How many minutes between two looks.
        #[arg(long, value_name = "MINUTES", default_value_t = 5)]
        every: u64,
        /// Signs once and ends.
        #[arg(long)]
        once: bool,
    },
}

/// Runs the verb.
pub fn run(config: &Config, args: &Release) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let repository = repository(config, args)?;
    let watch = Watch {
        log: args.events.clone().unwrap_or_else(|| events::path(config)),
        limit: Limit { percent: args.halt_above, least: args.halt_least },
    };
    runtime.block_on(act(&repository, &watch, &args.verb))?;
    Ok(ExitCode::SUCCESS)
}

/// Where the fleet's word is read, and what is too much.
struct Watch {
    log: PathBuf,
    limit: Limit,
}

impl Watch {
    /// Sets every channel of a version that fails to 0 %.
    async fn halt(&self, repository: &Repository) -> Result<()> {
        let offers = repository.offers()?;
        let offered = offers.values().filter(|offer| offer.channels.values().any(|percent| *percent > 0));
        let versions: BTreeSet<&str> = offered.map(|offer| offer.version.as_str()).collect();
        for version in versions {
            let Some(why) = Outcomes::of_log(&self.log, Of::Release(version)).halts(self.limit) else {
                continue;
            };
            repository
                .amend(version, |offer| offer.channels.values_mut().for_each(|percent| *percent = 0))
                .await?;
            println!("the rollout of {version} is halted: {why}");
        }
        Ok(())
    }
}

async fn act(repository: &Repository, watch: &Watch, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Keygen { roots, threshold } => {
            let root = repository.create(*roots, *threshold).await?;
            println!("keys are in {}: keep the root keys offline", repository.keys.display());
            println!(
                "agents trust this, as release-root.json in their configuration folder: {}",
                root.display()
            );
        }
        Verb::Add { version, program, platform, minimum, supervisor } => {
            semver(version)?;
            minimum.as_deref().map(semver).transpose()?;
            let offer = Offer {
                version: version.clone(),
                platform: platform.clone(),
                minimum: minimum.clone(),
                channels: [].into(),
                withdrawn: false,
            };
            if let Some(supervisor) = supervisor {
                println!("{}", repository.add_supervisor(version, platform, supervisor).await?);
            }
            println!("{}", repository.add(&offer, program).await?);
        }
        Verb::Promote { version, channel, percent, force } => {
            let halts = Outcomes::of_log(&watch.log, Of::Release(version)).halts(watch.limit);
            if let Some(why) = halts.filter(|_| *percent > 0 && !force) {
                bail!("{version} is not offered to more: {why}. --force does it all the same");
            }
            repository
                .amend(version, |offer| {
                    offer.channels.insert(channel.clone(), *percent);
                })
                .await?;
            println!("{version} is offered to {percent} % of channel {channel}");
        }
        Verb::Withdraw { version } => {
            repository.amend(version, |offer| offer.withdrawn = true).await?;
            println!("{version} is withdrawn");
        }
        Verb::Rotate { role } => {
            repository.rotate(role).await?;
            println!("the keys of {role} are replaced");
        }
        Verb::List { out: Out::Json } => println!("{:#}", shown(&repository.offers()?)),
        Verb::List { out: Out::Text } => {
            let offers = repository.offers()?;
            if offers.is_empty() {
                println!("the repository has no version yet: `release add` puts one there");
            }
            offers.values().for_each(|offer| println!("{}", line(offer)));
        }
        Verb::Progress { version } => {
            let outcomes = Outcomes::of_log(&watch.log, Of::Release(version));
            println!("{} tried {version}, on {} it failed", outcomes.tried.len(), outcomes.failed().count());
            for (id, why) in &outcomes.tried {
                println!(
                    "{id}: {}",
                    why.as_deref().map_or("confirmed".to_owned(), |why| format!("taken back, {why}"))
                );
            }
        }
        Verb::Serve { every, once } => loop {
            watch.halt(repository).await?;
            if *once || repository.is_half_expired()? {
                repository.refresh().await?;
                println!("signed anew");
            }
            if *once {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(every * 60)) => {}
                _ = tokio::signal::ctrl_c() => return Ok(()),
            }
        },
    }
    Ok(())
}

fn repository(config: &Config, args: &Release) -> Result<Repository> {
    let first = || {
        let root = config.file_roots.of("base").first();
        root.map(|root| root.join("release")).context("the environment base has no file root")
    };
    let folder = args.repository.clone().map_or_else(first, Ok)?;
    let keys = args.keys.clone().unwrap_or_else(|| config.config_dir.join("release-keys"));
    let lifetimes =
        Lifetimes { root: args.root_days, targets: args.targets_days, timestamp: args.timestamp_days };
    Ok(Repository { folder, keys, lifetimes })
}

/// `1.2.0  x86_64-linux  stable 5 %  from 1.0.0 on`.
fn line(offer: &Offer) -> String {
    let channels = offer.channels.iter().map(|(channel, percent)| format!("{channel} {percent} %"));
    let mut parts = vec![format!("{:<12}", offer.version), format!("{:<16}", offer.platform)];
    parts.push(if offer.channels.is_empty() {
        "offered to nobody".to_owned()
    } else {
        channels.collect::<Vec<_>>().join(", ")
    });
    parts.extend(offer.minimum.as_ref().map(|minimum| format!("from {minimum} on")));
    parts.extend(offer.withdrawn.then(|| "withdrawn".to_owned()));
    parts.join("  ")
}

fn semver(text: &str) -> Result<()> {
    semver::Version::parse(text).with_context(|| format!("{text:?} is no version like 1.2.3"))?;
    Ok(())
}
