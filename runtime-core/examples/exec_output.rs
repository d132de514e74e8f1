//! Runs a command in a container that runs, and collects what it prints: `exec_output STATE_DIR ID COMMAND…`.
//!
//! A container belongs to no process: any program that may read the state directory can load it.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use husk_core::{ContainerId, ExecOptions, Runtime, Stdio};
use std::error::Error;
use std::fs::File;
use std::io::{Read, pipe};

fn main() -> Result<(), Box<dyn Error>> {
    husk_core::seal_own_binary()?;

    let mut arguments = std::env::args().skip(1);
    let state = arguments.next().ok_or("which state directory?")?;
    let id: ContainerId = arguments.next().ok_or("which container?")?.parse()?;
    let container = Runtime::open(state)?.load(&id)?;

    // The container's own process is the pattern: its user, environment, capabilities and limits.
    let mut process = container.default_process()?;
    process.set_args(Some(arguments.collect())).set_terminal(Some(false));

    let (mut reader, writer) = pipe()?;
    let input = File::open("/dev/null")?;
    let stdio = [input.into(), writer.try_clone()?.into(), writer.into()];
    // The options hold the pipe's write end, and the end of file comes when they and the command are gone.
    let mut command = container.exec(&process, &ExecOptions::new().stdio(Stdio::Fds(stdio.into())))?;

    let mut output = String::new();
    reader.read_to_string(&mut output)?;
    let status = command.wait()?;
    println!("{id} said {output:?} and ended with {status}");
    Ok(())
}
