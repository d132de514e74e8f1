//! run: create, start, stay until the end, delete.

use super::Context;
use super::create::make;
use crate::args::Run;
use crate::foreground::Foreground;
use crate::report::Failure;
use husk_core::{Container, Created, Force};

pub(crate) fn run(context: &Context<'_>, args: Run) -> Result<u8, Failure> {
    if args.detach {
        let created = make(context, args.new, true)?;
        return match created.container.start() {
            Ok(()) => Ok(0),
            Err(error) => Err(undo(created.container, error.into())),
        };
    }
    let foreground = Foreground::prepare(!args.no_subreaper)?;
    let created = make(context, args.new, false)?;
    stay(foreground, created, args.keep)
}

/// Starts a container, serves it until it ends, and removes it.
pub(crate) fn stay(mut foreground: Foreground, created: Created, keep: bool) -> Result<u8, Failure> {
    let Created { container, mut init } = created;
    let started = foreground.attach(&mut init).and_then(|()| Ok(container.start()?));
    if let Err(failure) = started {
        // First the terminal, so that the failure is told on one that works.
        drop(foreground);
        return Err(undo(container, failure));
    }
    let code = match foreground.wait(&mut init) {
        Ok(code) => code,
        Err(failure) => return Err(undo(container, failure)),
    };
    if !keep {
        container.delete(Force::Yes).map_err(husk_core::Error::from)?;
    }
    Ok(code)
}

/// Removes a container that is of no use. The first failure is the one to tell.
fn undo(container: Container, failure: Failure) -> Failure {
    match container.delete(Force::Yes) {
        Ok(()) => failure,
        Err(more) => failure.hint(format!("{} is still there: {}", more.container.id(), more.error)),
    }
}
