//! Device rules as a program of eBPF, which the kernel asks before a device is opened or made under cgroup v2
//! (admin-guide/cgroup-v2, "Device controller").
//!
//! The program goes through the rules from the last to the first with the rights that are still undecided, and those that
//! were refused, in a register each. A rule that covers the device decides those of its rights that are undecided, so for
//! each right the last rule has its way, and what no rule mentions is refused.
//!
//! There is not a single jump in it. The kernel proves a program by walking every way through it, and a fork costs it more
//! than a dozen instructions: with a question for each condition the rules of an ordinary container took 0.2 ms to
//! load, computed they take less than half of that, and a thousand rules take a thousand times one. For the same reason
//! yes and no are 1 and 0, never a mask of all bits: where it sees such a mask the kernel goes both ways (as of Linux
//! 6.18), each time twice as many.

use super::directory::Directory;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Access, DeviceKind, DeviceRule, Step};
use crate::sys::bpf::{
    Instruction, attach_device_program, attached_device_programs, detach_device_program, load_device_program,
};
use nix::errno::Errno;
use std::os::fd::AsFd;

// Registers: R0 is the answer, and until then what was refused; R1 the address of struct bpf_cgroup_dev_ctx.
const REFUSED: u8 = 0;
const CONTEXT: u8 = 1;
const UNDECIDED: u8 = 2;
const MAJOR: u8 = 3;
const MINOR: u8 = 4;
/// 0 for a device of that kind.
const NOT_BLOCK: u8 = 5;
const NOT_CHAR: u8 = 6;
/// 0 if the device is one that the rule covers; then 1 if it is none.
const OTHER: u8 = 7;
const SPARE: u8 = 8;

// What BPF_DEVCG_DEV_BLOCK and BPF_DEVCG_DEV_CHAR are; the rights' bits are those of [`Access`].
const BLOCK: i32 = 1;
const CHAR: i32 = 2;

// Operations on 32 bits, which clear the upper half.
const LOAD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const MOVE: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
const SET: u8 = 0xb4; // BPF_ALU | BPF_MOV | BPF_K
const AND: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const XOR: u8 = 0xa4; // BPF_ALU | BPF_XOR | BPF_K
const SHIFT_RIGHT: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
// On 64 bits.
const OR: u8 = 0x47; // BPF_ALU64 | BPF_OR | BPF_K
const OR_WITH: u8 = 0x4f; // BPF_ALU64 | BPF_OR | BPF_X
const AND_WITH: u8 = 0x5f; // BPF_ALU64 | BPF_AND | BPF_X
const FLIP: u8 = 0xa7; // BPF_ALU64 | BPF_XOR | BPF_K
const MULTIPLY: u8 = 0x27; // BPF_ALU64 | BPF_MUL | BPF_K
const NEGATE: u8 = 0x87; // BPF_ALU64 | BPF_NEG
const ADD: u8 = 0x07; // BPF_ALU64 | BPF_ADD | BPF_K
const SIGN: u8 = 0x77; // BPF_ALU64 | BPF_RSH | BPF_K, by 63
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

/// An operation with a constant.
const fn with(code: u8, register: u8, value: i32) -> Instruction {
    Instruction::new(code, register, 0, 0, value)
}

/// An operation with another register.
const fn both(code: u8, register: u8, other: u8) -> Instruction {
    Instruction::new(code, register, other, 0, 0)
}

/// Makes the program.
fn compile(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut program = vec![
        // The first word has the kind in its lower half, the rights in its upper half.
        both(LOAD, UNDECIDED, CONTEXT),
        both(MOVE, NOT_BLOCK, UNDECIDED),
        with(SHIFT_RIGHT, UNDECIDED, 16),
        with(AND, NOT_BLOCK, 0xffff),
        both(MOVE, NOT_CHAR, NOT_BLOCK),
        with(XOR, NOT_BLOCK, BLOCK),
        with(XOR, NOT_CHAR, CHAR),
        Instruction::new(LOAD, MAJOR, CONTEXT, 4, 0),
        Instruction::new(LOAD, MINOR, CONTEXT, 8, 0),
        with(SET, REFUSED, 0),
    ];
    // What stands before a rule for everything has no say.
    let total = rules.iter().rposition(DeviceRule::is_total);
    for rule in rules[total.map_or(0, |index| index + 1)..].iter().rev() {
        look_at(rule, &mut program);
        decide(rule, &mut program);
    }
    if !total.is_some_and(|index| rules[index].allow) {
        program.push(both(OR_WITH, REFUSED, UNDECIDED));
    }
    // 1 if nothing was refused: of such small numbers only 0 is negative when it is one less.
    program.extend([with(ADD, REFUSED, -1), with(SIGN, REFUSED, 63), with(EXIT, 0, 0)]);
    program
}

/// Whether the device is another than those that the rule covers.
fn look_at(rule: &DeviceRule, program: &mut Vec<Instruction>) {
    let kind = match rule.kind {
        DeviceKind::All => with(SET, OTHER, 0),
        DeviceKind::Block => both(MOVE, OTHER, NOT_BLOCK),
        DeviceKind::Char => both(MOVE, OTHER, NOT_CHAR),
    };
    program.push(kind);
    for (register, number) in [(MAJOR, rule.major), (MINOR, rule.minor)] {
        // The kernel's constant is signed; only the bits count.
        let Some(number) = number.map(u32::cast_signed) else { continue };
        program.extend([both(MOVE, SPARE, register), with(XOR, SPARE, number), both(OR_WITH, OTHER, SPARE)]);
    }
    // Below zero, unless it was 0.
    program.extend([with(NEGATE, OTHER, 0), with(SIGN, OTHER, 63)]);
}

/// Takes the rule's rights, if it covers the device, from the undecided ones.
fn decide(rule: &DeviceRule, program: &mut Vec<Instruction>) {
    let rights = i32::from(rule.access.0);
    if !rule.allow {
        program.extend([
            both(MOVE, SPARE, OTHER),
            with(FLIP, SPARE, 1),
            with(MULTIPLY, SPARE, rights),
            both(AND_WITH, SPARE, UNDECIDED),
            both(OR_WITH, REFUSED, SPARE),
        ]);
    }
    program.push(with(MULTIPLY, OTHER, rights));
    if rule.access != Access::ALL {
        program.push(with(OR, OTHER, i32::from(Access::ALL.0) & !rights));
    }
    program.push(both(AND_WITH, UNDECIDED, OTHER));
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
    let program = load_device_program(&compile(rules)).map_err(|errno| match errno {
        Errno::E2BIG => {
            let count = rules.len();
            let message = format!("/linux/resources/devices has more rules than the kernel takes: {count}");
            Error::new(ErrorKind::InvalidInput, message).at(Step::LimitCgroup)
        }
        errno => failed("load", errno),
    })?;
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
        let mut registers = [u64::MAX; 11];
        for instruction in program {
            let (code, target, source, offset, immediate) = instruction.parts();
            let other = registers[usize::from(source)];
            let target = &mut registers[usize::from(target)];
            let low = |value: u64| value & u64::from(u32::MAX);
            // A constant is extended by its sign where 64 bits are.
            let value = i64::from(immediate).cast_unsigned();
            *target = match code {
                LOAD => u64::from(context[usize::try_from(offset).unwrap() / 4]),
                MOVE => low(other),
                SET => low(value),
                AND => low(*target & value),
                XOR => low(*target ^ value),
                SHIFT_RIGHT => low(*target) >> value,
                OR => *target | value,
                OR_WITH => *target | other,
                AND_WITH => *target & other,
                FLIP => *target ^ value,
                NEGATE => target.wrapping_neg(),
                ADD => target.wrapping_add(value),
                MULTIPLY => target.wrapping_mul(value),
                SIGN => *target >> value,
                EXIT => break,
                unknown => panic!("operation {unknown:#x}"),
            };
        }
        assert!(registers[0] <= 1, "the kernel takes no other answer");
        registers[0] == 1
    }

    /// Every access to a few devices, with the numbers that the rules name and others.
    fn compare(rules: &[DeviceRule]) {
        let program = compile(rules);
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
