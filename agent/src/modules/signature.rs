//! A function's parameters in Python's notation, and the binding of arguments to them.
//!
//! `path, dest, saltenv=None, *args, **kwargs` is parsed once per call; binding follows Python's rules
//! and words its refusals as CPython does, because Salt passes those words on to the operator.

use states::{Map, Value};

use crate::{
    command,
    modules::{Arguments, ModuleError},
};

/// One named parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The name.
    pub name: &'static str,
    /// The default; `None` when the parameter is required.
    pub default: Option<Value>,
}

/// The parsed parameters of a function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signature {
    /// Named parameters in order.
    pub params: Vec<Param>,
    /// The name after `*`.
    pub varargs: Option<&'static str>,
    /// The name after `**`.
    pub keywords: Option<&'static str>,
}

impl Signature {
    /// Parses Python's notation. Defaults are `None`, `True`, `False`, numbers, quoted text or `DEFAULT_SHELL`.
    #[must_use]
    pub fn parse(text: &'static str) -> Self {
        let mut signature = Self::default();
        for part in parts(text) {
            if let Some(name) = part.strip_prefix("**") {
                signature.keywords = Some(name);
            } else if let Some(name) = part.strip_prefix('*') {
                signature.varargs = Some(name);
            } else if let Some((name, default)) = part.split_once('=') {
                signature.params.push(Param { name: name.trim(), default: Some(literal(default.trim())) });
            } else {
                signature.params.push(Param { name: part, default: None });
            }
        }
        signature
    }

    /// Whether a keyword of that name can be taken.
    #[must_use]
    pub fn takes_keyword(&self, name: &str) -> bool {
        self.keywords.is_some() || self.params.iter().any(|param| param.name == name)
    }

    /// Binds arguments to the parameters of the function `fun`.
    ///
    /// # Errors
    /// [`ModuleError::Invocation`] for an unknown keyword, [`ModuleError::Arguments`] for too many, missing
    /// or doubly given arguments.
    pub fn bind(&self, fun: &str, positional: Vec<Value>, keywords: Map) -> Result<Arguments, ModuleError> {
        self.refuse_unknown(&keywords)?;
        let mut bound = Arguments::default();
        let given = positional.len();
        for (index, value) in positional.into_iter().enumerate() {
            match self.params.get(index) {
                Some(param) => bound.named.insert(param.name, value),
                None if self.varargs.is_some() => {
                    bound.rest.push(value);
                    None
                }
                None => return Err(self.too_many(fun, given)),
            };
        }
        for (key, value) in keywords {
            let name = key.as_str().unwrap_or_default();
            if !self.params.iter().any(|param| param.name == name) {
                bound.keywords.insert(key, value);
            } else if bound.named.contains_key(name) {
                return Err(ModuleError::Arguments(format!(
                    "{fun}() got multiple values for argument '{name}'"
                )));
            } else {
                bound.named.insert(name, value);
            }
        }
        self.fill_defaults(fun, &mut bound)?;
        Ok(bound)
    }

    fn refuse_unknown(&self, keywords: &Map) -> Result<(), ModuleError> {
        let unknown: Vec<String> = keywords
            .iter()
            .filter(|(key, _)| !key.as_str().is_some_and(|name| self.takes_keyword(name)))
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let list = unknown.join(", ");
        Err(ModuleError::Invocation(format!("The following keyword arguments are not valid: {list}")))
    }

    fn fill_defaults(&self, fun: &str, bound: &mut Arguments) -> Result<(), ModuleError> {
        let mut missing = Vec::new();
        for param in &self.params {
            match &param.default {
                _ if bound.named.contains_key(param.name) => {}
                Some(default) => {
                    bound.named.insert(param.name, default.clone());
                }
                None => missing.push(format!("'{}'", param.name)),
            }
        }
        let names = match missing.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            [first, second] => format!("{first} and {second}"),
            [head @ .., last] => format!("{}, and {last}", head.join(", ")),
        };
        let plural = if missing.len() == 1 { "" } else { "s" };
        let count = missing.len();
        let text = format!("{fun}() missing {count} required positional argument{plural}: {names}");
        Err(ModuleError::Arguments(text))
    }

    fn too_many(&self, fun: &str, given: usize) -> ModuleError {
        let most = self.params.len();
        let least = self.params.iter().filter(|param| param.default.is_none()).count();
        let takes = if least == most { most.to_string() } else { format!("from {least} to {most}") };
        let plural = if takes == "1" { "" } else { "s" };
        let verb = if given == 1 { "was" } else { "were" };
        let text = format!("{fun}() takes {takes} positional argument{plural} but {given} {verb} given");
        ModuleError::Arguments(text)
    }
}

/// The parameters of a signature: parted at commas outside of quotes.
fn parts(text: &'static str) -> impl Iterator<Item = &'static str> {
    let mut quote = None;
    let split = text.split(move |letter: char| {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
        letter == ',' && quote.is_none()
    });
    split.map(str::trim).filter(|part| !part.is_empty())
}

fn literal(text: &str) -> Value {
    match text {
        "None" => Value::Nil,
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        "[]" => Value::List(Vec::new()),
        "DEFAULT_SHELL" => command::default_shell().into(),
        _ => text.parse().map(Value::Int).unwrap_or_else(|_| Value::from(text.trim_matches(['\'', '"']))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_may_hold_commas_and_be_lists() {
        let signature = Signature::parse("name, form='%A, %d', rest=[], *args, **kwargs");
        let names: Vec<&str> = signature.params.iter().map(|param| param.name).collect();
        assert_eq!(names, ["name", "form", "rest"]);
        assert_eq!(signature.params[1].default, Some("%A, %d".into()));
        assert_eq!(signature.params[2].default, Some(Value::List(Vec::new())));
        assert_eq!((signature.varargs, signature.keywords), (Some("args"), Some("kwargs")));
    }
}
