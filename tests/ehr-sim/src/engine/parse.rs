//! Recursive-descent parser of a batch: the cursor over tokens and the words every part shares.
//!
//! Invariants: `nothing-skipped`: every token is either understood or refused with 102/156 and its text;
//! `bounded-depth`: nesting past [`MAX_DEPTH`] is refused (191), so text from outside cannot exhaust the stack.
//!
//! Facts: "Transact-SQL reference", "Reserved keywords".

#![expect(clippy::wildcard_enum_match_arm, reason = "a token that fits no rule is refused as it stands")]

use super::ast::{Located, Name};
use super::lex::{Tok, Token, tokenize};
use super::message::{self, Result, SqlError};

mod ddl;
mod dml;
mod expr;
mod flow;
mod query;
mod security;
mod set;
mod table;
mod type_name;

pub use type_name::parse_declarations;

/// How deep expressions and blocks may nest.
pub const MAX_DEPTH: u32 = 96;

/// Parses a batch. The whole batch is refused on the first error.
pub fn parse_batch(text: &str) -> Result<Vec<Located>> {
    let mut parser = Parser::new(text)?;
    let statements = parser.statements(&[])?;
    parser.expect_end()?;
    Ok(statements)
}

pub(super) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self> {
        Ok(Self { text, tokens: tokenize(text)?, at: 0, depth: 0 })
    }

    fn token(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn tok(&self) -> &Tok {
        &self.token().tok
    }

    fn tok_at(&self, ahead: usize) -> &Tok {
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)].tok
    }

    fn line(&self) -> u32 {
        self.token().line
    }

    fn advance(&mut self) -> Tok {
        let tok = self.tok().clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        tok
    }

    /// Source text from token index `from` up to the last token read.
    fn text_since(&self, from: usize) -> String {
        let end = self.tokens[self.at.saturating_sub(1).max(from)].end;
        self.text[self.tokens[from].start..end].to_owned()
    }

    /// The refusal of the token at the cursor.
    fn unexpected(&self) -> SqlError {
        let token = self.token();
        let near = match &token.tok {
            Tok::Word(word) if is_reserved(word) => return message::syntax_keyword(word).at(token.line),
            Tok::Word(s)
            | Tok::Quoted(s)
            | Tok::Variable(s)
            | Tok::Number(s)
            | Tok::Text(s)
            | Tok::National(s) => s.clone(),
            Tok::Money(_) | Tok::Hex(_) | Tok::Symbol(_) => self.text[token.start..token.end].to_owned(),
            Tok::End => return self.unexpected_end(),
        };
        message::syntax_near(near).at(token.line)
    }

    /// At the end SQL Server names the last token it read.
    fn unexpected_end(&self) -> SqlError {
        let Some(last) = self.at.checked_sub(1).map(|at| &self.tokens[at]) else {
            return message::syntax_near("").at(self.line());
        };
        match &last.tok {
            Tok::Word(word) if is_reserved(word) => message::syntax_keyword(word).at(last.line),
            Tok::Word(s) | Tok::Quoted(s) | Tok::Text(s) | Tok::National(s) => {
                message::syntax_near(s).at(last.line)
            }
            Tok::Variable(_) | Tok::Number(_) | Tok::Money(_) | Tok::Hex(_) | Tok::Symbol(_) | Tok::End => {
                message::syntax_near(&self.text[last.start..last.end]).at(last.line)
            }
        }
    }

    fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        matches!(self.tok_at(ahead), Tok::Word(w) if w.eq_ignore_ascii_case(word))
    }

    fn are_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(i, word)| self.is_word_at(i, word))
    }

    fn accept(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    /// Reads a run of words, or nothing.
    fn accept_words(&mut self, words: &[&str]) -> bool {
        let found = self.are_words(words);
        if found {
            words.iter().for_each(|_| drop(self.advance()));
        }
        found
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        if self.accept(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn expect_words(&mut self, words: &[&str]) -> Result<()> {
        words.iter().try_for_each(|word| self.expect(word))
    }

    /// Reads one of the words and answers which.
    fn one_of(&mut self, words: &[&'static str]) -> Result<&'static str> {
        words.iter().copied().find(|word| self.accept(word)).ok_or_else(|| self.unexpected())
    }

    fn on_off(&mut self) -> Result<bool> {
        Ok(self.one_of(&["ON", "OFF"])? == "ON")
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.tok(), Tok::Symbol(s) if *s == symbol)
    }

    fn is_symbol_at(&self, ahead: usize, symbol: &str) -> bool {
        matches!(self.tok_at(ahead), Tok::Symbol(s) if *s == symbol)
    }

    fn accept_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<()> {
        if self.accept_symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn expect_end(&self) -> Result<()> {
        if *self.tok() == Tok::End { Ok(()) } else { Err(self.unexpected()) }
    }

    fn comma_list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut list = vec![one(self)?];
        while self.accept_symbol(",") {
            list.push(one(self)?);
        }
        Ok(list)
    }

    fn parenthesized<T>(&mut self, mut inner: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        self.expect_symbol("(")?;
        let value = inner(self)?;
        self.expect_symbol(")")?;
        Ok(value)
    }

    fn names_in_parentheses(&mut self) -> Result<Vec<String>> {
        self.parenthesized(|p| p.comma_list(Self::identifier))
    }

    /// An identifier: bare and not reserved, or delimited.
    fn identifier(&mut self) -> Result<String> {
        match self.tok() {
            Tok::Word(word) if is_reserved(word) => Err(self.unexpected()),
            Tok::Quoted(name) if name.is_empty() => Err(message::empty_name().at(self.line())),
            Tok::Word(name) | Tok::Quoted(name) => {
                let name = name.clone();
                if name.chars().count() > 128 {
                    return Err(
                        message::name_too_long(name.chars().take(64).collect::<String>()).at(self.line())
                    );
                }
                self.advance();
                Ok(name)
            }
            Tok::Variable(_)
            | Tok::Number(_)
            | Tok::Money(_)
            | Tok::Text(_)
            | Tok::National(_)
            | Tok::Hex(_)
            | Tok::Symbol(_)
            | Tok::End => Err(self.unexpected()),
        }
    }

    /// An identifier behind a dot. PRECISION is reserved for DOUBLE PRECISION alone: `c.precision` is a column.
    fn member(&mut self) -> Result<String> {
        match self.tok().clone() {
            Tok::Word(word) if word.eq_ignore_ascii_case("PRECISION") => {
                self.advance();
                Ok(word)
            }
            _ => self.identifier(),
        }
    }

    /// A name of up to four parts; inner parts may be omitted (`db..t`).
    fn name(&mut self) -> Result<Name> {
        if let Tok::Variable(name) = self.tok().clone() {
            self.advance();
            return Ok(Name(vec![name]));
        }
        let mut parts = vec![self.identifier()?];
        while self.accept_symbol(".") {
            if self.is_symbol(".") {
                parts.push(String::new());
                continue;
            }
            parts.push(self.identifier()?);
        }
        if parts.len() > 4 { Err(self.unexpected()) } else { Ok(Name(parts)) }
    }

    fn variable(&mut self) -> Result<String> {
        match self.tok().clone() {
            Tok::Variable(name) if !name.starts_with("@@") => {
                self.advance();
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn string(&mut self) -> Result<String> {
        match self.tok().clone() {
            Tok::Text(text) | Tok::National(text) => {
                self.advance();
                Ok(text)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn integer(&mut self) -> Result<i64> {
        let negative = self.accept_symbol("-");
        let Tok::Number(text) = self.tok().clone() else { return Err(self.unexpected()) };
        let value: i64 = text.parse().map_err(|_| self.unexpected())?;
        self.advance();
        Ok(if negative { -value } else { value })
    }

    /// Guards recursion.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(message::too_deep().at(self.line()));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }
}

/// Whether a bare word cannot be an identifier.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&word.to_ascii_uppercase().as_str()).is_ok()
}

/// SQL Server's reserved keywords, sorted.
const RESERVED: &[&str] = &[
    "ADD",
    "ALL",
    "ALTER",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "AUTHORIZATION",
    "BACKUP",
    "BEGIN",
    "BETWEEN",
    "BREAK",
    "BROWSE",
    "BULK",
    "BY",
    "CASCADE",
    "CASE",
    "CHECK",
    "CHECKPOINT",
    "CLOSE",
    "CLUSTERED",
    "COALESCE",
    "COLLATE",
    "COLUMN",
    "COMMIT",
    "COMPUTE",
    "CONSTRAINT",
    "CONTAINS",
    "CONTAINSTABLE",
    "CONTINUE",
    "CONVERT",
    "CREATE",
    "CROSS",
    "CURRENT",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "CURSOR",
    "DATABASE",
    "DBCC",
    "DEALLOCATE",
    "DECLARE",
    "DEFAULT",
    "DELETE",
    "DENY",
    "DESC",
    "DISK",
    "DISTINCT",
    "DISTRIBUTED",
    "DOUBLE",
    "DROP",
    "DUMP",
    "ELSE",
    "END",
    "ERRLVL",
    "ESCAPE",
    "EXCEPT",
    "EXEC",
    "EXECUTE",
    "EXISTS",
    "EXIT",
    "EXTERNAL",
    "FETCH",
    "FILE",
    "FILLFACTOR",
    "FOR",
    "FOREIGN",
    "FREETEXT",
    "FREETEXTTABLE",
    "FROM",
    "FULL",
    "FUNCTION",
    "GOTO",
    "GRANT",
    "GROUP",
    "HAVING",
    "HOLDLOCK",
    "IDENTITY",
    "IDENTITYCOL",
    "IDENTITY_INSERT",
    "IF",
    "IN",
    "INDEX",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTO",
    "IS",
    "JOIN",
    "KEY",
    "KILL",
    "LEFT",
    "LIKE",
    "LINENO",
    "LOAD",
    "MERGE",
    "NATIONAL",
    "NOCHECK",
    "NONCLUSTERED",
    "NOT",
    "NULL",
    "NULLIF",
    "OF",
    "OFF",
    "OFFSETS",
    "ON",
    "OPEN",
    "OPENDATASOURCE",
    "OPENQUERY",
    "OPENROWSET",
    "OPENXML",
    "OPTION",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PERCENT",
    "PIVOT",
    "PLAN",
    "PRECISION",
    "PRIMARY",
    "PRINT",
    "PROC",
    "PROCEDURE",
    "PUBLIC",
    "RAISERROR",
    "READ",
    "READTEXT",
    "RECONFIGURE",
    "REFERENCES",
    "REPLICATION",
    "RESTORE",
    "RESTRICT",
    "RETURN",
    "REVERT",
    "REVOKE",
    "RIGHT",
    "ROLLBACK",
    "ROWCOUNT",
    "ROWGUIDCOL",
    "RULE",
    "SAVE",
    "SCHEMA",
    "SECURITYAUDIT",
    "SELECT",
    "SEMANTICKEYPHRASETABLE",
    "SEMANTICSIMILARITYDETAILSTABLE",
    "SEMANTICSIMILARITYTABLE",
    "SESSION_USER",
    "SET",
    "SETUSER",
    "SHUTDOWN",
    "SOME",
    "STATISTICS",
    "SYSTEM_USER",
    "TABLE",
    "TABLESAMPLE",
    "TEXTSIZE",
    "THEN",
    "TO",
    "TOP",
    "TRAN",
    "TRANSACTION",
    "TRIGGER",
    "TRUNCATE",
    "TRY_CONVERT",
    "TSEQUAL",
    "UNION",
    "UNIQUE",
    "UNPIVOT",
    "UPDATE",
    "UPDATETEXT",
    "USE",
    "USER",
    "VALUES",
    "VARYING",
    "VIEW",
    "WAITFOR",
    "WHEN",
    "WHERE",
    "WHILE",
    "WITH",
    "WITHIN",
    "WRITETEXT",
];
