//! The flight recorder: one page, shared between the runtime and the process that it makes.
//!
//! The new process stores the step that it enters, a time stamp for each step, and on failure the call and its error
//! number. So the runtime can say where it failed, also when it was killed (out of memory, a filter), and
//! `husk state` can say where one hangs. The page is a file in the container's state directory; after execve(2) the
//! container's process has it no longer.
//!
//! Invariant: the process writes only its own slots, the runtime only its own; all are single atomic numbers, so a
//! reader sees old or new, never half. Nothing here allocates.

use crate::error;
#[cfg(feature = "fault-injection")]
use crate::fault::Fault;
use crate::step::Step;
use crate::sys::{self, Call, Failed, SharedPage};
use nix::errno::Errno;
use std::io::Write;
use std::os::fd::{AsFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

const MAGIC: u64 = 0x6875_736b_0000_0001; // "husk", version 1
const SLOT_MAGIC: usize = 0;
const SLOT_INIT: usize = 1;
const SLOT_RUNTIME: usize = 2;
const SLOT_FAILURE: usize = 3;
const SLOT_FAILED_AT: usize = 4;
const SLOT_SILENT: usize = 5;
const SLOT_LISTENER: usize = 6;
const SLOT_LISTENER_TAKEN: usize = 7;
const SLOT_TIMES: usize = 8;
const SLOT_MAX: usize = sys::SLOTS - 1;

/// How often a process looks whether its listener was taken, before it takes its runtime for dead: many seconds.
const PATIENCE: u32 = 1 << 30;

/// A step, and which of several (mount 4, hook 0); [`NO_ITEM`] where there is only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) step: Step,
    pub(crate) item: u32,
}

/// The item of a step that happens once.
pub(crate) const NO_ITEM: u32 = u32::MAX;

impl Position {
    fn pack(self) -> u64 {
        (u64::from(self.step.number()) + 1) << 32 | u64::from(self.item)
    }

    #[allow(clippy::cast_possible_truncation)] // the halves of a packed number
    fn unpack(value: u64) -> Option<Position> {
        let number = ((value >> 32) as u16).checked_sub(1)?;
        Some(Position { step: Step::from_number(number)?, item: value as u32 })
    }
}

/// What the new process reported before it gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) at: Position,
    pub(crate) failed: Failed,
}

/// The page, with names for its slots.
#[derive(Debug)]
pub(crate) struct Recorder {
    page: SharedPage,
    /// What is to go wrong on purpose, and where.
    #[cfg(feature = "fault-injection")]
    fault: Option<Fault>,
}

impl Recorder {
    /// A new recording in `file`, which is made as long as it must be. It is written and not only given a size: a
    /// store into a page for which the file system has no room would be a SIGBUS.
    pub(crate) fn begin(mut file: &std::fs::File) -> std::io::Result<Recorder> {
        file.write_all(&[0; SharedPage::SIZE])?;
        let page =
            SharedPage::map(file.as_fd(), true).map_err(|failed| std::io::Error::from(failed.errno))?;
        page.slots()[SLOT_MAGIC].store(MAGIC, Ordering::Release);
        Ok(Recorder::of(page))
    }

    /// A new recording in memory, for an `exec`: a state directory that is full or read-only does not get in the way.
    pub(crate) fn anonymous() -> std::io::Result<Recorder> {
        let memfd = sys::memfd(c"husk-recorder").map_err(|failed| std::io::Error::from(failed.errno))?;
        Recorder::begin(&memfd.into())
    }

    /// A recording that another process has begun; `None` when the file is not one.
    pub(crate) fn read(file: &std::fs::File) -> Option<Recorder> {
        if file.metadata().ok()?.len() < SharedPage::SIZE as u64 {
            return None;
        }
        let page = SharedPage::map(file.as_fd(), false).ok()?;
        (page.slots()[SLOT_MAGIC].load(Ordering::Acquire) == MAGIC).then(|| Recorder::of(page))
    }

    fn of(page: SharedPage) -> Recorder {
        Recorder {
            page,
            #[cfg(feature = "fault-injection")]
            fault: None,
        }
    }

    /// The same, and something is to go wrong.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn with_fault(mut self, fault: Option<Fault>) -> Recorder {
        self.fault = fault;
        self
    }

    fn slot(&self, index: usize) -> &AtomicU64 {
        let slots = self.page.slots();
        slots.get(index).unwrap_or(&slots[SLOT_MAX])
    }

    fn enter(&self, slot: usize, step: Step, item: u32) {
        self.slot(slot).store(Position { step, item }.pack(), Ordering::Release);
        if self.slot(SLOT_SILENT).load(Ordering::Relaxed) != 0 && slot == SLOT_INIT {
            return;
        }
        let time = self.slot(SLOT_TIMES + usize::from(step.number()));
        if time.load(Ordering::Relaxed) == 0 {
            time.store(sys::monotonic_ns(), Ordering::Relaxed);
        }
    }

    /// The new process: it enters a step. Fails where a test wants it to, and never else.
    pub(crate) fn at(&self, step: Step) -> sys::Result<()> {
        self.at_item(step, NO_ITEM)
    }

    /// The new process: it enters one of several like steps.
    pub(crate) fn at_item(&self, step: Step, item: u32) -> sys::Result<()> {
        self.enter(SLOT_INIT, step, item);
        self.strike(step, item)
    }

    #[cfg(feature = "fault-injection")]
    fn strike(&self, step: Step, item: u32) -> sys::Result<()> {
        self.fault.map_or(Ok(()), |fault| fault.strike(step, item))
    }

    #[cfg(not(feature = "fault-injection"))]
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)] // as its twin above
    fn strike(&self, _: Step, _: u32) -> sys::Result<()> {
        Ok(())
    }

    /// The new process: a filter is about to be installed. From now on recording makes no system call, not even for
    /// the time, which the vDSO cannot tell on every machine.
    pub(crate) fn be_silent(&self) {
        self.slot(SLOT_SILENT).store(1, Ordering::Relaxed);
    }

    /// The new process, under its filter: its listener has this number. Returns when the runtime has taken it. Nothing
    /// here is a system call, each of which may be one that waits for that very listener.
    pub(crate) fn offer_listener(&self, fd: RawFd) -> sys::Result<()> {
        let number = u64::from(fd.unsigned_abs()) + 1;
        self.slot(SLOT_LISTENER).store(number, Ordering::Release);
        for _ in 0..PATIENCE {
            if self.slot(SLOT_LISTENER_TAKEN).load(Ordering::Acquire) == number {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        Err(Failed::new(Call::RuntimeGone, Errno::EPIPE))
    }

    /// The runtime: the number that the listener has in the new process, once there is one.
    pub(crate) fn offered_listener(&self) -> Option<RawFd> {
        let number = self.slot(SLOT_LISTENER).load(Ordering::Acquire).checked_sub(1)?;
        RawFd::try_from(number).ok()
    }

    /// The runtime: it has the listener, and the new process may go on.
    pub(crate) fn listener_is_taken(&self) {
        let number = self.slot(SLOT_LISTENER).load(Ordering::Relaxed);
        self.slot(SLOT_LISTENER_TAKEN).store(number, Ordering::Release);
    }

    /// The runtime: it enters a step. Fails where a test wants it to, and never else.
    #[cfg_attr(not(feature = "fault-injection"), allow(clippy::unnecessary_wraps))]
    pub(crate) fn runtime_at(&self, step: Step) -> error::Result<()> {
        self.enter(SLOT_RUNTIME, step, NO_ITEM);
        #[cfg(feature = "fault-injection")]
        self.fault.map_or(Ok(()), |fault| fault.strike_runtime(step)).map_err(|failed| {
            error::Error::os(format!("step {step} failed"), failed.call.name(), failed.errno).at(step)
        })?;
        Ok(())
    }

    /// The new process: the step that it is in failed.
    pub(crate) fn fail(&self, failed: Failed) {
        self.slot(SLOT_FAILED_AT).store(self.slot(SLOT_INIT).load(Ordering::Relaxed), Ordering::Relaxed);
        let number = failed.number.unsigned_abs();
        self.slot(SLOT_FAILURE)
            .store(1 << 63 | u64::from(failed.call as u16) << 32 | u64::from(number), Ordering::Release);
    }

    /// The step that the runtime is in.
    pub(crate) fn runtime_step(&self) -> Option<Step> {
        Position::unpack(self.slot(SLOT_RUNTIME).load(Ordering::Acquire)).map(|position| position.step)
    }

    /// Where the new process was last seen.
    pub(crate) fn position(&self) -> Option<Position> {
        Position::unpack(self.slot(SLOT_INIT).load(Ordering::Acquire))
    }

    /// Its report, if it gave one.
    #[allow(clippy::cast_possible_truncation)] // the parts of a packed number
    pub(crate) fn report(&self) -> Option<Report> {
        let value = self.slot(SLOT_FAILURE).load(Ordering::Acquire);
        if value >> 63 == 0 {
            return None;
        }
        let call = Call::from_number((value >> 32) as u32 & 0xffff)?;
        let number = i32::try_from(value as u32).unwrap_or(0);
        let at = Position::unpack(self.slot(SLOT_FAILED_AT).load(Ordering::Relaxed))?;
        Some(Report { at, failed: Failed { call, errno: Errno::from_raw(number), number } })
    }

    /// When each step was first entered, in nanoseconds of the monotonic clock; steps that never were are left out.
    pub(crate) fn times(&self) -> Vec<(Step, u64)> {
        let time = |step: Step| self.slot(SLOT_TIMES + usize::from(step.number())).load(Ordering::Relaxed);
        Step::ALL.iter().map(|&step| (step, time(step))).filter(|&(_, time)| time != 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_what_was_recorded() {
        let path = std::env::temp_dir().join(format!("husk-recorder-{}", std::process::id()));
        let file = std::fs::File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .expect("file");
        let recorder = Recorder::begin(&file).expect("begin");
        recorder.at_item(Step::Mount, 4).expect("no fault");
        recorder.fail(Failed::new(Call::Fsmount, Errno::EPERM));
        let reader = Recorder::read(&file).expect("read");
        let report = reader.report().expect("report");
        assert_eq!(report.at, Position { step: Step::Mount, item: 4 });
        assert_eq!(report.failed, Failed::new(Call::Fsmount, Errno::EPERM));
        assert_eq!(reader.times().len(), 1);
        std::fs::remove_file(path).expect("remove");
    }
}
