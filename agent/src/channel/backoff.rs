//! How long to wait before the next attempt: growth up to a ceiling, spread by chance.
//!
//! Pure: the chance comes in as a number between 0 and 1. A fleet that loses its master must not come back as one.

use std::time::Duration;

/// Ceiling for waits that Salt leaves without one.
const REFUSED_MAX: Duration = Duration::from_secs(300);

/// The shape of a series of waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub max: Duration,
    /// How a wait grows from one attempt to the next.
    pub growth: Growth,
}

/// How a wait grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// By `first` each time, as Salt's `acceptance_wait_time`.
    Steps,
    /// Twofold each time.
    Doubling,
}

/// Counts attempts and gives the wait after each.
#[derive(Clone, Debug)]
pub struct Backoff {
    waits: Waits,
    attempts: u32,
}

impl Waits {
    /// The same series for a master that refuses: it goes on growing, so that nobody is hammered for days.
    #[must_use]
    pub fn for_refusals(self) -> Self {
        Self { max: self.max.max(REFUSED_MAX), growth: Growth::Doubling, ..self }
    }
}

impl Backoff {
    /// Starts at the first wait.
    #[must_use]
    pub fn new(waits: Waits) -> Self {
        Self { waits, attempts: 0 }
    }

    /// Starts anew, after a success.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The wait after a failed attempt; `chance` from 0 to 1 takes it down by up to a half.
    pub fn next(&mut self, chance: f64) -> Duration {
        let factor = match self.waits.growth {
            Growth::Steps => self.attempts.saturating_add(1),
            Growth::Doubling => 1 << self.attempts.min(20),
        };
        self.attempts = self.attempts.saturating_add(1);
        let full = self.waits.first.saturating_mul(factor).min(self.waits.max.max(self.waits.first));
        full.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(waits: Waits, chance: f64) -> Vec<f64> {
        let mut backoff = Backoff::new(waits);
        (0..5).map(|_| backoff.next(chance).as_secs_f64()).collect()
    }

    #[test]
    fn doubles_up_to_the_ceiling() {
        let waits =
            Waits { first: Duration::from_secs(1), max: Duration::from_secs(10), growth: Growth::Doubling };
        assert_eq!(seconds(waits, 0.0), [1.0, 2.0, 4.0, 8.0, 10.0]);
        assert_eq!(seconds(waits, 1.0), [0.5, 1.0, 2.0, 4.0, 5.0]);
    }

    #[test]
    fn grows_by_steps_as_salt_does_and_stays_without_a_ceiling() {
        let step = Duration::from_secs(10);
        let waits = Waits { first: step, max: step * 3, growth: Growth::Steps };
        assert_eq!(seconds(waits, 0.0), [10.0, 20.0, 30.0, 30.0, 30.0]);
        assert_eq!(seconds(Waits { max: Duration::ZERO, ..waits }, 0.0), [10.0; 5]);
    }

    #[test]
    fn refusals_grow_to_minutes_whatever_is_configured() {
        let step = Duration::from_secs(10);
        let waits = Waits { first: step, max: Duration::ZERO, growth: Growth::Steps }.for_refusals();
        assert_eq!(seconds(waits, 0.0), [10.0, 20.0, 40.0, 80.0, 160.0]);
        let mut backoff = Backoff::new(waits);
        assert_eq!((0..100).map(|_| backoff.next(0.0)).last(), Some(REFUSED_MAX));
    }

    #[test]
    fn starts_anew_after_a_success() {
        let first = Duration::from_secs(1);
        let mut backoff = Backoff::new(Waits { first, max: first * 60, growth: Growth::Doubling });
        backoff.next(0.0);
        backoff.next(0.0);
        backoff.reset();
        assert_eq!(backoff.next(0.0), first);
    }
}
