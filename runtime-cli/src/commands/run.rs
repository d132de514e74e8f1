//! run: create, start, stay until the end, delete.

use super::create::make;
use super::start::start_detached;
use super::{Context, remove};
use crate::args::Run;
use crate::foreground::Foreground;
use crate::inherited;
use crate::log::Log;
use crate::report::Failure;
use husk_core::{Container, Created, Force};

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, args: Run) -> Result<u8, Failure> {
    if args.detach {
        let created = make(context, args.new, true)?;
        return match start_detached(&created.container, context.log) {
            Ok(()) => Ok(0),
            Err(failure) => Err(undo(created.container, failure, context.log)),
        };
    }
    let mut foreground = Foreground::prepare(!args.no_subreaper)?;
    let created = make(context, args.new, false)?;
    if let Some(manager) = inherited::notify_socket() {
        match created.container.readiness(&manager) {
            Ok(readiness) => foreground.tell_when_ready(readiness),
            Err(error) => return Err(undo(created.container, error.into(), context.log)),
        }
    }
    stay(foreground, created, args.keep, context.log)
}

/// Starts a container, serves it until it ends, and removes it.
pub(crate) fn stay(
    mut foreground: Foreground,
    created: Created,
    keep: bool,
    log: &Log,
) -> Result<u8, Failure> {
    let Created { container, mut init } = created;
    let started = foreground.attach(&mut init).and_then(|()| Ok(container.start()?));
    if let Err(failure) = started {
        // First the terminal, so that the failure is told on one that works.
        drop(foreground);
        return Err(undo(container, failure, log));
    }
    let code = match foreground.wait(&mut init) {
        Ok(code) => code,
        Err(failure) => return Err(undo(container, failure, log)),
    };
    if !keep {
        remove(container, Force::Yes, log)?;
    }
    Ok(code)
}

/// Removes a container that is of no use. The first failure is the one to tell.
fn undo(container: Container, failure: Failure, log: &Log) -> Failure {
    let id = container.id().clone();
    match remove(container, Force::Yes, log) {
        Ok(()) => failure,
        Err(more) => failure.hint(format!("{id} is still there: {more}")),
    }
}
