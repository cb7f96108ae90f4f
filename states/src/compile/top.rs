//! The top file: which SLS files this minion gets, by saltenv.
//!
//! The base saltenv's top file is authoritative (`top_file_merging_strategy: merge`); `same` and `merge_all` as
//! Salt has them. Salt hides why a top file is broken behind "No Top file or master_tops data matches
//! found"; so does this, because that is what operators search for.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use crate::{Jinja, Map, RenderContext, SlsFile, Sources, Value};

/// SLS names by saltenv, in order.
pub(super) type Matches = Vec<(String, Vec<String>)>;

pub(super) struct Top<'a> {
    sources: &'a Sources,
    context: &'a RenderContext,
    jinja: &'a Jinja,
}

impl<'a> Top<'a> {
    pub(super) fn new(sources: &'a Sources, context: &'a RenderContext, jinja: &'a Jinja) -> Top<'a> {
        Top { sources, context, jinja }
    }

    /// The matches of this minion; the inner error says why there is nothing to do.
    pub(super) fn matches(&self) -> Result<Result<Matches, String>, Vec<String>> {
        let nothing =
            "No Top file or master_tops data matches found. Please see master log for details.".to_owned();
        let tops = match self.tops() {
            Ok(tops) => tops,
            Err(_) => return Ok(Err(nothing)),
        };
        let top = match self.merge(tops) {
            Ok(top) => top,
            Err(reason) => return Ok(Err(format!("Unable to render top file: {reason}"))),
        };
        let errors = verify(&top);
        let matches = self.confirm(&top);
        if matches.is_empty() {
            return Ok(Err(nothing));
        }
        if errors.is_empty() { Ok(Ok(matches)) } else { Err(errors) }
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.context.opts.get(name).and_then(Value::as_str)
    }

    fn top_path(&self) -> &str {
        let path = self.option("state_top").unwrap_or("top.sls");
        path.strip_prefix("salt://").unwrap_or(path).trim_start_matches('/')
    }

    fn saltenvs(&self) -> Result<Vec<String>, String> {
        if let Some(saltenv) = &self.context.saltenv {
            return Ok(vec![saltenv.clone()]);
        }
        if let Some(saltenv) = self.option("state_top_saltenv") {
            return Ok(vec![saltenv.to_owned()]);
        }
        let known = self.sources.files.envs().map_err(|error| error.to_string())?;
        let order = self.context.opts.get("env_order").and_then(Value::as_list).unwrap_or_default();
        if !order.is_empty() {
            let order = order.iter().filter_map(Value::as_str).filter(|env| known.iter().any(|k| k == env));
            return Ok(order.map(str::to_owned).collect());
        }
        let mut envs = vec!["base".to_owned()];
        envs.extend(known.into_iter().filter(|env| env != "base"));
        Ok(envs)
    }

    /// The top files by saltenv, with what they include.
    fn tops(&self) -> Result<Vec<(String, Vec<Map>)>, String> {
        let mut tops = Vec::new();
        for saltenv in self.saltenvs()? {
            let mut maps = Vec::new();
            let mut pending = vec![self.top_path().to_owned()];
            let mut done: Vec<String> = Vec::new();
            while let Some(path) = pending.pop() {
                if done.contains(&path) {
                    continue;
                }
                done.push(path.clone());
                let Some(mut map) = self.render(&saltenv, &path)? else { continue };
                if let Some(Value::List(includes)) = map.remove("include") {
                    let names = includes.iter().filter_map(Value::as_str);
                    pending.extend(names.map(|name| format!("{}.sls", name.replace('.', "/"))));
                }
                maps.push(map);
            }
            tops.push((saltenv, maps));
        }
        Ok(tops)
    }

    fn render(&self, saltenv: &str, path: &str) -> Result<Option<Map>, String> {
        let read = self.sources.files.read(saltenv, path).map_err(|error| error.to_string())?;
        let Some(bytes) = read else { return Ok(None) };
        let file = SlsFile { saltenv, sls: "", path, bytes: &bytes };
        let data = crate::render_sls(self.jinja, &file, super::renderer(self.context))
            .map_err(|error| error.to_string())?;
        match data {
            Value::Map(map) => Ok(Some(map)),
            _ => Err("Top data was not formed as a dict".to_owned()),
        }
    }

    fn merge(&self, tops: Vec<(String, Vec<Map>)>) -> Result<Map, String> {
        match self.option("top_file_merging_strategy").unwrap_or("merge") {
            "same" => self.merge_same(&tops),
            "merge_all" => merge_all(&tops),
            _ => merge_base_first(&tops),
        }
    }

    fn merge_same(&self, tops: &[(String, Vec<Map>)]) -> Result<Map, String> {
        let default = self.option("default_top").unwrap_or("base");
        let fallback = tops.iter().find(|(env, _)| env == default);
        let mut top = Map::new();
        for (env, maps) in tops {
            let own = maps.iter().any(|map| !map.is_empty());
            let maps = if own { maps } else { fallback.map_or(maps, |(_, maps)| maps) };
            for map in maps {
                if let Some(targets) = map.get(env) {
                    put(&mut top, env, targets)?;
                }
            }
        }
        Ok(top)
    }

    /// The targets that name this minion.
    fn confirm(&self, top: &Map) -> Matches {
        let mut matches = Matches::new();
        for (env, targets) in top {
            let (Some(env), Value::Map(targets)) = (env.as_str(), targets) else { continue };
            if self.context.saltenv.as_deref().is_some_and(|wanted| wanted != env) {
                continue;
            }
            for (target, data) in targets {
                self.filter(&mut matches, env, target, data);
            }
        }
        matches
    }

    fn filter(&self, matches: &mut Matches, env: &str, target: &Value, data: &Value) {
        let single = [data.clone()];
        let items = data.as_list().unwrap_or(&single);
        if !(self.sources.matcher)(target, kind_of(items)) {
            return;
        }
        let list = match matches.iter().position(|(known, _)| known == env) {
            Some(at) => at,
            None => {
                matches.push((env.to_owned(), Vec::new()));
                matches.len() - 1
            }
        };
        for item in items {
            match item {
                Value::Str(sls) => matches[list].1.push(sls.clone()),
                Value::Map(map) => {
                    if let Some(Value::Map(filters)) = map.get("subfilter") {
                        for (target, data) in filters {
                            self.filter(matches, env, target, data);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// The kind of target, `- match: grain` among the items; compound when it is not said.
fn kind_of(items: &[Value]) -> &str {
    items.iter().find_map(|item| item.get("match").and_then(Value::as_str)).unwrap_or("compound")
}

fn put(top: &mut Map, env: &str, targets: &Value) -> Result<(), String> {
    let Value::Map(targets) = targets else {
        return Err("Unable to render top file. No targets found.".to_owned());
    };
    if let Value::Map(section) = top.entry_or_insert(env, Map::new()) {
        for (target, data) in targets {
            section.insert(target.clone(), data.clone());
        }
    }
    Ok(())
}

/// Base first; other saltenvs only speak for themselves, and only when base is silent about them.
fn merge_base_first(tops: &[(String, Vec<Map>)]) -> Result<Map, String> {
    let mut top = Map::new();
    for (_, maps) in tops.iter().filter(|(env, _)| env == "base") {
        for (env, targets) in maps.iter().flatten() {
            put(&mut top, &env.to_string(), targets)?;
        }
    }
    for (own, maps) in tops.iter().filter(|(env, _)| env != "base") {
        for map in maps {
            if top.contains_key(own) {
                continue;
            }
            if let Some(targets) = map.get(own) {
                put(&mut top, own, targets)?;
            }
        }
    }
    Ok(top)
}

fn merge_all(tops: &[(String, Vec<Map>)]) -> Result<Map, String> {
    let mut top = Map::new();
    for (env, targets) in tops.iter().flat_map(|(_, maps)| maps).flatten() {
        let Value::Map(targets) = targets else {
            return Err("Unable to render top file. No targets found.".to_owned());
        };
        let Value::Map(section) = top.entry_or_insert(env.clone(), Map::new()) else { continue };
        for (target, data) in targets {
            let known = section.entry_or_insert(target.clone(), Value::List(Vec::new()));
            if let (Value::List(known), Value::List(new)) = (known, data) {
                for item in new {
                    if !known.contains(item) {
                        known.push(item.clone());
                    }
                }
            }
        }
    }
    Ok(top)
}

fn verify(top: &Map) -> Vec<String> {
    let mut errors = Vec::new();
    for (env, matches) in top {
        if env.as_str() == Some("") {
            errors.push("Empty saltenv statement in top file".to_owned());
        }
        let Value::Map(matches) = matches else { continue };
        for (target, mods) in matches {
            let Value::List(mods) = mods else {
                errors.push(format!(
                    "Malformed topfile: state declarations for matcher {} in saltenv {} are not formed as a list \
                     (got {})",
                    target.repr(),
                    env.repr(),
                    mods.type_name()
                ));
                continue;
            };
            for item in mods {
                errors.extend(verify_item(env, item));
            }
        }
    }
    errors
}

fn verify_item(env: &Value, item: &Value) -> Vec<String> {
    match item {
        Value::Map(map) => map
            .values()
            .filter(|value| !value.is_truthy())
            .map(|value| format!("Improperly formatted top file matcher in saltenv {item}: {value} file"))
            .collect(),
        Value::Str(sls) if sls.is_empty() => {
            vec![format!("Environment {env} contains an empty sls index")]
        }
        _ => Vec::new(),
    }
}
