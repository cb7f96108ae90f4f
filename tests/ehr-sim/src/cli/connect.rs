//! The arguments of every command that logs in to a served simulator.

use anyhow::Context as _;
use clap::Args;
use tiberius::EncryptionLevel;

use super::{PASSWORD_VARIABLE, TlsName};
use crate::client::ConnectOptions;

#[derive(Debug, Args)]
pub struct Connect {
    /// Address of the server.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port of the server.
    #[arg(long, default_value_t = 1433)]
    port: u16,
    /// Login to work as.
    #[arg(long, default_value = "sa")]
    user: String,
    /// Its password; also taken from EHR_SIM_SA_PASSWORD.
    #[arg(long)]
    password: Option<String>,
    /// Database to work on.
    #[arg(long, default_value = "Main_OMS")]
    database: String,
    /// Encryption of the connections.
    #[arg(long, value_enum, default_value = "on")]
    tls: TlsName,
}

impl Connect {
    pub fn options(self) -> anyhow::Result<ConnectOptions> {
        let password = self.password.or_else(|| std::env::var(PASSWORD_VARIABLE).ok());
        let password = password.context("no password: give --password or set EHR_SIM_SA_PASSWORD")?;
        let encryption = match self.tls {
            TlsName::Off => EncryptionLevel::NotSupported,
            TlsName::Login => EncryptionLevel::Off,
            TlsName::On => EncryptionLevel::Required,
        };
        let Self { host, port, user, database, .. } = self;
        Ok(ConnectOptions { host, port, user, password, database, encryption })
    }
}
