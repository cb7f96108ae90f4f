//! Salt's `match` module: does a target mean this minion?
//!
//! What cannot be decided is False with a line in the log, as in Salt.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use futures_util::future::BoxFuture;
use proto::target::{DEFAULT_DELIMITER, MinionFacts, TargetType, matches};
use states::{Map, Value};

use crate::{
    data_store,
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError, grains::merged},
};

/// The module.
pub struct Match;

impl Module for Match {
    fn name(&self) -> &'static str {
        "match"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        Box::pin(async move {
            let facts = Facts {
                id: args.optional_text("minion_id")?.unwrap_or_else(|| call.services.config.id.to_string()),
                grains: proto::to_value(&*call.services.grains_ready().await),
                pillar: proto::to_value(&*call.pillar()),
                data: data_store::load(&call.services.config).into(),
            };
            match fun {
                "filter_by" => filter_by(&args, &facts),
                "search_by" => search_by(&args, &facts),
                "ifelse" => ifelse(&args, &facts),
                kind => {
                    let delimiter = args.optional_text("delimiter")?;
                    let delimiter = delimiter.as_deref().unwrap_or(DEFAULT_DELIMITER);
                    Ok(facts.match_with(args.get("tgt"), kind, delimiter).into())
                }
            }
        })
    }
}

struct Facts {
    id: String,
    grains: proto::Value,
    pillar: proto::Value,
    data: proto::Value,
}

impl Facts {
    fn match_with(&self, tgt: &Value, kind: &str, delimiter: &str) -> bool {
        let facts =
            MinionFacts { id: &self.id, grains: &self.grains, pillar: &self.pillar, data: &self.data };
        let matched = matches(&proto::to_value(tgt), &TargetType::from(kind), &facts, delimiter);
        matched.unwrap_or_else(|error| {
            tracing::error!(%error, "a target cannot be decided");
            false
        })
    }
}

fn kind(args: &Arguments) -> Result<String, ModuleError> {
    let kind = args.keyword("tgt_type").map_or_else(|| "compound".to_owned(), ToString::to_string);
    let known = !matches!(TargetType::from(kind.as_str()), TargetType::Other(_));
    if known {
        Ok(kind)
    } else {
        Err(ModuleError::Exception { class: "KeyError", message: format!("'{kind}'") })
    }
}

/// The entry of the first key that matches; the default's entry when none does.
fn filter_by(args: &Arguments, facts: &Facts) -> Result<Value, ModuleError> {
    let Value::Map(lookup) = args.get("lookup") else {
        return Err(ModuleError::Invocation("lookup must be a mapping".to_owned()));
    };
    chosen(lookup, args.get("default"), args, facts)
}

fn chosen(lookup: &Map, default: &Value, args: &Arguments, facts: &Facts) -> Result<Value, ModuleError> {
    let kind = kind(args)?;
    let found =
        lookup.iter().find(|(key, _)| *key != default && facts.match_with(key, &kind, DEFAULT_DELIMITER));
    let Some((_, entry)) = found else { return Ok(lookup.get_value(default).cloned().unwrap_or_default()) };
    match (args.keyword("merge").filter(|merge| merge.is_truthy()), entry) {
        (None, entry) => Ok(entry.clone()),
        (Some(merge @ Value::Map(_)), Value::Nil) => Ok(merge.clone()),
        (Some(merge @ Value::Map(_)), Value::Map(held)) => Ok(merged(held.clone(), merge.clone())),
        (Some(_), _) => Err(ModuleError::Exception {
            class: "SaltException",
            message: "filter_by merge argument must be a dictionary.".to_owned(),
        }),
    }
}

/// The keys that have a target among theirs that matches.
fn search_by(args: &Arguments, facts: &Facts) -> Result<Value, ModuleError> {
    let kind = kind(args)?;
    let mut found = Vec::new();
    for (key, targets) in args.get("lookup").as_map().into_iter().flat_map(Map::iter) {
        let hits = targets.as_list().unwrap_or_default().iter();
        let hits = hits.filter(|target| facts.match_with(target, &kind, DEFAULT_DELIMITER));
        found.extend(hits.map(|_| key.clone()));
    }
    Ok(if found.is_empty() { Value::Nil } else { found.into() })
}

/// `condition, value, .., default`: the value after the first condition that is true or matches.
fn ifelse(args: &Arguments, facts: &Facts) -> Result<Value, ModuleError> {
    if args.rest.len().is_multiple_of(2) {
        return Err(ModuleError::Exception {
            class: "SaltException",
            message: "The ifelse function must have an odd number of arguments!".to_owned(),
        });
    }
    let kind = kind(args)?;
    for pair in args.rest.chunks_exact(2) {
        let holds = match &pair[0] {
            Value::Bool(holds) => *holds,
            target => facts.match_with(target, &kind, DEFAULT_DELIMITER),
        };
        if holds {
            return Ok(pair[1].clone());
        }
    }
    Ok(args.rest.last().cloned().unwrap_or_default())
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "compound",
        signature: "tgt, minion_id=None",
        doc: "Tells whether a compound target means this minion.",
    },
    FunctionSpec { name: "data", signature: "tgt", doc: "Tells whether the data store has a value." },
    FunctionSpec {
        name: "filter_by",
        signature: "lookup, tgt_type='compound', minion_id=None, merge=None, merge_lists=False, default='default'",
        doc: "Returns the entry of a map whose key, a target, means this minion.",
    },
    FunctionSpec {
        name: "glob",
        signature: "tgt, minion_id=None",
        doc: "Tells whether a glob means this minion.",
    },
    FunctionSpec {
        name: "grain",
        signature: "tgt, delimiter=':'",
        doc: "Tells whether a grain matches a glob.",
    },
    FunctionSpec {
        name: "grain_pcre",
        signature: "tgt, delimiter=':'",
        doc: "Tells whether a grain matches a regular expression.",
    },
    FunctionSpec {
        name: "ifelse",
        signature: "*args, **kwargs",
        doc: "Returns the value after the first target that means this minion, or the last one.",
    },
    FunctionSpec {
        name: "ipcidr",
        signature: "tgt",
        doc: "Tells whether an address or network is this minion's.",
    },
    FunctionSpec {
        name: "list",
        signature: "tgt, minion_id=None",
        doc: "Tells whether a list of ids names this minion.",
    },
    FunctionSpec {
        name: "pcre",
        signature: "tgt, minion_id=None",
        doc: "Tells whether a regular expression means this minion.",
    },
    FunctionSpec {
        name: "pillar",
        signature: "tgt, delimiter=':'",
        doc: "Tells whether a pillar value matches a glob.",
    },
    FunctionSpec {
        name: "pillar_pcre",
        signature: "tgt, delimiter=':'",
        doc: "Tells whether a pillar value matches a regular expression.",
    },
    FunctionSpec {
        name: "search_by",
        signature: "lookup, tgt_type='compound', minion_id=None",
        doc: "Lists the keys of a map that have a target which means this minion.",
    },
];
