//! What became of a request, in words that a program can act on.
//!
//! A verdict is final when it was decided by the data: the same request id gives it again for 30 days. All others say that
//! nothing was written and what stands in the way; the same request may be submitted again. Values of rows and of
//! parameters are in [`Outcome::sealed`] alone, except the columns that the definition lists in `clear`.

use serde::{Deserialize, Serialize};
use serde_json::{Map as Json, Value as JsonValue};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was written by this submission.
    Landed,
    /// It was written by an earlier submission of the same request.
    AlreadyLanded,
    /// A precondition does not hold.
    PreconditionFailed,
    /// Somebody changed the rows since they were read.
    Conflict,
    /// A constraint or a type of the database forbids it.
    Constraint,
    /// The login lacks a permission.
    Permission,
    /// Somebody holds the rows for longer than the deadline.
    Locked,
    /// The tables are not as approved.
    SchemaChanged,
    /// The request came too late.
    Expired,
    /// The practice paused writing.
    Paused,
    /// The database cannot be reached or cannot take writes.
    Unreachable,
    /// The request makes no sense: no such write, a wrong parameter, an id that was used for something else.
    Refused,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// Why, in plain words; never empty.
    pub reason: String,
    /// What it is about, by name: columns that differ, the constraint, the object, the program that holds a lock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Key columns that may stand in clear.
    #[serde(default, skip_serializing_if = "Json::is_empty")]
    pub keys: Json<String, JsonValue>,
    /// The rows read back, in those columns that may stand in clear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read_back: Vec<Json<String, JsonValue>>,
    /// Keys, rows and differing values, sealed for the recipients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
    /// Whether it is not known that nothing was written: the connection broke in the commit and did not come back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
    /// When, in RFC 3339.
    pub at: String,
}

/// An outcome before its values are sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// How it ended.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// By name.
    pub names: Vec<String>,
    /// Values for the recipients alone.
    pub private: Json<String, JsonValue>,
}

/// An outcome as it is stored, in the ledger and in the agent's store.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
enum StoredOutcome {
    /// The first form.
    #[serde(rename = "1")]
    V1(Outcome),
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 12] = [
        Self::Landed,
        Self::AlreadyLanded,
        Self::PreconditionFailed,
        Self::Conflict,
        Self::Constraint,
        Self::Permission,
        Self::Locked,
        Self::SchemaChanged,
        Self::Expired,
        Self::Paused,
        Self::Unreachable,
        Self::Refused,
    ];

    /// Its word in a return.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Landed => "landed",
            Self::AlreadyLanded => "already_landed",
            Self::PreconditionFailed => "precondition_failed",
            Self::Conflict => "conflict",
            Self::Constraint => "constraint",
            Self::Permission => "permission",
            Self::Locked => "locked",
            Self::SchemaChanged => "schema_changed",
            Self::Expired => "expired",
            Self::Paused => "paused",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
        }
    }

    /// Whether the rows are written.
    #[must_use]
    pub fn has_landed(self) -> bool {
        matches!(self, Self::Landed | Self::AlreadyLanded)
    }

    /// Whether the same request gives the same outcome from now on.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Landed
            | Self::AlreadyLanded
            | Self::PreconditionFailed
            | Self::Conflict
            | Self::Constraint
            | Self::Expired => true,
            Self::Permission
            | Self::Locked
            | Self::SchemaChanged
            | Self::Paused
            | Self::Unreachable
            | Self::Refused => false,
        }
    }
}

impl Outcome {
    /// An outcome without values.
    #[must_use]
    pub fn plain(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reason: reason.into(),
            names: Vec::new(),
            keys: Json::new(),
            read_back: Vec::new(),
            sealed: None,
            in_doubt: false,
            at: now(),
        }
    }

    /// The outcome that a later submission of the same request gets.
    #[must_use]
    pub fn repeated(mut self) -> Self {
        if self.verdict == Verdict::Landed {
            self.verdict = Verdict::AlreadyLanded;
        }
        self
    }

    /// As it is stored.
    #[must_use]
    pub fn stored(&self) -> String {
        serde_json::to_string(&StoredOutcome::V1(self.clone())).unwrap_or_default()
    }

    /// From its stored form; `None` for a form of another agent.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        let StoredOutcome::V1(outcome) = serde_json::from_str(text).ok()?;
        Some(outcome)
    }
}

impl Finding {
    /// A finding without values.
    #[must_use]
    pub fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { verdict, reason: reason.into(), names: Vec::new(), private: Json::new() }
    }

    /// With the names that it is about.
    #[must_use]
    pub fn about(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.names.extend(names);
        self
    }
}

/// This moment in RFC 3339.
#[must_use]
pub fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_outcome_comes_back_and_its_word_is_what_is_stored() {
        for verdict in Verdict::ALL {
            let outcome = Outcome::plain(verdict, "because");
            let stored = outcome.stored();
            assert!(stored.contains(&format!("\"verdict\":\"{}\"", verdict.word())), "{stored}");
            assert_eq!(Outcome::from_stored(&stored), Some(outcome));
        }
        assert_eq!(Outcome::from_stored("{\"version\":\"9\"}"), None);
    }

    #[test]
    fn only_a_landed_request_is_repeated_under_another_word() {
        assert_eq!(Outcome::plain(Verdict::Landed, "x").repeated().verdict, Verdict::AlreadyLanded);
        assert_eq!(Outcome::plain(Verdict::Conflict, "x").repeated().verdict, Verdict::Conflict);
    }
}
