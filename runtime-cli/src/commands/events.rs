//! events: a line of JSON for what a container uses, and one for each time it runs out of memory.

use super::Context;
use crate::args::Events;
use crate::report::Failure;
use husk_core::{Container, ErrorKind, Happened, Stats};
use serde::Serialize;
use std::io::Write;
use std::ops::ControlFlow;
use std::time::Instant;

#[derive(Debug, Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Stats>,
}

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, args: &Events) -> Result<u8, Failure> {
    let container = context.load(&args.id)?;
    if args.stats {
        let _ = print("stats", &container, Some(container.stats()?))?;
        return Ok(0);
    }
    let mut watch = container.watch()?;
    let mut next = Instant::now() + args.interval;
    loop {
        let printed = match watch.next(next.saturating_duration_since(Instant::now()))? {
            Happened::OutOfMemory => print("oom", &container, None)?,
            Happened::Nothing => {
                next = Instant::now() + args.interval;
                match container.stats() {
                    Ok(stats) => print("stats", &container, Some(stats))?,
                    // It has ended this moment; the watch tells.
                    Err(error) if error.kind() == ErrorKind::InvalidState => ControlFlow::Continue(()),
                    Err(error) => return Err(error.into()),
                }
            }
            _ => return Ok(0),
        };
        if printed.is_break() {
            return Ok(0);
        }
    }
}

/// One line, at once. Breaks when the reader has left.
fn print(kind: &'static str, container: &Container, data: Option<Stats>) -> Result<ControlFlow<()>, Failure> {
    let event = Event { kind, id: container.id().as_str(), data };
    let mut line = serde_json::to_vec(&event).map_err(|error| Failure::new(error.to_string()))?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    match out.write_all(&line).and_then(|()| out.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(Failure::system("cannot write to standard output", error)),
    }
}
