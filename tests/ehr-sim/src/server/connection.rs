//! One client's connection: login, then one request after another, with attentions heard while a request runs.
//!
//! States: arriving (prelogin, TLS, LOGIN7; bounded by [`LOGIN_TIMEOUT`]) -> idle -> running -> idle … -> closed. A
//! request runs on a blocking thread; its packets come through a bounded channel, so a slow client slows the engine's
//! thread and nothing else. A client that leaves cancels what it was running.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use super::Shared;
use super::backend::BackendSession;
use super::login::{self, Arrival, Transport};
use crate::tds::error::TdsError;
use crate::tds::login7::Login7;
use crate::tds::output::{CHUNKS, Ending, PacketOutput, ResponseContext};
use crate::tds::packet::{ConnectionReset, MESSAGE_LIMIT, Message, MessageReader, PacketKind, Packetizer};
use crate::tds::{request, token};
use crate::types::{Cancel, Done, DoneKind, Output, Request, SqlMessage, Stopped};

/// How long a client may take to log in.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves one client to its end.
pub(crate) async fn serve(socket: TcpStream, peer: SocketAddr, shared: Arc<Shared>) -> Result<(), TdsError> {
    socket.set_nodelay(true)?;
    let arrival = tokio::time::timeout(LOGIN_TIMEOUT, login::arrive(socket, &shared));
    let Ok(arrival) = arrival.await else {
        return Err(TdsError::malformed("login", "not there within a minute"));
    };
    let Some(Arrival { transport, login }) = arrival? else { return Ok(()) };
    match transport {
        Transport::Plain(stream) => admit_and_converse(stream, login, peer, false, shared).await,
        Transport::Tls(stream) => admit_and_converse(*stream, login, peer, true, shared).await,
    }
}

async fn admit_and_converse<S>(
    mut stream: S,
    login: Login7,
    peer: SocketAddr,
    encrypted: bool,
    shared: Arc<Shared>,
) -> Result<(), TdsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = login::login_request(&login, peer, encrypted);
    let packet_size = login::packet_size(&login);
    let server = shared.server_name.clone();
    let Some(session) = login::admit(&mut stream, request, login, shared).await? else {
        stream.shutdown().await?;
        return Ok(());
    };
    let context = ResponseContext { packet_size, spid: session.spid(), server };
    let (read, write) = tokio::io::split(stream);
    Conversation { read, write, reader: MessageReader::new(MESSAGE_LIMIT), waiting: None, context }
        .run(session)
        .await
}

/// A logged-in connection.
struct Conversation<S> {
    read: ReadHalf<S>,
    write: WriteHalf<S>,
    reader: MessageReader,
    /// A request the client sent before it had the answer to the one before.
    waiting: Option<Message>,
    context: ResponseContext,
}

/// What one message asks for.
enum Work {
    Requests(Vec<Request>),
    Refuse(SqlMessage),
}

/// How a request left the connection.
enum After {
    Idle(Box<dyn BackendSession>),
    Closed,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    async fn run(mut self, mut session: Box<dyn BackendSession>) -> Result<(), TdsError> {
        let killed = session.killed();
        let end = Arc::new(Notify::new());
        let told = end.clone();
        let _hook = killed.on_cancel(move || told.notify_one());
        loop {
            if killed.is_cancelled() {
                return Ok(self.write.shutdown().await?);
            }
            let Some(message) = self.next(&end).await? else { return Ok(self.write.shutdown().await?) };
            session.received(message.packets);
            if message.kind == PacketKind::Attention {
                self.answer_attention().await?;
                continue;
            }
            if message.given_up {
                self.answer_given_up().await?;
                continue;
            }
            let reset = message.reset;
            let work = understand(message)?;
            match self.execute(session, reset, work).await? {
                After::Idle(idle) => session = idle,
                After::Closed => return Ok(self.write.shutdown().await?),
            }
        }
    }

    /// The next message; `None` when the client left or the session was killed.
    async fn next(&mut self, killed: &Notify) -> Result<Option<Message>, TdsError> {
        if let Some(message) = self.waiting.take() {
            return Ok(Some(message));
        }
        tokio::select! {
            message = self.reader.next(&mut self.read) => message,
            () = killed.notified() => Ok(None),
        }
    }

    async fn execute(
        &mut self,
        mut session: Box<dyn BackendSession>,
        reset: ConnectionReset,
        work: Work,
    ) -> Result<After, TdsError> {
        let (chunks, written) = mpsc::channel(CHUNKS);
        let cancel = CancelOnDrop(Cancel::new());
        let mut output = PacketOutput::new(&self.context, chunks, cancel.0.clone());
        output.tell(session.client_wait());
        let flag = cancel.0.clone();
        let (killed, stop) = (session.killed(), cancel.0.clone());
        let _hook = killed.on_cancel(move || stop.cancel());
        if killed.is_cancelled() {
            cancel.0.cancel();
        }
        let job = tokio::task::spawn_blocking(move || {
            let stopped = perform(&mut *session, reset, work, &mut output, &flag).is_err();
            if session.killed().is_cancelled() {
                output.kill();
            }
            // The engine stops early on an attention; the client still waits for its acknowledgement.
            if stopped && !flag.is_cancelled() && !output.is_fatal() {
                return (session, Err(Stopped));
            }
            (session, output.finish())
        });
        let attention = self.carry(written, &cancel.0).await?;
        let (session, ending) =
            job.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        match (ending, attention) {
            (Err(Stopped), _) | (Ok(Ending::Fatal), _) => Ok(After::Closed),
            (Ok(Ending::Complete), true) => {
                self.answer_attention().await?;
                Ok(After::Idle(session))
            }
            (Ok(Ending::Complete), false) => Ok(After::Idle(session)),
        }
    }

    /// Writes chunks until the request ends; meanwhile hears attentions. Answers whether one came.
    async fn carry(
        &mut self,
        mut chunks: mpsc::Receiver<Vec<u8>>,
        cancel: &Cancel,
    ) -> Result<bool, TdsError> {
        let Self { read, write, reader, waiting, .. } = self;
        let pump = async {
            while let Some(chunk) = chunks.recv().await {
                write.write_all(&chunk).await?;
                write.flush().await?;
            }
            Ok(())
        };
        tokio::pin!(pump);
        let mut attention = false;
        loop {
            tokio::select! {
                pumped = &mut pump => {
                    return pumped.map(|()| attention);
                }
                heard = reader.next(read), if waiting.is_none() => match heard? {
                    Some(message) if message.kind == PacketKind::Attention => {
                        attention = true;
                        cancel.cancel();
                    }
                    Some(message) => *waiting = Some(message),
                    None => return Err(TdsError::Disconnected),
                }
            }
        }
    }

    async fn answer_attention(&mut self) -> Result<(), TdsError> {
        let mut payload = Vec::new();
        token::attention_done(&mut payload);
        self.answer(payload).await
    }

    /// A request the client gave up while sending it gets a DONE that says it was not done.
    async fn answer_given_up(&mut self) -> Result<(), TdsError> {
        let mut payload = Vec::new();
        let failed = Done { kind: DoneKind::Statement, count: None, error: true, command: 0 };
        token::done(&mut payload, &failed, false);
        self.answer(payload).await
    }

    async fn answer(&mut self, mut payload: Vec<u8>) -> Result<(), TdsError> {
        let mut out = Vec::new();
        Packetizer::new(PacketKind::Tabular, self.context.packet_size, self.context.spid)
            .last(&mut payload, &mut out);
        self.write.write_all(&out).await?;
        Ok(self.write.flush().await?)
    }
}

/// Sets the flag when the connection's future goes away.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn understand(message: Message) -> Result<Work, TdsError> {
    if message.reset == ConnectionReset::KeepTransaction {
        return Err(TdsError::malformed(
            "packet header",
            "RESETCONNECTIONSKIPTRAN, which needs distributed transactions",
        ));
    }
    let payload = message.payload.as_slice();
    let requests = match message.kind {
        PacketKind::Batch => request::batch(payload).map(|text| vec![Request::Batch(text)]),
        PacketKind::Rpc => request::rpcs(payload).map(|calls| calls.into_iter().map(Request::Rpc).collect()),
        PacketKind::Transaction => request::transaction(payload).map(|tm| vec![Request::Transaction(tm)]),
        PacketKind::Tabular
        | PacketKind::Attention
        | PacketKind::BulkLoad
        | PacketKind::Login
        | PacketKind::Sspi
        | PacketKind::Prelogin
        | PacketKind::Other(_) => {
            Err(TdsError::malformed("request", format!("packet type {:#04x}", message.kind.byte())))
        }
    };
    match requests {
        Ok(requests) => Ok(Work::Requests(requests)),
        Err(TdsError::Rpc { number, text }) => Ok(Work::Refuse(SqlMessage {
            number: number.unsigned_abs(),
            state: 1,
            class: 16,
            text,
            line: 1,
            procedure: String::new(),
        })),
        Err(error) => Err(error),
    }
}

fn perform(
    session: &mut dyn BackendSession,
    reset: ConnectionReset,
    work: Work,
    output: &mut PacketOutput,
    cancel: &Cancel,
) -> Result<(), Stopped> {
    if reset != ConnectionReset::Keep {
        session.reset();
        output.raw(token::reset_acknowledged)?;
    }
    match work {
        Work::Requests(requests) => {
            requests.into_iter().try_for_each(|request| session.execute(request, output, cancel))
        }
        Work::Refuse(message) => {
            output.message(&message)?;
            output.mark_failed();
            Ok(())
        }
    }
}
