//! Faults on purpose, for the tests of the promise that a failure leaves nothing behind. Only with the feature
//! `fault-injection`, which nothing but tests should enable.
//!
//! Invariant: what strikes in a new process obeys the rules of every step there, except for the effect that breaks
//! them on purpose ([`FaultEffect::Allocate`]).

use crate::step::Step;
use crate::sys::{self, Call, Failed};
use nix::errno::Errno;

/// What happens to the process that enters a step: the new process, or for a step that
/// [belongs to the runtime](Step::belongs_to_runtime) the calling program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultEffect {
    /// The step fails with EIO.
    Fail,
    /// The process dies of a signal.
    Kill,
    /// The process stays there for ever.
    Hang,
    /// The process allocates memory, which a new process must never do.
    Allocate,
}

/// Something to go wrong: for [`CreateOptions::fault`](crate::CreateOptions::fault) and
/// [`ExecOptions::fault`](crate::ExecOptions::fault).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    step: Step,
    item: Option<u32>,
    effect: FaultEffect,
}

impl Fault {
    /// In that step, the first time it is entered.
    #[must_use]
    pub fn new(effect: FaultEffect, step: Step) -> Fault {
        Fault { step, item: None, effect }
    }

    /// Only at that item of the step: the mount, the device, the hook of that index.
    #[must_use]
    pub fn item(mut self, item: u32) -> Fault {
        self.item = Some(item);
        self
    }

    /// The runtime enters a step. Where the step is one that both sides take, only a failure is for the runtime.
    pub(crate) fn strike_runtime(self, step: Step) -> sys::Result<()> {
        if self.effect != FaultEffect::Fail && !step.belongs_to_runtime() {
            return Ok(());
        }
        self.strike(step, self.item.unwrap_or(0))
    }

    /// A process enters a step.
    pub(crate) fn strike(self, step: Step, item: u32) -> sys::Result<()> {
        if self.step != step || self.item.is_some_and(|wanted| wanted != item) {
            return Ok(());
        }
        match self.effect {
            FaultEffect::Fail => Err(Failed::new(Call::Injected, Errno::EIO)),
            FaultEffect::Kill => {
                // The first process of a pid namespace is deaf to its own SIGKILL; what abort(3) does at last, an
                // instruction that nobody may execute, ends it all the same.
                sys::set_dumpable(false)?;
                std::process::abort()
            }
            FaultEffect::Hang => loop {
                nix::unistd::pause();
            },
            FaultEffect::Allocate => {
                drop(std::hint::black_box(Box::new(step)));
                Ok(())
            }
        }
    }
}
