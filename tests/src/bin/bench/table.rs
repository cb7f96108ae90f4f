//! Prints the figures, each beside its ratio to Salt's own minion.

use std::io::{self, Write};

use serde_json::json;
use tests::salt::Series;

use crate::{measure::Figures, writes::Latency};

/// One line to standard output.
pub fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// The table, or one JSON object.
pub fn print(series: Series, figures: &[Figures], as_json: bool) -> io::Result<()> {
    if as_json {
        let peers: Vec<_> = figures.iter().map(one).collect();
        return say(&json!({ "series": series.version(), "peers": peers }).to_string());
    }
    let (Some(first), Some(salt)) = (figures.first(), figures.last()) else { return Ok(()) };
    say(&format!("master: salt-master {}; xN: times better than its own minion", series.version()))?;
    let width = figures.iter().map(|peer| peer.peer.len()).max().unwrap_or(first.peer.len());
    say(&format!(
        "{:width$}  {:>15}  {:>16}  {:>16}  {:>16}  {:>16}  {:>16}",
        "", "first ping", "idle memory", "ping p50", "ping p95", "100 states", "100 jobs at once"
    ))?;
    for peer in figures {
        let cells = [
            cell(peer.first_ping, salt.first_ping, "s", 15),
            cell(peer.idle_megabytes, salt.idle_megabytes, "MB", 16),
            cell(Some(peer.ping_p50), Some(salt.ping_p50), "ms", 16),
            cell(Some(peer.ping_p95), Some(salt.ping_p95), "ms", 16),
            cell(peer.states, salt.states, "s", 16),
            format!("{:>16}", format!("{}/s x{:.1}", digits(peer.burst), peer.burst / salt.burst)),
        ];
        say(&format!("{:width$}  {}", peer.peer, cells.join("  ")))?;
    }
    Ok(())
}

/// Latencies in milliseconds.
pub fn print_latencies(figures: &[Latency], as_json: bool) -> io::Result<()> {
    if as_json {
        let one = |figure: &Latency| json!({ "what": figure.what, "count": figure.count, "p50_ms": figure.p50, "p99_ms": figure.p99 });
        return say(&json!(figures.iter().map(one).collect::<Vec<_>>()).to_string());
    }
    let width = figures.iter().map(|figure| figure.what.chars().count()).max().unwrap_or_default();
    say(&format!("{:width$}  {:>6}  {:>10}  {:>10}", "", "count", "p50", "p99"))?;
    for figure in figures {
        let (p50, p99) = (format!("{:.2} ms", figure.p50), format!("{:.2} ms", figure.p99));
        say(&format!("{:width$}  {:>6}  {p50:>10}  {p99:>10}", figure.what, figure.count))?;
    }
    Ok(())
}

fn cell(value: Option<f64>, salt: Option<f64>, unit: &str, width: usize) -> String {
    let text = match (value, salt) {
        (Some(value), Some(salt)) if value > 0.0 => format!("{} {unit} x{:.1}", digits(value), salt / value),
        (Some(value), _) => format!("{} {unit}", digits(value)),
        (None, _) => "-".to_owned(),
    };
    format!("{text:>width$}")
}

fn digits(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn one(peer: &Figures) -> serde_json::Value {
    json!({
        "peer": peer.peer, "first_ping_s": peer.first_ping, "idle_pss_mb": peer.idle_megabytes,
        "ping_p50_ms": peer.ping_p50, "ping_p95_ms": peer.ping_p95, "hundred_states_s": peer.states,
        "burst_returns_per_s": peer.burst,
    })
}
