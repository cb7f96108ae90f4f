//! SQL Server's refusals as verdicts: which can pass by themselves, which are the data's, which are the practice's to fix.
//!
//! Numbers: Microsoft, "Database Engine events and errors". Texts of errors that a trigger or a procedure of the EHR
//! raised (50000 and above) may quote a row, so they are for the recipients alone.

use serde_json::Map as Json;

use crate::mssql::SqlError;

use super::outcome::{Finding, Verdict};

/// What to make of an error.
#[derive(Debug, Clone, PartialEq)]
pub enum Class {
    /// The same transaction may well succeed when tried again.
    Again(Cause),
    /// It will not.
    Found(Finding),
}

/// Why a transaction is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Chosen as deadlock victim (1205).
    Deadlock,
    /// A lock was not given in time (1222).
    LockTimeout,
    /// Another transaction changed the same row (3960).
    Snapshot,
    /// The connection broke, or the server cannot serve right now.
    Connection,
}

/// The verdict on an error.
#[must_use]
pub fn classify(error: &SqlError) -> Class {
    let number = match error {
        SqlError::Server { number, .. } => *number,
        SqlError::Unreachable { .. } | SqlError::Broken { .. } | SqlError::TimedOut { .. } => {
            return Class::Again(Cause::Connection);
        }
        SqlError::Tls { .. } | SqlError::Text | SqlError::Protocol { .. } => {
            return found(Verdict::Unreachable, error);
        }
    };
    match number {
        1205 => Class::Again(Cause::Deadlock),
        1222 => Class::Again(Cause::LockTimeout),
        3960 => Class::Again(Cause::Snapshot),
        207 | 208 | 213 | 4902 | 4924 => found(Verdict::SchemaChanged, error),
        229 | 230 | 262 | 297 | 300 | 916 | 15247 | 18452 | 18456 | 18486 | 18487 | 18488 => {
            found(Verdict::Permission, error)
        }
        3906 | 9002 | 1105 | 945 | 5120 => found(Verdict::Unreachable, error),
        50_000.. => Class::Found(raised(error)),
        _ if error.is_retryable() => Class::Again(Cause::Connection),
        _ => found(Verdict::Constraint, error),
    }
}

/// The finding when the deadline passed over retries of one cause.
#[must_use]
pub fn gave_up(cause: Cause, error: &SqlError) -> Finding {
    match cause {
        Cause::Deadlock | Cause::LockTimeout => Finding::new(Verdict::Locked, error.to_string()),
        Cause::Snapshot => Finding::new(Verdict::Conflict, error.to_string()),
        Cause::Connection => Finding::new(Verdict::Unreachable, error.to_string()),
    }
}

fn found(verdict: Verdict, error: &SqlError) -> Class {
    Class::Found(Finding::new(verdict, error.to_string()).about(subject(error)))
}

/// An error of the EHR's own code: its text goes to the recipients.
fn raised(error: &SqlError) -> Finding {
    let SqlError::Server { number, state, message } = error else {
        return Finding::new(Verdict::Constraint, error.to_string());
    };
    let reason = format!(
        "a trigger or procedure of the EHR refused it with error {number}, state {state}; its text may quote a row and is \
         sealed"
    );
    let private: Json<_, _> = [("message".to_owned(), message.as_str().into())].into_iter().collect();
    Finding { private, ..Finding::new(Verdict::Constraint, reason).about([format!("error {number}")]) }
}

/// What the message names: the constraint of a violation, the object and column of a missing permission.
fn subject(error: &SqlError) -> Vec<String> {
    let SqlError::Server { number, message, .. } = error else { return Vec::new() };
    let quoted = quoted(message);
    let pick = |places: &[usize]| places.iter().filter_map(|at| quoted.get(*at).cloned()).collect();
    match number {
        // … the FOREIGN KEY constraint "name". The conflict occurred in database "d", table "t", column 'c'.
        547 => pick(&[0]),
        // Violation of PRIMARY KEY constraint 'name'. Cannot insert duplicate key in object 'o'.
        2627 => pick(&[0]),
        // Cannot insert duplicate key row in object 'o' with unique index 'name'.
        2601 => pick(&[1]),
        // Cannot insert the value NULL into column 'c', table 't'
        515 => pick(&[1, 0]),
        // String or binary data would be truncated in table 't', column 'c'.
        2628 => pick(&[0, 1]),
        // The SELECT permission was denied on the object 'o', database 'd', schema 's'.
        229 => pick(&[0]),
        // The SELECT permission was denied on the column 'c' of the object 'o', …
        230 => pick(&[1, 0]),
        207 | 208 => pick(&[0]),
        _ => Vec::new(),
    }
}

/// What stands between quotes, in order.
fn quoted(message: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = message;
    while let Some(at) = rest.find(['\'', '"']) {
        let mark = if rest[at..].starts_with('"') { '"' } else { '\'' };
        let inside = &rest[at + 1..];
        let Some(end) = inside.find(mark) else { break };
        found.push(inside[..end].to_owned());
        rest = &inside[end + 1..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(number: u32, message: &str) -> SqlError {
        SqlError::Server { number, state: 1, message: message.to_owned() }
    }

    fn finding(number: u32, message: &str) -> Finding {
        match classify(&server(number, message)) {
            Class::Found(finding) => finding,
            Class::Again(cause) => panic!("{number} is tried again: {cause:?}"),
        }
    }

    #[test]
    fn a_constraint_is_named() {
        let foreign = finding(
            547,
            "The INSERT statement conflicted with the FOREIGN KEY constraint \"FK_A_P\". The conflict occurred in database \
             \"M\", table \"dbo.P\", column 'PatientID'.",
        );
        assert_eq!((foreign.verdict, foreign.names), (Verdict::Constraint, vec!["FK_A_P".to_owned()]));
        let unique =
            finding(2601, "Cannot insert duplicate key row in object 'dbo.T' with unique index 'IX_T'.");
        assert_eq!(unique.names, ["IX_T"]);
        let null = finding(515, "Cannot insert the value NULL into column 'Note', table 'M.dbo.T'; column");
        assert_eq!(null.names, ["M.dbo.T", "Note"]);
    }

    #[test]
    fn permissions_and_schema_are_told_apart() {
        let denied =
            finding(230, "The UPDATE permission was denied on the column 'Fee' of the object 'A', database");
        assert_eq!((denied.verdict, denied.names), (Verdict::Permission, vec!["A".into(), "Fee".into()]));
        assert_eq!(finding(207, "Invalid column name 'Fee'.").verdict, Verdict::SchemaChanged);
        assert_eq!(finding(3906, "read-only").verdict, Verdict::Unreachable);
    }

    #[test]
    fn what_passes_by_itself_is_tried_again() {
        assert_eq!(classify(&server(1205, "")), Class::Again(Cause::Deadlock));
        assert_eq!(classify(&server(1222, "")), Class::Again(Cause::LockTimeout));
        assert_eq!(classify(&server(40613, "")), Class::Again(Cause::Connection));
        let broken = SqlError::Broken { reason: "reset".into() };
        assert_eq!(classify(&broken), Class::Again(Cause::Connection));
        assert_eq!(gave_up(Cause::Connection, &broken).verdict, Verdict::Unreachable);
        assert_eq!(gave_up(Cause::Deadlock, &server(1205, "")).verdict, Verdict::Locked);
    }

    #[test]
    fn the_text_of_the_ehrs_own_errors_is_for_the_recipients() {
        let raised = finding(50_000, "Appointment of Miller overlaps");
        assert_eq!(raised.verdict, Verdict::Constraint);
        assert!(!raised.reason.contains("Miller") && !raised.names.join("").contains("Miller"));
        assert_eq!(raised.private["message"], "Appointment of Miller overlaps");
    }
}
