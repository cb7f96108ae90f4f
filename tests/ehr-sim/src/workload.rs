//! A front desk at work: books, moves, cancels and deletes appointments and mends patients over TDS, from several
//! connections at once, as the staff of a practice does all day.
//!
//! Every change is one transaction; now and then one is thought better of and rolled back. A deadlock victim tries
//! again, as the programs of a practice do. The same seed makes the same decisions; what they meet depends on timing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;
use thiserror::Error;
use tokio::task::JoinSet;

use crate::client::{ConnectError, ConnectOptions, Connection, connect};

/// Where the desks work and how much.
#[derive(Debug, Clone)]
pub struct WorkloadOptions {
    /// Where to log in; its database has the practice's tables.
    pub connect: ConnectOptions,
    /// Connections at work.
    pub desks: u32,
    /// Committed changes to make, over all desks.
    pub changes: u64,
    /// Rest after each change.
    pub pause: Duration,
    /// Seed of the decisions.
    pub seed: u64,
}

/// What was done.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct WorkDone {
    /// Appointments made.
    pub booked: u64,
    /// Appointments given another time or chair.
    pub moved: u64,
    /// Appointments marked cancelled.
    pub cancelled: u64,
    /// Appointments deleted.
    pub deleted: u64,
    /// Patients changed.
    pub patients_changed: u64,
    /// Transactions rolled back on purpose, beyond the committed ones.
    pub rolled_back: u64,
    /// Times a desk was chosen as a deadlock victim and tried again.
    pub deadlocks: u64,
}

impl WorkDone {
    /// Committed changes.
    pub fn changes(&self) -> u64 {
        self.booked + self.moved + self.cancelled + self.deleted + self.patients_changed
    }

    fn add(&mut self, other: &Self) {
        self.booked += other.booked;
        self.moved += other.moved;
        self.cancelled += other.cancelled;
        self.deleted += other.deleted;
        self.patients_changed += other.patients_changed;
        self.rolled_back += other.rolled_back;
        self.deadlocks += other.deadlocks;
    }
}

/// Why the desks stopped early.
#[derive(Debug, Error)]
pub enum WorkloadError {
    /// A desk cannot log in.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server refused a statement.
    #[error("the server refused the work of a desk")]
    Sql(#[from] tiberius::error::Error),
    /// There is nothing to work on.
    #[error("dbo.Patient in {0} has no rows to work on")]
    Empty(String),
}

/// Works until the changes are made.
pub async fn work(options: WorkloadOptions) -> Result<WorkDone, WorkloadError> {
    let left = Arc::new(AtomicU64::new(options.changes));
    let mut desks = JoinSet::new();
    for number in 0..options.desks.max(1) {
        desks.spawn(desk(options.clone(), u64::from(number), left.clone()));
    }
    let mut total = WorkDone::default();
    while let Some(done) = desks.join_next().await {
        match done {
            Ok(done) => total.add(&done?),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    Ok(total)
}

async fn desk(
    options: WorkloadOptions,
    number: u64,
    left: Arc<AtomicU64>,
) -> Result<WorkDone, WorkloadError> {
    let mut connection = connect(&options.connect, "Front desk").await?;
    let mut random = StdRng::seed_from_u64(options.seed ^ (number << 32));
    let patients = scalar(&mut connection, LAST_PATIENT).await?;
    let patients = patients.ok_or_else(|| WorkloadError::Empty(options.connect.database.clone()))?;
    let mut done = WorkDone::default();
    while take_one(&left) {
        let last = scalar(&mut connection, LAST_APPOINTMENT).await?.unwrap_or(0);
        let change = Change::decide(&mut random, patients, last);
        while !change.make(&mut connection, &mut done).await? {}
        if random.gen_ratio(1, 20) {
            change.think_better_of_it(&mut connection, &mut done).await?;
        }
        tokio::time::sleep(options.pause).await;
    }
    connection.close().await?;
    Ok(done)
}

fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

async fn scalar(connection: &mut Connection, statement: &str) -> Result<Option<i32>, WorkloadError> {
    let row = connection.simple_query(statement).await?.into_row().await?;
    Ok(row.and_then(|row| row.get(0)))
}

/// One change, decided before it is tried.
#[derive(Debug, Clone, Copy)]
enum Change {
    Book { patient: i32, chair: i32, minutes: i32 },
    Move { appointment: i32, chair: i32, minutes: i32 },
    Cancel { appointment: i32 },
    Delete { appointment: i32 },
    Patient { patient: i32, area: i32 },
}

impl Change {
    fn decide(random: &mut StdRng, patients: i32, appointments: i32) -> Self {
        let (chair, minutes) = (random.gen_range(1..=8), random.gen_range(0..50_000) * 15);
        let (patient, appointment) =
            (random.gen_range(1..=patients), random.gen_range(1..=appointments.max(1)));
        match random.gen_range(0..100) {
            _ if appointments == 0 => Self::Book { patient, chair, minutes },
            0..45 => Self::Book { patient, chair, minutes },
            45..70 => Self::Move { appointment, chair, minutes },
            70..88 => Self::Cancel { appointment },
            88..94 => Self::Delete { appointment },
            _ => Self::Patient { patient, area: random.gen_range(200..1000) },
        }
    }

    /// Makes the change in a transaction. `false`: a deadlock victim, try again.
    async fn make(&self, connection: &mut Connection, done: &mut WorkDone) -> Result<bool, WorkloadError> {
        match self.attempt(connection, "COMMIT TRANSACTION").await {
            Ok(0) => self.instead(connection, done).await,
            Ok(_) => {
                self.count(done);
                Ok(true)
            }
            Err(error) if error.code() == Some(DEADLOCK_VICTIM) => {
                done.deadlocks += 1;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The appointment is gone: a patient is changed, so that every decision commits exactly one change.
    async fn instead(&self, connection: &mut Connection, done: &mut WorkDone) -> Result<bool, WorkloadError> {
        let patient = match *self {
            Self::Book { patient, .. } | Self::Patient { patient, .. } => patient,
            Self::Move { .. } | Self::Cancel { .. } | Self::Delete { .. } => 1,
        };
        let change = Self::Patient { patient, area: 555 };
        match change.attempt(connection, "COMMIT TRANSACTION").await {
            Ok(_) => change.count(done),
            Err(error) if error.code() == Some(DEADLOCK_VICTIM) => {
                done.deadlocks += 1;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    async fn think_better_of_it(
        &self,
        connection: &mut Connection,
        done: &mut WorkDone,
    ) -> Result<(), WorkloadError> {
        match self.attempt(connection, "ROLLBACK TRANSACTION").await {
            Ok(_) => done.rolled_back += 1,
            Err(error) if error.code() == Some(DEADLOCK_VICTIM) => done.deadlocks += 1,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Rows changed, in a transaction that ends with `end`.
    async fn attempt(&self, connection: &mut Connection, end: &str) -> tiberius::Result<u64> {
        connection.simple_query("BEGIN TRANSACTION").await?.into_results().await?;
        let changed = match *self {
            Self::Book { patient, chair, minutes } => {
                connection.execute(BOOK, &[&patient, &(patient % 12 + 1), &chair, &minutes]).await?
            }
            Self::Move { appointment, chair, minutes } => {
                connection.execute(MOVE, &[&appointment, &chair, &minutes]).await?
            }
            Self::Cancel { appointment } => connection.execute(CANCEL, &[&appointment]).await?,
            Self::Delete { appointment } => connection.execute(DELETE, &[&appointment]).await?,
            Self::Patient { patient, area } => {
                connection.execute(PATIENT, &[&patient, &format!("({area}) 555-0100")]).await?
            }
        };
        connection.simple_query(end).await?.into_results().await?;
        Ok(changed.total())
    }

    fn count(&self, done: &mut WorkDone) {
        match self {
            Self::Book { .. } => done.booked += 1,
            Self::Move { .. } => done.moved += 1,
            Self::Cancel { .. } => done.cancelled += 1,
            Self::Delete { .. } => done.deleted += 1,
            Self::Patient { .. } => done.patients_changed += 1,
        }
    }
}

const DEADLOCK_VICTIM: u32 = 1205;
const LAST_PATIENT: &str = "SELECT TOP (1) PatientID FROM dbo.Patient ORDER BY PatientID DESC";
const LAST_APPOINTMENT: &str =
    "SELECT TOP (1) AppointmentID FROM dbo.Appointment ORDER BY AppointmentID DESC";
const BOOK: &str = "INSERT INTO dbo.Appointment (PatientID, ProviderID, ChairID, StartTime, LengthMinutes, Status, \
                    Reason, Fee, CreatedAt) VALUES (@P1, @P2, @P3, DATEADD(minute, @P4, '20250101'), 30, \
                    N'Scheduled', N'Consultation', 120.00, SYSUTCDATETIME())";
const MOVE: &str = "UPDATE dbo.Appointment SET ChairID = @P2, StartTime = DATEADD(minute, @P3, '20250101') \
                    WHERE AppointmentID = @P1";
const CANCEL: &str = "UPDATE dbo.Appointment SET Status = N'Cancelled' WHERE AppointmentID = @P1";
const DELETE: &str = "DELETE FROM dbo.Appointment WHERE AppointmentID = @P1";
const PATIENT: &str = "UPDATE dbo.Patient SET Phone = @P2, UpdatedAt = GETDATE() WHERE PatientID = @P1";
