//! A folder as a sink: a disk of the practice, or a mounted share.
//!
//! A batch is written under a temporary name, synced, renamed and its folder synced, so that a reader never sees half of one.
//! Beside it lies its event as `<file>.json`, written first: a batch that is there has its facts. A batch that is there
//! already with the same digest is left alone; one with another digest is never overwritten. A sequence whose predecessor is
//! not there is refused, unless the epoch begins with it or a consumer has taken the earlier ones away and says so in
//! `<epoch>.taken`, which holds the last sequence it took.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use ring::digest::{Context, SHA256};

use crate::store::sync::BatchRow;
use crate::sync::batch::hex;
use crate::sync::faults::{Faults, Step};
use crate::sync::pass::unix_now;
use crate::tasks::Tasks;

use super::{Replaced, Sink, SinkError, Told};

/// Delivers into a folder.
pub struct FolderSink {
    folder: PathBuf,
    tasks: Tasks,
}

impl FolderSink {
    /// A sink that makes `folder` when it is not there.
    pub fn new(folder: impl Into<PathBuf>, tasks: Tasks) -> Self {
        Self { folder: folder.into(), tasks }
    }
}

impl Sink for FolderSink {
    fn deliver<'a>(
        &'a self,
        batch: &'a BatchRow,
        file: &'a Path,
        faults: &'a Faults,
    ) -> BoxFuture<'a, Result<Told, SinkError>> {
        Box::pin(async move {
            let (folder, batch, file) = (self.folder.join(&batch.folder), batch.clone(), file.to_owned());
            let place = folder.join(&batch.file).to_string_lossy().into_owned();
            let put = self.tasks.blocking(move || put(&folder, &batch, &file)).await;
            put.map_err(|_| SinkError::Stopped)??;
            faults.pass(Step::FileSent)?;
            faults.pass(Step::EventSent)?;
            Ok(Told::Nobody(place))
        })
    }

    fn prune<'a>(&'a self, replaced: &'a Replaced) -> BoxFuture<'a, Result<usize, SinkError>> {
        Box::pin(async move {
            let (folder, replaced) = (self.folder.join(&replaced.folder), replaced.clone());
            let pruned = self.tasks.blocking(move || prune(&folder, &replaced)).await;
            pruned.map_err(|_| SinkError::Stopped)?
        })
    }
}

fn prune(folder: &Path, replaced: &Replaced) -> Result<usize, SinkError> {
    let failed = |path: &Path, source| SinkError::Folder { path: path.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(source) => return Err(failed(folder, source)),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<Result<_, _>>().map_err(|source| failed(folder, source))?;
    let there: Vec<&str> = names.iter().map(String::as_str).collect();
    let gone = replaced.outlived(&there, unix_now());
    for name in &gone {
        let path = folder.join(name);
        std::fs::remove_file(&path).map_err(|source| failed(&path, source))?;
    }
    Ok(gone.len())
}

fn put(folder: &Path, batch: &BatchRow, file: &Path) -> Result<(), SinkError> {
    let failed = |path: &Path, source| SinkError::Folder { path: path.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    let (wanted, last) = (folder.join(&batch.file), predecessor(batch));
    let event: serde_json::Value = serde_json::from_str(&batch.event)?;
    let sha256 = event["sha256"].as_str().unwrap_or_default();
    if wanted.exists() {
        let there = digest(&wanted).map_err(|source| failed(&wanted, source))?;
        return if there == sha256 { Ok(()) } else { Err(SinkError::Differs { path: wanted }) };
    }
    if let Some(last) = last
        && !folder.join(&last).exists()
        && taken(folder, batch.epoch) + 1 < batch.sequence
    {
        return Err(SinkError::Gap { path: folder.join(last) });
    }
    let mut facts = wanted.clone().into_os_string();
    facts.push(".json");
    write_whole(Path::new(&facts), batch.event.as_bytes()).map_err(|source| failed(&wanted, source))?;
    let content = std::fs::read(file).map_err(|source| SinkError::Read { path: file.to_owned(), source })?;
    let mut context = Context::new(&SHA256);
    context.update(&content);
    if hex(context.finish().as_ref()) != sha256 {
        return Err(SinkError::Changed { path: file.to_owned() });
    }
    write_whole(&wanted, &content).map_err(|source| failed(&wanted, source))
}

/// The file before this one in its epoch.
pub(super) fn predecessor(batch: &BatchRow) -> Option<String> {
    let number = |sequence: u64| format!("{}-{sequence:010}.", batch.epoch);
    (batch.sequence > 1).then(|| batch.file.replacen(&number(batch.sequence), &number(batch.sequence - 1), 1))
}

/// The last sequence that a consumer says it took; 0 when it says nothing.
fn taken(folder: &Path, epoch: u64) -> u64 {
    let text = std::fs::read_to_string(folder.join(format!("{epoch}.taken")));
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn write_whole(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut part = path.to_owned().into_os_string();
    part.push(".part");
    let mut file = File::create(&part)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// NTFS journals the rename; a folder cannot be synced there.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

fn digest(path: &Path) -> std::io::Result<String> {
    let (mut file, mut context, mut chunk) = (File::open(path)?, Context::new(&SHA256), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(context.finish().as_ref())),
            length => context.update(&chunk[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(sequence: u64, content: &[u8]) -> BatchRow {
        let mut context = Context::new(&SHA256);
        context.update(content);
        let sha256 = hex(context.finish().as_ref());
        BatchRow {
            id: 1,
            job: "j".into(),
            epoch: 7,
            sequence,
            folder: "j".into(),
            sink: None,
            file: format!("7-{sequence:010}.parquet.age"),
            bytes: content.len() as u64,
            rows: 1,
            event: serde_json::json!({ "sha256": sha256 }).to_string(),
        }
    }

    struct Scene {
        folder: tempfile::TempDir,
        sink: FolderSink,
    }

    impl Scene {
        fn set() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let sink = FolderSink::new(folder.path().join("sink"), Tasks::new());
            Self { folder, sink }
        }

        async fn deliver(&self, batch: &BatchRow, content: &[u8]) -> Result<(), String> {
            let file = self.folder.path().join("spooled");
            std::fs::write(&file, content).unwrap();
            let delivered = self.sink.deliver(batch, &file, &Faults::default()).await;
            delivered.map(drop).map_err(|error| error.to_string())
        }

        fn names(&self) -> Vec<String> {
            let entries = std::fs::read_dir(self.folder.path().join("sink/j")).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[tokio::test]
    async fn a_batch_lies_there_once_with_its_facts() {
        let scene = Scene::set();
        for _ in 0..2 {
            scene.deliver(&batch(1, b"one"), b"one").await.unwrap();
        }
        assert_eq!(scene.names(), ["7-0000000001.parquet.age", "7-0000000001.parquet.age.json"]);
    }

    #[tokio::test]
    async fn gaps_changed_files_and_other_contents_are_refused() {
        let scene = Scene::set();
        scene.deliver(&batch(1, b"one"), b"one").await.unwrap();
        let gap = scene.deliver(&batch(3, b"three"), b"three").await.unwrap_err();
        assert!(gap.contains("7-0000000002.parquet.age is not there"), "{gap}");
        let changed = scene.deliver(&batch(2, b"two"), b"2wo").await.unwrap_err();
        assert!(changed.contains("was changed since it was written"), "{changed}");
        let other = scene.deliver(&batch(1, b"another"), b"another").await.unwrap_err();
        assert!(other.contains("holds something else"), "{other}");
    }

    #[tokio::test]
    async fn replaced_epochs_go_and_the_rest_stays() {
        let scene = Scene::set();
        scene.deliver(&batch(1, b"one"), b"one").await.unwrap();
        let next = BatchRow { epoch: 9, file: "9-0000000001.parquet.age".into(), ..batch(1, b"one") };
        scene.deliver(&next, b"one").await.unwrap();
        std::fs::write(scene.folder.path().join("sink/j/theirs.txt"), "x").unwrap();
        let retention = crate::sync::spec::Retention { epochs: Some(0), days: None };
        let replaced = |whole| Replaced { sink: None, folder: "j".into(), whole, retention };
        assert_eq!(scene.sink.prune(&replaced(7)).await.unwrap(), 0, "9 is not whole yet");
        assert_eq!(scene.sink.prune(&replaced(9)).await.unwrap(), 2);
        assert_eq!(
            scene.names(),
            ["9-0000000001.parquet.age", "9-0000000001.parquet.age.json", "theirs.txt"]
        );
    }

    #[tokio::test]
    async fn a_consumer_that_took_batches_away_says_so() {
        let scene = Scene::set();
        scene.deliver(&batch(1, b"one"), b"one").await.unwrap();
        std::fs::remove_file(scene.folder.path().join("sink/j/7-0000000001.parquet.age")).unwrap();
        assert!(scene.deliver(&batch(2, b"two"), b"two").await.is_err());
        std::fs::write(scene.folder.path().join("sink/j/7.taken"), "1").unwrap();
        scene.deliver(&batch(2, b"two"), b"two").await.unwrap();
    }
}
