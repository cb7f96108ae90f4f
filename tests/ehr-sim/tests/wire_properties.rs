//! Properties of the codecs: every value survives the way out and back, and no bytes from outside panic.

use ehr_sim::tds::column::{WireColumn, type_info};
use ehr_sim::tds::decode::typed_value;
use ehr_sim::tds::encode;
use ehr_sim::tds::login7::Login7;
use ehr_sim::tds::prelogin::Prelogin;
use ehr_sim::tds::read::Reader;
use ehr_sim::tds::request;
use ehr_sim::types::{DateTimeValue, Datum, DecimalValue, Length, OffsetValue, SqlType};
use proptest::prelude::*;

const DAY_MAX: i32 = 3_652_058;
const TICKS: u64 = 864_000_000_000;

/// A type with a value of it. Times are multiples of their scale's unit, so that nothing is cut off.
fn typed() -> impl Strategy<Value = (SqlType, Datum)> {
    let text = "\\PC{0,40}";
    let moment = |scale: u8| {
        let unit = 10u64.pow(u32::from(7 - scale));
        (0..=DAY_MAX, 0..TICKS / unit)
            .prop_map(move |(days, units)| DateTimeValue { days, ticks: units * unit })
    };
    let scaled = (0u8..=7).prop_flat_map(move |scale| (Just(scale), moment(scale), -840i16..=840));
    prop_oneof![
        any::<bool>().prop_map(|v| (SqlType::Bit, Datum::Bit(v))),
        any::<u8>().prop_map(|v| (SqlType::TinyInt, Datum::TinyInt(v))),
        any::<i16>().prop_map(|v| (SqlType::SmallInt, Datum::SmallInt(v))),
        any::<i32>().prop_map(|v| (SqlType::Int, Datum::Int(v))),
        any::<i64>().prop_map(|v| (SqlType::BigInt, Datum::BigInt(v))),
        any::<i64>().prop_map(|v| (SqlType::Money, Datum::Money(v))),
        any::<i32>().prop_map(|v| (SqlType::SmallMoney, Datum::SmallMoney(v))),
        proptest::num::f32::NORMAL.prop_map(|v| (SqlType::Real, Datum::Real(v))),
        proptest::num::f64::NORMAL.prop_map(|v| (SqlType::Float, Datum::Float(v))),
        any::<[u8; 16]>().prop_map(|v| (SqlType::UniqueIdentifier, Datum::Guid(v))),
        text.prop_map(|v| (SqlType::NVarChar(Length::Of(4000)), Datum::NVarChar(v.into()))),
        text.prop_map(|v| (SqlType::NVarChar(Length::Max), Datum::NVarChar(v.into()))),
        text.prop_map(|v| (SqlType::Xml, Datum::Xml(v.into()))),
        "[ -~é€]{0,40}".prop_map(|v| (SqlType::VarChar(Length::Max), Datum::VarChar(v.into()))),
        "[ -~é€]{0,40}".prop_map(|v| (SqlType::VarChar(Length::Of(8000)), Datum::VarChar(v.into()))),
        any::<Vec<u8>>().prop_map(|v| (SqlType::VarBinary(Length::Max), Datum::Binary(v.into()))),
        any::<Vec<u8>>().prop_map(|v| (SqlType::VarBinary(Length::Of(8000)), Datum::Binary(v.into()))),
        (1u8..=38).prop_flat_map(decimal),
        (-53_690..=2_958_463, 0..25_920_000u64)
            .prop_map(|(days, ticks)| (SqlType::DateTime, Datum::DateTime(DateTimeValue { days, ticks }))),
        (0..=65_535, 0..1440u64).prop_map(|(days, ticks)| (
            SqlType::SmallDateTime,
            Datum::SmallDateTime(DateTimeValue { days, ticks })
        )),
        (0..=DAY_MAX).prop_map(|days| (SqlType::Date, Datum::Date(days))),
        scaled.clone().prop_map(|(scale, v, _)| (SqlType::Time(scale), Datum::Time(v.ticks))),
        scaled.clone().prop_map(|(scale, v, _)| (SqlType::DateTime2(scale), Datum::DateTime2(v))),
        scaled.prop_map(|(scale, utc, offset)| {
            (SqlType::DateTimeOffset(scale), Datum::DateTimeOffset(OffsetValue { utc, offset }))
        }),
    ]
}

fn decimal(precision: u8) -> impl Strategy<Value = (SqlType, Datum)> {
    let limit = 10i128.pow(u32::from(precision)) - 1;
    (0..=precision, -limit..=limit).prop_map(move |(scale, unscaled)| {
        (SqlType::Decimal { precision, scale }, Datum::Decimal(DecimalValue { unscaled, precision, scale }))
    })
}

proptest! {
    #[test]
    fn a_value_survives_the_way_out_and_back((ty, datum) in typed(), null in any::<bool>()) {
        let datum = if null { Datum::Null } else { datum };
        let column = WireColumn { ty, nullable: true };
        let mut bytes = Vec::new();
        type_info(&mut bytes, column);
        encode::value(&mut bytes, column, &datum).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let mut reader = Reader::new(&bytes, "value");
        let read = typed_value(&mut reader).map_err(|fault| TestCaseError::fail(format!("{fault:?}")))?;
        prop_assert_eq!(read, (ty, datum));
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn a_variant_survives_with_the_type_of_its_value((ty, datum) in typed()) {
        prop_assume!(ty != SqlType::Xml);
        let column = WireColumn { ty: SqlType::Variant, nullable: true };
        let mut bytes = Vec::new();
        type_info(&mut bytes, column);
        encode::value(&mut bytes, column, &datum).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let read = typed_value(&mut Reader::new(&bytes, "value"));
        let read = read.map_err(|fault| TestCaseError::fail(format!("{fault:?}")))?;
        prop_assert_eq!(read, (SqlType::Variant, datum));
    }

    #[test]
    fn a_value_of_another_type_writes_nothing((ty, _) in typed(), (_, datum) in typed()) {
        let mut bytes = vec![7];
        let written = encode::row(&mut bytes, &[WireColumn { ty, nullable: false }], &[datum]);
        prop_assert!(written.is_ok() || bytes == [7]);
    }

    #[test]
    fn bytes_from_outside_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Prelogin::parse(&bytes);
        let _ = Login7::parse(&bytes);
        let _ = request::batch(&bytes);
        let _ = request::transaction(&bytes);
        let _ = request::rpcs(&bytes);
        let _ = request::rpcs(&[&[4, 0, 0, 0, 0xFF, 0xFF, 10, 0, 0, 0, 0, 0][..], &bytes].concat());
    }
}
