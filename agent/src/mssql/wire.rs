//! What lies between tiberius and the socket: TLS of whole connections, and the rows of large answers.
//!
//! tiberius reads every number of a row through a future of its own, which costs several times what is done with it after. So
//! the rows of an answer that is announced ([`RowsOf::expect`]) are taken out here as their packets come and tiberius sees
//! everything else of it: metadata, messages, errors, the end. For that the bytes must be clear here. Where the connection is to
//! be encrypted from end to end, this side agrees on it with the server ([`tls`]) and tiberius speaks to it without.
//!
//! Rejected: a second SQL client for reading in bulk (`mssql-tds` is quick, but brings OpenSSL or Schannel beside rustls, and two
//! clients disagree); a changed copy of tiberius. When tiberius decodes from packets, this goes.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tiberius::ColumnData;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::client::TlsStream;

pub(super) mod sent;
pub(super) mod tls;

use rows::RowBlock;
use rows::answer::Answer;
use sent::{Counter, Sent};
use tls::{Handshake, Prelogin};

/// The rows taken out of a connection's answers. Clones are the same rows.
#[derive(Clone, Default)]
pub(super) struct RowsOf(Arc<Mutex<Answer>>);

impl fmt::Debug for RowsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowsOf(***)")
    }
}

impl RowsOf {
    /// The next answer's rows are to be taken out.
    pub(super) fn expect(&self) {
        self.lock().expect_rows();
    }

    /// No row of this answer is wanted any more.
    pub(super) fn let_go(&self) {
        self.lock().let_go();
    }

    /// Fetches as many rows as are fetched at once into `rows`; false when so many are not there.
    pub(super) fn fetch_many(&self, rows: &mut RowBlock) -> bool {
        let mut answer = self.lock();
        let are_there = answer.is_full();
        if are_there {
            answer.fetch(rows);
        }
        are_there
    }

    /// True when the rows must be fetched before more of them is read.
    pub(super) fn is_full(&self) -> bool {
        self.lock().is_full()
    }

    /// Fetches all rows that are there into `rows`.
    pub(super) fn fetch(&self, rows: &mut RowBlock) {
        self.lock().fetch(rows);
    }

    /// A row that tiberius decoded.
    pub(super) fn push(&self, row: impl Iterator<Item = ColumnData<'static>>) {
        self.lock().push(row);
    }

    fn lock(&self) -> MutexGuard<'_, Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What tiberius takes for its socket.
pub(super) struct Wire {
    carrier: Carrier,
    /// tiberius' own PRELOGIN, which is answered here when this side made it before.
    prelogin: Option<Prelogin>,
    rows: RowsOf,
    counter: Counter,
    buffer: Box<[u8]>,
    /// When nothing came for too long.
    patience: Option<Pin<Box<Sleep>>>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

/// What carries the bytes.
enum Carrier {
    Plain(TcpStream),
    Tls(Box<TlsStream<Handshake>>),
}

impl Wire {
    /// Over a bare socket; whether and what tiberius encrypts is its own affair.
    pub(super) fn plain(stream: TcpStream, rows: RowsOf, sent: Sent) -> Self {
        Self::over(Carrier::Plain(stream), None, rows, sent)
    }

    /// Over TLS that was agreed on with the server by `prelogin`.
    pub(super) fn encrypted(
        stream: TlsStream<Handshake>,
        prelogin: Prelogin,
        rows: RowsOf,
        sent: Sent,
    ) -> Self {
        Self::over(Carrier::Tls(Box::new(stream)), Some(prelogin), rows, sent)
    }

    fn over(carrier: Carrier, prelogin: Option<Prelogin>, rows: RowsOf, sent: Sent) -> Self {
        let (counter, buffer) = (Counter::new(sent), vec![0; BUFFER].into_boxed_slice());
        Self { carrier, prelogin, rows, counter, buffer, patience: None }
    }

    /// Reads into `buf`, but does not wait for ever.
    fn poll_carrier(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let came = match &mut self.carrier {
            Carrier::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Carrier::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if came.is_ready() {
            self.patience = None;
            return came;
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(ANSWER_TIMEOUT)));
        ready!(patience.as_mut().poll(cx));
        self.patience = None;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, STALLED)))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(prelogin) = &mut this.prelogin {
            buf.put_slice(prelogin.give(buf.remaining()));
            if prelogin.is_over() {
                this.prelogin = None;
            }
            return Poll::Ready(Ok(()));
        }
        let rows = this.rows.clone();
        loop {
            let mut answer = rows.lock();
            let given = answer.give(buf.remaining());
            if !given.is_empty() {
                buf.put_slice(given);
                return Poll::Ready(Ok(()));
            }
            if !answer.is_read() {
                return this.poll_carrier(cx, buf);
            }
            if answer.is_full() {
                // Whoever fetches the rows polls again.
                return Poll::Pending;
            }
            let mut buffer = std::mem::take(&mut this.buffer);
            let mut came = ReadBuf::new(&mut buffer);
            let outcome = this.poll_carrier(cx, &mut came);
            if let Poll::Ready(Ok(())) = outcome {
                answer.take(came.filled());
            }
            let is_end = came.filled().is_empty();
            this.buffer = buffer;
            ready!(outcome)?;
            if is_end {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.patience = None;
        if let Some(prelogin) = &mut self.prelogin {
            return Poll::Ready(prelogin.swallow(data));
        }
        let went = match &mut self.carrier {
            Carrier::Plain(stream) => Pin::new(stream).poll_write(cx, data),
            Carrier::Tls(stream) => Pin::new(stream).poll_write(cx, data),
        };
        if let Poll::Ready(Ok(count)) = &went {
            self.counter.went(data.get(..*count).unwrap_or_default());
        }
        went
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Carrier::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Carrier::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// How long the server may send nothing while an answer is waited for.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// What a wait for too long is called, by which [`super::SqlError`] knows it.
pub(super) const STALLED: &str = "nothing came from the server";
const BUFFER: usize = 32 << 10;
