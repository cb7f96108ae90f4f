//! A value with one uncommitted successor: how metadata takes part in transactions.
//!
//! The writer holds the metadata lock, so there is at most one working copy; everybody else reads the committed one.

use std::sync::{Arc, Mutex};

use super::{TxnId, guard};

/// Committed and working copy of `T`.
#[derive(Debug)]
pub struct Versioned<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    committed: Arc<T>,
    working: Option<(TxnId, Arc<T>)>,
}

impl<T: Clone> Versioned<T> {
    pub fn new(value: T) -> Self {
        Self(Mutex::new(State { committed: Arc::new(value), working: None }))
    }

    /// What `txn` sees: its own working copy, else the committed one.
    pub fn read(&self, txn: Option<TxnId>) -> Arc<T> {
        let state = guard(&self.0);
        match &state.working {
            Some((owner, working)) if Some(*owner) == txn => working.clone(),
            _ => state.committed.clone(),
        }
    }

    /// Installs a working copy and answers the previous one of this transaction.
    pub fn write(&self, txn: TxnId, value: T) -> Option<Arc<T>> {
        let mut state = guard(&self.0);
        state.working.replace((txn, Arc::new(value))).map(|(_, previous)| previous)
    }

    /// Puts back what [`Self::write`] answered.
    pub fn undo(&self, txn: TxnId, previous: Option<Arc<T>>) {
        guard(&self.0).working = previous.map(|value| (txn, value));
    }

    /// Makes the working copy of `txn` the committed one.
    pub fn commit(&self, txn: TxnId) {
        let mut state = guard(&self.0);
        if let Some((_, value)) = state.working.take_if(|(owner, _)| *owner == txn) {
            state.committed = value;
        }
    }
}
