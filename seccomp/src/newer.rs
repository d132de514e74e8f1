//! ENOSYS for system calls that are newer than the profile.
//!
//! A C library tries a new call and falls back to the old one on ENOSYS; on EPERM it gives up. A profile
//! that was written before a call existed cannot have meant to forbid it, so this prologue answers ENOSYS
//! for each number above the highest one that the profile names for that architecture. It stands before
//! libseccomp's program and falls through to it for everything else. Only a default action that refuses
//! gets a prologue: with one that permits (ALLOW, LOG, and TRACE, whose tracer answers for itself) new
//! calls get through anyway.
//!
//! The measure is the profile, not the kernel: a profile that names openat2 knows everything up to openat2.

use libc::sock_filter;
use libseccomp::{ScmpAction, ScmpArch};

use crate::bpf::{
    IF_AT_LEAST, IF_EQUAL, IF_GREATER, JUMP, LOAD, OFFSET_ARCH, OFFSET_NUMBER, RETURN, branch, statement,
};
use crate::vocabulary::audit_arch;

const RETURN_ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();

/// The bit that marks the number of an x32 call (`__X32_SYSCALL_BIT`, asm/unistd.h).
const X32_BIT: u32 = 0x4000_0000;
/// ARM's private calls (cacheflush, set_tls, …) start here; they do not age (`__ARM_NR_BASE`, asm/unistd.h).
const ARM_PRIVATE: u32 = 0x000f_0000;
/// Numbers from here on are negative. Tracers write -1 to skip a call, which is not a new call.
const NEGATIVE: u32 = 0x8000_0000;

/// The numbers of one architecture, and the newest of them that the profile names.
pub(crate) struct Known {
    arch: ScmpArch,
    newest: Option<u32>,
}

impl Known {
    /// Nothing is named so far.
    pub(crate) fn new(arch: ScmpArch) -> Self {
        Self { arch, newest: None }
    }

    /// The profile names this call. Numbers that the architecture does not have are left out.
    pub(crate) fn name(&mut self, number: i32) {
        // libseccomp gives negative stand-ins to names that this architecture lacks. Number 0 counts for
        // nothing either: a profile that names nothing newer than the first call of all says nothing about
        // its age.
        if let Ok(number) = u32::try_from(number)
            && (1..self.end()).contains(&number)
        {
            self.newest = self.newest.max(Some(number));
        }
    }

    /// The architecture that this is about.
    pub(crate) fn arch(&self) -> ScmpArch {
        self.arch
    }

    /// The first number that is not an ordinary call of this architecture.
    fn end(&self) -> u32 {
        match self.arch {
            ScmpArch::X8664 => X32_BIT,
            ScmpArch::Arm => ARM_PRIVATE,
            _ => NEGATIVE,
        }
    }
}

/// Whether a profile with this default action gets a prologue.
pub(crate) fn wanted(default_action: ScmpAction) -> bool {
    match default_action {
        ScmpAction::Allow | ScmpAction::Log | ScmpAction::Trace(_) | ScmpAction::Notify => false,
        ScmpAction::Errno(errno) => errno != libc::ENOSYS,
        _ => true,
    }
}

/// The prologue: for each architecture, `if newest < number < end: return ENOSYS`.
///
/// x86_64 and x32 share one architecture value, so they share one section; they are told apart by the number.
pub(crate) fn prologue(known: &[Known]) -> Vec<sock_filter> {
    let mut sections: Vec<(u32, Vec<sock_filter>)> = Vec::new();
    for audit in known.iter().filter_map(|known| audit_arch(known.arch)) {
        if !sections.iter().any(|(seen, _)| *seen == audit) {
            sections.push((audit, section(audit, known)));
        }
    }

    // Built from the end, since each jump counts the instructions that it leaves out.
    let mut program: Vec<sock_filter> = Vec::new();
    for (audit, body) in sections.iter().rev().filter(|(_, body)| !body.is_empty()) {
        let mut part = Vec::with_capacity(body.len() + 3);
        part.push(branch(IF_EQUAL, *audit, 0, length(body) + 2));
        part.push(statement(LOAD, OFFSET_NUMBER));
        part.extend_from_slice(body);
        part.push(statement(JUMP, u32::try_from(program.len()).unwrap_or(u32::MAX)));
        part.append(&mut program);
        program = part;
    }
    if !program.is_empty() {
        program.insert(0, statement(LOAD, OFFSET_ARCH));
    }
    program
}

/// The checks of one architecture value, with the number of the call already loaded.
fn section(audit: u32, known: &[Known]) -> Vec<sock_filter> {
    let mut here: Vec<&Known> =
        known.iter().filter(|k| audit_arch(k.arch) == Some(audit) && k.newest.is_some()).collect();
    here.sort_by_key(|k| k.end());
    let mut checks = Vec::new();
    for known in here {
        if matches!(known.arch, ScmpArch::S390 | ScmpArch::S390X) {
            // On s390 a number that the kernel does not know arrives as 0, once setup(2), which nobody calls.
            checks.extend([branch(IF_EQUAL, 0, 0, 1), statement(RETURN, RETURN_ENOSYS)]);
        }
        checks.extend([
            branch(IF_GREATER, known.newest.unwrap_or(NEGATIVE), 0, 2),
            branch(IF_AT_LEAST, known.end(), 1, 0),
            statement(RETURN, RETURN_ENOSYS),
        ]);
    }
    checks
}

/// A section is at most two architectures long, far from the 255 that a branch can reach.
fn length(section: &[sock_filter]) -> u8 {
    u8::try_from(section.len()).unwrap_or(u8::MAX)
}
