//! What came of a job, and the return load that tells the master.
//!
//! The rule of success is Salt's: the retcode that the function set; when that is 0 and the return is a map
//! whose `result` or `success` is false, 1. Success is retcode 0. Several functions give maps keyed by name.

use proto::{Map, Value};

use super::{Calls, Job, redact};
use crate::modules::ModuleError;

/// What came of one function.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The return.
    pub value: states::Value,
    /// The exit code.
    pub retcode: i64,
    /// Salt's outputter hint.
    pub out: Option<&'static str>,
    /// What went wrong, when the function gave no return.
    pub error: Option<ModuleError>,
}

impl Outcome {
    /// A function's return with the retcode that it set.
    #[must_use]
    pub fn returned(value: states::Value, retcode: i64, out: Option<&'static str>) -> Self {
        let retcode = if retcode == 0 && says_failed(&value) { 1 } else { retcode };
        Self { value, retcode, out, error: None }
    }

    /// A text that tells why the job did not run.
    #[must_use]
    pub fn failed(text: String) -> Self {
        Self { value: text.into(), retcode: 1, out: Some("nested"), error: None }
    }

    /// A function's error, in the words of a return.
    #[must_use]
    pub fn of_error(error: ModuleError, fun: &str, doc: &str) -> Self {
        Self { error: Some(error.clone()), ..Self::failed(error.return_text(fun, doc)) }
    }

    /// Whether the job succeeded.
    #[must_use]
    pub fn success(&self) -> bool {
        self.retcode == 0
    }
}

fn says_failed(value: &states::Value) -> bool {
    let field = |key| value.get(key).is_some_and(|field| !field.is_truthy());
    field("result") || field("success")
}

/// The return load of a job whose functions came to `outcomes`, in the order of its calls.
#[must_use]
pub fn return_load(job: &Job, outcomes: &[Outcome]) -> Map {
    let mut load = Map::new();
    load.insert("jid", job.jid.as_str());
    load.insert("fun", job.load.get("fun").cloned().unwrap_or_default());
    load.insert("fun_args", redact::shown_args(job));
    match &job.calls {
        Calls::One(..) => {
            let Some(outcome) = outcomes.first() else { return load };
            load.insert("return", proto::to_value(&outcome.value));
            load.insert("retcode", outcome.retcode);
            load.insert("success", outcome.success());
            if let Some(out) = outcome.out {
                load.insert("out", out);
            }
        }
        Calls::Several(calls) => {
            let keyed = |pick: &dyn Fn(&Outcome) -> Value| -> Map {
                calls.iter().zip(outcomes).map(|((fun, _), outcome)| (fun.as_str(), pick(outcome))).collect()
            };
            load.insert("return", keyed(&|outcome| proto::to_value(&outcome.value)));
            load.insert("retcode", keyed(&|outcome| outcome.retcode.into()));
            load.insert("success", keyed(&|outcome| outcome.success().into()));
        }
    }
    for key in ["user", "metadata", "master_id", "ret", "ret_config", "ret_kwargs"] {
        if let Some(echo) =
            job.load.get(key).filter(|echo| !matches!(echo, Value::Str(text) if text.is_empty()))
        {
            load.insert(key, echo.clone());
        }
    }
    load
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(fun: Value, arg: Value) -> Job {
        let fields = [
            ("jid", Value::from("20261122104500000001")),
            ("tgt", "*".into()),
            ("fun", fun),
            ("arg", arg),
            ("user", "root".into()),
        ];
        Job::from_load(fields.into_iter().collect()).unwrap()
    }

    #[test]
    fn a_map_that_says_failed_fails_the_job() {
        let value: states::Map = [("result", false)].into_iter().collect();
        assert_eq!(Outcome::returned(value.clone().into(), 0, None).retcode, 1);
        assert_eq!(Outcome::returned(value.into(), 2, None).retcode, 2);
        assert_eq!(Outcome::returned(false.into(), 0, None).retcode, 0);
    }

    #[test]
    fn echoes_what_was_published() {
        let arg = Value::List(vec!["hello".into()]);
        let load =
            return_load(&job("test.echo".into(), arg.clone()), &[Outcome::returned("hello".into(), 0, None)]);
        assert_eq!(load.get("fun_args"), Some(&arg));
        assert_eq!(load.get("return"), Some(&"hello".into()));
        assert_eq!(load.get("success"), Some(&true.into()));
        assert_eq!(load.get("user"), Some(&"root".into()));
        assert!(load.get("out").is_none());
    }

    #[test]
    fn several_functions_return_maps_by_name() {
        let funs = Value::List(vec!["test.ping".into(), "no.such".into()]);
        let args = Value::List(vec![Value::List(vec![]), Value::List(vec![])]);
        let outcomes = [
            Outcome::returned(true.into(), 0, None),
            Outcome::failed("'no.such' is not available.".to_owned()),
        ];
        let load = return_load(&job(funs, args), &outcomes);
        assert_eq!(load.get("return").unwrap().get("test.ping"), Some(&true.into()));
        assert_eq!(load.get("retcode").unwrap().get("no.such"), Some(&1.into()));
        assert_eq!(load.get("success").unwrap().get("no.such"), Some(&false.into()));
    }
}
