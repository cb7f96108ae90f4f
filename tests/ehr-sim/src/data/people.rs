//! What the generators share: chance, invented people, a table's rows from a seed.

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::TableRows;
use crate::types::Datum;

/// `count` rows numbered from 1, the same for the same seed.
pub fn table(
    table: &'static str,
    count: u64,
    seed: u64,
    row: impl Fn(&mut StdRng, i32) -> Vec<Datum> + Send + 'static,
) -> TableRows {
    let mut random = StdRng::seed_from_u64(seed);
    let last = i32::try_from(count).unwrap_or(i32::MAX);
    TableRows { table, count, rows: Box::new((1..=last).map(move |id| row(&mut random, id))) }
}

/// One of a list.
pub fn pick<'a>(random: &mut StdRng, from: &[&'a str]) -> &'a str {
    from.choose(random).copied().unwrap_or_default()
}

/// NULL for a share of the rows.
pub fn or_null(random: &mut StdRng, share: f64, datum: Datum) -> Datum {
    if random.gen_bool(share) { Datum::Null } else { datum }
}

/// A number from 1 to `count`.
pub fn one_of(random: &mut StdRng, count: u64) -> i32 {
    i32::try_from(random.gen_range(1..=count)).unwrap_or(i32::MAX)
}

pub const FIRST_NAMES: &[&str] = &[
    "Ada",
    "Amélie",
    "Björn",
    "Chiara",
    "Dana",
    "Edda",
    "Farid",
    "Grace",
    "Hiro",
    "Inés",
    "Jonas",
    "Kateřina",
    "Liam",
    "María",
    "Noor",
    "Olu",
    "Priya",
    "Quinn",
    "Rosa",
    "Søren",
    "Tomás",
    "Uma",
    "Viktor",
    "Wei",
    "Yara",
    "Zoë",
];
pub const LAST_NAMES: &[&str] = &[
    "Abbott",
    "Baker",
    "Çelik",
    "Dubois",
    "Eriksen",
    "Fernández",
    "García",
    "Häkkinen",
    "Ito",
    "Jansen",
    "Kowalski",
    "López",
    "Müller",
    "Nguyễn",
    "O'Brien",
    "Petrov",
    "Quist",
    "Rossi",
    "Schäfer",
    "Tanaka",
    "Usman",
    "Varga",
    "Wójcik",
    "Xu",
    "Young",
    "Žižka",
];
