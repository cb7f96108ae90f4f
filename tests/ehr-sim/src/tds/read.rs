//! A bounds-checked cursor over one message's bytes: every read either yields a value or names the part that was cut off.

use super::error::TdsError;

/// A cursor over `bytes`; `part` names the message in errors.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    part: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, called `part` in errors.
    pub fn new(bytes: &'a [u8], part: &'static str) -> Self {
        Self { bytes, part }
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next byte, left in place.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], TdsError> {
        let (head, tail) = self.bytes.split_at_checked(count).ok_or(TdsError::Truncated(self.part))?;
        self.bytes = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TdsError> {
        let (head, tail) = self.bytes.split_first_chunk::<N>().ok_or(TdsError::Truncated(self.part))?;
        self.bytes = tail;
        Ok(*head)
    }

    /// BYTE.
    pub fn u8(&mut self) -> Result<u8, TdsError> {
        Ok(self.array::<1>()?[0])
    }

    /// USHORT, little endian.
    pub fn u16(&mut self) -> Result<u16, TdsError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// USHORT, big endian (prelogin only).
    pub fn u16_be(&mut self) -> Result<u16, TdsError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// ULONG, little endian.
    pub fn u32(&mut self) -> Result<u32, TdsError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// LONG, little endian.
    pub fn i32(&mut self) -> Result<i32, TdsError> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    /// ULONGLONG, little endian.
    pub fn u64(&mut self) -> Result<u64, TdsError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// `chars` UTF-16 units as text; half a surrogate pair is kept, as SQL Server keeps it.
    pub fn utf16(&mut self, chars: usize) -> Result<String, TdsError> {
        let bytes = self.take(chars * 2)?;
        Ok(utf16_text(bytes))
    }

    /// B_VARCHAR: a byte of length in UTF-16 units, then the text.
    pub fn b_varchar(&mut self) -> Result<String, TdsError> {
        let chars = self.u8()?;
        self.utf16(usize::from(chars))
    }
}

/// Little-endian UTF-16 `bytes` as text; an odd last byte is dropped.
pub fn utf16_text(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    crate::types::utf16::text(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_off_field_names_its_message() {
        let mut reader = Reader::new(&[1, 0, 0], "LOGIN7");
        assert!(matches!(reader.u32(), Err(TdsError::Truncated("LOGIN7"))));
        assert_eq!(reader.u16().unwrap(), 1);
        assert_eq!(reader.rest(), [0]);
    }

    #[test]
    fn text_is_read_in_utf16_units() {
        let mut reader = Reader::new(&[2, b'h', 0, 0xE9, 0, 7], "name");
        assert_eq!(reader.b_varchar().unwrap(), "hé");
        assert_eq!(reader.peek(), Some(7));
    }

    #[test]
    fn half_a_surrogate_pair_is_kept() {
        assert_eq!(utf16_text(&[0x01, 0xD8, b'a', 0]), "\u{10F801}a");
    }
}
