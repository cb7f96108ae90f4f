//! The X9.31 block that Salt's "encrypt with the private key" makes, see `salt.utils.rsax931`.
//!
//! A block of the modulus' size is `6B BB..BB BA message CC`, or `6A message CC` when no padding fits. The signer
//! gives the smaller of the two roots, so a recovered number that does not end in the trailer is the other one's
//! complement; [`is_block`] tells by the low four bits. The RSA operations themselves are in [`crate::key`].

/// The block of `size` bytes around a message, if it fits.
pub(crate) fn pad(message: &[u8], size: usize) -> Option<Vec<u8>> {
    let padding = size.checked_sub(message.len() + 2)?;
    let mut block = Vec::with_capacity(size);
    if padding == 0 {
        block.push(HEADER_BARE);
    } else {
        block.push(HEADER_PADDED);
        block.resize(padding, PADDING);
        block.push(PADDING_END);
    }
    block.extend_from_slice(message);
    block.push(TRAILER);
    Some(block)
}

/// True when a recovered number is the block itself and not its complement.
pub(crate) fn is_block(block: &[u8]) -> bool {
    block.last().is_some_and(|last| last & 0x0f == TRAILER & 0x0f)
}

/// The message inside a block, if it is one.
pub(crate) fn unpad(block: &[u8]) -> Option<&[u8]> {
    let (&TRAILER, block) = block.split_last()? else { return None };
    match block.split_first()? {
        (&HEADER_BARE, message) => Some(message),
        (&HEADER_PADDED, padded) => {
            let end = padded.iter().position(|&byte| byte != PADDING)?;
            if padded[end] == PADDING_END { Some(&padded[end + 1..]) } else { None }
        }
        _ => None,
    }
}

const HEADER_PADDED: u8 = 0x6b;
const HEADER_BARE: u8 = 0x6a;
const PADDING: u8 = 0xbb;
const PADDING_END: u8 = 0xba;
const TRAILER: u8 = 0xcc;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_that_fits_comes_back() {
        for len in 0..=30 {
            let message = vec![0x5a; len];
            let block = pad(&message, 32).unwrap();
            assert_eq!(block.len(), 32);
            assert!(is_block(&block));
            assert_eq!(unpad(&block), Some(&message[..]));
        }
        assert_eq!(pad(&[0; 31], 32), None);
    }

    #[test]
    fn a_message_of_padding_bytes_comes_back() {
        let message = [0xbb, 0xba, 0xbb, 0xcc];
        assert_eq!(unpad(&pad(&message, 16).unwrap()), Some(&message[..]));
    }

    #[test]
    fn refuses_a_damaged_block() {
        let good = pad(b"salt", 16).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert_ne!(unpad(&bad), Some(&b"salt"[..]), "byte {at}");
        }
        assert_eq!(unpad(&[]), None);
        assert_eq!(unpad(&[0xcc]), None);
        assert_eq!(unpad(&[0x6b, 0xbb, 0xcc]), None);
    }
}
