//! Device rules as a program of eBPF, which the kernel asks before a device is opened or made under cgroup v2
//! (admin-guide/cgroup-v2, "Device controller").
//!
//! The program reads the rules from the last to the first, with the rights that are still undecided in a register:
//! an allowing rule that covers the device removes its rights from them, a forbidding one ends with a refusal if it
//! speaks of one of them, and when none is left the access is granted. So for each right the last rule decides,
//! and what no rule mentions is refused.

use super::directory::Directory;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Access, DeviceKind, DeviceRule, Step};
use crate::sys::bpf::{
    Instruction, attach_device_program, attached_device_programs, detach_device_program, load_device_program,
};
use nix::errno::Errno;
use std::os::fd::AsFd;

// Registers: R0 is the answer, R1 the address of struct bpf_cgroup_dev_ctx.
const R0: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const RIGHTS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

// What BPF_DEVCG_DEV_BLOCK and BPF_DEVCG_DEV_CHAR are; the rights' bits are those of [`Access`].
const BLOCK: i32 = 1;
const CHAR: i32 = 2;

// Operations, on 32 bits so that a constant is not extended by its sign.
const LOAD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const MOVE: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
const SET: u8 = 0xb4; // BPF_ALU | BPF_MOV | BPF_K
const AND: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const SHIFT_RIGHT: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const JUMP_IF: u8 = 0x16; // BPF_JMP32 | BPF_JEQ | BPF_K
const JUMP_UNLESS: u8 = 0x56; // BPF_JMP32 | BPF_JNE | BPF_K
const JUMP: u8 = 0x05; // BPF_JMP | BPF_JA
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

const GRANT: i32 = 1;
const REFUSE: i32 = 0;

fn answer(value: i32) -> [Instruction; 2] {
    [Instruction::new(SET, R0, 0, 0, value), Instruction::new(EXIT, 0, 0, 0, 0)]
}

/// Makes the program; `None` when there are more rules than its jumps can span.
///
/// Its main line asks one question a rule, and what follows from a yes stands behind it and comes back to the next
/// rule. The kernel proves a program by walking every way through it, the straight one first, and gives up after a
/// million steps: as the main line learns nothing from a no, all the ways that come back to it end at once where it
/// was walked before, and a thousand rules are no more than a thousand times one.
fn compile(rules: &[DeviceRule]) -> Option<Vec<Instruction>> {
    let mut line = vec![
        // The first word has the kind in its lower half, the rights in its upper half.
        Instruction::new(LOAD, KIND, CONTEXT, 0, 0),
        Instruction::new(MOVE, RIGHTS, KIND, 0, 0),
        Instruction::new(SHIFT_RIGHT, RIGHTS, 0, 0, 16),
        Instruction::new(AND, KIND, 0, 0, 0xffff),
        Instruction::new(LOAD, MAJOR, CONTEXT, 4, 0),
        Instruction::new(LOAD, MINOR, CONTEXT, 8, 0),
    ];
    // Where on the main line the question is, and what follows from a yes.
    let mut asides = Vec::new();
    let mut end = REFUSE;
    for rule in rules.iter().rev() {
        if rule.is_total() {
            // What stands before it has no say, and the kernel takes no program with a part that is never reached.
            end = if rule.allow { GRANT } else { REFUSE };
            break;
        }
        let mut conditions = conditions(rule);
        match conditions.pop() {
            Some((register, value)) => {
                asides.push((line.len(), conditions, verdict(rule)));
                line.push(Instruction::new(JUMP_IF, register, 0, 0, value));
            }
            None => line.extend(verdict(rule)),
        }
    }
    line.extend(answer(end));
    for (question, conditions, verdict) in asides {
        line[question] = line[question].with_offset(i16::try_from(line.len() - question - 1).ok()?);
        let mut behind = conditions.len() + verdict.len();
        for (register, value) in conditions {
            behind -= 1;
            line.push(Instruction::new(JUMP_UNLESS, register, 0, i16::try_from(behind).ok()?, value));
        }
        line.extend(verdict);
        // Back to what follows the question, counted from behind this instruction.
        let back = i16::try_from(line.len() - question).ok()?;
        line.push(Instruction::new(JUMP, 0, 0, -back, 0));
    }
    Some(line)
}

/// What the rule asks of the device, the most telling question last.
fn conditions(rule: &DeviceRule) -> Vec<(u8, i32)> {
    let kind = match rule.kind {
        DeviceKind::All => None,
        DeviceKind::Block => Some(BLOCK),
        DeviceKind::Char => Some(CHAR),
    };
    // The kernel's constant is signed; only the bits count.
    let (major, minor) = (rule.major.map(u32::cast_signed), rule.minor.map(u32::cast_signed));
    let all = [(KIND, kind), (MAJOR, major), (MINOR, minor)];
    all.into_iter().filter_map(|(register, value)| Some((register, value?))).collect()
}

/// What follows for a device that the rule covers; it falls through where that does not decide.
fn verdict(rule: &DeviceRule) -> Vec<Instruction> {
    let rights = i32::from(rule.access.0);
    let (asked, verdict) = if rule.allow {
        let others = i32::from(Access::ALL.0) & !rights;
        let left =
            [Instruction::new(AND, RIGHTS, 0, 0, others), Instruction::new(JUMP_UNLESS, RIGHTS, 0, 2, 0)];
        (left.to_vec(), GRANT)
    } else {
        let named = [
            Instruction::new(MOVE, R0, RIGHTS, 0, 0),
            Instruction::new(AND, R0, 0, 0, rights),
            Instruction::new(JUMP_IF, R0, 0, 2, 0),
        ];
        (named.to_vec(), REFUSE)
    };
    let mut instructions = asked;
    instructions.extend(answer(verdict));
    instructions
}

/// Puts the rules into force for the cgroup and all below it. Rules that were there are replaced; at no moment are
/// there none.
pub(super) fn enforce(directory: &Directory, rules: &[DeviceRule]) -> Result<()> {
    let failed = |what: &str, errno: Errno| {
        let path = directory.path().display();
        Error::os(format!("cannot {what} the device rules of cgroup {path}"), "bpf", errno)
            .at(Step::LimitCgroup)
    };
    let cgroup = directory.fd().map_err(|errno| failed("set", errno))?;
    let program = compile(rules).ok_or_else(|| {
        let message =
            format!("/linux/resources/devices has more rules than the kernel takes: {}", rules.len());
        Error::new(ErrorKind::InvalidInput, message).at(Step::LimitCgroup)
    })?;
    let program = load_device_program(&program).map_err(|errno| failed("load", errno))?;
    let old = attached_device_programs(cgroup).map_err(|errno| failed("look up", errno))?;
    if let [only] = old.as_slice() {
        return attach_device_program(cgroup, program.as_fd(), Some(only.as_fd()))
            .map_err(|errno| failed("replace", errno));
    }
    attach_device_program(cgroup, program.as_fd(), None).map_err(|errno| failed("attach", errno))?;
    for program in old {
        detach_device_program(cgroup, program.as_fd()).map_err(|errno| failed("detach", errno))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn rule(allow: bool, kind: DeviceKind, major: Option<u32>, minor: Option<u32>, access: u8) -> DeviceRule {
        DeviceRule { allow, kind, major, minor, access: Access(access), pointer: String::new() }
    }

    /// What the rules mean, said the long way: each right by itself, the last rule that covers it.
    fn meant(rules: &[DeviceRule], kind: DeviceKind, major: u32, minor: u32, access: u8) -> bool {
        [1u8, 2, 4].into_iter().filter(|right| access & right != 0).all(|right| {
            let covers = |rule: &&DeviceRule| {
                (rule.kind == DeviceKind::All || rule.kind == kind)
                    && rule.major.is_none_or(|n| n == major)
                    && rule.minor.is_none_or(|n| n == minor)
                    && rule.access.0 & right != 0
            };
            rules.iter().rev().find(covers).is_some_and(|rule| rule.allow)
        })
    }

    /// Runs the program as the kernel would.
    fn run(program: &[Instruction], kind: DeviceKind, major: u32, minor: u32, access: u8) -> bool {
        let kind = if kind == DeviceKind::Block { BLOCK } else { CHAR }.cast_unsigned();
        let context = [kind | u32::from(access) << 16, major, minor];
        let mut registers = [0u32; 11];
        let mut next = 0;
        loop {
            let (code, target, source, offset, immediate) = program[next].parts();
            let (target, source) = (usize::from(target), usize::from(source));
            let value = immediate.cast_unsigned();
            let mut jump = false;
            next += 1;
            match code {
                LOAD => registers[target] = context[usize::try_from(offset).unwrap() / 4],
                MOVE => registers[target] = registers[source],
                SET => registers[target] = value,
                AND => registers[target] &= value,
                SHIFT_RIGHT => registers[target] >>= value,
                JUMP => jump = true,
                JUMP_IF => jump = registers[target] == value,
                JUMP_UNLESS => jump = registers[target] != value,
                EXIT => return registers[0] != 0,
                other => panic!("operation {other:#x}"),
            }
            if jump {
                next = next.checked_add_signed(isize::from(offset)).unwrap();
            }
        }
    }

    /// Every access to a few devices, with the numbers that the rules name and others.
    fn compare(rules: &[DeviceRule]) {
        let program = compile(rules).unwrap();
        for kind in [DeviceKind::Block, DeviceKind::Char] {
            for major in [0, 1, 5, 8, 136, u32::MAX] {
                for minor in [0, 1, 3, 200, u32::MAX] {
                    for access in 1..=7 {
                        assert_eq!(
                            run(&program, kind, major, minor, access),
                            meant(rules, kind, major, minor, access),
                            "{kind:?} {major}:{minor} {} under {rules:?}",
                            Access(access)
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_program_means_what_the_rules_mean() {
        use DeviceKind::{All, Block, Char};
        compare(&[]);
        compare(&[rule(true, All, None, None, 7)]);
        compare(&[rule(false, All, None, None, 7), rule(true, Char, Some(1), Some(3), 6)]);
        compare(&[rule(true, All, None, None, 7), rule(false, Block, Some(8), None, 4)]);
        compare(&[rule(true, Char, Some(1), None, 2), rule(true, Char, Some(1), Some(3), 4)]);
        compare(&[
            rule(true, Char, None, None, 7),
            rule(false, Char, Some(1), None, 4),
            rule(true, Char, Some(1), Some(3), 4),
        ]);
        compare(&[rule(true, Block, Some(u32::MAX), Some(u32::MAX), 7)]);
        compare(&[
            rule(true, All, None, None, 1),
            rule(false, All, None, Some(3), 3),
            rule(true, All, Some(5), None, 2),
        ]);
    }

    #[test]
    fn the_program_means_what_any_rules_mean() {
        // A small generator in place of a dependency: the same 2,000 lists each time.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below).unwrap()
        };
        let numbers = [None, Some(1), Some(5), Some(8), Some(3), Some(u32::MAX)];
        for _ in 0..2000 {
            let rules: Vec<DeviceRule> = (0..random(8))
                .map(|_| {
                    let kind = [DeviceKind::All, DeviceKind::Block, DeviceKind::Char][random(3)];
                    let (major, minor) = (numbers[random(6)], numbers[random(6)]);
                    rule(random(2) == 0, kind, major, minor, u8::try_from(random(7) + 1).unwrap())
                })
                .collect();
            compare(&rules);
        }
    }
}
