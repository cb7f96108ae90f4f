//! Facts of Windows beyond Salt's grains: whether a restart is pending, and what Defender does.
//!
//! `pending_reboot` and its reasons are judged as Salt's `system.get_pending_reboot` does, from the three marks that servicing,
//! Windows Update and installers leave in the registry. `defender` tells whether it watches, and which folders it leaves alone
//! as far as this account may know. Asked by `reg query`, which loads nothing and changes nothing.

use std::collections::BTreeSet;

use states::{Map, Value};

use super::texts;

/// Adds the grains; on other systems there are none.
pub(super) fn collect(grains: &mut Map) {
    if cfg!(windows) {
        gather(grains, asked);
    }
}

fn gather(grains: &mut Map, ask: impl Fn(&[&str]) -> Option<String>) {
    let marked =
        |(_, arguments): &&(&str, &[&str])| ask(arguments).is_some_and(|answer| says_something(&answer));
    let reasons: Vec<&str> = MARKS.iter().filter(marked).map(|(reason, _)| *reason).collect();
    grains.insert("pending_reboot", !reasons.is_empty());
    grains.insert("pending_reboot_reasons", texts(reasons));
    if ask(&[r"HKLM\SYSTEM\CurrentControlSet\Services\WinDefend", "/v", "Start"]).is_none() {
        return;
    }
    let all = |key: &str| -> Vec<(String, String)> {
        let places = [
            r"HKLM\SOFTWARE\Microsoft\Windows Defender",
            r"HKLM\SOFTWARE\Policies\Microsoft\Windows Defender",
        ];
        let answers = places.iter().filter_map(|place| ask(&[&format!(r"{place}\{key}")]));
        answers.flat_map(|answer| values(&answer)).collect()
    };
    let off = all("Real-Time Protection")
        .iter()
        .any(|(name, data)| name == "DisableRealtimeMonitoring" && data.trim_start_matches("0x") != "0");
    let excludes: BTreeSet<String> = all(r"Exclusions\Paths").into_iter().map(|(path, _)| path).collect();
    let fields: [(&str, Value); 2] = [("real_time", (!off).into()), ("excludes", texts(excludes))];
    grains.insert("defender", fields.into_iter().collect::<Map>());
}

/// What `reg query` prints; nothing when the key or value is not there.
fn asked(arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new("reg").arg("query").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A key is a mark by being there; a list of renames only when it names any.
fn says_something(answer: &str) -> bool {
    let all = values(answer);
    all.is_empty() || all.iter().any(|(_, data)| !data.is_empty())
}

/// The values in an answer, with their data: `    NAME    REG_SZ    DATA`.
fn values(answer: &str) -> Vec<(String, String)> {
    let value = |line: &str| {
        let (name, rest) = line.strip_prefix("    ")?.split_once("    REG_")?;
        let data = rest.split_once("    ").map_or("", |(_, data)| data);
        Some((name.to_owned(), data.trim().to_owned()))
    };
    answer.lines().filter_map(value).collect()
}

/// Who asks for a restart, and where it says so.
const MARKS: [(&str, &[&str]); 3] = [
    (
        "servicing",
        &[r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending"],
    ),
    (
        "windows_update",
        &[r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired"],
    ),
    (
        "file_renames",
        &[r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager", "/v", "PendingFileRenameOperations"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A registry as `reg query` would print it.
    fn grains(keys: &[(&str, &str)]) -> Map {
        let mut grains = Map::new();
        gather(&mut grains, |arguments| {
            let key = arguments.join(" ");
            let (_, text) = keys.iter().find(|(end, _)| key.ends_with(end))?;
            Some(format!("\r\nHKEY_LOCAL_MACHINE\\{key}\r\n{text}\r\n"))
        });
        grains
    }

    #[test]
    fn a_restart_is_pending_when_somebody_asks_for_it() {
        let quiet = grains(&[]);
        assert_eq!(quiet.get("pending_reboot"), Some(&false.into()));
        assert!(quiet.get("defender").is_none());
        let renames = "    PendingFileRenameOperations    REG_MULTI_SZ    \\??\\C:\\a b.dll\\0";
        let asked = grains(&[("RebootRequired", ""), ("/v PendingFileRenameOperations", renames)]);
        assert_eq!(asked.get("pending_reboot"), Some(&true.into()));
        assert_eq!(asked.get("pending_reboot_reasons"), Some(&texts(["windows_update", "file_renames"])));
        let none = grains(&[(
            "/v PendingFileRenameOperations",
            "    PendingFileRenameOperations    REG_MULTI_SZ    ",
        )]);
        assert_eq!(none.get("pending_reboot"), Some(&false.into()));
    }

    #[test]
    fn defender_tells_whether_it_watches_and_what_it_leaves_alone() {
        let watching = grains(&[
            ("/v Start", "    Start    REG_DWORD    0x2"),
            (r"Microsoft\Windows Defender\Exclusions\Paths", "    C:\\My Folder    REG_DWORD    0x0"),
        ]);
        let defender = watching.get("defender").unwrap();
        assert_eq!(defender.get("real_time"), Some(&true.into()));
        assert_eq!(defender.get("excludes"), Some(&texts(["C:\\My Folder"])));
        let off = grains(&[
            ("/v Start", "    Start    REG_DWORD    0x2"),
            ("Real-Time Protection", "    DisableRealtimeMonitoring    REG_DWORD    0x1"),
        ]);
        assert_eq!(off.get("defender").and_then(|defender| defender.get("real_time")), Some(&false.into()));
    }
}
