//! Salt's requisite truth table (`doc/ref/states/requisites.rst`), a test per cell: what a state does for each
//! outcome of the state it refers to.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]

mod harness;

use std::collections::BTreeMap;

use states::{Map, Request, RunOptions, Series, Value, compile};

/// What became of the state that has the requisite.
#[derive(Debug, PartialEq)]
enum Became {
    /// It was called.
    Ran,
    /// It was called, and its `mod_watch` after it.
    Watched,
    /// It was not called, for this reason, and counts as a success.
    Spared(&'static str),
    /// It was not called and counts as failed.
    Failed,
}

use Became::{Failed, Ran, Spared, Watched};

const NO_CHANGE: Became = Spared("State was not run because none of the onchanges reqs changed");
const NO_FAILURE: Became = Spared("State was not run because onfail req did not change");
const NO_PREREQ: Became = Spared("No changes detected");

/// Runs targets of the given functions and a state with the requisite on all of them.
fn became(requisite: &str, targets: &[&str], test: bool, series: Series) -> Became {
    let mut sls = String::new();
    let mut list = String::new();
    for (number, function) in targets.iter().enumerate() {
        sls.push_str(&format!("t{number}:\n  test.{function}\n"));
        list.push_str(&format!("      - test: t{number}\n"));
    }
    sls.push_str(&format!("subject:\n  test.succeed_without_changes:\n    - {requisite}:\n{list}"));
    let sources = harness::sources(BTreeMap::from([("a.sls".to_owned(), sls)]));
    let context = harness::context(series, Value::Map(Map::new()));
    let request = Request::Sls { mods: vec!["a".to_owned()], exclude: Vec::new() };
    let low = compile(&request, &sources, &context).unwrap();
    let returns = harness::run(low, RunOptions { test, series, ..RunOptions::default() });
    let subject = returns.get("test_|-subject_|-subject_|-succeed_without_changes").unwrap();
    let field = |name: &str| subject.get(name).cloned().unwrap_or_default();
    let comment = field("comment").to_string();
    match (field("result"), comment.as_str()) {
        (Value::Bool(true), "Success!") => Ran,
        (Value::Bool(true), "Watch statement fired.") => Watched,
        (Value::Bool(false), comment) if comment.starts_with("One or more requisite failed: a.t") => Failed,
        (Value::Bool(true), comment) => [NO_CHANGE, NO_FAILURE, NO_PREREQ]
            .into_iter()
            .find(|known| *known == known_spared(comment))
            .unwrap(),
        (result, comment) => panic!("{result}: {comment}"),
    }
}

fn known_spared(comment: &str) -> Became {
    for known in [NO_CHANGE, NO_FAILURE, NO_PREREQ] {
        if matches!(known, Spared(words) if words == comment) {
            return known;
        }
    }
    panic!("an unknown comment: {comment}")
}

macro_rules! table {
    ($($requisite:ident { $($cell:ident: [$($target:ident),+] => $expected:expr;)+ })+) => {
        $(mod $requisite {
            use super::*;
            $(#[test]
            fn $cell() {
                for series in [Series::V3006, Series::V3007, Series::V3008] {
                    let targets = [$(stringify!($target)),+];
                    assert_eq!(became(stringify!($requisite), &targets, false, series), $expected, "{series:?}");
                }
            })+
        })+
    };
}

table! {
    require {
        target_succeeds: [nop] => Ran;
        target_changes: [succeed_with_changes] => Ran;
        target_fails: [fail_without_changes] => Failed;
        target_fails_after_changes: [fail_with_changes] => Failed;
        one_of_two_fails: [nop, fail_without_changes] => Failed;
    }
    require_any {
        target_succeeds: [nop] => Ran;
        target_changes: [succeed_with_changes] => Ran;
        target_fails: [fail_without_changes] => Failed;
        one_of_two_fails: [nop, fail_without_changes] => Ran;
        both_fail: [fail_with_changes, fail_without_changes] => Failed;
    }
    watch {
        target_succeeds: [nop] => Ran;
        target_changes: [succeed_with_changes] => Watched;
        target_fails: [fail_without_changes] => Failed;
        target_fails_after_changes: [fail_with_changes] => Failed;
        one_of_two_changes: [nop, succeed_with_changes] => Watched;
        one_changes_and_one_fails: [succeed_with_changes, fail_without_changes] => Failed;
    }
    watch_any {
        target_succeeds: [nop] => Ran;
        target_changes: [succeed_with_changes] => Watched;
        target_fails: [fail_without_changes] => Failed;
        one_changes_and_one_fails: [succeed_with_changes, fail_without_changes] => Watched;
        one_succeeds_and_one_fails: [nop, fail_without_changes] => Ran;
    }
    onchanges {
        target_succeeds: [nop] => NO_CHANGE;
        target_changes: [succeed_with_changes] => Ran;
        target_fails: [fail_without_changes] => NO_CHANGE;
        target_fails_after_changes: [fail_with_changes] => NO_CHANGE;
        one_of_two_changes: [nop, succeed_with_changes] => Ran;
        one_changes_and_one_fails: [succeed_with_changes, fail_without_changes] => Ran;
        none_of_two_changes: [nop, nop] => NO_CHANGE;
    }
    onchanges_any {
        target_succeeds: [nop] => NO_CHANGE;
        target_changes: [succeed_with_changes] => Ran;
        target_fails: [fail_without_changes] => NO_CHANGE;
        one_changes_and_one_fails: [succeed_with_changes, fail_without_changes] => Ran;
    }
    onfail {
        target_succeeds: [nop] => NO_FAILURE;
        target_changes: [succeed_with_changes] => NO_FAILURE;
        target_fails: [fail_without_changes] => Ran;
        target_fails_after_changes: [fail_with_changes] => Ran;
        one_of_two_fails: [nop, fail_without_changes] => Ran;
        none_of_two_fails: [nop, succeed_with_changes] => NO_FAILURE;
    }
    onfail_any {
        target_succeeds: [nop] => NO_FAILURE;
        target_fails: [fail_without_changes] => Ran;
        one_of_two_fails: [nop, fail_without_changes] => Ran;
    }
    onfail_all {
        target_succeeds: [nop] => NO_FAILURE;
        target_fails: [fail_without_changes] => Ran;
        one_of_two_fails: [nop, fail_without_changes] => NO_FAILURE;
        both_fail: [fail_with_changes, fail_without_changes] => Ran;
    }
    prereq {
        target_would_not_change: [nop] => NO_PREREQ;
        target_would_change: [succeed_with_changes] => Ran;
        target_would_fail: [fail_without_changes] => Failed;
        target_would_change_and_fail: [fail_with_changes] => Ran;
    }
}

mod test_mode {
    use super::*;

    #[test]
    fn a_predicted_change_counts_as_a_change() {
        for series in [Series::V3006, Series::V3008] {
            assert_eq!(became("watch", &["succeed_with_changes"], true, series), Watched);
            assert_eq!(became("onchanges", &["succeed_with_changes"], true, series), Ran);
            assert_eq!(became("require", &["succeed_with_changes"], true, series), Ran);
        }
    }

    #[test]
    fn a_predicted_failure_counts_as_a_failure() {
        for series in [Series::V3006, Series::V3008] {
            assert_eq!(became("require", &["fail_without_changes"], true, series), Failed);
            assert_eq!(became("onfail", &["fail_without_changes"], true, series), Ran);
        }
    }
}
