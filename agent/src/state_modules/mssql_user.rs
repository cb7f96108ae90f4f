//! Salt's `mssql_user` state module: users of a database, converged.
//!
//! `present(name, login=None, domain=None, database=None, roles=None, options=None, **kwargs)` and
//! `absent(name, database=None, **kwargs)`; `database` is the user's and overrides `mssql.database`. Unlike Salt's, an existing
//! user is corrected: mapped to its login again when orphaned, roles and default schema.

use futures_util::future::BoxFuture;
use states::StateReturn;

use crate::access::converge::{Words, converge, failed, for_the_dba};
use crate::access::plan::{Atomicity, home};
use crate::access::user::{UserFound, UserWish, removal};
use crate::access::{AccessError, admin, arguments, declared};
use crate::mssql::arguments::OptionSources;
use crate::mssql::quote::SqlName;
use crate::state_modules::{RunMode, StateArgs, StateContext, StateModule};

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
    let mut wish = UserWish::read(&args.name, &args.args)?;
    let name = wish.name.clone();
    let words = |verb| Words {
        subject: format!("User {name}"),
        verb,
        nothing: format!("User {name} is already present"),
    };
    let how = (run.mode, Atomicity::Transaction);
    let (mut session, _) = match admin::open(&sources(args, run), None).await {
        Err(AccessError::NoAccess { why, .. }) => {
            let mut plan = wish.plan(None)?;
            plan.home = arguments::name(&args.args, "database")?;
            return Ok(for_the_dba(&words("added"), &plan, how.1, &why));
        }
        opened => opened?,
    };
    wish.resolve(&mut session).await?;
    wish.check_names(&mut session).await?;
    let found = UserFound::read(&mut session, &wish).await?;
    let mut plan = wish.plan(found.as_ref())?;
    plan.home = Some(home(&mut session).await?);
    let words = words(if found.is_some() { "changed" } else { "added" });
    let done = converge(&mut session, &plan, how, &words).await;
    session.close().await;
    Ok(done)
}

async fn absent(args: &StateArgs, run: &StateContext) -> Result<StateReturn, AccessError> {
    let name = SqlName::new(args.name.clone())?;
    let (mut session, connection) = admin::open(&sources(args, run), None).await?;
    let subject = format!("User {name}");
    let nothing = format!("{subject} is not present");
    if !UserFound::exists(&mut session, &name).await? {
        return Ok(StateReturn::ok(nothing));
    }
    let words = Words { subject, verb: "removed", nothing };
    let mut plan = removal(&mut session, &name).await?;
    let database = home(&mut session).await?;
    plan.home = Some(database.clone());
    let done = converge(&mut session, &plan, (run.mode, Atomicity::Transaction), &words).await;
    session.close().await;
    if (done.result, run.mode) == (Some(true), RunMode::Apply) {
        declared::forget(&run.services, &connection.server, &database, &name).await?;
    }
    Ok(done)
}

fn sources<'a>(args: &'a StateArgs, run: &'a StateContext) -> OptionSources<'a> {
    OptionSources { arguments: &args.args, opts: &run.services.config.opts, pillar: &run.pillar, taken: &[] }
}
