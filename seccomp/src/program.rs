//! A compiled filter: plain data that any thread or child may read.
//!
//! Invariant: between 1 and [`MAX_INSTRUCTIONS`] instructions, each of them accepted by the kernel's check
//! of seccomp filters as libseccomp writes them. A program never changes once it is made.

use std::fmt;

use libc::sock_filter;

use crate::disassembly::Disassembly;

/// The kernel refuses longer programs (`BPF_MAXINSNS`, linux/bpf_common.h).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// Log what is not allowed (`SECCOMP_FILTER_FLAG_LOG`, since Linux 4.14).
pub(crate) const FLAG_LOG: u32 = 1 << 1;
/// Leave speculative store bypass as it is (`SECCOMP_FILTER_FLAG_SPEC_ALLOW`, since Linux 4.17).
pub(crate) const FLAG_SPEC_ALLOW: u32 = 1 << 2;

/// Give a listener, a file descriptor that gets the notified calls (`SECCOMP_FILTER_FLAG_NEW_LISTENER`, since Linux 5.0).
pub(crate) const FLAG_NEW_LISTENER: u32 = 1 << 3;
/// Once the listener has a call, only a fatal signal interrupts it (`SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`, since Linux
/// 5.19).
pub(crate) const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// A seccomp filter, ready for the kernel.
///
/// It holds no pointer into libseccomp and no lock: a child may install the copy that it got from clone3.
#[derive(Clone)]
pub struct Program {
    pub(crate) instructions: Box<[sock_filter]>,
    pub(crate) flags: u32,
    pub(crate) unknown: Box<[UnknownName]>,
}

/// A system call that the profile names and libseccomp does not know, for any architecture.
///
/// As the specification has it, such a name is no error: a profile is written for many machines. The call is
/// answered as if the profile did not name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    /// JSON pointer to the name, relative to the profile: `/syscalls/0/names/17`.
    pub pointer: String,
    /// The name, as the profile spells it.
    pub name: String,
}

impl Program {
    /// The instructions, as `struct sock_fprog` takes them.
    #[must_use]
    pub fn instructions(&self) -> &[sock_filter] {
        &self.instructions
    }

    /// How many instructions there are, never more than [`MAX_INSTRUCTIONS`].
    // A program without instructions does not exist, so `is_empty` would have one answer.
    #[allow(clippy::len_without_is_empty)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.instructions.len()
    }

    /// The flags for `SECCOMP_SET_MODE_FILTER`, see seccomp(2).
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// Whether a listener is asked about some calls: [`install`](Program::install) then gives one.
    #[must_use]
    pub fn notifies(&self) -> bool {
        self.flags & FLAG_NEW_LISTENER != 0
    }

    /// The names of the profile that had no effect, because libseccomp does not know them.
    #[must_use]
    pub fn unknown_names(&self) -> &[UnknownName] {
        &self.unknown
    }

    /// A listing, one numbered instruction a line, for people.
    #[must_use]
    pub fn disassemble(&self) -> Disassembly<'_> {
        Disassembly(&self.instructions)
    }
}

/// One line: `1034 instructions, flags SPEC_ALLOW, 2 unknown names`.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} instructions", self.len())?;
        let flags = [
            (FLAG_LOG, "LOG"),
            (FLAG_SPEC_ALLOW, "SPEC_ALLOW"),
            (FLAG_NEW_LISTENER, "NEW_LISTENER"),
            (FLAG_WAIT_KILLABLE_RECV, "WAIT_KILLABLE_RECV"),
        ];
        let set = flags.iter().filter(|(bit, _)| self.flags & bit != 0);
        for (index, (_, name)) in set.enumerate() {
            write!(f, "{}{name}", if index == 0 { ", flags " } else { "|" })?;
        }
        match self.unknown.len() {
            0 => Ok(()),
            1 => f.write_str(", 1 unknown name"),
            n => write!(f, ", {n} unknown names"),
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("len", &self.len())
            .field("flags", &self.flags)
            .field("unknown", &self.unknown)
            .finish()
    }
}
