//! A unified diff as Salt shows it: Python's `difflib` layout with three lines around each change and empty names.
//!
//! The lines that stay are a longest common subsequence; where several are equally long, the choice may differ from
//! Python's. Very large files are shown as replaced whole in their differing middle.

use std::fmt::Write;

/// The diff of two files, or Salt's sentence when one is binary.
pub(super) fn unified(old: &[u8], new: &[u8]) -> String {
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
    let steps = steps(&old, &new);
    let mut shown = String::from("--- \n+++ \n");
    for hunk in hunks(&steps) {
        write_hunk(&mut shown, &steps[hunk.0..hunk.1]);
    }
    shown
}

/// Text as Salt's `is_text` sees it.
fn text(content: &[u8]) -> Option<&str> {
    if content.contains(&0) { None } else { std::str::from_utf8(content).ok() }
}

/// One line of the comparison, with its places in both files.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step<'l> {
    kind: Kind,
    line: &'l str,
    old: usize,
    new: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Same,
    Removed,
    Added,
}

fn steps<'l>(old: &[&'l str], new: &[&'l str]) -> Vec<Step<'l>> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let (old_mid, new_mid) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut steps = Vec::new();
    let mut at = (0, 0);
    let mut push = |kind: Kind, line: &'l str| {
        steps.push(Step { kind, line, old: at.0, new: at.1 });
        at.0 += usize::from(kind != Kind::Added);
        at.1 += usize::from(kind != Kind::Removed);
    };
    old[..head].iter().for_each(|line| push(Kind::Same, line));
    middle(old_mid, new_mid, &mut push);
    old[old.len() - tail..].iter().for_each(|line| push(Kind::Same, line));
    steps
}

/// The differing middle, by the table of longest common subsequences.
fn middle<'l>(old: &[&'l str], new: &[&'l str], push: &mut impl FnMut(Kind, &'l str)) {
    if old.len().saturating_mul(new.len()) > LARGEST_TABLE {
        old.iter().for_each(|line| push(Kind::Removed, line));
        new.iter().for_each(|line| push(Kind::Added, line));
        return;
    }
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = if old[i] == new[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            push(Kind::Same, old[i]);
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || (i < old.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1])
        {
            push(Kind::Removed, old[i]);
            i += 1;
        } else {
            push(Kind::Added, new[j]);
            j += 1;
        }
    }
}

/// Ranges of steps that belong together: changes whose surroundings touch.
fn hunks(steps: &[Step<'_>]) -> Vec<(usize, usize)> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (index, _) in steps.iter().enumerate().filter(|(_, step)| step.kind != Kind::Same) {
        let (start, end) = (index.saturating_sub(AROUND), (index + 1 + AROUND).min(steps.len()));
        match hunks.last_mut() {
            Some(last) if start <= last.1 => last.1 = end,
            _ => hunks.push((start, end)),
        }
    }
    hunks
}

fn write_hunk(shown: &mut String, steps: &[Step<'_>]) {
    let Some(first) = steps.first() else { return };
    let count = |without: Kind| steps.iter().filter(|step| step.kind != without).count();
    let (old, new) = (range(first.old, count(Kind::Added)), range(first.new, count(Kind::Removed)));
    // Writing to a String cannot fail.
    let _ = writeln!(shown, "@@ -{old} +{new} @@");
    let mut removed = String::new();
    let mut added = String::new();
    let flush = |shown: &mut String, removed: &mut String, added: &mut String| {
        shown.push_str(removed);
        shown.push_str(added);
        removed.clear();
        added.clear();
    };
    for step in steps {
        match step.kind {
            Kind::Same => {
                flush(shown, &mut removed, &mut added);
                shown.push(' ');
                shown.push_str(step.line);
            }
            Kind::Removed => removed.push_str(&format!("-{}", step.line)),
            Kind::Added => added.push_str(&format!("+{}", step.line)),
        }
    }
    flush(shown, &mut removed, &mut added);
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
const LARGEST_TABLE: usize = 4_000_000;

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
