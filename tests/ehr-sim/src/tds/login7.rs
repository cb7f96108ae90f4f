//! LOGIN7 (MS-TDS 2.2.6.4): who logs in, from where, to which database, and how the connection shall behave.
//!
//! The password is only lightly disguised on the wire; once read it lives in [`Login7::password`] and is printed by no
//! `Debug`. Windows authentication and access tokens are recognised and left to the caller to refuse.

use std::fmt;

use super::error::TdsError;
use super::read::Reader;

/// The protocol version a connection speaks. Older ones are refused: they know no `date`, `time` or `datetime2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TdsVersion {
    /// SQL Server 2008.
    V7_3A,
    /// SQL Server 2008 R2.
    V7_3B,
    /// SQL Server 2012 and later.
    V7_4,
}

impl TdsVersion {
    /// The number LOGIN7 and LOGINACK carry.
    pub fn number(self) -> u32 {
        match self {
            Self::V7_3A => 0x730A_0003,
            Self::V7_3B => 0x730B_0003,
            Self::V7_4 => 0x7400_0004,
        }
    }

    fn from_number(number: u32) -> Result<Self, TdsError> {
        match number >> 16 {
            0x730A => Ok(Self::V7_3A),
            0x730B => Ok(Self::V7_3B),
            newer if newer >= 0x7400 => Ok(Self::V7_4),
            _ => Err(TdsError::OldVersion(number)),
        }
    }
}

/// How the client wants to prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// Name and password.
    SqlServer,
    /// NTLM or Kerberos.
    Windows,
    /// An access token of an identity provider.
    Token,
}

/// A client's login message.
#[derive(Clone)]
pub struct Login7 {
    /// Protocol version asked for.
    pub version: TdsVersion,
    /// Packet size asked for, in bytes; 0 leaves it to the server.
    pub packet_size: u32,
    /// The client's process.
    pub client_pid: u32,
    /// Way of authentication.
    pub authentication: Authentication,
    /// The client set `ApplicationIntent=ReadOnly`.
    pub read_only_intent: bool,
    /// ODBC and OLE DB clients get ANSI settings switched on.
    pub ansi_defaults: bool,
    /// The client's machine.
    pub host_name: String,
    /// Login name.
    pub user_name: String,
    /// Password in clear.
    pub password: String,
    /// `program_name`.
    pub app_name: String,
    /// The server name the client used.
    pub server_name: String,
    /// The client library.
    pub library: String,
    /// Language asked for, empty for the login's own.
    pub language: String,
    /// Database asked for, empty for the login's default.
    pub database: String,
    /// The password is expired or must change, and this is the new one.
    pub new_password: Option<String>,
    /// Feature extensions the client offered, by number.
    pub features: Vec<u8>,
}

impl fmt::Debug for Login7 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login7")
            .field("version", &self.version)
            .field("host_name", &self.host_name)
            .field("user_name", &self.user_name)
            .field("app_name", &self.app_name)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl Login7 {
    /// Reads a LOGIN7 message.
    pub fn parse(payload: &[u8]) -> Result<Self, TdsError> {
        let fixed = Fixed::parse(payload)?;
        let text = |index: usize| fixed.text(payload, index);
        let extended = fixed.flags[3] & FLAG3_EXTENSION != 0;
        let features = if extended { fixed.features(payload)? } else { Vec::new() };
        let authentication =
            match (fixed.flags[1] & FLAG2_INTEGRATED != 0, features.contains(&FEATURE_FEDAUTH)) {
                (true, _) => Authentication::Windows,
                (false, true) => Authentication::Token,
                (false, false) => Authentication::SqlServer,
            };
        let new_password = match fixed.flags[3] & FLAG3_CHANGE_PASSWORD != 0 {
            true => Some(fixed.password(payload, FIELD_NEW_PASSWORD)?),
            false => None,
        };
        Ok(Self {
            version: TdsVersion::from_number(fixed.version)?,
            packet_size: fixed.packet_size,
            client_pid: fixed.client_pid,
            authentication,
            read_only_intent: fixed.flags[2] & TYPE_READ_ONLY != 0,
            ansi_defaults: fixed.flags[1] & FLAG2_ODBC != 0,
            host_name: text(0)?,
            user_name: text(1)?,
            password: fixed.password(payload, 2)?,
            app_name: text(3)?,
            server_name: text(4)?,
            library: text(6)?,
            language: text(7)?,
            database: text(8)?,
            new_password,
            features,
        })
    }
}

/// The part of fixed length: numbers, flags, and where the texts lie.
struct Fixed {
    version: u32,
    packet_size: u32,
    client_pid: u32,
    flags: [u8; 4],
    fields: Vec<(u16, u16)>,
}

impl Fixed {
    fn parse(payload: &[u8]) -> Result<Self, TdsError> {
        let mut reader = Reader::new(payload, PART);
        let length = reader.u32()? as usize;
        if length > payload.len() {
            return Err(TdsError::Truncated(PART));
        }
        let version = reader.u32()?;
        let packet_size = reader.u32()?;
        let _client_version = reader.u32()?;
        let client_pid = reader.u32()?;
        let _connection_id = reader.u32()?;
        let flags = [reader.u8()?, reader.u8()?, reader.u8()?, reader.u8()?];
        let _time_zone_and_lcid = reader.u64()?;
        let mut fields = Vec::with_capacity(12);
        for index in 0..12 {
            if index == FIELD_AFTER_CLIENT_ID {
                let _client_id = reader.take(6)?;
            }
            fields.push((reader.u16()?, reader.u16()?));
        }
        Ok(Self { version, packet_size, client_pid, flags, fields })
    }

    fn bytes<'a>(&self, payload: &'a [u8], index: usize) -> Result<(&'a [u8], usize), TdsError> {
        let (offset, chars) = self.fields[index];
        let tail = payload.get(usize::from(offset)..).ok_or(TdsError::Truncated(PART))?;
        Ok((tail, usize::from(chars)))
    }

    fn text(&self, payload: &[u8], index: usize) -> Result<String, TdsError> {
        let (bytes, chars) = self.bytes(payload, index)?;
        Reader::new(bytes, PART).utf16(chars)
    }

    fn password(&self, payload: &[u8], index: usize) -> Result<String, TdsError> {
        let (bytes, chars) = self.bytes(payload, index)?;
        let clear: Vec<u8> = Reader::new(bytes, PART)
            .take(chars * 2)?
            .iter()
            .map(|byte| (byte ^ 0xA5).rotate_left(4))
            .collect();
        Reader::new(&clear, PART).utf16(chars)
    }

    fn features(&self, payload: &[u8]) -> Result<Vec<u8>, TdsError> {
        let (pointer, _) = self.bytes(payload, FIELD_EXTENSION)?;
        let offset = Reader::new(pointer, PART).u32()? as usize;
        let mut reader = Reader::new(payload.get(offset..).ok_or(TdsError::Truncated(PART))?, PART);
        let mut features = Vec::new();
        loop {
            let feature = reader.u8()?;
            if feature == FEATURE_END {
                return Ok(features);
            }
            let length = reader.u32()? as usize;
            reader.take(length)?;
            features.push(feature);
        }
    }
}

const PART: &str = "LOGIN7";
const FIELD_EXTENSION: usize = 5;
const FIELD_AFTER_CLIENT_ID: usize = 9;
const FIELD_NEW_PASSWORD: usize = 11;
const FLAG2_ODBC: u8 = 0x02;
const FLAG2_INTEGRATED: u8 = 0x80;
const TYPE_READ_ONLY: u8 = 0x20;
const FLAG3_CHANGE_PASSWORD: u8 = 0x01;
const FLAG3_EXTENSION: u8 = 0x10;
const FEATURE_FEDAUTH: u8 = 0x02;
const FEATURE_END: u8 = 0xFF;

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as clients lay it out: the fixed part, the texts in order, then the features.
    fn message(version: u32, texts: [&str; 12], flags3: u8) -> Vec<u8> {
        let (mut fixed, mut data) = (Vec::new(), Vec::new());
        for value in [version, 8000, 7, 4242, 0] {
            fixed.extend_from_slice(&u32::to_le_bytes(value));
        }
        fixed.extend_from_slice(&[0xE0, 0x03, 0x20, flags3]);
        fixed.extend_from_slice(&[0; 8]);
        for (index, text) in texts.iter().enumerate() {
            if index == FIELD_AFTER_CLIENT_ID {
                fixed.extend_from_slice(&[1, 2, 3, 4, 5, 6]);
            }
            let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let scrambled = matches!(index, 2 | FIELD_NEW_PASSWORD);
            let offset = u16::try_from(94 + data.len()).unwrap();
            fixed.extend_from_slice(&offset.to_le_bytes());
            fixed.extend_from_slice(&u16::try_from(units.len() / 2).unwrap().to_le_bytes());
            data.extend(units.iter().map(|byte| if scrambled { byte.rotate_left(4) ^ 0xA5 } else { *byte }));
        }
        fixed.extend_from_slice(&[0; 4]);
        let mut out = u32::try_from(4 + fixed.len() + data.len()).unwrap().to_le_bytes().to_vec();
        out.extend(fixed);
        out.extend(data);
        out
    }

    const TEXTS: [&str; 12] =
        ["FRONTDESK", "sa", "pä$$", "tsql", "ehr", "", "DB-Lib", "", "Main_OMS", "", "", ""];

    #[test]
    fn reads_what_a_client_sends() {
        let login = Login7::parse(&message(0x7400_0004, TEXTS, 0)).unwrap();
        assert_eq!((login.version, login.packet_size, login.client_pid), (TdsVersion::V7_4, 8000, 4242));
        assert_eq!((login.host_name.as_str(), login.user_name.as_str()), ("FRONTDESK", "sa"));
        assert_eq!((login.password.as_str(), login.database.as_str()), ("pä$$", "Main_OMS"));
        assert!(login.ansi_defaults && login.read_only_intent && login.new_password.is_none());
        assert_eq!(login.authentication, Authentication::SqlServer);
    }

    #[test]
    fn the_password_is_not_printed() {
        let login = Login7::parse(&message(0x730B_0003, TEXTS, 0)).unwrap();
        assert!(!format!("{login:?}").contains("pä$$"));
    }

    #[test]
    fn refuses_a_version_without_date_types() {
        assert!(matches!(
            Login7::parse(&message(0x7209_0002, TEXTS, 0)),
            Err(TdsError::OldVersion(0x7209_0002))
        ));
    }

    #[test]
    fn a_text_outside_the_message_is_refused() {
        let mut bytes = message(0x7400_0004, TEXTS, 0);
        bytes[40..42].copy_from_slice(&u16::MAX.to_le_bytes());
        assert!(Login7::parse(&bytes).is_err());
        assert!(Login7::parse(&bytes[..60]).is_err());
    }
}
