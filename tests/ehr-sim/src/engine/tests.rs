//! The engine through its sessions: one module per promise, a recorder in place of the wire.

use super::{Engine, EngineOptions, Session};
use crate::types::{
    Cancel, Column, Datum, Done, EnvChange, LoginRequest, Output, Param, Request, SqlMessage, Stopped,
};

mod backup;
mod concurrency;
mod faults;
mod load;
mod profiles;
mod queries;
mod security;
mod spent;
mod statements;
mod tracking;

/// What a request produced, in the order of the wire.
#[derive(Debug, Default)]
pub struct Recorder {
    pub columns: Vec<Vec<Column>>,
    pub rows: Vec<Vec<Datum>>,
    pub messages: Vec<SqlMessage>,
    pub done: Vec<Done>,
    pub env: Vec<EnvChange>,
    pub returned: Vec<Param>,
    pub status: Option<i32>,
}

impl Output for Recorder {
    fn columns(&mut self, columns: &[Column]) -> Result<(), Stopped> {
        self.columns.push(columns.to_vec());
        Ok(())
    }
    fn row(&mut self, row: &[Datum]) -> Result<(), Stopped> {
        self.rows.push(row.to_vec());
        Ok(())
    }
    fn done(&mut self, done: Done) -> Result<(), Stopped> {
        self.done.push(done);
        Ok(())
    }
    fn message(&mut self, message: &SqlMessage) -> Result<(), Stopped> {
        self.messages.push(message.clone());
        Ok(())
    }
    fn env(&mut self, change: &EnvChange) -> Result<(), Stopped> {
        self.env.push(change.clone());
        Ok(())
    }
    fn return_status(&mut self, status: i32) -> Result<(), Stopped> {
        self.status = Some(status);
        Ok(())
    }
    fn return_value(&mut self, _: u16, param: &Param) -> Result<(), Stopped> {
        self.returned.push(param.clone());
        Ok(())
    }
}

impl Recorder {
    /// Error numbers in order.
    pub fn errors(&self) -> Vec<u32> {
        self.messages.iter().filter(|m| m.is_error()).map(|m| m.number).collect()
    }

    /// Rows as text, `NULL` for NULL.
    pub fn text(&self) -> Vec<String> {
        let cell = |value: &Datum| {
            if value.is_null() {
                return "NULL".to_owned();
            }
            super::value::convert::to_text(value, if binary(value) { 1 } else { 0 }).unwrap()
        };
        self.rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join("|")).collect()
    }
}

fn binary(value: &Datum) -> bool {
    matches!(value, Datum::Binary(_) | Datum::RowVersion(_))
}

pub fn engine() -> Engine {
    Engine::new(EngineOptions { sa_password: "Right-1".into(), ..EngineOptions::default() })
}

/// An engine with an empty database `Clinic`, and a session of `sa` in it.
pub fn clinic() -> (Engine, Session) {
    let engine = engine();
    let mut session = engine.local_session("test");
    ok(&mut session, "CREATE DATABASE Clinic");
    ok(&mut session, "USE Clinic");
    (engine, session)
}

pub fn run(session: &mut Session, batch: &str) -> Recorder {
    let mut recorder = Recorder::default();
    session.execute(Request::Batch(batch.into()), &mut recorder, &Cancel::new()).unwrap();
    recorder
}

/// Runs a batch that must not fail; its rows as text.
pub fn ok(session: &mut Session, batch: &str) -> Vec<String> {
    let recorder = run(session, batch);
    let errors: Vec<_> = recorder.messages.iter().filter(|m| m.is_error()).collect();
    assert!(errors.is_empty(), "{batch}\n{errors:?}");
    recorder.text()
}

/// The single error a batch must fail with: number and text.
pub fn fails(session: &mut Session, batch: &str) -> (u32, String) {
    let recorder = run(session, batch);
    let error = recorder.messages.iter().find(|m| m.is_error());
    let error = error.unwrap_or_else(|| panic!("no error from {batch}: {:?}", recorder.text()));
    (error.number, error.text.clone())
}

pub fn login(
    engine: &Engine,
    user: &str,
    password: &str,
    database: &str,
) -> Result<Session, Vec<SqlMessage>> {
    engine.login(LoginRequest {
        user: user.into(),
        password: password.into(),
        database: database.into(),
        ..LoginRequest::default()
    })
}
