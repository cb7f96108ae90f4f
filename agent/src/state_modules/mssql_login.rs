//! Salt's `mssql_login` state module: logins of SQL Server, converged.
//!
//! `present(name, password=None, domain=None, server_roles=None, options=None, **kwargs)` and `absent(name, domain=None, **kwargs)`
//! as in Salt, plus `default_database` and `disabled`; keyword arguments override the connection options. Unlike Salt's, an
//! existing login is corrected, and `absent` uses the connection arguments throughout.

use futures_util::future::BoxFuture;
use states::StateReturn;

use crate::access::converge::{Words, converge, failed};
use crate::access::login::{LoginFound, LoginWish, removal};
use crate::access::plan::Atomicity;
use crate::access::{AccessError, arguments};
use crate::mssql::Session;
use crate::mssql::arguments::OptionSources;
use crate::mssql::quote::SqlName;
use crate::state_modules::{StateArgs, StateContext, StateModule};

/// The module.
pub struct MssqlLogin;

impl StateModule for MssqlLogin {
    fn name(&self) -> &'static str {
        "mssql_login"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["present", "absent"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            let (done, verb) = match fun {
                "present" => (present(args, run).await, "added"),
                _ => (absent(args, run).await, "removed"),
            };
            done.unwrap_or_else(|error| failed(&format!("Login {}", args.name), verb, &error))
        })
    }
}

async fn present(args: &StateArgs, run: &StateContext) -> Result<StateReturn, AccessError> {
    let wish = LoginWish::read(&args.name, &args.args)?;
    let connection = sources(args, run, &["password"]).connection()?;
    let mut session = Session::connect(&connection).await?;
    let found = LoginFound::read(&mut session, &wish, &connection).await?;
    let plan = wish.plan(found.as_ref())?;
    let words = Words {
        subject: format!("Login {}", wish.name),
        verb: if found.is_some() { "changed" } else { "added" },
        nothing: format!("Login {} is already present", wish.name),
    };
    let done = converge(&mut session, &plan, (run.mode, Atomicity::Stepwise), &words).await;
    session.close().await;
    Ok(done)
}

async fn absent(args: &StateArgs, run: &StateContext) -> Result<StateReturn, AccessError> {
    let name = match arguments::text(&args.args, "domain")? {
        Some(domain) => SqlName::new(format!("{domain}\\{}", args.name))?,
        None => SqlName::new(args.name.clone())?,
    };
    let mut session = Session::connect(&sources(args, run, &[]).connection()?).await?;
    let subject = format!("Login {name}");
    let nothing = format!("{subject} is not present");
    if !LoginFound::exists(&mut session, &name).await? {
        return Ok(StateReturn::ok(nothing));
    }
    let words = Words { subject, verb: "removed", nothing };
    let done = converge(&mut session, &removal(&name), (run.mode, Atomicity::Stepwise), &words).await;
    session.close().await;
    Ok(done)
}

/// `taken` are the arguments that mean the login and not the connection.
fn sources<'a>(args: &'a StateArgs, run: &'a StateContext, taken: &'a [&'a str]) -> OptionSources<'a> {
    OptionSources { arguments: &args.args, opts: &run.services.config.opts, pillar: &run.pillar, taken }
}
