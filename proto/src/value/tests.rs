use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Named { width: u32, note: Option<String> },
    Pair(i64, f64),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    name: String,
    sizes: Vec<u64>,
    by_number: BTreeMap<i64, bool>,
    shapes: Vec<Shape>,
}

fn sample() -> Sample {
    Sample {
        name: "minion".into(),
        sizes: vec![0, u64::MAX],
        by_number: [(7, true)].into(),
        shapes: vec![Shape::Empty, Shape::Named { width: 3, note: None }, Shape::Pair(-1, 0.5)],
    }
}

#[test]
fn serde_types_survive_the_way_through_a_value() {
    let value = to_value(&sample());
    assert_eq!(
        value.get("by_number").unwrap().as_map().unwrap().get_value(&Value::Int(7)),
        Some(&true.into())
    );
    assert_eq!(value.deserialize_into::<Sample>().unwrap(), sample());
}

#[test]
fn a_value_converts_to_itself() {
    let mut map = Map::new();
    map.insert(Value::Nil, vec![0xff_u8, 0]);
    map.insert(1, Value::List(vec![2.5.into(), u64::MAX.into(), false.into()]));
    let value = Value::Map(map);
    assert_eq!(to_value(&value), value);
    assert_eq!(value.clone().deserialize_into::<Value>().unwrap(), value);
}

#[test]
fn keys_kept_as_bytes_are_found_by_text() {
    let mut map = Map::new();
    map.insert(b"data".as_slice(), 1);
    assert_eq!(map.get("data"), Some(&Value::Int(1)));
    *map.get_mut("data").unwrap() = Value::Int(2);
    assert_eq!(map.remove("data"), Some(Value::Int(2)));
}

#[test]
fn maps_keep_their_order_and_compare_without_it() {
    let first: Map = [("b", 1), ("a", 2)].into();
    let second: Map = [("a", 2), ("b", 1)].into();
    assert_eq!(first, second);
    assert_eq!(first.keys().filter_map(Value::as_str).collect::<String>(), "ba");
}

#[test]
fn large_integers_stay_exact() {
    assert_eq!(Value::from(u64::MAX), Value::UInt(u64::MAX));
    assert_eq!(Value::from(5_u64), Value::Int(5));
    assert_eq!(Value::Int(5).as_u64(), Some(5));
    assert_eq!(Value::Int(-5).as_u64(), None);
}
