//! A batch, its marks and the progress they stand for, on their way into the store.
//!
//! What is on its way is not in the store yet: whoever reads on meanwhile knows what comes after it, and nothing may be
//! recorded, nor the pass end, before it is done. Dropped, it is as if the process had died: the store has all of it or nothing.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use futures_util::future::BoxFuture;

use super::SyncError;
use super::reader::Tally;

/// What is being recorded, and goes on while it is polled.
pub(super) struct Recording<'r> {
    work: Option<BoxFuture<'r, Result<Tally, SyncError>>>,
    /// What came of it.
    done: Result<Tally, SyncError>,
}

impl<'r> Recording<'r> {
    /// Nothing is left to do.
    pub(super) fn nothing() -> Self {
        Self { work: None, done: Ok(Tally::default()) }
    }

    pub(super) fn of(work: impl Future<Output = Result<Tally, SyncError>> + Send + 'r) -> Self {
        Self { work: Some(Box::pin(work)), done: Ok(Tally::default()) }
    }

    /// Waits for something else; the recording goes on meanwhile.
    pub(super) async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        poll_fn(|cx| {
            if let Some(work) = &mut self.work
                && let Poll::Ready(done) = work.as_mut().poll(cx)
            {
                (self.work, self.done) = (None, done);
            }
            other.as_mut().poll(cx)
        })
        .await
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Why it failed, the first time this is asked.
    pub(super) async fn wait(&mut self) -> Result<(), SyncError> {
        if let Some(work) = &mut self.work {
            self.done = work.await;
            self.work = None;
        }
        match &mut self.done {
            Ok(_) => Ok(()),
            done @ Err(_) => std::mem::replace(done, Ok(Tally::default())).map(drop),
        }
    }

    /// Waits for its end and gives what was recorded.
    ///
    /// # Errors
    /// Why it failed, unless that was told before.
    pub(super) async fn finish(mut self) -> Result<Tally, SyncError> {
        self.wait().await?;
        self.done
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn one() -> Tally {
        Tally { batches: 1, ..Tally::default() }
    }

    #[tokio::test]
    async fn goes_on_while_something_else_is_waited_for() {
        let (asked, answer) = (oneshot::channel(), oneshot::channel());
        let mut recording = Recording::of(async move {
            asked.1.await.unwrap();
            answer.0.send(7).unwrap();
            Ok(one())
        });
        let other = async {
            asked.0.send(()).unwrap();
            answer.1.await.unwrap()
        };
        assert_eq!(recording.beside(other).await, 7);
        assert_eq!(recording.beside(async { 8 }).await, 8, "also when it is done");
        recording.wait().await.unwrap();
        assert_eq!(recording.finish().await.unwrap(), one());
    }

    #[tokio::test]
    async fn something_else_does_not_wait_for_it_and_its_end_is_waited_for_when_asked() {
        let (told, end) = oneshot::channel();
        let mut recording = Recording::of(async move {
            end.await.unwrap();
            Ok(one())
        });
        assert_eq!(recording.beside(async { 7 }).await, 7);
        let (recorded, sent) = tokio::join!(recording.finish(), async { told.send(()) });
        sent.unwrap();
        assert_eq!(recorded.unwrap(), one());
        assert_eq!(Recording::nothing().finish().await.unwrap(), Tally::default());
    }

    #[tokio::test]
    async fn its_error_is_told_once() {
        for is_polled_before in [true, false] {
            let mut recording = Recording::of(async { Err(SyncError::Stopped) });
            if is_polled_before {
                recording.beside(async {}).await;
            }
            assert!(matches!(recording.wait().await, Err(SyncError::Stopped)));
            assert_eq!(recording.finish().await.unwrap(), Tally::default());
        }
    }
}
