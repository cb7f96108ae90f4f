//! The pillar of `--local`: `top.sls` of `pillar_roots` and the SLS files it names.
//!
//! SLS files are rendered like state files; an `include` is merged before the file that names it, later files win
//! over earlier ones, maps merge into maps. Errors are gathered in `_errors` with Salt's words, as a master does.

use std::{collections::HashSet, sync::Arc};

use states::{
    Compiler, Functions, Jinja, Map, RenderContext, SlsFile, Sources, StateFunctions, Value, render_sls_with,
};

use super::{PillarError, PillarRequest};
use crate::{
    files,
    modules::merge_maps,
    services::Services,
    state_run::{FileBridge, FunctionBridge, matcher, series},
};

/// Compiles the local pillar; the overlay is merged over it.
///
/// # Errors
/// The compilation ended early.
pub(super) async fn compile(
    services: &Arc<Services>,
    grains: &Arc<Value>,
    request: PillarRequest,
) -> Result<Value, PillarError> {
    let context = RenderContext {
        grains: (**grains).clone(),
        pillar: Value::Map(request.overlay.clone()),
        opts: services.config.opts.clone().into(),
        saltenv: request.pillarenv.or(request.saltenv),
        series: series(&services.config),
        seed: rand::random(),
    };
    let runtime = tokio::runtime::Handle::current();
    let functions: Arc<dyn Functions> =
        Arc::new(FunctionBridge::new(Arc::clone(services), runtime.clone(), &context));
    let sources = Sources {
        files: Arc::new(FileBridge::over(
            files::pillar_roots(&services.config, services.tasks.clone()),
            runtime,
        )),
        functions,
        states: Arc::new(NoStates),
        matcher: matcher(services, &context),
    };
    let work = move || {
        Compilation {
            sources: &sources,
            context: &context,
            jinja: Jinja::new(&sources, &context),
            errors: Vec::new(),
        }
        .pillar()
    };
    let pillar =
        services.tasks.blocking(work).await.map_err(|error| PillarError::Local(error.to_string()))?;
    Ok(merge_maps(pillar, request.overlay.into()))
}

/// A pillar has no states.
struct NoStates;

impl StateFunctions for NoStates {
    fn exists(&self, _full_name: &str) -> bool {
        false
    }
}

struct Compilation<'c> {
    sources: &'c Sources,
    context: &'c RenderContext,
    jinja: Jinja,
    errors: Vec<String>,
}

impl Compilation<'_> {
    fn pillar(mut self) -> Map {
        let top = match Compiler::new(self.sources, self.context).top() {
            Ok(top) => top,
            Err(errors) => {
                self.errors.extend(errors);
                Map::new()
            }
        };
        let mut pillar = Map::new();
        for (env, names) in &top {
            let env = env.to_string();
            let mut seen = HashSet::new();
            for name in names.as_list().unwrap_or_default() {
                let added = self.sls(&env, &name.to_string(), Map::new(), &mut seen);
                pillar = over(pillar, added);
            }
        }
        if !self.errors.is_empty() {
            pillar.insert("_errors", self.errors.into_iter().map(Value::from).collect::<Vec<_>>());
        }
        pillar
    }

    /// What one SLS gives with what it includes below it, each once. An include may name variables for its template
    /// (`defaults`) and a key that its data goes under (`key`).
    fn sls(&mut self, env: &str, name: &str, defaults: Map, seen: &mut HashSet<String>) -> Map {
        if !seen.insert(name.to_owned()) {
            return Map::new();
        }
        let Some(mut data) = self.render(env, name, defaults) else { return Map::new() };
        let mut whole = Map::new();
        for included in data.remove("include").as_ref().and_then(Value::as_list).unwrap_or_default() {
            let (named, options) = match included.as_map().and_then(Map::first) {
                Some((named, options)) => (named.to_string(), Some(options)),
                None => (included.to_string(), None),
            };
            let option = |key: &str| options.and_then(|options| options.get(key));
            let defaults = option("defaults").and_then(Value::as_map).cloned().unwrap_or_default();
            let mut added = self.sls(env, &relative(name, &named), defaults, seen);
            if let Some(key) = option("key").filter(|key| key.is_truthy()).map(ToString::to_string) {
                for part in key.split(':').rev() {
                    added = [(part, added)].into_iter().collect();
                }
            }
            whole = over(whole, added);
        }
        over(whole, data)
    }

    fn render(&mut self, env: &str, name: &str, defaults: Map) -> Option<Map> {
        let base = name.replace('.', "/");
        let found = [format!("{base}.sls"), format!("{base}/init.sls")]
            .into_iter()
            .find_map(|path| self.sources.files.read(env, &path).ok().flatten().map(|bytes| (path, bytes)));
        let Some((path, bytes)) = found else {
            self.errors.push(format!(
                "Specified SLS '{name}' in environment '{env}' is not available on the salt master"
            ));
            return None;
        };
        let file = SlsFile { saltenv: env, sls: name, path: &path, bytes: &bytes };
        let renderer = self.context.opts.get("renderer").and_then(Value::as_str).unwrap_or("jinja|yaml");
        match render_sls_with(&self.jinja, &file, renderer, &defaults) {
            Ok(Value::Map(data)) => Some(data),
            Ok(Value::Nil) => None,
            Ok(_) => {
                self.errors.push(format!("SLS '{name}' does not render to a dictionary"));
                None
            }
            Err(error) => {
                self.errors.push(format!("Rendering SLS '{name}' failed, render error:\n{error}"));
                None
            }
        }
    }
}

fn over(under: Map, over: Map) -> Map {
    merge_maps(under, over.into()).as_map().cloned().unwrap_or_default()
}

/// `.name` is a sibling of the including SLS.
fn relative(including: &str, name: &str) -> String {
    match (name.strip_prefix('.'), including.rsplit_once('.')) {
        (Some(sibling), Some((package, _))) => format!("{package}.{sibling}"),
        (Some(sibling), None) => sibling.to_owned(),
        (None, _) => name.to_owned(),
    }
}
