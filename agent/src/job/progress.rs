//! Progress of a function that takes long: told while it runs, as events of its job.
//!
//! Tag and shape are those of Salt's generator functions (`salt/minion.py`, `_thread_return`):
//! `salt/job/<jid>/prog/<id>/<n>` with `{"return": ..}`. A function without a job, and one without a master, tell nobody.

use std::time::Duration;

use states::{Map, Value};

use crate::modules::CallContext;

/// How often a long function tells of its progress.
pub const EVERY: Duration = Duration::from_secs(10);

/// Waits for `work`, and meanwhile has `tell` called with 0, 1, 2 .. each time `every` has passed.
pub async fn while_telling<T, F>(
    work: impl Future<Output = T>,
    every: Duration,
    mut tell: impl FnMut(u32) -> F,
) -> T
where
    F: Future<Output = ()>,
{
    tokio::pin!(work);
    let mut number = 0;
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(every) => {}
        }
        // The work goes on while the telling waits for its own answers.
        tokio::select! {
            done = &mut work => return done,
            () = tell(number) => number += 1,
        }
    }
}

/// Fires the `number`th progress event of the job that `call` belongs to.
pub async fn fire(call: &CallContext, number: u32, value: Value) {
    let Some(jid) = call.jid.as_deref().filter(|_| !call.services.config.local) else { return };
    let tag = format!("salt/job/{jid}/prog/{}/{number}", call.services.config.id);
    let data: Map = [("return", value)].into_iter().collect();
    if let Err(error) = call.services.link.fire_job_event(jid, &tag, proto::to_value(&data)).await {
        tracing::debug!(tag, %error, "a progress event could not be sent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_while_the_work_goes_on_and_not_after() {
        let (enough, told) = (tokio::sync::Notify::new(), std::sync::Mutex::new(Vec::new()));
        let work = async {
            enough.notified().await;
            "done"
        };
        let tell = |number| {
            told.lock().unwrap().push(number);
            if number == 2 {
                enough.notify_one();
            }
            std::future::ready(())
        };
        assert_eq!(while_telling(work, Duration::from_millis(1), tell).await, "done");
        let told = told.into_inner().unwrap();
        assert!(told.starts_with(&[0, 1, 2]), "{told:?}");
    }

    #[tokio::test]
    async fn short_work_is_told_of_by_its_return_alone() {
        let tell = |number| {
            assert_eq!(number, u32::MAX, "told");
            std::future::ready(())
        };
        assert_eq!(while_telling(std::future::ready(7), Duration::from_secs(3600), tell).await, 7);
    }
}
