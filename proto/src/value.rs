//! Values as Salt's wire carries them: what msgpack decodes to and encodes from.
//!
//! The old msgpack dialect does not tell text from bytes, so a decoded [`Value`] is `Str` where the bytes are valid
//! UTF-8 and `Bytes` where they are not (Salt's rule); `as_bytes` and `as_str` work on both, and nothing may decide
//! by the variant whether something "is" text. [`Map`] keeps insertion order and takes any value as key, because YAML
//! pillar and grains have integer and nil keys. Conversions to and from other types go through serde.

mod de;
mod ser;

use std::fmt;
use std::hash::{Hash, Hasher};

use indexmap::{Equivalent, IndexMap};

pub use ser::{ConvertError, to_value, try_to_value};

/// One value of a Salt load.
#[derive(Clone, Default, PartialEq)]
pub enum Value {
    /// Python's `None`.
    #[default]
    Nil,
    /// A boolean.
    Bool(bool),
    /// Any integer that fits; decoding prefers this variant.
    Int(i64),
    /// An integer above `i64::MAX`.
    UInt(u64),
    /// A double.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes that are not valid UTF-8, or any string of a raw decode.
    Bytes(Vec<u8>),
    /// A list or tuple.
    List(Vec<Value>),
    /// A map in insertion order.
    Map(Map),
}

impl Value {
    /// True for `Nil`.
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(flag) = self { Some(*flag) } else { None }
    }

    /// The integer, if it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    /// The integer, if it is one and not negative.
    pub fn as_u64(&self) -> Option<u64> {
        if let Self::UInt(number) = self { Some(*number) } else { self.as_i64()?.try_into().ok() }
    }

    /// The text, also of `Bytes` that hold valid UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Str(text) = self { Some(text) } else { std::str::from_utf8(self.as_bytes()?).ok() }
    }

    /// The bytes of text or bytes.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self {
            Some(bytes)
        } else if let Self::Str(text) = self {
            Some(text.as_bytes())
        } else {
            None
        }
    }

    /// The items of a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        if let Self::Map(map) = self { Some(map) } else { None }
    }

    /// The map, if it is one, by value.
    pub fn into_map(self) -> Option<Map> {
        if let Self::Map(map) = self { Some(map) } else { None }
    }

    /// The bytes of text or bytes, by value.
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        if let Self::Bytes(bytes) = self {
            Some(bytes)
        } else if let Self::Str(text) = self {
            Some(text.into_bytes())
        } else {
            None
        }
    }

    /// The value under a text key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }

    /// The Python-like name of the type, for error messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::UInt(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// Python's truth of the value: false for nil, false, zero and empty.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(flag) => *flag,
            Self::Int(number) => *number != 0,
            Self::UInt(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(map) => !map.is_empty(),
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Nil => {}
            Self::Bool(flag) => flag.hash(state),
            Self::Int(number) => number.hash(state),
            Self::UInt(number) => number.hash(state),
            // `0.0 == -0.0`, so both must hash alike.
            Self::Float(number) => (if *number == 0.0 { 0.0 } else { *number }).to_bits().hash(state),
            Self::Str(text) => text.hash(state),
            Self::Bytes(bytes) => bytes.hash(state),
            Self::List(items) => items.hash(state),
            // Order does not count for equality, so only the size may count here.
            Self::Map(map) => map.len().hash(state),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Bool(flag) => flag.fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::UInt(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Str(text) => text.fmt(f),
            Self::Bytes(bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Map(map) => map.fmt(f),
        }
    }
}

/// A map in insertion order with values as keys. Equality ignores the order, as Python's does.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Map {
    entries: IndexMap<Value, Value>,
}

impl Map {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty map with room for `entries`.
    pub fn with_capacity(entries: usize) -> Self {
        Self { entries: IndexMap::with_capacity(entries) }
    }

    /// The value under a text key, whether the key was decoded as text or kept as bytes.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(&TextKey(key)).or_else(|| self.entries.get(&BytesKey(key.as_bytes())))
    }

    /// The value under a text key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        if self.entries.contains_key(&TextKey(key)) {
            self.entries.get_mut(&TextKey(key))
        } else {
            self.entries.get_mut(&BytesKey(key.as_bytes()))
        }
    }

    /// The value under any key.
    pub fn get_value(&self, key: &Value) -> Option<&Value> {
        self.entries.get(key)
    }

    /// True when a text key is there.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets a key, at its old place when it was there; gives the old value.
    pub fn insert(&mut self, key: impl Into<Value>, value: impl Into<Value>) -> Option<Value> {
        self.entries.insert(key.into(), value.into())
    }

    /// Takes a text key out, keeping the order of the others.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.entries
            .shift_remove(&TextKey(key))
            .or_else(|| self.entries.shift_remove(&BytesKey(key.as_bytes())))
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Value, &Value)> + ExactSizeIterator {
        self.entries.iter()
    }

    /// The keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.entries.keys()
    }

    /// The values in order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.entries.values()
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl IntoIterator for Map {
    type Item = (Value, Value);
    type IntoIter = indexmap::map::IntoIter<Value, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<K: Into<Value>, V: Into<Value>> FromIterator<(K, V)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect() }
    }
}

impl<K: Into<Value>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Map {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

/// Looks a `Str` key up without allocating.
struct TextKey<'a>(&'a str);

impl Hash for TextKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(&Value::Str(String::new())).hash(state);
        self.0.hash(state);
    }
}

impl Equivalent<Value> for TextKey<'_> {
    fn equivalent(&self, key: &Value) -> bool {
        matches!(key, Value::Str(text) if text == self.0)
    }
}

/// Looks a `Bytes` key up without allocating.
struct BytesKey<'a>(&'a [u8]);

impl Hash for BytesKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(&Value::Bytes(Vec::new())).hash(state);
        self.0.hash(state);
    }
}

impl Equivalent<Value> for BytesKey<'_> {
    fn equivalent(&self, key: &Value) -> bool {
        matches!(key, Value::Bytes(bytes) if bytes == self.0)
    }
}

macro_rules! from {
    ($($source:ty => $make:expr),* $(,)?) => {$(
        impl From<$source> for Value {
            fn from(source: $source) -> Self {
                #[allow(clippy::redundant_closure_call, reason = "the closure names the conversion")]
                ($make)(source)
            }
        }
    )*};
}

from! {
    bool => Value::Bool,
    i8 => |n| Value::Int(i64::from(n)),
    i16 => |n| Value::Int(i64::from(n)),
    i32 => |n| Value::Int(i64::from(n)),
    i64 => Value::Int,
    u8 => |n| Value::Int(i64::from(n)),
    u16 => |n| Value::Int(i64::from(n)),
    u32 => |n| Value::Int(i64::from(n)),
    u64 => |n: u64| i64::try_from(n).map_or(Value::UInt(n), Value::Int),
    usize => |n| Value::from(n as u64),
    f64 => Value::Float,
    &str => |text: &str| Value::Str(text.to_owned()),
    String => Value::Str,
    &String => |text: &String| Value::Str(text.clone()),
    Vec<u8> => Value::Bytes,
    &[u8] => |bytes: &[u8]| Value::Bytes(bytes.to_vec()),
    Map => Value::Map,
    Vec<Value> => Value::List,
    () => |()| Value::Nil,
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(source: Option<T>) -> Self {
        source.map_or(Self::Nil, Into::into)
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests;
