//! Functions over the text of paths: `basename`, `dirname`, `join`, `normpath`, `pardir`. Nothing is looked at.

use states::Value;

use crate::modules::{Arguments, ModuleError};

pub(super) fn answer(fun: &str, args: &Arguments) -> Result<Option<Value>, ModuleError> {
    Ok(Some(match fun {
        "basename" => split(&args.text("path")?).1.into(),
        "dirname" => split(&args.text("path")?).0.into(),
        "normpath" => normal(&args.text("path")?).into(),
        "pardir" => "..".into(),
        "join" => {
            let parts: Vec<String> = args.rest.iter().map(ToString::to_string).collect();
            joined(&parts).into()
        }
        _ => return Ok(None),
    }))
}

/// Python's `os.path.split`: folder and last part.
pub(super) fn split(path: &str) -> (String, String) {
    let at = path.rfind(is_separator).map_or(0, |at| at + 1);
    let (head, tail) = path.split_at(at);
    let trimmed = head.trim_end_matches(is_separator);
    (if trimmed.is_empty() { head } else { trimmed }.to_owned(), tail.to_owned())
}

fn joined(parts: &[String]) -> String {
    let mut path = String::new();
    for part in parts {
        if part.starts_with(is_separator) || path.is_empty() {
            path.clone_from(part);
        } else {
            if !path.ends_with(is_separator) {
                path.push(SEPARATOR);
            }
            path.push_str(part);
        }
    }
    path
}

/// Python's `os.path.normpath` for paths with `/`.
pub(super) fn normal(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let slashes = path.chars().take_while(|letter| is_separator(*letter)).count();
    let root = SEPARATOR.to_string().repeat(if slashes == 2 { 2 } else { slashes.min(1) });
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split(is_separator).filter(|part| !part.is_empty() && *part != ".") {
        let climbs = part == "..";
        let nowhere = kept.last().is_none_or(|last| *last == "..");
        match (climbs, nowhere) {
            (true, true) if !root.is_empty() => {}
            (true, false) => drop(kept.pop()),
            _ => kept.push(part),
        }
    }
    let whole = format!("{root}{}", kept.join(&SEPARATOR.to_string()));
    if whole.is_empty() { ".".to_owned() } else { whole }
}

fn is_separator(letter: char) -> bool {
    letter == '/' || (cfg!(windows) && letter == '\\')
}

const SEPARATOR: char = std::path::MAIN_SEPARATOR;

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn reads_paths_as_python_does() {
        for (path, normal_path) in [
            ("", "."),
            ("/", "/"),
            ("//a", "//a"),
            ("///a/", "/a"),
            ("/a/../../b/./c", "/b/c"),
            ("../a/..", ".."),
            ("a/b/../..", "."),
        ] {
            assert_eq!(normal(path), normal_path, "{path:?}");
        }
        assert_eq!(split("/a/b"), ("/a".to_owned(), "b".to_owned()));
        assert_eq!(split("/a"), ("/".to_owned(), "a".to_owned()));
        assert_eq!(split("a/b/"), ("a/b".to_owned(), String::new()));
        assert_eq!(joined(&["a".to_owned(), "b/".to_owned(), "c".to_owned()]), "a/b/c");
        assert_eq!(joined(&["a".to_owned(), "/b".to_owned()]), "/b");
    }
}
