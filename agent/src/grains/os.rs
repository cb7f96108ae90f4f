//! Grains of the operating system: kernel, distribution, release, init system.

use std::{collections::BTreeMap, env::consts, path::Path};

use states::{Map, Value};
use sysinfo::System;

use super::read_line;

pub(super) fn collect(grains: &mut Map) {
    let kernel = match consts::OS {
        "linux" => "Linux",
        "windows" => "Windows",
        "macos" => "Darwin",
        other => other,
    };
    grains.insert("kernel", kernel);
    grains.insert("kernelrelease", System::kernel_version().unwrap_or_default());
    let machine = if cfg!(windows) && consts::ARCH == "x86_64" { "AMD64" } else { consts::ARCH };
    grains.insert("cpuarch", machine);
    if cfg!(target_os = "linux") {
        linux(grains, machine);
    } else {
        let full = System::long_os_version().unwrap_or_default();
        let release = System::os_version().unwrap_or_default();
        grains.insert("os", if cfg!(windows) { "Windows" } else { kernel });
        grains.insert("os_family", if cfg!(windows) { "Windows" } else { kernel });
        grains.insert("osfullname", full);
        grains.insert("osversion", System::kernel_version().unwrap_or_default());
        grains.insert("osarch", machine);
        release_grains(grains, &release);
    }
}

/// Version and features of systemd, where its program is installed.
pub(super) fn systemd(grains: &mut Map) {
    let Ok(output) = std::process::Command::new("systemctl").arg("--version").output() else { return };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let version = lines.next().and_then(|line| line.split_whitespace().nth(1));
    if let Some(version) = version {
        let features = lines.next().unwrap_or_default();
        grains.insert("systemd", [("version", version), ("features", features)].into_iter().collect::<Map>());
    }
}

fn linux(grains: &mut Map, machine: &str) {
    if let Some(version) = read_line("/proc/sys/kernel/version") {
        grains.insert("kernelversion", version);
    }
    grains.insert("kernelparams", kernel_parameters(&read_line("/proc/cmdline").unwrap_or_default()));
    let init = if Path::new("/run/systemd/system").exists() { "systemd" } else { "unknown" };
    grains.insert("init", init);
    grains.insert("transactional", false);
    grains.insert("efi", Path::new("/sys/firmware/efi").exists());
    grains.insert("efi-secure-boot", secure_boot());
    let text = read_line("/etc/os-release").or_else(|| read_line("/usr/lib/os-release")).unwrap_or_default();
    distribution(grains, &parse_os_release(&text));
    let debian = grains.get("os_family").and_then(Value::as_str) == Some("Debian");
    let arch = match machine {
        "x86_64" if debian => "amd64",
        "aarch64" if debian => "arm64",
        other => other,
    };
    grains.insert("osarch", arch);
}

/// Whether the firmware says that it checked what it started: the last byte of its variable.
fn secure_boot() -> bool {
    let variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    std::fs::read(variable).is_ok_and(|value| value.last() == Some(&1))
}

/// The distribution grains from the fields of `/etc/os-release`.
fn distribution(grains: &mut Map, release: &BTreeMap<String, String>) {
    let field = |name: &str| release.get(name).cloned().unwrap_or_default();
    let full = field("NAME");
    let os = short_name(&full);
    let family = FAMILIES.iter().find(|(name, _)| *name == os).map_or(os.as_str(), |(_, family)| family);
    let codename = field("VERSION_CODENAME");
    grains.insert("os", os.as_str());
    grains.insert("os_family", family);
    grains.insert("osfullname", full.as_str());
    grains.insert("oscodename", codename.as_str());
    grains.insert("lsb_distrib_id", full.as_str());
    grains.insert("lsb_distrib_release", field("VERSION_ID"));
    grains.insert("lsb_distrib_codename", codename);
    release_grains(grains, &field("VERSION_ID"));
}

fn release_grains(grains: &mut Map, release: &str) {
    let parts = release.split('.').map(|part| part.parse().map_or_else(|_| part.into(), Value::Int));
    let parts: Vec<Value> = parts.collect();
    let major = parts.first().cloned().unwrap_or_default();
    let os = grains.get("os").map(ToString::to_string).unwrap_or_default();
    let full = grains.get("osfullname").map(ToString::to_string).unwrap_or_default();
    let named = if matches!(os.as_str(), "Debian" | "Raspbian") { os.as_str() } else { full.as_str() };
    let numbered = if os == "Ubuntu" { release.to_owned() } else { major.to_string() };
    grains.insert("osfinger", format!("{named}-{numbered}"));
    grains.insert("osrelease", release);
    grains.insert("osrelease_info", Value::List(parts));
    grains.insert("osmajorrelease", major);
}

/// Salt's short name of a distribution: `Debian GNU/Linux` is `Debian`.
fn short_name(full: &str) -> String {
    let name = full.replace("GNU/Linux", "").replace(" Linux", "").replace("Linux ", "").trim().to_owned();
    let key: String = name.to_lowercase().chars().filter(|letter| *letter != ' ').take(10).collect();
    NAMES.iter().find(|(long, _)| *long == key).map_or(name, |(_, short)| (*short).to_owned())
}

fn parse_os_release(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.trim().split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.trim_matches(['"', '\'']).to_owned())).collect()
}

/// The kernel's command line as pairs; a word without a value has nil.
fn kernel_parameters(line: &str) -> Value {
    let pair = |word: &str| match word.split_once('=') {
        Some((key, value)) => Value::List(vec![key.into(), value.into()]),
        None => Value::List(vec![word.into(), Value::Nil]),
    };
    Value::List(line.split_whitespace().map(pair).collect())
}

const NAMES: &[(&str, &str)] = &[
    ("debian", "Debian"),
    ("redhatente", "RedHat"),
    ("oracleserv", "OEL"),
    ("amazonami", "Amazon"),
    ("almalinux", "AlmaLinux"),
    ("rocky", "Rocky"),
    ("arch", "Arch"),
    ("sles", "SUSE"),
    ("linuxmint", "Mint"),
    ("raspbian", "Raspbian"),
    ("pop", "Pop"),
];

const FAMILIES: &[(&str, &str)] = &[
    ("AlmaLinux", "RedHat"),
    ("Amazon", "RedHat"),
    ("CentOS", "RedHat"),
    ("CentOS Stream", "RedHat"),
    ("Fedora", "RedHat"),
    ("Kali", "Debian"),
    ("Manjaro", "Arch"),
    ("Mint", "Debian"),
    ("OEL", "RedHat"),
    ("Pop", "Debian"),
    ("Raspbian", "Debian"),
    ("Rocky", "RedHat"),
    ("SLES", "Suse"),
    ("SUSE", "Suse"),
    ("Ubuntu", "Debian"),
    ("openSUSE", "Suse"),
    ("openSUSE Leap", "Suse"),
    ("openSUSE Tumbleweed", "Suse"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn grains_of(text: &str) -> Map {
        let mut grains = Map::new();
        distribution(&mut grains, &parse_os_release(text));
        grains
    }

    #[test]
    fn names_debian_as_salt_does() {
        let grains =
            grains_of("NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n");
        let text = |key: &str| grains.get(key).map(ToString::to_string).unwrap_or_default();
        assert_eq!(text("os"), "Debian");
        assert_eq!(text("osfinger"), "Debian-12");
        assert_eq!(text("osmajorrelease"), "12");
        assert_eq!(text("osrelease_info"), "[12]");
        assert_eq!(text("oscodename"), "bookworm");
    }

    #[test]
    fn names_ubuntu_and_rocky_as_salt_does() {
        let ubuntu = grains_of("NAME=\"Ubuntu\"\nVERSION_ID=\"22.04\"\n");
        assert_eq!(ubuntu.get("osfinger"), Some(&"Ubuntu-22.04".into()));
        assert_eq!(ubuntu.get("os_family"), Some(&"Debian".into()));
        let rocky = grains_of("NAME=\"Rocky Linux\"\nVERSION_ID=\"9.4\"\n");
        assert_eq!(rocky.get("os"), Some(&"Rocky".into()));
        assert_eq!(rocky.get("os_family"), Some(&"RedHat".into()));
        assert_eq!(rocky.get("osfinger"), Some(&"Rocky Linux-9".into()));
    }
}
