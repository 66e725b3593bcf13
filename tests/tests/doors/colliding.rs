//! Keys that all have one hash where the hash has no key of its own.
//!
//! Rune's objects hash with ahash and its fixed keys, which are public, unless a feature draws them anew in
//! each process. With known keys its collisions need no search: a block of sixteen bytes goes in as the
//! product of its halves, each xored with a key, and a product has many factors. One pair of blocks with one
//! product makes 2^n texts of n blocks with one hash, to the last of its 64 bits.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use ahash::RandomState;

/// How many keys an object has: the most that one may have.
pub const KEYS: usize = 10_000;
/// Blocks that are one or the other, enough for so many keys; one more ends each key.
const BLOCKS: usize = 14;
const LENGTH: usize = 16 * (BLOCKS + 1);

/// The fixed keys of ahash 0.8, and what its own constructor for given keys adds to them.
const FIXED: [u64; 4] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89];
const ADDED: [u64; 4] =
    [0x4528_21e6_38d0_1377, 0xbe54_66cf_34e9_0c6c, 0xc0ac_29b7_c97c_50dd, 0x3f84_d5b5_b547_0917];

/// The hash that everybody knows.
fn without_key() -> RandomState {
    let [a, b, c, d] = std::array::from_fn(|at| FIXED[at] ^ ADDED[at]);
    RandomState::with_seeds(a, b, c, d)
}

fn hash(state: &RandomState, key: &str) -> u64 {
    state.hash_one(key)
}

/// Keys as they come, as long as the others.
pub fn ordinary() -> Vec<String> {
    (0..KEYS).map(|number| format!("{number:0>LENGTH$}")).collect()
}

/// Keys of one hash.
pub fn colliding() -> Vec<String> {
    let pair = pair();
    let key = |number: usize| {
        let blocks = (0..BLOCKS).map(|block| pair[number >> block & 1].as_str());
        blocks.chain(["the end of a key"]).collect()
    };
    (0..KEYS).map(key).collect()
}

/// Two blocks of one product.
fn pair() -> [String; 2] {
    // What is doubled on one side is halved on the other, and thirds likewise.
    let one = half(FIXED[2], |factor| (factor % 3 == 0).then(|| factor / 3 * 2));
    let other = half(FIXED[3], |factor| (factor % 2 == 0).then(|| (factor / 2).checked_mul(3)).flatten());
    std::array::from_fn(|at| one[at].clone() + &other[at])
}

/// A text of eight letters whose factor another text has, too, when it is changed.
fn half(key: u64, change: impl Fn(u64) -> Option<u64>) -> [String; 2] {
    let text = |factor: u64| {
        let bytes = (factor ^ key).to_le_bytes();
        let plain = bytes.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
        plain.then(|| bytes.map(char::from).iter().collect::<String>())
    };
    // Eight letters from the bits of a number that every step mixes anew.
    let texts = (1_u64..).map(|step| {
        let mixed = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        u64::from_le_bytes((mixed ^ mixed >> 32).to_le_bytes().map(|byte| b' ' + byte % 95))
    });
    let found =
        texts.map(|letters| letters ^ key).find_map(|factor| Some([text(factor)?, text(change(factor)?)?]));
    found.expect("texts without end")
}

/// The keys are what they are said to be: colliding, and harmful where the hash has no key.
pub fn check(ordinary: &[String], evil: &[String]) {
    let state = without_key();
    for keys in [ordinary, evil] {
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), KEYS, "no key stands there twice");
        assert!(keys.iter().all(|key| key.len() == LENGTH));
    }
    let hashes = |keys: &[String]| keys.iter().map(|key| hash(&state, key)).collect::<HashSet<_>>().len();
    assert_eq!(hashes(ordinary), KEYS, "ordinary keys have hashes of their own");
    assert_eq!(hashes(evil), 1, "all of these have one; ahash of this build is computed in another way");
    let (fine, harmed) = (fill(&state, ordinary), fill(&state, evil));
    println!("without a key: {fine:?} for ordinary keys, {harmed:?} for colliding ones");
    assert!(harmed > 10 * fine, "{harmed:?} against {fine:?}: they do harm where there is no key");
}

fn fill(state: &RandomState, keys: &[String]) -> Duration {
    let began = Instant::now();
    let mut map = HashMap::with_hasher(state.clone());
    for key in keys {
        map.insert(key.as_str(), ());
    }
    assert_eq!(map.len(), KEYS);
    began.elapsed()
}

/// An object with these keys.
pub fn object(keys: &[String]) -> String {
    let fields: Vec<String> = keys.iter().map(|key| format!("\"{key}\":1")).collect();
    format!("{{{}}}", fields.join(","))
}
