//! `win_defender.exclusion_present` and `exclusion_absent`: what Windows Defender leaves alone. Salt has no such states.
//!
//! `name` is a folder or file; with `kind: process` a program, with `kind: extension` an ending. Where Defender is not
//! installed there is nothing to set: the state succeeds and says so. Whether Defender is on is not asked.

use futures_util::future::BoxFuture;
use states::{Map, StateReturn};

use crate::{
    defender::{self, Change, Kind},
    policy,
    state_modules::{RunMode, StateArgs, StateContext, StateModule},
};

/// The module.
pub struct WinDefender;

impl StateModule for WinDefender {
    fn name(&self) -> &'static str {
        "win_defender"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["exclusion_present", "exclusion_absent"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        let change = if fun == "exclusion_present" { Change::Add } else { Change::Remove };
        Box::pin(async move { converge(change, args, run).await.unwrap_or_else(StateReturn::failed) })
    }
}

async fn converge(change: Change, args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let name = &args.name;
    let kind = args.text("kind").unwrap_or_else(|| "path".to_owned());
    let kind =
        Kind::parse(&kind).ok_or(format!("Invalid kind: {kind}. Valid are path, process, extension"))?;
    if !defender::is_there() {
        return Ok(StateReturn::ok(not_there(change, name)));
    }
    let said = |error: defender::DefenderError| error.to_string();
    let wanted = change == Change::Add;
    if defender::exclusions(kind).await.map_err(said)?.contain(name) == wanted {
        let already = if wanted { "leaves it alone" } else { "looks at it" };
        return Ok(StateReturn::ok(format!("{name}: Defender {already} already")));
    }
    let becomes = if wanted { "excluded" } else { "no longer excluded" };
    let changes: Map = [(name.as_str(), becomes)].into_iter().collect();
    if run.mode == RunMode::Test {
        return Ok(StateReturn::would_change(format!("{name} would be {becomes} from Defender"), changes));
    }
    policy::may_exclude(&run.services.config, name).map_err(|error| error.to_string())?;
    defender::change(change, kind, name).await.map_err(said)?;
    if defender::exclusions(kind).await.map_err(said)?.contain(name) != wanted {
        return Err(format!(
            "{name}: Defender took the change but did not make it; a group policy or tamper protection decides on this machine"
        ));
    }
    Ok(StateReturn::changed(format!("{name} is {becomes} from Defender"), changes))
}

fn not_there(change: Change, name: &str) -> String {
    match change {
        Change::Add => format!(
            "Windows Defender is not on this machine, so nothing is set; if another antivirus is, it must be told to leave {name} alone"
        ),
        Change::Remove => "Windows Defender is not on this machine, so nothing is set".to_owned(),
    }
}
