//! An answer on its way to tiberius, from which the rows are taken.
//!
//! Packets come in, packets go out (MS-TDS 2.2.3). Between them the tokens are walked: rows are decoded and kept, every other
//! token is passed on as it is. At the first thing that is not understood the rest of the answer is passed on whole, rows and
//! all. Invariants: what is passed on breaks off between two tokens or not at all, so that the two never disagree about
//! where a row begins; a row is either kept or passed on.

use tiberius::ColumnData;

use cell::{Bytes, Stop, row, row_with_nulls};
use form::{Form, columns};

use crate::block::RowBlock;

mod cell;
mod form;

/// What is to be done with what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Reading {
    /// Nothing: it goes to tiberius unseen.
    #[default]
    Unseen,
    /// Rows are taken out.
    Rows,
    /// All that is left of the answer is passed on.
    Rest,
}

/// The answer that is being read, and the rows taken out of it.
#[derive(Default)]
pub struct Answer {
    reading: Reading,
    /// What came: whole packets and the beginning of one.
    came: Vec<u8>,
    /// What their payloads hold that is not walked yet.
    payload: Vec<u8>,
    /// A row that is not whole at this length of the payload is not tried again before.
    retry_at: usize,
    columns: Vec<Form>,
    rows: RowBlock,
    /// About how many bytes the rows took on the wire.
    taken: usize,
    /// Packets for tiberius.
    out: Vec<u8>,
    out_read: usize,
}

impl Answer {
    /// The next answer's rows are to be taken out.
    pub fn expect_rows(&mut self) {
        *self = Self { reading: Reading::Rows, ..Self::default() };
    }

    /// No row of this answer is wanted any more; what is left of it is passed on.
    pub fn let_go(&mut self) {
        self.rows = RowBlock::default();
        self.taken = 0;
        if self.reading == Reading::Rows {
            self.reading = Reading::Rest;
        }
    }

    /// True while what comes has to go through here.
    pub fn is_read(&self) -> bool {
        self.reading != Reading::Unseen || self.out_read < self.out.len()
    }

    /// True when the rows are to be fetched before more is read.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= MOST_ROWS || self.taken >= MOST_BYTES
    }

    /// Puts the rows that were taken out since the last time into `rows`, whose memory takes the next ones.
    pub fn fetch(&mut self, rows: &mut RowBlock) {
        self.taken = 0;
        rows.clear();
        std::mem::swap(&mut self.rows, rows);
    }

    /// A row that tiberius decoded: those before it were taken out before it was passed on.
    pub fn push(&mut self, row: impl Iterator<Item = ColumnData<'static>>) {
        self.rows.push_row(row);
    }

    /// Bytes for tiberius, at most `most`.
    pub fn give(&mut self, most: usize) -> &[u8] {
        let from = self.out_read;
        self.out_read = self.out.len().min(from.saturating_add(most));
        self.out.get(from..self.out_read).unwrap_or_default()
    }

    /// Takes what came from the server; whole packets of it are walked.
    pub fn take(&mut self, bytes: &[u8]) {
        if self.out_read == self.out.len() {
            self.out.clear();
            self.out_read = 0;
        }
        self.came.extend_from_slice(bytes);
        let (mut came, mut at) = (std::mem::take(&mut self.came), 0);
        while self.reading != Reading::Unseen {
            match packet(came.get(at..).unwrap_or_default()) {
                Ok(packet) => {
                    at += packet.len();
                    self.walk(packet);
                }
                Err(Stop::More) => break,
                Err(Stop::Odd) => self.reading = Reading::Unseen,
            }
        }
        if self.reading == Reading::Unseen {
            self.out.extend_from_slice(came.get(at..).unwrap_or_default());
            came.clear();
        } else {
            came.drain(..at);
        }
        self.came = came;
    }

    fn walk(&mut self, packet: &[u8]) {
        let Some((header, payload)) = packet.split_first_chunk::<HEADER>() else { return };
        let is_last = header[STATUS] & END_OF_MESSAGE != 0;
        self.payload.extend_from_slice(payload);
        let (mut passed, mut at) = (Vec::new(), 0);
        while self.reading == Reading::Rows && at < self.payload.len() {
            match self.token(at, &mut passed) {
                Ok(length) => at += length,
                Err(Stop::More) if !is_last => break,
                Err(Stop::More | Stop::Odd) => self.reading = Reading::Rest,
            }
        }
        if self.reading == Reading::Rest {
            passed.extend_from_slice(self.payload.get(at..).unwrap_or_default());
            at = self.payload.len();
        }
        self.payload.drain(..at);
        self.pass(*header, &passed, is_last);
        if is_last {
            self.reading = Reading::Unseen;
        }
    }

    /// Walks the token that begins there and gives its length.
    fn token(&mut self, at: usize, passed: &mut Vec<u8>) -> Result<usize, Stop> {
        let rest = self.payload.get(at..).unwrap_or_default();
        let mut bytes = Bytes::new(rest);
        let kind = bytes.u8()?;
        if (kind == ROW || kind == NBC_ROW) && !self.columns.is_empty() {
            if rest.len() < self.retry_at {
                return Err(Stop::More);
            }
            let came = match kind {
                ROW => row(&mut bytes, &self.columns, &mut self.rows),
                _ => row_with_nulls(&mut bytes, &self.columns, &mut self.rows),
            };
            // A row of many packets is tried again when twice as much has come, or its beginning would be read over and over.
            self.retry_at = if came == Err(Stop::More) && rest.len() > LARGE { 2 * rest.len() } else { 0 };
            came.inspect_err(|_| self.rows.drop_row())?;
            let length = rest.len() - bytes.left();
            self.taken += length;
            return Ok(length);
        }
        if kind == COL_METADATA {
            self.columns = columns(&mut bytes)?;
        } else {
            let length = length_of(kind, &mut bytes)?;
            bytes.take(length)?;
        }
        let length = rest.len() - bytes.left();
        passed.extend_from_slice(rest.get(..length).unwrap_or_default());
        Ok(length)
    }

    /// Packs bytes for tiberius under the header they came with.
    fn pass(&mut self, mut header: [u8; HEADER], passed: &[u8], is_last: bool) {
        if passed.is_empty() && !is_last {
            return;
        }
        let parts = passed.len().div_ceil(LARGEST_PART).max(1);
        for (at, part) in (1..).zip(split(passed)) {
            let length = u16::try_from(HEADER + part.len()).unwrap_or(u16::MAX).to_be_bytes();
            header[STATUS] = if is_last && at == parts { END_OF_MESSAGE } else { 0 };
            header[LENGTH] = length[0];
            header[LENGTH + 1] = length[1];
            self.out.extend_from_slice(&header);
            self.out.extend_from_slice(part);
        }
    }
}

/// The bytes in packets' portions; one empty portion of nothing.
fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let empty: Option<&[u8]> = bytes.is_empty().then_some(&[]);
    empty.into_iter().chain(bytes.chunks(LARGEST_PART))
}

/// The whole packet that the bytes begin with. What is no packet of an answer is not for here: a server that insists on
/// encryption gets it from tiberius, also where this side was told to do without.
fn packet(bytes: &[u8]) -> Result<&[u8], Stop> {
    if bytes.first().is_some_and(|kind| *kind != ANSWER) {
        return Err(Stop::Odd);
    }
    let header = bytes.first_chunk::<HEADER>().ok_or(Stop::More)?;
    let length = usize::from(u16::from_be_bytes([header[LENGTH], header[LENGTH + 1]]));
    if length < HEADER { Err(Stop::Odd) } else { bytes.get(..length).ok_or(Stop::More) }
}

/// How many bytes follow a token's own byte, beyond those read here (MS-TDS 2.2.4).
fn length_of(kind: u8, bytes: &mut Bytes<'_>) -> Result<usize, Stop> {
    Ok(match kind {
        DONE | DONE_PROC | DONE_IN_PROC => 12,
        RETURN_STATUS => 4,
        ORDER | ERROR | INFO | ENV_CHANGE | TAB_NAME | COL_INFO => usize::from(bytes.u16()?),
        _ => return Err(Stop::Odd),
    })
}

const HEADER: usize = 8;
/// The type of a packet of an answer.
const ANSWER: u8 = 4;
/// Where status and length stand in a packet's header.
const STATUS: usize = 1;
const LENGTH: usize = 2;
const END_OF_MESSAGE: u8 = 1;
const LARGEST_PART: usize = 16_384;

const RETURN_STATUS: u8 = 0x79;
const COL_METADATA: u8 = 0x81;
const TAB_NAME: u8 = 0xA4;
const COL_INFO: u8 = 0xA5;
const ORDER: u8 = 0xA9;
const ERROR: u8 = 0xAA;
const INFO: u8 = 0xAB;
const ROW: u8 = 0xD1;
const NBC_ROW: u8 = 0xD2;
const ENV_CHANGE: u8 = 0xE3;
const DONE: u8 = 0xFD;
const DONE_PROC: u8 = 0xFE;
const DONE_IN_PROC: u8 = 0xFF;

/// As many rows are fetched at once, or as many bytes of them.
const MOST_ROWS: usize = 128;
const MOST_BYTES: usize = 4 << 20;
const LARGE: usize = 64 << 10;

#[cfg(test)]
mod tests;
