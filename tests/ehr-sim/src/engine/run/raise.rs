//! PRINT, RAISERROR, THROW, WAITFOR, KILL, USE.
//!
//! Facts: the page of each statement; RAISERROR's format is the C subset it documents.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]

use std::time::Duration;

use super::Runner;
use crate::engine::ast::Expr;
use crate::engine::message::{self, Reach, Result, SqlError};
use crate::engine::storage::guard;
use crate::engine::value::convert;
use crate::engine::value::temporal;
use crate::types::{Datum, EnvChange, Length, SqlMessage, SqlType};

impl Runner<'_> {
    pub(super) fn print(&mut self, expr: &Expr) -> Result<()> {
        let text = self.scalar(expr, SqlType::NVarChar(Length::Of(4000)))?;
        let message = message::info(0, 1, text.as_str().unwrap_or(" "));
        self.info(&message);
        Ok(())
    }

    pub(super) fn raise_error(
        &mut self,
        text: &Expr,
        (severity, state): (&Expr, &Expr),
        args: &[Expr],
        log: bool,
    ) -> Result<()> {
        let severity = self.scalar(severity, SqlType::Int)?.as_i64().unwrap_or(0).clamp(0, 25) as u8;
        let state = self.scalar(state, SqlType::Int)?.as_i64().unwrap_or(0).clamp(0, 255) as u8;
        let template = self.scalar_any(text)?;
        let mut values = Vec::new();
        for arg in args {
            values.push(self.scalar_any(arg)?);
        }
        if let Some(number) = template.as_i64() {
            let text = format!(
                "Error {number}, severity {severity}, state {state} was raised, but no message with that error number was found in sys.messages. If error is larger than 50000, make sure the user-defined message is added using sp_addmessage."
            );
            return Err(SqlError::new(18054, 16, 1, text));
        }
        let text = format_message(template.as_str().unwrap_or("(null)"), &values);
        if severity <= 10 {
            // Severity 10 is told as 0, and none of these is an error.
            self.session.set_last_error(0);
            let message = SqlMessage {
                number: 50000,
                state,
                class: severity % 10,
                text,
                line: 1,
                procedure: String::new(),
            };
            self.info(&message);
            return Ok(());
        }
        if severity > 18 && !(log && self.session.is_sysadmin()) {
            return Err(SqlError::new(
                2754,
                16,
                1,
                "Error severity levels greater than 18 can only be specified by members of the sysadmin role, using the WITH LOG option.",
            ));
        }
        Err(SqlError::new(50000, severity, state, text).reaching(Reach::Statement))
    }

    fn scalar_any(&mut self, expr: &Expr) -> Result<Datum> {
        self.in_statement(|_, exec| {
            let mut binder = crate::engine::bind::Binder::new(exec);
            let bound = binder.value(expr)?;
            exec.constant(&bound)
        })
    }

    pub(super) fn throw(&mut self, throw: Option<&(Expr, Expr, Expr)>) -> Result<()> {
        let Some((number, text, state)) = throw else {
            let mut error = self.session.caught().ok_or_else(message::throw_outside)?;
            error.reported = false;
            if error.reach == Reach::Statement {
                error.reach = Reach::Batch;
            }
            return Err(error);
        };
        let number = self.scalar(number, SqlType::Int)?.as_i64().unwrap_or(0);
        if number < 50000 {
            return Err(message::throw_number(number));
        }
        let text = self.scalar(text, SqlType::NVarChar(Length::Of(2048)))?;
        let state = self.scalar(state, SqlType::Int)?.as_i64().unwrap_or(0).clamp(0, 255) as u8;
        let text = text.as_str().unwrap_or_default().to_owned();
        Err(SqlError::new(number as u32, 16, state, text).reaching(Reach::Batch))
    }

    pub(super) fn wait_for(&mut self, delay: &Expr, until: bool) -> Result<()> {
        if until {
            return Err(message::not_supported("WAITFOR TIME"));
        }
        let value = self.scalar_any(delay)?;
        let ticks = match &value {
            Datum::VarChar(s) | Datum::NVarChar(s) => {
                temporal::parse(s).filter(|p| p.days.is_none()).map(|p| p.ticks)
            }
            other => temporal::moment(other).map(|m| m.ticks),
        };
        let text = value.as_str().unwrap_or_default().to_owned();
        let ticks = ticks.ok_or_else(|| {
            SqlError::new(
                148,
                15,
                1,
                format!("Incorrect time syntax in time string '{text}' used with WAITFOR."),
            )
        })?;
        let delay = Duration::from_nanos(ticks * 100);
        if self.session.waiting("WAITFOR", || self.cancel.wait_timeout(delay)) {
            return Err(message::cancelled());
        }
        Ok(())
    }

    pub(super) fn kill(&mut self, id: i64) -> Result<()> {
        if !self.session.has_server_permission("ALTER ANY CONNECTION") {
            return Err(SqlError::new(
                6102,
                14,
                1,
                "User does not have permission to use the KILL statement.",
            ));
        }
        if id == i64::from(self.session.spid) {
            return Err(message::kill_self());
        }
        let sessions = guard(&self.session.instance.sessions);
        let found = u16::try_from(id).ok().and_then(|id| sessions.get(&id).cloned());
        let target = found.ok_or_else(|| message::bad_session(id))?;
        drop(sessions);
        target.killed.cancel();
        let running = guard(&target.activity).cancel.clone();
        if let Some(cancel) = running {
            cancel.cancel();
        }
        Ok(())
    }

    pub(super) fn use_database(&mut self, name: &str) -> Result<()> {
        let database = self.session.open_database(name)?;
        let old = self.session.database().name.clone();
        let new = database.name.clone();
        self.session.set_database(database);
        self.env(&EnvChange::Database { new: new.clone(), old });
        let message = message::info(5701, 2, format!("Changed database context to '{new}'."));
        self.info(&message);
        Ok(())
    }
}

/// `%s %d %i %u %x %X %o %%`, with `-`, `0`, width and precision.
fn format_message(template: &str, values: &[Datum]) -> String {
    let mut out = String::new();
    let mut values = values.iter();
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let spec = &rest[at + 1..];
        let end = spec.find(|c: char| c.is_alphabetic() || c == '%').unwrap_or(spec.len());
        let flags = &spec[..end];
        match spec[end..].chars().next() {
            Some('%') => out.push('%'),
            Some(kind) => out.push_str(&format_one(kind, flags, values.next())),
            None => out.push('%'),
        }
        rest = spec.get(end + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn format_one(kind: char, flags: &str, value: Option<&Datum>) -> String {
    let text = match value {
        None | Some(Datum::Null) => "(null)".to_owned(),
        Some(value) => match (kind, value.as_i64()) {
            ('x', Some(n)) => format!("{n:x}"),
            ('X', Some(n)) => format!("{n:X}"),
            ('o', Some(n)) => format!("{n:o}"),
            ('u', Some(n)) => (n as u32).to_string(),
            _ => convert::to_text(value, 0).unwrap_or_default(),
        },
    };
    let left = flags.contains('-');
    let zero = flags.starts_with('0');
    let (width, precision) = flags
        .trim_start_matches(['-', '0', '+', ' ', '#'])
        .split_once('.')
        .unwrap_or((flags.trim_start_matches(['-', '0', '+', ' ', '#']), ""));
    let width: usize = width.parse().unwrap_or(0);
    let text = match precision.parse::<usize>() {
        Ok(n) if kind == 's' => text.chars().take(n).collect(),
        _ => text,
    };
    match (left, zero) {
        (true, _) => format!("{text:<width$}"),
        (false, true) => format!("{text:0>width$}"),
        (false, false) => format!("{text:>width$}"),
    }
}
