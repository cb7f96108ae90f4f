//! Marks as a plain map has them, whatever is set aside, merged in part, rolled back or closed in between.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const JOB: &str = "j";

struct Held {
    folder: TempDir,
    store: Option<Store>,
}

impl Held {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Some(Store::open(&folder.path().join("s")).unwrap());
        Self { folder, store }
    }

    /// As after a kill: what was committed is there.
    fn reopen(&mut self) {
        drop(self.store.take());
        self.store = Some(Store::open(&self.folder.path().join("s")).unwrap());
    }

    fn with<T>(&self, work: impl FnOnce(RowMarks<'_>) -> Result<T, StoreError>) -> T {
        let store = self.store.as_ref().unwrap();
        store.with(|tx| work(RowMarks::new(tx, store, JOB))).unwrap()
    }

    /// As when the agent is killed before the commit.
    fn killed(&self, work: impl FnOnce(RowMarks<'_>) -> Result<(), StoreError>) {
        let store = self.store.as_ref().unwrap();
        let outcome: Result<(), StoreError> = store.with(|tx| {
            work(RowMarks::new(tx, store, JOB))?;
            Err(StoreError::Stopped)
        });
        assert!(matches!(outcome, Err(StoreError::Stopped)), "{outcome:?}");
    }

    fn number(&self, sql: &str) -> i64 {
        let store = self.store.as_ref().unwrap();
        store.with(|tx| Ok::<_, StoreError>(tx.query_row(sql, [], |row| row.get(0))?)).unwrap()
    }
}

/// The name of a row, spread as hashes are.
fn name(number: u16) -> Hash {
    let digest = ring::digest::digest(&ring::digest::SHA256, &number.to_le_bytes());
    let mut name = Hash::default();
    name.copy_from_slice(&digest.as_ref()[..HASH_BYTES]);
    name
}

fn key(number: u16) -> Vec<u8> {
    format!("[{{\"Int\":{number}}}]").repeat(1 + usize::from(number % 3)).into_bytes()
}

fn delivered(number: u16, digest: u8) -> Mark {
    Mark::Delivered { row: name(number), digest: [digest; HASH_BYTES], key: key(number) }
}

#[test]
fn marks_tell_what_a_sweep_did_not_see() {
    let held = Held::new();
    let key = |row: &Hash| vec![row[0]];
    let [a, b, c] = [[1; HASH_BYTES], [2; HASH_BYTES], [3; HASH_BYTES]];
    let delivered = |row: Hash| Mark::Delivered { row, digest: [9; HASH_BYTES], key: key(&row) };
    held.with(|marks| marks.put(1, vec![delivered(a), delivered(b)], Put::Aside));
    held.with(|marks| marks.put(2, vec![Mark::Seen(a), delivered(c)], Put::Aside));
    let known = held.with(|marks| marks.digests(&[a, [7; HASH_BYTES]], None));
    assert_eq!(known, [Some([9; HASH_BYTES]), None]);
    assert_eq!(held.with(|marks| marks.count(2)), (3, 1));
    assert_eq!(held.with(|marks| marks.unseen(2, 10)), [Unseen { row: b, key: key(&b) }]);
    let twice = vec![Mark::Gone(b), delivered(b), Mark::Gone(b), delivered(c), Mark::Gone(a), delivered(a)];
    held.with(|marks| marks.put(2, twice, Put::InPlace));
    assert_eq!(held.with(|marks| marks.count(2)), (2, 0));
    held.with(|marks| marks.forget());
    assert_eq!(held.with(|marks| marks.count(2)), (0, 0));
}

#[test]
fn a_sweep_is_not_asked_about_what_it_delivered_itself_and_merges_nothing_for_it() {
    let held = Held::new();
    held.with(|marks| marks.put(1, (0..500).map(|number| delivered(number, 1)).collect(), Put::Aside));
    assert_eq!(held.with(|marks| marks.digests(&[name(900)], Some(1))), [None]);
    assert_eq!(held.number("SELECT count(*) FROM sync_page WHERE run = 0"), 0);
    assert_eq!(held.with(|marks| marks.digests(&[name(7)], Some(2))), [Some([1; HASH_BYTES])]);
    assert_eq!(held.number("SELECT count(*) FROM sync_page WHERE run <> 0"), 0);
}

#[test]
fn rows_that_were_seen_are_not_merged_until_they_are_counted() {
    let held = Held::new();
    held.with(|marks| marks.put(0, (0..500).map(|number| delivered(number, 1)).collect(), Put::Aside));
    held.with(|marks| marks.digests(&[name(0)], Some(1)));
    held.with(|marks| marks.put(1, (0..499).map(|number| Mark::Seen(name(number))).collect(), Put::Aside));
    held.with(|marks| marks.digests(&[name(0)], Some(1)));
    assert!(held.number("SELECT count(*) FROM sync_page WHERE run < 0") > 0);
    assert_eq!(held.with(|marks| marks.count(1)), (500, 1));
    assert_eq!(held.number("SELECT count(*) FROM sync_page WHERE run < 0"), 0);
}

#[test]
fn keys_lie_sealed_and_a_page_that_was_put_elsewhere_does_not_open() {
    let held = Held::new();
    let canary = |number| Mark::Delivered {
        row: name(number),
        digest: [1; HASH_BYTES],
        key: b"Miller-canary".to_vec(),
    };
    held.with(|marks| marks.put(0, (0..300).map(canary).collect(), Put::Aside));
    held.with(|marks| marks.put(0, vec![canary(300)], Put::InPlace));
    for entry in std::fs::read_dir(held.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"));
    }
    let store = held.store.as_ref().unwrap();
    store.with(|tx| Ok::<_, StoreError>(tx.execute("UPDATE sync_page SET job = 'other'", [])?)).unwrap();
    let moved = store.with(|tx| RowMarks::new(tx, store, "other").unseen(1, 1000));
    assert!(matches!(moved, Err(StoreError::Sealed { .. })), "{moved:?}");
}

/// What version 1 of the area left: a row each, its key sealed by itself.
#[test]
fn marks_of_the_former_version_are_taken_over() {
    let mut held = Held::new();
    let store = held.store.as_ref().unwrap();
    store
        .with(|tx| {
            for number in 0..1000 {
                let key = store.seal("sync row j", &key(number))?;
                tx.execute(
                    "INSERT INTO sync_row (job, row, digest, key, round) VALUES ('j', ?1, ?2, ?3, 4)",
                    params![name(number), [3u8; HASH_BYTES], key],
                )?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    held.with(|marks| marks.put(5, vec![delivered(7, 9)], Put::Aside));
    assert!(held.with(|marks| marks.settle_some(Need::All, 300)));
    held.reopen();
    assert_eq!(held.number("SELECT count(*) FROM sync_row"), 700);
    let known = held.with(|marks| marks.digests(&[name(7), name(999), name(1000)], None));
    assert_eq!(known, [Some([9; HASH_BYTES]), Some([3; HASH_BYTES]), None]);
    assert_eq!(held.with(|marks| marks.count(5)), (1000, 999));
    let unseen = held.with(|marks| marks.unseen(5, 2000));
    assert!(unseen.iter().any(|unseen| unseen.row == name(999) && unseen.key == key(999)));
    assert_eq!(held.number("SELECT count(*) FROM sync_row"), 0);
}

/// What is done to the marks, and to the process.
#[derive(Debug, Clone)]
enum Step {
    /// A page of a snapshot or of a sweep: rows from this number on, every so manieth, all new or changed.
    Deliver(u16, u16, u16, u8),
    /// The same, all seen.
    See(u16, u16, u16),
    /// Some of each, at once or aside.
    Mixed(Vec<(u16, u8)>, bool),
    /// A part of what was set aside is merged.
    Settle(u64),
    /// The same, and the transaction never commits.
    Killed(u64),
    Reopen,
    NextRound,
    Ask(Vec<u16>),
    Count,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = 0..2000u16;
    let step = prop_oneof![
        4 => (number.clone(), 1..5u16, 1..600u16, any::<u8>()).prop_map(|(a, b, c, d)| Step::Deliver(a, b, c, d)),
        3 => (number.clone(), 1..5u16, 1..600u16).prop_map(|(a, b, c)| Step::See(a, b, c)),
        3 => (prop::collection::vec((number.clone(), any::<u8>()), 1..60), any::<bool>())
            .prop_map(|(rows, aside)| Step::Mixed(rows, aside)),
        2 => (1..400u64).prop_map(Step::Settle),
        2 => (1..400u64).prop_map(Step::Killed),
        1 => Just(Step::Reopen),
        1 => Just(Step::NextRound),
        3 => prop::collection::vec(number, 1..50).prop_map(Step::Ask),
        1 => Just(Step::Count),
    ];
    prop::collection::vec(step, 1..30)
}

/// The plain map.
#[derive(Default)]
struct Model {
    round: u64,
    rows: BTreeMap<Hash, (Hash, u64, Vec<u8>)>,
}

impl Model {
    fn put(&mut self, marks: &[Mark]) {
        for mark in marks {
            match mark {
                Mark::Seen(row) => {
                    self.rows.entry(*row).and_modify(|known| known.1 = self.round);
                }
                Mark::Delivered { row, digest, key } => {
                    self.rows.insert(*row, (*digest, self.round, key.clone()));
                }
                Mark::Gone(row) => drop(self.rows.remove(row)),
            }
        }
    }

    fn unseen(&self) -> BTreeMap<Hash, Vec<u8>> {
        let missed = self.rows.iter().filter(|(_, (_, seen, _))| *seen < self.round);
        missed.map(|(row, (_, _, key))| (*row, key.clone())).collect()
    }
}

fn run(held: &mut Held, model: &mut Model, step: Step) {
    let round = model.round;
    let numbers = |from: u16, by: u16, count: u16| (0..count).map(move |at| from + at * by);
    let mut put = |held: &Held, marks: Vec<Mark>, put| {
        model.put(&marks);
        held.with(|held| held.put(round, marks, put));
    };
    match step {
        Step::Deliver(from, by, count, digest) => {
            put(held, numbers(from, by, count).map(|number| delivered(number, digest)).collect(), Put::Aside);
        }
        Step::See(from, by, count) => {
            // A sweep asks for every page before it says what it saw.
            held.with(|held| held.digests(&[name(from)], None));
            put(held, numbers(from, by, count).map(|number| Mark::Seen(name(number))).collect(), Put::Aside);
        }
        Step::Mixed(rows, aside) => {
            let mark = |(number, kind): (u16, u8)| match kind % 3 {
                0 => Mark::Seen(name(number)),
                1 => Mark::Gone(name(number)),
                _ => delivered(number, kind),
            };
            // A row comes once in a page that is set aside.
            let rows: BTreeMap<u16, u8> = rows.into_iter().collect();
            held.with(|held| held.digests(&[], None));
            put(held, rows.into_iter().map(mark).collect(), if aside { Put::Aside } else { Put::InPlace });
        }
        Step::Settle(most) => drop(held.with(|held| held.settle_some(Need::All, most))),
        Step::Killed(most) => held.killed(|held| held.settle_some(Need::All, most).map(drop)),
        Step::Reopen => held.reopen(),
        Step::NextRound => model.round += 1,
        Step::Ask(numbers) => {
            let rows: Vec<Hash> = numbers.into_iter().map(name).collect();
            let known: Vec<Option<Hash>> =
                rows.iter().map(|row| model.rows.get(row).map(|known| known.0)).collect();
            assert_eq!(held.with(|held| held.digests(&rows, None)), known);
        }
        Step::Count => {
            let counts = (model.rows.len() as u64, model.unseen().len() as u64);
            assert_eq!(held.with(|held| held.count(round)), counts);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn marks_are_those_of_a_plain_map(steps in steps()) {
        let (mut held, mut model) = (Held::new(), Model::default());
        for step in steps {
            run(&mut held, &mut model, step);
        }
        let unseen = held.with(|marks| marks.unseen(model.round, usize::MAX));
        let unseen: BTreeMap<Hash, Vec<u8>> = unseen.into_iter().map(|one| (one.row, one.key)).collect();
        prop_assert_eq!(unseen, model.unseen());
        let all = held.with(|marks| marks.unseen(u64::MAX >> 1, usize::MAX));
        prop_assert_eq!(all.len(), model.rows.len());
        let rows: Vec<Hash> = model.rows.keys().copied().collect();
        let digests = held.with(|marks| marks.digests(&rows, None));
        prop_assert_eq!(digests, model.rows.values().map(|known| Some(known.0)).collect::<Vec<_>>());
        prop_assert_eq!(held.number("SELECT count(*) FROM sync_page WHERE run <> 0"), 0);
    }
}
