//! Target expressions: the first byte chooses the kind, a NUL ends the expression, grains in msgpack follow.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::target::{MinionFacts, TargetType, matches};
use proto::{Value, msgpack};

const KINDS: [&str; 11] = [
    "glob",
    "pcre",
    "list",
    "grain",
    "grain_pcre",
    "pillar",
    "pillar_pcre",
    "pillar_exact",
    "compound",
    "ipcidr",
    "data",
];

fuzz_target!(|bytes: &[u8]| {
    let [kind, rest @ ..] = bytes else { return };
    let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
    let Ok(expression) = std::str::from_utf8(&rest[..end]) else { return };
    let grains = msgpack::decode(rest.get(end + 1..).unwrap_or_default()).unwrap_or_default();
    let Ok(kind) = KINDS[usize::from(*kind) % KINDS.len()].parse::<TargetType>();
    let facts = MinionFacts { id: "practice-7", grains: &grains, pillar: &grains, data: &grains };
    let _ = matches(&Value::from(expression), &kind, &facts, ":");
});
