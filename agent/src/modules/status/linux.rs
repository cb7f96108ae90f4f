//! The kernel's figures in `/proc` under the names that Salt gives them. Pure: text in, values out.

use states::{Map, Value};

/// A number where it is one, the text otherwise, as Salt reads the kernel's figures.
fn number(text: &str) -> Value {
    if !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_digit()) {
        return text
            .parse()
            .map_or_else(|_| text.parse().map_or_else(|_| text.into(), Value::Float), Value::Int);
    }
    text.parse().map_or_else(|_| text.into(), Value::Float)
}

fn fields(names: &[&'static str], words: &[&str]) -> Map {
    names.iter().zip(words).map(|(name, word)| (*name, number(word))).collect()
}

/// `/proc/stat`.
pub(super) fn cpustats(text: &str) -> Map {
    let mut found = Map::new();
    for words in text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()) {
        let [name, rest @ ..] = words.as_slice() else { continue };
        let parts = |list: &'static str| -> Map {
            let each: Vec<Value> = rest.iter().skip(1).map(|word| number(word)).collect();
            [("total", rest.first().map_or(Value::Nil, |word| number(word))), (list, each.into())]
                .into_iter()
                .collect()
        };
        match *name {
            "cpu" => {
                let names = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
                found.insert(*name, fields(&names, rest));
            }
            "intr" => drop(found.insert(*name, parts("irqs"))),
            "softirq" => drop(found.insert(*name, parts("softirqs"))),
            _ => drop(found.insert(*name, rest.first().map_or(Value::Nil, |word| number(word)))),
        }
    }
    found
}

/// `/proc/cpuinfo`: the last processor's fields, as Salt gives them.
pub(super) fn cpuinfo(text: &str) -> Map {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let read = |(key, value): (&str, &str)| -> (String, Value) {
        let (key, value) = (key.trim().to_owned(), value.split(':').next().unwrap_or_default());
        let value = match key.as_str() {
            "flags" => value.split_whitespace().map(Value::from).collect::<Vec<_>>().into(),
            _ => value.trim().into(),
        };
        (key, value)
    };
    pairs.map(read).collect()
}

/// `/proc/diskstats`.
pub(super) fn diskstats(text: &str) -> Map {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter_map(|words| Some((words.get(2)?.to_string(), fields(&DISK, &words)))).collect()
}

/// `/proc/vmstat`.
pub(super) fn vmstats(text: &str) -> Map {
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(name, value)| (name, number(value.trim()))).collect()
}

/// `/proc/meminfo`.
pub(super) fn meminfo(text: &str) -> Map {
    let read = |(name, rest): (&str, &str)| {
        let mut words = rest.split_whitespace();
        let mut shown: Map = [("value", words.next().unwrap_or_default())].into_iter().collect();
        if let Some(unit) = words.next() {
            shown.insert("unit", unit);
        }
        (name.to_owned(), shown)
    };
    text.lines().filter_map(|line| line.split_once(':')).map(read).collect()
}

/// `/proc/net/dev`.
pub(super) fn netdev(text: &str) -> Map {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let read = |(name, rest): (&str, &str)| {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let mut figures = fields(&INTERFACE, &words);
        figures.insert("iface", name.trim());
        (name.trim().to_owned(), figures)
    };
    lines.map(read).collect()
}

/// `/proc/net/netstat`: a line of names, then a line of figures. Salt leaves out the last one; so does this.
pub(super) fn netstats(text: &str) -> Map {
    let mut found = Map::new();
    let mut names: Vec<&str> = Vec::new();
    for words in text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()) {
        if !words.is_empty() && words.first() == names.first() {
            let pairs = names.iter().zip(&words).skip(1).take(names.len().saturating_sub(2));
            let row: Map = pairs.map(|(name, value)| (*name, number(value))).collect();
            found.insert(names[0].replace(':', ""), row);
        } else {
            names = words;
        }
    }
    found
}

/// Mount points and file systems of `/proc/mounts`.
pub(super) fn mounts(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter_map(|words| Some((words.get(1)?.to_string(), words.get(2)?.to_string()))).collect()
}

const DISK: [&str; 14] = [
    "major",
    "minor",
    "device",
    "reads_issued",
    "reads_merged",
    "sectors_read",
    "ms_spent_reading",
    "writes_completed",
    "writes_merged",
    "sectors_written",
    "ms_spent_writing",
    "io_in_progress",
    "ms_spent_in_io",
    "weighted_ms_spent_in_io",
];
const INTERFACE: [&str; 16] = [
    "rx_bytes",
    "rx_packets",
    "rx_errs",
    "rx_drop",
    "rx_fifo",
    "rx_frame",
    "rx_compressed",
    "rx_multicast",
    "tx_bytes",
    "tx_packets",
    "tx_errs",
    "tx_drop",
    "tx_fifo",
    "tx_colls",
    "tx_carrier",
    "tx_compressed",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_processor_times() {
        let stats = cpustats("cpu  10 20 30 40 50 60 70 80 0 0\ncpu0 1 2 3 4\nintr 9 1 2\nbtime 77\n");
        let at = |path: &str| crate::modules::lookup::traverse(&stats.clone().into(), path, ":").cloned();
        assert_eq!(at("cpu:steal"), Some(80.into()));
        assert_eq!(at("intr:total"), Some(9.into()));
        assert_eq!(at("intr:irqs:1"), Some(2.into()));
        assert_eq!(at("cpu0"), Some(1.into()));
        assert_eq!(at("btime"), Some(77.into()));
    }

    #[test]
    fn reads_interfaces_and_leaves_out_what_salt_leaves_out() {
        let figures = netdev("Inter-| Receive\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
        let eth0 = figures.get("eth0").unwrap();
        assert_eq!((eth0.get("rx_bytes"), eth0.get("tx_bytes")), (Some(&1.into()), Some(&9.into())));
        let rows = netstats("TcpExt: A B C\nTcpExt: 1 2 3\n");
        let row = rows.get("TcpExt").unwrap();
        assert_eq!((row.get("B"), row.get("C")), (Some(&2.into()), None));
    }
}
