//! What of a job's arguments is shown: in its return, in `saltutil.running` and `find_job`.
//!
//! The parameters of a write are what goes into a patient's record. They are not echoed; the names of the write and of the
//! request are, so that a return is understood.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use proto::{Map, Value};

use super::{Calls, Job};

/// The function whose parameters are not shown.
pub const SUBMIT: &str = "mssql_write.submit";

/// The arguments of a job as a return echoes them.
#[must_use]
pub fn shown_args(job: &Job) -> Value {
    match &job.calls {
        Calls::One(fun, args) if fun == SUBMIT => redacted(args),
        Calls::Several(calls) if calls.iter().any(|(fun, _)| fun == SUBMIT) => calls
            .iter()
            .map(|(fun, args)| if fun == SUBMIT { redacted(args) } else { Value::List(args.clone()) })
            .collect::<Vec<_>>()
            .into(),
        Calls::One(..) | Calls::Several(_) => job.load.get("arg").cloned().unwrap_or_default(),
    }
}

fn redacted(args: &[Value]) -> Value {
    let one = |(place, arg): (usize, &Value)| match arg {
        Value::Map(map) if map.contains_key("__kwarg__") => {
            let keyword = |(key, value): (&Value, &Value)| {
                let shown = key.as_str().is_some_and(|key| key == "__kwarg__" || SHOWN.contains(&key));
                (key.clone(), if shown { value.clone() } else { HIDDEN.into() })
            };
            Value::Map(map.iter().map(keyword).collect::<Map>())
        }
        Value::Str(text) => match crate::cli::arguments::keyword(text) {
            Some((name, _)) if SHOWN.contains(&name) => arg.clone(),
            Some((name, _)) => format!("{name}={HIDDEN}").into(),
            None if place < NAMED => arg.clone(),
            None => HIDDEN.into(),
        },
        _ if place < NAMED => arg.clone(),
        _ => HIDDEN.into(),
    };
    args.iter().enumerate().map(one).collect::<Vec<_>>().into()
}

/// Keywords without values of a record.
const SHOWN: &[&str] = &["name", "request", "test", "issued"];
/// The first two arguments are the write's and the request's names.
const NAMED: usize = 2;
const HIDDEN: &str = "***";

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(fun: &str, arg: Vec<Value>) -> Value {
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
    fn other_functions_are_echoed_as_they_came() {
        let arg = vec![Value::from("hello"), 3.into()];
        assert_eq!(shown("test.echo", arg.clone()), Value::List(arg));
    }
}
