//! The order of a run, and which chunk depends on which.
//!
//! 3008 sorts the chunks along their requisites, ties by `order` and then by text; a target that does not exist or
//! a circle of requisites refuses the whole run. 3006 and 3007 sort by `order` and text alone and pull requisites in
//! while running; a missing target fails that state only.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::fnmatch;
use super::fnmatch::is_pattern;
use super::low::Draft;
use crate::low::{Dependency, Visit};
use crate::{LowChunk, LowState, Order, RequisiteKind, Series, StateFunctions, Target, Value};

pub(super) fn order(
    mut drafts: Vec<Draft>,
    rendered: &[String],
    functions: &dyn StateFunctions,
    series: Series,
) -> Result<LowState, Vec<String>> {
    drafts = once_per_tag(drafts);
    for draft in &mut drafts {
        watch_without_mod_watch(&mut draft.chunk, functions);
    }
    settle_order(&mut drafts);
    if series < Series::V3008 {
        drafts.sort_by(|one, other| {
            rank(&one.chunk).partial_cmp(&rank(&other.chunk)).unwrap_or(Ordering::Equal)
        });
    }
    // An SLS without states satisfies a requisite on it in the older series only.
    let known: &[String] = if series < Series::V3008 { rendered } else { &[] };
    let mut graph = Graph::new(&drafts, known);
    let mut errors = graph.link(&drafts, series);
    let sequence = if series < Series::V3008 {
        (0..drafts.len()).map(|chunk| Visit { chunk, dry: false }).collect()
    } else {
        match graph.sorted(&drafts) {
            Ok(sequence) => sequence,
            Err(cycle) => {
                errors.push(format!("Recursive requisites were found: {cycle}"));
                Vec::new()
            }
        }
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(graph.into_low_state(drafts, sequence, rendered))
}

/// A chunk without company.
pub(crate) fn alone(chunk: LowChunk) -> LowState {
    LowState {
        chunks: vec![chunk],
        sequence: vec![Visit { chunk: 0, dry: false }],
        dependencies: vec![Vec::new()],
        dry_dependencies: vec![Vec::new()],
        missing: vec![Vec::new()],
        ..LowState::default()
    }
}

/// Two chunks with one tag have one return; the later one counts.
fn once_per_tag(drafts: Vec<Draft>) -> Vec<Draft> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<Draft> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        match places.get(&draft.chunk.tag()) {
            Some(at) => kept[*at] = draft,
            None => {
                places.insert(draft.chunk.tag(), kept.len());
                kept.push(draft);
            }
        }
    }
    kept
}

/// `watch` means `require` for a state module that has no `mod_watch`.
fn watch_without_mod_watch(chunk: &mut LowChunk, functions: &dyn StateFunctions) {
    let watches =
        chunk.requisites.iter().any(|r| matches!(r.kind, RequisiteKind::Watch | RequisiteKind::WatchAny));
    if !watches || functions.exists(&format!("{}.mod_watch", chunk.state)) {
        return;
    }
    for requisite in &mut chunk.requisites {
        requisite.kind = match requisite.kind {
            RequisiteKind::Watch => RequisiteKind::Require,
            RequisiteKind::WatchAny => RequisiteKind::RequireAny,
            other => other,
        };
    }
}

/// Turns `order: first | last | N | -N` and places in `names` into numbers.
fn settle_order(drafts: &mut [Draft]) {
    let mut cap = 1;
    for draft in drafts.iter() {
        if let Value::Int(order) = draft.order
            && order > cap - 1
            && order > 0
        {
            cap = order + 100;
        }
    }
    let cap = cap as f64;
    for draft in drafts {
        let mut order = match &draft.order {
            Value::Int(order) => *order as f64,
            // Python's True is 1.
            Value::Bool(order) => f64::from(u8::from(*order)),
            Value::Float(order) => *order,
            Value::Str(word) if word == "last" => cap + LAST,
            Value::Str(word) if word == "first" => 0.0,
            _ => cap,
        };
        draft.said_order = order;
        if draft.name_order > 0 {
            order += f64::from(draft.name_order) / 10_000.0;
        }
        if order < 0.0 {
            order += cap + LAST;
        }
        draft.chunk.order = Order(order);
    }
}

/// What breaks ties between chunks of equal order.
fn label(chunk: &LowChunk) -> String {
    format!("{}{}{}", chunk.state, chunk.name, chunk.fun)
}

fn rank(chunk: &LowChunk) -> (f64, String) {
    (chunk.order.0, label(chunk))
}

/// A node of the graph: a chunk, or its dry run for a `prereq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Node {
    chunk: usize,
    dry: bool,
}

struct Graph {
    by_name: HashMap<(String, String), Vec<usize>>,
    by_id: HashMap<String, Vec<usize>>,
    by_sls: BTreeMap<String, Vec<usize>>,
    /// Edges to a node from what it depends on, in the order they were found.
    incoming: HashMap<Node, Vec<(Node, RequisiteKind)>>,
    outgoing: HashMap<Node, Vec<(Node, RequisiteKind)>>,
    dry: BTreeSet<usize>,
    missing: Vec<Vec<(RequisiteKind, Target)>>,
}

impl Graph {
    fn new(drafts: &[Draft], rendered: &[String]) -> Graph {
        let mut graph = Graph {
            by_name: HashMap::new(),
            by_id: HashMap::new(),
            by_sls: rendered.iter().map(|sls| (sls.clone(), Vec::new())).collect(),
            incoming: HashMap::new(),
            outgoing: HashMap::new(),
            dry: BTreeSet::new(),
            missing: vec![Vec::new(); drafts.len()],
        };
        for (at, Draft { chunk, .. }) in drafts.iter().enumerate() {
            let mut words = vec![chunk.id.clone()];
            if chunk.name != chunk.id {
                words.push(chunk.name.clone());
            }
            for word in words {
                graph.by_name.entry((chunk.state.clone(), word.clone())).or_default().push(at);
                graph.by_id.entry(word).or_default().push(at);
            }
            graph.by_sls.entry(chunk.sls.clone()).or_default().push(at);
            for sls in
                chunk.keywords.get("__sls_included_from__").and_then(Value::as_list).unwrap_or_default()
            {
                let list = graph.by_sls.entry(sls.to_string()).or_default();
                if !list.contains(&at) {
                    list.push(at);
                }
            }
        }
        graph
    }

    /// Adds the edges of every requisite. Errors are those of 3008; the older series keep what is missing.
    fn link(&mut self, drafts: &[Draft], series: Series) -> Vec<String> {
        let mut errors = Vec::new();
        for (at, draft) in drafts.iter().enumerate() {
            if let Some((kind, module)) = &draft.illegal {
                errors.push(format!(
                    "Requisite [{}: {module}] in state [{}] in SLS [{}] must have a string as the value",
                    kind.name(),
                    draft.chunk.name,
                    draft.chunk.sls
                ));
                continue;
            }
            let error = self.link_chunk(at, &draft.chunk, drafts);
            errors.extend(error.filter(|_| series >= Series::V3008));
        }
        errors
    }

    /// The first target that does not exist, in 3008's words.
    fn link_chunk(&mut self, at: usize, chunk: &LowChunk, drafts: &[Draft]) -> Option<String> {
        let mut error = None;
        for kind in LINKED {
            for target in chunk.targets(kind) {
                let Some(found) = self.find(target, drafts) else {
                    self.missing[at].push((kind, target.clone()));
                    error.get_or_insert_with(|| {
                        format!(
                            "Referenced state does not exist for requisite [{}: ({}: {})] in state [{}] in SLS [{}]",
                            kind.name(),
                            target.state,
                            target.name,
                            chunk.name,
                            chunk.sls
                        )
                    });
                    continue;
                };
                for dependency in found {
                    self.depend(at, kind, dependency);
                }
            }
        }
        error
    }

    /// The chunks a target names; `None` when there is no such thing.
    fn find(&self, target: &Target, drafts: &[Draft]) -> Option<Vec<usize>> {
        let Target { state, name } = target;
        if state == "sls" {
            if !is_pattern(name) {
                return self.by_sls.get(name).cloned();
            }
            let matching = self.by_sls.iter().filter(|(sls, _)| fnmatch(sls, name));
            return Some(matching.flat_map(|(_, chunks)| chunks.iter().copied()).collect());
        }
        let found: Vec<usize> = if is_pattern(name) {
            let fits = |chunk: &LowChunk| {
                (state == "id" || chunk.state == *state)
                    && (fnmatch(&chunk.id, name) || fnmatch(&chunk.name, name))
            };
            (0..drafts.len()).filter(|at| fits(&drafts[*at].chunk)).collect()
        } else if state == "id" {
            self.by_id.get(name).cloned().unwrap_or_default()
        } else {
            self.by_name.get(&(state.clone(), name.clone())).cloned().unwrap_or_default()
        };
        (!found.is_empty()).then_some(found)
    }

    fn depend(&mut self, at: usize, kind: RequisiteKind, on: usize) {
        let node = Node { chunk: at, dry: false };
        let target = Node { chunk: on, dry: false };
        if kind != RequisiteKind::Prereq {
            if self.dry.contains(&at) {
                self.edge(target, Node { chunk: at, dry: true }, kind);
            }
            self.edge(target, node, kind);
            return;
        }
        let check = Node { chunk: on, dry: true };
        if self.dry.insert(on) {
            for (source, kind) in self.incoming.get(&target).cloned().unwrap_or_default() {
                if kind != RequisiteKind::Prereq {
                    self.edge(source, check, kind);
                }
            }
        }
        self.edge(check, node, RequisiteKind::Prereq);
        self.edge(node, target, RequisiteKind::Require);
        if self.dry.contains(&at) {
            self.edge(check, Node { chunk: at, dry: true }, RequisiteKind::Prereq);
        }
    }

    fn edge(&mut self, from: Node, to: Node, kind: RequisiteKind) {
        let incoming = self.incoming.entry(to).or_default();
        if incoming.contains(&(from, kind)) {
            return;
        }
        incoming.push((from, kind));
        self.outgoing.entry(from).or_default().push((to, kind));
    }

    fn nodes(&self, count: usize) -> impl Iterator<Item = Node> {
        let real = (0..count).map(|chunk| Node { chunk, dry: false });
        real.chain(self.dry.iter().map(|chunk| Node { chunk: *chunk, dry: true }))
    }

    /// Every node after what it depends on, ties by order and text; or the circle that makes it impossible.
    fn sorted(&self, drafts: &[Draft]) -> Result<Vec<Visit>, String> {
        let labels: Vec<String> = drafts.iter().map(|draft| label(&draft.chunk)).collect();
        let mut waiting: HashMap<Node, usize> = self
            .nodes(drafts.len())
            .map(|node| (node, self.incoming.get(&node).map_or(0, Vec::len)))
            .collect();
        let key = |node: Node| Key {
            order: self.effective_order(node, drafts),
            own: drafts[node.chunk].chunk.order.0,
            label: &labels[node.chunk],
            node,
        };
        let mut ready: BTreeSet<Key<'_>> =
            self.nodes(drafts.len()).filter(|node| waiting[node] == 0).map(key).collect();
        let mut sequence = Vec::with_capacity(waiting.len());
        while let Some(Key { node, .. }) = ready.pop_first() {
            sequence.push(Visit { chunk: node.chunk, dry: node.dry });
            for (next, _) in self.outgoing.get(&node).map_or(&[][..], Vec::as_slice) {
                if let Some(left) = waiting.get_mut(next) {
                    *left -= 1;
                    if *left == 0 {
                        ready.insert(key(*next));
                    }
                }
            }
        }
        if sequence.len() == waiting.len() { Ok(sequence) } else { Err(self.cycle(drafts)) }
    }

    /// A chunk comes no later than the earliest of those that wait for it by the strongest requisite so far.
    fn effective_order(&self, node: Node, drafts: &[Draft]) -> f64 {
        let own = drafts[node.chunk].chunk.order.0;
        let mut strongest = None;
        let mut earliest = f64::INFINITY;
        for (child, kind) in self.outgoing.get(&node).map_or(&[][..], Vec::as_slice) {
            if strongest.is_none_or(|strongest| strongest <= weight(*kind)) {
                strongest = Some(weight(*kind));
                earliest = earliest.min(self.order_seen_by(node, *child, drafts));
            }
        }
        own.min(earliest)
    }

    /// Salt settles negative orders and places in `names` when it reaches a chunk: until then others see what was
    /// said. Only the target of a `prereq` was reached before, by its dry run.
    fn order_seen_by(&self, node: Node, child: Node, drafts: &[Draft]) -> f64 {
        let check = (Node { chunk: child.chunk, dry: true }, RequisiteKind::Prereq);
        let reached = self.dry.contains(&child.chunk)
            && self.incoming.get(&node).is_some_and(|incoming| incoming.contains(&check));
        let draft = &drafts[child.chunk];
        if reached { draft.chunk.order.0 } else { draft.said_order }
    }

    /// The edges of one circle, as Salt writes them.
    fn cycle(&self, drafts: &[Draft]) -> String {
        let edges = self.find_cycle(drafts.len());
        let describe = |chunk: &LowChunk| {
            let name =
                if chunk.id == chunk.name { String::new() } else { format!(", 'NAME': '{}'", chunk.name) };
            format!("{{'SLS': '{}', 'ID': '{}'{name}}}", chunk.sls, chunk.id)
        };
        let written = edges.iter().map(|(from, to, kind)| {
            let (dependency, dependent) = (&drafts[from.chunk].chunk, &drafts[to.chunk].chunk);
            let declared = dependent.requisites.iter().any(|requisite| requisite.kind == *kind);
            let kind =
                if *kind == RequisiteKind::Require && !declared { RequisiteKind::Prereq } else { *kind };
            format!("({}, '{}', {})", describe(dependent), kind.name(), describe(dependency))
        });
        written.collect::<Vec<_>>().join(", ")
    }

    /// Depth first with a stack of its own, so that long chains cannot exhaust the thread's.
    fn find_cycle(&self, count: usize) -> Vec<(Node, Node, RequisiteKind)> {
        let mut done: BTreeSet<Node> = BTreeSet::new();
        for start in self.nodes(count) {
            let mut path: Vec<(Node, usize)> = vec![(start, 0)];
            while let Some((node, next)) = path.last().copied() {
                let edges = self.outgoing.get(&node).map_or(&[][..], Vec::as_slice);
                let Some((target, kind)) = edges.get(next).copied() else {
                    done.insert(node);
                    path.pop();
                    continue;
                };
                if let Some(last) = path.last_mut() {
                    last.1 += 1;
                }
                if let Some(from) = path.iter().position(|(node, _)| *node == target) {
                    return self.close(&path[from..], (node, target, kind));
                }
                if !done.contains(&target) {
                    path.push((target, 0));
                }
            }
        }
        Vec::new()
    }

    fn close(
        &self,
        path: &[(Node, usize)],
        last: (Node, Node, RequisiteKind),
    ) -> Vec<(Node, Node, RequisiteKind)> {
        let mut edges = Vec::new();
        for pair in path.windows(2) {
            let taken = self.outgoing.get(&pair[0].0).and_then(|edges| edges.get(pair[0].1 - 1));
            if let Some((target, kind)) = taken {
                edges.push((pair[0].0, *target, *kind));
            }
        }
        edges.push(last);
        edges
    }

    fn into_low_state(self, drafts: Vec<Draft>, sequence: Vec<Visit>, rendered: &[String]) -> LowState {
        let dependencies = |dry: bool| -> Vec<Vec<Dependency>> {
            (0..drafts.len())
                .map(|chunk| {
                    let edges = self.incoming.get(&Node { chunk, dry }).map_or(&[][..], Vec::as_slice);
                    edges.iter().map(|(from, kind)| Dependency { kind: *kind, chunk: from.chunk }).collect()
                })
                .collect()
        };
        LowState {
            dependencies: dependencies(false),
            dry_dependencies: dependencies(true),
            missing: self.missing,
            chunks: drafts.into_iter().map(|draft| draft.chunk).collect(),
            sequence,
            rendered: rendered.to_vec(),
            nothing: None,
            disabled: Vec::new(),
        }
    }
}

/// What the ready nodes are sorted by.
#[derive(PartialEq)]
struct Key<'a> {
    order: f64,
    own: f64,
    label: &'a str,
    node: Node,
}

impl Eq for Key<'_> {}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order
            .total_cmp(&other.order)
            .then(self.own.total_cmp(&other.own))
            .then(self.label.cmp(other.label))
            .then(self.node.cmp(&other.node))
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Salt's precedence of requisites when they disagree about the order.
fn weight(kind: RequisiteKind) -> u8 {
    match kind {
        RequisiteKind::Onfail => 0,
        RequisiteKind::OnfailAny => 1,
        RequisiteKind::OnfailAll => 2,
        RequisiteKind::Require => 3,
        RequisiteKind::RequireAny => 4,
        RequisiteKind::Onchanges => 5,
        RequisiteKind::OnchangesAny => 6,
        RequisiteKind::Watch => 7,
        RequisiteKind::WatchAny => 8,
        RequisiteKind::Prereq => 9,
        RequisiteKind::Prerequired => 10,
        RequisiteKind::Listen => 11,
    }
}

/// The requisites that order chunks, in the order Salt looks at them.
const LINKED: [RequisiteKind; 10] = [
    RequisiteKind::Require,
    RequisiteKind::RequireAny,
    RequisiteKind::Watch,
    RequisiteKind::WatchAny,
    RequisiteKind::Prereq,
    RequisiteKind::Onfail,
    RequisiteKind::OnfailAny,
    RequisiteKind::OnfailAll,
    RequisiteKind::Onchanges,
    RequisiteKind::OnchangesAny,
];

/// How far behind everything else `last` is.
const LAST: f64 = 1_000_000.0;
