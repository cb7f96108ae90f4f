//! Filters of Python's `itertools`. Bounded: a template cannot ask for more than a hundred thousand items.

use super::{Args, FilterFn, Outcome};
use crate::Value;

pub(super) const TABLE: &[(&str, FilterFn)] = &[
    ("combinations", |args| choose(args, Kind::Combinations)),
    ("combinations_with_replacement", |args| choose(args, Kind::WithReplacement)),
    ("compress", compress),
    ("permutations", |args| choose(args, Kind::Permutations)),
    ("product", product),
    ("zip", |args| zipped(args, Fill::Shortest)),
    ("zip_longest", |args| zipped(args, Fill::Longest)),
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Combinations,
    WithReplacement,
    Permutations,
}

#[derive(Clone, Copy, PartialEq)]
enum Fill {
    Shortest,
    Longest,
}

fn choose(args: &Args, kind: Kind) -> Outcome {
    let items = super::lists::items(args.value())?;
    let wanted = match args.get(1, "r").and_then(Value::as_int) {
        Some(wanted) => usize::try_from(wanted).map_err(|_| "r must be non-negative")?,
        None if kind == Kind::Permutations => items.len(),
        None => return Err("missing required argument 'r' (pos 2)".to_owned()),
    };
    let mut found = Vec::new();
    pick(&items, wanted, kind, &mut Vec::new(), &mut found)?;
    Ok(Value::List(found))
}

fn pick(
    items: &[Value],
    wanted: usize,
    kind: Kind,
    taken: &mut Vec<usize>,
    found: &mut Vec<Value>,
) -> Result<(), String> {
    if taken.len() == wanted {
        found.push(Value::List(taken.iter().map(|at| items[*at].clone()).collect()));
        return if found.len() > MAX_ITEMS { Err(too_many()) } else { Ok(()) };
    }
    for at in 0..items.len() {
        let fits = match kind {
            Kind::Combinations => taken.last().is_none_or(|last| *last < at),
            Kind::WithReplacement => taken.last().is_none_or(|last| *last <= at),
            Kind::Permutations => !taken.contains(&at),
        };
        if fits {
            taken.push(at);
            pick(items, wanted, kind, taken, found)?;
            taken.pop();
        }
    }
    Ok(())
}

fn compress(args: &Args) -> Outcome {
    let items = super::lists::items(args.value())?;
    let selectors = super::lists::items(args.required(1, "selectors")?)?;
    let kept = items.into_iter().zip(selectors).filter(|(_, selector)| selector.is_truthy());
    Ok(Value::List(kept.map(|(item, _)| item).collect()))
}

/// The lists that are combined: the filtered one and the positional arguments.
fn lists(args: &Args) -> Result<Vec<Vec<Value>>, String> {
    args.values.iter().map(super::lists::items).collect()
}

fn product(args: &Args) -> Outcome {
    let repeat = args.named.get("repeat").and_then(Value::as_int).unwrap_or(1);
    let lists = lists(args)?;
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for _ in 0..repeat.clamp(0, 64) {
        for list in &lists {
            if rows.len().saturating_mul(list.len()) > MAX_ITEMS {
                return Err(too_many());
            }
            rows = rows
                .iter()
                .flat_map(|row| list.iter().map(|item| [row.as_slice(), std::slice::from_ref(item)].concat()))
                .collect();
        }
    }
    Ok(Value::List(rows.into_iter().map(Value::List).collect()))
}

fn zipped(args: &Args, fill: Fill) -> Outcome {
    let lists = lists(args)?;
    let lengths = lists.iter().map(Vec::len);
    let length = if fill == Fill::Shortest { lengths.min() } else { lengths.max() }.unwrap_or(0);
    let missing = args.named.get("fillvalue").cloned().unwrap_or_default();
    let row =
        |at: usize| Value::List(lists.iter().map(|list| list.get(at).unwrap_or(&missing).clone()).collect());
    Ok(Value::List((0..length).map(row).collect()))
}

fn too_many() -> String {
    format!("more than {MAX_ITEMS} items")
}

const MAX_ITEMS: usize = 100_000;
