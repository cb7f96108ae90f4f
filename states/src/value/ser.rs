//! Anything serde can serialize becomes a `Value`, and a `Value` serializes as what it holds.

use serde::ser::{self, Serialize, SerializeMap, SerializeSeq, Serializer};

use super::{Map, Value};

/// Why something could not become a `Value`.
#[derive(Debug, thiserror::Error)]
#[error("cannot be expressed as a value: {0}")]
pub struct SerializeError(String);

impl ser::Error for SerializeError {
    fn custom<T: std::fmt::Display>(message: T) -> SerializeError {
        SerializeError(message.to_string())
    }
}

/// Turns anything serializable into a `Value`. What serde can express this can hold, except that a
/// whole number beyond 63 bits becomes a float; a type whose own `Serialize` fails gives `Nil`.
pub fn to_value<T: Serialize + ?Sized>(source: &T) -> Value {
    source.serialize(Builder).unwrap_or_default()
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Nil => serializer.serialize_unit(),
            Value::Bool(truth) => serializer.serialize_bool(*truth),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Str(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Value::List(items) => items.serialize(serializer),
            Value::Map(map) => map.serialize(serializer),
        }
    }
}

impl Serialize for Map {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(self.len()))?;
        for (key, value) in self {
            out.serialize_entry(key, value)?;
        }
        out.end()
    }
}

struct Builder;

impl Serializer for Builder {
    type Ok = Value;
    type Error = SerializeError;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Variant<Items>;
    type SerializeMap = Pairs;
    type SerializeStruct = Pairs;
    type SerializeStructVariant = Variant<Pairs>;

    fn serialize_bool(self, value: bool) -> Result<Value, SerializeError> {
        Ok(Value::Bool(value))
    }
    fn serialize_i8(self, value: i8) -> Result<Value, SerializeError> {
        Ok(Value::Int(value.into()))
    }
    fn serialize_i16(self, value: i16) -> Result<Value, SerializeError> {
        Ok(Value::Int(value.into()))
    }
    fn serialize_i32(self, value: i32) -> Result<Value, SerializeError> {
        Ok(Value::Int(value.into()))
    }
    fn serialize_i64(self, value: i64) -> Result<Value, SerializeError> {
        Ok(Value::Int(value))
    }
    fn serialize_u8(self, value: u8) -> Result<Value, SerializeError> {
        Ok(Value::Int(value.into()))
    }
    fn serialize_u16(self, value: u16) -> Result<Value, SerializeError> {
        Ok(Value::Int(value.into()))
    }
    fn serialize_u32(self, value: u32) -> Result<Value, SerializeError> {
        Ok(Value::Int(value.into()))
    }
    fn serialize_u64(self, value: u64) -> Result<Value, SerializeError> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }
    fn serialize_f32(self, value: f32) -> Result<Value, SerializeError> {
        Ok(Value::Float(value.into()))
    }
    fn serialize_f64(self, value: f64) -> Result<Value, SerializeError> {
        Ok(Value::Float(value))
    }
    fn serialize_char(self, value: char) -> Result<Value, SerializeError> {
        Ok(Value::Str(value.to_string()))
    }
    fn serialize_str(self, value: &str) -> Result<Value, SerializeError> {
        Ok(Value::Str(value.to_owned()))
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<Value, SerializeError> {
        Ok(Value::Bytes(value.to_vec()))
    }
    fn serialize_none(self) -> Result<Value, SerializeError> {
        Ok(Value::Nil)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, SerializeError> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<Value, SerializeError> {
        Ok(Value::Nil)
    }
    fn serialize_unit_struct(self, _name: &'static str) -> Result<Value, SerializeError> {
        Ok(Value::Nil)
    }
    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<Value, SerializeError> {
        Ok(Value::Str(variant.to_owned()))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<Value, SerializeError> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, SerializeError> {
        Ok(Value::Map(Map::from_iter([(variant, value.serialize(self)?)])))
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<Items, SerializeError> {
        Ok(Items(Vec::with_capacity(len.unwrap_or(0).min(4096))))
    }
    fn serialize_tuple(self, len: usize) -> Result<Items, SerializeError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Items, SerializeError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Variant<Items>, SerializeError> {
        Ok(Variant { name: variant, inner: self.serialize_seq(Some(len))? })
    }
    fn serialize_map(self, _len: Option<usize>) -> Result<Pairs, SerializeError> {
        Ok(Pairs::default())
    }
    fn serialize_struct(self, _name: &'static str, len: usize) -> Result<Pairs, SerializeError> {
        self.serialize_map(Some(len))
    }
    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Variant<Pairs>, SerializeError> {
        Ok(Variant { name: variant, inner: self.serialize_map(Some(len))? })
    }
}

struct Items(Vec<Value>);

impl SerializeSeq for Items {
    type Ok = Value;
    type Error = SerializeError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        self.0.push(value.serialize(Builder)?);
        Ok(())
    }
    fn end(self) -> Result<Value, SerializeError> {
        Ok(Value::List(self.0))
    }
}

impl ser::SerializeTuple for Items {
    type Ok = Value;
    type Error = SerializeError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        SerializeSeq::serialize_element(self, value)
    }
    fn end(self) -> Result<Value, SerializeError> {
        SerializeSeq::end(self)
    }
}

impl ser::SerializeTupleStruct for Items {
    type Ok = Value;
    type Error = SerializeError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        SerializeSeq::serialize_element(self, value)
    }
    fn end(self) -> Result<Value, SerializeError> {
        SerializeSeq::end(self)
    }
}

#[derive(Default)]
struct Pairs {
    map: Map,
    key: Value,
}

impl SerializeMap for Pairs {
    type Ok = Value;
    type Error = SerializeError;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerializeError> {
        self.key = key.serialize(Builder)?;
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        self.map.insert(std::mem::take(&mut self.key), value.serialize(Builder)?);
        Ok(())
    }
    fn end(self) -> Result<Value, SerializeError> {
        Ok(Value::Map(self.map))
    }
}

impl ser::SerializeStruct for Pairs {
    type Ok = Value;
    type Error = SerializeError;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), SerializeError> {
        self.map.insert(key, value.serialize(Builder)?);
        Ok(())
    }
    fn end(self) -> Result<Value, SerializeError> {
        Ok(Value::Map(self.map))
    }
}

/// An enum variant with fields: a mapping of one pair, variant name to content.
struct Variant<T> {
    name: &'static str,
    inner: T,
}

impl ser::SerializeTupleVariant for Variant<Items> {
    type Ok = Value;
    type Error = SerializeError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        SerializeSeq::serialize_element(&mut self.inner, value)
    }
    fn end(self) -> Result<Value, SerializeError> {
        Ok(Value::Map(Map::from_iter([(self.name, SerializeSeq::end(self.inner)?)])))
    }
}

impl ser::SerializeStructVariant for Variant<Pairs> {
    type Ok = Value;
    type Error = SerializeError;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), SerializeError> {
        ser::SerializeStruct::serialize_field(&mut self.inner, key, value)
    }
    fn end(self) -> Result<Value, SerializeError> {
        Ok(Value::Map(Map::from_iter([(self.name, SerializeMap::end(self.inner)?)])))
    }
}
