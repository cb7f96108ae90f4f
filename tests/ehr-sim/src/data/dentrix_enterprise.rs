//! `Dentrix`, the synthetic database behind `--ehr dentrix-enterprise`: table and column names follow the product's
//! public naming, everything else is invented.
//!
//! What its tables are for: every key is a pair (number, originating database); there is no rowversion; `DDB_LAST_MOD`
//! is a datetime no cursor should trust: for some rows it is NULL, for some it lies before their creation.

use rand::Rng as _;
use rand::rngs::StdRng;

use super::Profile;
use super::people::{FIRST_NAMES, LAST_NAMES, one_of, or_null, pick, table};
use crate::types::{DateTimeValue, Datum};

/// The profile with `rows` appointments, the same for the same `seed`.
pub fn profile(rows: u64, seed: u64) -> Profile {
    let patients = (rows / 10).max(1);
    let tables = vec![
        table("dbo.DDB_RSC_BASE", RESOURCES, seed ^ 1, resource),
        table("dbo.DDB_PAT_BASE", patients, seed ^ 2, patient),
        table("dbo.DDB_APPT_BASE", rows, seed ^ 3, move |random, id| appointment(random, id, patients)),
        table("dbo.DDB_PROC_LOG_BASE", (rows / 2).max(1), seed ^ 4, move |random, id| {
            procedure(random, id, patients)
        }),
    ];
    Profile { database: "Dentrix", schema: SCHEMA, tables }
}

fn resource(random: &mut StdRng, id: i32) -> Vec<Datum> {
    vec![
        Datum::Int(id),
        Datum::Int(OWN_DATABASE),
        Datum::VarChar(format!("PRV{id:02}").into()),
        Datum::VarChar(pick(random, LAST_NAMES_ASCII).into()),
        Datum::SmallInt(random.gen_range(0..3)),
        modified(random),
    ]
}

fn patient(random: &mut StdRng, id: i32) -> Vec<Datum> {
    let birth = midnight(random, 15_000..44_000);
    vec![
        Datum::Int(id),
        Datum::Int(database_of(id)),
        Datum::text(pick(random, LAST_NAMES)),
        Datum::text(pick(random, FIRST_NAMES)),
        Datum::VarChar(format!("{id:08}").into()),
        or_null(random, 0.05, birth),
        Datum::TinyInt(random.gen_range(1..=2)),
        or_null(random, 0.15, Datum::VarChar(format!("555-01{:02}", id % 100).into())),
        Datum::TinyInt(random.gen_range(1..=3)),
        modified(random),
    ]
}

fn appointment(random: &mut StdRng, id: i32, patients: u64) -> Vec<Datum> {
    let patient = one_of(random, patients);
    let note = Datum::text(pick(random, NOTES));
    vec![
        Datum::Int(id),
        Datum::Int(database_of(id)),
        Datum::Int(patient),
        Datum::Int(database_of(patient)),
        Datum::Int(one_of(random, RESOURCES)),
        Datum::Int(OWN_DATABASE),
        midnight(random, DAY_2023..DAY_2023 + 1460),
        Datum::SmallInt(random.gen_range(7..18)),
        Datum::SmallInt(random.gen_range(0..6) * 10),
        Datum::Int(random.gen_range(1..12) * 10),
        Datum::VarChar(pick(random, REASONS).into()),
        Datum::SmallInt(random.gen_range(0..10)),
        or_null(random, 0.6, note),
        modified(random),
    ]
}

fn procedure(random: &mut StdRng, id: i32, patients: u64) -> Vec<Datum> {
    let patient = one_of(random, patients);
    let tooth = Datum::VarChar(random.gen_range(1..33).to_string().into());
    vec![
        Datum::Int(id),
        Datum::Int(database_of(id)),
        Datum::Int(patient),
        Datum::Int(database_of(patient)),
        midnight(random, DAY_2023..DAY_2023 + 1400),
        Datum::VarChar(format!("D{:04}", random.gen_range(100..9999)).into()),
        Datum::Money(random.gen_range(2_000..250_000) * 100),
        or_null(random, 0.3, tooth),
        modified(random),
    ]
}

/// Most rows come from this database, some from a clinic merged into it.
fn database_of(id: i32) -> i32 {
    if id % 11 == 0 { MERGED_DATABASE } else { OWN_DATABASE }
}

fn midnight(random: &mut StdRng, days: std::ops::Range<i32>) -> Datum {
    Datum::DateTime(DateTimeValue { days: random.gen_range(days), ticks: 0 })
}

/// Unreliable on purpose: NULL, long ago, or plausible.
fn modified(random: &mut StdRng) -> Datum {
    match random.gen_range(0..20) {
        0 => Datum::Null,
        1 => Datum::DateTime(DateTimeValue { days: 36_524, ticks: 0 }),
        _ => {
            let days = DAY_2023 + random.gen_range(0..1000);
            Datum::DateTime(DateTimeValue { days, ticks: random.gen_range(0..300 * 86_400) })
        }
    }
}

const RESOURCES: u64 = 14;
const OWN_DATABASE: i32 = 1;
const MERGED_DATABASE: i32 = 7;
/// 2023-01-01 in days from 1900-01-01.
const DAY_2023: i32 = 44_925;
const LAST_NAMES_ASCII: &[&str] = &["Abbott", "Baker", "Garcia", "Ito", "Jansen", "Rossi", "Tanaka", "Young"];
const REASONS: &[&str] = &["Prophy", "PerEx", "Filling", "Crown", "RootCanal", "Emergency", "NewPatient"];
const NOTES: &[&str] =
    &["Confirmed by phone.", "Vegyen be időben gyógyszert.", "Premedication.", "¿Traductor?"];

const SCHEMA: &[&str] = &[
    "CREATE TABLE dbo.DDB_RSC_BASE (
        URSCID int NOT NULL,
        RSCDB int NOT NULL,
        RSCID varchar(12) NOT NULL,
        NAME_LAST varchar(40) NOT NULL,
        RSCTYPE smallint NOT NULL,
        DDB_LAST_MOD datetime NULL,
        CONSTRAINT PK_DDB_RSC_BASE PRIMARY KEY CLUSTERED (URSCID, RSCDB))",
    "CREATE TABLE dbo.DDB_PAT_BASE (
        PATID int NOT NULL,
        PATDB int NOT NULL,
        LASTNAME nvarchar(40) NOT NULL,
        FIRSTNAME nvarchar(40) NOT NULL,
        CHART varchar(20) NOT NULL,
        BIRTHDATE datetime NULL,
        GENDER tinyint NOT NULL,
        WKPHONE varchar(20) NULL,
        STATUS tinyint NOT NULL,
        DDB_LAST_MOD datetime NULL,
        CONSTRAINT PK_DDB_PAT_BASE PRIMARY KEY CLUSTERED (PATID, PATDB))",
    "CREATE TABLE dbo.DDB_APPT_BASE (
        APPTID int NOT NULL,
        APPTDB int NOT NULL,
        PATID int NOT NULL,
        PATDB int NOT NULL,
        PRPROVID int NOT NULL,
        PRPROVDB int NOT NULL,
        APPTDATE datetime NOT NULL,
        TIME_HOUR smallint NOT NULL,
        TIME_MINUTE smallint NOT NULL,
        APPTLEN int NOT NULL,
        APPTREASON varchar(60) NOT NULL,
        STATUS smallint NOT NULL,
        NOTE nvarchar(max) NULL,
        DDB_LAST_MOD datetime NULL,
        CONSTRAINT PK_DDB_APPT_BASE PRIMARY KEY CLUSTERED (APPTID, APPTDB),
        CONSTRAINT FK_APPT_PAT FOREIGN KEY (PATID, PATDB) REFERENCES dbo.DDB_PAT_BASE (PATID, PATDB))",
    "CREATE INDEX IX_APPT_LAST_MOD ON dbo.DDB_APPT_BASE (DDB_LAST_MOD)",
    "CREATE TABLE dbo.DDB_PROC_LOG_BASE (
        PROCID int NOT NULL,
        PROCDB int NOT NULL,
        PATID int NOT NULL,
        PATDB int NOT NULL,
        PLDATE datetime NOT NULL,
        ADACODE varchar(10) NOT NULL,
        AMT money NOT NULL,
        TOOTH varchar(4) NULL,
        DDB_LAST_MOD datetime NULL,
        CONSTRAINT PK_DDB_PROC_LOG_BASE PRIMARY KEY CLUSTERED (PROCID, PROCDB))",
];
