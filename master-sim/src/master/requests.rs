//! Requests of accepted minions: one function per `cmd`, each with Salt's reply.

use std::path::Path;

use proto::jid::Jid;
use proto::serve::{Refusal, Request, SealedLoad};
use proto::{Event, JobReturn, Map, PillarRequest, PublicKey, Value};

use super::{Master, MasterError, seconds_since_epoch, text};
use crate::file_server::{self, Listed};
use crate::jobs::JobRecord;
use crate::pki::KeyState;

impl Master {
    /// Opens and answers a request under a session key.
    pub(super) fn sealed(&self, sealed: SealedLoad) -> Result<Vec<u8>, Refusal> {
        let id = sealed.id().clone();
        let unknown = || Refusal::Session { id: id.clone() };
        let mut rng = rand::thread_rng();
        let key = self.pki.key(&id, KeyState::Accepted).ok().flatten().ok_or_else(unknown)?;
        let session = self.sessions.of(&id, &mut rng).map_err(|_| unknown())?;
        let request = sealed.open(&session, &key)?;
        self.check_age(&request)?;
        let reply = match request.cmd.as_str() {
            "_pillar" => self.pillar(&request, &key),
            _ => self.serve(&request, &key).map(|value| request.reply(&session, &value, &mut rng)),
        };
        Ok(reply.unwrap_or_else(|error| self.failed(&id, &request.cmd, &error)))
    }

    fn check_age(&self, request: &Request) -> Result<(), Refusal> {
        let limit = i64::try_from(self.config.request_server_ttl.as_secs()).unwrap_or(i64::MAX);
        if limit > 0 && seconds_since_epoch().saturating_sub(request.ts) > limit {
            return Err(Refusal::Field { field: "ts" });
        }
        Ok(())
    }

    fn serve(&self, request: &Request, key: &PublicKey) -> Result<Value, MasterError> {
        let load = &request.load;
        let env = text(load, "saltenv").unwrap_or("base");
        let path = text(load, "path").unwrap_or_default();
        let prefix = text(load, "prefix").unwrap_or_default();
        Ok(match request.cmd.as_str() {
            "_return" => self.keep_return(request, key)?,
            "_minion_event" => self.minion_event(load),
            "_file_envs" => self.files.envs(),
            "_file_list" => self.files.list(env, prefix, Listed::Files),
            "_dir_list" => self.files.list(env, prefix, Listed::Dirs),
            "_file_list_emptydirs" => self.files.list(env, prefix, Listed::EmptyDirs),
            "_symlink_list" => self.files.symlinks(env, prefix),
            "_file_find" => self.files.find(env, path),
            "_file_hash" => self.files.hash(env, path),
            "_file_hash_and_stat" => self.files.hash_and_stat(env, path),
            "_serve_file" => {
                self.files.serve(env, path, load.get("loc").and_then(Value::as_u64).unwrap_or_default())
            }
            "_file_recv" => self.receive(request).into(),
            "_master_opts" => self.master_opts(load),
            "_master_tops" => Map::new().into(),
            "_mine" => self.mine(request),
            "_mine_get" => self.mine_get(load),
            "_mine_delete" => self.mine_delete(request),
            "_mine_flush" => self.mine_flush(request),
            "_register_resources" => true.into(),
            "revoke_auth" => self.revoke(request)?,
            // `minion_pub` and its kin are off unless `peer` allows them, and this master has no `peer`.
            _ => Map::new().into(),
        })
    }

    fn pillar(&self, request: &Request, key: &PublicKey) -> Result<Vec<u8>, MasterError> {
        let asked = PillarRequest::from_load(&request.load);
        let pillar = self.pillar.compile(&request.id, &asked);
        self.cache.set_grains(&request.id, &asked.grains);
        if asked.pillar_override.is_empty() {
            self.cache.set_pillar(&request.id, pillar.clone());
        }
        Ok(request.reply_pillar(&pillar, key, &self.identity.key, &mut rand::thread_rng())?)
    }

    fn keep_return(&self, request: &Request, key: &PublicKey) -> Result<Value, MasterError> {
        let config = &self.config;
        let refused = match request.is_signed_by(key) {
            None => config.require_minion_sign_messages,
            Some(signed) => !signed && config.drop_messages_signature_fail,
        };
        if refused {
            tracing::warn!(minion = %request.id, "a return without a valid signature was dropped");
            return Ok(false.into());
        }
        let ret = match JobReturn::from_load(request.load.clone()) {
            Ok(ret) => ret,
            Err(error) => {
                tracing::warn!(minion = %request.id, %error, "a return was dropped");
                return Ok(false.into());
            }
        };
        let jid = self.jid_of(&ret, request)?;
        let mut event = request.load.clone();
        event.insert("jid", jid.as_str());
        for secret in ["return", "fun_args", "cmd", "ts"] {
            event.remove(secret);
        }
        self.jobs.add_return(&jid, &request.id, ret)?;
        self.fire(format!("salt/job/{jid}/ret/{}", request.id), event);
        Ok(Value::Nil)
    }

    /// The job of a return; one that no master published (`req`) gets a new jid and a record of its own.
    fn jid_of(&self, ret: &JobReturn, request: &Request) -> Result<Jid, MasterError> {
        if let Ok(jid) = ret.jid.parse() {
            return Ok(jid);
        }
        let jid = self.jid("");
        let mut load = Map::new();
        load.insert("fun", ret.fun.clone());
        load.insert("arg", ret.fun_args.clone());
        load.insert("tgt", request.id.as_str());
        load.insert("tgt_type", "list");
        load.insert("jid", jid.as_str());
        self.jobs.add(&jid, JobRecord { load, minions: vec![request.id.to_string()] })?;
        Ok(jid)
    }

    fn minion_event(&self, load: &Map) -> Value {
        for event in Event::from_load(load) {
            self.events.fire(&event);
        }
        Value::Nil
    }

    fn receive(&self, request: &Request) -> bool {
        if !self.config.file_recv {
            tracing::warn!(minion = %request.id, "a file was refused: file_recv is off");
            return false;
        }
        let load = Value::Map(request.load.clone());
        let cachedir: &Path = &self.config.cachedir;
        match file_server::receive(cachedir, &request.id, &load, self.config.file_recv_max_size) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(minion = %request.id, error = super::error_chain(&error), "a file was refused");
                false
            }
        }
    }

    fn revoke(&self, request: &Request) -> Result<Value, MasterError> {
        let allowed = self.config.opts.get("allow_minion_key_revoke").and_then(states::Value::as_bool);
        if !allowed.unwrap_or(true) {
            return Ok(false.into());
        }
        let deleted = self.pki.delete(&request.id, KeyState::Accepted)?;
        self.sessions.forget(&request.id);
        self.cache.forget(&request.id);
        tracing::warn!(minion = %request.id, "a minion revoked its own key");
        Ok(deleted.into())
    }

    /// What minions need to know to run states as this master means them.
    fn master_opts(&self, load: &Map) -> Value {
        let envs = self.files.envs();
        let envs = envs.as_list().unwrap_or_default().iter().cloned();
        let empty = || Value::List(Vec::new());
        let mut opts = Map::new();
        opts.insert("file_roots", envs.map(|env| (env, empty())).collect::<Map>());
        let defaults: [(&str, Value); 15] = [
            ("top_file_merging_strategy", "merge".into()),
            ("env_order", empty()),
            ("default_top", "base".into()),
            ("renderer", "jinja|yaml".into()),
            ("failhard", false.into()),
            ("state_top", "top.sls".into()),
            ("state_top_saltenv", Value::Nil),
            ("nodegroups", Map::new().into()),
            ("state_auto_order", true.into()),
            ("state_events", false.into()),
            ("state_aggregate", false.into()),
            ("jinja_env", Map::new().into()),
            ("jinja_sls_env", Map::new().into()),
            ("jinja_lstrip_blocks", false.into()),
            ("jinja_trim_blocks", false.into()),
        ];
        let wanted = if load.get("env_only").is_some_and(Value::is_truthy) { 3 } else { defaults.len() };
        for (name, default) in defaults.into_iter().take(wanted) {
            let set = self.config.opts.get(name).map(proto::to_value);
            opts.insert(name, set.unwrap_or(default));
        }
        opts.into()
    }
}
