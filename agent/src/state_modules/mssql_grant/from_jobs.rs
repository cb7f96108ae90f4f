//! `mssql_grant.from_jobs`: what the jobs and writes of a login need, exactly.

use states::StateReturn;

use super::{keep, settle, sources};
use crate::access::converge::{Words, for_the_dba};
use crate::access::declared::Declared;
use crate::access::difference::Aim;
use crate::access::from_jobs::{FromJobs, Mode};
use crate::access::grant::{GrantFound, GrantWish};
use crate::access::needs::{Needs, Scope};
use crate::access::plan::{Atomicity, home};
use crate::access::{AccessError, admin};
use crate::mssql::Session;
use crate::mssql::quote::SqlName;
use crate::state_modules::{StateArgs, StateContext};

pub async fn from_jobs(args: &StateArgs, run: &StateContext) -> Result<StateReturn, AccessError> {
    let asked = FromJobs::read(&args.name, &args.args)?;
    let aim = Aim::Exact(asked.prune);
    let (mut session, connection) = match admin::open(&sources(args, run), None).await {
        Err(AccessError::NoAccess { why, .. }) => return unseen(args, run, &asked, &why).await,
        opened => opened?,
    };
    let database = home(&mut session).await?;
    let scope = Scope { server: connection.server, login: asked.login.clone(), database };
    let needs = match asked.mode {
        Mode::Derived => Needs::after_run(run, Some(&mut session), &scope).await?,
        Mode::Full => Needs::default(),
    };
    let declared = Declared { scope, user: asked.user.clone(), extent: asked.extent() };
    let wish = spelled(&mut session, declared.wish(&needs)).await?;
    let words = words(&asked, &wish, &needs);
    let done = settle(&mut session, &wish, (run.mode, aim), &words).await;
    session.close().await;
    let mut done = done?;
    note_elsewhere(&mut done, &needs, &declared.scope);
    keep(run, declared, aim, &done).await?;
    Ok(done)
}

/// The declaration in the catalog's spelling; as it stands where this login may not see the names.
async fn spelled(session: &mut Session, wish: GrantWish) -> Result<GrantWish, AccessError> {
    let mut spelled = wish.clone();
    match spelled.resolve(session).await {
        Err(AccessError::Conflict(_)) if !admin::sees_everything(session).await => Ok(wish),
        resolved => resolved.map(|()| spelled),
    }
}

/// The script for a database that this login cannot enter.
async fn unseen(
    args: &StateArgs,
    run: &StateContext,
    asked: &FromJobs,
    why: &str,
) -> Result<StateReturn, AccessError> {
    let connection = sources(args, run).connection()?;
    let database = SqlName::new(connection.database)?;
    let scope = Scope { server: connection.server, login: asked.login.clone(), database };
    let needs = Needs::after_run(run, None, &scope).await?;
    let declared = Declared { scope, user: asked.user.clone(), extent: asked.extent() };
    let wish = declared.wish(&needs);
    let mut plan = wish.plan(&GrantFound::default(), Aim::Exact(asked.prune))?.plan;
    plan.home = Some(declared.scope.database);
    Ok(for_the_dba(&words(asked, &wish, &needs), &plan, Atomicity::Transaction, why))
}

fn words(asked: &FromJobs, wish: &GrantWish, needs: &Needs) -> Words {
    let what = match asked.mode {
        Mode::Full => "Full access (db_owner)".to_owned(),
        Mode::Derived if needs.0.is_empty() => {
            "No permission (no job and no write works as this login)".into()
        }
        Mode::Derived => {
            format!("What {} jobs and writes need ({} permissions)", needs.0.len(), wish.rights.known.len())
        }
    };
    Words {
        subject: format!("{what} for user {}", asked.user),
        verb: "granted",
        nothing: format!("{what} is already granted for user {}, and nothing else", asked.user),
    }
}

fn note_elsewhere(done: &mut StateReturn, needs: &Needs, scope: &Scope) {
    let others = needs.elsewhere(scope);
    if !others.is_empty() {
        let others = others.join(", ");
        done.comment.push_str(&format!(
            "\nThe same jobs and writes need permissions in {others} too: declare mssql_grant.from_jobs there as well"
        ));
    }
}
