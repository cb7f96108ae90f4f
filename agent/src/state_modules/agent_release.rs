//! The `agent_release` state module: which version of the agent this minion runs.
//!
//! `installed` reads the signed repository, puts the chosen version on disk and on trial. The job that asked returns when the
//! trial has ended, under its own jid: see `release::held`. Arguments: `version`, or `channel` (default `stable`); `source`
//! (`salt://release`, the default, `https://host/path` or `s3://bucket/prefix`), where the repository is; `window`
//! (`20:00-06:00`, local time) outside of which nothing is changed; `deadline` in seconds; `bytes_per_second`. The keys of a
//! bucket are options of `agent:release:object_store` in the pillar, named as those of the `object_store` sink.

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::{
    platform::space,
    release::{
        DEADLINE,
        choose::{self, Choice, Wanted},
        download::Downloader,
        held::MARK,
        pointer::{self, Phase, PointerError, Trial},
        repository::{self, Target},
        source::Source,
        supervised::Supervised,
        way_back,
        window::Window,
    },
    state_modules::{RunMode, StateArgs, StateContext, StateModule},
};

/// The module.
pub struct AgentRelease;

impl StateModule for AgentRelease {
    fn name(&self) -> &'static str {
        "agent_release"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["installed"]
    }

    fn call<'a>(
        &'a self,
        _fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move { installed(args, run).await.unwrap_or_else(StateReturn::failed) })
    }
}

/// What the state was asked for.
struct Request {
    wanted: Wanted,
    source: Option<String>,
    window: Option<Window>,
    deadline: u64,
    bytes_per_second: u64,
}

impl Request {
    fn read(args: &Map) -> Result<Self, String> {
        let text = |key: &str| args.get(key).filter(|value| !value.is_nil()).map(ToString::to_string);
        let number = |key: &str, default: u64| match args.get(key) {
            None => Ok(default),
            Some(value) => {
                let number = value.as_int().and_then(|number| u64::try_from(number).ok());
                number.ok_or_else(|| format!("{key} must be a whole number"))
            }
        };
        let wanted = match text("version") {
            Some(version) => {
                let parsed = semver::Version::parse(&version);
                Wanted::Exactly(parsed.map_err(|error| format!("version {version:?}: {error}"))?)
            }
            None => Wanted::Channel(text("channel").unwrap_or_else(|| "stable".to_owned())),
        };
        let window = text("window").map(|text| text.parse()).transpose()?;
        Ok(Self {
            wanted,
            source: text("source"),
            window,
            deadline: number("deadline", DEADLINE.as_secs())?,
            bytes_per_second: number("bytes_per_second", BYTES_PER_SECOND)?,
        })
    }
}

async fn installed(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let request = Request::read(&args.args)?;
    let Some(supervised) = &run.services.release else {
        return Err("this agent was not started by its supervisor and cannot replace itself: run `agent service install`"
            .to_owned());
    };
    let config = &run.services.config;
    let source = source(request.source.as_deref(), run)?;
    let (anchor, seen) = (config.config_dir.join("release-root.json"), config.data_dir.join("release"));
    let targets = repository::targets(&source, &anchor, &seen).await.map_err(|error| error.to_string())?;
    let offers: Vec<_> = targets.iter().map(|target| target.offer.clone()).collect();
    let (current, bucket) = (&supervised.version, config.id.bucket());
    let chosen = choose::choose(&request.wanted, current, bucket, &choose::platform(), &offers);
    let offer = match chosen.map_err(|error| error.to_string())? {
        Choice::Stay(why) => return Ok(StateReturn::ok(why)),
        Choice::Go(offer) => offer,
    };
    let target = targets.iter().find(|target| target.offer == offer).ok_or("the chosen target is gone")?;
    let (from, to) = (current.to_string(), offer.version.to_string());
    let change: Map = [("old", from.as_str()), ("new", to.as_str())].into_iter().collect();
    let changes: Map = [(MARK, Value::Map(change))].into_iter().collect();
    if let Some(window) = request.window.as_ref().filter(|window| !window.is_open(minute_of_day())) {
        return Ok(StateReturn::ok(format!("Agent {to} waits for the window {window}; {from} runs")));
    }
    if run.mode == RunMode::Test {
        return Ok(StateReturn::would_change(format!("Agent {to} is set to replace {from}"), changes));
    }
    put_on_trial(supervised, run, source, target, &request).await?;
    Ok(StateReturn::changed(
        format!("Agent {to} goes on trial; {from} stays until it has proved itself"),
        changes,
    ))
}

fn source(asked: Option<&str>, run: &StateContext) -> Result<Source, String> {
    let services = &run.services;
    let told = run.pillar.get("agent").and_then(|agent| agent.get("release")?.get("object_store"));
    let options = told.or_else(|| services.config.agent_opt("release:object_store")).cloned();
    let link = std::sync::Arc::clone(&services.link);
    Source::of(asked, &options.unwrap_or_default(), link, services.tasks.clone())
        .map_err(|error| error.to_string())
}

async fn put_on_trial(
    supervised: &Supervised,
    run: &StateContext,
    source: Source,
    target: &Target,
    request: &Request,
) -> Result<(), String> {
    let downloader = Downloader {
        source,
        layout: supervised.layout.clone(),
        bytes_per_second: request.bytes_per_second,
        kept_free: space::KEPT_FREE,
        die_after: None,
    };
    tokio::select! {
        () = run.cancel.cancelled() => return Err("the job was terminated; the download goes on with the next run".to_owned()),
        done = downloader.install(target) => done.map_err(|error| error.to_string())?,
    }
    let (version, current) = (&target.offer.version, &supervised.version);
    let checked = way_back::check(&supervised.layout, version, current, &run.services.store).await;
    checked.map_err(|error| error.to_string())?;
    let trial = Trial {
        version: target.offer.version.clone(),
        jid: None,
        deadline: request.deadline,
        phase: Phase::Prepared,
    };
    let done = pointer::update(&supervised.layout, |pointer| pointer.propose(trial));
    done.map(drop).map_err(|error: PointerError| error.to_string())
}

fn minute_of_day() -> u16 {
    use chrono::Timelike as _;
    let now = chrono::Local::now();
    u16::try_from(now.hour() * 60 + now.minute()).unwrap_or(0)
}

/// What a practice's line spares without anybody noticing.
const BYTES_PER_SECOND: u64 = 2 << 20;
