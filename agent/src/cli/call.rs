//! `agent call`: one function on this machine, printed as salt-call prints it.
//!
//! Exit codes are salt-call's: 0; with `--retcode-passthrough` the function's own; 1 for a failed function
//! without it; 255 for an unknown one. On a terminal a state run shows how far it is on the error stream.

use std::{process::ExitCode, sync::Arc, time::Duration};

use states::{
    Map, Value,
    output::{Options, Outputter, StateOutput},
};
use tokio_util::sync::CancellationToken;

use super::{
    CallArgs, OutputArgs, arguments,
    print::{self, Layout},
    runtime,
};
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
    let store = Arc::new(Store::open_beside(&config.data_dir.join(minion::STORE_FILE))?);
    let link: Arc<dyn MasterLink> =
        if config.local { Arc::new(LocalLink) } else { minion::connect_for_call(&config, &tasks).await? };
    let services = Services::new(config, link, store, tasks);
    let fun = match (&args.fun, args.grains) {
        (_, true) => "grains.items",
        (Some(fun), false) => fun.as_str(),
        (None, false) => "",
    };
    if args.doc {
        print::docs(&docs(&services, fun));
        services.tasks.shutdown(Duration::from_secs(5)).await;
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = outcome(&services, fun, args).await;
    services.tasks.shutdown(Duration::from_secs(5)).await;
    finish(&services, fun, args, &outcome)
}

/// What the functions do whose names start with `start`.
fn docs(services: &Services, start: &str) -> Vec<(String, &'static str)> {
    let modules = services.modules.modules();
    let all = modules.flat_map(|module| {
        module.functions().iter().map(move |spec| (format!("{}.{}", module.name(), spec.name), spec.doc))
    });
    let mut docs: Vec<_> = all.filter(|(name, _)| name.starts_with(start)).collect();
    docs.sort();
    docs
}

/// Shows how far a state run is, while it runs.
async fn show_progress(services: Arc<Services>) {
    let mut states = services.states_done.subscribe();
    while states.changed().await.is_ok() {
        let (done, all) = *states.borrow_and_update();
        print::progress(done, all);
    }
}

async fn outcome(services: &Arc<Services>, fun: &str, args: &CallArgs) -> Outcome {
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
        ("fun", Value::from(fun)),
        ("pid", i64::from(std::process::id()).into()),
        ("jid", chrono::Local::now().format("%Y%m%d%H%M%S%6f").to_string().into()),
        ("tgt", "salt-call".into()),
    ]
    .into_iter()
    .collect();
    let jid = publish.get("jid").map(ToString::to_string);
    let origin = execute::Origin { jid, publish, accepted: None };
    let called = execute::execute(services, fun, all.clone(), origin, CancellationToken::new());
    let outcome = if print::errors_are_terminal() {
        tokio::select! {
            outcome = called => outcome,
            () = show_progress(Arc::clone(services)) => Outcome::failed("the call was given up".to_owned()),
        }
    } else {
        called.await
    };
    print::progress_ended();
    if !services.config.local && !args.no_return_event {
        report(services, fun, &all, &outcome).await;
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

fn finish(services: &Services, fun: &str, args: &CallArgs, outcome: &Outcome) -> anyhow::Result<ExitCode> {
    if let Some(error) = &outcome.error {
        return Ok(refused(services, fun, error));
    }
    let out = &args.output;
    let color = out.force_color || (!out.no_color && out.out_file.is_none() && print::is_terminal());
    let layout = layout(out, outcome);
    let text = print::laid_out(layout, &outcome.value, &options(services, out, color), out.out_indent);
    match &out.out_file {
        Some(path) => print::to_file(path, &text, out.out_file_append)?,
        None => print::returned(layout, &text),
    }
    Ok(exit_code(args, outcome))
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

/// The layout that was asked for, or the one that suits the return: a state run that did not happen is a list, which Salt's
/// highstate outputter prints as well.
fn layout(args: &OutputArgs, outcome: &Outcome) -> Layout {
    match args.out.as_deref() {
        Some("newline_values_only") => Layout::Values,
        asked => Layout::Salt(
            asked.and_then(Outputter::from_name).unwrap_or_else(|| Outputter::for_return(outcome.out)),
        ),
    }
}

fn options(services: &Services, args: &OutputArgs, color: bool) -> Options {
    let config = &services.config;
    let state_output =
        args.state_output.clone().or_else(|| config.str_opt("state_output")).unwrap_or_default();
    let verbose = args.state_verbose.as_ref().map(|given| given.eq_ignore_ascii_case("true"));
    Options {
        color,
        state_verbose: verbose.unwrap_or_else(|| config.bool_opt("state_verbose", true)),
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
