//! Collations on the wire: five bytes naming language, flags and sort id, and the code page they imply.
//!
//! The server itself has one collation, SQL_Latin1_General_CP1_CI_AS with code page 1252. A client may name others for
//! the parameters it sends; their bytes are read by the code page of their language.

use encoding_rs::{EncoderResult, Encoding};

/// A collation as the wire carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collation([u8; 5]);

impl Collation {
    /// SQL_Latin1_General_CP1_CI_AS.
    pub const SERVER: Self = Self([0x09, 0x04, 0xD0, 0x00, 0x34]);

    /// From the wire.
    pub fn from_bytes(bytes: [u8; 5]) -> Self {
        Self(bytes)
    }

    /// For the wire.
    pub fn bytes(self) -> [u8; 5] {
        self.0
    }

    /// The code page of (var)char data, by language id. Pages this build has no table for (437, 850) read as 1252.
    pub fn encoding(self) -> &'static Encoding {
        if self.0[3] & FLAG_UTF8 != 0 {
            return encoding_rs::UTF_8;
        }
        let language = u16::from_le_bytes([self.0[0], self.0[1]]);
        match language & 0x03FF {
            0x01 | 0x20 | 0x29 => encoding_rs::WINDOWS_1256,
            0x02 | 0x19 | 0x22 | 0x23 | 0x2F => encoding_rs::WINDOWS_1251,
            0x04 => match language {
                0x0804 | 0x1004 => encoding_rs::GBK,
                _ => encoding_rs::BIG5,
            },
            0x05 | 0x0E | 0x15 | 0x18 | 0x1A | 0x1B | 0x1C | 0x24 => encoding_rs::WINDOWS_1250,
            0x08 => encoding_rs::WINDOWS_1253,
            0x0D => encoding_rs::WINDOWS_1255,
            0x11 => encoding_rs::SHIFT_JIS,
            0x12 => encoding_rs::EUC_KR,
            0x1E => encoding_rs::WINDOWS_874,
            0x1F => encoding_rs::WINDOWS_1254,
            0x25..=0x27 => encoding_rs::WINDOWS_1257,
            0x2A => encoding_rs::WINDOWS_1258,
            _ => encoding_rs::WINDOWS_1252,
        }
    }

    /// Text of (var)char bytes.
    pub fn decode(self, bytes: &[u8]) -> String {
        self.encoding().decode_without_bom_handling(bytes).0.into_owned()
    }
}

/// Appends `text` in code page 1252; a character the page does not have becomes `?`.
pub fn encode_1252(text: &str, out: &mut Vec<u8>) {
    if text.is_ascii() {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut encoder = encoding_rs::WINDOWS_1252.new_encoder();
    let mut rest = text;
    let mut buffer = [0; 256];
    loop {
        let (result, read, written) = encoder.encode_from_utf8_without_replacement(rest, &mut buffer, true);
        out.extend_from_slice(&buffer[..written]);
        rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return,
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(_) => out.push(b'?'),
        }
    }
}

const FLAG_UTF8: u8 = 0x04;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_outside_the_code_page_becomes_a_question_mark() {
        let mut out = Vec::new();
        encode_1252("Zoë €5 中", &mut out);
        assert_eq!(out, b"Zo\xEB \x805 ?");
        assert_eq!(Collation::SERVER.decode(&out), "Zoë €5 ?");
    }

    #[test]
    fn a_long_text_passes_the_buffer_whole() {
        let text = "ä".repeat(1000);
        let mut out = Vec::new();
        encode_1252(&text, &mut out);
        assert_eq!(out, [0xE4].repeat(1000));
    }

    #[test]
    fn a_parameter_is_read_by_its_own_language() {
        assert_eq!(Collation::from_bytes([0x19, 0x04, 0xD0, 0, 0]).decode(&[0xCF]), "П");
        assert_eq!(Collation::from_bytes([0x09, 0x04, 0xD0, 0x04, 0]).decode("ü".as_bytes()), "ü");
    }
}
