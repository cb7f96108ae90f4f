//! Judges a child by what it says and when: pure, the clock is an argument.
//!
//! A gap between two looks that is far longer than the pause between them means that the machine slept, which is nobody's
//! fault: all limits are moved by it.

use std::time::Duration;

/// The watch over one run of a child.
#[derive(Debug)]
pub(super) struct Vigil {
    silence: Duration,
    deadline: Option<Duration>,
    heard: Duration,
    looked: Duration,
    slept: Duration,
    stage: String,
    proved: bool,
}

/// What a line means.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Heard {
    /// It lives.
    Alive,
    /// It has proved itself.
    Confirm,
}

impl Vigil {
    /// A child that may be silent for `silence`, and must be confirmed before `deadline` when there is one.
    pub(super) fn new(silence: Duration, deadline: Option<Duration>) -> Self {
        let zero = Duration::ZERO;
        Self {
            silence,
            deadline,
            heard: zero,
            looked: zero,
            slept: zero,
            stage: String::new(),
            proved: false,
        }
    }

    /// Takes a line of the child.
    pub(super) fn hear(&mut self, line: &str, now: Duration) -> Heard {
        self.heard = now;
        if let Some(stage) = line.strip_prefix("stage ") {
            self.stage = stage.chars().take(LONGEST_STAGE).collect();
        }
        if line == "confirm" && self.deadline.is_some() { Heard::Confirm } else { Heard::Alive }
    }

    /// Whether it has lived for `proof` and spoken; true once.
    pub(super) fn lives(&mut self, now: Duration, proof: Duration) -> bool {
        let lives = !self.proved && !self.heard.is_zero() && now >= proof;
        self.proved |= lives;
        lives
    }

    /// The trial is over; only silence counts.
    pub(super) fn confirmed(&mut self) {
        self.deadline = None;
        self.stage.clear();
    }

    /// What a trial waited for last, as the end of a sentence.
    pub(super) fn stage(&self) -> String {
        if self.stage.is_empty() || self.deadline.is_none() {
            String::new()
        } else {
            format!("; {}", self.stage)
        }
    }

    /// What is wrong at `now`, if anything.
    pub(super) fn judge(&mut self, now: Duration) -> Option<String> {
        let gap = now.saturating_sub(self.looked);
        self.looked = now;
        if gap > SLEPT {
            self.slept += gap;
            self.heard = now;
        }
        if now.saturating_sub(self.heard) > self.silence {
            return Some(format!(
                "hung: it said nothing for {} s and was ended{}",
                self.silence.as_secs(),
                self.stage()
            ));
        }
        let deadline = self.deadline?;
        (now.saturating_sub(self.slept) > deadline)
            .then(|| format!("did not prove itself within {} s{}", deadline.as_secs(), self.stage()))
    }
}

/// A look that comes this late comes after a sleep of the machine.
const SLEPT: Duration = Duration::from_secs(15);
const LONGEST_STAGE: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Looks every second up to `until`.
    fn look(vigil: &mut Vigil, from: u64, until: u64) -> Option<String> {
        (from..=until).find_map(|now| vigil.judge(secs(now)))
    }

    #[test]
    fn silence_is_a_hang() {
        let mut vigil = Vigil::new(secs(30), None);
        assert_eq!(look(&mut vigil, 0, 30), None);
        assert_eq!(vigil.hear("alive", secs(30)), Heard::Alive);
        assert_eq!(look(&mut vigil, 31, 60), None);
        assert!(look(&mut vigil, 61, 61).unwrap().contains("said nothing for 30 s"));
    }

    #[test]
    fn a_late_trial_says_what_it_waited_for() {
        let mut vigil = Vigil::new(secs(30), Some(secs(60)));
        for now in 0..=60 {
            vigil.hear("stage SQL Server refuses the login", secs(now));
            assert_eq!(vigil.judge(secs(now)), None);
        }
        let why = vigil.judge(secs(61)).unwrap();
        assert!(why.contains("within 60 s; SQL Server refuses the login"), "{why}");
    }

    #[test]
    fn a_child_that_lived_and_spoke_is_told_once() {
        let mut vigil = Vigil::new(secs(30), None);
        assert!(!vigil.lives(secs(21), secs(20)), "it said nothing");
        vigil.hear("alive", secs(5));
        assert!(!vigil.lives(secs(19), secs(20)));
        assert!(vigil.lives(secs(20), secs(20)) && !vigil.lives(secs(21), secs(20)));
    }

    #[test]
    fn a_confirmed_child_has_no_deadline() {
        let mut vigil = Vigil::new(secs(30), Some(secs(10)));
        assert_eq!(vigil.hear("confirm", secs(9)), Heard::Confirm);
        vigil.confirmed();
        assert_eq!(look(&mut vigil, 9, 35), None);
        assert_eq!(vigil.hear("confirm", secs(35)), Heard::Alive);
    }

    #[test]
    fn a_night_asleep_is_not_a_hang_and_not_lateness() {
        let mut vigil = Vigil::new(secs(30), Some(secs(60)));
        assert_eq!(look(&mut vigil, 0, 10), None);
        assert_eq!(vigil.judge(secs(40_000)), None);
        vigil.hear("alive", secs(40_010));
        assert_eq!(look(&mut vigil, 40_010, 40_040), None);
        vigil.hear("alive", secs(40_040));
        assert!(look(&mut vigil, 40_041, 40_060).unwrap().contains("within 60 s"));
    }
}
