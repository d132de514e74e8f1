//! What [`husk_core::seal_own_binary`] costs, in microseconds, in each of its three ways: medians of fresh processes,
//! with it less without it.
//!
//! `cargo run --release -p husk-core --example seal_cost [HUSK]`, as root. With a husk it asks that too, by two commands
//! that do nothing else: `help exec` seals, as create, run and exec do, and `help state` does not.

#![allow(clippy::print_stdout)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const RUNS: usize = 201;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => compare_all(None),
        [way @ ("plain" | "seal"), thread @ ("alone" | "threaded"), began] => {
            one(*way == "seal", *thread == "threaded", began);
        }
        husk => compare_all(husk.first().copied()),
    }
}

/// One process: says how long it took from its parent's decision until it was ready.
fn one(seal: bool, threaded: bool, began: &str) {
    if threaded {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(10)));
    }
    if seal {
        husk_core::seal_own_binary().expect("sealed");
    }
    let began = Duration::from_nanos(began.parse().expect("nanoseconds"));
    println!("{}", (clock() - began).as_nanos());
}

fn clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set")
}

fn compare_all(husk: Option<&str>) {
    let own = std::env::current_exe().expect("an executable");
    let own = own.to_str().expect("a path in UTF-8");
    let without_privilege = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", own];
    compare("an embedder, mapped anew", |way| inner(&[own], way, "alone"));
    compare("an embedder with threads, executed anew", |way| inner(&[own], way, "threaded"));
    compare("an embedder without privilege, copied into memory", |way| {
        inner(&without_privilege, way, "alone")
    });
    if let Some(husk) = husk {
        compare("husk create, run and exec", |way| outer(husk, if way == "seal" { "exec" } else { "state" }));
    }
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

fn inner(program: &[&str], way: &str, thread: &str) -> Duration {
    let began = clock().as_nanos().to_string();
    let said = Command::new(program[0]).args(&program[1..]).args([way, thread, &began]).output();
    let said = String::from_utf8(said.expect("started").stdout).expect("a number");
    Duration::from_nanos(said.trim().parse().expect("a number"))
}

fn outer(husk: &str, command: &str) -> Duration {
    let began = Instant::now();
    let ended = Command::new(husk).args(["help", command]).stdout(Stdio::null()).status();
    assert!(ended.expect("started").success());
    began.elapsed()
}
