//! How long a new process may stand still before the runtime gives it up.
//!
//! Measured from its last progress, which the flight recorder shows: a set-up that is long but moves on is let be, and
//! one that hangs, on a network mount for example, ends in an error that names the step. A hook in the container has
//! a timeout of its own or, if the config gives none, all the time it wants (runtime-spec config.md, "POSIX-platform
//! Hooks").

use crate::recorder::{Position, Recorder};
use crate::step::Step;
use nix::poll::PollTimeout;
use std::time::{Duration, Instant};

/// Long enough for a slow mount, short enough for whoever waits for the answer.
pub(crate) const STEP_WITHIN: Duration = Duration::from_secs(120);

/// Watches one process's progress.
#[derive(Debug)]
pub(crate) struct Patience<'a> {
    recorder: &'a Recorder,
    /// `None` for ever.
    limit: Option<Duration>,
    seen: Option<Position>,
    since: Instant,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(recorder: &'a Recorder, limit: Option<Duration>) -> Patience<'a> {
        Patience { recorder, limit, seen: recorder.position(), since: Instant::now() }
    }

    /// For how long to wait before asking again; `None` when it has stood still for too long.
    pub(crate) fn left(&mut self) -> Option<PollTimeout> {
        let position = self.recorder.position();
        if position != self.seen {
            self.seen = position;
            self.since = Instant::now();
        }
        let Some(limit) = self.limit else { return Some(PollTimeout::NONE) };
        let in_hook = position.is_some_and(|position| {
            matches!(position.step, Step::CreateContainerHook | Step::StartContainerHook)
        });
        let left = if in_hook { limit } else { limit.saturating_sub(self.since.elapsed()) };
        // Rounded up, so that the last round does not spin.
        (!left.is_zero()).then(|| PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX))
    }
}
