//! The way back: from a delivered file to the cell that SQL Server sent. A consumer that wants the exact value does the same.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    UInt8Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rows::kind::schema;
use tiberius::time::{Date, DateTime, DateTime2, DateTimeOffset, SmallDateTime, Time};
use tiberius::{Uuid, numeric::Numeric};

use super::*;
use crate::sync::faults::Faults;
use crate::sync::spec::Seal;

/// Written into a batch file and read again.
pub(super) fn through_parquet(kinds: &[CellKind], rows: Chunk) -> RecordBatch {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.parquet");
    let file = BatchFile {
        path: path.clone(),
        schema: schema(names(kinds).iter().map(String::as_str).zip(kinds.iter().copied())).unwrap(),
        seal: Seal::Plain,
        footer: Vec::new(),
        faults: Faults::default(),
    };
    let (sender, feed) = tokio::sync::mpsc::channel(2);
    sender.try_send(Feed::Rows(rows)).unwrap();
    sender.try_send(Feed::End(None)).unwrap();
    file.write(feed).unwrap();
    let file = std::fs::File::open(path).unwrap();
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.next().unwrap().unwrap()
}

/// What the columns are called.
pub(super) fn names(kinds: &[CellKind]) -> Vec<String> {
    (0..kinds.len()).map(|at| format!("c{at}")).collect()
}

/// The only cell of a column as SQL Server sent it.
pub(super) fn cell(kind: CellKind, array: &ArrayRef) -> ColumnData<'static> {
    let there = array.is_valid(0);
    let text = || there.then(|| array.as_string::<i32>().value(0).to_owned());
    match kind {
        CellKind::Bit => ColumnData::Bit(there.then(|| array.as_boolean().value(0))),
        CellKind::TinyInt => ColumnData::U8(there.then(|| array.as_primitive::<UInt8Type>().value(0))),
        CellKind::SmallInt => ColumnData::I16(there.then(|| array.as_primitive::<Int16Type>().value(0))),
        CellKind::Int => ColumnData::I32(there.then(|| array.as_primitive::<Int32Type>().value(0))),
        CellKind::BigInt => ColumnData::I64(there.then(|| array.as_primitive::<Int64Type>().value(0))),
        CellKind::Real => ColumnData::F32(there.then(|| array.as_primitive::<Float32Type>().value(0))),
        CellKind::Float => ColumnData::F64(there.then(|| array.as_primitive::<Float64Type>().value(0))),
        CellKind::Decimal(_, scale) => decimal(array, scale),
        CellKind::Money(_) => decimal(array, 4),
        CellKind::Text => ColumnData::String(text().map(Into::into)),
        CellKind::Binary => {
            ColumnData::Binary(there.then(|| array.as_binary::<i32>().value(0).to_vec().into()))
        }
        CellKind::Rowversion => {
            ColumnData::Binary(there.then(|| array.as_fixed_size_binary().value(0).to_vec().into()))
        }
        CellKind::Guid => ColumnData::Guid(text().map(|text| Uuid::parse_str(&text).unwrap())),
        CellKind::Date => {
            let days = array.as_primitive::<Date32Type>().value(0) + EPOCH;
            ColumnData::Date(Some(Date::new(days.cast_unsigned())))
        }
        CellKind::Time(scale) => {
            let ticks = if scale > 6 {
                array.as_primitive::<Time64NanosecondType>().value(0) / 100
            } else {
                array.as_primitive::<Time64MicrosecondType>().value(0) * 10
            };
            ColumnData::Time(Some(time(ticks, scale)))
        }
        CellKind::DateTime => ColumnData::DateTime(Some(datetime(millis(array)))),
        CellKind::SmallDateTime => {
            let minutes = millis(array) / 60_000 + 25_567 * 1440;
            let (days, minute) = (minutes / 1440, minutes % 1440);
            ColumnData::SmallDateTime(Some(SmallDateTime::new(
                days.try_into().unwrap(),
                minute.try_into().unwrap(),
            )))
        }
        CellKind::DateTime2(scale) => {
            let ticks = match scale {
                0..=3 => millis(array) * 10_000,
                4..=6 => array.as_primitive::<TimestampMicrosecondType>().value(0) * 10,
                _ => iso(&text().unwrap()),
            };
            ColumnData::DateTime2(Some(datetime2(ticks, scale)))
        }
        CellKind::DateTimeOffset(scale) => {
            let text = text().unwrap();
            let (local, zone) = text.split_at(text.len() - 6);
            let minutes: i16 = zone[1..3].parse::<i16>().unwrap() * 60 + zone[4..].parse::<i16>().unwrap();
            let offset = if zone.starts_with('-') { -minutes } else { minutes };
            let utc = iso(local) - i64::from(offset) * 600_000_000;
            ColumnData::DateTimeOffset(Some(DateTimeOffset::new(datetime2(utc, scale), offset)))
        }
    }
}

fn decimal(array: &ArrayRef, scale: u8) -> ColumnData<'static> {
    let value = array.as_primitive::<Decimal128Type>().value(0);
    ColumnData::Numeric(array.is_valid(0).then(|| Numeric::new_with_scale(value, scale)))
}

fn millis(array: &ArrayRef) -> i64 {
    array.as_primitive::<TimestampMillisecondType>().value(0)
}

/// Rounded milliseconds name their 1/300 s without doubt.
fn datetime(millis: i64) -> DateTime {
    let (days, of_day) = (millis.div_euclid(86_400_000) + 25_567, millis.rem_euclid(86_400_000));
    DateTime::new(days.try_into().unwrap(), ((of_day * 3 + 5) / 10).try_into().unwrap())
}

fn datetime2(ticks: i64, scale: u8) -> DateTime2 {
    let days = ticks.div_euclid(864_000_000_000) + i64::from(EPOCH);
    DateTime2::new(Date::new(days.try_into().unwrap()), time(ticks.rem_euclid(864_000_000_000), scale))
}

fn time(ticks: i64, scale: u8) -> Time {
    Time::new(ticks.cast_unsigned() / 10u64.pow(7 - u32::from(scale)), scale)
}

/// Units of 100 ns since 1970.
fn iso(text: &str) -> i64 {
    let (head, fraction) = text.split_once('.').unwrap_or((text, ""));
    let moment = NaiveDateTime::parse_from_str(head, "%Y-%m-%dT%H:%M:%S").unwrap();
    let days =
        i64::from(moment.date().num_days_from_ce()) - i64::from(NaiveDate::default().num_days_from_ce());
    let seconds = days * 86_400 + i64::from(moment.num_seconds_from_midnight());
    seconds * 10_000_000 + format!("{fraction:0<7}").parse::<i64>().unwrap()
}

/// Days from 0001-01-01 to 1970-01-01.
const EPOCH: i32 = 719_162;
