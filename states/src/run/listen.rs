//! `listen` and `listen_in`: `mod_watch` at the end of the run for what changed.

use super::{Run, returns};
use crate::low::Visit;
use crate::{LowChunk, Map, RequisiteKind, Target, Value};

/// Who listens to what: the listener by module and ID (or name), and the target.
struct Listener {
    state: String,
    who: String,
    target: Target,
}

impl Run {
    /// Adds the calls of `mod_watch` that the run's changes ask for.
    pub(super) fn listen(&mut self) {
        self.listened = true;
        let mut added: Vec<LowChunk> = Vec::new();
        for listener in self.listeners() {
            let targets = self.chunks_of(&listener.target.state, &listener.target.name);
            if targets.is_empty() {
                self.lose(&listener.target.state, &listener.target.name);
                continue;
            }
            for target in targets {
                let changed = self.running[target]
                    .as_ref()
                    .is_some_and(|ret| ret.get("changes").is_some_and(Value::is_truthy));
                if !changed {
                    continue;
                }
                let who = self.chunks_of(&listener.state, &listener.who);
                if who.is_empty() {
                    self.lose(&listener.state, &listener.who);
                }
                added.extend(who.into_iter().map(|at| watcher(&self.low.chunks[at])));
            }
        }
        for chunk in added {
            self.append(chunk);
        }
    }

    fn listeners(&self) -> Vec<Listener> {
        let mut listeners = Vec::new();
        for chunk in self.in_sequence().map(|at| &self.low.chunks[at]) {
            for target in chunk.targets(RequisiteKind::Listen) {
                if let Some(target) = self.with_module(target) {
                    listeners.push(Listener { state: chunk.state.clone(), who: chunk.id.clone(), target });
                }
            }
            let listen_in = chunk.keywords.get("listen_in").and_then(Value::as_list).unwrap_or_default();
            for (state, who) in listen_in.iter().filter_map(Value::as_map).flatten() {
                let target = Target { state: chunk.state.clone(), name: chunk.id.clone() };
                listeners.push(Listener { state: state.to_string(), who: who.to_string(), target });
            }
        }
        listeners
    }

    /// A target given by ID alone gets the module of the chunk of that ID or name.
    fn with_module(&self, target: &Target) -> Option<Target> {
        if target.state != "id" {
            return Some(target.clone());
        }
        let found =
            self.low.chunks.iter().rev().find(|chunk| chunk.id == target.name || chunk.name == target.name);
        found.map(|chunk| Target { state: chunk.state.clone(), name: chunk.id.clone() })
    }

    fn chunks_of(&self, state: &str, name: &str) -> Vec<usize> {
        let fits = |chunk: &LowChunk| chunk.state == state && (chunk.id == name || chunk.name == name);
        self.in_sequence().filter(|at| fits(&self.low.chunks[*at])).collect()
    }

    /// Every chunk once, by its first place in the order of the run.
    fn in_sequence(&self) -> impl Iterator<Item = usize> {
        let mut seen = vec![false; self.low.chunks.len()];
        self.low
            .sequence
            .iter()
            .map(|visit| visit.chunk)
            .filter(move |at| !std::mem::replace(&mut seen[*at], true))
    }

    fn append(&mut self, chunk: LowChunk) {
        let tag = chunk.tag();
        if self.low.chunks.iter().any(|known| known.tag() == tag) {
            return;
        }
        self.low.sequence.push(Visit { chunk: self.low.chunks.len(), dry: false });
        self.low.chunks.push(chunk);
        self.low.dependencies.push(Vec::new());
        self.low.dry_dependencies.push(Vec::new());
        self.low.missing.push(Vec::new());
        self.running.push(None);
        self.flying.push(false);
        self.pre.push(None);
    }

    fn lose(&mut self, state: &str, name: &str) {
        let tag = format!("Listen_Error_|-listen_{name}_|-listen_{state}_|-Listen_Error");
        let comment = format!("Referenced state {state}: {name} does not exist");
        let mut ret = returns::bare(Some(false), &comment, self.run_num);
        ret.insert("name", format!("listen_{state}:{name}"));
        self.run_num += 1;
        if !self.lost.iter().any(|(known, _)| *known == tag) {
            self.lost.push((tag, ret));
        }
    }
}

/// The listener's chunk as the call of its `mod_watch`.
fn watcher(chunk: &LowChunk) -> LowChunk {
    let mut watcher = chunk.clone();
    watcher.args.insert("sfun", chunk.fun.as_str());
    watcher.fun = "mod_watch".to_owned();
    watcher.id = format!("listener_{}", chunk.id);
    watcher.requisites = Vec::new();
    watcher.keywords = Map::from_iter(
        chunk
            .keywords
            .iter()
            .filter(|(key, _)| key.as_str() != Some("listen_in"))
            .map(|(k, v)| (k.clone(), v.clone())),
    );
    watcher
}
