//! Salt's `win_firewall` state module: rules and profiles of the firewall of Windows. Absent elsewhere, as with Salt.
//!
//! Salt calls a rule that netsh refused a success; here it fails with netsh's words. `remoteport` is beyond Salt's arguments:
//! a rule for what goes out is about the other side's port.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use states::{Map, StateReturn};

use crate::{
    firewall::{self, FirewallError, Rule},
    policy,
    state_modules::{RunMode, StateArgs, StateContext, StateModule},
};

/// The module.
pub struct WinFirewall;

impl StateModule for WinFirewall {
    fn name(&self) -> &'static str {
        "win_firewall"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["add_rule", "enabled", "disabled"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            let done = match fun {
                "add_rule" => add_rule(args, run).await,
                "enabled" => profiles(args, run, true).await,
                _ => profiles(args, run, false).await,
            };
            done.unwrap_or_else(StateReturn::failed)
        })
    }
}

async fn add_rule(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    match firewall::show(&args.name).await {
        Ok(_) => return Ok(StateReturn::ok("A rule with that name already exists")),
        Err(FirewallError::Refused(_)) => {}
        Err(error) => return Err(error.to_string()),
    }
    let changes: Map = [("new rule", args.name.as_str())].into_iter().collect();
    if run.mode == RunMode::Test {
        return Ok(StateReturn::would_change(format!("Rule {} will be added", args.name), changes));
    }
    let text = |key: &str, default: &str| args.text(key).or_else(|| Some(default.to_owned()));
    let rule = Rule {
        name: args.name.clone(),
        localport: Some(
            args.text("localport").ok_or("Missing parameter localport for state win_firewall.add_rule")?,
        ),
        protocol: text("protocol", "tcp"),
        action: text("action", "allow"),
        direction: text("dir", "in"),
        remoteip: text("remoteip", "any"),
        remoteport: args.text("remoteport"),
    };
    policy::may_change_firewall(&run.services.config).map_err(|error| error.to_string())?;
    firewall::add(&rule).await.map_err(|error| format!("Could not add rule: {error}"))?;
    Ok(StateReturn::changed("", changes))
}

async fn profiles(args: &StateArgs, run: &StateContext, on: bool) -> Result<StateReturn, String> {
    let held = firewall::profiles().await.map_err(|error| error.to_string())?;
    let changes = differing(&args.name, &held, on)?;
    let word = if on { "enabled" } else { "disabled" };
    if changes.is_empty() {
        return Ok(StateReturn::ok(match args.name.as_str() {
            "allprofiles" => format!("All the firewall profiles are {word}"),
            name => format!("Firewall profile {name} is {word}"),
        }));
    }
    if run.mode == RunMode::Test {
        return Ok(StateReturn::would_change(format!("Firewall profiles will be {word}"), changes));
    }
    policy::may_change_firewall(&run.services.config).map_err(|error| error.to_string())?;
    let set = firewall::set_profile(&args.name, on).await;
    set.map_err(|error| format!("Firewall Profile {} could not be {word}: {error}", args.name))?;
    Ok(StateReturn::changed("", changes))
}

/// The profiles that are not as they should be.
fn differing(name: &str, held: &BTreeMap<String, bool>, on: bool) -> Result<Map, String> {
    let profile = match name {
        "domainprofile" => Some("Domain"),
        "privateprofile" => Some("Private"),
        "publicprofile" => Some("Public"),
        "allprofiles" => None,
        other => return Err(format!("Invalid profile name: {other}")),
    };
    if profile.is_some_and(|profile| !held.contains_key(profile)) {
        return Err(format!("Profile {name} does not exist in firewall.get_config"));
    }
    let wanted = |known: &str| profile.is_none_or(|profile| profile == known);
    let word = if on { "enabled" } else { "disabled" };
    let differing = held.iter().filter(|(known, state)| wanted(known) && **state != on);
    Ok(differing.map(|(known, _)| (known.as_str(), word)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_profiles_that_differ_are_changed() {
        let held = [("Domain", true), ("Private", false), ("Public", false)];
        let held = held.map(|(name, on)| (name.to_owned(), on)).into_iter().collect();
        let names = |name: &str, on| differing(name, &held, on).map(|changes| changes.len());
        assert_eq!(names("allprofiles", true), Ok(2));
        assert_eq!(names("domainprofile", true), Ok(0));
        assert_eq!(names("privateprofile", true), Ok(1));
        assert_eq!(names("domainprofile", false), Ok(1));
        assert_eq!(names("home", false), Err("Invalid profile name: home".to_owned()));
    }
}
