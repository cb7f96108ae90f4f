//! The state slot: at most one `state.*` run at a time.
//!
//! A second run is refused with Salt's own sentence, or waits its turn (first come, first served) when it was
//! asked to queue and not too many wait already.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Who holds the slot.
#[derive(Clone, Debug, PartialEq)]
pub struct StateHolder {
    /// The function, `state.apply`.
    pub fun: String,
    /// Its jid.
    pub jid: String,
}

impl StateHolder {
    /// Salt's sentence about a run in progress.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "The function \"{}\" is running as PID {} and was started at {} with jid {}",
            self.fun,
            std::process::id(),
            started(&self.jid),
            self.jid
        )
    }
}

/// The slot.
#[derive(Debug)]
pub struct StateSlot {
    free: Semaphore,
    holder: Mutex<Option<StateHolder>>,
    waiting: AtomicUsize,
}

/// What a second run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queueing {
    /// It is refused (`queue=False`).
    Refused,
    /// It waits (`queue=True`).
    Wait,
    /// It waits when fewer than so many run or wait before it (`queue=N`).
    Within(usize),
}

impl Default for StateSlot {
    fn default() -> Self {
        Self { free: Semaphore::new(1), holder: Mutex::new(None), waiting: AtomicUsize::new(0) }
    }
}

/// The right to run states; given back on drop.
#[derive(Debug)]
pub struct StateTurn<'s> {
    slot: &'s StateSlot,
    _permit: SemaphorePermit<'s>,
}

impl StateSlot {
    /// Takes the slot, or says who has it.
    ///
    /// # Errors
    /// The holder.
    pub fn take(&self, wanted: StateHolder) -> Result<StateTurn<'_>, StateHolder> {
        match self.free.try_acquire() {
            Ok(permit) => Ok(self.hold(permit, wanted)),
            Err(_) => {
                Err(self.holder.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or(wanted))
            }
        }
    }

    /// Takes the slot, now or when it is this run's turn, as `queueing` says.
    ///
    /// # Errors
    /// The holder, when this run may not wait.
    pub async fn enter(&self, wanted: StateHolder, queueing: Queueing) -> Result<StateTurn<'_>, StateHolder> {
        let before = self.waiting.load(Ordering::SeqCst) + 1;
        let waits = match queueing {
            Queueing::Refused => false,
            Queueing::Wait => true,
            Queueing::Within(most) => before < most,
        };
        if !waits {
            return self.take(wanted);
        }
        let counted = Counted::of(&self.waiting);
        let permit = self.free.acquire().await.map_err(|_closed| wanted.clone())?;
        drop(counted);
        Ok(self.hold(permit, wanted))
    }

    /// Who holds the slot.
    #[must_use]
    pub fn holder(&self) -> Option<StateHolder> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold<'s>(&'s self, permit: SemaphorePermit<'s>, wanted: StateHolder) -> StateTurn<'s> {
        *self.holder.lock().unwrap_or_else(PoisonError::into_inner) = Some(wanted);
        StateTurn { slot: self, _permit: permit }
    }
}

impl Drop for StateTurn<'_> {
    fn drop(&mut self) {
        *self.slot.holder.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// One of the runs that wait, also when it is killed meanwhile.
struct Counted<'w>(&'w AtomicUsize);

impl<'w> Counted<'w> {
    fn of(waiting: &'w AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A jid as a point in time, as Salt's `jid_to_time` writes it.
fn started(jid: &str) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let part = |from: usize, to: usize| jid.get(from..to).unwrap_or_default();
    let month = part(4, 6).parse::<usize>().ok().and_then(|number| MONTHS.get(number.checked_sub(1)?));
    let Some(month) = month.filter(|_| jid.len() == 20) else { return String::new() };
    format!(
        "{}, {month} {} {}:{}:{}.{}",
        part(0, 4),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14),
        part(14, 20)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(jid: &str) -> StateHolder {
        StateHolder { fun: "state.apply".to_owned(), jid: jid.to_owned() }
    }

    #[test]
    fn a_second_run_is_told_who_runs() {
        let slot = StateSlot::default();
        let turn = slot.take(holder("20261122104500123456")).unwrap();
        let told = slot.take(holder("20261122104501000000")).unwrap_err();
        let sentence = told.sentence();
        assert!(sentence.starts_with("The function \"state.apply\" is running as PID "), "{sentence}");
        let end = "and was started at 2026, Nov 22 10:45:00.123456 with jid 20261122104500123456";
        assert!(sentence.ends_with(end), "{sentence}");
        drop(turn);
        assert!(slot.holder().is_none());
        assert!(slot.take(holder("20261122104501000000")).is_ok());
    }

    #[tokio::test]
    async fn a_queued_run_gets_its_turn() {
        let slot = StateSlot::default();
        let turn = slot.take(holder("1")).unwrap();
        let waiting = slot.enter(holder("2"), Queueing::Wait);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(turn);
        let second = waiting.await.unwrap();
        assert_eq!(slot.holder(), Some(holder("2")));
        drop(second);
    }

    #[tokio::test]
    async fn a_bounded_queue_takes_as_many_as_it_says() {
        let slot = StateSlot::default();
        let turn = slot.enter(holder("1"), Queueing::Within(2)).await.unwrap();
        let second = slot.enter(holder("2"), Queueing::Within(2));
        let mut second = Box::pin(second);
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        assert_eq!(slot.enter(holder("3"), Queueing::Within(2)).await.unwrap_err(), holder("1"));
        assert_eq!(slot.enter(holder("3"), Queueing::Refused).await.unwrap_err(), holder("1"));
        drop(second);
        let mut third = Box::pin(slot.enter(holder("3"), Queueing::Within(2)));
        assert!(futures_util::poll!(third.as_mut()).is_pending(), "a killed run leaves its place");
        drop(turn);
        assert_eq!(slot.holder(), None);
        third.await.unwrap();
    }
}
