//! The nonce that ties a reply to its request: 32 hex digits, made as Salt makes them (a random UUID).

use std::fmt;

use crate::Random;

/// A request's nonce.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// A fresh nonce.
    pub fn generate(rng: &mut dyn Random) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The nonce of a received text, if it has a nonce's form.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The 32 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_nonce_is_a_random_uuid_in_hex() {
        let nonce = Nonce::generate(&mut rand::thread_rng());
        assert_eq!(Nonce::parse(nonce.as_str()), Some(nonce.clone()));
        assert_eq!(&nonce.as_str()[12..13], "4");
    }

    #[test]
    fn refuses_what_is_no_nonce() {
        assert_eq!(Nonce::parse("abc"), None);
        assert_eq!(Nonce::parse(&"g".repeat(32)), None);
    }
}
