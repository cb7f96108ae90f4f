//! The tokens of a tabular response (MS-TDS 2.2.7) except rows and column metadata: appended to a byte buffer.

use super::collation::Collation;
use super::column::{WireColumn, type_info};
use super::encode::{Mismatch, value};
use super::login7::TdsVersion;
use super::prelogin::SERVER_VERSION;
use crate::types::{Done, DoneKind, EnvChange, Param, SqlMessage};

/// DONE status bit: more results follow in this message.
pub const DONE_MORE: u16 = 0x0001;
/// DONE status bit: acknowledges an attention.
pub const DONE_ATTENTION: u16 = 0x0020;

/// DONE, DONEINPROC or DONEPROC; `more` says whether the message goes on.
pub fn done(out: &mut Vec<u8>, done: &Done, more: bool) {
    let token = match done.kind {
        DoneKind::Statement => TOKEN_DONE,
        DoneKind::InProcedure => TOKEN_DONE_IN_PROC,
        DoneKind::Procedure => TOKEN_DONE_PROC,
    };
    let mut status = if more { DONE_MORE } else { 0 };
    if done.error {
        status |= DONE_ERROR;
    }
    if done.count.is_some() {
        status |= DONE_COUNT;
    }
    raw_done(out, token, status, done.command, done.count.unwrap_or(0));
}

/// The DONE that answers an attention.
pub fn attention_done(out: &mut Vec<u8>) {
    raw_done(out, TOKEN_DONE, DONE_ATTENTION, 0, 0);
}

/// ERROR or INFO, by the message's class.
pub fn message(out: &mut Vec<u8>, message: &SqlMessage, server: &str) {
    let token = if message.is_error() { TOKEN_ERROR } else { TOKEN_INFO };
    sized(out, token, |out| {
        out.extend_from_slice(&message.number.to_le_bytes());
        out.extend_from_slice(&[message.state, message.class]);
        us_varchar(out, &message.text);
        b_varchar(out, server);
        b_varchar(out, &message.procedure);
        out.extend_from_slice(&message.line.to_le_bytes());
    });
}

/// ENVCHANGE.
pub fn env_change(out: &mut Vec<u8>, change: &EnvChange) {
    sized(out, TOKEN_ENV_CHANGE, |out| match change {
        EnvChange::Database { new, old } => env_texts(out, 1, new, old),
        EnvChange::Language { new, old } => env_texts(out, 2, new, old),
        EnvChange::BeginTransaction(descriptor) => env_bytes(out, 8, &descriptor.to_le_bytes(), &[]),
        EnvChange::CommitTransaction(descriptor) => env_bytes(out, 9, &[], &descriptor.to_le_bytes()),
        EnvChange::RollbackTransaction(descriptor) => env_bytes(out, 10, &[], &descriptor.to_le_bytes()),
    });
}

/// ENVCHANGE 4: the negotiated packet size.
pub fn packet_size_change(out: &mut Vec<u8>, new: usize, old: usize) {
    sized(out, TOKEN_ENV_CHANGE, |out| env_texts(out, 4, &new.to_string(), &old.to_string()));
}

/// ENVCHANGE 7: the server's collation.
pub fn collation_change(out: &mut Vec<u8>) {
    sized(out, TOKEN_ENV_CHANGE, |out| env_bytes(out, 7, &Collation::SERVER.bytes(), &[]));
}

/// ENVCHANGE 18: the session was reset.
pub fn reset_acknowledged(out: &mut Vec<u8>) {
    sized(out, TOKEN_ENV_CHANGE, |out| env_bytes(out, 18, &[], &[]));
}

/// LOGINACK.
pub fn login_ack(out: &mut Vec<u8>, version: TdsVersion) {
    sized(out, TOKEN_LOGIN_ACK, |out| {
        out.push(INTERFACE_TSQL);
        out.extend_from_slice(&version.number().to_be_bytes());
        b_varchar(out, "Microsoft SQL Server\0\0");
        out.extend_from_slice(&SERVER_VERSION);
    });
}

/// FEATUREEXTACK without a feature: none of those offered is supported.
pub fn no_features(out: &mut Vec<u8>) {
    out.extend_from_slice(&[TOKEN_FEATURES, 0xFF]);
}

/// RETURNSTATUS.
pub fn return_status(out: &mut Vec<u8>, status: i32) {
    out.push(TOKEN_RETURN_STATUS);
    out.extend_from_slice(&status.to_le_bytes());
}

/// RETURNVALUE of an output parameter. After an error, `out` is as it was before the call.
pub fn return_value(out: &mut Vec<u8>, ordinal: u16, param: &Param) -> Result<(), Mismatch> {
    let start = out.len();
    let column = WireColumn { ty: param.ty, nullable: true };
    out.push(TOKEN_RETURN_VALUE);
    out.extend_from_slice(&ordinal.to_le_bytes());
    b_varchar(out, &param.name);
    out.push(STATUS_OUTPUT);
    out.extend_from_slice(&[0; 6]);
    type_info(out, column);
    let written = value(out, column, &param.value);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// B_VARCHAR, cut at 255 UTF-16 units.
pub fn b_varchar(out: &mut Vec<u8>, text: &str) {
    let at = out.len();
    out.push(0);
    out[at] = u8::try_from(utf16(out, text, usize::from(u8::MAX))).unwrap_or(u8::MAX);
}

/// Appends at most `limit` UTF-16 units of `text`, little endian; answers how many.
pub fn utf16(out: &mut Vec<u8>, text: &str, limit: usize) -> usize {
    let at = out.len();
    for unit in text.encode_utf16().take(limit) {
        out.extend_from_slice(&unit.to_le_bytes());
    }
    (out.len() - at) / 2
}

fn us_varchar(out: &mut Vec<u8>, text: &str) {
    let at = out.len();
    out.extend_from_slice(&[0; 2]);
    let units = u16::try_from(utf16(out, text, MESSAGE_TEXT)).unwrap_or(u16::MAX);
    out[at..at + 2].copy_from_slice(&units.to_le_bytes());
}

fn sized(out: &mut Vec<u8>, token: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[token, 0, 0]);
    body(out);
    let length = u16::try_from(out.len() - at - 3).unwrap_or(u16::MAX);
    out[at + 1..at + 3].copy_from_slice(&length.to_le_bytes());
}

fn env_texts(out: &mut Vec<u8>, kind: u8, new: &str, old: &str) {
    out.push(kind);
    b_varchar(out, new);
    b_varchar(out, old);
}

fn env_bytes(out: &mut Vec<u8>, kind: u8, new: &[u8], old: &[u8]) {
    out.push(kind);
    for bytes in [new, old] {
        out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(bytes);
    }
}

fn raw_done(out: &mut Vec<u8>, token: u8, status: u16, command: u16, count: u64) {
    out.push(token);
    out.extend_from_slice(&status.to_le_bytes());
    out.extend_from_slice(&command.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
}

/// SQL Server's own bound on a message text is 2,047 characters.
const MESSAGE_TEXT: usize = 2047;
const INTERFACE_TSQL: u8 = 1;
const DONE_ERROR: u16 = 0x0002;
const DONE_COUNT: u16 = 0x0010;
const STATUS_OUTPUT: u8 = 0x01;
const TOKEN_RETURN_STATUS: u8 = 0x79;
const TOKEN_ERROR: u8 = 0xAA;
const TOKEN_INFO: u8 = 0xAB;
const TOKEN_RETURN_VALUE: u8 = 0xAC;
const TOKEN_LOGIN_ACK: u8 = 0xAD;
const TOKEN_FEATURES: u8 = 0xAE;
const TOKEN_ENV_CHANGE: u8 = 0xE3;
const TOKEN_DONE: u8 = 0xFD;
const TOKEN_DONE_PROC: u8 = 0xFE;
const TOKEN_DONE_IN_PROC: u8 = 0xFF;
