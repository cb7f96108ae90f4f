//! `OrthoTrac`, the synthetic database behind `--ehr orthotrac`: an invented orthodontic practice.
//!
//! What its tables are for: text keys of fixed width (`char`), dates and times in columns of their own, a rowversion on
//! treatment visits only, and a history table without any key, which no cursor can page.

use rand::Rng as _;
use rand::rngs::StdRng;

use super::Profile;
use super::people::{FIRST_NAMES, LAST_NAMES, one_of, or_null, pick, table};
use crate::types::Datum;

/// The profile with `rows` visits, the same for the same `seed`.
pub fn profile(rows: u64, seed: u64) -> Profile {
    let patients = (rows / 20).max(1);
    let tables = vec![
        table("dbo.Pat", patients, seed ^ 1, patient),
        table("dbo.Visit", rows, seed ^ 2, move |random, id| visit(random, id, patients)),
        table("dbo.VisitHistory", (rows / 4).max(1), seed ^ 3, move |random, _| history(random, rows.max(1))),
    ];
    Profile { database: "OrthoTrac", schema: SCHEMA, tables }
}

fn code(id: i32) -> Datum {
    Datum::VarChar(format!("P{id:09}").into())
}

fn patient(random: &mut StdRng, id: i32) -> Vec<Datum> {
    let guardian = Datum::text(pick(random, LAST_NAMES));
    vec![
        code(id),
        Datum::text(pick(random, FIRST_NAMES)),
        Datum::text(pick(random, LAST_NAMES)),
        Datum::Date(DAY_2023 - random.gen_range(2_500..20_000)),
        or_null(random, 0.3, guardian),
        Datum::VarChar(pick(random, PHASES).into()),
        Datum::Bit(random.gen_bool(0.8)),
    ]
}

fn visit(random: &mut StdRng, id: i32, patients: u64) -> Vec<Datum> {
    let patient = one_of(random, patients);
    let overjet = Datum::Float(f64::from(random.gen_range(0..120)) / 10.0);
    let note = Datum::text(pick(random, NOTES));
    vec![
        Datum::Int(id),
        code(patient),
        Datum::Date(DAY_2023 + random.gen_range(0..1400)),
        Datum::Time(random.gen_range(32..68) * QUARTER),
        Datum::SmallInt(random.gen_range(1..6) * 15),
        Datum::VarChar(pick(random, WIRES).into()),
        or_null(random, 0.5, overjet),
        or_null(random, 0.7, note),
        Datum::Null,
    ]
}

fn history(random: &mut StdRng, visits: u64) -> Vec<Datum> {
    vec![
        Datum::Int(one_of(random, visits)),
        Datum::VarChar(pick(random, WIRES).into()),
        Datum::Date(DAY_2023 + random.gen_range(0..1400)),
    ]
}

/// 2023-01-01 in days from 0001-01-01.
const DAY_2023: i32 = 738_520;
/// A quarter of an hour in 100 ns.
const QUARTER: u64 = 900 * 10_000_000;
const PHASES: &[&str] = &["EXAM", "ACTIVE", "RETAIN", "DONE"];
const WIRES: &[&str] = &["14 NiTi", "16 NiTi", "16x22 SS", "17x25 TMA", "19x25 SS"];
const NOTES: &[&str] =
    &["Elastics 6h.", "Bracket UL3 rebonded.", "Gute Mundhygiene.", "Próxima cita en 6 semanas."];

const SCHEMA: &[&str] = &[
    "CREATE TABLE dbo.Pat (
        PatCode char(10) NOT NULL CONSTRAINT PK_Pat PRIMARY KEY CLUSTERED,
        FirstName nvarchar(40) NOT NULL,
        LastName nvarchar(40) NOT NULL,
        BirthDate date NOT NULL,
        Guardian nvarchar(80) NULL,
        Phase varchar(8) NOT NULL,
        Active bit NOT NULL)",
    "CREATE TABLE dbo.Visit (
        VisitNo int NOT NULL CONSTRAINT PK_Visit PRIMARY KEY CLUSTERED,
        PatCode char(10) NOT NULL CONSTRAINT FK_Visit_Pat REFERENCES dbo.Pat (PatCode),
        VisitDate date NOT NULL,
        VisitTime time(0) NOT NULL,
        Minutes smallint NOT NULL,
        Archwire varchar(20) NOT NULL,
        Overjet float NULL,
        Note nvarchar(400) NULL,
        Stamp rowversion NOT NULL)",
    "CREATE UNIQUE INDEX IX_Visit_Stamp ON dbo.Visit (Stamp)",
    "CREATE TABLE dbo.VisitHistory (
        VisitNo int NOT NULL,
        Archwire varchar(20) NOT NULL,
        ReplacedOn date NOT NULL)",
];
