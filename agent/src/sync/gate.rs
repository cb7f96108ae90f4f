//! How many connections read at the same time, and who goes first.
//!
//! A pass enters before it connects and leaves when it ends. Waiting passes enter in the order of their priority, then of
//! their coming. A long pass asks [`Gate::is_wanted`] between two pages and gives way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The gate. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Mutex<Inner>>);

/// The right to read; dropping it lets the next one in.
#[derive(Debug)]
pub struct Ticket(Option<Gate>);

#[derive(Debug)]
struct Inner {
    width: usize,
    free: usize,
    came: u64,
    waiting: BTreeMap<(u8, u64), oneshot::Sender<Ticket>>,
}

impl Gate {
    /// A gate for `width` passes at a time, at least one.
    pub fn new(width: usize) -> Self {
        let width = width.max(1);
        Self(Arc::new(Mutex::new(Inner { width, free: width, came: 0, waiting: BTreeMap::new() })))
    }

    /// Waits for its turn. May be dropped while it waits.
    pub async fn enter(&self, priority: u8) -> Ticket {
        let turn = {
            let mut inner = self.lock();
            if inner.free > 0 {
                inner.free -= 1;
                return Ticket(Some(self.clone()));
            }
            let (turn, waiting) = oneshot::channel();
            inner.came += 1;
            let place = (priority, inner.came);
            inner.waiting.insert(place, turn);
            waiting
        };
        // The gate outlives its waiters, so a turn always comes.
        turn.await.unwrap_or_else(|_| Ticket(Some(self.clone())))
    }

    /// How many passes read.
    pub fn inside(&self) -> usize {
        let inner = self.lock();
        inner.width.saturating_sub(inner.free)
    }

    /// True when somebody of this priority or a better one waits.
    pub fn is_wanted(&self, priority: u8) -> bool {
        self.lock().waiting.iter().any(|((theirs, _), turn)| *theirs <= priority && !turn.is_closed())
    }

    fn leave(&self) {
        loop {
            let next = self.lock().waiting.pop_first();
            let Some((_, turn)) = next else {
                self.lock().free += 1;
                return;
            };
            match turn.send(Ticket(Some(self.clone()))) {
                Ok(()) => return,
                // The waiter gave up: its ticket goes to the next one, by this loop.
                Err(mut ticket) => drop(ticket.0.take()),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_better_priority_goes_first_and_who_gave_up_is_passed_over() {
        let gate = Gate::new(1);
        let first = gate.enter(50).await;
        assert!(!gate.is_wanted(50));
        let (late, early, gone) = (gate.enter(60), gate.enter(10), gate.enter(1));
        let mut late = Box::pin(late);
        let mut early = Box::pin(early);
        let mut gone = Box::pin(gone);
        assert!(futures_util::poll!(late.as_mut()).is_pending());
        assert!(futures_util::poll!(early.as_mut()).is_pending());
        assert!(futures_util::poll!(gone.as_mut()).is_pending());
        assert!(gate.is_wanted(10));
        drop(gone);
        drop(first);
        assert!(futures_util::poll!(late.as_mut()).is_pending());
        let second = early.await;
        assert!(!gate.is_wanted(50), "only 60 waits");
        drop(second);
        drop(late.await);
        drop(gate.enter(50).await);
    }

    #[tokio::test]
    async fn two_may_read_when_the_gate_is_two_wide() {
        let gate = Gate::new(2);
        let _first = gate.enter(50).await;
        assert_eq!(gate.inside(), 1);
        let _second = gate.enter(50).await;
        assert_eq!(gate.inside(), 2);
        let mut third = Box::pin(gate.enter(50));
        assert!(futures_util::poll!(third.as_mut()).is_pending());
    }
}
