//! Grains of the network interfaces, the gateways and the resolver's configuration.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::{IpAddr, Ipv4Addr},
};

use states::{Map, Value};

use super::texts;

pub(super) fn collect(grains: &mut Map) {
    let interfaces = interfaces();
    let map = |pick: &dyn Fn(&IpAddr) -> bool| -> Map {
        let pairs = interfaces.iter().map(|(name, at)| {
            let addresses = at.addresses.iter().filter(|address| pick(address)).map(ToString::to_string);
            (name.as_str(), texts(addresses))
        });
        pairs.collect()
    };
    let hardware: Map = interfaces.iter().map(|(name, at)| (name.as_str(), at.mac.as_str())).collect();
    grains.insert("hwaddr_interfaces", hardware);
    grains.insert("ip4_interfaces", map(&IpAddr::is_ipv4));
    grains.insert("ip6_interfaces", map(&IpAddr::is_ipv6));
    grains.insert("ip_interfaces", map(&|_| true));
    grains.insert("ipv4", flat(&interfaces, IpAddr::is_ipv4));
    grains.insert("ipv6", flat(&interfaces, IpAddr::is_ipv6));
    if cfg!(target_os = "linux") {
        gateways(grains);
        grains.insert("dns", resolver(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()));
    }
}

struct Interface {
    mac: String,
    addresses: Vec<IpAddr>,
}

fn interfaces() -> BTreeMap<String, Interface> {
    let Ok(networks) = sysinfo::Networks::new_with_refreshed_list() else { return BTreeMap::new() };
    let read = |(name, data): (&OsString, &sysinfo::NetworkData)| {
        let mut addresses: Vec<IpAddr> = data.ip_networks().iter().map(|network| network.addr).collect();
        addresses.sort();
        addresses.dedup();
        (name.to_string_lossy().into_owned(), Interface { mac: data.mac_address().to_string(), addresses })
    };
    networks.iter().map(read).collect()
}

/// All addresses of a family in order, each once.
fn flat(interfaces: &BTreeMap<String, Interface>, family: fn(&IpAddr) -> bool) -> Value {
    let mut all: Vec<IpAddr> =
        interfaces.values().flat_map(|at| &at.addresses).copied().filter(family).collect();
    all.sort();
    all.dedup();
    texts(all.iter().map(ToString::to_string))
}

/// The default gateways, `false` where there is none, as Salt says it.
fn gateways(grains: &mut Map) {
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let ip4 = routes.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let gateway = u32::from_str_radix(fields.get(2)?, 16).ok()?;
        let is_default = *fields.get(1)? == "00000000" && gateway != 0;
        is_default.then(|| Ipv4Addr::from(gateway.to_le_bytes()).to_string())
    });
    let routes = std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    let ip6 = routes.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let gateway = u128::from_str_radix(fields.get(4)?, 16).ok()?;
        let is_default = fields.first()?.bytes().all(|digit| digit == b'0') && *fields.get(1)? == "00";
        (is_default && gateway != 0).then(|| std::net::Ipv6Addr::from(gateway).to_string())
    });
    grains.insert("ip_gw", ip4.is_some() || ip6.is_some());
    grains.insert("ip4_gw", ip4.map_or(Value::Bool(false), Value::Str));
    grains.insert("ip6_gw", ip6.map_or(Value::Bool(false), Value::Str));
}

fn resolver(text: &str) -> Map {
    let values = |key: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.split(['#', ';']).next()?.trim().strip_prefix(key));
        lines.flat_map(|rest| rest.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
    };
    let servers = values("nameserver ");
    let of = |family: fn(&IpAddr) -> bool| {
        texts(servers.iter().filter(|text| text.parse().as_ref().is_ok_and(family)).map(String::as_str))
    };
    [
        ("nameservers", texts(servers.iter().map(String::as_str))),
        ("ip4_nameservers", of(IpAddr::is_ipv4)),
        ("ip6_nameservers", of(IpAddr::is_ipv6)),
        ("sortlist", texts(values("sortlist "))),
        ("domain", values("domain ").into_iter().next().unwrap_or_default().into()),
        ("search", texts(values("search "))),
        ("options", texts(values("options "))),
    ]
    .into_iter()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_resolver_configuration() {
        let dns = resolver("# local\nnameserver 10.0.0.1\nnameserver fd00::1\nsearch a.example b.example\n");
        assert_eq!(dns.get("ip4_nameservers"), Some(&texts(["10.0.0.1"])));
        assert_eq!(dns.get("ip6_nameservers"), Some(&texts(["fd00::1"])));
        assert_eq!(dns.get("search"), Some(&texts(["a.example", "b.example"])));
        assert_eq!(dns.get("domain"), Some(&"".into()));
    }
}
