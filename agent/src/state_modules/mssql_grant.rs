//! The `mssql_grant` state module: rights of a user or role, on the server and in a database.
//!
//! `present` and `absent` take `user` (default: the state's name), `login` (for rights on the server; default: the user),
//! `database`, and either one grant (`object`: `table` or `schema.table`, or `schema`, or `securable: server|database`, the
//! default; with `columns`, `permissions`, `grant_option`, `deny`) or a list of such in `grants`, and connection options.
//! `exact` takes `prune: revoke|report` besides (default: revoke): what the user has in the database beyond the
//! declared grants, and beyond the declared `roles` when given, is taken away or named. `from_jobs` declares exactly what the
//! jobs and writes of `login` need (`mode: derived`), or `db_owner` (`mode: full`).

use futures_util::future::BoxFuture;
use states::StateReturn;

use crate::access::converge::{Words, converge, failed, for_the_dba};
use crate::access::declared::{Declared, DeclaredExtent};
use crate::access::difference::{Aim, Prune};
use crate::access::grant::{GrantFound, GrantWish};
use crate::access::needs::Scope;
use crate::access::plan::{Atomicity, home};
use crate::access::{AccessError, Plan, admin, arguments};
use crate::mssql::Session;
use crate::mssql::arguments::OptionSources;
use crate::state_modules::{RunMode, StateArgs, StateContext, StateModule};

mod from_jobs;
mod words;

/// The module.
pub struct MssqlGrant;

impl StateModule for MssqlGrant {
    fn name(&self) -> &'static str {
        "mssql_grant"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["present", "absent", "exact", "from_jobs"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            let verb = if fun == "absent" { "revoked" } else { "granted" };
            let done = match fun {
                "present" => grant(args, run, Aim::Present).await,
                "absent" => grant(args, run, Aim::Absent).await,
                "from_jobs" => from_jobs::from_jobs(args, run).await,
                _ => match Prune::read(&args.args) {
                    Ok(prune) => grant(args, run, Aim::Exact(prune)).await,
                    Err(error) => Err(error),
                },
            };
            done.unwrap_or_else(|error| failed(&format!("Permissions of {}", args.name), verb, &error))
        })
    }
}

async fn grant(args: &StateArgs, run: &StateContext, aim: Aim) -> Result<StateReturn, AccessError> {
    let mut wish = GrantWish::read(&args.name, &args.args)?;
    let (mut session, connection) = match admin::open(&sources(args, run), None).await {
        Err(AccessError::NoAccess { why, .. }) => {
            let mut plan = wish.plan(&GrantFound::default(), aim)?.plan;
            plan.home = arguments::name(&args.args, "database")?;
            return Ok(for_the_dba(&words::of(&wish, aim), &plan, Atomicity::Transaction, &why));
        }
        opened => opened?,
    };
    wish.resolve(&mut session).await?;
    let (words, database) = (words::of(&wish, aim), home(&mut session).await?);
    let done = settle(&mut session, &wish, (run.mode, aim), &words).await;
    session.close().await;
    let done = done?;
    let scope = Scope { server: connection.server, login: wish.login.clone(), database };
    let (user, extent) = (wish.user.clone(), DeclaredExtent::Exact(Box::new(wish)));
    keep(run, Declared { scope, user, extent }, aim, &done).await?;
    Ok(done)
}

/// Keeps an exact declaration that holds, so that drift from it is found.
async fn keep(
    run: &StateContext,
    declared: Declared,
    aim: Aim,
    done: &StateReturn,
) -> Result<(), AccessError> {
    if run.mode == RunMode::Apply && done.result == Some(true) && matches!(aim, Aim::Exact(_)) {
        let changed = done.changes.as_map().is_some_and(|changes| !changes.is_empty());
        declared.keep(&run.services, changed).await?;
    }
    Ok(())
}

/// Compares, shows or runs, and says what is left beyond the declaration.
async fn settle(
    session: &mut Session,
    wish: &GrantWish,
    (mode, aim): (RunMode, Aim),
    words: &Words,
) -> Result<StateReturn, AccessError> {
    let found = match (wish.found(session).await?, mode) {
        (Some(found), _) => found,
        // A dry run comes before the user is made by an earlier state of the same run.
        (None, RunMode::Test) => GrantFound::default(),
        (None, RunMode::Apply) => {
            return Err(AccessError::Conflict(format!("there is no user {} in the database", wish.user)));
        }
    };
    let difference = wish.plan(&found, aim)?;
    let plan = Plan { home: Some(home(session).await?), ..difference.plan };
    let mut done = converge(session, &plan, (mode, Atomicity::Transaction), words).await;
    if !difference.left.is_empty() && done.result != Some(false) {
        done.comment.push_str(&format!("\nBeyond the declaration: {}", difference.left.join("; ")));
    }
    Ok(done)
}

/// `user` is the grantee here and not the connection's.
fn sources<'a>(args: &'a StateArgs, run: &'a StateContext) -> OptionSources<'a> {
    let taken = &["user"];
    OptionSources { arguments: &args.args, opts: &run.services.config.opts, pillar: &run.pillar, taken }
}
