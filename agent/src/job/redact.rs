//! What of a job's arguments is shown: in its return, in `saltutil.running` and `find_job`.
//!
//! The parameters of a write are what goes into a patient's record, and the keys that a re-snapshot names are taken from one.
//! They are not echoed; the names of the write, of the request and of the sync job are, so that a return is understood.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use proto::{Map, Value};

use super::{Calls, Job};

/// Submits a write.
pub const SUBMIT: &str = "mssql_write.submit";

/// The arguments of a job as a return echoes them.
#[must_use]
pub fn shown_args(job: &Job) -> Value {
    match &job.calls {
        Calls::One(fun, args) => match of(fun) {
            Some(discreet) => redacted(discreet, args),
            None => as_it_came(job),
        },
        Calls::Several(calls) if calls.iter().any(|(fun, _)| of(fun).is_some()) => {
            let one = |(fun, args): &(String, Vec<Value>)| {
                of(fun).map_or_else(|| Value::List(args.clone()), |discreet| redacted(discreet, args))
            };
            calls.iter().map(one).collect::<Vec<_>>().into()
        }
        Calls::Several(_) => as_it_came(job),
    }
}

fn as_it_came(job: &Job) -> Value {
    job.load.get("arg").cloned().unwrap_or_default()
}

fn of(fun: &str) -> Option<&'static Discreet> {
    DISCREET.iter().find(|discreet| discreet.fun == fun)
}

fn redacted(discreet: &Discreet, args: &[Value]) -> Value {
    let one = |(place, arg): (usize, &Value)| match arg {
        Value::Map(map) if map.contains_key("__kwarg__") => {
            let keyword = |(key, value): (&Value, &Value)| {
                let shown =
                    key.as_str().is_some_and(|key| key == "__kwarg__" || discreet.shown.contains(&key));
                (key.clone(), if shown { value.clone() } else { HIDDEN.into() })
            };
            Value::Map(map.iter().map(keyword).collect::<Map>())
        }
        Value::Str(text) => match crate::cli::arguments::keyword(text) {
            Some((name, _)) if discreet.shown.contains(&name) => arg.clone(),
            Some((name, _)) => format!("{name}={HIDDEN}").into(),
            None if place < discreet.named => arg.clone(),
            None => HIDDEN.into(),
        },
        _ if place < discreet.named => arg.clone(),
        _ => HIDDEN.into(),
    };
    args.iter().enumerate().map(one).collect::<Vec<_>>().into()
}

/// A function whose arguments hold values of a record.
struct Discreet {
    fun: &'static str,
    /// Keywords without such values.
    shown: &'static [&'static str],
    /// So many positional arguments at the front are names.
    named: usize,
}

const DISCREET: &[Discreet] = &[
    Discreet { fun: SUBMIT, shown: &["name", "request", "test", "issued"], named: 2 },
    Discreet { fun: "mssql_sync.resnapshot", shown: &["name"], named: 1 },
];
const HIDDEN: &str = "***";

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(fun: impl Into<Value>, arg: Vec<Value>) -> Value {
        let fields =
            [("jid", Value::from("1")), ("tgt", "*".into()), ("fun", fun.into()), ("arg", arg.into())];
        shown_args(&Job::from_load(fields.into_iter().collect()).unwrap())
    }

    #[test]
    fn the_parameters_of_a_write_are_not_echoed_in_any_notation() {
        let params: Map = [("note", "canary")].into_iter().collect();
        let kwargs: Map =
            [("__kwarg__", Value::from(true)), ("params", params.clone().into()), ("request", "r".into())]
                .into_iter()
                .collect();
        let args = vec![
            "move".into(),
            "r-1".into(),
            params.into(),
            "params={note: canary}".into(),
            "test=True".into(),
            kwargs.into(),
        ];
        let shown = shown(SUBMIT, args);
        let items = shown.as_list().unwrap();
        assert!(!format!("{shown:?}").contains("canary"), "{shown:?}");
        assert_eq!(items[..2], ["move".into(), "r-1".into()]);
        assert_eq!(items[2..5], [HIDDEN.into(), "params=***".into(), "test=True".into()]);
        assert_eq!(items[5].get("request"), Some(&"r".into()));
    }

    #[test]
    fn the_keys_of_a_resnapshot_are_not_echoed_in_any_notation() {
        let kwargs: Map =
            [("__kwarg__", Value::from(true)), ("name", "job".into()), ("from_key", "canary".into())]
                .into_iter()
                .collect();
        let args = vec![
            "job".into(),
            Value::List(vec!["canary".into()]),
            "to_key=canary".into(),
            "keys=[canary]".into(),
            kwargs.into(),
        ];
        let one = shown("mssql_sync.resnapshot", args.clone());
        assert!(!format!("{one:?}").contains("canary"), "{one:?}");
        assert_eq!(one.as_list().unwrap()[..2], ["job".into(), HIDDEN.into()]);
        assert_eq!(one.as_list().unwrap()[4].get("name"), Some(&"job".into()));
        let funs = Value::List(vec!["test.ping".into(), "mssql_sync.resnapshot".into()]);
        let several = vec![Value::List(Vec::new()), Value::List(args)];
        assert!(!format!("{:?}", shown(funs, several)).contains("canary"));
    }

    #[test]
    fn other_functions_are_echoed_as_they_came() {
        let arg = vec![Value::from("hello"), 3.into()];
        assert_eq!(shown("test.echo", arg.clone()), Value::List(arg));
    }
}
