//! husk: the runc command surface on husk-core. No container logic lives here: a command reads its arguments, calls the
//! library and prints; what fails travels up to [`report`] and is reported once.
//!
//! Reading order: this file, `args` (the table), `commands` (one file a command), `foreground` (signals, terminal, exit).

#![forbid(unsafe_code)]

mod alias;
mod args;
mod clock;
mod commands;
mod console;
mod doctor;
mod foreground;
mod given;
mod inherited;
mod log;
mod narrate;
mod output;
mod parse;
mod report;
mod root;
mod signals;
mod systemd;
mod terminal;
mod r#try;

use std::ffi::OsString;
use std::process::ExitCode;

/// The commands that enter a container, and so have to be sealed against it first.
const ENTERING: [&str; 5] = ["create", "run", "exec", "mounts", "try"];

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    // Before anything else is done, because it starts the program again. A word of that name anywhere is enough: sealing
    // in vain costs little, and finding the command properly costs a second reading of the line.
    let sealed = match args.iter().any(|arg| ENTERING.iter().any(|name| arg == name)) {
        true => husk_core::seal_own_binary(),
        false => Ok(()),
    };
    let parsed = match parse::parse(args) {
        Ok(parsed) => parsed,
        Err(end) => return end.exit_code(),
    };
    let log = match log::Log::open(&parsed.global) {
        Ok(log) => log,
        Err(failure) => return report::fail(&log::Log::nowhere(), failure),
    };
    match sealed.map_err(Into::into).and_then(|()| commands::run(parsed, &log)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => report::fail(&log, failure),
    }
}
