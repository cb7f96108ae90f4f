//! The hand-over from snapshot to increments, and the stored form.

use super::*;

fn mark(number: u64) -> Watermark {
    Watermark::new(number)
}

#[test]
fn increments_begin_exactly_at_the_snapshots_bound() {
    let done = Progress::at(Reading::Snapshot { bound: mark(9), after: vec![Param::Int(7)] })
        .exhausted(Phase::Snapshot, mark(50));
    assert_eq!(done.reading, Reading::Increments { after: mark(9), key: Vec::new() });
}

#[test]
fn an_exhausted_increment_stands_at_its_bound() {
    let progress = Progress::at(Reading::Increments { after: mark(9), key: vec![Param::Int(7)] });
    let done = progress.exhausted(Phase::Increment, mark(50));
    assert_eq!(done.reading, Reading::Increments { after: mark(50), key: Vec::new() });
}

#[test]
fn a_sweep_leaves_the_cursor_alone() {
    let progress = Progress::at(Reading::Increments { after: mark(9), key: Vec::new() });
    let last = Position { cursor: None, key: vec![Param::Int(3)] };
    let swept = progress.advanced(Phase::Sweep, &last);
    assert_eq!((&swept.reading, swept.sweep.after), (&progress.reading, Some(vec![Param::Int(3)])));
}

#[test]
fn an_overlap_moves_nothing_before_its_pass_is_through() {
    let progress = Progress::at(Reading::Increments { after: mark(9), key: Vec::new() });
    let last = Position { cursor: Some(Param::DateTime(3, 4)), key: vec![Param::Int(3)] };
    assert_eq!(progress.advanced(Phase::Overlap, &last), progress);
}

#[test]
fn progress_survives_storage() {
    for reading in [
        Reading::New,
        Reading::Snapshot { bound: mark(u64::MAX), after: vec![Param::Text("Zoë".into())] },
        Reading::Increments { after: mark(3), key: vec![] },
        Reading::Sweeps,
        Reading::Whole,
    ] {
        let sweep =
            Sweep { round: 2, after: Some(vec![Param::Int(7)]), began: 4, ended: 5, deep: true, audited: 3 };
        let progress = Progress { reading, sweep, content: Some([7; 16]) };
        let stored = serde_json::to_string(&StoredProgress::from(&progress)).unwrap();
        let back: StoredProgress = serde_json::from_str(&stored).unwrap();
        assert_eq!(Progress::from(back), progress);
    }
}
