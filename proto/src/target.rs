//! Targeting: does a publish mean this minion?
//!
//! Owns Salt's target types and their exact answers, from the minion's id, grains and pillar. The master has chosen
//! the minions before, but every minion sees every publish and decides for itself, so an answer that differs from
//! Salt's is a job that runs where it should not, or is missing where it should run.
//!
//! Refuses nodegroups (the master expands them before it publishes), range clusters (they need a range server) and
//! the resource targets of 3008. What Salt answers with "no" and a log line, an expression that does not parse, is
//! "no" here too; what makes Salt's matcher raise is a [`TargetError`]. Both mean: drop the publish.
//!
//! Facts from `salt/matchers/*.py` and `salt/utils/data.py` of 3006, 3007 and 3008, which agree on all of this; the
//! oracle in the tests ran the functions of 3008.

mod cidr;
mod compound;
mod glob;
mod regex;
mod subdict;
mod text;

use std::convert::Infallible;
use std::str::FromStr;

use crate::Value;
pub use glob::fnmatch;
use subdict::{Comparison, subdict_match};

/// Delimiter of nested lookups when the publish names none.
pub const DEFAULT_DELIMITER: &str = ":";

/// Kinds of target, by Salt's `tgt_type`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TargetType {
    /// Shell glob over the id.
    #[default]
    Glob,
    /// Regular expression from the start of the id.
    Pcre,
    /// Ids, as a list or with commas between.
    List,
    /// Glob over a grain.
    Grain,
    /// Regular expression over a grain.
    GrainPcre,
    /// Glob over a pillar value.
    Pillar,
    /// Regular expression over a pillar value.
    PillarPcre,
    /// A pillar value, letter for letter (but not case for case).
    PillarExact,
    /// Targets of other types joined by `and`, `or`, `not` and parentheses.
    Compound,
    /// A named group of the master's configuration.
    Nodegroup,
    /// Address or network of the minion.
    IpCidr,
    /// Value of the minion's data store.
    Data,
    /// Cluster of a range server.
    Range,
    /// A type of another Salt version or of a custom matcher.
    Other(String),
}

/// What a target is matched against.
#[derive(Debug, Clone, Copy)]
pub struct MinionFacts<'a> {
    /// The minion's id.
    pub id: &'a str,
    /// Its grains.
    pub grains: &'a Value,
    /// Its pillar.
    pub pillar: &'a Value,
    /// Its data store (Salt's `data` module); `Value::Nil` for none.
    pub data: &'a Value,
}

/// Why a target cannot be decided. The sender of the publish is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The target is of a kind (map, number ..) that its type does not take.
    #[error("a {tgt_type} target cannot be a {kind}")]
    Kind {
        /// The target's type.
        tgt_type: String,
        /// Kind of value that came.
        kind: &'static str,
    },
    /// The regular expression does not compile or gives up.
    #[error("regular expression {pattern:?} cannot be used: {why}")]
    Pattern {
        /// The expression.
        pattern: String,
        /// What the expression compiler or matcher says.
        why: String,
    },
    /// A nodegroup reached the minion.
    #[error("nodegroup {0:?} cannot be matched here: the master expands nodegroups before it publishes")]
    Nodegroup(String),
    /// No matcher for this type exists here.
    #[error("target type {0:?} is not supported")]
    Unsupported(String),
}

/// Whether `tgt` of type `tgt_type` means the minion of `facts`.
///
/// `delimiter` separates the levels of a nested lookup (`:` when the publish names none); in a compound target each
/// part brings its own.
///
/// # Errors
/// When the target cannot be decided: see [`TargetError`].
pub fn matches(
    tgt: &Value,
    tgt_type: &TargetType,
    facts: &MinionFacts<'_>,
    delimiter: &str,
) -> Result<bool, TargetError> {
    if let TargetType::List = tgt_type {
        return Ok(list_match(tgt, facts.id));
    }
    if let TargetType::Compound = tgt_type {
        return compound::compound_match(tgt, facts);
    }
    match tgt.as_str() {
        Some(text) => text_match(text, tgt_type, facts, delimiter),
        // Salt's glob matcher answers no; the others raise.
        None if *tgt_type == TargetType::Glob => Ok(false),
        None => Err(TargetError::Kind { tgt_type: tgt_type.name().to_owned(), kind: tgt.kind() }),
    }
}

/// Matches the types whose target is one text.
fn text_match(
    tgt: &str,
    tgt_type: &TargetType,
    facts: &MinionFacts<'_>,
    delimiter: &str,
) -> Result<bool, TargetError> {
    let subdict = |data, how| Ok(subdict_match(data, tgt, delimiter, how));
    match tgt_type {
        TargetType::Glob => Ok(fnmatch(facts.id, tgt)),
        TargetType::Pcre => regex::matches_at_start(tgt, facts.id),
        TargetType::List => Ok(list_text_match(tgt, facts.id)),
        TargetType::Grain => subdict(facts.grains, Comparison::Glob),
        TargetType::GrainPcre => subdict(facts.grains, Comparison::Regex),
        TargetType::Pillar => subdict(facts.pillar, Comparison::Glob),
        TargetType::PillarPcre => subdict(facts.pillar, Comparison::Regex),
        TargetType::PillarExact => subdict(facts.pillar, Comparison::Exact),
        TargetType::Compound => compound::compound_match(&Value::from(tgt), facts),
        TargetType::IpCidr => Ok(cidr::cidr_match(tgt, facts.grains)),
        TargetType::Data => Ok(data_match(tgt, facts.data)),
        TargetType::Nodegroup => Err(TargetError::Nodegroup(tgt.to_owned())),
        TargetType::Range | TargetType::Other(_) => Err(TargetError::Unsupported(tgt_type.name().to_owned())),
    }
}

fn list_match(tgt: &Value, id: &str) -> bool {
    if let Some(ids) = tgt.as_list() {
        return ids.iter().any(|listed| listed.as_str() == Some(id));
    }
    if let Some(ids) = tgt.as_map() {
        return ids.contains_key(id);
    }
    tgt.as_str().is_some_and(|text| list_text_match(text, id))
}

fn list_text_match(tgt: &str, id: &str) -> bool {
    // An id with a comma in it could span two entries in Salt as well.
    tgt == id
        || tgt.contains(&format!(",{id},"))
        || tgt.starts_with(&format!("{id},"))
        || tgt.ends_with(&format!(",{id}"))
}

fn data_match(tgt: &str, data: &Value) -> bool {
    let mut words = tgt.split(':');
    let (Some(key), Some(pattern)) = (words.next(), words.next()) else { return false };
    let Some(value) = data.get(key) else { return false };
    if let Some(members) = value.as_list() {
        let pattern = pattern.to_lowercase();
        return members.iter().any(|member| fnmatch(&text::python_str(member).to_lowercase(), &pattern));
    }
    if let Some(map) = value.as_map() {
        return map.contains_key(pattern);
    }
    value.as_str().is_some_and(|value| fnmatch(value, pattern))
}

impl TargetType {
    /// Salt's name for it.
    pub fn name(&self) -> &str {
        match self {
            Self::Glob => "glob",
            Self::Pcre => "pcre",
            Self::List => "list",
            Self::Grain => "grain",
            Self::GrainPcre => "grain_pcre",
            Self::Pillar => "pillar",
            Self::PillarPcre => "pillar_pcre",
            Self::PillarExact => "pillar_exact",
            Self::Compound => "compound",
            Self::Nodegroup => "nodegroup",
            Self::IpCidr => "ipcidr",
            Self::Data => "data",
            Self::Range => "range",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for TargetType {
    fn from(name: &str) -> Self {
        match name {
            "glob" => Self::Glob,
            "pcre" => Self::Pcre,
            "list" => Self::List,
            "grain" => Self::Grain,
            "grain_pcre" => Self::GrainPcre,
            "pillar" => Self::Pillar,
            "pillar_pcre" => Self::PillarPcre,
            "pillar_exact" => Self::PillarExact,
            "compound" => Self::Compound,
            "nodegroup" => Self::Nodegroup,
            "ipcidr" => Self::IpCidr,
            "data" => Self::Data,
            "range" => Self::Range,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl FromStr for TargetType {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(Self::from(name))
    }
}

impl std::fmt::Display for TargetType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
