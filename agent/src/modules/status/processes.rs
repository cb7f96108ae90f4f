//! Processes and logged-in users for the `status` module.

use std::{ffi::OsStr, process::Command};

use fancy_regex::Regex;
use states::{Map, Value};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use crate::modules::ModuleError;

struct Shown {
    pid: u32,
    user: String,
    cmd: String,
}

fn list() -> Result<Vec<Shown>, ModuleError> {
    let mut system = System::new().map_err(|error| ModuleError::Execution(error.to_string()))?;
    let what = ProcessRefreshKind::nothing()
        .with_cmd(UpdateKind::Always)
        .with_user(UpdateKind::Always)
        .without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = |id: String| {
        let row = users.lines().find(|line| line.split(':').nth(2) == Some(id.as_str()));
        row.and_then(|line| line.split(':').next()).map_or(id.clone(), str::to_owned)
    };
    let mut found: Vec<Shown> = system
        .processes()
        .iter()
        .map(|(pid, process)| {
            let words: Vec<String> = process
                .cmd()
                .iter()
                .map(|word: &std::ffi::OsString| word.to_string_lossy().into_owned())
                .collect();
            let name: &OsStr = process.name();
            let cmd =
                if words.is_empty() { format!("[{}]", name.to_string_lossy()) } else { words.join(" ") };
            let user = process.user_id().map(|id| named(id.to_string())).unwrap_or_default();
            Shown { pid: pid.as_u32(), user, cmd }
        })
        .collect();
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

/// User and command by process id.
pub(super) fn all() -> Result<Map, ModuleError> {
    let entry = |process: Shown| {
        let shown: Map = [("user", process.user), ("cmd", process.cmd)].into_iter().collect();
        (process.pid.to_string(), shown)
    };
    Ok(list()?.into_iter().map(entry).collect())
}

/// The ids of the other processes that a regular expression matches, a line each.
pub(super) fn matching(signature: &str) -> Result<String, ModuleError> {
    let regex = Regex::new(signature)
        .map_err(|error| ModuleError::Exception { class: "re.error", message: error.to_string() })?;
    let own = std::process::id();
    let hit = |process: &Shown| {
        let line = format!("{} {} {}", process.user, process.pid, process.cmd);
        process.pid != own && regex.is_match(&line).unwrap_or(false)
    };
    let ids: Vec<String> = list()?.into_iter().filter(hit).map(|process| process.pid.to_string()).collect();
    Ok(ids.join("\n"))
}

/// How many lines `who` prints, one for none, as Salt counts; `None` where there is no `who`.
pub(super) fn users() -> Option<i64> {
    let output = Command::new("who").arg("-s").output().ok()?;
    let lines = String::from_utf8_lossy(&output.stdout).trim_end().split('\n').count();
    i64::try_from(lines).ok()
}

/// Who is logged in, as `w` tells it.
pub(super) fn sessions() -> Vec<Value> {
    let Ok(output) = Command::new("w").arg("-fh").output() else { return Vec::new() };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(session).collect()
}

fn session(line: &str) -> Option<Value> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [user, tty, login, idle, jcpu, pcpu, what @ ..] = words.as_slice() else { return None };
    let what = what.join(" ");
    let shown = [
        ("idle", *idle),
        ("jcpu", *jcpu),
        ("login", *login),
        ("pcpu", *pcpu),
        ("tty", *tty),
        ("user", *user),
        ("what", what.as_str()),
    ];
    Some(shown.into_iter().collect::<Map>().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_of_w() {
        let shown = session("root     pts/0     12:01    1.00s  0.05s  0.01s top -d 1").unwrap();
        assert_eq!(shown.get("what"), Some(&"top -d 1".into()));
        assert_eq!(shown.get("tty"), Some(&"pts/0".into()));
        assert_eq!(session("odd line"), None);
    }

    #[test]
    fn lists_this_process_with_its_command() {
        let all = all().unwrap();
        let own = all.get(&std::process::id().to_string()).unwrap();
        assert!(own.get("cmd").unwrap().to_string().contains("agent"), "{own}");
    }
}
