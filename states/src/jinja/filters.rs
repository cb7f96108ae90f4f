//! Salt's filters and tests, in front of minijinja's own.
//!
//! A filter here is a plain function over values: the first argument is what is filtered. What
//! is in the tables is built; the documentation's yes and no come from there.

use std::sync::Arc;

use minijinja::value::{Kwargs, Rest, Tuple, Value as Jinja};
use minijinja::{Environment, Error, ErrorKind, State};

use super::objects::{from_jinja, items_of, list, to_jinja};
use super::salt_object::split;
use crate::{Functions, Map, RenderContext, Series, Value};

mod builtin;
mod chance;
mod data;
mod html;
mod iterate;
mod keys;
mod lists;
mod machine;
mod network;
mod text;

use chance::Dice;

/// What a filter gets: the filtered value first, then the arguments; and the named arguments.
struct Args<'r> {
    values: Vec<Value>,
    named: Map,
    series: Series,
    functions: &'r dyn Functions,
    dice: &'r Dice,
}

/// What the filters of one compilation share.
struct Surroundings {
    series: Series,
    functions: Arc<dyn Functions>,
    dice: Dice,
}

/// Why a filter refused: the text Python's function would raise, where it is known.
type Outcome = Result<Value, String>;

type FilterFn = fn(&Args<'_>) -> Outcome;

/// The tables, one per kind of data.
const TABLES: [&[(&str, FilterFn)]; 10] = [
    builtin::TABLE,
    chance::TABLE,
    data::TABLE,
    html::TABLE,
    iterate::TABLE,
    keys::TABLE,
    lists::TABLE,
    machine::TABLE,
    network::TABLE,
    text::TABLE,
];

/// The filters that are built here, by name.
pub fn filter_names() -> impl Iterator<Item = &'static str> {
    TABLES.into_iter().flatten().map(|(name, _)| *name)
}

/// Salt's tests that are built, by name.
pub const TESTS: &[&str] = &["match", "equalto", "list"];

/// Filters whose result is a tuple in Python, which prints with parentheses.
const TUPLES: &[&str] = &["regex_search", "regex_match"];

/// Filters whose result is a list of tuples.
const LISTS_OF_TUPLES: &[&str] =
    &["combinations", "combinations_with_replacement", "permutations", "product", "zip", "zip_longest"];

pub(super) fn install(
    env: &mut Environment<'static>,
    functions: Arc<dyn Functions>,
    context: &RenderContext,
) {
    let around = Arc::new(Surroundings { series: context.series, functions, dice: Dice::new(context.seed) });
    for (name, filter) in TABLES.concat() {
        let around = Arc::clone(&around);
        env.add_filter(name, move |args: Rest<Jinja>, kwargs: Kwargs| {
            run(filter, &args, &kwargs, &around).map(|outcome| shaped(name, outcome))
        });
    }
    env.add_filter("__percent", |args: Rest<Jinja>| percent(&args));
    env.add_filter("list", |value: Jinja| -> Result<Jinja, Error> { Ok(list(value.try_iter()?.collect())) });
    env.add_filter("method_call", method_call);
    env.add_test("match", move |args: Rest<Jinja>, kwargs: Kwargs| -> Result<bool, Error> {
        Ok(run(text::is_match, &args, &kwargs, &around)?.is_true())
    });
    env.add_test("list", |value: Jinja| from_jinja(&value).as_list().is_some() && !value.is_tuple());
    env.add_test("sequence", |value: Jinja| {
        use minijinja::value::ValueKind as Kind;
        matches!(value.kind(), Kind::Seq | Kind::Map | Kind::String)
    });
    // A macro is a mapping of its name and arguments to the engine.
    env.add_test("callable", |value: Jinja| {
        value.kind() == minijinja::value::ValueKind::Plain || value.to_string().starts_with("<macro ")
    });
}

/// Gives a result the parentheses that Python prints.
fn shaped(name: &str, outcome: Jinja) -> Jinja {
    let tuple = |value: &Jinja| Jinja::from(Tuple::from(items_of(value)));
    if outcome.is_none() {
        outcome
    } else if TUPLES.contains(&name) {
        tuple(&outcome)
    } else if LISTS_OF_TUPLES.contains(&name) {
        list(items_of(&outcome).iter().map(tuple).collect())
    } else {
        outcome
    }
}

fn run(filter: FilterFn, args: &[Jinja], kwargs: &Kwargs, around: &Surroundings) -> Result<Jinja, Error> {
    let (values, _) = split(args)?;
    let mut named = Map::new();
    for name in kwargs.args() {
        named.insert(name, from_jinja(&kwargs.get::<Jinja>(name)?));
    }
    let Surroundings { series, functions, dice } = around;
    let outcome = filter(&Args { values, named, series: *series, functions: functions.as_ref(), dice });
    outcome.map(|value| to_jinja(&value)).map_err(|reason| Error::new(ErrorKind::InvalidOperation, reason))
}

/// `'text' % value`, as Python formats.
fn percent(args: &[Jinja]) -> Result<Jinja, Error> {
    let [format, value] = args else {
        return Err(Error::new(ErrorKind::InvalidOperation, "expects one value"));
    };
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let values = if value.is_tuple() {
        items_of(value).iter().map(from_jinja).collect()
    } else {
        vec![from_jinja(value)]
    };
    let format = format.as_str().unwrap_or_default();
    let formatted = builtin::percent(format, &values);
    formatted.map(Jinja::from).map_err(|reason| Error::new(ErrorKind::InvalidOperation, reason))
}

/// Calls a method by its name.
fn method_call(
    state: &mut State<'_, '_>,
    value: Jinja,
    name: String,
    args: Rest<Jinja>,
) -> Result<Jinja, Error> {
    value.call_method(state, &name, &args)
}

impl Args<'_> {
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
