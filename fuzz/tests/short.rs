//! The stored corpus, the configs of real engines, and changes of both. `FUZZ_ROUNDS` says how many changes a target.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

use husk_fuzz::mutation::{Random, change};
use husk_fuzz::seeds::seeds;
use husk_fuzz::{TARGETS, clean_up};

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
