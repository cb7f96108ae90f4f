//! Salt's `mssql_database` state module: databases of an instance.
//!
//! `present(name, containment="NONE", options=None, **kwargs)` and `absent(name, **kwargs)`. Unlike Salt's, `present` corrects
//! the options that it names, and `absent` does not throw out who uses the database.

use futures_util::future::BoxFuture;
use states::StateReturn;

use crate::access::converge::{Words, converge, failed};
use crate::access::database::{DatabaseFound, DatabaseWish, removal};
use crate::access::plan::Atomicity;
use crate::access::{AccessError, admin};
use crate::mssql::Session;
use crate::mssql::arguments::OptionSources;
use crate::mssql::quote::SqlName;
use crate::state_modules::{StateArgs, StateContext, StateModule};

/// The module.
pub struct MssqlDatabase;

impl StateModule for MssqlDatabase {
    fn name(&self) -> &'static str {
        "mssql_database"
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
            done.unwrap_or_else(|error| failed(&format!("Database {}", args.name), verb, &error))
        })
    }
}

async fn present(args: &StateArgs, run: &StateContext) -> Result<StateReturn, AccessError> {
    let wish = DatabaseWish::read(&args.name, &args.args)?;
    let mut session = connect(args, run).await?;
    let found = DatabaseFound::read(&mut session, &wish.name).await?;
    let plan = wish.plan(found.as_ref());
    let words = Words {
        subject: format!("Database {}", wish.name),
        verb: if found.is_some() { "changed" } else { "added" },
        nothing: format!("Database {} is already present", wish.name),
    };
    let done = converge(&mut session, &plan, (run.mode, Atomicity::Stepwise), &words).await;
    session.close().await;
    Ok(done)
}

async fn absent(args: &StateArgs, run: &StateContext) -> Result<StateReturn, AccessError> {
    let name = SqlName::new(args.name.clone())?;
    let mut session = connect(args, run).await?;
    let subject = format!("Database {name}");
    let nothing = format!("{subject} is not present");
    if DatabaseFound::read(&mut session, &name).await?.is_none() {
        return Ok(StateReturn::ok(nothing));
    }
    let words = Words { subject, verb: "removed", nothing };
    let plan = removal(&name)?;
    let done = converge(&mut session, &plan, (run.mode, Atomicity::Stepwise), &words).await;
    session.close().await;
    Ok(done)
}

async fn connect(args: &StateArgs, run: &StateContext) -> Result<Session, AccessError> {
    let opts = &run.services.config.opts;
    let sources = OptionSources { arguments: &args.args, opts, pillar: &run.pillar, taken: &[] };
    Ok(admin::open(&sources, Some("master")).await?.0)
}
