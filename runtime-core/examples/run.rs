//! Runs the container of a bundle in the foreground: `run BUNDLE [ID]`.
//!
//! Everything that a program does with the library, in order: protect its own binary, open a state directory, read
//! the bundle, create, start, wait, delete.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use husk_core::{Bundle, ContainerId, CreateOptions, Created, Force, Runtime};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // One sentence, and where there is something that the user can do about it, a hint.
            eprintln!("run: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> husk_core::Result<u8> {
    // First of all: a container must not be able to overwrite the program that starts it.
    husk_core::seal_own_binary()?;

    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| ".".to_owned());
    let id: ContainerId = arguments.next().unwrap_or_else(|| "example".to_owned()).parse()?;

    let runtime = Runtime::open("/run/husk-examples")?;
    let bundle = Bundle::open(directory)?;
    let Created { container, mut init } = runtime.create(&id, &bundle, &CreateOptions::new())?;

    // Whatever happens from here on, the container goes away again.
    let lived = container.start().and_then(|()| init.wait());
    container.delete(Force::Yes)?;
    Ok(u8::try_from(lived?.shell_code()).unwrap_or(u8::MAX))
}
