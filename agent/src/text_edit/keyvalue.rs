//! `file.keyvalue`: lines of the form `key=value`.

use std::collections::BTreeMap;

use states::{Map, Value};

/// The arguments of `file.keyvalue`.
#[derive(Clone, Debug)]
pub struct KeyValue {
    /// The wanted pairs.
    pub pairs: Map,
    /// What parts key and value.
    pub separator: String,
    /// Whether missing keys go to the end.
    pub append: bool,
    /// Whether missing keys go to the start.
    pub prepend: bool,
    /// How many lines of a key are set; the rest is removed. Negative sets all.
    pub count: i64,
    /// Letters at the start of a line that make it a comment; such a line can be brought back.
    pub uncomment: Option<String>,
    /// Whether keys are compared without case.
    pub key_ignore_case: bool,
    /// Whether values are compared without case.
    pub value_ignore_case: bool,
    /// Whether lines of other keys are removed.
    pub prune: bool,
}

/// What would be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyValueEdit {
    /// The new text.
    pub text: String,
    /// The lines of the diff in Salt's own layout.
    pub diff: Vec<String>,
    /// How many lines change.
    pub changed: usize,
    /// How many lines of other keys go.
    pub deleted: usize,
}

impl KeyValue {
    /// What is to be done to a text.
    #[must_use]
    pub fn apply(&self, text: &str) -> KeyValueEdit {
        let mut left: BTreeMap<String, i64> =
            self.pairs.keys().map(|key| (key.to_string(), self.count)).collect();
        let mut edit = KeyValueEdit::default();
        let mut lines = Vec::new();
        let mut pruned = Vec::new();
        for line in super::lines_kept(text) {
            let tested = self.tested(line);
            if self.prune && !self.pairs.keys().any(|key| tested.starts_with(&self.folded(&key.to_string())))
            {
                pruned.push(line);
                continue;
            }
            lines.push(self.line(line, &mut left, &mut edit));
        }
        if self.append {
            self.append(&left, &mut lines, &mut edit);
        } else if self.prepend {
            self.prepend(&left, &mut lines, &mut edit);
        }
        edit.deleted = pruned.len();
        for line in pruned {
            edit.diff.insert(edit.diff.len().min(1), format!("- {line}"));
        }
        edit.text = lines.concat();
        edit
    }

    fn folded(&self, text: &str) -> String {
        if self.key_ignore_case { text.to_lowercase() } else { text.to_owned() }
    }

    /// Python's `lstrip` with the letters of a comment, or of white space.
    fn stripped<'l>(&self, line: &'l str) -> &'l str {
        match &self.uncomment {
            Some(letters) => line.trim_start_matches(|letter| letters.contains(letter)),
            None => line.trim_start(),
        }
    }

    fn tested(&self, line: &str) -> String {
        self.folded(self.stripped(line))
    }

    /// One line after all wanted keys were compared with it.
    fn line(&self, line: &str, left: &mut BTreeMap<String, i64>, edit: &mut KeyValueEdit) -> String {
        let stripped = self.stripped(line);
        let uncommented = line.len() > stripped.len();
        let tested = self.folded(stripped);
        let Some((key, value)) = stripped.split_once(&self.separator) else { return line.to_owned() };
        let mut new = line.to_owned();
        for (wanted_key, wanted) in &self.pairs {
            let wanted_key = wanted_key.to_string();
            let folded = self.folded(&wanted_key);
            if !tested.starts_with(&folded) || self.folded(key) != folded {
                continue;
            }
            let count = left.get(&wanted_key).copied().unwrap_or_default();
            let same = self.same_value(value, wanted);
            let changes = if uncommented { count > 0 } else { !same || count == 0 };
            if changes {
                edit.diff.push(format!("- {new}"));
                new.clear();
                if count != 0 {
                    new = format!("{key}{}{wanted}\n", self.separator);
                    edit.diff.push(shown(&new, wanted));
                }
                edit.changed += 1;
            }
            if count > 0 {
                left.insert(wanted_key, count - 1);
            }
        }
        new
    }

    fn same_value(&self, value: &str, wanted: &Value) -> bool {
        let (value, wanted) = (value.trim().to_owned(), wanted.to_string().trim().to_owned());
        if self.value_ignore_case { value.to_lowercase() == wanted.to_lowercase() } else { value == wanted }
    }

    /// The lines of keys that were not found often enough.
    fn missing<'a>(&'a self, left: &'a BTreeMap<String, i64>) -> impl Iterator<Item = String> + 'a {
        let wanted = self.pairs.iter().map(|(key, value)| (key.to_string(), value));
        wanted
            .filter(|(key, _)| left.get(key).is_some_and(|count| *count > 0))
            .map(|(key, value)| format!("{key}{}{value}\n", self.separator))
    }

    fn append(&self, left: &BTreeMap<String, i64>, lines: &mut Vec<String>, edit: &mut KeyValueEdit) {
        let missing: Vec<String> = self.missing(left).collect();
        if missing.is_empty() {
            return;
        }
        edit.changed += missing.len();
        edit.diff.push("- <EOF>\n".to_owned());
        edit.diff.extend(missing.iter().map(|line| format!("+ {line}")));
        edit.diff.push("+ <EOF>\n".to_owned());
        lines.extend(missing);
    }

    fn prepend(&self, left: &BTreeMap<String, i64>, lines: &mut Vec<String>, edit: &mut KeyValueEdit) {
        for (number, line) in self.missing(left).enumerate() {
            if number == 0 {
                edit.diff.insert(0, "  <SOF>\n".to_owned());
            }
            edit.diff.insert(1, format!("+ {line}"));
            lines.insert(0, line);
            edit.changed += 1;
        }
    }
}

/// A new line in the diff; a value that was no text says so.
fn shown(line: &str, value: &Value) -> String {
    match value {
        Value::Str(_) => format!("+ {line}"),
        Value::Nil
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Bytes(_)
        | Value::List(_)
        | Value::Map(_) => {
            format!("+ {} (from {} type)\n", line.trim_end(), value.type_name())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, Value)]) -> KeyValue {
        KeyValue {
            pairs: pairs.iter().map(|(key, value)| (*key, value.clone())).collect(),
            separator: "=".to_owned(),
            append: false,
            prepend: false,
            count: 1,
            uncomment: None,
            key_ignore_case: false,
            value_ignore_case: false,
            prune: false,
        }
    }

    #[test]
    fn sets_the_value_and_says_what_type_it_had() {
        let edit = pairs(&[("port", Value::Int(80))]).apply("a=1\nport=22\n");
        assert_eq!(edit.text, "a=1\nport=80\n");
        assert_eq!(edit.diff.concat(), "- port=22\n+ port=80 (from int type)\n");
        assert_eq!((edit.changed, edit.deleted), (1, 0));
        assert_eq!(pairs(&[("port", "80".into())]).apply("port=80\n").changed, 0);
    }

    #[test]
    fn brings_a_commented_line_back_and_removes_the_rest() {
        let wanted = KeyValue { uncomment: Some("#".to_owned()), ..pairs(&[("a", "1".into())]) };
        assert_eq!(wanted.apply("#a=1\na=2\n").text, "a=1\n");
    }

    #[test]
    fn adds_missing_keys_where_asked() {
        let append = KeyValue { append: true, ..pairs(&[("b", "2".into())]) };
        let edit = append.apply("a=1\n");
        assert_eq!(
            (edit.text.as_str(), edit.diff.concat().as_str()),
            ("a=1\nb=2\n", "- <EOF>\n+ b=2\n+ <EOF>\n")
        );
        let prepend = KeyValue { prepend: true, ..pairs(&[("b", "2".into())]) };
        assert_eq!(prepend.apply("a=1\n").text, "b=2\na=1\n");
    }
}
