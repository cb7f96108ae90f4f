//! Filters over IP addresses.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Args, FilterFn, Outcome};
use crate::Value;

pub(super) const TABLE: &[(&str, FilterFn)] = &[
    ("ipwrap", ipwrap),
    ("is_ip", |args| Ok(Value::Bool(parses::<IpAddr>(args.value())))),
    ("is_ipv4", |args| Ok(Value::Bool(parses::<Ipv4Addr>(args.value())))),
    ("is_ipv6", |args| Ok(Value::Bool(parses::<Ipv6Addr>(args.value())))),
];

fn parses<T: std::str::FromStr>(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().parse::<T>().is_ok())
}

/// Brackets around IPv6 addresses, for URLs.
fn ipwrap(args: &Args) -> Outcome {
    let wrap = |value: &Value| {
        if parses::<Ipv6Addr>(value) { Value::from(format!("[{value}]")) } else { value.clone() }
    };
    Ok(match args.value() {
        Value::List(items) => Value::List(items.iter().map(wrap).collect()),
        other => wrap(other),
    })
}
