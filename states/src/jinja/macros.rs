//! Macros that take more arguments than they name: Jinja's `varargs` and `kwargs`, which the engine's macros do not have.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, Value as Jinja};
use minijinja::{Error, State};

use super::objects::{dict, items_of, list};

/// A macro whose last two arguments are what the caller gave beyond the others.
struct TakesMore {
    inner: Jinja,
    name: String,
}

/// The function that gives such a macro its name.
pub(super) fn takes_more(inner: Jinja, name: String) -> Jinja {
    Jinja::from_object(TakesMore { inner, name })
}

impl TakesMore {
    fn arguments(&self) -> Vec<Jinja> {
        let mut names = items_of(&self.inner.get_attr("arguments").unwrap_or_default());
        names.truncate(names.len().saturating_sub(2));
        names
    }
}

impl Object for TakesMore {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["name", "arguments", "caller"])
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        match key.as_str()? {
            "name" => Some(Jinja::from(self.name.as_str())),
            "arguments" => Some(list(self.arguments())),
            other => self.inner.get_attr(other).ok(),
        }
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Jinja]) -> Result<Jinja, Error> {
        let names = self.arguments();
        let (positional, named) = match args.split_last() {
            Some((last, rest)) if last.is_kwargs() => (rest, Some(Kwargs::try_from(last.clone())?)),
            Some(_) | None => (args, None),
        };
        let (own, more) = positional.split_at(positional.len().min(names.len()));
        let (mut given, mut rest) = (vec![("varargs", list(more.to_vec()))], Vec::new());
        if let Some(named) = &named {
            for name in named.args() {
                let value = named.get::<Jinja>(name)?;
                let known = name == "caller" || names.iter().any(|own| own.as_str() == Some(name));
                if known { given.push((name, value)) } else { rest.push((Jinja::from(name), value)) }
            }
        }
        given.push(("kwargs", dict(rest)));
        let mut all = own.to_vec();
        all.push(given.into_iter().collect::<Kwargs>().into());
        self.inner.call(state, &all)
    }

    fn render(self: &Arc<Self>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "<macro {}>", self.name)
    }
}

impl fmt::Debug for TakesMore {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "<macro {}>", self.name)
    }
}
