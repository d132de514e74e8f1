//! The program that libseccomp writes when it gets every rule, as the older runtimes do it.
//!
//! It knows nothing of newer calls, so it is compared where the profile does not speak of them.

use std::fs::File;
use std::io::{Read, Seek};

use libc::sock_filter;
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator};

/// None when libseccomp refuses one of the rules.
pub(crate) fn compile(profile: &LinuxSeccomp, architectures: &[ScmpArch]) -> Option<Vec<sock_filter>> {
    let default = action(profile.default_action(), profile.default_errno_ret());
    let mut filter = ScmpFilterContext::new(default).expect("a filter");
    for arch in architectures {
        filter.add_arch(*arch).expect("an architecture");
    }
    for entry in profile.syscalls().iter().flatten() {
        let action = action(entry.action(), entry.errno_ret());
        let args = entry.args().as_deref().unwrap_or_default();
        let repeated = args.iter().any(|a| args.iter().filter(|b| a.index() == b.index()).count() > 1);
        let comparisons: Vec<ScmpArgCompare> = args.iter().map(comparison).collect();
        for name in entry.names().iter().filter(|_| action != default) {
            let Ok(syscall) = ScmpSyscall::from_name(name) else { continue };
            if repeated {
                for one in &comparisons {
                    filter.add_rule_conditional(action, syscall, &[*one]).ok()?;
                }
            } else {
                filter.add_rule_conditional(action, syscall, &comparisons).ok()?;
            }
        }
    }
    let mut file = tempfile();
    filter.export_bpf(&file).expect("a program");
    file.rewind().expect("rewind");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).expect("read");
    Some(
        bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| sock_filter {
                code: u16::from_ne_bytes([b[0], b[1]]),
                jt: b[2],
                jf: b[3],
                k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
            })
            .collect(),
    )
}

fn tempfile() -> File {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    File::from(memfd_create(c"libseccomp-alone", MFdFlags::MFD_CLOEXEC).expect("memfd_create"))
}

fn action(action: LinuxSeccompAction, errno_ret: Option<u32>) -> ScmpAction {
    match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => ScmpAction::KillThread,
        LinuxSeccompAction::ScmpActKillProcess => ScmpAction::KillProcess,
        LinuxSeccompAction::ScmpActTrap => ScmpAction::Trap,
        LinuxSeccompAction::ScmpActErrno => ScmpAction::Errno(errno_ret.unwrap_or(1) as i32),
        LinuxSeccompAction::ScmpActTrace => ScmpAction::Trace(errno_ret.unwrap_or(1) as u16),
        LinuxSeccompAction::ScmpActLog => ScmpAction::Log,
        LinuxSeccompAction::ScmpActAllow => ScmpAction::Allow,
        LinuxSeccompAction::ScmpActNotify => ScmpAction::Notify,
    }
}

fn comparison(arg: &LinuxSeccompArg) -> ScmpArgCompare {
    let (op, datum) = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => (ScmpCompareOp::NotEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpLt => (ScmpCompareOp::Less, arg.value()),
        LinuxSeccompOperator::ScmpCmpLe => (ScmpCompareOp::LessOrEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpEq => (ScmpCompareOp::Equal, arg.value()),
        LinuxSeccompOperator::ScmpCmpGe => (ScmpCompareOp::GreaterEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpGt => (ScmpCompareOp::Greater, arg.value()),
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            (ScmpCompareOp::MaskedEqual(arg.value()), arg.value_two().unwrap_or_default())
        }
    };
    ScmpArgCompare::new(arg.index() as u32, op, datum)
}
