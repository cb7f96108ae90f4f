//! Batch files read back: sealed for the recipients, whole or absent.

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::io::Read;

use tiberius::ColumnData;

use super::*;
use crate::mssql::Cell;
use rows::columns::RowBuffer;
use rows::kind::{CellKind, schema};

const CANARY: &str = "Miller-4711";

const KINDS: [(&str, CellKind); 2] = [("id", CellKind::Int), ("name", CellKind::Text)];

fn rows() -> Chunk {
    let mut buffer =
        RowBuffer::new(KINDS.map(|(name, _)| name.to_owned()).to_vec(), KINDS.map(|(_, kind)| kind).to_vec());
    for id in 0..1000 {
        let cells = [ColumnData::I32(Some(id)), ColumnData::String(Some(CANARY.into()))];
        buffer.push(&cells.iter().map(|cell| Some(Cell::from(cell))).collect::<Vec<_>>()).unwrap();
    }
    buffer.take()
}

fn file(path: &Path, seal: Seal) -> BatchFile {
    let footer = vec![("job".to_owned(), "j".to_owned())];
    let (path, schema) = (path.into(), schema(KINDS.into_iter()).unwrap());
    BatchFile { path, schema, seal, footer, faults: Faults::default() }
}

fn feed(items: Vec<Feed>) -> Receiver<Feed> {
    let (sender, receiver) = tokio::sync::mpsc::channel(items.len().max(1));
    for item in items {
        sender.try_send(item).unwrap();
    }
    receiver
}

fn row_count(parquet: &[u8]) -> usize {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(parquet).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.map(|batch| batch.unwrap().num_rows()).sum()
}

#[test]
fn a_sealed_batch_opens_for_its_recipient_and_shows_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job/1.parquet.age");
    let identity = age::x25519::Identity::generate();
    let seal = Seal::Recipients(vec![identity.to_public().to_string()]);
    let written =
        file(&path, seal).write(feed(vec![Feed::Rows(rows()), Feed::Rows(rows()), Feed::End(None)])).unwrap();
    let sealed = std::fs::read(&path).unwrap();
    assert_eq!((written.bytes, written.rows), (sealed.len() as u64, 2000));
    assert_eq!(written.sha256, hex(ring::digest::digest(&SHA256, &sealed).as_ref()));
    assert!(!sealed.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    let mut clear = Vec::new();
    let opened = age::Decryptor::new(&sealed[..]).unwrap();
    opened
        .decrypt(std::iter::once(&identity as &dyn age::Identity))
        .unwrap()
        .read_to_end(&mut clear)
        .unwrap();
    assert_eq!(row_count(&clear), 2000);
}

#[test]
fn a_plain_batch_is_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.parquet");
    file(&path, Seal::Plain).write(feed(vec![Feed::Rows(rows()), Feed::End(None)])).unwrap();
    assert_eq!(row_count(&std::fs::read(&path).unwrap()), 1000);
}

#[test]
fn only_a_column_whose_values_repeat_has_a_dictionary() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.parquet");
    file(&path, Seal::Plain).write(feed(vec![Feed::Rows(rows()), Feed::End(None)])).unwrap();
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let group = reader.metadata().row_group(0);
    let has = |column: usize| group.column(column).dictionary_page_offset().is_some();
    assert_eq!((has(0), has(1)), (false, true));
}

#[test]
fn a_reader_that_gives_up_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = file(&folder.path().join("1.parquet"), Seal::Plain).write(feed(vec![Feed::Rows(rows())]));
    assert!(matches!(outcome, Err(SyncError::Stopped)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_recipient_that_is_no_age_key_is_named() {
    let error = parse_recipients(&["ssh-rsa AAAA".to_owned()]).unwrap_err();
    assert!(error.to_string().contains("ssh-rsa AAAA"));
    assert!(matches!(parse_recipients(&[]), Err(SyncError::NoRecipients)));
}
