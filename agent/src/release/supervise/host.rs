//! Whom the supervisor reports to: the service manager and the log.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    time::SystemTime,
};

/// A state of the service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It runs.
    Running,
    /// It drains.
    Stopping,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// For the record.
    Info,
    /// Somebody should look.
    Warning,
    /// Something is broken.
    Error,
}

/// The service manager.
pub trait Host {
    /// The service changed its state.
    fn state(&self, state: State);
    /// The supervisor still turns.
    fn alive(&self);
    /// Something an administrator may want to read.
    fn note(&self, severity: Severity, text: &str);
    /// The agent that this supervisor started has lived for a while.
    fn proved(&self) {}
    /// This supervisor ends, because a later one is there.
    fn hand_back(&self) {}
}

/// Nobody: the supervisor was started from a console.
pub struct Console;

impl Host for Console {
    fn state(&self, _state: State) {}

    fn alive(&self) {}

    fn note(&self, _severity: Severity, _text: &str) {}
}

/// Appends a line to the supervisor's log, which is started anew when it has grown large.
pub fn log(path: &Path, severity: Severity, text: &str) {
    let large = fs::metadata(path).is_ok_and(|found| found.len() > LARGEST_LOG);
    if large {
        // The log goes on in the old file when it cannot be moved.
        let _ = fs::rename(path, path.with_extension("log.1"));
    }
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let word = match severity {
        Severity::Info => "INFO",
        Severity::Warning => "WARN",
        Severity::Error => "ERROR",
    };
    let line = format!("{} {word} {text}\n", moment(seconds));
    if let Ok(mut file) = File::options().create(true).append(true).open(path) {
        // A full disk must not end the supervisor.
        let _ = file.write_all(line.as_bytes());
    }
}

/// Seconds since 1970 as RFC 3339 in UTC.
fn moment(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Civil date of a day number: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

const LARGEST_LOG: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_moments_as_others_read_them() {
        for seconds in [0_u64, 951_782_399, 951_782_400, 1_709_164_800, 1_795_651_200, 4_102_444_799] {
            let expected = chrono::DateTime::from_timestamp(i64::try_from(seconds).unwrap(), 0).unwrap();
            let expected = expected.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            assert_eq!(moment(seconds), expected);
        }
    }

    #[test]
    fn starts_a_large_log_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("supervisor.log");
        fs::write(&path, vec![b'x'; 2 << 20]).unwrap();
        log(&path, Severity::Warning, "agent 1.0.0 hung");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("WARN agent 1.0.0 hung\n") && text.len() < 100, "{text:?}");
        assert!(folder.path().join("supervisor.log.1").exists());
    }
}
