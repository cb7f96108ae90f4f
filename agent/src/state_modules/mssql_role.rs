//! Salt's `mssql_role` state module: roles of a database, converged.
//!
//! `present(name, owner=None, grants=None, **kwargs)` and `absent(name, **kwargs)`; `database` and the other connection options are
//! keyword arguments. Unlike Salt's, owner and grants of an existing role are corrected.

use futures_util::future::BoxFuture;
use states::StateReturn;

use crate::access::converge::{Words, converge, failed};
use crate::access::plan::{Atomicity, home};
use crate::access::role::{RoleFound, RoleWish, removal};
use crate::access::{AccessError, admin};
use crate::mssql::Session;
use crate::mssql::arguments::OptionSources;
use crate::mssql::quote::SqlName;
use crate::state_modules::{StateArgs, StateContext, StateModule};

/// The module.
pub struct MssqlRole;

impl StateModule for MssqlRole {
    fn name(&self) -> &'static str {
        "mssql_role"
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
            done.unwrap_or_else(|error| failed(&format!("Role {}", args.name), verb, &error))
        })
    }
}

async fn present(args: &StateArgs, run: &StateContext) -> Result<StateReturn, AccessError> {
    let wish = RoleWish::read(&args.name, &args.args)?;
    let mut session = connect(args, run).await?;
    let (exists, mut plan) = wish.plan(&mut session).await?;
    plan.home = Some(home(&mut session).await?);
    let words = Words {
        subject: format!("Role {}", wish.name),
        verb: if exists { "changed" } else { "added" },
        nothing: format!("Role {} is already present", wish.name),
    };
    let done = converge(&mut session, &plan, (run.mode, Atomicity::Transaction), &words).await;
    session.close().await;
    Ok(done)
}

async fn absent(args: &StateArgs, run: &StateContext) -> Result<StateReturn, AccessError> {
    let name = SqlName::new(args.name.clone())?;
    let mut session = connect(args, run).await?;
    let subject = format!("Role {name}");
    let nothing = format!("{subject} is not present");
    let Some(found) = RoleFound::read(&mut session, &name, None).await? else {
        return Ok(StateReturn::ok(nothing));
    };
    let words = Words { subject, verb: "removed", nothing };
    let mut plan = removal(&mut session, &name, &found).await?;
    plan.home = Some(home(&mut session).await?);
    let done = converge(&mut session, &plan, (run.mode, Atomicity::Transaction), &words).await;
    session.close().await;
    Ok(done)
}

async fn connect(args: &StateArgs, run: &StateContext) -> Result<Session, AccessError> {
    let opts = &run.services.config.opts;
    let sources = OptionSources { arguments: &args.args, opts, pillar: &run.pillar, taken: &[] };
    Ok(admin::open(&sources, None).await?.0)
}
