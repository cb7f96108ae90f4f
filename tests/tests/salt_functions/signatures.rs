//! Signatures: what an operator may pass to Salt's functions may be passed here.

use serde_json::{Value, json};

use super::{Call, Side, runtime, with_salt};

/// Modules that have Salt's names.
const MODULES: &[&str] = &[
    "beacons", "cmd", "config", "cp", "data", "environ", "event", "file", "grains", "match", "mine",
    "pillar", "saltutil", "schedule", "service", "status", "sys", "test",
];

/// Functions of these modules that the agent does not have, by the reason.
const LEFT_OUT: &[(&str, &[&str])] = &[
    (
        "they run code that a master sends, act as a master, or need its peer interface",
        &[
            "cmd.exec_code",
            "cmd.exec_code_all",
            "cmd.script",
            "cmd.script_retcode",
            "cp.recv",
            "cp.recv_chunked",
            "cp.cache_file_ssh",
            "cp.hash_file_ssh",
            "saltutil.refresh_resources",
            "saltutil.sync_resources",
            "pillar.ext",
            "saltutil.cmd",
            "saltutil.cmd_iter",
            "saltutil.mmodule",
            "saltutil.runner",
            "saltutil.wheel",
            "schedule.copy",
            "schedule.move",
        ],
    ),
    (
        "they start programs beside a job, in another root, with PowerShell or on a terminal",
        &[
            "cmd.powershell",
            "cmd.powershell_all",
            "cmd.run_bg",
            "cmd.run_chroot",
            "cmd.shell_info",
            "cmd.tty",
        ],
    ),
    (
        "they are about Salt's own Python or its updates",
        &[
            "saltutil.regen_keys",
            "saltutil.update",
            "saltutil.clear_job_cache",
            "test.deprecation_warning",
            "test.module_report",
            "test.stack",
            "sys.state_argspec",
            "sys.state_doc",
            "sys.state_schema",
            "config.gather_bootstrap_script",
        ],
    ),
    (
        "they are for devices, labels and tools that a practice server does not use",
        &[
            "file.chattr",
            "file.get_devmm",
            "file.get_selinux_context",
            "file.lsattr",
            "file.mknod",
            "file.mknod_blkdev",
            "file.mknod_chrdev",
            "file.mknod_fifo",
            "file.restorecon",
            "file.set_selinux_context",
            "file.open_files",
            "file.patch",
            "file.psed",
            "file.sed",
            "file.sed_contains",
            "file.grep",
            "mine.get_docker",
            "service.firstboot",
            "status.proxy_reconnect",
        ],
    ),
    (
        "they are the inner parts of the file states, which have their own",
        &[
            "file.apply_template_on_contents",
            "file.check_file_meta",
            "file.check_managed",
            "file.check_managed_changes",
            "file.check_perms",
            "file.extract_hash",
            "file.get_diff",
            "file.get_managed",
            "file.get_source_sum",
            "file.makedirs_perms",
            "file.manage_file",
            "file.source_list",
            "cp.cache_local_file",
            "cp.get_template",
            "cp.list_master_symlinks",
            "cp.stat_file",
        ],
    ),
    (
        "files are replaced whole, without backups",
        &[
            "file.delete_backup",
            "file.list_backup",
            "file.list_backups",
            "file.list_backups_dir",
            "file.remove_backup",
            "file.restore_backup",
        ],
    ),
];

#[test]
fn take_what_salts_take() {
    with_salt("signatures beside Salt's", |series| {
        let side = Side::new()?;
        let calls: Vec<Call> = MODULES
            .iter()
            .map(|module| Call::new("sys.argspec", json!([format!("{module}.*")]), json!({})))
            .collect();
        let theirs = side.salt(series, &calls)?;
        let own = runtime().block_on(side.agent(&calls))?;
        let (mut wrong, mut missing) = (Vec::new(), Vec::new());
        for (own, theirs) in own.iter().zip(&theirs) {
            for (fun, spec) in theirs["ret"].as_object().into_iter().flatten() {
                match own["ret"].get(fun) {
                    Some(ours) if takes(ours, spec) => {}
                    Some(ours) => wrong.push(format!("{fun}\n    ours  {ours}\n    Salt  {spec}")),
                    None => missing.push(fun.clone()),
                }
            }
        }
        missing.retain(|fun| !LEFT_OUT.iter().any(|(_, funs)| funs.contains(&fun.as_str())));
        anyhow::ensure!(wrong.is_empty(), "{} signatures differ:\n{}", wrong.len(), wrong.join("\n"));
        anyhow::ensure!(
            missing.is_empty(),
            "functions of Salt that are neither here nor listed: {}",
            missing.join(" ")
        );
        Ok(())
    });
}

/// Whether every call that fits Salt's signature fits ours: the same names in the same places, with the same defaults.
fn takes(ours: &Value, salts: &Value) -> bool {
    let list = |spec: &Value, key: &str| spec[key].as_array().cloned().unwrap_or_default();
    let (names, wanted) = (list(ours, "args"), list(salts, "args"));
    let free = ours["kwargs"] == true;
    let placed = wanted.iter().zip(&names).all(|(wanted, name)| wanted == name);
    let enough = names.len() >= wanted.len() || free;
    let defaults = |spec: &Value| {
        let (names, values) = (list(spec, "args"), list(spec, "defaults"));
        let required = names.len() - values.len().min(names.len());
        names.into_iter().skip(required).zip(values).collect::<Vec<_>>()
    };
    let (ours_default, salts_default) = (defaults(ours), defaults(salts));
    let same = salts_default.iter().all(|(name, value)| {
        ours_default.iter().find(|(held, _)| held == name).is_none_or(|(_, held)| {
            held == value || value.is_string() && value.as_str().is_some_and(|text| text.contains("NOT_SET"))
        })
    });
    let optional = |name: &Value| ours_default.iter().any(|(held, _)| held == name);
    let extra = names.iter().skip(wanted.len()).all(optional);
    let flags = |key: &str| salts[key] != true || ours[key] == true;
    placed && enough && same && extra && flags("varargs") && flags("kwargs")
}
