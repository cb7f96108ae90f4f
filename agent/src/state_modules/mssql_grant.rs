//! The `mssql_grant` state module: permissions of a user on one securable.
//!
//! `present` and `absent` take `user` (default: the state's name), `database`, `object` (`table` or `schema.table`) or
//! `schema`, `columns`, `permissions` (default: SELECT), and connection options. With neither object nor schema the securable is
//! the database itself. Permissions got through roles are not looked at.

use futures_util::future::BoxFuture;
use states::StateReturn;

use crate::access::AccessError;
use crate::access::converge::{Words, converge, failed};
use crate::access::grant::GrantWish;
use crate::access::plan::Atomicity;
use crate::access::user::UserFound;
use crate::mssql::Session;
use crate::mssql::arguments::OptionSources;
use crate::state_modules::{RunMode, StateArgs, StateContext, StateModule};

/// The module.
pub struct MssqlGrant;

impl StateModule for MssqlGrant {
    fn name(&self) -> &'static str {
        "mssql_grant"
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
            let verb = if fun == "present" { "granted" } else { "revoked" };
            let done = grant(args, run, verb).await;
            done.unwrap_or_else(|error| failed(&format!("Permissions of {}", args.name), verb, &error))
        })
    }
}

async fn grant(args: &StateArgs, run: &StateContext, verb: &'static str) -> Result<StateReturn, AccessError> {
    let wish = GrantWish::read(&args.name, &args.args)?;
    let opts = &run.services.config.opts;
    let sources = OptionSources { arguments: &args.args, opts, pillar: &run.pillar, taken: &["user"] };
    let mut session = Session::connect(&sources.connection()?).await?;
    // A dry run comes before the user is made by an earlier state of the same run.
    let user_to_come =
        run.mode == RunMode::Test && UserFound::read(&mut session, &wish.user).await?.is_none();
    let found = if user_to_come { Vec::new() } else { wish.found(&mut session).await? };
    let plan = if verb == "granted" { wish.plan(&found)? } else { wish.removal(&found) };
    let (permissions, on) = (wish.permissions.join(", "), wish.securable.shown());
    let words = Words {
        subject: format!("{permissions} on {on} for user {}", wish.user),
        verb,
        nothing: format!("{permissions} on {on} is already {verb} for user {}", wish.user),
    };
    let done = converge(&mut session, &plan, (run.mode, Atomicity::Transaction), &words).await;
    session.close().await;
    Ok(done)
}
