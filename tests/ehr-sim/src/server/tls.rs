//! TLS as TDS 7 uses it: a certificate made when the server starts, and a handshake wrapped in PRELOGIN packets.
//!
//! TLS 1.2 only. SQL Server before strict encryption (TDS 8) speaks no 1.3, and a 1.3 server would send tickets after
//! the handshake, where a login-only client already reads plain TDS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tds::packet::{HEADER, PacketKind};

/// Why the server has no certificate.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// The certificate could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// rustls refused it.
    #[error("cannot use the certificate made for this server")]
    Use(#[from] rustls::Error),
}

/// The server's certificate and the means to serve it.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: TlsAcceptor,
    certificate: CertificateDer<'static>,
}

impl ServerTls {
    /// Makes a self-signed certificate for `names`, as SQL Server does when it is given none.
    pub fn self_signed(names: Vec<String>) -> Result<Self, CertificateError> {
        let made = rcgen::generate_simple_self_signed(names)?;
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS12])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)?;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    /// The certificate, DER encoded, for a client that wants to trust exactly this server.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Does the handshake inside PRELOGIN packets; from its end on, TLS records travel bare.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<HandshakeStream>> {
        let mut tls = self.acceptor.accept(HandshakeStream::new(stream)).await?;
        tls.get_mut().0.wrapped = false;
        Ok(tls)
    }
}

/// The socket during and after the handshake.
#[derive(Debug)]
pub struct HandshakeStream {
    stream: TcpStream,
    wrapped: bool,
    header: [u8; HEADER],
    header_read: usize,
    body_left: usize,
    out: Vec<u8>,
    out_sent: usize,
}

impl HandshakeStream {
    fn new(stream: TcpStream) -> Self {
        let header = [0; HEADER];
        Self { stream, wrapped: true, header, header_read: 0, body_left: 0, out: Vec::new(), out_sent: 0 }
    }

    /// The bare socket, for the plain rest of a login-only connection.
    pub fn into_socket(self) -> TcpStream {
        self.stream
    }

    fn poll_header(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.header_read < HEADER {
            let mut target = ReadBuf::new(&mut self.header[self.header_read..]);
            std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut target))?;
            match target.filled().len() {
                0 => return Poll::Ready(Ok(false)),
                read => self.header_read += read,
            }
        }
        let length = usize::from(u16::from_be_bytes([self.header[2], self.header[3]]));
        if PacketKind::from_byte(self.header[0]) != PacketKind::Prelogin || length < HEADER {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the client's TLS handshake is not inside prelogin packets",
            )));
        }
        self.header_read = 0;
        self.body_left = length - HEADER;
        Poll::Ready(Ok(true))
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.out_sent < self.out.len() {
            match std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out[self.out_sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.out_sent += sent,
            }
        }
        self.out.clear();
        self.out_sent = 0;
        Poll::Ready(Ok(()))
    }

    fn seal_packet(&mut self) {
        if self.out_sent > 0 || self.out.len() <= HEADER {
            return;
        }
        let length = u16::try_from(self.out.len()).unwrap_or(u16::MAX).to_be_bytes();
        let header = [PacketKind::Prelogin.byte(), 1, length[0], length[1], 0, 0, 0, 0];
        self.out[..HEADER].copy_from_slice(&header);
    }
}

impl AsyncRead for HandshakeStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.wrapped {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        while this.body_left == 0 {
            if !std::task::ready!(this.poll_header(cx))? {
                return Poll::Ready(Ok(()));
            }
        }
        let room = buf.remaining().min(this.body_left);
        let mut limited = ReadBuf::new(buf.initialize_unfilled_to(room));
        std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, &mut limited))?;
        let read = limited.filled().len();
        this.body_left -= read;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HandshakeStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if !this.wrapped {
            return Pin::new(&mut this.stream).poll_write(cx, data);
        }
        if this.out_sent > 0 || this.out.len() >= HANDSHAKE_PACKET {
            this.seal_packet();
            std::task::ready!(this.poll_pending(cx))?;
        }
        if this.out.is_empty() {
            this.out.resize(HEADER, 0);
        }
        let count = data.len().min(HANDSHAKE_PACKET - this.out.len());
        this.out.extend_from_slice(&data[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.seal_packet();
        std::task::ready!(this.poll_pending(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

const HANDSHAKE_PACKET: usize = 4096;
