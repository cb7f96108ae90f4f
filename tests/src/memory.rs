//! How much memory a process group takes: PSS, in which shared pages count for each sharer's part.

use std::{fs, path::Path};

use anyhow::Result;

/// Megabytes (10^6 bytes) of PSS of every process in a process group.
///
/// # Errors
/// When the system cannot tell.
pub fn group_megabytes(group: u32) -> Result<f64> {
    let mut total = 0.0;
    for entry in fs::read_dir("/proc")?.flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        if fields.split(' ').nth(2) == Some(&group.to_string()) {
            total += kilobytes(&entry.path());
        }
    }
    Ok(total / 1000.0)
}

fn kilobytes(process: &Path) -> f64 {
    let Ok(rollup) = fs::read_to_string(process.join("smaps_rollup")) else { return 0.0 };
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kibibytes =
        line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|number| number.parse::<f64>().ok());
    kibibytes.unwrap_or_default() * 1.024
}
