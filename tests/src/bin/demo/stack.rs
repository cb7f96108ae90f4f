//! The programs of the demo: builds them, starts them on free loopback ports, stops them.
//!
//! Every program gets a folder of its own under one temporary folder: configuration, keys, logs. A program
//! that ends on its own fails whatever waits for it, with the end of its log.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tests::binaries::Profile;
use tokio::process::{Child, Command};

/// Where the built programs and the run's files are.
pub struct Stack {
    programs: PathBuf,
    /// The run's folder.
    pub root: PathBuf,
}

impl Stack {
    /// Builds the three programs with the profile the demo itself was built with.
    pub async fn build(root: &Path) -> Result<Self> {
        let profile = if cfg!(debug_assertions) { Profile::Dev } else { Profile::Release };
        let built = tokio::task::spawn_blocking(move || tests::binaries::build(profile)).await??;
        let agent = built.get("agent").context("the workspace has no program agent")?;
        let programs = agent.parent().context("the agent lies in no folder")?.to_owned();
        Ok(Self { programs, root: root.to_owned() })
    }

    /// Starts a program in a folder of its own name; its output goes to `log` there.
    pub fn start(&self, program: &str, arguments: &[&str]) -> Result<Program> {
        self.start_as(program, program, arguments, &[])
    }

    /// Starts a program in another folder and with more environment.
    pub fn start_as(
        &self,
        name: &str,
        program: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Program> {
        let log = self.folder(name)?.join("log");
        let out = fs::File::create(&log)?;
        let child = Command::new(self.program(program))
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{program} does not start"))?;
        Ok(Program { name: name.to_owned(), child, log })
    }

    /// What a program prints on its standard output, whatever its exit code.
    pub async fn output(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let done = Command::new(self.program(program)).args(arguments).stdin(Stdio::null()).output().await?;
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// Runs a program to its end and gives its standard output.
    pub async fn run(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let done = Command::new(self.program(name)).args(arguments).stdin(Stdio::null()).output().await?;
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        if !done.status.success() {
            let error = String::from_utf8_lossy(&done.stderr);
            bail!("{name} {} failed ({}):\n{text}{error}", arguments.join(" "), done.status);
        }
        Ok(text)
    }

    /// A folder of the run, made when missing.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The path of a built program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }
}

/// A running program.
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Everything the program has printed.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Fails when the program has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}):\n{}", self.name, last_lines(&self.output())),
        }
    }

    /// Waits for a line of output that holds `mark`.
    pub async fn line_with(&mut self, mark: &str) -> Result<String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(line) = self.output().lines().find(|line| line.contains(mark)) {
                return Ok(line.to_owned());
            }
            self.ensure_running()?;
            ensure!(
                Instant::now() < deadline,
                "{} never said {mark:?}:\n{}",
                self.name,
                last_lines(&self.output())
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends the program as an operator would, and waits for it.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id() {
            let sent = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await;
            if sent.is_ok_and(|status| status.success()) {
                let _ended = tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await;
            }
        }
        if self.child.try_wait()?.is_none() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

/// A loopback port nobody listens on.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
