//! Whether others work on the server.
//!
//! `@@PACK_RECEIVED` is the number of packets that the server has read from the network since it began; its page
//! names no permission for it ("@@PACK_RECEIVED (Transact-SQL)"; SQL Server and Managed Instance). What it grew by beyond what this
//! process sent there is the work of others: of people before their screens, of the EHR's own services. Pure: the caller asks.

use std::time::{Duration, Instant};

/// What the server had received at a moment, and what of it this process had sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count {
    /// The moment.
    pub(super) at: Instant,
    /// Packets received, by the server's count of 32 bits, which begins anew.
    pub(super) received: i32,
    /// Packets sent by this process.
    pub(super) sent: u64,
}

/// Remembers when others worked last.
#[derive(Debug, Default)]
pub(super) struct Others {
    before: Option<Count>,
    seen: Option<Instant>,
}

impl Others {
    /// Takes a new count.
    pub(super) fn counted(&mut self, now: Count) {
        let Some(before) = self.before else {
            self.before = Some(now);
            return;
        };
        let passed = now.at.saturating_duration_since(before.at);
        let Ok(received) = u64::try_from(now.received.wrapping_sub(before.received)) else {
            // The server began anew, or another pass asked later and was answered sooner.
            self.before = Some(now);
            return;
        };
        if passed > FORGOTTEN {
            self.before = Some(now);
            return;
        }
        let theirs = received.saturating_sub(now.sent.saturating_sub(before.sent));
        if theirs >= FEWEST && theirs as f64 >= passed.as_secs_f64() * PACKETS_PER_SECOND {
            self.seen = Some(now.at);
        }
        if passed >= WINDOW {
            self.before = Some(now);
        }
    }

    /// True while others work: they did not long ago.
    pub(super) fn work(&self, now: Instant) -> bool {
        self.seen.is_some_and(|seen| now.saturating_duration_since(seen) < LINGER)
    }
}

/// A screen that opens is some dozens of packets, and a service that looks for news one in a second or two.
const PACKETS_PER_SECOND: f64 = 10.0;
/// What is on its way while the two counts are taken is no more than this.
const FEWEST: u64 = 5;
/// How long packets are counted before the count begins anew.
const WINDOW: Duration = Duration::from_secs(1);
/// What was counted in the pass ten minutes ago does not tell who works there now.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// Somebody who reads a screen comes back.
const LINGER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    /// Others that were asked about after so many milliseconds, with counts of the server and of this process.
    fn seen(counts: &[(u64, i32, u64)]) -> (Others, Instant) {
        let begun = Instant::now();
        let mut others = Others::default();
        for (millis, received, sent) in counts {
            let at = begun + Duration::from_millis(*millis);
            others.counted(Count { at, received: *received, sent: *sent });
        }
        (others, begun)
    }

    #[test]
    fn own_packets_are_nobody_elses() {
        for counts in [
            &[(0, 100, 0)][..],
            &[(0, 100, 7), (500, 600, 507), (1500, 1600, 1507)],
            // One at a time is a service that looks for news.
            &[(0, 100, 7), (1000, 105, 8), (2000, 112, 10)],
            // Few in a short time say nothing.
            &[(0, 100, 7), (10, 104, 7)],
        ] {
            let (others, begun) = seen(counts);
            assert!(!others.work(begun + Duration::from_secs(3)), "{counts:?}");
        }
    }

    #[test]
    fn others_are_seen_at_once_and_for_a_while() {
        let (others, begun) = seen(&[(0, 100, 7), (20, 140, 10)]);
        assert!(others.work(begun + Duration::from_millis(20)));
        assert!(others.work(begun + Duration::from_secs(10)));
        assert!(!others.work(begun + Duration::from_secs(11)));
        let (others, begun) = seen(&[(0, 100, 0), (900, 103, 0), (2900, 140, 0)]);
        assert!(others.work(begun + Duration::from_secs(4)), "more than ten a second over all that time");
    }

    #[test]
    fn the_servers_count_begins_anew() {
        let (others, begun) = seen(&[(0, i32::MAX - 2, 0), (1000, i32::MIN + 20, 0)]);
        assert!(others.work(begun + Duration::from_secs(1)));
        let (others, begun) = seen(&[(0, i32::MAX - 2, 0), (1000, i32::MIN + 2, 5)]);
        assert!(!others.work(begun + Duration::from_secs(1)));
        let (others, begun) = seen(&[(0, 90_000, 0), (1000, 12, 3), (1500, 15, 6)]);
        assert!(!others.work(begun + Duration::from_secs(1)), "a server that began anew is not busy");
    }

    #[test]
    fn what_was_counted_long_ago_says_nothing_of_now() {
        let (others, begun) = seen(&[(0, 100, 0), (600_000, 90_000, 5), (600_500, 90_004, 7)]);
        assert!(!others.work(begun + Duration::from_secs(601)));
        let (others, begun) = seen(&[(0, 100, 0), (600_000, 90_000, 5), (600_500, 90_104, 7)]);
        assert!(others.work(begun + Duration::from_secs(601)));
    }

    #[test]
    fn an_answer_that_came_late_counts_for_nothing() {
        let (others, begun) = seen(&[(0, 100, 0), (501, 140, 40), (500, 130, 30), (700, 150, 50)]);
        assert!(!others.work(begun + Duration::from_secs(1)));
    }
}
