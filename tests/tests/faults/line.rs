//! A master, an agent, and a relay that misbehaves on order in each channel between them.

use anyhow::Result;
use serde_json::{Value, json};
use tests::{
    minion::{Minion, Sut},
    relay::Relay,
    salt::{MasterSettings, SaltMaster, Series},
    skip::skipped,
};

/// One practice behind a bad line.
pub struct Line {
    pub master: SaltMaster,
    pub requests: Relay,
    pub publishes: Relay,
    pub minion: Minion,
}

impl Line {
    /// A master of `series`, the relays and an accepted agent; None when the series is not installed here.
    pub fn open(series: Series, id: &str) -> Result<Option<Self>> {
        Self::open_with(series, id, &MasterSettings::default(), json!({}))
    }

    /// The same with options of the master and of the agent's own section.
    pub fn open_with(
        series: Series,
        id: &str,
        settings: &MasterSettings,
        own: Value,
    ) -> Result<Option<Self>> {
        if let Err(why) = series.installed() {
            return skipped(&format!("faults {id}"), &why).map(|()| None);
        }
        let master = SaltMaster::launch(series, settings)?;
        let (requests, publishes) = (Relay::to(master.ret_port)?, Relay::to(master.publish_port)?);
        let options = json!({ "publish_port": publishes.port, "agent": own });
        let minion = Minion::start_as(Sut::Agent, requests.port, id, options)?;
        master.wait_for_key("minions_pre", id)?;
        master.key("accept", id)?;
        minion.wait_for_start(&master, 1)?;
        minion.wait_for_ping(&master)?;
        Ok(Some(Self { master, requests, publishes, minion }))
    }

    /// Publishes one job without waiting for it; gives its jid.
    pub fn start(&self, fun: &str, arg: Value) -> Result<String> {
        self.master.start_job(&self.minion.id, fun, &arg, &json!({}))
    }

    /// What the agent returned for a job.
    pub fn wait_for_return(&self, jid: &str) -> Result<Value> {
        Ok(self.master.wait_for_return(jid, &self.minion.id)?["ret"].clone())
    }

    /// How often the master was told the return of a job.
    pub fn returns(&self, jid: &str) -> usize {
        self.master.events(&format!("salt/job/{jid}/ret/{}", self.minion.id)).len()
    }

    /// Waits until the agent tells of a job.
    pub fn wait_until_running(&self, jid: &str) -> Result<()> {
        self.master.wait_until_running(jid, &self.minion.id).map(drop)
    }
}
