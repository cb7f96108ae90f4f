//! Salt's filters and tests, in front of minijinja's own.
//!
//! A filter here is a plain function over values: the first argument is what is filtered. `FILTERS` is
//! the table that the documentation's yes and no come from: what is in it is built.

use minijinja::value::{Rest, Tuple, Value as Jinja};
use minijinja::{Environment, Error, ErrorKind};

use super::objects::{from_jinja, items_of, list, to_jinja};
use super::salt_object::split;
use crate::{Map, Series, Value};

mod data;
mod lists;
mod network;
mod text;

/// What a filter gets: the filtered value first, then the arguments; and the named arguments.
struct Args {
    values: Vec<Value>,
    named: Map,
    series: Series,
}

/// Why a filter refused: the text Python's function would raise, where it is known.
type Outcome = Result<Value, String>;

type FilterFn = fn(&Args) -> Outcome;

/// Salt's filters that are built, by name.
pub const FILTERS: &[&str] = &{
    let mut names = [""; data::TABLE.len() + lists::TABLE.len() + network::TABLE.len() + text::TABLE.len()];
    let (mut at, mut table) = (0, 0);
    let tables = [data::TABLE, lists::TABLE, network::TABLE, text::TABLE];
    while table < tables.len() {
        let mut row = 0;
        while row < tables[table].len() {
            names[at] = tables[table][row].0;
            at += 1;
            row += 1;
        }
        table += 1;
    }
    names
};

/// Salt's tests that are built, by name.
pub const TESTS: &[&str] = &["match", "equalto", "list"];

/// Filters whose result is a tuple in Python, which prints with parentheses.
const TUPLES: &[&str] = &["regex_search", "regex_match"];

pub(super) fn install(env: &mut Environment<'static>, series: Series) {
    for (name, filter) in [data::TABLE, lists::TABLE, network::TABLE, text::TABLE].concat() {
        env.add_filter(name, move |args: Rest<Jinja>| {
            let outcome = run(filter, &args, series)?;
            Ok::<Jinja, Error>(if TUPLES.contains(&name) && !outcome.is_none() {
                Jinja::from(Tuple::from(items_of(&outcome)))
            } else {
                outcome
            })
        });
    }
    env.add_filter("list", |value: Jinja| -> Result<Jinja, Error> { Ok(list(value.try_iter()?.collect())) });
    env.add_test("match", move |args: Rest<Jinja>| -> Result<bool, Error> {
        Ok(run(text::is_match, &args, series)?.is_true())
    });
    env.add_test("list", |value: Jinja| from_jinja(&value).as_list().is_some() && !value.is_tuple());
}

fn run(filter: FilterFn, args: &[Jinja], series: Series) -> Result<Jinja, Error> {
    let (values, named) = split(args)?;
    let outcome = filter(&Args { values, named, series });
    outcome.map(|value| to_jinja(&value)).map_err(|reason| Error::new(ErrorKind::InvalidOperation, reason))
}

impl Args {
    /// The filtered value.
    fn value(&self) -> &Value {
        self.values.first().unwrap_or(&Value::Nil)
    }

    /// An argument by position (the filtered value is 0) or by name.
    fn get(&self, position: usize, name: &str) -> Option<&Value> {
        self.values.get(position).or_else(|| self.named.get(name))
    }

    fn required(&self, position: usize, name: &str) -> Result<&Value, String> {
        self.get(position, name).ok_or_else(|| format!("missing 1 required positional argument: '{name}'"))
    }

    fn text(&self) -> Result<&str, String> {
        text_of(self.value())
    }

    fn is_set(&self, position: usize, name: &str) -> bool {
        self.get(position, name).is_some_and(Value::is_truthy)
    }
}

fn text_of(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("expected string or bytes-like object, got '{}'", value.type_name()))
}
