//! Saying that a case cannot run here.
//!
//! The line goes to the real standard error, past libtest's capture, so that `tests/run` can count it. In CI (`CI=true`)
//! a case that needs real Salt must run: there a skip is a failure.

use std::io::Write;

use anyhow::{Result, bail};

/// Prints `SKIPPED name: why`.
///
/// # Errors
/// Under `CI=true`.
pub fn skipped(name: &str, why: &str) -> Result<()> {
    let line = format!("SKIPPED {name}: {why}\n");
    std::io::stderr().write_all(line.as_bytes())?;
    if std::env::var("CI").is_ok_and(|ci| ci == "true") {
        bail!("{name} must run in CI: {why}");
    }
    Ok(())
}
