//! Disk, programs that survive the antivirus, its exclusions, and a stock Salt beside this agent.

use std::path::Path;

use super::{Finding, Verdict};
use crate::{
    config::Config,
    platform::{paths, space},
    release::{
        layout::Layout,
        pointer::{self, PointerError},
    },
};

/// Looks at the files of this machine.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let root = std::env::var_os("AGENT_INSTALL_DIR").unwrap_or_else(|| paths::INSTALL_DIR.into());
    let layout = Layout::new(Path::new(&root));
    vec![disk(config), programs(&layout), exclusions(&layout), salt()]
}

/// Free space where the store and the spool lie.
fn disk(config: &Config) -> Finding {
    match space::of(&config.data_dir) {
        Some(found) => judge_space(found.free, &config.data_dir),
        None => Finding::new(
            "disk",
            Verdict::Skipped,
            format!("the system does not say how much is free for {}", config.data_dir.display()),
        ),
    }
}

fn judge_space(bytes: u64, place: &Path) -> Finding {
    let text = format!("{} MB free for {}", bytes >> 20, place.display());
    match bytes >> 20 {
        0..512 => Finding::new(
            "disk",
            Verdict::Failed,
            format!("{text}: too little, so no batch is read and no release fetched"),
        ),
        512..5000 => Finding::new(
            "disk",
            Verdict::Warning,
            format!("{text}: batches wait there when the master is away"),
        ),
        _ => Finding::new("disk", Verdict::Ok, text),
    }
}

/// What was installed is still there.
fn programs(layout: &Layout) -> Finding {
    let pointer = match pointer::read(layout) {
        Ok(pointer) => pointer,
        Err(PointerError::Missing { .. }) => {
            return Finding::new("programs", Verdict::Skipped, "this agent was not installed as a service");
        }
        Err(error) => return Finding::new("programs", Verdict::Failed, error.to_string()),
    };
    let all = std::iter::once(&pointer.confirmed).chain(&pointer.former).map(|version| layout.agent(version));
    let gone: Vec<String> = all
        .chain([layout.supervisor()])
        .filter(|path| !path.is_file())
        .map(|path| path.display().to_string())
        .collect();
    if gone.is_empty() {
        return Finding::new(
            "programs",
            Verdict::Ok,
            format!("agent {} and its supervisor are there", pointer.confirmed),
        );
    }
    let text = format!(
        "{} is gone, most likely by an antivirus: restore it from its quarantine and exclude {}",
        gone.join(", "),
        layout.root().display()
    );
    Finding::new("programs", Verdict::Failed, text)
}

/// Whether Defender leaves the folder alone; other products do not tell.
fn exclusions(layout: &Layout) -> Finding {
    let root = layout.root().display().to_string();
    if !cfg!(windows) {
        return Finding::new("antivirus", Verdict::Skipped, "only Windows is asked for exclusions");
    }
    let script = "(Get-MpPreference -ErrorAction Stop).ExclusionPath -join '|'";
    let asked = std::process::Command::new("powershell").args(["-NoProfile", "-Command", script]).output();
    match asked {
        Ok(output) if output.status.success() => {
            judge_exclusions(&String::from_utf8_lossy(&output.stdout), &root)
        }
        Ok(_) | Err(_) => Finding::new(
            "antivirus",
            Verdict::Warning,
            format!("Defender cannot be asked; make sure that the antivirus of this machine excludes {root}"),
        ),
    }
}

fn judge_exclusions(listed: &str, root: &str) -> Finding {
    let excluded = listed.trim().split('|').any(|path| {
        let path = path.trim_end_matches(['\\', '*']).to_lowercase();
        !path.is_empty() && root.to_lowercase().starts_with(&path)
    });
    if excluded {
        return Finding::new("antivirus", Verdict::Ok, format!("Defender excludes {root}"));
    }
    let text = format!(
        "Defender does not exclude {root}. As an administrator: Add-MpPreference -ExclusionPath '{root}'"
    );
    Finding::new("antivirus", Verdict::Warning, text)
}

/// A stock Salt minion beside this agent.
fn salt() -> Finding {
    let places: &[&str] = if cfg!(windows) {
        &[r"C:\Program Files\Salt Project\Salt\salt-minion.exe", r"C:\salt\bin\salt-minion.exe"]
    } else {
        &["/usr/bin/salt-minion", "/opt/saltstack/salt/salt-minion"]
    };
    match places.iter().find(|place| Path::new(place).exists()) {
        Some(place) => Finding::new(
            "salt",
            Verdict::Warning,
            format!(
                "{place} is installed too; it is left alone. Two minions of one id disturb each other: give them two, or stop it"
            ),
        ),
        None => Finding::new("salt", Verdict::Ok, "no stock Salt minion is installed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_space_is_a_failure_and_some_a_warning() {
        let verdict = |bytes: u64| judge_space(bytes, Path::new("/d")).verdict;
        assert_eq!(
            [verdict(100 << 20), verdict(2 << 30), verdict(50 << 30)],
            [Verdict::Failed, Verdict::Warning, Verdict::Ok]
        );
    }

    #[test]
    fn finds_the_folder_or_one_above_it_among_the_exclusions() {
        let verdict = |listed: &str| judge_exclusions(listed, r"C:\NexHealth").verdict;
        assert_eq!(verdict("D:\\x|c:\\nexhealth\\\r\n"), Verdict::Ok);
        assert_eq!(verdict(r"C:\NexHealth*"), Verdict::Ok);
        assert_eq!(verdict(""), Verdict::Warning);
        assert_eq!(verdict(r"C:\Other"), Verdict::Warning);
    }

    #[test]
    fn names_the_program_that_an_antivirus_took() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        assert_eq!(programs(&layout).verdict, Verdict::Skipped);
        let version = semver::Version::new(1, 0, 0);
        pointer::create(&layout, &pointer::Pointer::first(version.clone())).unwrap();
        std::fs::create_dir_all(layout.version(&version)).unwrap();
        std::fs::write(layout.agent(&version), "x").unwrap();
        let finding = programs(&layout);
        assert!(finding.verdict == Verdict::Failed && finding.text.contains("supervisor"), "{finding}");
        std::fs::write(layout.supervisor(), "x").unwrap();
        assert_eq!(programs(&layout).verdict, Verdict::Ok);
    }
}
