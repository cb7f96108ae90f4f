//! Values into any serde target, and any serializable type into a value.

use serde::ser::{self, Serialize, SerializeMap, Serializer};

use super::{Map, Value};

/// Turns anything serializable into a [`Value`]. Integers wider than 64 bits become text, as Salt sends them.
///
/// A source whose own `Serialize` reports an error (no type of this project does) gives `Nil`; use
/// [`try_to_value`] for such.
pub fn to_value(source: &(impl Serialize + ?Sized)) -> Value {
    try_to_value(source).unwrap_or_default()
}

/// Turns anything serializable into a [`Value`], or says why not.
///
/// # Errors
/// What the source's own `Serialize` reports.
pub fn try_to_value(source: &(impl Serialize + ?Sized)) -> Result<Value, ConvertError> {
    source.serialize(ValueSerializer)
}

/// A value that cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConvertError(String);

impl ser::Error for ConvertError {
    fn custom<T: std::fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

impl serde::de::Error for ConvertError {
    fn custom<T: std::fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil => target.serialize_unit(),
            Self::Bool(flag) => target.serialize_bool(*flag),
            Self::Int(number) => target.serialize_i64(*number),
            Self::UInt(number) => target.serialize_u64(*number),
            Self::Float(number) => target.serialize_f64(*number),
            Self::Str(text) => target.serialize_str(text),
            Self::Bytes(bytes) => target.serialize_bytes(bytes),
            Self::List(items) => target.collect_seq(items),
            Self::Map(map) => map.serialize(target),
        }
    }
}

impl Serialize for Map {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        let mut entries = target.serialize_map(Some(self.len()))?;
        for (key, value) in self.iter() {
            entries.serialize_entry(key, value)?;
        }
        entries.end()
    }
}

struct ValueSerializer;

impl Serializer for ValueSerializer {
    type Ok = Value;
    type Error = ConvertError;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Entries;

    fn serialize_bool(self, flag: bool) -> Result<Value, ConvertError> {
        Ok(Value::Bool(flag))
    }

    fn serialize_i8(self, number: i8) -> Result<Value, ConvertError> {
        Ok(number.into())
    }

    fn serialize_i16(self, number: i16) -> Result<Value, ConvertError> {
        Ok(number.into())
    }

    fn serialize_i32(self, number: i32) -> Result<Value, ConvertError> {
        Ok(number.into())
    }

    fn serialize_i64(self, number: i64) -> Result<Value, ConvertError> {
        Ok(number.into())
    }

    fn serialize_u8(self, number: u8) -> Result<Value, ConvertError> {
        Ok(number.into())
    }

    fn serialize_u16(self, number: u16) -> Result<Value, ConvertError> {
        Ok(number.into())
    }

    fn serialize_u32(self, number: u32) -> Result<Value, ConvertError> {
        Ok(number.into())
    }

    fn serialize_u64(self, number: u64) -> Result<Value, ConvertError> {
        Ok(number.into())
    }

    fn serialize_i128(self, number: i128) -> Result<Value, ConvertError> {
        Ok(i64::try_from(number).map_or_else(|_| number.to_string().into(), Value::Int))
    }

    fn serialize_u128(self, number: u128) -> Result<Value, ConvertError> {
        Ok(u64::try_from(number).map_or_else(|_| number.to_string().into(), Value::from))
    }

    fn serialize_f32(self, number: f32) -> Result<Value, ConvertError> {
        Ok(Value::Float(f64::from(number)))
    }

    fn serialize_f64(self, number: f64) -> Result<Value, ConvertError> {
        Ok(Value::Float(number))
    }

    fn serialize_char(self, letter: char) -> Result<Value, ConvertError> {
        Ok(Value::Str(letter.into()))
    }

    fn serialize_str(self, text: &str) -> Result<Value, ConvertError> {
        Ok(text.into())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Value, ConvertError> {
        Ok(bytes.into())
    }

    fn serialize_none(self) -> Result<Value, ConvertError> {
        Ok(Value::Nil)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, ConvertError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, ConvertError> {
        Ok(Value::Nil)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Value, ConvertError> {
        Ok(Value::Nil)
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<Value, ConvertError> {
        Ok(variant.into())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<Value, ConvertError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, ConvertError> {
        Ok(Map::from([(variant, try_to_value(value)?)]).into())
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Items, ConvertError> {
        Ok(Items { variant: None, items: Vec::with_capacity(len.unwrap_or(0).min(MAX_RESERVE)) })
    }

    fn serialize_tuple(self, len: usize) -> Result<Items, ConvertError> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Items, ConvertError> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Items, ConvertError> {
        Ok(Items { variant: Some(variant), items: Vec::new() })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Entries, ConvertError> {
        let map = Map::with_capacity(len.unwrap_or(0).min(MAX_RESERVE));
        Ok(Entries { variant: None, key: None, map })
    }

    fn serialize_struct(self, _name: &'static str, len: usize) -> Result<Entries, ConvertError> {
        self.serialize_map(Some(len))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Entries, ConvertError> {
        Ok(Entries { variant: Some(variant), key: None, map: Map::new() })
    }
}

struct Items {
    variant: Option<&'static str>,
    items: Vec<Value>,
}

impl Items {
    fn push<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), ConvertError> {
        self.items.push(try_to_value(item)?);
        Ok(())
    }

    fn finish(self) -> Value {
        under_variant(self.variant, Value::List(self.items))
    }
}

struct Entries {
    variant: Option<&'static str>,
    key: Option<Value>,
    map: Map,
}

fn under_variant(variant: Option<&'static str>, value: Value) -> Value {
    match variant {
        Some(name) => Map::from([(name, value)]).into(),
        None => value,
    }
}

macro_rules! items {
    ($($name:ident . $method:ident),*) => {$(
        impl ser::$name for Items {
            type Ok = Value;
            type Error = ConvertError;

            fn $method<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), ConvertError> {
                self.push(item)
            }

            fn end(self) -> Result<Value, ConvertError> {
                Ok(self.finish())
            }
        }
    )*};
}

items!(
    SerializeSeq.serialize_element,
    SerializeTuple.serialize_element,
    SerializeTupleStruct.serialize_field,
    SerializeTupleVariant.serialize_field
);

macro_rules! fields {
    ($($name:ident),*) => {$(
        impl ser::$name for Entries {
            type Ok = Value;
            type Error = ConvertError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), ConvertError> {
                self.map.insert(name, try_to_value(value)?);
                Ok(())
            }

            fn end(self) -> Result<Value, ConvertError> {
                Ok(under_variant(self.variant, self.map.into()))
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for Entries {
    type Ok = Value;
    type Error = ConvertError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ConvertError> {
        self.key = Some(try_to_value(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ConvertError> {
        let key = self.key.take().ok_or_else(|| ser::Error::custom("a value without its key"))?;
        self.map.insert(key, try_to_value(value)?);
        Ok(())
    }

    fn end(self) -> Result<Value, ConvertError> {
        Ok(under_variant(self.variant, self.map.into()))
    }
}

/// A length that a source only claims reserves no more than this.
const MAX_RESERVE: usize = 1024;
