//! SQL Server: the login that the configuration or the pillar names, and the two clocks against each other.

use std::time::{SystemTime, UNIX_EPOCH};

use states::{Map, Value};

use super::{Finding, Verdict};
use crate::{
    config::Config,
    mssql::{Session, arguments::OptionSources},
};

/// Logs in and compares the clocks.
pub(super) async fn examine(config: &Config, pillar: &Value) -> Vec<Finding> {
    let none = Map::new();
    let sources = OptionSources { arguments: &none, opts: &config.opts, pillar, taken: &[] };
    if sources.text("server").is_none() {
        let text = "neither the configuration nor the pillar names mssql.server";
        return vec![Finding::new("sql server", Verdict::Skipped, text), clock(None)];
    }
    let options = match sources.connection() {
        Ok(options) => options,
        Err(error) => {
            return vec![Finding::new("sql server", Verdict::Failed, error.to_string()), clock(None)];
        }
    };
    let check = format!("sql server {}", options.server);
    let mut session = match Session::connect(&options).await {
        Ok(session) => session,
        Err(error) => return vec![Finding::new(check, Verdict::Failed, error.to_string()), clock(None)],
    };
    let seconds = seconds_since_1970(&mut session).await;
    session.close().await;
    vec![Finding::new(check, Verdict::Ok, format!("logged in as {}", options.user)), clock(seconds)]
}

async fn seconds_since_1970(session: &mut Session) -> Option<i64> {
    let sql = "SELECT DATEDIFF(second, '2020-01-01', GETUTCDATE())";
    let rows = session.batch(sql).await.ok()?.into_iter().next()?;
    let seconds: i32 = rows.first()?.try_get(0).ok()??;
    Some(i64::from(seconds) + SECONDS_TO_2020)
}

/// Judges this machine's clock by the server's, or by reason alone.
fn clock(server: Option<i64>) -> Finding {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    if now < SECONDS_TO_2020 {
        let text = "this machine's clock is years behind: set it, or nothing that is signed is believed";
        return Finding::new("clock", Verdict::Failed, text);
    }
    match server.map(|server| now - server) {
        None => Finding::new(
            "clock",
            Verdict::Skipped,
            "there is no SQL Server to compare this machine's clock with",
        ),
        Some(ahead) if ahead.abs() <= MOST_SECONDS => {
            Finding::new("clock", Verdict::Ok, format!("{ahead} s from SQL Server's"))
        }
        Some(ahead) => Finding::new(
            "clock",
            Verdict::Warning,
            format!("{ahead} s from SQL Server's: let both machines take the time from the domain"),
        ),
    }
}

const SECONDS_TO_2020: i64 = 1_577_836_800;
const MOST_SECONDS: i64 = 60;
