//! Lists and dicts of templates, which Python's templates change in place:
//! `{% do users.append(x) %}`, `{% do settings.update({...}) %}`.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, Tuple, Value as Jinja, from_args};
use minijinja::{Error, ErrorKind, State};

use crate::{Map, Value};

/// A template's list.
#[derive(Default)]
pub(super) struct List(Mutex<Vec<Jinja>>);

/// A template's dict.
#[derive(Default)]
pub(super) struct Dict(Mutex<IndexMap<Jinja, Jinja>>);

/// A value as templates see it.
pub(super) fn to_jinja(value: &Value) -> Jinja {
    match value {
        Value::Nil => Jinja::from(()),
        Value::Bool(truth) => Jinja::from(*truth),
        Value::Int(number) => Jinja::from(*number),
        Value::Float(number) => Jinja::from(*number),
        Value::Str(text) => Jinja::from(text.as_str()),
        Value::Bytes(bytes) => Jinja::from_bytes(bytes.clone()),
        Value::List(items) => list(items.iter().map(to_jinja).collect()),
        Value::Map(map) => dict(map.iter().map(|(key, value)| (to_jinja(key), to_jinja(value)))),
    }
}

/// A template's value as the state language sees it; what has no equivalent becomes its text.
pub(super) fn from_jinja(value: &Jinja) -> Value {
    use minijinja::value::ValueKind as Kind;
    match value.kind() {
        Kind::Undefined | Kind::None => Value::Nil,
        Kind::Bool => Value::Bool(value.is_true()),
        Kind::Number => match value.as_i64().filter(|_| value.is_integer()) {
            Some(number) => Value::Int(number),
            None => f64::try_from(value.clone()).map_or(Value::Nil, Value::Float),
        },
        Kind::Bytes => Value::Bytes(value.as_bytes().unwrap_or_default().to_vec()),
        Kind::Seq | Kind::Iterable => Value::List(items_of(value).iter().map(from_jinja).collect()),
        Kind::Map => Value::Map(
            items_of(value)
                .iter()
                .map(|key| {
                    let item = value.get_item(key).unwrap_or_default();
                    (from_jinja(key), from_jinja(&item))
                })
                .collect::<Map>(),
        ),
        // String, plain objects and whatever comes later.
        _ => Value::Str(value.to_string()),
    }
}

pub(super) fn items_of(value: &Jinja) -> Vec<Jinja> {
    value.try_iter().map(Iterator::collect).unwrap_or_default()
}

pub(super) fn list(items: Vec<Jinja>) -> Jinja {
    Jinja::from_object(List(Mutex::new(items)))
}

pub(super) fn dict(pairs: impl IntoIterator<Item = (Jinja, Jinja)>) -> Jinja {
    Jinja::from_object(Dict(Mutex::new(pairs.into_iter().collect())))
}

/// Gives a template's dict the content of a mapping; whether it is such a dict.
pub(super) fn replace(dict: &Jinja, content: &Value) -> bool {
    let (Some(dict), Value::Map(content)) = (dict.downcast_object_ref::<Dict>(), content) else {
        return false;
    };
    let pairs = content.iter().map(|(key, value)| (to_jinja(key), to_jinja(value))).collect();
    *dict.lock() = pairs;
    true
}

impl List {
    fn lock(&self) -> MutexGuard<'_, Vec<Jinja>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A Python index, negative from the end, as a position.
    fn position(&self, index: i64) -> Option<usize> {
        let len = self.lock().len();
        let index = if index < 0 { index.checked_add(i64::try_from(len).ok()?)? } else { index };
        usize::try_from(index).ok().filter(|index| *index < len)
    }

    fn pop(&self, index: Option<i64>) -> Result<Jinja, Error> {
        let empty = || failed("pop index out of range");
        let at = self.position(index.unwrap_or(-1)).ok_or_else(empty)?;
        Ok(self.lock().remove(at))
    }

    fn remove(&self, item: &Jinja) -> Result<Jinja, Error> {
        let found = self.snapshot().iter().position(|other| other == item);
        let at = found.ok_or_else(|| failed("list.remove(x): x not in list"))?;
        self.lock().remove(at);
        Ok(none())
    }

    fn snapshot(&self) -> Vec<Jinja> {
        self.lock().clone()
    }

    fn insert(&self, index: i64, item: Jinja) -> Jinja {
        let len = self.lock().len();
        let at = self.position(index).unwrap_or(if index < 0 { 0 } else { len });
        self.lock().insert(at, item);
        none()
    }

    fn sort(&self, kwargs: &Kwargs) -> Result<Jinja, Error> {
        let mut items = self.snapshot();
        items.sort();
        if kwargs.get::<Option<bool>>("reverse")?.unwrap_or(false) {
            items.reverse();
        }
        *self.lock() = items;
        Ok(none())
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        let at = self.position(key.as_i64()?)?;
        self.lock().get(at).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.snapshot())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Jinja],
    ) -> Result<Jinja, Error> {
        match method {
            "append" => {
                let (item,): (Jinja,) = from_args(args)?;
                self.lock().push(item);
                Ok(none())
            }
            "extend" => {
                let (items,): (Jinja,) = from_args(args)?;
                let items: Vec<Jinja> = items.try_iter()?.collect();
                self.lock().extend(items);
                Ok(none())
            }
            "insert" => {
                let (index, item): (i64, Jinja) = from_args(args)?;
                Ok(self.insert(index, item))
            }
            "pop" => {
                let (index,): (Option<i64>,) = from_args(args)?;
                self.pop(index)
            }
            "remove" => {
                let (item,): (Jinja,) = from_args(args)?;
                self.remove(&item)
            }
            "index" => {
                let (item,): (Jinja,) = from_args(args)?;
                let found = self.snapshot().iter().position(|other| *other == item);
                found.map(Jinja::from).ok_or_else(|| failed(format!("{item:?} is not in list")))
            }
            "count" => {
                let (item,): (Jinja,) = from_args(args)?;
                Ok(Jinja::from(self.snapshot().iter().filter(|other| **other == item).count()))
            }
            "sort" => {
                let (kwargs,): (Kwargs,) = from_args(args)?;
                self.sort(&kwargs)
            }
            "reverse" => {
                self.lock().reverse();
                Ok(none())
            }
            "clear" => {
                self.lock().clear();
                Ok(none())
            }
            "copy" => Ok(list(self.snapshot())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&from_jinja(&list(self.snapshot())).repr())
    }
}

impl Dict {
    fn lock(&self) -> MutexGuard<'_, IndexMap<Jinja, Jinja>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pairs(&self) -> Vec<(Jinja, Jinja)> {
        self.lock().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn update(&self, args: &[Jinja]) -> Result<Jinja, Error> {
        let (source, kwargs): (Option<Jinja>, Kwargs) = from_args(args)?;
        let mut pairs = Vec::new();
        if let Some(source) = source {
            pairs.extend(pairs_of(&source)?);
        }
        for name in kwargs.args() {
            pairs.push((Jinja::from(name), kwargs.get::<Jinja>(name)?));
        }
        self.lock().extend(pairs);
        Ok(none())
    }

    fn pop(&self, key: &Jinja, default: Option<Jinja>) -> Result<Jinja, Error> {
        self.lock().shift_remove(key).or(default).ok_or_else(|| failed(format!("{key:?}")))
    }
}

/// The pairs of a mapping, or of a sequence of pairs.
fn pairs_of(source: &Jinja) -> Result<Vec<(Jinja, Jinja)>, Error> {
    if source.kind() == minijinja::value::ValueKind::Map {
        return source.try_iter()?.map(|key| Ok((key.clone(), source.get_item(&key)?))).collect();
    }
    let pair = |item: Jinja| Ok((item.get_item_by_index(0)?, item.get_item_by_index(1)?));
    source.try_iter()?.map(pair).collect()
}

impl Object for Dict {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.lock().get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.lock().keys().cloned().collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.lock().len())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Jinja],
    ) -> Result<Jinja, Error> {
        match method {
            "get" => {
                let (key, default): (Jinja, Option<Jinja>) = from_args(args)?;
                Ok(self.lock().get(&key).cloned().or(default).unwrap_or_else(none))
            }
            "items" | "iteritems" => Ok(list(
                self.pairs().into_iter().map(|(key, value)| Jinja::from(Tuple::from([key, value]))).collect(),
            )),
            "keys" | "iterkeys" => Ok(list(self.lock().keys().cloned().collect())),
            "values" | "itervalues" => Ok(list(self.lock().values().cloned().collect())),
            "update" => self.update(args),
            "pop" => {
                let (key, default): (Jinja, Option<Jinja>) = from_args(args)?;
                self.pop(&key, default)
            }
            "popitem" => {
                let last = self.lock().pop().ok_or_else(|| failed("popitem(): dictionary is empty"))?;
                Ok(Jinja::from(Tuple::from([last.0, last.1])))
            }
            "setdefault" => {
                let (key, default): (Jinja, Option<Jinja>) = from_args(args)?;
                Ok(self.lock().entry(key).or_insert_with(|| default.unwrap_or_else(none)).clone())
            }
            "clear" => {
                self.lock().clear();
                Ok(none())
            }
            "copy" => Ok(dict(self.pairs())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

impl fmt::Debug for Dict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&from_jinja(&dict(self.pairs())).repr())
    }
}

/// The function behind list literals.
pub(super) fn make_list(items: Jinja) -> Result<Jinja, Error> {
    Ok(list(items.try_iter()?.collect()))
}

/// The function behind dict literals, `dict()` and `odict()`.
pub(super) fn make_dict(source: Option<Jinja>, kwargs: Kwargs) -> Result<Jinja, Error> {
    let made = Dict::default();
    if let Some(source) = source {
        made.lock().extend(pairs_of(&source)?);
    }
    for name in kwargs.args() {
        let value = kwargs.get::<Jinja>(name)?;
        made.lock().insert(Jinja::from(name), value);
    }
    Ok(Jinja::from_object(made))
}

/// What a template sets is its own: lists and mappings that the engine made become changeable.
pub(super) fn own(value: Jinja) -> Jinja {
    use minijinja::value::ValueKind as Kind;
    let ours = value.downcast_object_ref::<List>().is_some() || value.downcast_object_ref::<Dict>().is_some();
    match value.kind() {
        Kind::Seq | Kind::Iterable if !ours && !value.is_tuple() => list(items_of(&value)),
        _ => value,
    }
}

fn none() -> Jinja {
    Jinja::from(())
}

fn failed(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.into())
}
