//! State runs: from a request to the return that `state.apply` gives.
//!
//! Each run asks the master for a fresh pillar and its options, compiles on a blocking thread (templates call
//! files and functions synchronously), then calls one chunk after the other as the run decides. Compilation and
//! requisites are the `states` crate's; here is what needs a network, a clock and the agent's own modules.

use std::sync::Arc;

use states::{
    Answer, Compiler, LowState, Map, Question, RenderContext, Request, Run, RunOptions, Series, Sources,
    StateFunctions, Step, Value,
};
use tokio_util::sync::CancellationToken;

use self::{caller::Caller, parallel::Beside, progress::Progress};
use crate::{
    command,
    config::Config,
    modules::{self, CallContext, ModuleError},
    pillar::{self, PillarError, PillarRequest},
    services::Services,
    state_modules::RunMode,
};

mod bridge;
mod caller;
mod parallel;
mod progress;
mod slots;
pub mod soft_kill;

pub use bridge::{FileBridge, FunctionBridge, matcher};

/// What a run is asked for beside its states.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The saltenv, when one was named.
    pub saltenv: Option<String>,
    /// The saltenv that templates see in `opts`, when it is another: single SLS files fall back to `base`.
    pub shown_saltenv: Option<String>,
    /// The pillarenv, when one was named.
    pub pillarenv: Option<String>,
    /// Values over the pillar.
    pub pillar: Map,
    /// `test=`, when given.
    pub test: Option<bool>,
    /// `state_events=`, when given.
    pub events: Option<bool>,
}

/// Why a run did not start.
#[derive(Debug)]
pub enum NotRun {
    /// The master found errors in the pillar.
    Pillar(Vec<Value>),
    /// The states do not compile; Salt's texts.
    Compile(Vec<String>),
    /// The master could not be asked.
    Unavailable(String),
}

impl From<PillarError> for NotRun {
    fn from(error: PillarError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// A prepared run: everything that is asked for once.
#[derive(Clone)]
pub struct Prepared {
    services: Arc<Services>,
    context: RenderContext,
    sources: Sources,
    mode: RunMode,
    cancel: CancellationToken,
    progress: Progress,
}

/// Asks for pillar and options.
///
/// # Errors
/// See [`NotRun`].
pub async fn prepare(call: &CallContext, settings: Settings) -> Result<Prepared, NotRun> {
    let services = Arc::clone(&call.services);
    let plain = settings.pillar.is_empty() && settings.saltenv.is_none() && settings.pillarenv.is_none();
    let request = PillarRequest {
        saltenv: settings.saltenv.clone(),
        pillarenv: settings.pillarenv,
        overlay: settings.pillar,
    };
    let pillar = pillar::compile(&services, request).await?;
    if plain {
        services.pillar.replace(pillar.clone());
    }
    if let Some(errors) = pillar.get("_errors").and_then(Value::as_list).filter(|errors| !errors.is_empty()) {
        return Err(NotRun::Pillar(errors.to_vec()));
    }
    let mut opts = services.config.opts.clone();
    opts.extend(master_options(&services).await?);
    let wanted = opts.get("state_events").is_some_and(Value::is_truthy);
    let every_state = settings.events.unwrap_or(wanted || services.config.bool_opt("state_events", false));
    let test = settings.test.unwrap_or_else(|| services.config.bool_opt("test", false));
    opts.insert("test", test);
    opts.insert("saltenv", settings.shown_saltenv.or_else(|| settings.saltenv.clone()));
    let grains = services.grains_ready().await;
    let context = RenderContext {
        grains: (*grains).clone(),
        pillar,
        opts: opts.into(),
        saltenv: settings.saltenv.or_else(|| services.config.str_opt("saltenv")),
        series: series(&services.config),
        seed: rand::random(),
    };
    let handle = tokio::runtime::Handle::current();
    let sources = Sources {
        files: Arc::new(FileBridge::new(Arc::clone(&services), handle.clone())),
        functions: Arc::new(
            FunctionBridge::new(Arc::clone(&services), handle, &context).heeding(call.cancel.clone()),
        ),
        states: Arc::new(Known(Arc::clone(&services))),
        matcher: matcher(&services, &context),
    };
    let mode = if test { RunMode::Test } else { RunMode::Apply };
    let progress = Progress { jid: call.jid.clone().unwrap_or_else(|| "req".to_owned()), every_state };
    Ok(Prepared { services, context, sources, mode, cancel: call.cancel.clone(), progress })
}

impl Prepared {
    /// Does synchronous work with a compiler, on a blocking thread.
    ///
    /// # Errors
    /// The compiler's texts, or that it panicked.
    pub async fn compiling<T, F>(&self, work: F) -> Result<T, NotRun>
    where
        F: FnOnce(&Compiler<'_>) -> Result<T, Vec<String>> + Send + 'static,
        T: Send + 'static,
    {
        let (sources, context) = (self.sources.clone(), self.context.clone());
        let done = self.services.tasks.blocking(move || work(&Compiler::new(&sources, &context))).await;
        self.heed_cancel()?;
        match done {
            Ok(done) => done.map_err(NotRun::Compile),
            Err(error) => Err(NotRun::Unavailable(format!("the compilation ended early: {error}"))),
        }
    }

    /// Compiles and runs.
    ///
    /// # Errors
    /// See [`NotRun`].
    pub async fn run(&self, request: Request) -> Result<Map, NotRun> {
        let low = self.compiling(move |compiler| compiler.low(&request)).await?;
        self.run_low(low).await
    }

    /// Compiles, and runs the chunks of one ID with what they require; `None` when there is no such ID.
    ///
    /// # Errors
    /// See [`NotRun`].
    pub async fn run_id(&self, request: Request, id: &str) -> Result<Option<Map>, NotRun> {
        let mut low = self.compiling(move |compiler| compiler.low(&request)).await?;
        if low.keep_id(id) { self.run_low(low).await.map(Some) } else { Ok(None) }
    }

    async fn run_low(&self, low: LowState) -> Result<Map, NotRun> {
        let functions: Arc<dyn StateFunctions> = Arc::new(Known(Arc::clone(&self.services)));
        let failhard = self.context.opts.get("failhard").is_some_and(Value::is_truthy);
        let series = self.context.series;
        let options = RunOptions { test: self.mode == RunMode::Test, failhard, series, seed: rand::random() };
        let chunks = Arc::new(low.chunks.clone());
        let mut run = Run::new(low, functions, options);
        let caller = Caller {
            services: Arc::clone(&self.services),
            pillar: Arc::new(self.context.pillar.clone()),
            grains: Arc::new(self.context.grains.clone()),
            low: chunks,
            accumulators: Arc::default(),
            cancel: self.cancel.clone(),
        };
        let most = self.context.opts.get("state_max_parallel").and_then(Value::as_int);
        let mut beside = Beside::new(caller.clone(), most);
        loop {
            beside.hand_back(&mut run);
            let step = run.next(chrono::Local::now().time());
            self.report(&mut run);
            match step {
                Step::Done(returns) => return Ok(returns),
                Step::Pause(wait) => self.pause(wait).await?,
                Step::Start(parallel) => {
                    self.heed_cancel()?;
                    beside.start(parallel);
                }
                Step::Wait => {
                    beside.wait(&mut run).await;
                    self.heed_cancel()?;
                }
                Step::Ask(question) => {
                    let answer = self.find_out(question).await;
                    run.answer(answer);
                }
                Step::Call(call) => {
                    self.heed_cancel()?;
                    if soft_kill::is_wanted(&self.progress.jid, &call.chunk.id) {
                        run.stop();
                        continue;
                    }
                    let (ret, timing) = caller.call(&call).await;
                    run.record(ret, timing);
                }
            }
        }
    }

    /// Fires the returns of the states that got through: as the job's progress with `state_events`, and under the tag that
    /// a state's own `fire_event` asks for. The run does not wait for them.
    fn report(&self, run: &mut Run) {
        let (done, all) = run.progress();
        self.services.states_done.send_replace((done, all));
        for finished in run.take_finished() {
            let Some((tag, data)) = self.progress.event(&self.services.config, finished, all) else {
                continue;
            };
            let (services, jid) = (Arc::clone(&self.services), self.progress.jid.clone());
            drop(self.services.tasks.spawn("progress event", async move {
                if let Err(error) = services.link.fire_job_event(&jid, &tag, proto::to_value(&data)).await {
                    tracing::debug!(tag, %error, "a progress event could not be sent");
                }
            }));
        }
    }

    fn heed_cancel(&self) -> Result<(), NotRun> {
        match self.cancel.is_cancelled() {
            true => Err(NotRun::Unavailable("the state run was terminated".to_owned())),
            false => Ok(()),
        }
    }

    async fn pause(&self, wait: std::time::Duration) -> Result<(), NotRun> {
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.cancel.cancelled() => self.heed_cancel(),
        }
    }

    /// What a guard asks. Commands need the local policy; functions and paths do not.
    async fn find_out(&self, question: Question) -> Answer {
        match question {
            Question::Path(path) => Answer::Exists(std::path::Path::new(&path).exists()),
            Question::Function { fun, args, kwargs } => {
                let call = CallContext::new(Arc::clone(&self.services), self.cancel.clone());
                match self.services.modules.call(&fun, args, kwargs, &call).await {
                    Ok(value) => Answer::Value(value),
                    Err(ModuleError::NotAvailable { fun }) => {
                        let why = format!("An exception occurred in this state: '{fun}' is not available.");
                        Answer::Refused(why)
                    }
                    Err(error) => Answer::Refused(format!("An exception occurred in this state: {error}")),
                }
            }
            Question::Command { command, options } => {
                let request = match modules::cmd::request(&command.into(), &options, false, true) {
                    Ok(request) => request,
                    Err(why) => return Answer::Refused(why),
                };
                match command::run(&self.services.config, request, &self.cancel).await {
                    Ok(output) => Answer::Exit(output.retcode),
                    Err(error) => Answer::Refused(error.to_string()),
                }
            }
        }
    }
}

/// The Salt series to follow where they differ: `agent: salt_series:`, or the newest.
#[must_use]
pub fn series(config: &Config) -> Series {
    match config.agent_opt("salt_series").map(ToString::to_string).as_deref() {
        Some("3006") => Series::V3006,
        Some("3007") => Series::V3007,
        Some(_) | None => Series::V3008,
    }
}

/// The options that the master gives every minion for its state runs.
async fn master_options(services: &Services) -> Result<Map, NotRun> {
    if services.config.local {
        return Ok(Map::new());
    }
    let reply = services.link.request("_master_opts", proto::Map::new()).await;
    let reply = reply.map_err(|error| NotRun::Unavailable(error.to_string()))?;
    let all = states::to_value(&reply);
    let taken = all.as_map().into_iter().flat_map(Map::iter).filter(|(key, _)| {
        key.as_str().is_some_and(|key| key.starts_with("jinja_") || MASTER_OPTIONS.contains(&key))
    });
    Ok(taken.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// Whether every state succeeded or would change: what decides retcode 2.
#[must_use]
pub fn all_succeeded(returns: &Map) -> bool {
    returns.values().all(|ret| ret.get("result") != Some(&Value::Bool(false)))
}

/// The state functions that there are.
struct Known(Arc<Services>);

impl StateFunctions for Known {
    fn exists(&self, full_name: &str) -> bool {
        full_name.split_once('.').is_some_and(|(state, fun)| self.0.state_modules.find(state, fun).is_some())
    }

    fn required(&self, full_name: &str) -> &'static [&'static str] {
        match full_name {
            "archive.extracted" | "file.copy" | "file.recurse" | "file.rename" => &["source"],
            "environ.setenv"
            | "grains.append"
            | "grains.list_absent"
            | "grains.list_present"
            | "grains.present" => &["value"],
            "file.replace" => &["pattern", "repl"],
            "file.symlink" => &["target"],
            "win_firewall.add_rule" => &["localport"],
            _ => &[],
        }
    }

    fn why_missing(&self, full_name: &str) -> String {
        let state = full_name.split_once('.').map_or(full_name, |(state, _)| state);
        let why = match state {
            "user" | "group" => "this minion manages no users and groups of the machine; their owner does",
            "pkg" => "this minion installs no packages; agent_release.installed updates the agent itself",
            "reg" if !cfg!(windows) => "the module will only run on Windows systems",
            "win_defender" if !cfg!(windows) => "only Windows has Defender",
            "win_firewall" if !cfg!(windows) => "firewall module could not be loaded",
            _ => return format!("'{full_name}' is not available."),
        };
        format!("'{state}' __virtual__ returned False: {why}")
    }
}

const MASTER_OPTIONS: &[&str] = &[
    "default_top",
    "env_order",
    "failhard",
    "nodegroups",
    "renderer",
    "state_aggregate",
    "state_auto_order",
    "state_events",
    "state_top",
    "state_top_saltenv",
    "top_file_merging_strategy",
];
