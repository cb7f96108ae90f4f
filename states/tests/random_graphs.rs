//! Any graph of requisites, however tangled: no panic, no endless run, a return for every chunk, and nothing called
//! before what it requires.

mod harness;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use states::{LowState, Map, Request, RequisiteKind, RunOptions, Series, Value, compile};

const FUNCTIONS: [&str; 4] = ["nop", "succeed_with_changes", "fail_without_changes", "fail_with_changes"];

const KINDS: [&str; 13] = [
    "require",
    "require_any",
    "watch",
    "watch_any",
    "onchanges",
    "onchanges_any",
    "onfail",
    "onfail_any",
    "onfail_all",
    "prereq",
    "listen",
    "require_in",
    "watch_in",
];

/// A state: its function, its order, and its requisites by kind and target number.
type State = (usize, Option<i64>, Vec<(usize, usize)>);

fn states() -> impl Strategy<Value = Vec<State>> {
    let requisite = (0..KINDS.len(), 0..24usize);
    let state =
        (0..FUNCTIONS.len(), proptest::option::of(-3..20i64), proptest::collection::vec(requisite, 0..4));
    proptest::collection::vec(state, 1..24)
}

fn sls(states: &[State]) -> String {
    let mut sls = String::new();
    for (number, (function, order, requisites)) in states.iter().enumerate() {
        sls.push_str(&format!("s{number}:\n  test.{}:\n    - name: n{number}\n", FUNCTIONS[*function]));
        if let Some(order) = order {
            sls.push_str(&format!("    - order: {order}\n"));
        }
        for (at, kind) in KINDS.iter().enumerate() {
            let targets: Vec<usize> = requisites
                .iter()
                .filter(|(kind, _)| *kind == at)
                .map(|(_, target)| target % states.len())
                .collect();
            if !targets.is_empty() {
                sls.push_str(&format!("    - {kind}:\n"));
                targets.iter().for_each(|target| sls.push_str(&format!("      - test: s{target}\n")));
            }
        }
    }
    sls
}

fn compiled(sls: String, series: Series) -> Result<LowState, Vec<String>> {
    let sources = harness::sources(BTreeMap::from([("a.sls".to_owned(), sls)]));
    let context = harness::context(series, Value::Map(Map::new()));
    compile(&Request::Sls { mods: vec!["a".to_owned()], exclude: Vec::new() }, &sources, &context)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn every_chunk_gets_a_return(states in states(), test in any::<bool>()) {
        for series in [Series::V3006, Series::V3008] {
            let Ok(low) = compiled(sls(&states), series) else { continue };
            let chunks = low.chunks.clone();
            let returns = harness::run(low, RunOptions { test, series, ..RunOptions::default() });
            for chunk in &chunks {
                let ret = returns.get(&chunk.tag());
                prop_assert!(ret.is_some(), "{series:?}: {} has no return", chunk.tag());
                for key in ["result", "changes", "comment", "name", "__run_num__", "__sls__", "__id__"] {
                    prop_assert!(ret.unwrap().get(key).is_some(), "{series:?}: {} lacks {key}", chunk.tag());
                }
            }
        }
    }

    #[test]
    fn nothing_comes_before_what_it_requires(states in states()) {
        let Ok(low) = compiled(sls(&states), Series::V3008) else { return Ok(()) };
        let chunks = low.chunks.clone();
        let returns = harness::run(low, RunOptions::default());
        let number = |tag: &str| returns.get(tag).and_then(|ret| ret.get("__run_num__")).and_then(Value::as_int);
        for chunk in &chunks {
            for kind in [RequisiteKind::Require, RequisiteKind::Watch, RequisiteKind::Onchanges, RequisiteKind::Onfail] {
                for target in chunk.targets(kind) {
                    let required = chunks.iter().find(|other| other.id == target.name).unwrap();
                    prop_assert!(number(&required.tag()) < number(&chunk.tag()));
                }
            }
        }
    }
}
