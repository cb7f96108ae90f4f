//! HMAC-SHA256 (RFC 2104) of one short message after the other under one key.
//!
//! The blocks of the key are compressed once, and a message is padded where it lies. The `hmac` crate, which the tests
//! compare with, copies a hasher's whole state for each message: for some hundred bytes that takes as long as the hash.

use sha2::compress256;
use sha2::digest::consts::U64;
use sha2::digest::generic_array::GenericArray;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// A key, ready for messages.
pub(crate) struct Mac {
    inner: State,
    outer: State,
}

type State = [u32; 8];

impl Mac {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Self {
        let state = |pad: u8| {
            let mut block = [pad; BLOCK];
            block.iter_mut().zip(key).for_each(|(to, from)| *to ^= from);
            let mut state = START;
            compress(&mut state, &block);
            state
        };
        Self { inner: state(0x36), outer: state(0x5C) }
    }

    /// Of the message, to which the padding is appended.
    pub(crate) fn of(&self, message: &mut Vec<u8>) -> [u8; DIGEST] {
        let inner = finish(self.inner, message);
        let mut block = [0; BLOCK];
        block[..DIGEST].copy_from_slice(&inner);
        block[DIGEST] = END;
        block[BLOCK - LENGTH..].copy_from_slice(&bits(BLOCK + DIGEST));
        let mut state = self.outer;
        compress(&mut state, &block);
        bytes(state)
    }
}

/// The digest of what went into `state`, which is one block, and of the message.
fn finish(mut state: State, message: &mut Vec<u8>) -> [u8; DIGEST] {
    let length = BLOCK + message.len();
    message.push(END);
    let whole = (message.len() + LENGTH).next_multiple_of(BLOCK);
    message.resize(whole - LENGTH, 0);
    message.extend_from_slice(&bits(length));
    let (blocks, _) = message.as_chunks::<BLOCK>();
    blocks.iter().for_each(|block| compress(&mut state, block));
    bytes(state)
}

fn compress(state: &mut State, block: &[u8; BLOCK]) {
    let block: &GenericArray<u8, U64> = block.into();
    compress256(state, std::slice::from_ref(block));
}

fn bits(bytes: usize) -> [u8; LENGTH] {
    (bytes as u64 * 8).to_be_bytes()
}

fn bytes(state: State) -> [u8; DIGEST] {
    let mut bytes = [0; DIGEST];
    let (words, _) = bytes.as_chunks_mut::<4>();
    words.iter_mut().zip(state).for_each(|(to, word)| *to = word.to_be_bytes());
    bytes
}

/// What SHA-256 begins with (FIPS 180-4, 5.3.3).
const START: State =
    [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19];
/// Bytes that SHA-256 takes at a time.
const BLOCK: usize = 64;
/// Bytes that it gives.
const DIGEST: usize = 32;
/// What follows the last byte, and the bytes of a message's length in bits, which is what it ends with (FIPS 180-4, 5.1.1).
const END: u8 = 0x80;
const LENGTH: usize = 8;

#[cfg(test)]
mod tests {
    use hmac::{Hmac, Mac as _};
    use proptest::prelude::*;
    use sha2::Sha256;

    use super::*;

    proptest! {
        #[test]
        fn is_what_others_compute(key: [u8; KEY_BYTES], messages: Vec<Vec<u8>>) {
            let mac = Mac::new(&key);
            for mut message in messages {
                let theirs = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(&message);
                prop_assert_eq!(mac.of(&mut message), <[u8; DIGEST]>::from(theirs.finalize().into_bytes()));
            }
        }
    }

    #[test]
    fn a_message_of_any_length_is_padded_to_whole_blocks() {
        let mac = Mac::new(&[7; KEY_BYTES]);
        for length in 0..4 * BLOCK {
            let mut message = vec![0xA5; length];
            let theirs = Hmac::<Sha256>::new_from_slice(&[7; KEY_BYTES]).unwrap().chain_update(&message);
            assert_eq!(
                mac.of(&mut message),
                <[u8; DIGEST]>::from(theirs.finalize().into_bytes()),
                "{length} bytes"
            );
        }
    }
}
