//! Arguments bound to a function's signature, and their reading by kind.

use states::{Map, Value};

use crate::modules::ModuleError;

/// The arguments of one call: every named parameter has a value (given or default).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments {
    /// The named parameters.
    pub named: Map,
    /// What `*args` took.
    pub rest: Vec<Value>,
    /// What `**kwargs` took.
    pub keywords: Map,
}

impl Arguments {
    /// The value of a named parameter; nil for a name that the signature lacks.
    #[must_use]
    pub fn get(&self, name: &str) -> &Value {
        self.named.get(name).unwrap_or(&Value::Nil)
    }

    /// A value from `**kwargs`, or of a named parameter.
    #[must_use]
    pub fn keyword(&self, name: &str) -> Option<&Value> {
        self.keywords.get(name).or_else(|| self.named.get(name))
    }

    /// A parameter as text; numbers are given as their text, as Salt's functions mostly do.
    ///
    /// # Errors
    /// [`ModuleError::Invocation`] when it is nil, a list or a map.
    pub fn text(&self, name: &str) -> Result<String, ModuleError> {
        match self.get(name) {
            Value::Str(text) => Ok(text.clone()),
            Value::Nil | Value::List(_) | Value::Map(_) | Value::Bytes(_) => {
                Err(ModuleError::Invocation(format!("the argument '{name}' must be a text")))
            }
            value @ (Value::Bool(_) | Value::Int(_) | Value::Float(_)) => Ok(value.to_string()),
        }
    }

    /// A parameter as text, `None` when nil.
    ///
    /// # Errors
    /// As [`Arguments::text`].
    pub fn optional_text(&self, name: &str) -> Result<Option<String>, ModuleError> {
        if matches!(self.get(name), Value::Nil) { Ok(None) } else { self.text(name).map(Some) }
    }

    /// Whether a parameter is true the way Python would say.
    #[must_use]
    pub fn truth(&self, name: &str) -> bool {
        self.get(name).is_truthy()
    }

    /// A parameter as a whole number; a text of digits counts, as with Python's `int()`.
    ///
    /// # Errors
    /// [`ModuleError::Exception`] with CPython's words.
    pub fn integer(&self, name: &str) -> Result<i64, ModuleError> {
        let value = self.get(name);
        let parsed = match value {
            Value::Int(number) => Some(*number),
            Value::Bool(yes) => Some(i64::from(*yes)),
            #[expect(clippy::cast_possible_truncation, reason = "Python's int() truncates as well")]
            Value::Float(number) if number.is_finite() => Some(number.trunc() as i64),
            Value::Str(text) => text.trim().parse().ok(),
            Value::Nil | Value::Float(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) => None,
        };
        parsed.ok_or_else(|| ModuleError::Exception {
            class: "ValueError",
            message: format!("invalid literal for int() with base 10: {}", value.repr()),
        })
    }
}
