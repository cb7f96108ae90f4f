//! Rewrites template source, line by line the same, into what minijinja takes:
//! Salt's own tags (`import_yaml`, `load_yaml`, `profile` …), list and dict literals that templates
//! can change in place, includes that cannot leak variables, imports without context that see none
//! of the importer's variables, and macros that take more arguments than they name.
//!
//! Only the inside of `{% %}` and `{{ }}` is touched; text, comments and raw blocks stay as they are.

mod walk;

pub(super) use walk::is_conditional;

/// A source without the line comments that a prefix begins. The engine would take the line breaks with them, which Jinja
/// leaves.
pub(super) fn without_comments(source: &str, prefix: &str) -> String {
    let bare = |line: &str| match line.find(prefix).filter(|_| !prefix.is_empty()) {
        Some(at) => line[..at].trim_end().to_owned(),
        None => line.to_owned(),
    };
    source.split('\n').map(bare).collect::<Vec<_>>().join("\n")
}

/// The source as minijinja takes it. Line numbers stay the same.
pub(super) fn rewrite(source: &str) -> String {
    let mut out = Rewriting {
        text: String::with_capacity(source.len() + source.len() / 8),
        names: if source.contains("import") { walk::set_names(source) } else { String::new() },
        macros: Vec::new(),
    };
    let mut rest = source;
    while let Some(at) = find_tag(rest) {
        out.text.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match &rest[..2] {
            "{#" => copy_comment(rest, &mut out.text),
            "{{" => copy_expression(rest, &mut out.text),
            _ => out.statement(rest),
        };
        rest = &rest[taken..];
    }
    out.text.push_str(rest);
    out.text
}

struct Rewriting {
    text: String,
    /// What the template sets, with commas between.
    names: String,
    /// The open macros; those that take more arguments than they name with their names.
    macros: Vec<Option<String>>,
}

fn find_tag(text: &str) -> Option<usize> {
    text.match_indices('{').map(|(at, _)| at).find(|at| {
        text[*at..].starts_with("{{") || text[*at..].starts_with("{%") || text[*at..].starts_with("{#")
    })
}

fn copy_comment(text: &str, out: &mut String) -> usize {
    let end = text.find("#}").map_or(text.len(), |at| at + 2);
    out.push_str(&text[..end]);
    end
}

fn copy_expression(text: &str, out: &mut String) -> usize {
    let Some(end) = find_end(text, "}}") else {
        out.push_str(text);
        return text.len();
    };
    out.push_str("{{");
    out.push_str(&literals(&text[2..end]));
    out.push_str("}}");
    end + 2
}

impl Rewriting {
    fn statement(&mut self, text: &str) -> usize {
        let Some(end) = find_end(text, "%}") else {
            self.text.push_str(text);
            return text.len();
        };
        let tag = Tag::split(&text[2..end]);
        if tag.word == "raw" {
            let (length, close) = raw_block(&text[end + 2..]);
            self.text.push_str(&text[..end + 2 + length + close]);
            return end + 2 + length + close;
        }
        let rewritten = match tag.word {
            "macro" => self.open_macro(&tag, &text[end + 2..]),
            "endmacro" => self.close_macro(&tag),
            "import" | "from" => tag.import_alone(&self.names),
            _ => None,
        };
        self.text.push_str(&rewritten.unwrap_or_else(|| tag.rewritten(&self.names)));
        end + 2
    }

    /// A macro whose body asks for `varargs` or `kwargs` gets them as arguments, from the object that takes its name.
    fn open_macro(&mut self, tag: &Tag, body: &str) -> Option<String> {
        let asks = walk::macro_body(body)
            .is_some_and(|body| ["varargs", "kwargs"].iter().any(|name| body.contains(name)));
        let (lead, rest) = tag.rest();
        let parts =
            rest.split_once('(').and_then(|(name, rest)| Some((name.trim(), rest.rsplit_once(')')?.0)));
        let Some((name, parameters)) = parts.filter(|_| asks) else {
            self.macros.push(None);
            return None;
        };
        self.macros.push(Some(name.to_owned()));
        let comma = if parameters.trim().is_empty() { "" } else { ", " };
        Some(format!(
            "{{%{}{lead}macro __more_{name}({parameters}{comma}varargs=__list([]), kwargs=__dict({{}})) {}%}}",
            tag.before, tag.after
        ))
    }

    fn close_macro(&mut self, tag: &Tag) -> Option<String> {
        let name = self.macros.pop().flatten()?;
        let (lead, _) = tag.rest();
        Some(format!(
            "{{%{}{lead}endmacro %}}{{% set {name} = __takes_more(__more_{name}, '{name}') {}%}}",
            tag.before, tag.after
        ))
    }
}

/// Length of a raw block's content and of its closing tag.
fn raw_block(text: &str) -> (usize, usize) {
    for (at, _) in text.match_indices("{%") {
        let inside = text[at + 2..].trim_start_matches(['-', '+']).trim_start();
        if inside.starts_with("endraw")
            && let Some(close) = text[at..].find("%}")
        {
            return (at, close + 2);
        }
    }
    (text.len(), 0)
}

/// Where the closing delimiter is, outside strings and brackets.
fn find_end(text: &str, close: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut braces) = (2, 0usize);
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => at = skip_string(bytes, at, quote),
            b'}' if braces > 0 => braces -= 1,
            b'{' => braces += 1,
            _ if text[at..].starts_with(close) => return Some(at),
            _ => {}
        }
        at += 1;
        while at < bytes.len() && !text.is_char_boundary(at) {
            at += 1;
        }
    }
    None
}

/// The position of the closing quote (or of the last byte).
fn skip_string(bytes: &[u8], open: usize, quote: u8) -> usize {
    let mut at = open + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len() - 1)
}

/// A statement tag: whitespace control on both sides, its word, and what follows.
struct Tag<'a> {
    before: &'a str,
    word: &'a str,
    body: &'a str,
    after: &'a str,
}

impl<'a> Tag<'a> {
    fn split(inside: &'a str) -> Tag<'a> {
        let start = inside.len() - inside.trim_start_matches(['-', '+']).len();
        let start = start.min(1);
        let (before, rest) = inside.split_at(start);
        let (rest, after) = match rest.strip_suffix(['-', '+']) {
            Some(shorter) => rest.split_at(shorter.len()),
            None => (rest, ""),
        };
        let trimmed = rest.trim_start();
        let end = trimmed.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(trimmed.len());
        Tag { before, word: &trimmed[..end], body: rest, after }
    }

    /// What follows the word, and the blank lines before it (so that lines keep their number).
    fn rest(&self) -> (&'a str, &'a str) {
        let start = self.body.find(self.word).unwrap_or(0);
        (&self.body[..start], &self.body[start + self.word.len()..])
    }

    /// An import that does not say `with context`: its file learns which names it must not see.
    fn import_alone(&self, names: &str) -> Option<String> {
        let body = self.body.trim_end();
        let body = match body.strip_suffix("context").map(str::trim_end) {
            Some(rest) => rest.strip_suffix("without")?,
            None => body,
        };
        let (lead, rest) = self.rest();
        let rest = &rest[..rest.len() - (self.body.len() - body.len())];
        let at = if self.word == "import" { rest.rfind(" as ")? } else { rest.find(" import ")? };
        let (before, word, after) = (self.before, self.word, self.after);
        Some(format!("{{%{before}{lead}{word} __alone({}, '{names}'){} {after}%}}", &rest[..at], &rest[at..]))
    }

    fn rewritten(&self, names: &str) -> String {
        let (before, after) = (self.before, self.after);
        let (lead, rest) = self.rest();
        match self.word {
            "import_yaml" | "import_json" | "import_text" => self.import(lead, rest, names),
            "load_yaml" | "load_json" | "load_text" => {
                let target = after_as(rest).map_or(rest, |(_, target)| target);
                format!("{{%{before}{lead}set {} | {} {after}%}}", target.trim_end(), self.word)
            }
            "endload" => format!("{{%{before}{lead}endset {rest}{after}%}}"),
            "profile" => format!("{{%{before}{lead}if true {}{after}%}}", newlines(rest)),
            "endprofile" => format!("{{%{before}{lead}endif {rest}{after}%}}"),
            "include" => {
                format!("{{%{before}{lead}with %}}{{% include{rest} %}}{{% endwith {after}%}}")
            }
            "set" => match assignment(rest) {
                Some((target, value)) => {
                    format!("{{%{before}{lead}set{target}= __own(({})){after}%}}", literals(value))
                }
                None => format!("{{%{before}{}{after}%}}", literals(self.body)),
            },
            "from" | "import" | "extends" | "block" | "macro" | "call" => {
                format!("{{%{before}{}{after}%}}", self.body)
            }
            _ => format!("{{%{before}{}{after}%}}", literals(self.body)),
        }
    }

    /// `import_yaml "x" as y` renders the file and loads what comes out.
    fn import(&self, lead: &str, rest: &str, names: &str) -> String {
        let (before, after) = (self.before, self.after);
        let Some((file, target)) = after_as(rest) else {
            return format!("{{%{before}{}{after}%}}", self.body);
        };
        let target = target.trim();
        let (target, file) = match target.strip_suffix("with context") {
            Some(target) => (target.trim(), file.trim().to_owned()),
            None => (
                target.strip_suffix("without context").unwrap_or(target).trim(),
                format!("__alone({}, '{names}')", file.trim()),
            ),
        };
        let loader = self.word.replace("import_", "load_");
        format!(
            "{{%{before}{lead}set {target} | {loader} %}}{{% with %}}{{% include {file} %}}{{% endwith %}}{{% endset {after}%}}"
        )
    }
}

/// Splits `X as Y` at the last `as`.
fn after_as(text: &str) -> Option<(&str, &str)> {
    let at = text.rfind(" as ")?;
    Some((&text[..at], &text[at + 4..]))
}

fn newlines(text: &str) -> String {
    text.chars().filter(|letter| *letter == '\n').collect()
}

/// Splits `x = value` at its equals sign; `None` for a block.
fn assignment(text: &str) -> Option<(&str, &str)> {
    let at = text.find('=')?;
    let (target, value) = (&text[..at], &text[at + 1..]);
    let is_target = target.chars().all(|c| c.is_alphanumeric() || " \t\n_.,()".contains(c));
    (is_target && !value.starts_with('=')).then_some((target, value))
}

/// Where an operand that starts here ends: a literal, a name or a bracket, with what hangs on it.
fn operand_end(code: &str) -> usize {
    let bytes = code.as_bytes();
    let mut at = code.len() - code.trim_start().len();
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    loop {
        at = match bytes.get(at) {
            Some(quote @ (b'"' | b'\'')) => skip_string(bytes, at, *quote) + 1,
            Some(b'(' | b'[' | b'{') => close_of(bytes, at),
            Some(byte) if is_word(*byte) => word_end(bytes, at),
            _ => return at,
        };
        let rest = &code[at..];
        let gap = rest.len() - rest.trim_start().len();
        match bytes.get(at + gap) {
            Some(b'(' | b'[') => at += gap,
            Some(b'.' | b'|') => {
                at += gap + 1;
                at += code[at..].len() - code[at..].trim_start().len();
            }
            _ => return at,
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn word_end(bytes: &[u8], start: usize) -> usize {
    bytes[start..].iter().position(|byte| !is_word(*byte)).map_or(bytes.len(), |length| start + length)
}

/// Past the bracket that closes the one here.
fn close_of(bytes: &[u8], open: usize) -> usize {
    let (mut at, mut depth) = (open, 0usize);
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => at = skip_string(bytes, at, quote),
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

/// Wraps list and dict literals into the functions that make them changeable, and `'text' % value` into
/// the filter that formats as Python does.
fn literals(code: &str) -> String {
    let bytes = code.as_bytes();
    let mut out = String::with_capacity(code.len() + 16);
    let mut open: Vec<bool> = Vec::new();
    let mut operand = false;
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at = skip_string(bytes, at, quote) + 1;
                while !code.is_char_boundary(at) {
                    at += 1;
                }
                out.push_str(&code[start..at]);
                operand = true;
                let rest = code[at..].trim_start();
                if let Some(value) = rest.strip_prefix('%').filter(|value| !value.starts_with('}')) {
                    at = code.len() - value.len();
                    let end = at + operand_end(value);
                    out.push_str(&format!("|__percent({})", literals(&code[at..end])));
                    at = end;
                }
                continue;
            }
            bracket @ (b'[' | b'{') => {
                let literal = !operand;
                open.push(literal);
                if literal {
                    out.push_str(if bracket == b'[' { "__list(" } else { "__dict(" });
                }
                out.push(bracket as char);
                operand = false;
            }
            bracket @ (b']' | b'}') => {
                out.push(bracket as char);
                if open.pop() == Some(true) {
                    out.push(')');
                }
                operand = true;
            }
            byte if is_word(byte) => {
                at = word_end(bytes, at);
                out.push_str(&code[start..at]);
                operand = !KEYWORDS.contains(&&code[start..at]);
                continue;
            }
            byte => {
                out.push(byte as char);
                if !byte.is_ascii_whitespace() {
                    operand = byte == b')';
                }
            }
        }
        at += 1;
    }
    out
}

/// Words after which a bracket opens a literal.
const KEYWORDS: [&str; 16] = [
    "in",
    "if",
    "elif",
    "else",
    "and",
    "or",
    "not",
    "is",
    "do",
    "set",
    "for",
    "print",
    "recursive",
    "filter",
    "with",
    "return",
];

#[cfg(test)]
mod tests {
    use super::rewrite;

    #[test]
    fn wraps_literals_and_leaves_subscripts() {
        assert_eq!(
            rewrite("{{ a['x'][0] + [1, {'k': []}] }}"),
            "{{ a['x'][0] + __list([1, __dict({'k': __list([])})]) }}"
        );
        assert_eq!(
            rewrite("{% if x in ['é', \"[\"] %}[a]{% endif %}"),
            "{% if x in __list(['é', \"[\"]) %}[a]{% endif %}"
        );
        assert_eq!(
            rewrite("{# [1] #}{% raw %}{{ [1] }}{% endraw %}{{ {} }}"),
            "{# [1] #}{% raw %}{{ [1] }}{% endraw %}{{ __dict({}) }}"
        );
    }

    #[test]
    fn rewrites_salts_tags_on_their_own_lines() {
        assert_eq!(
            rewrite("{%- import_yaml 'a/b.yaml' as m with context -%}"),
            "{%- set m | load_yaml %}{% with %}{% include 'a/b.yaml' %}{% endwith %}{% endset -%}"
        );
        assert_eq!(
            rewrite("{% set x, y = 1, 2 %}{% from 'l' import a as b, c %}"),
            "{% set x, y = __own(( 1, 2 ))%}{% from __alone( 'l', 'b,c,x,y') import a as b, c %}"
        );
        assert_eq!(
            rewrite("{% import 'l' as l without context -%}{% from 'm' import n with context %}"),
            "{% import __alone( 'l', 'l,n') as l  -%}{% from 'm' import n with context %}"
        );
        assert_eq!(
            rewrite("{% load_json as x -%}\n{}\n{%- endload %}"),
            "{% set x | load_json -%}\n{}\n{%- endset  %}"
        );
        assert_eq!(rewrite("{% profile as 'p' %}a{% endprofile %}"), "{% if true %}a{% endif  %}");
    }

    #[test]
    fn macros_take_what_they_do_not_name() {
        assert_eq!(
            rewrite("{% macro m(a=1) -%}{{ varargs }}{%- endmacro %}"),
            "{% macro __more_m(a=1, varargs=__list([]), kwargs=__dict({})) -%}{{ varargs }}\
             {%- endmacro %}{% set m = __takes_more(__more_m, 'm') %}"
        );
        assert_eq!(rewrite("{% macro m() %}x{% endmacro %}"), "{% macro m() %}x{% endmacro %}");
    }

    #[test]
    fn formats_and_owns() {
        assert_eq!(rewrite("{{ '%s' % a.b[0]|upper ~ 'x' }}"), "{{ '%s'|__percent( a.b[0]|upper) ~ 'x' }}");
        assert_eq!(rewrite("{{ '%d-%s' % (1, [2]) }}"), "{{ '%d-%s'|__percent( (1, __list([2]))) }}");
        assert_eq!(rewrite("{% set a, b = x == y %}"), "{% set a, b = __own(( x == y ))%}");
        assert_eq!(rewrite("{% set a | upper %}x{% endset %}"), "{% set a | upper %}x{% endset %}");
    }

    #[test]
    fn survives_what_is_not_closed() {
        for text in ["{{", "{% if", "{% raw %}x", "{{ 'a", "{{ [", "{#", "{", "é{{é}}", "{{ '\\"] {
            rewrite(text);
        }
    }
}
