//! `ehr-sim fault`: asks a served simulator for a fault, as a sysadmin.
//!
//! KILL and ALTER TABLE are SQL Server's own statements and go as such; the rest goes through `sys.xp_ehrsim_fault`.

use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::connect::Connect;
use crate::client::{ConnectOptions, connect};
use crate::engine::Fault;

#[derive(Debug, Args)]
pub struct FaultCommand {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    fault: Named,
}

#[derive(Debug, Subcommand)]
enum Named {
    /// Make every page read and every commit take longer; 0 ends it.
    SlowDisk { milliseconds: u64 },
    /// Let writes to --database fail with 9002.
    FillLog,
    /// Let writes to --database succeed again.
    FreeLog,
    /// Hold an exclusive lock on a table of --database, named as schema.table, until it is released or killed.
    HoldLock { table: String },
    /// Release every lock held on command.
    ReleaseLocks,
    /// Let Change Tracking of --database forget every change so far, as when they are past retention.
    CleanTracking,
    /// Let a login's password have expired, until it gets another.
    ExpirePassword { login: String },
    /// Lock a login out, until it is unlocked.
    LockLogin { login: String },
    /// End a session.
    Kill { session_id: u16 },
    /// Add a column to a table of --database, named as schema.table, as an upgrade of the EHR would.
    ChangeSchema {
        table: String,
        #[arg(long, default_value = "AddedByUpgrade")]
        column: String,
    },
    /// Break every connection, roll back what is open, and refuse clients for a while.
    Restart {
        #[arg(long, default_value_t = 2000)]
        down_ms: u64,
    },
}

impl Named {
    fn statement(self, database: &str) -> String {
        let fault = match self {
            Self::Kill { session_id } => return format!("KILL {session_id}"),
            Self::ChangeSchema { table, column } => {
                return format!("ALTER TABLE {table} ADD [{}] int NULL", column.replace(']', "]]"));
            }
            Self::SlowDisk { milliseconds } => Fault::SlowDisk(Duration::from_millis(milliseconds)),
            Self::FillLog => Fault::FillLog(database.to_owned()),
            Self::FreeLog => Fault::FreeLog(database.to_owned()),
            Self::HoldLock { table } => Fault::HoldLock(format!("[{}].{table}", database.replace(']', "]]"))),
            Self::ReleaseLocks => Fault::ReleaseLocks,
            Self::CleanTracking => Fault::CleanTracking(database.to_owned()),
            Self::ExpirePassword { login } => Fault::ExpirePassword(login),
            Self::LockLogin { login } => Fault::LockLogin(login),
            Self::Restart { down_ms } => Fault::Restart(Duration::from_millis(down_ms)),
        };
        fault.statement()
    }
}

impl FaultCommand {
    /// Brings the fault about.
    pub async fn run(self) -> anyhow::Result<()> {
        let options: ConnectOptions = self.connect.options()?;
        let restarts = matches!(self.fault, Named::Restart { .. });
        let statement = self.fault.statement(&options.database);
        let mut connection = connect(&options, "ehr-sim fault").await?;
        let done = async { connection.simple_query(statement).await?.into_results().await };
        match done.await {
            // A server that goes down takes this connection with it.
            Err(error) if restarts && error.code().is_none() => Ok(()),
            done => done.map(drop).context("the server refused the fault"),
        }
    }
}
