//! Processes around the benchmark: the server, our own readers, and a proxy that counts.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;
use tests::binaries::{Profile, build};
use tests::ehr::EhrSim;
use tests::wait::{PATIENCE, wait_for};

use super::{Figures, Reader, Wire};

/// A server in release mode.
pub struct Sim {
    /// Its port.
    pub port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Sim {
    /// Serves `rows` appointments, encrypted to those who ask for it.
    pub fn serve(rows: u64) -> Result<Self> {
        let programs = build(Profile::Release)?;
        let folder = tempfile::tempdir()?;
        let (rows, console) = (rows.to_string(), folder.path().join("console"));
        let child = Command::new(programs.get("ehr-sim").context("ehr-sim was not built")?)
            .args(["serve", "--ehr", "dolphin", "--rows", &rows, "--port", "0", "--tls", "login", "--json"])
            .env("EHR_SIM_SA_PASSWORD", EhrSim::SA_PASSWORD)
            .stdout(std::fs::File::create(&console)?)
            .spawn()?;
        let port = wait_for("the server", PATIENCE, || {
            let text = std::fs::read_to_string(&console).map_err(|error| error.to_string())?;
            let line = text.lines().find(|line| line.starts_with('{')).ok_or("it loads")?;
            let ready: serde_json::Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            ready["port"].as_u64().and_then(|port| u16::try_from(port).ok()).ok_or_else(|| text.clone())
        })?;
        Ok(Self { port, child, _folder: folder })
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // A server that is gone already is no trouble at the end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One of our own readers.
pub fn own(reader: Reader, port: u16, wire: Wire) -> Result<Figures> {
    let output = reader_command(reader, port, wire)?.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// How many bytes the server answers when the whole table is read.
pub fn count(port: u16) -> Result<u64> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let proxy = listener.local_addr()?.port();
    let counting = std::thread::spawn(move || -> std::io::Result<u64> {
        let (client, server) = (listener.accept()?.0, TcpStream::connect(("127.0.0.1", port))?);
        let (asking, asked) = (client.try_clone()?, server.try_clone()?);
        let questions = std::thread::spawn(move || pass(asking, asked));
        let answered = pass(server, client)?;
        // Ends when the reader left, which it has; what it asked is of no interest.
        drop(questions.join());
        Ok(answered)
    });
    own(Reader::Tiberius, proxy, Wire::Off)?;
    Ok(counting.join().map_err(|_| anyhow!("the proxy panicked"))??)
}

/// Passes on what comes until it ends.
fn pass(mut from: TcpStream, mut to: TcpStream) -> std::io::Result<u64> {
    let (mut buffer, mut passed) = (vec![0; 1 << 16], 0);
    loop {
        let length = match from.read(&mut buffer)? {
            0 => break,
            length => length,
        };
        to.write_all(&buffer[..length])?;
        passed += length as u64;
    }
    to.shutdown(Shutdown::Write)?;
    Ok(passed)
}

fn reader_command(reader: Reader, port: u16, wire: Wire) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--reader", &word(&reader), "--port", &port.to_string()]);
    command.args(["--wire", &word(&wire)]);
    Ok(command)
}

fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The agent taking a snapshot.
pub struct Reading(Child);

impl Reading {
    /// Begins.
    pub fn start(port: u16) -> Result<Self> {
        let mut command = reader_command(Reader::Agent, port, Wire::Off)?;
        Ok(Self(command.stdout(Stdio::null()).spawn()?))
    }

    /// Stops it where it is (`SIGSTOP`).
    pub fn hold(&self) -> Result<()> {
        self.signal("-STOP")
    }

    /// Lets it go on (`SIGCONT`).
    pub fn go_on(&self) -> Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let status = Command::new("kill").args([signal, &self.0.id().to_string()]).status()?;
        ensure!(status.success(), "kill {signal}: {status}");
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// It had ended before, and nobody knows when.
    pub fn stop(mut self) -> Result<()> {
        ensure!(self.0.try_wait()?.is_none(), "the snapshot ended before the front desk did: more --rows");
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}
