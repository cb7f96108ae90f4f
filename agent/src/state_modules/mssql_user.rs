//! Salt's `mssql_user` state module: users of a database, converged.
//!
//! `present(name, login=None, domain=None, database=None, roles=None, options=None, **kwargs)` and
//! `absent(name, database=None, **kwargs)`; `database` is the user's and overrides `mssql.database`. Unlike Salt's, an existing
//! user is corrected: mapped to its login again when orphaned, roles and default schema.

use futures_util::future::BoxFuture;
use states::StateReturn;

use crate::access::AccessError;
use crate::access::converge::{Words, converge, failed};
use crate::access::plan::Atomicity;
use crate::access::user::{UserFound, UserWish, removal};
use crate::mssql::Session;
use crate::mssql::arguments::OptionSources;
use crate::mssql::quote::SqlName;
use crate::state_modules::{StateArgs, StateContext, StateModule};

/// The module.
pub struct MssqlUser;

impl StateModule for MssqlUser {
    fn name(&self) -> &'static str {
        "mssql_user"
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
            done.unwrap_or_else(|error| failed(&format!("User {}", args.name), verb, &error))
        })
    }
}

async fn present(args: &StateArgs, run: &StateContext) -> Result<StateReturn, AccessError> {
    let wish = UserWish::read(&args.name, &args.args)?;
    let mut session = connect(args, run).await?;
    let found = UserFound::read(&mut session, &wish.name).await?;
    let plan = wish.plan(found.as_ref());
    let words = Words {
        subject: format!("User {}", wish.name),
        verb: if found.is_some() { "changed" } else { "added" },
        nothing: format!("User {} is already present", wish.name),
    };
    let done = converge(&mut session, &plan, (run.mode, Atomicity::Transaction), &words).await;
    session.close().await;
    Ok(done)
}

async fn absent(args: &StateArgs, run: &StateContext) -> Result<StateReturn, AccessError> {
    let name = SqlName::new(args.name.clone())?;
    let mut session = connect(args, run).await?;
    let subject = format!("User {name}");
    let nothing = format!("{subject} is not present");
    if UserFound::read(&mut session, &name).await?.is_none() {
        return Ok(StateReturn::ok(nothing));
    }
    let words = Words { subject, verb: "removed", nothing };
    let done = converge(&mut session, &removal(&name), (run.mode, Atomicity::Transaction), &words).await;
    session.close().await;
    Ok(done)
}

async fn connect(args: &StateArgs, run: &StateContext) -> Result<Session, AccessError> {
    let opts = &run.services.config.opts;
    let sources = OptionSources { arguments: &args.args, opts, pillar: &run.pillar, taken: &[] };
    Ok(Session::connect(&sources.connection()?).await?)
}
