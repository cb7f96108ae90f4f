//! `supervisor.json`: which later supervisor watches in place of the installed one, and which is on trial.
//!
//! The installed supervisor is the service's program and is never replaced: nothing may be in its way when the machine
//! starts, and what an administrator set on the service stays. A release may carry a later supervisor. Once that release's
//! agent is confirmed, the installed supervisor starts the later one as its child and hands it the watch over the agent; one
//! that ends, hangs or does not bring the agent to life in time is refused, and the watch comes back. Two steps, each on
//! trial, and the old one always there. A book that cannot be read means that the installed one watches.
//!
//! Only the installed supervisor writes here. Replaced whole, as the pointer is.

use std::{
    fs::{self, File},
    io,
};

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{
    layout::Layout,
    pointer::{self, Pointer},
};

/// What is known of later supervisors.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
pub struct Book {
    /// The one that proved itself.
    #[serde(default)]
    pub confirmed: Option<Version>,
    /// The one that has to.
    #[serde(default)]
    pub trial: Option<Trial>,
    /// Those that failed, newest first.
    #[serde(default)]
    pub refused: Vec<Refusal>,
}

/// A supervisor that has to prove itself.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Trial {
    /// Its version.
    pub version: Version,
    /// How often it was started, counted from 1.
    pub attempt: u32,
}

/// A supervisor that is not started again.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Refusal {
    /// Its version.
    pub version: Version,
    /// Why.
    pub why: String,
}

/// The supervisor to start next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Next {
    /// Its version.
    pub version: Version,
    /// Whether it still has to prove itself.
    pub stage: Stage,
}

/// How well a supervisor is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// It has to prove itself.
    Trial,
    /// It did.
    Confirmed,
}

#[derive(Deserialize, Serialize)]
#[serde(tag = "format")]
enum OnDisk {
    #[serde(rename = "1")]
    V1(Book),
}

impl Book {
    /// The supervisor to start in place of `own`, given the one that the running release carries; none when `own` is right.
    /// One on trial is counted as started; one that was started too often is refused.
    pub fn begin(&mut self, offered: Option<&Version>, own: &Version) -> Option<Next> {
        let confirmed = self.confirmed.clone().filter(|confirmed| confirmed > own);
        let least = confirmed.as_ref().unwrap_or(own);
        let fresh =
            |version: &&Version| *version > least && !self.refused.iter().any(|it| it.version == **version);
        let Some(version) = offered.filter(fresh).cloned() else {
            self.trial = None;
            return confirmed.map(|version| Next { version, stage: Stage::Confirmed });
        };
        let before = self.trial.take().filter(|trial| trial.version == version);
        let attempt = before.map_or(1, |trial| trial.attempt + 1);
        self.trial = Some(Trial { version: version.clone(), attempt });
        if attempt > ATTEMPTS {
            self.refuse("the machine or the service was stopped every time it was on trial");
            return confirmed.map(|version| Next { version, stage: Stage::Confirmed });
        }
        Some(Next { version, stage: Stage::Trial })
    }

    /// The one on trial proved itself.
    pub fn confirm(&mut self) {
        if let Some(trial) = self.trial.take() {
            self.confirmed = Some(trial.version);
        }
    }

    /// The one on trial is not started again.
    pub fn refuse(&mut self, why: &str) {
        if let Some(Trial { version, .. }) = self.trial.take() {
            self.refused.insert(0, Refusal { version, why: why.to_owned() });
            self.refused.truncate(KEPT);
        }
    }
}

/// The version of the supervisor that the confirmed release carries; none while a release is on trial, or the end of its
/// trial is still to be reported by the agent, which must not be stopped in the middle of that.
#[must_use]
pub fn offered(layout: &Layout, pointer: &Pointer) -> Option<Version> {
    let quiet = pointer.trial.is_none() && pointer.verdict.is_none();
    let carries = quiet && layout.carried_supervisor(&pointer.confirmed).is_file();
    carries.then(|| pointer.confirmed.clone())
}

/// Reads the book; one that was never written is empty.
///
/// # Errors
/// It cannot be read, is damaged or of a newer form.
pub fn read(layout: &Layout) -> io::Result<Book> {
    match fs::read(layout.successors_book()) {
        Ok(text) => {
            let OnDisk::V1(book) = serde_json::from_slice(&text).map_err(io::Error::other)?;
            Ok(book)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Book::default()),
        Err(error) => Err(error),
    }
}

/// Replaces the book.
///
/// # Errors
/// The system's reason; the old book stays.
pub fn write(layout: &Layout, book: &Book) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(&OnDisk::V1(book.clone())).map_err(io::Error::from)?;
    pointer::replace(&layout.successors_book(), &text)
}

/// Puts the supervisor of a release where it outlives the release. It is whole or absent.
///
/// # Errors
/// The system's reason.
pub fn place(layout: &Layout, version: &Version) -> io::Result<()> {
    let place = layout.successor(version);
    if place.is_file() {
        return Ok(());
    }
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    let part = place.with_extension("part");
    fs::copy(layout.carried_supervisor(version), &part)?;
    File::options().write(true).open(&part)?.sync_all()?;
    fs::rename(&part, &place)
}

/// Deletes the supervisors that the book does not name. What cannot be deleted yet stays for the next time.
pub fn prune(layout: &Layout, book: &Book) {
    let named = |version: &Version| {
        book.confirmed.as_ref() == Some(version)
            || book.trial.as_ref().is_some_and(|trial| trial.version == *version)
    };
    for entry in fs::read_dir(layout.successors()).into_iter().flatten().flatten() {
        let version = entry.file_name().to_str().and_then(|name| Version::parse(name).ok());
        if !version.as_ref().is_some_and(named) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// How often a supervisor is started before it is given up.
const ATTEMPTS: u32 = 3;
/// How many refusals are remembered.
const KEPT: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn begin(book: &mut Book, offered: &str) -> Option<(String, Stage)> {
        let next = book.begin(Some(&version(offered)), &version("1.0.0"))?;
        Some((next.version.to_string(), next.stage))
    }

    #[test]
    fn only_a_later_one_is_tried_and_the_last_good_one_stays() {
        let mut book = Book::default();
        assert_eq!(begin(&mut book, "1.0.0"), None);
        assert_eq!(begin(&mut book, "1.1.0"), Some(("1.1.0".into(), Stage::Trial)));
        book.confirm();
        assert_eq!(begin(&mut book, "1.1.0"), Some(("1.1.0".into(), Stage::Confirmed)));
        assert_eq!(begin(&mut book, "1.2.0"), Some(("1.2.0".into(), Stage::Trial)));
        book.refuse("it hung");
        assert_eq!(begin(&mut book, "1.2.0"), Some(("1.1.0".into(), Stage::Confirmed)));
        assert_eq!(book.begin(None, &version("1.0.0")).unwrap().version, version("1.1.0"));
        // A later installation brings its own.
        assert_eq!(book.begin(None, &version("1.1.0")), None);
        assert_eq!(begin(&mut book, "1.3.0"), Some(("1.3.0".into(), Stage::Trial)));
    }

    #[test]
    fn one_that_never_ends_its_trial_is_given_up() {
        let mut book = Book::default();
        for _ in 0..3 {
            assert_eq!(begin(&mut book, "1.1.0"), Some(("1.1.0".into(), Stage::Trial)));
        }
        assert_eq!(begin(&mut book, "1.1.0"), None);
        assert_eq!(book.refused[0].version, version("1.1.0"));
        assert_eq!(begin(&mut book, "1.1.0"), None);
    }

    #[test]
    fn a_half_written_book_and_a_half_copied_program_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let (own, later) = (version("1.0.0"), version("1.1.0"));
        assert_eq!(read(&layout).unwrap(), Book::default());
        fs::create_dir_all(layout.version(&later)).unwrap();
        let mut pointer = Pointer::first(later.clone());
        assert_eq!(offered(&layout, &pointer), None);
        fs::write(layout.carried_supervisor(&later), "program").unwrap();
        assert_eq!(offered(&layout, &pointer), Some(later.clone()));
        pointer.trial = Some(pointer::Trial {
            version: version("1.2.0"),
            jid: None,
            deadline: 1,
            phase: pointer::Phase::Prepared,
        });
        assert_eq!(offered(&layout, &pointer), None);
        let place_of = layout.successor(&later);
        fs::create_dir_all(place_of.parent().unwrap()).unwrap();
        fs::write(place_of.with_extension("part"), "pro").unwrap();
        place(&layout, &later).unwrap();
        assert_eq!(fs::read_to_string(&place_of).unwrap(), "program");
        let mut book = Book::default();
        book.begin(Some(&later), &own);
        write(&layout, &book).unwrap();
        fs::write(layout.successors_book().with_extension("part"), "{").unwrap();
        assert_eq!(read(&layout).unwrap(), book);
        prune(&layout, &book);
        assert!(place_of.is_file());
        prune(&layout, &Book::default());
        assert!(!place_of.exists());
        fs::write(layout.successors_book(), "{\"format\": \"2\"}").unwrap();
        assert!(read(&layout).is_err());
    }
}
