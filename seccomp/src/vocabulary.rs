//! The words of a profile beside what they mean to libseccomp and to the kernel.
//!
//! Each table is the single list of its kind: `features` publishes its names, `compile` reads its meanings.
//! Source: runtime-spec, config-linux.md, section "Seccomp"; seccomp(2).

use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp};
use oci_spec::runtime::{Arch, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator};

/// The errno that a refused call gets when the profile names none (runtime-spec: "The default is EPERM").
const DEFAULT_ERRNO: u32 = libc::EPERM.unsigned_abs();
/// libseccomp takes nothing from 4095 on (the kernel's `MAX_ERRNO`, include/linux/err.h) as an errno.
const LAST_ERRNO: u32 = 4094;

/// The action names that `compile` accepts: all of the specification.
pub const ACTIONS: [&str; 9] = [
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
];

/// The operator names that `compile` accepts: all of the specification.
pub const OPERATORS: [&str; 7] = [
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
];

/// The filter flags that are recognised. See [`supported_flags`](crate::supported_flags) for those in effect.
pub const KNOWN_FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

/// Every architecture that the specification names, but the alias SCMP_ARCH_NATIVE, and libseccomp's twin.
pub(crate) const ARCHITECTURES: [(Arch, ScmpArch); 23] = [
    (Arch::ScmpArchX86, ScmpArch::X86),
    (Arch::ScmpArchX86_64, ScmpArch::X8664),
    (Arch::ScmpArchX32, ScmpArch::X32),
    (Arch::ScmpArchArm, ScmpArch::Arm),
    (Arch::ScmpArchAarch64, ScmpArch::Aarch64),
    (Arch::ScmpArchMips, ScmpArch::Mips),
    (Arch::ScmpArchMips64, ScmpArch::Mips64),
    (Arch::ScmpArchMips64n32, ScmpArch::Mips64N32),
    (Arch::ScmpArchMipsel, ScmpArch::Mipsel),
    (Arch::ScmpArchMipsel64, ScmpArch::Mipsel64),
    (Arch::ScmpArchMipsel64n32, ScmpArch::Mipsel64N32),
    (Arch::ScmpArchPpc, ScmpArch::Ppc),
    (Arch::ScmpArchPpc64, ScmpArch::Ppc64),
    (Arch::ScmpArchPpc64le, ScmpArch::Ppc64Le),
    (Arch::ScmpArchS390, ScmpArch::S390),
    (Arch::ScmpArchS390x, ScmpArch::S390X),
    (Arch::ScmpArchParisc, ScmpArch::Parisc),
    (Arch::ScmpArchParisc64, ScmpArch::Parisc64),
    (Arch::ScmpArchRiscv64, ScmpArch::Riscv64),
    (Arch::ScmpArchLoongarch64, ScmpArch::Loongarch64),
    (Arch::ScmpArchM68k, ScmpArch::M68k),
    (Arch::ScmpArchSh, ScmpArch::Sh),
    (Arch::ScmpArchSheb, ScmpArch::Sheb),
];

/// libseccomp's name of an architecture. SCMP_ARCH_NATIVE becomes the machine's own.
pub(crate) fn scmp_arch(arch: Arch) -> ScmpArch {
    ARCHITECTURES.iter().find(|(spec, _)| *spec == arch).map_or_else(ScmpArch::native, |(_, scmp)| *scmp)
}

/// The `AUDIT_ARCH_*` value that the kernel shows a filter, or none for an architecture not in the table.
///
/// libseccomp's tokens are those values, but for x32: to the kernel that is x86_64 with a bit in the number.
pub(crate) fn audit_arch(arch: ScmpArch) -> Option<u32> {
    let token = ARCHITECTURES.iter().find(|(_, scmp)| *scmp == arch).map(|(spec, _)| *spec as u32)?;
    Some(if arch == ScmpArch::X32 { Arch::ScmpArchX86_64 as u32 } else { token })
}

/// What to do with a call, and whether a filter may be written with it: the `errno_ret` has to suit the
/// action.
///
/// # Errors
/// What is wrong with the errno, as a clause for a [`Problem`](crate::Problem).
pub(crate) fn scmp_action(action: LinuxSeccompAction, errno_ret: Option<u32>) -> Result<ScmpAction, String> {
    use LinuxSeccompAction as Spec;
    let plain = match action {
        Spec::ScmpActErrno => {
            let errno = errno_ret.unwrap_or(DEFAULT_ERRNO);
            return match i32::try_from(errno) {
                Ok(value) if errno <= LAST_ERRNO => Ok(ScmpAction::Errno(value)),
                _ => Err(format!("errno {errno} is out of range: at most {LAST_ERRNO} is possible")),
            };
        }
        Spec::ScmpActTrace => {
            let value = errno_ret.unwrap_or(DEFAULT_ERRNO);
            return u16::try_from(value).map(ScmpAction::Trace).map_err(|_| {
                format!("trace value {value} is out of range: at most {} is possible", u16::MAX)
            });
        }
        Spec::ScmpActKill | Spec::ScmpActKillThread => ScmpAction::KillThread,
        Spec::ScmpActKillProcess => ScmpAction::KillProcess,
        Spec::ScmpActTrap => ScmpAction::Trap,
        Spec::ScmpActLog => ScmpAction::Log,
        Spec::ScmpActNotify => ScmpAction::Notify,
        Spec::ScmpActAllow => ScmpAction::Allow,
    };
    match errno_ret {
        None => Ok(plain),
        Some(_) => Err(format!("{action} does not return an errno")),
    }
}

/// The value with which a filter asks for this action (`SECCOMP_RET_*`, seccomp(2)).
pub(crate) fn return_value(action: ScmpAction) -> u32 {
    match action {
        ScmpAction::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
        ScmpAction::Trap => libc::SECCOMP_RET_TRAP,
        ScmpAction::Errno(errno) => libc::SECCOMP_RET_ERRNO | (errno.unsigned_abs() & libc::SECCOMP_RET_DATA),
        ScmpAction::Trace(value) => libc::SECCOMP_RET_TRACE | u32::from(value),
        ScmpAction::Log => libc::SECCOMP_RET_LOG,
        ScmpAction::Notify => libc::SECCOMP_RET_USER_NOTIF,
        ScmpAction::Allow => libc::SECCOMP_RET_ALLOW,
        // Nothing else leaves `scmp_action`; of what could, killing is the safe reading.
        _ => libc::SECCOMP_RET_KILL_THREAD,
    }
}

/// One comparison of an argument. The caller has checked that the index exists.
pub(crate) fn scmp_compare(index: u32, arg: &LinuxSeccompArg) -> ScmpArgCompare {
    use LinuxSeccompOperator as Spec;
    // SCMP_CMP_MASKED_EQ alone has two operands: `value` is the mask and `valueTwo` what has to remain.
    let (op, operand) = match arg.op() {
        Spec::ScmpCmpMaskedEq => {
            (ScmpCompareOp::MaskedEqual(arg.value()), arg.value_two().unwrap_or_default())
        }
        Spec::ScmpCmpNe => (ScmpCompareOp::NotEqual, arg.value()),
        Spec::ScmpCmpLt => (ScmpCompareOp::Less, arg.value()),
        Spec::ScmpCmpLe => (ScmpCompareOp::LessOrEqual, arg.value()),
        Spec::ScmpCmpEq => (ScmpCompareOp::Equal, arg.value()),
        Spec::ScmpCmpGe => (ScmpCompareOp::GreaterEqual, arg.value()),
        Spec::ScmpCmpGt => (ScmpCompareOp::Greater, arg.value()),
    };
    ScmpArgCompare::new(index, op, operand)
}
