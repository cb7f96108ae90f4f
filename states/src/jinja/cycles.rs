//! Jinja's `cycler` and `joiner`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use minijinja::value::{Object, ObjectRepr, Rest, Value as Jinja};
use minijinja::{Error, ErrorKind, State};

/// Hands out its items in turn.
#[derive(Debug)]
struct Cycler {
    items: Vec<Jinja>,
    at: AtomicUsize,
}

/// Prints nothing the first time, its text after that.
#[derive(Debug)]
struct Joiner {
    text: String,
    used: AtomicBool,
}

pub(super) fn cycler(items: Rest<Jinja>) -> Result<Jinja, Error> {
    if items.is_empty() {
        return Err(Error::new(ErrorKind::InvalidOperation, "no items for cycling given"));
    }
    Ok(Jinja::from_object(Cycler { items: items.to_vec(), at: AtomicUsize::new(0) }))
}

pub(super) fn joiner(text: Option<String>) -> Jinja {
    let text = text.unwrap_or_else(|| ", ".to_owned());
    Jinja::from_object(Joiner { text, used: AtomicBool::new(false) })
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        let at = self.at.load(Ordering::Relaxed) % self.items.len();
        (key.as_str() == Some("current")).then(|| self.items[at].clone())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        _args: &[Jinja],
    ) -> Result<Jinja, Error> {
        match method {
            "next" => Ok(self.items[self.at.fetch_add(1, Ordering::Relaxed) % self.items.len()].clone()),
            "reset" => {
                self.at.store(0, Ordering::Relaxed);
                Ok(Jinja::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _state: &mut State<'_, '_>, _args: &[Jinja]) -> Result<Jinja, Error> {
        let used = self.used.swap(true, Ordering::Relaxed);
        Ok(Jinja::from(if used { self.text.as_str() } else { "" }))
    }

    fn render(self: &Arc<Self>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("<Joiner>")
    }
}
