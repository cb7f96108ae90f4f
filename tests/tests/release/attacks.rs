//! Repositories named for the attack. Each is made by `master-sim`'s own signing, then spoilt as a master could that was taken
//! over: it has every file it ever carried, and no key.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use agent::{
    channel::{LinkError, MasterLink},
    release::{
        repository::{self, RepositoryError, Target},
        source::Source,
    },
};
use futures_util::future::BoxFuture;
use master_sim::release::{Lifetimes, Offer, Repository};
use proto::{Map, Value};

/// A file server over a folder; a path in `endless` never ends.
struct Courier {
    root: PathBuf,
    endless: Mutex<Option<String>>,
}

impl MasterLink for Courier {
    fn request<'a>(&'a self, _cmd: &'a str, _load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(std::future::ready(Err(LinkError::Local)))
    }

    fn request_raw<'a>(&'a self, cmd: &'a str, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        assert_eq!(cmd, "_serve_file");
        let path = load.get("path").and_then(Value::as_str).unwrap().to_owned();
        let at = usize::try_from(load.get("loc").and_then(Value::as_i64).unwrap()).unwrap();
        let endless = self.endless.lock().unwrap().as_ref() == Some(&path);
        let reply: Map = match fs::read(self.root.join(&path)) {
            Ok(_) if endless => {
                [("data", vec![b' '; 64 << 10]), ("dest", path.into_bytes())].into_iter().collect()
            }
            Ok(content) => {
                let data = content[at.min(content.len())..(at + 1000).min(content.len())].to_vec();
                [("data", data), ("dest", path.into_bytes())].into_iter().collect()
            }
            Err(_) => [("data", Vec::<u8>::new()), ("dest", Vec::new())].into_iter().collect(),
        };
        Box::pin(std::future::ready(Ok(reply.into())))
    }

    fn pillar<'a>(&'a self, _load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        Box::pin(std::future::ready(Err(LinkError::Local)))
    }

    fn fire_event<'a>(&'a self, _tag: &'a str, _data: Value) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(std::future::ready(Err(LinkError::Local)))
    }

    fn return_job<'a>(&'a self, _ret: Map) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(std::future::ready(Err(LinkError::Local)))
    }
}

/// A repository with version 1.0.0, an agent that trusts its root, and the master between them.
struct Scene {
    folder: tempfile::TempDir,
    repository: Repository,
    courier: Arc<Courier>,
}

const LIFETIMES: Lifetimes = Lifetimes { root: 30, targets: 30, timestamp: 30 };

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository_in(folder.path(), "keys", LIFETIMES);
        let root = repository.create(3, 2).await.unwrap();
        fs::copy(root, folder.path().join("anchor.json")).unwrap();
        let courier = Arc::new(Courier { root: folder.path().join("served"), endless: Mutex::default() });
        let scene = Self { folder, repository, courier };
        scene.add("1.0.0").await;
        scene
    }

    async fn add(&self, version: &str) {
        let program = self.folder.path().join("program");
        fs::write(&program, format!("program {version}")).unwrap();
        let offer = Offer {
            version: version.into(),
            platform: "p".into(),
            minimum: None,
            channels: [("stable".to_owned(), 100)].into(),
            withdrawn: false,
        };
        self.repository.add(&offer, &program).await.unwrap();
    }

    async fn read(&self) -> Result<Vec<Target>, RepositoryError> {
        let (anchor, seen) = (self.folder.path().join("anchor.json"), self.folder.path().join("seen"));
        repository::targets(&Source::Master(Arc::clone(&self.courier) as _), &anchor, &seen).await
    }

    /// What a read is refused with.
    async fn refusal(&self) -> String {
        let error = self.read().await.unwrap_err().to_string();
        assert!(error.starts_with("the release metadata of the master is refused"), "{error}");
        error
    }

    fn metadata(&self, name: &str) -> PathBuf {
        self.folder.path().join("served/release/metadata").join(name)
    }

    /// Keeps the metadata of this moment, to be served later.
    fn keep(&self) -> Vec<(PathBuf, Vec<u8>)> {
        ["targets.json", "snapshot.json", "timestamp.json"]
            .map(|name| (self.metadata(name), fs::read(self.metadata(name)).unwrap()))
            .to_vec()
    }
}

fn repository_in(folder: &Path, keys: &str, lifetimes: Lifetimes) -> Repository {
    Repository { folder: folder.join("served/release"), keys: folder.join(keys), lifetimes }
}

#[tokio::test]
async fn an_honest_master_is_believed_over_changes_and_new_keys() {
    let scene = Scene::new().await;
    let targets = scene.read().await.unwrap();
    assert_eq!(targets.len(), 1);
    assert_eq!((targets[0].agent.path.as_str(), targets[0].agent.length), ("1.0.0/p/agent", 13));
    scene.add("1.1.0").await;
    scene.repository.amend("1.0.0", |offer| offer.withdrawn = true).await.unwrap();
    let targets = scene.read().await.unwrap();
    assert!(targets.iter().any(|target| target.offer.withdrawn) && targets.len() == 2);
    for role in ["timestamp", "snapshot", "targets", "root"] {
        scene.repository.rotate(role).await.unwrap();
        assert_eq!(scene.read().await.unwrap().len(), 2, "after new keys of {role}");
    }
    scene.add("1.2.0").await;
    assert_eq!(scene.read().await.unwrap().len(), 3);
}

#[tokio::test]
async fn without_an_anchor_nothing_is_believed() {
    let scene = Scene::new().await;
    fs::remove_file(scene.folder.path().join("anchor.json")).unwrap();
    assert!(matches!(scene.read().await, Err(RepositoryError::NoAnchor { .. })));
}

#[tokio::test]
async fn expired_metadata_is_refused() {
    let scene = Scene::new().await;
    let expired = repository_in(scene.folder.path(), "keys", Lifetimes { timestamp: 0, ..LIFETIMES });
    expired.refresh().await.unwrap();
    let refusal = scene.refusal().await;
    assert!(refusal.to_lowercase().contains("expired"), "{refusal}");
}

#[tokio::test]
async fn rolled_back_metadata_is_refused() {
    let scene = Scene::new().await;
    let old = scene.keep();
    scene.add("1.1.0").await;
    scene.read().await.unwrap();
    for (path, content) in old {
        fs::write(path, content).unwrap();
    }
    let refusal = scene.refusal().await;
    assert!(refusal.contains("version") && refusal.contains("timestamp"), "{refusal}");
}

#[tokio::test]
async fn mixed_metadata_is_refused() {
    let scene = Scene::new().await;
    let old = scene.keep();
    scene.add("1.1.0").await;
    fs::write(&old[0].0, &old[0].1).unwrap();
    scene.refusal().await;
}

#[tokio::test]
async fn truncated_metadata_is_refused() {
    let scene = Scene::new().await;
    let whole = fs::read(scene.metadata("targets.json")).unwrap();
    fs::write(scene.metadata("targets.json"), &whole[..whole.len() / 2]).unwrap();
    scene.refusal().await;
}

#[tokio::test]
async fn endless_metadata_is_refused() {
    let scene = Scene::new().await;
    *scene.courier.endless.lock().unwrap() = Some("release/metadata/timestamp.json".into());
    scene.refusal().await;
}

#[tokio::test]
async fn wrongly_signed_metadata_is_refused() {
    let scene = Scene::new().await;
    let other = tempfile::tempdir().unwrap();
    let forger = repository_in(other.path(), "keys", LIFETIMES);
    forger.create(1, 1).await.unwrap();
    for _ in 0..3 {
        forger.refresh().await.unwrap();
    }
    for name in ["targets.json", "snapshot.json", "timestamp.json"] {
        fs::copy(forger.folder.join("metadata").join(name), scene.metadata(name)).unwrap();
    }
    scene.refusal().await;
    fs::copy(forger.folder.join("metadata/1.root.json"), scene.metadata("2.root.json")).unwrap();
    scene.refusal().await;
}

#[tokio::test]
async fn a_changed_target_list_is_refused() {
    let scene = Scene::new().await;
    let text = fs::read_to_string(scene.metadata("targets.json")).unwrap();
    assert!(text.contains("\"stable\": 100"));
    fs::write(scene.metadata("targets.json"), text.replace("\"stable\": 100", "\"stable\": 101")).unwrap();
    scene.refusal().await;
}
