//! Salt's `status` module, the parts that cost nothing: uptime, load, memory, disks, the link to the master.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use states::{Map, Value};
use sysinfo::{Disks, System};

use crate::modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError};

/// The module.
pub struct Status;

impl Module for Status {
    fn name(&self) -> &'static str {
        "status"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        Box::pin(async move {
            let fun = fun.to_owned();
            let masters = call.services.config.masters();
            let connected =
                crate::status::read_service(&call.services.config).and_then(|service| service.master);
            let gathered = call.services.tasks.blocking(move || match fun.as_str() {
                "uptime" => Ok(uptime()),
                "loadavg" => Ok(loadavg()),
                "meminfo" => meminfo(),
                "diskusage" => diskusage(&args),
                "master" => Ok(connected.is_some().into()),
                "ping_master" => {
                    let asked = args.text("master")?;
                    Ok((masters.contains(&asked) && connected == Some(asked)).into())
                }
                _ => Err(ModuleError::NotAvailable { fun: format!("status.{fun}") }),
            });
            gathered.await.map_err(|error| ModuleError::Execution(error.to_string()))?
        })
    }
}

fn uptime() -> Value {
    let seconds = i64::try_from(System::uptime().unwrap_or_default()).unwrap_or(i64::MAX);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = i64::try_from(now.as_secs()).unwrap_or(i64::MAX) - seconds;
    let iso = DateTime::<Utc>::from_timestamp(since, now.subsec_nanos());
    let iso = iso.map(|since| since.format("%Y-%m-%dT%H:%M:%S%.6f").to_string());
    [
        ("seconds", Value::Int(seconds)),
        ("since_iso", iso.into()),
        ("since_t", Value::Int(since)),
        ("days", Value::Int(seconds / 86_400)),
        ("time", format!("{}:{}", seconds % 86_400 / 3600, seconds % 3600 / 60).into()),
    ]
    .into_iter()
    .collect::<Map>()
    .into()
}

fn loadavg() -> Value {
    let load = System::load_average().unwrap_or_default();
    [("1-min", load.one), ("5-min", load.five), ("15-min", load.fifteen)].into_iter().collect::<Map>().into()
}

/// Memory in Salt's shape: the kernel's names with value and unit; on other systems the two that there are.
fn meminfo() -> Result<Value, ModuleError> {
    let entry = |value: String| -> Map { [("value", value.as_str()), ("unit", "kB")].into_iter().collect() };
    if let Ok(text) = std::fs::read_to_string("/proc/meminfo") {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let read = |(name, rest): (&str, &str)| {
            let mut words = rest.split_whitespace();
            let mut shown: Map = [("value", words.next().unwrap_or_default())].into_iter().collect();
            if let Some(unit) = words.next() {
                shown.insert("unit", unit);
            }
            (name.to_owned(), shown)
        };
        return Ok(lines.map(read).collect::<Map>().into());
    }
    let mut system = System::new().map_err(|error| ModuleError::Execution(error.to_string()))?;
    system.refresh_memory();
    let both = [
        ("MemTotal", entry((system.total_memory() / 1024).to_string())),
        ("MemAvailable", entry((system.available_memory() / 1024).to_string())),
    ];
    Ok(both.into_iter().collect::<Map>().into())
}

/// Total and available bytes by mount point; with names, only those.
fn diskusage(args: &Arguments) -> Result<Value, ModuleError> {
    let disks =
        Disks::new_with_refreshed_list().map_err(|error| ModuleError::Execution(error.to_string()))?;
    let wanted: Vec<String> = args.rest.iter().map(ToString::to_string).collect();
    let mut shown = Map::new();
    for disk in disks.iter() {
        let mount = disk.mount_point().to_string_lossy().into_owned();
        let kind = disk.file_system().to_string_lossy().into_owned();
        if !wanted.is_empty() && !wanted.contains(&mount) && !wanted.contains(&kind) {
            continue;
        }
        let bytes = |count: u64| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
        let usage: Map = [("total", bytes(disk.total_space())), ("available", bytes(disk.available_space()))]
            .into_iter()
            .collect();
        shown.insert(mount, usage);
    }
    Ok(shown.into())
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "diskusage",
        signature: "*args",
        doc: "Returns total and available bytes by mount point; with arguments, only those mount points or file systems.",
    },
    FunctionSpec { name: "loadavg", signature: "", doc: "Returns the load averages of 1, 5 and 15 minutes." },
    FunctionSpec {
        name: "master",
        signature: "master=None, connected=True",
        doc: "Tells whether this minion is connected to its master.",
    },
    FunctionSpec { name: "meminfo", signature: "", doc: "Returns the memory figures of the kernel." },
    FunctionSpec {
        name: "ping_master",
        signature: "master",
        doc: "Tells whether this minion is connected to that master.",
    },
    FunctionSpec { name: "uptime", signature: "", doc: "Returns how long the machine runs." },
];
