//! `Main_OMS`, the synthetic database behind `--ehr dolphin`: an invented oral-surgery practice.
//!
//! What its tables are for: `Appointment` (the size asked for) and `Patient` carry an indexed rowversion; `Payment` has
//! a rowversion without an index; `Legacy` has only a datetime.

use rand::Rng as _;
use rand::rngs::StdRng;

use super::Profile;
use super::people::{FIRST_NAMES, LAST_NAMES, one_of, or_null, pick, table};
use crate::types::{DateTimeValue, Datum, DecimalValue};

/// The profile with `rows` appointments, the same for the same `seed`.
pub fn profile(rows: u64, seed: u64) -> Profile {
    let count = |share: u64, least: u64| (rows / share).max(least);
    let patients = count(10, 1);
    let tables = vec![
        table("dbo.Provider", PROVIDERS, seed ^ 1, provider),
        table("dbo.Patient", patients, seed ^ 2, patient),
        table("dbo.Appointment", rows, seed ^ 3, move |random, id| appointment(random, id, patients)),
        table("dbo.Payment", count(5, 1), seed ^ 4, move |random, id| payment(random, id, patients)),
        table("dbo.Legacy", count(100, 10), seed ^ 5, legacy),
    ];
    Profile { database: "Main_OMS", schema: SCHEMA, tables }
}

fn provider(random: &mut StdRng, id: i32) -> Vec<Datum> {
    vec![
        Datum::Int(id),
        Datum::text(pick(random, FIRST_NAMES)),
        Datum::text(pick(random, LAST_NAMES)),
        Datum::text(pick(random, TITLES)),
        Datum::VarChar(format!("{:010}", random.gen_range(1_000_000_000u64..1_999_999_999)).into()),
        Datum::Bit(random.gen_bool(0.9)),
        Datum::Null,
    ]
}

fn patient(random: &mut StdRng, id: i32) -> Vec<Datum> {
    let (first, last) = (pick(random, FIRST_NAMES), pick(random, LAST_NAMES));
    let email = format!("patient{id}@example.invalid");
    let phone = format!("(555) 01{:02}-{:04}", random.gen_range(0..100), random.gen_range(0..10_000));
    vec![
        Datum::Int(id),
        Datum::text(first),
        Datum::text(last),
        Datum::Date(DAY_2023 - random.gen_range(400..33_000)),
        Datum::VarChar(pick(random, &["F", "M", "U"]).into()),
        or_null(random, 0.2, Datum::text(email)),
        or_null(random, 0.1, Datum::VarChar(phone.into())),
        Datum::Money(random.gen_range(-50_000..3_000_000) * 100),
        Datum::Guid(random.r#gen()),
        Datum::Bit(random.gen_bool(0.85)),
        datetime(random),
        Datum::Null,
    ]
}

fn appointment(random: &mut StdRng, id: i32, patients: u64) -> Vec<Datum> {
    let (status, reason) = (pick(random, STATUSES), Datum::text(pick(random, REASONS)));
    let note = format!("{} {}", pick(random, NOTES), pick(random, NOTES));
    vec![
        Datum::Int(id),
        Datum::Int(one_of(random, patients)),
        Datum::Int(one_of(random, PROVIDERS)),
        Datum::Int(random.gen_range(1..=8)),
        Datum::DateTime(DateTimeValue {
            days: DATETIME_2023 + random.gen_range(0..1460),
            ticks: random.gen_range(32..68) * TICKS_PER_QUARTER,
        }),
        Datum::Int(random.gen_range(1..=12) * 15),
        Datum::text(status),
        or_null(random, 0.1, reason),
        or_null(random, 0.6, Datum::text(note)),
        Datum::Decimal(DecimalValue { unscaled: random.gen_range(0..500_000), precision: 10, scale: 2 }),
        Datum::DateTime2(DateTimeValue {
            days: DAY_2023 + random.gen_range(-60..1400),
            ticks: random.gen_range(0..86_400_000) * 10_000,
        }),
        Datum::Null,
    ]
}

fn payment(random: &mut StdRng, id: i32, patients: u64) -> Vec<Datum> {
    vec![
        Datum::Int(id),
        Datum::Int(one_of(random, patients)),
        Datum::Money(random.gen_range(500..200_000) * 100),
        Datum::VarChar(pick(random, METHODS).into()),
        Datum::DateTime2(DateTimeValue {
            days: DAY_2023 + random.gen_range(0..1400),
            ticks: random.gen_range(0..86_400) * 10_000_000,
        }),
        Datum::Null,
    ]
}

fn legacy(random: &mut StdRng, id: i32) -> Vec<Datum> {
    vec![
        Datum::Int(id),
        Datum::VarChar(format!("D{:04}", random.gen_range(100..9999)).into()),
        Datum::text(pick(random, REASONS)),
        datetime(random),
    ]
}

fn datetime(random: &mut StdRng) -> Datum {
    let (days, ticks) = (DATETIME_2023 + random.gen_range(0..1000), random.gen_range(0..300 * 86_400));
    Datum::DateTime(DateTimeValue { days, ticks })
}

const PROVIDERS: u64 = 12;
/// 2023-01-01 in days from 0001-01-01, and from 1900-01-01.
const DAY_2023: i32 = 738_520;
const DATETIME_2023: i32 = 44_925;
/// A quarter of an hour in 1/300 s.
const TICKS_PER_QUARTER: u64 = 300 * 900;

const TITLES: &[&str] = &["DDS", "DMD", "MD, DDS", "RDH"];
const STATUSES: &[&str] = &["Scheduled", "Confirmed", "Arrived", "Completed", "Cancelled", "No show"];
const REASONS: &[&str] = &[
    "Consultation",
    "Third molar extraction",
    "Implant placement",
    "Bone graft",
    "Biopsy",
    "Suture removal",
    "Post-operative check",
    "Sedation evaluation",
];
const NOTES: &[&str] = &[
    "Prefers mornings.",
    "Running late, señal débil.",
    "Allergic to penicillin (see chart).",
    "Bringt Röntgenbild mit.",
    "Called twice; left voicemail.",
    "Needs interpreter: 日本語.",
    "Insurance pre-authorised ✔",
    "Chair 3 if possible.",
];
const METHODS: &[&str] = &["Cash", "Card", "Check", "Insurance"];

const SCHEMA: &[&str] = &[
    "CREATE TABLE dbo.Provider (
        ProviderID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_Provider PRIMARY KEY CLUSTERED,
        FirstName nvarchar(40) NOT NULL,
        LastName nvarchar(40) NOT NULL,
        Title nvarchar(20) NOT NULL,
        NPI char(10) NOT NULL,
        Active bit NOT NULL,
        RowVer rowversion NOT NULL)",
    "CREATE TABLE dbo.Patient (
        PatientID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_Patient PRIMARY KEY CLUSTERED,
        FirstName nvarchar(40) NOT NULL,
        LastName nvarchar(40) NOT NULL,
        BirthDate date NOT NULL,
        Sex char(1) NOT NULL,
        Email nvarchar(120) NULL,
        Phone varchar(24) NULL,
        Balance money NOT NULL,
        ExternalID uniqueidentifier NOT NULL,
        Active bit NOT NULL,
        UpdatedAt datetime NOT NULL,
        RowVer rowversion NOT NULL)",
    "CREATE UNIQUE INDEX IX_Patient_RowVer ON dbo.Patient (RowVer)",
    "CREATE TABLE dbo.Appointment (
        AppointmentID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_Appointment PRIMARY KEY CLUSTERED,
        PatientID int NOT NULL CONSTRAINT FK_Appointment_Patient REFERENCES dbo.Patient (PatientID),
        ProviderID int NOT NULL CONSTRAINT FK_Appointment_Provider REFERENCES dbo.Provider (ProviderID),
        ChairID int NOT NULL,
        StartTime datetime NOT NULL,
        LengthMinutes int NOT NULL,
        Status nvarchar(20) NOT NULL,
        Reason nvarchar(100) NULL,
        Note nvarchar(max) NULL,
        Fee decimal(10,2) NOT NULL,
        CreatedAt datetime2(3) NOT NULL,
        RowVer rowversion NOT NULL)",
    "CREATE UNIQUE INDEX IX_Appointment_RowVer ON dbo.Appointment (RowVer)",
    "CREATE TABLE dbo.Payment (
        PaymentID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_Payment PRIMARY KEY CLUSTERED,
        PatientID int NOT NULL CONSTRAINT FK_Payment_Patient REFERENCES dbo.Patient (PatientID),
        Amount money NOT NULL,
        Method varchar(12) NOT NULL,
        PaidAt datetime2(0) NOT NULL,
        RowVer rowversion NOT NULL)",
    "CREATE TABLE dbo.Legacy (
        LegacyID int NOT NULL CONSTRAINT PK_Legacy PRIMARY KEY CLUSTERED,
        Code varchar(10) NOT NULL,
        Description nvarchar(200) NOT NULL,
        ChangedAt datetime NOT NULL)",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_rows() {
        let read = |seed| -> Vec<Vec<Vec<Datum>>> {
            profile(200, seed).tables.into_iter().map(|table| table.rows.collect()).collect()
        };
        assert_eq!(read(7), read(7));
        assert_ne!(read(7), read(8));
    }

    #[test]
    fn every_row_has_its_tables_columns_and_points_at_a_parent() {
        for table in profile(500, 1).tables {
            let statement =
                SCHEMA.iter().find(|text| text.contains(&format!("CREATE TABLE {} ", table.table))).unwrap();
            let columns = statement.lines().count() - 1;
            let mut count = 0;
            for row in table.rows {
                assert_eq!(row.len(), columns, "{}", table.table);
                if table.table == "dbo.Appointment" {
                    assert!(matches!(row[1], Datum::Int(1..=50)) && matches!(row[2], Datum::Int(1..=12)));
                }
                count += 1;
            }
            assert_eq!(count, table.count, "{}", table.table);
        }
    }
}
