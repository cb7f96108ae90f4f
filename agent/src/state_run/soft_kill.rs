//! `state.soft_kill`: a state run that ends before its next state, or before one of a certain ID.
//!
//! Wishes are kept for runs that may not have begun; only the latest are.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// The jids with the ID to stop at; `__all__` is the next state, whatever it is.
static WANTED: Mutex<VecDeque<(String, String)>> = Mutex::new(VecDeque::new());

/// Asks a run to end.
pub fn want(jid: &str, id: Option<&str>) {
    let mut wanted = WANTED.lock().unwrap_or_else(PoisonError::into_inner);
    if wanted.len() >= MOST {
        wanted.pop_front();
    }
    wanted.push_back((jid.to_owned(), id.unwrap_or(ALL).to_owned()));
}

/// Whether a run is to end before the state of this ID.
#[must_use]
pub fn is_wanted(jid: &str, id: &str) -> bool {
    let wanted = WANTED.lock().unwrap_or_else(PoisonError::into_inner);
    wanted.iter().any(|(of, at)| of == jid && (at == ALL || at == id))
}

const ALL: &str = "__all__";
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_the_named_run_at_the_named_state() {
        want("20260101000000000001", Some("web"));
        want("20260101000000000002", None);
        assert!(is_wanted("20260101000000000001", "web"));
        assert!(!is_wanted("20260101000000000001", "db"));
        assert!(is_wanted("20260101000000000002", "db"));
        assert!(!is_wanted("20260101000000000003", "db"));
    }
}
