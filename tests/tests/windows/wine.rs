//! Wine as the machine: its prefix is the practice server's disk `C:`.
//!
//! `tests/windows/build` makes the executables and the prefix; its folder comes in `WINDOWS_BUILD`. Files of `C:` are looked
//! at from outside, but never written while a Windows program has them open.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use tests::{bundled_master::said, process::Process};

/// The prefix and the executables.
pub struct Wine {
    build: PathBuf,
}

impl Wine {
    /// What `WINDOWS_BUILD` names, with an empty `C:\NexHealth`; nothing when it names nothing.
    pub fn fresh() -> Result<Option<Self>> {
        let Some(build) = std::env::var_os("WINDOWS_BUILD") else { return Ok(None) };
        let wine = Self { build: build.into() };
        // What a run that was broken off left behind.
        wine.empty();
        match fs::remove_dir_all(wine.disk("NexHealth")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("emptying C:\\NexHealth")
            }
            Ok(()) | Err(_) => Ok(Some(wine)),
        }
    }

    /// A path of `C:`, seen from outside.
    pub fn disk(&self, path: &str) -> PathBuf {
        self.build.join("prefix/drive_c").join(path)
    }

    /// One of our executables.
    pub fn executable(&self, name: &str) -> PathBuf {
        self.build.join("x86_64-pc-windows-gnu/quick").join(name)
    }

    /// A version that ends at once when it is to run.
    pub fn bad_version(&self) -> PathBuf {
        self.build.join("ends_at_once.exe")
    }

    /// Runs `agent.exe` to its end.
    pub fn agent(&self, arguments: &[&str]) -> Result<Output> {
        self.run(&self.executable("agent.exe"), arguments)
    }

    /// Runs a program to its end, which must come within the patience of a test.
    pub fn run(&self, program: &Path, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", "300", WINE]);
        let output = self.in_prefix(&mut command).arg(program).args(arguments).output()?;
        ensure!(
            output.status.code() != Some(TIMED_OUT),
            "{} {arguments:?} did not end within 300 s: {}",
            program.display(),
            said(&output)
        );
        Ok(output)
    }

    /// Starts `agent.exe run` as a program of the console.
    pub fn start_agent(&self) -> Result<Process> {
        let mut command = Command::new(WINE);
        self.in_prefix(&mut command).arg(self.executable("agent.exe")).arg("run");
        Process::spawn("agent.exe", &mut command, &self.build.join("console"))
    }

    /// Puts the executables where an installer would unpack them, and gives the agent's path.
    pub fn unpack(&self) -> Result<PathBuf> {
        let folder = self.disk("setup");
        fs::create_dir_all(&folder)?;
        for name in ["agent.exe", "supervisor.exe"] {
            fs::copy(self.executable(name), folder.join(name))?;
        }
        Ok(folder.join("agent.exe"))
    }

    /// A program that does nothing and stays: Wine's service manager ends with the last program of a prefix.
    pub fn hold(&self) -> Result<Holder> {
        let mut command = Command::new(WINE);
        self.in_prefix(&mut command).arg("cmd.exe");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Holder(command.spawn()?))
    }

    fn in_prefix<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("WINEPREFIX", self.build.join("prefix"));
        command.env("WINEARCH", "win64").env("WINEDEBUG", "-all").env("NO_COLOR", "1");
        command.stdin(Stdio::null())
    }

    /// Ends whatever runs in the prefix: Wine's own services outlive the programs.
    fn empty(&self) {
        let mut server = Command::new("/usr/lib/wine/wineserver");
        let _ended = server.env("WINEPREFIX", self.build.join("prefix")).arg("-k").status();
    }

    /// Writes `C:\NexHealth\conf\minion`.
    pub fn configure(&self, options: &serde_json::Value) -> Result<()> {
        let folder = self.disk("NexHealth/conf");
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join("minion"), serde_json::to_string_pretty(options)?)?)
    }
}

/// See [`Wine::hold`].
pub struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        self.empty();
    }
}

const WINE: &str = "/usr/lib/wine/wine64";
/// What `timeout` ends with when the time was over.
const TIMED_OUT: i32 = 124;
