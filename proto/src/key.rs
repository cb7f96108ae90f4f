//! RSA key pairs as Salt keeps and uses them: PEM, fingerprints, encryption, signatures.
//!
//! Every private operation of the project is in this file. The `rsa` crate's private operation does not take constant
//! time (RUSTSEC-2023-0071), so each is blinded with fresh randomness. To exploit what timing is left, an attacker
//! would need many answers from one process whose time depends on ciphertexts of his choosing. A minion decrypts at
//! most three small ciphertexts per authentication and one per pillar, only in answers to its own requests; a master
//! decrypts the optional token of `_auth`, which is the place to watch: it answers alike whatever the token held.
//!
//! Salt's choices are kept: OAEP for encryption, PKCS#1 v1.5 for signatures, X9.31 (see [`crate::x931`]) for the two
//! places that grew up with it. SHA-1 is the wire's default; SHA-224 is the only other.

use std::fmt;

use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey};
use rsa::pkcs8::spki::SubjectPublicKeyInfoRef;
use rsa::pkcs8::{DecodePrivateKey, Document, EncodePublicKey, LineEnding};
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, Oaep, Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha512};

use crate::{Random, x931};

/// How a key text or a token is encrypted, `enc_algo` on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EncryptionAlgorithm {
    /// OAEP and MGF1 with SHA-1, Salt's default.
    #[default]
    OaepSha1,
    /// OAEP and MGF1 with SHA-224.
    OaepSha224,
}

impl EncryptionAlgorithm {
    /// The algorithm of a Salt name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::OaepSha1, Self::OaepSha224].into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Salt's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::OaepSha1 => "OAEP-SHA1",
            Self::OaepSha224 => "OAEP-SHA224",
        }
    }

    fn padding(self) -> Oaep {
        match self {
            Self::OaepSha1 => Oaep::new::<Sha1>(),
            Self::OaepSha224 => Oaep::new::<Sha224>(),
        }
    }
}

/// How a message is signed, `sig_algo` on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// PKCS#1 v1.5 over SHA-1, Salt's default.
    #[default]
    Pkcs1v15Sha1,
    /// PKCS#1 v1.5 over SHA-224.
    Pkcs1v15Sha224,
}

impl SigningAlgorithm {
    /// The algorithm of a Salt name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pkcs1v15Sha1, Self::Pkcs1v15Sha224].into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Salt's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pkcs1v15Sha1 => "PKCS1v15-SHA1",
            Self::Pkcs1v15Sha224 => "PKCS1v15-SHA224",
        }
    }

    fn scheme_and_digest(self, message: &[u8]) -> (Pkcs1v15Sign, Vec<u8>) {
        match self {
            Self::Pkcs1v15Sha1 => (Pkcs1v15Sign::new::<Sha1>(), Sha1::digest(message).to_vec()),
            Self::Pkcs1v15Sha224 => (Pkcs1v15Sign::new::<Sha224>(), Sha224::digest(message).to_vec()),
        }
    }
}

/// What went wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not a PEM key of the kind wanted.
    #[error("not an RSA {kind} key in PEM form: {why}")]
    Pem {
        /// `private` or `public`.
        kind: &'static str,
        /// What the parser says.
        why: String,
    },
    /// A key could not be made.
    #[error("no RSA key of {bits} bits can be made: {why}")]
    Generate {
        /// The size wanted.
        bits: usize,
        /// What the library says.
        why: String,
    },
    /// The message does not fit the key, or the private operation failed its own check.
    #[error("the RSA operation failed: {why}")]
    Operation {
        /// What the library says.
        why: String,
    },
    /// The ciphertext is not for this key.
    #[error("not encrypted for this key")]
    Decrypt,
}

/// A private key and what is done with it.
#[derive(Clone)]
pub struct PrivateKey {
    key: RsaPrivateKey,
}

impl PrivateKey {
    /// Makes a key of `bits` (Salt's `keysize`, 2048 by default).
    ///
    /// # Errors
    /// When the size is one that no key can have.
    pub fn generate(bits: usize, mut rng: &mut dyn Random) -> Result<Self, KeyError> {
        let failed = |why: rsa::Error| KeyError::Generate { bits, why: why.to_string() };
        Ok(Self { key: RsaPrivateKey::new(&mut rng, bits).map_err(failed)? })
    }

    /// Reads `minion.pem` or `master.pem`: PKCS#1 as Salt writes it, or PKCS#8.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let failed = |why: String| KeyError::Pem { kind: "private", why };
        let key = if pem.contains("BEGIN RSA PRIVATE KEY") {
            RsaPrivateKey::from_pkcs1_pem(pem.trim()).map_err(|why| failed(why.to_string()))?
        } else {
            RsaPrivateKey::from_pkcs8_pem(pem.trim()).map_err(|why| failed(why.to_string()))?
        };
        Ok(Self { key })
    }

    /// The text of `minion.pem`, PKCS#1 with a trailing newline.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let failed = |why: rsa::pkcs1::Error| KeyError::Pem { kind: "private", why: why.to_string() };
        Ok(self.key.to_pkcs1_pem(LineEnding::LF).map_err(failed)?.to_string())
    }

    /// The public half.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        let key = self.key.to_public_key();
        let failed = |why: rsa::pkcs8::spki::Error| KeyError::Pem { kind: "public", why: why.to_string() };
        let pem = key.to_public_key_pem(LineEnding::LF).map_err(failed)?;
        Ok(PublicKey { key, pem: clean(&pem) })
    }

    /// Decrypts what [`PublicKey::encrypt`] made.
    ///
    /// # Errors
    /// [`KeyError::Decrypt`], whatever the reason, so that nothing can be learnt from it.
    pub fn decrypt(
        &self,
        ciphertext: &[u8],
        algorithm: EncryptionAlgorithm,
        mut rng: &mut dyn Random,
    ) -> Result<Vec<u8>, KeyError> {
        self.key.decrypt_blinded(&mut rng, algorithm.padding(), ciphertext).map_err(|_| KeyError::Decrypt)
    }

    /// Signs a message.
    ///
    /// # Errors
    /// When the key is too small for the digest.
    pub fn sign(
        &self,
        message: &[u8],
        algorithm: SigningAlgorithm,
        mut rng: &mut dyn Random,
    ) -> Result<Vec<u8>, KeyError> {
        let (scheme, digest) = algorithm.scheme_and_digest(message);
        self.key.sign_with_rng(&mut rng, scheme, &digest).map_err(operation)
    }

    /// Signs a short message in X9.31, what Salt calls encrypting with the private key.
    ///
    /// # Errors
    /// When the message does not fit the key.
    pub fn sign_x931(&self, message: &[u8], mut rng: &mut dyn Random) -> Result<Vec<u8>, KeyError> {
        let size = self.key.size();
        let block = x931::pad(message, size)
            .ok_or_else(|| KeyError::Operation { why: "the message is too long for the key".to_owned() })?;
        let block = BigUint::from_bytes_be(&block);
        let signature =
            rsa::hazmat::rsa_decrypt_and_check(&self.key, Some(&mut rng), &block).map_err(operation)?;
        let other = self.key.n() - &signature;
        Ok(fixed_size(&signature.min(other), size))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({} bits)", self.key.n().bits())
    }
}

/// A public key, with the very text it came as.
#[derive(Clone)]
pub struct PublicKey {
    key: RsaPublicKey,
    pem: String,
}

impl PublicKey {
    /// Reads a public key: SPKI as Salt writes it, or PKCS#1.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let failed = |why: String| KeyError::Pem { kind: "public", why };
        let pem = clean(pem);
        let (label, der) = Document::from_pem(&pem).map_err(|why| failed(why.to_string()))?;
        let key = match label {
            "RSA PUBLIC KEY" => from_pkcs1(der.as_bytes()),
            "PUBLIC KEY" => from_spki(der.as_bytes()),
            _ => Err(format!("the PEM block is a {label}")),
        };
        Ok(Self { key: key.map_err(failed)?, pem })
    }

    /// The PEM text as it travels and is compared: LF line ends, nothing around it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The fingerprint that `salt-key -f` prints with the default `hash_type`.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint_with(HashType::Sha256)
    }

    /// The fingerprint under another `hash_type`.
    pub fn fingerprint_with(&self, hash: HashType) -> Fingerprint {
        let lines: Vec<&str> = self.pem.lines().filter(|line| !line.trim().is_empty()).collect();
        let inner = lines.get(1..lines.len().saturating_sub(1)).unwrap_or_default();
        let text: String = inner.iter().flat_map(|line| [line, "\n"]).collect();
        let digest = match hash {
            HashType::Sha224 => Sha224::digest(text).to_vec(),
            HashType::Sha256 => Sha256::digest(text).to_vec(),
            HashType::Sha512 => Sha512::digest(text).to_vec(),
        };
        Fingerprint(digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
    }

    /// Encrypts a short message for the key's owner.
    ///
    /// # Errors
    /// When the message does not fit the key.
    pub fn encrypt(
        &self,
        message: &[u8],
        algorithm: EncryptionAlgorithm,
        mut rng: &mut dyn Random,
    ) -> Result<Vec<u8>, KeyError> {
        self.key.encrypt(&mut rng, algorithm.padding(), message).map_err(operation)
    }

    /// True when the key's owner signed this message.
    pub fn verify(&self, message: &[u8], signature: &[u8], algorithm: SigningAlgorithm) -> bool {
        let (scheme, digest) = algorithm.scheme_and_digest(message);
        self.key.verify(scheme, &digest, signature).is_ok()
    }

    /// The message inside an X9.31 signature, if it is one of this key's owner.
    pub fn recover_x931(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let signature = BigUint::from_bytes_be(signature);
        if signature >= *self.key.n() {
            return None;
        }
        let block = rsa::hazmat::rsa_encrypt(&self.key, &signature).ok()?;
        let size = self.key.size();
        let block = fixed_size(&block, size);
        if x931::is_block(&block) {
            return x931::unpad(&block).map(<[u8]>::to_vec);
        }
        let other = fixed_size(&(self.key.n() - BigUint::from_bytes_be(&block)), size);
        x931::unpad(&other).map(<[u8]>::to_vec)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

/// The digest behind a fingerprint, Salt's `hash_type`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HashType {
    /// SHA-224.
    Sha224,
    /// SHA-256, Salt's default.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

impl HashType {
    /// The digest of a Salt name. MD5 and SHA-1 make no fingerprint worth comparing and are not offered.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "sha224" => Some(Self::Sha224),
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// A key's fingerprint as Salt prints it: lowercase hex, colons between the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint in a configuration or on a command line. Case and surrounding space do not count.
    pub fn parse(text: &str) -> Self {
        Self(text.trim().to_ascii_lowercase())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn from_spki(der: &[u8]) -> Result<RsaPublicKey, String> {
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|why| why.to_string())?;
    if info.algorithm.oid != rsa::pkcs1::ALGORITHM_OID {
        return Err("the key is none of RSA".to_owned());
    }
    from_pkcs1(info.subject_public_key.raw_bytes())
}

/// The library's own reader stops at 4096 bits; Salt's `keysize` does not.
fn from_pkcs1(der: &[u8]) -> Result<RsaPublicKey, String> {
    let parts = rsa::pkcs1::RsaPublicKey::try_from(der).map_err(|why| why.to_string())?;
    let number = |part: rsa::pkcs1::UintRef<'_>| BigUint::from_bytes_be(part.as_bytes());
    let (modulus, exponent) = (number(parts.modulus), number(parts.public_exponent));
    RsaPublicKey::new_with_max_size(modulus, exponent, MAX_BITS).map_err(|why| why.to_string())
}

/// Salt's `clean_key`: LF line ends and nothing around the text.
fn clean(pem: &str) -> String {
    pem.trim().replace("\r\n", "\n").replace('\r', "\n")
}

fn fixed_size(number: &BigUint, size: usize) -> Vec<u8> {
    let bytes = number.to_bytes_be();
    let mut fixed = vec![0; size.saturating_sub(bytes.len())];
    fixed.extend_from_slice(&bytes);
    fixed
}

fn operation(why: rsa::Error) -> KeyError {
    KeyError::Operation { why: why.to_string() }
}

/// Larger keys take seconds for every operation, which is a way to keep a master busy.
const MAX_BITS: usize = 8192;

#[cfg(test)]
mod tests;
