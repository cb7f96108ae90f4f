//! One cell of every kind through a batch file and back, at the ends of each type's range.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType,
};
use rows::Cell;
use rows::columns::{Chunk, RowBuffer};
use rows::kind::CellKind;
use tiberius::time::{Date, DateTime, DateTime2, DateTimeOffset, SmallDateTime, Time};
use tiberius::{ColumnData, Uuid, numeric::Numeric};

use proptest::prelude::*;

use super::*;

mod back;

fn one(kind: CellKind, cell: ColumnData<'static>) -> ArrayRef {
    let mut buffer = buffer(&[kind]);
    buffer.push(&[Some(Cell::from(&cell))]).unwrap();
    assert_eq!(buffer.rows(), 1);
    back::through_parquet(&[kind], buffer.take()).column(0).clone()
}

/// Columns `c0`, `c1`, ….
fn buffer(kinds: &[CellKind]) -> RowBuffer {
    RowBuffer::new(back::names(kinds), kinds.to_vec())
}

#[test]
fn decimals_keep_all_38_digits() {
    let largest = 10_i128.pow(38) - 1;
    let cell = ColumnData::Numeric(Some(Numeric::new_with_scale(largest, 10)));
    let array = one(CellKind::Decimal(38, 10), cell);
    assert_eq!(array.as_primitive::<Decimal128Type>().value(0), largest);
}

#[test]
fn a_decimal_of_another_scale_is_refused_by_column() {
    let mut buffer = RowBuffer::new(vec!["Fee".to_owned()], vec![CellKind::Decimal(10, 2)]);
    let cell = ColumnData::Numeric(Some(Numeric::new_with_scale(1, 3)));
    assert_eq!(buffer.push(&[Some(Cell::from(&cell))]).unwrap_err().column, "Fee");
}

#[test]
fn datetime_is_rounded_as_sql_server_prints_it() {
    let millis = |ticks| {
        let cell = ColumnData::DateTime(Some(DateTime::new(25_567, ticks)));
        one(CellKind::DateTime, cell).as_primitive::<TimestampMillisecondType>().value(0)
    };
    assert_eq!([millis(0), millis(1), millis(2), millis(3), millis(25_919_999)], [0, 3, 7, 10, 86_399_997]);
}

#[test]
fn datetime_before_1970_counts_down() {
    let cell = ColumnData::DateTime(Some(DateTime::new(-53_690, 1)));
    let array = one(CellKind::DateTime, cell);
    assert_eq!(
        array.as_primitive::<TimestampMillisecondType>().value(0),
        (-53_690 - 25_567) * 86_400_000 + 3
    );
}

#[test]
fn smalldatetime_counts_minutes() {
    let cell = ColumnData::SmallDateTime(Some(SmallDateTime::new(25_568, 61)));
    let array = one(CellKind::SmallDateTime, cell);
    assert_eq!(array.as_primitive::<TimestampMillisecondType>().value(0), 86_400_000 + 61 * 60_000);
}

#[test]
fn dates_reach_from_year_1_to_9999() {
    let days = |days| {
        one(CellKind::Date, ColumnData::Date(Some(Date::new(days)))).as_primitive::<Date32Type>().value(0)
    };
    assert_eq!([days(0), days(719_162), days(3_652_058)], [-719_162, 0, 2_932_896]);
}

#[test]
fn times_keep_100_nanoseconds() {
    let nano = one(CellKind::Time(7), ColumnData::Time(Some(Time::new(863_999_999_999, 7))));
    assert_eq!(nano.as_primitive::<Time64NanosecondType>().value(0), 86_399_999_999_900);
    let micro = one(CellKind::Time(3), ColumnData::Time(Some(Time::new(86_399_999, 3))));
    assert_eq!(micro.as_primitive::<Time64MicrosecondType>().value(0), 86_399_999_000);
}

#[test]
fn datetime2_is_a_timestamp_up_to_microseconds_and_text_beyond() {
    let moment = |increments, scale| {
        ColumnData::DateTime2(Some(DateTime2::new(Date::new(719_163), Time::new(increments, scale))))
    };
    let millis = one(CellKind::DateTime2(3), moment(1, 3));
    assert_eq!(millis.as_primitive::<TimestampMillisecondType>().value(0), 86_400_001);
    let micros = one(CellKind::DateTime2(6), moment(1, 6));
    assert_eq!(micros.as_primitive::<TimestampMicrosecondType>().value(0), 86_400_000_001);
    let text = one(CellKind::DateTime2(7), moment(1, 7));
    assert_eq!(text.as_string::<i32>().value(0), "1970-01-02T00:00:00.0000001");
}

#[test]
fn datetimeoffset_keeps_local_time_and_offset() {
    let utc = DateTime2::new(Date::new(719_162), Time::new(0, 0));
    let text = |offset| {
        let cell = ColumnData::DateTimeOffset(Some(DateTimeOffset::new(utc, offset)));
        one(CellKind::DateTimeOffset(0), cell).as_string::<i32>().value(0).to_owned()
    };
    assert_eq!(text(-90), "1969-12-31T22:30:00-01:30");
    assert_eq!(text(120), "1970-01-01T02:00:00+02:00");
}

#[test]
fn guids_print_as_sql_server_prints_them() {
    let guid = Uuid::parse_str("6f9619ff-8b86-d011-b42d-00c04fc964ff").unwrap();
    let array = one(CellKind::Guid, ColumnData::Guid(Some(guid)));
    assert_eq!(array.as_string::<i32>().value(0), "6F9619FF-8B86-D011-B42D-00C04FC964FF");
}

#[test]
fn nulls_stay_nulls_in_every_kind() {
    let nulls = [
        (CellKind::Bit, ColumnData::Bit(None)),
        (CellKind::Int, ColumnData::I32(None)),
        (CellKind::Money(19), ColumnData::Numeric(None)),
        (CellKind::Text, ColumnData::String(None)),
        (CellKind::Text, ColumnData::Xml(None)),
        (CellKind::Binary, ColumnData::Binary(None)),
        (CellKind::Rowversion, ColumnData::Binary(None)),
        (CellKind::Guid, ColumnData::Guid(None)),
        (CellKind::DateTime2(7), ColumnData::DateTime2(None)),
        (CellKind::DateTimeOffset(7), ColumnData::DateTimeOffset(None)),
    ];
    for (kind, cell) in nulls {
        assert!(one(kind, cell).is_null(0), "{kind:?}");
    }
}

#[test]
fn a_row_that_is_too_short_is_refused() {
    let mut buffer = buffer(&[CellKind::Int, CellKind::Int]);
    let cell = ColumnData::I32(Some(1));
    assert_eq!(buffer.push(&[Some(Cell::from(&cell))]).unwrap_err().column, "c1");
}

/// A kind of column and a cell that its type can hold, NULL among them.
fn any_cell() -> impl Strategy<Value = (CellKind, ColumnData<'static>)> {
    let power = |scale: u8| 10u64.pow(u32::from(scale));
    let time = move |scale: u8| (0..86_400 * power(scale)).prop_map(move |n| Time::new(n, scale));
    let moment = move |scale: u8| {
        (0u32..3_652_059, time(scale)).prop_map(|(days, time)| DateTime2::new(Date::new(days), time))
    };
    let decimal = (1u8..=38).prop_flat_map(|precision| {
        let most = 10i128.pow(u32::from(precision)) - 1;
        (Just(precision), 0..=precision, -most..=most)
    });
    prop_oneof![
        any::<Option<bool>>().prop_map(|v| (CellKind::Bit, ColumnData::Bit(v))),
        any::<Option<u8>>().prop_map(|v| (CellKind::TinyInt, ColumnData::U8(v))),
        any::<Option<i16>>().prop_map(|v| (CellKind::SmallInt, ColumnData::I16(v))),
        any::<Option<i32>>().prop_map(|v| (CellKind::Int, ColumnData::I32(v))),
        any::<Option<i64>>().prop_map(|v| (CellKind::BigInt, ColumnData::I64(v))),
        any::<f32>().prop_map(|v| (CellKind::Real, ColumnData::F32(Some(v)))),
        any::<f64>().prop_map(|v| (CellKind::Float, ColumnData::F64(Some(v)))),
        decimal.prop_map(|(precision, scale, value)| {
            let number = Numeric::new_with_scale(value, scale);
            (CellKind::Decimal(precision, scale), ColumnData::Numeric(Some(number)))
        }),
        any::<i64>().prop_map(|v| {
            (CellKind::Money(19), ColumnData::Numeric(Some(Numeric::new_with_scale(v.into(), 4))))
        }),
        any::<Option<String>>().prop_map(|v| (CellKind::Text, ColumnData::String(v.map(Into::into)))),
        any::<Option<Vec<u8>>>().prop_map(|v| (CellKind::Binary, ColumnData::Binary(v.map(Into::into)))),
        any::<[u8; 8]>().prop_map(|v| (CellKind::Rowversion, ColumnData::Binary(Some(v.to_vec().into())))),
        any::<u128>().prop_map(|v| (CellKind::Guid, ColumnData::Guid(Some(Uuid::from_u128(v))))),
        (0u32..3_652_059).prop_map(|v| (CellKind::Date, ColumnData::Date(Some(Date::new(v))))),
        (0u8..=7).prop_flat_map(move |scale| {
            time(scale).prop_map(move |v| (CellKind::Time(scale), ColumnData::Time(Some(v))))
        }),
        (-53_690i32..=2_958_463, 0u32..25_920_000).prop_map(|(days, ticks)| {
            (CellKind::DateTime, ColumnData::DateTime(Some(DateTime::new(days, ticks))))
        }),
        (any::<u16>(), 0u16..1440).prop_map(|(days, minutes)| {
            (CellKind::SmallDateTime, ColumnData::SmallDateTime(Some(SmallDateTime::new(days, minutes))))
        }),
        (0u8..=7).prop_flat_map(move |scale| {
            moment(scale).prop_map(move |v| (CellKind::DateTime2(scale), ColumnData::DateTime2(Some(v))))
        }),
        (0u8..=7, -14i16 * 60..=14 * 60).prop_flat_map(move |(scale, offset)| {
            // Local time stays within the years 1 to 9999 as SQL Server demands.
            moment(scale)
                .prop_filter("within the range with its offset", |v| {
                    (1..3_652_058).contains(&v.date().days())
                })
                .prop_map(move |v| {
                    let cell = ColumnData::DateTimeOffset(Some(DateTimeOffset::new(v, offset)));
                    (CellKind::DateTimeOffset(scale), cell)
                })
        }),
    ]
}

proptest! {
    #[test]
    fn every_cell_comes_back_from_parquet_as_it_was(cells in proptest::collection::vec(any_cell(), 1..40)) {
        let kinds: Vec<CellKind> = cells.iter().map(|(kind, _)| *kind).collect();
        let mut buffer = buffer(&kinds);
        buffer.push(&cells.iter().map(|(_, cell)| Some(Cell::from(cell))).collect::<Vec<_>>()).unwrap();
        let read = back::through_parquet(&kinds, buffer.take());
        for (at, (kind, cell)) in cells.iter().enumerate() {
            prop_assert_eq!(&back::cell(*kind, read.column(at)), cell, "{:?}", kind);
        }
    }
}
