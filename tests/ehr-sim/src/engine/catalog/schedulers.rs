//! Schedulers: one for each processor of this machine, since that is what requests here run on.
//!
//! The machine's own scheduler does not say which request waits for a processor. What can be said is how many requests run
//! (they wait for no lock, disk, client or delay); those beyond one for each processor are the ones that wait for it. Both are
//! dealt over the schedulers in turn. Schedulers of the server's own work, hidden in SQL Server, are not here.
//!
//! Facts: "sys.dm_os_schedulers" (needs VIEW SERVER STATE).

use std::sync::Arc;
use std::thread;

use super::{Definition, TEXT60, bit, int, require_server, row, text_value};
use crate::engine::exec::Exec;
use crate::engine::message::Result;
use crate::engine::storage::database::Database;
use crate::types::{Datum, Row, SqlType};

const INT: SqlType = SqlType::Int;

pub const VIEWS: &[Definition] = &[Definition {
    name: "dm_os_schedulers",
    columns: &[
        ("parent_node_id", INT),
        ("scheduler_id", INT),
        ("cpu_id", SqlType::SmallInt),
        ("status", TEXT60),
        ("is_online", SqlType::Bit),
        ("is_idle", SqlType::Bit),
        ("current_tasks_count", INT),
        ("runnable_tasks_count", INT),
    ],
    make: schedulers,
}];

fn schedulers(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    require_server(exec, "VIEW SERVER STATE")?;
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let tasks = super::sessions::tasks(exec);
    let one = |at: usize| {
        let running = share(tasks.running, processors, at);
        row([
            int(0),
            int(at as i32),
            Datum::SmallInt(at as i16),
            text_value("VISIBLE ONLINE"),
            bit(true),
            bit(running == 0),
            int(share(tasks.running + tasks.waiting, processors, at) as i32),
            int(running.saturating_sub(1) as i32),
        ])
    };
    Ok((0..processors).map(one).collect())
}

/// What the scheduler at `at` gets of `tasks` dealt in turn.
fn share(tasks: usize, processors: usize, at: usize) -> usize {
    tasks / processors + usize::from(at < tasks % processors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_beyond_one_for_each_processor_waits() {
        for (tasks, waiting) in [(0, 0), (1, 0), (2, 0), (3, 1), (9, 7)] {
            let shares = (0..2).map(|at| share(tasks, 2, at));
            assert_eq!(shares.clone().sum::<usize>(), tasks);
            assert_eq!(shares.map(|share| share.saturating_sub(1)).sum::<usize>(), waiting);
        }
    }
}
