//! A backend that answers without executing anything: every type, every token and every parameter, so that the wire
//! is tested apart from the engine. It lives in tests only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ehr_sim::server::backend::{Backend, BackendSession};
use ehr_sim::types::{
    Cancel, Column, DateTimeValue, Datum, DecimalValue, Done, DoneKind, EnvChange, Length, LoginRequest,
    OffsetValue, Output, Request, Rpc, SqlMessage, SqlType, Stopped, TransactionRequest,
};

/// The password the parrot takes.
pub const PASSWORD: &str = "Pärr0t!";

/// Counts what its sessions saw.
#[derive(Clone, Default)]
pub struct Parrot {
    pub cancelled: Arc<AtomicU64>,
    pub resets: Arc<AtomicU64>,
    /// Set to end every session from outside.
    pub kill: Cancel,
}

struct Perch {
    parrot: Parrot,
    transaction: u64,
}

impl Backend for Parrot {
    fn login(&self, request: LoginRequest) -> Result<Box<dyn BackendSession>, Vec<SqlMessage>> {
        if request.user != "sa" || request.password != PASSWORD {
            let text = format!("Login failed for user '{}'.", request.user);
            return Err(vec![message(18456, 14, &text, 1)]);
        }
        Ok(Box::new(Perch { parrot: self.clone(), transaction: 0 }))
    }
}

impl BackendSession for Perch {
    fn spid(&self) -> u16 {
        55
    }

    fn announce(&mut self, output: &mut dyn Output) -> Result<(), Stopped> {
        output.env(&EnvChange::Database { new: "Main_OMS".into(), old: "master".into() })?;
        output.message(&message(5701, 0, "Changed database context to 'Main_OMS'.", 1))?;
        output.env(&EnvChange::Language { new: "us_english".into(), old: String::new() })?;
        output.message(&message(5703, 0, "Changed language setting to us_english.", 1))
    }

    fn execute(&mut self, request: Request, output: &mut dyn Output, cancel: &Cancel) -> Result<(), Stopped> {
        match request {
            Request::Batch(text) => self.batch(text.trim(), output, cancel),
            Request::Rpc(rpc) => echo(&rpc, output),
            Request::Transaction(request) => self.transaction(&request, output),
        }
    }

    fn reset(&mut self) {
        self.parrot.resets.fetch_add(1, Ordering::SeqCst);
    }

    fn killed(&self) -> Cancel {
        self.parrot.kill.clone()
    }
}

impl Perch {
    fn batch(&mut self, text: &str, output: &mut dyn Output, cancel: &Cancel) -> Result<(), Stopped> {
        let (word, argument) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "types" => {
                let (columns, values): (Vec<Column>, Vec<Datum>) = every_type().into_iter().unzip();
                let nulls: Vec<Datum> = columns
                    .iter()
                    .zip(&values)
                    .map(|(c, v)| if c.nullable { Datum::Null } else { v.clone() })
                    .collect();
                output.columns(&columns)?;
                output.row(&values)?;
                output.row(&nulls)?;
                output.done(statement(Some(2)))
            }
            "rows" => rows(argument.parse().unwrap(), output),
            "wait" => {
                output.columns(&[column("before", SqlType::Int, false)])?;
                output.row(&[Datum::Int(1)])?;
                if cancel.wait_timeout(Duration::from_secs(100)) {
                    self.parrot.cancelled.fetch_add(1, Ordering::SeqCst);
                }
                output.done(statement(Some(1)))
            }
            "error" => {
                output.message(&message(50_000, 16, "Ümlaut failure", 7))?;
                output.done(Done { error: true, ..statement(None) })
            }
            "fatal" => output.message(&message(21, 20, "Fatal.", 1)),
            "wrong" => {
                output.columns(&[column("n", SqlType::Int, false)])?;
                output.row(&[Datum::Float(1.0)])
            }
            "suicide" => {
                self.parrot.kill.cancel();
                rows(2, output)
            }
            "two" => {
                rows(2, output)?;
                output.message(&message(0, 0, "between", 1))?;
                rows(3, output)
            }
            _ => output.done(statement(None)),
        }
    }

    fn transaction(&mut self, request: &TransactionRequest, output: &mut dyn Output) -> Result<(), Stopped> {
        let change = match request {
            TransactionRequest::Begin { .. } => {
                self.transaction += 1;
                EnvChange::BeginTransaction(self.transaction)
            }
            TransactionRequest::Commit { .. } => EnvChange::CommitTransaction(self.transaction),
            TransactionRequest::Rollback { .. } => EnvChange::RollbackTransaction(self.transaction),
            TransactionRequest::Save { .. } => return output.done(statement(None)),
        };
        output.env(&change)?;
        output.done(statement(None))
    }
}

/// One column of every type the wire knows, with a value.
pub fn every_type() -> Vec<(Column, Datum)> {
    let long: Arc<str> = "Zoë 中 ".repeat(3000).into();
    let bytes: Arc<[u8]> = Arc::from((0..=255u8).collect::<Vec<_>>());
    let moment = DateTimeValue { days: 738_886, ticks: 450_001_234_567 };
    vec![
        (column("bit", SqlType::Bit, true), Datum::Bit(true)),
        (column("bit_nn", SqlType::Bit, false), Datum::Bit(false)),
        (column("tinyint", SqlType::TinyInt, true), Datum::TinyInt(255)),
        (column("smallint", SqlType::SmallInt, true), Datum::SmallInt(-32_768)),
        (column("int", SqlType::Int, true), Datum::Int(i32::MIN)),
        (column("int_nn", SqlType::Int, false), Datum::Int(42)),
        (column("bigint", SqlType::BigInt, true), Datum::BigInt(i64::MAX)),
        (column("bigint_nn", SqlType::BigInt, false), Datum::BigInt(-1)),
        (column("real", SqlType::Real, true), Datum::Real(1.5)),
        (column("float", SqlType::Float, true), Datum::Float(-2.25e-300)),
        (column("decimal9", SqlType::Decimal { precision: 9, scale: 2 }, true), decimal(-123_456_789, 9, 2)),
        (
            column("decimal38", SqlType::Decimal { precision: 38, scale: 10 }, true),
            decimal(10i128.pow(37) + 7, 38, 10),
        ),
        (column("money", SqlType::Money, true), Datum::Money(-12_345_678_901_234)),
        (column("money_nn", SqlType::Money, false), Datum::Money(10_000)),
        (column("smallmoney", SqlType::SmallMoney, true), Datum::SmallMoney(-12_345)),
        (column("char", SqlType::Char(5), true), Datum::VarChar("ab é ".into())),
        (column("varchar", SqlType::VarChar(Length::Of(50)), true), Datum::VarChar("Zoë €".into())),
        (
            column("varchar_max", SqlType::VarChar(Length::Max), true),
            Datum::VarChar("x".repeat(20_000).into()),
        ),
        (column("nchar", SqlType::NChar(4), true), Datum::NVarChar("中é  ".into())),
        (column("nvarchar", SqlType::NVarChar(Length::Of(50)), true), Datum::NVarChar("naïve 🦷".into())),
        (column("nvarchar_empty", SqlType::NVarChar(Length::Of(50)), true), Datum::NVarChar("".into())),
        (column("nvarchar_max", SqlType::NVarChar(Length::Max), true), Datum::NVarChar(long)),
        (column("max_empty", SqlType::NVarChar(Length::Max), true), Datum::NVarChar("".into())),
        (column("binary", SqlType::Binary(4), true), Datum::Binary(Arc::from([1, 2, 3, 0]))),
        (column("varbinary", SqlType::VarBinary(Length::Of(300)), true), Datum::Binary(bytes.clone())),
        (column("varbinary_max", SqlType::VarBinary(Length::Max), true), Datum::Binary(bytes)),
        (column("date", SqlType::Date, true), Datum::Date(738_886)),
        (column("time0", SqlType::Time(0), true), Datum::Time(450_000_000_000)),
        (column("time7", SqlType::Time(7), true), Datum::Time(450_001_234_567)),
        (
            column("datetime", SqlType::DateTime, true),
            Datum::DateTime(DateTimeValue { days: 45_290, ticks: 13_500_037 }),
        ),
        (
            column("smalldatetime", SqlType::SmallDateTime, true),
            Datum::SmallDateTime(DateTimeValue { days: 45_290, ticks: 750 }),
        ),
        (
            column("datetime2_3", SqlType::DateTime2(3), true),
            Datum::DateTime2(DateTimeValue { ticks: 450_001_230_000, ..moment }),
        ),
        (column("datetime2_7", SqlType::DateTime2(7), true), Datum::DateTime2(moment)),
        (
            column("datetimeoffset", SqlType::DateTimeOffset(7), true),
            Datum::DateTimeOffset(OffsetValue { utc: moment, offset: -330 }),
        ),
        (
            column("guid", SqlType::UniqueIdentifier, true),
            Datum::Guid(*b"\x6F\x96\x19\xFF\x8B\x86\xD0\x11\xB4\x2D\x00\xC0\x4F\xC9\x64\xFF"),
        ),
        (column("xml", SqlType::Xml, true), Datum::Xml("<a>é</a>".into())),
        (column("rowversion", SqlType::RowVersion, false), Datum::RowVersion(2001)),
    ]
}

fn decimal(unscaled: i128, precision: u8, scale: u8) -> Datum {
    Datum::Decimal(DecimalValue { unscaled, precision, scale })
}

pub fn column(name: &str, ty: SqlType, nullable: bool) -> Column {
    Column { name: name.into(), ty, nullable, identity: false, computed: false }
}

fn rows(count: i32, output: &mut dyn Output) -> Result<(), Stopped> {
    output.columns(&[
        column("n", SqlType::Int, false),
        column("text", SqlType::NVarChar(Length::Of(20)), true),
    ])?;
    for n in 0..count {
        output.row(&[Datum::Int(n), Datum::text(format!("row {n}"))])?;
    }
    output.done(statement(Some(count.unsigned_abs().into())))
}

/// Answers a call with its own parameters, past the statement and the declarations of `sp_executesql`.
fn echo(rpc: &Rpc, output: &mut dyn Output) -> Result<(), Stopped> {
    let skip = if rpc.procedure.eq_ignore_ascii_case("sp_executesql") { 2 } else { 0 };
    let params: Vec<_> = rpc.params.iter().skip(skip).collect();
    if !params.is_empty() {
        let columns: Vec<Column> = params.iter().map(|p| column(&p.name, p.ty, true)).collect();
        let values: Vec<Datum> = params.iter().map(|p| p.value.clone()).collect();
        output.columns(&columns)?;
        output.row(&values)?;
        output.done(Done { kind: DoneKind::InProcedure, ..statement(Some(1)) })?;
    }
    output.return_status(0)?;
    for (ordinal, param) in rpc.params.iter().enumerate().filter(|(_, param)| param.output) {
        output.return_value(u16::try_from(ordinal).unwrap(), param)?;
    }
    output.done(Done { kind: DoneKind::Procedure, ..statement(None) })
}

fn statement(count: Option<u64>) -> Done {
    Done { kind: DoneKind::Statement, count, error: false, command: 0xC1 }
}

fn message(number: u32, class: u8, text: &str, line: u32) -> SqlMessage {
    SqlMessage { number, state: 1, class, text: text.into(), line, procedure: String::new() }
}
