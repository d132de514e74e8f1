//! checkpoint and restore, which are runc's and not yet husk's: refused by name, whatever their arguments say.
//!
//! `-h` explains that and succeeds, as the help of every command does. `--help` explains it and fails: whether it succeeds is
//! how Podman and CRI-O find out whether a runtime can checkpoint.

use crate::log::Log;
use crate::report::Failure;
use crate::{alias, output};
use std::ffi::OsString;

pub(crate) fn run(name: &str, words: &[OsString], log: &Log) -> Result<u8, Failure> {
    log.debug(format_args!("{name} with {words:?}"));
    let asks = |flag: &str| words.iter().any(|word| word == flag);
    if asks("-h") || asks("--help") {
        let heading = match alias::is_runc() {
            true => format!("NAME:\n   runc {name} - not supported yet\n\n"),
            false => String::new(),
        };
        output::write(|out| {
            writeln!(out, "{heading}Not supported yet\n\nUsage: husk {name} ...\n")?;
            writeln!(out, "It fails, whatever else the line says. husk has no {name} so far.")
        })?;
        if !asks("--help") {
            return Ok(0);
        }
    }
    Err(Failure::unsupported(name))
}
