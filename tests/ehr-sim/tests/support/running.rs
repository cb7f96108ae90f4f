//! What the tests of the wire share: a server on a free port that ends with its test, and foreign clients run as
//! processes of their own.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use ehr_sim::server::backend::Backend;
use ehr_sim::server::{Server, ServerError, ServerOptions};
use ehr_sim::tds::prelogin::TlsMode;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// A server that runs until it is dropped.
pub struct Running {
    pub address: SocketAddr,
    /// Where its browser answers.
    pub browser: Option<SocketAddr>,
    /// The folder with the server's certificate, `server.der`.
    pub dir: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
}

impl Running {
    /// Serves `backend` on a free port of the loopback.
    pub fn start(backend: impl Backend, tls: TlsMode) -> Self {
        Self::with(backend, ServerOptions { tls, ..ServerOptions::default() }).unwrap()
    }

    /// Serves `backend` as `options` say.
    pub fn with(backend: impl Backend, options: ServerOptions) -> Result<Self, ServerError> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = runtime.block_on(Server::bind(backend, options))?;
        let (address, browser) = (server.local_addr(), server.browser_addr());
        let dir = tempfile::tempdir().unwrap();
        if let Some(certificate) = server.certificate() {
            std::fs::write(dir.path().join("server.der"), certificate).unwrap();
        }
        let (stop, stopped) = oneshot::channel::<()>();
        runtime.spawn(server.run(async move {
            let _ = stopped.await;
        }));
        Ok(Self { address, browser, dir, stop: Some(stop), runtime: Some(runtime) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(30));
        }
    }
}

/// The Python with the foreign clients in it, when `tests/setup-tds-clients` has made it.
pub fn client_python() -> Option<PathBuf> {
    let python = clients_folder()?.join("bin/python");
    python.exists().then_some(python)
}

/// The folder of node modules with tedious in it, when `tests/setup-tds-clients` has made it.
pub fn client_modules() -> Option<PathBuf> {
    let modules = clients_folder()?.join("node/node_modules");
    modules.join("tedious").exists().then_some(modules)
}

fn clients_folder() -> Option<PathBuf> {
    Some(directories::BaseDirs::new()?.cache_dir().join("salt-peers/tds-clients"))
}

/// Says that a test did not run, in the words the test runner counts, past the capture of the test's output.
pub fn skipped(test: &str, reason: &str) {
    use std::io::Write as _;
    let line = format!("SKIPPED {test}: {reason}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Runs a client to its end; one that takes longer than two minutes is ended and fails the test.
pub fn run(command: &mut Command, input: &str) -> Output {
    use std::io::Write as _;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let id = child.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(Duration::from_secs(120)) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            let _ = Command::new("kill").arg(id.to_string()).status();
            panic!("{command:?} took longer than two minutes");
        }
    }
}

/// Waits until `condition` holds; panics with `what` after half a minute.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
