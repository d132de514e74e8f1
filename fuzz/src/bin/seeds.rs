//! Writes the seeds of every target into a directory of its name below the one that is given, for `make fuzz`.

#![allow(clippy::expect_used, reason = "as in tests")]

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let place = PathBuf::from(std::env::args_os().nth(1).expect("a directory"));
    for (name, _) in husk_fuzz::TARGETS {
        std::fs::create_dir_all(place.join(name))?;
        for (number, seed) in husk_fuzz::seeds::seeds(name).iter().enumerate() {
            std::fs::write(place.join(name).join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
