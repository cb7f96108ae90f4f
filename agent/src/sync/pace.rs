//! How many rows a page asks for: as many as the server gives quickly, so that no statement of ours is long on the EHR's
//! server. Pure: the caller measures.

use std::time::Duration;

/// The page size of one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    rows: u32,
    most: u32,
}

impl Pace {
    /// Begins at `most` rows or [`FIRST_ROWS`], whichever is less.
    pub fn new(most: u32) -> Self {
        Self { rows: most.min(FIRST_ROWS), most }
    }

    /// Rows for the next page.
    pub fn rows(self) -> u32 {
        self.rows
    }

    /// The pace after a page that took `elapsed`, among others who work on the server: as many rows as take [`SHORT_PAGE`].
    #[must_use]
    pub fn among_others(self, elapsed: Duration) -> Self {
        let fits = f64::from(self.rows) * SHORT_PAGE.as_secs_f64() / elapsed.as_secs_f64().max(f64::EPSILON);
        let rows = (fits as u32).min(self.rows.saturating_mul(2)).max(FEWEST_ROWS);
        Self { rows: rows.min(self.most), ..self }
    }

    /// The pace after a page that took `elapsed`: halved when that was long, doubled when it was short.
    #[must_use]
    pub fn after(self, elapsed: Duration) -> Self {
        let rows = if elapsed > LONG {
            (self.rows / 2).max(FEWEST_ROWS)
        } else if elapsed < SHORT {
            self.rows.saturating_mul(2)
        } else {
            self.rows
        };
        Self { rows: rows.min(self.most), ..self }
    }
}

/// What a page takes on this server and who works there is not known yet.
const FIRST_ROWS: u32 = 1000;
const FEWEST_ROWS: u32 = 500;
/// What one look-up of a screen takes: nobody waits for a page longer than for a colleague.
const SHORT_PAGE: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(2);
const SHORT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_pages_shrink_and_quick_ones_grow_up_to_the_declared_size() {
        let pace = Pace::new(50_000);
        assert_eq!(pace.rows(), 1000);
        assert_eq!(pace.after(Duration::from_millis(100)).after(Duration::from_millis(100)).rows(), 4000);
        let grown = (0..10).fold(pace, |pace, _| pace.after(Duration::ZERO));
        assert_eq!(grown.rows(), 50_000);
        let shrunk = (0..20).fold(grown, |pace, _| pace.after(Duration::from_secs(10)));
        assert_eq!(shrunk.rows(), 500);
        assert_eq!(pace.after(Duration::from_millis(1500)).rows(), 1000);
    }

    #[test]
    fn pages_among_others_are_short() {
        let pace = Pace { rows: 10_000, most: 50_000 };
        assert_eq!(pace.among_others(Duration::from_millis(40)).rows(), 5_000);
        assert_eq!(pace.among_others(Duration::from_millis(15)).rows(), 13_333);
        assert_eq!(pace.among_others(Duration::ZERO).rows(), 20_000, "no more than twice as many at once");
        assert_eq!(pace.among_others(Duration::from_secs(60)).rows(), 500);
        assert_eq!(Pace::new(10).among_others(Duration::from_secs(60)).rows(), 10);
    }

    #[test]
    fn a_small_declared_size_is_never_exceeded() {
        assert_eq!(Pace::new(10).after(Duration::from_secs(10)).rows(), 10);
        assert_eq!(Pace::new(10).after(Duration::ZERO).rows(), 10);
    }
}
