//! A sign put before the lines that a regular expression finds, or taken away from them.

use fancy_regex::Regex;

/// The new text, `None` where no line is found. A line is found from its start on.
///
/// # Errors
/// The regular expression is none.
pub fn comment_lines(text: &str, regex: &str, sign: &str, on: bool) -> Result<Option<String>, String> {
    let end = if regex.ends_with('$') { "$" } else { "" };
    let bare = regex.trim_start_matches('^').trim_end_matches('$');
    let start = if regex.starts_with('^') { "^" } else { "" };
    let pattern = if on { format!("^(?:{start}({bare}){end})") } else { format!("^{sign}\\s*({bare}){end}") };
    let regex = Regex::new(&pattern).map_err(|error| format!("{pattern}: {error}"))?;
    let signs: Vec<char> = sign.chars().collect();
    let (mut new, mut any) = (String::with_capacity(text.len()), false);
    for line in text.split_inclusive('\n') {
        if !regex.is_match(line.trim_end_matches('\n')).unwrap_or(false) {
            new.push_str(line);
        } else if on {
            any = true;
            new.push_str(sign);
            new.push_str(line);
        } else {
            any = true;
            new.push_str(line.trim_start_matches(signs.as_slice()));
        }
    }
    Ok(any.then_some(new))
}
