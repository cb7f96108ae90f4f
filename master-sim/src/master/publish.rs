//! Publishing a job: whom it means, under which jid, into the job cache before it goes out.

use proto::jid::{Jid, Moment};
use proto::publish::{BROADCAST, topic};
use proto::target::{TargetError, TargetType};
use proto::{Map, MinionId, PillarRequest, Value};

use super::{Master, MasterError, Publication};
use crate::jobs::JobRecord;
use crate::pki::KeyState;
use crate::targeting::{Known, Matched, Target};

/// A job that somebody wants published.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Job {
    pub(super) fun: Value,
    pub(super) arg: Value,
    pub(super) target: Target,
    /// Empty for a new one.
    pub(super) jid: String,
    pub(super) ret: String,
    pub(super) user: String,
    pub(super) metadata: Option<Value>,
}

impl Master {
    /// Publishes a job; gives `{jid, minions, missing}`, with a nil jid when it means nobody.
    pub(super) fn publish(&self, job: Job) -> Result<Map, MasterError> {
        let nodegroups = proto::to_value(&self.config.opts.get("nodegroups"));
        let nodegroups = nodegroups.into_map().unwrap_or_default();
        let target = match job.target.clone().expand(&nodegroups) {
            Ok(target) => target,
            Err(error) => return Ok(nobody(&error)),
        };
        let matched = match self.matched(&target) {
            Ok(matched) => matched,
            Err(error) => return Ok(nobody(&error)),
        };
        let mut answer = Map::new();
        let minions: Vec<String> = matched.minions.iter().map(ToString::to_string).collect();
        if minions.is_empty() {
            answer.insert("jid", Value::Nil);
        } else {
            let jid = self.send(&job, &target, &matched.minions)?;
            answer.insert("jid", jid.as_str());
        }
        answer.insert("minions", Value::from_iter(minions));
        answer.insert("missing", Value::from_iter(matched.missing));
        Ok(answer)
    }

    /// Who is meant by a target.
    pub(super) fn matched(&self, target: &Target) -> Result<Matched, TargetError> {
        let accepted = self.pki.list(KeyState::Accepted).unwrap_or_default();
        target.select(accepted, |id| self.known(id, target.needs_pillar()))
    }

    /// A `test.ping` to everybody, after which all have authenticated under the new key.
    pub(super) fn ping_all(&self) {
        let job = Job {
            fun: "test.ping".into(),
            arg: Value::List(Vec::new()),
            target: Target { tgt: "*".into(), kind: TargetType::Glob, delimiter: ":".into() },
            jid: String::new(),
            ret: String::new(),
            user: "root".into(),
            metadata: None,
        };
        if let Err(error) = self.publish(job) {
            tracing::warn!(
                error = super::error_chain(&error),
                "the ping after a rotation could not be published"
            );
        }
    }

    fn known(&self, id: &MinionId, with_pillar: bool) -> Known {
        let grains = self.cache.grains(id);
        let pillar = match (&grains, with_pillar) {
            (Some(grains), true) => self.cache.pillar(id).unwrap_or_else(|| {
                let request = PillarRequest { grains: grains.clone(), ..PillarRequest::default() };
                self.pillar.compile(id, &request)
            }),
            _ => Value::Nil,
        };
        Known { grains: grains.map(Value::from), pillar }
    }

    fn send(&self, job: &Job, target: &Target, minions: &[MinionId]) -> Result<Jid, MasterError> {
        let jid = self.jid(&job.jid);
        let load = job.load(&jid, target);
        let names = minions.iter().map(ToString::to_string).collect::<Vec<_>>();
        self.jobs.add(&jid, JobRecord { load: load.clone(), minions: names.clone() })?;
        // Arguments may be secrets; they are in the job cache for those who may read it.
        let mut event = load.clone();
        event.remove("arg");
        event.insert("minions", Value::from_iter(names));
        self.fire(format!("salt/job/{jid}/new"), event);
        let topics = self.topics(target, minions);
        let mut publishing = self.lock_publishing();
        let frame = publishing.writer.seal(load, &self.identity.key, &mut rand::thread_rng())?;
        // Under the lock, so that serials leave in their order.
        publishing.outbox.blocking_send(Publication { topics, frame }).map_err(|_| MasterError::Stopping)?;
        Ok(jid)
    }

    fn topics(&self, target: &Target, minions: &[MinionId]) -> Vec<String> {
        if !self.config.zmq_filtering {
            return Vec::new();
        }
        match target.kind {
            TargetType::Glob | TargetType::Pcre | TargetType::List => minions.iter().map(topic).collect(),
            TargetType::Grain | TargetType::GrainPcre | TargetType::Pillar | TargetType::PillarPcre => {
                vec![BROADCAST.to_owned()]
            }
            TargetType::PillarExact | TargetType::Compound | TargetType::Nodegroup | TargetType::IpCidr => {
                vec![BROADCAST.to_owned()]
            }
            TargetType::Data | TargetType::Range | TargetType::Other(_) => vec![BROADCAST.to_owned()],
        }
    }

    /// The jid asked for, or the next free one of this moment.
    pub(super) fn jid(&self, asked: &str) -> Jid {
        if let Ok(jid) = asked.parse() {
            return jid;
        }
        let mut publishing = self.lock_publishing();
        let mut moment = chrono::Local::now();
        loop {
            let jid = Jid::at(broken_down(&moment));
            if let Ok(jid) = jid
                && *jid.as_str() > *publishing.last_jid
            {
                jid.as_str().clone_into(&mut publishing.last_jid);
                return jid;
            }
            // Jids of one master grow, also within a microsecond and when the clock goes back.
            moment += chrono::Duration::microseconds(1);
        }
    }
}

impl Job {
    fn load(&self, jid: &Jid, target: &Target) -> Map {
        let mut load = Map::new();
        load.insert("fun", self.fun.clone());
        load.insert("arg", self.arg.clone());
        load.insert("tgt", target.tgt.clone());
        load.insert("jid", jid.as_str());
        load.insert("ret", self.ret.as_str());
        load.insert("tgt_type", target.kind.name());
        load.insert("user", self.user.as_str());
        if target.delimiter != ":" {
            load.insert("delimiter", target.delimiter.as_str());
        }
        if let Some(metadata) = &self.metadata {
            load.insert("metadata", metadata.clone());
        }
        load
    }
}

fn nobody(error: &TargetError) -> Map {
    let mut answer = Map::from([("error", error.to_string())]);
    answer.insert("jid", Value::Nil);
    answer.insert("minions", Value::List(Vec::new()));
    answer
}

fn broken_down(moment: &chrono::DateTime<chrono::Local>) -> Moment {
    use chrono::{Datelike, Timelike};
    let small = |number: u32| u8::try_from(number).unwrap_or(0);
    Moment {
        year: u16::try_from(moment.year()).unwrap_or(9999),
        month: small(moment.month()),
        day: small(moment.day()),
        hour: small(moment.hour()),
        minute: small(moment.minute()),
        second: small(moment.second()),
        micro: moment.timestamp_subsec_micros().min(999_999),
    }
}
