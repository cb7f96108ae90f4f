//! The content that `file.managed` wants: from the file server, the state itself, the pillar or the grains, rendered
//! when a template engine is named.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::{path::Path, sync::Arc};

use states::{Jinja, Map, RenderContext, Sources, StateFunctions, TemplateSpec, Value};

use super::{
    options::{Options, Source},
    text,
};
use crate::{
    files::SaltPath,
    modules::lookup::traverse,
    policy,
    state_modules::{StateArgs, StateContext},
    state_run::{FileBridge, FunctionBridge, matcher},
};

/// The wanted content; `None` when the file is only made sure to exist.
pub(super) async fn wanted(
    options: &Options,
    args: &StateArgs,
    run: &StateContext,
) -> Result<Option<Vec<u8>>, String> {
    let raw = match &options.source {
        Source::None => return Ok(None),
        Source::Files(_) if !options.replace && Path::new(&args.name).exists() => return Ok(None),
        Source::Files(sources) => fetched(sources, args, run).await?,
        Source::Contents(value) => given(options, value, "'contents'")?,
        Source::Pillar(keys) => {
            let label = format!("contents_pillar {}", keys.join(", "));
            given(options, &looked_up(keys, &run.pillar, &options.delimiter, "Pillar")?, &label)?
        }
        Source::Grains(keys) => {
            let label = format!("contents_grains {}", keys.join(", "));
            given(options, &looked_up(keys, &run.grains, &options.delimiter, "Grain")?, &label)?
        }
    };
    match options.template.as_deref() {
        None => Ok(Some(raw)),
        Some("jinja") => rendered(raw, options, args, run).await.map(Some),
        Some(other) => {
            Err(format!("Unable to manage file: Specified template format {other} is not supported"))
        }
    }
}

fn looked_up(keys: &[String], data: &Value, delimiter: &str, kind: &str) -> Result<Value, String> {
    let find = |key: &String| {
        traverse(data, key, delimiter).cloned().ok_or_else(|| format!("{kind} {key} does not exist"))
    };
    match keys {
        [one] => find(one),
        several => {
            let parts: Vec<Value> = several.iter().map(find).collect::<Result<_, _>>()?;
            Ok(parts.iter().map(text).collect::<Vec<_>>().join("\n").into())
        }
    }
}

/// A text or a list of texts as lines, each ended; the last line break is dropped when not wanted.
fn given(options: &Options, value: &Value, label: &str) -> Result<Vec<u8>, String> {
    if !options.allow_empty && !value.is_truthy() {
        return Err(format!(
            "{label} value would result in empty contents. Set allow_empty to True to allow the managed file to be empty."
        ));
    }
    let parts = match value {
        Value::Bytes(bytes) => return Ok(bytes.clone()),
        Value::List(items) => items.iter().map(text).collect(),
        other => vec![text(other)],
    };
    let mut content = String::new();
    for line in parts.iter().flat_map(|part| part.lines()) {
        content.push_str(line.trim_end_matches('\r'));
        content.push('\n');
    }
    if !options.newline {
        content.truncate(content.trim_end_matches(['\n', '\r']).len());
    }
    Ok(content.into_bytes())
}

/// The first source that exists.
async fn fetched(sources: &[String], args: &StateArgs, run: &StateContext) -> Result<Vec<u8>, String> {
    let failed = |error: &dyn ToString| format!("Unable to manage file: {}", error.to_string());
    for source in sources {
        let local =
            source.strip_prefix("file://").or_else(|| source.starts_with('/').then_some(source.as_str()));
        if let Some(local) = local {
            policy::may_read(&run.services.config, Path::new(local)).map_err(|error| failed(&error))?;
            match tokio::fs::read(local).await {
                Ok(content) => return Ok(content),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(&error)),
            }
        }
        if source.contains("://") && !source.starts_with("salt://") {
            return Err(failed(&format!(
                "the source {source} cannot be fetched: only salt:// and local files can"
            )));
        }
        let (path, env) = SaltPath::parse(source).map_err(|error| failed(&error))?;
        let env = env.unwrap_or_else(|| args.saltenv.clone());
        if let Some(content) = run.services.files.read(&env, &path).await.map_err(|error| failed(&error))? {
            return Ok(content);
        }
    }
    match sources {
        [one] => Err(failed(&format!("Source file {one} not found in saltenv '{}'", args.saltenv))),
        _ => Err(failed(&"none of the specified sources were found")),
    }
}

/// A file has no states, so nothing is asked.
struct NoStates;

impl StateFunctions for NoStates {
    fn exists(&self, _full_name: &str) -> bool {
        false
    }
}

async fn rendered(
    raw: Vec<u8>,
    options: &Options,
    args: &StateArgs,
    run: &StateContext,
) -> Result<Vec<u8>, String> {
    let template = String::from_utf8(raw).map_err(|_| {
        "Contents appears to be binary data, and as such will not be able to be treated as a Jinja template."
            .to_owned()
    })?;
    let context = RenderContext {
        grains: (*run.grains).clone(),
        pillar: (*run.pillar).clone(),
        opts: run.services.config.opts.clone().into(),
        saltenv: Some(args.saltenv.clone()),
        series: states::Series::default(),
    };
    let runtime = tokio::runtime::Handle::current();
    let services = Arc::clone(&run.services);
    let sources = Sources {
        files: Arc::new(FileBridge::new(Arc::clone(&services), runtime.clone())),
        functions: Arc::new(FunctionBridge::new(Arc::clone(&services), runtime, &context)),
        states: Arc::new(NoStates),
        matcher: matcher(&services, &context),
    };
    let path = match &options.source {
        Source::Files(sources) => {
            sources.first().map(|source| source.trim_start_matches("salt://").to_owned()).unwrap_or_default()
        }
        Source::None | Source::Contents(_) | Source::Pillar(_) | Source::Grains(_) => args.name.clone(),
    };
    let (saltenv, variables): (String, Map) = (args.saltenv.clone(), options.variables.clone());
    let work = move || {
        let spec = TemplateSpec { path: &path, sls: None, saltenv: &saltenv, variables };
        Jinja::new(&sources, &context).render(&template, &spec).map_err(|error| error.to_string())
    };
    match services.tasks.blocking(work).await {
        Ok(Ok(text)) => Ok(text.into_bytes()),
        Ok(Err(error)) => Err(format!("Unable to manage file: {error}")),
        Err(error) => Err(format!("Unable to manage file: {error}")),
    }
}
