//! INSERT, UPDATE, DELETE and the OUTPUT clause.
//!
//! Facts: "INSERT", "UPDATE", "DELETE", "OUTPUT clause", "TRUNCATE TABLE" (Transact-SQL).

use super::Parser;
use crate::engine::ast::{
    BinaryOp, Cte, Delete, Expr, Hint, Insert, InsertSource, Item, OutputClause, SetClause, Stmt, Update,
};
use crate::engine::lex::Tok;
use crate::engine::message::Result;

impl Parser<'_> {
    pub(super) fn insert(&mut self) -> Result<Stmt> {
        self.expect("INSERT")?;
        let top = self.top()?;
        self.accept("INTO");
        let target = self.name()?;
        let hints = if self.is_word("WITH") { self.table_hints()? } else { Vec::new() };
        let columns = if self.is_symbol("(") && !self.is_word_at(1, "SELECT") {
            self.names_in_parentheses()?
        } else {
            Vec::new()
        };
        let output = self.output_clause()?;
        let source = self.insert_source()?;
        self.option_clause()?;
        Ok(Stmt::Insert(Box::new(Insert { target, top, columns, output, source, hints })))
    }

    fn insert_source(&mut self) -> Result<InsertSource> {
        if self.accept_words(&["DEFAULT", "VALUES"]) {
            return Ok(InsertSource::Defaults);
        }
        if self.accept("VALUES") {
            let rows = self.comma_list(|p| p.parenthesized(|p| p.comma_list(Self::value_or_default)))?;
            return Ok(InsertSource::Values(rows));
        }
        Ok(InsertSource::Query(Box::new(self.query()?)))
    }

    fn value_or_default(&mut self) -> Result<Option<Expr>> {
        if self.accept("DEFAULT") { Ok(None) } else { self.value().map(Some) }
    }

    fn output_clause(&mut self) -> Result<Option<OutputClause>> {
        if !self.accept("OUTPUT") {
            return Ok(None);
        }
        let items: Vec<Item> = self.comma_list(Self::item)?;
        let into = if self.accept("INTO") {
            let target = self.name()?;
            let columns = if self.is_symbol("(") { self.names_in_parentheses()? } else { Vec::new() };
            Some((target, columns))
        } else {
            None
        };
        Ok(Some(OutputClause { items, into }))
    }

    pub(super) fn update(&mut self, ctes: Vec<Cte>) -> Result<Stmt> {
        self.expect("UPDATE")?;
        let top = self.top()?;
        let target = self.name()?;
        let hints = if self.is_word("WITH") { self.table_hints()? } else { Vec::<Hint>::new() };
        self.expect("SET")?;
        let sets = self.comma_list(Self::set_clause)?;
        let output = self.output_clause()?;
        let from = if self.accept("FROM") { self.comma_list(Self::from_item)? } else { Vec::new() };
        let filter = if self.accept("WHERE") { Some(self.condition()?) } else { None };
        self.option_clause()?;
        Ok(Stmt::Update(Box::new(Update { ctes, target, hints, top, sets, output, from, filter })))
    }

    fn set_clause(&mut self) -> Result<SetClause> {
        if let Tok::Variable(variable) = self.tok().clone() {
            let op = self.assign_op(1).ok_or_else(|| self.unexpected())?;
            self.advance();
            self.advance();
            return Ok(SetClause::Variable { variable, op, value: self.value()? });
        }
        let name = self.name()?;
        let op = self.assign_op(0).ok_or_else(|| self.unexpected())?;
        self.advance();
        let value = if self.is_word("DEFAULT") { self.value_or_default()? } else { Some(self.value()?) };
        Ok(SetClause::Column { column: name.object().to_owned(), op, value })
    }

    /// The assignment operator `ahead` tokens on: `Some(None)` is plain `=`.
    pub(super) fn assign_op(&self, ahead: usize) -> Option<Option<BinaryOp>> {
        let Tok::Symbol(symbol) = self.tok_at(ahead) else { return None };
        Some(match *symbol {
            "=" => None,
            "+=" => Some(BinaryOp::Add),
            "-=" => Some(BinaryOp::Sub),
            "*=" => Some(BinaryOp::Mul),
            "/=" => Some(BinaryOp::Div),
            "%=" => Some(BinaryOp::Mod),
            "&=" => Some(BinaryOp::BitAnd),
            "|=" => Some(BinaryOp::BitOr),
            "^=" => Some(BinaryOp::BitXor),
            _ => return None,
        })
    }

    pub(super) fn delete(&mut self, ctes: Vec<Cte>) -> Result<Stmt> {
        self.expect("DELETE")?;
        let top = self.top()?;
        self.accept("FROM");
        let target = self.name()?;
        let hints = if self.is_word("WITH") { self.table_hints()? } else { Vec::new() };
        let output = self.output_clause()?;
        let from = if self.accept("FROM") { self.comma_list(Self::from_item)? } else { Vec::new() };
        let filter = if self.accept("WHERE") { Some(self.condition()?) } else { None };
        self.option_clause()?;
        Ok(Stmt::Delete(Box::new(Delete { ctes, target, hints, top, output, from, filter })))
    }

    pub(super) fn truncate(&mut self) -> Result<Stmt> {
        self.expect_words(&["TRUNCATE", "TABLE"])?;
        Ok(Stmt::Truncate(self.name()?))
    }
}
