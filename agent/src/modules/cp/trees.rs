//! Whole folders of the file server: fetched, listed, sent.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use proto::target::fnmatch;
use states::{Map, Value};

use super::{failed, push_file, saltenv, texts};
use crate::{
    files::SaltPath,
    modules::{Arguments, CallContext, ModuleError},
    policy,
};

pub(super) async fn call(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    match fun {
        "cache_dest" => {
            let (path, env) = SaltPath::parse(&args.text("url")?).map_err(failed)?;
            let env = env.unwrap_or_else(|| saltenv(args, call));
            let place = call.services.config.cachedir.join("files").join(env).join(path.as_str());
            Ok(place.to_string_lossy().into_owned().into())
        }
        "cache_dir" => cache_dir(&args.text("path")?, args, call).await,
        "cache_master" => cache_dir("", args, call).await,
        "get_dir" => get_dir(args, call).await,
        "list_master_dirs" => list_dirs(args, call).await,
        "list_minion" => {
            let root = call.services.config.cachedir.join("files").join(saltenv(args, call));
            let mut found = Vec::new();
            walk(&root, &mut found);
            let relative = found.iter().filter_map(|file| file.strip_prefix(&root).ok());
            Ok(texts(relative.map(|file| file.to_string_lossy().into_owned()).collect()))
        }
        "push_dir" => push_dir(args, call).await,
        _ => Err(ModuleError::NotAvailable { fun: format!("cp.{fun}") }),
    }
}

/// The paths of a folder of the file server.
async fn within(path: &str, env: &str, call: &CallContext) -> Result<Vec<String>, ModuleError> {
    let folder = path.trim_start_matches("salt://").trim_matches('/');
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let files = call.services.files.list(env, &prefix).await.map_err(failed)?;
    Ok(files.into_iter().filter(|file| file.starts_with(&prefix)).collect())
}

async fn cache_dir(path: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let env = saltenv(args, call);
    let pattern = |name: &str| args.keyword(name).filter(|glob| glob.is_truthy()).map(ToString::to_string);
    let (include, exclude) = (pattern("include_pat"), pattern("exclude_pat"));
    let mut held = Vec::new();
    for file in within(path, &env, call).await? {
        let wanted = include.as_ref().is_none_or(|glob| fnmatch(&file, glob))
            && !exclude.as_ref().is_some_and(|glob| fnmatch(&file, glob));
        if !wanted {
            continue;
        }
        let (path, _) = SaltPath::parse(&file).map_err(failed)?;
        if let Some(place) = call.services.files.cache_file(&env, &path).await.map_err(failed)? {
            held.push(place.to_string_lossy().into_owned());
        }
    }
    Ok(texts(held))
}

/// The folder itself arrives below the destination when that is named with a last separator, as in Salt.
async fn get_dir(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let (path, dest, env) = (args.text("path")?, args.text("dest")?, saltenv(args, call));
    let folder = path.trim_start_matches("salt://").trim_end_matches('/').to_owned();
    let above = folder.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
    let mut placed = Vec::new();
    for file in within(&folder, &env, call).await? {
        let relative = file.strip_prefix(&above).unwrap_or(&file).trim_start_matches('/');
        let target = Path::new(&dest).join(relative);
        policy::may_write(&call.services.config, &target)
            .map_err(|error| ModuleError::Execution(error.to_string()))?;
        let (path, _) = SaltPath::parse(&file).map_err(failed)?;
        let Some(content) = call.services.files.read(&env, &path).await.map_err(failed)? else { continue };
        crate::files::replace(&target, &content)
            .map_err(|error| ModuleError::Execution(format!("{}: {error}", target.display())))?;
        placed.push(target.to_string_lossy().into_owned());
    }
    Ok(texts(placed))
}

async fn list_dirs(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let prefix = args.text("prefix")?;
    let files = call.services.files.list(&saltenv(args, call), "").await.map_err(failed)?;
    let mut folders = BTreeSet::from([".".to_owned()]);
    for file in files {
        let mut at = file.as_str();
        while let Some((folder, _)) = at.rsplit_once('/') {
            folders.insert(folder.to_owned());
            at = folder;
        }
    }
    Ok(texts(folders.into_iter().filter(|folder| folder.starts_with(&prefix)).collect()))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

async fn push_dir(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let folder = PathBuf::from(args.text("path")?);
    if !folder.is_absolute() || folder.components().any(|part| part.as_os_str() == "..") {
        return Ok(false.into());
    }
    let (glob, upload) = (args.optional_text("glob")?, args.optional_text("upload_path")?);
    let mut files = Vec::new();
    if folder.is_file() {
        files.push(folder.clone())
    } else {
        walk(&folder, &mut files)
    }
    files.retain(|file| {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        glob.as_ref().is_none_or(|glob| fnmatch(&name, glob))
    });
    for file in &files {
        let mut named: Map = [("path", file.to_string_lossy().into_owned())].into_iter().collect();
        if let Some(upload) = &upload {
            let below = file.strip_prefix(&folder).unwrap_or(file);
            named.insert(
                "upload_path",
                Path::new("/").join(upload.trim_matches('/')).join(below).to_string_lossy().into_owned(),
            );
        }
        let one = Arguments { named, ..Arguments::default() };
        if push_file(&one, call).await? != Value::Bool(true) {
            return Ok(false.into());
        }
    }
    Ok((!files.is_empty()).into())
}
