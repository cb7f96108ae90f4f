//! Prepared statements: `sp_prepare`, `sp_prepexec`, `sp_execute` and `sp_unprepare`, carried out as calls of
//! `sp_executesql` on texts remembered by handle. Handles belong to one connection and end with it or its reset.
//!
//! `sp_prepare` remembers without compiling: a statement that cannot be compiled is reported when it is executed, and
//! no column metadata comes with the handle. Cursors are not here: the backend refuses `sp_cursor…` by number.

use std::collections::HashMap;

use super::backend::BackendSession;
use crate::types::{
    Cancel, Column, Datum, Done, DoneKind, EnvChange, Output, Param, Request, Rpc, SqlMessage, SqlType,
    Stopped,
};

/// One connection's prepared statements.
#[derive(Debug, Default)]
pub struct PreparedStatements {
    last: i32,
    known: HashMap<i32, Statement>,
}

/// `@stmt` and `@params` as the client gave them.
#[derive(Debug, Clone)]
struct Statement {
    text: Param,
    declarations: Param,
}

impl PreparedStatements {
    /// Forgets every handle.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// Runs `rpc`, which may name one of the procedures of this module.
    pub fn call(
        &mut self,
        rpc: Rpc,
        session: &mut dyn BackendSession,
        output: &mut dyn Output,
        cancel: &Cancel,
    ) -> Result<(), Stopped> {
        match rpc.procedure.to_ascii_lowercase().as_str() {
            "sp_prepare" => match self.remember(rpc.params) {
                Some((handle, _, _)) => end(output, Some(&handle)),
                None => refuse(output, wrong_arguments("sp_prepare")),
            },
            "sp_prepexec" => match self.remember(rpc.params) {
                Some((handle, statement, arguments)) => {
                    let mut output = WithHandle { output, handle };
                    session.execute(Request::Rpc(statement.with(arguments)), &mut output, cancel)
                }
                None => refuse(output, wrong_arguments("sp_prepexec")),
            },
            "sp_execute" => match self.find(&rpc.params) {
                Ok(statement) => {
                    let arguments = rpc.params.into_iter().skip(1).collect();
                    session.execute(Request::Rpc(statement.with(arguments)), output, cancel)
                }
                Err(message) => refuse(output, message),
            },
            "sp_unprepare" => match self.forget(&rpc.params) {
                Ok(()) => end(output, None),
                Err(message) => refuse(output, message),
            },
            _ => session.execute(Request::Rpc(rpc), output, cancel),
        }
    }

    /// Takes `@handle OUTPUT, @params, @stmt` off the front; what is left are the statement's own arguments.
    fn remember(&mut self, params: Vec<Param>) -> Option<(Param, Statement, Vec<Param>)> {
        let mut params = params.into_iter();
        let (handle, declarations, text) = (params.next()?, params.next()?, params.next()?);
        if !is_text_or_null(&declarations) || !is_text_or_null(&text) || text.value.is_null() {
            return None;
        }
        self.last = self.last.checked_add(1).unwrap_or(1);
        let statement = Statement { text, declarations };
        self.known.insert(self.last, statement.clone());
        let handle = Param { ty: SqlType::Int, value: Datum::Int(self.last), ..handle };
        Some((handle, statement, params.collect()))
    }

    fn find(&self, params: &[Param]) -> Result<Statement, SqlMessage> {
        let handle = handle_of(params);
        self.known.get(&handle).cloned().ok_or_else(|| unknown_handle(handle))
    }

    fn forget(&mut self, params: &[Param]) -> Result<(), SqlMessage> {
        let handle = handle_of(params);
        self.known.remove(&handle).map(|_| ()).ok_or_else(|| unknown_handle(handle))
    }
}

impl Statement {
    fn with(self, arguments: Vec<Param>) -> Rpc {
        let mut params = vec![Param { name: String::new(), ..self.text }];
        if !self.declarations.value.is_null() {
            params.push(Param { name: String::new(), ..self.declarations });
            params.extend(arguments);
        }
        Rpc { procedure: "sp_executesql".into(), params }
    }
}

/// Passes everything on, and the handle before the procedure's end.
struct WithHandle<'a> {
    output: &'a mut dyn Output,
    handle: Param,
}

impl Output for WithHandle<'_> {
    fn columns(&mut self, columns: &[Column]) -> Result<(), Stopped> {
        self.output.columns(columns)
    }

    fn row(&mut self, row: &[Datum]) -> Result<(), Stopped> {
        self.output.row(row)
    }

    fn done(&mut self, done: Done) -> Result<(), Stopped> {
        if done.kind == DoneKind::Procedure {
            self.output.return_value(0, &self.handle)?;
        }
        self.output.done(done)
    }

    fn message(&mut self, message: &SqlMessage) -> Result<(), Stopped> {
        self.output.message(message)
    }

    fn env(&mut self, change: &EnvChange) -> Result<(), Stopped> {
        self.output.env(change)
    }

    fn return_status(&mut self, status: i32) -> Result<(), Stopped> {
        self.output.return_status(status)
    }

    fn return_value(&mut self, ordinal: u16, param: &Param) -> Result<(), Stopped> {
        self.output.return_value(ordinal.saturating_add(1), param)
    }
}

fn end(output: &mut dyn Output, handle: Option<&Param>) -> Result<(), Stopped> {
    output.return_status(0)?;
    if let Some(handle) = handle {
        output.return_value(0, handle)?;
    }
    output.done(Done { kind: DoneKind::Procedure, count: None, error: false, command: 0 })
}

fn refuse(output: &mut dyn Output, message: SqlMessage) -> Result<(), Stopped> {
    output.message(&message)?;
    output.done(Done { kind: DoneKind::Procedure, count: None, error: true, command: 0 })
}

fn is_text_or_null(param: &Param) -> bool {
    param.value.is_null() || param.value.as_str().is_some()
}

fn handle_of(params: &[Param]) -> i32 {
    let handle = params.first().and_then(|param| param.value.as_i64()).unwrap_or(0);
    i32::try_from(handle).unwrap_or(0)
}

fn unknown_handle(handle: i32) -> SqlMessage {
    error(8179, 2, format!("Could not find prepared statement with handle {handle}."))
}

fn wrong_arguments(procedure: &str) -> SqlMessage {
    let message = error(214, 3, "Procedure expects parameter '@stmt' of type 'ntext/nchar/nvarchar'.".into());
    SqlMessage { procedure: procedure.into(), ..message }
}

fn error(number: u32, state: u8, text: String) -> SqlMessage {
    SqlMessage { number, state, class: 16, text, line: 1, procedure: String::new() }
}
