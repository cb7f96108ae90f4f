//! Where things lie below the install folder, and what may be deleted there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use semver::Version;

use crate::platform::paths;

use super::pointer::Pointer;

/// The install folder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Names the folder; nothing is read or made.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The install folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of all versions.
    #[must_use]
    pub fn versions(&self) -> PathBuf {
        self.root.join("versions")
    }

    /// The folder of one version.
    #[must_use]
    pub fn version(&self, version: &Version) -> PathBuf {
        self.versions().join(version.to_string())
    }

    /// The agent of one version.
    #[must_use]
    pub fn agent(&self, version: &Version) -> PathBuf {
        self.version(version).join(paths::program("agent"))
    }

    /// The installed supervisor: the program of the service.
    #[must_use]
    pub fn supervisor(&self) -> PathBuf {
        self.root.join(paths::program("supervisor"))
    }

    /// The supervisor that a release carries; most carry none.
    #[must_use]
    pub fn carried_supervisor(&self, version: &Version) -> PathBuf {
        self.version(version).join(paths::program("supervisor"))
    }

    /// The folder of the supervisors that came with releases.
    #[must_use]
    pub fn successors(&self) -> PathBuf {
        self.root.join("supervisors")
    }

    /// A supervisor that came with a release, where it outlives it.
    #[must_use]
    pub fn successor(&self, version: &Version) -> PathBuf {
        self.successors().join(version.to_string()).join(paths::program("supervisor"))
    }

    /// What is known of the supervisors that came with releases.
    #[must_use]
    pub fn successors_book(&self) -> PathBuf {
        self.root.join("supervisor.json")
    }

    /// The pointer.
    #[must_use]
    pub fn pointer(&self) -> PathBuf {
        self.root.join("release.json")
    }

    /// Where downloads and half-made folders lie; never run from.
    #[must_use]
    pub fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// The supervisor's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.root.join("supervisor.log")
    }

    /// The versions that are whole on disk, oldest first.
    ///
    /// # Errors
    /// The folder cannot be read; one that is missing holds none.
    pub fn installed(&self) -> io::Result<Vec<Version>> {
        let entries = match fs::read_dir(self.versions()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let version = name.to_str().and_then(|name| Version::parse(name).ok());
            found.extend(version.filter(|version| self.agent(version).is_file()));
        }
        found.sort();
        Ok(found)
    }

    /// Deletes versions that the pointer does not name. What cannot be deleted (a program that still ends) stays for the
    /// next time.
    ///
    /// # Errors
    /// The folder of versions cannot be read.
    pub fn prune(&self, pointer: &Pointer) -> io::Result<Vec<Version>> {
        let gone =
            |version: &Version| !pointer.names(version) && fs::remove_dir_all(self.version(version)).is_ok();
        Ok(self.installed()?.into_iter().filter(gone).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(layout: &Layout, version: &str) {
        let version = Version::parse(version).unwrap();
        fs::create_dir_all(layout.version(&version)).unwrap();
        fs::write(layout.agent(&version), "program").unwrap();
    }

    #[test]
    fn only_whole_versions_count_and_the_named_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        assert!(layout.installed().unwrap().is_empty());
        for version in ["0.10.0", "0.9.0", "0.8.0", "0.7.0"] {
            put(&layout, version);
        }
        fs::create_dir_all(layout.versions().join("0.11.0")).unwrap();
        fs::create_dir_all(layout.versions().join("notes")).unwrap();
        let shown: Vec<String> = layout.installed().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["0.7.0", "0.8.0", "0.9.0", "0.10.0"]);
        let mut pointer = Pointer::first(Version::new(0, 10, 0));
        pointer.former = vec![Version::new(0, 9, 0), Version::new(0, 8, 0)];
        assert_eq!(layout.prune(&pointer).unwrap(), [Version::new(0, 7, 0)]);
        assert_eq!(layout.installed().unwrap().len(), 3);
    }
}
