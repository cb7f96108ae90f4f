//! The agent's side of the conversation with its supervisor.
//!
//! A supervised agent says `alive` every few seconds from the runtime that does its work, so a runtime that hangs is heard
//! as silence. The end of its input means that the supervisor is gone: the agent stops, because the next supervisor will
//! start another one on the same store. See `supervise` for the lines.

use std::{
    fs::{File, TryLockError},
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use semver::Version;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::layout::Layout;
use crate::{store::StoreError, tasks};

/// Waits until no other supervised agent works on this data: one whose supervisor was killed may still be draining. Held
/// until the file is dropped; nothing when no supervisor started this process.
///
/// # Errors
/// The lock file cannot be used.
pub async fn alone(data_dir: &Path) -> io::Result<Option<File>> {
    if std::env::var_os("AGENT_SUPERVISED").is_none() {
        return Ok(None);
    }
    std::fs::create_dir_all(data_dir)?;
    let path = data_dir.join("agent.lock");
    let file = File::options().create(true).write(true).truncate(false).open(path)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Tells the supervisor why this process is about to end, so that a failed trial is reported with it.
pub fn tell_why(error: &StoreError) {
    if let Some(supervised) = Supervised::of_environment() {
        supervised.say(&format!("stage {error}"));
    }
}

/// The link to the supervisor that started this process.
#[derive(Debug)]
pub struct Supervised {
    /// The version that this process runs as: the name of its folder.
    pub version: Version,
    /// The installation.
    pub layout: Layout,
    on_trial: AtomicBool,
    connected: watch::Sender<bool>,
    confirmed: watch::Sender<bool>,
    woke: watch::Sender<()>,
    stop: CancellationToken,
}

impl Supervised {
    /// The supervisor of this process; nothing when it was started by hand.
    #[must_use]
    pub fn of_environment() -> Option<Arc<Self>> {
        let version = Version::parse(&std::env::var("AGENT_SUPERVISED").ok()?).ok()?;
        let root = PathBuf::from(std::env::var_os("AGENT_INSTALL_DIR")?);
        let on_trial = std::env::var("AGENT_ON_TRIAL").is_ok_and(|value| value == "1");
        Some(Arc::new(Self::new(version, Layout::new(&root), on_trial)))
    }

    fn new(version: Version, layout: Layout, on_trial: bool) -> Self {
        Self {
            version,
            layout,
            on_trial: AtomicBool::new(on_trial),
            connected: watch::Sender::new(false),
            confirmed: watch::Sender::new(false),
            woke: watch::Sender::new(()),
            stop: CancellationToken::new(),
        }
    }

    /// Whether this version still has to prove itself.
    #[must_use]
    pub fn on_trial(&self) -> bool {
        self.on_trial.load(Ordering::Relaxed)
    }

    /// The master accepted this minion and publishes reach it.
    pub fn note_connected(&self) {
        self.connected.send_replace(true);
    }

    /// Whether a master was reached.
    #[must_use]
    pub fn was_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Starts to listen. Reading cannot be cancelled, so it has a thread that ends with the process.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn listen(self: &Arc<Self>) -> io::Result<()> {
        let this = Arc::clone(self);
        tasks::thread_of_the_process("supervisor's lines", move || {
            for line in io::stdin().lock().lines() {
                if line.is_ok_and(|line| this.hear(&line)) {
                    continue;
                }
                break;
            }
            this.stop.cancel();
        })
    }

    /// Acts on a line of the supervisor's; false when it asks for the end.
    fn hear(&self, line: &str) -> bool {
        match line {
            "stop" => return false,
            "confirmed" => {
                self.on_trial.store(false, Ordering::Relaxed);
                self.confirmed.send_replace(true);
            }
            "resumed" => {
                tracing::info!("the machine woke up; the master is asked for a sign of life");
                self.woke.send_replace(());
            }
            // A later supervisor may say more.
            _ => {}
        }
        true
    }

    /// Calls `each` whenever the service manager says that this machine woke up, until the process ends.
    pub async fn on_waking(self: Arc<Self>, each: impl Fn()) {
        let mut woke = self.woke.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        while woke.changed().await.is_ok() {
            each();
        }
    }

    /// Returns when the supervisor asks for the end, or is gone.
    pub async fn stop_requested(&self) {
        self.stop.cancelled().await;
    }

    /// Returns when the supervisor has confirmed this version.
    pub async fn until_confirmed(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.confirmed.subscribe().wait_for(|done| *done).await;
    }

    /// Says `alive` until the process' tasks are cancelled; the drain has a limit of its own.
    pub async fn beat(self: Arc<Self>, token: CancellationToken) {
        while !token.is_cancelled() {
            self.say("alive");
            tokio::select! {
                () = token.cancelled() => {}
                () = tokio::time::sleep(BEAT) => {}
            }
        }
    }

    /// Says a line to the supervisor.
    pub fn say(&self, line: &str) {
        let line = format!("{}\n", line.replace(['\r', '\n'], " "));
        // A supervisor that is gone is noticed at the input.
        let mut output = io::stdout().lock();
        let _ = output.write_all(line.as_bytes()).and_then(|()| output.flush());
    }
}

const BEAT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[tokio::test]
    async fn each_waking_is_passed_on_and_only_stop_ends() {
        let supervised = Arc::new(Supervised::new(Version::new(1, 0, 0), Layout::new(Path::new("/n")), true));
        let woke = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&woke);
        let waking = tokio::spawn(Arc::clone(&supervised).on_waking(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        tokio::task::yield_now().await;
        for (line, expected) in
            [("suspended", 0), ("resumed", 1), ("confirmed", 1), ("said by a later one", 1), ("resumed", 2)]
        {
            assert!(supervised.hear(line), "{line}");
            tokio::task::yield_now().await;
            assert_eq!(woke.load(Ordering::Relaxed), expected, "{line}");
        }
        assert!(!supervised.on_trial());
        assert!(!supervised.hear("stop"));
        waking.abort();
    }
}
