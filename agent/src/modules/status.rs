//! Salt's `status` module: uptime, load, memory, processors, disks, network, processes, the link to the master.
//!
//! Figures come from `/proc` in Salt's shapes; where there is none, from the system's own interfaces, and what cannot be
//! had there is answered in Salt's words.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use states::{Map, Value};
use sysinfo::{Disks, System};

use crate::modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError};
use crate::platform::space;

mod linux;
mod processes;

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
            if fun == "custom" {
                return custom(call).await;
            }
            let fun = fun.to_owned();
            let masters = call.services.config.masters();
            let connected =
                crate::status::read_service(&call.services.config).and_then(|service| service.master);
            let gathered = call.services.tasks.blocking(move || match fun.as_str() {
                "master" => Ok(connected.is_some().into()),
                "ping_master" => {
                    let asked = args.text("master")?;
                    Ok((masters.contains(&asked) && connected == Some(asked)).into())
                }
                _ => figures(&fun, &args),
            });
            gathered.await.map_err(|error| ModuleError::Execution(error.to_string()))?
        })
    }
}

fn figures(fun: &str, args: &Arguments) -> Result<Value, ModuleError> {
    Ok(match fun {
        "uptime" => uptime(),
        "loadavg" => loadavg(),
        "meminfo" => meminfo()?,
        "diskusage" => disk_usage(args)?,
        "cpuinfo" => of_kernel("/proc/cpuinfo", linux::cpuinfo),
        "cpustats" => of_kernel("/proc/stat", linux::cpustats),
        "diskstats" => of_kernel("/proc/diskstats", linux::diskstats),
        "vmstats" => of_kernel("/proc/vmstat", linux::vmstats),
        "netdev" => of_kernel("/proc/net/dev", linux::netdev),
        "netstats" => of_kernel("/proc/net/netstat", linux::netstats),
        "nproc" => i64::try_from(std::thread::available_parallelism().map_or(1, usize::from)).into_value(),
        "version" => std::fs::read_to_string("/proc/version")
            .map_or_else(|_| UNSUPPORTED.into(), |text| text.trim().into()),
        "time" => chrono::Local::now().format(&args.text("format")?).to_string().into(),
        "procs" => processes::all()?.into(),
        "pid" => processes::matching(&args.text("sig")?)?.into(),
        "w" => processes::sessions().into(),
        "all_status" => all(args)?,
        _ => return Err(ModuleError::NotAvailable { fun: format!("status.{fun}") }),
    })
}

/// A count as a value.
trait IntoValue {
    fn into_value(self) -> Value;
}

impl<E> IntoValue for Result<i64, E> {
    fn into_value(self) -> Value {
        self.map_or(Value::Nil, Value::Int)
    }
}

/// What the kernel shows in a file; nothing where there is no such file on Linux, Salt's sentence elsewhere.
fn of_kernel(path: &str, read: fn(&str) -> Map) -> Value {
    if cfg!(not(target_os = "linux")) {
        return UNSUPPORTED.into();
    }
    std::fs::read_to_string(path).map(|text| read(&text)).unwrap_or_default().into()
}

fn all(args: &Arguments) -> Result<Value, ModuleError> {
    let mut shown = Map::new();
    for fun in ALL {
        let value = figures(fun, args)?;
        shown.insert(*fun, value);
    }
    Ok(shown.into())
}

/// The figures that `status.<function>` options of the configuration or the pillar name.
async fn custom(call: &CallContext) -> Result<Value, ModuleError> {
    let mut shown = Map::new();
    let pillar = call.pillar();
    let sources = [Some(&call.services.config.opts), pillar.as_map()];
    for (option, wanted) in sources.into_iter().flatten().flat_map(Map::iter) {
        let Some(fun) = option.as_str().and_then(|option| option.strip_prefix("status.")) else { continue };
        let fun = fun.rsplit_once('.').map_or(fun, |(fun, _)| fun);
        if fun == "custom" {
            continue;
        }
        let found = call.services.modules.call(&format!("status.{fun}"), Vec::new(), Map::new(), call).await;
        let Ok(found) = found else { continue };
        for item in wanted.as_list().unwrap_or_default() {
            let value = found.as_map().and_then(|found| found.get_value(item)).cloned();
            shown.insert(item.clone(), value.unwrap_or_else(|| "UNKNOWN".into()));
        }
    }
    Ok(shown.into())
}

fn uptime() -> Value {
    let seconds = i64::try_from(System::uptime().unwrap_or_default()).unwrap_or(i64::MAX);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = i64::try_from(now.as_secs()).unwrap_or(i64::MAX) - seconds;
    let iso = DateTime::<Utc>::from_timestamp(since, now.subsec_nanos());
    let iso = iso.map(|since| since.format("%Y-%m-%dT%H:%M:%S%.6f").to_string());
    let mut shown: Map = [
        ("seconds", Value::Int(seconds)),
        ("since_iso", iso.into()),
        ("since_t", Value::Int(since)),
        ("days", Value::Int(seconds / 86_400)),
        ("time", format!("{}:{}", seconds % 86_400 / 3600, seconds % 3600 / 60).into()),
    ]
    .into_iter()
    .collect();
    if let Some(users) = processes::users() {
        shown.insert("users", users);
    }
    shown.into()
}

fn loadavg() -> Value {
    let load = System::load_average().unwrap_or_default();
    [("1-min", load.one), ("5-min", load.five), ("15-min", load.fifteen)].into_iter().collect::<Map>().into()
}

/// Memory in Salt's shape: the kernel's names with value and unit; on other systems the two that there are.
fn meminfo() -> Result<Value, ModuleError> {
    if let Ok(text) = std::fs::read_to_string("/proc/meminfo") {
        return Ok(linux::meminfo(&text).into());
    }
    let entry = |value: String| -> Map { [("value", value.as_str()), ("unit", "kB")].into_iter().collect() };
    let mut system = System::new().map_err(|error| ModuleError::Execution(error.to_string()))?;
    system.refresh_memory();
    let both = [
        ("MemTotal", entry((system.total_memory() / 1024).to_string())),
        ("MemAvailable", entry((system.available_memory() / 1024).to_string())),
    ];
    Ok(both.into_iter().collect::<Map>().into())
}

/// Total and available bytes by mount point; with names, only those mount points and kinds of file system.
fn disk_usage(args: &Arguments) -> Result<Value, ModuleError> {
    let wanted: Vec<String> = args.rest.iter().map(ToString::to_string).collect();
    let (places, kinds): (Vec<&String>, Vec<&String>) = wanted.iter().partition(|name| name.starts_with('/'));
    let chosen =
        |kind: &str| wanted.is_empty() || kinds.iter().any(|glob| proto::target::fnmatch(kind, glob));
    let mut shown = Map::new();
    let mut add = |place: &str, usage: Option<(u64, u64)>| {
        let bytes = |count: u64| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
        if let Some((total, available)) = usage {
            let usage: Map = [("total", bytes(total)), ("available", bytes(available))].into_iter().collect();
            shown.insert(place, usage);
        }
    };
    if let Ok(text) = std::fs::read_to_string("/proc/mounts") {
        for (place, _) in linux::mounts(&text).iter().filter(|(_, kind)| chosen(kind)) {
            add(place, space(place));
        }
        places.iter().for_each(|place| add(place, space(place)));
        return Ok(shown.into());
    }
    let disks =
        Disks::new_with_refreshed_list().map_err(|error| ModuleError::Execution(error.to_string()))?;
    for disk in disks.iter() {
        let place = disk.mount_point().to_string_lossy();
        if chosen(&disk.file_system().to_string_lossy()) || wanted.contains(&place.clone().into_owned()) {
            add(&place, Some((disk.total_space(), disk.available_space())));
        }
    }
    Ok(shown.into())
}

/// Bytes in all and bytes free for users of the file system at a place.
fn space(place: &str) -> Option<(u64, u64)> {
    space::of(Path::new(place)).map(|found| (found.total, found.free))
}

const UNSUPPORTED: &str = "This method is unsupported on the current operating system!";

const ALL: &[&str] = &[
    "cpuinfo",
    "cpustats",
    "diskstats",
    "diskusage",
    "loadavg",
    "meminfo",
    "netdev",
    "netstats",
    "uptime",
    "vmstats",
    "w",
];

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "all_status",
        signature: "",
        doc: "Returns the figures of the other functions together.",
    },
    FunctionSpec { name: "cpuinfo", signature: "", doc: "Returns what the kernel says of the processors." },
    FunctionSpec { name: "cpustats", signature: "", doc: "Returns the kernel's processor times." },
    FunctionSpec {
        name: "custom",
        signature: "",
        doc: "Returns the figures that options named status.<function> list.",
    },
    FunctionSpec { name: "diskstats", signature: "", doc: "Returns the kernel's figures of the disks." },
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
    FunctionSpec { name: "netdev", signature: "", doc: "Returns the figures of the network interfaces." },
    FunctionSpec { name: "netstats", signature: "", doc: "Returns the kernel's network figures." },
    FunctionSpec { name: "nproc", signature: "", doc: "Returns how many processors can be used." },
    FunctionSpec {
        name: "pid",
        signature: "sig",
        doc: "Returns the ids of the processes that a regular expression matches.",
    },
    FunctionSpec {
        name: "ping_master",
        signature: "master",
        doc: "Tells whether this minion is connected to that master.",
    },
    FunctionSpec { name: "procs", signature: "", doc: "Returns the processes with user and command." },
    FunctionSpec {
        name: "time",
        signature: "format='%A, %d. %B %Y %I:%M%p'",
        doc: "Returns the machine's time in a format.",
    },
    FunctionSpec { name: "uptime", signature: "", doc: "Returns how long the machine runs." },
    FunctionSpec { name: "version", signature: "", doc: "Returns the kernel's version line." },
    FunctionSpec { name: "vmstats", signature: "", doc: "Returns the kernel's figures of virtual memory." },
    FunctionSpec { name: "w", signature: "", doc: "Returns who is logged in, and what they do." },
];
