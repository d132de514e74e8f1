//! Classic BPF as seccomp uses it: the instructions that a filter may hold, by name.
//!
//! One list of opcodes for those who write instructions (`newer`) and those who read them (`disassembly`).
//! Source: seccomp(2), linux/bpf_common.h, `seccomp_check_filter` in kernel/seccomp.c.

use libc::sock_filter;

/// `A = data[k]`, a word of `struct seccomp_data`.
pub(crate) const LOAD: u16 = opcode(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS);
/// Go `k` instructions further.
pub(crate) const JUMP: u16 = opcode(libc::BPF_JMP | libc::BPF_JA);
/// If `A == k`.
pub(crate) const IF_EQUAL: u16 = opcode(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
/// If `A > k`, unsigned.
pub(crate) const IF_GREATER: u16 = opcode(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K);
/// If `A >= k`, unsigned.
pub(crate) const IF_AT_LEAST: u16 = opcode(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K);
/// If `A & k` is not zero.
pub(crate) const IF_ANY_BIT: u16 = opcode(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K);
/// `A &= k`.
pub(crate) const AND: u16 = opcode(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K);
/// End with the action `k`.
pub(crate) const RETURN: u16 = opcode(libc::BPF_RET | libc::BPF_K);

/// Where `struct seccomp_data` holds the number of the call.
pub(crate) const OFFSET_NUMBER: u32 = 0;
/// Where `struct seccomp_data` holds the architecture.
pub(crate) const OFFSET_ARCH: u32 = 4;
/// Where `struct seccomp_data` holds the six arguments of 64 bits each.
pub(crate) const OFFSET_ARGS: u32 = 16;

const fn opcode(bits: u32) -> u16 {
    assert!(bits <= 0xff, "an opcode of classic BPF is one byte");
    // The line above makes this exact.
    #[allow(clippy::cast_possible_truncation)]
    let code = bits as u16;
    code
}

/// An instruction that does not branch.
pub(crate) const fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

/// An instruction that goes `then` further when its condition holds and `otherwise` further when not.
pub(crate) const fn branch(code: u16, k: u32, then: u8, otherwise: u8) -> sock_filter {
    sock_filter { code, jt: then, jf: otherwise, k }
}
