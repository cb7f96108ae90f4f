//! Nested lookup with a delimiter: `grains.get a:b:0`.
//!
//! Behaviour: Salt's `traverse_dict_and_list` (`salt/utils/data.py`), including its search through maps that
//! are embedded in a list.

use states::Value;

/// Salt's default target delimiter.
pub const DELIMITER: &str = ":";

/// Follows `key`, split at `delimiter`, through maps and lists.
#[must_use]
pub fn traverse<'v>(data: &'v Value, key: &str, delimiter: &str) -> Option<&'v Value> {
    let steps: Vec<&str> = if delimiter.is_empty() { vec![key] } else { key.split(delimiter).collect() };
    steps.into_iter().try_fold(data, step_into)
}

fn step_into<'v>(at: &'v Value, step: &str) -> Option<&'v Value> {
    let number = step.trim().parse::<i64>().ok();
    match at {
        Value::Map(map) => map.get(step).or_else(|| map.get_value(&Value::Int(number?))),
        Value::List(items) => {
            let embedded = |key: &Value| items.iter().find_map(|item| item.as_map()?.get_value(key));
            match number {
                None => embedded(&Value::from(step)),
                Some(number) => embedded(&Value::Int(number)).or_else(|| index(items, number)),
            }
        }
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Bytes(_) => {
            None
        }
    }
}

fn index(items: &[Value], number: i64) -> Option<&Value> {
    let from_end = usize::try_from(number.unsigned_abs()).ok()?;
    if number < 0 {
        items.len().checked_sub(from_end).and_then(|at| items.get(at))
    } else {
        items.get(from_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Value {
        let text = "a: {b: [1, {c: 2}]}\n7: seven\nlist: [x, y]\n";
        states::yaml::load(text).unwrap()
    }

    #[test]
    fn follows_maps_lists_and_embedded_maps() {
        let data = data();
        let get = |key| traverse(&data, key, DELIMITER).map(ToString::to_string);
        assert_eq!(get("a:b:0"), Some("1".to_owned()));
        assert_eq!(get("a:b:c"), Some("2".to_owned()));
        assert_eq!(get("7"), Some("seven".to_owned()));
        assert_eq!(get("list:-1"), Some("y".to_owned()));
        assert_eq!(get("list:5"), None);
        assert_eq!(get("a:b:c:d"), None);
    }
}
