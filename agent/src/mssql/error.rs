//! SQL Server's refusals in plain words.
//!
//! The number and the text are SQL Server's (values of rows taken out, see `redact`); the meaning says whose fault it is
//! and what to do. Numbers and states: Microsoft, "Database Engine events and errors" and "MSSQLSERVER_18456".

use std::fmt;

use tiberius::error::{Error as Tds, IoErrorKind};

use super::options::Encryption;
use super::redact::without_values;
use super::wire::{ANSWER_TIMEOUT, STALLED};

/// A failed connection or statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlError {
    /// SQL Server answered with an error.
    Server {
        /// Its number.
        number: u32,
        /// Its state, which tells the reason of a failed login.
        state: u8,
        /// Its text, without row values.
        message: String,
    },
    /// No connection could be made.
    Unreachable {
        /// `host:port` or `host\instance`.
        server: String,
        /// The system's reason.
        reason: String,
    },
    /// The connection broke.
    Broken {
        /// The system's reason.
        reason: String,
    },
    /// TLS could not be agreed on.
    Tls {
        /// The reason, and what to set.
        reason: String,
    },
    /// Nothing came for too long.
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// For how long, in seconds.
        seconds: u64,
    },
    /// A text is not valid in its column's encoding, so nothing after it can be read.
    Text,
    /// The server sent what the client cannot read.
    Protocol {
        /// What was wrong, without row values.
        reason: String,
    },
}

impl SqlError {
    /// What keeps a connection from being made. tiberius begins TLS with a server that insists on it, also when it was
    /// told to do without; the server has closed the connection by then (MS-TDS 2.2.6.5, ENCRYPT_REQ).
    pub(super) fn of_connect(error: Tds, encryption: Encryption) -> Self {
        let cut = matches!(&error, Tds::Io { message, .. } if message.contains("tls handshake"));
        let is_handshake = cut || matches!(error, Tds::Tls(_));
        if encryption == Encryption::Off && is_handshake {
            let reason = "the server insists on encrypted connections (Force Encryption) and mssql.encrypt is false: \
                          set mssql.encrypt: true";
            return Self::Tls { reason: reason.to_owned() };
        }
        Self::from(error)
    }

    /// A certificate that is not trusted, and what to set.
    pub(super) fn certificate(reason: &str) -> Self {
        Self::Tls { reason: tls_reason(reason) }
    }

    /// SQL Server's error number, when it answered.
    pub fn number(&self) -> Option<u32> {
        match self {
            Self::Server { number, .. } => Some(*number),
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::Tls { .. }
            | Self::TimedOut { .. }
            | Self::Text
            | Self::Protocol { .. } => None,
        }
    }

    /// True when the same statement may well succeed later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Server { number, .. } => TRANSIENT.contains(number),
            Self::Unreachable { .. } | Self::Broken { .. } | Self::TimedOut { .. } => true,
            Self::Tls { .. } | Self::Text | Self::Protocol { .. } => false,
        }
    }

    /// What the number means for the reader, when we know better words than the server's.
    pub fn meaning(&self) -> Option<&'static str> {
        match self {
            Self::Server { number: 18456, state, .. } => login_meaning(*state),
            Self::Server { number, .. } => MEANINGS.iter().find(|(n, _)| n == number).map(|(_, text)| *text),
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::Tls { .. }
            | Self::TimedOut { .. }
            | Self::Text
            | Self::Protocol { .. } => None,
        }
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { number, state, message } => {
                write!(f, "SQL Server error {number}, state {state}: {message}")?;
                match self.meaning() {
                    Some(meaning) => write!(f, " ({meaning})"),
                    None => Ok(()),
                }
            }
            Self::Unreachable { server, reason } => {
                write!(
                    f,
                    "SQL Server {server} cannot be reached: {reason}; check mssql.server, mssql.port and the firewall"
                )
            }
            Self::Broken { reason } => write!(f, "the connection to SQL Server broke: {reason}"),
            Self::Tls { reason } => write!(f, "no TLS with SQL Server: {reason}"),
            Self::TimedOut { what, seconds } => {
                write!(f, "SQL Server did not answer within {seconds} s ({what})")
            }
            Self::Text => f.write_str("a text is not valid in the encoding of its column"),
            Self::Protocol { reason } => write!(f, "SQL Server sent what the client cannot read: {reason}"),
        }
    }
}

impl std::error::Error for SqlError {}

impl From<Tds> for SqlError {
    fn from(error: Tds) -> Self {
        match error {
            Tds::Server(token) => Self::Server {
                number: token.code(),
                state: token.state(),
                message: without_values(token.code(), token.message()),
            },
            Tds::Io { kind: IoErrorKind::TimedOut, .. } => Self::TimedOut { what: "handshake", seconds: 15 },
            Tds::Io { message, .. } if message.contains(STALLED) => {
                Self::TimedOut { what: "answer", seconds: ANSWER_TIMEOUT.as_secs() }
            }
            Tds::Io { message, .. } => Self::Broken { reason: message },
            Tds::Tls(reason) => Self::Tls { reason: tls_reason(&reason) },
            Tds::Routing { host, port } => Self::Unreachable {
                server: format!("{host}:{port}"),
                reason: "the server routes connections there".into(),
            },
            // The remaining kinds may quote a value in their text: only the kind is kept.
            Tds::Utf8 | Tds::Utf16 | Tds::Encoding(_) => Self::Text,
            Tds::Protocol(reason) if reason.contains("invalid UTF-16 sequence") => Self::Text,
            Tds::Conversion(_) | Tds::ParseInt(_) => {
                Self::Protocol { reason: "a value is not of the type expected".into() }
            }
            Tds::Protocol(reason) => Self::Protocol { reason: reason.into_owned() },
            Tds::BulkInput(_) => Self::Protocol { reason: "bulk input refused".into() },
        }
    }
}

/// tiberius' hint lists its own API; an operator needs our option names.
fn tls_reason(reason: &str) -> String {
    let first = reason.split(" To connect anyway").next().unwrap_or(reason);
    format!(
        "{first} (set mssql.ca to the server's CA file, mssql.trust_server_certificate: true, or mssql.encrypt: false)"
    )
}

fn login_meaning(state: u8) -> Option<&'static str> {
    Some(match state {
        1 => "login failed; SQL Server tells the reason only in its own log",
        2 | 5 => "no such login",
        6 => "a Windows login name was used with a password",
        7 => "the login is disabled, and the password is wrong",
        8 => "the password is wrong",
        9 => "the password is not acceptable",
        11 | 12 => "the login is valid but may not connect to this server",
        13 => "the SQL Server service is paused",
        18 => "the password must be changed first",
        38 | 40 => "the database asked for does not exist or may not be opened",
        58 => "the server accepts Windows logins only",
        _ => return None,
    })
}

/// Errors that pass by themselves: lock waits, deadlocks, snapshot conflicts, a server short of something or starting.
const TRANSIENT: &[u32] = &[
    20, 64, 233, 258, 601, 701, 845, 921, 922, 942, 1204, 1205, 1222, 3960, 3966, 4060, 9001, 9002, 10053,
    10054, 10060, 10928, 10929, 40197, 40501, 40613, 49918, 17142, 17187, 17197, 18401,
];

const MEANINGS: &[(u32, &str)] = &[
    (53, "the server's name or port is wrong, or it is down"),
    (207, "no such column, or no permission to see it"),
    (208, "no such table, or no permission to see it"),
    (229, "the login lacks a permission on this object"),
    (230, "the login lacks a permission on this column"),
    (233, "the server closed the connection while logging in"),
    (258, "the server did not answer in time"),
    (262, "the login may not run this kind of statement"),
    (297, "the login lacks a server permission"),
    (300, "the login lacks a server permission"),
    (515, "a column that needs a value was given none"),
    (547, "a constraint forbids it"),
    (701, "SQL Server is out of memory"),
    (911, "no such database"),
    (916, "the login has no user in this database"),
    (942, "the database is offline"),
    (945, "the database cannot be opened: files or memory are missing"),
    (1105, "the database is full"),
    (1205, "chosen as deadlock victim; nothing was changed"),
    (1222, "someone holds a lock on the rows for too long"),
    (2601, "such a row exists already"),
    (2627, "such a row exists already"),
    (2628, "the text is too long for its column"),
    (3906, "the database is read-only"),
    (3960, "another transaction changed the same row"),
    (4060, "the database does not exist, is offline, or the login has no user in it"),
    (4064, "the login's default database cannot be opened"),
    (5120, "SQL Server may not read or write its own file"),
    (8152, "the text is too long for its column"),
    (9002, "the transaction log is full"),
    (10928, "the server's limit of workers is reached"),
    (10929, "the server's limit of workers is reached"),
    (4613, "the login holds no right that it could grant"),
    (15007, "there is no such login"),
    (15023, "the user exists already"),
    (15025, "the login exists already"),
    (15063, "the login has a user in this database already"),
    (15138, "it owns a schema, which must get another owner first"),
    (15151, "no such principal, or no permission to change it"),
    (15247, "the login may not do this: it takes securityadmin or ALTER ANY LOGIN"),
    (15421, "it owns a role, which must get another owner first"),
    (15434, "the login has sessions open"),
    (18452, "a Windows login from an untrusted domain"),
    (18470, "the login is disabled"),
    (18486, "the login is locked out after wrong passwords"),
    (18487, "the password has expired"),
    (18488, "the password must be changed first"),
    (40613, "the database is not available right now"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn server(number: u32, state: u8) -> SqlError {
        SqlError::Server { number, state, message: "text".into() }
    }

    #[test]
    fn a_failed_login_is_told_by_its_state() {
        assert_eq!(
            server(18456, 8).to_string(),
            "SQL Server error 18456, state 8: text (the password is wrong)"
        );
        assert_eq!(server(18456, 250).to_string(), "SQL Server error 18456, state 250: text");
    }

    #[test]
    fn lock_waits_are_retried_and_missing_permissions_are_not() {
        assert!(server(1222, 1).is_retryable());
        assert!(server(1205, 1).is_retryable());
        assert!(!server(229, 5).is_retryable());
        assert!(!server(18456, 1).is_retryable());
        assert!(SqlError::Broken { reason: "reset".into() }.is_retryable());
    }

    #[test]
    fn conversion_errors_of_the_client_do_not_quote_values() {
        let error = SqlError::from(Tds::Conversion("cannot read 'Miller'".into()));
        assert!(!error.to_string().contains("Miller"));
    }
}
