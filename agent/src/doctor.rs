//! `agent doctor`: whether this machine has what the agent needs, in words for the practice's IT person.
//!
//! Each check looks by itself and says what it saw, what that means and what to do; none changes anything. A check that does
//! not apply here says why. The same list answers `agent.doctor` for the operator.

use std::{fmt, time::Duration};

use serde::Serialize;
use states::{Map, Value};

use crate::config::Config;

mod files;
mod network;
mod sql;

/// How a check came out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works; somebody should look.
    Warning,
    /// The agent cannot work like this.
    Failed,
    /// It does not apply here.
    Skipped,
}

/// One check and what it saw.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What was seen, and what to do.
    pub text: String,
}

impl Finding {
    fn new(check: impl Into<String>, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { check: check.into(), verdict, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "WARNING",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "skipped",
        };
        write!(formatter, "{word:8} {}: {}", self.check, self.text)
    }
}

/// Runs every check. `pillar` holds connection options that the configuration does not.
pub async fn examine(config: &Config, pillar: &Value) -> Vec<Finding> {
    let (masters, https, sql) =
        tokio::join!(network::masters(config), network::https(config), sql::examine(config, pillar));
    let mut findings = masters;
    findings.push(https);
    findings.extend(sql);
    findings.extend(files::examine(config));
    findings
}

/// The findings as a return.
#[must_use]
pub fn shown(findings: &[Finding]) -> Value {
    let one = |finding: &Finding| -> Value { states::to_value(finding) };
    let worst = if is_well(findings) { "ok" } else { "failed" };
    let fields: [(&str, Value); 2] =
        [("verdict", worst.into()), ("checks", Value::List(findings.iter().map(one).collect()))];
    fields.into_iter().collect::<Map>().into()
}

/// Whether nothing failed.
#[must_use]
pub fn is_well(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.verdict != Verdict::Failed)
}

/// How long one connection may take.
const PATIENCE: Duration = Duration::from_secs(10);
