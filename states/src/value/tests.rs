use super::*;

#[test]
fn keeps_the_order_of_keys_and_finds_text_keys() {
    let mut map = Map::new();
    map.insert("b", 1);
    map.insert(7, "seven");
    map.insert("a", true);
    map.insert("b", 2);
    assert_eq!(map.get("b"), Some(&Value::Int(2)));
    assert_eq!(map.get_value(&Value::Int(7)), Some(&Value::from("seven")));
    let keys: Vec<String> = map.keys().map(Value::to_string).collect();
    assert_eq!(keys, ["b", "7", "a"]);
}

#[test]
fn maps_with_the_same_pairs_are_equal_in_any_order() {
    let one = Map::from_iter([("a", 1), ("b", 2)]);
    let two = Map::from_iter([("b", 2), ("a", 1)]);
    assert_eq!(one, two);
}

#[test]
fn writes_values_as_python_does() {
    let map = Map::from_iter([
        (Value::from("it's"), Value::from("a \"b\"")),
        (Value::Int(1), Value::List(vec![Value::Nil, Value::Bool(true), Value::Float(1.0)])),
        (Value::from("tab\t"), Value::Bytes(vec![0, b'a', 0xff])),
    ]);
    assert_eq!(
        Value::Map(map).to_string(),
        r#"{"it's": 'a "b"', 1: [None, True, 1.0], 'tab\t': b'\x00a\xff'}"#
    );
    for (number, text) in [(1e16, "1e+16"), (1e-5, "1e-05"), (0.1, "0.1"), (1234567.0, "1234567.0")] {
        assert_eq!(Value::Float(number).to_string(), text);
    }
}

#[test]
fn survives_a_round_trip_through_serde() {
    let json = r#"{"a":[1,2.5,null,true,"x"],"b":{"c":-1}}"#;
    let value: Value = serde_json::from_str(json).unwrap();
    assert_eq!(to_value(&value), value);
    assert_eq!(serde_json::to_string(&value).unwrap(), json);
}
