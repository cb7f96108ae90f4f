//! What the demo writes before it starts: ports, passwords, the master's and the agent's configuration, the pillar.
//!
//! Passwords are made anew for each run. The sealing key's private half never touches a disk: it stays with the
//! demo, which plays the integrator.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use ring::rand::{SecureRandom, SystemRandom};

use crate::stack::{Stack, free_port};
use tests::source::hex;

/// The minion id of the practice.
pub const PRACTICE: &str = "smile-dental";

/// Everything that is decided before the first program starts.
pub struct Setup {
    /// Where the simulator listens.
    pub sim_port: u16,
    /// The master's publish port.
    pub publish_port: u16,
    /// The master's return port.
    pub ret_port: u16,
    /// The administrator's password.
    pub sa_password: String,
    /// The recipient's private key.
    pub identity: age::x25519::Identity,
    /// The master's configuration folder.
    pub master_config: String,
    /// The agent's configuration folder.
    pub agent_config: String,
    master_root: PathBuf,
}

impl Setup {
    /// Chooses passwords and ports.
    pub fn new() -> Result<Self> {
        Ok(Self {
            sim_port: 0,
            publish_port: free_port()?,
            ret_port: free_port()?,
            sa_password: password()?,
            identity: age::x25519::Identity::generate(),
            master_config: String::new(),
            agent_config: String::new(),
            master_root: PathBuf::new(),
        })
    }

    /// Writes both configurations and the pillar below the run's folder.
    pub fn write(&mut self, stack: &Stack) -> Result<()> {
        self.master_root = stack.folder("master-sim")?;
        let pillar = stack.folder("pillar")?;
        let tree = concat!(env!("CARGO_MANIFEST_DIR"), "/../states/tree");
        let (publish, ret) = (self.publish_port, self.ret_port);
        let ports = format!("interface: 127.0.0.1\npublish_port: {publish}\nret_port: {ret}\n");
        let roots =
            format!("file_roots:\n  base: ['{tree}']\npillar_roots:\n  base: ['{}']\n", pillar.display());
        fs::write(self.master_root.join("master"), format!("{ports}file_recv: true\n{roots}"))?;
        fs::write(pillar.join("top.sls"), format!("base:\n  {PRACTICE}:\n    - practice\n"))?;
        fs::write(pillar.join("practice.sls"), self.pillar()?)?;
        let agent = stack.folder("agent")?;
        fs::write(agent.join("minion"), self.minion(&agent))?;
        self.master_config = self.master_root.display().to_string();
        self.agent_config = agent.display().to_string();
        Ok(())
    }

    fn minion(&self, root: &Path) -> String {
        format!(
            "id: {PRACTICE}\nmaster: 127.0.0.1\nmaster_port: {}\nroot_dir: {}\nlog_level: info\n\
             acceptance_wait_time: 1\ngrains:\n  ehr: dolphin\n",
            self.ret_port,
            root.display()
        )
    }

    fn pillar(&self) -> Result<String> {
        let (port, sa, sync) = (self.sim_port, &self.sa_password, password()?);
        Ok(format!(
            "mssql.server: 127.0.0.1\nmssql.port: {port}\nmssql.user: sa\nmssql.password: '{sa}'\n\
             mssql.trust_server_certificate: true\n\
             dolphin:\n  login: nexhealth_sync\n  password: '{sync}'\n  interval: 2\n\
             agent:\n  sync:\n    recipients: ['{}']\n",
            self.identity.to_public()
        ))
    }

    /// Where the master keeps what the practice sent.
    pub fn inbox(&self) -> PathBuf {
        self.master_root.join("cache/minions").join(PRACTICE).join("files/agent/sync")
    }
}

/// A password no policy refuses.
fn password() -> Result<String> {
    let mut bytes = [0; 12];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(format!("Aa1-{}", hex(&bytes)))
}
