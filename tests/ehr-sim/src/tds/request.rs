//! What a logged-in client asks for: SQL batch, procedure calls, transaction manager requests (MS-TDS 2.2.6.6, 2.2.6.7,
//! 2.2.6.9), turned into the engine's requests.
//!
//! Query notification and transaction headers are read over: a session has one transaction, which the engine knows.

use super::decode::{ParamFault, typed_value};
use super::error::TdsError;
use super::read::{Reader, utf16_text};
use crate::types::{Isolation, Param, Rpc, TransactionRequest};

/// The text of a SQL batch.
pub fn batch(payload: &[u8]) -> Result<String, TdsError> {
    let mut reader = Reader::new(payload, "SQL batch");
    skip_headers(&mut reader)?;
    Ok(utf16_text(reader.rest()))
}

/// The procedure calls of one RPC message, in order.
pub fn rpcs(payload: &[u8]) -> Result<Vec<Rpc>, TdsError> {
    let mut reader = Reader::new(payload, "RPC");
    skip_headers(&mut reader)?;
    let mut calls = Vec::new();
    while !reader.is_empty() {
        calls.push(rpc(&mut reader)?);
    }
    Ok(calls)
}

/// A transaction manager request; distributed transactions are refused with SQL Server's 8501.
pub fn transaction(payload: &[u8]) -> Result<TransactionRequest, TdsError> {
    let mut reader = Reader::new(payload, "transaction manager request");
    skip_headers(&mut reader)?;
    match reader.u16()? {
        TM_BEGIN => {
            let isolation = isolation(reader.u8()?)?;
            Ok(TransactionRequest::Begin { isolation, name: name(&mut reader)? })
        }
        TM_COMMIT => {
            name(&mut reader)?;
            Ok(TransactionRequest::Commit { begin_next: flag(&mut reader) })
        }
        TM_ROLLBACK => {
            let name = name(&mut reader)?;
            Ok(TransactionRequest::Rollback { name, begin_next: flag(&mut reader) })
        }
        TM_SAVE => Ok(TransactionRequest::Save { name: name(&mut reader)? }),
        _ => Err(TdsError::Rpc { number: 8501, text: DTC_UNAVAILABLE.into() }),
    }
}

fn skip_headers(reader: &mut Reader<'_>) -> Result<(), TdsError> {
    let total = reader.u32()? as usize;
    let rest =
        total.checked_sub(4).ok_or_else(|| TdsError::malformed("ALL_HEADERS", format!("length {total}")))?;
    reader.take(rest)?;
    Ok(())
}

fn rpc(reader: &mut Reader<'_>) -> Result<Rpc, TdsError> {
    let procedure = match reader.u16()? {
        u16::MAX => well_known(reader.u16()?)?.to_owned(),
        chars => reader.utf16(usize::from(chars))?,
    };
    let _options = reader.u16()?;
    let mut params = Vec::new();
    while let Some(next) = reader.peek() {
        if matches!(next, SEPARATOR | SEPARATOR_NO_EXEC | SEPARATOR_OLD) {
            reader.u8()?;
            break;
        }
        let name = reader.b_varchar()?;
        let output = reader.u8()? & PARAM_OUTPUT != 0;
        let ordinal = params.len() + 1;
        let (ty, value) = typed_value(reader).map_err(|fault| rpc_error(fault, ordinal, &name))?;
        params.push(Param { name, ty, value, output });
    }
    Ok(Rpc { procedure, params })
}

fn rpc_error(fault: ParamFault, ordinal: usize, name: &str) -> TdsError {
    let (number, detail) = match fault {
        ParamFault::Stream(error) => return error,
        ParamFault::UnknownType(token) => (8009, format!("Data type {token:#04X} is unknown.")),
        ParamFault::Metadata(token) => {
            (8016, format!("Data type {token:#04X} has an invalid data length or metadata length."))
        }
        ParamFault::Value(ty) => (
            8023,
            format!(
                "The supplied value is not a valid instance of data type {}. Check the source data for invalid values. \
                 An example of an invalid value is data of numeric type with scale greater than precision.",
                ty.name()
            ),
        ),
    };
    let detail = detail.replace("0X", "0x");
    let text = format!(
        "The incoming tabular data stream (TDS) remote procedure call (RPC) protocol stream is incorrect. \
         Parameter {ordinal} (\"{name}\"): {detail}"
    );
    TdsError::Rpc { number, text }
}

fn well_known(id: u16) -> Result<&'static str, TdsError> {
    PROCEDURES
        .get(usize::from(id).wrapping_sub(1))
        .copied()
        .ok_or_else(|| TdsError::malformed("RPC", format!("procedure id {id}")))
}

fn isolation(level: u8) -> Result<Option<Isolation>, TdsError> {
    match level {
        0 => Ok(None),
        1 => Ok(Some(Isolation::ReadUncommitted)),
        2 => Ok(Some(Isolation::ReadCommitted)),
        3 => Ok(Some(Isolation::RepeatableRead)),
        4 => Ok(Some(Isolation::Serializable)),
        5 => Ok(Some(Isolation::Snapshot)),
        other => Err(TdsError::malformed("transaction manager request", format!("isolation level {other}"))),
    }
}

/// A transaction's name. Clients disagree whether its length byte counts bytes (the specification) or UTF-16 units.
fn name(reader: &mut Reader<'_>) -> Result<String, TdsError> {
    let count = if reader.is_empty() { 0 } else { usize::from(reader.u8()?) };
    match reader.rest().len() >= count * 2 {
        true => reader.utf16(count),
        false => reader.utf16(count / 2),
    }
}

/// fBeginXact: whether the next transaction begins at once.
fn flag(reader: &mut Reader<'_>) -> bool {
    reader.peek().is_some_and(|flags| flags & 1 != 0)
}

const TM_BEGIN: u16 = 5;
const TM_COMMIT: u16 = 7;
const TM_ROLLBACK: u16 = 8;
const TM_SAVE: u16 = 9;
const PARAM_OUTPUT: u8 = 0x01;
const SEPARATOR_OLD: u8 = 0x80;
const SEPARATOR_NO_EXEC: u8 = 0xFE;
const SEPARATOR: u8 = 0xFF;
const DTC_UNAVAILABLE: &str = "MSDTC on server is unavailable.";
const PROCEDURES: [&str; 15] = [
    "sp_cursor",
    "sp_cursoropen",
    "sp_cursorprepare",
    "sp_cursorexecute",
    "sp_cursorprepexec",
    "sp_cursorunprepare",
    "sp_cursorfetch",
    "sp_cursoroption",
    "sp_cursorclose",
    "sp_executesql",
    "sp_prepare",
    "sp_execute",
    "sp_prepexec",
    "sp_prepexecrpc",
    "sp_unprepare",
];

#[cfg(test)]
mod tests;
