//! Calls whose answers must be Salt's: letter for letter, or name for name and kind for kind where the figures are the
//! moment's.

use serde_json::{Value, json};

use super::{Call, Side, exists, runtime, shape, with_root, with_salt, without_root};

/// How closely answers are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Close {
    /// Letter for letter.
    Same,
    /// Names and kinds.
    Shape,
    /// The class of error.
    Class,
}

fn cases() -> Vec<(Close, Call)> {
    let none = || json!({});
    let same = |fun: &str, args: Value| (Close::Same, Call::new(fun, args, json!({})));
    let alike = |fun: &str, args: Value| (Close::Shape, Call::new(fun, args, json!({})));
    let named = |fun: &str, args: Value, kwargs: Value| (Close::Same, Call::new(fun, args, kwargs));
    let wrong = |fun: &str, args: Value| (Close::Class, Call::new(fun, args, json!({})));
    let mut cases = vec![
        // Facts of files.
        same("file.file_exists", json!(["@/work/lines.txt"])),
        same("file.file_exists", json!(["@/work"])),
        same("file.directory_exists", json!(["@/work"])),
        same("file.path_exists_glob", json!(["@/work/*.txt"])),
        same("file.path_exists_glob", json!(["@/work/*.nothing"])),
        same("file.is_link", json!(["@/work/link"])),
        same("file.readlink", json!(["@/work/link"])),
        named("file.readlink", json!(["@/work/link"]), json!({ "canonicalize": true })),
        same("file.readlink", json!(["@/work/lines.txt"])),
        same("file.readlink", json!(["work"])),
        same("file.get_mode", json!(["@/work/lines.txt"])),
        same("file.get_user", json!(["@/work/lines.txt"])),
        same("file.get_group", json!(["@/work/lines.txt"])),
        same("file.get_uid", json!(["@/work/lines.txt"])),
        same("file.get_gid", json!(["@/work/lines.txt"])),
        alike("file.stats", json!(["@/work/lines.txt"])),
        named("file.stats", json!(["@/nothing"]), none()),
        alike("file.lstat", json!(["@/work/link"])),
        same("file.lstat", json!(["@/nothing"])),
        alike("file.statvfs", json!(["@/work"])),
        same("file.statvfs", json!(["@/nothing"])),
        same("file.access", json!(["@/work/lines.txt", "f"])),
        same("file.access", json!(["@/work/lines.txt", "x"])),
        same("file.access", json!(["@/work/lines.txt", "q"])),
        same("file.is_hardlink", json!(["@/work/lines.txt"])),
        same("file.is_fifo", json!(["@/work/lines.txt"])),
        same("file.is_chrdev", json!(["/dev/null"])),
        same("file.get_hash", json!(["@/work/lines.txt"])),
        same("file.get_hash", json!(["@/work/lines.txt", "sha1"])),
        same("file.get_sum", json!(["@/work/lines.txt", "sha512"])),
        same("file.check_hash", json!(["@/work/lines.txt", "sha256:abc"])),
        same("file.uid_to_user", json!([0])),
        same("file.uid_to_user", json!([54321])),
        same("file.user_to_uid", json!(["root"])),
        same("file.user_to_uid", json!(["no-such-user"])),
        same("file.gid_to_group", json!([0])),
        same("file.group_to_gid", json!(["root"])),
        same("file.find", json!(["@/work"])),
        named("file.find", json!(["@/work"]), json!({ "name": "*.txt" })),
        named("file.find", json!(["@/work"]), json!({ "type": "d" })),
        named("file.find", json!(["@/work"]), json!({ "iname": "*.CONF", "print": "name" })),
        named("file.find", json!(["@/work"]), json!({ "maxdepth": 1, "type": "f" })),
        named("file.find", json!(["@/work"]), json!({ "regex": ".*e\\.txt$", "mindepth": 1 })),
        named("file.find", json!(["@/work"]), json!({ "size": "+15", "print": "name,type" })),
        named("file.find", json!(["@/work"]), json!({ "owner": "root" })),
        same("file.diskusage", json!(["@/work/sub"])),
        same("file.basename", json!(["/a/b.c"])),
        same("file.dirname", json!(["/a/b.c"])),
        same("file.join", json!(["/a", "b", "c"])),
        same("file.normpath", json!(["/a/../b//c/."])),
        same("file.pardir", json!([])),
        // What files hold.
        same("file.read", json!(["@/work/lines.txt"])),
        same("file.read", json!(["@/nothing"])),
        same("file.contains", json!(["@/work/lines.txt", "two"])),
        same("file.contains_regex", json!(["@/work/lines.txt", "^tw"])),
        same("file.contains_glob", json!(["@/work/lines.txt", "*three*"])),
        same("file.search", json!(["@/work/lines.txt", "^four$"])),
        same("file.search", json!(["@/work/lines.txt", "five"])),
        named("file.search", json!(["@/nothing", "x"]), json!({ "ignore_if_missing": true })),
        // Changes.
        same("file.touch", json!(["@/work/new"])),
        same("file.touch", json!(["@/no/folder"])),
        named("file.touch", json!(["@/work/new"]), json!({ "mtime": "x" })),
        same("file.write", json!(["@/work/written", "a", "b"])),
        same("file.append", json!(["@/work/bare.txt", "more"])),
        named("file.append", json!(["@/work/bare.txt"]), json!({ "args": ["x", "y"] })),
        same("file.read", json!(["@/work/bare.txt"])),
        wrong("file.append", json!(["@/nothing", "more"])),
        same("file.prepend", json!(["@/work/written", "first"])),
        same("file.read", json!(["@/work/written"])),
        same("file.truncate", json!(["@/work/written", 5])),
        same("file.seek_read", json!(["@/work/lines.txt", 3, 0])),
        same("file.set_mode", json!(["@/work/written", "0600"])),
        same("file.set_mode", json!(["@/nothing", "0600"])),
        same("file.chown", json!(["@/work/written", "no-such-user", "root"])),
        same("file.mkdir", json!(["@/made/deep"])),
        same("file.makedirs", json!(["@/also/made/"])),
        same("file.makedirs", json!(["@/also/made/"])),
        same("file.symlink", json!(["@/work/lines.txt", "@/work/second"])),
        same("file.symlink", json!(["@/work/lines.txt", "@/work/second"])),
        same("file.symlink", json!(["@/work/other", "@/work/second"])),
        same("file.symlink", json!(["@/work/other", "relative"])),
        same("file.link", json!(["@/work/lines.txt", "@/work/hard"])),
        same("file.copy", json!(["@/work/lines.txt", "@/work/copied"])),
        same("file.copy", json!(["@/work/sub", "@/work/copied-sub"])),
        named("file.copy", json!(["@/work/sub", "@/work/copied-sub"]), json!({ "recurse": true })),
        same("file.copy", json!(["@/nothing", "@/work/x"])),
        same("file.rename", json!(["@/work/copied", "@/work/renamed"])),
        same("file.rename", json!(["@/nothing", "@/work/x"])),
        same("file.move", json!(["@/work/renamed", "@/work/sub"])),
        same("file.move", json!(["relative", "@/work/sub"])),
        same("file.remove", json!(["@/work/sub"])),
        same("file.remove", json!(["@/nothing"])),
        same("file.remove", json!(["relative"])),
        same("file.rmdir", json!(["@/empty"])),
        same("file.rmdir", json!(["@/nothing"])),
        named("file.rmdir", json!(["@/made"]), json!({ "recurse": true, "verbose": true })),
    ];
    cases.extend(edits());
    cases.extend(plain_modules());
    cases.extend(status_module());
    cases
}

/// Changes within a file, and what it holds after them.
fn edits() -> Vec<(Close, Call)> {
    let named = |fun: &str, args: Value, kwargs: Value| (Close::Same, Call::new(fun, args, kwargs));
    let read = || (Close::Same, Call::new("file.read", json!(["@/work/edited"]), json!({})));
    vec![
        named("file.write", json!(["@/work/edited", "alpha = 1", "# beta = 2", "gamma = 3"]), json!({})),
        named("file.replace", json!(["@/work/edited", "= (\\d)", "= \\g<1>0"]), json!({})),
        read(),
        named("file.replace", json!(["@/work/edited", "nothing", "x"]), json!({ "show_changes": false })),
        named(
            "file.replace",
            json!(["@/work/edited", "^delta.*$", "delta = 4"]),
            json!({ "append_if_not_found": true, "backup": false }),
        ),
        named("file.replace", json!(["@/work/edited", "alpha", "x"]), json!({ "dry_run": true })),
        named("file.replace", json!(["@/nothing", "alpha", "x"]), json!({})),
        named("file.comment", json!(["@/work/edited", "^gamma"]), json!({})),
        named("file.uncomment", json!(["@/work/edited", "beta"]), json!({})),
        named("file.uncomment", json!(["@/work/edited", "nothing"]), json!({})),
        read(),
        named(
            "file.line",
            json!(["@/work/edited", "first"]),
            json!({ "mode": "insert", "location": "start" }),
        ),
        named("file.line", json!(["@/work/edited", "first"]), json!({ "mode": "ensure", "before": "alpha" })),
        named("file.line", json!(["@/work/edited"]), json!({ "mode": "delete", "match": "alpha" })),
        named("file.line", json!(["@/work/edited", "x"]), json!({})),
        named("file.line", json!(["@/nothing", "x"]), json!({ "mode": "ensure" })),
        named("file.blockreplace", json!(["@/work/edited"]), json!({ "content": "one\ntwo\n" })),
        named(
            "file.blockreplace",
            json!(["@/work/edited"]),
            json!({ "content": "one\ntwo\n", "append_if_not_found": true }),
        ),
        read(),
    ]
}

/// Modules whose answers depend on nothing but the call and the configuration.
fn plain_modules() -> Vec<(Close, Call)> {
    let same = |fun: &str, args: Value| (Close::Same, Call::new(fun, args, json!({})));
    let named = |fun: &str, args: Value, kwargs: Value| (Close::Same, Call::new(fun, args, kwargs));
    vec![
        same("environ.setval", json!(["SALT_TEST_ONE", "1"])),
        same("environ.setval", json!(["SALT_TEST_ONE", 1])),
        same("environ.get", json!(["SALT_TEST_ONE"])),
        same("environ.get", json!(["SALT_TEST_NONE", "default"])),
        same("environ.has_value", json!(["SALT_TEST_ONE", "1"])),
        same("environ.has_value", json!(["SALT_TEST_NONE"])),
        same("environ.item", json!([["SALT_TEST_ONE", "SALT_TEST_NONE"]])),
        same("environ.setenv", json!([{ "SALT_TEST_TWO": "2", "SALT_TEST_ONE": false }])),
        same("environ.setenv", json!(["text"])),
        named("environ.setval", json!(["SALT_TEST_TWO", false]), json!({ "false_unsets": true })),
        same("data.update", json!(["key", [1, "two"]])),
        same("data.get", json!(["key"])),
        same("data.get", json!([["key", "none"]])),
        same("data.has_key", json!(["none"])),
        same("data.cas", json!(["key", 2, 1])),
        same("data.items", json!([])),
        same("data.keys", json!([])),
        same("data.pop", json!(["key"])),
        same("data.load", json!([])),
        same("match.glob", json!(["m*"])),
        same("match.list", json!(["x,m1"])),
        same("match.grain", json!(["practice:dol*"])),
        same("match.grain_pcre", json!(["site:state:^T"])),
        same("match.compound", json!(["m1 and not G@practice:orca"])),
        same("match.pcre", json!(["["])),
        same("match.ipcidr", json!(["127.0.0.0/8"])),
        same("match.filter_by", json!([{ "x*": 1, "m*": 2 }])),
        same("match.filter_by", json!([{ "x*": 1, "default": { "a": 1 } }])),
        same("match.search_by", json!([{ "web": ["x*"], "ehr": ["G@practice:dolphin", "m1"] }])),
        named("match.ifelse", json!(["x*", 1, "m1", 2, 3]), json!({})),
        same("test.echo", json!(["text"])),
        (Close::Shape, Call::new("test.fib", json!([7]), json!({}))),
        (Close::Shape, Call::new("test.collatz", json!([6]), json!({}))),
        same("test.provider", json!(["test"])),
        named("test.arg", json!([1, "a"]), json!({ "b": [2] })),
        same("test.arg_type", json!([1, "a", [1]])),
        same("test.retcode", json!([0])),
        same("grains.get", json!(["site:state"])),
        same("grains.item", json!(["practice", "none"])),
        same("grains.has_value", json!(["rooms"])),
        same("grains.equals", json!(["site:chairs", 4])),
        same("grains.filter_by", json!([{ "Debian": { "a": 1 }, "default": 2 }])),
        same("grains.setval", json!(["kept", "one"])),
        same("grains.append", json!(["rooms", "green"])),
        same("grains.append", json!(["practice", "x"])),
        same("grains.remove", json!(["rooms", "purple"])),
        same("config.get", json!(["site:state"])),
        same("config.get", json!(["no:such", "default"])),
        same("config.option", json!(["practice"])),
        same("config.option", json!(["none"])),
        same("config.merge", json!(["none", "default"])),
        same("config.backup_mode", json!(["minion"])),
        same("config.manage_mode", json!(["0o640"])),
        same("config.valid_fileproto", json!(["salt://x"])),
        same("pillar.get", json!(["none", "default"])),
        same("pillar.items", json!([])),
        same("sys.list_returner_functions", json!(["nothing-of-that-name"])),
        same("sys.list_functions", json!(["test.p*"])),
        same("sys.list_functions", json!(["environ"])),
        same("sys.argspec", json!([])),
        same("schedule.build_schedule_item", json!(["job1"])),
        named(
            "schedule.build_schedule_item",
            json!(["job1"]),
            json!({ "function": "test.ping", "seconds": 3600, "job_args": [1] }),
        ),
        named(
            "schedule.build_schedule_item",
            json!(["job1"]),
            json!({ "function": "test.ping", "when": "soon" }),
        ),
        named(
            "schedule.build_schedule_item",
            json!(["job1"]),
            json!({ "function": "test.ping", "when": "5:00pm", "cron": "* * * * *" }),
        ),
        named("schedule.list", json!([]), json!({ "offline": true })),
        named(
            "schedule.add",
            json!(["job1"]),
            json!({ "function": "test.ping", "seconds": 3600, "offline": true, "test": true }),
        ),
        same("cmd.which", json!(["sh"])),
        same("cmd.which", json!(["no-such-program"])),
        same("cmd.has_exec", json!(["no-such-program"])),
        // Commands, as from a template: no shell unless asked for.
        same("cmd.run", json!(["echo 'a  b' \"c\"; echo d"])),
        named("cmd.run", json!(["echo a | tr a b; echo c >&2"]), json!({ "python_shell": true })),
        named("cmd.run", json!(["echo $0"]), json!({ "python_shell": true, "shell": "/bin/bash" })),
        named("cmd.run", json!(["echo $0"]), json!({ "python_shell": true, "shell": "/bin/sh" })),
        named("cmd.run", json!(["echo a"]), json!({ "python_shell": true, "shell": "/no/such/shell" })),
        same("cmd.shell", json!(["echo a; echo b >&2"])),
        same("cmd.run", json!([["sh", "-c", "echo out; echo err >&2"]])),
        same("cmd.run_stdout", json!([["sh", "-c", "echo out; echo err >&2"]])),
        same("cmd.run_stderr", json!(["sh -c 'echo out; echo err >&2'"])),
        same("cmd.retcode", json!(["sh -c 'exit 7'"])),
        (Close::Shape, Call::new("cmd.run_all", json!(["sh -c 'echo out; exit 7'"]), json!({}))),
        (Close::Class, Call::new("cmd.run", json!(["no-such-program --now"]), json!({}))),
        named(
            "cmd.run",
            json!(["echo $A-$HOME"]),
            json!({ "python_shell": true, "env": { "A": "1" }, "clean_env": true }),
        ),
        named("cmd.run", json!(["tool"]), json!({ "python_shell": true, "prepend_path": "@/work/bin" })),
        named("cmd.run", json!(["cat"]), json!({ "stdin": "given" })),
        named("cmd.run", json!(["pwd"]), json!({ "cwd": "@/work" })),
        same("saltutil.find_cached_job", json!(["20260101000000000000"])),
        same("saltutil.list_extmods", json!([])),
    ]
}

fn status_module() -> Vec<(Close, Call)> {
    let alike = |fun: &str| (Close::Shape, Call::new(fun, json!([]), json!({})));
    vec![
        alike("status.uptime"),
        alike("status.loadavg"),
        alike("status.meminfo"),
        alike("status.cpuinfo"),
        alike("status.cpustats"),
        alike("status.diskstats"),
        alike("status.diskusage"),
        alike("status.vmstats"),
        alike("status.netdev"),
        alike("status.netstats"),
        alike("status.w"),
        alike("status.time"),
        (Close::Same, Call::new("status.version", json!([]), json!({}))),
        (Close::Same, Call::new("status.nproc", json!([]), json!({}))),
        (Close::Same, Call::new("status.diskusage", json!(["/no/such/kind"]), json!({}))),
    ]
}

/// Answers that differ on purpose.
const DIFFERENT: &[(&str, &str)] = &[
    (
        r#"pillar.get ["none","default"]"#,
        "3008 masks even the default; here only the operator's own `pillar_mask_output` masks, as 3006 shows it",
    ),
    ("saltutil.list_extmods []", "Salt raises where nothing was ever synced"),
    (
        r#"status.diskusage ["/no/such/kind"]"#,
        "Salt raises for a mount point that is none; here it is left out",
    ),
];

#[test]
fn answers_are_salts() {
    with_salt("execution functions beside Salt's", |series| {
        let (ours, salts) = (Side::new()?, Side::new()?);
        let cases = cases();
        let calls = |root: &str| -> Vec<Call> {
            let placed = |(_, call): &(Close, Call)| Call {
                fun: call.fun.clone(),
                args: with_root(&call.args, root),
                kwargs: with_root(&call.kwargs, root),
            };
            cases.iter().map(placed).collect()
        };
        let theirs = salts.salt(series, &calls(&salts.root()))?;
        let own = runtime().block_on(ours.agent(&calls(&ours.root())))?;
        let mut wrong = Vec::new();
        for (((close, call), own), theirs) in cases.iter().zip(&own).zip(&theirs) {
            let (own, theirs) = (without_root(own, &ours.root()), without_root(theirs, &salts.root()));
            let told = format!("{} {}", call.fun, call.args);
            if DIFFERENT.iter().any(|(name, _)| *name == told) {
                continue;
            }
            let equal = match close {
                Close::Same => own == theirs,
                Close::Shape => shape(&own) == shape(&theirs),
                Close::Class => own["error"][0] == theirs["error"][0] && own["error"][0].is_string(),
            };
            if !equal {
                wrong.push(format!("{told} {}\n    ours  {own}\n    Salt  {theirs}", call.kwargs));
            }
        }
        exists(&ours.scratch.join("root/work/written"))?;
        anyhow::ensure!(
            wrong.is_empty(),
            "{} of {} answers differ:\n{}",
            wrong.len(),
            cases.len(),
            wrong.join("\n")
        );
        Ok(())
    });
}
