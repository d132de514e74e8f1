//! Three ways to know what a filter answers: run the program, read the profile, ask libseccomp.
//!
//! The program under test runs in a small BPF machine. Its answers have to be those of `reading`, which
//! reads the profile naively, and those of `libseccomp_alone`, which lets libseccomp write the whole
//! program.

pub(crate) mod libseccomp_alone;
pub(crate) mod machine;
pub(crate) mod reading;

use libseccomp::ScmpArch;
use oci_spec::runtime::{Arch, LinuxSeccomp};

/// A system call, as the kernel shows it to a filter (`struct seccomp_data`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) number: u32,
    pub(crate) audit_arch: u32,
    pub(crate) args: [u64; 6],
}

/// An application binary interface: how programs of one kind number their calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abi {
    X86_64,
    X32,
    I386,
    Aarch64,
}

impl Abi {
    pub(crate) const ALL: [Self; 4] = [Self::X86_64, Self::X32, Self::I386, Self::Aarch64];

    pub(crate) fn scmp(self) -> ScmpArch {
        match self {
            Self::X86_64 => ScmpArch::X8664,
            Self::X32 => ScmpArch::X32,
            Self::I386 => ScmpArch::X86,
            Self::Aarch64 => ScmpArch::Aarch64,
        }
    }

    pub(crate) fn spec(self) -> Arch {
        match self {
            Self::X86_64 => Arch::ScmpArchX86_64,
            Self::X32 => Arch::ScmpArchX32,
            Self::I386 => Arch::ScmpArchX86,
            Self::Aarch64 => Arch::ScmpArchAarch64,
        }
    }

    /// `AUDIT_ARCH_*` of linux/audit.h.
    pub(crate) fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::I386 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// The number of the first call.
    pub(crate) fn base(self) -> u32 {
        if self == Self::X32 { 0x4000_0000 } else { 0 }
    }

    /// Whether a program of this kind can make this call: x86_64 and x32 are told apart by the number alone.
    pub(crate) fn has(self, number: u32) -> bool {
        match self {
            Self::X86_64 => number < 0x4000_0000,
            Self::X32 => number >= 0x4000_0000,
            Self::I386 | Self::Aarch64 => true,
        }
    }

    /// The arguments as the kernel shows them: those of a 32-bit program have no upper half.
    pub(crate) fn call(self, number: u32, args: [u64; 6]) -> Call {
        let args = if self == Self::I386 { args.map(|arg| arg & 0xffff_ffff) } else { args };
        Call { number, audit_arch: self.audit(), args }
    }
}

/// Numbers that are worth a look in every profile: all that libseccomp names, and what lies around them.
pub(crate) fn numbers(abi: Abi) -> Vec<u32> {
    let strange = [0x000e_ffff, 0x000f_0000, 0x000f_0002, 0x3fff_ffff, 0x7fff_ffff, 0x8000_0000, u32::MAX];
    (abi.base()..abi.base() + 600).chain(strange.into_iter().filter(|number| abi.has(*number))).collect()
}

/// Argument values at and around everything that the profile compares with.
pub(crate) fn values(profile: &LinuxSeccomp) -> Vec<u64> {
    let mut values = vec![0, 1, 0xffff_ffff, 0x1_0000_0000, u64::MAX];
    for arg in profile.syscalls().iter().flatten().flat_map(|entry| entry.args().iter().flatten()) {
        for value in [arg.value(), arg.value_two().unwrap_or_default()] {
            values.extend([value, value.wrapping_add(1), value.wrapping_sub(1), value | 1 << 32, !value]);
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

/// A small generator of numbers (xorshift64*), so that a failure can be seen again.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.roll() % end as u64) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Mostly one of `numbers`, now and then any number that a program of this kind can use.
    pub(crate) fn number(&mut self, abi: Abi, numbers: &[u32]) -> u32 {
        let any = self.roll() as u32;
        if self.below(8) == 0 && abi.has(any) { any } else { self.pick(numbers) }
    }

    pub(crate) fn args(&mut self, values: &[u64]) -> [u64; 6] {
        std::array::from_fn(|_| match self.below(4) {
            0 => self.roll(),
            1 => self.roll() & 0xffff_ffff,
            _ => self.pick(values),
        })
    }
}
