//! libFuzzer on one of the targets, the one that `FUZZ_TARGET` names: `make fuzz` builds it with the counters that lead it,
//! and runs one target after the other. Half of the new inputs are changed as JSON is, the other half as bytes are.

#![no_main]
#![allow(clippy::expect_used, reason = "as in tests")]

use husk_fuzz::mutation::{Random, change};
use husk_fuzz::{TARGETS, Target};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use std::sync::LazyLock;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    *TARGETS.iter().find(|target| target.0 == name).expect("one of the targets")
});

fuzz_target!(|bytes: &[u8]| TARGET.1(bytes));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed % 2 == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let seed_input = &data[..size];
    let changed = change(seed_input, seed_input, &mut Random::new(seed.into()));
    let length = changed.len().min(max_size);
    data[..length].copy_from_slice(&changed[..length]);
    length
});
