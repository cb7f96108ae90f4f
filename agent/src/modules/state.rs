//! Salt's `state` module: apply states, or show what would be applied.
//!
//! One run at a time: a second one gets Salt's sentence about the first and retcode 1, waits with `queue=True`,
//! or runs beside it with `concurrent=True`. Retcodes: 1 for states that do not compile, 2 for failed states,
//! 5 for a pillar with errors.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::path::PathBuf;

use futures_util::future::BoxFuture;
use states::{Compiler, Map, Request, Value};

use crate::{
    job::{Queueing, StateHolder},
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
    policy,
    state_run::{self, NotRun, Settings, all_succeeded, soft_kill},
};

mod functions;
mod requests;

use functions::FUNCTIONS;

/// The module.
pub struct State;

impl Module for State {
    fn name(&self) -> &'static str {
        "state"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        Box::pin(async move {
            match fun {
                "running" => Ok(running(call)),
                "apply" | "sls" | "highstate" | "single" | "high" | "template_str" | "test" | "sls_id"
                | "low" | "template" => exclusive(fun, &args, call).await,
                "soft_kill" => {
                    let id = args.optional_text("state_id")?;
                    soft_kill::want(&args.text("jid")?, id.as_deref());
                    Ok(Value::Nil)
                }
                "request" | "check_request" | "clear_request" | "run_request" => {
                    requests::answer(fun, &args, call).await
                }
                _ => show(fun, &args, call).await,
            }
        })
    }
}

fn running(call: &CallContext) -> Value {
    let holder = call.services.jobs.states.holder();
    holder.map(|holder| Value::from(holder.sentence())).into_iter().collect::<Vec<_>>().into()
}

/// Runs when it is this run's turn.
async fn exclusive(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let request = match request(fun, args, call)? {
        Ok(request) => {
            Wanted { request, id: (fun == "sls_id").then(|| args.get("id_").to_string()), one: fun == "low" }
        }
        Err(errors) => {
            call.set_retcode(1);
            return Ok(Value::List(errors.into_iter().map(Value::from).collect()));
        }
    };
    let settings = settings(fun, args, call)?;
    if args.keyword("concurrent").is_some_and(Value::is_truthy) {
        return run(request, settings, call).await;
    }
    let jid = call.jid.clone().unwrap_or_else(|| "req".to_owned());
    let wanted = StateHolder { fun: format!("state.{fun}"), jid };
    let turn = match call.services.jobs.states.enter(wanted, queueing(args, call)).await {
        Ok(turn) => turn,
        Err(holder) => {
            call.set_retcode(1);
            return Ok(Value::List(vec![holder.sentence().into()]));
        }
    };
    let done = run(request, settings, call).await;
    drop(turn);
    done
}

/// `queue=`, or the option `state_queue`: a truth, or how many may run and wait at once (0 for no bound).
fn queueing(args: &Arguments, call: &CallContext) -> Queueing {
    let given = args.keyword("queue").filter(|queue| !queue.is_nil());
    match given.or_else(|| call.services.config.opts.get("state_queue")) {
        Some(Value::Int(0)) => Queueing::Wait,
        Some(Value::Int(most)) => usize::try_from(*most).map_or(Queueing::Wait, Queueing::Within),
        Some(queue) if queue.is_truthy() => Queueing::Wait,
        Some(_) | None => Queueing::Refused,
    }
}

/// What is run, and what of it.
struct Wanted {
    request: Request,
    /// The only ID that is run.
    id: Option<String>,
    /// Whether the return is that of the one state, not a map of returns.
    one: bool,
}

async fn run(wanted: Wanted, settings: Settings, call: &CallContext) -> Result<Value, ModuleError> {
    let Wanted { request, id, one } = wanted;
    let (mods, env) = (sls_names(&request), settings.saltenv.clone().unwrap_or_else(|| "base".to_owned()));
    let done = match (state_run::prepare(call, settings).await, &id) {
        (Ok(prepared), Some(id)) => prepared.run_id(request, id).await,
        (Ok(prepared), None) => prepared.run(request).await.map(Some),
        (Err(not_run), _) => Err(not_run),
    };
    match done {
        Ok(Some(returns)) => {
            call.set_retcode(if all_succeeded(&returns) { 0 } else { 2 });
            let first = returns.values().next().filter(|_| one).cloned();
            Ok(first.unwrap_or_else(|| returns.into()))
        }
        Ok(None) => {
            let id = id.unwrap_or_default();
            Err(ModuleError::Invocation(format!(
                "No matches for ID '{id}' found in SLS '{mods}' within saltenv '{env}'"
            )))
        }
        Err(not_run) => refused(not_run, call),
    }
}

/// What a run that did not start returns.
fn refused(not_run: NotRun, call: &CallContext) -> Result<Value, ModuleError> {
    match not_run {
        NotRun::Pillar(errors) => {
            call.set_retcode(5);
            let first = Value::from("Pillar failed to render with the following messages:");
            Ok(Value::List([first].into_iter().chain(errors).collect()))
        }
        NotRun::Compile(errors) => {
            call.set_retcode(1);
            Ok(Value::List(errors.into_iter().map(Value::from).collect()))
        }
        NotRun::Unavailable(why) => Err(ModuleError::Execution(why)),
    }
}

/// The SLS names of a request as they were given.
fn sls_names(request: &Request) -> String {
    match request {
        Request::Sls { mods, .. } => mods.join(","),
        Request::Highstate { .. } | Request::Single { .. } | Request::High(_) | Request::Template(_) => {
            String::new()
        }
    }
}

/// What is asked for, or the compiler's refusal of it.
fn request(
    fun: &str,
    args: &Arguments,
    call: &CallContext,
) -> Result<Result<Request, Vec<String>>, ModuleError> {
    if fun == "low" {
        return Ok(low_chunk(args.get("data")));
    }
    if fun == "template" {
        let path = PathBuf::from(args.text("tem")?);
        let path = if path.extension().is_some_and(|ending| ending == "sls") {
            path
        } else {
            PathBuf::from(format!("{}.sls", path.display()))
        };
        policy::may_read(&call.services.config, &path)
            .map_err(|error| ModuleError::Execution(error.to_string()))?;
        let text = std::fs::read_to_string(&path)
            .map_err(|error| ModuleError::Execution(format!("{}: {error}", path.display())))?;
        return Ok(Ok(Request::Template(text)));
    }
    plain_request(fun, args).map(Ok)
}

/// A low chunk as a single state.
fn low_chunk(data: &Value) -> Result<Request, Vec<String>> {
    let part = |key: &str| data.get(key).filter(|value| !value.is_nil()).map(ToString::to_string);
    let missing: Vec<String> = ["state", "fun", "name"]
        .into_iter()
        .filter(|key| part(key).is_none())
        .map(|key| format!("Missing \"{key}\" data"))
        .collect();
    let (Some(state), Some(fun), Some(name)) = (part("state"), part("fun"), part("name")) else {
        return Err(missing);
    };
    let own = |key: &Value| matches!(key.as_str(), Some("state" | "fun" | "name" | "order"));
    let kwargs = data.as_map().into_iter().flatten().filter(|(key, _)| !own(key));
    let kwargs = kwargs.map(|(key, value)| (key.clone(), value.clone())).collect();
    Ok(Request::Single { fun: format!("{state}.{fun}"), name, kwargs })
}

fn plain_request(fun: &str, args: &Arguments) -> Result<Request, ModuleError> {
    let exclude = list(args.keyword("exclude"));
    let mods = || {
        let mods = list(args.keyword("mods"));
        mods.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    Ok(match fun {
        "single" => {
            let kwargs = args.keywords.iter().filter(|(key, _)| !is_control(key));
            let kwargs = kwargs.map(|(key, value)| (key.clone(), value.clone())).collect();
            Request::Single { fun: args.text("fun")?, name: args.get("name").to_string(), kwargs }
        }
        "high" => match args.get("data") {
            Value::Map(high) => Request::High(high.clone()),
            _ => return Err(ModuleError::Invocation("data must be a mapping of high data".to_owned())),
        },
        "template_str" => Request::Template(args.text("tem")?),
        "highstate" => Request::Highstate { exclude },
        _ if mods().is_empty() => Request::Highstate { exclude },
        _ => Request::Sls { mods: mods(), exclude },
    })
}

/// A list, or a text with commas.
fn list(value: Option<&Value>) -> Vec<Value> {
    match value {
        None | Some(Value::Nil) => Vec::new(),
        Some(Value::List(items)) => items.clone(),
        Some(Value::Str(text)) => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Value::from).collect()
        }
        Some(other) => vec![other.to_string().into()],
    }
}

fn is_control(key: &Value) -> bool {
    const CONTROL: [&str; 9] = [
        "test",
        "queue",
        "concurrent",
        "saltenv",
        "pillarenv",
        "pillar",
        "pillar_enc",
        "state_events",
        "mock",
    ];
    key.as_str().is_some_and(|key| key.starts_with("__pub_") || CONTROL.contains(&key))
}

fn settings(fun: &str, args: &Arguments, call: &CallContext) -> Result<Settings, ModuleError> {
    let text = |key: &str| args.keyword(key).filter(|value| value.is_truthy()).map(ToString::to_string);
    let pillar = match args.keyword("pillar") {
        None | Some(Value::Nil) => Map::new(),
        Some(Value::Map(pillar)) => pillar.clone(),
        Some(_) => {
            let text = "Pillar data must be formatted as a dictionary, unless pillar_enc is specified.";
            return Err(ModuleError::Invocation(text.to_owned()));
        }
    };
    let test = match args.keyword("test") {
        _ if fun == "test" => Some(true),
        None | Some(Value::Nil) => None,
        Some(value) => Some(value.is_truthy()),
    };
    let saltenv = text("saltenv").or_else(|| call.services.config.str_opt("saltenv"));
    let events = args.keyword("state_events").filter(|value| !value.is_nil()).map(Value::is_truthy);
    let is_sls = args.keyword("mods").is_some_and(Value::is_truthy);
    let shown_saltenv = is_sls.then(|| saltenv.clone().unwrap_or_else(|| "base".to_owned()));
    Ok(Settings { saltenv, shown_saltenv, pillarenv: text("pillarenv"), pillar, test, events })
}

/// Shows a step of the compilation; nothing runs, so nothing waits for another run.
async fn show(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let prepared = match state_run::prepare(call, settings(fun, args, call)?).await {
        Ok(prepared) => prepared,
        Err(NotRun::Pillar(errors)) => {
            call.set_retcode(5);
            let list = errors.iter().map(|error| format!("- {error}")).collect::<Vec<_>>().join("\n");
            let text = format!("Pillar failed to render. Additional info follows:\n\n{list}");
            return Err(ModuleError::Execution(text));
        }
        Err(not_run) => return refused(not_run, call),
    };
    let request = plain_request(
        if matches!(fun, "show_top" | "show_highstate" | "show_lowstate" | "show_states") {
            "highstate"
        } else {
            "sls"
        },
        args,
    )?;
    let (ids, step) = (list(args.keyword("ids")), fun.to_owned());
    let shown = prepared.compiling(move |compiler| steps(&step, compiler, &request, &ids)).await;
    match shown {
        Err(NotRun::Compile(_)) if fun == "sls_exists" => Ok(false.into()),
        Err(not_run) => refused(not_run, call),
        Ok(None) => Err(ModuleError::NotAvailable { fun: format!("state.{fun}") }),
        Ok(Some(value)) => Ok(value),
    }
}

fn steps(
    fun: &str,
    compiler: &Compiler<'_>,
    request: &Request,
    ids: &[Value],
) -> Result<Option<Value>, Vec<String>> {
    Ok(Some(match fun {
        "show_top" => compiler.top()?.into(),
        "show_sls" => compiler.show_sls(mods(request))?.high.into(),
        "show_highstate" => compiler.high(request)?.high.into(),
        "show_low_sls" => compiler.show_low_sls(mods(request))?.to_value(),
        "show_lowstate" => compiler.low(request)?.to_value(),
        "show_states" => {
            let low = compiler.low(request)?;
            let mut names: Vec<&str> = Vec::new();
            for chunk in low.in_order().filter(|chunk| !chunk.sls.is_empty()) {
                if !names.contains(&chunk.sls.as_str()) {
                    names.push(&chunk.sls);
                }
            }
            names.into_iter().map(Value::from).collect::<Vec<_>>().into()
        }
        "sls_exists" => compiler.show_sls(mods(request)).map(|_| Value::Bool(true))?,
        "id_exists" => {
            let low = compiler.show_low_sls(mods(request))?;
            let known = |id: &Value| low.in_order().any(|chunk| Some(chunk.id.as_str()) == id.as_str());
            ids.iter().all(known).into()
        }
        _ => return Ok(None),
    }))
}

/// The SLS names of a request.
fn mods(request: &Request) -> &[String] {
    match request {
        Request::Sls { mods, .. } => mods,
        Request::Highstate { .. } | Request::Single { .. } | Request::High(_) | Request::Template(_) => &[],
    }
}
