//! Every template of `oracle/make_jinja.py` renders to what Salt's own engine gave, or fails with its words.
//!
//! What differs is listed in `DIFFERENCES`, with the reason, and must differ.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]
#![expect(clippy::print_stdout, reason = "the share of equal templates is the result")]

mod harness;

use std::sync::Arc;

use states::{FunctionError, Functions, Jinja, Map, RenderContext, Series, TemplateSpec, Value};

/// Templates that differ, with the reason.
const DIFFERENCES: &[(&str, &str)] = &[
    ("{{ {'a': 1}|xml }}", NOT_BUILT),
    ("{{ lipsum is defined }}", NOT_BUILT),
    ("{{ self is defined }}", NOT_BUILT),
    ("{% macro m(x) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, z=3) }}", NOT_BUILT),
    ("{{ 'abc'|random_hash|length }}", "fails in Salt as well, for another reason"),
    ("{{ [{'a': 1, 'b': 2}, {'a': 1, 'b': 3}]|groupby('a')|list }}", "Salt's printing breaks on it"),
    ("{{ ['a', 'b']|json_encode_list }}", BYTES),
    ("{{ {'a': 'b'}|json_decode_dict }}", BYTES),
    ("{{ salt['test.arg'](1, a='b') }}", "a function's values hold no tuples"),
    ("{{ 'a'|attr('upper') }}", ATTRIBUTES),
    ("{{ {'a': 1}|attr('a') }}", ATTRIBUTES),
    ("{{ ''.x }}", OWNER),
    ("{{ none.x }}", OWNER),
    ("{{ 1.x }}", OWNER),
    ("{{ [].x }}", OWNER),
    ("{{ [['a', 1]]|items|list }}", WORDS),
    ("{{ [x for x in []] }}", WORDS),
    ("{{ }}", WORDS),
    ("{% if %}{% endif %}", WORDS),
    ("{% if true %}", WORDS),
    ("{{ 'abc }}", WORDS),
    ("{% for x in %}{% endfor %}", WORDS),
    ("{{ [1, 2 }}", WORDS),
    ("{% set %}", WORDS),
    ("{{ salt['no.such']() }}", IN_A_RUN),
    ("{{ salt.no.such() }}", IN_A_RUN),
    (
        "{% for x in 'abc' %}{{ loop.index0 }}{{ x }}{{ loop.first }}{{ loop.length }}{{ loop.revindex }}{{ loop.cycle('o', 'e') }} {% endfor %}",
        "the length of a text is not known in a loop over it",
    ),
];

/// Templates that differ for 3008 alone.
const DIFFERENCES_3008: &[(&str, &str)] = &[
    ("{{ salt['pillar.get']('map:a') }}", "masked outside a run only"),
    ("{{ pillar.nope }}", IN_A_RUN),
    ("{{ pillar['nope']['x'] }}", IN_A_RUN),
];

/// Templates that differ for 3006 alone.
const DIFFERENCES_3006: &[(&str, &str)] =
    &[("{{ {'a': 1}|to_entries }}", NEWER), ("{{ [{'key': 'a', 'value': 1}]|from_entries }}", NEWER)];

const NEWER: &str = "3006 does not know the filter";
const NOT_BUILT: &str = "not built";
const BYTES: &str = "text stays text";
const ATTRIBUTES: &str = "items, not Python's attributes";
const OWNER: &str = "a literal's type is not named";
const WORDS: &str = "other words for the same mistake";
const IN_A_RUN: &str = "the words are those of a state run, where Salt wraps the object";

#[test]
fn renders_as_salt_3008() {
    compare(include_str!("oracle/jinja.3008.json"), Series::V3008);
}

#[test]
fn renders_as_salt_3006() {
    compare(include_str!("oracle/jinja.3006.json"), Series::V3006);
}

fn compare(oracle: &str, series: Series) {
    let oracle: Value = serde_json::from_str(oracle).unwrap();
    let results = oracle.get("results").and_then(Value::as_list).unwrap();
    let mut failures = Vec::new();
    let mut equal = 0;
    for result in results {
        let [template, expected] = result.as_list().unwrap() else { panic!("not a pair") };
        let template = template.as_str().unwrap();
        let ours = render(&oracle, template, series);
        let same = ours == *expected;
        equal += usize::from(same);
        let extra = if series == Series::V3008 { DIFFERENCES_3008 } else { DIFFERENCES_3006 };
        if same == DIFFERENCES.iter().chain(extra).any(|(known, _)| *known == template) {
            failures.push(format!("{template:?}\n    ours: {ours}\n    salt: {expected}"));
        }
    }
    println!("{series:?}: {equal} of {} templates equal", results.len());
    assert!(failures.is_empty(), "{}:\n{}", failures.len(), failures.join("\n"));
}

fn render(oracle: &Value, template: &str, series: Series) -> Value {
    let files = oracle.get("files").and_then(Value::as_map).unwrap();
    let files = files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect();
    let mut sources = harness::sources(files);
    let (pillar, grains) = (oracle.get("pillar").unwrap().clone(), oracle.get("grains").unwrap().clone());
    sources.functions = Arc::new(Lookup { pillar: pillar.clone(), grains: grains.clone() });
    let opts = states::yaml::load("{id: m1}").unwrap();
    let context = RenderContext { grains, pillar, opts, saltenv: None, series, seed: 1 };
    let spec =
        TemplateSpec { path: "web/site.sls", sls: Some("web.site"), saltenv: "base", variables: Map::new() };
    match Jinja::new(&sources, &context).render(template, &spec) {
        Ok(text) => Value::Map(Map::from_iter([("text", text)])),
        Err(error) => Value::Map(Map::from_iter([("error", error.message)])),
    }
}

struct Lookup {
    pillar: Value,
    grains: Value,
}

impl Functions for Lookup {
    fn call(&self, fun: &str, args: Vec<Value>, kwargs: Map) -> Result<Value, FunctionError> {
        let key = args.first().map(Value::to_string).unwrap_or_default();
        let find = |data: &Value| {
            key.split(':').try_fold(data, |at, part| at.get(part)).cloned().unwrap_or_default()
        };
        match fun {
            "test.echo" => Ok(args.into_iter().next().unwrap_or_default()),
            "test.arg" => {
                Ok(Value::Map(Map::from_iter([("args", Value::List(args)), ("kwargs", Value::Map(kwargs))])))
            }
            "pillar.get" => Ok(find(&self.pillar)),
            "grains.get" => Ok(find(&self.grains)),
            other => Err(FunctionError::NotFound(other.to_owned())),
        }
    }

    fn exists(&self, fun: &str) -> bool {
        matches!(fun, "test.echo" | "test.arg" | "pillar.get" | "grains.get")
    }
}
