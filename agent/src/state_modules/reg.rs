//! Salt's `reg` state module: keys and values of the registry of Windows. Where there is none, the module is absent.
//!
//! Owners and permissions of keys (`win_owner`, `win_perms` …) are refused: no part of a practice's access lists is changed
//! by half.

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::{
    config::Config,
    modules::reg::{delete_tree, read},
    policy,
    registry::{Key, Kind, Registry},
    state_modules::{RunMode, StateArgs, StateContext, StateModule},
};

/// The module over a registry.
pub struct Reg<R>(pub R);

impl<R: Registry> StateModule for Reg<R> {
    fn name(&self) -> &'static str {
        "reg"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["present", "absent", "key_absent"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        let done = converge(fun, args, run.mode, &self.0, &run.services.config);
        Box::pin(std::future::ready(done.unwrap_or_else(StateReturn::failed)))
    }
}

fn converge(
    fun: &str,
    args: &StateArgs,
    mode: RunMode,
    registry: &dyn Registry,
    config: &Config,
) -> Result<StateReturn, String> {
    let key =
        Key::parse(&args.name, args.flag("use_32bit_registry", false)).map_err(|error| error.to_string())?;
    let target = Target { key, name: args.text("vname"), registry, mode, config };
    match fun {
        "present" => target.present(args),
        "absent" => target.absent(args),
        _ => target.key_absent(args),
    }
}

/// The key, or value of a key, that a state is about.
struct Target<'r> {
    key: Key,
    name: Option<String>,
    registry: &'r dyn Registry,
    mode: RunMode,
    config: &'r Config,
}

impl Target<'_> {
    fn shown(&self) -> &str {
        self.name.as_deref().unwrap_or("None")
    }

    fn entry(&self) -> &str {
        self.name.as_deref().filter(|name| !name.is_empty()).unwrap_or("(Default)")
    }

    fn may_write(&self) -> Result<(), String> {
        policy::may_write_registry(self.config, &self.key).map_err(|error| error.to_string())
    }

    fn present(&self, args: &StateArgs) -> Result<StateReturn, String> {
        for option in ["win_owner", "win_perms", "win_deny_perms", "win_perms_reset"] {
            if args.flag(option, false) {
                return Err(format!("The '{option}' option of reg.present is not supported by this minion"));
            }
        }
        let kind = args.text("vtype").unwrap_or_else(|| "REG_SZ".to_owned());
        let kind = Kind::parse(&kind).map_err(|error| error.to_string())?;
        let given = args.args.get("vdata").cloned().unwrap_or_default();
        let wanted = kind.cast(&given).map_err(|error| error.to_string())?;
        let held = read(self.registry, &self.key, self.name.as_deref());
        if held.get("success") == Some(&true.into()) && held.get("vdata") == Some(&wanted) {
            return Ok(StateReturn::ok(format!("{} in {} is already present", self.entry(), args.name)));
        }
        let perms: Map = [("Grant", Value::Nil), ("Deny", Value::Nil)].into_iter().collect();
        let change: Map = [
            ("Key", Value::from(self.key.to_string())),
            ("Entry", self.entry().into()),
            ("Value", wanted.clone()),
            ("Owner", Value::Nil),
            ("Perms", perms.into()),
            ("Inheritance", args.flag("win_inheritance", true).into()),
        ]
        .into_iter()
        .collect();
        let (key, shown) = (&self.key, self.shown());
        if self.mode == RunMode::Test {
            return Ok(StateReturn::would_change(
                format!("Will add {shown} to {key}"),
                under("Will add", change),
            ));
        }
        self.may_write()?;
        let raw = kind.encode(&wanted).map_err(|error| error.to_string())?;
        self.registry
            .write(&self.key, self.name.as_deref().unwrap_or_default(), &raw)
            .map_err(|error| format!("Failed to add {shown} to {key}: {error}"))?;
        Ok(StateReturn::changed(format!("Added {shown} to {key}"), under("Added", change)))
    }

    fn absent(&self, args: &StateArgs) -> Result<StateReturn, String> {
        let held = read(self.registry, &self.key, self.name.as_deref());
        let unset = held.get("vdata").and_then(Value::as_str) == Some("(value not set)");
        if held.get("success") != Some(&true.into()) || unset {
            return Ok(StateReturn::ok(format!("{} is already absent", args.name)));
        }
        let (key, shown) = (&self.key, self.shown());
        let change: Map =
            [("Key", Value::from(key.to_string())), ("Entry", self.entry().into())].into_iter().collect();
        if self.mode == RunMode::Test {
            let comment = format!("Will remove {shown} to {key}");
            return Ok(StateReturn::would_change(comment, under("Will remove", change)));
        }
        self.may_write()?;
        let (path, hive) = (&key.path, key.hive_name());
        self.registry
            .delete_value(key, self.name.as_deref().unwrap_or_default())
            .map_err(|error| format!("Failed to remove {path} from {hive}: {error}"))?;
        Ok(StateReturn::changed(format!("Removed {path} from {hive}"), under("Removed", change)))
    }

    fn key_absent(&self, args: &StateArgs) -> Result<StateReturn, String> {
        let is_there = || read(self.registry, &self.key, None).get("success") == Some(&true.into());
        if !is_there() {
            return Ok(StateReturn::ok(format!("{} is already absent", args.name)));
        }
        let key = &self.key;
        let change: Map = [("Key", key.to_string())].into_iter().collect();
        if self.mode == RunMode::Test {
            return Ok(StateReturn::would_change(format!("Will remove {key}"), under("Will remove", change)));
        }
        self.may_write()?;
        delete_tree(self.registry, key);
        if is_there() {
            return Err(format!("Failed to remove registry key {}", args.name));
        }
        Ok(StateReturn::changed(format!("Removed {key}"), under("Removed", change)))
    }
}

/// Changes as Salt shapes them: `{reg: {Added: …}}`.
fn under(what: &str, change: Map) -> Map {
    let inner: Map = [(what, change)].into_iter().collect();
    [("reg", inner)].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::memory::Memory;

    fn state(registry: &Memory, fun: &str, mode: RunMode, args: &str) -> StateReturn {
        let opts = states::yaml::load(
            "{root_dir: /nowhere, master: localhost, id: m1, agent: {writable_registry: 'HKLM\\SOFTWARE\\Vendor*'}}",
        );
        let opts = opts.unwrap().as_map().cloned().unwrap();
        let config = Config::from_options(std::path::Path::new("/nowhere/etc"), opts).unwrap();
        let mut args = states::yaml::load(args).unwrap().as_map().cloned().unwrap();
        let text = |value: &str| value.to_owned();
        let name = args.remove("name").unwrap().to_string();
        let args = StateArgs {
            name,
            id: text("i"),
            sls: text("a"),
            saltenv: text("base"),
            args,
            require: Vec::new(),
        };
        converge(fun, &args, mode, registry, &config).unwrap_or_else(StateReturn::failed)
    }

    #[test]
    fn a_value_is_made_present_and_absent_as_salt_tells_it() {
        let registry = Memory::default();
        let value =
            "{name: 'HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor', vname: port, vdata: 8080, vtype: REG_DWORD}";
        let dry = state(&registry, "present", RunMode::Test, value);
        assert_eq!(
            (dry.result, dry.comment.as_str()),
            (None, "Will add port to HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor")
        );
        let done = state(&registry, "present", RunMode::Apply, value);
        assert_eq!(done.comment, "Added port to HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor");
        assert_eq!(done.changes.get("reg").unwrap().get("Added").unwrap().get("Value"), Some(&8080.into()));
        let again = state(&registry, "present", RunMode::Apply, value);
        assert_eq!(again.comment, "port in HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor is already present");
        let gone =
            state(&registry, "absent", RunMode::Apply, "{name: 'HKLM\\SOFTWARE\\Vendor', vname: port}");
        assert_eq!(gone.comment, "Removed SOFTWARE\\Vendor from HKLM");
        let again =
            state(&registry, "absent", RunMode::Apply, "{name: 'HKLM\\SOFTWARE\\Vendor', vname: port}");
        assert_eq!(
            (again.result, again.comment.as_str()),
            (Some(true), "HKLM\\SOFTWARE\\Vendor is already absent")
        );
        let key = state(&registry, "key_absent", RunMode::Apply, "{name: 'HKLM\\SOFTWARE\\Vendor'}");
        assert_eq!((key.result, key.comment.as_str()), (Some(true), "Removed HKLM\\SOFTWARE\\Vendor"));
        let again = state(&registry, "key_absent", RunMode::Apply, "{name: 'HKLM\\SOFTWARE\\Vendor'}");
        assert_eq!(again.comment, "HKLM\\SOFTWARE\\Vendor is already absent");
    }

    #[test]
    fn what_is_not_done_is_said() {
        let registry = Memory::default();
        let refused = |args: &str| state(&registry, "present", RunMode::Apply, args).comment;
        let owner = refused("{name: 'HKLM\\SOFTWARE\\Vendor', vdata: x, win_owner: Administrators}");
        assert_eq!(owner, "The 'win_owner' option of reg.present is not supported by this minion");
        assert!(refused("{name: 'HKLM\\SYSTEM\\x', vdata: x}").contains("writable_registry"));
        assert!(
            refused("{name: 'HKLM\\SOFTWARE\\Vendor', vdata: x, vtype: REG_DWORD}").contains("REG_DWORD")
        );
        assert!(refused("{name: 'HKLM\\SOFTWARE\\Vendor', vtype: REG_TEXT}").contains("REG_TEXT"));
    }
}
