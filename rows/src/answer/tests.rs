//! An answer made by hand, in packets and fragments of any size: what is taken out of it and what is passed on.

use std::borrow::Cow;

use proptest::prelude::*;
use tiberius::ColumnData;
use tiberius::numeric::Numeric;
use tiberius::time::{Date, DateTime2, Time};

use super::*;
use crate::block::Cell;

/// int NOT NULL, int, nvarchar(50), varchar(50) in Latin, nvarchar(max), decimal(10,2), datetime2(3).
const COLUMNS: u8 = 7;

fn metadata() -> Vec<u8> {
    let latin = [0x09, 0x04, 0xD0, 0x00, 0x34];
    let types: [Vec<u8>; COLUMNS as usize] = [
        vec![0x38],
        vec![0x26, 4],
        [&[0xE7, 100, 0][..], &latin].concat(),
        [&[0xA7, 50, 0][..], &latin].concat(),
        [&[0xE7, 0xFF, 0xFF][..], &latin].concat(),
        vec![0x6C, 9, 10, 2],
        vec![0x2A, 3],
    ];
    let mut bytes = vec![COL_METADATA, COLUMNS, 0];
    for form in types {
        bytes.extend([0; 6]);
        bytes.extend(form);
        bytes.extend([1, b'c', 0]);
    }
    bytes
}

type Cells = Vec<ColumnData<'static>>;
type Values = (i32, Option<i32>, Option<String>, Option<String>, Option<String>, Option<i64>, Option<u32>);

fn expected(values: &Values) -> Cells {
    let text = |text: &Option<String>| ColumnData::String(text.clone().map(Cow::Owned));
    vec![
        ColumnData::I32(Some(values.0)),
        ColumnData::I32(values.1),
        text(&values.2),
        text(&values.3),
        text(&values.4),
        ColumnData::Numeric(values.5.map(|v| Numeric::new_with_scale(i128::from(v), 2))),
        ColumnData::DateTime2(
            values.6.map(|v| DateTime2::new(Date::new(v % 3_652_059), Time::new(u64::from(v), 3))),
        ),
    ]
}

fn utf16_bytes(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn short(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat()
}

/// The bytes of each cell; `None` is NULL, and how NULL is written in a ROW comes with it.
fn cells(values: &Values) -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
    let latin = |text: &String| short(&encoding_rs::WINDOWS_1252.encode(text).0);
    let parts = |text: &String| {
        let bytes = utf16_bytes(text);
        let mut all = (bytes.len() as u64).to_le_bytes().to_vec();
        for part in bytes.chunks(7) {
            all.extend((part.len() as u32).to_le_bytes());
            all.extend(part);
        }
        all.extend([0; 4]);
        all
    };
    let numeric = |v: i64| [&[9, u8::from(v >= 0)][..], &v.unsigned_abs().to_le_bytes()].concat();
    let moment = |v: u32| [&[7][..], &v.to_le_bytes(), &(v % 3_652_059).to_le_bytes()[..3]].concat();
    vec![
        (Some(values.0.to_le_bytes().to_vec()), vec![]),
        (values.1.map(|v| [&[4][..], &v.to_le_bytes()].concat()), vec![0]),
        (values.2.as_ref().map(|v| short(&utf16_bytes(v))), vec![0xFF, 0xFF]),
        (values.3.as_ref().map(latin), vec![0xFF, 0xFF]),
        (values.4.as_ref().map(parts), vec![0xFF; 8]),
        (values.5.map(numeric), vec![0]),
        (values.6.map(moment), vec![0]),
    ]
}

fn row_token(values: &Values) -> Vec<u8> {
    let cells = cells(values).into_iter().map(|(cell, null)| cell.unwrap_or(null));
    std::iter::once(vec![ROW]).chain(cells).flatten().collect()
}

fn nbc_row_token(values: &Values) -> Vec<u8> {
    let cells = cells(values);
    let nulls =
        cells.iter().enumerate().fold(0u8, |bits, (at, (cell, _))| bits | u8::from(cell.is_none()) << at);
    let cells = cells.into_iter().filter_map(|(cell, _)| cell);
    [vec![NBC_ROW, nulls]].into_iter().chain(cells).flatten().collect()
}

fn order() -> Vec<u8> {
    vec![ORDER, 2, 0, 1, 0]
}

fn done() -> Vec<u8> {
    std::iter::once(DONE).chain([0x10, 0, 0xC1, 0, 5, 0, 0, 0, 0, 0, 0, 0]).collect()
}

/// The message in packets of so many bytes each.
fn packed(message: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut rest, mut sizes, mut packets) = (message, sizes.iter().cycle(), Vec::new());
    while !rest.is_empty() {
        let (part, left) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        rest = left;
        let length = u16::try_from(HEADER + part.len()).unwrap().to_be_bytes();
        packets.extend([4, u8::from(rest.is_empty()), length[0], length[1], 0, 51, 1, 0]);
        packets.extend(part);
    }
    packets
}

/// What is in packets, and how many of them end a message.
fn unpacked(mut packets: &[u8]) -> (Vec<u8>, usize) {
    let (mut message, mut ends) = (Vec::new(), 0);
    while !packets.is_empty() {
        let whole = packet(packets).unwrap();
        ends += usize::from(whole[STATUS] & END_OF_MESSAGE);
        message.extend(&whole[HEADER..]);
        packets = &packets[whole.len()..];
    }
    (message, ends)
}

fn fetched(answer: &mut Answer) -> Vec<Cells> {
    let mut rows = RowBlock::default();
    answer.fetch(&mut rows);
    rows.rows().map(|row| row.cells().map(Cell::into_owned).collect()).collect()
}

/// Takes the message as it comes in fragments; gives the rows taken out and what was passed on.
fn taken(message: &[u8], sizes: &[usize], fragments: &[usize]) -> (Vec<Cells>, Vec<u8>) {
    let mut answer = Answer::default();
    answer.expect_rows();
    let packets = packed(message, sizes);
    let (mut rest, mut fragments) = (packets.as_slice(), fragments.iter().cycle());
    let (mut rows, mut out) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        let (part, left) = rest.split_at(rest.len().min(*fragments.next().unwrap()));
        rest = left;
        answer.take(part);
        rows.extend(fetched(&mut answer));
        loop {
            let given = answer.give(100).to_vec();
            if given.is_empty() {
                break;
            }
            out.extend(given);
        }
    }
    assert!(!answer.is_read(), "the answer is over");
    let (passed, ends) = unpacked(&out);
    assert_eq!(ends, 1, "the message ends once");
    (rows, passed)
}

fn values() -> impl Strategy<Value = Values> {
    let text = || proptest::option::of("[a-zéß€0-9 ]{0,40}");
    let any_text = proptest::option::of(".{0,60}");
    let moment = proptest::option::of(0u32..86_400_000);
    (any::<i32>(), any::<Option<i32>>(), text(), text(), any_text, any::<Option<i64>>(), moment)
}

proptest! {
    #[test]
    fn rows_are_taken_out_and_all_else_is_passed_on_however_it_comes(
        rows in proptest::collection::vec((values(), any::<bool>()), 0..12),
        sizes in proptest::collection::vec(1usize..300, 1..5),
        fragments in proptest::collection::vec(1usize..400, 1..5),
    ) {
        let tokens = rows.iter().map(|(row, packs)| if *packs { nbc_row_token(row) } else { row_token(row) });
        let message = [metadata(), order(), tokens.flatten().collect(), done()].concat();
        let (taken, passed) = taken(&message, &sizes, &fragments);
        let all: Vec<Cells> = rows.iter().map(|(row, _)| expected(row)).collect();
        prop_assert_eq!(taken, all);
        prop_assert_eq!(passed, [metadata(), order(), done()].concat());
    }

    #[test]
    fn from_what_is_not_understood_on_everything_is_passed_on(
        before in proptest::collection::vec(values(), 0..6),
        after in proptest::collection::vec(values(), 0..6),
        sizes in proptest::collection::vec(1usize..300, 1..5),
    ) {
        let mut odd = row_token(&(7, None, Some("x".into()), None, None, None, None));
        let half = odd.iter().position(|byte| *byte == b'x').unwrap();
        odd[half + 1] = 0xD8;
        let tokens = |rows: &[Values]| rows.iter().flat_map(row_token).collect::<Vec<u8>>();
        let rest = [odd, tokens(&after), done()].concat();
        let message = [metadata(), tokens(&before), rest.clone()].concat();
        let (taken, passed) = taken(&message, &sizes, &[97]);
        prop_assert_eq!(taken, before.iter().map(expected).collect::<Vec<_>>());
        prop_assert_eq!(passed, [metadata(), rest].concat());
    }

    #[test]
    fn bytes_of_any_kind_neither_panic_nor_get_lost(message in proptest::collection::vec(any::<u8>(), 1..400)) {
        let (rows, passed) = taken(&message, &[50], &[33]);
        prop_assert!(!rows.is_empty() || passed == message);
    }
}

#[test]
fn an_answer_without_rows_in_it_is_passed_on_whole() {
    let refusal = [ERROR, 4, 0, 1, 2, 3, 4];
    let message = [&refusal[..], &done()].concat();
    assert_eq!(taken(&message, &[5], &[3]), (Vec::new(), message));
}

#[test]
fn rows_that_nobody_wants_any_more_are_passed_on() {
    let row = |n: i32| row_token(&(n, None, None, None, None, None, None));
    let message = [metadata(), row(1), row(2), done()].concat();
    let packets = packed(&message, &[metadata().len() + row(1).len() + 3, 500]);
    let mut answer = Answer::default();
    answer.expect_rows();
    let (first, second) = packets.split_at(packet(&packets).unwrap().len());
    answer.take(first);
    answer.let_go();
    answer.take(second);
    let (passed, _) = unpacked(answer.give(usize::MAX));
    assert_eq!(passed, [metadata(), row(2), done()].concat());
    assert!(fetched(&mut answer).is_empty());
}

#[test]
fn what_is_encrypted_is_not_touched() {
    let mut answer = Answer::default();
    answer.expect_rows();
    let record = [0x17, 3, 3, 0, 4, 1, 2, 3, 4];
    for part in record.chunks(2) {
        answer.take(part);
        assert_eq!(answer.give(usize::MAX), part);
    }
}

#[test]
fn what_was_not_announced_is_not_touched() {
    let mut answer = Answer::default();
    assert!(!answer.is_read());
    answer.take(b"anything");
    assert_eq!(answer.give(usize::MAX), b"anything");
}
