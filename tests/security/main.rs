//! The known attacks on container runtimes, performed. Each case names the CVE that it performs, and looks from the
//! host's side: nothing made, written or mounted outside; no fd, capability or file of the host inside.
//!
//! Races run `SECURITY_ROUNDS` times (30 if that is not set; `make soak` takes 1,000). This program is its own
//! attacker: inside a container it is started as `--attack NAME`.

#![forbid(unsafe_code)]

mod attacker;
mod configs;
mod crash;
mod images;
mod processes;
mod races;
mod traced;
mod victim;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, name] = arguments.as_slice()
        && flag == "--attack"
    {
        return attacker::run(name);
    }
    let topics = [races::cases, images::cases, processes::cases, configs::cases, crash::cases];
    husk_conformance::suite::main(topics.iter().flat_map(|cases| cases()).collect())
}

/// How often a race is run, or a process made under attack.
fn rounds() -> usize {
    std::env::var("SECURITY_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(30)
}
