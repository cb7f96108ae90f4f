//! The arguments of `file.managed`, checked before anything is looked at.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use states::{Map, Value};

use super::disk::octal;
use crate::state_modules::StateArgs;

/// Where the content comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// Nowhere: the file is only made sure to exist.
    None,
    /// One or more places, the first that exists wins.
    Files(Vec<String>),
    /// Given in the state.
    Contents(Value),
    /// Pillar values, joined by lines.
    Pillar(Vec<String>),
    /// Grains, joined by lines.
    Grains(Vec<String>),
}

/// The arguments.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) source: Source,
    pub(super) mode: Option<u32>,
    /// What a new file without a mode does not allow.
    pub(super) umask: Option<u32>,
    /// The mode is that of the source.
    pub(super) keep_mode: bool,
    pub(super) dir_mode: Option<u32>,
    pub(super) user: Option<String>,
    pub(super) group: Option<String>,
    pub(super) template: Option<String>,
    pub(super) variables: Map,
    pub(super) delimiter: String,
    pub(super) makedirs: bool,
    pub(super) replace: bool,
    pub(super) create: bool,
    pub(super) show_changes: bool,
    pub(super) newline: bool,
    pub(super) allow_empty: bool,
    pub(super) new_file_diff: bool,
    pub(super) follow_symlinks: bool,
    pub(super) backup: bool,
    pub(super) check_cmd: Option<String>,
    pub(super) source_hash: Option<Value>,
    pub(super) source_hash_name: Option<String>,
    pub(super) skip_verify: bool,
}

impl Options {
    pub(super) fn read(args: &StateArgs) -> Result<Self, String> {
        let given = |key: &str| args.args.get(key).filter(|value| !value.is_nil());
        let flag = |key: &str, default: bool| given(key).map_or(default, Value::is_truthy);
        let text = |key: &str| given(key).map(ToString::to_string);
        for key in REFUSED {
            if given(key).is_some_and(Value::is_truthy) {
                return Err(format!("The '{key}' option of file.managed is not supported by this minion"));
            }
        }
        if text("encoding")
            .is_some_and(|name| !matches!(name.to_lowercase().as_str(), "utf-8" | "utf8" | "ascii"))
        {
            return Err("The 'encoding' option of file.managed supports only utf-8 on this minion".to_owned());
        }
        let source = source(args)?;
        if given("mode").is_some() && cfg!(windows) {
            return Err("The 'mode' option is not supported on Windows".to_owned());
        }
        let keep_mode = text("mode").is_some_and(|mode| mode.to_lowercase() == "keep");
        if keep_mode && !matches!(source, Source::Files(_) | Source::None) {
            return Err("Mode preservation cannot be used in combination with 'contents', 'contents_pillar', or 'contents_grains'".to_owned());
        }
        let mode = text("mode").filter(|_| !keep_mode).map(|mode| octal(&mode)).transpose()?;
        let replace = flag("replace", true) && source != Source::None;
        Ok(Self {
            source,
            mode,
            umask: text("umask").map(|umask| octal(&umask)).transpose()?,
            keep_mode,
            dir_mode: text("dir_mode").map(|mode| octal(&mode)).transpose()?,
            user: text("user"),
            group: text("group"),
            template: text("template"),
            variables: variables(args)?,
            delimiter: text("contents_delimiter").unwrap_or_else(|| ":".to_owned()),
            makedirs: flag("makedirs", false),
            replace,
            create: flag("create", true),
            show_changes: flag("show_changes", true),
            newline: flag("contents_newline", true),
            allow_empty: flag("allow_empty", true),
            new_file_diff: flag("new_file_diff", false),
            follow_symlinks: flag("follow_symlinks", true),
            backup: backup(given("backup"))?,
            check_cmd: text("check_cmd"),
            source_hash: given("source_hash").filter(|hash| hash.is_truthy()).cloned(),
            source_hash_name: text("source_hash_name"),
            skip_verify: flag("skip_verify", false),
        })
    }
}

fn source(args: &StateArgs) -> Result<Source, String> {
    let given = |key: &str| args.args.get(key).filter(|value| !value.is_nil());
    let (contents, pillar, grains) = (given("contents"), given("contents_pillar"), given("contents_grains"));
    let count = [contents, pillar, grains].iter().flatten().count();
    let source = given("source").filter(|source| source.is_truthy());
    if source.is_some() && count > 0 {
        return Err(
            "'source' cannot be used in combination with 'contents', 'contents_pillar', or 'contents_grains'"
                .to_owned(),
        );
    }
    if count > 1 {
        return Err(
            "Only one of 'contents', 'contents_pillar', and 'contents_grains' is permitted".to_owned()
        );
    }
    Ok(match (source, contents, pillar, grains) {
        (Some(source), ..) => Source::Files(names(source)),
        (_, Some(contents), ..) => Source::Contents(contents.clone()),
        (_, _, Some(pillar), _) => Source::Pillar(names(pillar)),
        (_, _, _, Some(grains)) => Source::Grains(names(grains)),
        (None, None, None, None) => Source::None,
    })
}

/// A list of names; a list of maps counts by their keys, as in Salt's `source` lists.
fn names(value: &Value) -> Vec<String> {
    let name = |item: &Value| item.as_map().and_then(Map::first).map_or(item, |(name, _)| name).to_string();
    match value {
        Value::List(items) => items.iter().map(name).collect(),
        other => vec![name(other)],
    }
}

pub(super) fn variables(args: &StateArgs) -> Result<Map, String> {
    let mut variables = Map::new();
    for (key, refusal) in
        [("defaults", "Defaults must be formed as a dict"), ("context", "Context must be formed as a dict")]
    {
        match args.args.get(key) {
            None | Some(Value::Nil) => {}
            Some(Value::Map(map)) => variables.extend(map.clone()),
            // Salt takes a list of single maps too, which is how a careless SLS writes it.
            Some(Value::List(items)) if items.iter().all(|item| item.as_map().is_some()) => {
                variables.extend(items.iter().filter_map(Value::as_map).flat_map(Map::clone));
            }
            Some(_) => return Err(refusal.to_owned()),
        }
    }
    Ok(variables)
}

/// Whether a copy of the old file is kept on this machine.
fn backup(given: Option<&Value>) -> Result<bool, String> {
    match given.map(ToString::to_string).as_deref() {
        None | Some("" | "False") => Ok(false),
        Some("minion" | "both") => Ok(true),
        Some("master") => {
            Err("Backups of files can be kept on this machine only: set 'backup' to minion".to_owned())
        }
        Some(_) => Ok(false),
    }
}

/// Arguments that would be dangerous to ignore.
const REFUSED: &[&str] = &[
    "attrs",
    "ignore_comment_characters",
    "ignore_ordering",
    "ignore_whitespace",
    "selinux",
    "signature",
    "source_hash_sig",
    "win_deny_perms",
    "win_owner",
    "win_perms",
];
