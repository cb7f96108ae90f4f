use std::sync::Arc;

use super::*;
use crate::{FileError, Files, FunctionError, Functions, RequisiteKind, Series, StateFunctions};

/// Files of several saltenvs.
struct Tree(Vec<(&'static str, &'static str, &'static str)>);

impl Files for Tree {
    fn read(&self, saltenv: &str, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        let found = self.0.iter().find(|(env, name, _)| *env == saltenv && *name == path);
        Ok(found.map(|(_, _, text)| text.as_bytes().to_vec()))
    }
    fn list(&self, saltenv: &str) -> Result<Vec<String>, FileError> {
        Ok(self.0.iter().filter(|(env, ..)| *env == saltenv).map(|(_, name, _)| (*name).to_owned()).collect())
    }
    fn envs(&self) -> Result<Vec<String>, FileError> {
        let mut envs: Vec<String> = self.0.iter().map(|(env, ..)| (*env).to_owned()).collect();
        envs.dedup();
        Ok(envs)
    }
}

struct All;

impl Functions for All {
    fn call(&self, fun: &str, _args: Vec<Value>, _kwargs: Map) -> Result<Value, FunctionError> {
        Err(FunctionError::NotFound(fun.to_owned()))
    }
    fn exists(&self, _fun: &str) -> bool {
        false
    }
}

impl StateFunctions for All {
    fn exists(&self, full_name: &str) -> bool {
        full_name != "file.mod_watch"
    }
}

fn sources(files: &[(&'static str, &'static str, &'static str)]) -> Sources {
    Sources {
        files: Arc::new(Tree(files.to_vec())),
        functions: Arc::new(All),
        states: Arc::new(All),
        matcher: Arc::new(|target, kind| match kind {
            "compound" => target.as_str() == Some("*"),
            "grain" => target.as_str() == Some("os:Debian"),
            _ => false,
        }),
    }
}

fn top(files: &[(&'static str, &'static str, &'static str)], context: &RenderContext) -> String {
    Value::Map(Compiler::new(&sources(files), context).top().unwrap()).to_string()
}

const ENVS: &[(&str, &str, &str)] = &[
    (
        "base",
        "top.sls",
        "base:\n  '*': [a]\n  'os:Debian':\n    - match: grain\n    - b\nprod:\n  '*': [p]\n",
    ),
    ("prod", "top.sls", "prod:\n  '*': [own]\nbase:\n  '*': [stolen]\n"),
    ("dev", "top.sls", "dev:\n  '*': [d]\n"),
];

#[test]
fn the_base_top_file_is_authoritative() {
    let context = RenderContext::default();
    assert_eq!(top(ENVS, &context), "{'base': ['a', 'b'], 'prod': ['p'], 'dev': ['d']}");
}

#[test]
fn merging_strategies_of_top_files() {
    let with = |strategy: &str| RenderContext {
        opts: Value::Map(Map::from_iter([("top_file_merging_strategy", strategy)])),
        ..RenderContext::default()
    };
    assert_eq!(top(ENVS, &with("same")), "{'base': ['a', 'b'], 'prod': ['own'], 'dev': ['d']}");
    assert_eq!(
        top(ENVS, &with("merge_all")),
        "{'base': ['a', 'stolen', 'b'], 'prod': ['p', 'own'], 'dev': ['d']}"
    );
}

#[test]
fn a_saltenv_that_was_asked_for_is_the_only_one() {
    let context = RenderContext { saltenv: Some("prod".to_owned()), ..RenderContext::default() };
    assert_eq!(top(ENVS, &context), "{'prod': ['own']}");
}

#[test]
fn watch_is_require_where_there_is_no_mod_watch() {
    let files = [("base", "a.sls", "x:\n  file.managed:\n    - watch:\n      - test: y\ny:\n  test.nop\n")];
    let request = Request::Sls { mods: vec!["a".to_owned()], exclude: Vec::new() };
    let low = compile(&request, &sources(&files), &RenderContext::default()).unwrap();
    let kinds: Vec<RequisiteKind> =
        low.chunks.iter().flat_map(|chunk| &chunk.requisites).map(|requisite| requisite.kind).collect();
    assert_eq!(kinds, [RequisiteKind::Require]);
    let order: Vec<&str> = low.in_order().map(|chunk| chunk.id.as_str()).collect();
    assert_eq!(order, ["y", "x"]);
}

#[test]
fn names_the_circle_of_requisites() {
    let text = "x:\n  test.nop:\n    - require:\n      - test: y\ny:\n  test.nop:\n    - require:\n      - test: x\n";
    let files = [("base", "a.sls", text)];
    let request = Request::Sls { mods: vec!["a".to_owned()], exclude: Vec::new() };
    let context = RenderContext { series: Series::V3008, ..RenderContext::default() };
    let errors = compile(&request, &sources(&files), &context).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("Recursive requisites were found: ({'SLS': 'a', 'ID': "), "{errors:?}");
}

#[test]
fn high_data_and_a_template_run_without_files() {
    let high =
        crate::yaml::load("x: {test.nop: []}\ny: {test: [succeed_with_changes, {comment: c}]}").unwrap();
    let context = RenderContext::default();
    let low = compile(&Request::High(high.as_map().unwrap().clone()), &sources(&[]), &context).unwrap();
    assert_eq!(low.chunks.len(), 2);
    let template = "{% for i in [1, 2] %}\ns{{ i }}:\n  test.nop\n{% endfor %}\n".to_owned();
    let low = compile(&Request::Template(template), &sources(&[]), &context).unwrap();
    let ids: Vec<&str> = low.in_order().map(|chunk| chunk.id.as_str()).collect();
    assert_eq!(ids, ["s1", "s2"]);
}
