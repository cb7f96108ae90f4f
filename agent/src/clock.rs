//! Sleep of this machine and jumps of its clock, found by comparing what passed with what should have.
//!
//! A connection that was open before may be dead without anybody having said so, so both channels are asked for a sign of
//! life at once; a job that waits for a time of day looks again how long that is. Waits are measured on the monotonic clock,
//! which a jump does not touch.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

/// How often to look.
const LOOK: Duration = Duration::from_secs(5);
/// A difference that a busy machine does not make.
const JUMP: Duration = Duration::from_secs(10);

/// Waits until the machine slept or its clock was set; gives by how much the time jumped.
pub async fn jumped() -> Duration {
    loop {
        let (wall, steady) = (SystemTime::now(), Instant::now());
        sleep(LOOK).await;
        if let Some(jump) = jump(wall, SystemTime::now(), steady.elapsed()) {
            return jump;
        }
    }
}

/// The jump between two looks that should lie [`LOOK`] apart, when there is one.
fn jump(before: SystemTime, after: SystemTime, steady: Duration) -> Option<Duration> {
    let wall = match after.duration_since(before) {
        Ok(forward) => forward.abs_diff(LOOK),
        Err(backward) => backward.duration() + LOOK,
    };
    Some(wall.max(steady.saturating_sub(LOOK))).filter(|jump| *jump > JUMP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_sleep_and_a_set_clock_from_a_busy_machine() {
        let (start, second) =
            (SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000), Duration::from_secs(1));
        assert_eq!(jump(start, start + second * 5, second * 5), None);
        assert_eq!(jump(start, start + second * 12, second * 12), None, "a busy machine");
        assert_eq!(jump(start, start + second * 3605, second * 5), Some(second * 3600), "slept");
        assert_eq!(jump(start, start - second * 60, second * 5), Some(second * 65), "set back");
        assert_eq!(jump(start, start + second * 65, second * 65), Some(second * 60), "stood still");
    }
}
