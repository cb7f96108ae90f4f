//! `_auth`: who is let in. Decisions in the order of Salt's master; the operator's folders have the last word.

use std::fs;
use std::path::Path;

use proto::auth::{AuthRequest, Verdict};
use proto::{Map, MinionId, Value};

use super::{Master, MasterError};
use crate::pki::KeyState;

/// What becomes of a key that a minion shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    Accept,
    Pend,
    Reject,
    Deny,
    Full,
}

impl Judgement {
    /// The `act` of the `salt/auth` event.
    fn act(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Pend => "pend",
            Self::Reject => "reject",
            Self::Deny => "denied",
            Self::Full => "full",
        }
    }
}

impl Master {
    pub(super) fn authenticate(&self, load: &Map) -> Result<Vec<u8>, MasterError> {
        let request = match AuthRequest::from_load(load) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(%error, "an authentication request was refused");
                return Ok(proto::msgpack::encode(&"bad load".into()));
            }
        };
        let judgement = self.judge(&request)?;
        tracing::info!(minion = %request.id, act = judgement.act(), "authentication request");
        self.tell(&request, judgement);
        let mut rng = rand::thread_rng();
        if judgement != Judgement::Accept {
            let verdict = match judgement {
                Judgement::Pend => Verdict::Pending,
                Judgement::Full => Verdict::Full,
                Judgement::Reject | Judgement::Deny | Judgement::Accept => Verdict::Rejected,
            };
            return Ok(self.identity.answer(&request, verdict, &mut rng)?);
        }
        let session = self.sessions.of(&request.id, &mut rng)?;
        let aes = self.lock_publishing().aes.clone();
        let verdict = Verdict::Accepted { aes: &aes, session: &session, publish_port: self.publish_port };
        Ok(self.identity.answer(&request, verdict, &mut rng)?)
    }

    /// Decides, and files the key where the decision puts it.
    fn judge(&self, request: &AuthRequest) -> Result<Judgement, MasterError> {
        let (id, key) = (&request.id, &request.public_key);
        // Hidden files are no minions to Salt either: such a key could never be listed, nor accepted.
        if id.as_str().starts_with('.') {
            return Ok(Judgement::Reject);
        }
        match self.pki.find(id)? {
            Some((KeyState::Rejected | KeyState::Denied, _)) => Ok(Judgement::Reject),
            Some((_, known)) if known != *key => {
                tracing::error!(
                    minion = %id, known = %known.fingerprint(), shown = %key.fingerprint(),
                    "a minion shows another key than the one on file; the shown one is denied"
                );
                self.pki.store(id, KeyState::Denied, key)?;
                Ok(Judgement::Deny)
            }
            Some((KeyState::Accepted, _)) => Ok(Judgement::Accept),
            Some((KeyState::Pending, _)) if self.accepts_unseen(request) => {
                self.pki.shift(id, KeyState::Pending, KeyState::Accepted)?;
                Ok(Judgement::Accept)
            }
            Some((KeyState::Pending, _)) => Ok(Judgement::Pend),
            None => self.judge_new(request),
        }
    }

    /// Whether a new key is accepted without a look: all are, or one of its grains has a value that a file of
    /// `autosign_grains_dir` lists, named as the grain.
    fn accepts_unseen(&self, request: &AuthRequest) -> bool {
        if self.config.auto_accept {
            return true;
        }
        let (Some(folder), Some(grains)) = (&self.config.autosign_grains_dir, &request.autosign_grains)
        else {
            return false;
        };
        grains.iter().any(|(name, value)| {
            let (Some(name), Some(value)) = (name.as_str(), worded(value)) else { return false };
            // The name is the minion's: it must be a file of this folder and nothing else.
            let named = MinionId::parse(name).ok().map(|name| folder.join(name.as_str()));
            named.is_some_and(|path| lists(&path, &value))
        })
    }

    fn judge_new(&self, request: &AuthRequest) -> Result<Judgement, MasterError> {
        let accepted = self.pki.list(KeyState::Accepted)?.len() as u64;
        if self.config.max_minions > 0 && accepted >= self.config.max_minions {
            return Ok(Judgement::Full);
        }
        let (state, judgement) = if self.accepts_unseen(request) {
            (KeyState::Accepted, Judgement::Accept)
        } else {
            (KeyState::Pending, Judgement::Pend)
        };
        self.pki.store(&request.id, state, &request.public_key)?;
        Ok(judgement)
    }

    fn tell(&self, request: &AuthRequest, judgement: Judgement) {
        let mut data = Map::new();
        data.insert("result", matches!(judgement, Judgement::Accept | Judgement::Pend));
        data.insert("act", judgement.act());
        data.insert("id", request.id.as_str());
        data.insert("pub", request.public_key.pem());
        self.fire("salt/auth", data);
    }
}

fn worded(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|number| number.to_string()))
}

/// Whether a file that nobody else can write lists a value on a line of its own.
fn lists(path: &Path, value: &str) -> bool {
    let Ok(metadata) = fs::metadata(path) else { return false };
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o022 != 0 {
        tracing::warn!(path = %path.display(), "others can write this file, so nobody is accepted by it: chmod go-w");
        return false;
    }
    let text = if metadata.is_file() { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#') && line == value)
}
