//! What arrived at the master: opens the sealed Parquet batches of a job and reads their rows.
//!
//! Checks what the sink promises: sequences of an epoch have no gap and no repeat, and no version of a row
//! (key and rowversion) comes twice. The last version of a row is its state.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::source::{Rows, hex};

/// The batches of one job, opened as they come.
pub struct Received {
    folder: PathBuf,
    identity: age::x25519::Identity,
    opened: BTreeSet<PathBuf>,
    versions: BTreeSet<(i64, String)>,
    sequences: BTreeMap<u64, BTreeSet<u64>>,
    /// The last version of every row.
    pub rows: Rows,
    /// Row versions received.
    pub versions_read: u64,
    /// Row versions that had come before.
    pub repeats: u64,
    /// Bytes of the sealed files.
    pub bytes: u64,
}

impl Received {
    /// Watches the folder a job's batches land in.
    pub fn new(folder: PathBuf, identity: age::x25519::Identity) -> Self {
        Self {
            folder,
            identity,
            opened: BTreeSet::new(),
            versions: BTreeSet::new(),
            sequences: BTreeMap::new(),
            rows: Rows::new(),
            versions_read: 0,
            repeats: 0,
            bytes: 0,
        }
    }

    /// Opens what has landed whole since the last look, in order; `announced` holds the batches' digests.
    pub fn look(&mut self, announced: &BTreeSet<String>) -> Result<()> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Ok(()) };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| !self.opened.contains(file));
        files.sort();
        for file in files {
            let sealed = fs::read(&file)?;
            let digest = ring::digest::digest(&ring::digest::SHA256, &sealed);
            if announced.contains(&hex(digest.as_ref())) {
                self.open(&file, &sealed).with_context(|| format!("batch {}", file.display()))?;
                self.opened.insert(file);
            }
        }
        Ok(())
    }

    /// Batches opened.
    pub fn batches(&self) -> usize {
        self.opened.len()
    }

    /// How many epochs the batches are of.
    pub fn epochs(&self) -> usize {
        self.sequences.len()
    }

    /// Whether the sequences of every epoch are 1, 2, 3 … without a gap.
    pub fn is_gapless(&self) -> bool {
        self.sequences.values().all(|numbers| {
            let first = numbers.first().copied().unwrap_or(0);
            let last = numbers.last().copied().unwrap_or(0);
            first <= 1 && last - first + 1 == numbers.len() as u64
        })
    }

    fn open(&mut self, file: &Path, sealed: &[u8]) -> Result<()> {
        ensure!(sealed.starts_with(b"age-encryption.org/"), "the file is not sealed");
        self.bytes += sealed.len() as u64;
        self.note_sequence(file)?;
        let clear = Bytes::from(age::decrypt(&self.identity, sealed)?);
        for batch in ParquetRecordBatchReaderBuilder::try_new(clear)?.build()? {
            self.take(&batch?)?;
        }
        Ok(())
    }

    fn note_sequence(&mut self, file: &Path) -> Result<()> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.split('.').next().unwrap_or_default();
        let (epoch, sequence) = stem.split_once('-').context("the name is not <epoch>-<sequence>")?;
        let fresh = self.sequences.entry(epoch.parse()?).or_default().insert(sequence.parse()?);
        ensure!(fresh, "sequence {sequence} of epoch {epoch} came twice");
        Ok(())
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows() {
            let mut cells: Vec<String> =
                batch.columns().iter().map(|column| cell::canonical(column, row)).collect::<Result<_>>()?;
            ensure!(batch.schema().field(0).name() == "_operation", "the first column is not the operation");
            let operation = cells.remove(0);
            let key: i64 = cells[0].parse().context("the column after the operation is not the key")?;
            if operation == "delete" {
                self.rows.remove(&key);
                continue;
            }
            let version = cells.last().cloned().unwrap_or_default();
            self.versions_read += 1;
            if !self.versions.insert((key, version)) {
                self.repeats += 1;
            }
            self.rows.insert(key, cells);
        }
        Ok(())
    }
}

mod cell {
    //! A Parquet value as the canonical text that `source` makes of the SQL value.

    use anyhow::{Result, bail};
    use arrow_array::cast::AsArray;
    use arrow_array::types::{
        Date32Type, Decimal128Type, Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
        TimestampMillisecondType, TimestampNanosecondType, UInt8Type,
    };
    use arrow_array::{Array, ArrayRef};
    use arrow_schema::{DataType, TimeUnit};

    use crate::source::{NULL, decimal, hex};

    #[expect(clippy::wildcard_enum_match_arm, reason = "Arrow has types that no SQL Server column becomes")]
    pub fn canonical(column: &ArrayRef, row: usize) -> Result<String> {
        if column.is_null(row) {
            return Ok(NULL.to_owned());
        }
        Ok(match column.data_type() {
            DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).to_string(),
            DataType::Int16 => column.as_primitive::<Int16Type>().value(row).to_string(),
            DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
            DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
            DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
            DataType::Boolean => column.as_boolean().value(row).to_string(),
            DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
            DataType::Binary => hex(column.as_binary::<i32>().value(row)),
            DataType::FixedSizeBinary(_) => hex(column.as_fixed_size_binary().value(row)),
            DataType::Decimal128(_, scale) => {
                decimal(column.as_primitive::<Decimal128Type>().value(row), u8::try_from(*scale)?)
            }
            DataType::Date32 => {
                (i64::from(column.as_primitive::<Date32Type>().value(row)) + DAYS_TO_1970).to_string()
            }
            DataType::Timestamp(unit, _) => instant(column, *unit, row).to_string(),
            other => bail!("the demo reads no {other} column"),
        })
    }

    /// Whole milliseconds since 0001-01-01, rounded to the nearest.
    fn instant(column: &ArrayRef, unit: TimeUnit, row: usize) -> i64 {
        let since_1970 = match unit {
            TimeUnit::Second => 0,
            TimeUnit::Millisecond => column.as_primitive::<TimestampMillisecondType>().value(row),
            TimeUnit::Microsecond => {
                (column.as_primitive::<TimestampMicrosecondType>().value(row) + 500).div_euclid(1000)
            }
            TimeUnit::Nanosecond => {
                (column.as_primitive::<TimestampNanosecondType>().value(row) + 500_000).div_euclid(1_000_000)
            }
        };
        since_1970 + DAYS_TO_1970 * 86_400_000
    }

    /// Days from 0001-01-01 to 1970-01-01.
    const DAYS_TO_1970: i64 = 719_162;
}
