//! PRELOGIN (MS-TDS 2.2.6.5): versions, whether and how far the connection is encrypted, the instance asked for.

use super::error::TdsError;
use super::read::Reader;

/// How much of a connection runs inside TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Nothing.
    None,
    /// The LOGIN7 message only.
    LoginOnly,
    /// Everything after the handshake.
    Full,
}

/// How the server is set: what it offers and what it insists on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// The server has no certificate at hand (ENCRYPT_NOT_SUP).
    Off,
    /// Encrypts logins, and all of a connection when the client asks (ENCRYPT_OFF: SQL Server as installed).
    Login,
    /// Every connection is encrypted whole (ENCRYPT_REQ: "Force Encryption").
    On,
}

/// What the client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prelogin {
    /// The client's encryption byte; a client that sent none cannot encrypt.
    pub encryption: u8,
    /// The instance it means to reach, empty when it does not say.
    pub instance: String,
}

impl Prelogin {
    /// Reads a prelogin message.
    pub fn parse(payload: &[u8]) -> Result<Self, TdsError> {
        let mut options = Reader::new(payload, "prelogin");
        let mut prelogin = Self { encryption: ENCRYPT_NOT_SUP, instance: String::new() };
        loop {
            let token = options.u8()?;
            if token == TERMINATOR {
                return Ok(prelogin);
            }
            let (offset, length) = (usize::from(options.u16_be()?), usize::from(options.u16_be()?));
            let data = payload.get(offset..offset + length).ok_or(TdsError::Truncated("prelogin"))?;
            match token {
                TOKEN_ENCRYPTION => prelogin.encryption = data.first().copied().unwrap_or(ENCRYPT_NOT_SUP),
                TOKEN_INSTANCE => prelogin.instance = ansi_text(data),
                _ => {}
            }
        }
    }

    /// What both sides agree on, with the byte to answer; `None` when the client cannot do what the server insists on.
    pub fn negotiate(&self, mode: TlsMode) -> Option<(Encryption, u8)> {
        let client = self.encryption & !ENCRYPT_CLIENT_CERT;
        match (mode, client) {
            (TlsMode::Off, ENCRYPT_ON | ENCRYPT_REQ) => None,
            (TlsMode::Off, _) => Some((Encryption::None, ENCRYPT_NOT_SUP)),
            (TlsMode::Login, ENCRYPT_NOT_SUP) => Some((Encryption::None, ENCRYPT_NOT_SUP)),
            (TlsMode::Login, ENCRYPT_OFF) => Some((Encryption::LoginOnly, ENCRYPT_OFF)),
            (TlsMode::Login, _) => Some((Encryption::Full, ENCRYPT_ON)),
            (TlsMode::On, ENCRYPT_NOT_SUP) => None,
            (TlsMode::On, ENCRYPT_ON) => Some((Encryption::Full, ENCRYPT_ON)),
            (TlsMode::On, _) => Some((Encryption::Full, ENCRYPT_REQ)),
        }
    }

    /// The byte the server answers when [`Self::negotiate`] found no common ground.
    pub fn refusal(mode: TlsMode) -> u8 {
        match mode {
            TlsMode::Off => ENCRYPT_NOT_SUP,
            TlsMode::Login => ENCRYPT_OFF,
            TlsMode::On => ENCRYPT_REQ,
        }
    }
}

/// The server's answer with `encryption` as negotiated.
pub fn response(encryption: u8, instance_matches: bool) -> Vec<u8> {
    let [major, minor, build_high, build_low] = SERVER_VERSION;
    let version = [major, minor, build_high, build_low, 0, 0];
    let fields: [(u8, &[u8]); 5] = [
        (TOKEN_VERSION, &version),
        (TOKEN_ENCRYPTION, &[encryption]),
        (TOKEN_INSTANCE, &[u8::from(!instance_matches)]),
        (TOKEN_THREAD, &[]),
        (TOKEN_MARS, &[0]),
    ];
    let (mut head, mut body) = (Vec::new(), Vec::new());
    let start = fields.len() * 5 + 1;
    for (token, data) in fields {
        head.push(token);
        head.extend_from_slice(&short(start + body.len()));
        head.extend_from_slice(&short(data.len()));
        body.extend_from_slice(data);
    }
    head.push(TERMINATOR);
    head.extend_from_slice(&body);
    head
}

/// Product version this server answers for: SQL Server 2019 RTM, 15.0.2000, the bytes of VERSION and LOGINACK.
pub const SERVER_VERSION: [u8; 4] = [15, 0, 0x07, 0xD0];

fn short(value: usize) -> [u8; 2] {
    u16::try_from(value).unwrap_or(u16::MAX).to_be_bytes()
}

fn ansi_text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

const TOKEN_VERSION: u8 = 0;
const TOKEN_ENCRYPTION: u8 = 1;
const TOKEN_INSTANCE: u8 = 2;
const TOKEN_THREAD: u8 = 3;
const TOKEN_MARS: u8 = 4;
const TERMINATOR: u8 = 0xFF;
const ENCRYPT_OFF: u8 = 0;
const ENCRYPT_ON: u8 = 1;
const ENCRYPT_NOT_SUP: u8 = 2;
const ENCRYPT_REQ: u8 = 3;
const ENCRYPT_CLIENT_CERT: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    fn client(encryption: u8) -> Prelogin {
        Prelogin { encryption, instance: String::new() }
    }

    #[test]
    fn reads_the_options_it_knows() {
        let bytes = [1, 0, 11, 0, 1, 2, 0, 12, 0, 4, 0xFF, 1, b'e', b'h', b'r', 0];
        let prelogin = Prelogin::parse(&bytes).unwrap();
        assert_eq!(prelogin, Prelogin { encryption: 1, instance: "ehr".into() });
    }

    #[test]
    fn an_option_that_points_outside_is_refused() {
        assert!(Prelogin::parse(&[1, 0, 99, 0, 1, 0xFF]).is_err());
        assert!(Prelogin::parse(&[1, 0]).is_err());
    }

    #[test]
    fn negotiates_the_table_of_the_specification() {
        assert_eq!(client(ENCRYPT_OFF).negotiate(TlsMode::Off), Some((Encryption::None, ENCRYPT_NOT_SUP)));
        assert_eq!(client(ENCRYPT_ON).negotiate(TlsMode::Off), None);
        assert_eq!(client(ENCRYPT_OFF).negotiate(TlsMode::Login), Some((Encryption::LoginOnly, ENCRYPT_OFF)));
        assert_eq!(client(ENCRYPT_ON).negotiate(TlsMode::Login), Some((Encryption::Full, ENCRYPT_ON)));
        assert_eq!(
            client(ENCRYPT_NOT_SUP).negotiate(TlsMode::Login),
            Some((Encryption::None, ENCRYPT_NOT_SUP))
        );
        assert_eq!(client(ENCRYPT_OFF).negotiate(TlsMode::On), Some((Encryption::Full, ENCRYPT_REQ)));
        assert_eq!(client(ENCRYPT_NOT_SUP).negotiate(TlsMode::On), None);
    }

    #[test]
    fn the_answer_reads_as_a_prelogin() {
        assert_eq!(Prelogin::parse(&response(ENCRYPT_REQ, true)).unwrap().encryption, ENCRYPT_REQ);
    }
}
