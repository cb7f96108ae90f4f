//! Whatever a master sends as a template or an SLS: an error or a value, never a panic, never without end.

mod harness;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use states::{Jinja, Request, Series, TemplateSpec, Value, compile, yaml};

/// Text made of the pieces that YAML and Jinja give a meaning.
fn pieces(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

const YAML: &[&str] = &[
    "a",
    "b: ",
    "- ",
    "\n",
    "  ",
    ": ",
    "'",
    "\"",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&x ",
    "*x",
    "<<: ",
    "!!str ",
    "!!int ",
    "|\n",
    ">-\n",
    "#",
    "---\n",
    "...",
    "\t",
    "é",
    "1:30",
    "0x1f",
    "~",
    "? ",
    "%",
    "\u{feff}",
    "\\",
    "!!binary ",
    "yes",
];

const JINJA: &[&str] = &[
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    " if ",
    " set x = ",
    " for x in ",
    "endfor",
    "endif",
    "x",
    "pillar.a",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "'",
    "\"",
    "|",
    "yaml",
    "% ",
    ", ",
    "1",
    " do ",
    ".append(",
    "import_yaml 'a' as b",
    "load_yaml as c",
    "endload",
    "include 'a'",
    "raw",
    "endraw",
    "-",
    "é",
    "\\",
    "\n",
    " as ",
    "=",
    "profile as 'p'",
    "macro m(a)",
    "endmacro",
];

const SLS: &[&str] = &[
    "a:\n",
    "b:\n",
    "  test.nop",
    "  test.nop:\n",
    "    - ",
    "require:\n",
    "      - test: a\n",
    "      - b\n",
    "include:\n",
    "  - b\n",
    "extend:\n",
    "exclude:\n",
    "names: [x, y]\n",
    "order: -1\n",
    "\n",
    ":\n",
    "    - watch_in: [a]\n",
    "use:\n",
    "5",
    "  test:\n",
    "prereq:\n",
    "listen_in:\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn yaml_of_any_kind_ends(text in pieces(YAML)) {
        let _ = yaml::load(&text);
    }

    #[test]
    fn templates_of_any_kind_end(text in pieces(JINJA)) {
        let sources = harness::sources(BTreeMap::from([("a".to_owned(), "{{ x }}".to_owned())]));
        let context = harness::context(Series::V3008, Value::Nil);
        let spec = TemplateSpec { path: "t", saltenv: "base", ..TemplateSpec::default() };
        let _ = Jinja::new(&sources, &context).render(&text, &spec);
    }

    #[test]
    fn sls_files_of_any_kind_end(one in pieces(SLS), two in pieces(SLS)) {
        let sources = harness::sources(BTreeMap::from([("a.sls".to_owned(), one), ("b.sls".to_owned(), two)]));
        for series in [Series::V3006, Series::V3008] {
            let context = harness::context(series, Value::Nil);
            let request = Request::Sls { mods: vec!["a".to_owned()], exclude: Vec::new() };
            if let Ok(low) = compile(&request, &sources, &context) {
                harness::run(low, states::RunOptions { series, ..states::RunOptions::default() });
            }
        }
    }

    #[test]
    fn what_is_dumped_loads_as_it_was(text in "\\PC{0,40}", number in any::<i64>(), truth in any::<bool>()) {
        let value = Value::List(vec![
            Value::from(text.as_str()),
            Value::Int(number),
            Value::Bool(truth),
            Value::Map([(text, Value::Nil)].into_iter().collect()),
        ]);
        for style in [yaml::Style::Block, yaml::Style::Flow] {
            let dumped = yaml::dump(&value, style);
            prop_assert_eq!(yaml::load(&dumped), Ok(value.clone()), "{}", dumped);
        }
    }
}
