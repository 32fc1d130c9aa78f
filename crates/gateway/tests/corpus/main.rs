//! The corpus of the fuzz target for heads, case by case, and random cuts and mixtures of its
//! cases.

// The harness is the fuzz targets' as well, which know the package by this name.
extern crate dockbridge_gateway as gateway;

#[path = "../../../../fuzz/harness/http_head.rs"]
mod http_head;

use std::panic::catch_unwind;
use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

fn corpus() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/http_head");
    let mut cases: Vec<(String, Vec<u8>)> = std::fs::read_dir(&directory)
        .expect("the corpus is there")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).expect("a case")))
        .collect();
    cases.sort();
    cases
}

#[test]
fn every_case_of_the_corpus_holds() {
    let cases = corpus();
    assert!(cases.len() >= 30, "{} cases", cases.len());
    for (name, bytes) in cases {
        catch_unwind(|| http_head::run(&bytes))
            .unwrap_or_else(|_| panic!("{name}: {:?}", String::from_utf8_lossy(&bytes)));
    }
}

#[test]
fn mixtures_of_the_corpus_hold() {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let cases = corpus();
    let rounds =
        std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2_000);
    for round in 0..rounds {
        let bytes = mixture(&mut chance, &cases);
        catch_unwind(|| http_head::run(&bytes)).unwrap_or_else(|_| {
            panic!("SEED={seed}, round {round}: {:?}", String::from_utf8_lossy(&bytes))
        });
    }
}

/// Random pieces of cases in a row, with a few bytes changed.
fn mixture(chance: &mut StdRng, cases: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![chance.random()];
    for _ in 0..chance.random_range(1..4) {
        let case = &cases.choose(chance).expect("there are cases").1[1..];
        let from = if chance.random_bool(0.7) { 0 } else { chance.random_range(0..=case.len()) };
        let to = if chance.random_bool(0.7) {
            case.len()
        } else {
            chance.random_range(from..=case.len())
        };
        bytes.extend_from_slice(&case[from..to]);
    }
    for _ in 0..chance.random_range(0..4) {
        let at = chance.random_range(0..bytes.len());
        match chance.random_range(0..4) {
            0 => bytes[at] = chance.random(),
            1 => bytes[at] = *b"\r\n: ,;0\t".choose(chance).expect("some"),
            2 => bytes.insert(at, *b"\r\n: ,;0\t".choose(chance).expect("some")),
            _ => drop(bytes.remove(at)),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}
