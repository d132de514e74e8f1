//! A program as bytes, for those who keep compiled programs and install them again.
//!
//! What was kept is not believed: [`Program::from_bytes`] takes only what the kernel's check of a filter would take
//! (`bpf_check_classic` and `seccomp_check_filter`), from the instructions that this crate and libseccomp write. Whether
//! it is the right program for a profile is the caller's to know.

use crate::bpf::{AND, IF_ANY_BIT, IF_AT_LEAST, IF_EQUAL, IF_GREATER, JUMP, LOAD, RETURN};
use crate::features::libseccomp_version;
use crate::program::{MAX_INSTRUCTIONS, Program, UnknownName};
use libc::sock_filter;

/// All that makes programs, so that a change of it is another compiler. (FNV-1a; nobody attacks his own source.)
const SOURCES: u64 = {
    let hash = hash(0xcbf2_9ce4_8422_2325, include_bytes!("compile.rs"));
    let hash = self::hash(hash, include_bytes!("numbers.rs"));
    let hash = self::hash(hash, include_bytes!("prologue.rs"));
    let hash = self::hash(hash, include_bytes!("rule.rs"));
    let hash = self::hash(hash, include_bytes!("vocabulary.rs"));
    self::hash(hash, include_bytes!("stored.rs"))
};

const fn hash(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// Who compiles: two profiles that are the same become the same program where this is the same. It names this machine's
/// architecture, libseccomp's version and the source of this crate.
#[must_use]
pub fn compiler() -> String {
    let libseccomp = libseccomp_version().unwrap_or_default();
    format!("{SOURCES:016x} {} libseccomp {libseccomp}", std::env::consts::ARCH)
}

/// `struct seccomp_data` has 64 bytes, of which whole words are loaded.
const DATA_SIZE: u32 = 64;

impl Program {
    /// The program as bytes, in the byte order of this machine.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.instructions.len() * 8 + 64);
        let number = |bytes: &mut Vec<u8>, number: usize| {
            bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_ne_bytes());
        };
        bytes.extend(self.flags.to_ne_bytes());
        number(&mut bytes, self.instructions.len());
        for &sock_filter { code, jt, jf, k } in &self.instructions {
            bytes.extend(code.to_ne_bytes());
            bytes.extend([jt, jf]);
            bytes.extend(k.to_ne_bytes());
        }
        for text in self.unknown.iter().flat_map(|unknown| [&unknown.pointer, &unknown.name]) {
            number(&mut bytes, text.len());
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    /// The program that these bytes are, if they are one that the kernel would take.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Program> {
        let mut rest = bytes;
        let flags = number(&mut rest)?;
        let count = usize::try_from(number(&mut rest)?).ok()?;
        if count > MAX_INSTRUCTIONS {
            return None;
        }
        let (instructions, mut rest) = rest.split_at_checked(count * 8)?;
        let instructions: Box<[sock_filter]> = instructions.as_chunks().0.iter().map(instruction).collect();
        let mut unknown = Vec::new();
        while !rest.is_empty() {
            unknown.push(UnknownName { pointer: text(&mut rest)?, name: text(&mut rest)? });
        }
        is_sound(&instructions).then(|| Program { instructions, flags, unknown: unknown.into() })
    }
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_ne_bytes(*number))
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    String::from_utf8(text.to_vec()).ok()
}

/// `struct sock_filter` as it lies in memory, in the byte order of this machine.
pub(crate) fn instruction(bytes: &[u8; 8]) -> sock_filter {
    let [c0, c1, jt, jf, k @ ..] = *bytes;
    sock_filter { code: u16::from_ne_bytes([c0, c1]), jt, jf, k: u32::from_ne_bytes(k) }
}

/// Known instructions, loads within the data, jumps within the program, and a return at its end.
fn is_sound(program: &[sock_filter]) -> bool {
    let inside = |at: usize, further: usize| at + 1 + further < program.len();
    program.last().is_some_and(|last| last.code == RETURN)
        && program.iter().enumerate().all(|(at, &sock_filter { code, jt, jf, k })| match code {
            LOAD => k.is_multiple_of(4) && k < DATA_SIZE,
            JUMP => usize::try_from(k).is_ok_and(|k| k < program.len() && inside(at, k)),
            IF_EQUAL | IF_GREATER | IF_AT_LEAST | IF_ANY_BIT => {
                inside(at, jt.into()) && inside(at, jf.into())
            }
            AND | RETURN => true,
            _ => false,
        })
}
