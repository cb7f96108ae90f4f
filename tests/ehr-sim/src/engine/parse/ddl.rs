//! CREATE, ALTER and DROP of tables, indexes, views, schemas and databases.
//!
//! Facts: "CREATE TABLE", "ALTER TABLE", "CREATE INDEX", "CREATE VIEW", "CREATE SCHEMA", "ALTER DATABASE SET Options".

#![expect(clippy::wildcard_enum_match_arm, reason = "a token that fits no rule is refused as it stands")]

use super::Parser;
use crate::engine::ast::{AlterTable, CreateIndex, DatabaseChange, ObjectKind, Stmt, Termination};
use crate::engine::lex::Tok;
use crate::engine::message::{self, Result};

impl Parser<'_> {
    pub(super) fn create(&mut self) -> Result<Stmt> {
        let from = self.at;
        self.expect("CREATE")?;
        if self.accept_words(&["OR", "ALTER"]) {
            self.refuse_unsupported()?;
            return self.view(from, true, false);
        }
        if self.accept("TABLE") {
            let name = self.name()?;
            let (columns, constraints) = self.table_body()?;
            self.index_options()?;
            return Ok(Stmt::CreateTable { name, columns, constraints });
        }
        if self.is_word("VIEW") {
            return self.view(from, false, false);
        }
        if self.accept("SCHEMA") {
            let name = self.identifier()?;
            let owner = if self.accept("AUTHORIZATION") { Some(self.identifier()?) } else { None };
            return Ok(Stmt::CreateSchema { name, owner });
        }
        if self.accept("DATABASE") {
            return self.create_database();
        }
        if ["UNIQUE", "CLUSTERED", "NONCLUSTERED", "INDEX"].iter().any(|w| self.is_word(w)) {
            return self.create_index();
        }
        self.refuse_unsupported()?;
        self.create_principal()
    }

    fn create_database(&mut self) -> Result<Stmt> {
        let name = self.identifier()?;
        let mut options = Vec::new();
        if self.accept("CONTAINMENT") {
            self.expect_symbol("=")?;
            options.push(DatabaseChange::Contained(self.one_of(&["NONE", "PARTIAL"])? == "PARTIAL"));
        }
        if self.accept("COLLATE") {
            self.known_collation()?;
        }
        if self.accept("WITH") {
            options.extend(self.comma_list(Self::external_access_option)?);
        }
        Ok(Stmt::CreateDatabase { name, options })
    }

    fn external_access_option(&mut self) -> Result<DatabaseChange> {
        Ok(match self.one_of(&["TRUSTWORTHY", "DB_CHAINING"])? {
            "TRUSTWORTHY" => DatabaseChange::Trustworthy(self.on_off()?),
            _ => DatabaseChange::Chaining(self.on_off()?),
        })
    }

    /// Kinds of objects that SQL Server knows and this engine does not keep.
    fn refuse_unsupported(&self) -> Result<()> {
        match self.tok() {
            Tok::Word(word) if UNSUPPORTED.iter().any(|u| u.eq_ignore_ascii_case(word)) => {
                Err(message::not_supported(word.to_ascii_uppercase()).at(self.line()))
            }
            _ => Ok(()),
        }
    }

    fn create_index(&mut self) -> Result<Stmt> {
        let unique = self.accept("UNIQUE");
        let clustered = self.accept("CLUSTERED");
        if !clustered {
            self.accept("NONCLUSTERED");
        }
        self.expect("INDEX")?;
        let name = self.identifier()?;
        self.expect("ON")?;
        let table = self.name()?;
        let columns = self.key_columns()?;
        let include = if self.accept("INCLUDE") { self.names_in_parentheses()? } else { Vec::new() };
        if self.is_word("WHERE") {
            return Err(message::not_supported("WHERE").at(self.line()));
        }
        self.index_options()?;
        Ok(Stmt::CreateIndex(CreateIndex { name, table, unique, clustered, columns, include }))
    }

    /// The cursor is at VIEW; `from` is where the statement began.
    fn view(&mut self, from: usize, or_alter: bool, alter: bool) -> Result<Stmt> {
        self.expect("VIEW")?;
        let name = self.name()?;
        let columns = if self.is_symbol("(") { self.names_in_parentheses()? } else { Vec::new() };
        if self.accept("WITH") {
            self.comma_list(|p| p.one_of(&["SCHEMABINDING", "VIEW_METADATA"]))?;
        }
        self.expect("AS")?;
        let query = Box::new(self.query()?);
        if let Some(refused) = refuse_order(&query) {
            return Err(refused.at(self.line()));
        }
        Ok(Stmt::CreateView { name, columns, query, text: self.text_since(from), or_alter, alter })
    }

    pub(super) fn alter(&mut self) -> Result<Stmt> {
        let from = self.at;
        self.expect("ALTER")?;
        if self.accept("TABLE") {
            let name = self.name()?;
            return Ok(Stmt::AlterTable { name, change: self.alter_table()? });
        }
        if self.is_word("VIEW") {
            return self.view(from, false, true);
        }
        if self.accept("DATABASE") {
            return self.alter_database();
        }
        self.refuse_unsupported()?;
        self.alter_principal()
    }

    fn alter_table(&mut self) -> Result<AlterTable> {
        if self.accept_words(&["ALTER", "COLUMN"]) {
            return Ok(AlterTable::AlterColumn(self.column_def()?));
        }
        if self.accept("ENABLE") {
            self.expect("CHANGE_TRACKING")?;
            let mut columns_updated = false;
            if self.accept("WITH") {
                columns_updated = self.parenthesized(|p| {
                    p.expect("TRACK_COLUMNS_UPDATED")?;
                    p.expect_symbol("=")?;
                    p.on_off()
                })?;
            }
            return Ok(AlterTable::ChangeTracking { on: true, columns_updated });
        }
        if self.accept_words(&["DISABLE", "CHANGE_TRACKING"]) {
            return Ok(AlterTable::ChangeTracking { on: false, columns_updated: false });
        }
        let unchecked = self.accept("WITH") && self.one_of(&["CHECK", "NOCHECK"])? == "NOCHECK";
        if unchecked || self.is_word("CHECK") || self.is_word("NOCHECK") {
            return Err(message::not_supported("NOCHECK").at(self.line()));
        }
        if self.accept("ADD") {
            if let Some(constraint) = self.table_constraint()? {
                return Ok(AlterTable::AddConstraint(constraint));
            }
            return Ok(AlterTable::AddColumns(self.comma_list(|p| {
                let column = p.column_def()?;
                // A nullable column's new default reaches the rows that are there only so.
                if p.is_word("WITH") && p.is_word_at(1, "VALUES") {
                    if column.default.is_none() || column.nullable != Some(false) {
                        return Err(message::not_supported("WITH VALUES").at(p.line()));
                    }
                    p.accept_words(&["WITH", "VALUES"]);
                }
                Ok(column)
            })?));
        }
        self.expect("DROP")?;
        if self.accept("COLUMN") {
            return Ok(AlterTable::DropColumns(self.comma_list(Self::identifier)?));
        }
        self.accept("CONSTRAINT");
        let if_exists = self.accept_words(&["IF", "EXISTS"]);
        Ok(AlterTable::DropConstraint { names: self.comma_list(Self::identifier)?, if_exists })
    }

    fn alter_database(&mut self) -> Result<Stmt> {
        let name = if self.accept("CURRENT") { None } else { Some(self.identifier()?) };
        if self.accept("MODIFY") {
            self.expect("NAME")?;
            self.expect_symbol("=")?;
            let change = DatabaseChange::Rename(self.identifier()?);
            return Ok(Stmt::AlterDatabase { name, change, termination: Termination::Wait });
        }
        if self.is_word("COLLATE") {
            return Err(message::not_supported("COLLATE").at(self.line()));
        }
        self.expect("SET")?;
        let change = self.database_option()?;
        let termination = self.termination()?;
        Ok(Stmt::AlterDatabase { name, change, termination })
    }

    fn termination(&mut self) -> Result<Termination> {
        if !self.accept("WITH") {
            return Ok(Termination::Wait);
        }
        if self.accept("NO_WAIT") {
            return Ok(Termination::NoWait);
        }
        self.expect("ROLLBACK")?;
        if self.accept("IMMEDIATE") {
            return Ok(Termination::RollbackAfter(0));
        }
        self.expect("AFTER")?;
        let seconds = self.integer()?;
        self.accept("SECONDS");
        u64::try_from(seconds).map(Termination::RollbackAfter).map_err(|_| self.unexpected())
    }

    fn database_option(&mut self) -> Result<DatabaseChange> {
        if self.accept("READ_COMMITTED_SNAPSHOT") {
            return Ok(DatabaseChange::ReadCommittedSnapshot(self.on_off()?));
        }
        if self.accept("ALLOW_SNAPSHOT_ISOLATION") {
            return Ok(DatabaseChange::AllowSnapshot(self.on_off()?));
        }
        if self.is_word("TRUSTWORTHY") || self.is_word("DB_CHAINING") {
            return self.external_access_option();
        }
        if self.accept("CONTAINMENT") {
            self.expect_symbol("=")?;
            return Ok(DatabaseChange::Contained(self.one_of(&["NONE", "PARTIAL"])? == "PARTIAL"));
        }
        if self.accept("RECOVERY") {
            return Ok(DatabaseChange::Recovery(self.one_of(&["FULL", "SIMPLE", "BULK_LOGGED"])?.to_owned()));
        }
        if self.accept("COMPATIBILITY_LEVEL") {
            self.expect_symbol("=")?;
            return Ok(DatabaseChange::CompatibilityLevel(self.integer()?));
        }
        if self.accept("CHANGE_TRACKING") {
            return self.change_tracking_option();
        }
        Ok(
            match self.one_of(&[
                "READ_ONLY",
                "READ_WRITE",
                "ONLINE",
                "OFFLINE",
                "SINGLE_USER",
                "RESTRICTED_USER",
                "MULTI_USER",
            ])? {
                "READ_ONLY" => DatabaseChange::ReadOnly(true),
                "READ_WRITE" => DatabaseChange::ReadOnly(false),
                "ONLINE" => DatabaseChange::Online(true),
                "OFFLINE" => DatabaseChange::Online(false),
                "SINGLE_USER" => DatabaseChange::SingleUser(Some(true)),
                "RESTRICTED_USER" => DatabaseChange::SingleUser(Some(false)),
                _ => DatabaseChange::SingleUser(None),
            },
        )
    }

    fn change_tracking_option(&mut self) -> Result<DatabaseChange> {
        let on = if self.accept_symbol("=") || !self.is_symbol("(") { self.on_off()? } else { true };
        let (mut retention_minutes, mut auto_cleanup) = (None, None);
        if self.accept_symbol("(") {
            loop {
                if self.accept("CHANGE_RETENTION") {
                    self.expect_symbol("=")?;
                    let n = self.integer()?;
                    let unit = match self.one_of(&["DAYS", "HOURS", "MINUTES"])? {
                        "DAYS" => 1440,
                        "HOURS" => 60,
                        _ => 1,
                    };
                    retention_minutes = Some(n * unit);
                } else {
                    self.expect("AUTO_CLEANUP")?;
                    self.expect_symbol("=")?;
                    auto_cleanup = Some(self.on_off()?);
                }
                if !self.accept_symbol(",") {
                    break;
                }
            }
            self.expect_symbol(")")?;
        }
        Ok(DatabaseChange::ChangeTracking { on, retention_minutes, auto_cleanup })
    }

    pub(super) fn drop_statement(&mut self) -> Result<Stmt> {
        self.expect("DROP")?;
        let kind =
            [("TABLE", ObjectKind::Table), ("VIEW", ObjectKind::View), ("PROCEDURE", ObjectKind::Procedure)];
        for (word, kind) in kind {
            if self.accept(word) {
                let if_exists = self.accept_words(&["IF", "EXISTS"]);
                return Ok(Stmt::Drop { kind, names: self.comma_list(Self::name)?, if_exists });
            }
        }
        if self.accept("INDEX") {
            return self.drop_index();
        }
        if self.accept("SCHEMA") {
            let if_exists = self.accept_words(&["IF", "EXISTS"]);
            return Ok(Stmt::DropSchema { name: self.identifier()?, if_exists });
        }
        if self.accept("DATABASE") {
            let if_exists = self.accept_words(&["IF", "EXISTS"]);
            return Ok(Stmt::DropDatabase { names: self.comma_list(Self::identifier)?, if_exists });
        }
        self.drop_principal()
    }

    fn drop_index(&mut self) -> Result<Stmt> {
        let if_exists = self.accept_words(&["IF", "EXISTS"]);
        let mut parts = self.name()?;
        if self.accept("ON") {
            let table = self.name()?;
            return Ok(Stmt::DropIndex { name: parts.object().to_owned(), table, if_exists });
        }
        match (parts.0.len(), parts.0.pop()) {
            (2.., Some(name)) => Ok(Stmt::DropIndex { name, table: parts, if_exists }),
            _ => Err(self.unexpected()),
        }
    }

    /// A bare word that names something in the grammar but is no reserved word.
    pub(super) fn plain_word(&mut self) -> Result<String> {
        match self.tok().clone() {
            Tok::Word(word) => {
                self.advance();
                Ok(word.to_ascii_uppercase())
            }
            _ => Err(self.unexpected()),
        }
    }
}

const UNSUPPORTED: [&str; 18] = [
    "PROCEDURE",
    "PROC",
    "FUNCTION",
    "TRIGGER",
    "TYPE",
    "SEQUENCE",
    "SYNONYM",
    "STATISTICS",
    "INDEX",
    "RULE",
    "ASSEMBLY",
    "CERTIFICATE",
    "CREDENTIAL",
    "PARTITION",
    "QUEUE",
    "SERVICE",
    "COLUMNSTORE",
    "FULLTEXT",
];

fn has_top(query: &crate::engine::ast::Query) -> bool {
    matches!(&query.body, crate::engine::ast::Body::Select(select) if select.top.is_some())
}

/// 1033: ORDER BY in a view, a derived table, a subquery or a CTE.
pub(super) fn refuse_order(query: &crate::engine::ast::Query) -> Option<message::SqlError> {
    if query.order.is_empty() || query.offset.is_some() || has_top(query) {
        return None;
    }
    Some(message::SqlError::new(
        1033,
        15,
        1,
        "The ORDER BY clause is invalid in views, inline functions, derived tables, subqueries, and common table expressions, unless TOP, OFFSET or FOR XML is also specified.",
    ))
}
