//! Salt's `reg` module: the registry of Windows. Where there is none, the module is absent, as with Salt.
//!
//! What changes a key is held to the local policy (`agent: writable_registry`).

use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::{
    config::Config,
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
    policy,
    registry::{Key, Kind, Raw, Registry, RegistryError},
};

/// The module over a registry.
pub struct Reg<R>(pub R);

impl<R: Registry> Module for Reg<R> {
    fn name(&self) -> &'static str {
        "reg"
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
        Box::pin(std::future::ready(answer(fun, &args, &self.0, &call.services.config)))
    }
}

fn answer(
    fun: &str,
    args: &Arguments,
    registry: &dyn Registry,
    config: &Config,
) -> Result<Value, ModuleError> {
    if fun == "broadcast_change" {
        return Ok(registry.broadcast_change().into());
    }
    let key = args.optional_text("key")?.unwrap_or_default();
    let key = Key::new(&args.text("hive")?, &key, args.truth("use_32bit_registry")).map_err(failed)?;
    let name = args.optional_text("vname")?;
    if matches!(fun, "set_value" | "delete_value" | "delete_key_recursive") {
        policy::may_write_registry(config, &key)
            .map_err(|error| ModuleError::Execution(error.to_string()))?;
    }
    match fun {
        "key_exists" => match registry.values(&key) {
            // A key that may not be read is there.
            Ok(_) | Err(RegistryError::Denied(_)) => Ok(true.into()),
            Err(RegistryError::NoKey(_)) => Ok(false.into()),
            Err(error) => Err(failed(error)),
        },
        "value_exists" => match registry.read(&key, name.as_deref().unwrap_or_default()) {
            Ok(_) => Ok(true.into()),
            Err(RegistryError::NoValue { .. }) => Ok(name.is_none().into()),
            Err(RegistryError::NoKey(_)) => Ok(false.into()),
            Err(error) => Err(failed(error)),
        },
        "list_keys" => listed(registry.keys(&key).map(|names| names.into_iter().map(Value::from).collect())),
        "list_values" => listed(registry.values(&key).map(|values| {
            values
                .iter()
                .map(|(name, raw)| told(&key, Some(name).filter(|name| !name.is_empty()), raw))
                .collect()
        })),
        "read_value" => Ok(read(registry, &key, name.as_deref())),
        "set_value" => {
            let kind = Kind::parse(&args.text("vtype")?).map_err(failed)?;
            let raw = kind.encode(args.get("vdata")).map_err(failed)?;
            Ok(done(&key, registry.write(&key, name.as_deref().unwrap_or_default(), &raw)).into())
        }
        "delete_value" => match registry.delete_value(&key, name.as_deref().unwrap_or_default()) {
            Ok(()) => Ok(true.into()),
            Err(RegistryError::NoKey(_) | RegistryError::NoValue { .. }) => Ok(Value::Nil),
            Err(error) => Err(failed(error)),
        },
        "delete_key_recursive" => Ok(delete_tree(registry, &key)),
        _ => Err(ModuleError::NotAvailable { fun: format!("reg.{fun}") }),
    }
}

fn failed(error: RegistryError) -> ModuleError {
    ModuleError::Execution(error.to_string())
}

fn done(key: &Key, result: Result<(), RegistryError>) -> bool {
    result.inspect_err(|error| tracing::error!(%key, %error, "the registry was not changed")).is_ok()
}

/// What Salt answers for a list that it cannot give: False and why.
fn listed(list: Result<Vec<Value>, RegistryError>) -> Result<Value, ModuleError> {
    match list {
        Ok(items) => Ok(Value::List(items)),
        Err(error @ (RegistryError::NoKey(_) | RegistryError::Denied(_))) => {
            Ok(Value::List(vec![false.into(), error.to_string().into()]))
        }
        Err(error) => Err(failed(error)),
    }
}

fn told(key: &Key, name: Option<&String>, raw: &Raw) -> Value {
    let name = name.map_or("(Default)", String::as_str);
    let pairs = [
        ("hive", Value::from(key.hive_name())),
        ("key", key.path.as_str().into()),
        ("vname", name.into()),
        ("vdata", raw.decode()),
        ("vtype", Kind::of_number(raw.number).name().into()),
        ("success", true.into()),
    ];
    pairs.into_iter().collect::<Map>().into()
}

/// A value as `reg.read_value` tells of it. A key without a default value has `(value not set)`.
pub fn read(registry: &dyn Registry, key: &Key, name: Option<&str>) -> Value {
    let given = name.map(str::to_owned).filter(|name| !name.is_empty());
    let value = match registry.read(key, name.unwrap_or_default()) {
        Ok(raw) => return told(key, given.as_ref(), &raw),
        Err(RegistryError::NoValue { .. }) if name.is_none() => {
            [("vdata", Value::from("(value not set)")), ("vtype", "REG_SZ".into()), ("success", true.into())]
                .to_vec()
        }
        Err(error) => [
            ("vdata", Value::Nil),
            ("vtype", Value::Nil),
            ("success", false.into()),
            ("comment", error.to_string().into()),
        ]
        .to_vec(),
    };
    let place = [
        ("hive", Value::from(key.hive_name())),
        ("key", key.path.as_str().into()),
        ("vname", given.unwrap_or_else(|| "(Default)".to_owned()).into()),
    ];
    place.into_iter().chain(value).collect::<Map>().into()
}

/// Removes a key with all below, unless that would be most of a hive.
pub fn delete_tree(registry: &dyn Registry, key: &Key) -> Value {
    if key.is_close_to_root() {
        tracing::error!(%key, "too close to the root of the registry, not safe to remove");
        return false.into();
    }
    let list = |items: Vec<Value>| Value::List(items);
    let (deleted, failed) = match registry.delete_tree(key) {
        Ok(()) => (list(vec![key.to_string().into()]), list(Vec::new())),
        Err(RegistryError::NoKey(_)) => return false.into(),
        Err(error) => (list(Vec::new()), list(vec![format!("{key} {error}").into()])),
    };
    [("Deleted", deleted), ("Failed", failed)].into_iter().collect::<Map>().into()
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "broadcast_change",
        signature: "",
        doc: "Tells the programs of whoever is logged on that the environment changed.",
    },
    FunctionSpec {
        name: "delete_key_recursive",
        signature: "hive, key, use_32bit_registry=False",
        doc: "Removes a key of the registry with everything below.",
    },
    FunctionSpec {
        name: "delete_value",
        signature: "hive, key, vname=None, use_32bit_registry=False",
        doc: "Removes a value of a key.",
    },
    FunctionSpec {
        name: "key_exists",
        signature: "hive, key, use_32bit_registry=False",
        doc: "Tells whether there is such a key.",
    },
    FunctionSpec {
        name: "list_keys",
        signature: "hive, key=None, use_32bit_registry=False",
        doc: "Lists the keys right below one.",
    },
    FunctionSpec {
        name: "list_values",
        signature: "hive, key=None, use_32bit_registry=False",
        doc: "Lists the values of a key.",
    },
    FunctionSpec {
        name: "read_value",
        signature: "hive, key, vname=None, use_32bit_registry=False",
        doc: "Reads a value of a key.",
    },
    FunctionSpec {
        name: "set_value",
        signature: "hive, key, vname=None, vdata=None, vtype='REG_SZ', use_32bit_registry=False, volatile=False",
        doc: "Sets a value of a key, and makes the key when it is not there.",
    },
    FunctionSpec {
        name: "value_exists",
        signature: "hive, key, vname, use_32bit_registry=False",
        doc: "Tells whether a key has such a value.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{modules::Signature, registry::memory::Memory};

    fn config() -> Config {
        let opts = states::yaml::load(
            "{root_dir: /nowhere, master: localhost, id: m1, agent: {writable_registry: ['HKLM\\SOFTWARE\\Vendor*']}}",
        );
        Config::from_options(std::path::Path::new("/nowhere/etc"), opts.unwrap().as_map().cloned().unwrap())
            .unwrap()
    }

    fn call(registry: &Memory, fun: &str, args: &[&str], kwargs: &str) -> Result<Value, ModuleError> {
        let spec = FUNCTIONS.iter().find(|spec| spec.name == fun).unwrap();
        let kwargs = states::yaml::load(kwargs).unwrap().as_map().cloned().unwrap_or_default();
        let args = args.iter().map(|arg| Value::from(*arg)).collect();
        let bound = Signature::parse(spec.signature).bind(fun, args, kwargs)?;
        answer(fun, &bound, registry, &config())
    }

    #[test]
    fn a_value_is_set_read_listed_and_removed() {
        let registry = Memory::default();
        let key = ["HKLM", "SOFTWARE\\Vendor\\App"];
        assert_eq!(call(&registry, "key_exists", &key, "").unwrap(), false.into());
        assert_eq!(
            call(&registry, "set_value", &key, "{vname: port, vdata: 8, vtype: REG_DWORD}").unwrap(),
            true.into()
        );
        let read = call(&registry, "read_value", &["HKLM", "SOFTWARE\\Vendor\\App", "port"], "").unwrap();
        assert_eq!(read.get("vdata"), Some(&8.into()));
        assert_eq!(read.get("vtype"), Some(&"REG_DWORD".into()));
        assert_eq!(
            call(&registry, "list_keys", &["HKLM", "SOFTWARE\\Vendor"], "").unwrap().as_list().unwrap().len(),
            1
        );
        assert_eq!(call(&registry, "list_values", &key, "").unwrap().as_list().unwrap().len(), 1);
        assert_eq!(
            call(&registry, "read_value", &key, "").unwrap().get("vdata"),
            Some(&"(value not set)".into())
        );
        assert_eq!(call(&registry, "delete_value", &key, "{vname: port}").unwrap(), true.into());
        assert_eq!(call(&registry, "delete_value", &key, "{vname: port}").unwrap(), Value::Nil);
        let removed = call(&registry, "delete_key_recursive", &["HKLM", "SOFTWARE\\Vendor"], "").unwrap();
        assert_eq!(removed.get("Deleted").unwrap().as_list().unwrap().len(), 1);
        assert_eq!(call(&registry, "key_exists", &key, "").unwrap(), false.into());
        let lost = call(&registry, "read_value", &key, "{vname: port}").unwrap();
        assert_eq!(lost.get("comment"), Some(&"Cannot find key: HKLM\\SOFTWARE\\Vendor\\App".into()));
    }

    #[test]
    fn what_the_practice_did_not_list_is_not_written() {
        let registry = Memory::default();
        let error = call(&registry, "set_value", &["HKLM", "SYSTEM\\x", "v"], "").unwrap_err().to_string();
        assert!(error.contains("writable_registry") && error.contains("HKLM\\SYSTEM\\x"), "{error}");
        let error = call(&registry, "set_value", &["HKQQ", "x"], "").unwrap_err().to_string();
        assert!(error.contains("Invalid Hive: HKQQ"), "{error}");
    }
}
