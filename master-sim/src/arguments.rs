//! Arguments of a command line as `salt` reads them: `name=value` are keyword arguments, values are YAML where they
//! are meant to be. Specified by `salt.utils.args.parse_input` and `yamlify_arg`.

use proto::{Map, Value};

/// The functions of a job with their arguments, in the form a publish has.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// One name, or a list of names.
    pub fun: Value,
    /// The arguments, or a list of arguments per function.
    pub arg: Value,
}

impl Invocation {
    /// Reads `FUN ARGS..`; several functions are separated by commas, their arguments by an argument `,`.
    pub fn parse(fun: &str, args: &[String]) -> Self {
        if !fun.contains(',') {
            return Self { fun: fun.into(), arg: Value::List(parse_list(args)) };
        }
        let funs: Vec<&str> = fun.split(',').map(str::trim).collect();
        let mut groups: Vec<Value> =
            args.split(|arg| arg == ",").map(|args| Value::List(parse_list(args))).collect();
        groups.resize(funs.len(), Value::List(Vec::new()));
        Self { fun: Value::from_iter(funs), arg: Value::List(groups) }
    }
}

fn parse_list(args: &[String]) -> Vec<Value> {
    let mut positional = Vec::new();
    let mut kwargs = Map::new();
    for arg in args {
        match keyword(arg) {
            Some((name, value)) => {
                kwargs.insert(name, typed(value));
            }
            None => positional.push(typed(arg)),
        }
    }
    if !kwargs.is_empty() {
        kwargs.insert("__kwarg__", true);
        positional.push(kwargs.into());
    }
    positional
}

/// `name=value`, where a name begins with a letter or underscore and `==` is a comparison.
fn keyword(arg: &str) -> Option<(&str, &str)> {
    let (name, value) = arg.split_once('=')?;
    let first = name.chars().next()?;
    let named = (first.is_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.'));
    (named && !value.starts_with('=')).then_some((name, value))
}

/// A value of a command line: YAML, unless that would lose something.
fn typed(arg: &str) -> Value {
    let digits = arg.trim().bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    // Job ids and phone numbers stay what they are.
    let text = arg.trim().is_empty()
        || arg.contains(['\t', '\r', '\n'])
        || (digits && (arg.contains('_') || arg.len() > 18));
    if text {
        return arg.into();
    }
    if arg == "None" {
        return Value::Nil;
    }
    let Ok(parsed) = states::yaml::load(arg) else { return arg.into() };
    let keeps = match &parsed {
        states::Value::Map(_) => arg.starts_with('{'),
        states::Value::List(_) => arg.starts_with('['),
        states::Value::Nil => !arg.contains(['#', '!']),
        states::Value::Str(text) => !(arg.contains('#') || text.is_empty() && ["|", "!"].contains(&arg)),
        states::Value::Bool(_) | states::Value::Int(_) | states::Value::Float(_) => true,
        states::Value::Bytes(_) => false,
    };
    if keeps { proto::to_value(&parsed) } else { arg.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(args: &[&str]) -> Vec<Value> {
        parse_list(&args.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn keyword_arguments_come_last_in_one_marked_map() {
        let mut kwargs = Map::from([("test", Value::from(true)), ("pillar", Map::from([("a", 1)]).into())]);
        kwargs.insert("__kwarg__", true);
        assert_eq!(args(&["test=True", "dolphin", "pillar={a: 1}"]), ["dolphin".into(), kwargs.into()]);
    }

    #[test]
    fn values_have_the_types_salt_gives_them() {
        let given =
            ["1", "1.5", "yes", "None", "[1, a]", "{x: y}", "a: b", "# no", "1_000", "==", "a==b", "0x", ""];
        let map: Map = [("x", "y")].into();
        let expected = [
            1.into(),
            1.5.into(),
            true.into(),
            Value::Nil,
            Value::List(vec![1.into(), "a".into()]),
            map.into(),
            "a: b".into(),
            "# no".into(),
            "1_000".into(),
            "==".into(),
            "a==b".into(),
            "0x".into(),
            "".into(),
        ];
        assert_eq!(args(&given), expected);
        assert_eq!(args(&["20261122104648951724"]), ["20261122104648951724".into()]);
    }

    #[test]
    fn several_functions_take_their_own_arguments() {
        let all: Vec<String> = ["a", ",", "b", "c=1"].map(str::to_owned).into();
        let invocation = Invocation::parse("test.echo,test.arg,test.ping", &all);
        assert_eq!(invocation.fun, Value::from_iter(["test.echo", "test.arg", "test.ping"]));
        let groups = invocation.arg.as_list().unwrap();
        assert_eq!((groups.len(), groups[0].as_list().unwrap().len()), (3, 1));
        assert_eq!(groups[2], Value::List(vec![]));
    }
}
