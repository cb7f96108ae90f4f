//! `agent call`: one function on this machine, printed as salt-call prints it.
//!
//! Exit codes are salt-call's: 0; with `--retcode-passthrough` the function's own; 1 for a failed function
//! without it; 255 for an unknown one.

use std::{process::ExitCode, sync::Arc, time::Duration};

use states::{
    Map, Value,
    output::{Options, Outputter, StateOutput},
};
use tokio_util::sync::CancellationToken;

use super::{CallArgs, arguments, print, runtime};
use crate::{
    channel::{LocalLink, MasterLink},
    config::Config,
    job::{Job, Outcome, execute, outcome::return_load},
    minion,
    modules::ModuleError,
    services::Services,
    store::Store,
    tasks::Tasks,
};

/// Runs the call.
pub fn run(config: Config, args: &CallArgs) -> ExitCode {
    let done =
        runtime().map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(call(config, args)));
    match done {
        Ok(code) => code,
        Err(error) => {
            print::error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn call(config: Config, args: &CallArgs) -> anyhow::Result<ExitCode> {
    let tasks = Tasks::new();
    let config = Arc::new(config);
    let store = Arc::new(Store::open(&config.data_dir.join(minion::STORE_FILE))?);
    let link: Arc<dyn MasterLink> =
        if config.local { Arc::new(LocalLink) } else { minion::connect_for_call(&config, &tasks).await? };
    let services = Services::new(config, link, store, tasks);
    let outcome = outcome(&services, args).await;
    services.tasks.shutdown(Duration::from_secs(5)).await;
    Ok(finish(&services, args, &outcome))
}

async fn outcome(services: &Arc<Services>, args: &CallArgs) -> Outcome {
    services.refresh_grains().await;
    if let Err(error) = crate::pillar::refresh(services).await {
        tracing::error!(%error, "there is no pillar");
    }
    let (positional, keywords) = arguments::parse(&args.args);
    let mut all = positional;
    if !keywords.is_empty() {
        let mut marked = keywords;
        marked.insert("__kwarg__", true);
        all.push(marked.into());
    }
    let publish: Map = [
        ("fun", Value::from(args.fun.as_str())),
        ("pid", i64::from(std::process::id()).into()),
        ("jid", chrono::Local::now().format("%Y%m%d%H%M%S%6f").to_string().into()),
        ("tgt", "salt-call".into()),
    ]
    .into_iter()
    .collect();
    let origin = execute::Origin { jid: publish.get("jid").map(ToString::to_string), publish };
    let outcome = execute::execute(services, &args.fun, all.clone(), origin, CancellationToken::new()).await;
    if !services.config.local {
        report(services, &args.fun, &all, &outcome).await;
    }
    outcome
}

/// Tells the master what was called here; it gives the job an id of its own.
async fn report(services: &Services, fun: &str, args: &[Value], outcome: &Outcome) {
    let arg = proto::to_value(&Value::List(args.to_vec()));
    let load =
        [("jid", proto::Value::from("req")), ("tgt", "salt-call".into()), ("fun", fun.into()), ("arg", arg)];
    let Some(job) = Job::from_load(load.into_iter().collect()) else { return };
    if let Err(error) = services.link.return_job(return_load(&job, std::slice::from_ref(outcome))).await {
        tracing::warn!(%error, "the master was not told of this call");
    }
}

fn finish(services: &Services, args: &CallArgs, outcome: &Outcome) -> ExitCode {
    if let Some(error) = &outcome.error {
        return refused(services, &args.fun, error);
    }
    let color = args.force_color || (!args.no_color && print::is_terminal());
    print::returned(outputter(args, outcome), &outcome.value, &options(services, color));
    exit_code(args, outcome)
}

/// What salt-call says on the error stream, and its exit code.
fn refused(services: &Services, fun: &str, error: &ModuleError) -> ExitCode {
    match error {
        ModuleError::NotAvailable { .. } => {
            print::error(&error.to_string());
            return ExitCode::from(255);
        }
        ModuleError::Arguments(_) => {
            let doc = services.modules.find(fun).map(|(_, spec)| spec.doc).unwrap_or_default();
            print::error(&format!("Passed invalid arguments: {error}.\n\nUsage:\n{doc}"));
        }
        ModuleError::Exception { .. } => print::error(&error.to_string()),
        ModuleError::Execution(_) | ModuleError::Invocation(_) | ModuleError::Cancelled => {
            print::error(&format!("Error running '{fun}': {error}"));
        }
    }
    ExitCode::FAILURE
}

/// The outputter that was asked for, or the one that suits the return: a state run that did not happen is a list, which
/// Salt's highstate outputter prints as well.
fn outputter(args: &CallArgs, outcome: &Outcome) -> Outputter {
    let asked = args.out.as_deref().and_then(Outputter::from_name);
    asked.unwrap_or_else(|| Outputter::for_return(outcome.out))
}

fn options(services: &Services, color: bool) -> Options {
    let config = &services.config;
    let state_output = config.str_opt("state_output").unwrap_or_default();
    Options {
        color,
        state_verbose: config.bool_opt("state_verbose", true),
        state_output: match state_output.trim_end_matches("_id") {
            "terse" => StateOutput::Terse,
            "mixed" => StateOutput::Mixed,
            "changes" => StateOutput::Changes,
            _ => StateOutput::Full,
        },
        state_output_profile: config.bool_opt("state_output_profile", true),
        show_id_for_name: state_output.ends_with("_id"),
    }
}

fn exit_code(args: &CallArgs, outcome: &Outcome) -> ExitCode {
    match (outcome.retcode, args.retcode_passthrough) {
        (0, _) => ExitCode::SUCCESS,
        (code, true) => ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1)),
        (_, false) => ExitCode::FAILURE,
    }
}
