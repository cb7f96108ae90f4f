//! Salt's `mssql` module: questions to SQL Server.
//!
//! Connection options are keyword arguments, then `mssql.*` options, then the pillar. `tsql_query` runs whatever it is given,
//! so the machine's own configuration must allow it (`agent: {mssql: {tsql_query: True}}`); a master cannot. Creating and
//! removing is left to the state modules, which converge and show their plan.

use futures_util::future::BoxFuture;
use states::{Map, Value};
use tiberius::{ColumnData, Row};

use crate::modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError};
use crate::mssql::arguments::OptionSources;
use crate::mssql::{Param, Rows, Session, SqlError, param};

/// The module.
pub struct Mssql;

impl Module for Mssql {
    fn name(&self) -> &'static str {
        "mssql"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        Box::pin(async move {
            match fun {
                "tsql_query" => tsql_query(&args, call).await,
                "version" => {
                    answer(ask(&args, call, "SELECT @@VERSION", &[]).await, |rows| table(rows, false))
                }
                "db_list" => names(&args, call, "SELECT name FROM sys.databases", &[]).await,
                "user_list" => names(&args, call, USERS, &[]).await,
                "db_exists" => exists(&args, call, DATABASE, args.text("database_name")?).await,
                "login_exists" => exists(&args, call, LOGIN, principal(&args, "login")?).await,
                "user_exists" => exists(&args, call, USER, principal(&args, "username")?).await,
                _ => Err(ModuleError::NotAvailable { fun: format!("mssql.{fun}") }),
            }
        })
    }
}

async fn tsql_query(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let allowed =
        call.services.config.agent_opt("mssql:tsql_query").and_then(Value::as_bool).unwrap_or(false);
    if !allowed {
        return Err(ModuleError::Execution(
            "this machine does not allow mssql.tsql_query: its own configuration must say agent: {mssql: {tsql_query: True}}"
                .to_owned(),
        ));
    }
    let as_dict = args.keyword("as_dict").is_some_and(Value::is_truthy);
    answer(ask(args, call, &args.text("query")?, &[]).await, |rows| table(rows, as_dict))
}

async fn names(
    args: &Arguments,
    call: &CallContext,
    sql: &str,
    params: &[Param],
) -> Result<Value, ModuleError> {
    let rows = ask(args, call, sql, params).await?;
    Ok(Value::List(rows.iter().filter_map(|row| row.cells().next().map(|(_, cell)| value(cell))).collect()))
}

async fn exists(args: &Arguments, call: &CallContext, sql: &str, name: String) -> Result<Value, ModuleError> {
    Ok(Value::Bool(!ask(args, call, sql, &[Param::Text(name)]).await?.is_empty()))
}

/// Why there are no rows.
enum NoRows {
    Sql(SqlError),
    /// The job was killed; the server was told to stop.
    Cancelled,
}

impl From<SqlError> for NoRows {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<NoRows> for ModuleError {
    fn from(why: NoRows) -> Self {
        match why {
            NoRows::Sql(error) => Self::Execution(error.to_string()),
            NoRows::Cancelled => Self::Cancelled,
        }
    }
}

async fn ask(args: &Arguments, call: &CallContext, sql: &str, params: &[Param]) -> Result<Rows, NoRows> {
    let mut arguments = args.keywords.clone();
    if let Some(database) = args.named.get("database").filter(|database| !database.is_nil()) {
        arguments.insert("database", database.clone());
    }
    let (opts, pillar) = (&call.services.config.opts, call.services.pillar.current());
    let sources = OptionSources { arguments: &arguments, opts, pillar: &pillar, taken: &[] };
    let options = sources.connection().map_err(|error| SqlError::Protocol { reason: error.to_string() })?;
    let mut session = Session::connect(&options).await?;
    let asked = tokio::select! {
        asked = run(&mut session, sql, params) => Some(asked),
        () = call.cancel.cancelled() => None,
    };
    let Some(asked) = asked else {
        session.interrupt().await;
        return Err(NoRows::Cancelled);
    };
    session.close().await;
    Ok(asked?)
}

async fn run(session: &mut Session, sql: &str, params: &[Param]) -> Result<Rows, SqlError> {
    if params.is_empty() {
        Ok(session.batch(sql).await?.into_iter().next().unwrap_or_default())
    } else {
        session.query(sql, params).await
    }
}

/// Salt answers a failed query with rows that say so.
fn answer(rows: Result<Rows, NoRows>, shape: impl Fn(&Rows) -> Value) -> Result<Value, ModuleError> {
    Ok(match rows {
        Ok(rows) => shape(&rows),
        Err(NoRows::Cancelled) => return Err(ModuleError::Cancelled),
        Err(NoRows::Sql(error)) => Value::List(vec![
            Value::List(vec!["Could not run the query".into()]),
            Value::List(vec![error.to_string().into()]),
        ]),
    })
}

fn table(rows: &Rows, as_dict: bool) -> Value {
    let shape = |row: &Row| -> Value {
        if as_dict {
            row.cells().map(|(column, cell)| (column.name().to_owned(), value(cell))).collect::<Map>().into()
        } else {
            Value::List(row.cells().map(|(_, cell)| value(cell)).collect())
        }
    };
    Value::List(rows.iter().map(shape).collect())
}

/// A cell as JSON would carry it: numbers, texts and truths as they are, everything else as its text.
fn value(cell: &ColumnData<'static>) -> Value {
    if let ColumnData::Bit(Some(truth)) = cell {
        return Value::Bool(*truth);
    }
    if let Some(number) = param::integer(cell) {
        return Value::Int(number);
    }
    if let Some(text) = param::text(cell) {
        return Value::Str(text);
    }
    if let Some(bytes) = param::bytes(cell) {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        return Value::Str(format!("0x{digits}"));
    }
    match param::shown(cell) {
        Some(text) => Value::Str(text),
        None => Value::Nil,
    }
}

fn principal(args: &Arguments, name: &str) -> Result<String, ModuleError> {
    let bare = args.text(name)?;
    Ok(match args.optional_text("domain")?.filter(|domain| !domain.is_empty()) {
        Some(domain) => format!("{domain}\\{bare}"),
        None => bare,
    })
}

const USERS: &str = "SELECT name FROM sys.database_principals WHERE type IN ('S', 'U', 'G')";
const DATABASE: &str = "SELECT name FROM sys.databases WHERE name = @P1";
const LOGIN: &str = "SELECT name FROM sys.server_principals WHERE name = @P1 AND type IN ('S', 'U', 'G')";
const USER: &str = "SELECT name FROM sys.database_principals WHERE name = @P1 AND type IN ('S', 'U', 'G')";

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "db_exists",
        signature: "database_name, **kwargs",
        doc: "Find if a specific database exists on the MS SQL server.",
    },
    FunctionSpec {
        name: "db_list",
        signature: "**kwargs",
        doc: "Return the database list created on a MS SQL server.",
    },
    FunctionSpec {
        name: "login_exists",
        signature: "login, domain='', **kwargs",
        doc: "Find if a login exists in the MS SQL server.",
    },
    FunctionSpec {
        name: "tsql_query",
        signature: "query, **kwargs",
        doc: "Run a SQL query and return its rows, where this machine's own configuration allows it.",
    },
    FunctionSpec {
        name: "user_exists",
        signature: "username, domain='', database=None, **kwargs",
        doc: "Find if a user exists in a specific database on the MS SQL server.",
    },
    FunctionSpec {
        name: "user_list",
        signature: "**kwargs",
        doc: "Get the user list for a specific database on the MS SQL server.",
    },
    FunctionSpec { name: "version", signature: "**kwargs", doc: "Return the version of a MS SQL server." },
];
