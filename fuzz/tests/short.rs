//! The stored corpus, the configs of real engines, and changes of both. `FUZZ_ROUNDS` says how many changes a target.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

use husk_fuzz::mutation::{Random, change};
use husk_fuzz::{TARGETS, clean_up};
use serde_json::Value;
use std::path::Path;

/// What a target starts from: its corpus, and for the formats that engines write, theirs.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |directory: &str| -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(here.join(directory)).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        paths.sort();
        paths.iter().map(|path| std::fs::read(path).expect("a seed")).collect()
    };
    let mut seeds = read(&format!("corpus/{target}"));
    let configs: Vec<Value> = read("../runtime-core/tests/plan")
        .iter()
        .filter_map(|bytes| serde_json::from_slice(bytes).ok())
        .collect();
    let parts = |pointer: &str| -> Vec<Vec<u8>> {
        configs
            .iter()
            .filter_map(|config| config.pointer(pointer))
            .map(|part| part.to_string().into_bytes())
            .collect()
    };
    match target {
        "config" => seeds.extend(parts("")),
        "process" => seeds.extend(parts("/process")),
        "resources" => seeds.extend(parts("/linux/resources")),
        "seccomp" => {
            seeds.extend(parts("/linux/seccomp"));
            seeds.extend(read("../seccomp/tests/profiles"));
        }
        _ => {}
    }
    assert!(!seeds.is_empty(), "{target} has nothing to start from");
    seeds
}

#[test]
fn nothing_that_is_read_makes_it_panic() {
    let rounds: u64 = std::env::var("FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        seeds.iter().for_each(|seed| target(seed));
        // A profile is compiled and asked a few hundred times.
        let rounds = if name == "seccomp" { rounds / 10 } else { rounds };
        for round in 0..rounds {
            let mut random = Random::new(round);
            let index = usize::try_from(round).unwrap_or(0);
            let (seed, other) = (&seeds[index % seeds.len()], &seeds[index / 7 % seeds.len()]);
            let input = change(seed, other, &mut random);
            let ended = std::panic::catch_unwind(|| target(&input));
            assert!(ended.is_ok(), "{name}, round {round}: {}", String::from_utf8_lossy(&input));
        }
    }
    clean_up();
}
