use proptest::prelude::*;
use states::Value;

use super::*;

fn kind(text: &str) -> Kind {
    Kind::parse(text).unwrap_or_else(|| panic!("{text} is a type"))
}

fn param(text: &str, value: impl Into<Value>) -> Option<Param> {
    kind(text).param(&value.into()).ok().flatten()
}

#[test]
fn every_type_is_written_as_it_is_read() {
    for text in [
        "bit",
        "tinyint",
        "smallint",
        "int",
        "bigint",
        "real",
        "float",
        "decimal(10,2)",
        "money",
        "smallmoney",
        "char(10)",
        "varchar(max)",
        "nchar(2)",
        "nvarchar(40)",
        "varbinary(16)",
        "rowversion",
        "uniqueidentifier",
        "date",
        "time(0)",
        "datetime",
        "smalldatetime",
        "datetime2(3)",
        "datetimeoffset(7)",
    ] {
        assert_eq!(kind(text).to_string(), text);
    }
    for text in ["", "int(4)", "nvarchar", "nvarchar(0)", "char(max)", "decimal(3,4)", "time(8)", "geometry"]
    {
        assert_eq!(Kind::parse(text), None, "{text}");
    }
}

#[test]
fn values_that_do_not_fit_are_refused_and_not_quoted() {
    for (text, value) in [
        ("tinyint", Value::from(256)),
        ("smallint", 40_000.into()),
        ("int", Value::from(3_000_000_000_i64)),
        ("int", "twelve".into()),
        ("decimal(5,2)", "1234.5".into()),
        ("decimal(5,2)", "1.234".into()),
        ("decimal(5,2)", ".".into()),
        ("money", "922337203685477.5808".into()),
        ("nvarchar(3)", "Miller".into()),
        ("rowversion", "0x01".into()),
        ("varbinary(1)", "0xABC".into()),
        ("date", "31.01.2026".into()),
        ("datetime", "1600-01-01T00:00:00".into()),
        ("datetime", "2026-01-01T00:00:00.001".into()),
        ("smalldatetime", "2026-01-01T00:00:30".into()),
        ("time(0)", "10:00:00.5".into()),
        ("bit", 2.into()),
    ] {
        let refused = kind(text).param(&value).unwrap_err();
        assert!(!refused.contains(value.as_str().unwrap_or("~")), "{text}: {refused}");
    }
}

#[test]
fn values_are_taken_exactly() {
    assert_eq!(param("decimal(10,2)", "-0.5"), Some(Param::Decimal("-50".into(), 2)));
    assert_eq!(param("decimal(10,2)", 12.5), Some(Param::Decimal("1250".into(), 2)));
    assert_eq!(param("money", 3), Some(Param::Decimal("30000".into(), 4)));
    assert_eq!(param("int", "42"), Some(Param::Int(42)));
    assert_eq!(param("bit", true), Some(Param::Bit(true)));
    assert_eq!(param("nvarchar(5)", "Zoë"), Some(Param::Text("Zoë".into())));
    assert_eq!(param("varchar(5)", "Zoë"), Some(Param::Text("Zoë".into())));
    assert_eq!(
        param("rowversion", "0x00000000000007D1"),
        Some(Param::Bytes(vec![0, 0, 0, 0, 0, 0, 7, 0xD1]))
    );
    assert_eq!(kind("int").param(&Value::Nil), Ok(None));
}

#[test]
fn a_column_takes_what_it_holds_unchanged_and_nothing_else() {
    let takes = |column: &str, given: &str| kind(column).takes(kind(given));
    assert!(takes("bigint", "int") && !takes("int", "bigint"));
    assert!(takes("nvarchar(40)", "varchar(40)") && !takes("varchar(40)", "nvarchar(40)"));
    assert!(takes("nvarchar(max)", "nvarchar(40)") && !takes("nvarchar(39)", "nvarchar(40)"));
    assert!(takes("decimal(10,2)", "decimal(8,1)") && !takes("decimal(10,2)", "decimal(10,1)"));
    assert!(takes("datetime", "datetime") && !takes("datetime", "datetime2(3)"));
    assert!(!takes("nvarchar(40)", "nvarchar(max)"));
}

#[test]
fn text_is_converted_beside_a_varchar_column() {
    let collation = Collation { name: "Cyrillic_General_CI_AS".to_owned(), code_page: Some(1251) };
    assert_eq!(kind("varchar(20)").place(3, None), "CONVERT(varchar(20), @P3)");
    assert_eq!(
        kind("varchar(20)").place(3, Some(&collation)),
        "CAST(@P3 COLLATE Cyrillic_General_CI_AS AS varchar(20))"
    );
    assert_eq!(kind("nvarchar(20)").place(3, Some(&collation)), "@P3");
    assert_eq!(kind("money").selected("[Fee]"), "CONVERT(decimal(19,4), [Fee])");
}

fn any_param() -> impl Strategy<Value = (Kind, Param)> {
    prop_oneof![
        any::<i64>().prop_map(|v| (Kind::Integer(8), Param::BigInt(v))),
        (any::<i64>(), 0u8..=10).prop_map(|(v, s)| (Kind::Decimal(38, s), Param::Decimal(v.to_string(), s))),
        any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(|v| (Kind::Float, Param::Float(v))),
        any::<Vec<u8>>().prop_map(|v| (Kind::Bytes(None), Param::Bytes(v))),
        any::<u128>().prop_map(|v| (Kind::Guid, Param::Guid(v))),
        (0u32..3_652_059).prop_map(|d| (Kind::Date, Param::Date(d))),
        (0u64..86_400_000).prop_map(|t| (Kind::Time(3), Param::Time(t, 3))),
        (-53_690i32..2_958_463, 0u32..25_920_000).prop_map(|(d, t)| (Kind::DateTime, Param::DateTime(d, t))),
        (0u16..=65_379, 0u16..1440).prop_map(|(d, m)| (Kind::SmallDateTime, Param::SmallDateTime(d, m))),
        (0u32..3_652_059, 0u64..864_000_000_000)
            .prop_map(|(d, t)| (Kind::DateTime2(7), Param::DateTime2(d, t, 7))),
        (2u32..3_652_050, 0u64..86_400_000, -840i16..=840)
            .prop_map(|(d, t, o)| (Kind::DateTimeOffset(3), Param::DateTimeOffset(d, t, 3, o))),
    ]
}

proptest! {
    #[test]
    fn what_is_read_back_can_be_sent_again((kind, param) in any_param()) {
        let shown = Kind::json(Some(&param));
        let value = states::to_value(&shown);
        prop_assert_eq!(kind.param(&value).unwrap(), Some(param), "{}", shown);
    }
}
