//! The command line: `ehr-sim serve`, `workload` and `fault`, and the only place that prints.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rand::Rng as _;

use connect::Connect;
use fault::FaultCommand;

use crate::data::{dentrix_enterprise, dolphin, orthotrac};
use crate::engine::{Engine, EngineOptions};
use crate::server::{Server, ServerOptions};
use crate::tds::prelogin::TlsMode;
use crate::workload::{self, WorkDone, WorkloadOptions};

mod connect;
mod fault;

/// A strict simulated SQL Server with synthetic EHR databases.
#[derive(Debug, Parser)]
#[command(name = "ehr-sim", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a synthetic EHR database over TDS until interrupted.
    Serve(Serve),
    /// Work on a served database as a front desk does, until a number of changes is made.
    Workload(Workload),
    /// Bring a fault about on a served database, or end one.
    Fault(FaultCommand),
}

#[derive(Debug, Args)]
struct Serve {
    /// The EHR whose synthetic database to serve.
    #[arg(long, value_enum)]
    ehr: EhrName,
    /// Rows of its largest table.
    #[arg(long, default_value_t = 100_000)]
    rows: u64,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 1433)]
    port: u16,
    /// Encryption: none at all, of logins (and of all when the client asks), or of everything.
    #[arg(long, value_enum, default_value = "on", default_missing_value = "on", num_args = 0..=1)]
    tls: TlsName,
    /// Password of sa; also taken from EHR_SIM_SA_PASSWORD. Without either, one is made and printed.
    #[arg(long)]
    sa_password: Option<String>,
    /// Seed of the generated rows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The server's name, `HOST\INSTANCE` for a named instance.
    #[arg(long, default_value = "EHRSIM")]
    server_name: String,
    /// UDP port of the SQL Server Browser (1434 is what clients ask); off when absent.
    #[arg(long)]
    browser_port: Option<u16>,
    /// Print the ready line as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Workload {
    #[command(flatten)]
    connect: Connect,
    /// Connections at work.
    #[arg(long, default_value_t = 3)]
    desks: u32,
    /// Committed changes to make.
    #[arg(long, default_value_t = 500)]
    changes: u64,
    /// Rest after each change, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pause_ms: u64,
    /// Seed of the decisions.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EhrName {
    Dolphin,
    DentrixEnterprise,
    Orthotrac,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TlsName {
    Off,
    Login,
    On,
}

impl EhrName {
    fn fill(self, engine: &Engine, rows: u64, seed: u64) -> anyhow::Result<()> {
        let profile = match self {
            Self::Dolphin => dolphin::profile(rows, seed),
            Self::DentrixEnterprise => dentrix_enterprise::profile(rows, seed),
            Self::Orthotrac => orthotrac::profile(rows, seed),
        };
        engine.load(profile)?;
        Ok(())
    }
}

impl From<TlsName> for TlsMode {
    fn from(name: TlsName) -> Self {
        match name {
            TlsName::Off => Self::Off,
            TlsName::Login => Self::Login,
            TlsName::On => Self::On,
        }
    }
}

/// Runs the command line to its end.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match cli.command {
        Command::Serve(serve) => runtime.block_on(serve.run()),
        Command::Workload(workload) => runtime.block_on(workload.run()),
        Command::Fault(fault) => runtime.block_on(fault.run()),
    }
}

impl Serve {
    async fn run(self) -> anyhow::Result<()> {
        let given = self.sa_password.clone().or_else(|| std::env::var(PASSWORD_VARIABLE).ok());
        let password = given.clone().unwrap_or_else(made_password);
        let engine = Engine::new(EngineOptions {
            server_name: self.server_name.clone(),
            sa_password: password.clone(),
        });
        let (ehr, rows, seed) = (self.ehr, self.rows, self.seed);
        let fill = engine.clone();
        tokio::task::spawn_blocking(move || ehr.fill(&fill, rows, seed)).await??;
        let options = ServerOptions {
            host: self.host.clone(),
            port: self.port,
            tls: self.tls.into(),
            server_name: self.server_name.clone(),
            browser_port: self.browser_port,
        };
        let server = Server::bind(engine, options).await?;
        self.say_ready(server.local_addr(), given.is_none().then_some(password.as_str()))?;
        server.run(stopped()).await;
        Ok(())
    }

    fn say_ready(&self, address: SocketAddr, made_password: Option<&str>) -> io::Result<()> {
        let (ehr, tls) = (value_name(self.ehr), value_name(self.tls));
        let mut out = io::stdout().lock();
        if self.json {
            let mut ready = serde_json::json!({
                "ready": true, "host": address.ip(), "port": address.port(), "ehr": ehr, "rows": self.rows, "tls": tls,
            });
            if let Some(password) = made_password {
                ready["sa_password"] = password.into();
            }
            writeln!(out, "{ready}")?;
        } else {
            if let Some(password) = made_password {
                writeln!(out, "ehr-sim password of sa: {password}")?;
            }
            writeln!(out, "ehr-sim ready on {address} ({ehr}, {} rows, TLS {tls})", self.rows)?;
        }
        out.flush()
    }
}

impl Workload {
    async fn run(self) -> anyhow::Result<()> {
        let done = workload::work(WorkloadOptions {
            connect: self.connect.options()?,
            desks: self.desks,
            changes: self.changes,
            pause: Duration::from_millis(self.pause_ms),
            seed: self.seed,
        });
        let done = done.await?;
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(&done)?)?;
        } else {
            let WorkDone { booked, moved, cancelled, deleted, patients_changed, rolled_back, deadlocks } =
                done;
            writeln!(
                out,
                "{} changes: {booked} booked, {moved} moved, {cancelled} cancelled, {deleted} deleted, \
                 {patients_changed} patients changed; {rolled_back} rolled back, {deadlocks} deadlock victims",
                done.changes()
            )?;
        }
        Ok(())
    }
}

/// Waits for an interrupt or the end the system asks for.
async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

fn value_name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Sixteen characters of the three kinds SQL Server's password policy counts.
fn made_password() -> String {
    let mut random = rand::thread_rng();
    let mut letters = || PASSWORD_LETTERS[random.gen_range(0..PASSWORD_LETTERS.len())] as char;
    let body: String = (0..13).map(|_| letters()).collect();
    format!("{body}aZ7")
}

const PASSWORD_LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

const PASSWORD_VARIABLE: &str = "EHR_SIM_SA_PASSWORD";
