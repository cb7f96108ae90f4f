//! Statements and control of flow: which statement begins here, blocks, IF, WHILE, TRY, DECLARE, EXECUTE.
//!
//! Facts: "Control-of-Flow Language", "EXECUTE", "RAISERROR", "THROW", "Transactions" (Transact-SQL).

#![expect(clippy::wildcard_enum_match_arm, reason = "a token that fits no rule is refused as it stands")]

use super::Parser;
use crate::engine::ast::{Argument, Expr, Located, SecurableClass, Stmt, TransactionName};
use crate::engine::lex::Tok;
use crate::engine::message::{self, Result};

impl Parser<'_> {
    /// Statements up to END or the end of the batch (`until` are words that close the block).
    pub(super) fn statements(&mut self, until: &[&str]) -> Result<Vec<Located>> {
        let mut list = Vec::new();
        loop {
            while self.accept_symbol(";") {}
            let ended = self.at.checked_sub(1).is_none_or(|at| self.tokens[at].tok == Tok::Symbol(";"));
            if !ended && !list.is_empty() && self.is_word("WITH") {
                return Err(message::with_unterminated().at(self.line()));
            }
            if *self.tok() == Tok::End || until.iter().any(|word| self.is_word(word)) {
                return Ok(list);
            }
            let first = list.is_empty();
            list.push(self.deeper(|p| p.statement(first))?);
        }
    }

    fn statement(&mut self, first: bool) -> Result<Located> {
        let line = self.line();
        let stmt = match self.tok().clone() {
            Tok::Word(word) => self.keyword_statement(&word.to_ascii_uppercase(), first)?,
            Tok::Quoted(_) if first => self.implied_execute()?,
            Tok::Symbol("(") => self.select_statement(Vec::new())?,
            _ => return Err(self.unexpected()),
        };
        Ok(Located { line, stmt })
    }

    fn keyword_statement(&mut self, word: &str, first: bool) -> Result<Stmt> {
        match word {
            "SELECT" => self.select_statement(Vec::new()),
            "WITH" => self.with_statement(),
            "INSERT" => self.insert(),
            "UPDATE" => self.update(Vec::new()),
            "DELETE" => self.delete(Vec::new()),
            "TRUNCATE" => self.truncate(),
            "CREATE" => self.create(),
            "ALTER" => self.alter(),
            "DROP" => self.drop_statement(),
            "GRANT" | "DENY" | "REVOKE" => self.permission(),
            "SET" => self.set(),
            "DECLARE" => self.declare(),
            "USE" => {
                self.advance();
                Ok(Stmt::Use(self.identifier()?))
            }
            "EXEC" | "EXECUTE" => self.execute(),
            "REVERT" => {
                self.advance();
                Ok(Stmt::Revert)
            }
            "BACKUP" => self.backup(),
            "MERGE" | "RESTORE" | "DBCC" | "BULK" | "OPEN" | "FETCH" | "CLOSE" | "DEALLOCATE" | "GOTO"
            | "RECONFIGURE" | "SHUTDOWN" => Err(message::not_supported(word).at(self.line())),
            _ => self.flow_statement(word, first),
        }
    }

    fn flow_statement(&mut self, word: &str, first: bool) -> Result<Stmt> {
        match word {
            "BEGIN" => self.begin(),
            "COMMIT" => self.commit(),
            "ROLLBACK" => self.rollback(),
            "SAVE" => {
                self.advance();
                self.one_of(&["TRANSACTION", "TRAN"])?;
                let name = self.transaction_name()?;
                name.map(Stmt::Save).ok_or_else(|| self.unexpected())
            }
            "IF" => self.if_statement(),
            "WHILE" => self.while_statement(),
            "BREAK" => self.plain(Stmt::Break),
            "CONTINUE" => self.plain(Stmt::Continue),
            "RETURN" => self.return_statement(),
            "PRINT" => {
                self.advance();
                Ok(Stmt::Print(self.value()?))
            }
            "RAISERROR" => self.raise_error(),
            "THROW" => self.throw(),
            "WAITFOR" => self.wait_for(),
            "KILL" => {
                self.advance();
                Ok(Stmt::Kill(self.integer()?))
            }
            "CHECKPOINT" => self.plain(Stmt::Checkpoint),
            _ if first && !super::is_reserved(word) => self.implied_execute(),
            _ => Err(self.unexpected()),
        }
    }

    fn plain(&mut self, stmt: Stmt) -> Result<Stmt> {
        self.advance();
        Ok(stmt)
    }

    fn select_statement(&mut self, ctes: Vec<crate::engine::ast::Cte>) -> Result<Stmt> {
        let query = self.query_after(ctes)?;
        self.option_clause()?;
        Ok(Stmt::Select(Box::new(query)))
    }

    fn with_statement(&mut self) -> Result<Stmt> {
        self.expect("WITH")?;
        let ctes = self.ctes()?;
        if self.is_word("UPDATE") {
            return self.update(ctes);
        }
        if self.is_word("DELETE") {
            return self.delete(ctes);
        }
        if self.is_word("INSERT") {
            return Err(message::not_supported("WITH").at(self.line()));
        }
        self.select_statement(ctes)
    }

    fn begin(&mut self) -> Result<Stmt> {
        self.expect("BEGIN")?;
        if self.accept("TRY") {
            let body = self.statements(&["END"])?;
            self.expect_words(&["END", "TRY"])?;
            self.accept_symbol(";");
            self.expect_words(&["BEGIN", "CATCH"])?;
            let handler = self.statements(&["END"])?;
            self.expect_words(&["END", "CATCH"])?;
            return Ok(Stmt::Try { body, handler });
        }
        if self.accept("TRANSACTION") || self.accept("TRAN") {
            let name = self.transaction_name()?;
            return Ok(Stmt::Begin(name));
        }
        if self.is_word("DISTRIBUTED") || self.is_word("ATOMIC") {
            return Err(message::not_supported(self.plain_word()?).at(self.line()));
        }
        let body = self.statements(&["END"])?;
        if body.is_empty() {
            return Err(self.unexpected());
        }
        self.expect("END")?;
        Ok(Stmt::Block(body))
    }

    fn transaction_name(&mut self) -> Result<Option<TransactionName>> {
        match self.tok() {
            Tok::Variable(_) => self.variable().map(|name| Some(TransactionName::Variable(name))),
            Tok::Quoted(_) => self.identifier().map(|name| Some(TransactionName::Name(name))),
            Tok::Word(word) if !super::is_reserved(word) && !word.eq_ignore_ascii_case("THROW") => {
                self.identifier().map(|name| Some(TransactionName::Name(name)))
            }
            _ => Ok(None),
        }
    }

    fn commit(&mut self) -> Result<Stmt> {
        self.expect("COMMIT")?;
        if self.accept("TRANSACTION") || self.accept("TRAN") {
            self.transaction_name()?;
        } else {
            self.accept("WORK");
        }
        Ok(Stmt::Commit)
    }

    fn rollback(&mut self) -> Result<Stmt> {
        self.expect("ROLLBACK")?;
        if self.accept("TRANSACTION") || self.accept("TRAN") {
            return Ok(Stmt::Rollback(self.transaction_name()?));
        }
        self.accept("WORK");
        Ok(Stmt::Rollback(None))
    }

    fn single(&mut self) -> Result<Box<Located>> {
        let stmt = self.deeper(|p| p.statement(false))?;
        self.accept_symbol(";");
        Ok(Box::new(stmt))
    }

    fn if_statement(&mut self) -> Result<Stmt> {
        self.expect("IF")?;
        let condition = self.condition()?;
        let then = self.single()?;
        let otherwise = if self.accept("ELSE") { Some(self.single()?) } else { None };
        Ok(Stmt::If { condition, then, otherwise })
    }

    fn while_statement(&mut self) -> Result<Stmt> {
        self.expect("WHILE")?;
        let condition = self.condition()?;
        Ok(Stmt::While { condition, body: self.single()? })
    }

    fn return_statement(&mut self) -> Result<Stmt> {
        self.expect("RETURN")?;
        let value = match self.tok() {
            Tok::Number(_) | Tok::Variable(_) | Tok::Symbol("(" | "-") => Some(self.value()?),
            _ => None,
        };
        Ok(Stmt::Return(value))
    }

    fn raise_error(&mut self) -> Result<Stmt> {
        self.expect("RAISERROR")?;
        let mut args = self.parenthesized(|p| p.comma_list(Self::value))?;
        if args.len() < 3 {
            return Err(self.unexpected());
        }
        let rest = args.split_off(3);
        let (mut log, mut nowait) = (false, false);
        if self.accept("WITH") {
            for option in self.comma_list(|p| p.one_of(&["LOG", "NOWAIT", "SETERROR"]))? {
                log |= option == "LOG";
                nowait |= option == "NOWAIT";
            }
        }
        let mut args = args.into_iter();
        match (args.next(), args.next(), args.next()) {
            (Some(message), Some(severity), Some(state)) => {
                Ok(Stmt::RaisError { message, severity, state, args: rest, log, nowait })
            }
            _ => Err(self.unexpected()),
        }
    }

    fn throw(&mut self) -> Result<Stmt> {
        self.expect("THROW")?;
        if !matches!(self.tok(), Tok::Number(_) | Tok::Variable(_)) {
            return Ok(Stmt::Throw(None));
        }
        let number = self.value()?;
        self.expect_symbol(",")?;
        let text = self.value()?;
        self.expect_symbol(",")?;
        Ok(Stmt::Throw(Some((number, text, self.value()?))))
    }

    fn wait_for(&mut self) -> Result<Stmt> {
        self.expect("WAITFOR")?;
        let until = self.one_of(&["DELAY", "TIME"])? == "TIME";
        Ok(Stmt::WaitFor { delay: self.value()?, until })
    }

    /// `BACKUP DATABASE x TO DISK = N'NUL'`, with options that change nothing there. What would write a file is refused.
    fn backup(&mut self) -> Result<Stmt> {
        let line = self.line();
        let refused = |what: &str| message::not_supported(what).at(line);
        self.expect("BACKUP")?;
        if !self.accept("DATABASE") {
            return Err(refused("BACKUP"));
        }
        let database = self.identifier()?;
        self.expect("TO")?;
        if !self.accept("DISK") {
            return Err(refused("BACKUP"));
        }
        self.expect_symbol("=")?;
        if !self.string()?.eq_ignore_ascii_case("NUL") {
            return Err(refused("DISK"));
        }
        if self.accept("WITH") {
            self.comma_list(|p| p.one_of(&["COPY_ONLY", "INIT", "NOINIT", "FORMAT", "NOFORMAT"]))?;
        }
        Ok(Stmt::Backup(database))
    }

    fn declare(&mut self) -> Result<Stmt> {
        self.expect("DECLARE")?;
        if matches!(self.tok(), Tok::Variable(_)) && (self.is_word_at(1, "TABLE") || self.are_table_words()) {
            let name = self.variable()?;
            self.accept("AS");
            self.expect("TABLE")?;
            let (columns, constraints) = self.table_body()?;
            return Ok(Stmt::DeclareTable { name, columns, constraints });
        }
        let list = self.comma_list(|p| {
            let name = p.variable()?;
            p.accept("AS");
            let ty = p.type_name()?;
            let value = if p.accept_symbol("=") { Some(p.value()?) } else { None };
            Ok((name, ty, value))
        })?;
        Ok(Stmt::Declare(list))
    }

    fn are_table_words(&self) -> bool {
        self.is_word_at(1, "AS") && self.is_word_at(2, "TABLE")
    }

    fn implied_execute(&mut self) -> Result<Stmt> {
        let procedure = self.name()?;
        self.procedure_call(procedure, None)
    }

    fn execute(&mut self) -> Result<Stmt> {
        self.advance();
        if self.accept("AS") {
            return self.execute_as();
        }
        if self.is_symbol("(") {
            let parts = self.parenthesized(|p| p.value().map(|e| vec![e]))?;
            return Ok(Stmt::ExecuteText(parts));
        }
        if let (Tok::Variable(name), true) = (self.tok().clone(), self.is_symbol_at(1, "=")) {
            self.advance();
            self.advance();
            let procedure = self.name()?;
            return self.procedure_call(procedure, Some(name));
        }
        let procedure = self.name()?;
        self.procedure_call(procedure, None)
    }

    fn procedure_call(
        &mut self,
        procedure: crate::engine::ast::Name,
        returns: Option<String>,
    ) -> Result<Stmt> {
        let starts = matches!(
            self.tok(),
            Tok::Variable(_)
                | Tok::Number(_)
                | Tok::Text(_)
                | Tok::National(_)
                | Tok::Hex(_)
                | Tok::Quoted(_)
                | Tok::Money(_)
                | Tok::Symbol("-")
        ) || self.is_word("NULL")
            || self.is_word("DEFAULT")
            || matches!(self.tok(), Tok::Word(w) if !super::is_reserved(w));
        let args = if starts { self.comma_list(Self::argument)? } else { Vec::new() };
        Ok(Stmt::Execute { procedure, args, returns })
    }

    fn argument(&mut self) -> Result<Argument> {
        let name = match self.tok().clone() {
            Tok::Variable(name) if self.is_symbol_at(1, "=") => {
                self.advance();
                self.advance();
                Some(name)
            }
            _ => None,
        };
        if self.accept("DEFAULT") {
            return Ok(Argument { name, value: None, output: false });
        }
        let value = match self.tok().clone() {
            // A bare word is a string constant here.
            Tok::Word(word) if !super::is_reserved(&word) => {
                self.advance();
                Expr::Literal(crate::types::Datum::text(&word), crate::types::SqlType::SYSNAME)
            }
            Tok::Quoted(word) => {
                self.advance();
                Expr::Literal(crate::types::Datum::text(&word), crate::types::SqlType::SYSNAME)
            }
            _ => self.value()?,
        };
        let output = self.accept("OUTPUT") || self.accept("OUT");
        Ok(Argument { name, value: Some(value), output })
    }

    fn execute_as(&mut self) -> Result<Stmt> {
        let kind = match self.one_of(&["LOGIN", "USER"])? {
            "LOGIN" => SecurableClass::Login,
            _ => SecurableClass::User,
        };
        self.expect_symbol("=")?;
        let name = self.string()?;
        let no_revert = self.accept_words(&["WITH", "NO", "REVERT"]);
        Ok(Stmt::ExecuteAs { kind, name, no_revert })
    }
}
