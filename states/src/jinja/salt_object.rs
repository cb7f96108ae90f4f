//! `salt` in templates: `salt['mod.fun'](...)`, `salt.mod.fun(...)`, `'mod.fun' in salt`.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr, Value as Jinja};
use minijinja::{Error, ErrorKind, State};

use super::objects::{self, from_jinja, to_jinja};
use crate::{FunctionError, Functions, Map, Value};

/// The execution modules of the minion.
pub(super) struct Salt(pub(super) Arc<dyn Functions>);

/// `salt.mod`: its functions are attributes.
struct Module {
    functions: Arc<dyn Functions>,
    name: String,
}

/// One function, ready to be called.
struct Function {
    functions: Arc<dyn Functions>,
    name: String,
}

impl Object for Salt {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        let name = key.as_str()?;
        if name.contains('.') {
            return function(&self.0, name);
        }
        Some(Jinja::from_object(Module { functions: Arc::clone(&self.0), name: name.to_owned() }))
    }
}

impl Object for Module {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        function(&self.functions, &format!("{}.{}", self.name, key.as_str()?))
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Jinja],
    ) -> Result<Jinja, Error> {
        let name = format!("{}.{method}", self.name);
        if !self.functions.exists(&name) {
            let missing = FunctionError::NotFound(name);
            return Err(Error::new(ErrorKind::InvalidOperation, missing.to_string()).with_source(missing));
        }
        call(self.functions.as_ref(), &name, args)
    }
}

impl Object for Function {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _state: &mut State<'_, '_>, args: &[Jinja]) -> Result<Jinja, Error> {
        call(self.functions.as_ref(), &self.name, args)
    }
}

fn function(functions: &Arc<dyn Functions>, name: &str) -> Option<Jinja> {
    // Salt aliases the one to the other in templates, so that shell syntax works there.
    let name = if name == "cmd.run" && functions.exists("cmd.shell") { "cmd.shell" } else { name };
    let found = functions.exists(name);
    found.then(|| Jinja::from_object(Function { functions: Arc::clone(functions), name: name.to_owned() }))
}

fn call(functions: &dyn Functions, name: &str, args: &[Jinja]) -> Result<Jinja, Error> {
    let (values, kwargs) = split(args)?;
    let in_place = IN_PLACE.contains(&name) && kwargs.get("in_place").is_none_or(Value::is_truthy);
    let result = functions.call(name, values, kwargs);
    let first = args.first().filter(|_| in_place);
    result
        .map(|value| match first {
            Some(first) if objects::replace(first, &value) => first.clone(),
            Some(_) | None => to_jinja(&value),
        })
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()).with_source(error))
}

/// Functions that change the mapping they are given first, and return it.
const IN_PLACE: [&str; 3] = ["defaults.merge", "defaults.update", "slsutil.update"];

/// Positional and keyword arguments of a template's call.
pub(super) fn split(args: &[Jinja]) -> Result<(Vec<Value>, Map), Error> {
    let mut positional = Vec::new();
    let mut named = Map::new();
    for arg in args {
        if arg.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        if arg.is_kwargs() {
            let kwargs = Kwargs::try_from(arg.clone())?;
            for name in kwargs.args() {
                named.insert(name, from_jinja(&kwargs.get::<Jinja>(name)?));
            }
        } else {
            positional.push(from_jinja(arg));
        }
    }
    Ok((positional, named))
}

impl fmt::Debug for Salt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("<salt.utils.templates.AliasedLoader object>")
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "<module {}>", self.name)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "<function {}>", self.name)
    }
}
