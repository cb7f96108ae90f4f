//! Processes around the benchmark: the server, our own readers, and clients that nobody here wrote.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};
use tests::binaries::{Profile, build};
use tests::ehr::EhrSim;
use tests::wait::{PATIENCE, wait_for};

use super::{Figures, Reader};

/// A server in release mode.
pub struct Sim {
    /// Its port.
    pub port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Sim {
    /// Serves `rows` appointments.
    pub fn serve(rows: u64) -> Result<Self> {
        let programs = build(Profile::Release)?;
        let folder = tempfile::tempdir()?;
        let (rows, console) = (rows.to_string(), folder.path().join("console"));
        let child = Command::new(programs.get("ehr-sim").context("ehr-sim was not built")?)
            .args(["serve", "--ehr", "dolphin", "--rows", &rows, "--port", "0", "--tls", "off", "--json"])
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
pub fn own(reader: Reader, port: u16) -> Result<Figures> {
    let output = reader_command(reader, port)?.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// FreeTDS' bulk copy into a file.
pub fn freebcp(port: u16) -> Result<Figures> {
    let script = "import resource, subprocess, sys, os, json, time, tempfile\n\
        port, password = sys.argv[1:]\n\
        out, conf = tempfile.NamedTemporaryFile(), tempfile.NamedTemporaryFile('w')\n\
        conf.write(f'[sim]\\nhost = 127.0.0.1\\nport = {port}\\ntds version = 7.4\\nencryption = off\\n')\n\
        conf.flush()\n\
        t = time.time()\n\
        r = subprocess.run(['freebcp', 'Main_OMS.dbo.Appointment', 'out', out.name, '-c', '-S', 'sim', '-U', 'sa', \
        '-P', password], env=dict(os.environ, FREETDSCONF=conf.name), capture_output=True, text=True)\n\
        t = time.time() - t\n\
        if r.returncode: sys.exit('freebcp: ' + ([l for l in (r.stdout + r.stderr).splitlines() if l] or ['?'])[-1])\n\
        u = resource.getrusage(resource.RUSAGE_CHILDREN)\n\
        rows = sum(1 for _ in open(out.name, 'rb'))\n\
        print(json.dumps(dict(name='FreeTDS freebcp to a file', rows=rows, seconds=t, \
        cpu_seconds=u.ru_utime + u.ru_stime, peak_mb=u.ru_maxrss / 1024, megabytes=os.path.getsize(out.name) / 1e6)))\n";
    python("python3".into(), script, port)
}

/// FreeTDS under Python, into nothing.
pub fn pymssql(port: u16) -> Result<Figures> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let python_of = cache.context("no cache folder")?.join("salt-peers/tds-clients/bin/python");
    let script = "import resource, sys, json, time, pymssql\n\
        port, password = sys.argv[1:]\n\
        t, n = time.time(), 0\n\
        c = pymssql.connect(server='127.0.0.1', port=port, user='sa', password=password, database='Main_OMS', \
        encryption='off')\n\
        q = c.cursor()\n\
        q.execute('SELECT * FROM dbo.Appointment')\n\
        while True:\n\
        \x20   rows = q.fetchmany(10000)\n\
        \x20   if not rows: break\n\
        \x20   n += len(rows)\n\
        u = resource.getrusage(resource.RUSAGE_SELF)\n\
        print(json.dumps(dict(name='pymssql fetchmany into nothing', rows=n, seconds=time.time() - t, \
        cpu_seconds=u.ru_utime + u.ru_stime, peak_mb=u.ru_maxrss / 1024, megabytes=0.0)))\n";
    python(python_of, script, port)
}

fn python(program: PathBuf, script: &str, port: u16) -> Result<Figures> {
    let mut command = Command::new(&program);
    command.args(["-c", script, &port.to_string(), EhrSim::SA_PASSWORD]);
    let output = command.output().with_context(|| format!("{} is not here", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.lines().last().unwrap_or_default());
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn reader_command(reader: Reader, port: u16) -> Result<Command> {
    let name = match reader {
        Reader::Agent => "agent",
        Reader::AgentMarks => "agent-marks",
        Reader::Nothing => "nothing",
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--reader", name, "--port", &port.to_string()]);
    Ok(command)
}

/// The agent taking one snapshot after the other.
pub struct Reading {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU32>,
    work: JoinHandle<()>,
}

impl Reading {
    /// Begins.
    pub fn start(port: u16) -> Result<Self> {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let mut command = reader_command(Reader::Agent, port)?;
        command.stdout(Stdio::null());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&done));
        let work = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if !command.status().is_ok_and(|status| status.success()) {
                    return;
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(Self { stop, done, work })
    }

    /// Ends after the snapshot under way; how many there were.
    pub fn stop(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        // A reader that panicked has said so itself.
        let _ = self.work.join();
        self.done.load(Ordering::Relaxed)
    }
}
