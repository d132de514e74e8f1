//! Programs of eBPF, as far as cgroups take them to decide about devices: `bpf(cmd, attr, size)`, bpf(2).
//!
//! Unlike the rest of `sys` these calls are only made by the runtime itself, never between clone3 and execve.

use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const PROG_QUERY: libc::c_long = 16;

const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
/// Programs of the cgroups above decide too, and all have to agree.
const ALLOW_MULTI: u32 = 1 << 1;
const REPLACE: u32 = 1 << 2;

/// `struct bpf_insn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    pub(crate) const fn new(code: u8, target: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
        // Two bit fields of four bits in C, whose order follows the machine's.
        let registers =
            if cfg!(target_endian = "little") { target | source << 4 } else { target << 4 | source };
        Instruction { code, registers, offset, immediate }
    }

    /// `(code, target, source, offset, immediate)`.
    #[cfg(test)]
    pub(crate) const fn parts(self) -> (u8, u8, u8, i16, i32) {
        let (low, high) = (self.registers & 15, self.registers >> 4);
        let (target, source) = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
        (self.code, target, source, self.offset, self.immediate)
    }
}

/// `union bpf_attr`, larger than any kernel's. Kernels 6.17 to 7.1 write the answer of BPF_PROG_QUERY into fields that
/// lie behind the size they were given, so the room has to be there whatever size is said.
#[repr(C, align(8))]
struct Attributes([u8; 512]);

impl Attributes {
    fn new() -> Attributes {
        Attributes([0; 512])
    }

    fn u32(mut self, offset: usize, value: u32) -> Attributes {
        self.0[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn fd(self, offset: usize, fd: BorrowedFd<'_>) -> Attributes {
        self.u32(offset, fd.as_raw_fd().unsigned_abs())
    }

    /// A pointer, as the 64 bits that the kernel wants on every machine.
    fn address<T>(mut self, offset: usize, pointer: *const T) -> Attributes {
        self.0[offset..offset + 8].copy_from_slice(&(pointer.expose_provenance() as u64).to_ne_bytes());
        self
    }

    fn get_u32(&self, offset: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[offset..offset + 4]);
        u32::from_ne_bytes(bytes)
    }

    /// # Safety
    ///
    /// The addresses in it have to be valid for what the command reads and writes there.
    unsafe fn call(&mut self, command: libc::c_long) -> nix::Result<libc::c_long> {
        // SAFETY: the attributes are as large as the size says; for what they point to the caller answers.
        let value = unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), self.0.len()) };
        Errno::result(value)
    }

    /// A command that returns an fd; the kernel opens these close-on-exec.
    ///
    /// # Safety
    ///
    /// As [`Attributes::call`], and the command has to be one that returns an fd.
    unsafe fn call_for_fd(&mut self, command: libc::c_long) -> nix::Result<OwnedFd> {
        // SAFETY: the caller's promise.
        let fd = unsafe { self.call(command) }?;
        let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
        // SAFETY: the kernel has just given it to us.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// `BPF_PROG_LOAD` of a program for devices, since Linux 4.15. It lives as long as the fd or an attachment.
pub(crate) fn load_device_program(program: &[Instruction]) -> nix::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let length = u32::try_from(program.len()).map_err(|_| Errno::E2BIG)?;
    let mut attributes = Attributes::new()
        .u32(0, PROG_TYPE_CGROUP_DEVICE)
        .u32(4, length)
        .address(8, program.as_ptr())
        .address(16, license.as_ptr())
        .u32(68, CGROUP_DEVICE);
    let mut tries = 0;
    loop {
        // SAFETY: the kernel reads `length` instructions of struct bpf_insn's layout, and the license up to its NUL;
        // both outlive the call. The command returns an fd.
        match unsafe { attributes.call_for_fd(PROG_LOAD) } {
            // A signal came while the program was verified, which on a loaded machine takes a while.
            Err(Errno::EAGAIN) if tries < MOST_TRIES => tries += 1,
            done => return done,
        }
    }
}

/// As libbpf has it, and some more: each try starts the verification over.
const MOST_TRIES: u32 = 10;

/// `BPF_PROG_ATTACH` beside the programs that are there already, or in place of one of them at one stroke (Linux 5.6).
pub(crate) fn attach_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replace: Option<BorrowedFd<'_>>,
) -> nix::Result<()> {
    let flags = ALLOW_MULTI | if replace.is_some() { REPLACE } else { 0 };
    let mut attributes = Attributes::new().fd(0, cgroup).fd(4, program).u32(8, CGROUP_DEVICE).u32(12, flags);
    if let Some(replace) = replace {
        attributes = attributes.fd(16, replace);
    }
    // SAFETY: there is no address in these attributes.
    unsafe { attributes.call(PROG_ATTACH) }.map(drop)
}

/// `BPF_PROG_DETACH`.
pub(crate) fn detach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> nix::Result<()> {
    let mut attributes = Attributes::new().fd(0, cgroup).fd(4, program).u32(8, CGROUP_DEVICE);
    // SAFETY: there is no address in these attributes.
    unsafe { attributes.call(PROG_DETACH) }.map(drop)
}

/// `BPF_PROG_QUERY` for the programs attached to this cgroup itself, then `BPF_PROG_GET_FD_BY_ID` for each.
pub(crate) fn attached_device_programs(cgroup: BorrowedFd<'_>) -> nix::Result<Vec<OwnedFd>> {
    // The kernel attaches at most 64 to a cgroup (BPF_CGROUP_MAX_PROGS).
    let mut ids = [0u32; 64];
    let mut attributes =
        Attributes::new().fd(0, cgroup).u32(4, CGROUP_DEVICE).address(16, ids.as_mut_ptr()).u32(24, 64);
    // SAFETY: the kernel writes at most as many ids as the count says, into an array of that many.
    unsafe { attributes.call(PROG_QUERY) }?;
    let count = usize::try_from(attributes.get_u32(24)).unwrap_or(0);
    let mut programs = Vec::new();
    for id in ids.iter().take(count) {
        // SAFETY: there is no address in these attributes, and the command returns an fd.
        match unsafe { Attributes::new().u32(0, *id).call_for_fd(PROG_GET_FD_BY_ID) } {
            Ok(program) => programs.push(program),
            // Detached and unloaded meanwhile.
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(programs)
}
