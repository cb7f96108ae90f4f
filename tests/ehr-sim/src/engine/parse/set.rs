//! SET: variables and session options. An option this engine holds at one value is accepted at that value only.
//!
//! Facts: "SET Statements (Transact-SQL)" and the page of each option.

use super::Parser;
use crate::engine::ast::{Expr, SetOption, Stmt};
use crate::engine::lex::Tok;
use crate::engine::message::{self, Result};
use crate::types::{Datum, Isolation};

impl Parser<'_> {
    pub(super) fn set(&mut self) -> Result<Stmt> {
        self.expect("SET")?;
        if let Tok::Variable(name) = self.tok().clone() {
            let op = self.assign_op(1).ok_or_else(|| {
                let mut skip = self.at;
                skip += 1;
                message::syntax_near(&self.text[self.tokens[skip].start..self.tokens[skip].end])
                    .at(self.line())
            })?;
            self.advance();
            self.advance();
            return Ok(Stmt::SetVariable { name, op, value: self.value()? });
        }
        self.set_option().map(Stmt::Set)
    }

    fn set_option(&mut self) -> Result<SetOption> {
        if self.accept("TRANSACTION") {
            self.expect_words(&["ISOLATION", "LEVEL"])?;
            return Ok(SetOption::Isolation(self.isolation()?));
        }
        if self.accept("LOCK_TIMEOUT") {
            return Ok(SetOption::LockTimeout(self.integer()?));
        }
        if self.accept("DEADLOCK_PRIORITY") {
            return self.deadlock_priority();
        }
        if self.accept("IDENTITY_INSERT") {
            let table = self.name()?;
            return Ok(SetOption::IdentityInsert(table, self.on_off()?));
        }
        if self.accept("ROWCOUNT") {
            let n = self.integer()?;
            return u64::try_from(n).map(SetOption::RowCount).map_err(|_| self.unexpected());
        }
        if self.accept("CONTEXT_INFO") {
            let value = self.value()?;
            return match value {
                Expr::Literal(Datum::Binary(_), _) | Expr::Variable(_) => Ok(SetOption::ContextInfo(value)),
                _ => Err(self.unexpected()),
            };
        }
        if ["TEXTSIZE", "DATEFIRST", "DATEFORMAT", "LANGUAGE", "QUERY_GOVERNOR_COST_LIMIT"]
            .iter()
            .any(|w| self.is_word(w))
        {
            return self.valued_option();
        }
        if self.accept("STATISTICS") {
            self.comma_list(|p| p.one_of(&["IO", "TIME"]))?;
            return self.must_be(false, "STATISTICS");
        }
        self.switch()
    }

    fn valued_option(&mut self) -> Result<SetOption> {
        let option = self.plain_word()?;
        let held = match (option.as_str(), self.advance()) {
            ("TEXTSIZE", Tok::Number(_)) | ("QUERY_GOVERNOR_COST_LIMIT", Tok::Number(_)) => true,
            ("TEXTSIZE", Tok::Symbol("-")) => matches!(self.advance(), Tok::Number(n) if n == "1"),
            ("DATEFIRST", Tok::Number(n)) => n == "7",
            ("DATEFORMAT", Tok::Word(w) | Tok::Text(w)) => w.eq_ignore_ascii_case("mdy"),
            ("LANGUAGE", Tok::Word(w) | Tok::Text(w) | Tok::National(w) | Tok::Quoted(w)) => {
                w.eq_ignore_ascii_case("us_english") || w.eq_ignore_ascii_case("english")
            }
            _ => false,
        };
        if held { Ok(SetOption::Accepted) } else { Err(message::not_supported(option).at(self.line())) }
    }

    fn isolation(&mut self) -> Result<Isolation> {
        if self.accept("READ") {
            return Ok(match self.one_of(&["UNCOMMITTED", "COMMITTED"])? {
                "UNCOMMITTED" => Isolation::ReadUncommitted,
                _ => Isolation::ReadCommitted,
            });
        }
        if self.accept("REPEATABLE") {
            self.expect("READ")?;
            return Ok(Isolation::RepeatableRead);
        }
        Ok(match self.one_of(&["SNAPSHOT", "SERIALIZABLE"])? {
            "SNAPSHOT" => Isolation::Snapshot,
            _ => Isolation::Serializable,
        })
    }

    fn deadlock_priority(&mut self) -> Result<SetOption> {
        let priority = if self.accept("LOW") {
            -5
        } else if self.accept("NORMAL") {
            0
        } else if self.accept("HIGH") {
            5
        } else {
            self.integer()?
        };
        match i32::try_from(priority) {
            Ok(n @ -10..=10) => Ok(SetOption::DeadlockPriority(n)),
            _ => Err(self.unexpected()),
        }
    }

    /// `SET a, b ON`.
    fn switch(&mut self) -> Result<SetOption> {
        let line = self.line();
        let names = self.comma_list(Self::plain_word)?;
        for name in &names {
            if !SWITCHES.contains(&name.as_str()) {
                return Err(message::not_a_set_option(name).at(line));
            }
        }
        let on = self.on_off()?;
        let name = names[0].as_str();
        match name {
            "NOCOUNT" => Ok(SetOption::NoCount(on)),
            "XACT_ABORT" => Ok(SetOption::XactAbort(on)),
            "IMPLICIT_TRANSACTIONS" => Ok(SetOption::Implicit(on)),
            "QUOTED_IDENTIFIER" => Ok(SetOption::QuotedIdentifier(on)),
            "FMTONLY" => Ok(SetOption::FormatOnly(on)),
            "ANSI_NULLS"
            | "ANSI_PADDING"
            | "ANSI_WARNINGS"
            | "ARITHABORT"
            | "CONCAT_NULL_YIELDS_NULL"
            | "ANSI_NULL_DFLT_ON"
            | "ANSI_DEFAULTS" => self.must_be_on(on, name),
            "CURSOR_CLOSE_ON_COMMIT" | "ARITHIGNORE" => Ok(SetOption::Accepted),
            _ => self.must_be_off(on, name),
        }
    }

    fn must_be(&mut self, wanted: bool, name: &str) -> Result<SetOption> {
        let on = self.on_off()?;
        if on == wanted { Ok(SetOption::Accepted) } else { Err(message::not_supported(name).at(self.line())) }
    }

    /// Clients of the DB-Library age switch ANSI options off at login; the engine holds them on, as every
    /// database does whose compatibility level is current. Turning them off has no effect to show here only
    /// for settings that change no result of a statement this engine runs.
    fn must_be_on(&self, on: bool, name: &str) -> Result<SetOption> {
        let harmless = matches!(name, "ARITHABORT" | "ANSI_NULL_DFLT_ON" | "ANSI_PADDING" | "ANSI_DEFAULTS");
        if on || harmless {
            Ok(SetOption::Accepted)
        } else {
            Err(message::not_supported(name).at(self.line()))
        }
    }

    fn must_be_off(&self, on: bool, name: &str) -> Result<SetOption> {
        if on { Err(message::not_supported(name).at(self.line())) } else { Ok(SetOption::Accepted) }
    }
}

const SWITCHES: [&str; 19] = [
    "NOCOUNT",
    "XACT_ABORT",
    "IMPLICIT_TRANSACTIONS",
    "QUOTED_IDENTIFIER",
    "ANSI_NULLS",
    "ANSI_PADDING",
    "ANSI_WARNINGS",
    "ANSI_DEFAULTS",
    "ARITHABORT",
    "CONCAT_NULL_YIELDS_NULL",
    "ANSI_NULL_DFLT_ON",
    "ANSI_NULL_DFLT_OFF",
    "CURSOR_CLOSE_ON_COMMIT",
    "ARITHIGNORE",
    "NUMERIC_ROUNDABORT",
    "FMTONLY",
    "NOEXEC",
    "PARSEONLY",
    "SHOWPLAN_TEXT",
];
