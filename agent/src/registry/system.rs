//! The registry of this machine.

use std::{borrow::Cow, io};

use winreg::{
    RegKey, RegValue,
    enums::{
        HKEY_CLASSES_ROOT, HKEY_CURRENT_CONFIG, HKEY_CURRENT_USER, HKEY_LOCAL_MACHINE, HKEY_USERS,
        KEY_ALL_ACCESS, KEY_READ, KEY_WOW64_32KEY, KEY_WOW64_64KEY, RegType,
    },
};

use super::{Hive, Key, Raw, Registry, RegistryError};

/// The registry of this machine.
pub struct System;

impl Registry for System {
    fn broadcast_change(&self) -> bool {
        crate::platform::windows::broadcast_environment()
    }

    fn keys(&self, key: &Key) -> Result<Vec<String>, RegistryError> {
        let open = open(key, &key.path, KEY_READ)?;
        open.enum_keys().collect::<io::Result<_>>().map_err(|source| said(key, source))
    }

    fn values(&self, key: &Key) -> Result<Vec<(String, Raw)>, RegistryError> {
        let open = open(key, &key.path, KEY_READ)?;
        let values = open.enum_values().map(|entry| entry.map(|(name, value)| (name, raw(&value))));
        values.collect::<io::Result<_>>().map_err(|source| said(key, source))
    }

    fn read(&self, key: &Key, name: &str) -> Result<Raw, RegistryError> {
        let value = open(key, &key.path, KEY_READ)?.get_raw_value(name);
        value.map(|value| raw(&value)).map_err(|source| of_value(key, name, source))
    }

    fn write(&self, key: &Key, name: &str, raw: &Raw) -> Result<(), RegistryError> {
        let made = root(key).create_subkey_with_flags(&key.path, KEY_ALL_ACCESS | view(key));
        let (made, _) = made.map_err(|source| said(key, source))?;
        let value = RegValue { bytes: Cow::Borrowed(raw.bytes.as_slice()), vtype: kind(raw.number) };
        made.set_raw_value(name, &value).map_err(|source| said(key, source))
    }

    fn delete_value(&self, key: &Key, name: &str) -> Result<(), RegistryError> {
        let open = open(key, &key.path, KEY_ALL_ACCESS)?;
        open.delete_value(name).map_err(|source| of_value(key, name, source))
    }

    fn delete_tree(&self, key: &Key) -> Result<(), RegistryError> {
        let (above, last) = key.path.rsplit_once('\\').unwrap_or(("", &key.path));
        open(key, above, KEY_ALL_ACCESS)?.delete_subkey_all(last).map_err(|source| said(key, source))
    }
}

fn root(key: &Key) -> RegKey {
    RegKey::predef(match key.hive {
        Hive::ClassesRoot => HKEY_CLASSES_ROOT,
        Hive::CurrentConfig => HKEY_CURRENT_CONFIG,
        Hive::CurrentUser => HKEY_CURRENT_USER,
        Hive::LocalMachine => HKEY_LOCAL_MACHINE,
        Hive::Users => HKEY_USERS,
    })
}

fn view(key: &Key) -> u32 {
    if key.of_32_bit { KEY_WOW64_32KEY } else { KEY_WOW64_64KEY }
}

fn open(key: &Key, path: &str, access: u32) -> Result<RegKey, RegistryError> {
    root(key).open_subkey_with_flags(path, access | view(key)).map_err(|source| said(key, source))
}

fn said(key: &Key, source: io::Error) -> RegistryError {
    let key = key.to_string();
    if source.kind() == io::ErrorKind::NotFound {
        RegistryError::NoKey(key)
    } else if source.kind() == io::ErrorKind::PermissionDenied {
        RegistryError::Denied(key)
    } else {
        RegistryError::Other { key, source }
    }
}

fn of_value(key: &Key, name: &str, source: io::Error) -> RegistryError {
    if source.kind() == io::ErrorKind::NotFound {
        return RegistryError::NoValue { name: name.to_owned(), key: key.to_string() };
    }
    said(key, source)
}

fn raw(value: &RegValue<'_>) -> Raw {
    Raw { number: value.vtype.clone() as u32, bytes: value.bytes.to_vec() }
}

fn kind(number: u32) -> RegType {
    match number {
        0 => RegType::REG_NONE,
        1 => RegType::REG_SZ,
        2 => RegType::REG_EXPAND_SZ,
        4 => RegType::REG_DWORD,
        7 => RegType::REG_MULTI_SZ,
        11 => RegType::REG_QWORD,
        _ => RegType::REG_BINARY,
    }
}
