//! Which version this minion is, in Salt's terms and in its own.
//!
//! Masters, state files and operators decide by Salt's version, so `saltversion`, `test.version` and the
//! rest give the Salt release whose behaviour this minion follows. Its own version is in the `agent` grain,
//! `agent.version` and the `--version` line.

use states::{Map, Value};

/// The Salt release whose wire and state language this minion follows.
pub const SALT_COMPATIBLE: &str = "3008.3";

/// The same as numbers, for the `saltversioninfo` grain.
pub const SALT_COMPATIBLE_INFO: &[i64] = &[3008, 3];

/// This program's own version.
pub const AGENT: &str = env!("CARGO_PKG_VERSION");

/// What `--version` prints after the program's name.
pub const LINE: &str = concat!(env!("CARGO_PKG_VERSION"), " (compatible with Salt 3008.3)");

/// What `test.versions_information` returns.
#[must_use]
pub fn information() -> Value {
    let section = |pairs: &[(&str, String)]| -> Value {
        pairs.iter().map(|(key, value)| (*key, value.as_str())).collect::<Map>().into()
    };
    let salt = section(&[("Salt", SALT_COMPATIBLE.to_owned()), ("Agent", AGENT.to_owned())]);
    let dependencies = section(&[("SQLite", rusqlite::version().to_owned())]);
    let system = section(&[
        ("machine", std::env::consts::ARCH.to_owned()),
        ("release", sysinfo::System::kernel_version().unwrap_or_default()),
        ("system", std::env::consts::OS.to_owned()),
        ("version", sysinfo::System::long_os_version().unwrap_or_default()),
    ]);
    let sections =
        [("Salt Version", salt), ("Dependency Versions", dependencies), ("System Versions", system)];
    sections.into_iter().collect::<Map>().into()
}

/// What `test.versions_report` returns: one line per version, names aligned at the colon.
#[must_use]
pub fn report() -> String {
    let information = information();
    let mut lines = Vec::new();
    for (section, versions) in information.as_map().into_iter().flat_map(Map::iter) {
        lines.push(format!("{section}:"));
        for (name, version) in versions.as_map().into_iter().flat_map(Map::iter) {
            lines.push(format!("{:>18}: {version}", name.to_string()));
        }
        lines.push(" ".to_owned());
    }
    lines.pop();
    lines.join("\n")
}
