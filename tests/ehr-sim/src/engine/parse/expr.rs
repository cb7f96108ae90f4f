//! Values and conditions. T-SQL keeps them apart: a condition is no value and a value is no condition (4145).
//!
//! Precedence, "Operator Precedence (Transact-SQL)": `~`; `* / %`; `+ - & ^ |`; comparisons; NOT; AND; OR.

#![expect(clippy::wildcard_enum_match_arm, reason = "a token that fits no rule is refused as it stands")]

use super::{Parser, is_reserved};
use crate::engine::ast::{BinaryOp, Expr};
use crate::engine::lex::Tok;
use crate::engine::message::{self, Result};
use crate::types::{Datum, DecimalValue, Length, SqlType};
use std::sync::Arc;

impl Parser<'_> {
    /// A scalar expression.
    pub(super) fn value(&mut self) -> Result<Expr> {
        let expr = self.deeper(Self::additive)?;
        if expr.is_condition() { Err(self.unexpected()) } else { Ok(expr) }
    }

    /// A search condition.
    pub(super) fn condition(&mut self) -> Result<Expr> {
        let expr = self.deeper(Self::or)?;
        self.require_condition(expr)
    }

    /// Either.
    pub(super) fn expr_any(&mut self) -> Result<Expr> {
        self.deeper(Self::or)
    }

    fn require_condition(&self, expr: Expr) -> Result<Expr> {
        if expr.is_condition() {
            return Ok(expr);
        }
        let token = self.token();
        let near = match &token.tok {
            Tok::End => return Err(message::expected_condition(self.last_text()).at(token.line)),
            _ => &self.text[token.start..token.end],
        };
        Err(message::expected_condition(near).at(token.line))
    }

    fn last_text(&self) -> String {
        let last = &self.tokens[self.at.saturating_sub(1)];
        self.text[last.start..last.end].to_owned()
    }

    fn or(&mut self) -> Result<Expr> {
        let mut left = self.and()?;
        while self.is_word("OR") {
            left = self.require_condition(left)?;
            self.advance();
            let right = self.and()?;
            let right = self.require_condition(right)?;
            left = binary(BinaryOp::Or, left, right);
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr> {
        let mut left = self.not()?;
        while self.is_word("AND") {
            left = self.require_condition(left)?;
            self.advance();
            let right = self.not()?;
            let right = self.require_condition(right)?;
            left = binary(BinaryOp::And, left, right);
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr> {
        if !self.accept("NOT") {
            return self.predicate();
        }
        let inner = self.deeper(Self::not)?;
        Ok(Expr::Not(Box::new(self.require_condition(inner)?)))
    }

    fn predicate(&mut self) -> Result<Expr> {
        if self.accept("EXISTS") {
            let query = self.parenthesized(Self::table_query)?;
            return Ok(Expr::Exists(Box::new(query)));
        }
        let left = self.additive()?;
        if left.is_condition() {
            return Ok(left);
        }
        if let Some(op) = self.comparison() {
            self.advance();
            let right = self.additive()?;
            if right.is_condition() {
                return Err(self.unexpected());
            }
            return Ok(binary(op, left, right));
        }
        if self.accept("IS") {
            let negated = self.accept("NOT");
            self.expect("NULL")?;
            return Ok(Expr::IsNull { expr: Box::new(left), negated });
        }
        let negated = self.is_word("NOT") && ["LIKE", "IN", "BETWEEN"].iter().any(|w| self.is_word_at(1, w));
        if negated {
            self.advance();
        }
        self.predicate_tail(left, negated)
    }

    fn predicate_tail(&mut self, left: Expr, negated: bool) -> Result<Expr> {
        let expr = Box::new(left);
        if self.accept("LIKE") {
            let pattern = Box::new(self.additive()?);
            let escape = if self.accept("ESCAPE") { Some(Box::new(self.additive()?)) } else { None };
            return Ok(Expr::Like { expr, pattern, escape, negated });
        }
        if self.accept("BETWEEN") {
            let low = Box::new(self.additive()?);
            self.expect("AND")?;
            let high = Box::new(self.additive()?);
            return Ok(Expr::Between { expr, low, high, negated });
        }
        if self.accept("IN") {
            self.expect_symbol("(")?;
            if self.is_word("SELECT") || self.is_word("WITH") {
                let query = Box::new(self.query()?);
                self.expect_symbol(")")?;
                return Ok(Expr::InQuery { expr, query, negated });
            }
            let list = self.comma_list(Self::value)?;
            self.expect_symbol(")")?;
            return Ok(Expr::InList { expr, list, negated });
        }
        Ok(*expr)
    }

    fn comparison(&self) -> Option<BinaryOp> {
        let Tok::Symbol(symbol) = self.tok() else { return None };
        Some(match *symbol {
            "=" => BinaryOp::Eq,
            "<>" | "!=" => BinaryOp::Ne,
            "<" => BinaryOp::Lt,
            "<=" | "!>" => BinaryOp::Le,
            ">" => BinaryOp::Gt,
            ">=" | "!<" => BinaryOp::Ge,
            _ => return None,
        })
    }

    fn additive(&mut self) -> Result<Expr> {
        let mut left = self.multiplicative()?;
        loop {
            let op = match self.tok() {
                Tok::Symbol("+") => BinaryOp::Add,
                Tok::Symbol("-") => BinaryOp::Sub,
                Tok::Symbol("&") => BinaryOp::BitAnd,
                Tok::Symbol("|") => BinaryOp::BitOr,
                Tok::Symbol("^") => BinaryOp::BitXor,
                _ => return Ok(left),
            };
            self.advance();
            left = binary(op, left, self.multiplicative()?);
        }
    }

    fn multiplicative(&mut self) -> Result<Expr> {
        let mut left = self.unary()?;
        loop {
            let op = match self.tok() {
                Tok::Symbol("*") => BinaryOp::Mul,
                Tok::Symbol("/") => BinaryOp::Div,
                Tok::Symbol("%") => BinaryOp::Mod,
                _ => return Ok(left),
            };
            self.advance();
            left = binary(op, left, self.unary()?);
        }
    }

    fn unary(&mut self) -> Result<Expr> {
        if self.accept_symbol("-") {
            let inner = self.deeper(Self::unary)?;
            return Ok(negate(inner));
        }
        if self.accept_symbol("+") {
            return self.deeper(Self::unary);
        }
        if self.accept_symbol("~") {
            return Ok(Expr::BitNot(Box::new(self.deeper(Self::unary)?)));
        }
        let mut expr = self.primary()?;
        while self.accept("COLLATE") {
            let collation = self.identifier()?;
            expr = Expr::Collate(Box::new(expr), collation);
        }
        Ok(expr)
    }

    fn primary(&mut self) -> Result<Expr> {
        match self.tok().clone() {
            Tok::Number(text) => {
                let literal = number(&text).ok_or_else(|| self.unexpected())?;
                self.advance();
                Ok(literal)
            }
            Tok::Money(text) => {
                let literal = money(&text).ok_or_else(|| self.unexpected())?;
                self.advance();
                Ok(literal)
            }
            Tok::Text(text) => {
                self.advance();
                let ty = SqlType::VarChar(text_length(&text, 8000));
                Ok(Expr::Literal(Datum::VarChar(Arc::from(text)), ty))
            }
            Tok::National(text) => {
                self.advance();
                let ty = SqlType::NVarChar(text_length(&text, 4000));
                Ok(Expr::Literal(Datum::NVarChar(Arc::from(text)), ty))
            }
            Tok::Hex(bytes) => {
                self.advance();
                let length =
                    if bytes.len() > 8000 { Length::Max } else { Length::Of(bytes.len().max(1) as u16) };
                Ok(Expr::Literal(Datum::Binary(Arc::from(bytes)), SqlType::VarBinary(length)))
            }
            Tok::Variable(name) => {
                self.advance();
                Ok(if name.starts_with("@@") { Expr::System(name) } else { Expr::Variable(name) })
            }
            Tok::Symbol("(") => self.parentheses(),
            Tok::Word(word) => self.word(&word),
            Tok::Quoted(_) => self.column_or_call(),
            Tok::Symbol(_) | Tok::End => Err(self.unexpected()),
        }
    }

    fn parentheses(&mut self) -> Result<Expr> {
        self.expect_symbol("(")?;
        if self.is_word("SELECT") || self.is_word("WITH") {
            let query = self.deeper(Self::table_query)?;
            self.expect_symbol(")")?;
            return Ok(Expr::Subquery(Box::new(query)));
        }
        let inner = self.expr_any()?;
        self.expect_symbol(")")?;
        Ok(inner)
    }

    fn word(&mut self, word: &str) -> Result<Expr> {
        let upper = word.to_ascii_uppercase();
        match upper.as_str() {
            "NULL" => {
                self.advance();
                Ok(Expr::Null)
            }
            "CASE" => self.case(),
            "CAST" | "TRY_CAST" if self.is_symbol_at(1, "(") => self.cast(upper == "TRY_CAST"),
            "CONVERT" | "TRY_CONVERT" => self.convert(upper == "TRY_CONVERT"),
            "CURRENT_TIMESTAMP" | "CURRENT_USER" | "SESSION_USER" | "SYSTEM_USER" | "USER" => {
                self.advance();
                Ok(call(&upper, Vec::new()))
            }
            "COALESCE" | "NULLIF" | "LEFT" | "RIGHT" if self.is_symbol_at(1, "(") => {
                self.advance();
                let args = self.arguments()?;
                Ok(call(&upper, args))
            }
            "IIF" if self.is_symbol_at(1, "(") => self.iif(),
            "ROW_NUMBER" if self.is_symbol_at(1, "(") => self.row_number(),
            _ if is_reserved(word) => Err(self.unexpected()),
            _ => self.column_or_call(),
        }
    }

    /// IIF is short for a CASE.
    fn iif(&mut self) -> Result<Expr> {
        self.advance();
        self.expect_symbol("(")?;
        let when = self.condition()?;
        self.expect_symbol(",")?;
        let then = self.value()?;
        self.expect_symbol(",")?;
        let otherwise = Some(Box::new(self.value()?));
        self.expect_symbol(")")?;
        Ok(Expr::Case { operand: None, whens: vec![(when, then)], otherwise })
    }

    fn row_number(&mut self) -> Result<Expr> {
        self.advance();
        self.expect_symbol("(")?;
        self.expect_symbol(")")?;
        self.expect("OVER")?;
        self.expect_symbol("(")?;
        let partition =
            if self.accept_words(&["PARTITION", "BY"]) { self.comma_list(Self::value)? } else { Vec::new() };
        self.expect_words(&["ORDER", "BY"])?;
        let order = self.comma_list(Self::order_item)?;
        self.expect_symbol(")")?;
        Ok(Expr::RowNumber { partition, order })
    }

    fn case(&mut self) -> Result<Expr> {
        self.expect("CASE")?;
        let operand = if self.is_word("WHEN") { None } else { Some(Box::new(self.value()?)) };
        let mut whens = Vec::new();
        while self.accept("WHEN") {
            let when = if operand.is_some() { self.value()? } else { self.condition()? };
            self.expect("THEN")?;
            whens.push((when, self.value()?));
        }
        if whens.is_empty() {
            return Err(self.unexpected());
        }
        let otherwise = if self.accept("ELSE") { Some(Box::new(self.value()?)) } else { None };
        self.expect("END")?;
        Ok(Expr::Case { operand, whens, otherwise })
    }

    fn cast(&mut self, tries: bool) -> Result<Expr> {
        self.advance();
        self.expect_symbol("(")?;
        let expr = Box::new(self.value()?);
        self.expect("AS")?;
        let ty = self.type_name()?;
        self.expect_symbol(")")?;
        Ok(Expr::Cast { expr, ty, style: None, tries })
    }

    fn convert(&mut self, tries: bool) -> Result<Expr> {
        self.advance();
        self.expect_symbol("(")?;
        let ty = self.type_name()?;
        self.expect_symbol(",")?;
        let expr = Box::new(self.value()?);
        let style = if self.accept_symbol(",") { Some(Box::new(self.value()?)) } else { None };
        self.expect_symbol(")")?;
        Ok(Expr::Cast { expr, ty, style, tries })
    }

    fn column_or_call(&mut self) -> Result<Expr> {
        let mut parts = vec![self.identifier()?];
        while self.is_symbol(".") && !self.is_symbol_at(1, "*") {
            self.advance();
            if self.is_symbol(".") {
                parts.push(String::new());
            } else {
                parts.push(self.member()?);
            }
        }
        if !self.is_symbol("(") {
            return Ok(Expr::Column(parts));
        }
        if self.is_symbol_at(1, "*") && self.is_symbol_at(2, ")") {
            (0..3).for_each(|_| drop(self.advance()));
            return Ok(Expr::Call { name: parts, args: Vec::new(), distinct: false, star: true });
        }
        let distinct = self.is_word_at(1, "DISTINCT");
        if distinct {
            self.advance();
            self.advance();
            let args = self.comma_list(Self::value)?;
            self.expect_symbol(")")?;
            return Ok(Expr::Call { name: parts, args, distinct, star: false });
        }
        let args = self.arguments()?;
        if self.is_word("OVER") {
            return Err(message::not_supported("OVER").at(self.line()));
        }
        Ok(Expr::Call { name: parts, args, distinct, star: false })
    }

    pub(super) fn arguments(&mut self) -> Result<Vec<Expr>> {
        self.expect_symbol("(")?;
        if self.accept_symbol(")") {
            return Ok(Vec::new());
        }
        let args = self.comma_list(|p| {
            p.accept("ALL");
            p.value()
        })?;
        self.expect_symbol(")")?;
        Ok(args)
    }
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::Binary(op, Box::new(left), Box::new(right))
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    Expr::Call { name: vec![name.to_owned()], args, distinct: false, star: false }
}

/// A sign in front of a number constant belongs to the constant, so that `-2147483648` is an int.
fn negate(inner: Expr) -> Expr {
    match inner {
        Expr::Literal(Datum::Int(n), ty) => Expr::Literal(Datum::Int(-n), ty),
        Expr::Literal(Datum::Decimal(d), _) if d.scale == 0 && d.unscaled == 2_147_483_648 => {
            Expr::Literal(Datum::Int(i32::MIN), SqlType::Int)
        }
        Expr::Literal(Datum::Decimal(d), ty) => {
            Expr::Literal(Datum::Decimal(DecimalValue { unscaled: -d.unscaled, ..d }), ty)
        }
        Expr::Literal(Datum::Float(f), ty) => Expr::Literal(Datum::Float(-f), ty),
        other => Expr::Negate(Box::new(other)),
    }
}

fn text_length(text: &str, max: usize) -> Length {
    let units = text.encode_utf16().count();
    if units > max { Length::Max } else { Length::Of(units.max(1) as u16) }
}

/// Constants: int when it fits, else numeric; with an exponent, float.
fn number(text: &str) -> Option<Expr> {
    if text.contains('e') {
        return Some(Expr::Literal(Datum::Float(text.parse().ok()?), SqlType::Float));
    }
    if let Ok(n) = text.parse::<i32>() {
        return Some(Expr::Literal(Datum::Int(n), SqlType::Int));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.contains('.') {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let digits = format!("{whole}{fraction}");
    let precision = digits.len().max(1);
    if precision > 38 {
        return None;
    }
    let unscaled: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let (precision, scale) = (precision as u8, fraction.len() as u8);
    Some(Expr::Literal(
        Datum::Decimal(DecimalValue { unscaled, precision, scale }),
        SqlType::Decimal { precision, scale },
    ))
}

fn money(text: &str) -> Option<Expr> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction: String = fraction.chars().chain("0000".chars()).take(4).collect();
    let value: i64 = format!("{whole}{fraction}").parse().ok()?;
    Some(Expr::Literal(Datum::Money(value), SqlType::Money))
}
