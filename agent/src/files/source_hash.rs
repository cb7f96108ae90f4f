//! `source_hash`: what a file from elsewhere must hash to, as a hash, as `type=hash`, or found in a list of hashes.

use fancy_regex::Regex;

/// A hash and its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceHash {
    kind: &'static str,
    hash: String,
}

impl SourceHash {
    /// Salt's name of the type.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The hash in lowercase digits.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// From `type=hash` or a hash alone, whose length tells the type.
    ///
    /// # Errors
    /// Salt's sentence about the form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, hash) = match text.split_once('=') {
            Some((kind, hash)) => (Some(kind.trim()), hash.trim()),
            None => (None, text.trim()),
        };
        let by_length = KINDS.iter().find(|(_, length)| *length == hash.len()).map(|(kind, _)| *kind);
        let is_hex = !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let known = KINDS.iter().map(|(kind, _)| *kind).find(|known| kind.is_none_or(|kind| kind == *known));
        match (known, by_length) {
            (None, _) => Err(format!(
                "Invalid hash type '{}'. Supported hash types are: {}. Either remove the hash type and simply use '{hash}' as the source_hash, or change the hash type to a supported type.",
                kind.unwrap_or_default(),
                KINDS.map(|(kind, _)| kind).join(", ")
            )),
            (Some(_), None) => Err(invalid(text)),
            (Some(_), Some(_)) if !is_hex => Err(invalid(text)),
            (Some(_), Some(actual)) if kind.is_some_and(|kind| kind != actual) => Err(format!(
                "Invalid length ({}) for hash type '{}'. Either remove the hash type and simply use '{hash}' as the source_hash, or change the hash type to '{actual}'",
                hash.len(),
                kind.unwrap_or_default()
            )),
            (Some(_), Some(actual)) => Ok(Self { kind: actual, hash: hash.to_lowercase() }),
        }
    }

    /// From a file of hashes: the line of `source_hash_name`, of the file or of the source; else the first hash.
    ///
    /// # Errors
    /// Salt's sentence, when there is no hash in it; `shown` names the list.
    pub fn from_list(list: &str, names: &[Option<&str>; 3], shown: &str) -> Result<Self, String> {
        let hashes: Vec<(&str, Self)> =
            list.lines().filter_map(|line| Some((line.trim(), in_line(line)?))).collect();
        for name in names.iter().flatten() {
            let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
            let named = |line: &str| {
                let ends = line.strip_suffix(base).is_some_and(|before| {
                    before.ends_with(|letter: char| letter.is_whitespace() || r"\/*".contains(letter))
                });
                ends || line.strip_prefix(name).is_some_and(|rest| rest.starts_with(char::is_whitespace))
            };
            if let Some((_, hash)) = hashes.iter().find(|(line, _)| named(line)) {
                return Ok(hash.clone());
            }
        }
        hashes.into_iter().next().map(|(_, hash)| hash).ok_or_else(|| invalid(shown))
    }
}

fn in_line(line: &str) -> Option<SourceHash> {
    let regex = Regex::new("(?i)(?<![a-z0-9])([a-f0-9]{32,128})(?![a-z0-9])").ok()?;
    let found = regex.captures(line).ok()??;
    SourceHash::parse(found.get(1)?.as_str()).ok()
}

fn invalid(shown: &str) -> String {
    let lengths = "md5 (32), sha1 (40), sha224 (56), sha256 (64), sha384 (96), sha512 (128)";
    format!(
        "Source hash {shown} format is invalid. The supported formats are: 1) a hash, 2) an expression in the format <hash_type>=<hash>, or 3) either a path to a local file containing hashes, or a URI of a remote hash file. Supported protocols for remote hash files are: salt, http, https, file. The hash may also not be of a valid length, the following are supported hash types and lengths: {lengths}."
    )
}

/// The types by the length of their digits.
const KINDS: [(&str, usize); 5] =
    [("sha512", 128), ("sha384", 96), ("sha256", 64), ("sha1", 40), ("md5", 32)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_type_by_name_or_length() {
        let hash = "0".repeat(64);
        assert_eq!(SourceHash::parse(&hash).unwrap().kind(), "sha256");
        assert_eq!(SourceHash::parse(&format!("sha256={}", hash.to_uppercase())).unwrap().hash(), hash);
        assert!(SourceHash::parse(&format!("md5={hash}")).unwrap_err().contains("Invalid length (64)"));
        assert!(SourceHash::parse("sha9=00").unwrap_err().contains("Invalid hash type 'sha9'"));
        assert!(SourceHash::parse("zz").unwrap_err().contains("format is invalid"));
    }

    #[test]
    fn finds_the_line_of_the_file_in_a_list() {
        let (one, two) = ("1".repeat(64), "2".repeat(64));
        let list = format!("{one}  other.tar.gz\n{two} *dist/tool.tar.gz\n");
        let find = |names: [Option<&str>; 3]| {
            SourceHash::from_list(&list, &names, "list").unwrap().hash().to_owned()
        };
        assert_eq!(find([None, Some("/srv/x"), Some("https://h/tool.tar.gz")]), two);
        assert_eq!(find([Some("other.tar.gz"), None, Some("https://h/tool.tar.gz")]), one);
        assert_eq!(find([None, None, None]), one);
        assert!(SourceHash::from_list("nothing", &[None; 3], "list").is_err());
    }
}
