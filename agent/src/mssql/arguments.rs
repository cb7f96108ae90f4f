//! Connection options of one call: keyword arguments, then the minion's options, then the pillar, as Salt looks them up.
//!
//! Salt's `mssql` functions take `server`, `port`, `user`, `password` and `database` as keyword arguments and otherwise ask
//! `config.option('mssql.<name>')`, which reads the minion's options before the pillar (`salt/modules/mssql.py`,
//! `salt/modules/config.py`).

use states::{Map, Value};

use super::options::{ConnectionOptions, OptionsError};

/// Where one call's options come from.
#[derive(Debug, Clone, Copy)]
pub struct OptionSources<'a> {
    /// The call's own keyword arguments.
    pub arguments: &'a Map,
    /// The minion's options (`mssql.server`, …).
    pub opts: &'a Map,
    /// The pillar (`mssql.server`, …).
    pub pillar: &'a Value,
    /// Arguments that mean something else to the function (`password` of `mssql_login.present` is the new login's).
    pub taken: &'a [&'a str],
}

impl OptionSources<'_> {
    /// The connection that the call asks for.
    ///
    /// # Errors
    /// An option that does not read as what it should be.
    pub fn connection(&self) -> Result<ConnectionOptions, OptionsError> {
        ConnectionOptions::read(|name| self.text(name))
    }

    /// The text of a scalar option by its name without prefix.
    pub fn text(&self, name: &str) -> Option<String> {
        let option = format!("mssql.{name}");
        let argument = if self.taken.contains(&name) { None } else { self.arguments.get(name) };
        argument.or_else(|| self.opts.get(&option)).or_else(|| self.pillar.get(&option)).and_then(scalar)
    }
}

/// A scalar as text; `None` for nothing and for collections.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Nil | Value::Bytes(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// The names that connection options have as keyword arguments.
pub const CONNECTION_ARGUMENTS: &[&str] = &[
    "server",
    "port",
    "user",
    "password",
    "database",
    "encrypt",
    "trust_server_certificate",
    "ca",
    "lock_timeout",
    "as_dict",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_win_over_options_and_options_over_the_pillar() {
        let mut arguments = Map::new();
        arguments.insert("user", "from-arguments");
        arguments.insert("password", "of-another");
        let mut opts = Map::new();
        opts.insert("mssql.user", "from-opts");
        opts.insert("mssql.port", 1444);
        let mut pillar = Map::new();
        pillar.insert("mssql.port", 1555);
        pillar.insert("mssql.server", "from-pillar");
        pillar.insert("mssql.password", "the-admins");
        let pillar = Value::Map(pillar);
        let sources =
            OptionSources { arguments: &arguments, opts: &opts, pillar: &pillar, taken: &["password"] };
        let options = sources.connection().unwrap();
        assert_eq!(
            (options.user.as_str(), options.server.to_string().as_str()),
            ("from-arguments", "from-pillar:1444")
        );
        assert_eq!(options.password.reveal(), "the-admins");
    }
}
