//! The `mssql_write` state module: declared writes of this minion, and the ledger that makes them happen once.
//!
//! `present` checks the definition as the writing login and declares it; `absent` removes it. `ledger_present` makes the
//! agent-owned database (the state's name) and its ledger table with an admin credential. Arguments: see
//! `write::declaration`.

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::access::AccessError;
use crate::access::converge::{Words, converge, failed};
use crate::access::database::DatabaseFound;
use crate::access::plan::Atomicity;
use crate::mssql::arguments::OptionSources;
use crate::mssql::quote::SqlName;
use crate::mssql::{Param, Session};
use crate::state_modules::{RunMode, StateArgs, StateContext, StateModule};
use crate::write::WriteError;
use crate::write::book::Declared;
use crate::write::check::{Checked, approve, check, given_fingerprint};
use crate::write::declaration::{defining, unknown_arguments};
use crate::write::definition::WriteSpec;
use crate::write::ledger::Ledger;
use crate::write::names::WriteName;

/// The module.
pub struct MssqlWrite;

impl StateModule for MssqlWrite {
    fn name(&self) -> &'static str {
        "mssql_write"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["present", "absent", "ledger_present"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            let done = match fun {
                "present" => present(args, run).await,
                "absent" => absent(args, run).await,
                _ => {
                    let made = ledger_present(args, run).await;
                    return made.unwrap_or_else(|error| {
                        failed(&format!("The write ledger in {}", args.name), "made", &error)
                    });
                }
            };
            done.unwrap_or_else(|error| StateReturn::failed(format!("Write {} failed: {error}", args.name)))
        })
    }
}

async fn present(args: &StateArgs, run: &StateContext) -> Result<StateReturn, WriteError> {
    let opts = &run.services.config.opts;
    let sources = OptionSources { arguments: &args.args, opts, pillar: &run.pillar, taken: &[] };
    let wanted = WriteSpec::read(&args.name, &sources)?;
    let given = given_fingerprint(&args.args)?;
    let former = run.services.writes.book.find(&wanted.name).await?;
    let Checked { spec, warnings } = match check(wanted.clone()).await {
        Ok(checked) => checked,
        Err(error) if run.mode == RunMode::Test && may_pass_later(&error) => {
            return Ok(unchecked(&wanted, &error));
        }
        Err(error) => return Err(error),
    };
    approve(former.as_ref().map(|former| &former.spec.shape), &spec.shape, given.as_deref())?;
    let declared = Declared { spec, arguments: defining(&args.args) };
    let changes = changes(former.as_ref(), &declared);
    let name = declared.spec.name.clone();
    let mut done = if changes.is_empty() {
        StateReturn::ok(format!("Write {name} is already declared"))
    } else if run.mode == RunMode::Test {
        StateReturn::would_change(format!("Write {name} is set to be declared"), changes)
    } else {
        run.services.writes.declare(declared).await?;
        StateReturn::changed(format!("Write {name} is declared"), changes)
    };
    done.warnings = warnings;
    let unknown = unknown_arguments(&args.args);
    done.warnings
        .extend(unknown.iter().map(|name| format!("mssql_write.present takes no argument '{name}'")));
    for warning in &done.warnings {
        done.comment.push_str(&format!("\nWarning: {warning}"));
    }
    Ok(done)
}

async fn absent(args: &StateArgs, run: &StateContext) -> Result<StateReturn, WriteError> {
    let name = WriteName::new(args.name.clone())?;
    if run.services.writes.book.find(&name).await?.is_none() {
        return Ok(StateReturn::ok(format!("Write {name} is not declared")));
    }
    let changes: Map = [(name.as_str(), "Absent")].into_iter().collect();
    if run.mode == RunMode::Test {
        return Ok(StateReturn::would_change(format!("Write {name} is set to be removed"), changes));
    }
    run.services.writes.remove(&name).await?;
    Ok(StateReturn::changed(format!("Write {name} has been removed"), changes))
}

async fn ledger_present(args: &StateArgs, run: &StateContext) -> Result<StateReturn, AccessError> {
    let opts = &run.services.config.opts;
    let sources = OptionSources { arguments: &args.args, opts, pillar: &run.pillar, taken: &["database"] };
    let ledger = Ledger { database: SqlName::new(args.name.clone())? };
    let mut session = Session::connect(&sources.connection()?).await?;
    let has_database = DatabaseFound::read(&mut session, &ledger.database).await?.is_some();
    let has_table = has_database && has_table(&mut session, &ledger).await?;
    let plan = ledger.plan(has_database, has_table);
    let words = Words {
        subject: format!("The write ledger in {}", ledger.database),
        verb: "made",
        nothing: format!("The write ledger in {} is there", ledger.database),
    };
    // CREATE DATABASE may not be in a transaction.
    let done = converge(&mut session, &plan, (run.mode, Atomicity::Stepwise), &words).await;
    session.close().await;
    Ok(done)
}

async fn has_table(session: &mut Session, ledger: &Ledger) -> Result<bool, AccessError> {
    let Some(table) = Ledger::table() else { return Ok(false) };
    let name = format!("{}.{}", ledger.database.quoted(), table.quoted());
    let rows = session.query("SELECT 1 WHERE OBJECT_ID(@P1) IS NOT NULL", &[Param::Text(name)]).await?;
    Ok(!rows.is_empty())
}

/// A dry run comes before the login, the user, the grants or the ledger are made by earlier states of the same run.
fn may_pass_later(error: &WriteError) -> bool {
    match error {
        WriteError::Sql(error) => matches!(error.number(), Some(18456 | 4060 | 916 | 229 | 230)),
        WriteError::NoTable { .. } | WriteError::NoColumn { .. } | WriteError::Ledger { .. } => true,
        WriteError::Options(_)
        | WriteError::Object(_)
        | WriteError::Name(_)
        | WriteError::Store(_)
        | WriteError::Recipient { .. }
        | WriteError::Seal(_)
        | WriteError::Argument { .. }
        | WriteError::Parameter { .. }
        | WriteError::NotIdempotent
        | WriteError::NoRecipients { .. }
        | WriteError::ColumnType { .. }
        | WriteError::SchemaChanged { .. }
        | WriteError::NoWrite { .. }
        | WriteError::Sealed { .. }
        | WriteError::Fault { .. } => false,
    }
}

fn unchecked(wanted: &WriteSpec, error: &WriteError) -> StateReturn {
    let changes: Map = [(wanted.name.as_str(), "Present")].into_iter().collect();
    let comment = format!(
        "Write {} is set to be declared. It cannot be checked as long as {} may not use its tables and its ledger: {error}",
        wanted.name, wanted.connection.user
    );
    StateReturn::would_change(comment, changes)
}

/// What differs between a declared write and the wanted one; empty when nothing does.
fn changes(former: Option<&Declared>, wanted: &Declared) -> Map {
    let mut changes = Map::new();
    let Some(former) = former else {
        changes.insert(wanted.spec.name.as_str(), "Present");
        return changes;
    };
    for ((name, old), (_, new)) in
        facts(former).into_iter().zip(facts(wanted)).filter(|(old, new)| old != new)
    {
        let change: Map = [("old", old), ("new", new)].into_iter().collect();
        changes.insert(name, change);
    }
    if former.spec.connection.password != wanted.spec.connection.password {
        changes.insert("password", "changed");
    }
    changes
}

fn facts(declared: &Declared) -> Vec<(&'static str, Value)> {
    let (spec, connection) = (&declared.spec, &declared.spec.connection);
    let argument = |name: &str| declared.arguments.get(name).cloned().unwrap_or_default();
    let mut facts = vec![
        ("server", connection.server.to_string().into()),
        ("user", connection.user.as_str().into()),
        ("database", connection.database.as_str().into()),
        ("encrypt", format!("{:?}, {:?}", connection.encryption, connection.trust).into()),
        ("lock_timeout", Value::Float(connection.lock_timeout.as_secs_f64())),
        ("recipients", Value::List(spec.recipients.iter().map(|key| key.as_str().into()).collect())),
        ("schema", spec.shape.fingerprint().into()),
    ];
    facts.extend(crate::write::declaration::DEFINING.iter().map(|name| (*name, argument(name))));
    facts
}
