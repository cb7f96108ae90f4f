//! BACKUP DATABASE to NUL: reads every page of the database and keeps none.
//!
//! It lasts as long as its pages take, takes no lock, and says what it is in `sys.dm_exec_requests`. Files are never written
//! here, so every other device is refused.
//!
//! Facts: "BACKUP (Transact-SQL)": permission BACKUP DATABASE (db_owner, db_backupoperator), not within a transaction, not of
//! tempdb; 3013 follows whatever went wrong.

use std::ops::Bound;
use std::time::Instant;

use super::{Command, Runner};
use crate::engine::exec::Exec;
use crate::engine::message::{self, Result, SqlError};
use crate::engine::session::TEMPDB;
use crate::engine::spent::ROWS_PER_PAGE;
use crate::engine::storage::table::{PageEnd, Range, Read, Table};

impl Runner<'_> {
    pub(super) fn backup(&mut self, name: &str) -> Result<()> {
        self.session.activity(|a| a.command = "BACKUP DATABASE");
        let done = self.back_up(name);
        self.session.activity(|a| a.command = "SELECT");
        let Err(error) = done else { return Ok(()) };
        if error.number == 0 {
            return Err(error);
        }
        // A CATCH block gets the last error alone.
        if self.tries == 0 {
            self.report(&error);
        }
        Err(message::backup_terminated())
    }

    fn back_up(&mut self, name: &str) -> Result<()> {
        if self.session.tran_count() > 0 {
            return Err(message::backup_in_transaction());
        }
        let database = self.session.instance.database(name).ok_or_else(|| message::no_database(name))?;
        self.session.require_database(&database, "BACKUP DATABASE")?;
        self.session.require_access(&database)?;
        if database.id == TEMPDB {
            return Err(message::backup_of_tempdb());
        }
        let begun = Instant::now();
        let pages = self.in_statement(|_, exec| {
            let metadata = exec.metadata(&database);
            metadata.tables().try_fold(0, |pages, table| Ok::<_, SqlError>(pages + read_pages(exec, table)?))
        })?;
        let took = begun.elapsed();
        let rate = pages as f64 * PAGE_MB / took.as_secs_f64().max(0.001);
        let file = &database.name;
        let told = format!("Processed {pages} pages for database '{file}', file '{file}' on file 1.");
        self.info(&message::info(4035, 1, told));
        let told = format!(
            "BACKUP DATABASE successfully processed {pages} pages in {:.3} seconds ({rate:.3} MB/sec).",
            took.as_secs_f64()
        );
        self.info(&message::info(3014, 1, told));
        self.done(None, Command::Other);
        Ok(())
    }
}

/// Reads a table's pages from the disk, as they are; answers how many they were.
fn read_pages(exec: &Exec<'_>, table: &Table) -> Result<u64> {
    let range = Range { index: None, low: Bound::Unbounded, high: Bound::Unbounded, reverse: false };
    let (mut after, mut rows, mut pages) = (None, Vec::new(), 0);
    loop {
        exec.check_cancelled()?;
        rows.clear();
        let end = table.page(&range, &mut after, Read::Dirty, ROWS_PER_PAGE as usize, &mut rows);
        if !rows.is_empty() {
            exec.read_disk()?;
            pages += 1;
        }
        if end != PageEnd::More {
            return Ok(pages);
        }
    }
}

/// Of 8 KB.
const PAGE_MB: f64 = 8.0 / 1024.0;
