//! Child processes: commands of jobs, states and guards, when the local policy allows any.
//!
//! A command that is cancelled or takes too long is killed with everything it started. Its output is bounded at
//! [`LARGEST_OUTPUT`]; what comes later is read and dropped, so that the command does not hang.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};
use tokio_util::sync::CancellationToken;

use crate::{config::Config, environment, policy};

/// What to run.
#[derive(Clone, Debug)]
pub struct Request {
    /// The command.
    pub line: Line,
    /// The shell for [`Line::Shell`]; [`default_shell`] when there is none.
    pub shell: Option<String>,
    /// The folder to run in.
    pub cwd: Option<PathBuf>,
    /// Variables over the process' own.
    pub env: BTreeMap<String, String>,
    /// Whether these variables are all there are.
    pub clean_env: bool,
    /// What it reads.
    pub stdin: Option<String>,
    /// When to give up.
    pub timeout: Option<Duration>,
    /// Whether the error stream goes where the output goes.
    pub merged: bool,
    /// What new files must not allow.
    pub umask: Option<u32>,
    /// Whose rights it runs with, when not the agent's own.
    pub identity: Option<Identity>,
}

/// A user of this machine that commands can run as.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    name: String,
    uid: u32,
    gid: u32,
    home: PathBuf,
    shell: String,
}

/// A command for a shell, or a program with its arguments.
#[derive(Clone, Debug)]
pub enum Line {
    /// For the shell.
    Shell(String),
    /// Without a shell.
    Program(Vec<String>),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The process id.
    pub pid: i64,
    /// The exit code; 128 and the signal when a signal ended it.
    pub retcode: i64,
    /// The output without the white space at its end.
    pub stdout: String,
    /// The error stream, likewise.
    pub stderr: String,
}

/// Why there is no output.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The local policy.
    #[error(transparent)]
    Policy(#[from] policy::PolicyError),
    /// The program could not be started or its output not read.
    #[error("Unable to run command {line:?}: {source}")]
    Run {
        /// The command.
        line: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The shell is missing or not a program.
    #[error("The shell {0} is not available")]
    NoShell(String),
    /// It took too long and was killed.
    #[error("{line} : Timed out after {seconds} seconds")]
    TimedOut {
        /// The command.
        line: String,
        /// The limit.
        seconds: u64,
    },
    /// The job was killed.
    #[error("the command was terminated")]
    Cancelled,
}

/// Runs a command to its end.
///
/// # Errors
/// See [`CommandError`].
pub async fn run(
    config: &Config,
    request: Request,
    cancel: &CancellationToken,
) -> Result<Output, CommandError> {
    let shown = request.line.to_string();
    policy::may_run(config, &shown)?;
    let failed = |source| CommandError::Run { line: shown.clone(), source };
    let mut child = prepared(&request)?.spawn().map_err(failed)?;
    let (pid, tree) = (child.id(), Tree(child.id()));
    let limit = request.timeout.unwrap_or(Duration::from_secs(365 * 86_400));
    let ended = tokio::select! {
        ended = finish(&mut child, request.stdin) => ended.map_err(failed),
        () = tokio::time::sleep(limit) => Err(CommandError::TimedOut { line: shown.clone(), seconds: limit.as_secs() }),
        () = cancel.cancelled() => Err(CommandError::Cancelled),
    };
    if ended.is_err() {
        drop(tree);
        let _ = child.kill().await;
    } else {
        tree.ended();
    }
    let (retcode, stdout, stderr) = ended?;
    Ok(Output { pid: pid.map_or(0, i64::from), retcode, stdout: text(&stdout), stderr: text(&stderr) })
}

impl std::fmt::Display for Line {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shell(line) => formatter.write_str(line),
            Self::Program(words) => formatter.write_str(&words.join(" ")),
        }
    }
}

/// The shell of commands that name none, as Salt finds it: `SHELL`, or `/bin/sh` as for a service; on Windows `COMSPEC`.
#[must_use]
pub fn default_shell() -> String {
    let (variable, otherwise) =
        if cfg!(windows) { ("COMSPEC", r"C:\Windows\system32\cmd.exe") } else { ("SHELL", "/bin/sh") };
    std::env::var(variable).unwrap_or_else(|_| otherwise.to_owned())
}

fn prepared(request: &Request) -> Result<Command, CommandError> {
    let mut command = match &request.line {
        Line::Program(words) => program(words, request),
        Line::Shell(line) if cfg!(windows) => windows_shell(request.shell.as_deref(), line),
        Line::Shell(line) => {
            let shell = request.shell.clone().unwrap_or_else(default_shell);
            if !executable(Path::new(&shell)) {
                return Err(CommandError::NoShell(shell));
            }
            let mut command = Command::new(shell);
            let merge = if request.merged { "exec 2>&1\n" } else { "" };
            let umask = request.umask.map(|umask| format!("umask {umask:04o}\n")).unwrap_or_default();
            command.arg("-c").arg(format!("{merge}{umask}{line}"));
            command
        }
    };
    if request.clean_env {
        command.env_clear();
    }
    for (name, value) in environment::changed().into_iter().filter(|_| !request.clean_env) {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(identity) = &request.identity {
        identity.take(&mut command);
    }
    command.envs(&request.env).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.stdin(if request.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    if let Some(cwd) = &request.cwd {
        command.current_dir(cwd);
    }
    #[cfg(unix)]
    command.process_group(0);
    Ok(command)
}

/// A program without a shell; one is between only to make one stream of two, and for a umask.
fn program(words: &[String], request: &Request) -> Command {
    let name = words.first().map(String::as_str).unwrap_or_default();
    let (merged, umask) = (request.merged, request.umask);
    let mut command = if (merged || umask.is_some()) && cfg!(unix) && which(name).is_some() {
        let mut command = Command::new("/bin/sh");
        let umask = umask.map(|umask| format!("umask {umask:04o}; ")).unwrap_or_default();
        let merge = if merged { " 2>&1" } else { "" };
        command.arg("-c").arg(format!("{umask}exec \"$0\" \"$@\"{merge}")).arg(name);
        command
    } else {
        Command::new(name)
    };
    command.args(words.iter().skip(1));
    command
}

fn windows_shell(shell: Option<&str>, line: &str) -> Command {
    let shell = shell.map_or_else(default_shell, str::to_owned);
    let name = shell.to_lowercase();
    let mut command = Command::new(&shell);
    if ["powershell", "powershell.exe", "pwsh", "pwsh.exe"].iter().any(|known| name.ends_with(known)) {
        command.args(["-NonInteractive", "-NoProfile", "-ExecutionPolicy", "Bypass", "-Command"]).arg(line);
    } else {
        command.arg("/C").arg(line);
    }
    command
}

/// The program of that name on the path.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let direct = PathBuf::from(name);
    if direct.is_absolute() {
        return executable(&direct).then_some(direct);
    }
    let endings: &[&str] = if cfg!(windows) { &["", ".exe", ".cmd", ".bat"] } else { &[""] };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path)
        .flat_map(|dir| endings.iter().map(move |end| dir.join(format!("{name}{end}"))));
    candidates.find(|file| executable(file))
}

#[cfg(unix)]
fn executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn executable(path: &Path) -> bool {
    path.is_file()
}

async fn finish(child: &mut Child, stdin: Option<String>) -> std::io::Result<(i64, Vec<u8>, Vec<u8>)> {
    if let (Some(mut pipe), Some(text)) = (child.stdin.take(), stdin) {
        // A command that does not read its input is no failure.
        let _ = pipe.write_all(text.as_bytes()).await;
    }
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) = tokio::join!(bounded(stdout), bounded(stderr), child.wait());
    Ok((code(status?), stdout?, stderr?))
}

async fn bounded(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let Some(mut pipe) = pipe else { return Ok(Vec::new()) };
    let mut held = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match pipe.read(&mut chunk).await? {
            0 => return Ok(held),
            read => held.extend_from_slice(&chunk[..read.min(LARGEST_OUTPUT.saturating_sub(held.len()))]),
        }
    }
}

#[cfg(unix)]
fn code(status: std::process::ExitStatus) -> i64 {
    use std::os::unix::process::ExitStatusExt;
    let signal = || status.signal().map_or(1, |signal| 128 + i64::from(signal));
    status.code().map_or_else(signal, i64::from)
}

#[cfg(not(unix))]
fn code(status: std::process::ExitStatus) -> i64 {
    status.code().map_or(1, i64::from)
}

/// A command with everything it started. Dropped before its end, because it took too long, was cancelled or nobody waits
/// for it any more, all of it is killed.
struct Tree(Option<u32>);

impl Tree {
    /// The command came to its end; what it left running on purpose stays.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Some(pid) = self.0.take() {
            kill_tree(pid);
        }
    }
}

#[cfg(unix)]
fn kill_tree(pid: u32) {
    let group = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // The group may be gone already.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

/// There are no process groups; the system's own tool knows who started whom as long as the first process lives.
#[cfg(not(unix))]
fn kill_tree(pid: u32) {
    let mut command = std::process::Command::new("taskkill");
    command.args(["/T", "/F", "/PID", &pid.to_string()]);
    let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

impl Identity {
    /// The user of that name; `None` when the agent runs as that user itself.
    ///
    /// # Errors
    /// There is no such user, or the agent may not take its place.
    #[cfg(unix)]
    pub fn of(name: &str) -> Result<Option<Self>, String> {
        let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let line = table.lines().find(|line| line.split(':').next() == Some(name));
        let fields: Vec<&str> = line.map(|line| line.split(':').collect()).unwrap_or_default();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
        let (Some(uid), Some(gid)) = (number(2), number(3)) else {
            return Err(format!("User '{name}' is not available"));
        };
        let own = rustix::process::geteuid().as_raw();
        if uid == own {
            return Ok(None);
        }
        if own != 0 {
            return Err(format!(
                "the command is to run as user '{name}', but this agent does not run as root and cannot change its user"
            ));
        }
        let field = |at: usize| fields.get(at).copied().filter(|field| !field.is_empty());
        let (home, shell) = (field(5).unwrap_or("/").into(), field(6).unwrap_or("/bin/sh").to_owned());
        Ok(Some(Self { name: name.to_owned(), uid, gid, home, shell }))
    }

    /// Windows asks for a password there.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(unix))]
    pub fn of(name: &str) -> Result<Option<Self>, String> {
        Err(format!(
            "the command is to run as user '{name}', which is not supported by this minion on Windows"
        ))
    }

    /// The folder that it starts in.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        if self.home.is_dir() { self.home.clone() } else { PathBuf::from("/") }
    }

    #[cfg(unix)]
    fn take(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
        command.env("HOME", &self.home).env("SHELL", &self.shell);
        command.env("USER", &self.name).env("LOGNAME", &self.name);
    }

    #[cfg(not(unix))]
    fn take(&self, _command: &mut Command) {}
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// How much of each stream is kept.
const LARGEST_OUTPUT: usize = 16 * 1024 * 1024;

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn config(agent: &str) -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let text =
            format!("{{root_dir: '{}', master: localhost, id: m1, agent: {agent}}}", folder.path().display());
        let opts = states::yaml::load(&text).unwrap().as_map().cloned().unwrap();
        let config = Config::from_options(&folder.path().join("etc"), opts).unwrap();
        (folder, config)
    }

    fn shell(line: &str) -> Request {
        let line = Line::Shell(line.to_owned());
        let env = BTreeMap::new();
        Request {
            line,
            shell: None,
            cwd: None,
            env,
            clean_env: false,
            stdin: None,
            timeout: None,
            merged: false,
            umask: None,
            identity: None,
        }
    }

    #[tokio::test]
    async fn a_command_is_refused_without_the_local_policy() {
        let (_folder, config) = config("{}");
        let refusal = run(&config, shell("true"), &CancellationToken::new()).await.unwrap_err().to_string();
        assert!(refusal.contains("allow_commands: true"), "{refusal}");
    }

    #[tokio::test]
    async fn gives_exit_code_and_both_streams() {
        let (_folder, config) = config("{allow_commands: true}");
        let request = shell("echo out; echo err >&2; exit 3");
        let output = run(&config, request.clone(), &CancellationToken::new()).await.unwrap();
        assert_eq!((output.retcode, output.stdout.as_str(), output.stderr.as_str()), (3, "out", "err"));
        let merged =
            run(&config, Request { merged: true, ..request }, &CancellationToken::new()).await.unwrap();
        assert_eq!(merged.stdout, "out\nerr");
    }

    /// A line whose grandchild's process id is in the file `mark`.
    fn with_a_grandchild(mark: &std::path::Path) -> String {
        format!("sleep 3600 & echo $! > {0}.part; mv {0}.part {0}; wait", mark.display())
    }

    async fn wait_until_gone(mark: &std::path::Path) {
        let child = std::fs::read_to_string(mark).unwrap();
        let status = format!("/proc/{}/stat", child.trim());
        let gone = || std::fs::read_to_string(&status).map_or(true, |stat| stat.contains(") Z "));
        let patience = std::time::Instant::now();
        while !gone() {
            assert!(patience.elapsed() < Duration::from_secs(60), "the child {} still runs", child.trim());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_killed_with_its_children() {
        let (folder, config) = config("{allow_commands: true}");
        let mark = folder.path().join("pid");
        let request = Request { timeout: Some(Duration::from_secs(2)), ..shell(&with_a_grandchild(&mark)) };
        let error = run(&config, request, &CancellationToken::new()).await.unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
        wait_until_gone(&mark).await;
    }

    #[tokio::test]
    async fn a_command_that_nobody_waits_for_is_killed_with_its_children() {
        let (folder, config) = config("{allow_commands: true}");
        let mark = folder.path().join("pid");
        let cancel = CancellationToken::new();
        let running = run(&config, shell(&with_a_grandchild(&mark)), &cancel);
        let started = async {
            while !mark.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            ended = running => panic!("the command ended: {ended:?}"),
            () = started => {}
        }
        wait_until_gone(&mark).await;
    }

    #[tokio::test]
    async fn a_cancelled_command_ends_at_once() {
        let (_folder, config) = config("{allow_commands: true}");
        let cancel = CancellationToken::new();
        cancel.cancel();
        let error = run(&config, shell("sleep 3600"), &cancel).await.unwrap_err();
        assert!(matches!(error, CommandError::Cancelled), "{error}");
    }
}
