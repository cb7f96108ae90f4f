//! From composed nodes to values: tags, merge keys, duplicate keys.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::resolve::{Kind, float_value, int_value, kind_of, truth_of};
use super::{Content, Node, YamlError};
use crate::{Map, Value};

pub(super) fn construct(root: &Node) -> Result<Value, YamlError> {
    Builder { nodes: 0 }.value(root)
}

struct Builder {
    nodes: usize,
}

impl Builder {
    fn value(&mut self, node: &Node) -> Result<Value, YamlError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(YamlError::at(format!("more than {MAX_NODES} nodes"), node));
        }
        let tag = node.tag.as_deref().map(|tag| tag.strip_prefix(CORE).unwrap_or(tag));
        match &node.content {
            Content::Scalar { text, plain } => scalar(node, text, *plain, tag),
            Content::List(items) => self.list(node, items, tag),
            Content::Map(_) => self.map_by_tag(node, tag),
        }
    }

    fn list(&mut self, node: &Node, items: &[Rc<Node>], tag: Option<&str>) -> Result<Value, YamlError> {
        match tag {
            None | Some("seq" | "!" | "pairs") => {
                Ok(Value::List(items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?))
            }
            Some("map" | "omap" | "set") => {
                Err(YamlError::at("expected a mapping node, but found sequence", node))
            }
            Some(other) => Err(unknown_tag(other, node)),
        }
    }

    fn map_by_tag(&mut self, node: &Node, tag: Option<&str>) -> Result<Value, YamlError> {
        match tag {
            None | Some("map" | "omap" | "set" | "!") => self.map(node).map(Value::Map),
            Some("seq" | "pairs") => Err(YamlError::at("expected a sequence node, but found mapping", node)),
            Some(other) => Err(unknown_tag(other, node)),
        }
    }

    fn map(&mut self, node: &Node) -> Result<Map, YamlError> {
        let mut map = Map::new();
        for (key_node, value_node) in self.flatten(node)? {
            let key = self.value(&key_node)?;
            if matches!(key, Value::List(_) | Value::Map(_)) {
                return Err(YamlError::at(
                    "found unacceptable key: a mapping or a list cannot be a key (perhaps {{ }} that was not rendered)",
                    &key_node,
                ));
            }
            let value = self.value(&value_node)?;
            if map.get_value(&key).is_some() {
                return Err(YamlError::at(format!("found conflicting ID '{key}'"), &key_node));
            }
            map.insert(key, value);
        }
        Ok(map)
    }

    /// The pairs of a mapping with its merge keys resolved: merged pairs first, own keys winning.
    fn flatten(&mut self, node: &Node) -> Result<Vec<Pair>, YamlError> {
        let Content::Map(pairs) = &node.content else { return Ok(Vec::new()) };
        if !pairs.iter().any(|(key, _)| is_merge(key)) {
            return Ok(pairs.clone());
        }
        let mut merged = Vec::new();
        let mut own = Vec::new();
        for (key, value) in pairs {
            if is_merge(key) {
                merged.extend(self.merge_source(node, value)?);
            } else {
                own.push((Rc::clone(key), Rc::clone(value)));
            }
        }
        self.nodes += merged.len();
        if self.nodes > MAX_NODES {
            return Err(YamlError::at(format!("more than {MAX_NODES} nodes"), node));
        }
        merged.retain(|(key, _)| !own.iter().any(|(other, _)| same_scalar(key, other)));
        merged.extend(own);
        Ok(merged)
    }

    fn merge_source(&mut self, node: &Node, source: &Node) -> Result<Vec<Pair>, YamlError> {
        let refuse = |found: &Node, wanted: &str| {
            let problem = format!("expected {wanted} for merging, but found {}", found.kind());
            Err(YamlError::at(problem, if found.line > 0 { found } else { node }))
        };
        match &source.content {
            Content::Map(_) => self.flatten(source),
            Content::List(items) => {
                let mut merged = Vec::new();
                for item in items.iter().rev() {
                    if !matches!(item.content, Content::Map(_)) {
                        return refuse(item, "a mapping");
                    }
                    merged.extend(self.flatten(item)?);
                }
                Ok(merged)
            }
            Content::Scalar { .. } => refuse(source, "a mapping or list of mappings"),
        }
    }
}

type Pair = (Rc<Node>, Rc<Node>);

fn is_merge(key: &Node) -> bool {
    matches!(&key.content, Content::Scalar { text, plain: true } if key.tag.is_none() && text == "<<")
}

fn same_scalar(one: &Node, other: &Node) -> bool {
    match (&one.content, &other.content) {
        (Content::Scalar { text: one, .. }, Content::Scalar { text: other, .. }) => one == other,
        (_, _) => false,
    }
}

fn scalar(node: &Node, text: &str, plain: bool, tag: Option<&str>) -> Result<Value, YamlError> {
    let invalid = |what: &str| YamlError::at(format!("{what}: '{text}'"), node);
    match tag {
        None | Some("!") if plain => match kind_of(text) {
            Kind::Nil => Ok(Value::Nil),
            Kind::Bool => Ok(Value::Bool(truth_of(text).unwrap_or_default())),
            Kind::Int => int_value(text).ok_or_else(|| invalid("not a whole number")),
            Kind::Float => float_value(text).ok_or_else(|| invalid("not a number")),
            Kind::Merge => Err(unknown_tag("merge", node)),
            Kind::Text if text == "=" => Err(unknown_tag("value", node)),
            Kind::Text => Ok(Value::from(text)),
        },
        None | Some("str" | "!" | "timestamp" | "python/unicode") => Ok(Value::from(text)),
        Some("int") => int_value(text).ok_or_else(|| invalid("not a whole number")),
        Some("float") => float_value(text).ok_or_else(|| invalid("not a number")),
        Some("bool") => truth_of(&text.to_lowercase()).map(Value::Bool).ok_or_else(|| invalid("not a bool")),
        Some("null") => Ok(Value::Nil),
        Some("binary") => {
            let clean: String = text.chars().filter(|c| !c.is_whitespace() && *c != '=').collect();
            let bytes = STANDARD_NO_PAD.decode(clean);
            bytes.map(Value::Bytes).map_err(|_| YamlError::at("failed to decode base64 data", node))
        }
        // An empty value under a collection's tag, as in `key: !!map`.
        Some("map" | "omap" | "set") if text.is_empty() || text == "~" => Ok(Value::Map(Map::new())),
        Some("seq") if text.is_empty() || text == "~" => Ok(Value::List(Vec::new())),
        Some(kind @ ("map" | "omap" | "set" | "seq" | "pairs")) => {
            Err(YamlError::at(format!("expected a {kind} node, but found scalar"), node))
        }
        Some(other) => Err(unknown_tag(other, node)),
    }
}

fn unknown_tag(tag: &str, node: &Node) -> YamlError {
    let full = if tag.starts_with('!') { tag.to_owned() } else { format!("{CORE}{tag}") };
    YamlError::at(format!("could not determine a constructor for the tag '{full}'"), node)
}

const CORE: &str = "tag:yaml.org,2002:";

/// Far above any state tree, far below what aliases of aliases can be made to expand to.
const MAX_NODES: usize = 2_000_000;
