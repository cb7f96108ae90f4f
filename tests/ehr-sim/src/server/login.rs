//! The way into a session: prelogin, TLS as negotiated, LOGIN7, the backend's verdict, and the answer.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::server::TlsStream;

use super::Shared;
use super::backend::BackendSession;
use super::tls::HandshakeStream;
use crate::tds::error::TdsError;
use crate::tds::login7::{Authentication, Login7};
use crate::tds::output::{CHUNKS, Ending, PacketOutput, ResponseContext};
use crate::tds::packet::{DEFAULT_PACKET, LOGIN_LIMIT, MessageReader, PacketKind, Packetizer};
use crate::tds::prelogin::{self, Encryption, Prelogin};
use crate::tds::token;
use crate::types::{Cancel, LoginRequest, Output, SqlMessage, Stopped};

/// A connection after prelogin and LOGIN7, before the verdict.
pub struct Arrival {
    /// What carries the rest of the connection.
    pub transport: Transport,
    /// Who wants in.
    pub login: Login7,
}

/// What carries the bytes after login.
pub enum Transport {
    /// A bare socket.
    Plain(TcpStream),
    /// TLS to the end.
    Tls(Box<TlsStream<HandshakeStream>>),
}

/// Reads prelogin and LOGIN7. `None` when the client left, or wants an encryption this server does not do.
pub async fn arrive(mut socket: TcpStream, shared: &Shared) -> Result<Option<Arrival>, TdsError> {
    let mut reader = MessageReader::new(LOGIN_LIMIT);
    let Some(message) = reader.next(&mut socket).await? else { return Ok(None) };
    if message.kind != PacketKind::Prelogin {
        let detail = format!("packet type {:#04x} before prelogin", message.kind.byte());
        return Err(TdsError::malformed("first message", detail));
    }
    let prelogin = Prelogin::parse(&message.payload)?;
    let agreed = prelogin.negotiate(shared.mode);
    let answer = agreed.map_or(Prelogin::refusal(shared.mode), |(_, byte)| byte);
    send_prelogin(&mut socket, answer).await?;
    match (agreed, &shared.tls) {
        (None, _) => Ok(None),
        (Some((Encryption::None, _)), _) => plain(socket, reader).await,
        (Some((encryption, _)), Some(tls)) => {
            refuse_surplus(&reader)?;
            encrypted(tls.accept(socket).await?, encryption).await
        }
        (Some(_), None) => Err(TdsError::malformed("prelogin", "encryption agreed without a certificate")),
    }
}

/// Asks the backend and answers the client; `None` when the login was refused.
pub async fn admit<S>(
    stream: &mut S,
    request: LoginRequest,
    login: Login7,
    shared: Arc<Shared>,
) -> Result<Option<Box<dyn BackendSession>>, TdsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (chunks, mut written) = mpsc::channel(CHUNKS);
    let job = tokio::task::spawn_blocking(move || verdict(request, &login, &shared, chunks));
    while let Some(chunk) = written.recv().await {
        stream.write_all(&chunk).await?;
    }
    stream.flush().await?;
    match job.await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(Stopped)) => Err(TdsError::Disconnected),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// The backend's view of a login.
pub fn login_request(login: &Login7, peer: SocketAddr, encrypted: bool) -> LoginRequest {
    LoginRequest {
        user: login.user_name.clone(),
        password: login.password.clone(),
        database: login.database.clone(),
        host_name: login.host_name.clone(),
        app_name: login.app_name.clone(),
        library: login.library.clone(),
        client_pid: login.client_pid,
        client_address: peer.ip().to_string(),
        packet_size: u32::try_from(packet_size(login)).unwrap_or(u32::MAX),
        encrypted,
        read_only_intent: login.read_only_intent,
    }
}

/// The packet size both sides use after login.
pub fn packet_size(login: &Login7) -> usize {
    match login.packet_size as usize {
        0 => DEFAULT_PACKET,
        asked => asked.clamp(PACKET_MIN, PACKET_MAX),
    }
}

async fn send_prelogin(socket: &mut TcpStream, encryption: u8) -> Result<(), TdsError> {
    let (mut payload, mut out) = (prelogin::response(encryption, true), Vec::new());
    Packetizer::new(PacketKind::Tabular, DEFAULT_PACKET, 0).last(&mut payload, &mut out);
    Ok(socket.write_all(&out).await?)
}

async fn plain(mut socket: TcpStream, mut reader: MessageReader) -> Result<Option<Arrival>, TdsError> {
    let login = read_login(&mut socket, &mut reader).await?;
    Ok(login.map(|login| Arrival { transport: Transport::Plain(socket), login }))
}

async fn encrypted(
    mut stream: TlsStream<HandshakeStream>,
    encryption: Encryption,
) -> Result<Option<Arrival>, TdsError> {
    let mut reader = MessageReader::new(LOGIN_LIMIT);
    let Some(login) = read_login(&mut stream, &mut reader).await? else { return Ok(None) };
    let transport = match encryption {
        Encryption::Full => Transport::Tls(Box::new(stream)),
        Encryption::None | Encryption::LoginOnly => Transport::Plain(stream.into_inner().0.into_socket()),
    };
    Ok(Some(Arrival { transport, login }))
}

async fn read_login<S: AsyncRead + Unpin>(
    stream: &mut S,
    reader: &mut MessageReader,
) -> Result<Option<Login7>, TdsError> {
    let Some(message) = reader.next(stream).await? else { return Ok(None) };
    if message.kind != PacketKind::Login {
        let detail = format!("packet type {:#04x} where LOGIN7 belongs", message.kind.byte());
        return Err(TdsError::malformed("login", detail));
    }
    refuse_surplus(reader)?;
    Login7::parse(&message.payload).map(Some)
}

/// A client waits for an answer here; bytes sent without waiting would be lost between two ways of reading.
fn refuse_surplus(reader: &MessageReader) -> Result<(), TdsError> {
    match reader.has_surplus() {
        true => Err(TdsError::malformed("login", "bytes after a message the client must wait for")),
        false => Ok(()),
    }
}

fn verdict(
    request: LoginRequest,
    login: &Login7,
    shared: &Shared,
    chunks: mpsc::Sender<Vec<u8>>,
) -> Result<Option<Box<dyn BackendSession>>, Stopped> {
    let outcome = match refused_unasked(login) {
        Some(refusal) => Err(vec![refusal]),
        None => shared.backend.login(request),
    };
    let spid = outcome.as_ref().map_or(0, |session| session.spid());
    let context = ResponseContext { packet_size: DEFAULT_PACKET, spid, server: shared.server_name.clone() };
    let mut output = PacketOutput::new(&context, chunks, Cancel::new());
    match outcome {
        Ok(mut session) => {
            session.announce(&mut output)?;
            output.raw(|out| acknowledge(out, login))?;
            Ok((output.finish()? != Ending::Fatal).then_some(session))
        }
        Err(messages) => {
            for message in &messages {
                output.message(message)?;
            }
            output.mark_failed();
            output.finish()?;
            Ok(None)
        }
    }
}

fn acknowledge(out: &mut Vec<u8>, login: &Login7) {
    token::collation_change(out);
    token::login_ack(out, login.version);
    token::packet_size_change(out, packet_size(login), DEFAULT_PACKET);
    if !login.features.is_empty() {
        token::no_features(out);
    }
}

/// Logins this server does not do, in SQL Server's words.
fn refused_unasked(login: &Login7) -> Option<SqlMessage> {
    let (number, text) = match (login.authentication, &login.new_password) {
        (Authentication::Windows | Authentication::Token, _) => (
            18452,
            "Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication."
                .to_owned(),
        ),
        (Authentication::SqlServer, Some(_)) => (
            18465,
            format!(
                "Login failed for user '{}'. Reason: Password change failed. The user does not have permission to \
                 change the password.",
                login.user_name
            ),
        ),
        (Authentication::SqlServer, None) => return None,
    };
    Some(SqlMessage { number, state: 1, class: 14, text, line: 1, procedure: String::new() })
}

const PACKET_MIN: usize = 512;
const PACKET_MAX: usize = 32_767;
