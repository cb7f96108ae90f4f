use super::*;
use crate::types::{Datum, DecimalValue, Length, SqlType};

const NO_HEADERS: [u8; 4] = [4, 0, 0, 0];

fn text(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// An RPC message that calls `sp_executesql` with one parameter `@p`, given as TYPE_INFO and value.
fn call(parameter: &[u8]) -> Vec<u8> {
    let mut out = NO_HEADERS.to_vec();
    out.extend_from_slice(&[0xFF, 0xFF, 10, 0, 0, 0, 2]);
    out.extend(text("@p"));
    out.push(0);
    out.extend_from_slice(parameter);
    out
}

fn parameter(bytes: &[u8]) -> Result<(SqlType, Datum), TdsError> {
    let mut calls = rpcs(&call(bytes))?;
    let param = calls.remove(0).params.remove(0);
    Ok((param.ty, param.value))
}

#[test]
fn a_batch_is_what_follows_its_headers() {
    let mut payload = vec![6, 0, 0, 0, 0, 0];
    payload.extend(text("SELECT 1"));
    assert_eq!(batch(&payload).unwrap(), "SELECT 1");
    assert!(batch(&[200, 0, 0, 0]).is_err());
    assert!(batch(&[3, 0, 0, 0]).is_err());
}

#[test]
fn calls_in_one_message_are_told_apart() {
    let mut payload = call(&[0x26, 4, 4, 7, 0, 0, 0]);
    payload.push(0xFF);
    payload.extend_from_slice(&[6, 0]);
    payload.extend(text("sp_who"));
    payload.extend_from_slice(&[0, 0]);
    let calls = rpcs(&payload).unwrap();
    let names: Vec<&str> = calls.iter().map(|call| call.procedure.as_str()).collect();
    assert_eq!(names, ["sp_executesql", "sp_who"]);
    assert_eq!((calls[0].params[0].name.as_str(), &calls[0].params[0].value), ("@p", &Datum::Int(7)));
    assert!(calls[1].params.is_empty());
}

#[test]
fn an_output_parameter_is_marked() {
    let mut payload = NO_HEADERS.to_vec();
    payload.extend_from_slice(&[0xFF, 0xFF, 13, 0, 0, 0, 0, 1, 0x26, 4, 0]);
    let calls = rpcs(&payload).unwrap();
    assert_eq!(calls[0].procedure, "sp_prepexec");
    assert!(calls[0].params[0].output && calls[0].params[0].value.is_null());
}

#[test]
fn values_of_max_length_come_in_chunks() {
    let mut bytes = vec![0xA5, 0xFF, 0xFF];
    bytes.extend_from_slice(&u64::to_le_bytes(0xFFFF_FFFF_FFFF_FFFE));
    for chunk in [&b"ab"[..], b"cde", b""] {
        bytes.extend_from_slice(&u32::try_from(chunk.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(chunk);
    }
    let (ty, value) = parameter(&bytes).unwrap();
    assert_eq!((ty, value), (SqlType::VarBinary(Length::Max), Datum::Binary(b"abcde"[..].into())));
}

#[test]
fn a_decimal_keeps_sign_and_scale() {
    let (ty, value) = parameter(&[0x6C, 5, 5, 2, 5, 0, 0x39, 0x30, 0, 0]).unwrap();
    assert_eq!(ty, SqlType::Decimal { precision: 5, scale: 2 });
    assert_eq!(value, Datum::Decimal(DecimalValue { unscaled: -12_345, precision: 5, scale: 2 }));
}

#[test]
fn values_outside_their_type_are_refused_with_8023() {
    let day_10000 = [0x28, 3, 0xFB, 0xB9, 0x37];
    let midnight_plus = [0x29, 0, 3, 0x80, 0x51, 0x01];
    let not_a_number = [0x6D, 4, 4, 0, 0, 0xC0, 0x7F];
    let too_many_digits = [0x6C, 5, 2, 0, 5, 1, 100, 0, 0, 0];
    let half_a_character = [0xE7, 4, 0, 9, 4, 0xD0, 0, 0x34, 3, 0, 65, 0, 66];
    let cases: [&[u8]; 5] = [&day_10000, &midnight_plus, &not_a_number, &too_many_digits, &half_a_character];
    for bytes in cases {
        let Err(TdsError::Rpc { number, text }) = parameter(bytes) else { panic!("taken: {bytes:?}") };
        assert_eq!(number, 8023);
        assert!(
            text.contains("Parameter 1 (\"@p\"): The supplied value is not a valid instance of data type")
        );
    }
}

#[test]
fn lengths_outside_their_type_are_refused_with_8016() {
    let cases: [&[u8]; 5] = [
        &[0x26, 3, 0],
        &[0x6A, 17, 39, 0, 0],
        &[0x6A, 17, 5, 6, 0],
        &[0x2A, 8, 0],
        &[0xA5, 0x41, 0x1F, 0, 0],
    ];
    for bytes in cases {
        assert!(matches!(parameter(bytes), Err(TdsError::Rpc { number: 8016, .. })), "{bytes:?}");
    }
}

#[test]
fn a_cut_off_value_breaks_the_stream() {
    let whole = [0xE7, 4, 0, 9, 4, 0xD0, 0, 0x34, 4, 0, 65, 0, 66, 0];
    for length in 1..whole.len() {
        assert!(matches!(parameter(&whole[..length]), Err(TdsError::Truncated(_))), "{length}");
    }
    assert!(parameter(&whole).is_ok());
}

#[test]
fn transaction_requests_are_told_apart() {
    let parse = |body: &[u8]| transaction(&[&NO_HEADERS, body].concat());
    let begin = parse(&[5, 0, 2, 0]).unwrap();
    assert!(
        matches!(begin, TransactionRequest::Begin { isolation: Some(Isolation::ReadCommitted), ref name } if name.is_empty())
    );
    assert!(matches!(parse(&[7, 0, 0, 1]).unwrap(), TransactionRequest::Commit { begin_next: true }));
    let rolled_back = parse(&[8, 0, 4, b'a', 0, b'b', 0, 0]).unwrap();
    assert!(
        matches!(rolled_back, TransactionRequest::Rollback { begin_next: false, ref name } if name == "ab")
    );
    let saved = parse(&[9, 0, 2, b'a', 0, b'b', 0]).unwrap();
    assert!(matches!(saved, TransactionRequest::Save { ref name } if name == "ab"));
    assert!(matches!(parse(&[6, 0, 0]), Err(TdsError::Rpc { number: 8501, .. })));
}
