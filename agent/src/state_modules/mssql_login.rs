//! Salt's `mssql_login` state module: logins of SQL Server, converged.
//!
//! `present(name, password=None, domain=None, server_roles=None, options=None, **kwargs)` and `absent(name, domain=None, **kwargs)`
//! as in Salt, plus `default_database`, `disabled`, `sid` (`fixed` or `0x…`) and `server_roles_exact`; keyword arguments override
//! the connection options. Unlike Salt's, an existing login is corrected, and `absent` uses the connection arguments
//! throughout. `rotated(name, former, database)` ends the overlap of two logins: see `access::rotation`.

use futures_util::future::BoxFuture;
use states::StateReturn;

use crate::access::converge::{Words, converge, failed};
use crate::access::login::{LoginFound, LoginWish, removal};
use crate::access::plan::Atomicity;
use crate::access::rotation::Rotation;
use crate::access::{AccessError, admin, arguments, declared};
use crate::mssql::arguments::OptionSources;
use crate::mssql::quote::SqlName;
use crate::state_modules::{RunMode, StateArgs, StateContext, StateModule};

/// The module.
pub struct MssqlLogin;

impl StateModule for MssqlLogin {
    fn name(&self) -> &'static str {
        "mssql_login"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["present", "absent", "rotated"]
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
                "rotated" => (rotated(args, run).await, "rotated"),
                _ => (absent(args, run).await, "removed"),
            };
            done.unwrap_or_else(|error| failed(&format!("Login {}", args.name), verb, &error))
        })
    }
}

async fn present(args: &StateArgs, run: &StateContext) -> Result<StateReturn, AccessError> {
    let mut wish = LoginWish::read(&args.name, &args.args)?;
    let (mut session, connection) = admin::open(&sources(args, run, &["password"]), Some(MASTER)).await?;
    wish.resolve(&mut session).await?;
    let found = LoginFound::read(&mut session, &wish, &connection).await?;
    let mut plan = wish.plan(found.as_ref())?;
    plan.home = Some(SqlName::new(MASTER)?);
    let words = Words {
        subject: format!("Login {}", wish.name),
        verb: if found.is_some() { "changed" } else { "added" },
        nothing: format!("Login {} is already present", wish.name),
    };
    let done = converge(&mut session, &plan, (run.mode, Atomicity::Transaction), &words).await;
    session.close().await;
    Ok(done)
}

async fn absent(args: &StateArgs, run: &StateContext) -> Result<StateReturn, AccessError> {
    let name = match arguments::text(&args.args, "domain")? {
        Some(domain) => SqlName::new(format!("{domain}\\{}", args.name))?,
        None => SqlName::new(args.name.clone())?,
    };
    let (mut session, _) = admin::open(&sources(args, run, &[]), Some(MASTER)).await?;
    let subject = format!("Login {name}");
    let nothing = format!("{subject} is not present");
    if !LoginFound::exists(&mut session, &name).await? {
        return Ok(StateReturn::ok(nothing));
    }
    let words = Words { subject, verb: "removed", nothing };
    let mut plan = removal(&mut session, &name).await?;
    plan.home = Some(SqlName::new(MASTER)?);
    let done = converge(&mut session, &plan, (run.mode, Atomicity::Transaction), &words).await;
    session.close().await;
    Ok(done)
}

async fn rotated(args: &StateArgs, run: &StateContext) -> Result<StateReturn, AccessError> {
    let rotation = Rotation::read(&args.name, &args.args)?;
    let (mut session, connection) = admin::open(&sources(args, run, &["password"]), None).await?;
    let planned = rotation.plan(&mut session, run).await?;
    let words = Words {
        subject: format!("Login {}", rotation.active),
        verb: "rotated",
        nothing: format!("Login {} is the only one that works", rotation.active),
    };
    let how = (run.mode, Atomicity::Transaction);
    let mut done = converge(&mut session, &planned.plan, how, &words).await;
    session.close().await;
    if let (Some(true), RunMode::Apply, Some(database)) = (done.result, run.mode, &planned.plan.home) {
        for login in &planned.over {
            declared::forget(&run.services, &connection.server, database, login).await?;
        }
    }
    if !planned.waits.is_empty() {
        let done_so_far = if planned.plan.is_empty() { String::new() } else { format!("{}\n", done.comment) };
        done.comment = format!("{done_so_far}{}", planned.waits.join("\n"));
    }
    Ok(done)
}

/// Where logins are made: it lets everyone in, whatever became of the EHR's database.
const MASTER: &str = "master";

/// `taken` are the arguments that mean the login and not the connection.
fn sources<'a>(args: &'a StateArgs, run: &'a StateContext, taken: &'a [&'a str]) -> OptionSources<'a> {
    OptionSources { arguments: &args.args, opts: &run.services.config.opts, pillar: &run.pillar, taken }
}
