//! A file server over local folders: `file_roots` and `pillar_roots` of `--local`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{FileClientError, SaltPath};
use crate::config::Config;

/// The roots of every saltenv, from one option of the configuration.
#[derive(Clone)]
pub(super) struct Roots {
    config: Arc<Config>,
    option: &'static str,
}

impl Roots {
    pub(super) fn new(config: Arc<Config>, option: &'static str) -> Self {
        Self { config, option }
    }

    /// The first root's file of that path.
    pub(super) fn find(&self, saltenv: &str, path: &SaltPath) -> Option<PathBuf> {
        let mut roots = self.config.roots(self.option, saltenv).into_iter();
        roots.find_map(|root| Some(root.join(path.as_str())).filter(|file| file.is_file()))
    }

    pub(super) fn list(&self, saltenv: &str, prefix: &str) -> Result<Vec<String>, FileClientError> {
        let mut found = BTreeSet::new();
        for root in self.config.roots(self.option, saltenv) {
            walk(&root, &root, &mut found)?;
        }
        Ok(found.into_iter().filter(|path| path.starts_with(prefix)).collect())
    }

    pub(super) fn dirs(&self, saltenv: &str) -> Result<Vec<String>, FileClientError> {
        let mut found = BTreeSet::new();
        for root in self.config.roots(self.option, saltenv) {
            walk_dirs(&root, &root, &mut found)?;
        }
        Ok(found.into_iter().collect())
    }

    /// Links below a prefix, with what they lead to.
    pub(super) fn symlinks(
        &self,
        saltenv: &str,
        prefix: &str,
    ) -> Result<Vec<(String, String)>, FileClientError> {
        let dirs = self.dirs(saltenv)?;
        let paths = self.list(saltenv, prefix)?.into_iter().chain(dirs);
        let roots = self.config.roots(self.option, saltenv);
        let target = |path: &String| {
            let held = roots.iter().find_map(|root| std::fs::read_link(root.join(path)).ok())?;
            Some((path.clone(), held.to_string_lossy().replace('\\', "/")))
        };
        let mut links: Vec<(String, String)> =
            paths.filter(|path| path.starts_with(prefix)).filter_map(|path| target(&path)).collect();
        links.sort();
        links.dedup();
        Ok(links)
    }

    pub(super) fn envs(&self) -> Vec<String> {
        self.config.root_envs(self.option)
    }
}

fn walk(root: &Path, dir: &Path, found: &mut BTreeSet<String>) -> Result<(), FileClientError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(FileClientError::Io { path: dir.to_owned(), source }),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(root, &path, found)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            let parts = relative.components().map(|part| part.as_os_str().to_string_lossy());
            found.insert(parts.collect::<Vec<_>>().join("/"));
        }
    }
    Ok(())
}

fn walk_dirs(root: &Path, dir: &Path, found: &mut BTreeSet<String>) -> Result<(), FileClientError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(FileClientError::Io { path: dir.to_owned(), source }),
    };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        if let Ok(relative) = path.strip_prefix(root) {
            let parts = relative.components().map(|part| part.as_os_str().to_string_lossy());
            found.insert(parts.collect::<Vec<_>>().join("/"));
        }
        walk_dirs(root, &path, found)?;
    }
    Ok(())
}

#[cfg(unix)]
pub(super) fn mode(file: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).ok().map(|found| found.permissions().mode() & 0o7777)
}

#[cfg(not(unix))]
pub(super) fn mode(_file: &Path) -> Option<u32> {
    None
}
