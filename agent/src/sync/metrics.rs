//! The jobs' figures in Prometheus' text format.
//!
//! Facts: prometheus.io, "Exposition formats", version 0.0.4. Nothing is served: whoever asks gets the text.

use std::fmt::Write;
use std::time::SystemTime;

use super::governor::Cost;
use super::scheduler::JobStatus;

/// The figures of `jobs` as of `now`.
#[must_use]
pub fn text(jobs: &[JobStatus], now: SystemTime) -> String {
    let mut text = String::new();
    for Figure { name, kind, help, of } in FIGURES {
        let mut lines = String::new();
        for job in jobs {
            if let Some(value) = of(job, now) {
                let labels = labels(job);
                // Writing to a String cannot fail.
                let _ = writeln!(lines, "{name}{{{labels}}} {value}");
            }
        }
        if !lines.is_empty() {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
        }
    }
    text
}

struct Figure {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    of: fn(&JobStatus, SystemTime) -> Option<u64>,
}

const FIGURES: &[Figure] = &[
    Figure {
        name: "agent_sync_data_age_seconds",
        kind: "gauge",
        help: "Age of the job's data: what was committed before is read.",
        of: |job, now| job.note.age(now).map(|age| age.as_secs()),
    },
    Figure {
        name: "agent_sync_failed",
        kind: "gauge",
        help: "1 when the job's last pass failed.",
        of: |job, _| Some(u64::from(job.note.error.is_some())),
    },
    Figure {
        name: "agent_sync_behind",
        kind: "gauge",
        help: "1 when something keeps the job's data from being fresher.",
        of: |job, _| Some(u64::from(job.note.cause().is_some())),
    },
    Figure {
        name: "agent_sync_pass_rows_read",
        kind: "gauge",
        help: "Rows that the job's last good pass read from the server.",
        of: |job, _| Some(job.note.read),
    },
    Figure {
        name: "agent_sync_pass_milliseconds",
        kind: "gauge",
        help: "How long the job's last good pass took.",
        of: |job, _| Some(job.note.took_ms),
    },
    Figure {
        name: "agent_sync_pass_milliseconds_left_to_others",
        kind: "gauge",
        help: "How long of its last good pass the job left the server to others who worked on it.",
        of: |job, _| Some(job.note.rested_ms),
    },
    Figure {
        name: "agent_sync_pass_server_cpu_milliseconds",
        kind: "gauge",
        help: "Processor time that the job's last pass took of the server.",
        of: |job, _| whole_cost(job)?.cpu_ms,
    },
    Figure {
        name: "agent_sync_pass_server_logical_reads",
        kind: "gauge",
        help: "Pages of 8 KB that the job's last pass read from the server's memory.",
        of: |job, _| whole_cost(job)?.logical_reads,
    },
    Figure {
        name: "agent_sync_pass_lock_waits",
        kind: "gauge",
        help: "How often the job's last pass waited for a lock.",
        of: |job, _| whole_cost(job)?.lock_waits,
    },
    Figure {
        name: "agent_sync_pass_lock_wait_milliseconds",
        kind: "gauge",
        help: "How long the job's last pass waited for locks.",
        of: |job, _| whole_cost(job)?.lock_wait_ms,
    },
    Figure {
        name: "agent_sync_delivered_rows",
        kind: "counter",
        help: "Rows that the sink took in the job's epoch.",
        of: |job, _| Some(job.state.delivered_rows),
    },
    Figure {
        name: "agent_sync_delivered_batches",
        kind: "counter",
        help: "Batches that the sink took in the job's epoch.",
        of: |job, _| Some(job.state.delivered_batches),
    },
    Figure {
        name: "agent_sync_spool_batches",
        kind: "gauge",
        help: "Batches of the job that wait for the sink.",
        of: |job, _| Some(job.spool.batches),
    },
    Figure {
        name: "agent_sync_spool_bytes",
        kind: "gauge",
        help: "Bytes of the job that wait for the sink.",
        of: |job, _| Some(job.spool.bytes),
    },
];

/// Figures of a part of a pass would look like those of a cheap one.
fn whole_cost(job: &JobStatus) -> Option<Cost> {
    job.note.cost.filter(|cost| !cost.partial)
}

fn labels(job: &JobStatus) -> String {
    let spec = &job.state.spec;
    format!(
        "job=\"{}\",database=\"{}\",table=\"{}\"",
        escaped(spec.name.as_str()),
        escaped(&spec.connection.database),
        escaped(&spec.table.to_string())
    )
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_cannot_end_their_own_quotes() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
