//! A unified diff as Salt shows it: Python's `difflib` layout with three lines around each change and empty names.
//!
//! The matching is `difflib.SequenceMatcher`'s own (longest block first, popular lines ignored in long texts), so
//! that the same lines are shown as changed.

use std::collections::HashMap;

/// The diff of two files, or Salt's sentence when one is binary.
#[must_use]
pub fn unified(old: &[u8], new: &[u8]) -> String {
    let (Some(old), Some(new)) = (text(old), text(new)) else {
        return match (text(old), text(new)) {
            (None, None) => "Replace binary file",
            (None, _) => "Replace binary file with text file",
            (_, _) => "Replace text file with binary file",
        }
        .to_owned();
    };
    let (old, new): (Vec<&str>, Vec<&str>) =
        (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    unified_lines(&old, &new).concat()
}

/// `difflib.unified_diff` of lines: one text per line of the diff, none for equal lines.
#[must_use]
pub fn unified_lines(old: &[&str], new: &[&str]) -> Vec<String> {
    let mut shown = Vec::new();
    for hunk in hunks(&blocks(old, new), old.len(), new.len()) {
        if shown.is_empty() {
            shown.extend(["--- \n".to_owned(), "+++ \n".to_owned()]);
        }
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { continue };
        let from = range(first.old.0, last.old.1 - first.old.0);
        let to = range(first.new.0, last.new.1 - first.new.0);
        shown.push(format!("@@ -{from} +{to} @@\n"));
        for step in &hunk {
            if step.same {
                shown.extend(old[step.old.0..step.old.1].iter().map(|line| format!(" {line}")));
                continue;
            }
            shown.extend(old[step.old.0..step.old.1].iter().map(|line| format!("-{line}")));
            shown.extend(new[step.new.0..step.new.1].iter().map(|line| format!("+{line}")));
        }
    }
    shown
}

/// Text as Salt's `is_text` sees it.
fn text(content: &[u8]) -> Option<&str> {
    if content.contains(&0) { None } else { std::str::from_utf8(content).ok() }
}

/// Equal lines: where they begin in both texts, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Block {
    old: usize,
    new: usize,
    size: usize,
}

/// A part of both texts that is the same, or replaced.
#[derive(Clone, Copy, Debug)]
struct Step {
    same: bool,
    old: (usize, usize),
    new: (usize, usize),
}

/// The matching blocks in order, neighbours joined.
fn blocks(old: &[&str], new: &[&str]) -> Vec<Block> {
    let places = places(new);
    let mut open = vec![((0, old.len()), (0, new.len()))];
    let mut found = Vec::new();
    while let Some((of_old, of_new)) = open.pop() {
        let block = longest(old, new, &places, of_old, of_new);
        if block.size == 0 {
            continue;
        }
        let (old_end, new_end) = (block.old + block.size, block.new + block.size);
        found.push(block);
        if of_old.0 < block.old && of_new.0 < block.new {
            open.push(((of_old.0, block.old), (of_new.0, block.new)));
        }
        if old_end < of_old.1 && new_end < of_new.1 {
            open.push(((old_end, of_old.1), (new_end, of_new.1)));
        }
    }
    found.sort_unstable();
    let mut joined: Vec<Block> = Vec::new();
    for block in found {
        match joined.last_mut() {
            Some(last) if last.old + last.size == block.old && last.new + last.size == block.new => {
                last.size += block.size;
            }
            _ => joined.push(block),
        }
    }
    joined
}

/// Where each line is in the new text; lines of a long text that are everywhere are left out.
fn places<'l>(new: &[&'l str]) -> HashMap<&'l str, Vec<usize>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, line) in new.iter().enumerate() {
        places.entry(line).or_default().push(at);
    }
    if new.len() >= LONG {
        let most = new.len() / 100 + 1;
        places.retain(|_, at| at.len() <= most);
    }
    places
}

fn longest(
    old: &[&str],
    new: &[&str],
    places: &HashMap<&str, Vec<usize>>,
    (old_low, old_high): (usize, usize),
    (new_low, new_high): (usize, usize),
) -> Block {
    let mut best = Block { old: old_low, new: new_low, size: 0 };
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for (i, line) in old.iter().enumerate().take(old_high).skip(old_low) {
        let mut next = HashMap::new();
        for &j in places.get(line).map_or(&[][..], Vec::as_slice) {
            if j < new_low {
                continue;
            }
            if j >= new_high {
                break;
            }
            let size = j.checked_sub(1).and_then(|before| lengths.get(&before)).copied().unwrap_or(0) + 1;
            next.insert(j, size);
            if size > best.size {
                best = Block { old: i + 1 - size, new: j + 1 - size, size };
            }
        }
        lengths = next;
    }
    // Lines that were left out of the places can still make the block longer at its ends.
    while best.old > old_low && best.new > new_low && old[best.old - 1] == new[best.new - 1] {
        best = Block { old: best.old - 1, new: best.new - 1, size: best.size + 1 };
    }
    while best.old + best.size < old_high
        && best.new + best.size < new_high
        && old[best.old + best.size] == new[best.new + best.size]
    {
        best.size += 1;
    }
    best
}

/// The steps from one text to the other.
fn steps(blocks: &[Block], old: usize, new: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut i, mut j) = (0, 0);
    for block in blocks.iter().copied().chain([Block { old, new, size: 0 }]) {
        if i < block.old || j < block.new {
            steps.push(Step { same: false, old: (i, block.old), new: (j, block.new) });
        }
        (i, j) = (block.old + block.size, block.new + block.size);
        if block.size > 0 {
            steps.push(Step { same: true, old: (block.old, i), new: (block.new, j) });
        }
    }
    steps
}

/// Steps that belong together: changes whose surroundings touch.
fn hunks(blocks: &[Block], old: usize, new: usize) -> Vec<Vec<Step>> {
    let mut steps = steps(blocks, old, new);
    if let Some(first) = steps.first_mut().filter(|step| step.same) {
        let skip = (first.old.1 - first.old.0).saturating_sub(AROUND);
        (first.old.0, first.new.0) = (first.old.0 + skip, first.new.0 + skip);
    }
    if let Some(last) = steps.last_mut().filter(|step| step.same) {
        let skip = (last.old.1 - last.old.0).saturating_sub(AROUND);
        (last.old.1, last.new.1) = (last.old.1 - skip, last.new.1 - skip);
    }
    let mut hunks = Vec::new();
    let mut hunk: Vec<Step> = Vec::new();
    for step in steps {
        if step.same && step.old.1 - step.old.0 > AROUND * 2 {
            hunk.push(Step {
                old: (step.old.0, step.old.0 + AROUND),
                new: (step.new.0, step.new.0 + AROUND),
                ..step
            });
            hunks.push(std::mem::take(&mut hunk));
            hunk.push(Step {
                old: (step.old.1 - AROUND, step.old.1),
                new: (step.new.1 - AROUND, step.new.1),
                ..step
            });
            continue;
        }
        hunk.push(step);
    }
    hunks.push(hunk);
    hunks.retain(|hunk| hunk.iter().any(|step| !step.same));
    hunks
}

/// `difflib`'s way to name a range of lines.
fn range(start: usize, length: usize) -> String {
    match length {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        _ => format!("{},{length}", start + 1),
    }
}

const AROUND: usize = 3;
/// From this length on, lines that are everywhere do not count.
const LONG: usize = 200;

#[cfg(test)]
mod tests {
    use super::unified;

    // The expected texts are what Python's difflib.unified_diff gives for the same lines.
    #[test]
    fn shows_a_changed_line_with_its_surroundings() {
        let old = b"1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let new = b"1\n2\n3\n4\nfive\n6\n7\n8\n9\n";
        let shown = "--- \n+++ \n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n";
        assert_eq!(unified(old, new), shown);
    }

    #[test]
    fn shows_one_line_files_and_new_ones() {
        assert_eq!(unified(b"a\n", b"b\n"), "--- \n+++ \n@@ -1 +1 @@\n-a\n+b\n");
        assert_eq!(unified(b"", b"a\nb\n"), "--- \n+++ \n@@ -0,0 +1,2 @@\n+a\n+b\n");
        assert_eq!(unified(b"a\nb\n", b"a\n"), "--- \n+++ \n@@ -1,2 +1 @@\n a\n-b\n");
        assert_eq!(unified(b"a\nb\n", b"a\nb\n"), "");
    }

    #[test]
    fn matches_the_longest_block_first_as_difflib_does() {
        let old = b"a\nb\nc\nd\nx\na\nb\n";
        let new = b"x\na\nb\nc\nq\na\nb\nd\n";
        let shown = "--- \n+++ \n@@ -1,7 +1,8 @@\n+x\n a\n b\n c\n-d\n-x\n+q\n a\n b\n+d\n";
        assert_eq!(unified(old, new), shown);
    }

    #[test]
    fn parts_changes_that_are_far_apart() {
        let lines = |first: &str, last: &str| {
            let middle = (0..10).map(|number| format!("{number}\n")).collect::<String>();
            format!("{first}\n{middle}{last}\n")
        };
        let shown = unified(lines("a", "z").as_bytes(), lines("b", "y").as_bytes());
        let expected =
            "--- \n+++ \n@@ -1,4 +1,4 @@\n-a\n+b\n 0\n 1\n 2\n@@ -9,4 +9,4 @@\n 7\n 8\n 9\n-z\n+y\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn names_binary_files() {
        assert_eq!(unified(b"\0", b"\0\0"), "Replace binary file");
        assert_eq!(unified(b"a", b"\0"), "Replace text file with binary file");
        assert_eq!(unified(b"\0", b"a"), "Replace binary file with text file");
    }
}
