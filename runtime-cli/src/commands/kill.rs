//! kill: a signal to the init, or with --all to every process of the container.

use super::{Context, for_each_matching};
use crate::args::{Kill, parse_signal};
use crate::report::Failure;
use husk_core::{Container, ErrorKind};

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, args: &Kill) -> Result<u8, Failure> {
    let signal = args.id_and_signal.get(1).map_or("TERM", String::as_str);
    let signal = parse_signal(signal).map_err(Failure::new)?;
    let which = &args.id_and_signal[0];
    if args.regex {
        for_each_matching(context, which, |container| send(&container, signal, args.all))?;
    } else {
        send(&context.load(which)?, signal, args.all)?;
    }
    Ok(0)
}

fn send(container: &Container, signal: i32, all: bool) -> Result<(), Failure> {
    if !all {
        return Ok(container.kill(signal)?);
    }
    match container.kill_all(signal) {
        // Engines send the last kill to containers that may have ended by themselves.
        Err(error) if error.kind() == ErrorKind::InvalidState => Ok(()),
        result => Ok(result?),
    }
}
