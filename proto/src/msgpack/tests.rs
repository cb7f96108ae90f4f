use proptest::prelude::*;

use super::*;

#[test]
fn wire_dialect_writes_neither_str8_nor_bin() {
    for len in [0, 31, 32, 255, 256, 65535, 65536] {
        let expected: &[u8] = match len {
            0..32 => &[0xa0 | u8::try_from(len).unwrap()],
            32..65536 => &[0xda],
            _ => &[0xdb],
        };
        assert!(encode(&"x".repeat(len).into()).starts_with(expected), "text of {len}");
        assert!(encode(&vec![0xff_u8; len].into()).starts_with(expected), "bytes of {len}");
    }
}

#[test]
fn modern_dialect_tells_text_from_bytes() {
    assert_eq!(encode_modern(&"x".repeat(40).into())[..2], [0xd9, 40]);
    assert_eq!(encode_modern(&vec![1_u8, 2].into()), [0xc4, 2, 1, 2]);
}

#[test]
fn integers_take_the_shortest_form() {
    let cases: [(i64, &[u8]); 8] = [
        (0, &[0]),
        (127, &[0x7f]),
        (128, &[0xcc, 128]),
        (-1, &[0xff]),
        (-32, &[0xe0]),
        (-33, &[0xd0, 0xdf]),
        (256, &[0xcd, 1, 0]),
        (-32769, &[0xd2, 0xff, 0xff, 0x7f, 0xff]),
    ];
    for (number, bytes) in cases {
        assert_eq!(encode(&number.into()), bytes, "{number}");
    }
}

#[test]
fn raw_decode_keeps_values_as_bytes_and_keys_as_text() {
    let bytes = encode(&Map::from([("data", "text")]).into());
    let value = decode_raw(&bytes).unwrap();
    assert_eq!(value, Map::from([("data", Value::Bytes(b"text".to_vec()))]).into());
}

#[test]
fn salts_extensions_give_their_content() {
    // `salt.payload.dumps(datetime(2024, 5, 6, 7, 8, 9))` and a `salt.utils.immutabletypes` style constant.
    let date = [&[0xc7, 24, 78][..], b"20240506T07:08:09.000000"].concat();
    assert_eq!(decode(&date).unwrap(), "20240506T07:08:09.000000".into());
    let constant = [0xc7, 4, 79, 0x92, 0xa1, b'N', 7];
    assert_eq!(decode(&constant).unwrap(), Value::Int(7));
    assert_eq!(decode(&[0xd4, 1, 0xff]).unwrap(), Value::Bytes(vec![0xff]));
}

#[test]
fn refuses_what_goes_past_a_limit() {
    let deep = [vec![0x91; 200], vec![0xc0]].concat();
    assert_eq!(decode(&deep), Err(DecodeError::TooDeep { limit: 128 }));
    let limits = Limits { items: 3, ..Limits::default() };
    let many = [0x94, 0, 0, 0, 0];
    assert_eq!(decode_with(&many, Strings::Text, limits), Err(DecodeError::TooMany { limit: 3 }));
    let limits = Limits { bytes: 2, ..Limits::default() };
    assert_eq!(decode_with(&many, Strings::Text, limits), Err(DecodeError::TooLong { limit: 2 }));
    assert_eq!(decode(&[0xdf, 0xff, 0xff, 0xff, 0xff]), Err(DecodeError::Truncated { at: 5 }));
    assert_eq!(decode(&[0xc0, 0xc0]), Err(DecodeError::Trailing { left: 1 }));
    assert_eq!(decode(&[0xc1]), Err(DecodeError::Reserved { at: 0 }));
}

/// Arbitrary values whose strings survive Salt's text rule.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("equality", |number| !number.is_nan()).prop_map(Value::Float),
        ".{0,40}".prop_map(Value::Str),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| text_or_bytes(&bytes)),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..20).prop_map(Value::List),
            proptest::collection::vec((inner.clone(), inner), 0..20)
                .prop_map(|entries| Value::Map(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(value in any_value()) {
        prop_assert_eq!(&decode(&encode(&value)).unwrap(), &value);
        prop_assert_eq!(&decode(&encode_modern(&value)).unwrap(), &value);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
        let _ = decode_raw(&bytes);
    }

    #[test]
    fn a_cut_message_is_refused(value in any_value(), share in 0.0..1.0) {
        let bytes = encode(&value);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
        let cut = (bytes.len() as f64 * share) as usize;
        prop_assert!(decode(&bytes[..cut]).is_err());
    }
}
