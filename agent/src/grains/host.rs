//! Grains of the host and of this process: names, ids, user, paths.

use std::{env, net::IpAddr, path::PathBuf};

use ring::digest;
use states::{Map, Value};

use super::{read_line, texts};
use crate::{command, config::Config};

pub(super) fn collect(config: &Config, grains: &mut Map) {
    grains.insert("id", config.id.as_str());
    grains.insert("server_id", server_id(config.id.as_str()));
    grains.insert("master", config.opts.get("master").cloned().unwrap_or_default());
    let host = sysinfo::System::host_name().unwrap_or_else(|_| "localhost".to_owned());
    let hosts = std::fs::read_to_string(HOSTS_FILE).unwrap_or_default();
    let fqdn = fqdn(&host, &hosts);
    let (short, domain) = fqdn.split_once('.').unwrap_or((&fqdn, ""));
    grains.insert("localhost", host.as_str());
    grains.insert("nodename", host.as_str());
    grains.insert("host", short);
    grains.insert("domain", domain);
    grains.insert("fqdn", fqdn.as_str());
    grains.insert("fqdn_ip4", texts(addresses(&fqdn, &hosts, IpAddr::is_ipv4)));
    grains.insert("fqdn_ip6", texts(addresses(&fqdn, &hosts, IpAddr::is_ipv6)));
    grains.insert("fqdns", Value::List(Vec::new()));
    if let Some(id) = read_line("/etc/machine-id").or_else(|| read_line("/var/lib/dbus/machine-id")) {
        grains.insert("machine_id", id);
    }
    let directory = env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    grains.insert("cwd", directory.to_string_lossy().into_owned());
    grains.insert("pid", i64::from(std::process::id()));
    paths(grains);
    user(grains);
    locale(grains);
}

/// Salt's number of a minion id: SHA-256 as a number, modulo 2^31.
fn server_id(id: &str) -> i64 {
    let hash = digest::digest(&digest::SHA256, id.as_bytes());
    let tail: [u8; 4] = hash.as_ref()[28..].try_into().unwrap_or_default();
    i64::from(u32::from_be_bytes(tail) & 0x7fff_ffff)
}

/// The full name that the hosts file gives for this host; the host's own name when it gives none. No name
/// server is asked: that is where a minion without one would hang.
fn fqdn(host: &str, hosts: &str) -> String {
    let mut lines = hosts.lines().filter_map(host_line).map(|(_, names)| names);
    let full = |names: Vec<&str>| {
        let listed = names.contains(&host) && !host.contains('.');
        listed.then(|| names.iter().find(|name| name.contains('.')).copied()).flatten().map(str::to_owned)
    };
    lines.find_map(full).unwrap_or_else(|| host.to_owned())
}

/// The addresses that the hosts file gives for a name.
fn addresses(name: &str, hosts: &str, family: fn(&IpAddr) -> bool) -> Vec<String> {
    let lines = hosts.lines().filter_map(host_line).filter(|(_, names)| names.contains(&name));
    lines.map(|(address, _)| address).filter(family).map(|address| address.to_string()).collect()
}

fn host_line(line: &str) -> Option<(IpAddr, Vec<&str>)> {
    let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
    Some((words.next()?.parse().ok()?, words.collect()))
}

fn paths(grains: &mut Map) {
    let path = env::var_os("PATH").unwrap_or_default();
    grains.insert("path", path.to_string_lossy().into_owned());
    let parts = env::split_paths(&path).map(|part| part.to_string_lossy().into_owned());
    grains.insert("systempath", texts(parts));
    if cfg!(not(windows)) {
        grains.insert("shell", command::default_shell());
        grains.insert("ps", "ps -efHww");
    }
}

/// The user of the process, read from `/proc` and `/etc` (Windows: from the environment).
fn user(grains: &mut Map) {
    if cfg!(windows) {
        grains.insert("username", env::var("USERNAME").unwrap_or_default());
        return;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let id = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_whitespace().next()?.parse::<i64>().ok()
    };
    for (field, file, number, name) in
        [("Uid:", "/etc/passwd", "uid", "username"), ("Gid:", "/etc/group", "gid", "groupname")]
    {
        let Some(found) = id(field) else { continue };
        grains.insert(number, found);
        let table = std::fs::read_to_string(file).unwrap_or_default();
        let owner = table.lines().find(|line| line.split(':').nth(2) == Some(&found.to_string()));
        grains.insert(name, owner.and_then(|line| line.split(':').next()));
    }
}

fn locale(grains: &mut Map) {
    let lang = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| env::var(name).ok());
    let lang = lang.unwrap_or_default();
    let (language, encoding) = lang.split_once('.').unwrap_or((&lang, ""));
    // Python reads the C locale as American English.
    let language = if matches!(language, "C" | "POSIX") { "en_US" } else { language };
    let known = |text: &str| if text.is_empty() { Value::Nil } else { text.into() };
    let timezone = chrono::Local::now().offset().to_string();
    let timezone = if timezone == "+00:00" { "UTC".to_owned() } else { timezone };
    let info: Map = [
        ("defaultlanguage", known(language)),
        ("defaultencoding", known(encoding)),
        ("detectedencoding", "utf-8".into()),
        ("timezone", timezone.into()),
    ]
    .into_iter()
    .collect();
    grains.insert("locale_info", info);
}

#[cfg(windows)]
const HOSTS_FILE: &str = r"C:\Windows\System32\drivers\etc\hosts";
#[cfg(not(windows))]
const HOSTS_FILE: &str = "/etc/hosts";

#[cfg(test)]
mod tests {
    #[test]
    fn finds_the_full_name_and_its_addresses_in_the_hosts_file() {
        let hosts = "127.0.0.1 localhost\n# comment\n10.0.0.5 ehr1.practice.example ehr1\nfd00::5 ehr1.practice.example\n";
        assert_eq!(super::fqdn("ehr1", hosts), "ehr1.practice.example");
        assert_eq!(super::fqdn("other", hosts), "other");
        let found = super::addresses("ehr1.practice.example", hosts, std::net::IpAddr::is_ipv4);
        assert_eq!(found, ["10.0.0.5"]);
    }

    #[test]
    fn numbers_a_minion_as_salt_does() {
        // What `salt-call --local grains.get server_id` of 3008.3 prints for the id m1.
        assert_eq!(super::server_id("m1"), 890_885_657);
    }
}
