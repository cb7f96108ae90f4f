//! Salt's `cmd` state module: `run` and `wait`, when the local policy allows commands.

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::{
    command::{self, CommandError},
    modules::cmd::{all, request},
    policy,
    state_modules::{RunMode, StateArgs, StateContext, StateModule},
};

/// The module.
pub struct Cmd;

impl StateModule for Cmd {
    fn name(&self) -> &'static str {
        "cmd"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["mod_watch", "run", "wait"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            match fun {
                // Only a watch that fires runs it.
                "wait" => StateReturn::ok(""),
                _ => ran(args, run).await.unwrap_or_else(StateReturn::failed),
            }
        })
    }
}

async fn ran(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let name = &args.name;
    if args.args.get("stateful").is_some_and(Value::is_truthy) {
        return Err("The 'stateful' option of cmd.run is not supported by this minion".to_owned());
    }
    policy::may_run(&run.services.config, name).map_err(|error| error.to_string())?;
    if run.mode == RunMode::Test {
        let changes: Map = [("cmd", name.as_str())].into_iter().collect();
        return Ok(StateReturn::would_change(
            format!("Command \"{name}\" would have been executed"),
            changes,
        ));
    }
    let request = request(&name.as_str().into(), &args.args, false)?;
    if let Some(cwd) = request.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
        return Err(format!("Desired working directory \"{}\" is not available", cwd.display()));
    }
    match command::run(&run.services.config, request, &run.cancel).await {
        Ok(output) => {
            let success = output.retcode == 0 || success_codes(args).contains(&output.retcode);
            let changed = StateReturn::changed(format!("Command \"{name}\" run"), all(output));
            Ok(StateReturn { result: Some(success), ..changed })
        }
        Err(error @ CommandError::TimedOut { .. }) => {
            let changes: Map = [
                ("pid", Value::Nil),
                ("retcode", Value::Int(1)),
                ("stdout", error.to_string().into()),
                ("stderr", "".into()),
            ]
            .into_iter()
            .collect();
            Ok(StateReturn {
                result: Some(false),
                ..StateReturn::changed(format!("Command \"{name}\" run"), changes)
            })
        }
        Err(error) => Err(error.to_string()),
    }
}

fn success_codes(args: &StateArgs) -> Vec<i64> {
    let codes = args.args.get("success_retcodes").and_then(Value::as_list).unwrap_or_default();
    codes.iter().filter_map(Value::as_int).collect()
}
