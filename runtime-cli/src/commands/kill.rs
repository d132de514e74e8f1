//! kill: a signal to the init, or with --all to every process of the container.

use super::Context;
use crate::args::{Kill, parse_signal};
use crate::report::Failure;
use husk_core::ErrorKind;

pub(crate) fn run(context: &Context<'_>, args: &Kill) -> Result<u8, Failure> {
    let signal = args.id_and_signal.get(1).map_or("TERM", String::as_str);
    let signal = parse_signal(signal).map_err(Failure::new)?;
    let container = context.load(&args.id_and_signal[0])?;
    if !args.all {
        container.kill(signal)?;
        return Ok(0);
    }
    match container.kill_all(signal) {
        // Engines send the last kill to containers that may have ended by themselves.
        Err(error) if error.kind() == ErrorKind::InvalidState => Ok(0),
        result => Ok(result.map(|()| 0)?),
    }
}
