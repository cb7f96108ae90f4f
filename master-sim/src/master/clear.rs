//! Requests in clear: `_auth`, `ping`, and `publish` from a command line that knows the root key.

use proto::envelope::Envelope;
use proto::target::TargetType;
use proto::{Map, Value, msgpack};
use ring::digest::{SHA256, digest};

use super::publish::Job;
use super::{Master, error_chain, text};
use crate::targeting::Target;

impl Master {
    pub(super) fn clear(&self, load: &Map) -> Vec<u8> {
        match text(load, "cmd") {
            Some("_auth") => self.authenticate(load).unwrap_or_else(|error| {
                tracing::error!(error = error_chain(&error), "an authentication could not be served");
                msgpack::encode(&"Some exception handling minion payload".into())
            }),
            Some("ping") => msgpack::encode_map(load),
            Some("publish") => self.clear_publish(load),
            Some(_) | None => msgpack::encode_map(&Map::new()),
        }
    }

    fn clear_publish(&self, load: &Map) -> Vec<u8> {
        let key = text(load, "key").unwrap_or_default();
        // Digests are compared, so that the time taken tells nothing of the key.
        let known =
            digest(&SHA256, key.as_bytes()).as_ref() == digest(&SHA256, self.root_key.as_bytes()).as_ref();
        if !known {
            tracing::warn!("a publish with a wrong key was refused");
            return answer([("error", "Authentication error occurred.")].into());
        }
        let Some(job) = Job::from_load(load) else {
            return answer([("error", "The publish lacks fun, arg or tgt.")].into());
        };
        match self.publish(job) {
            Ok(published) => answer(published),
            Err(error) => answer([("error", error_chain(&error))].into()),
        }
    }
}

impl Job {
    fn from_load(load: &Map) -> Option<Self> {
        let kwargs = load.get("kwargs").and_then(Value::as_map).cloned().unwrap_or_default();
        let delimiter = text(&kwargs, "delimiter").unwrap_or(":").to_owned();
        let kind = text(load, "tgt_type").unwrap_or("glob").parse().unwrap_or(TargetType::Glob);
        Some(Self {
            fun: load.get("fun")?.clone(),
            arg: Value::List(load.get("arg")?.as_list()?.to_vec()),
            target: Target { tgt: load.get("tgt")?.clone(), kind, delimiter },
            jid: text(load, "jid").unwrap_or_default().to_owned(),
            ret: text(load, "ret").unwrap_or_default().to_owned(),
            user: text(load, "user").unwrap_or("root").to_owned(),
            metadata: kwargs.get("metadata").cloned(),
        })
    }
}

fn answer(load: Map) -> Vec<u8> {
    let mut envelope = Envelope::clear(load);
    envelope.version = 0;
    envelope.encode()
}
