//! The content that `file.managed` wants: from the file server, another server, the state itself, the pillar or the
//! grains, rendered when a template engine is named.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use states::{Jinja, Map, RenderContext, Sources, StateFunctions, TemplateSpec, Value};

use super::{
    disk, expanded,
    options::{Options, Source, variables},
    text,
};
use crate::{
    files::{SaltPath, SourceHash, hash_file, is_web},
    modules::lookup::traverse,
    policy,
    state_modules::{RunMode, StateArgs, StateContext},
    state_run::{FileBridge, FunctionBridge, matcher, series},
};

/// What was found.
pub(super) struct Content {
    /// The bytes; `None` when the file is only made sure to exist.
    pub(super) bytes: Option<Vec<u8>>,
    /// The mode of the source, when it has one.
    pub(super) mode: Option<u32>,
}

/// The wanted content.
pub(super) async fn wanted(
    options: &Options,
    args: &StateArgs,
    run: &StateContext,
) -> Result<Content, String> {
    let plain = |bytes: Vec<u8>| (bytes, None, args.name.clone());
    let (raw, mode, path) = match &options.source {
        Source::None => return Ok(Content { bytes: None, mode: None }),
        Source::Files(_) if !options.replace && Path::new(&args.name).exists() => {
            return Ok(Content { bytes: None, mode: None });
        }
        Source::Files(sources) => fetched(sources, options, args, run).await?,
        Source::Contents(value) => plain(given(options, value, "'contents'")?),
        Source::Pillar(keys) => {
            let label = format!("contents_pillar {}", keys.join(", "));
            plain(given(options, &looked_up(keys, &run.pillar, &options.delimiter, "Pillar")?, &label)?)
        }
        Source::Grains(keys) => {
            let label = format!("contents_grains {}", keys.join(", "));
            plain(given(options, &looked_up(keys, &run.grains, &options.delimiter, "Grain")?, &label)?)
        }
    };
    let bytes = match options.template.as_deref() {
        None => raw,
        Some("jinja") => rendered(raw, &path, &options.variables, args, run)
            .await
            .map_err(|error| format!("Unable to manage file: {error}"))?,
        Some(other) => {
            return Err(format!("Unable to manage file: Specified template format {other} is not supported"));
        }
    };
    Ok(Content { bytes: Some(bytes), mode })
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
        Value::List(items) if items.is_empty() => {
            return Err("Contents specified by contents/contents_pillar/contents_grains is not a string or list of strings, and is not binary data. SLS is likely malformed.".to_owned());
        }
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

/// The first source that exists: its bytes, its mode, and its path for error messages.
async fn fetched(
    sources: &[String],
    options: &Options,
    args: &StateArgs,
    run: &StateContext,
) -> Result<(Vec<u8>, Option<u32>, String), String> {
    let failed = |error: &dyn ToString| format!("Unable to manage file: {}", error.to_string());
    for source in sources {
        let local =
            source.strip_prefix("file://").or_else(|| source.starts_with('/').then_some(source.as_str()));
        if let Some(local) = local {
            policy::may_read(&run.services.config, Path::new(local)).map_err(|error| failed(&error))?;
            match tokio::fs::read(local).await {
                Ok(content) => {
                    check_local(source, Path::new(local), options, args, run).await?;
                    return Ok((content, disk::held_mode(Path::new(local)), local.to_owned()));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && sources.len() == 1 => {
                    return Err(failed(&format!("Local file source {local} does not exist")));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(&error)),
            }
        }
        if is_web(source) {
            match from_web(source, options, args, run).await {
                Ok(content) => return Ok((content, None, source.clone())),
                Err(error) if sources.len() == 1 => return Err(error),
                Err(_) => continue,
            }
        }
        let (path, env) = SaltPath::parse(source).map_err(|error| failed(&error))?;
        let env = env.unwrap_or_else(|| args.saltenv.clone());
        let files = &run.services.files;
        if let Some(content) = files.read(&env, &path).await.map_err(|error| failed(&error))? {
            let mode = if options.keep_mode { files.mode(&env, &path).await.ok().flatten() } else { None };
            return Ok((content, mode, path.as_str().to_owned()));
        }
    }
    match sources {
        [one] => Err(failed(&format!("Source file {one} not found in saltenv '{}'", args.saltenv))),
        _ => Err(failed(&"none of the specified sources were found")),
    }
}

/// Holds a source on this machine to the hash of the state.
async fn check_local(
    source: &str,
    path: &Path,
    options: &Options,
    args: &StateArgs,
    run: &StateContext,
) -> Result<(), String> {
    if options.source_hash.is_none() {
        return Ok(());
    }
    let expected = expected(source, options, args, run).await;
    let Some(wanted) = expected.map_err(|error| format!("Unable to manage file: {error}"))? else {
        return Ok(());
    };
    let held = hash_file(path, wanted.kind()).map_err(|error| error.to_string())?.unwrap_or_default();
    if held == wanted.hash() || run.mode == RunMode::Test {
        return Ok(());
    }
    Err(format!(
        "Specified {} checksum for {} ({}) does not match actual checksum ({held})",
        wanted.kind(),
        args.name,
        wanted.hash()
    ))
}

/// The hash that a web source must have; `None` when nobody asks for one.
pub(super) async fn expected(
    source: &str,
    options: &Options,
    args: &StateArgs,
    run: &StateContext,
) -> Result<Option<SourceHash>, String> {
    let hash = match &options.source_hash {
        _ if options.skip_verify => return Ok(None),
        None => {
            return Err(format!(
                "Unable to verify upstream hash of source file {source}, please set source_hash or set skip_verify to True"
            ));
        }
        Some(Value::Map(parts)) => {
            let part = |key: &str| parts.get(key).map(ToString::to_string).unwrap_or_default();
            format!("{}={}", part("hash_type"), part("hsum"))
        }
        Some(hash) => hash.to_string(),
    };
    let files = &run.services.files;
    let read = async |from: &str| -> Result<String, String> {
        let bytes = match is_web(from) {
            true => {
                tokio::fs::read(files.cache_web(&args.saltenv, from, None).await.map_err(|e| e.to_string())?)
                    .await
                    .ok()
            }
            false if from.starts_with("salt://") => {
                let (path, env) = SaltPath::parse(from).map_err(|error| error.to_string())?;
                let env = env.unwrap_or_else(|| args.saltenv.clone());
                files.read(&env, &path).await.map_err(|error| error.to_string())?
            }
            false => {
                let path = Path::new(from.strip_prefix("file://").unwrap_or(from));
                policy::may_read(&run.services.config, path).map_err(|error| error.to_string())?;
                tokio::fs::read(path).await.ok()
            }
        };
        let bytes = bytes.ok_or_else(|| format!("Source hash file {from} not found"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    if hash.starts_with('/') || hash.contains("://") {
        let list = read(&hash).await?;
        let names = [options.source_hash_name.as_deref(), Some(args.name.as_str()), Some(source)];
        return SourceHash::from_list(&list, &names, &hash).map(Some);
    }
    SourceHash::parse(&hash).map(Some)
}

/// A local file with the first source that exists.
pub(super) async fn cached(
    options: &Options,
    args: &StateArgs,
    run: &StateContext,
) -> Result<PathBuf, String> {
    let Source::Files(sources) = &options.source else { return Err("a source is needed".to_owned()) };
    let files = &run.services.files;
    for source in sources {
        if is_web(source) {
            let hash = expected(source, options, args, run).await?;
            let cached = files.cache_web(&args.saltenv, source, hash.as_ref()).await;
            return cached.map_err(|error| error.to_string());
        }
        if source.starts_with("salt://") {
            let (path, env) = SaltPath::parse(source).map_err(|error| error.to_string())?;
            let env = env.unwrap_or_else(|| args.saltenv.clone());
            if let Some(file) = files.cache_file(&env, &path).await.map_err(|error| error.to_string())? {
                return Ok(file);
            }
            continue;
        }
        let path = expanded(source.strip_prefix("file://").unwrap_or(source));
        policy::may_read(&run.services.config, &path).map_err(|error| error.to_string())?;
        if !path.is_file() {
            return Err(format!("Source file '{}' does not exist", path.display()));
        }
        if options.source_hash.is_some()
            && let Some(wanted) = expected(source, options, args, run).await?
        {
            let held = hash_file(&path, wanted.kind()).map_err(|error| error.to_string())?;
            if held.as_deref() != Some(wanted.hash()) {
                return Err(format!(
                    "{} does not match the desired source_hash {}",
                    path.display(),
                    wanted.hash()
                ));
            }
        }
        return Ok(path);
    }
    Err(format!("Source file {} not found in saltenv '{}'", sources.join(", "), args.saltenv))
}

async fn from_web(
    source: &str,
    options: &Options,
    args: &StateArgs,
    run: &StateContext,
) -> Result<Vec<u8>, String> {
    let failed = |error: &dyn ToString| format!("Unable to manage file: {}", error.to_string());
    let hash = expected(source, options, args, run).await.map_err(|error| failed(&error))?;
    let cached = run.services.files.cache_web(&args.saltenv, source, hash.as_ref()).await;
    let cached = cached.map_err(|error| failed(&error))?;
    tokio::fs::read(&cached).await.map_err(|error| failed(&error))
}

/// The rendered `source` or `sources` of a state that adds text.
pub(super) async fn templated(args: &StateArgs, run: &StateContext) -> Result<Vec<String>, String> {
    let sources: Vec<String> = match (args.given("source"), args.given("sources")) {
        (Some(source), Some(sources)) if source.is_truthy() && sources.is_truthy() => {
            return Err("source and sources are mutually exclusive".to_owned());
        }
        (Some(source), _) => vec![source.to_string()],
        (None, Some(Value::List(sources))) => sources.iter().map(ToString::to_string).collect(),
        (None, _) => return Ok(Vec::new()),
    };
    let variables = variables(args)?;
    let mut texts = Vec::new();
    for source in sources {
        let missing = || format!("Failed to load template file {source}");
        let bytes = match source.strip_prefix("salt://") {
            Some(_) => {
                let (path, env) = SaltPath::parse(&source).map_err(|error| error.to_string())?;
                let env = env.unwrap_or_else(|| args.saltenv.clone());
                let read = run.services.files.read(&env, &path).await;
                read.map_err(|error| error.to_string())?.ok_or_else(missing)?
            }
            None => {
                let path = expanded(&source);
                policy::may_read(&run.services.config, &path).map_err(|error| error.to_string())?;
                tokio::fs::read(&path).await.map_err(|_| missing())?
            }
        };
        let path = source.trim_start_matches("salt://");
        let text = rendered(bytes, path, &variables, args, run).await?;
        texts.push(String::from_utf8_lossy(&text).into_owned());
    }
    Ok(texts)
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
    path: &str,
    variables: &Map,
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
        series: series(&run.services.config),
        seed: rand::random(),
    };
    let runtime = tokio::runtime::Handle::current();
    let services = Arc::clone(&run.services);
    let sources = Sources {
        files: Arc::new(FileBridge::new(Arc::clone(&services), runtime.clone())),
        functions: Arc::new(FunctionBridge::new(Arc::clone(&services), runtime, &context)),
        states: Arc::new(NoStates),
        matcher: matcher(&services, &context),
    };
    // What Salt hands to a template beside its context.
    let mut own: Map = ["source", "user", "group", "mode"]
        .into_iter()
        .map(|key| (key, args.args.get(key).cloned().unwrap_or_default()))
        .collect();
    own.insert("name", args.name.as_str());
    own.extend(variables.clone());
    let (path, saltenv, variables) = (path.to_owned(), args.saltenv.clone(), own);
    let work = move || {
        let spec = TemplateSpec { path: &path, sls: None, saltenv: &saltenv, variables };
        Jinja::new(&sources, &context).render(&template, &spec).map_err(|error| error.to_string())
    };
    match services.tasks.blocking(work).await {
        Ok(Ok(text)) => Ok(text.into_bytes()),
        Ok(Err(error)) => Err(error),
        Err(error) => Err(error.to_string()),
    }
}
