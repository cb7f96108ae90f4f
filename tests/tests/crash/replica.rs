//! What a consumer has after the batches of one job, taken in their order: each file once, no sequence left out, a new epoch
//! from an empty table.

use std::collections::{BTreeMap, HashSet};

use crate::batches::{Version, try_versions_in};
use crate::master::Master;

/// A consumer's copy of the table.
#[derive(Default)]
pub struct Replica {
    /// Epoch and sequence of the last batch taken.
    last: (u64, u64),
    rows: BTreeMap<(String, i32), Vec<String>>,
    versions: HashSet<(String, i32, String)>,
    repeats: bool,
}

impl Replica {
    /// An empty copy; `repeats` says whether a version of a row may come twice.
    pub fn new(repeats: bool) -> Self {
        Self { repeats, ..Self::default() }
    }

    /// Takes what is new of a job; an error for a batch that is not whole yet.
    pub fn take(
        &mut self,
        master: &Master,
        job: &str,
        identity: &age::x25519::Identity,
    ) -> Result<(), String> {
        for (epoch, sequence, name) in master.batches(job) {
            if (epoch, sequence) <= self.last {
                continue;
            }
            let sealed = master.batch(job, &name);
            let versions = try_versions_in(&sealed, identity).ok_or(format!("{name} is not whole"))?;
            if epoch > self.last.0 {
                self.rows.clear();
                self.versions.clear();
                self.last = (epoch, 0);
            }
            assert_eq!(sequence, self.last.1 + 1, "{job} has a gap before {name}");
            self.last.1 = sequence;
            versions.into_iter().for_each(|version| self.apply(job, version));
        }
        Ok(())
    }

    fn apply(&mut self, job: &str, (branch, id, rest): Version) {
        let Some(rest) = rest else {
            self.rows.remove(&(branch, id));
            return;
        };
        let rowversion = rest.last().cloned().unwrap();
        let fresh = self.versions.insert((branch.clone(), id, rowversion));
        assert!(fresh || self.repeats, "{job}: a version of visit {id} came twice");
        self.rows.insert((branch, id), rest);
    }

    /// Equal to the table, or how many rows differ.
    pub fn compare(&self, table: &BTreeMap<(String, i32), Vec<String>>) -> Result<(), String> {
        let missing = table.iter().filter(|(key, row)| self.rows.get(*key) != Some(row)).count();
        let surplus = self.rows.keys().filter(|key| !table.contains_key(*key)).count();
        if missing + surplus == 0 { Ok(()) } else { Err(format!("{missing} missing, {surplus} surplus")) }
    }
}
