//! The five sets of capabilities(7), from names to bits.
//!
//! A capability that this kernel does not have yet is left out: nobody can hold it, and engines send the lists of
//! newer kernels to older ones. So is an ambient capability that is not also permitted and inheritable: the kernel
//! would not raise it, and runc's own default config asks for such ones.

use super::CapabilityPlan;
use super::problems::{Pointer, Problems};
use crate::host::Host;
use crate::spec::{Capabilities, Capability, LinuxCapabilities};

/// `/process/capabilities`. None given means none at all.
pub(super) fn plan(
    sets: Option<&LinuxCapabilities>,
    host: &Host,
    place: &Pointer<'_>,
    problems: &mut Problems,
) -> CapabilityPlan {
    let Some(sets) = sets else { return CapabilityPlan::default() };
    let known = u64::MAX >> (63 - u32::from(host.last_capability.min(63)));
    let bits = |set: &Option<Capabilities>| {
        set.iter().flatten().fold(0, |bits, capability| bits | 1 << number(*capability)) & known
    };
    let permitted = bits(sets.permitted());
    let inheritable = bits(sets.inheritable());
    let effective = bits(sets.effective());
    let beyond = effective & !permitted;
    if beyond != 0 {
        // capset(2) refuses it.
        let message = format!("{} must also be in the permitted set", names(beyond).join(", "));
        problems.add(&place.key("effective"), message);
    }
    CapabilityPlan {
        bounding: bits(sets.bounding()),
        effective,
        permitted,
        inheritable,
        ambient: bits(sets.ambient()) & permitted & inheritable,
    }
}

/// The names of a set, `CAP_CHOWN` and so on, in the kernel's order.
pub(super) fn names(bits: u64) -> Vec<String> {
    let mut names: Vec<(u8, String)> = caps::all()
        .into_iter()
        .filter(|capability| bits & 1 << capability.index() != 0)
        .map(|capability| (capability.index(), capability.to_string()))
        .collect();
    names.sort();
    names.into_iter().map(|(_, name)| name).collect()
}

/// Its number in the kernel (linux/capability.h).
fn number(capability: Capability) -> u8 {
    use caps::Capability as Kernel;
    let capability = match capability {
        Capability::AuditControl => Kernel::CAP_AUDIT_CONTROL,
        Capability::AuditRead => Kernel::CAP_AUDIT_READ,
        Capability::AuditWrite => Kernel::CAP_AUDIT_WRITE,
        Capability::BlockSuspend => Kernel::CAP_BLOCK_SUSPEND,
        Capability::Bpf => Kernel::CAP_BPF,
        Capability::CheckpointRestore => Kernel::CAP_CHECKPOINT_RESTORE,
        Capability::Chown => Kernel::CAP_CHOWN,
        Capability::DacOverride => Kernel::CAP_DAC_OVERRIDE,
        Capability::DacReadSearch => Kernel::CAP_DAC_READ_SEARCH,
        Capability::Fowner => Kernel::CAP_FOWNER,
        Capability::Fsetid => Kernel::CAP_FSETID,
        Capability::IpcLock => Kernel::CAP_IPC_LOCK,
        Capability::IpcOwner => Kernel::CAP_IPC_OWNER,
        Capability::Kill => Kernel::CAP_KILL,
        Capability::Lease => Kernel::CAP_LEASE,
        Capability::LinuxImmutable => Kernel::CAP_LINUX_IMMUTABLE,
        Capability::MacAdmin => Kernel::CAP_MAC_ADMIN,
        Capability::MacOverride => Kernel::CAP_MAC_OVERRIDE,
        Capability::Mknod => Kernel::CAP_MKNOD,
        Capability::NetAdmin => Kernel::CAP_NET_ADMIN,
        Capability::NetBindService => Kernel::CAP_NET_BIND_SERVICE,
        Capability::NetBroadcast => Kernel::CAP_NET_BROADCAST,
        Capability::NetRaw => Kernel::CAP_NET_RAW,
        Capability::Perfmon => Kernel::CAP_PERFMON,
        Capability::Setgid => Kernel::CAP_SETGID,
        Capability::Setfcap => Kernel::CAP_SETFCAP,
        Capability::Setpcap => Kernel::CAP_SETPCAP,
        Capability::Setuid => Kernel::CAP_SETUID,
        Capability::SysAdmin => Kernel::CAP_SYS_ADMIN,
        Capability::SysBoot => Kernel::CAP_SYS_BOOT,
        Capability::SysChroot => Kernel::CAP_SYS_CHROOT,
        Capability::SysModule => Kernel::CAP_SYS_MODULE,
        Capability::SysNice => Kernel::CAP_SYS_NICE,
        Capability::SysPacct => Kernel::CAP_SYS_PACCT,
        Capability::SysPtrace => Kernel::CAP_SYS_PTRACE,
        Capability::SysRawio => Kernel::CAP_SYS_RAWIO,
        Capability::SysResource => Kernel::CAP_SYS_RESOURCE,
        Capability::SysTime => Kernel::CAP_SYS_TIME,
        Capability::SysTtyConfig => Kernel::CAP_SYS_TTY_CONFIG,
        Capability::Syslog => Kernel::CAP_SYSLOG,
        Capability::WakeAlarm => Kernel::CAP_WAKE_ALARM,
    };
    capability.index()
}
