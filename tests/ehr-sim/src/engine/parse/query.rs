//! SELECT: common table expressions, set operators, FROM with joins and hints, ORDER BY, OFFSET, OPTION.
//!
//! Facts: "SELECT (Transact-SQL)", "FROM clause", "Table hints", "Query hints", "ORDER BY clause".

#![expect(clippy::wildcard_enum_match_arm, reason = "a token that fits no rule is refused as it stands")]
#![expect(clippy::wrong_self_convention, reason = "FROM is the clause that is parsed")]

use super::Parser;
use crate::engine::ast::{Body, Cte, Expr, From, Hint, Item, JoinKind, OrderItem, Query, Select, SetOp, Top};
use crate::engine::lex::Tok;
use crate::engine::message::{self, Result};

impl Parser<'_> {
    /// A query with optional CTEs, ORDER BY and OFFSET.
    pub(super) fn query(&mut self) -> Result<Query> {
        let ctes = if self.accept("WITH") { self.ctes()? } else { Vec::new() };
        self.query_after(ctes)
    }

    pub(super) fn query_after(&mut self, ctes: Vec<Cte>) -> Result<Query> {
        let body = self.deeper(Self::set_body)?;
        let order =
            if self.accept_words(&["ORDER", "BY"]) { self.comma_list(Self::order_item)? } else { Vec::new() };
        let (mut offset, mut fetch) = (None, None);
        if !order.is_empty() && self.accept("OFFSET") {
            offset = Some(self.value()?);
            self.one_of(&["ROWS", "ROW"])?;
            if self.accept("FETCH") {
                self.one_of(&["NEXT", "FIRST"])?;
                fetch = Some(self.value()?);
                self.one_of(&["ROWS", "ROW"])?;
                self.expect("ONLY")?;
            }
        }
        if self.is_word("FOR")
            && (self.is_word_at(1, "XML") || self.is_word_at(1, "JSON") || self.is_word_at(1, "BROWSE"))
        {
            return Err(message::not_supported("FOR").at(self.line()));
        }
        let ties = matches!(&body, Body::Select(select) if select.top.as_ref().is_some_and(|top| top.ties));
        if ties && order.is_empty() {
            return Err(message::ties_without_order().at(self.line()));
        }
        Ok(Query { ctes, body, order, offset, fetch })
    }

    /// A query that stands for a table or a value: in no order of its own.
    pub(super) fn table_query(&mut self) -> Result<Query> {
        let query = self.query()?;
        super::ddl::refuse_order(&query).map_or(Ok(query), |e| Err(e.at(self.line())))
    }

    pub(super) fn ctes(&mut self) -> Result<Vec<Cte>> {
        self.comma_list(|p| {
            let name = p.identifier()?;
            let columns = if p.is_symbol("(") { p.names_in_parentheses()? } else { Vec::new() };
            p.expect("AS")?;
            let query = p.parenthesized(Self::table_query)?;
            Ok(Cte { name, columns, query })
        })
    }

    /// `OPTION (...)` at a statement's end: hints that change no result.
    pub(super) fn option_clause(&mut self) -> Result<()> {
        if !self.accept("OPTION") {
            return Ok(());
        }
        self.parenthesized(|p| p.comma_list(Self::query_hint).map(drop))
    }

    fn query_hint(&mut self) -> Result<()> {
        if self.accept("RECOMPILE")
            || self.accept_words(&["KEEP", "PLAN"])
            || self.accept_words(&["KEEPFIXED", "PLAN"])
        {
            return Ok(());
        }
        if self.accept_words(&["FORCE", "ORDER"])
            || self.accept_words(&["LOOP", "JOIN"])
            || self.accept_words(&["HASH", "JOIN"])
            || self.accept_words(&["MERGE", "JOIN"])
            || self.accept_words(&["ORDER", "GROUP"])
            || self.accept_words(&["HASH", "GROUP"])
            || self.accept_words(&["OPTIMIZE", "FOR", "UNKNOWN"])
        {
            return Ok(());
        }
        for counted in ["MAXDOP", "FAST", "MAXRECURSION", "QUERYTRACEON"] {
            if self.accept(counted) {
                return self.integer().map(drop);
            }
        }
        Err(self.unexpected())
    }

    fn set_body(&mut self) -> Result<Body> {
        let mut left = self.intersect_body()?;
        loop {
            let op = if self.accept("UNION") {
                if self.accept("ALL") { SetOp::UnionAll } else { SetOp::Union }
            } else if self.accept("EXCEPT") {
                SetOp::Except
            } else {
                return Ok(left);
            };
            left = Body::Set(op, Box::new(left), Box::new(self.intersect_body()?));
        }
    }

    fn intersect_body(&mut self) -> Result<Body> {
        let mut left = self.body_term()?;
        while self.accept("INTERSECT") {
            left = Body::Set(SetOp::Intersect, Box::new(left), Box::new(self.body_term()?));
        }
        Ok(left)
    }

    fn body_term(&mut self) -> Result<Body> {
        if self.is_symbol("(") {
            let inner = self.parenthesized(|p| p.deeper(Self::query))?;
            return Ok(Body::Nested(Box::new(inner)));
        }
        self.select().map(|select| Body::Select(Box::new(select)))
    }

    fn select(&mut self) -> Result<Select> {
        self.expect("SELECT")?;
        let distinct = self.accept("DISTINCT");
        if !distinct {
            self.accept("ALL");
        }
        let top = self.top()?;
        let items = self.comma_list(Self::item)?;
        let into = if self.accept("INTO") { Some(self.name()?) } else { None };
        let from = if self.accept("FROM") { self.comma_list(Self::from_item)? } else { Vec::new() };
        let filter = if self.accept("WHERE") { Some(self.condition()?) } else { None };
        let group =
            if self.accept_words(&["GROUP", "BY"]) { self.comma_list(Self::value)? } else { Vec::new() };
        let having = if self.accept("HAVING") { Some(self.condition()?) } else { None };
        Ok(Select { distinct, top, items, into, from, filter, group, having })
    }

    /// `TOP n` (old form) or `TOP (expr)`.
    pub(super) fn top(&mut self) -> Result<Option<Top>> {
        if !self.accept("TOP") {
            return Ok(None);
        }
        let count = if self.is_symbol("(") {
            self.parenthesized(Self::value)?
        } else {
            match self.tok() {
                Tok::Number(_) => self.value_primary()?,
                _ => return Err(self.unexpected()),
            }
        };
        let percent = self.accept("PERCENT");
        let ties = self.is_word("WITH") && self.is_word_at(1, "TIES") && self.accept_words(&["WITH", "TIES"]);
        Ok(Some(Top { count, percent, ties }))
    }

    fn value_primary(&mut self) -> Result<Expr> {
        let n = self.integer()?;
        Ok(match i32::try_from(n) {
            Ok(n) => Expr::Literal(crate::types::Datum::Int(n), crate::types::SqlType::Int),
            Err(_) => Expr::Literal(crate::types::Datum::BigInt(n), crate::types::SqlType::BigInt),
        })
    }

    pub(super) fn item(&mut self) -> Result<Item> {
        if self.accept_symbol("*") {
            return Ok(Item::Star(Vec::new()));
        }
        if let Some(star) = self.qualified_star() {
            return Ok(star);
        }
        if let Some(assign) = self.assignment()? {
            return Ok(assign);
        }
        if let (Tok::Word(_) | Tok::Quoted(_), true) = (self.tok(), self.is_symbol_at(1, "=")) {
            let alias = self.identifier()?;
            self.advance();
            return Ok(Item::Expr { expr: self.value()?, alias: Some(alias) });
        }
        let expr = self.value()?;
        Ok(Item::Expr { expr, alias: self.item_alias()? })
    }

    fn assignment(&mut self) -> Result<Option<Item>> {
        let Tok::Variable(name) = self.tok().clone() else { return Ok(None) };
        if name.starts_with("@@") {
            return Ok(None);
        }
        let Some(op) = self.assign_op(1) else { return Ok(None) };
        self.advance();
        self.advance();
        Ok(Some(Item::Assign { variable: name, op, expr: self.value()? }))
    }

    fn qualified_star(&mut self) -> Option<Item> {
        let mut parts = Vec::new();
        let mut ahead = 0;
        while let Tok::Word(name) | Tok::Quoted(name) = self.tok_at(ahead) {
            parts.push(name.clone());
            if !self.is_symbol_at(ahead + 1, ".") {
                return None;
            }
            ahead += 2;
            if self.is_symbol_at(ahead, "*") {
                (0..=ahead).for_each(|_| drop(self.advance()));
                return Some(Item::Star(parts));
            }
        }
        None
    }

    fn item_alias(&mut self) -> Result<Option<String>> {
        let explicit = self.accept("AS");
        match self.tok().clone() {
            Tok::Text(text) | Tok::National(text) => {
                self.advance();
                Ok(Some(text))
            }
            Tok::Quoted(_) => self.identifier().map(Some),
            Tok::Word(word) if !super::is_reserved(&word) && (explicit || !starts_statement(&word)) => {
                self.identifier().map(Some)
            }
            _ if explicit => Err(self.unexpected()),
            _ => Ok(None),
        }
    }

    pub(super) fn order_item(&mut self) -> Result<OrderItem> {
        let expr = self.value()?;
        let descending = self.accept("DESC");
        if !descending {
            self.accept("ASC");
        }
        Ok(OrderItem { expr, descending })
    }

    pub(super) fn from_item(&mut self) -> Result<From> {
        let mut left = self.from_primary()?;
        while let Some(kind) = self.join_kind()? {
            let right = if matches!(kind, JoinKind::Cross | JoinKind::CrossApply | JoinKind::OuterApply) {
                self.from_primary()?
            } else {
                self.deeper(Self::from_item_right)?
            };
            let on = if matches!(kind, JoinKind::Cross | JoinKind::CrossApply | JoinKind::OuterApply) {
                None
            } else {
                self.expect("ON")?;
                Some(self.condition()?)
            };
            left = From::Join { kind, left: Box::new(left), right: Box::new(right), on };
        }
        Ok(left)
    }

    fn from_item_right(&mut self) -> Result<From> {
        self.from_primary()
    }

    fn join_kind(&mut self) -> Result<Option<JoinKind>> {
        let kind = if self.accept("JOIN") {
            return Ok(Some(JoinKind::Inner));
        } else if self.accept("INNER") {
            JoinKind::Inner
        } else if self.accept("LEFT") {
            JoinKind::Left
        } else if self.accept("RIGHT") {
            JoinKind::Right
        } else if self.accept("FULL") {
            JoinKind::Full
        } else if self.accept("CROSS") {
            return match self.one_of(&["JOIN", "APPLY"])? {
                "JOIN" => Ok(Some(JoinKind::Cross)),
                _ => Ok(Some(JoinKind::CrossApply)),
            };
        } else if self.accept("OUTER") {
            self.expect("APPLY")?;
            return Ok(Some(JoinKind::OuterApply));
        } else {
            return Ok(None);
        };
        if kind != JoinKind::Inner {
            self.accept("OUTER");
        }
        for hint in ["LOOP", "HASH", "MERGE"] {
            if self.is_word(hint) && self.is_word_at(1, "JOIN") {
                self.advance();
            }
        }
        self.expect("JOIN")?;
        Ok(Some(kind))
    }

    fn from_primary(&mut self) -> Result<From> {
        if self.is_symbol("(") {
            return self.from_parentheses();
        }
        if self.is_word("CHANGETABLE") {
            return self.change_table();
        }
        let name = self.name()?;
        if self.is_symbol("(") && !self.is_hint_list() {
            let args = self.arguments()?;
            let (alias, columns) = self.alias_with_columns()?;
            return Ok(From::Function { name, args, alias, columns });
        }
        let alias = self.table_alias()?;
        let hints = self.table_hints()?;
        Ok(From::Table { name, alias, hints })
    }

    fn from_parentheses(&mut self) -> Result<From> {
        self.advance();
        if self.is_word("SELECT")
            || self.is_word("WITH")
            || self.is_symbol("(") && self.is_word_at(1, "SELECT")
        {
            let query = Box::new(self.table_query()?);
            self.expect_symbol(")")?;
            let (alias, columns) = self.alias_with_columns()?;
            let alias = alias.ok_or_else(|| self.unexpected())?;
            return Ok(From::Derived { query, alias, columns });
        }
        if self.accept("VALUES") {
            let rows = self.comma_list(|p| p.parenthesized(|p| p.comma_list(Self::value)))?;
            self.expect_symbol(")")?;
            let (alias, columns) = self.alias_with_columns()?;
            let alias = alias.ok_or_else(|| self.unexpected())?;
            return Ok(From::Values { rows, alias, columns });
        }
        let inner = self.deeper(Self::from_item)?;
        self.expect_symbol(")")?;
        Ok(inner)
    }

    fn change_table(&mut self) -> Result<From> {
        self.advance();
        self.expect_symbol("(")?;
        self.expect("CHANGES")?;
        let table = self.name()?;
        self.expect_symbol(",")?;
        let since = if self.accept("NULL") { Expr::Null } else { self.value()? };
        self.expect_symbol(")")?;
        let (alias, _) = self.alias_with_columns()?;
        Ok(From::Changes { table, since, alias })
    }

    fn alias_with_columns(&mut self) -> Result<(Option<String>, Vec<String>)> {
        let alias = self.table_alias()?;
        let columns =
            if alias.is_some() && self.is_symbol("(") { self.names_in_parentheses()? } else { Vec::new() };
        Ok((alias, columns))
    }

    fn table_alias(&mut self) -> Result<Option<String>> {
        if self.accept("AS") {
            return self.identifier().map(Some);
        }
        match self.tok() {
            Tok::Quoted(_) => self.identifier().map(Some),
            Tok::Word(word)
                if !super::is_reserved(word)
                    && !starts_statement(word)
                    && !word.eq_ignore_ascii_case("OUTPUT") =>
            {
                self.identifier().map(Some)
            }
            _ => Ok(None),
        }
    }

    fn is_hint_list(&self) -> bool {
        matches!(self.tok_at(1), Tok::Word(word) if hint(word).is_some()) && self.is_symbol_at(2, ")")
    }

    /// `WITH (NOLOCK, ...)`, or the old `(NOLOCK)`.
    pub(super) fn table_hints(&mut self) -> Result<Vec<Hint>> {
        let with = self.is_word("WITH") && self.is_symbol_at(1, "(");
        if with {
            self.advance();
        } else if !(self.is_symbol("(") && self.is_hint_list()) {
            return Ok(Vec::new());
        }
        self.parenthesized(|p| {
            let mut hints = vec![p.table_hint()?];
            while p.accept_symbol(",") || !p.is_symbol(")") {
                hints.push(p.table_hint()?);
            }
            Ok(hints)
        })
    }

    fn table_hint(&mut self) -> Result<Hint> {
        let Tok::Word(word) = self.tok().clone() else { return Err(self.unexpected()) };
        if word.eq_ignore_ascii_case("INDEX") {
            self.advance();
            if self.accept_symbol("=") {
                self.index_reference()?;
            } else {
                self.parenthesized(|p| p.comma_list(Self::index_reference))?;
            }
            return Ok(Hint::Neutral);
        }
        let hint = hint(&word).ok_or_else(|| message::hint_unknown(&word).at(self.line()))?;
        self.advance();
        Ok(hint)
    }

    fn index_reference(&mut self) -> Result<()> {
        match self.tok() {
            Tok::Number(_) => self.integer().map(drop),
            _ => self.identifier().map(drop),
        }
    }
}

fn hint(word: &str) -> Option<Hint> {
    Some(match word.to_ascii_uppercase().as_str() {
        "NOLOCK" | "READUNCOMMITTED" => Hint::NoLock,
        "READPAST" => Hint::ReadPast,
        "UPDLOCK" => Hint::UpdLock,
        "XLOCK" => Hint::XLock,
        "HOLDLOCK" | "SERIALIZABLE" => Hint::HoldLock,
        "REPEATABLEREAD" => Hint::RepeatableRead,
        "READCOMMITTEDLOCK" => Hint::ReadCommittedLock,
        "TABLOCK" => Hint::TabLock,
        "TABLOCKX" => Hint::TabLockX,
        "NOWAIT" => Hint::NoWait,
        "ROWLOCK" | "PAGLOCK" | "FORCESEEK" | "FORCESCAN" | "NOEXPAND" | "READCOMMITTED" | "KEEPIDENTITY"
        | "KEEPDEFAULTS" => Hint::Neutral,
        _ => return None,
    })
}

/// Words that are not reserved but begin a statement, so they are no alias without AS.
fn starts_statement(word: &str) -> bool {
    ["OFFSET", "GO"].iter().any(|w| word.eq_ignore_ascii_case(w))
}
