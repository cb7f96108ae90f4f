//! The difference between rights as declared and as found, as statements.
//!
//! Revocations come before grants: SQL Server forgets column grants when the whole object is granted or revoked, so the
//! columns that stay are granted after it. A DENY is made only when declared and never removed on the way to a grant:
//! whoever denied had a reason. What comes with a user or login (`CONNECT`) is never in excess.

use std::collections::{BTreeMap, BTreeSet};

use states::Value;

use crate::mssql::quote::SqlName;

use super::permission::Permission;
use super::rights::{Columns, Right, RightState, Rights};
use super::securable::Securable;
use super::{AccessError, Plan, Statement};

/// What is done with the declared rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// They are there, whatever else is.
    Present,
    /// They are not there.
    Absent,
    /// They are there and nothing else is.
    Exact(Prune),
}

/// What is done with rights that were not declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prune {
    /// They are named.
    Report,
    /// They are revoked.
    Revoke,
}

/// The statements, and what was seen and left.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Difference {
    /// Statements and changes.
    pub plan: Plan,
    /// Rights beyond the declared ones that the plan leaves, in words.
    pub left: Vec<String>,
    /// Declared rights that are not there, in words.
    pub missing: Vec<String>,
}

/// The way from `found` to `wish` for one grantee.
///
/// # Errors
/// A DENY stands in the way of a declared grant.
pub fn difference(
    grantee: &SqlName,
    wish: &Rights,
    found: &Rights,
    aim: Aim,
) -> Result<Difference, AccessError> {
    let (wished, have) = (wish.groups(), found.groups());
    let keys: BTreeSet<&(Securable, Permission)> = match aim {
        Aim::Exact(_) => wished.keys().chain(have.keys()).collect(),
        Aim::Present | Aim::Absent => wished.keys().collect(),
    };
    let mut difference = Difference::default();
    let nothing = Columns::new();
    let (mut steps, mut missing) = (Vec::new(), Rights::default());
    for key in keys {
        let (wish, have) = (wished.get(key).unwrap_or(&nothing), have.get(key).unwrap_or(&nothing));
        let mut group =
            Group { grantee, key, wish, have, now: have.clone(), left: Vec::new(), missing: Vec::new() };
        steps.extend(group.steps(aim)?);
        missing.known.extend(std::mem::take(&mut group.missing));
        group.note(&mut difference);
    }
    if matches!(aim, Aim::Exact(_)) {
        difference.left.extend(found.others.iter().cloned());
    }
    difference.missing = in_words(&missing);
    // Stable: within its kind every statement keeps the order of its securable.
    steps.sort_by_key(|(order, _)| *order);
    difference.plan.statements.extend(steps.into_iter().map(|(_, statement)| statement));
    Ok(difference)
}

/// The order of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Revoke,
    Give,
}

type Step = (Order, Statement);

/// One permission on one securable.
struct Group<'a> {
    grantee: &'a SqlName,
    key: &'a (Securable, Permission),
    wish: &'a Columns,
    have: &'a Columns,
    now: Columns,
    left: Vec<String>,
    missing: Vec<(Right, RightState)>,
}

impl Group<'_> {
    fn steps(&mut self, aim: Aim) -> Result<Vec<Step>, AccessError> {
        let mut steps = match aim {
            Aim::Absent => return self.revoke_wished(),
            Aim::Present => Vec::new(),
            Aim::Exact(prune) => self.prune(prune),
        };
        self.check_denied()?;
        for state in [RightState::Granted, RightState::Grantable, RightState::Denied] {
            let missing: Vec<Option<SqlName>> = self
                .wish
                .iter()
                .filter(|(column, wanted)| **wanted == state && !self.satisfied(column, state))
                .map(|(column, _)| column.clone())
                .collect();
            steps.extend(self.give(state, missing));
        }
        Ok(steps)
    }

    /// True when the declared state holds, by itself or through the whole securable.
    fn satisfied(&self, column: &Option<SqlName>, wanted: RightState) -> bool {
        let enough = |have: Option<&RightState>| match wanted {
            RightState::Granted => have.is_some_and(|state| state.allows()),
            RightState::Grantable | RightState::Denied | RightState::Excepted => have == Some(&wanted),
        };
        let excepted = |state: &RightState| *state == RightState::Excepted;
        match column {
            None => enough(self.now.get(&None)) && !self.now.values().any(excepted),
            Some(_) => {
                let own = self.now.get(column);
                enough(own) || (own.is_none() && enough(self.now.get(&None)))
            }
        }
    }

    fn give(&mut self, state: RightState, columns: Vec<Option<SqlName>>) -> Vec<Step> {
        let (verb, suffix) = match state {
            RightState::Granted | RightState::Excepted => ("GRANT", ""),
            RightState::Grantable => ("GRANT", " WITH GRANT OPTION"),
            RightState::Denied => ("DENY", ""),
        };
        let was_grantable = columns.iter().any(|c| self.now.get(c) == Some(&RightState::Grantable));
        let cascade = if state == RightState::Denied && was_grantable { " CASCADE" } else { "" };
        if columns.contains(&None) {
            self.now.clear();
        }
        self.now.extend(columns.iter().map(|column| (column.clone(), state)));
        let rights: Vec<_> = columns.iter().map(|column| (self.right(column), state)).collect();
        self.missing.extend(rights);
        let tail = format!("TO {}{suffix}{cascade}", self.grantee.quoted());
        self.statements(verb, &columns, &tail).into_iter().map(|one| (Order::Give, one)).collect()
    }

    /// Takes away what was not declared, or names it.
    fn prune(&mut self, prune: Prune) -> Vec<Step> {
        let (mut excess, mut only_option) = (Vec::new(), Vec::new());
        for (column, state) in self.have {
            let wanted = self.wish.get(column);
            let right = self.right(column);
            match (state, wanted) {
                (RightState::Denied, Some(RightState::Denied)) | (RightState::Excepted, _) => {}
                (RightState::Denied, _) => self.left.push(format!("{right}, denied")),
                _ if right.is_inherent() => {}
                (RightState::Grantable, Some(RightState::Granted)) => only_option.push(column.clone()),
                (_, Some(_)) => {}
                // Under a declared grant of the whole object a grant of one column gives nothing more.
                (_, None) if column.is_some() && self.wish.contains_key(&None) => {}
                (_, None) => excess.push(column.clone()),
            }
        }
        if prune == Prune::Report {
            let mut left: Vec<String> = excess.iter().map(|column| self.right(column).to_string()).collect();
            left.extend(only_option.iter().map(|column| format!("grant option of {}", self.right(column))));
            self.left.extend(left);
            return Vec::new();
        }
        let mut steps = self.revoke("REVOKE", &excess);
        for column in &excess {
            self.now.remove(column);
        }
        if excess.contains(&None) {
            self.now.retain(|_, state| *state == RightState::Denied);
        }
        steps.extend(self.revoke("REVOKE GRANT OPTION FOR", &only_option));
        self.now.extend(only_option.into_iter().map(|column| (column, RightState::Granted)));
        steps
    }

    /// Takes away what is declared absent: of a declared denial the denial, else grants and denials alike.
    fn revoke_wished(&mut self) -> Result<Vec<Step>, AccessError> {
        let (whole, denials) = (self.wish.contains_key(&None), self.wishes_denials());
        if !whole && !denials && self.have.get(&None).is_some_and(|state| state.allows()) {
            return Err(AccessError::Conflict(format!(
                "{} on the whole of {} is granted to {}: columns cannot be revoked one by one",
                self.key.1, self.key.0, self.grantee
            )));
        }
        let gone = |(column, state): &(&Option<SqlName>, &RightState)| {
            (whole || self.wish.contains_key(*column)) && (!denials || **state == RightState::Denied)
        };
        let columns: Vec<Option<SqlName>> =
            self.have.iter().filter(gone).map(|(column, _)| column.clone()).collect();
        let steps = self.revoke("REVOKE", &columns);
        self.now.retain(|column, _| !columns.contains(column));
        Ok(steps)
    }

    fn wishes_denials(&self) -> bool {
        self.wish.values().all(|state| *state == RightState::Denied)
    }

    fn revoke(&self, verb: &str, columns: &[Option<SqlName>]) -> Vec<Step> {
        let grantable = columns.iter().any(|column| self.have.get(column) == Some(&RightState::Grantable));
        let cascade = if grantable { " CASCADE" } else { "" };
        let tail = format!("FROM {}{cascade}", self.grantee.quoted());
        self.statements(verb, columns, &tail).into_iter().map(|one| (Order::Revoke, one)).collect()
    }

    fn check_denied(&self) -> Result<(), AccessError> {
        let grants = self.wish.values().any(|state| state.allows());
        let denied = self.have.iter().find(|(column, state)| {
            **state == RightState::Denied && self.wish.get(*column) != Some(&RightState::Denied)
        });
        match denied {
            Some((column, _)) if grants => {
                let part = column.as_ref().map(|column| format!(" of column {column}")).unwrap_or_default();
                Err(AccessError::Conflict(format!(
                    "{} on {} is denied to {}{part}: someone must revoke that DENY first",
                    self.key.1, self.key.0, self.grantee
                )))
            }
            _ => Ok(()),
        }
    }

    /// One statement for the whole securable, one for all columns.
    fn statements(&self, verb: &str, columns: &[Option<SqlName>], tail: &str) -> Vec<Statement> {
        let (securable, permission) = self.key;
        let on = securable.clause();
        let names: Vec<String> = columns.iter().flatten().map(|name| name.quoted().to_string()).collect();
        let mut statements = Vec::new();
        if columns.contains(&None) {
            statements.push(Statement::new(format!("{verb} {permission}{on} {tail}")));
        }
        if !names.is_empty() {
            let columns = names.join(", ");
            statements.push(Statement::new(format!("{verb} {permission}{on} ({columns}) {tail}")));
        }
        statements
    }

    fn right(&self, column: &Option<SqlName>) -> Right {
        let (securable, permission) = self.key.clone();
        Right { securable, permission, column: column.clone() }
    }

    fn note(self, difference: &mut Difference) {
        let Self { key: (securable, permission), have, now, left, .. } = self;
        if now != *have {
            difference.plan.changes(&format!("{permission} on {securable}"), shown(have), shown(&now));
        }
        difference.left.extend(left);
    }
}

/// How a group stands: nothing, one word for the whole, or its columns.
fn shown(columns: &Columns) -> Value {
    let one = |(column, state): (&Option<SqlName>, &RightState)| match (column, state) {
        (Some(column), RightState::Granted) => Value::from(column.as_str()),
        (Some(column), state) => Value::from(format!("{column} ({})", state.word())),
        (None, state) => Value::from(format!("the whole, {}", state.word())),
    };
    match (columns.len(), columns.get(&None)) {
        (0, _) => Value::Nil,
        (1, Some(state)) => Value::from(state.word()),
        _ => Value::List(columns.iter().map(one).collect()),
    }
}

/// Rights in words, one of each securable and permission.
#[must_use]
pub fn in_words(rights: &Rights) -> Vec<String> {
    let groups: BTreeMap<_, _> = rights.groups();
    let one = |((securable, permission), columns): (&(Securable, Permission), &Columns)| {
        let names: Vec<&str> = columns.keys().flatten().map(SqlName::as_str).collect();
        let list = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        format!("{permission} on {securable}{list}")
    };
    groups.iter().map(one).collect()
}

#[cfg(test)]
mod tests;
