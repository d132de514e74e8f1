//! From a profile to a program, with libseccomp as the compiler.
//!
//! Owns the walk over the profile: each part is checked, and handed to libseccomp in the same pass, so that
//! its refusals and ours come out together. Rules go in the order of the profile; the program is written
//! last, and only when there is no problem. Source: runtime-spec, config-linux.md, section "Seccomp";
//! seccomp_rule_add(3).

use std::fs::File;
use std::io::{self, Read, Seek};

use libc::sock_filter;
use libseccomp::error::{SeccompErrno, SeccompError};
use libseccomp::{ScmpAction, ScmpArch, ScmpFilterContext, ScmpSyscall};
use nix::sys::memfd::{MFdFlags, memfd_create};
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSyscall};

use crate::numbers::{Numbers, is_multiplexed, newer_is_enosys};
use crate::problem::Problem;
use crate::program::{
    FLAG_LOG, FLAG_NEW_LISTENER, FLAG_SPEC_ALLOW, FLAG_WAIT_KILLABLE_RECV, MAX_INSTRUCTIONS, Program,
    UnknownName,
};
use crate::prologue::prologue;
use crate::rule::Rule;
use crate::stored::instruction;
use crate::vocabulary::{return_value, scmp_action, scmp_arch};

/// From this many rules on, libseccomp arranges the calls as a binary tree instead of a list.
const TREE_FROM_RULES: usize = 32;

/// The calls that carry others. Where all of `socketcall` is allowed, libseccomp has to know it, or two rules for
/// conditions of `socket` contradict each other in it; engines' own profiles have such rules.
const CARRIERS: [&str; 2] = ["socketcall", "ipc"];

/// Compiles a profile.
///
/// The native architecture is always part of the filter, whether the profile lists it or not. Names that
/// libseccomp does not know are left out and listed by [`Program::unknown_names`]. Calls newer than the
/// profile are answered with ENOSYS when the default action refuses. A profile without `flags` gets
/// SPEC_ALLOW, one with an empty list gets none.
///
/// # Errors
/// Every problem of the profile, each with its JSON pointer, in the order of the profile's parts.
pub fn compile(profile: &LinuxSeccomp) -> Result<Program, Vec<Problem>> {
    let mut problems = Vec::new();
    let default_action = default_action(profile, &mut problems);
    let flags = flags(profile, &mut problems);

    let filter = match ScmpFilterContext::new(default_action) {
        Ok(filter) => filter,
        Err(error) => {
            problems.push(Problem::new("", format!("libseccomp cannot start a filter: {error}")));
            return Err(problems);
        }
    };
    let mut compiler = Compiler {
        filter,
        default_action,
        architectures: vec![Numbers::new(ScmpArch::native())],
        unknown: Vec::new(),
        rules: 0,
        problems,
    };
    compiler.architectures(profile);
    for (index, entry) in profile.syscalls().iter().flatten().enumerate() {
        compiler.entry(&format!("/syscalls/{index}"), entry);
    }
    let listener = if notifies(profile) { FLAG_NEW_LISTENER } else { 0 };
    compiler.finish(flags | listener)
}

/// What happens to a call that no rule names. With a problem, some action that lets the walk go on.
fn default_action(profile: &LinuxSeccomp, problems: &mut Vec<Problem>) -> ScmpAction {
    match scmp_action(profile.default_action(), profile.default_errno_ret()) {
        // As runc does: a listener that is asked about everything is asked about what its own container's runtime
        // still has to do.
        Ok(ScmpAction::Notify) => {
            problems.push(Problem::new("/defaultAction", "SCMP_ACT_NOTIFY cannot be used as default action"));
        }
        Ok(action) => return action,
        Err(message) => problems.push(Problem::new("/defaultErrnoRet", message)),
    }
    ScmpAction::KillThread
}

fn flags(profile: &LinuxSeccomp, problems: &mut Vec<Problem>) -> u32 {
    let Some(flags) = profile.flags() else {
        // As runc does: an engine that says nothing does not want to slow down each process of the container.
        return FLAG_SPEC_ALLOW;
    };
    let mut bits = 0;
    let notifies = notifies(profile);
    for (index, flag) in flags.iter().enumerate() {
        match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => bits |= FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => bits |= FLAG_SPEC_ALLOW,
            // There is one thread when the filter is installed, so there is nothing to synchronise.
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => {}
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv if notifies => {
                bits |= FLAG_WAIT_KILLABLE_RECV;
            }
            // EINVAL without a listener, kernel/seccomp.c.
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => problems.push(Problem::new(
                format!("/flags/{index}"),
                "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY",
            )),
        }
    }
    bits
}

/// Whether some rule asks a listener.
fn notifies(profile: &LinuxSeccomp) -> bool {
    let mut entries = profile.syscalls().iter().flatten();
    entries.any(|entry| entry.action() == LinuxSeccompAction::ScmpActNotify)
}

struct Compiler {
    filter: ScmpFilterContext,
    default_action: ScmpAction,
    /// The architectures of the filter, the native one first.
    architectures: Vec<Numbers>,
    unknown: Vec<UnknownName>,
    rules: usize,
    problems: Vec<Problem>,
}

impl Compiler {
    fn problem(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(pointer, message));
    }

    fn architectures(&mut self, profile: &LinuxSeccomp) {
        for (index, arch) in profile.architectures().iter().flatten().enumerate() {
            let scmp = scmp_arch(*arch);
            match self.filter.add_arch(scmp) {
                Ok(_) if self.architectures.iter().any(|numbers| numbers.arch() == scmp) => {}
                Ok(_) => self.architectures.push(Numbers::new(scmp)),
                Err(error) => {
                    let message = match error.errno() {
                        Some(SeccompErrno::EINVAL) => format!("this libseccomp does not know {arch}"),
                        Some(SeccompErrno::EDOM) => {
                            format!("{arch} has another byte order than this machine")
                        }
                        _ => format!("libseccomp refuses {arch}: {error}"),
                    };
                    self.problem(format!("/architectures/{index}"), message);
                }
            }
        }
    }

    /// One entry of `syscalls`: an action for many names.
    fn entry(&mut self, pointer: &str, entry: &LinuxSyscall) {
        // A rule that says what the default says anyway is left out: libseccomp refuses it.
        let rule =
            Rule::of(entry, pointer, &mut self.problems).filter(|rule| rule.action != self.default_action);
        if entry.names().is_empty() {
            self.problem(format!("{pointer}/names"), "an entry needs at least one system call");
        }
        for (index, name) in entry.names().iter().enumerate() {
            let pointer = format!("{pointer}/names/{index}");
            if name.is_empty() {
                self.problem(pointer, "an empty name is not a system call");
            } else if name == "write" && entry.action() == LinuxSeccompAction::ScmpActNotify {
                // As runc has it. A new process writes to its runtime while it waits for the listener to be served.
                self.problem(pointer, "SCMP_ACT_NOTIFY cannot be used for the write syscall");
            } else if let Ok(syscall) = ScmpSyscall::from_name(name) {
                self.syscall(pointer, name, syscall, rule.as_ref());
            } else {
                self.unknown.push(UnknownName { pointer, name: name.clone() });
            }
        }
    }

    /// One name with its rule: what the number decides goes to `architectures`, the rest to libseccomp.
    fn syscall(&mut self, pointer: String, name: &str, native: ScmpSyscall, rule: Option<&Rule>) {
        let always = rule.and_then(Rule::always);
        let carries_others = CARRIERS.contains(&name);
        let mut multiplexed = carries_others;
        for (index, numbers) in self.architectures.iter_mut().enumerate() {
            let syscall =
                if index == 0 { Ok(native) } else { ScmpSyscall::from_name_by_arch(name, numbers.arch()) };
            let Ok(number) = syscall.map(ScmpSyscall::as_raw_syscall) else { continue };
            numbers.name(number);
            if let Some(action) = always {
                numbers.always(number, return_value(action));
            }
            multiplexed |= is_multiplexed(number);
        }
        if let Some(rule) = rule
            && (always.is_none() || multiplexed)
        {
            if !carries_others {
                // Up to libseccomp 2.5.5 a list of calls that begins with one that the architecture lacks forgets to
                // load the number. Without conditions the carriers would come first, and x86_64 lacks them.
                let _ = self.filter.set_syscall_priority(native, 1);
            }
            self.ask(pointer, name, native, rule);
        }
    }

    /// Gives a rule to libseccomp, which knows it in all architectures.
    fn ask(&mut self, pointer: String, name: &str, syscall: ScmpSyscall, rule: &Rule) {
        for comparisons in &rule.alternatives {
            self.rules += 1;
            if let Err(error) = self.filter.add_rule_conditional(rule.action, syscall, comparisons) {
                let message = match error.errno() {
                    Some(SeccompErrno::EEXIST) => {
                        format!("{name} has another rule for these arguments, with another action")
                    }
                    _ => format!("libseccomp refuses the rule for {name}: {error}"),
                };
                return self.problem(pointer, message);
            }
        }
    }

    fn finish(mut self, flags: u32) -> Result<Program, Vec<Problem>> {
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let mut instructions = prologue(&self.architectures, newer_is_enosys(self.default_action));
        match self.export() {
            Ok(filter) => instructions.extend(filter),
            Err(error) => {
                return Err(vec![Problem::new("", format!("libseccomp cannot write the program: {error}"))]);
            }
        }
        if instructions.len() > MAX_INSTRUCTIONS {
            let message = format!(
                "the profile becomes {} instructions; the kernel takes at most {MAX_INSTRUCTIONS}",
                instructions.len()
            );
            return Err(vec![Problem::new("", message)]);
        }
        Ok(Program { instructions: instructions.into(), flags, unknown: self.unknown.into() })
    }

    /// libseccomp's program. It goes through a file in memory: before 2.6, libseccomp writes to descriptors
    /// only, and a pipe would hang on a program that is larger than what the pipe takes.
    fn export(&mut self) -> io::Result<Vec<sock_filter>> {
        let failed = |error: SeccompError| io::Error::other(error.to_string());
        if self.rules >= TREE_FROM_RULES {
            // A library that cannot do it writes a list, which answers the same.
            let _ = self.filter.set_ctl_optimize(2);
        }
        let mut file = File::from(memfd_create(c"husk-seccomp", MFdFlags::MFD_CLOEXEC)?);
        self.filter.export_bpf(&file).map_err(failed)?;
        file.rewind()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (instructions, rest) = bytes.as_chunks::<8>();
        if instructions.is_empty() || !rest.is_empty() {
            return Err(io::Error::other(format!("{} bytes are not a program", bytes.len())));
        }
        Ok(instructions.iter().map(instruction).collect())
    }
}
