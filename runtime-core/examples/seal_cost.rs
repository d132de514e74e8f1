//! What [`husk_core::seal_own_binary`] costs, in microseconds, in each of its ways: medians of fresh processes, with it
//! less without it. Where the processes that are made move themselves, each of them pays its own part.
//!
//! `cargo run --release -p husk-core --example seal_cost`, as root.

#![allow(clippy::print_stdout)]

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const RUNS: usize = 201;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [way @ ("plain" | "seal"), began] => one(*way == "seal", began),
        _ => compare_all(),
    }
}

/// One process: says how long it took from its parent's decision until it was ready.
fn one(seal: bool, began: &str) {
    if seal {
        husk_core::seal_own_binary().expect("sealed");
    }
    let began = Duration::from_nanos(began.parse().expect("nanoseconds"));
    println!("{}", (clock() - began).as_nanos());
}

fn clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set")
}

fn compare_all() {
    let own = std::env::current_exe().expect("an executable");
    let own = own.to_str().expect("a path in UTF-8");
    let without_privilege = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", own];
    compare("an embedder whose new processes move", |way| inner(&[own], way));
    compare("an embedder without privilege, copied into memory and executed anew", |way| {
        inner(&without_privilege, way)
    });
}

/// Turn by turn, so that both see the same machine.
fn compare(what: &str, run: impl Fn(&str) -> Duration) {
    let (mut with, mut without): (Vec<_>, Vec<_>) = (0..RUNS).map(|_| (run("seal"), run("plain"))).unzip();
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[RUNS / 2].as_secs_f64() * 1e6
    };
    let (with, without) = (median(&mut with), median(&mut without));
    println!("{what}: {:.0} microseconds ({with:.0} less {without:.0})", with - without);
}

fn inner(program: &[&str], way: &str) -> Duration {
    let began = clock().as_nanos().to_string();
    let said = Command::new(program[0]).args(&program[1..]).args([way, &began]).output();
    let said = String::from_utf8(said.expect("started").stdout).expect("a number");
    Duration::from_nanos(said.trim().parse().expect("a number"))
}
