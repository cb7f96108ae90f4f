//! Grains of memory, processors, disks and the hypervisor.

use std::path::Path;

use states::{Map, Value};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::{read_line, texts};

pub(super) fn collect(grains: &mut Map) {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::everything());
    if let Ok(system) = System::new_with_specifics(what) {
        let mebibytes = |bytes: u64| i64::try_from(bytes / 1024 / 1024).unwrap_or(i64::MAX);
        grains.insert("mem_total", mebibytes(system.total_memory()));
        grains.insert("swap_total", mebibytes(system.total_swap()));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    grains.insert("num_cpus", i64::try_from(processors).unwrap_or(1));
    if cfg!(target_os = "linux") {
        processor(grains, &std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
        disks(grains);
        for (grain, file) in DMI {
            if let Some(text) = read_line(&format!("/sys/class/dmi/id/{file}")) {
                grains.insert(*grain, text);
            }
        }
    }
    hypervisor(grains);
}

fn processor(grains: &mut Map, cpuinfo: &str) {
    let field = |names: &[&str]| {
        let pairs = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        pairs
            .map(|(key, value)| (key.trim(), value.trim()))
            .find(|(key, _)| names.contains(key))
            .map(|(_, v)| v)
    };
    grains.insert("cpu_model", field(&["model name", "Processor"]).unwrap_or("Unknown"));
    grains.insert("cpu_flags", texts(field(&["flags", "Features"]).unwrap_or_default().split_whitespace()));
}

/// Block devices by whether they turn, as the kernel says.
fn disks(grains: &mut Map) {
    let mut names: Vec<String> = std::fs::read_dir("/sys/block")
        .map(|entries| entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
        .unwrap_or_default();
    names.retain(|name| !["loop", "ram", "zram", "dm-", "md"].iter().any(|kind| name.starts_with(kind)));
    names.sort();
    let turns =
        |name: &String| read_line(&format!("/sys/block/{name}/queue/rotational")).as_deref() == Some("1");
    let (turning, solid): (Vec<_>, Vec<_>) = names.into_iter().partition(turns);
    grains.insert("disks", texts(turning));
    grains.insert("ssds", texts(solid));
}

fn hypervisor(grains: &mut Map) {
    let maker = grains.get("manufacturer").map(ToString::to_string).unwrap_or_default();
    let product = grains.get("productname").map(ToString::to_string).unwrap_or_default();
    let flags = grains.get("cpu_flags").and_then(Value::as_list).unwrap_or_default();
    let guest = flags.contains(&Value::from("hypervisor"));
    let container = Path::new("/.dockerenv").exists();
    let kind = match maker.as_str() {
        _ if container => "container",
        "VMware, Inc." => "VMware",
        "Microsoft Corporation" if product == "Virtual Machine" => "HyperV",
        "QEMU" => "kvm",
        "Xen" => "xen",
        "innotek GmbH" => "VirtualBox",
        "Amazon EC2" => "kvm",
        _ if guest => "kvm",
        _ => "physical",
    };
    if container {
        grains.insert("virtual_subtype", "Docker");
    }
    grains.insert("virtual", kind);
}

/// Salt's names for the fields of the firmware's tables.
const DMI: &[(&str, &str)] = &[
    ("biosversion", "bios_version"),
    ("biosreleasedate", "bios_date"),
    ("manufacturer", "sys_vendor"),
    ("productname", "product_name"),
    ("serialnumber", "product_serial"),
    ("uuid", "product_uuid"),
    ("boardname", "board_name"),
];
