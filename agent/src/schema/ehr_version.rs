//! The EHR's own version beside a schema: the first thing that somebody asks whose tables have changed.
//!
//! A sync job may declare where the EHR keeps it; the look that compares the schema reads it. What was read is told in
//! clear, so it is held to what a version looks like: a row that a declaration reaches by mistake is not told. A version
//! that cannot be read is said to be so and stops nothing.

use serde::{Deserialize, Serialize};
use states::{Map, Value};

/// What a look at the EHR's version gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionReading {
    /// The version.
    Read(String),
    /// Why there is none, without a value of the row.
    Unreadable(String),
}

/// The EHR's version when a table was last as approved, and at the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EhrVersion {
    /// The version with which the tables last were as approved.
    pub former: Option<String>,
    /// The version at the last look.
    pub present: Option<String>,
    /// Why the last look gave none.
    pub unreadable: Option<String>,
}

impl VersionReading {
    /// A text of the column that is to hold the version.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text = text.trim();
        let is_one = text.len() <= LONGEST
            && text.bytes().any(|byte| byte.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || MARKS.contains(&byte));
        if is_one {
            return Self::Read(text.to_owned());
        }
        Self::Unreadable(format!(
            "what stands there does not look like a version: at most {LONGEST} letters, digits and .-_+:/() with a digit \
             among them"
        ))
    }
}

impl EhrVersion {
    /// What a look gave, after it had been `former`.
    #[must_use]
    pub fn at(former: Option<String>, reading: &VersionReading) -> Self {
        match reading {
            VersionReading::Read(present) => {
                Self { former, present: Some(present.clone()), unreadable: None }
            }
            VersionReading::Unreadable(why) => Self { former, present: None, unreadable: Some(why.clone()) },
        }
    }

    /// In a sentence, for whom writes are refused.
    #[must_use]
    pub fn words(&self) -> String {
        let former =
            self.former.as_deref().map(|former| format!("; the tables were as approved with {former}"));
        let present = match (&self.present, &self.unreadable) {
            (Some(present), _) => format!("The EHR's version is {present}"),
            (None, Some(why)) => format!("The EHR's version cannot be read ({why})"),
            (None, None) => "The EHR's version is not known".to_owned(),
        };
        format!("{present}{}", former.unwrap_or_default())
    }

    /// As status and returns show it.
    #[must_use]
    pub fn map(&self) -> Map {
        let text = |text: &Option<String>| text.as_deref().map_or(Value::Nil, Value::from);
        let fields = [("former", &self.former), ("present", &self.present), ("unreadable", &self.unreadable)];
        fields.into_iter().map(|(name, value)| (name, text(value))).collect()
    }
}

/// Characters of a version.
const LONGEST: usize = 64;
const MARKS: &[u8] = b" .-_+:/()";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_a_sentence_or_a_long_text_is_no_version_and_is_not_told() {
        for version in ["7", "23.2.1.455", "v12 (build 4455)", "2026-01-02", " 9.1 SP2 "] {
            assert_eq!(VersionReading::of(version), VersionReading::Read(version.trim().to_owned()));
        }
        for other in ["", "Zoë 4711", "Ann Miller", "ann@example.org 1", &"1".repeat(65)] {
            let VersionReading::Unreadable(why) = VersionReading::of(other) else { panic!("{other}") };
            assert!(other.is_empty() || !why.contains(other), "{why}");
        }
    }

    #[test]
    fn what_is_known_is_said_in_a_sentence() {
        let known = EhrVersion { former: Some("7.1".into()), present: Some("7.2".into()), unreadable: None };
        assert_eq!(known.words(), "The EHR's version is 7.2; the tables were as approved with 7.1");
        let lost = EhrVersion { present: None, unreadable: Some("no row".into()), ..known };
        assert_eq!(
            lost.words(),
            "The EHR's version cannot be read (no row); the tables were as approved with 7.1"
        );
    }
}
