//! Sync tables of the store: declared jobs with their progress, and the index of the spool.
//!
//! A batch row and the progress it stands for are written in one transaction ([`record_batch`]); that is what makes
//! "nothing lost, nothing twice" hold across a crash. Progress holds key values of rows, so it is sealed.

/// The tables' steps, oldest first.
pub(super) const MIGRATIONS: &[&str] = &["
    CREATE TABLE sync_job (
        name      TEXT PRIMARY KEY,
        spec      TEXT NOT NULL,     -- versioned JSON of the declaration, without secrets
        password  BLOB,              -- sealed
        epoch     INTEGER NOT NULL,
        sequence  INTEGER NOT NULL,  -- of the next batch
        progress  BLOB NOT NULL,     -- sealed, versioned JSON
        delivered_rows    INTEGER NOT NULL DEFAULT 0,
        delivered_batches INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE sync_batch (
        id        INTEGER PRIMARY KEY AUTOINCREMENT,  -- delivery order
        job       TEXT NOT NULL,
        epoch     INTEGER NOT NULL,
        sequence  INTEGER NOT NULL,
        file      TEXT NOT NULL,
        bytes     INTEGER NOT NULL,
        rows      INTEGER NOT NULL,
        event     TEXT NOT NULL,     -- JSON of the batch event
        UNIQUE (job, epoch, sequence)
    ) STRICT;
"];
