//! The naive reading of a profile: look up the name of the call, go through the rules, compare.
//!
//! Written from the specification and libseccomp's manual pages, without a look at how husk compiles. What it
//! takes from libseccomp is the names of numbers.

use std::collections::HashMap;

use libseccomp::{ScmpArch, ScmpSyscall};
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall,
};

use super::{Abi, Call};

const KILL_THREAD: u32 = 0;
const ENOSYS: u32 = 0x0005_0000 | 38;

/// A rule that speaks of a number: always, or when the first argument of `socketcall` or `ipc` says so.
struct Rule<'a> {
    entry: &'a LinuxSyscall,
    first_argument: Option<u64>,
}

/// A profile for one kind of program.
pub(crate) struct Reading<'a> {
    profile: &'a LinuxSeccomp,
    abi: Abi,
    rules: HashMap<u32, Vec<Rule<'a>>>,
    newest: u32,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(profile: &'a LinuxSeccomp, abi: Abi) -> Self {
        let number = |n: u32| ScmpSyscall::from_raw_syscall(n as i32);
        let numbers: HashMap<String, u32> = (abi.base()..abi.base() + 600)
            .filter_map(|n| Some((number(n).get_name_by_arch(abi.scmp()).ok()?, n)))
            .collect();
        let mut rules: HashMap<u32, Vec<Rule<'a>>> = HashMap::new();
        let mut newest = 0;
        let default = value(profile.default_action(), profile.default_errno_ret());
        for entry in profile.syscalls().iter().flatten() {
            // Rules that say what the default says are no rules.
            let speaks = value(entry.action(), entry.errno_ret()) != default;
            for name in entry.names() {
                let mut add = |number: Option<&u32>, first_argument: Option<u64>| {
                    if let (Some(number), true) = (number, speaks) {
                        rules.entry(*number).or_default().push(Rule { entry, first_argument });
                    }
                };
                add(numbers.get(name), None);
                let Ok(syscall) = ScmpSyscall::from_name_by_arch(name, abi.scmp()) else { continue };
                match syscall.as_raw_syscall() {
                    n @ -120..=-101 => add(numbers.get("socketcall"), Some((-100 - n) as u64)),
                    n @ -224..=-201 => add(numbers.get("ipc"), Some((-200 - n) as u64)),
                    n => newest = newest.max(n),
                }
            }
        }
        Self { profile, abi, rules, newest: newest as u32 }
    }

    /// The answer, as a `SECCOMP_RET_*` value.
    pub(crate) fn answer(&self, call: &Call) -> u32 {
        let answer = self.only_answer(call);
        answer.unwrap_or_else(|| panic!("the profile is ambiguous about {call:?}, so it proves nothing"))
    }

    /// The same; `None` where the profile gives more than one.
    pub(crate) fn only_answer(&self, call: &Call) -> Option<u32> {
        let default = value(self.profile.default_action(), self.profile.default_errno_ret());
        if !self.covers() {
            // libseccomp lets -1 pass where it would take a number for one of x32: it means "skip the call".
            let skips = self.abi == Abi::X32 && call.number == u32::MAX;
            return Some(if skips { default } else { KILL_THREAD });
        }
        if self.is_newer(call.number) {
            return Some(ENOSYS);
        }
        let rules = self.rules.get(&call.number).map(Vec::as_slice).unwrap_or_default();
        let unconditional =
            |rule: &&Rule<'_>| rule.first_argument.is_none() && conditions(rule.entry).is_empty();
        if let Some(rule) = rules.iter().find(unconditional) {
            return Some(value(rule.entry.action(), rule.entry.errno_ret()));
        }
        let holding = rules.iter().filter(|rule| self.holds(rule, &call.args));
        let mut answers: Vec<u32> =
            holding.map(|rule| value(rule.entry.action(), rule.entry.errno_ret())).collect();
        answers.dedup();
        let last = answers.pop();
        answers.is_empty().then(|| last.unwrap_or(default))
    }

    fn covers(&self) -> bool {
        let native = self.abi.scmp() == ScmpArch::native();
        native || self.profile.architectures().iter().flatten().any(|arch| *arch == self.abi.spec())
    }

    /// Is this number above all that the profile names, and does that matter?
    fn is_newer(&self, number: u32) -> bool {
        let default = value(self.profile.default_action(), self.profile.default_errno_ret());
        let refuses = match default & 0xffff_0000 {
            0x7fff_0000 | 0x7ffc_0000 | 0x7ff0_0000 => false,
            _ => default != ENOSYS,
        };
        let end = if self.abi == Abi::X86_64 { 0x4000_0000 } else { 0x8000_0000 };
        refuses && self.newest > 0 && number > self.newest && number < end
    }

    /// Do the conditions hold? Of `socketcall` and `ipc` the first argument is looked at for the name alone.
    fn holds(&self, rule: &Rule<'_>, args: &[u64; 6]) -> bool {
        if rule.first_argument.is_some_and(|wanted| wanted != args[0]) {
            return false;
        }
        let conditions = conditions(rule.entry);
        let one = |condition: &LinuxSeccompArg| {
            rule.first_argument.is_some() && condition.index() == 0
                || self.compare(condition, args[condition.index()])
        };
        let same = |a: &LinuxSeccompArg| conditions.iter().filter(|b| a.index() == b.index()).count() > 1;
        if conditions.iter().any(same) { conditions.iter().any(one) } else { conditions.iter().all(one) }
    }

    fn compare(&self, condition: &LinuxSeccompArg, arg: u64) -> bool {
        // libseccomp compares the lower halves alone for 32-bit programs, and counts those of x32 among them.
        let width = if matches!(self.abi, Abi::I386 | Abi::X32) { 0xffff_ffff } else { u64::MAX };
        let (arg, value) = (arg & width, condition.value() & width);
        match condition.op() {
            LinuxSeccompOperator::ScmpCmpNe => arg != value,
            LinuxSeccompOperator::ScmpCmpLt => arg < value,
            LinuxSeccompOperator::ScmpCmpLe => arg <= value,
            LinuxSeccompOperator::ScmpCmpEq => arg == value,
            LinuxSeccompOperator::ScmpCmpGe => arg >= value,
            LinuxSeccompOperator::ScmpCmpGt => arg > value,
            LinuxSeccompOperator::ScmpCmpMaskedEq => {
                arg & value == condition.value_two().unwrap_or_default() & width
            }
        }
    }
}

fn conditions(entry: &LinuxSyscall) -> &[LinuxSeccompArg] {
    entry.args().as_deref().unwrap_or_default()
}

/// `SECCOMP_RET_*`, with the errno of the rule, else EPERM.
pub(crate) fn value(action: LinuxSeccompAction, errno_ret: Option<u32>) -> u32 {
    match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => KILL_THREAD,
        LinuxSeccompAction::ScmpActKillProcess => 0x8000_0000,
        LinuxSeccompAction::ScmpActTrap => 0x0003_0000,
        LinuxSeccompAction::ScmpActErrno => 0x0005_0000 | errno_ret.unwrap_or(1),
        LinuxSeccompAction::ScmpActTrace => 0x7ff0_0000 | errno_ret.unwrap_or(1),
        LinuxSeccompAction::ScmpActLog => 0x7ffc_0000,
        LinuxSeccompAction::ScmpActAllow => 0x7fff_0000,
        LinuxSeccompAction::ScmpActNotify => 0x7fc0_0000,
    }
}
