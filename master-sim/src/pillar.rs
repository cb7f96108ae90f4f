//! Pillar: `pillar_roots` compiled for one minion, as Salt's master does.
//!
//! The top file of every environment names SLS for targets; each SLS is rendered with the minion's grains and merged
//! into the ones before, maps into maps and everything else replaced (`pillar_source_merging_strategy: smart`). What an
//! SLS includes lies below it. A pillar that cannot be compiled still has what could be, and `_errors` as Salt words
//! it; the reason, which may quote secrets, stays in this master's log without the quoted text. Templates run on the
//! master: they see `grains`, `opts` and `pillar` (the override of the call), and `salt['grains.get']`; other
//! execution modules are refused by name.

use std::collections::BTreeSet;
use std::sync::Arc;

use proto::target::{MinionFacts, TargetType, matches};
use proto::{MinionId, PillarRequest};
use states::{
    FileError, Files, FunctionError, Functions, Jinja, Map, RenderContext, SlsFile, Sources, StateFunctions,
    Value,
};

use crate::config::Config;
use crate::file_server::{FileServer, Listed};

/// Compiles pillar from `pillar_roots`.
#[derive(Clone)]
pub struct PillarCompiler {
    files: Arc<FileServer>,
    envs: Vec<String>,
    opts: Map,
}

impl PillarCompiler {
    /// The compiler of a configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            files: Arc::new(FileServer::new(config.pillar_roots.clone())),
            envs: config.pillar_roots.envs().map(str::to_owned).collect(),
            opts: config.opts.clone(),
        }
    }

    /// The pillar of one minion.
    pub fn compile(&self, id: &MinionId, request: &PillarRequest) -> proto::Value {
        let overrides = states::to_value(&request.pillar_override);
        let mut opts = self.opts.clone();
        opts.insert("id", id.as_str());
        let context = RenderContext {
            grains: states::to_value(&request.grains),
            pillar: overrides.clone(),
            opts: Value::Map(opts),
            seed: rand::random(),
            ..RenderContext::default()
        };
        let sources = Sources {
            files: Arc::new(PillarFiles { files: Arc::clone(&self.files), envs: self.envs.clone() }),
            functions: Arc::new(MasterFunctions { grains: context.grains.clone() }),
            states: Arc::new(NoStates),
            matcher: Arc::new(|_, _| false),
        };
        let jinja = Jinja::new(&sources, &context);
        let mut run = Run { compiler: self, id, request, jinja, errors: Vec::new() };
        let mut pillar = Map::new();
        for env in self.envs.iter().filter(|env| request.pillarenv.as_ref().is_none_or(|only| only == *env)) {
            run.environment(env, &mut pillar);
        }
        if let Value::Map(overrides) = overrides {
            merge(&mut pillar, overrides);
        }
        if !run.errors.is_empty() {
            pillar.insert("_errors", Value::List(run.errors.into_iter().map(Value::from).collect()));
        }
        proto::to_value(&Value::Map(pillar))
    }
}

/// One compilation.
struct Run<'a> {
    compiler: &'a PillarCompiler,
    id: &'a MinionId,
    request: &'a PillarRequest,
    jinja: Jinja,
    errors: Vec<String>,
}

impl Run<'_> {
    fn environment(&mut self, env: &str, pillar: &mut Map) {
        let nameless =
            Entry { name: String::new(), key: None, defaults: Map::new(), missing: Missing::Error };
        let Some(top) = self.render(env, &nameless, "top.sls") else { return };
        let mut done = BTreeSet::new();
        for entry in self.matched(env, &top) {
            if let Some(found) = self.sls(env, &entry, &mut done) {
                merge(pillar, found);
            } else if entry.missing == Missing::Error && !done.contains(&entry.name) {
                self.fail(format!(
                    "Specified SLS '{}' in environment '{env}' is not available on the salt master",
                    entry.name
                ));
            }
        }
    }

    /// The SLS names that the top file gives this minion, in its order.
    fn matched(&mut self, env: &str, top: &Value) -> Vec<Entry> {
        let Some(targets) = top.get(env).and_then(Value::as_map) else { return Vec::new() };
        let mut entries = Vec::new();
        for (target, listed) in targets.iter() {
            let listed = listed.as_list().unwrap_or_default();
            let kind = listed.iter().find_map(|item| item.get("match")).and_then(Value::as_str);
            let ignore = listed.iter().any(|item| item.get("ignore_missing").is_some_and(Value::is_truthy));
            let missing = if ignore { Missing::Ignore } else { Missing::Error };
            if !self.is_meant(target, kind.unwrap_or("compound")) {
                continue;
            }
            for item in listed {
                entries.extend(Entry::of(item, missing));
            }
        }
        entries
    }

    fn is_meant(&mut self, target: &Value, kind: &str) -> bool {
        let target = proto::to_value(target);
        let grains = proto::Value::Map(self.request.grains.clone());
        let facts = MinionFacts {
            id: self.id.as_str(),
            grains: &grains,
            pillar: &proto::Value::Nil,
            data: &proto::Value::Nil,
        };
        let kind = kind.parse().unwrap_or(TargetType::Compound);
        matches(&target, &kind, &facts, ":").unwrap_or_else(|error| {
            self.fail(format!("The pillar top file has a target that cannot be matched: {error}"));
            false
        })
    }

    /// One SLS with what it includes below it. `None` when there is no such file or it was merged before.
    fn sls(&mut self, env: &str, entry: &Entry, done: &mut BTreeSet<String>) -> Option<Map> {
        if done.contains(&entry.name) {
            return None;
        }
        let stem = entry.name.replace('.', "/");
        let paths = [format!("{stem}.sls"), format!("{stem}/init.sls")];
        let path = paths.iter().find(|path| self.exists(env, path))?;
        done.insert(entry.name.clone());
        let Some(Value::Map(mut own)) = self.render(env, entry, path) else { return Some(Map::new()) };
        let mut pillar = Map::new();
        if let Some(Value::List(included)) = own.remove("include") {
            for item in included.iter().flat_map(|item| Entry::of(item, Missing::Error)) {
                match self.sls(env, &item, done) {
                    Some(found) => merge(&mut pillar, found),
                    None if done.contains(&item.name) => {}
                    None => self.fail(format!(
                        "Specified SLS '{}' in environment '{env}' is not available on the salt master",
                        item.name
                    )),
                }
            }
        }
        merge(&mut pillar, own);
        Some(entry.under_key(pillar))
    }

    fn exists(&self, env: &str, path: &str) -> bool {
        self.compiler.files.read(env, path).is_ok_and(|found| found.is_some())
    }

    fn render(&mut self, env: &str, entry: &Entry, path: &str) -> Option<Value> {
        let sls = entry.name.as_str();
        let bytes = match self.compiler.files.read(env, path) {
            Ok(bytes) => bytes?,
            Err(error) => {
                self.fail(format!("{path} cannot be read: {error}"));
                return None;
            }
        };
        let file = SlsFile { saltenv: env, sls, path, bytes: &bytes };
        match states::render_sls_with(&self.jinja, &file, "jinja|yaml", &entry.defaults) {
            Ok(value) => Some(value),
            Err(error) => {
                let name = if sls.is_empty() { "top" } else { sls };
                tracing::warn!(minion = %self.id, sls = name, line = error.line, error = error.message, "pillar SLS could not be rendered");
                self.errors
                    .push(format!("Rendering SLS '{name}' failed. Please see master log for details."));
                None
            }
        }
    }

    fn fail(&mut self, error: String) {
        tracing::warn!(minion = %self.id, "{error}");
        self.errors.push(error);
    }
}

/// What to do about an SLS that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Error,
    Ignore,
}

/// One SLS of a top file or an include list.
struct Entry {
    name: String,
    key: Option<String>,
    /// Variables for its template.
    defaults: Map,
    missing: Missing,
}

impl Entry {
    /// A name, or a map of a name to options; `match` and `ignore_missing` are no names.
    fn of(item: &Value, missing: Missing) -> Vec<Self> {
        if let Some(name) = item.as_str() {
            return vec![Self { name: name.to_owned(), key: None, defaults: Map::new(), missing }];
        }
        let Some(map) = item.as_map() else { return Vec::new() };
        let named = map.iter().filter_map(|(name, options)| Some((name.as_str()?, options)));
        let named = named.filter(|(name, _)| !["match", "ignore_missing"].contains(name));
        let entry = |(name, options): (&str, &Value)| {
            let key = options.get("key").and_then(Value::as_str).map(str::to_owned);
            let defaults = options.get("defaults").and_then(Value::as_map).cloned().unwrap_or_default();
            Self { name: name.to_owned(), key, defaults, missing }
        };
        named.map(entry).collect()
    }

    /// `key: a:b` puts an included SLS below `a`, `b`.
    fn under_key(&self, pillar: Map) -> Map {
        let Some(key) = &self.key else { return pillar };
        key.rsplit(':').fold(pillar, |inner, name| {
            let mut outer = Map::new();
            outer.insert(name, Value::Map(inner));
            outer
        })
    }
}

fn merge(into: &mut Map, from: Map) {
    for (key, value) in from.iter() {
        match (into.get_value_mut(key), value) {
            (Some(Value::Map(old)), Value::Map(new)) => merge(old, new.clone()),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Files that pillar templates import from.
struct PillarFiles {
    files: Arc<FileServer>,
    envs: Vec<String>,
}

impl Files for PillarFiles {
    fn read(&self, saltenv: &str, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        let failed = |error: std::io::Error| FileError { path: path.to_owned(), reason: error.to_string() };
        self.files.read(saltenv, path).map_err(failed)
    }

    fn list(&self, saltenv: &str) -> Result<Vec<String>, FileError> {
        let listed = self.files.list(saltenv, "", Listed::Files);
        let listed = listed.as_list().unwrap_or_default().iter().filter_map(proto::Value::as_str);
        Ok(listed.map(str::to_owned).collect())
    }

    fn envs(&self) -> Result<Vec<String>, FileError> {
        Ok(self.envs.clone())
    }
}

/// The execution modules of pillar templates.
struct MasterFunctions {
    grains: Value,
}

impl Functions for MasterFunctions {
    fn call(&self, fun: &str, args: Vec<Value>, kwargs: Map) -> Result<Value, FunctionError> {
        if fun != "grains.get" {
            return Err(FunctionError::NotFound(fun.to_owned()));
        }
        let needs_key = || FunctionError::Failed("grains.get needs a key".to_owned());
        let key = args.first().or_else(|| kwargs.get("key")).and_then(Value::as_str).ok_or_else(needs_key)?;
        let found = key.split(':').try_fold(&self.grains, |value, name| value.get(name));
        let default = args.get(1).or_else(|| kwargs.get("default")).cloned();
        Ok(found.cloned().or(default).unwrap_or_else(|| Value::from("")))
    }

    fn exists(&self, fun: &str) -> bool {
        fun == "grains.get"
    }
}

/// Pillar has no states.
struct NoStates;

impl StateFunctions for NoStates {
    fn exists(&self, _full_name: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(files: &[(&str, &str)], request: &PillarRequest) -> serde_json::Value {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join("pillar").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let config = Config::load(folder.path()).unwrap();
        let pillar = PillarCompiler::new(&config).compile(&MinionId::parse("smile-dental").unwrap(), request);
        serde_json::to_value(&pillar).unwrap()
    }

    fn request() -> PillarRequest {
        PillarRequest { grains: [("os", "Windows")].into(), ..PillarRequest::default() }
    }

    #[test]
    fn the_top_file_gives_each_minion_its_sls() {
        let files = [
            (
                "top.sls",
                "base:\n  '*':\n    - all\n  'os:Windows':\n    - match: grain\n    - win\n  other:\n    - no\n",
            ),
            ("all.sls", "a: {x: 1, y: 1}\n"),
            (
                "win/init.sls",
                "a: {y: {{ grains['os'] | length }}}\nname: {{ grains.os }}-{{ salt['grains.get']('os') }}\n",
            ),
            ("no.sls", "no: 1\n"),
        ];
        let expected = serde_json::json!({"a": {"x": 1, "y": 7}, "name": "Windows-Windows"});
        assert_eq!(compile(&files, &request()), expected);
    }

    #[test]
    fn an_included_sls_lies_below_the_one_that_includes_it() {
        let files = [
            ("top.sls", "base:\n  'smile-*':\n    - site\n"),
            ("site.sls", "include:\n  - defaults\n  - extra:\n      key: deep:er\nport: 2\n"),
            ("defaults.sls", "port: 1\nhost: h\n"),
            ("extra.sls", "z: 1\n"),
        ];
        let expected = serde_json::json!({"port": 2, "host": "h", "deep": {"er": {"z": 1}}});
        assert_eq!(compile(&files, &request()), expected);
    }

    #[test]
    fn what_cannot_be_compiled_is_an_error_and_the_rest_is_there() {
        let files = [
            ("top.sls", "base:\n  '*':\n    - broken\n    - gone\n    - good\n"),
            ("broken.sls", "password: canary\nx: [1\n"),
            ("good.sls", "g: 1\n"),
        ];
        let pillar = compile(&files, &request());
        assert_eq!(pillar["g"], 1);
        let errors = pillar["_errors"].to_string();
        assert!(errors.contains("Rendering SLS 'broken' failed. Please see master log for details."));
        assert!(
            errors.contains("Specified SLS 'gone' in environment 'base' is not available on the salt master")
        );
        assert!(!errors.contains("canary"));
    }

    #[test]
    fn the_override_of_a_call_wins() {
        let files = [("top.sls", "base:\n  '*':\n    - a\n"), ("a.sls", "a: {x: 1, y: 2}\n")];
        let request = PillarRequest {
            pillar_override: [("a", proto::Value::from(proto::Map::from([("y", 3)])))].into(),
            ..request()
        };
        assert_eq!(compile(&files, &request), serde_json::json!({"a": {"x": 1, "y": 3}}));
    }

    #[test]
    fn no_top_file_is_no_pillar() {
        assert_eq!(compile(&[], &request()), serde_json::json!({}));
    }
}
