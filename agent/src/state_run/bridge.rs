//! Files, functions and targets for templates, which are synchronous, over the agent's asynchronous parts.
//!
//! A compilation runs on a blocking thread, where waiting for the runtime is allowed. A file is asked for once per
//! compilation: an import in fifty state files costs one look at the master.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use states::{FileError, Files, FunctionError, Functions, Map, Matcher, RenderContext, Value};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{
    files::{FileClient, SaltPath},
    modules::{CallContext, ModuleError},
    services::Services,
};

/// The file server as templates see it.
pub struct FileBridge {
    files: FileClient,
    runtime: Handle,
    held: Mutex<Held>,
}

/// What was read in this compilation, by saltenv and path.
type Held = HashMap<(String, String), Option<Vec<u8>>>;

impl FileBridge {
    /// A bridge for one compilation over the services' file server.
    #[must_use]
    pub fn new(services: Arc<Services>, runtime: Handle) -> Self {
        Self::over(services.files.clone(), runtime)
    }

    /// A bridge for one compilation over any file server.
    #[must_use]
    pub fn over(files: FileClient, runtime: Handle) -> Self {
        Self { files, runtime, held: Mutex::default() }
    }
}

impl Files for FileBridge {
    fn read(&self, saltenv: &str, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        let key = (saltenv.to_owned(), path.to_owned());
        if let Some(held) = self.held.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(held.clone());
        }
        let refuse = |error: &dyn ToString| FileError { path: path.to_owned(), reason: error.to_string() };
        let (parsed, env) = SaltPath::parse(path).map_err(|error| refuse(&error))?;
        let env = env.unwrap_or_else(|| saltenv.to_owned());
        let read = self.runtime.block_on(self.files.read(&env, &parsed)).map_err(|error| refuse(&error))?;
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(key, read.clone());
        Ok(read)
    }

    fn list(&self, saltenv: &str) -> Result<Vec<String>, FileError> {
        let listed = self.runtime.block_on(self.files.list(saltenv, ""));
        listed.map_err(|error| FileError { path: String::new(), reason: error.to_string() })
    }

    fn envs(&self) -> Result<Vec<String>, FileError> {
        let envs = self.runtime.block_on(self.files.envs());
        envs.map_err(|error| FileError { path: String::new(), reason: error.to_string() })
    }
}

/// The execution modules as templates call them; pillar functions see the pillar of this run.
pub struct FunctionBridge {
    services: Arc<Services>,
    runtime: Handle,
    pillar: Arc<Value>,
    cancel: CancellationToken,
}

impl FunctionBridge {
    /// A bridge for one run.
    #[must_use]
    pub fn new(services: Arc<Services>, runtime: Handle, context: &RenderContext) -> Self {
        let cancel = services.tasks.token();
        Self { services, runtime, pillar: Arc::new(context.pillar.clone()), cancel }
    }

    /// The same for a run that can be killed: what a template called then ends.
    #[must_use]
    pub fn heeding(self, cancel: CancellationToken) -> Self {
        Self { cancel, ..self }
    }
}

impl Functions for FunctionBridge {
    fn call(&self, fun: &str, args: Vec<Value>, kwargs: Map) -> Result<Value, FunctionError> {
        let call = CallContext::new(Arc::clone(&self.services), self.cancel.clone())
            .with_pillar(Arc::clone(&self.pillar));
        let called = self.runtime.block_on(self.services.modules.call(fun, args, kwargs, &call));
        called.map_err(|error| match &error {
            ModuleError::NotAvailable { fun } => FunctionError::NotFound(fun.clone()),
            ModuleError::Execution(_)
            | ModuleError::Invocation(_)
            | ModuleError::Arguments(_)
            | ModuleError::Exception { .. }
            | ModuleError::Cancelled => FunctionError::Failed(error.to_string()),
        })
    }

    fn exists(&self, fun: &str) -> bool {
        self.services.modules.find(fun).is_some()
    }
}

/// Top file matching with the grains and the pillar of this run.
#[must_use]
pub fn matcher(services: &Arc<Services>, context: &RenderContext) -> Arc<Matcher> {
    let id = services.config.id.to_string();
    let (grains, pillar) = (proto::to_value(&context.grains), proto::to_value(&context.pillar));
    let groups = context.opts.get("nodegroups").and_then(Value::as_map).cloned().unwrap_or_default();
    Arc::new(move |target: &Value, kind: &str| {
        let expanded;
        let (target, kind) = match (kind, target.as_str()) {
            ("nodegroup", Some(name)) => match group(name, &groups, &mut Vec::new()) {
                Some(members) => {
                    expanded = members.into();
                    (&expanded, "compound")
                }
                None => return false,
            },
            ("compound", Some(text)) if text.contains("N@") => {
                expanded = without_groups(text, &groups, &mut Vec::new()).into();
                (&expanded, kind)
            }
            _ => (target, kind),
        };
        let facts = proto::target::MinionFacts {
            id: &id,
            grains: &grains,
            pillar: &pillar,
            data: &proto::Value::Nil,
        };
        let kind = proto::target::TargetType::from(kind);
        let target = proto::to_value(target);
        let matched = proto::target::matches(&target, &kind, &facts, proto::target::DEFAULT_DELIMITER);
        matched.unwrap_or_else(|error| {
            tracing::warn!(%error, "a target of the top file cannot be decided");
            false
        })
    })
}

/// The members of a nodegroup as a compound target; nothing for one that is not there or names itself.
fn group(name: &str, groups: &Map, open: &mut Vec<String>) -> Option<String> {
    if open.iter().any(|known| known == name) {
        tracing::warn!(name, "a nodegroup names itself");
        return None;
    }
    let members = match groups.get(name)? {
        Value::List(words) => words.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        text @ (Value::Nil
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Bytes(_)
        | Value::Map(_)) => text.to_string(),
    };
    open.push(name.to_owned());
    let members = without_groups(&members, groups, open);
    open.pop();
    Some(members)
}

/// A compound target with `N@group` replaced by what the group holds; a group that is not there holds nobody.
fn without_groups(text: &str, groups: &Map, open: &mut Vec<String>) -> String {
    let words = text.split_whitespace().map(|word| match word.strip_prefix("N@") {
        Some(name) => {
            group(name, groups, open).map_or_else(|| "L@".to_owned(), |members| format!("( {members} )"))
        }
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodegroups_are_replaced_by_their_members() {
        let groups = "{web: 'G@role:web', all: 'N@web or m9', list: [m1, or, N@web], loop: 'N@loop or m1'}";
        let groups = states::yaml::load(groups).unwrap().as_map().cloned().unwrap();
        let of = |name: &str| group(name, &groups, &mut Vec::new());
        assert_eq!(of("all").as_deref(), Some("( G@role:web ) or m9"));
        assert_eq!(of("list").as_deref(), Some("m1 or ( G@role:web )"));
        assert_eq!(of("loop").as_deref(), Some("L@ or m1"));
        assert_eq!(of("nobody"), None);
    }
}
