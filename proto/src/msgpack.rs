//! Salt's two msgpack dialects, both ways, on [`Value`].
//!
//! *Wire*: the dialect from before msgpack had a bin type. Text and bytes are both raw strings (fixstr, str16, str32),
//! str8 and bin are never written; decoding accepts them all. *Modern* (bin and str8 written) is what
//! `minion_sign_messages` signs, see `salt.serializers.msgpack`.
//!
//! Decoding follows `salt.payload.loads`: raw strings that are valid UTF-8 become text; extension 78 (a date) gives
//! its text `%Y%m%dT%H:%M:%S.%f`, 79 (a named constant) gives the constant's value, any other its bytes. Bytes from
//! outside never panic and never reserve more than they are long: depth and item count are capped by [`Limits`].

use rmp::Marker;

use crate::{Map, Value};

/// What a decoded string becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strings {
    /// Text where the bytes are valid UTF-8, as Salt decodes everything but files.
    Text,
    /// Bytes always, except for map keys: file chunks, embedded messages.
    Raw,
}

/// How much a decoder takes before it refuses.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Nesting of lists and maps.
    pub depth: usize,
    /// Values in all, keys included.
    pub items: usize,
    /// Bytes of the message.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 128, items: 8_000_000, bytes: 512 << 20 }
    }
}

/// Why a message is not msgpack, or not msgpack we take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message ends inside a value.
    #[error("msgpack ends early at byte {at}")]
    Truncated {
        /// Where more was needed.
        at: usize,
    },
    /// Bytes are left after the value.
    #[error("{left} bytes follow the msgpack value")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// A marker that msgpack reserves.
    #[error("msgpack has a reserved marker at byte {at}")]
    Reserved {
        /// Where it stands.
        at: usize,
    },
    /// Lists and maps nest deeper than [`Limits::depth`].
    #[error("msgpack nests deeper than {limit}")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// More values than [`Limits::items`].
    #[error("msgpack has more than {limit} items")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// More bytes than [`Limits::bytes`].
    #[error("msgpack is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
}

/// Decodes one message of text and bytes as Salt does.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    decode_with(bytes, Strings::Text, Limits::default())
}

/// Decodes one message, keeping all strings but map keys as bytes.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_raw(bytes: &[u8]) -> Result<Value, DecodeError> {
    decode_with(bytes, Strings::Raw, Limits::default())
}

/// Decodes one message.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_with(bytes: &[u8], strings: Strings, limits: Limits) -> Result<Value, DecodeError> {
    if bytes.len() > limits.bytes {
        return Err(DecodeError::TooLong { limit: limits.bytes });
    }
    let mut reader = Reader { bytes, at: 0, strings, limits, items: 0 };
    let value = reader.value(0)?;
    match bytes.len() - reader.at {
        0 => Ok(value),
        left => Err(DecodeError::Trailing { left }),
    }
}

/// Encodes in the wire dialect.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut writer = Writer { out: Vec::new(), dialect: Dialect::Wire };
    writer.value(value);
    writer.out
}

/// Encodes a map in the wire dialect.
pub fn encode_map(map: &Map) -> Vec<u8> {
    let mut writer = Writer { out: Vec::new(), dialect: Dialect::Wire };
    writer.map(map);
    writer.out
}

/// Encodes in the modern dialect, which tells text from bytes.
pub fn encode_modern(value: &Value) -> Vec<u8> {
    let mut writer = Writer { out: Vec::new(), dialect: Dialect::Modern };
    writer.value(value);
    writer.out
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    strings: Strings,
    limits: Limits,
    items: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let at = self.at;
        let marker = Marker::from_u8(self.number::<1>()?[0]);
        self.count_item()?;
        Ok(match marker {
            Marker::Null => Value::Nil,
            Marker::False => Value::Bool(false),
            Marker::True => Value::Bool(true),
            Marker::FixPos(number) => number.into(),
            Marker::FixNeg(number) => number.into(),
            Marker::U8 => self.number::<1>()?[0].into(),
            Marker::U16 => u16::from_be_bytes(self.number()?).into(),
            Marker::U32 => u32::from_be_bytes(self.number()?).into(),
            Marker::U64 => u64::from_be_bytes(self.number()?).into(),
            Marker::I8 => i8::from_be_bytes(self.number()?).into(),
            Marker::I16 => i16::from_be_bytes(self.number()?).into(),
            Marker::I32 => i32::from_be_bytes(self.number()?).into(),
            Marker::I64 => i64::from_be_bytes(self.number()?).into(),
            Marker::F32 => Value::Float(f32::from_be_bytes(self.number()?).into()),
            Marker::F64 => Value::Float(f64::from_be_bytes(self.number()?)),
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => self.string(marker)?,
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => self.string(marker)?,
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => self.list(marker, depth)?,
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => self.map(marker, depth)?,
            Marker::FixExt1 | Marker::FixExt2 | Marker::FixExt4 | Marker::FixExt8 | Marker::FixExt16 => {
                self.extension(marker, depth)?
            }
            Marker::Ext8 | Marker::Ext16 | Marker::Ext32 => self.extension(marker, depth)?,
            Marker::Reserved => return Err(DecodeError::Reserved { at }),
        })
    }

    fn string(&mut self, marker: Marker) -> Result<Value, DecodeError> {
        let len = self.length(marker)?;
        let bytes = self.take(len)?;
        Ok(match self.strings {
            Strings::Text => text_or_bytes(bytes),
            Strings::Raw => Value::from(bytes),
        })
    }

    fn list(&mut self, marker: Marker, depth: usize) -> Result<Value, DecodeError> {
        let depth = self.deeper(depth)?;
        let len = self.length(marker)?;
        let mut items = Vec::with_capacity(len.min(self.left()).min(MAX_RESERVE));
        for _ in 0..len {
            items.push(self.value(depth)?);
        }
        Ok(Value::List(items))
    }

    fn map(&mut self, marker: Marker, depth: usize) -> Result<Value, DecodeError> {
        let depth = self.deeper(depth)?;
        let len = self.length(marker)?;
        let mut map = Map::with_capacity(len.min(self.left()).min(MAX_RESERVE));
        for _ in 0..len {
            let key = self.key(depth)?;
            let value = self.value(depth)?;
            map.insert(key, value);
        }
        Ok(Value::Map(map))
    }

    /// Keys are names, so they are text even where the values stay raw.
    fn key(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let strings = std::mem::replace(&mut self.strings, Strings::Text);
        let key = self.value(depth);
        self.strings = strings;
        key
    }

    fn extension(&mut self, marker: Marker, depth: usize) -> Result<Value, DecodeError> {
        let len = self.length(marker)?;
        let kind = i8::from_be_bytes(self.number()?);
        let data = self.take(len)?;
        if kind != EXT_CONSTANT {
            return Ok(text_or_bytes(data));
        }
        let depth = self.deeper(depth)?;
        let mut inner = Reader { bytes: data, at: 0, ..*self };
        let constant = inner.value(depth)?;
        self.items = inner.items;
        if let Value::List(mut pair) = constant
            && pair.len() == 2
        {
            return Ok(pair.swap_remove(1));
        }
        Ok(text_or_bytes(data))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "what is left has a four-byte length")]
    fn length(&mut self, marker: Marker) -> Result<usize, DecodeError> {
        Ok(match marker {
            Marker::FixStr(len) | Marker::FixArray(len) | Marker::FixMap(len) => usize::from(len),
            Marker::FixExt1 => 1,
            Marker::FixExt2 => 2,
            Marker::FixExt4 => 4,
            Marker::FixExt8 => 8,
            Marker::FixExt16 => 16,
            Marker::Str8 | Marker::Bin8 | Marker::Ext8 => usize::from(self.number::<1>()?[0]),
            Marker::Str16 | Marker::Bin16 | Marker::Ext16 | Marker::Array16 | Marker::Map16 => {
                usize::from(u16::from_be_bytes(self.number()?))
            }
            _ => usize::try_from(u32::from_be_bytes(self.number()?)).unwrap_or(usize::MAX),
        })
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut number = [0; N];
        number.copy_from_slice(self.take(N)?);
        Ok(number)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..len).ok_or(DecodeError::Truncated { at: self.bytes.len() })?;
        self.at += len;
        Ok(taken)
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn deeper(&self, depth: usize) -> Result<usize, DecodeError> {
        if depth < self.limits.depth {
            Ok(depth + 1)
        } else {
            Err(DecodeError::TooDeep { limit: self.limits.depth })
        }
    }

    fn count_item(&mut self) -> Result<(), DecodeError> {
        self.items += 1;
        if self.items <= self.limits.items {
            Ok(())
        } else {
            Err(DecodeError::TooMany { limit: self.limits.items })
        }
    }
}

fn text_or_bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.into(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Wire,
    Modern,
}

struct Writer {
    out: Vec<u8>,
    dialect: Dialect,
}

impl Writer {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Nil => self.marker(Marker::Null),
            Value::Bool(false) => self.marker(Marker::False),
            Value::Bool(true) => self.marker(Marker::True),
            Value::Int(number) => self.int(*number),
            Value::UInt(number) => self.uint(*number),
            Value::Float(number) => self.number(Marker::F64, &number.to_be_bytes()),
            Value::Str(text) => self.text(text.as_bytes()),
            Value::Bytes(bytes) if self.dialect == Dialect::Modern => self.binary(bytes),
            Value::Bytes(bytes) => self.text(bytes),
            Value::List(items) => self.list(items),
            Value::Map(map) => self.map(map),
        }
    }

    fn int(&mut self, number: i64) {
        if let Ok(number) = u64::try_from(number) {
            self.uint(number);
        } else if number >= -32 {
            self.out.push(number.to_be_bytes()[7]);
        } else if let Ok(number) = i8::try_from(number) {
            self.number(Marker::I8, &number.to_be_bytes());
        } else if let Ok(number) = i16::try_from(number) {
            self.number(Marker::I16, &number.to_be_bytes());
        } else if let Ok(number) = i32::try_from(number) {
            self.number(Marker::I32, &number.to_be_bytes());
        } else {
            self.number(Marker::I64, &number.to_be_bytes());
        }
    }

    fn uint(&mut self, number: u64) {
        if number < 128 {
            self.out.push(number.to_be_bytes()[7]);
        } else if let Ok(number) = u8::try_from(number) {
            self.number(Marker::U8, &number.to_be_bytes());
        } else if let Ok(number) = u16::try_from(number) {
            self.number(Marker::U16, &number.to_be_bytes());
        } else if let Ok(number) = u32::try_from(number) {
            self.number(Marker::U32, &number.to_be_bytes());
        } else {
            self.number(Marker::U64, &number.to_be_bytes());
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        match (u8::try_from(bytes.len()), u16::try_from(bytes.len())) {
            (Ok(len), _) if len < 32 => self.marker(Marker::FixStr(len)),
            (Ok(len), _) if self.dialect == Dialect::Modern => self.number(Marker::Str8, &[len]),
            (_, Ok(len)) => self.number(Marker::Str16, &len.to_be_bytes()),
            _ => self.number(Marker::Str32, &length32(bytes.len())),
        }
        self.out.extend_from_slice(bytes);
    }

    fn binary(&mut self, bytes: &[u8]) {
        match (u8::try_from(bytes.len()), u16::try_from(bytes.len())) {
            (Ok(len), _) => self.number(Marker::Bin8, &[len]),
            (_, Ok(len)) => self.number(Marker::Bin16, &len.to_be_bytes()),
            _ => self.number(Marker::Bin32, &length32(bytes.len())),
        }
        self.out.extend_from_slice(bytes);
    }

    fn list(&mut self, items: &[Value]) {
        match u16::try_from(items.len()) {
            Ok(len) if len < 16 => self.marker(Marker::FixArray(len.to_be_bytes()[1])),
            Ok(len) => self.number(Marker::Array16, &len.to_be_bytes()),
            Err(_) => self.number(Marker::Array32, &length32(items.len())),
        }
        for item in items {
            self.value(item);
        }
    }

    fn map(&mut self, map: &Map) {
        match u16::try_from(map.len()) {
            Ok(len) if len < 16 => self.marker(Marker::FixMap(len.to_be_bytes()[1])),
            Ok(len) => self.number(Marker::Map16, &len.to_be_bytes()),
            Err(_) => self.number(Marker::Map32, &length32(map.len())),
        }
        for (key, value) in map.iter() {
            self.value(key);
            self.value(value);
        }
    }

    fn marker(&mut self, marker: Marker) {
        self.out.push(marker.to_u8());
    }

    fn number(&mut self, marker: Marker, bytes: &[u8]) {
        self.marker(marker);
        self.out.extend_from_slice(bytes);
    }
}

/// Nothing longer than four gigabytes gets here: frames are capped far below that.
fn length32(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

/// Salt's extension for its internal named constants.
const EXT_CONSTANT: i8 = 79;
/// A length that a message only claims reserves no more than this.
const MAX_RESERVE: usize = 4096;

#[cfg(test)]
pub(crate) mod tests;
