//! A message of any bytes: decoding never panics, and what decodes survives the way back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::{Value, msgpack};

fuzz_target!(|bytes: &[u8]| {
    let _ = msgpack::decode_raw(bytes);
    let Ok(value) = msgpack::decode(bytes) else { return };
    if has_nan(&value) {
        return;
    }
    let again = msgpack::decode(&msgpack::encode(&value)).expect("what was encoded decodes");
    assert_eq!(again, value);
    let again = msgpack::decode(&msgpack::encode_modern(&value)).expect("what was encoded decodes");
    assert_eq!(again, value);
});

/// A number that does not equal itself.
fn has_nan(value: &Value) -> bool {
    match value {
        Value::Float(number) => number.is_nan(),
        Value::List(items) => items.iter().any(has_nan),
        Value::Map(map) => map.iter().any(|(key, value)| has_nan(key) || has_nan(value)),
        _ => false,
    }
}
