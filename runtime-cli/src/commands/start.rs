//! start, and what a detached run shares with it: the container's process runs, and whoever waits for it hears of it.

use super::Context;
use crate::args::Start;
use crate::inherited;
use crate::log::Log;
use crate::report::{Failure, warn};
use husk_core::{Container, Readiness};

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, args: &Start) -> Result<u8, Failure> {
    start_detached(&context.load(&args.id)?, context.log)?;
    Ok(0)
}

/// Starts a container. With NOTIFY_SOCKET in the environment it returns only when the container is ready, or has ended:
/// the service manager looks at the container's own process from then on.
pub(crate) fn start_detached(container: &Container, log: &Log) -> Result<(), Failure> {
    let readiness = inherited::notify_socket().map(|manager| container.readiness(&manager)).transpose()?;
    container.start()?;
    if let Some(readiness) = readiness
        // The container runs, so this is no failure to start it.
        && let Err(error) = pass_on(&readiness, container, log)
    {
        warn(log, &error.to_string());
    }
    Ok(())
}

fn pass_on(readiness: &Readiness, container: &Container, log: &Log) -> Result<(), husk_core::Error> {
    let pid = container.state()?.pid;
    if readiness.wait(container)? {
        readiness.tell(pid)?;
        if !readiness.barrier()? {
            warn(log, "NOTIFY_SOCKET did not answer within 30 s");
        }
    }
    Ok(())
}
