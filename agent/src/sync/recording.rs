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
