//! How much memory a process group takes: PSS, in which shared pages count for each sharer's part.

use std::{fs, ops::AddAssign, path::Path};

use anyhow::Result;

/// Megabytes (10^6 bytes) of a process group.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// All of it, with the pages of the program's file that were used so far.
    pub all: f64,
    /// What the processes allocated themselves.
    pub allocated: f64,
}

impl AddAssign for Memory {
    fn add_assign(&mut self, other: Self) {
        self.all += other.all;
        self.allocated += other.allocated;
    }
}

/// The memory of every process in a process group.
///
/// # Errors
/// When the system cannot tell.
pub fn of_group(group: u32) -> Result<Memory> {
    let mut total = Memory::default();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        if fields.split(' ').nth(2) == Some(&group.to_string()) {
            total += of_process(&entry.path());
        }
    }
    Ok(total)
}

fn of_process(process: &Path) -> Memory {
    let rollup = fs::read_to_string(process.join("smaps_rollup")).unwrap_or_default();
    let megabytes = |field: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kibibytes.unwrap_or_default() * 1.024 / 1000.0
    };
    Memory { all: megabytes("Pss"), allocated: megabytes("Pss_Anon") }
}
