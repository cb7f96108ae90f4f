//! `agent service install|uninstall`: from one executable to a running service.
//!
//! Everything goes below one folder. A folder that is there already must belong to the system or the administrators and be
//! writable by nobody else, or the installation is refused: what lies in it runs as the system. A configuration, a pointer, a
//! version or a service that is there already is kept. A stock Salt installation is not touched; `--adopt-salt` copies its id
//! and keys, and leaves it to the operator to stop it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use semver::Version;
use serde_json::json;
use thiserror::Error;

use super::{
    access_list, paths,
    service::{self, Registration},
};
use crate::{
    release::{
        layout::Layout,
        pointer::{self, Pointer, PointerError},
    },
    version,
};

/// What to install.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The master's address.
    pub master: Option<String>,
    /// The fingerprint of the master's key.
    pub finger: Option<String>,
    /// A word that the master accepts new minions by (`autosign_grains`).
    pub token: Option<String>,
    /// The minion's id; the host's name when none is given.
    pub id: Option<String>,
    /// The install folder.
    pub root: PathBuf,
    /// The account of the service.
    pub account: Option<String>,
    /// Salt's configuration folder, to take id and keys from.
    pub adopt: Option<PathBuf>,
}

/// Why it was not installed.
#[derive(Debug, Error)]
pub enum InstallError {
    /// The folder was made by somebody else.
    #[error(
        "{} is there already and cannot be trusted, because {}. What lies in it would run as the system. Rename it away, or as an administrator run: {}",
        path.display(), findings.join("; "), access_list::fix(&path.display().to_string())
    )]
    Untrusted {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        findings: Vec<String>,
    },
    /// A file or folder cannot be used.
    #[error("{} cannot be {doing}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// `made`, `read`, `copied` …
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The supervisor does not lie beside this executable.
    #[error("{} is missing: it belongs beside the agent", path.display())]
    NoSupervisor {
        /// Where it should be.
        path: PathBuf,
    },
    /// The pointer cannot be used.
    #[error(transparent)]
    Pointer(#[from] PointerError),
    /// The service manager refused.
    #[error("{0}")]
    Service(String),
}

impl InstallError {
    /// The exit code, after sysexits.h: 73 a folder that cannot be trusted or made, 77 no permission, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Untrusted { .. } => 73,
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => 77,
            Self::File { .. } | Self::NoSupervisor { .. } | Self::Pointer(_) | Self::Service(_) => 1,
        }
    }
}

/// Installs; the notes tell what was kept or left out.
///
/// # Errors
/// See [`InstallError`].
pub fn install(wishes: &Wishes) -> Result<Vec<String>, InstallError> {
    let layout = Layout::new(&wishes.root);
    make_root(&wishes.root)?;
    let version = Version::parse(version::AGENT).unwrap_or(Version::new(0, 0, 0));
    put_programs(&layout, &version)?;
    let config_dir = wishes.root.join("conf");
    let mut notes = configure(wishes, &config_dir)?;
    match pointer::read(&layout) {
        Ok(pointer) => notes.push(format!("agent {} stays the confirmed version", pointer.confirmed)),
        Err(PointerError::Missing { .. }) => pointer::create(&layout, &Pointer::first(version))?,
        Err(error) => return Err(error.into()),
    }
    let arguments =
        ["service", "--root", &wishes.root.to_string_lossy(), "--config-dir", &config_dir.to_string_lossy()]
            .map(str::to_owned)
            .to_vec();
    let registration =
        Registration { supervisor: layout.supervisor(), arguments, account: wishes.account.clone() };
    notes.extend(service::register(&registration).map_err(InstallError::Service)?);
    Ok(notes)
}

/// Removes the service and what it installed; configuration, keys and data stay unless `everything`.
///
/// # Errors
/// See [`InstallError`].
pub fn uninstall(root: &Path, everything: bool) -> Result<(), InstallError> {
    service::unregister().map_err(InstallError::Service)?;
    let layout = Layout::new(root);
    if everything {
        return remove(root);
    }
    let log = layout.log();
    for path in [layout.versions(), layout.incoming(), layout.supervisor(), layout.pointer(), log.clone()] {
        remove(&path)?;
    }
    for path in [
        layout.successors(),
        layout.successors_book(),
        root.join("release.lock"),
        log.with_extension("log.1"),
    ] {
        remove(&path)?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), InstallError> {
    let done = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file(path, "removed", error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes the folder with its access list, or judges the one that is there.
fn make_root(root: &Path) -> Result<(), InstallError> {
    match create_secured(root) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(file(root, "made", error)),
    }
    let findings = judge(root).map_err(|error| file(root, "judged", error))?;
    if findings.is_empty() {
        return Ok(());
    }
    Err(InstallError::Untrusted { path: root.to_owned(), findings })
}

#[cfg(windows)]
fn create_secured(root: &Path) -> io::Result<()> {
    super::windows::create_folder(root, access_list::WANTED)
}

#[cfg(windows)]
fn judge(root: &Path) -> io::Result<Vec<String>> {
    let sddl = super::windows::access_of(root)?;
    Ok(access_list::judge(&sddl).iter().map(ToString::to_string).collect())
}

#[cfg(unix)]
fn create_secured(root: &Path) -> io::Result<()> {
    std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o755).create(root)
}

#[cfg(unix)]
fn judge(root: &Path) -> io::Result<Vec<String>> {
    use std::os::unix::fs::MetadataExt as _;
    let found = fs::symlink_metadata(root)?;
    let mut findings = Vec::new();
    if !found.is_dir() {
        findings.push("it is no folder".to_owned());
    }
    let own = fs::metadata("/proc/self").map_or(0, |own| own.uid());
    if found.uid() != 0 && found.uid() != own {
        findings.push(format!("it is owned by uid {}", found.uid()));
    }
    if found.mode() & 0o022 != 0 {
        findings.push("others may write in it".to_owned());
    }
    Ok(findings)
}

/// Copies this program into its version's folder and the supervisor to its place.
fn put_programs(layout: &Layout, version: &Version) -> Result<(), InstallError> {
    let own = std::env::current_exe().map_err(|error| file(Path::new("agent"), "found", error))?;
    let supervisor = own.with_file_name(paths::program("supervisor"));
    if !supervisor.is_file() {
        return Err(InstallError::NoSupervisor { path: supervisor });
    }
    for (from, to) in [(own, layout.agent(version)), (supervisor, layout.supervisor())] {
        if to.is_file() {
            continue;
        }
        let folder = to.parent().unwrap_or(layout.root());
        fs::create_dir_all(folder).map_err(|error| file(folder, "made", error))?;
        // Written beside and moved: a program is whole or absent.
        let part = to.with_extension("part");
        let copied =
            fs::copy(&from, &part).and_then(|_| fs::File::options().write(true).open(&part)?.sync_all());
        copied.and_then(|()| fs::rename(&part, &to)).map_err(|error| file(&to, "copied", error))?;
    }
    Ok(())
}

fn configure(wishes: &Wishes, config_dir: &Path) -> Result<Vec<String>, InstallError> {
    let minion = config_dir.join("minion");
    fs::create_dir_all(config_dir).map_err(|error| file(config_dir, "made", error))?;
    let mut notes = Vec::new();
    let mut adopted = None;
    if let Some(salt) = &wishes.adopt {
        adopted = adopt(salt, config_dir)?;
        notes.push(format!(
            "id and keys of the Salt minion in {} were copied; it still runs: stop and disable it, or the master sees two minions of one id",
            salt.display()
        ));
    }
    if minion.exists() {
        notes.push(format!("{} exists and is kept", minion.display()));
        return Ok(notes);
    }
    let mut options =
        json!({ "root_dir": wishes.root, "pki_dir": config_dir.join("pki"), "log_level": "info" });
    let mut set = |key: &str, value: &Option<String>| {
        if let Some(value) = value {
            options[key] = value.as_str().into();
        }
    };
    set("master", &wishes.master);
    set("master_finger", &wishes.finger);
    set("id", &wishes.id.clone().or(adopted));
    if let Some(token) = &wishes.token {
        options["grains"] = json!({ ENROLMENT: token });
        options["autosign_grains"] = json!([ENROLMENT]);
    }
    let text = serde_json::to_string_pretty(&options).unwrap_or_default();
    fs::write(&minion, format!("{text}\n")).map_err(|error| file(&minion, "written", error))?;
    Ok(notes)
}

/// Copies Salt's keys; gives its id.
fn adopt(salt: &Path, config_dir: &Path) -> Result<Option<String>, InstallError> {
    let held = crate::config::Config::load(salt, &crate::config::Overrides::default())
        .map_err(|error| file(salt, "read", io::Error::other(error)))?;
    let (from, to) = (held.pki_dir.clone(), config_dir.join("pki"));
    fs::create_dir_all(&to).map_err(|error| file(&to, "made", error))?;
    for name in ["minion.pem", "minion.pub", "minion_master.pub"] {
        let (from, to) = (from.join(name), to.join(name));
        match fs::copy(&from, &to) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && name == "minion_master.pub" => {}
            Err(error) => return Err(file(&from, "copied", error)),
        }
    }
    Ok(Some(held.id.to_string()))
}

fn file(path: &Path, doing: &'static str, source: io::Error) -> InstallError {
    InstallError::File { path: path.to_owned(), doing, source }
}

/// The grain that carries the enrolment token.
const ENROLMENT: &str = "enrolment_token";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_a_configuration_that_the_agent_reads() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("n");
        let wishes = Wishes {
            master: Some("salt.example".into()),
            finger: Some("aa:bb".into()),
            token: Some("t0ken".into()),
            id: Some("smile".into()),
            root: root.clone(),
            ..Wishes::default()
        };
        let config_dir = root.join("conf");
        assert_eq!(configure(&wishes, &config_dir).unwrap(), Vec::<String>::new());
        let config = crate::config::Config::load(&config_dir, &crate::config::Overrides::default()).unwrap();
        assert_eq!((config.id.as_str(), config.masters()), ("smile", vec!["salt.example".to_owned()]));
        assert!(config.data_dir.starts_with(&root) && config.pki_dir.starts_with(&root));
        assert_eq!(config.list_opt("autosign_grains"), ["enrolment_token"]);
        fs::write(config_dir.join("minion"), "id: kept\n").unwrap();
        assert!(configure(&wishes, &config_dir).unwrap()[0].ends_with("exists and is kept"));
        assert_eq!(fs::read_to_string(config_dir.join("minion")).unwrap(), "id: kept\n");
    }

    #[test]
    fn adopts_the_id_and_the_keys_of_salt_and_leaves_it_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (salt, root) = (folder.path().join("salt"), folder.path().join("n"));
        fs::create_dir_all(salt.join("pki/minion")).unwrap();
        let config = format!("pki_dir: '{0}/pki/minion'\nroot_dir: '{0}'\n", salt.display());
        fs::write(salt.join("minion"), config).unwrap();
        for (name, text) in [
            ("pki/minion/minion.pem", "private"),
            ("pki/minion/minion.pub", "public"),
            ("minion_id", "practice-7\n"),
        ] {
            fs::write(salt.join(name), text).unwrap();
        }
        let wishes = Wishes { adopt: Some(salt.clone()), root: root.clone(), ..Wishes::default() };
        let notes = configure(&wishes, &root.join("conf")).unwrap();
        assert!(notes[0].contains("stop and disable it"), "{notes:?}");
        assert_eq!(fs::read_to_string(root.join("conf/pki/minion.pem")).unwrap(), "private");
        assert!(fs::read_to_string(root.join("conf/minion")).unwrap().contains("\"id\": \"practice-7\""));
        assert_eq!(fs::read_to_string(salt.join("pki/minion/minion.pem")).unwrap(), "private");
    }

    #[cfg(unix)]
    #[test]
    fn refuses_a_folder_that_others_may_write_in() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("n");
        make_root(&root).unwrap();
        make_root(&root).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).unwrap();
        let error = make_root(&root).unwrap_err();
        assert!(error.exit_code() == 73 && error.to_string().contains("others may write"), "{error}");
    }
}
