//! What a job, an epoch and a batch are called, here and at the master.
//!
//! A batch is named once and for ever by job, epoch and sequence. The name of its file and of its folder at the master
//! follow from that, so a repeated delivery lands on itself. A job name becomes a path component by percent-encoding
//! whatever is not a plain file name character; different names never meet in one folder.

use std::fmt;

/// The name of a sync job, as the state declares it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobName(String);

/// A name that no job can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a sync job's name has 1 to {MAX_NAME} bytes and no control characters")]
pub struct BadJobName;

impl JobName {
    /// Checks the name.
    ///
    /// # Errors
    /// Empty, too long, or holding control characters.
    pub fn new(name: impl Into<String>) -> Result<Self, BadJobName> {
        let name = name.into();
        let bad = name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control);
        if bad { Err(BadJobName) } else { Ok(Self(name)) }
    }

    /// The name as declared.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as one path component.
    pub fn path_component(&self) -> String {
        let mut safe = String::with_capacity(self.0.len());
        for (at, byte) in self.0.bytes().enumerate() {
            let plain =
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (byte == b'.' && at > 0);
            if plain {
                safe.push(char::from(byte));
            } else {
                safe.push_str(&format!("%{byte:02X}"));
            }
        }
        safe
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One generation of a job's data: a snapshot and the increments after it. Grows with every re-snapshot, also across a
/// lost store, because it is taken from the clock (seconds since 1970).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch that begins at `now` after `previous`.
    pub fn begin(now: std::time::SystemTime, previous: Option<Self>) -> Self {
        let seconds = now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self(previous.map_or(seconds, |previous| seconds.max(previous.0 + 1)))
    }

    /// As a number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for Epoch {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

/// A batch's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BatchId {
    /// The job.
    pub job: JobName,
    /// Its generation.
    pub epoch: Epoch,
    /// Counts from 1 within the epoch, without gaps.
    pub sequence: u64,
}

impl BatchId {
    /// The file's name, in the spool and at the sink.
    pub fn file_name(&self, sealed: bool) -> String {
        let seal = if sealed { ".age" } else { "" };
        format!("{}-{:010}.parquet{seal}", self.epoch.0, self.sequence)
    }
}

const MAX_NAME: usize = 128;

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_job_name_is_one_harmless_path_component() {
        let component = |name: &str| JobName::new(name).unwrap().path_component();
        assert_eq!(component("main_oms.Appointment-1"), "main_oms.Appointment-1");
        assert_eq!(component("../a b"), "%2E.%2Fa%20b");
        assert_eq!(component(".."), "%2E.");
        assert_eq!(component("C:\\é"), "C%3A%5C%C3%A9");
        assert_ne!(component("a b"), component("a%20b"));
        assert!(JobName::new("").is_err() && JobName::new("a\nb").is_err());
    }

    #[test]
    fn epochs_grow_when_the_clock_does_not() {
        let first = Epoch::begin(UNIX_EPOCH + Duration::from_secs(100), None);
        let second = Epoch::begin(UNIX_EPOCH + Duration::from_secs(50), Some(first));
        assert!(second > first);
    }

    #[test]
    fn files_sort_in_order_of_delivery() {
        let id = |sequence| BatchId { job: JobName::new("j").unwrap(), epoch: Epoch(7), sequence };
        assert_eq!(id(12).file_name(true), "7-0000000012.parquet.age");
        assert!(id(9).file_name(false) < id(10).file_name(false));
    }
}
