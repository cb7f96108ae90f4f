//! The Crypticle: a shared key, and loads encrypted and authenticated under it.
//!
//! The key travels as text, base64 of a 24-byte AES-192 key and a 32-byte HMAC key; that text is what RSA encrypts
//! and what is digested. A box is `IV || AES-192-CBC || HMAC-SHA256(IV || ciphertext)`; the HMAC is compared in constant time before
//! anything is decrypted. The plaintext is `pickle::`, then the 32 characters of a nonce in replies, then msgpack.
//! Salt reads a plaintext without `pickle::` as an empty map; here it is an error, since nothing honest makes it.

use std::fmt;

use aes::Aes192;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::msgpack::{self, DecodeError, Strings};
use crate::{Nonce, Random, Value};

/// Why a box does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrypticleError {
    /// The key's text is not base64 of 56 bytes.
    #[error("the shared key is not base64 of 56 bytes")]
    Key,
    /// The HMAC does not fit: made under another key, or tampered with.
    #[error("the message was not made under this shared key")]
    Hmac,
    /// Authentic, but not padded or marked as Salt does.
    #[error("the decrypted message is not a Salt payload")]
    Payload,
    /// Authentic, but the answer to another request.
    #[error("the reply carries another request's nonce")]
    Nonce,
    /// Authentic, but not msgpack.
    #[error("the decrypted message cannot be decoded")]
    Decode(#[from] DecodeError),
}

/// A shared key. Clones are the same key.
#[derive(Clone, PartialEq, Eq)]
pub struct Crypticle {
    text: String,
    cipher_key: [u8; CIPHER_KEY],
    mac_key: [u8; MAC_KEY],
}

impl Crypticle {
    /// Makes a fresh key.
    pub fn generate(rng: &mut dyn Random) -> Self {
        let mut bytes = [0; CIPHER_KEY + MAC_KEY];
        rng.fill_bytes(&mut bytes);
        Self::from_parts(STANDARD.encode(bytes), &bytes)
    }

    /// The key of a text.
    ///
    /// # Errors
    /// When the text is not base64 of 56 bytes.
    pub fn from_text(text: &str) -> Result<Self, CrypticleError> {
        let text = text.trim();
        let bytes = STANDARD.decode(text).map_err(|_| CrypticleError::Key)?;
        let bytes: [u8; CIPHER_KEY + MAC_KEY] = bytes.try_into().map_err(|_| CrypticleError::Key)?;
        Ok(Self::from_parts(text.to_owned(), &bytes))
    }

    /// The key's text: a secret.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Encrypts and authenticates bytes.
    pub fn encrypt(&self, plaintext: &[u8], rng: &mut dyn Random) -> Vec<u8> {
        let mut iv = [0; IV];
        rng.fill_bytes(&mut iv);
        let cipher = cbc::Encryptor::<Aes192>::new(&self.cipher_key.into(), &iv.into());
        let mut boxed = iv.to_vec();
        boxed.extend(cipher.encrypt_padded_vec_mut::<Pkcs7>(plaintext));
        let tag = self.mac(&boxed).finalize().into_bytes();
        boxed.extend_from_slice(&tag);
        boxed
    }

    /// Verifies and decrypts bytes.
    ///
    /// # Errors
    /// [`CrypticleError::Hmac`] or [`CrypticleError::Payload`].
    pub fn decrypt(&self, boxed: &[u8]) -> Result<Vec<u8>, CrypticleError> {
        let (signed, tag) = boxed.split_last_chunk::<TAG>().ok_or(CrypticleError::Hmac)?;
        self.mac(signed).verify_slice(tag).map_err(|_| CrypticleError::Hmac)?;
        let (iv, ciphertext) = signed.split_first_chunk::<IV>().ok_or(CrypticleError::Payload)?;
        let cipher = cbc::Decryptor::<Aes192>::new(&self.cipher_key.into(), iv.into());
        cipher.decrypt_padded_vec_mut::<Pkcs7>(ciphertext).map_err(|_| CrypticleError::Payload)
    }

    /// Seals a load that carries no nonce before it: a request, a publish.
    pub fn seal(&self, load: &Value, rng: &mut dyn Random) -> Vec<u8> {
        let plaintext = [MARK, &msgpack::encode(load)].concat();
        self.encrypt(&plaintext, rng)
    }

    /// Seals the reply to the request that carried `nonce`.
    pub fn seal_reply(&self, load: &Value, nonce: &Nonce, rng: &mut dyn Random) -> Vec<u8> {
        let plaintext = [MARK, nonce.as_str().as_bytes(), &msgpack::encode(load)].concat();
        self.encrypt(&plaintext, rng)
    }

    /// Opens what [`seal`](Self::seal) made.
    ///
    /// # Errors
    /// See [`CrypticleError`].
    pub fn open(&self, boxed: &[u8], strings: Strings) -> Result<Value, CrypticleError> {
        let plaintext = self.decrypt(boxed)?;
        let load = plaintext.strip_prefix(MARK).ok_or(CrypticleError::Payload)?;
        Ok(msgpack::decode_with(load, strings, msgpack::Limits::default())?)
    }

    /// Opens the reply to the request that carried `nonce`.
    ///
    /// # Errors
    /// See [`CrypticleError`].
    pub fn open_reply(&self, boxed: &[u8], nonce: &Nonce, strings: Strings) -> Result<Value, CrypticleError> {
        let plaintext = self.decrypt(boxed)?;
        let marked = plaintext.strip_prefix(MARK).ok_or(CrypticleError::Payload)?;
        let load = marked.strip_prefix(nonce.as_str().as_bytes()).ok_or(CrypticleError::Nonce)?;
        Ok(msgpack::decode_with(load, strings, msgpack::Limits::default())?)
    }

    fn from_parts(text: String, bytes: &[u8; CIPHER_KEY + MAC_KEY]) -> Self {
        let mut key = Self { text, cipher_key: [0; CIPHER_KEY], mac_key: [0; MAC_KEY] };
        key.cipher_key.copy_from_slice(&bytes[..CIPHER_KEY]);
        key.mac_key.copy_from_slice(&bytes[CIPHER_KEY..]);
        key
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.mac_key)
            .expect("invariant: HMAC takes a key of any length");
        mac.update(message);
        mac
    }
}

impl fmt::Debug for Crypticle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Crypticle(..)")
    }
}

const CIPHER_KEY: usize = 24;
const MAC_KEY: usize = 32;
const IV: usize = 16;
const TAG: usize = 32;
const MARK: &[u8] = b"pickle::";

#[cfg(test)]
mod tests;
