//! Unmodified salt-masters of three series drive the agent.
//!
//! A case is a function of a series; `each_series!` makes a test of it per series. The cases of a series share one master
//! unless they stop it or change its keys, and each starts a minion of its own. With `SUT=salt-minion` the same cases run
//! against an unmodified salt-minion, which shows that they ask for what Salt does.

use anyhow::Result;
use tests::{
    salt::{SaltMaster, Series},
    skip::skipped,
};

mod batches;
mod calls;
mod files;
mod halts;
mod idle;
mod jobs;
mod keys;
mod masters;
mod pauses;
mod releases;
mod rollout;
mod rotation;
mod sql;
mod states;
mod surface;
mod two_masters;
mod writes;

/// Makes a test per series of each named case: `fn(&SaltMaster) -> Result<()>`.
macro_rules! each_series {
    ($($case:ident),+ $(,)?) => {
        mod s3006 { $(#[test] fn $case() -> Result<(), crate::Failure> { crate::on_shared(tests::salt::Series::S3006, stringify!($case), super::$case) })+ }
        mod s3007 { $(#[test] fn $case() -> Result<(), crate::Failure> { crate::on_shared(tests::salt::Series::S3007, stringify!($case), super::$case) })+ }
        mod s3008 { $(#[test] fn $case() -> Result<(), crate::Failure> { crate::on_shared(tests::salt::Series::S3008, stringify!($case), super::$case) })+ }
    };
}
pub(crate) use each_series;

fn on_shared(series: Series, name: &str, case: fn(&SaltMaster) -> Result<()>) -> Result<(), Failure> {
    match series.installed() {
        Ok(()) => SaltMaster::shared(series).and_then(case).map_err(|error| Failure(format!("{error:#}"))),
        Err(why) => skipped(&format!("interop {name}"), &why).map_err(|error| Failure(error.to_string())),
    }
}

/// What went wrong, printed by the test runner as plain text.
struct Failure(String);

impl std::fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}
