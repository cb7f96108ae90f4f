//! Which minions a job is sent to: targets over all accepted keys, with what the master remembers of each.
//!
//! As in Salt, a minion whose grains are not known (it never asked for pillar) is not found by grain, pillar or
//! address, and a list also names who is missing. Nodegroups are expanded here, because minions cannot.

use proto::target::{MinionFacts, TargetError, TargetType, matches};
use proto::{Map, MinionId, Value};

/// What is known of one minion.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Its grains, if it sent any.
    pub grains: Option<Value>,
    /// Its pillar, if the target needs it.
    pub pillar: Value,
}

/// Whom a target means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matched {
    /// Accepted minions.
    pub minions: Vec<MinionId>,
    /// Names of a list that are no accepted minion.
    pub missing: Vec<String>,
}

/// A target as a publish carries it.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The expression.
    pub tgt: Value,
    /// How it is read.
    pub kind: TargetType,
    /// What separates the parts of a grain or pillar target.
    pub delimiter: String,
}

impl Target {
    /// A target of a command line; nodegroups are expanded into compound targets.
    ///
    /// # Errors
    /// [`TargetError::Nodegroup`] when a nodegroup is not defined or defined by itself.
    pub fn expand(self, nodegroups: &Map) -> Result<Self, TargetError> {
        let text = self.tgt.as_str().unwrap_or_default();
        if self.kind == TargetType::Nodegroup {
            let tgt = expand_group(text, nodegroups, 0)?;
            return Ok(Self { tgt: tgt.into(), kind: TargetType::Compound, ..self });
        }
        if self.kind == TargetType::Compound && text.contains("N@") {
            let tgt = expand_words(text, nodegroups, 0)?;
            return Ok(Self { tgt: tgt.into(), ..self });
        }
        Ok(self)
    }

    /// True when matching needs pillar.
    pub fn needs_pillar(&self) -> bool {
        match &self.kind {
            TargetType::Pillar | TargetType::PillarPcre | TargetType::PillarExact => true,
            TargetType::Compound => match self.tgt.as_list() {
                Some(words) => words.iter().filter_map(Value::as_str).any(names_pillar),
                None => self.tgt.as_str().is_some_and(|text| text.split_whitespace().any(names_pillar)),
            },
            TargetType::Glob | TargetType::Pcre | TargetType::List | TargetType::Grain => false,
            TargetType::GrainPcre | TargetType::Nodegroup | TargetType::IpCidr | TargetType::Data => false,
            TargetType::Range | TargetType::Other(_) => false,
        }
    }

    /// Who is meant among the accepted minions.
    ///
    /// # Errors
    /// When the target cannot be decided.
    pub fn select(
        &self,
        accepted: Vec<MinionId>,
        known: impl Fn(&MinionId) -> Known,
    ) -> Result<Matched, TargetError> {
        if self.kind == TargetType::List {
            return Ok(self.listed(&accepted));
        }
        let mut minions = Vec::new();
        for id in accepted {
            let known = known(&id);
            if known.grains.is_none() && self.needs_facts() {
                continue;
            }
            let grains = known.grains.unwrap_or_else(|| Map::new().into());
            let facts =
                MinionFacts { id: id.as_str(), grains: &grains, pillar: &known.pillar, data: &Value::Nil };
            if matches(&self.tgt, &self.kind, &facts, &self.delimiter)? {
                minions.push(id);
            }
        }
        Ok(Matched { minions, missing: Vec::new() })
    }

    fn needs_facts(&self) -> bool {
        match &self.kind {
            TargetType::Grain | TargetType::GrainPcre | TargetType::IpCidr => true,
            TargetType::Pillar | TargetType::PillarPcre | TargetType::PillarExact => true,
            TargetType::Glob | TargetType::Pcre | TargetType::List | TargetType::Compound => false,
            TargetType::Nodegroup | TargetType::Data | TargetType::Range | TargetType::Other(_) => false,
        }
    }

    fn listed(&self, accepted: &[MinionId]) -> Matched {
        let names: Vec<String> = match self.tgt.as_list() {
            Some(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => self.tgt.as_str().unwrap_or_default().split(',').map(str::to_owned).collect(),
        };
        let mut matched = Matched::default();
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            match accepted.iter().find(|id| id.as_str() == name) {
                Some(id) => matched.minions.push(id.clone()),
                None => matched.missing.push(name),
            }
        }
        matched
    }
}

fn names_pillar(word: &str) -> bool {
    word.starts_with(['I', 'J']) && word.contains('@')
}

fn expand_group(name: &str, nodegroups: &Map, depth: usize) -> Result<String, TargetError> {
    let unknown = || TargetError::Nodegroup(name.to_owned());
    if depth > MAX_DEPTH {
        return Err(unknown());
    }
    let group = nodegroups.get(name).ok_or_else(unknown)?;
    let words = match group.as_list() {
        Some(words) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            // A plain list names minions, unless it is a compound target in words.
            let compound = words.iter().any(|word| OPERATORS.contains(word) || word.contains('@'));
            if compound { words.join(" ") } else { format!("L@{}", words.join(",")) }
        }
        None => group.as_str().ok_or_else(unknown)?.to_owned(),
    };
    expand_words(&words, nodegroups, depth + 1)
}

fn expand_words(text: &str, nodegroups: &Map, depth: usize) -> Result<String, TargetError> {
    let words = text.split_whitespace().map(|word| match word.strip_prefix("N@") {
        Some(name) => Ok(format!("( {} )", expand_group(name, nodegroups, depth + 1)?)),
        None => Ok(word.to_owned()),
    });
    Ok(words.collect::<Result<Vec<_>, _>>()?.join(" "))
}

const OPERATORS: [&str; 5] = ["and", "or", "not", "(", ")"];
/// Groups name groups this deep; deeper is a loop.
const MAX_DEPTH: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn target(tgt: &str, kind: TargetType) -> Target {
        Target { tgt: tgt.into(), kind, delimiter: ":".into() }
    }

    fn ids(names: &[&str]) -> Vec<MinionId> {
        names.iter().map(|name| MinionId::parse(name).unwrap()).collect()
    }

    /// `web` and `db` sent grains, `new` did not.
    fn known(id: &MinionId) -> Known {
        let os = match id.as_str() {
            "web" => "Windows",
            "db" => "Debian",
            _ => return Known::default(),
        };
        Known {
            grains: Some(Map::from([("os", os)]).into()),
            pillar: Map::from([("role", id.as_str())]).into(),
        }
    }

    fn select(target: &Target) -> Vec<String> {
        let matched = target.select(ids(&["web", "db", "new"]), known).unwrap();
        matched.minions.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_minion_without_grains_is_found_by_name_only() {
        assert_eq!(select(&target("*", TargetType::Glob)), ["web", "db", "new"]);
        assert_eq!(select(&target("os:*", TargetType::Grain)), ["web", "db"]);
        assert_eq!(select(&target("role:web", TargetType::Pillar)), ["web"]);
        assert_eq!(select(&target("not G@os:Windows", TargetType::Compound)), ["db", "new"]);
    }

    #[test]
    fn a_list_names_who_is_missing() {
        let matched = target("db,gone", TargetType::List).select(ids(&["web", "db"]), known).unwrap();
        assert_eq!(matched, Matched { minions: ids(&["db"]), missing: vec!["gone".into()] });
    }

    #[test]
    fn nodegroups_expand_into_each_other_and_end_in_a_loop() {
        let mut groups = Map::from([("all", "N@win or db"), ("win", "G@os:Windows"), ("loop", "N@loop")]);
        groups.insert("some", Value::from_iter(["web", "new"]));
        let expand = |name| target(name, TargetType::Nodegroup).expand(&groups);
        assert_eq!(expand("all").unwrap().tgt, "( G@os:Windows ) or db".into());
        assert_eq!(select(&expand("all").unwrap()), ["web", "db"]);
        assert_eq!(select(&expand("some").unwrap()), ["web", "new"]);
        assert!(expand("loop").is_err() && expand("none").is_err());
        let compound = target("N@win and web", TargetType::Compound).expand(&groups).unwrap();
        assert_eq!(select(&compound), ["web"]);
    }

    #[test]
    fn pillar_is_asked_for_only_when_the_target_names_it() {
        assert!(target("I@a:b and web*", TargetType::Compound).needs_pillar());
        assert!(!target("G@a:b and web*", TargetType::Compound).needs_pillar());
    }
}
