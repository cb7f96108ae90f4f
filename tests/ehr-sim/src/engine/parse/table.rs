//! Column definitions and table constraints, as CREATE TABLE, ALTER TABLE and DECLARE @t TABLE share them.
//!
//! Facts: "CREATE TABLE (Transact-SQL)", "table_constraint", "column_constraint".

#![expect(clippy::wildcard_enum_match_arm, reason = "a token that fits no rule is refused as it stands")]

use super::Parser;
use crate::engine::ast::{Action, ColumnDef, ConstraintKind, Expr, Name, TableConstraint, TypeName};
use crate::engine::lex::Tok;
use crate::engine::message::{self, Result};
use crate::engine::value::text::COLLATION;

impl Parser<'_> {
    /// `( column definitions and constraints )`
    pub(super) fn table_body(&mut self) -> Result<(Vec<ColumnDef>, Vec<TableConstraint>)> {
        let (mut columns, mut constraints) = (Vec::new(), Vec::new());
        self.expect_symbol("(")?;
        loop {
            match self.table_constraint()? {
                Some(constraint) => constraints.push(constraint),
                None => columns.push(self.column_def()?),
            }
            if !self.accept_symbol(",") || self.is_symbol(")") {
                break;
            }
        }
        self.expect_symbol(")")?;
        Ok((columns, constraints))
    }

    pub(super) fn column_def(&mut self) -> Result<ColumnDef> {
        let name = self.identifier()?;
        let mut column = ColumnDef {
            name,
            ty: TypeName { name: String::new(), ty: None, sized: false },
            nullable: None,
            identity: None,
            default: None,
            computed: None,
            constraints: Vec::new(),
        };
        if self.accept("AS") {
            let from = self.at;
            let expr = self.value()?;
            column.computed = Some((expr, self.text_since(from)));
            self.accept("PERSISTED");
            return Ok(column);
        }
        let bare_timestamp =
            column.name.eq_ignore_ascii_case("timestamp") && matches!(self.tok(), Tok::Symbol(_));
        column.ty = if bare_timestamp {
            TypeName { name: "timestamp".into(), ty: Some(crate::types::SqlType::RowVersion), sized: false }
        } else {
            self.type_name()?
        };
        while self.column_option(&mut column)? {}
        Ok(column)
    }

    fn column_option(&mut self, column: &mut ColumnDef) -> Result<bool> {
        if self.accept("NULL") {
            column.nullable = Some(true);
        } else if self.accept_words(&["NOT", "NULL"]) {
            column.nullable = Some(false);
        } else if self.accept("IDENTITY") {
            column.identity = Some(self.identity_arguments()?);
        } else if self.accept("COLLATE") {
            self.known_collation()?;
        } else if self.accept("ROWGUIDCOL") || self.accept("SPARSE") {
        } else {
            return self.column_constraint(column);
        }
        Ok(true)
    }

    /// The collation behind COLLATE: the one that everything here has.
    pub(super) fn known_collation(&mut self) -> Result<()> {
        let line = self.line();
        let collation = self.identifier()?;
        if ["DATABASE_DEFAULT", COLLATION].iter().any(|held| held.eq_ignore_ascii_case(&collation)) {
            return Ok(());
        }
        Err(message::not_supported(format!("COLLATE {collation}")).at(line))
    }

    fn identity_arguments(&mut self) -> Result<(i64, i64)> {
        if !self.is_symbol("(") {
            return Ok((1, 1));
        }
        self.parenthesized(|p| {
            let seed = p.integer()?;
            p.expect_symbol(",")?;
            Ok((seed, p.integer()?))
        })
    }

    fn column_constraint(&mut self, column: &mut ColumnDef) -> Result<bool> {
        let name = if self.accept("CONSTRAINT") { Some(self.identifier()?) } else { None };
        if self.accept("DEFAULT") {
            let (expr, text) = self.default_value()?;
            column.default = Some((name, expr, text));
            return Ok(true);
        }
        let own = vec![column.name.clone()];
        let kind = if self.is_word("PRIMARY") || self.is_word("UNIQUE") {
            self.key_constraint(Some(&column.name))?
        } else if self.accept_words(&["FOREIGN", "KEY"]) || self.is_word("REFERENCES") {
            self.references(own)?
        } else if self.is_word("CHECK") {
            self.check()?
        } else if name.is_some() {
            return Err(self.unexpected());
        } else {
            return Ok(false);
        };
        column.constraints.push(TableConstraint { name, kind });
        Ok(true)
    }

    fn default_value(&mut self) -> Result<(Expr, String)> {
        let from = self.at;
        let expr = self.value()?;
        let text = self.text_since(from);
        let text = if text.starts_with('(') { text } else { format!("({text})") };
        Ok((expr, text))
    }

    pub(super) fn table_constraint(&mut self) -> Result<Option<TableConstraint>> {
        let name = if self.accept("CONSTRAINT") { Some(self.identifier()?) } else { None };
        let kind = if self.is_word("PRIMARY") || self.is_word("UNIQUE") {
            self.key_constraint(None)?
        } else if self.accept_words(&["FOREIGN", "KEY"]) {
            let columns = self.names_in_parentheses()?;
            self.references(columns)?
        } else if self.is_word("CHECK") {
            self.check()?
        } else if self.accept("DEFAULT") {
            let (expr, text) = self.default_value()?;
            self.expect("FOR")?;
            ConstraintKind::Default { column: self.identifier()?, expr, text }
        } else if name.is_some() {
            return Err(self.unexpected());
        } else {
            return Ok(None);
        };
        Ok(Some(TableConstraint { name, kind }))
    }

    fn key_constraint(&mut self, column: Option<&str>) -> Result<ConstraintKind> {
        let primary = self.one_of(&["PRIMARY", "UNIQUE"])? == "PRIMARY";
        if primary {
            self.expect("KEY")?;
        }
        let clustered = if self.accept("CLUSTERED") {
            Some(true)
        } else if self.accept("NONCLUSTERED") {
            Some(false)
        } else {
            None
        };
        let columns = match column {
            Some(column) if !self.is_symbol("(") => vec![(column.to_owned(), false)],
            _ => self.key_columns()?,
        };
        self.index_options()?;
        Ok(ConstraintKind::Key { primary, clustered, columns })
    }

    pub(super) fn key_columns(&mut self) -> Result<Vec<(String, bool)>> {
        self.parenthesized(|p| {
            p.comma_list(|p| {
                let name = p.identifier()?;
                let descending = p.accept("DESC");
                if !descending {
                    p.accept("ASC");
                }
                Ok((name, descending))
            })
        })
    }

    /// `WITH (FILLFACTOR = 80, ...)` and `ON [PRIMARY]`: storage only.
    pub(super) fn index_options(&mut self) -> Result<()> {
        if self.is_word("WITH") && self.is_symbol_at(1, "(") {
            self.advance();
            self.parenthesized(|p| p.comma_list(Self::index_option).map(drop))?;
        }
        if self.accept("ON") {
            self.identifier()?;
        }
        Ok(())
    }

    fn index_option(&mut self) -> Result<()> {
        self.one_of(&[
            "PAD_INDEX",
            "FILLFACTOR",
            "SORT_IN_TEMPDB",
            "STATISTICS_NORECOMPUTE",
            "ONLINE",
            "ALLOW_ROW_LOCKS",
            "ALLOW_PAGE_LOCKS",
            "MAXDOP",
            "DATA_COMPRESSION",
            "OPTIMIZE_FOR_SEQUENTIAL_KEY",
        ])?;
        self.expect_symbol("=")?;
        match self.tok() {
            Tok::Number(_) => self.integer().map(drop),
            _ => self.one_of(&["ON", "OFF", "NONE", "ROW", "PAGE"]).map(drop),
        }
    }

    fn references(&mut self, columns: Vec<String>) -> Result<ConstraintKind> {
        self.expect("REFERENCES")?;
        let table: Name = self.name()?;
        let referenced = if self.is_symbol("(") { self.names_in_parentheses()? } else { Vec::new() };
        let (mut on_delete, mut on_update) = (Action::Refuse, Action::Refuse);
        while self.accept("ON") {
            let which = self.one_of(&["DELETE", "UPDATE"])?;
            let action = self.action()?;
            if which == "DELETE" {
                on_delete = action;
            } else {
                on_update = action;
            }
        }
        Ok(ConstraintKind::Foreign { columns, table, referenced, on_delete, on_update })
    }

    fn action(&mut self) -> Result<Action> {
        if self.accept("CASCADE") {
            return Ok(Action::Cascade);
        }
        if self.accept_words(&["SET", "NULL"]) {
            return Ok(Action::SetNull);
        }
        self.expect_words(&["NO", "ACTION"])?;
        Ok(Action::Refuse)
    }

    fn check(&mut self) -> Result<ConstraintKind> {
        self.expect("CHECK")?;
        let from = self.at;
        let condition = self.parenthesized(Self::condition)?;
        Ok(ConstraintKind::Check { condition, text: self.text_since(from) })
    }
}
