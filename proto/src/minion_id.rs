//! Minion ids: the name a minion has at its master, which is also a file name in the master's key folders.
//!
//! What Salt's `valid_id` refuses is refused here once, at the edge, so that an id can be joined to a path: path
//! separators, NUL, and names that leave the folder.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A minion's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MinionId(String);

/// A name that cannot be a minion's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be a minion id: it is empty, too long, or holds a path separator or control character")]
pub struct MinionIdError(String);

impl MinionId {
    /// Checks a name.
    ///
    /// # Errors
    /// When the name is empty, longer than a file name may be, or could leave the key folder.
    pub fn parse(name: &str) -> Result<Self, MinionIdError> {
        let forbidden = |letter: char| matches!(letter, '/' | '\\') || letter.is_control();
        let refused =
            name.is_empty() || name.len() > 255 || name == "." || name == ".." || name.contains(forbidden);
        if refused { Err(MinionIdError(name.to_owned())) } else { Ok(Self(name.to_owned())) }
    }

    /// Its place in the fleet, 0 to 99, by which releases and state trees are rolled out: a ring of `n` percent is everybody below
    /// `n`, so the same minions are always first. The first four bytes of the id's SHA-256 modulo 100, which Jinja can say too:
    /// `(grains.id | sha256)[:8] | int(0, 16) % 100`.
    pub fn bucket(&self) -> u8 {
        let head =
            Sha256::digest(&self.0).iter().take(4).fold(0_u32, |head, byte| (head << 8) | u32::from(*byte));
        u8::try_from(head % 100).unwrap_or(0)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MinionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_host_names_and_other_words() {
        for name in ["practice-7.example.org", "a", "Zahnarzt Müller", "..."] {
            assert_eq!(MinionId::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_fleet_falls_into_even_buckets() {
        let mut counts = [0_u32; 100];
        for number in 0..20_000 {
            let id = MinionId::parse(&format!("practice-{number}")).unwrap();
            counts[usize::from(id.bucket())] += 1;
        }
        assert!(counts.iter().all(|count| (100..320).contains(count)), "{counts:?}");
        // printf practice-1 | sha256sum | cut -c1-8
        assert_eq!(
            MinionId::parse("practice-1").unwrap().bucket(),
            u8::try_from(0xcc70e86e_u32 % 100).unwrap()
        );
    }

    #[test]
    fn refuses_names_that_leave_a_folder() {
        for name in ["", ".", "..", "a/b", "a\\b", "a\0b", "a\nb", &"x".repeat(256)] {
            assert!(MinionId::parse(name).is_err(), "{name:?}");
        }
    }
}
