//! Which agents can work on which store: pure, from numbers alone.
//!
//! As SQLite's own file format does, the store names two numbers for each group of tables (`area`): the version it is at, and
//! the oldest version whose reader can still work on it. A step that only adds moves the first and leaves the second, so an
//! earlier agent goes on reading and writing where a later one stopped. An agent says in its [`Format`] how far it brings an
//! area, how far it can read, and who can read what it leaves; so it is known before a switch whether there is a way back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an agent does with one area.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct AreaFormat {
    /// The version it brings the area to.
    pub writes: u32,
    /// The newest version it can work on; more than `writes` in a version that leads over to the next form.
    pub reads: u32,
    /// The oldest reader that can work on what it leaves.
    pub readable_by: u32,
}

/// What an agent does with the store, by area. An area that it does not know is none of its business: version 0.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
pub struct Format(pub BTreeMap<String, AreaFormat>);

/// How an area of a store stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeldArea {
    /// Its version.
    pub version: u32,
    /// The oldest reader that can work on it.
    pub readable_by: u32,
}

/// How a store stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Held(pub BTreeMap<String, HeldArea>);

/// An area that an agent cannot work on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The area.
    pub area: String,
    /// The reader it needs.
    pub needs: u32,
    /// The newest version the agent can work on.
    pub reads: u32,
}

impl Format {
    /// The first area of `held` that this agent cannot work on.
    #[must_use]
    pub fn refuses(&self, held: &Held) -> Option<Refusal> {
        held.0.iter().find_map(|(area, at)| {
            let reads = self.0.get(area).map_or(0, |own| own.reads);
            (at.readable_by > reads).then(|| Refusal { area: area.clone(), needs: at.readable_by, reads })
        })
    }
}

impl Held {
    /// The store after an agent of that format has brought it up to date.
    #[must_use]
    pub fn after(&self, agent: &Format) -> Self {
        let mut after = self.clone();
        for (area, format) in &agent.0 {
            let at = after.0.entry(area.clone()).or_insert(HeldArea { version: 0, readable_by: 0 });
            if format.writes > at.version {
                at.version = format.writes;
                at.readable_by = at.readable_by.max(format.readable_by);
            }
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(writes: u32, reads: u32, readable_by: u32) -> Format {
        Format([("jobs".to_owned(), AreaFormat { writes, reads, readable_by })].into())
    }

    fn held(version: u32, readable_by: u32) -> Held {
        Held([("jobs".to_owned(), HeldArea { version, readable_by })].into())
    }

    #[test]
    fn what_only_adds_leaves_the_way_back() {
        let after = held(2, 0).after(&format(5, 5, 0));
        assert_eq!(after, held(5, 0));
        assert_eq!(format(2, 2, 0).refuses(&after), None);
        assert_eq!(Format::default().refuses(&after), None, "an agent that knows nothing of the area");
    }

    #[test]
    fn what_rewrites_leaves_it_only_to_an_agent_that_reads_the_new_form() {
        let after = held(2, 0).after(&format(3, 3, 3));
        let refusal = Refusal { area: "jobs".into(), needs: 3, reads: 2 };
        assert_eq!(format(2, 2, 0).refuses(&after), Some(refusal));
        assert_eq!(format(2, 3, 0).refuses(&after), None, "the version that leads over");
        assert!(Format::default().refuses(&after).is_some());
    }

    #[test]
    fn an_earlier_agent_changes_nothing_of_a_later_store() {
        assert_eq!(held(5, 3).after(&format(4, 4, 0)), held(5, 3));
        assert_eq!(
            held(5, 3).after(&format(6, 6, 0)),
            held(6, 3),
            "an addition does not open what was closed"
        );
    }
}
