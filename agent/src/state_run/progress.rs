//! What a state run tells the master while it runs: one event per state that is through.
//!
//! Tags and shapes are Salt's (`salt/state.py`, `State.event`): `salt/job/<jid>/prog/<id>/<run number>` with the return and
//! the number of states, or `salt/state_result/<jid>/<id>/<name>` for a state with `fire_event`.

use states::{Finished, Map, Value};

use crate::config::Config;

/// Whose progress is told, and how much of it.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The job's id.
    pub jid: String,
    /// Whether every state is told of (`state_events`), not only those with `fire_event`.
    pub every_state: bool,
}

impl Progress {
    /// The event of a state that is through, one of `all`; `None` when nobody asked for it.
    pub fn event(&self, config: &Config, finished: Finished, all: usize) -> Option<(String, Map)> {
        let Finished { ret, fire_event, .. } = finished;
        if config.local || !(self.every_state || fire_event.is_truthy()) {
            return None;
        }
        let (jid, id) = (&self.jid, &config.id);
        let field = |key: &str| ret.get(key).map(ToString::to_string).unwrap_or_default();
        let named = match (&fire_event, fire_event.as_str()) {
            (Value::Bool(true), _) => Some(field("name")),
            (_, Some(name)) if !name.is_empty() => Some(name.to_owned()),
            _ => None,
        };
        let (tag, len) = match named {
            Some(name) => (format!("salt/state_result/{jid}/{id}/{name}"), None),
            None => (format!("salt/job/{jid}/prog/{id}/{}", field("__run_num__")), Some(all)),
        };
        let mut data: Map = [("ret", Value::Map(ret))].into_iter().collect();
        if let Some(len) = len {
            data.insert("len", i64::try_from(len).unwrap_or(i64::MAX));
        }
        Some((tag, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let opts: Map =
            [("id", "m1"), ("root_dir", "/nowhere"), ("master", "localhost")].into_iter().collect();
        Config::from_options(std::path::Path::new("/nowhere/etc"), opts).unwrap()
    }

    fn finished(fire_event: Value) -> Finished {
        let ret = [("name", Value::from("n")), ("__run_num__", 3.into()), ("result", true.into())];
        Finished { tag: "test_|-i_|-n_|-nop".to_owned(), ret: ret.into_iter().collect(), fire_event }
    }

    #[test]
    fn tags_are_salts() {
        let (quiet, all) = (
            Progress { jid: "20261122104500000001".to_owned(), every_state: false },
            Progress { jid: "20261122104500000001".to_owned(), every_state: true },
        );
        let tag = |progress: &Progress, fire: Value| {
            progress.event(&config(), finished(fire), 7).map(|(tag, data)| (tag, data.get("len").cloned()))
        };
        let expect = |tag: &str, len: Option<i64>| Some((tag.to_owned(), len.map(Value::from)));
        assert_eq!(tag(&quiet, Value::Nil), None);
        assert_eq!(tag(&all, Value::Nil), expect("salt/job/20261122104500000001/prog/m1/3", Some(7)));
        for progress in [&quiet, &all] {
            let result = "salt/state_result/20261122104500000001/m1";
            assert_eq!(tag(progress, true.into()), expect(&format!("{result}/n"), None));
            assert_eq!(tag(progress, "db/ready".into()), expect(&format!("{result}/db/ready"), None));
        }
    }
}
