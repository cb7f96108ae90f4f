//! Filters of chance: `random`, `random_sample`, `random_shuffle`, `random_str`, `random_hash`, `gen_mac`.
//!
//! The numbers come from the compilation's seed, which the caller draws. A `seed` argument gives the same choice every time
//! (Salt's own differs from run to run for a text, because Python's hashes do). Nothing here is fit for a secret.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::text::hex;
use super::{Args, FilterFn, Outcome, lists};
use crate::Value;

pub(super) const TABLE: &[(&str, FilterFn)] = &[
    ("gen_mac", gen_mac),
    ("rand_str", random_hash),
    ("random", |args| {
        let mut items = lists::items(args.value())?;
        if items.is_empty() {
            return Err("No random item, sequence was empty.".to_owned());
        }
        let at = args.dice.below(items.len());
        Ok(items.swap_remove(at))
    }),
    ("random_hash", random_hash),
    ("random_sample", |args| {
        let size = args.required(1, "size")?.as_int().and_then(|size| usize::try_from(size).ok());
        sample(args, size.ok_or("Sample larger than population or is negative")?, 2)
    }),
    ("random_shuffle", |args| sample(args, lists::items(args.value())?.len(), 1)),
    ("random_str", random_str),
];

/// Numbers of one compilation.
pub(super) struct Dice(AtomicU64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(AtomicU64::new(seed))
    }

    /// The next number: splitmix64.
    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }
}

/// As many of the items, each at most once, in a random order.
fn sample(args: &Args, size: usize, seed_at: usize) -> Outcome {
    let mut items = lists::items(args.value())?;
    if size > items.len() {
        return Err("Sample larger than population or is negative".to_owned());
    }
    let own = args.get(seed_at, "seed").filter(|seed| !seed.is_nil()).map(|seed| {
        let digest = Sha256::digest(seed.repr().as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Dice::new(u64::from_be_bytes(first))
    });
    let dice = own.as_ref().unwrap_or(args.dice);
    for at in 0..size {
        let other = at + dice.below(items.len() - at);
        items.swap(at, other);
    }
    items.truncate(size);
    Ok(Value::List(items))
}

fn random_hash(args: &Args) -> Outcome {
    let size = args.value().as_int().and_then(|size| u64::try_from(size).ok()).unwrap_or(9_999_999_999);
    let drawn = (args.dice.next() % size.saturating_add(1)).to_string();
    let hash = match args.get(1, "hash_type").filter(|kind| !kind.is_nil()) {
        Some(kind) => kind.to_string(),
        None => "md5".to_owned(),
    };
    let digest = match hash.as_str() {
        "md5" => hex(&md5::Md5::digest(&drawn)),
        "sha1" => hex(&Sha1::digest(&drawn)),
        "sha256" => hex(&Sha256::digest(&drawn)),
        "sha512" => hex(&Sha512::digest(&drawn)),
        other => return Err(format!("module 'hashlib' has no attribute '{other}'")),
    };
    Ok(Value::from(digest))
}

/// Text of that many letters, of the alphabet of base64.
fn random_str(args: &Args) -> Outcome {
    let size = args.value().as_int().and_then(|size| usize::try_from(size).ok()).unwrap_or(32);
    if size > LONGEST {
        return Err(format!("a random text has at most {LONGEST} letters"));
    }
    let bytes: Vec<u8> = (0..size).map(|_| args.dice.next().to_be_bytes()[0]).collect();
    let mut text = STANDARD.encode(bytes);
    text.truncate(size);
    Ok(Value::from(text))
}

fn gen_mac(args: &Args) -> Outcome {
    let [first, second, third, ..] = args.dice.next().to_be_bytes();
    let mut mac = args.value().to_string();
    write!(mac, ":{first:02X}:{second:02X}:{third:02X}").map_err(|error| error.to_string())?;
    Ok(Value::from(mac))
}

const LONGEST: usize = 1 << 20;
