//! Values that must not come out: seeded where they belong, looked for everywhere else.
//!
//! A canary is looked for as it is written (UTF-8), as SQL Server sends it (UTF-16), in base64 at each of its three
//! alignments, and in hexadecimal digits of either case. It is long and unlike anything else, so a sighting is a leak.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aho_corasick::AhoCorasick;
use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

/// What is looked for.
#[derive(Debug)]
pub struct Canaries {
    matcher: AhoCorasick,
    /// Which canary, and how it was written, by the matcher's pattern.
    forms: Vec<(String, &'static str)>,
}

/// A canary where none may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sighting {
    /// Where.
    pub place: PathBuf,
    /// Which one.
    pub canary: String,
    /// How it was written.
    pub form: &'static str,
}

impl Canaries {
    /// Looks for these.
    ///
    /// # Errors
    /// When there are too many.
    pub fn new(words: &[&str]) -> Result<Self> {
        let (mut forms, mut patterns) = (Vec::new(), Vec::new());
        for word in words {
            for (form, pattern) in written(word) {
                forms.push(((*word).to_owned(), form));
                patterns.push(pattern);
            }
        }
        Ok(Self { matcher: AhoCorasick::new(patterns)?, forms })
    }

    /// Those in `bytes`, each form once.
    #[must_use]
    pub fn within(&self, place: &Path, bytes: &[u8]) -> Vec<Sighting> {
        let mut seen = Vec::new();
        for found in self.matcher.find_overlapping_iter(bytes) {
            let (canary, form) = self.forms[found.pattern().as_usize()].clone();
            let sighting = Sighting { place: place.to_owned(), canary, form };
            if !seen.contains(&sighting) {
                seen.push(sighting);
            }
        }
        seen
    }

    /// Those in every file below `folder`, and how many files were read; sockets and what vanishes meanwhile are passed over.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn below(&self, folder: &Path) -> io::Result<(usize, Vec<Sighting>)> {
        let (mut files, mut seen) = (0, Vec::new());
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                let (more, sightings) = self.below(&entry.path())?;
                files += more;
                seen.extend(sightings);
            } else if entry.file_type()?.is_file()
                && let Ok(bytes) = fs::read(entry.path())
            {
                files += 1;
                seen.extend(self.within(&entry.path(), &bytes));
            }
        }
        Ok((files, seen))
    }
}

fn written(word: &str) -> Vec<(&'static str, Vec<u8>)> {
    let hexadecimal: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        ("as it is", word.as_bytes().to_vec()),
        ("in UTF-16", word.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("in upper hexadecimal", hexadecimal.to_ascii_uppercase().into_bytes()),
        ("in hexadecimal", hexadecimal.into_bytes()),
    ];
    for before in 0..3 {
        let encoded = STANDARD_NO_PAD.encode([&vec![0; before], word.as_bytes()].concat());
        // The first and last characters also depend on the bytes around.
        let (first, last) = ((before * 8).div_ceil(6), (before + word.len()) * 8 / 6);
        forms.push(("in base64", encoded.as_bytes()[first..last].to_vec()));
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_seen_in_every_form_and_nowhere_else() {
        let canaries = Canaries::new(&["Canary-4711-row"]).unwrap();
        let forms = |bytes: &[u8]| -> Vec<&str> {
            canaries.within(Path::new("x"), bytes).iter().map(|sighting| sighting.form).collect()
        };
        assert_eq!(forms(b"a Canary-4711-row!"), ["as it is"]);
        assert_eq!(forms(b"Canary-4712-row"), Vec::<&str>::new());
        let utf16: Vec<u8> = "<Canary-4711-row>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(forms(&utf16), ["in UTF-16"]);
        for before in ["", "a", "ab", "abc"] {
            let encoded = STANDARD_NO_PAD.encode(format!("{before}Canary-4711-row and more"));
            assert_eq!(forms(encoded.as_bytes()), ["in base64"], "{before}");
        }
    }
}
