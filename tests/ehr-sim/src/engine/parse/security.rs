//! Logins, users, roles, permissions: CREATE/ALTER/DROP of principals, GRANT/DENY/REVOKE, AUTHORIZATION.
//!
//! Facts: "CREATE LOGIN", "ALTER LOGIN", "CREATE USER", "ALTER USER", "ALTER ROLE", "ALTER SERVER ROLE", "GRANT",
//! "DENY", "REVOKE", "ALTER AUTHORIZATION" (Transact-SQL).

#![expect(clippy::wildcard_enum_match_arm, reason = "a token that fits no rule is refused as it stands")]

use super::Parser;
use crate::engine::ast::{
    LoginOptions, MemberChange, Password, PermissionStmt, PermissionVerb, Securable, SecurableClass,
    SecurityStmt, Stmt, UserFor, UserOptions,
};
use crate::engine::lex::Tok;
use crate::engine::message::{self, Result};

impl Parser<'_> {
    pub(super) fn create_principal(&mut self) -> Result<Stmt> {
        let stmt = if self.accept("LOGIN") {
            let name = self.identifier()?;
            if self.is_word("FROM") {
                return Err(message::not_supported("FROM").at(self.line()));
            }
            self.expect("WITH")?;
            let options = self.login_options()?;
            if options.password.is_none() {
                return Err(self.unexpected());
            }
            SecurityStmt::CreateLogin { name, options }
        } else if self.accept("USER") {
            self.create_user()?
        } else {
            let server = self.accept("SERVER");
            self.expect("ROLE")?;
            let name = self.identifier()?;
            let owner = if self.accept("AUTHORIZATION") { Some(self.identifier()?) } else { None };
            SecurityStmt::CreateRole { name, server, owner }
        };
        Ok(Stmt::Security(stmt))
    }

    fn create_user(&mut self) -> Result<SecurityStmt> {
        let name = self.identifier()?;
        let login = if self.accept("FOR") || self.accept("FROM") {
            self.expect("LOGIN")?;
            UserFor::Login(self.identifier()?)
        } else if self.accept_words(&["WITHOUT", "LOGIN"]) {
            UserFor::WithoutLogin
        } else {
            UserFor::Same
        };
        let options = if self.accept("WITH") { self.user_options()? } else { UserOptions::default() };
        Ok(SecurityStmt::CreateUser { name, login, options })
    }

    fn user_options(&mut self) -> Result<UserOptions> {
        let mut options = UserOptions::default();
        self.comma_list(|p| {
            let option = p.one_of(&["DEFAULT_SCHEMA", "LOGIN", "NAME"])?;
            p.expect_symbol("=")?;
            let value = Some(p.identifier()?);
            match option {
                "DEFAULT_SCHEMA" => options.default_schema = value,
                "LOGIN" => options.login = value,
                _ => options.name = value,
            }
            Ok(())
        })?;
        Ok(options)
    }

    fn login_options(&mut self) -> Result<LoginOptions> {
        let mut options = LoginOptions::default();
        self.comma_list(|p| p.login_option(&mut options))?;
        Ok(options)
    }

    fn login_option(&mut self, options: &mut LoginOptions) -> Result<()> {
        let option = self.one_of(&[
            "PASSWORD",
            "OLD_PASSWORD",
            "SID",
            "DEFAULT_DATABASE",
            "DEFAULT_LANGUAGE",
            "CHECK_POLICY",
            "CHECK_EXPIRATION",
            "NAME",
        ])?;
        self.expect_symbol("=")?;
        match option {
            "PASSWORD" => self.password(options)?,
            "OLD_PASSWORD" => options.old_password = Some(self.string()?),
            "SID" => match self.advance() {
                Tok::Hex(sid) => options.sid = Some(sid),
                _ => return Err(self.unexpected()),
            },
            "DEFAULT_DATABASE" => options.default_database = Some(self.identifier()?),
            "DEFAULT_LANGUAGE" => options.default_language = Some(self.identifier()?),
            "CHECK_POLICY" => options.check_policy = Some(self.on_off()?),
            "CHECK_EXPIRATION" => options.check_expiration = Some(self.on_off()?),
            _ => options.name = Some(self.identifier()?),
        }
        Ok(())
    }

    fn password(&mut self, options: &mut LoginOptions) -> Result<()> {
        if let Tok::Hex(hash) = self.tok().clone() {
            self.advance();
            self.expect("HASHED")?;
            options.password = Some(Password::Hashed(hash));
            return Ok(());
        }
        options.password = Some(Password::Clear(self.string()?));
        loop {
            if self.accept("MUST_CHANGE") {
                options.must_change = true;
            } else if self.accept("UNLOCK") {
                options.unlock = true;
            } else if self.is_word("OLD_PASSWORD") {
                self.advance();
                self.expect_symbol("=")?;
                options.old_password = Some(self.string()?);
            } else {
                return Ok(());
            }
        }
    }

    pub(super) fn alter_principal(&mut self) -> Result<Stmt> {
        let stmt = if self.accept("LOGIN") {
            let name = self.identifier()?;
            if self.accept("ENABLE") {
                SecurityStmt::AlterLogin { name, options: LoginOptions::default(), enable: Some(true) }
            } else if self.accept("DISABLE") {
                SecurityStmt::AlterLogin { name, options: LoginOptions::default(), enable: Some(false) }
            } else {
                self.expect("WITH")?;
                SecurityStmt::AlterLogin { name, options: self.login_options()?, enable: None }
            }
        } else if self.accept("USER") {
            let name = self.identifier()?;
            self.expect("WITH")?;
            SecurityStmt::AlterUser { name, options: self.user_options()? }
        } else if self.accept("AUTHORIZATION") {
            self.expect("ON")?;
            let on = self.securable()?;
            self.expect("TO")?;
            let to = if self.accept_words(&["SCHEMA", "OWNER"]) { None } else { Some(self.identifier()?) };
            SecurityStmt::AlterAuthorization { on, to }
        } else {
            self.alter_role()?
        };
        Ok(Stmt::Security(stmt))
    }

    fn alter_role(&mut self) -> Result<SecurityStmt> {
        let server = self.accept("SERVER");
        self.expect("ROLE")?;
        let role = if self.accept("PUBLIC") { "public".to_owned() } else { self.identifier()? };
        if self.accept("WITH") {
            self.expect("NAME")?;
            self.expect_symbol("=")?;
            return Ok(SecurityStmt::RenameRole { name: role, to: self.identifier()? });
        }
        let change = match self.one_of(&["ADD", "DROP"])? {
            "ADD" => MemberChange::Add,
            _ => MemberChange::Drop,
        };
        self.expect("MEMBER")?;
        Ok(SecurityStmt::AlterRole { role, server, change, member: self.identifier()? })
    }

    pub(super) fn drop_principal(&mut self) -> Result<Stmt> {
        let stmt = if self.accept("LOGIN") {
            SecurityStmt::DropLogin { name: self.identifier()? }
        } else if self.accept("USER") {
            let if_exists = self.accept_words(&["IF", "EXISTS"]);
            SecurityStmt::DropUser { name: self.identifier()?, if_exists }
        } else {
            let server = self.accept("SERVER");
            self.expect("ROLE")?;
            let if_exists = !server && self.accept_words(&["IF", "EXISTS"]);
            SecurityStmt::DropRole { name: self.identifier()?, server, if_exists }
        };
        Ok(Stmt::Security(stmt))
    }

    pub(super) fn permission(&mut self) -> Result<Stmt> {
        let verb = match self.one_of(&["GRANT", "DENY", "REVOKE"])? {
            "GRANT" => PermissionVerb::Grant,
            "DENY" => PermissionVerb::Deny,
            _ => PermissionVerb::Revoke,
        };
        let grant_option_for =
            verb == PermissionVerb::Revoke && self.accept_words(&["GRANT", "OPTION", "FOR"]);
        let permissions = self.comma_list(Self::permission_name)?;
        let (mut on, mut columns) = (None, Vec::new());
        if self.accept("ON") {
            on = Some(self.securable()?);
            if self.is_symbol("(") {
                columns = self.names_in_parentheses()?;
            }
        }
        if verb == PermissionVerb::Revoke {
            self.one_of(&["TO", "FROM"])?;
        } else {
            self.expect("TO")?;
        }
        let to = self.comma_list(Self::grantee)?;
        let with_grant = verb == PermissionVerb::Grant && self.accept_words(&["WITH", "GRANT", "OPTION"]);
        let cascade = verb != PermissionVerb::Grant && self.accept("CASCADE");
        if self.is_word("AS") {
            return Err(message::not_supported("AS").at(self.line()));
        }
        let stmt =
            PermissionStmt { verb, permissions, on, columns, to, with_grant, grant_option_for, cascade };
        Ok(Stmt::Security(SecurityStmt::Permission(stmt)))
    }

    fn grantee(&mut self) -> Result<String> {
        if self.accept("PUBLIC") { Ok("public".into()) } else { self.identifier() }
    }

    /// One or more words (`VIEW SERVER STATE`), with an optional column list.
    fn permission_name(&mut self) -> Result<(String, Vec<String>)> {
        let (line, from) = (self.line(), self.at);
        let mut name = self.plain_word()?;
        if name == "EXEC" {
            "EXECUTE".clone_into(&mut name);
        }
        while let Tok::Word(word) = self.tok() {
            if ["ON", "TO", "FROM"].iter().any(|stop| word.eq_ignore_ascii_case(stop)) {
                break;
            }
            name.push(' ');
            name.push_str(&word.to_ascii_uppercase());
            self.advance();
        }
        if !crate::engine::permission::is_known(&name) {
            return Err(message::syntax_near(self.text_since(from)).at(line));
        }
        let columns = if self.is_symbol("(") { self.names_in_parentheses()? } else { Vec::new() };
        Ok((name, columns))
    }

    fn securable(&mut self) -> Result<Securable> {
        let class = [
            ("OBJECT", SecurableClass::Object),
            ("SCHEMA", SecurableClass::Schema),
            ("DATABASE", SecurableClass::Database),
            ("LOGIN", SecurableClass::Login),
            ("USER", SecurableClass::User),
            ("ROLE", SecurableClass::Role),
        ]
        .into_iter()
        .find(|(word, _)| self.is_word(word) && self.is_symbol_at(1, "::"))
        .map(|(_, class)| class);
        if class.is_some() {
            self.advance();
            self.advance();
        } else if self.is_symbol_at(1, "::") {
            let word = self.plain_word()?;
            return Err(message::not_supported(word).at(self.line()));
        }
        Ok(Securable { class, name: self.name()? })
    }
}
