//! `onlyif`, `unless`, `creates`: whether a state needs to run at all; and `check_cmd`: whether it succeeded.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::collections::VecDeque;

use super::{Answer, Question};
use crate::{LowChunk, Map, Value};

/// The guards of one chunk, asked one entry at a time.
#[derive(Debug)]
pub(super) struct Guards {
    pending: VecDeque<Guard>,
    comments: Vec<String>,
    /// Whether any guard says that there is no need to run.
    skip: bool,
    /// Why an answer could not be found.
    refusal: Option<String>,
    options: Map,
}

/// One guard with the entries that have not been asked.
#[derive(Debug)]
struct Guard {
    kind: Kind,
    entries: VecDeque<Value>,
    comment: String,
    skips: bool,
    /// The path, when `creates` names one.
    only_path: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    OnlyIf,
    Unless,
    Creates,
}

impl Guards {
    pub(super) fn of(chunk: &LowChunk) -> Guards {
        let mut pending = VecDeque::new();
        for (keyword, kind) in
            [("onlyif", Kind::OnlyIf), ("unless", Kind::Unless), ("creates", Kind::Creates)]
        {
            if let Some(value) = chunk.keywords.get(keyword) {
                let entries = match value {
                    Value::List(items) => items.iter().cloned().collect(),
                    single => VecDeque::from([single.clone()]),
                };
                let only_path = value.as_str().filter(|_| kind == Kind::Creates).map(str::to_owned);
                pending.push_back(Guard { kind, entries, comment: String::new(), skips: false, only_path });
            }
        }
        Guards { pending, comments: Vec::new(), skip: false, refusal: None, options: command_options(chunk) }
    }

    /// The next question, while there is one.
    pub(super) fn question(&mut self) -> Option<Question> {
        while let Some(guard) = self.pending.front_mut() {
            match guard.entries.front() {
                Some(entry) => match question(guard.kind, entry, &self.options) {
                    Some(question) => return Some(question),
                    None => guard.bad_entry(),
                },
                None => self.close_front(),
            }
        }
        None
    }

    /// Takes the answer to the last question.
    pub(super) fn answer(&mut self, answer: &Answer) {
        let Some(guard) = self.pending.front_mut() else { return };
        let entry = guard.entries.pop_front();
        match holds(&traversed(answer, entry.as_ref())) {
            Ok(truth) => guard.hear(truth),
            Err(reason) => {
                self.refusal = Some(reason);
                self.pending.clear();
            }
        }
    }

    /// Why an answer could not be found: the state fails with this.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// The comment, when the guards say that the state need not run.
    pub(super) fn verdict(&self) -> Option<String> {
        self.skip.then(|| self.comments.join("\n"))
    }

    fn close_front(&mut self) {
        let Some(guard) = self.pending.pop_front() else { return };
        self.skip |= guard.skips;
        self.comments.push(guard.comment);
    }
}

impl Guard {
    /// One entry is true or false.
    fn hear(&mut self, truth: bool) {
        match (self.kind, truth) {
            (Kind::OnlyIf, true) => self.comment = "onlyif condition is true".to_owned(),
            // One false entry is enough.
            (Kind::OnlyIf, false) => self.decide("onlyif condition is false", true),
            (Kind::Unless, true) => {
                self.comment = "unless condition is true".to_owned();
                self.skips = true;
            }
            (Kind::Unless, false) => self.decide("unless condition is false", false),
            (Kind::Creates, true) => {
                self.comment = match &self.only_path {
                    Some(path) => format!("{path} exists"),
                    None => "All files in creates exist".to_owned(),
                };
                self.skips = true;
            }
            (Kind::Creates, false) => self.decide("Creates files not found", false),
        }
    }

    fn decide(&mut self, comment: &'static str, skips: bool) {
        self.comment = comment.to_owned();
        self.skips = skips;
        self.entries.clear();
    }

    fn bad_entry(&mut self) {
        match self.kind {
            Kind::OnlyIf => self.decide("onlyif execution failed, bad type passed", false),
            Kind::Unless | Kind::Creates => {
                self.comment = "unless condition is false, bad type passed".to_owned();
                self.skips = false;
                self.entries.pop_front();
            }
        }
    }
}

/// Whether an answer makes a condition true; the reason when there is no answer.
fn holds(answer: &Answer) -> Result<bool, String> {
    match answer {
        Answer::Exit(code) => Ok(*code == 0),
        Answer::Value(value) => Ok(value.is_truthy()),
        Answer::Exists(exists) => Ok(*exists),
        Answer::Refused(reason) => Err(reason.clone()),
    }
}

/// With `get_return: a:b` the entry asks for a part of what its function returns.
fn traversed(answer: &Answer, entry: Option<&Value>) -> Answer {
    let path = entry.and_then(|entry| entry.get("get_return")).and_then(Value::as_str);
    match (answer, path) {
        (Answer::Value(value), Some(path)) => {
            let found = path.split(':').try_fold(value, |at, key| match at {
                Value::List(items) => key.parse::<usize>().ok().and_then(|at| items.get(at)),
                other => other.get(key),
            });
            Answer::Value(found.cloned().unwrap_or_default())
        }
        (answer, _) => answer.clone(),
    }
}

fn question(kind: Kind, entry: &Value, options: &Map) -> Option<Question> {
    match (kind, entry) {
        (Kind::Creates, Value::Str(path)) => Some(Question::Path(path.clone())),
        (Kind::Creates, _) => None,
        (_, Value::Str(command)) => {
            Some(Question::Command { command: command.clone(), options: options.clone() })
        }
        (_, Value::Map(call)) => function(call),
        (_, _) => None,
    }
}

/// `{fun: mod.fun, args: [..], key: value}`.
fn function(call: &Map) -> Option<Question> {
    let fun = call.get("fun")?.as_str()?.to_owned();
    let args = call.get("args").and_then(Value::as_list).unwrap_or_default().to_vec();
    let mut kwargs = call.clone();
    for taken in ["fun", "args", "get_return"] {
        kwargs.remove(taken);
    }
    Some(Question::Function { fun, args, kwargs })
}

/// What of the chunk shapes the commands of its guards.
fn command_options(chunk: &LowChunk) -> Map {
    let excluded = chunk.keywords.get("cmd_opts_exclude");
    let is_excluded = |name: &str| match excluded {
        Some(Value::List(names)) => names.iter().any(|excluded| excluded.as_str() == Some(name)),
        Some(excluded) => excluded.as_str() == Some(name),
        None => false,
    };
    let names =
        ["cwd", "root", "runas", "env", "prepend_path", "umask", "timeout", "success_retcodes", "shell"];
    names
        .into_iter()
        .filter(|name| !is_excluded(name))
        .filter_map(|name| {
            let value = chunk.keywords.get(name).or_else(|| chunk.args.get(name))?;
            Some((name, value.clone()))
        })
        .collect()
}

/// The commands of `check_cmd`.
#[derive(Debug, Default)]
pub(super) struct Checks {
    commands: VecDeque<String>,
    verdict: Option<bool>,
    refusal: Option<String>,
}

impl Checks {
    pub(super) fn of(chunk: &LowChunk) -> Checks {
        let commands = match chunk.keywords.get("check_cmd") {
            Some(Value::Str(command)) => VecDeque::from([command.clone()]),
            // Salt runs what is no text as the text that Python makes of it, which fails.
            Some(Value::List(commands)) => commands.iter().map(ToString::to_string).collect(),
            Some(_) | None => VecDeque::new(),
        };
        Checks { commands, verdict: None, refusal: None }
    }

    pub(super) fn question(&self) -> Option<Question> {
        let command = self.commands.front()?.clone();
        Some(Question::Command { command, options: Map::new() })
    }

    pub(super) fn answer(&mut self, answer: &Answer) {
        self.commands.pop_front();
        let passed = holds(answer);
        let passed = passed.unwrap_or_else(|reason| {
            self.refusal = Some(reason);
            false
        });
        self.verdict = Some(passed);
        if !passed {
            self.commands.clear();
        }
    }

    /// Lets the verdict replace what the state function said.
    pub(super) fn apply(&self, ret: &mut Map) {
        let Some(passed) = self.verdict else { return };
        let word = if passed { "succeeded" } else { "failed" };
        ret.insert("result", passed);
        let comment = format!("check_cmd determined the state {word}");
        ret.insert("comment", self.refusal.clone().unwrap_or(comment));
    }
}
