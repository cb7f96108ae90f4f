//! What a definition must be in itself, before any table is looked at.
//!
//! Every name that is used is declared; a change names its rows; a key is used after the insert that makes it; an
//! external id is really written. What the tables make of it is `check`'s.

use crate::mssql::quote::SqlName;

use super::definition::{
    Action, Comparison, Condition, Demand, Once, Operand, Precondition, Statement, WriteSpec, same_name,
};
use super::error::WriteError;
use super::seal;

/// Holds the definition.
///
/// # Errors
/// What is wrong and where.
pub fn check(spec: &WriteSpec) -> Result<(), WriteError> {
    if spec.statements.is_empty() {
        return Err(wrong("statements", "a list of at least one insert, update or delete"));
    }
    for (at, precondition) in (1..).zip(&spec.preconditions) {
        check_precondition(spec, &format!("preconditions:{at}"), precondition)?;
    }
    let mut made: Vec<&str> = Vec::new();
    for (at, statement) in (1..).zip(&spec.statements) {
        check_statement(spec, &format!("statements:{at}"), statement, &made)?;
        if made.contains(&statement.label.as_str()) {
            return Err(wrong(&format!("statements:{at}:label"), "one that no other statement has"));
        }
        made.push(&statement.label);
    }
    check_read_back(spec, &made)?;
    if let Once::ExternalId(column) = &spec.once {
        check_external_id(spec, column)?;
    }
    for name in spec.entity.iter().flat_map(|entity| &entity.parameters) {
        known_parameter(spec, "entity", name)?;
    }
    check_seal(spec)
}

fn check_precondition(spec: &WriteSpec, at: &str, precondition: &Precondition) -> Result<(), WriteError> {
    if precondition.filter.is_empty() {
        return Err(wrong(&format!("{at}:where"), "given: the columns that identify the row"));
    }
    check_conditions(spec, &format!("{at}:where"), &precondition.filter, &[])?;
    match &precondition.demand {
        Demand::Expect(conditions) => check_conditions(spec, &format!("{at}:expect"), conditions, &[]),
        Demand::Absent => Ok(()),
    }
}

fn check_statement(
    spec: &WriteSpec,
    at: &str,
    statement: &Statement,
    made: &[&str],
) -> Result<(), WriteError> {
    let is_insert = matches!(statement.action, Action::Insert(_));
    if !is_insert && statement.filter().is_empty() {
        return Err(wrong(&format!("{at}:where"), "given: no write touches a whole table"));
    }
    if !matches!(statement.action, Action::Delete(_)) && statement.assignments().is_empty() {
        return Err(wrong(at, "given columns to set"));
    }
    if statement.most == 0 || statement.least > statement.most {
        return Err(wrong(&format!("{at}:rows"), "at least 1, and the least not above the most"));
    }
    let mut nexts = 0;
    for assignment in statement.assignments() {
        let place = format!("{at}:{}", assignment.column);
        check_operand(spec, &place, &assignment.operand, made)?;
        match assignment.operand {
            Operand::Add(_) | Operand::AddParameter(_) if is_insert => {
                return Err(wrong(&place, "other than {add: …}, which is for an update"));
            }
            Operand::Next if !is_insert => {
                return Err(wrong(&place, "other than {next: True}, which is for an insert"));
            }
            Operand::Next => nexts += 1,
            Operand::Parameter(_)
            | Operand::Constant(_)
            | Operand::Now(_)
            | Operand::KeyOf(_)
            | Operand::Request
            | Operand::Add(_)
            | Operand::AddParameter(_) => {}
        }
    }
    if nexts > 1 {
        return Err(wrong(at, "given {next: True} for one column at most"));
    }
    check_conditions(spec, &format!("{at}:where"), statement.filter(), made)
}

fn check_read_back(spec: &WriteSpec, made: &[&str]) -> Result<(), WriteError> {
    let read_back = &spec.read_back;
    if read_back.columns.is_empty() || read_back.filter.is_empty() {
        return Err(wrong("read_back", "given columns and where"));
    }
    check_conditions(spec, "read_back:where", &read_back.filter, made)?;
    let read = |name: &str| read_back.columns.iter().any(|column| same_name(column.as_str(), name));
    if let Some(key) = read_back.keys.iter().find(|key| !read(key.as_str())) {
        return Err(wrong("read_back:keys", &format!("columns that are read back; {key} is none")));
    }
    match spec.clear.iter().find(|clear| !read(clear)) {
        Some(clear) => Err(wrong("clear", &format!("columns that are read back; {clear} is none"))),
        None => Ok(()),
    }
}

fn check_conditions(
    spec: &WriteSpec,
    at: &str,
    conditions: &[Condition],
    made: &[&str],
) -> Result<(), WriteError> {
    for condition in conditions {
        let place = format!("{at}:{}", condition.column);
        check_operand(spec, &place, &condition.operand, made)?;
        if condition.operand == Operand::Next || condition.operand.adds() {
            return Err(wrong(&place, "a value to compare with"));
        }
        let ordered = !matches!(condition.comparison, Comparison::Equal | Comparison::Unequal);
        if let Operand::Parameter(name) = &condition.operand
            && ordered
            && spec.parameter(name).is_some_and(|parameter| parameter.nullable)
        {
            return Err(wrong(
                &place,
                &format!("compared with a parameter that is never null; {name} may be"),
            ));
        }
    }
    Ok(())
}

fn check_operand(spec: &WriteSpec, at: &str, operand: &Operand, made: &[&str]) -> Result<(), WriteError> {
    match operand {
        Operand::Parameter(name) => known_parameter(spec, at, name),
        Operand::AddParameter(name) => {
            known_parameter(spec, at, name)?;
            if spec.parameter(name).is_some_and(|parameter| parameter.nullable) {
                return Err(wrong(at, &format!("a sum with a parameter that is never null; {name} may be")));
            }
            Ok(())
        }
        Operand::KeyOf(label) if !made.contains(&label.as_str()) => Err(wrong(
            at,
            &format!("the key of an earlier insert; no statement before it is labelled {label}"),
        )),
        Operand::KeyOf(label) => {
            let made_by = spec.statements.iter().find(|statement| statement.label == *label);
            match made_by.map(|statement| &statement.action) {
                Some(Action::Insert(_)) => Ok(()),
                Some(Action::Update(..) | Action::Delete(_)) | None => {
                    Err(wrong(at, &format!("the key of an insert; {label} is none")))
                }
            }
        }
        Operand::Constant(_) | Operand::Now(_) | Operand::Request | Operand::Next | Operand::Add(_) => Ok(()),
    }
}

fn known_parameter(spec: &WriteSpec, at: &str, name: &str) -> Result<(), WriteError> {
    if spec.parameter(name).is_some() {
        return Ok(());
    }
    Err(wrong(at, &format!("the name of a parameter; {name} is none (a constant is written {{value: …}})")))
}

/// The row that carries the request's id must be made by the write itself.
fn check_external_id(spec: &WriteSpec, column: &SqlName) -> Result<(), WriteError> {
    let first = spec.statements.first();
    let writes_it = first.is_some_and(|statement| {
        let sets = |a: &super::definition::Assignment| {
            same_name(a.column.as_str(), column.as_str()) && a.operand == Operand::Request
        };
        matches!(statement.action, Action::Insert(_)) && statement.assignments().iter().any(sets)
    });
    let found_by_key = spec.read_back.filter.iter().any(|c| matches!(c.operand, Operand::KeyOf(_)));
    if found_by_key {
        let expected = "found by parameters or {request: True}, because a repeated request makes no key";
        return Err(wrong("read_back:where", expected));
    }
    if writes_it {
        return Ok(());
    }
    let expected = format!("a column that the first statement, an insert, sets: {column}: {{request: True}}");
    Err(wrong("idempotent:external_id", &expected))
}

fn check_seal(spec: &WriteSpec) -> Result<(), WriteError> {
    if !spec.recipients.is_empty() {
        return seal::parse(&spec.recipients).map(drop);
    }
    let unread: Vec<&str> = spec.sealed_columns().iter().map(|column| column.as_str()).collect();
    if unread.is_empty() {
        return Ok(());
    }
    Err(WriteError::NoRecipients { columns: unread.join(", ") })
}

fn wrong(name: &str, expected: &str) -> WriteError {
    WriteError::Argument { name: name.to_owned(), expected: expected.to_owned() }
}

#[cfg(test)]
pub(super) mod tests;
