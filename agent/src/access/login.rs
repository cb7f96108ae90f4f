//! Logins (server principals): Salt's `mssql_login` arguments, converged.
//!
//! `sid: fixed` gives a login a SID made from its name: on whichever server it is made anew, a restored database knows
//! it. A password is compared without changing it: `PWDCOMPARE` where the hash may be read, else by logging in with it. What
//! Salt never corrects is corrected here: password, default database and language, policy flags, roles, disabled. A SID
//! or the kind of login cannot be changed, so a difference there is refused.

use states::{Map, Value};

use crate::mssql::param::{bytes, integer, text as text_cell};
use crate::mssql::quote::{QuotedText, SqlName};
use crate::mssql::{ConnectionOptions, Param, Session, SqlError};
use crate::store::Secret;

use super::arguments::{self, OptionPair};
use super::plan::name_list;
use super::user::Extent;
use super::{AccessError, Plan, Statement};

/// A login as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct LoginWish {
    /// Its name, the Windows domain included.
    pub name: SqlName,
    /// How it logs in.
    pub secret: LoginSecret,
    /// Server roles it is in.
    pub server_roles: Vec<SqlName>,
    /// At least those roles, or exactly those.
    pub extent: Extent,
    /// Disabled or not; left alone when `None`.
    pub disabled: Option<bool>,
    options: LoginOptions,
}

/// How a login proves itself.
#[derive(Debug, Clone, PartialEq)]
pub enum LoginSecret {
    /// By a password.
    Password(Secret),
    /// By a password known only as SQL Server's hash (`0x0200…`).
    Hashed(Secret),
    /// By Windows.
    Windows,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct LoginOptions {
    default_database: Option<SqlName>,
    default_language: Option<SqlName>,
    check_policy: Option<bool>,
    check_expiration: Option<bool>,
    sid: Option<Sid>,
}

/// The SID that a login is to have, as `0x…`.
#[derive(Debug, Clone, PartialEq)]
enum Sid {
    /// This one.
    Given(String),
    /// The one made from the name, when the login is made here.
    OfName(String),
}

/// A login as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoginFound {
    /// A Windows login.
    pub windows: bool,
    /// Disabled.
    pub disabled: bool,
    /// `default_database_name`.
    pub default_database: String,
    /// `default_language_name`.
    pub default_language: String,
    /// `is_policy_checked`.
    pub check_policy: bool,
    /// `is_expiration_checked`.
    pub check_expiration: bool,
    /// `sid` as `0x…`.
    pub sid: String,
    /// Server roles, sorted.
    pub server_roles: Vec<String>,
    /// The wanted password is the one it has.
    pub password_matches: bool,
    /// Why it could not be used with the right password all the same: `locked`, `expired`, `must_change`.
    pub barred: Vec<&'static str>,
}

impl LoginWish {
    /// Reads Salt's arguments `password`, `domain`, `server_roles`, `options`, and ours: `default_database`, `disabled`,
    /// `sid` (`fixed` or `0x…`), `server_roles_exact`.
    ///
    /// # Errors
    /// Both or neither of password and domain (in Salt's words), an unknown option, a bad name.
    pub fn read(name: &str, args: &Map) -> Result<Self, AccessError> {
        let password = arguments::text(args, "password")?;
        let domain = arguments::text(args, "domain")?;
        let (name, secret) = match (password, domain) {
            (Some(password), None) => (name.to_owned(), LoginSecret::of(password)),
            (None, Some(domain)) => (format!("{domain}\\{name}"), LoginSecret::Windows),
            (Some(_), Some(_)) | (None, None) => {
                return Err(AccessError::Argument(
                    "One and only one of password and domain should be specifies".into(),
                ));
            }
        };
        let mut options = LoginOptions::read(arguments::options(args)?)?;
        options.default_database = arguments::name(args, "default_database")?.or(options.default_database);
        match arguments::text(args, "sid")?.as_deref() {
            None => {}
            Some("fixed") => options.sid = Some(Sid::OfName(sid_of(&name))),
            Some(given) => options.sid = Some(Sid::Given(hex_literal(given)?)),
        }
        Ok(Self {
            name: SqlName::new(name)?,
            secret,
            server_roles: without_public(arguments::names(args, "server_roles")?),
            extent: Extent::read(args, "server_roles_exact")?,
            disabled: arguments::switch(args, "disabled")?,
            options,
        })
    }

    /// Takes names as the server spells them: its collation decides whether `SysAdmin` is `sysadmin`.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn resolve(&mut self, session: &mut Session) -> Result<(), AccessError> {
        spell(session, SERVER_ROLE, &mut self.server_roles).await?;
        if let Some(database) = &mut self.options.default_database {
            spell(session, DATABASE, std::slice::from_mut(database)).await?;
        }
        Ok(())
    }

    /// What is to be done; `found` is `None` when there is no such login.
    ///
    /// # Errors
    /// The kind of login or its SID differ, which cannot be changed.
    pub fn plan(&self, found: Option<&LoginFound>) -> Result<Plan, AccessError> {
        let mut plan = Plan::default();
        match found {
            None => self.create(&mut plan),
            Some(found) => self.alter(found, &mut plan)?,
        }
        let nothing = LoginFound::default();
        self.converge_roles(found.unwrap_or(&nothing), &mut plan);
        self.converge_disabled(found.is_some_and(|found| found.disabled), &mut plan);
        Ok(plan)
    }

    fn create(&self, plan: &mut Plan) {
        let head = format!("CREATE LOGIN {}", self.name.quoted());
        let options = self.options.clauses();
        let statement = match &self.secret {
            LoginSecret::Windows if options.is_empty() => Statement::new(format!("{head} FROM WINDOWS")),
            LoginSecret::Windows => {
                Statement::new(format!("{head} FROM WINDOWS WITH {}", options.join(", ")))
            }
            LoginSecret::Password(_) | LoginSecret::Hashed(_) => {
                let more: String = options.iter().map(|option| format!(", {option}")).collect();
                self.secret.statement(|password| format!("{head} WITH {password}{more}"))
            }
        };
        plan.push(statement);
        plan.changes.insert(self.name.as_str(), "Present");
    }

    fn alter(&self, found: &LoginFound, plan: &mut Plan) -> Result<(), AccessError> {
        if found.windows != (self.secret == LoginSecret::Windows) {
            let kind = if found.windows { "a Windows login" } else { "a SQL Server login" };
            return Err(AccessError::Conflict(format!(
                "Login {} is {kind}, which cannot be changed: remove it first",
                self.name
            )));
        }
        if let Some(Sid::Given(sid)) = &self.options.sid
            && !sid.eq_ignore_ascii_case(&found.sid)
        {
            return Err(AccessError::Conflict(format!(
                "Login {} has another SID ({}), which cannot be changed: remove it first",
                self.name, found.sid
            )));
        }
        if !(found.windows || found.password_matches && found.barred.is_empty()) {
            let head = format!("ALTER LOGIN {}", self.name.quoted());
            let unlock = if found.barred.contains(&LOCKED) { " UNLOCK" } else { "" };
            plan.push(self.secret.statement(|password| format!("{head} WITH {password}{unlock}")));
            if !found.password_matches {
                plan.changes("password", "***", "*** (changed)");
            }
            for bar in &found.barred {
                plan.changes(bar, true, false);
            }
        }
        self.converge_options(found, plan);
        Ok(())
    }

    fn converge_options(&self, found: &LoginFound, plan: &mut Plan) {
        let (wish, name) = (&self.options, self.name.quoted());
        for (key, wanted, is) in [
            ("DEFAULT_DATABASE", &wish.default_database, &found.default_database),
            ("DEFAULT_LANGUAGE", &wish.default_language, &found.default_language),
        ] {
            if let Some(wanted) = wanted.as_ref().filter(|wanted| wanted.as_str() != is) {
                plan.push(Statement::new(format!("ALTER LOGIN {name} WITH {key} = {}", wanted.quoted())));
                plan.changes(&key.to_lowercase(), is.as_str(), wanted.as_str());
            }
        }
        let mut expires = found.check_expiration;
        if let Some(wanted) = wish.check_policy.filter(|wanted| *wanted != found.check_policy) {
            // CHECK_POLICY takes CHECK_EXPIRATION along; a password that begins to expire would end the agent's work.
            expires = wanted && wish.check_expiration == Some(true);
            let along =
                if wanted { format!(", CHECK_EXPIRATION = {}", on_off(expires)) } else { String::new() };
            let policy = on_off(wanted);
            plan.push(Statement::new(format!("ALTER LOGIN {name} WITH CHECK_POLICY = {policy}{along}")));
            plan.changes("check_policy", found.check_policy, wanted);
        }
        if let Some(wanted) = wish.check_expiration.filter(|wanted| *wanted != expires) {
            plan.push(Statement::new(format!(
                "ALTER LOGIN {name} WITH CHECK_EXPIRATION = {}",
                on_off(wanted)
            )));
            expires = wanted;
        }
        if expires != found.check_expiration {
            plan.changes("check_expiration", found.check_expiration, expires);
        }
    }

    fn converge_roles(&self, found: &LoginFound, plan: &mut Plan) {
        let is_wanted = |role: &String| self.server_roles.iter().any(|name| name.as_str() == role);
        let member = self.name.quoted();
        let mut roles = found.server_roles.clone();
        if self.extent != Extent::AtLeast {
            for role in roles.iter().filter(|role| !is_wanted(role)) {
                if let Ok(role) = SqlName::new(role.clone()) {
                    let sql = format!("ALTER SERVER ROLE {} DROP MEMBER {member}", role.quoted());
                    plan.push(Statement::new(sql));
                }
            }
            roles.retain(is_wanted);
        }
        for role in self.server_roles.iter().filter(|role| !roles.iter().any(|have| have == role.as_str())) {
            plan.push(Statement::new(format!("ALTER SERVER ROLE {} ADD MEMBER {member}", role.quoted())));
        }
        let missing = self.server_roles.iter().map(ToString::to_string);
        roles.extend(missing.filter(|role| !found.server_roles.contains(role)));
        if roles != found.server_roles {
            plan.changes("server_roles", name_list(&found.server_roles), name_list(&roles));
        }
    }

    fn converge_disabled(&self, is: bool, plan: &mut Plan) {
        if let Some(wanted) = self.disabled.filter(|wanted| *wanted != is) {
            let verb = if wanted { "DISABLE" } else { "ENABLE" };
            plan.push(Statement::new(format!("ALTER LOGIN {} {verb}", self.name.quoted())));
            plan.changes("disabled", is, wanted);
        }
    }
}

impl LoginSecret {
    /// A number, or a text like one of SQL Server's hashes, is a hash; everything else is a password.
    fn of(text: String) -> Self {
        let digits = text.strip_prefix("0x").unwrap_or_default();
        let hashed = digits.len() >= HASH_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hashed { Self::Hashed(Secret::new(text)) } else { Self::Password(Secret::new(text)) }
    }

    /// A statement around the password clause, and the same with it masked.
    fn statement(&self, around: impl Fn(&str) -> String) -> Statement {
        let (clause, masked) = match self {
            Self::Password(secret) => {
                (format!("PASSWORD = {}", QuotedText::new(secret.reveal())), "PASSWORD = N'***'")
            }
            Self::Hashed(secret) => {
                (format!("PASSWORD = {} HASHED", secret.reveal()), "PASSWORD = 0x*** HASHED")
            }
            Self::Windows => (String::new(), ""),
        };
        Statement::with_secret(around(&clause), around(masked))
    }
}

impl Sid {
    fn literal(&self) -> &str {
        match self {
            Self::Given(sid) | Self::OfName(sid) => sid,
        }
    }
}

impl LoginOptions {
    fn read(pairs: Vec<OptionPair>) -> Result<Self, AccessError> {
        let mut options = Self::default();
        for (key, value) in pairs {
            match key.as_str() {
                "DEFAULT_DATABASE" => options.default_database = Some(arguments::option_name(&value)?),
                "DEFAULT_LANGUAGE" => options.default_language = Some(arguments::option_name(&value)?),
                "CHECK_POLICY" => options.check_policy = Some(arguments::option_switch(&key, &value)?),
                "CHECK_EXPIRATION" => {
                    options.check_expiration = Some(arguments::option_switch(&key, &value)?)
                }
                "SID" => options.sid = Some(Sid::Given(hex_literal(&value)?)),
                _ => {
                    return Err(AccessError::Argument(format!(
                        "the login option {key} is not one of {KNOWN_OPTIONS}"
                    )));
                }
            }
        }
        Ok(options)
    }

    fn clauses(&self) -> Vec<String> {
        let mut clauses = Vec::new();
        clauses.extend(self.sid.as_ref().map(|sid| format!("SID = {}", sid.literal())));
        clauses.extend(self.check_policy.map(|on| format!("CHECK_POLICY = {}", on_off(on))));
        clauses.extend(self.check_expiration.map(|on| format!("CHECK_EXPIRATION = {}", on_off(on))));
        clauses.extend(
            self.default_database.as_ref().map(|name| format!("DEFAULT_DATABASE = {}", name.quoted())),
        );
        clauses.extend(
            self.default_language.as_ref().map(|name| format!("DEFAULT_LANGUAGE = {}", name.quoted())),
        );
        clauses
    }
}

impl LoginFound {
    /// Reads the login; `None` when there is none of that name.
    ///
    /// # Errors
    /// The catalog cannot be read, or the password cannot be compared.
    pub async fn read(
        session: &mut Session,
        wish: &LoginWish,
        connection: &ConnectionOptions,
    ) -> Result<Option<Self>, AccessError> {
        let name = [Param::from(wish.name.as_str())];
        let rows = session.query(LOGIN, &name).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let cell = |at: usize| row.get_column_data(at).map_err(SqlError::from);
        let windows = text_cell(cell(0)?).is_some_and(|kind| kind.trim() != "S");
        let mut found = Self {
            windows,
            disabled: integer(cell(1)?) == Some(1),
            default_database: text_cell(cell(2)?).unwrap_or_default(),
            default_language: text_cell(cell(3)?).unwrap_or_default(),
            check_policy: integer(cell(4)?) == Some(1),
            check_expiration: integer(cell(5)?) == Some(1),
            sid: bytes(cell(6)?).map(hex).unwrap_or_default(),
            server_roles: first_texts(&session.query(SERVER_ROLES, &name).await?)?,
            password_matches: windows,
            barred: Vec::new(),
        };
        for (at, bar) in [(7, LOCKED), (8, "expired"), (9, "must_change")] {
            if integer(cell(at)?) == Some(1) {
                found.barred.push(bar);
            }
        }
        if !windows {
            found.password_matches = password_matches(session, wish, connection).await?;
        }
        Ok(Some(found))
    }

    /// True when a login of that name exists.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn exists(session: &mut Session, name: &SqlName) -> Result<bool, AccessError> {
        Ok(!session.query(LOGIN, &[Param::from(name.as_str())]).await?.is_empty())
    }
}

/// The plan that removes a login.
///
/// # Errors
/// It has sessions open, as far as this login may see them; the catalog cannot be read.
pub async fn removal(session: &mut Session, name: &SqlName) -> Result<Plan, AccessError> {
    let rows = session.query(OPEN_SESSIONS, &[Param::from(name.as_str())]).await?;
    if !rows.is_empty() {
        let programs = first_texts(&rows)?;
        return Err(AccessError::Conflict(format!(
            "login {name} has {} sessions open ({}): end them first, SQL Server drops no login that is in use",
            rows.len(),
            programs.join(", ")
        )));
    }
    let mut plan = Plan::default();
    plan.push(Statement::new(format!("DROP LOGIN {}", name.quoted())));
    plan.changes.insert(name.as_str(), Value::from("Absent"));
    Ok(plan)
}

/// A SID made from the login's name: the first 16 bytes of a digest.
fn sid_of(name: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("login {name}").as_bytes());
    hex(&digest.as_ref()[..SID_BYTES])
}

async fn password_matches(
    session: &mut Session,
    wish: &LoginWish,
    connection: &ConnectionOptions,
) -> Result<bool, AccessError> {
    let name = Param::from(wish.name.as_str());
    let rows = match &wish.secret {
        LoginSecret::Windows => return Ok(true),
        LoginSecret::Password(secret) => {
            session.query(PASSWORD, &[name, Param::from(secret.reveal())]).await?
        }
        LoginSecret::Hashed(_) => session.query(PASSWORD_HASH, &[name]).await?,
    };
    let cell = rows.first().map(|row| row.get_column_data(0).map_err(SqlError::from)).transpose()?;
    match &wish.secret {
        LoginSecret::Windows => Ok(true),
        LoginSecret::Password(secret) => match cell.and_then(integer) {
            Some(verdict) => Ok(verdict == 1),
            None => logs_in(&connection.clone().with_login(wish.name.as_str(), secret.clone())).await,
        },
        LoginSecret::Hashed(secret) => match cell.and_then(bytes) {
            Some(hash) => Ok(hex(hash).eq_ignore_ascii_case(secret.reveal())),
            None => Err(AccessError::Conflict(format!(
                "the password hash of login {} may not be read (it takes CONTROL SERVER), so it cannot be compared",
                wish.name
            ))),
        },
    }
}

/// Where the hash may not be read: does the password log in? Some refusals are given only after the right password.
async fn logs_in(connection: &ConnectionOptions) -> Result<bool, AccessError> {
    let connection = connection.clone().with_database("");
    match Session::connect(&connection).await {
        Ok(session) => {
            session.close().await;
            Ok(true)
        }
        Err(error) if error.number().is_some_and(|number| RIGHT_PASSWORD.contains(&number)) => Ok(true),
        // Of one that is locked out nothing is told.
        Err(error) if matches!(error.number(), Some(18456 | 18486)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Nobody is put into `public`: everybody is in it.
pub(super) fn without_public(mut roles: Vec<SqlName>) -> Vec<SqlName> {
    roles.retain(|role| !role.as_str().eq_ignore_ascii_case("public"));
    roles
}

/// Puts the catalog's spelling in place of each name that `sql` finds.
pub(super) async fn spell(
    session: &mut Session,
    sql: &str,
    names: &mut [SqlName],
) -> Result<(), AccessError> {
    for name in names {
        let rows = session.query(sql, &[Param::from(name.as_str())]).await?;
        if let Some(spelled) = first_texts(&rows)?.into_iter().next() {
            *name = SqlName::new(spelled)?;
        }
    }
    Ok(())
}

pub(super) fn first_texts(rows: &[tiberius::Row]) -> Result<Vec<String>, SqlError> {
    let mut texts = Vec::new();
    for row in rows {
        texts.extend(text_cell(row.get_column_data(0)?));
    }
    texts.sort();
    Ok(texts)
}

fn hex_literal(value: &str) -> Result<String, AccessError> {
    let digits = value.strip_prefix("0x").unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(AccessError::Argument("the option SID must be a hexadecimal number like 0x1A2B".into()));
    }
    Ok(value.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("0x{digits}")
}

fn on_off(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

const LOCKED: &str = "locked";
const KNOWN_OPTIONS: &str = "DEFAULT_DATABASE, DEFAULT_LANGUAGE, CHECK_POLICY, CHECK_EXPIRATION, SID";
/// SHA-1 hashes have 52 digits, SHA-512 ones 140.
const HASH_DIGITS: usize = 52;
/// Of a SQL login ("CREATE LOGIN", argument SID).
const SID_BYTES: usize = 16;
/// Disabled, expired, must change, default database cannot be opened: told only to who knows the password.
const RIGHT_PASSWORD: &[u32] = &[4060, 4064, 18470, 18487, 18488];

const LOGIN: &str = "SELECT p.type, p.is_disabled, p.default_database_name, p.default_language_name, \
     l.is_policy_checked, l.is_expiration_checked, p.sid, \
     CONVERT(int, LOGINPROPERTY(p.name, N'IsLocked')), CONVERT(int, LOGINPROPERTY(p.name, N'IsExpired')), \
     CONVERT(int, LOGINPROPERTY(p.name, N'IsMustChange')) \
     FROM sys.server_principals AS p \
     LEFT JOIN sys.sql_logins AS l ON l.principal_id = p.principal_id \
     WHERE p.name = @P1 AND p.type IN ('S', 'U', 'G')";
const SERVER_ROLES: &str = "SELECT r.name FROM sys.server_role_members AS m \
     INNER JOIN sys.server_principals AS r ON r.principal_id = m.role_principal_id \
     INNER JOIN sys.server_principals AS p ON p.principal_id = m.member_principal_id \
     WHERE p.name = @P1";
const SERVER_ROLE: &str = "SELECT r.name FROM sys.server_principals AS r WHERE r.name = @P1 AND r.type = 'R'";
const DATABASE: &str = "SELECT d.name FROM sys.databases AS d WHERE d.name = @P1";
const OPEN_SESSIONS: &str = "SELECT COALESCE(s.program_name, N'') + N' on ' + COALESCE(s.host_name, N'?') \
     FROM sys.dm_exec_sessions AS s WHERE s.login_name = @P1 AND s.session_id <> @@SPID";
const PASSWORD: &str = "SELECT PWDCOMPARE(@P2, l.password_hash) FROM sys.sql_logins AS l WHERE l.name = @P1";
const PASSWORD_HASH: &str = "SELECT l.password_hash FROM sys.sql_logins AS l WHERE l.name = @P1";

#[cfg(test)]
mod tests;
