//! Waiting for a condition, with the last status in the failure.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Long enough for a busy two-core machine; a case that holds ends as soon as its condition does.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Asks `probe` again until it answers `Ok`.
///
/// # Errors
/// When `limit` has passed: `what` and the last status that `probe` gave.
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<T, String>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(status) if Instant::now() >= end => {
                bail!("gave up waiting for {what}; last status: {status}")
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(50);
