//! Values sealed for the recipients: an armored age file that `age --decrypt` opens.
//!
//! A job's return lies in a master's cache, so what stood in a row leaves this agent only in this form, unless the
//! definition lists the column in `clear`.

use std::io::Write;
use std::str::FromStr;

use age::armor::{ArmoredWriter, Format};

use super::error::WriteError;

/// Reads age public keys.
///
/// # Errors
/// [`WriteError::Recipient`] names the first that is none.
pub fn parse(texts: &[String]) -> Result<Vec<age::x25519::Recipient>, WriteError> {
    let read = |text: &String| age::x25519::Recipient::from_str(text.trim());
    texts.iter().map(|text| read(text).map_err(|_| WriteError::Recipient { given: text.clone() })).collect()
}

/// Seals `clear`; `None` when there is nobody to seal it for.
///
/// # Errors
/// A recipient is none, or sealing failed.
pub fn seal(recipients: &[String], clear: &serde_json::Value) -> Result<Option<String>, WriteError> {
    let recipients = parse(recipients)?;
    if recipients.is_empty() {
        return Ok(None);
    }
    let sealed = armored(&recipients, clear.to_string().as_bytes()).map_err(WriteError::Seal)?;
    String::from_utf8(sealed).map(Some).map_err(|_| WriteError::Seal(std::io::ErrorKind::InvalidData.into()))
}

fn armored(recipients: &[age::x25519::Recipient], clear: &[u8]) -> std::io::Result<Vec<u8>> {
    let keys = recipients.iter().map(|key| key as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(keys).map_err(std::io::Error::other)?;
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    let mut writer = encryptor.wrap_output(armor)?;
    writer.write_all(clear)?;
    writer.finish()?.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn only_a_recipient_opens_what_was_sealed() {
        let (mine, other) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
        let sealed =
            seal(&[mine.to_public().to_string()], &serde_json::json!({"note": "canary"})).unwrap().unwrap();
        assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") && !sealed.contains("canary"));
        let open = |identity: &age::x25519::Identity| {
            let armor = age::armor::ArmoredReader::new(sealed.as_bytes());
            let opened = age::Decryptor::new(armor).unwrap();
            let mut clear = String::new();
            opened
                .decrypt(std::iter::once(identity as &dyn age::Identity))
                .ok()?
                .read_to_string(&mut clear)
                .ok()?;
            Some(clear)
        };
        assert_eq!(open(&mine).as_deref(), Some(r#"{"note":"canary"}"#));
        assert_eq!(open(&other), None);
    }

    #[test]
    fn nobody_to_seal_for_gives_nothing_and_a_bad_key_is_named() {
        assert_eq!(seal(&[], &serde_json::json!({})).unwrap(), None);
        let error = seal(&["agex".to_owned()], &serde_json::json!({})).unwrap_err();
        assert_eq!(error.to_string(), "the recipient 'agex' is no age public key (age1…)");
    }
}
