//! The registry of Windows: keys and values, with Salt's names for hives and types (`salt/utils/win_reg.py`).
//!
//! What needs Windows is behind [`Registry`], which reads and writes bytes with a type number; what values mean is decided
//! here and tried everywhere.

use std::io;

use states::Value;
use thiserror::Error;

#[cfg(windows)]
mod system;

#[cfg(windows)]
pub use system::System;

#[cfg(test)]
pub mod memory;

/// A key: `HKLM` and `SOFTWARE\Vendor`, in the view of 64-bit or of 32-bit programs.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// Where the path begins.
    pub hive: Hive,
    /// The path below the hive.
    pub path: String,
    /// The view of 32-bit programs.
    pub of_32_bit: bool,
    given: String,
}

/// The five roots.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Hive {
    /// `HKCR`.
    ClassesRoot,
    /// `HKCC`.
    CurrentConfig,
    /// `HKCU`.
    CurrentUser,
    /// `HKLM`.
    LocalMachine,
    /// `HKU`.
    Users,
}

/// What kind of data a value holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `REG_BINARY`.
    Binary,
    /// `REG_DWORD`.
    Dword,
    /// `REG_EXPAND_SZ`.
    ExpandSz,
    /// `REG_MULTI_SZ`.
    MultiSz,
    /// `REG_NONE`.
    None,
    /// `REG_QWORD`.
    Qword,
    /// `REG_SZ`.
    Sz,
}

/// A value as the registry keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Raw {
    /// The number of its type.
    pub number: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Why the registry did not do what was asked.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// No such root.
    #[error("Invalid Hive: {0}")]
    Hive(String),
    /// No such type.
    #[error(
        "Invalid value type: {0}. Valid are REG_BINARY, REG_DWORD, REG_EXPAND_SZ, REG_MULTI_SZ, REG_QWORD and REG_SZ"
    )]
    Kind(String),
    /// The data does not fit the type.
    #[error("{data} is no data of type {kind}")]
    Data {
        /// The data.
        data: String,
        /// The type.
        kind: &'static str,
    },
    /// No such key.
    #[error("Cannot find key: {0}")]
    NoKey(String),
    /// The key has no such value.
    #[error("Cannot find {name} in {key}")]
    NoValue {
        /// The value.
        name: String,
        /// The key.
        key: String,
    },
    /// The account of the agent may not.
    #[error("Access is denied: {0}")]
    Denied(String),
    /// Anything else that Windows says.
    #[error("{key}: {source}")]
    Other {
        /// The key.
        key: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// Reads and writes keys. The empty name is the default value's.
pub trait Registry: Send + Sync {
    /// The names of the keys right below one.
    ///
    /// # Errors
    /// See [`RegistryError`].
    fn keys(&self, key: &Key) -> Result<Vec<String>, RegistryError>;

    /// The values of a key.
    ///
    /// # Errors
    /// See [`RegistryError`].
    fn values(&self, key: &Key) -> Result<Vec<(String, Raw)>, RegistryError>;

    /// One value.
    ///
    /// # Errors
    /// See [`RegistryError`].
    fn read(&self, key: &Key, name: &str) -> Result<Raw, RegistryError>;

    /// Sets a value, and makes its key and those above when they are not there.
    ///
    /// # Errors
    /// See [`RegistryError`].
    fn write(&self, key: &Key, name: &str, raw: &Raw) -> Result<(), RegistryError>;

    /// Removes a value.
    ///
    /// # Errors
    /// See [`RegistryError`].
    fn delete_value(&self, key: &Key, name: &str) -> Result<(), RegistryError>;

    /// Tells every program with a window that the environment changed; whether they could be told.
    fn broadcast_change(&self) -> bool;

    /// Removes a key and everything below.
    ///
    /// # Errors
    /// See [`RegistryError`].
    fn delete_tree(&self, key: &Key) -> Result<(), RegistryError>;
}

impl Key {
    /// `HKLM` and `SOFTWARE\Vendor`.
    ///
    /// # Errors
    /// [`RegistryError::Hive`].
    pub fn new(hive: &str, path: &str, of_32_bit: bool) -> Result<Self, RegistryError> {
        let known = match hive {
            "HKEY_CLASSES_ROOT" | "HKCR" => Hive::ClassesRoot,
            "HKEY_CURRENT_CONFIG" | "HKCC" => Hive::CurrentConfig,
            "HKEY_CURRENT_USER" | "HKCU" => Hive::CurrentUser,
            "HKEY_LOCAL_MACHINE" | "HKLM" => Hive::LocalMachine,
            "HKEY_USERS" | "HKU" => Hive::Users,
            other => return Err(RegistryError::Hive(other.to_owned())),
        };
        Ok(Self { hive: known, path: path.to_owned(), of_32_bit, given: hive.to_owned() })
    }

    /// `HKLM\SOFTWARE\Vendor`.
    ///
    /// # Errors
    /// [`RegistryError::Hive`].
    pub fn parse(text: &str, of_32_bit: bool) -> Result<Self, RegistryError> {
        let (hive, path) = text.split_once('\\').unwrap_or((text, ""));
        Self::new(hive, path, of_32_bit)
    }

    /// The name of the hive as it was given.
    #[must_use]
    pub fn hive_name(&self) -> &str {
        &self.given
    }

    /// Whether removing it would take most of a hive along: a key right below a root that is not the user's own.
    #[must_use]
    pub fn is_close_to_root(&self) -> bool {
        let deep = self.path.chars().skip(1).filter(|sign| *sign == '\\').count();
        self.path.is_empty() || self.hive != Hive::CurrentUser && deep < 1
    }

    /// The same key, whatever its hive was called and however it was written.
    #[must_use]
    pub fn canonical(&self) -> String {
        let hive = match self.hive {
            Hive::ClassesRoot => "HKCR",
            Hive::CurrentConfig => "HKCC",
            Hive::CurrentUser => "HKCU",
            Hive::LocalMachine => "HKLM",
            Hive::Users => "HKU",
        };
        format!("{hive}\\{}", self.path).to_uppercase()
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}\\{}", self.given, self.path)
    }
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::Binary, Self::Dword, Self::ExpandSz, Self::MultiSz, Self::None, Self::Qword, Self::Sz];

    /// The type of that name.
    ///
    /// # Errors
    /// [`RegistryError::Kind`].
    pub fn parse(name: &str) -> Result<Self, RegistryError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| RegistryError::Kind(name.to_owned()))
    }

    /// The type of that number; binary for one that Salt has no name for.
    #[must_use]
    pub fn of_number(number: u32) -> Self {
        Self::ALL.into_iter().find(|kind| kind.number() == number).unwrap_or(Self::Binary)
    }

    /// Windows' name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "REG_BINARY",
            Self::Dword => "REG_DWORD",
            Self::ExpandSz => "REG_EXPAND_SZ",
            Self::MultiSz => "REG_MULTI_SZ",
            Self::None => "REG_NONE",
            Self::Qword => "REG_QWORD",
            Self::Sz => "REG_SZ",
        }
    }

    fn number(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Sz => 1,
            Self::ExpandSz => 2,
            Self::Binary => 3,
            Self::Dword => 4,
            Self::MultiSz => 7,
            Self::Qword => 11,
        }
    }

    /// The data as a value of this type holds it.
    ///
    /// # Errors
    /// [`RegistryError::Data`].
    pub fn cast(self, data: &Value) -> Result<Value, RegistryError> {
        let unfit = || RegistryError::Data { data: data.repr(), kind: self.name() };
        let text = |data: &Value| match data {
            Value::Nil => Some(String::new()),
            Value::Str(text) => Some(text.clone()),
            Value::Int(_) | Value::Bool(_) | Value::Float(_) => Some(data.to_string()),
            Value::Bytes(_) | Value::List(_) | Value::Map(_) => None,
        };
        match self {
            Self::Sz | Self::ExpandSz => text(data).map(Value::Str).ok_or_else(unfit),
            Self::Binary | Self::None => match data {
                Value::Bytes(_) => Ok(data.clone()),
                Value::Nil => Ok(Value::Bytes(Vec::new())),
                Value::Bool(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Str(_)
                | Value::List(_)
                | Value::Map(_) => text(data).map(|text| Value::Bytes(text.into_bytes())).ok_or_else(unfit),
            },
            Self::MultiSz => {
                let items = data.as_list().ok_or_else(unfit)?;
                let texts: Option<Vec<Value>> = items.iter().map(|item| text(item).map(Value::Str)).collect();
                texts.map(Value::List).ok_or_else(unfit)
            }
            Self::Dword => {
                whole(data).filter(|number| u32::try_from(*number).is_ok()).map(Value::Int).ok_or_else(unfit)
            }
            Self::Qword => whole(data).filter(|number| *number >= 0).map(Value::Int).ok_or_else(unfit),
        }
    }

    /// The bytes that the registry keeps for data of this type.
    ///
    /// # Errors
    /// [`RegistryError::Data`].
    pub fn encode(self, data: &Value) -> Result<Raw, RegistryError> {
        let bytes = match (self, self.cast(data)?) {
            (_, Value::Str(text)) => wide(&text),
            (_, Value::Bytes(bytes)) => bytes,
            (_, Value::List(items)) => {
                let mut bytes: Vec<u8> = items.iter().flat_map(|item| wide(&item.to_string())).collect();
                bytes.extend([0, 0]);
                bytes
            }
            (Self::Dword, Value::Int(number)) => {
                u32::try_from(number).unwrap_or_default().to_le_bytes().to_vec()
            }
            (_, other) => whole(&other).unwrap_or_default().to_le_bytes().to_vec(),
        };
        Ok(Raw { number: self.number(), bytes })
    }
}

impl Raw {
    /// What the bytes mean.
    #[must_use]
    pub fn decode(&self) -> Value {
        match Kind::of_number(self.number) {
            Kind::Sz | Kind::ExpandSz => narrow(&self.bytes).trim_end_matches('\0').into(),
            Kind::MultiSz => {
                let text = narrow(&self.bytes);
                let text = text.strip_suffix('\0').unwrap_or(&text);
                let items = text.split_terminator('\0').map(Value::from);
                Value::List(items.collect())
            }
            Kind::Dword | Kind::Qword => {
                let mut eight = [0; 8];
                let length = self.bytes.len().min(8);
                eight[..length].copy_from_slice(&self.bytes[..length]);
                Value::Int(i64::from_le_bytes(eight))
            }
            Kind::Binary | Kind::None => Value::Bytes(self.bytes.clone()),
        }
    }
}

fn whole(data: &Value) -> Option<i64> {
    match data {
        Value::Int(number) => Some(*number),
        Value::Bool(yes) => Some(i64::from(*yes)),
        Value::Str(text) => text.trim().parse().ok(),
        Value::Nil | Value::Float(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) => None,
    }
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn narrow(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(|sign| sign.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_comes_back_as_it_was_written() {
        let list = Value::List(vec!["one".into(), "".into(), "drei ü".into()]);
        for (kind, data) in [
            ("REG_SZ", Value::from("C:\\Program Files ☃")),
            ("REG_EXPAND_SZ", "%SystemRoot%".into()),
            ("REG_MULTI_SZ", list),
            ("REG_MULTI_SZ", Value::List(Vec::new())),
            ("REG_DWORD", 4_294_967_295_i64.into()),
            ("REG_QWORD", i64::MAX.into()),
            ("REG_BINARY", Value::Bytes(vec![0, 1, 255])),
        ] {
            let kind = Kind::parse(kind).unwrap();
            assert_eq!(kind.encode(&data).unwrap().decode(), data, "{}", kind.name());
        }
    }

    #[test]
    fn bytes_are_those_of_windows() {
        assert_eq!(Kind::Sz.encode(&"a".into()).unwrap(), Raw { number: 1, bytes: vec![b'a', 0, 0, 0] });
        assert_eq!(Kind::Dword.encode(&1.into()).unwrap(), Raw { number: 4, bytes: vec![1, 0, 0, 0] });
        let list = Value::List(vec!["a".into()]);
        assert_eq!(Kind::MultiSz.encode(&list).unwrap().bytes, [b'a', 0, 0, 0, 0, 0]);
        // What another program left without its last zero, or with a wrong length.
        assert_eq!(Raw { number: 1, bytes: vec![b'a', 0, b'b', 0, 9] }.decode(), Value::from("ab"));
        assert_eq!(Raw { number: 4, bytes: Vec::new() }.decode(), Value::Int(0));
        assert_eq!(Raw { number: 7, bytes: Vec::new() }.decode(), Value::List(Vec::new()));
    }

    #[test]
    fn data_that_does_not_fit_is_refused() {
        for (kind, data) in [
            (Kind::Dword, Value::from("x")),
            (Kind::Dword, (-1).into()),
            (Kind::Dword, 4_294_967_296_i64.into()),
            (Kind::MultiSz, "text".into()),
            (Kind::Sz, Value::List(Vec::new())),
        ] {
            assert!(kind.cast(&data).is_err(), "{} {data}", kind.name());
        }
        assert_eq!(Kind::Dword.cast(&"7".into()).unwrap(), Value::Int(7));
        assert_eq!(Kind::Sz.cast(&7.into()).unwrap(), Value::from("7"));
    }

    #[test]
    fn keys_near_the_root_are_seen() {
        let close = |text: &str| Key::parse(text, false).unwrap().is_close_to_root();
        assert!(close("HKLM\\SOFTWARE") && close("HKLM") && close("HKCU"));
        assert!(!close("HKLM\\SOFTWARE\\Vendor") && !close("HKCU\\Vendor"));
        assert!(Key::parse("HKXX\\a", false).is_err());
    }
}
