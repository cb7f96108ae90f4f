//! The `highstate` layout: each state of a run, and the summary.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use super::color::Colors;
use super::{Options, StateOutput, disarmed, lines, nested};
use crate::{Map, Value};

pub(super) fn print(data: &Value, options: &Options, colors: &Colors) -> String {
    let data = data.get("return").unwrap_or(data);
    let data = data.get("data").unwrap_or(data);
    match data {
        Value::Map(hosts) => {
            let hosts = hosts.iter().map(|(host, ret)| self::host(&host.to_string(), ret, options, colors).0);
            hosts.collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

/// One host, and whether anything changed there.
fn host(host: &str, ret: &Value, options: &Options, colors: &Colors) -> (String, bool) {
    let mut page =
        Page { options, colors, color: colors.green, lines: Vec::new(), counts: Counts::default() };
    match ret {
        Value::List(errors) => page.errors(errors),
        Value::Map(states) => {
            page.states(states);
            page.summary(host);
        }
        Value::Str(text) => {
            page.plain(&lines(text));
        }
        scalar => page.plain(&[&scalar.to_string()]),
    }
    let Page { color, lines, counts, .. } = page;
    let mut all = vec![format!("{color}{}:{}", disarmed(host), colors.end)];
    all.extend(lines);
    (all.join("\n"), counts.changed > 0)
}

/// What is printed for one host so far.
struct Page<'a> {
    options: &'a Options,
    colors: &'a Colors,
    color: &'static str,
    lines: Vec<String>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    succeeded: usize,
    failed: usize,
    unchanged: usize,
    warnings: usize,
    changed: usize,
    duration: f64,
    longest_parallel: f64,
}

/// One state of a run.
struct Shown<'a> {
    ret: &'a Map,
    parts: [&'a str; 4],
    changed: bool,
    changes: String,
    color: &'static str,
}

impl Page<'_> {
    fn plain(&mut self, texts: &[&str]) {
        self.counts.changed = 1;
        for text in texts {
            self.lines.push(format!("{}    {text}{}", self.color, self.colors.end));
        }
        self.color = self.colors.cyan;
    }

    fn errors(&mut self, errors: &[Value]) {
        self.color = self.colors.light_red;
        let end = self.colors.end;
        self.lines.push(format!("    {}Data failed to compile:{end}", self.color));
        for error in errors {
            let error = disarmed(&error.to_string());
            self.lines.push(format!("{}----------\n    {error}{end}", self.color));
        }
    }

    fn states(&mut self, states: &Map) {
        for (_, ret) in states {
            if ret.as_map().is_some_and(|ret| !ret.is_empty() && !ret.contains_key("__run_num__")) {
                let error = "The State execution failed to record the order in which all states were executed. The \
                             state return missing data is:";
                self.lines.insert(0, ret.repr());
                self.lines.insert(0, error.to_owned());
            }
        }
        let mut states: Vec<(String, &Map)> = states
            .iter()
            .filter_map(|(tag, ret)| Some((tag.to_string(), ret.as_map()?)))
            .filter(|(_, ret)| ret.contains_key("result"))
            .collect();
        states.sort_by_key(|(_, ret)| ret.get("__run_num__").and_then(Value::as_int).unwrap_or(0));
        for (tag, ret) in states {
            self.state(&tag, ret);
        }
    }

    fn state(&mut self, tag: &str, ret: &Map) {
        self.count(ret);
        let (changed, changes) = self.changes(ret.get("changes").unwrap_or(&Value::Nil));
        self.counts.changed += usize::from(changed);
        let result = ret.get("result").unwrap_or(&Value::Nil);
        if !self.options.state_verbose && result.is_truthy() && !changed {
            return;
        }
        let mut color = if changed { self.colors.cyan } else { self.colors.green };
        match result {
            Value::Bool(false) => {
                self.color = self.colors.red;
                color = self.colors.red;
            }
            Value::Nil => {
                self.color = self.colors.light_yellow;
                color = self.colors.light_yellow;
            }
            _ => {}
        }
        let mut parts = [""; 4];
        for (part, text) in parts.iter_mut().zip(tag.split("_|-")) {
            *part = text;
        }
        if self.options.show_id_for_name {
            parts[2] = parts[1];
        }
        let shown = Shown { ret, parts, changed, changes, color };
        if self.is_terse(&shown, result) {
            let line = self.terse(&shown, result);
            self.lines.push(line);
        } else {
            self.full(&shown, result);
        }
    }

    fn is_terse(&self, shown: &Shown<'_>, result: &Value) -> bool {
        match self.options.state_output {
            StateOutput::Full => false,
            StateOutput::Terse => true,
            StateOutput::Mixed => *result != Value::Bool(false),
            StateOutput::Changes => result.is_truthy() && !shown.changed,
        }
    }

    fn count(&mut self, ret: &Map) {
        match ret.get("result") {
            Some(Value::Bool(false)) => self.counts.failed += 1,
            Some(Value::Nil) => self.counts.unchanged += 1,
            Some(_) | None => self.counts.succeeded += 1,
        }
        let duration = match ret.get("duration") {
            Some(Value::Str(text)) => text.trim_end_matches(" ms").parse().unwrap_or(0.0),
            Some(number) => number.as_float().unwrap_or(0.0),
            None => 0.0,
        };
        if ret.contains_key("__parallel__") {
            self.counts.longest_parallel = self.counts.longest_parallel.max(duration);
        } else {
            self.counts.duration += duration;
        }
    }

    /// Whether anything changed, and the changes as they are printed.
    fn changes(&self, changes: &Value) -> (bool, String) {
        if !changes.is_truthy() {
            return (false, String::new());
        }
        let Value::Map(map) = changes else { return (true, format!("Invalid Changes data: {changes}")) };
        if let (Some(Value::Map(hosts)), Some("highstate")) =
            (map.get("ret"), map.get("out").and_then(Value::as_str))
        {
            let mut text = String::new();
            let mut changed = false;
            for (name, ret) in hosts {
                let (page, host_changed) = host(&name.to_string(), ret, self.options, self.colors);
                changed |= host_changed;
                for line in lines(&page) {
                    text.push_str(&format!("\n{:14}{line}", ""));
                }
            }
            return (changed, text);
        }
        (true, format!("\n{}", nested::print(changes, 14, self.colors)))
    }

    fn full(&mut self, shown: &Shown<'_>, result: &Value) {
        let Shown { ret, parts: [module, id, name, fun], changes, color, .. } = shown;
        let end = self.colors.end;
        self.lines.push(format!("{color}----------{end}"));
        let mut push = |label: &str, text: &str| self.lines.push(format!("    {color}{label}{text}{end}"));
        push("      ID: ", id);
        push("Function: ", &format!("{module}.{fun}"));
        if id != name {
            push("    Name: ", name);
        }
        push("  Result: ", &result.to_string());
        push(" Comment: ", &comment(ret));
        if self.options.state_output_profile && ret.contains_key("start_time") {
            push(" Started: ", &text_of(ret, "start_time"));
            let duration = text_of(ret, "duration");
            push("Duration: ", &if duration.is_empty() { duration } else { format!("{duration} ms") });
        }
        self.lines.push(format!("{color}     Changes:   {changes}{end}"));
        if let Some(warnings) = ret.get("warnings") {
            self.counts.warnings += 1;
            let warnings = warnings.as_list().unwrap_or_default();
            let text = warnings.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
            let text = wrapped(&text);
            self.lines.push(format!("   {} Warnings: {text}{end}", self.colors.light_red));
        }
    }

    fn terse(&mut self, shown: &Shown<'_>, result: &Value) -> String {
        let Shown { ret, parts: [module, _, name, fun], color, .. } = shown;
        let mut word = if ret.get("changes").is_some_and(Value::is_truthy) { "Changed" } else { "Clean" };
        match result {
            Value::Bool(false) => word = "Failed",
            Value::Nil => word = "Differs",
            _ => {}
        }
        let mut line = String::new();
        if let Some(warnings) = ret.get("warnings").and_then(Value::as_list) {
            let text = warnings.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
            line = format!("{}Warnings:\n{text}{}", self.colors.light_red, self.colors.end);
        }
        line.push_str(&format!(" {color} Name: {name} - Function: {module}.{fun} - Result: {word}"));
        if self.options.state_output_profile && ret.contains_key("start_time") {
            let (started, duration) = (text_of(ret, "start_time"), text_of(ret, "duration"));
            line.push_str(&format!(" - Started: {started} - Duration: {duration} ms"));
        }
        line + self.colors.end
    }

    fn summary(&mut self, host: &str) {
        let Counts { succeeded, failed, unchanged, warnings, changed, .. } = self.counts;
        let widest = [succeeded, failed, unchanged, warnings].map(|count| count.to_string().len());
        let present = [succeeded, failed, unchanged, warnings].iter().any(|count| *count > 0);
        let digits = if present { widest.into_iter().max().unwrap_or(0) } else { 0 };
        // The longest label is "Succeeded".
        let width = 9 + digits + 2;
        let Colors { red, light_red, green, light_yellow, cyan, end } = *self.colors;
        let rule = "-".repeat(width);
        let count = |label: &str, count: usize| format!("{label}: {count:>0$}", width - label.len() - 2);
        self.lines.push(format!("{cyan}\nSummary for {host}\n{rule}{end}"));
        let mut notes = Vec::new();
        if unchanged > 0 {
            notes.push(format!("{light_yellow}unchanged={unchanged}{end}"));
        }
        if changed > 0 {
            notes.push(format!("{green}changed={changed}{end}"));
        }
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
        self.lines.push(format!("{green}{}{end}{notes}", count("Succeeded", succeeded + unchanged)));
        let color = if failed > 0 { red } else { cyan };
        self.lines.push(format!("{color}{}{end}", count("Failed", failed)));
        if warnings > 0 {
            self.lines.push(format!("{light_red}{}{end}", count("Warnings", warnings)));
        }
        let total = succeeded + failed + unchanged;
        self.lines.push(format!("{cyan}{rule}\nTotal states run: {total:>0$}{end}", width - 7));
        if self.options.state_output_profile {
            let duration = self.counts.duration + self.counts.longest_parallel;
            let (duration, unit) = if duration > 999.0 { (duration / 1000.0, "s") } else { (duration, "ms") };
            let shown = format!("{duration:.3}");
            self.lines.push(format!("{cyan}Total run time: {shown:>0$} {unit}{end}", width - 5));
        }
    }
}

fn text_of(ret: &Map, key: &str) -> String {
    ret.get(key).map(Value::to_string).unwrap_or_default()
}

fn comment(ret: &Map) -> String {
    let comment = text_of(ret, "comment");
    let mut comment = comment.trim().replace('\n', &format!("\n{:14}", ""));
    match ret.get("data") {
        Some(Value::List(items)) => {
            for item in items {
                comment.push_str(&format!(" {item}"));
            }
        }
        Some(Value::Map(map)) => {
            for (key, value) in map {
                comment.push_str(&format!("\n\t\t{key}: {value}"));
            }
        }
        Some(other) => comment.push_str(&format!(" {other}")),
        None => {}
    }
    comment
}

/// Words filled to eighty columns, fourteen in, the first line without its indent.
fn wrapped(text: &str) -> String {
    let mut filled: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let used = line.chars().count();
            let gap = usize::from(used > 0);
            if 14 + used + gap + word.len() <= 80 {
                line.extend(std::iter::repeat_n(' ', gap).chain(word));
                break;
            }
            if used > 0 {
                filled.push(std::mem::take(&mut line));
                continue;
            }
            filled.push(word.drain(..66).collect());
        }
    }
    if !line.is_empty() {
        filled.push(line);
    }
    filled.join(&format!("\n{:14}", ""))
}
