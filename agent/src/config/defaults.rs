//! Salt's defaults for the minion options that the agent obeys or that templates commonly read.
//!
//! Values are those of Salt 3008's `DEFAULT_MINION_OPTS`; options of features that the agent does not
//! have are left out, so `config.get` of such a name answers as for any unset option. Two defaults
//! differ on purpose: `rejected_retry` is always on, because a rejected key never ends this process,
//! and publishes are always verified (`sign_pub_messages`).

use states::{Map, Value};

use crate::platform::paths;

#[cfg(windows)]
const PKI_DIR: &str = "/conf/pki/minion";
#[cfg(not(windows))]
const PKI_DIR: &str = "/etc/salt/pki/minion";

/// The default options. Paths are below `root_dir`, as Salt takes them.
pub(super) fn options() -> Map {
    let mut opts = Map::new();
    for (key, value) in TEXTS {
        opts.insert(*key, *value);
    }
    for (key, value) in NUMBERS {
        opts.insert(*key, *value);
    }
    for (key, value) in SWITCHES {
        opts.insert(*key, *value);
    }
    for key in MAPS {
        opts.insert(*key, Value::Map(Map::new()));
    }
    for key in LISTS {
        opts.insert(*key, Value::List(Vec::new()));
    }
    for key in NULLS {
        opts.insert(*key, Value::Nil);
    }
    opts.insert("root_dir", paths::ROOT_DIR);
    opts.insert("pki_dir", PKI_DIR);
    opts.insert("file_roots", base_roots(&paths::FILE_ROOTS));
    opts.insert("pillar_roots", base_roots(&paths::PILLAR_ROOTS));
    opts
}

fn base_roots(dirs: &[&str]) -> Value {
    let mut envs = Map::new();
    envs.insert("base", Value::List(dirs.iter().map(|dir| Value::from(*dir)).collect()));
    Value::Map(envs)
}

const TEXTS: &[(&str, &str)] = &[
    ("master", "salt"),
    ("master_type", "str"),
    ("master_finger", ""),
    ("master_sign_key_name", "master_sign"),
    ("user", "root"),
    ("cachedir", "/var/cache/salt/minion"),
    ("sock_dir", "/var/run/salt/minion"),
    ("extension_modules", "/var/cache/salt/minion/extmods"),
    ("log_file", "/var/log/salt/minion"),
    ("pidfile", "/var/run/salt-minion.pid"),
    ("log_level", "warning"),
    ("renderer", "jinja|yaml"),
    ("state_top", "top.sls"),
    ("state_output", "full"),
    ("startup_states", ""),
    ("top_file", ""),
    ("file_client", "remote"),
    ("top_file_merging_strategy", "merge"),
    ("default_top", "base"),
    ("default_include", "minion.d/*.conf"),
    ("pillar_source_merging_strategy", "smart"),
    ("hash_type", "sha256"),
    ("transport", "zeromq"),
    ("encryption_algorithm", "OAEP-SHA1"),
    ("signing_algorithm", "PKCS1v15-SHA1"),
];

const NUMBERS: &[(&str, i64)] = &[
    ("master_port", 4506),
    ("request_channel_timeout", 60),
    ("request_channel_tries", 3),
    ("process_count_max", -1),
    ("mine_interval", 60),
    ("file_buffer_size", 262_144),
    ("max_event_size", 1_048_576),
    ("acceptance_wait_time", 10),
    ("acceptance_wait_time_max", 0),
    ("recon_max", 10_000),
    ("recon_default", 1_000),
    ("return_retry_timer", 5),
    ("return_retry_timer_max", 10),
    ("return_retry_tries", 3),
    ("random_reauth_delay", 10),
    ("keysize", 2048),
    ("auth_timeout", 5),
    ("auth_tries", 7),
    ("ping_interval", 0),
    ("minion_jid_queue_hwm", 100),
    ("grains_refresh_every", 0),
];

const SWITCHES: &[(&str, bool)] = &[
    ("verify_master_pubkey_sign", false),
    ("always_verify_signature", false),
    ("random_master", false),
    ("failhard", false),
    ("autoload_dynamic_modules", false),
    ("pillar_merge_lists", false),
    ("local", false),
    ("open_mode", false),
    ("multiprocessing", false),
    ("enable_legacy_startup_events", true),
    ("test", false),
    ("state_verbose", true),
    ("state_auto_order", true),
    ("state_events", false),
    ("state_aggregate", false),
    ("state_queue", false),
    ("recon_randomize", true),
    ("rejected_retry", true),
    ("sign_pub_messages", true),
    ("mine_enabled", true),
    ("mine_return_job", false),
    ("zmq_filtering", false),
    ("minion_sign_messages", false),
    ("multifunc_ordered", false),
    ("lock_saltenv", false),
    ("pub_ret", true),
    ("tcp_keepalive", true),
];

const MAPS: &[&str] = &["grains", "schedule", "features", "mine_functions", "beacons"];
const LISTS: &[&str] = &[
    "sls_list",
    "start_event_grains",
    "env_order",
    "disable_modules",
    "disabled_requisites",
    "grains_blacklist",
];
const NULLS: &[&str] = &["saltenv", "pillarenv", "state_top_saltenv", "ipv6", "ssl"];
