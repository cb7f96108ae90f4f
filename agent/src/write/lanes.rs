//! Order: requests of the same entity, and submissions of the same request, run one after the other as they came.
//!
//! A place is taken in all lanes of a request at once, at the moment it arrives, so the order is the order of arrival and
//! no two requests can wait for each other. Dropping a place frees it, whatever became of its request.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The lanes of one agent.
#[derive(Debug, Clone, Default)]
pub struct Lanes(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    queues: Mutex<Queues>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    next: u64,
    lanes: HashMap<String, VecDeque<u64>>,
}

/// A place in some lanes.
#[derive(Debug)]
pub struct Place {
    inner: Arc<Inner>,
    number: u64,
    lanes: Vec<String>,
}

impl Lanes {
    /// Takes the last place in each of `lanes`.
    #[must_use]
    pub fn join(&self, mut lanes: Vec<String>) -> Place {
        lanes.sort();
        lanes.dedup();
        let mut queues = self.0.queues();
        queues.next += 1;
        let number = queues.next;
        for lane in &lanes {
            queues.lanes.entry(lane.clone()).or_default().push_back(number);
        }
        Place { inner: Arc::clone(&self.0), number, lanes }
    }
}

impl Place {
    /// Waits until this place is the first of each of its lanes.
    pub async fn turn(&self) {
        loop {
            let moved = self.inner.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.is_first() {
                return;
            }
            moved.await;
        }
    }

    fn is_first(&self) -> bool {
        let queues = self.inner.queues();
        let first = |lane: &String| queues.lanes.get(lane).and_then(VecDeque::front);
        self.lanes.iter().all(|lane| first(lane) == Some(&self.number))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queues = self.inner.queues();
        for lane in &self.lanes {
            let Some(queue) = queues.lanes.get_mut(lane) else { continue };
            queue.retain(|number| *number != self.number);
            if queue.is_empty() {
                queues.lanes.remove(lane);
            }
        }
        drop(queues);
        self.inner.moved.notify_waiters();
    }
}

impl Inner {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    fn lanes(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_lane_is_used_in_the_order_of_arrival() {
        let all = Lanes::default();
        let first = all.join(lanes(&["a"]));
        let second = all.join(lanes(&["a", "r2"]));
        let third = all.join(lanes(&["r2"]));
        let other = all.join(lanes(&["b"]));
        other.turn().await;
        first.turn().await;
        {
            let (waits, waits_too) = (second.turn(), third.turn());
            tokio::pin!(waits, waits_too);
            assert!(poll!(waits.as_mut()).is_pending() && poll!(waits_too.as_mut()).is_pending());
            drop(first);
            waits.await;
            assert!(poll!(waits_too.as_mut()).is_pending());
        }
        drop(second);
        third.turn().await;
    }

    #[tokio::test]
    async fn a_place_given_up_holds_nobody_back() {
        let all = Lanes::default();
        let first = all.join(lanes(&["a"]));
        let gone = all.join(lanes(&["a"]));
        let last = all.join(lanes(&["a"]));
        drop(gone);
        drop(first);
        last.turn().await;
        drop(last);
        assert!(all.0.queues().lanes.is_empty());
    }
}
