//! Salt's `cp` module: files of the master's file server, and files sent to the master.
//!
//! Writing is held to the local policy: a destination outside the agent's own folders is refused unless
//! `agent: writable_paths` allows it.

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::{
    files::{FileClientError, SaltPath, SourceHash, hash_file, is_web, push},
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
    policy,
};

mod trees;

/// The module.
pub struct Cp;

impl Module for Cp {
    fn name(&self) -> &'static str {
        "cp"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        Box::pin(async move {
            match fun {
                "get_file" => get_file(&args, call).await,
                "get_url" => get_url(&args, call).await,
                "get_file_str" => get_file_str(&args, call).await,
                "cache_file" => cache_file(&args.text("path")?, &args, call).await,
                "cache_files" => cache_files(&args, call).await,
                "is_cached" => is_cached(&args, call),
                "hash_file" => hash(&args, call).await,
                "list_master" => list(&args, call).await,
                "list_master_symlinks" => list_symlinks(&args, call).await,
                "list_states" => list_states(&args, call).await,
                "envs" => Ok(texts(call.services.files.envs().await.map_err(failed)?)),
                "push" => push_file(&args, call).await,
                _ => trees::call(fun, &args, call).await,
            }
        })
    }
}

fn failed(error: FileClientError) -> ModuleError {
    ModuleError::Execution(error.to_string())
}

fn texts(items: Vec<String>) -> Value {
    items.into_iter().map(Value::from).collect::<Vec<_>>().into()
}

fn saltenv(args: &Arguments, call: &CallContext) -> String {
    let given = args.keyword("saltenv").filter(|value| value.is_truthy()).map(ToString::to_string);
    given.or_else(|| call.services.config.str_opt("saltenv")).unwrap_or_else(|| "base".to_owned())
}

/// The cached copy of a `salt://` path.
async fn cached(url: &str, args: &Arguments, call: &CallContext) -> Result<Option<PathBuf>, ModuleError> {
    let (path, env) = SaltPath::parse(url).map_err(failed)?;
    let env = env.unwrap_or_else(|| saltenv(args, call));
    call.services.files.cache_file(&env, &path).await.map_err(failed)
}

async fn get_file(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let (url, dest) = (args.text("path")?, args.text("dest")?);
    let Some(file) = cached(&url, args, call).await? else { return Ok("".into()) };
    let name = url.split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    placed(&file, &dest, name, args, call)
}

/// A file of this server, of another, or of this machine; without `dest` it stays in the cache, with `dest=None` its text
/// is the answer.
async fn get_url(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let url = args.text("path")?;
    let cached = cache_file(&url, args, call).await?;
    let Some(file) = cached.as_str().map(PathBuf::from) else { return Ok(false.into()) };
    if args.get("dest").is_nil() {
        let content = tokio::fs::read(&file).await;
        let content =
            content.map_err(|error| ModuleError::Execution(format!("{}: {error}", file.display())))?;
        return Ok(String::from_utf8_lossy(&content).into_owned().into());
    }
    let dest = args.get("dest").to_string();
    if dest.is_empty() {
        return Ok(cached);
    }
    let name = url.split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
    placed(&file, &dest, &name, args, call)
}

/// Copies a cached file to its destination, which may be a folder.
fn placed(
    file: &Path,
    dest: &str,
    name: &str,
    args: &Arguments,
    call: &CallContext,
) -> Result<Value, ModuleError> {
    let mut place = PathBuf::from(dest);
    if place.is_dir() || dest.ends_with('/') {
        place.push(name);
    }
    let refuse = |error: std::io::Error| {
        ModuleError::Execution(format!("{} cannot be written: {error}", place.display()))
    };
    policy::may_write(&call.services.config, &place)
        .map_err(|error| ModuleError::Execution(error.to_string()))?;
    let folder = place.parent().unwrap_or(Path::new("/"));
    if !folder.is_dir() {
        if !args.truth("makedirs") {
            return Ok("".into());
        }
        std::fs::create_dir_all(folder).map_err(refuse)?;
    }
    let content = std::fs::read(file).map_err(refuse)?;
    crate::files::replace(&place, &content).map_err(refuse)?;
    Ok(place.to_string_lossy().into_owned().into())
}

async fn get_file_str(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let Some(file) = cached(&args.text("path")?, args, call).await? else { return Ok(false.into()) };
    let content = tokio::fs::read(&file).await;
    let content = content.map_err(|error| ModuleError::Execution(format!("{}: {error}", file.display())))?;
    match String::from_utf8(content) {
        Ok(text) => Ok(text.into()),
        Err(error) => Ok(Value::Bytes(error.into_bytes())),
    }
}

async fn cache_file(url: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    if let Some(local) = url.strip_prefix("file://").or_else(|| url.starts_with('/').then_some(url)) {
        let there = Path::new(local).is_file();
        return Ok(if there { local.into() } else { false.into() });
    }
    if is_web(url) {
        let wanted = args.keyword("source_hash").filter(|hash| hash.is_truthy());
        let wanted = wanted.map(|hash| SourceHash::parse(&hash.to_string())).transpose();
        let wanted = wanted.map_err(ModuleError::Execution)?;
        let env = saltenv(args, call);
        let file = call.services.files.cache_web(&env, url, wanted.as_ref()).await;
        let file = file.map_err(|error| ModuleError::Execution(error.to_string()))?;
        return Ok(file.to_string_lossy().into_owned().into());
    }
    Ok(match cached(url, args, call).await? {
        Some(file) => file.to_string_lossy().into_owned().into(),
        None => false.into(),
    })
}

async fn cache_files(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let mut held = Vec::new();
    for path in args.get("paths").as_list().unwrap_or_default() {
        held.push(cache_file(&path.to_string(), args, call).await?);
    }
    Ok(held.into())
}

fn is_cached(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let url = args.text("path")?;
    if is_web(&url) {
        let place = call.services.files.web_place(&saltenv(args, call), &url);
        return Ok(if place.is_file() { place.to_string_lossy().into_owned().into() } else { "".into() });
    }
    let (path, env) = SaltPath::parse(&url).map_err(failed)?;
    let env = env.unwrap_or_else(|| saltenv(args, call));
    let place = call.services.config.cachedir.join("files").join(env).join(path.as_str());
    Ok(if place.is_file() { place.to_string_lossy().into_owned().into() } else { "".into() })
}

async fn hash(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let url = args.text("path")?;
    let found = if url.starts_with('/') {
        let hash = hash_file(Path::new(&url), "sha256").map_err(failed)?;
        hash.map(|hash| (hash, "sha256".to_owned()))
    } else {
        let (path, env) = SaltPath::parse(&url).map_err(failed)?;
        let env = env.unwrap_or_else(|| saltenv(args, call));
        call.services.files.hash(&env, &path).await.map_err(failed)?
    };
    let shape =
        |(hash, kind): (String, String)| [("hash_type", kind), ("hsum", hash)].into_iter().collect::<Map>();
    Ok(found.map(shape).unwrap_or_default().into())
}

async fn list(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let files =
        call.services.files.list(&saltenv(args, call), &args.text("prefix")?).await.map_err(failed)?;
    Ok(texts(files))
}

async fn list_symlinks(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let links = call.services.files.symlinks(&saltenv(args, call), &args.text("prefix")?).await;
    let links: Map = links.map_err(failed)?.into_iter().collect();
    Ok(links.into())
}

async fn list_states(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let files = call.services.files.list(&saltenv(args, call), "").await.map_err(failed)?;
    let sls = files.iter().filter_map(|file| file.strip_suffix(".sls"));
    let mut names: Vec<String> =
        sls.map(|name| name.strip_suffix("/init").unwrap_or(name).replace('/', ".")).collect();
    names.sort();
    Ok(texts(names))
}

async fn push_file(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let path = PathBuf::from(args.text("path")?);
    if !path.is_absolute() || path.components().any(|part| part.as_os_str() == "..") {
        tracing::warn!(path = %path.display(), "only an absolute path without '..' can be pushed");
        return Ok(false.into());
    }
    policy::may_read(&call.services.config, &path)
        .map_err(|error| ModuleError::Execution(error.to_string()))?;
    let upload = args.optional_text("upload_path")?.unwrap_or_else(|| path.to_string_lossy().into_owned());
    let sent = push(&*call.services.link, &path, &upload).await.map_err(failed)?;
    if sent && args.truth("remove_source") {
        let removed = std::fs::remove_file(&path);
        removed.map_err(|error| ModuleError::Execution(format!("{}: {error}", path.display())))?;
    }
    Ok(sent.into())
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "cache_dest",
        signature: "url, saltenv=None",
        doc: "Returns where a file of the file server lies once it is in the cache.",
    },
    FunctionSpec {
        name: "cache_dir",
        signature: "path, saltenv=None, include_empty=False, include_pat=None, exclude_pat=None",
        doc: "Fetches the files of a folder of the file server into the cache.",
    },
    FunctionSpec {
        name: "cache_master",
        signature: "saltenv=None",
        doc: "Fetches every file of the file server into the cache.",
    },
    FunctionSpec {
        name: "get_dir",
        signature: "path, dest, saltenv=None, template=None, gzip=None, **kwargs",
        doc: "Fetches a folder of the file server to a place on this machine.",
    },
    FunctionSpec {
        name: "list_master_dirs",
        signature: "saltenv=None, prefix=''",
        doc: "Lists the folders of the file server that hold files.",
    },
    FunctionSpec { name: "list_minion", signature: "saltenv=None", doc: "Lists the files in the cache." },
    FunctionSpec {
        name: "push_dir",
        signature: "path, glob=None, upload_path=None",
        doc: "Sends the files of a folder to the master's cache.",
    },
    FunctionSpec {
        name: "cache_file",
        signature: "path, saltenv=None, source_hash=None, verify_ssl=True, use_etag=False",
        doc: "Fetches a file of the file server into the cache and returns its place there.",
    },
    FunctionSpec {
        name: "cache_files",
        signature: "paths, saltenv=None",
        doc: "Fetches several files into the cache.",
    },
    FunctionSpec { name: "envs", signature: "", doc: "Lists the environments of the file server." },
    FunctionSpec {
        name: "get_file",
        signature: "path, dest, saltenv=None, makedirs=False, template=None, gzip=None, **kwargs",
        doc: "Fetches a file of the file server to a place on this machine; empty when it does not exist.",
    },
    FunctionSpec {
        name: "get_file_str",
        signature: "path, saltenv=None",
        doc: "Returns the content of a file of the file server; False when it does not exist.",
    },
    FunctionSpec {
        name: "get_url",
        signature: "path, dest='', saltenv=None, makedirs=False, source_hash=None",
        doc: "Fetches a file of the file server or of a web server to a place on this machine, or into the cache.",
    },
    FunctionSpec {
        name: "hash_file",
        signature: "path, saltenv=None",
        doc: "Returns the hash of a file of the file server or of this machine.",
    },
    FunctionSpec {
        name: "is_cached",
        signature: "path, saltenv=None",
        doc: "Returns the place of a file in the cache, or an empty text.",
    },
    FunctionSpec {
        name: "list_master",
        signature: "saltenv=None, prefix=''",
        doc: "Lists the files of the file server.",
    },
    FunctionSpec {
        name: "list_master_symlinks",
        signature: "saltenv=None, prefix=''",
        doc: "Lists the symbolic links of the file server with what they lead to.",
    },
    FunctionSpec {
        name: "list_states",
        signature: "saltenv=None",
        doc: "Lists the state files of the file server by name.",
    },
    FunctionSpec {
        name: "push",
        signature: "path, keep_symlinks=False, upload_path=None, remove_source=False",
        doc: "Sends a file to the master's cache; the master must allow it with file_recv.",
    },
];
