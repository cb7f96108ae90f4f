//! Address and network targets, against the `ipv4` and `ipv6` grains.
//!
//! A network is strict, as Python's `ipaddress.ip_network`: host bits must be zero; the mask may be a prefix length,
//! and for IPv4 a net mask or a host mask. What is neither address nor network matches nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Value;

/// Whether one of the minion's addresses is `tgt` or lies in it.
pub(super) fn cidr_match(tgt: &str, grains: &Value) -> bool {
    let (base, prefix) = match tgt.split_once('/') {
        None => (tgt.parse::<IpAddr>().ok(), None),
        Some((base, mask)) => {
            let base = base.parse::<IpAddr>().ok();
            let prefix = base.and_then(|base| mask_prefix(&base, mask));
            if prefix.is_none() {
                return false;
            }
            (base, prefix)
        }
    };
    let Some(base) = base else { return false };
    let bits = prefix.unwrap_or(if base.is_ipv4() { 32 } else { 128 });
    if network_bits(&base, bits) != value_bits(&base) {
        return false;
    }
    let grain = grains.get(if base.is_ipv4() { "ipv4" } else { "ipv6" });
    if prefix.is_none() {
        // One address is compared as text, in Python's own spelling of it.
        let wanted = base.to_string();
        return grain
            .and_then(Value::as_list)
            .unwrap_or(&[])
            .iter()
            .chain(grain)
            .any(|one| one.as_str() == Some(&wanted));
    }
    addresses(grain).any(|address| {
        address.is_ipv4() == base.is_ipv4() && network_bits(&address, bits) == value_bits(&base)
    })
}

fn addresses(grain: Option<&Value>) -> impl Iterator<Item = IpAddr> + '_ {
    let listed = grain.and_then(Value::as_list).unwrap_or(&[]);
    let single = grain.filter(|grain| grain.as_str().is_some());
    listed.iter().chain(single).filter_map(|address| address.as_str()?.parse().ok())
}

/// Prefix length that a mask stands for.
fn mask_prefix(base: &IpAddr, mask: &str) -> Option<u32> {
    let width = if base.is_ipv4() { 32 } else { 128 };
    if !mask.is_empty() && mask.bytes().all(|b| b.is_ascii_digit()) {
        return mask.parse().ok().filter(|prefix| *prefix <= width);
    }
    if base.is_ipv6() {
        return None;
    }
    let mask = u32::from(mask.parse::<Ipv4Addr>().ok()?);
    let contiguous =
        |mask: u32| mask.leading_ones() + mask.trailing_zeros().min(32) == 32 || mask == u32::MAX;
    if contiguous(mask) {
        Some(mask.leading_ones())
    } else if contiguous(!mask) {
        Some((!mask).leading_ones())
    } else {
        None
    }
}

fn network_bits(address: &IpAddr, prefix: u32) -> u128 {
    let width = if address.is_ipv4() { 32 } else { 128 };
    let host = width - prefix;
    if host == 128 { 0 } else { value_bits(address) >> host << host }
}

fn value_bits(address: &IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(Ipv4Addr::from(address.octets()))),
        IpAddr::V6(address) => u128::from(Ipv6Addr::from(address.octets())),
    }
}
