//! Salt's `test` module: what operators use to see that a minion answers and how arguments arrive.

use std::time::Duration;

use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::{
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
    version,
};

/// The module.
pub struct Test;

impl Module for Test {
    fn name(&self) -> &'static str {
        "test"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        Box::pin(async move {
            match fun {
                "sleep" => sleep(u64::try_from(args.integer("length")?).unwrap_or(0), call).await,
                "rand_sleep" => sleep(below(args.integer("max")?), call).await,
                "cross_test" => cross_test(&args, call).await,
                "try" => attempt(&args, call).await,
                "attr_call" => Ok((*call.services.grains_ready().await).clone()),
                "opts_pkg" => {
                    let mut options = crate::config::shown(&call.services.config);
                    options.insert("grains", (*call.services.grains_ready().await).clone());
                    Ok(options.into())
                }
                _ => answer(fun, &args, call),
            }
        })
    }
}

fn answer(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    Ok(match fun {
        "ping" | "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "echo" => args.get("text").clone(),
        "outputter" => args.get("data").clone(),
        "arg" => both(Value::List(args.rest.clone()), Value::Map(args.keywords.clone())),
        "arg_clean" => both(Value::List(args.rest.clone()), Value::Map(clean(&args.keywords))),
        "arg_repr" => both(tuple(&args.rest).into(), Value::Map(args.keywords.clone()).repr().into()),
        "arg_type" => arg_type(args),
        "kwarg" => Value::Map(args.keywords.clone()),
        "version" => version::SALT_COMPATIBLE.into(),
        "versions_information" => version::information(),
        "versions_report" | "versions" => version::report().into(),
        "conf_test" => call.services.config.opts.get("test.foo").cloned().unwrap_or_default(),
        "get_opts" => Value::Map(crate::config::shown(&call.services.config)),
        "fib" => fib(args.integer("num")?)?,
        "collatz" => collatz(args.integer("start")?)?,
        "retcode" => {
            call.set_retcode(args.integer("code")?);
            Value::Bool(true)
        }
        "tty" => "ERROR: This function has been moved to cmd.tty".into(),
        "not_loaded" => Value::List(Vec::new()),
        "provider" => provider(&args.text("module")?, call),
        "providers" => call
            .services
            .modules
            .modules()
            .map(|module| (module.name(), module.name()))
            .collect::<Map>()
            .into(),
        "rand_str" | "random_hash" => random_hash(args)?,
        "assertion" if args.truth("assertion") => Value::Nil,
        "assertion" => return Err(exception("AssertionError", "")),
        "exception" => return Err(exception("Exception", &args.text("message")?)),
        "raise_exception" => return raise(args),
        _ => return Err(ModuleError::NotAvailable { fun: format!("test.{fun}") }),
    })
}

fn both(args: Value, keywords: Value) -> Value {
    [("args", args), ("kwargs", keywords)].into_iter().collect::<Map>().into()
}

/// Without the `__pub_*` and other double-underscore keywords, as Salt's `clean_kwargs`.
fn clean(keywords: &Map) -> Map {
    let plain = keywords.iter().filter(|(key, _)| !key.as_str().is_some_and(|name| name.starts_with("__")));
    plain.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn tuple(items: &[Value]) -> String {
    let inner = items.iter().map(Value::repr).collect::<Vec<_>>().join(", ");
    if items.len() == 1 { format!("({inner},)") } else { format!("({inner})") }
}

fn arg_type(args: &Arguments) -> Value {
    let class = |value: &Value| Value::from(format!("<class '{}'>", value.type_name()));
    let keywords: Map = args.keywords.iter().map(|(key, value)| (key.clone(), class(value))).collect();
    both(Value::List(args.rest.iter().map(class).collect()), keywords.into())
}

fn exception(class: &'static str, message: &str) -> ModuleError {
    ModuleError::Exception { class, message: message.to_owned() }
}

fn raise(args: &Arguments) -> Result<Value, ModuleError> {
    let message = args.rest.first().map(ToString::to_string).unwrap_or_default();
    match args.text("name")?.as_str() {
        "salt.exceptions.CommandExecutionError" => Err(ModuleError::Execution(message)),
        "salt.exceptions.SaltInvocationError" => Err(ModuleError::Invocation(message)),
        "TypeError" => Err(ModuleError::Arguments(message)),
        "Exception" => Err(exception("Exception", &message)),
        "ValueError" => Err(exception("ValueError", &message)),
        "KeyError" => Err(exception("KeyError", &message)),
        "RuntimeError" => Err(exception("RuntimeError", &message)),
        _ => Ok(Value::Bool(false)),
    }
}

async fn sleep(seconds: u64, call: &CallContext) -> Result<Value, ModuleError> {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(seconds)) => Ok(Value::Bool(true)),
        () = call.cancel.cancelled() => Err(ModuleError::Cancelled),
    }
}

fn below(most: i64) -> u64 {
    rand::Rng::gen_range(&mut rand::thread_rng(), 0..=u64::try_from(most).unwrap_or(0))
}

async fn cross_test(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let positional = args.get("args").as_list().unwrap_or_default().to_vec();
    call.services.modules.call(&args.text("func")?, positional, Map::new(), call).await
}

async fn attempt(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let fun = args.text("module")?;
    match call.services.modules.call(&fun, Vec::new(), clean(&args.keywords), call).await {
        Ok(value) => Ok(value),
        Err(error) if args.truth("return_try_exception") => Ok(error.to_string().into()),
        Err(_) => Ok(Value::Nil),
    }
}

fn fib(number: i64) -> Result<Value, ModuleError> {
    if number < 0 {
        return Err(exception("ValueError", "Negative number is not allowed!"));
    }
    let start = std::time::Instant::now();
    let (mut previous, mut current) = (0_i64, 1_i64);
    for _ in 1..number {
        let next = previous.checked_add(current);
        let next = next.ok_or_else(|| exception("OverflowError", "the number does not fit 64 bits"))?;
        (previous, current) = (current, next);
    }
    let result = if number < 2 { number } else { current };
    Ok(Value::List(vec![Value::Int(result), Value::Float(start.elapsed().as_secs_f64())]))
}

fn collatz(start: i64) -> Result<Value, ModuleError> {
    let begin = std::time::Instant::now();
    if start < 1 {
        return Err(exception("ValueError", "the sequence starts from a positive number"));
    }
    let mut steps = Vec::new();
    // Halving is Python's true division, so every step after the first halving is a float.
    let (mut at, mut halved) = (start, false);
    while at != 1 {
        #[expect(clippy::cast_precision_loss, reason = "Python's floats lose the same digits")]
        steps.push(if halved { Value::Float(at as f64) } else { Value::Int(at) });
        halved |= at % 2 == 0;
        let next =
            if at % 2 == 0 { Some(at / 2) } else { at.checked_mul(3).and_then(|at| at.checked_add(1)) };
        at = next.ok_or_else(|| exception("OverflowError", "the number does not fit 64 bits"))?;
    }
    Ok(Value::List(vec![Value::List(steps), Value::Float(begin.elapsed().as_secs_f64())]))
}

fn provider(module: &str, call: &CallContext) -> Value {
    let known = call.services.modules.modules().any(|known| known.name() == module);
    if known { module.into() } else { "".into() }
}

fn random_hash(args: &Arguments) -> Result<Value, ModuleError> {
    let number = below(args.integer("size")?).to_string();
    let kind = args.optional_text("hash_type")?.unwrap_or_else(|| "sha256".to_owned());
    let algorithm = match kind.as_str() {
        "sha1" => &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => &ring::digest::SHA256,
        "sha384" => &ring::digest::SHA384,
        "sha512" => &ring::digest::SHA512,
        _ => return Err(ModuleError::Invocation(format!("the hash type {kind} is not supported"))),
    };
    Ok(crate::files::hex(ring::digest::digest(algorithm, number.as_bytes()).as_ref()).into())
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "arg",
        signature: "*args, **kwargs",
        doc: "Returns the arguments and keyword arguments as the minion received them.",
    },
    FunctionSpec {
        name: "arg_clean",
        signature: "*args, **kwargs",
        doc: "Like test.arg, without the __pub_* keywords of the publish data.",
    },
    FunctionSpec {
        name: "arg_repr",
        signature: "*args, **kwargs",
        doc: "Returns the Python representation of the arguments and keyword arguments.",
    },
    FunctionSpec {
        name: "arg_type",
        signature: "*args, **kwargs",
        doc: "Returns the types of the arguments and keyword arguments.",
    },
    FunctionSpec {
        name: "assertion",
        signature: "assertion",
        doc: "Fails with an AssertionError unless the argument is true.",
    },
    FunctionSpec {
        name: "collatz",
        signature: "start",
        doc: "Runs the Collatz sequence from a number; returns the steps and the seconds taken.",
    },
    FunctionSpec {
        name: "conf_test",
        signature: "",
        doc: "Returns the option test.foo of the minion configuration.",
    },
    FunctionSpec {
        name: "cross_test",
        signature: "func, args=None",
        doc: "Calls another function of this minion with a list of arguments.",
    },
    FunctionSpec { name: "echo", signature: "text", doc: "Returns the argument." },
    FunctionSpec {
        name: "exception",
        signature: "message='Test Exception'",
        doc: "Raises an exception with the message.",
    },
    FunctionSpec { name: "false", signature: "", doc: "Always returns False." },
    FunctionSpec {
        name: "fib",
        signature: "num",
        doc: "Returns the num-th Fibonacci number and the seconds taken.",
    },
    FunctionSpec { name: "get_opts", signature: "", doc: "Returns the minion's options, secrets left out." },
    FunctionSpec {
        name: "kwarg",
        signature: "**kwargs",
        doc: "Returns the keyword arguments as the minion received them.",
    },
    FunctionSpec {
        name: "not_loaded",
        signature: "",
        doc: "Lists modules that could not be loaded; this minion's modules are built in, so none.",
    },
    FunctionSpec {
        name: "outputter",
        signature: "data",
        doc: "Returns the argument, to see an outputter at work.",
    },
    FunctionSpec {
        name: "ping",
        signature: "",
        doc: "Answers True: the minion is up and responding. Not an ICMP ping.",
    },
    FunctionSpec {
        name: "provider",
        signature: "module",
        doc: "Returns the name of the module that provides a function name.",
    },
    FunctionSpec { name: "providers", signature: "", doc: "Returns the modules of this minion by provider." },
    FunctionSpec {
        name: "raise_exception",
        signature: "name, *args, **kwargs",
        doc: "Raises the named exception, to see how it is returned.",
    },
    FunctionSpec {
        name: "rand_sleep",
        signature: "max=60",
        doc: "Sleeps for a random number of seconds up to max.",
    },
    FunctionSpec {
        name: "rand_str",
        signature: "size=9999999999, hash_type=None",
        doc: "The older name of test.random_hash.",
    },
    FunctionSpec {
        name: "random_hash",
        signature: "size=9999999999, hash_type=None",
        doc: "Returns the hash of a random number up to size.",
    },
    FunctionSpec { name: "retcode", signature: "code=42", doc: "Returns True and sets the job's retcode." },
    FunctionSpec {
        name: "sleep",
        signature: "length",
        doc: "Sleeps for a number of seconds; ends at once when the job is killed.",
    },
    FunctionSpec { name: "true", signature: "", doc: "Always returns True." },
    FunctionSpec {
        name: "try",
        signature: "module, return_try_exception=False, **kwargs",
        doc: "Calls a function and returns None when it fails.",
    },
    FunctionSpec {
        name: "version",
        signature: "",
        doc: "Returns the Salt version that this minion is compatible with; agent.version gives its own.",
    },
    FunctionSpec { name: "versions", signature: "", doc: "The same as test.versions_report." },
    FunctionSpec {
        name: "versions_information",
        signature: "",
        doc: "Returns versions of the minion and the system as a map.",
    },
    FunctionSpec {
        name: "versions_report",
        signature: "",
        doc: "Returns versions of the minion and the system as text.",
    },
    FunctionSpec { name: "attr_call", signature: "", doc: "Returns the grains." },
    FunctionSpec { name: "opts_pkg", signature: "", doc: "Returns the options and the grains." },
    FunctionSpec { name: "tty", signature: "*args, **kwargs", doc: "Says that cmd.tty does this." },
];
