//! What lies in delivered batches, and what lies in the table, in one form.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tiberius::ColumnData;

use crate::sim::Sim;

/// One delivered version of a visit: branch and id, then the rest as text; nothing for a delete.
pub type Version = (String, i32, Option<Vec<String>>);

/// The versions in one sealed file; `None` when it is not whole.
pub fn try_versions_in(sealed: &[u8], identity: &age::x25519::Identity) -> Option<Vec<Version>> {
    rows(&open(sealed, identity)?)
}

/// The table as it stands, in the form of [`newest`].
#[expect(clippy::wildcard_enum_match_arm, reason = "the query gives four kinds; any other is a failed test")]
pub async fn source(sim: &Sim) -> BTreeMap<(String, i32), Vec<String>> {
    let sql = "SELECT Branch, VisitID, Note, Fee, CAST(Balance AS decimal(19,4)), ExternalID, RowVer FROM dbo.Visit";
    let rows = sim.batch(sql).await.remove(0);
    let text = |cell: &ColumnData<'static>| match cell {
        ColumnData::String(v) => v.as_ref().map(ToString::to_string),
        ColumnData::Numeric(v) => v.map(|number| number.value().to_string()),
        ColumnData::Guid(v) => v.map(|guid| guid.to_string().to_uppercase()),
        ColumnData::Binary(v) => v.as_ref().map(|bytes| hex(bytes)),
        other => panic!("{other:?}"),
    };
    rows.iter()
        .map(|row| {
            let cells: Vec<&ColumnData<'static>> = row.cells().map(|(_, cell)| cell).collect();
            let id = if let ColumnData::I32(Some(id)) = cells[1] { *id } else { panic!("{:?}", cells[1]) };
            let rest = cells[2..].iter().map(|cell| text(cell).unwrap_or_else(|| "NULL".into())).collect();
            ((text(cells[0]).unwrap(), id), rest)
        })
        .collect()
}

/// The clear content of a sealed file; `None` when it is not whole.
pub fn open(sealed: &[u8], identity: &age::x25519::Identity) -> Option<Vec<u8>> {
    let mut clear = Vec::new();
    let opened = age::Decryptor::new(sealed).ok()?;
    let mut reader = opened.decrypt(std::iter::once(identity as &dyn age::Identity)).ok()?;
    reader.read_to_end(&mut clear).ok()?;
    Some(clear)
}

fn rows(parquet: &[u8]) -> Option<Vec<Version>> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(parquet).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).ok()?.build().ok()?;
    let mut rows = Vec::new();
    for batch in reader {
        rows.extend(versions(&batch.ok()?));
    }
    Some(rows)
}

fn versions(batch: &RecordBatch) -> Vec<Version> {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let (ids, branches) =
        (column("VisitID").as_primitive::<Int32Type>(), column("Branch").as_string::<i32>());
    let (notes, guids) = (column("Note").as_string::<i32>(), column("ExternalID").as_string::<i32>());
    let fees = column("Fee").as_primitive::<Decimal128Type>();
    let balances = column("Balance").as_primitive::<Decimal128Type>();
    let versions = column("RowVer").as_fixed_size_binary();
    let operations = batch.column_by_name("_operation").map(|column| column.as_string::<i32>());
    let text = |valid: bool, text: String| if valid { text } else { "NULL".to_owned() };
    (0..batch.num_rows())
        .map(|at| {
            let rest = vec![
                text(notes.is_valid(at), notes.value(at).to_owned()),
                text(fees.is_valid(at), fees.value(at).to_string()),
                text(balances.is_valid(at), balances.value(at).to_string()),
                text(guids.is_valid(at), guids.value(at).to_owned()),
                hex(versions.value(at)),
            ];
            let deleted = operations.is_some_and(|operations| operations.value(at) == "delete");
            (branches.value(at).to_owned(), ids.value(at), (!deleted).then_some(rest))
        })
        .collect()
}

/// Bytes as SQL Server prints them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
