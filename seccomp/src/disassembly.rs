//! A program as text, for those who want to see what will be installed.

use std::fmt;

use libc::sock_filter;

use crate::bpf::{
    AND, IF_ANY_BIT, IF_AT_LEAST, IF_EQUAL, IF_GREATER, JUMP, LOAD, OFFSET_ARCH, OFFSET_ARGS, OFFSET_NUMBER,
    RETURN,
};

/// The listing of a program: `index: instruction`, jumps shown with the index that they lead to.
#[derive(Debug, Clone, Copy)]
pub struct Disassembly<'a>(pub(crate) &'a [sock_filter]);

impl fmt::Display for Disassembly<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, instruction) in self.0.iter().enumerate() {
            write!(f, "{index:4}: ")?;
            line(f, index, instruction)?;
            writeln!(f)?;
        }
        Ok(())
    }
}

fn line(
    f: &mut fmt::Formatter<'_>,
    index: usize,
    &sock_filter { code, jt, jf, k }: &sock_filter,
) -> fmt::Result {
    let next = index + 1;
    let condition = match code {
        LOAD => return write!(f, "load {}", Word(k)),
        AND => return write!(f, "and {k:#x}"),
        JUMP => return write!(f, "goto {}", next + k as usize),
        RETURN => return write!(f, "return {}", Action(k)),
        IF_EQUAL => "==",
        IF_GREATER => ">",
        IF_AT_LEAST => ">=",
        IF_ANY_BIT => "&",
        _ => return write!(f, "code {code:#04x} jt {jt} jf {jf} k {k:#x}"),
    };
    write!(f, "if {condition} {k:#x} goto {} else {}", next + usize::from(jt), next + usize::from(jf))
}

/// A word of `struct seccomp_data`.
struct Word(u32);

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            OFFSET_NUMBER => f.write_str("number"),
            OFFSET_ARCH => f.write_str("arch"),
            offset if offset < OFFSET_ARGS => write!(f, "[{offset}]"),
            offset => {
                let low = if cfg!(target_endian = "little") { 0 } else { 4 };
                let half = if offset % 8 == low { "low" } else { "high" };
                write!(f, "arg{}.{half}", (offset - OFFSET_ARGS) / 8)
            }
        }
    }
}

/// What a filter returns, in the words of seccomp(2).
struct Action(u32);

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = self.0 & libc::SECCOMP_RET_DATA;
        match self.0 & libc::SECCOMP_RET_ACTION_FULL {
            libc::SECCOMP_RET_KILL_PROCESS => f.write_str("KILL_PROCESS"),
            libc::SECCOMP_RET_KILL_THREAD => f.write_str("KILL_THREAD"),
            libc::SECCOMP_RET_TRAP => f.write_str("TRAP"),
            libc::SECCOMP_RET_ERRNO => write!(f, "ERRNO({data})"),
            libc::SECCOMP_RET_TRACE => write!(f, "TRACE({data})"),
            libc::SECCOMP_RET_LOG => f.write_str("LOG"),
            libc::SECCOMP_RET_USER_NOTIF => f.write_str("USER_NOTIF"),
            libc::SECCOMP_RET_ALLOW => f.write_str("ALLOW"),
            _ => write!(f, "{:#x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::{branch, statement};

    #[test]
    fn each_instruction_has_its_words() {
        let program = [
            statement(LOAD, OFFSET_ARCH),
            branch(IF_EQUAL, 0xc000_003e, 0, 5),
            statement(LOAD, OFFSET_NUMBER),
            branch(IF_GREATER, 5, 1, 0),
            statement(JUMP, 2),
            statement(LOAD, OFFSET_ARGS + 8),
            statement(AND, 0xf0),
            branch(IF_ANY_BIT, 1, 0, 1),
            statement(RETURN, libc::SECCOMP_RET_ERRNO | 13),
            statement(RETURN, 0x1234_0000),
            statement(0x87, 0),
        ];
        let half = if cfg!(target_endian = "little") { "low" } else { "high" };
        let argument = format!("   5: load arg1.{half}");
        let expected = [
            "   0: load arch",
            "   1: if == 0xc000003e goto 2 else 7",
            "   2: load number",
            "   3: if > 0x5 goto 5 else 4",
            "   4: goto 7",
            &argument,
            "   6: and 0xf0",
            "   7: if & 0x1 goto 8 else 9",
            "   8: return ERRNO(13)",
            "   9: return 0x12340000",
            "  10: code 0x87 jt 0 jf 0 k 0x0",
        ];
        let listing = Disassembly(&program).to_string();
        assert_eq!(listing.lines().collect::<Vec<_>>(), expected);
    }
}
