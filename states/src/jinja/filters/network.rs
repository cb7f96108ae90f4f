//! Filters over IP addresses and networks.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Args, FilterFn, Outcome};
use crate::Value;

pub(super) const TABLE: &[(&str, FilterFn)] = &[
    ("filter_by_networks", filter_by_networks),
    ("ip_host", |args| over(args, ip_host)),
    ("ipaddr", |args| addresses(args, |_| true)),
    ("ipv4", |args| addresses(args, IpAddr::is_ipv4)),
    ("ipv6", |args| addresses(args, IpAddr::is_ipv6)),
    ("ipwrap", ipwrap),
    ("is_ip", |args| Ok(Value::Bool(parses::<IpAddr>(args.value()) && fits_value(args)))),
    ("is_ipv4", |args| Ok(Value::Bool(parses::<Ipv4Addr>(args.value()) && fits_value(args)))),
    ("is_ipv6", |args| Ok(Value::Bool(parses::<Ipv6Addr>(args.value()) && fits_value(args)))),
    ("network_hosts", network_hosts),
    ("network_size", network_size),
];

fn addresses(args: &Args, kind: fn(&IpAddr) -> bool) -> Outcome {
    let options = args.get(1, "options").map(ToString::to_string).unwrap_or_default();
    over(args, |text| {
        let found = parse(text).filter(|(address, _)| kind(address) && fits(*address, &options));
        found.map(|_| text.to_owned())
    })
}

fn fits_value(args: &Args) -> bool {
    let options = args.get(1, "options").map(ToString::to_string).unwrap_or_default();
    args.value().as_str().and_then(parse).is_some_and(|(address, _)| fits(address, &options))
}

/// Whether an address is all that is asked of it, as Python's `ipaddress` names the kinds.
fn fits(address: IpAddr, options: &str) -> bool {
    options.split(',').map(str::trim).all(|option| match option {
        "global" | "public" => !is_private(address),
        "private" => is_private(address),
        "loopback" => address.is_loopback(),
        "multicast" => address.is_multicast(),
        "unspecified" => address.is_unspecified(),
        "link-local" => is_within(address, &["169.254.0.0/16", "fe80::/10"]),
        "reserved" => is_within(address, &["240.0.0.0/4", "::/8", "4000::/2"]),
        "site-local" => is_within(address, &["fec0::/10"]),
        _ => true,
    })
}

fn is_private(address: IpAddr) -> bool {
    is_within(
        address,
        &[
            "0.0.0.0/8",
            "10.0.0.0/8",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/29",
            "192.0.2.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "::/127",
            "2001:db8::/32",
            "fc00::/7",
            "fe80::/10",
        ],
    )
}

fn is_within(address: IpAddr, networks: &[&str]) -> bool {
    networks.iter().filter_map(|text| network(text)).any(|(network, first, size)| {
        network.is_ipv4() == address.is_ipv4() && (first..first.saturating_add(size)).contains(&bits(address))
    })
}

fn parses<T: std::str::FromStr>(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().parse::<T>().is_ok())
}

/// An address with the length of its prefix, `10.0.0.1/8`; whole without one.
fn parse(text: &str) -> Option<(IpAddr, u32)> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let address: IpAddr = address.trim().parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= most)?,
        None => most,
    };
    Some((address, prefix))
}

/// A filter over one address or the addresses of a list; what does not fit is left out.
fn over(args: &Args, keep: impl Fn(&str) -> Option<String>) -> Outcome {
    let keep = |value: &Value| value.as_str().and_then(&keep).map(Value::from);
    Ok(match args.value() {
        Value::List(items) => Value::List(items.iter().filter_map(keep).collect()),
        single => keep(single).unwrap_or_default(),
    })
}

fn ip_host(text: &str) -> Option<String> {
    let (address, prefix) = parse(text)?;
    Some(format!("{address}/{prefix}"))
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// The first address of a network and how many it has.
fn network(text: &str) -> Option<(IpAddr, u128, u128)> {
    let (address, prefix) = parse(text)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let size = 1u128.checked_shl(most - prefix).unwrap_or(u128::MAX);
    Some((address, bits(address) / size * size, size))
}

fn network_size(args: &Args) -> Outcome {
    let Some(found) = network(args.text()?) else { return Ok(Value::Nil) };
    Ok(i64::try_from(found.2).map_or(Value::Float(found.2 as f64), Value::Int))
}

fn network_hosts(args: &Args) -> Outcome {
    let Some((address, first, size)) = network(args.text()?) else { return Ok(Value::Nil) };
    if size > MAX_HOSTS {
        return Err(format!("a network of {size} addresses; at most {MAX_HOSTS} are listed"));
    }
    let host = |offset: u128| {
        let bits = first + offset;
        match address {
            IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(bits).unwrap_or(u32::MAX)).to_string(),
            IpAddr::V6(_) => Ipv6Addr::from(bits).to_string(),
        }
    };
    // The network's own address and, for IPv4, the broadcast address are no hosts.
    let hosts = match size {
        1 | 2 => 0..size,
        _ if address.is_ipv4() => 1..size - 1,
        _ => 1..size,
    };
    Ok(Value::List(hosts.map(host).map(Value::from).collect()))
}

fn filter_by_networks(args: &Args) -> Outcome {
    let networks = super::lists::items(args.required(1, "networks")?)?;
    let networks: Vec<_> = networks.iter().filter_map(|text| network(&text.to_string())).collect();
    let inside = |value: &Value| {
        let Some((address, _)) = value.as_str().and_then(parse) else { return false };
        networks.iter().any(|(network, first, size)| {
            network.is_ipv4() == address.is_ipv4()
                && (*first..first.saturating_add(*size)).contains(&bits(address))
        })
    };
    Ok(match args.value() {
        Value::List(items) => Value::List(items.iter().filter(|item| inside(item)).cloned().collect()),
        Value::Map(map) => Value::Map(
            map.iter()
                .filter(|(key, _)| inside(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        ),
        _ => Value::List(Vec::new()),
    })
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

const MAX_HOSTS: u128 = 65_536;
