//! One batch file: rows in, sealed and synced Parquet out.
//!
//! Everything streams: Parquet (zstd) into age into a digest into the file, so no clear byte reaches the disk and memory
//! holds one row group, encoded and compressed. The file has a temporary name until it is whole and synced; then it is renamed and its folder
//! synced. Runs on a blocking thread, fed through a bounded channel; a channel that closes without [`Feed::End`] means
//! the reader gave up, and the file is removed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterPropertiesPtr,
};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, TypePtr};
use ring::digest::{Context, SHA256};
use rows::columns::Chunk;
use rows::row_group::RowGroup;
use tokio::sync::mpsc::Receiver;

use super::SyncError;
use super::faults::{Faults, Step};
use super::spec::Seal;

/// What goes to the writing thread.
#[derive(Debug)]
pub enum Feed {
    /// More rows.
    Rows(Chunk),
    /// The batch is complete; the footer tells this as well.
    End(Option<(String, String)>),
}

/// A batch file to be written.
#[derive(Debug)]
pub struct BatchFile {
    /// Its final name.
    pub path: PathBuf,
    /// Its columns.
    pub schema: TypePtr,
    /// For whom it is sealed.
    pub seal: Seal,
    /// What the Parquet footer says about it.
    pub footer: Vec<(String, String)>,
    /// The test hook.
    pub faults: Faults,
}

/// A batch file that is whole and synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the file as it lies there, in hex.
    pub sha256: String,
    /// Rows in it.
    pub rows: u64,
}

impl BatchFile {
    /// Writes what comes through `feed` until [`Feed::End`].
    ///
    /// # Errors
    /// The disk, Parquet or sealing failed, or the reader gave up ([`SyncError::Stopped`]); no file is left under the final name
    /// unless it is whole.
    pub fn write(self, feed: Receiver<Feed>) -> Result<WrittenFile, SyncError> {
        let part = part_path(&self.path);
        let written = self.write_part(&part, feed);
        if written.is_err() && !matches!(written, Err(SyncError::Fault { .. })) {
            drop(std::fs::remove_file(&part));
        }
        let written = written?;
        std::fs::rename(&part, &self.path).map_err(|source| failed(&self.path, "renamed", source))?;
        sync_folder(&self.path)?;
        self.faults.pass(Step::Renamed)?;
        Ok(written)
    }

    fn write_part(&self, part: &Path, mut feed: Receiver<Feed>) -> Result<WrittenFile, SyncError> {
        let file = create(part).map_err(|source| failed(part, "written", source))?;
        let digesting = Digesting {
            inner: BufWriter::with_capacity(FILE_BUFFER, file),
            digest: Context::new(&SHA256),
            bytes: 0,
        };
        let mut rows = 0;
        let sealing = Sealing::new(digesting, &self.seal)?;
        let properties = self.properties().build();
        let mut writer = SerializedFileWriter::new(sealing, Arc::clone(&self.schema), Arc::new(properties))?;
        let mut group = None;
        loop {
            match feed.blocking_recv() {
                Some(Feed::Rows(chunk)) => {
                    rows += chunk.rows as u64;
                    let columns = writer.schema_descr();
                    group
                        .get_or_insert_with(|| RowGroup::new(columns, &self.properties_for(&chunk)))
                        .write(chunk)?;
                }
                Some(Feed::End(more)) => {
                    if let Some((key, value)) = more {
                        writer.append_key_value_metadata(KeyValue::new(key, value));
                    }
                    break;
                }
                None => return Err(SyncError::Stopped),
            }
        }
        if let Some(group) = group
            && rows > 0
        {
            group.append_to(&mut writer)?;
        }
        let done = writer.into_inner()?.finish().map_err(|source| failed(part, "written", source))?;
        let Digesting { inner, digest, bytes } = done;
        let file = inner.into_inner().map_err(|error| failed(part, "written", error.into_error()))?;
        file.sync_all().map_err(|source| failed(part, "synced", source))?;
        self.faults.pass(Step::Written)?;
        Ok(WrittenFile { bytes, sha256: hex(digest.finish().as_ref()), rows })
    }

    fn properties(&self) -> WriterPropertiesBuilder {
        let footer =
            self.footer.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
        WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_key_value_metadata(Some(footer))
            .set_created_by(concat!("NexHealth agent ", env!("CARGO_PKG_VERSION")).to_owned())
    }

    /// A dictionary of values that hardly come twice is looked up for nothing: the first rows tell which columns have such.
    fn properties_for(&self, first: &Chunk) -> WriterPropertiesPtr {
        let columns = self.schema.get_fields().iter().zip(&first.columns);
        let diverse =
            columns.filter(|(_, column)| column.values.are_diverse()).map(|(field, _)| field.name());
        let properties = diverse.fold(self.properties(), |properties, column| {
            properties.set_column_dictionary_enabled(ColumnPath::from(column), false)
        });
        Arc::new(properties.build())
    }
}

/// Checks that every recipient is an age public key.
///
/// # Errors
/// [`SyncError::Recipient`] names the first that is not; [`SyncError::NoRecipients`] for an empty list.
pub fn parse_recipients(texts: &[String]) -> Result<Vec<age::x25519::Recipient>, SyncError> {
    if texts.is_empty() {
        return Err(SyncError::NoRecipients);
    }
    texts
        .iter()
        .map(|text| {
            age::x25519::Recipient::from_str(text.trim())
                .map_err(|_| SyncError::Recipient { given: text.clone() })
        })
        .collect()
}

/// Sealed or plain, behind one `Write`.
enum Sealing<W: Write> {
    Sealed(age::stream::StreamWriter<W>),
    Plain(W),
}

impl<W: Write> Sealing<W> {
    fn new(inner: W, seal: &Seal) -> Result<Self, SyncError> {
        let texts = match seal {
            Seal::Plain => return Ok(Self::Plain(inner)),
            Seal::Recipients(texts) => texts,
        };
        let recipients = parse_recipients(texts)?;
        let encryptor =
            age::Encryptor::with_recipients(recipients.iter().map(|key| key as &dyn age::Recipient))
                .map_err(|_| SyncError::NoRecipients)?;
        let sealed =
            encryptor.wrap_output(inner).map_err(|source| failed(Path::new("batch"), "sealed", source))?;
        Ok(Self::Sealed(sealed))
    }

    fn finish(self) -> std::io::Result<W> {
        match self {
            Self::Sealed(writer) => writer.finish(),
            Self::Plain(inner) => Ok(inner),
        }
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Sealed(writer) => writer.write(bytes),
            Self::Plain(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Sealed(writer) => writer.flush(),
            Self::Plain(writer) => writer.flush(),
        }
    }
}

/// Counts and digests what passes through.
struct Digesting<W: Write> {
    inner: W,
    digest: Context,
    bytes: u64,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// A name of its own for every attempt: an abandoned writer never touches a later one's file.
fn part_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.part", uuid::Uuid::new_v4().simple()));
    name.into()
}

fn create(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> Result<(), SyncError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| failed(folder, "synced", source))
}

/// NTFS journals the rename; a folder cannot be synced there.
#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> Result<(), SyncError> {
    Ok(())
}

fn failed(path: &Path, doing: &'static str, source: std::io::Error) -> SyncError {
    SyncError::File { path: path.into(), doing, source }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const FILE_BUFFER: usize = 64 * 1024;

#[cfg(test)]
mod kinds;
#[cfg(test)]
mod tests;
