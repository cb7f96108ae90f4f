use super::*;
use crate::{FileError, Files, FunctionError, Functions, StateFunctions};

struct Tree(Vec<(&'static str, &'static str)>);

impl Files for Tree {
    fn read(&self, _saltenv: &str, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        Ok(self.0.iter().find(|(name, _)| *name == path).map(|(_, text)| text.as_bytes().to_vec()))
    }
    fn list(&self, _saltenv: &str) -> Result<Vec<String>, FileError> {
        Ok(self.0.iter().map(|(name, _)| (*name).to_owned()).collect())
    }
    fn envs(&self) -> Result<Vec<String>, FileError> {
        Ok(vec!["base".to_owned()])
    }
}

struct Echo;

impl Functions for Echo {
    fn call(&self, fun: &str, args: Vec<Value>, kwargs: Map) -> Result<Value, FunctionError> {
        match fun {
            "test.echo" => Ok(args.first().cloned().unwrap_or_default()),
            "test.args" => Ok(Value::List(vec![Value::List(args), Value::Map(kwargs)])),
            "test.fail" => Err(FunctionError::Failed("it broke".to_owned())),
            other => Err(FunctionError::NotFound(other.to_owned())),
        }
    }
    fn exists(&self, fun: &str) -> bool {
        matches!(fun, "test.echo" | "test.args" | "test.fail")
    }
}

impl StateFunctions for Echo {
    fn exists(&self, _full_name: &str) -> bool {
        true
    }
}

fn render_with(files: &[(&'static str, &'static str)], text: &str) -> Result<String, RenderError> {
    let sources = Sources {
        files: Arc::new(Tree(files.to_vec())),
        functions: Arc::new(Echo),
        states: Arc::new(Echo),
        matcher: Arc::new(|_, _| false),
    };
    let pillar =
        crate::yaml::load("{a: {b: [1, 2]}, name: x, multi: \"l1\\nl2\", flag: true, none: null}").unwrap();
    let context = RenderContext {
        pillar,
        grains: crate::yaml::load("{os: Debian, id: m1}").unwrap(),
        opts: crate::yaml::load("{id: m1}").unwrap(),
        ..RenderContext::default()
    };
    let spec =
        TemplateSpec { path: "web/init.sls", sls: Some("web"), saltenv: "base", variables: Map::new() };
    Jinja::new(&sources, &context).render(text, &spec)
}

fn render(text: &str) -> String {
    render_with(&[], text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &str) -> String {
    render_with(&[], text).unwrap_err().to_string()
}

#[test]
fn shows_templates_the_minion_and_their_own_place() {
    assert_eq!(
        render("{{ pillar.a.b[0] }} {{ grains['os'] }} {{ opts.id }} {{ saltenv }}"),
        "1 Debian m1 base"
    );
    assert_eq!(
        render(
            "{{ sls }} {{ slspath }} {{ tpldir }} {{ tplfile }} {{ tpldot }} {{ slsdotpath }} {{ sls_path }}"
        ),
        "web web web web/init.sls web web web"
    );
}

#[test]
fn prints_as_python_and_mappings_for_yaml() {
    assert_eq!(
        render("{{ pillar.flag }} {{ pillar.none }} {{ 1.0 }} {{ [1, 'a', none] }}"),
        "True None 1.0 [1, 'a', None]"
    );
    assert_eq!(
        render("{{ {'a': 'x\\ny', 'b': [true], 'c': {'d': 1}} }}"),
        "{'a': \"x\\ny\", 'b': [True], 'c': {'d': 1}}"
    );
    assert_eq!(render("{{ 'abcd'|regex_search('^(.*)bc(.*)$') }}"), "('a', 'd')");
    assert_eq!(render("{{ 'a' ~ true ~ 1 }}"), "aTrue1");
}

#[test]
fn calls_execution_modules_both_ways() {
    assert_eq!(render("{{ salt['test.echo']('x') }}{{ salt.test.echo('y') }}"), "xy");
    assert_eq!(render("{{ salt['test.args'](1, [2], k={'a': 3}) }}"), "[[1, [2]], {'k': {'a': 3}}]");
    assert_eq!(render("{{ 'test.echo' in salt }} {{ 'no.such' in salt }}"), "True False");
}

#[test]
fn changes_lists_and_dicts_in_place() {
    assert_eq!(
        render(
            "{% set l = [] %}{% for i in [1, 2] %}{% do l.append(i) %}{% endfor %}{% do l.extend([9]) %}{{ l }}"
        ),
        "[1, 2, 9]"
    );
    assert_eq!(
        render(
            "{% set d = {'a': 1} %}{% do d.update({'b': 2}) %}{% set x = d.setdefault('c', []) %}{% do x.append(1) %}{{ d }}"
        ),
        "{'a': 1, 'b': 2, 'c': [1]}"
    );
    assert_eq!(render("{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}"), "a1");
    assert_eq!(render("{{ {'a': 1}.get('b', 'no') }} {{ {'a': none}.get('z') }}"), "no None");
    assert_eq!(
        render("{{ [3, 1]|sort|join(',') }} {{ [1] + [2] }} {{ 'b' in {'b': 1} }} {{ [1, 2]|length }}"),
        "1,3 [1, 2] True 2"
    );
}

#[test]
fn imports_macros_and_data() {
    let files = [
        (
            "web/map.jinja",
            "{% macro hi(who) %}hi {{ who }} from {{ grains.id }} in {{ tpldir }}{% endmacro %}{% set port = 80 %}",
        ),
        ("web/data.yaml", "list: [1, two]\nid: {{ grains.id }}\n"),
        ("web/data.json", "{\"k\": {{ 1 + 1 }}}"),
        ("web/inc.txt", "included by {{ sls }} {% set leaked = 1 %}"),
    ];
    let render = |text| render_with(&files, text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(
        render("{% from 'web/map.jinja' import hi, port with context %}{{ hi('a') }} {{ port }}"),
        "hi a from m1 in web 80"
    );
    assert_eq!(render("{% import './map.jinja' as m %}{{ m.port }}"), "80");
    assert_eq!(render("{% import_yaml 'web/data.yaml' as d %}{{ d.list[1] }} {{ d.id }}"), "two m1");
    assert_eq!(render("{%- import_json 'web/data.json' as d -%} {{ d.k + 1 }}"), "3");
    assert_eq!(render("{% import_text 'web/data.json' as d %}{{ d }}"), "{\"k\": 2}");
    assert_eq!(
        render("{% include 'web/inc.txt' %}{{ leaked is defined }}{{ tplfile }}"),
        "included by web Falseweb/init.sls"
    );
    assert_eq!(render("{% load_yaml as d %}\na: [1, {{ 1 + 1 }}]\n{% endload %}{{ d.a[1] }}"), "2");
}

#[test]
fn refuses_what_is_undefined_in_salts_words() {
    assert_eq!(
        refusal("a:\n  test.nop:\n    - name: {{ foo }}\n"),
        "Jinja variable 'foo' is undefined; line 3\n\n---\na:\n  test.nop:\n    - name: {{ foo }}    <======================\n---"
    );
    let first_line = |text| refusal(text).lines().next().unwrap().to_owned();
    assert_eq!(
        first_line("{{ pillar.nope }}"),
        "Jinja variable 'salt.utils.optsdict.DictProxy object' has no attribute 'nope'; line 1"
    );
    assert_eq!(
        first_line("{{ pillar.a['x'] }}"),
        "Jinja variable 'dict object' has no attribute 'x'; line 1"
    );
    assert_eq!(
        first_line("{{ pillar['a']['x']['y'] }}"),
        "Jinja variable 'dict object' has no attribute 'x'; line 1"
    );
    assert_eq!(
        first_line("{{ salt['no.such']() }}"),
        "Jinja variable 'salt.utils.templates.AliasedLoader object' has no attribute 'no.such'; line 1"
    );
    assert_eq!(first_line("{% if foo %}{% endif %}"), "Jinja variable 'foo' is undefined; line 1");
    assert_eq!(
        first_line("{{ salt['test.fail']() }}"),
        "Problem running salt function in Jinja template: it broke; line 1"
    );
    assert_eq!(first_line("{{ 'x'|nofilter }}"), "Jinja syntax error: No filter named 'nofilter'.; line 1");
    // In a condition, or what depends on one, Jinja looks it up when it comes to it.
    let found = "Jinja syntax error: No filter named 'nofilter' found.; line 1";
    for template in [
        "{% if true %}{{ 'x'|nofilter }}{% endif %}",
        "{% if 'x'|nofilter %}{% endif %}",
        "{{ 1 if 'x'|nofilter else 2 }}",
    ] {
        assert_eq!(first_line(template), found, "{template}");
    }
    assert_eq!(
        first_line("{% if true %}{% endif %}{{ 'x'|nofilter }}"),
        "Jinja syntax error: No filter named 'nofilter'.; line 1"
    );
    assert_eq!(first_line("{{ 1 + }}"), "Jinja syntax error: unexpected 'end of print statement'; line 1");
    assert_eq!(first_line("{% from 'nope.jinja' import x %}"), "Jinja error: nope.jinja; line 1");
}

#[test]
fn names_the_imported_file_that_failed() {
    let files = [("m.jinja", "\n{% macro x() %}\n{{ nono }}\n{% endmacro %}\n")];
    let error = render_with(&files, "{% from 'm.jinja' import x %}\n{{ x() }}\n").unwrap_err().to_string();
    assert_eq!(
        error,
        "Jinja variable 'nono' is undefined\nsalt://m.jinja(3):\n---\n\n{% macro x() %}\n{{ nono }}    <======================\n{% endmacro %}\n---"
    );
}
