//! What the server says, asked as the login itself.

use std::collections::BTreeSet;

use crate::access::difference::in_words;
use crate::access::login::first_texts;
use crate::access::needs::{Needs, Scope};
use crate::access::rights::{Right, Rights};
use crate::access::securable::Securable;
use crate::access::user::roles_of;
use crate::access::{AccessError, diagnosis, drift};
use crate::mssql::param::{shown, text as text_cell};
use crate::mssql::quote::SqlName;
use crate::mssql::{Param, Session};
use crate::services::Services;

use super::revoke::{Held, script};
use super::{Access, May, meaning, named, push_new};

/// Rights by name of the user or of a role it is in.
struct Source {
    through: String,
    rights: Rights,
}

/// Completes the report of one access; what goes wrong is noted in it.
pub async fn look(services: &Services, scope: &Scope, needs: &Needs, access: &mut Access) {
    let connection = match drift::connection_of(services, scope).await {
        Ok(Some(connection)) => connection,
        Ok(None) => {
            access.trouble = Some("nothing works as this login, so nobody can look as it".to_owned());
            return;
        }
        Err(error) => {
            access.trouble = Some(error.to_string());
            return;
        }
    };
    let done = async {
        let mut session = Session::connect(&connection).await?;
        let done = ask(&mut session, scope, needs, access).await;
        session.close().await;
        done
    };
    if let Err(error) = done.await {
        access.trouble = Some(diagnosis::explain(services, &connection, error).await);
        let user = scope.login.clone();
        let held = Held { user: &user, rights: &Rights::default(), roles: &[], server_roles: &[] };
        access.revoke_script = script(scope, &held);
    }
}

async fn ask(
    session: &mut Session,
    scope: &Scope,
    needs: &Needs,
    access: &mut Access,
) -> Result<(), AccessError> {
    let user = identity(session, scope, access).await?;
    let server_roles =
        first_texts(&session.query(SERVER_ROLES, &[Param::from(scope.login.as_str())]).await?)?;
    let roles = roles_of(session, &user).await?;
    let own = Rights::of_user(session, &user).await?;
    let mut sources = vec![Source { through: "directly".to_owned(), rights: own.clone() }];
    let all_roles = through_roles(session, &roles, &mut sources).await?;
    for role in &server_roles {
        note_role(access, role, "server role");
    }
    for role in &all_roles {
        note_role(access, role, "role");
    }
    let server = Rights::of_login(session, &scope.login).await?;
    sources.push(Source { through: "directly, on the server".to_owned(), rights: server });
    let wanted = needs.rights(scope);
    for source in &sources {
        note_rights(access, source, (scope, needs, &wanted));
    }
    note_missing(access, &sources, &[all_roles, server_roles.clone()].concat(), &wanted);
    let held = Held { user: &user, rights: &own, roles: &roles, server_roles: &server_roles };
    access.revoke_script = script(scope, &held);
    Ok(())
}

/// Who one is there, and since when.
async fn identity(session: &mut Session, scope: &Scope, access: &mut Access) -> Result<SqlName, AccessError> {
    let rows = session.query(IDENTITY, &[Param::from(scope.login.as_str())]).await?;
    let row = rows.first();
    let cell = |at: usize| row.and_then(|row| row.get_column_data(at).ok());
    let text = |at: usize| cell(at).and_then(text_cell).unwrap_or_default();
    let day = |at: usize| cell(at).and_then(shown).map(|moment| moment.chars().take(10).collect::<String>());
    access.product = format!("{}, {}", text(0), text(1));
    access.user = text(2);
    access.user_since = day(3).unwrap_or_default();
    access.login_since = day(4).unwrap_or_default();
    Ok(SqlName::new(access.user.clone())?)
}

/// Adds the rights of roles, and of roles that those are in; gives all of them.
async fn through_roles(
    session: &mut Session,
    roles: &[String],
    sources: &mut Vec<Source>,
) -> Result<Vec<String>, AccessError> {
    let mut waiting: Vec<String> = roles.to_vec();
    let mut seen = BTreeSet::new();
    while let Some(role) = waiting.pop() {
        if !seen.insert(role.clone()) || seen.len() > MOST_ROLES {
            continue;
        }
        let name = SqlName::new(role.clone())?;
        let rights = Rights::of_user(session, &name).await?;
        sources.push(Source { through: format!("role {role}"), rights });
        waiting.extend(roles_of(session, &name).await?);
    }
    let mut public = Rights::of_user(session, &SqlName::new("public")?).await?;
    // Everyone may read SQL Server's own catalog.
    public.known.retain(|right, _| !is_of_system(right));
    public.others.clear();
    sources.push(Source { through: "role public (everyone)".to_owned(), rights: public });
    Ok(seen.into_iter().collect())
}

fn note_role(access: &mut Access, role: &str, kind: &str) {
    access.may.push(May {
        right: format!("member of {kind} {role}"),
        columns: Vec::new(),
        meaning: meaning::of_role(role).to_owned(),
        through: "directly".to_owned(),
        needed_by: Vec::new(),
    });
    access.excess.push(format!("membership of {kind} {role}: {}", meaning::of_role(role)));
}

fn note_rights(access: &mut Access, source: &Source, (scope, needs, wanted): (&Scope, &Needs, &Rights)) {
    let mut excess = Rights::default();
    for ((securable, permission), columns) in source.rights.groups() {
        let mut may = May {
            right: format!("{permission} on {securable}"),
            columns: columns.keys().flatten().map(ToString::to_string).collect(),
            meaning: meaning::of_permission(permission.as_str()),
            through: source.through.clone(),
            needed_by: Vec::new(),
        };
        for (column, state) in columns {
            let right = Right { securable: securable.clone(), permission: permission.clone(), column };
            if !state.allows() {
                may.meaning =
                    format!("{}: may not {}", state.word(), meaning::of_permission(permission.as_str()));
                continue;
            }
            needs.of_right(scope, &right).iter().for_each(|by| push_new(&mut may.needed_by, named(by)));
            if right.is_inherent() && !needs.0.is_empty() {
                push_new(&mut may.needed_by, "every job and write".to_owned());
            }
            if !right.is_inherent() && !is_wanted(wanted, &right) {
                excess.known.insert(right, state);
            }
        }
        if securable == Securable::Database || securable == Securable::Server {
            may.right = permission.to_string();
        }
        access.may.push(may);
    }
    let told = in_words(&excess).into_iter().chain(source.rights.others.iter().cloned());
    access.excess.extend(told.map(|right| format!("{right}, {}", source.through)));
}

fn is_wanted(wanted: &Rights, right: &Right) -> bool {
    wanted.known.contains_key(right) || wanted.known.contains_key(&Right { column: None, ..right.clone() })
}

/// Needed rights that neither the user nor one of its roles has.
fn note_missing(access: &mut Access, sources: &[Source], roles: &[String], wanted: &Rights) {
    let has = |right: &Right| {
        let given = |right: &Right| {
            sources.iter().any(|source| source.rights.known.get(right).is_some_and(|state| state.allows()))
        };
        given(right)
            || above(right).iter().any(given)
            || roles.iter().any(|role| meaning::role_covers(role, right.permission.as_str()))
    };
    let missing: Rights =
        wanted.known.iter().filter(|(right, _)| !has(right)).map(|(r, s)| (r.clone(), *s)).collect();
    access.missing = in_words(&missing);
}

/// The same permission on all that a right is part of.
fn above(right: &Right) -> Vec<Right> {
    let mut securables = vec![right.securable.clone(), Securable::Database];
    if let Securable::Object(object) = &right.securable {
        securables.push(Securable::Schema(object.schema.clone()));
    }
    securables.into_iter().map(|securable| Right::on(securable, right.permission.clone())).collect()
}

fn is_of_system(right: &Right) -> bool {
    match &right.securable {
        Securable::Object(object) => SYSTEM_SCHEMAS.contains(&object.schema.as_str()),
        Securable::Server | Securable::Database | Securable::Schema(_) => false,
    }
}

const MOST_ROLES: usize = 100;
const SYSTEM_SCHEMAS: &[&str] = &["sys", "INFORMATION_SCHEMA"];

const IDENTITY: &str = "SELECT CONVERT(nvarchar(128), SERVERPROPERTY(N'ProductVersion')), \
     CONVERT(nvarchar(128), SERVERPROPERTY(N'Edition')), USER_NAME(), \
     (SELECT u.create_date FROM sys.database_principals AS u WHERE u.name = USER_NAME()), \
     (SELECT p.create_date FROM sys.server_principals AS p WHERE p.name = @P1)";
const SERVER_ROLES: &str = "SELECT r.name FROM sys.server_role_members AS m \
     INNER JOIN sys.server_principals AS r ON r.principal_id = m.role_principal_id \
     INNER JOIN sys.server_principals AS p ON p.principal_id = m.member_principal_id \
     WHERE p.name = @P1";
