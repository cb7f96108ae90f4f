//! Encryption from end to end, agreed on below tiberius (MS-TDS 2.2.6.5 PRELOGIN, 3.2.5.1).
//!
//! PRELOGIN is asked and answered here, the TLS handshake travels inside PRELOGIN packets, and from its end on records travel
//! bare. tiberius then makes a PRELOGIN of its own, without encryption: it goes nowhere and gets the server's answer with
//! "no encryption" in it. Which certificates are trusted is decided as tiberius decides it elsewhere: the machine's
//! authorities and the one that was named, or anyone.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::mssql::SqlError;
use crate::mssql::options::Trust;

/// Agrees on encryption with the server and makes the handshake.
///
/// # Errors
/// The server does not encrypt, its certificate is not trusted, or the connection broke.
pub(in crate::mssql) async fn encrypt(
    mut stream: TcpStream,
    host: &str,
    trust: &Trust,
) -> Result<(TlsStream<Handshake>, Prelogin), SqlError> {
    let prelogin = Prelogin::ask(&mut stream).await?;
    let connector = TlsConnector::from(Arc::new(config(trust)?));
    let connected = connector.connect(server_name(host, trust)?, Handshake::new(stream)).await;
    let mut encrypted = connected.map_err(|error| refused(&error))?;
    encrypted.get_mut().0.is_wrapped = false;
    Ok((encrypted, prelogin))
}

fn broken(error: &io::Error) -> SqlError {
    SqlError::Broken { reason: error.to_string() }
}

fn refused(error: &io::Error) -> SqlError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(reason)) => SqlError::certificate(&format!(
            "the server's certificate was rejected during the TLS handshake: {reason}."
        )),
        Some(other) => SqlError::Tls { reason: other.to_string() },
        None => broken(error),
    }
}

fn server_name(host: &str, trust: &Trust) -> Result<ServerName<'static>, SqlError> {
    match (ServerName::try_from(host.to_owned()), trust) {
        (Ok(name), _) => Ok(name),
        // Nobody looks at the name then.
        (Err(_), Trust::Anyone) => Ok(ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into())),
        (Err(error), Trust::System | Trust::Ca(_)) => Err(SqlError::certificate(&error.to_string())),
    }
}

fn config(trust: &Trust) -> Result<ClientConfig, SqlError> {
    let unusable = |error: rustls::Error| SqlError::Tls { reason: error.to_string() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    Ok(match trust {
        Trust::Anyone => builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified)),
        Trust::System => builder.with_root_certificates(authorities(None)?),
        Trust::Ca(path) => builder.with_root_certificates(authorities(Some(path))?),
    }
    .with_no_client_auth())
}

/// The machine's certificate authorities, and those of a file.
fn authorities(file: Option<&std::path::Path>) -> Result<RootCertStore, SqlError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = file {
        let unusable = |reason: String| SqlError::certificate(&format!("{}: {reason}", path.display()));
        let content = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&content)
            .collect::<Result<_, _>>()
            .map_err(|error| unusable(error.to_string()))?;
        let is_der = certificates.is_empty();
        let certificates = if is_der { vec![CertificateDer::from(content)] } else { certificates };
        for certificate in certificates {
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
    }
    if roots.is_empty() {
        return Err(SqlError::certificate("this machine has no certificate authorities"));
    }
    Ok(roots)
}

/// Takes any certificate for good, also one of a kind that nobody makes any more, as SQL Server signs for itself.
#[derive(Debug)]
struct Unverified;

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The server's PRELOGIN answer, kept for tiberius.
#[derive(Debug)]
pub(in crate::mssql) struct Prelogin {
    answer: Vec<u8>,
    given: usize,
    /// What tiberius sent of its own PRELOGIN.
    swallowed: Vec<u8>,
}

impl Prelogin {
    async fn ask(stream: &mut TcpStream) -> Result<Self, SqlError> {
        let cut = |error: io::Error| broken(&error);
        stream.write_all(&packet(&PRELOGIN)).await.map_err(cut)?;
        let mut answer = vec![0; HEADER];
        stream.read_exact(&mut answer).await.map_err(cut)?;
        let length = packet_length(&answer).ok_or_else(odd)?;
        answer.resize(length, 0);
        stream.read_exact(answer.get_mut(HEADER..).unwrap_or_default()).await.map_err(cut)?;
        let encryption = encryption_of(&mut answer).ok_or_else(odd)?;
        match *encryption {
            ENCRYPT_ON | ENCRYPT_REQ => *encryption = ENCRYPT_NOT_SUP,
            _ => {
                let reason = "the server does not encrypt connections and mssql.encrypt is true: give it a certificate, or set \
                              mssql.encrypt: false";
                return Err(SqlError::Tls { reason: reason.to_owned() });
            }
        }
        Ok(Self { answer, given: 0, swallowed: Vec::new() })
    }

    /// True when tiberius has its answer.
    pub(super) fn is_over(&self) -> bool {
        self.given == self.answer.len()
    }

    /// The answer, at most `most` bytes of it.
    pub(super) fn give(&mut self, most: usize) -> &[u8] {
        let from = self.given;
        self.given = self.answer.len().min(from.saturating_add(most));
        self.answer.get(from..self.given).unwrap_or_default()
    }

    /// Takes what tiberius sends, which is its PRELOGIN and no more before it has the answer.
    pub(super) fn swallow(&mut self, data: &[u8]) -> io::Result<usize> {
        self.swallowed.extend_from_slice(data);
        if self.swallowed.len() > LARGEST_PRELOGIN {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more than PRELOGIN before its answer"));
        }
        Ok(data.len())
    }
}

fn odd() -> SqlError {
    SqlError::Protocol { reason: "its answer to PRELOGIN is none".to_owned() }
}

fn packet(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[PRELOGIN_PACKET, END_OF_MESSAGE, length[0], length[1], 0, 0, 1, 0], payload].concat()
}

fn packet_length(header: &[u8]) -> Option<usize> {
    let [_, _, high, low, ..] = header else { return None };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    (HEADER..=LARGEST_PRELOGIN).contains(&length).then_some(length)
}

/// Where an answer says how it encrypts: options of a kind, an offset and a length each come before the values.
fn encryption_of(answer: &mut [u8]) -> Option<&mut u8> {
    let payload = answer.get_mut(HEADER..)?;
    let (options, _) = payload.as_chunks::<5>();
    let [_, high, low, ..] =
        options.iter().take_while(|[kind, ..]| *kind != TERMINATOR).find(|o| o[0] == ENCRYPTION)?;
    let offset = usize::from(u16::from_be_bytes([*high, *low]));
    payload.get_mut(offset)
}

/// The socket during and after the handshake.
#[derive(Debug)]
pub(in crate::mssql) struct Handshake {
    stream: TcpStream,
    is_wrapped: bool,
    /// A packet's header, as far as it came.
    header: Vec<u8>,
    body_left: usize,
    /// Bytes on their way into a packet, then the packet.
    out: Vec<u8>,
    /// How much of the packet is sent; none while it is not one yet.
    sent: Option<usize>,
}

impl Handshake {
    fn new(stream: TcpStream) -> Self {
        Self { stream, is_wrapped: true, header: Vec::new(), body_left: 0, out: Vec::new(), sent: None }
    }

    /// Reads a header; false at the end of the connection.
    fn poll_header(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.header.len() < HEADER {
            let mut bytes = [0; HEADER];
            let mut target = ReadBuf::new(bytes.get_mut(self.header.len()..).unwrap_or_default());
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut target))?;
            if target.filled().is_empty() {
                return Poll::Ready(Ok(false));
            }
            self.header.extend_from_slice(target.filled());
        }
        let length = match self.header.as_slice() {
            [_, _, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
            _ => 0,
        };
        self.header.clear();
        let reason = "the server's TLS handshake is not inside packets";
        let body =
            length.checked_sub(HEADER).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, reason));
        self.body_left = body?;
        Poll::Ready(Ok(true))
    }

    /// Sends what is collected as one packet.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if self.sent.is_none() {
            self.out = packet(&self.out);
        }
        let mut sent = self.sent.unwrap_or(0);
        while let Some(rest) = self.out.get(sent..).filter(|rest| !rest.is_empty()) {
            self.sent = Some(sent);
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => sent += more,
            }
        }
        self.out.clear();
        self.sent = None;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Handshake {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.is_wrapped {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        while this.body_left == 0 {
            if !ready!(this.poll_header(cx))? {
                return Poll::Ready(Ok(()));
            }
        }
        let room = buf.remaining().min(this.body_left);
        let mut limited = ReadBuf::new(buf.initialize_unfilled_to(room));
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut limited))?;
        let read = limited.filled().len();
        this.body_left -= read;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Handshake {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if !this.is_wrapped {
            return Pin::new(&mut this.stream).poll_write(cx, data);
        }
        if this.sent.is_some() || this.out.len() >= LARGEST_PART {
            ready!(this.poll_send(cx))?;
        }
        let part = data.get(..LARGEST_PART - this.out.len()).unwrap_or(data);
        this.out.extend_from_slice(part);
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

const HEADER: usize = 8;
const PRELOGIN_PACKET: u8 = 0x12;
const END_OF_MESSAGE: u8 = 1;
const LARGEST_PRELOGIN: usize = 4096;
const LARGEST_PART: usize = 4096 - HEADER;

const ENCRYPTION: u8 = 1;
const TERMINATOR: u8 = 0xFF;
const ENCRYPT_ON: u8 = 1;
const ENCRYPT_NOT_SUP: u8 = 2;
const ENCRYPT_REQ: u8 = 3;
/// Version, encryption (required), instance (any), thread, MARS (off): an option is its kind, offset and length.
const PRELOGIN: [u8; 39] = [
    0,
    0,
    26,
    0,
    6,
    1,
    0,
    32,
    0,
    1,
    2,
    0,
    33,
    0,
    1,
    3,
    0,
    34,
    0,
    4,
    4,
    0,
    38,
    0,
    1,
    0xFF, //
    0,
    0,
    0,
    0,
    0,
    0,
    ENCRYPT_REQ,
    0,
    0,
    0,
    0,
    0,
    0,
];
