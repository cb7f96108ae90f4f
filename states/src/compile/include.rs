//! SLS files and what they include, merged into high data.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::collections::{HashMap, HashSet};

use super::{FIRST_ORDER, HighState, fnmatch};
use crate::{Jinja, Map, RenderContext, Series, SlsFile, Sources, Value};

/// Renders the SLS files of one compilation; each `saltenv:sls` once.
pub(super) struct Renderer<'a> {
    sources: &'a Sources,
    context: &'a RenderContext,
    jinja: &'a Jinja,
    available: HashMap<String, Vec<String>>,
    envs: Vec<String>,
    done: HashSet<String>,
    rendered: Vec<String>,
    next_order: i64,
    depth: usize,
    matches: &'a [(String, Vec<String>)],
}

/// What one SLS gave: its states with those it includes, and what was wrong.
type Rendered = (Map, Vec<String>);

impl<'a> Renderer<'a> {
    pub(super) fn new(
        sources: &'a Sources,
        context: &'a RenderContext,
        jinja: &'a Jinja,
        matches: &'a [(String, Vec<String>)],
    ) -> Renderer<'a> {
        Renderer {
            sources,
            context,
            jinja,
            available: HashMap::new(),
            envs: Vec::new(),
            done: HashSet::new(),
            rendered: Vec::new(),
            next_order: FIRST_ORDER,
            depth: 0,
            matches,
        }
    }

    /// The high data, and what was wrong on the way; the outer error is the file server's.
    pub(super) fn render(mut self) -> Result<(HighState, Vec<String>), Vec<String>> {
        let mut high = Map::new();
        let mut all_errors = Vec::new();
        self.envs = self.sources.files.envs().map_err(|error| vec![error.to_string()])?;
        for (saltenv, mods) in self.matches {
            for wanted in mods {
                if !self.envs.contains(saltenv) {
                    all_errors
                        .push(format!("No matching salt environment for environment '{saltenv}' found"));
                }
                let found = self.find(saltenv, wanted)?;
                let names = if found.is_empty() { vec![wanted.clone()] } else { found };
                for sls in names {
                    if self.done.contains(&format!("{saltenv}:{sls}")) {
                        continue;
                    }
                    let (state, mut errors) = self.state(&sls, saltenv)?;
                    merge(&mut high, state, &mut errors);
                    all_errors.extend(errors.into_iter().map(|error| not_found(error, wanted, saltenv)));
                }
            }
        }
        drop_repeated_extends(&mut high);
        Ok((HighState { high, rendered: self.rendered, nothing: None }, all_errors))
    }

    /// The SLS names of a saltenv that match a pattern.
    fn find(&mut self, saltenv: &str, pattern: &str) -> Result<Vec<String>, Vec<String>> {
        let available = self.available(saltenv)?;
        Ok(available.iter().filter(|name| fnmatch(name, pattern)).cloned().collect())
    }

    fn available(&mut self, saltenv: &str) -> Result<&[String], Vec<String>> {
        if !self.available.contains_key(saltenv) {
            let paths = self.sources.files.list(saltenv).map_err(|error| vec![error.to_string()])?;
            let names = paths.iter().filter_map(|path| sls_name(path)).collect();
            self.available.insert(saltenv.to_owned(), names);
        }
        Ok(self.available.get(saltenv).map_or(&[], Vec::as_slice))
    }

    /// The file of an SLS: its path and bytes.
    fn open(&self, sls: &str, saltenv: &str) -> Result<Option<(String, Vec<u8>)>, Vec<String>> {
        let base = sls.replace('.', "/");
        for path in [format!("{base}.sls"), format!("{base}/init.sls")] {
            let read = self.sources.files.read(saltenv, &path);
            if let Some(bytes) = read.map_err(|error| vec![error.to_string()])? {
                return Ok(Some((path, bytes)));
            }
        }
        Ok(None)
    }

    fn state(&mut self, sls: &str, saltenv: &str) -> Result<Rendered, Vec<String>> {
        let Some((path, bytes)) = self.open(sls, saltenv)? else {
            let error = format!(
                "Specified SLS {sls} in saltenv {saltenv} is not available on the salt master or through a \
                 configured fileserver"
            );
            return Ok((Map::new(), vec![error]));
        };
        self.done.insert(format!("{saltenv}:{sls}"));
        self.rendered.push(sls.to_owned());
        let file = SlsFile { saltenv, sls, path: &path, bytes: &bytes };
        let data = match crate::render_sls(self.jinja, &file, super::renderer(self.context)) {
            Ok(data) => data,
            Err(error) => {
                let error = format!("Rendering SLS '{saltenv}:{sls}' failed: {error}");
                return Ok((Map::new(), vec![error]));
            }
        };
        let Value::Map(state) = data else {
            let errors = vec![
                format!("SLS {sls} does not render to a dictionary"),
                format!("Error when rendering state with contents: {data}"),
            ];
            return Ok((Map::new(), errors));
        };
        self.with_includes(state, &file)
    }

    fn with_includes(&mut self, mut state: Map, file: &SlsFile<'_>) -> Result<Rendered, Vec<String>> {
        let mut errors = Vec::new();
        let includes = match state.get("include") {
            Some(Value::List(_)) => state.remove("include"),
            Some(_) => {
                errors.push(format!("Include Declaration in SLS {} is not formed as a list", file.sls));
                None
            }
            None => None,
        };
        let (sls, saltenv) = (file.sls, file.saltenv);
        super::verify::take_extend(&mut state, sls, saltenv, &mut errors);
        super::verify::take_exclude(&mut state, sls, &mut errors);
        super::verify::declarations(&mut state, sls, saltenv, &mut errors);
        self.depth += 1;
        for include in includes.as_ref().and_then(Value::as_list).unwrap_or_default() {
            if self.depth > MAX_DEPTH {
                errors.push(format!("SLS {sls} is included {MAX_DEPTH} levels deep"));
                break;
            }
            self.include(include, &mut state, file, &mut errors)?;
        }
        self.depth -= 1;
        if super::orders_by_itself(self.context) {
            auto_order(&mut state, &mut self.next_order);
        }
        Ok((state, errors))
    }

    fn include(
        &mut self,
        include: &Value,
        state: &mut Map,
        file: &SlsFile<'_>,
        errors: &mut Vec<String>,
    ) -> Result<(), Vec<String>> {
        let (env, name) = match include {
            Value::Map(map) => match map.first() {
                Some((env, name)) => (env.to_string(), name.to_string()),
                None => return Ok(()),
            },
            other => (file.saltenv.to_owned(), other.to_string()),
        };
        if !self.envs.contains(&env) && !self.envs.iter().any(|known| known == DYNAMIC_ENV) {
            errors.push(format!(
                "Nonexistent saltenv '{env}' found in include of '{name}' within SLS '{}:{}'",
                file.saltenv, file.sls
            ));
            return Ok(());
        }
        let name = match absolute(&name, file) {
            Ok(name) => name,
            Err(error) => {
                errors.push(error);
                return Ok(());
            }
        };
        let resolved = self.resolve(&env, &name)?;
        let chosen = match resolved.as_slice() {
            [only] => only.clone(),
            several if several.iter().any(|env| env == file.saltenv) => file.saltenv.to_owned(),
            none_or_several => {
                errors.push(unresolved(&env, &name, none_or_several, self.matches));
                return Ok(());
            }
        };
        let found = self.find(file.saltenv, &name)?;
        let names = if found.is_empty() { vec![name] } else { found };
        for name in names {
            if self.done.contains(&format!("{chosen}:{name}")) {
                continue;
            }
            let (mut included, failed) = self.state(&name, &chosen)?;
            if self.context.series >= Series::V3007 {
                mark_included(&mut included, file.sls);
            }
            merge(state, included, errors);
            errors.extend(failed);
        }
        Ok(())
    }

    /// The saltenvs in which an include can be found.
    fn resolve(&mut self, env: &str, name: &str) -> Result<Vec<String>, Vec<String>> {
        if env != ANY_ENV {
            let matched = self.matches.iter().any(|(known, _)| known == env);
            let found = matched || !self.find(env, name)?.is_empty();
            return Ok(if found { vec![env.to_owned()] } else { Vec::new() });
        }
        let mut resolved = Vec::new();
        for (known, _) in self.matches {
            if !self.find(known, name)?.is_empty() {
                resolved.push(known.clone());
            }
        }
        Ok(resolved)
    }
}

/// `web/init.sls` is `web`, `web/site.sls` is `web.site`.
fn sls_name(path: &str) -> Option<String> {
    let stem = path.strip_suffix(".sls")?;
    let stem = stem.strip_suffix("/init").unwrap_or(stem);
    Some(stem.replace('/', "."))
}

/// The name of an include that may be relative: `.sibling`, `..cousin`.
fn absolute(name: &str, file: &SlsFile<'_>) -> Result<String, String> {
    let rest = name.trim_start_matches('.');
    let levels = name.len() - rest.len();
    if levels == 0 {
        return Ok(name.to_owned());
    }
    let mut parts: Vec<&str> = file.sls.split('.').collect();
    if file.path.ends_with("/init.sls") {
        parts.push("init");
    }
    if levels > parts.len() {
        return Err(format!(
            "Attempted relative include of '{name}' within SLS '{}:{}' goes beyond top level package ",
            file.saltenv, file.sls
        ));
    }
    parts.truncate(parts.len() - levels);
    parts.push(rest);
    Ok(parts.join("."))
}

fn unresolved(env: &str, name: &str, resolved: &[String], matches: &[(String, Vec<String>)]) -> String {
    if resolved.is_empty() {
        let known: Vec<&str> = matches.iter().map(|(env, _)| env.as_str()).collect();
        let envs = if env == ANY_ENV { known.join(", ") } else { env.to_owned() };
        return format!(
            "Unknown include: Specified SLS {env}: {name} is not available on the salt master in saltenv(s): {envs} "
        );
    }
    format!(
        "Ambiguous include: Specified SLS {env}: {name} is available on the salt master in multiple available \
         saltenvs: {}",
        resolved.join(", ")
    )
}

fn mark_included(state: &mut Map, by: &str) {
    for (id, body) in state.iter_mut() {
        if id.as_str().is_some_and(|id| id.starts_with("__")) {
            continue;
        }
        if let Value::Map(body) = body
            && let Value::List(list) = body.entry_or_insert("__sls_included_from__", Value::List(Vec::new()))
        {
            list.push(Value::from(by));
        }
    }
}

/// Adds the states of one SLS; an ID that is there with another body is a conflict.
fn merge(high: &mut Map, state: Map, errors: &mut Vec<String>) {
    for (id, body) in state {
        if matches!(id.as_str(), Some("__extend__" | "__exclude__")) {
            if let (Value::List(known), Value::List(new)) =
                (high.entry_or_insert(id, Value::List(Vec::new())), body)
            {
                known.extend(new);
            }
            continue;
        }
        if let Some(known) = high.get_value(&id)
            && *known != body
        {
            let field = |body: &Value, name: &str| body.get(name).map(Value::to_string).unwrap_or_default();
            errors.push(format!(
                "Detected conflicting IDs, SLS IDs need to be globally unique.\n    The conflicting ID is '{id}' \
                 and is found in SLS '{}:{}' and SLS '{}:{}'",
                field(known, "__env__"),
                field(known, "__sls__"),
                field(&body, "__env__"),
                field(&body, "__sls__")
            ));
        }
        high.insert(id, body);
    }
}

fn not_found(error: String, wanted: &str, saltenv: &str) -> String {
    let missing = error.contains("is not available") && error.contains(&format!("SLS {wanted} in saltenv"));
    if missing { format!("No matching sls found for '{wanted}' in env '{saltenv}'") } else { error }
}

fn drop_repeated_extends(high: &mut Map) {
    let Some(Value::List(list)) = high.get_mut("__extend__") else { return };
    let mut kept: Vec<Value> = Vec::new();
    for extend in std::mem::take(list) {
        let Value::Map(map) = extend else { continue };
        for pair in map {
            let single = Value::Map(Map::from_iter([pair]));
            if !kept.contains(&single) {
                kept.push(single);
            }
        }
    }
    *list = kept;
}

/// Every declaration without an `order` gets the next number.
pub(super) fn auto_order(state: &mut Map, next: &mut i64) {
    for (_, body) in state.iter_mut() {
        let Value::Map(body) = body else { continue };
        for (declaration, args) in body.iter_mut() {
            let Value::List(args) = args else { continue };
            if declaration.as_str().is_none_or(|name| name.starts_with('_')) {
                continue;
            }
            let ordered = args.iter().any(|arg| {
                arg.as_map().and_then(Map::first).is_some_and(|(key, _)| key.as_str() == Some("order"))
            });
            if !ordered {
                args.push(Value::Map(Map::from_iter([("order", *next)])));
                *next += 1;
            }
        }
    }
}

/// A file root of this name serves saltenvs that nobody listed.
const DYNAMIC_ENV: &str = "__env__";

/// Stands for "in whichever saltenv of the matches has it".
const ANY_ENV: &str = "_xenv";

/// Deeper than any tree of includes, shallow enough for the stack.
const MAX_DEPTH: usize = 100;
