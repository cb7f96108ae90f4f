//! The values of the state language: what YAML gives, what Jinja sees, what a low chunk carries.
//!
//! Owns `Value` and `Map` and their conversion through serde; refuses to know any text format.
//! Invariants: a map keeps the order in which keys were inserted, takes any value as key, and two
//! maps are equal when they hold the same pairs in any order (as in Python).

use std::hash::{Hash, Hasher};

use indexmap::{Equivalent, IndexMap};

mod de;
mod python;
mod ser;

pub(crate) use python::{float_repr, text_repr};
pub use ser::{SerializeError, to_value};

/// One value of the state language.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// Nothing: YAML's `null`, Python's `None`.
    #[default]
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating point number.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes that are not text.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// A mapping.
    Map(Map),
}

impl Value {
    /// The text, when this is text.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::Str(text) = self { Some(text) } else { None }
    }

    /// The truth value, when this is a bool.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// The number, when this is a whole number.
    pub fn as_int(&self) -> Option<i64> {
        if let Value::Int(number) = self { Some(*number) } else { None }
    }

    /// The number, whole or not.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            Value::Nil
            | Value::Bool(_)
            | Value::Str(_)
            | Value::Bytes(_)
            | Value::List(_)
            | Value::Map(_) => None,
        }
    }

    /// The items, when this is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Value::List(items) = self { Some(items) } else { None }
    }

    /// The mapping, when this is one.
    pub fn as_map(&self) -> Option<&Map> {
        if let Value::Map(map) = self { Some(map) } else { None }
    }

    /// The mapping, when this is one.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        if let Value::Map(map) = self { Some(map) } else { None }
    }

    /// Looks a key up in a mapping; `None` also when this is no mapping.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map().and_then(|map| map.get(key))
    }

    /// Whether this is `Nil`.
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }

    /// Python's truth: empty text, empty collections, zero and nothing are false.
    pub fn is_truthy(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(truth) => *truth,
            Value::Int(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::Str(text) => !text.is_empty(),
            Value::Bytes(bytes) => !bytes.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Map(map) => !map.is_empty(),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits() || a == b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            (_, _) => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Value::Nil => state.write_u8(0),
            Value::Bool(truth) => (1u8, truth).hash(state),
            Value::Int(number) => (2u8, number).hash(state),
            // 0.0 and -0.0 are equal, so they must hash alike.
            Value::Float(number) => (3u8, if *number == 0.0 { 0 } else { number.to_bits() }).hash(state),
            Value::Str(text) => TextKey(text).hash(state),
            Value::Bytes(bytes) => (5u8, bytes).hash(state),
            Value::List(items) => (6u8, items).hash(state),
            Value::Map(map) => (7u8, map.len()).hash(state),
        }
    }
}

/// An ordered mapping with values of any kind as keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Map(IndexMap<Value, Value>);

impl Map {
    /// An empty mapping.
    pub fn new() -> Map {
        Map::default()
    }

    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value under a text key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(&TextKey(key))
    }

    /// The value under a text key.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.get_mut(&TextKey(key))
    }

    /// The value under any key.
    pub fn get_value(&self, key: &Value) -> Option<&Value> {
        self.0.get(key)
    }

    /// The value under any key.
    pub fn get_value_mut(&mut self, key: &Value) -> Option<&mut Value> {
        self.0.get_mut(key)
    }

    /// Whether a text key is there.
    pub fn contains_key(&self, key: &str) -> bool {
        self.0.contains_key(&TextKey(key))
    }

    /// Sets a value; the key keeps its place when it was there. Returns what was there.
    pub fn insert(&mut self, key: impl Into<Value>, value: impl Into<Value>) -> Option<Value> {
        self.0.insert(key.into(), value.into())
    }

    /// Takes a pair out, keeping the order of the others.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.0.shift_remove(&TextKey(key))
    }

    /// Takes a pair out by any key, keeping the order of the others.
    pub fn remove_value(&mut self, key: &Value) -> Option<Value> {
        self.0.shift_remove(key)
    }

    /// The value under a key, inserted when missing.
    pub fn entry_or_insert(&mut self, key: impl Into<Value>, value: impl Into<Value>) -> &mut Value {
        self.0.entry(key.into()).or_insert_with(|| value.into())
    }

    /// The first pair.
    pub fn first(&self) -> Option<(&Value, &Value)> {
        self.0.first()
    }

    /// The pairs in order.
    pub fn iter(&self) -> indexmap::map::Iter<'_, Value, Value> {
        self.0.iter()
    }

    /// The pairs in order, values changeable.
    pub fn iter_mut(&mut self) -> indexmap::map::IterMut<'_, Value, Value> {
        self.0.iter_mut()
    }

    /// The keys in order.
    pub fn keys(&self) -> indexmap::map::Keys<'_, Value, Value> {
        self.0.keys()
    }

    /// The values in order.
    pub fn values(&self) -> indexmap::map::Values<'_, Value, Value> {
        self.0.values()
    }

    /// The values, to be changed, in order.
    pub fn values_mut(&mut self) -> indexmap::map::ValuesMut<'_, Value, Value> {
        self.0.values_mut()
    }

    /// Keeps the pairs for which `keep` answers true.
    pub fn retain(&mut self, keep: impl FnMut(&Value, &mut Value) -> bool) {
        self.0.retain(keep);
    }
}

impl IntoIterator for Map {
    type Item = (Value, Value);
    type IntoIter = indexmap::map::IntoIter<Value, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Map {
    type Item = (&'a Value, &'a Value);
    type IntoIter = indexmap::map::Iter<'a, Value, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<K: Into<Value>, V: Into<Value>> FromIterator<(K, V)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Map {
        Map(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl<K: Into<Value>, V: Into<Value>> Extend<(K, V)> for Map {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        self.0.extend(pairs.into_iter().map(|(key, value)| (key.into(), value.into())));
    }
}

/// A text key that finds `Value::Str` without an allocation.
struct TextKey<'a>(&'a str);

impl Hash for TextKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (4u8, self.0).hash(state);
    }
}

impl Equivalent<Value> for TextKey<'_> {
    fn equivalent(&self, key: &Value) -> bool {
        key.as_str() == Some(self.0)
    }
}

macro_rules! from {
    ($($from:ty => |$value:ident| $make:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Value { $make }
        })*
    };
}

from! {
    bool => |truth| Value::Bool(truth);
    i64 => |number| Value::Int(number);
    i32 => |number| Value::Int(i64::from(number));
    u32 => |number| Value::Int(i64::from(number));
    f64 => |number| Value::Float(number);
    &str => |text| Value::Str(text.to_owned());
    String => |text| Value::Str(text);
    Vec<Value> => |items| Value::List(items);
    Map => |map| Value::Map(map);
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Nil, Into::into)
    }
}

#[cfg(test)]
mod tests;
