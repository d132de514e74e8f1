//! The front of a program: a binary search by the number of the call, for each architecture.
//!
//! It either returns an answer or goes to the end of itself, where libseccomp's program begins. It exists
//! for speed: of an engine's default profile for x86_64, x86 and x32, libseccomp alone makes 1,200
//! instructions in 10 to 15 ms, more than all the rest of a container's start; with the search in front, the
//! two make 720 in half a millisecond, and the kernel takes them in half the time. `tests/answers.rs` holds
//! the whole to libseccomp's own answers.
//!
//! Jumps only go forward in BPF, and a branch reaches 255 instructions; so everything is built from its end.

use libc::sock_filter;

use crate::bpf::{IF_AT_LEAST, IF_EQUAL, JUMP, LOAD, OFFSET_ARCH, OFFSET_NUMBER, RETURN, branch, statement};
use crate::numbers::{Answer, Numbers};
use crate::vocabulary::audit_arch;

/// Writes the search for these architectures, in their order.
pub(crate) fn prologue(architectures: &[Numbers], newer_is_enosys: bool) -> Vec<sock_filter> {
    // x86_64 and x32 are one architecture to the kernel, and share one search over all their numbers.
    let mut sections: Vec<(u32, Vec<(u32, Answer)>)> = Vec::new();
    for numbers in architectures {
        let Some(audit) = audit_arch(numbers.arch()) else { continue };
        let ranges = numbers.ranges(newer_is_enosys);
        match sections.iter_mut().find(|(seen, _)| *seen == audit) {
            Some((_, others)) => others.extend(ranges),
            None => sections.push((audit, ranges)),
        }
    }
    let mut program = Vec::new();
    for (audit, mut ranges) in sections.into_iter().rev() {
        ranges.sort_by_key(|(start, _)| *start);
        let search = search(&ranges, length(&program));
        let mut section = vec![
            branch(IF_EQUAL, audit, 1, 0),
            statement(JUMP, length(&search) + 1),
            statement(LOAD, OFFSET_NUMBER),
        ];
        section.extend(search);
        section.append(&mut program);
        program = section;
    }
    program.insert(0, statement(LOAD, OFFSET_ARCH));
    program
}

/// Finds the range of the loaded number. `after` instructions stand between the search and libseccomp's
/// program.
fn search(ranges: &[(u32, Answer)], after: u32) -> Vec<sock_filter> {
    let (lower, upper) = match ranges {
        [] => return vec![statement(JUMP, after)],
        [(_, Answer::Ask)] => return vec![statement(JUMP, after)],
        [(_, Answer::Return(action))] => return vec![statement(RETURN, *action)],
        _ => ranges.split_at(ranges.len() / 2),
    };
    let middle = upper[0].0;
    let upper = search(upper, after);
    let lower = search(lower, after + length(&upper));
    let mut code = match u8::try_from(lower.len()) {
        Ok(lower) => vec![branch(IF_AT_LEAST, middle, lower, 0)],
        Err(_) => vec![branch(IF_AT_LEAST, middle, 0, 1), statement(JUMP, length(&lower))],
    };
    code.extend(lower);
    code.extend(upper);
    code
}

/// The length of a piece, as a jump counts it.
fn length(piece: &[sock_filter]) -> u32 {
    u32::try_from(piece.len()).unwrap_or(u32::MAX)
}
