//! How long a sink keeps the batches of an epoch that a newer one has replaced.
//!
//! Nothing of the newest epoch that is whole at the sink is ever removed, nor of one that is still being delivered; a newer
//! one replaces it only when all of its snapshot has arrived.

use serde::{Deserialize, Serialize};

/// What is kept of replaced epochs; where both are given, whatever either keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// So many of the last ones.
    pub epochs: Option<u64>,
    /// Those that were replaced in the last so many days.
    pub days: Option<u64>,
}

impl Retention {
    /// The epochs that are kept no longer, of `there` in any order. `whole` is the newest that arrived wholly; epochs are
    /// numbered by the second in which they began.
    #[must_use]
    pub fn outlived(self, there: &[u64], whole: u64, now: u64) -> Vec<u64> {
        let mut replaced: Vec<u64> = there.iter().copied().filter(|epoch| *epoch < whole).collect();
        replaced.sort_unstable_by(|one, other| other.cmp(one));
        replaced.dedup();
        let mut outlived = Vec::new();
        let (mut replaced_at, mut newer) = (whole, 0u64);
        for epoch in replaced {
            let kept_by_number = self.epochs.is_some_and(|epochs| newer < epochs);
            let kept_by_age =
                self.days.is_some_and(|days| now.saturating_sub(replaced_at) < days.saturating_mul(DAY));
            if !kept_by_number && !kept_by_age {
                outlived.push(epoch);
            }
            (replaced_at, newer) = (epoch, newer + 1);
        }
        outlived
    }

    /// As changes show it.
    #[must_use]
    pub fn shown(self) -> String {
        let part = |number: Option<u64>, what: &str| number.map(|number| format!("{number} {what}"));
        let parts: Vec<String> =
            part(self.epochs, "epochs").into_iter().chain(part(self.days, "days")).collect();
        parts.join(", ")
    }
}

const DAY: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: &[u64] = &[3 * DAY, DAY, 2 * DAY, 9 * DAY, 10 * DAY];

    fn outlived(epochs: Option<u64>, days: Option<u64>, whole: u64) -> Vec<u64> {
        Retention { epochs, days }.outlived(THERE, whole, 10 * DAY).into_iter().map(|at| at / DAY).collect()
    }

    #[test]
    fn the_newest_whole_epoch_and_what_comes_after_it_stay() {
        assert_eq!(outlived(Some(0), None, 9 * DAY), [3, 2, 1]);
        assert_eq!(outlived(Some(0), None, DAY), [0; 0]);
        assert_eq!(outlived(Some(2), None, 9 * DAY), [1]);
    }

    #[test]
    fn days_count_from_when_the_next_epoch_began_and_the_longer_rule_wins() {
        assert_eq!(
            outlived(None, Some(7), 9 * DAY),
            [2, 1],
            "3 was replaced by 9 a day ago, 2 by 3 seven days ago"
        );
        assert_eq!(outlived(Some(2), Some(1), 9 * DAY), [1]);
        assert_eq!(outlived(Some(0), Some(100), 9 * DAY), [0; 0]);
    }
}
