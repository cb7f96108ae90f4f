//! How many packets this process has sent to a server, over all its connections: what of the server's own count
//! (`@@PACK_RECEIVED`) is not somebody else's.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The one address by which a server is known: this machine has many, and `localhost` is any of them.
pub(in crate::mssql) fn canonical(server: SocketAddr) -> SocketAddr {
    let address = server.ip().to_canonical();
    let address = if address.is_loopback() { IpAddr::from(Ipv4Addr::LOCALHOST) } else { address };
    SocketAddr::new(address, server.port())
}

/// Packets sent to one server. Clones are the same count.
#[derive(Debug, Clone, Default)]
pub(in crate::mssql) struct Sent(Arc<AtomicU64>);

impl Sent {
    /// The count of the server at this address; one of its own where the address is not known.
    pub(in crate::mssql) fn to(server: Option<SocketAddr>) -> Self {
        static SERVERS: Mutex<BTreeMap<SocketAddr, Sent>> = Mutex::new(BTreeMap::new());
        let Some(server) = server else { return Self::default() };
        SERVERS.lock().unwrap_or_else(PoisonError::into_inner).entry(server).or_default().clone()
    }

    /// How many.
    pub(in crate::mssql) fn packets(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, packets: u64) {
        self.0.fetch_add(packets, Ordering::Relaxed);
    }
}

/// Counts the packets of one connection as their bytes go out, however they are cut.
#[derive(Debug)]
pub(super) struct Counter {
    sent: Sent,
    /// What is known of the header that is going out.
    header: [u8; LENGTH_ENDS],
    seen: usize,
    /// Bytes of the packet that are still to go.
    left: usize,
}

impl Counter {
    pub(super) fn new(sent: Sent) -> Self {
        Self { sent, header: [0; LENGTH_ENDS], seen: 0, left: 0 }
    }

    /// Takes note of what went out.
    pub(super) fn went(&mut self, mut bytes: &[u8]) {
        let mut packets = 0;
        while !bytes.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len());
                self.left -= passed;
                bytes = bytes.split_at(passed).1;
                continue;
            }
            let (known, missing) = self.header.split_at_mut(self.seen);
            let (taken, rest) = bytes.split_at(missing.len().min(bytes.len()));
            missing.iter_mut().zip(taken).for_each(|(to, from)| *to = *from);
            self.seen = known.len() + taken.len();
            bytes = rest;
            if self.seen == LENGTH_ENDS {
                let [_kind, _status, high, low] = self.header;
                self.left = usize::from(u16::from_be_bytes([high, low])).saturating_sub(LENGTH_ENDS);
                self.seen = 0;
                packets += 1;
            }
        }
        self.sent.add(packets);
    }
}

/// Kind, status and length lie in the first bytes of a packet (MS-TDS 2.2.3.1).
const LENGTH_ENDS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_counted_however_their_bytes_go_out() {
        let packet = |payload: usize| {
            let length = u16::try_from(payload + 8).unwrap().to_be_bytes();
            [&[1, 1, length[0], length[1], 0, 0, 1, 0][..], &vec![1; payload]].concat()
        };
        let all = [packet(0), packet(300), packet(4088), packet(1)].concat();
        for cut in [1, 3, 7, 100, all.len()] {
            let sent = Sent::default();
            let mut counter = Counter::new(sent.clone());
            all.chunks(cut).for_each(|bytes| counter.went(bytes));
            assert_eq!(sent.packets(), 4, "in pieces of {cut}");
        }
    }

    #[test]
    fn this_machine_is_one_server_by_any_of_its_loopback_addresses() {
        let known = |address: &str| canonical(address.parse().unwrap()).to_string();
        for address in ["127.0.0.1:1433", "127.9.9.9:1433", "[::1]:1433", "[::ffff:127.0.0.1]:1433"] {
            assert_eq!(known(address), "127.0.0.1:1433");
        }
        assert_eq!(known("192.0.2.7:1433"), "192.0.2.7:1433");
        assert_eq!(known("[2001:db8::1]:1434"), "[2001:db8::1]:1434");
    }

    #[test]
    fn connections_to_one_server_have_one_count() {
        let address = |port| Some(SocketAddr::from(([192, 0, 2, 1], port)));
        Sent::to(address(1)).add(2);
        Sent::to(address(1)).add(3);
        Sent::to(None).add(7);
        assert_eq!((Sent::to(address(1)).packets(), Sent::to(address(2)).packets()), (5, 0));
    }
}
