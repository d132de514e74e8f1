//! What the number of a call alone decides, for one architecture.
//!
//! Most rules of a profile have no conditions: the number is the whole answer. Those are collected here and
//! become ranges; everything else, [`Answer::Ask`], is left to libseccomp's program, which stands behind the
//! ranges. Two more things follow from the names:
//!
//! - **Newer calls.** A C library tries a new call and falls back to the old one on ENOSYS; on EPERM it gives
//!   up. A profile that was written before a call existed cannot have meant to forbid it. So numbers above
//!   the highest one that the profile names are answered with ENOSYS, where the default action refuses. (With
//!   one that permits, new calls get through anyway; a tracer answers for itself.) The measure is the
//!   profile, not the kernel: a profile that names openat2 knows everything up to openat2.
//! - **Multiplexed calls.** Some architectures reach `socket` also as an argument of `socketcall`. That takes
//!   more than a number, so libseccomp gets such rules.

use std::collections::BTreeMap;

use libseccomp::{ScmpAction, ScmpArch};

/// The bit that marks the number of an x32 call (`__X32_SYSCALL_BIT`, asm/unistd.h).
const X32_BIT: u32 = 0x4000_0000;
/// ARM's private calls (cacheflush, set_tls, …) start here; they do not age (`__ARM_NR_BASE`, asm/unistd.h).
const ARM_PRIVATE: u32 = 0x000f_0000;
/// Numbers from here on are negative. Tracers write -1 to skip a call, which is not a new call.
const NEGATIVE: u32 = 0x8000_0000;

/// The answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A `SECCOMP_RET_*` value.
    Return(u32),
    /// More than the number has to be looked at: ask libseccomp's program.
    Ask,
}

const ENOSYS: Answer = Answer::Return(libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs());

/// The numbers of one architecture that the profile speaks of.
pub(crate) struct Numbers {
    arch: ScmpArch,
    answers: BTreeMap<u32, u32>,
    newest: Option<u32>,
}

impl Numbers {
    /// Nothing is named so far.
    pub(crate) fn new(arch: ScmpArch) -> Self {
        Self { arch, answers: BTreeMap::new(), newest: None }
    }

    /// The architecture that this is about.
    pub(crate) fn arch(&self) -> ScmpArch {
        self.arch
    }

    /// The profile names this call, with whatever action. Numbers that the architecture lacks are left out.
    pub(crate) fn name(&mut self, number: i32) {
        // Number 0 counts for nothing: a profile that names only the first call of all says nothing of its
        // age.
        if let Ok(number) = u32::try_from(number)
            && (1..self.newer_end()).contains(&number)
        {
            self.newest = self.newest.max(Some(number));
        }
    }

    /// The profile has a rule without conditions for this call. Of two for one call the first holds, as it
    /// does in libseccomp. `action` is a `SECCOMP_RET_*` value.
    pub(crate) fn always(&mut self, number: i32, action: u32) {
        if let Ok(number) = u32::try_from(number) {
            self.answers.entry(number).or_insert(action);
        }
    }

    /// s390 shows a number that its kernel does not know as 0: setup(2), which nobody calls any more.
    fn zero_is_unknown(&self) -> bool {
        matches!(self.arch, ScmpArch::S390 | ScmpArch::S390X)
    }

    /// Ascending ranges, each from its number up to the next one's; the first begins where the architecture's
    /// numbers begin. Neighbours have different answers.
    pub(crate) fn ranges(&self, newer_is_enosys: bool) -> Vec<(u32, Answer)> {
        let newest = if newer_is_enosys { self.newest } else { None };
        let old_end = newest.map_or(NEGATIVE, |newest| newest + 1);
        let mut ranges = Ranges(vec![(self.start(), Answer::Ask)]);
        let mut first = 0;
        if newest.is_some() && self.zero_is_unknown() {
            ranges.push(0, ENOSYS);
            ranges.push(1, Answer::Ask);
            first = 1;
        }
        for (&number, &action) in self.answers.range(first..old_end) {
            ranges.push(number, Answer::Return(action));
            ranges.push(number + 1, Answer::Ask);
        }
        if newest.is_some() {
            ranges.push(old_end, ENOSYS);
            ranges.push(self.newer_end(), Answer::Ask);
        }
        for (&number, &action) in self.answers.range(old_end.max(self.newer_end())..) {
            ranges.push(number, Answer::Return(action));
            ranges.push(number + 1, Answer::Ask);
        }
        ranges.0
    }

    /// The first number of this architecture.
    fn start(&self) -> u32 {
        if self.arch == ScmpArch::X32 { X32_BIT } else { 0 }
    }

    /// The first number that a new call cannot have.
    fn newer_end(&self) -> u32 {
        match self.arch {
            ScmpArch::X8664 => X32_BIT,
            ScmpArch::Arm => ARM_PRIVATE,
            _ => NEGATIVE,
        }
    }
}

/// Ranges in the making. Each push begins at or after the one before it.
struct Ranges(Vec<(u32, Answer)>);

impl Ranges {
    fn push(&mut self, start: u32, answer: Answer) {
        // The last range ends before it began.
        if self.0.last().is_some_and(|last| last.0 == start) {
            self.0.pop();
        }
        if self.0.last().is_none_or(|last| last.1 != answer) {
            self.0.push((start, answer));
        }
    }
}

/// Whether calls newer than the profile are to be answered with ENOSYS.
pub(crate) fn newer_is_enosys(default_action: ScmpAction) -> bool {
    match default_action {
        ScmpAction::Allow | ScmpAction::Log | ScmpAction::Trace(_) | ScmpAction::Notify => false,
        ScmpAction::Errno(errno) => errno != libc::ENOSYS,
        _ => true,
    }
}

/// Whether libseccomp's number of a name stands for an argument of `socketcall` (-101 to -120) or `ipc`
/// (-201 to -224) on that architecture, `__PNR_socket` and its like in seccomp.h.
pub(crate) fn is_multiplexed(number: i32) -> bool {
    (-299..=-100).contains(&number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

    fn numbers(arch: ScmpArch, allowed: &[i32]) -> Numbers {
        let mut numbers = Numbers::new(arch);
        for &number in allowed {
            numbers.name(number);
            numbers.always(number, ALLOW);
        }
        numbers
    }

    #[test]
    fn neighbours_become_one_range() {
        let numbers = numbers(ScmpArch::Aarch64, &[0, 1, 2, 5, -10001]);
        let allow = Answer::Return(ALLOW);
        assert_eq!(numbers.ranges(false), [(0, allow), (3, Answer::Ask), (5, allow), (6, Answer::Ask)]);
        assert_eq!(
            numbers.ranges(true),
            [(0, allow), (3, Answer::Ask), (5, allow), (6, ENOSYS), (NEGATIVE, Answer::Ask)]
        );
    }

    #[test]
    fn a_profile_without_a_name_for_an_architecture_has_no_age() {
        assert_eq!(numbers(ScmpArch::Aarch64, &[]).ranges(true), [(0, Answer::Ask)]);
        assert_eq!(numbers(ScmpArch::X32, &[]).ranges(true), [(X32_BIT, Answer::Ask)]);
        let first = numbers(ScmpArch::Aarch64, &[0]);
        assert_eq!(first.ranges(true), [(0, Answer::Return(ALLOW)), (1, Answer::Ask)]);
    }

    #[test]
    fn on_s390_an_unknown_call_arrives_as_zero() {
        let ranges = numbers(ScmpArch::S390X, &[0, 1, 2]).ranges(true);
        assert_eq!(ranges, [(0, ENOSYS), (1, Answer::Return(ALLOW)), (3, ENOSYS), (NEGATIVE, Answer::Ask)]);
    }
}
