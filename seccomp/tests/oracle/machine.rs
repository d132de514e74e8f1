//! Runs a seccomp filter as the kernel does (kernel/seccomp.c, net/core/filter.c), and refuses what the
//! kernel refuses.

use libc::sock_filter;

use super::Call;

/// What the filter returns for a call: a `SECCOMP_RET_*` value.
pub(crate) fn run(program: &[sock_filter], call: &Call) -> u32 {
    let mut accumulator = 0_u32;
    let mut at = 0;
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let condition = match code {
            // ld [k]
            0x20 => {
                accumulator = load(call, k);
                continue;
            }
            // and #k
            0x54 => {
                accumulator &= k;
                continue;
            }
            // ja k
            0x05 => {
                at += k as usize;
                continue;
            }
            // ret #k
            0x06 => return k,
            0x15 => accumulator == k,
            0x25 => accumulator > k,
            0x35 => accumulator >= k,
            0x45 => accumulator & k != 0,
            other => {
                panic!("instruction {}: opcode {other:#x} is not one that libseccomp or husk writes", at - 1)
            }
        };
        at += usize::from(if condition { jt } else { jf });
    }
}

/// A word of `struct seccomp_data`: number, architecture, instruction pointer (8 bytes), six arguments.
fn load(call: &Call, offset: u32) -> u32 {
    assert!(offset.is_multiple_of(4) && offset < 64, "load from offset {offset}");
    match offset {
        0 => call.number,
        4 => call.audit_arch,
        8 | 12 => panic!("no profile speaks of the instruction pointer"),
        _ => {
            let bytes = call.args[(offset as usize - 16) / 8].to_ne_bytes();
            let half = if offset.is_multiple_of(8) { &bytes[..4] } else { &bytes[4..] };
            u32::from_ne_bytes(half.try_into().expect("four bytes"))
        }
    }
}
