//! Spec to plan: a pure function. Everything that can be checked without touching the system is checked here, all
//! problems are reported at once with JSON pointers, and what comes out is plain data: NUL-terminated strings,
//! numbers, flags, byte arrays, a compiled filter. Below the plan no module knows the spec.

#![forbid(unsafe_code)]

mod access_times;
pub(crate) mod annotations;
mod capabilities;
mod cgroup;
mod cgroup_mounts;
mod cgroup_owner;
mod devices;
mod display;
mod environment;
mod execution;
mod hooks;
mod id_maps;
mod memory_policy;
mod mount_label;
mod mount_namespace;
mod mount_options;
mod mounts;
mod namespaces;
mod net_devices;
pub(crate) mod problems;
mod process;
mod rdt;
mod rlimits;
mod rootfs;
pub(crate) mod seccomp;
mod settings;
mod unsupported;

pub use crate::step::Step;
#[cfg(test)]
pub(crate) use cgroup::plan as plan_cgroup;
pub(crate) use cgroup::plan_update;
pub use cgroup::{
    Absence, Absent, Access, CgroupDirectory, CgroupPlan, CgroupWrite, DeviceKind, DeviceRule, PropertyValue,
    UnitPlan, UnitProperty,
};
pub use devices::{DeviceLink, DeviceNode, DevicePlan};
pub use display::PlanLine;
pub use execution::{AffinityPlan, CpuSet, IoPriorityPlan, SchedulerPlan};
pub use hooks::{HookKind, HookOutput, HookPlan, HooksPlan};
pub use id_maps::{IdMapPlan, MountIds};
pub use memory_policy::MemoryPolicyPlan;
pub(crate) use mount_options::locked_options;
pub use mount_options::{BindLinks, MountAttributes, Parameter};
pub use mounts::{MountPlan, MountSource};
pub use namespaces::{IdMapping, Join, NamespaceKind, NamespacePlan};
pub use net_devices::NetDevicePlan;
pub use process::{CapabilityPlan, ProcessPlan, TerminalPlan, UserPlan};
pub(crate) use process::{ProcessContext, plan_process};
pub use rdt::RdtPlan;
pub use rlimits::RlimitPlan;
pub use rootfs::{MaskPlan, RootfsPlan};
pub(crate) use seccomp::{Anew, Compile, SeccompContext};
pub use seccomp::{ListenerPlan, SeccompPlan, SeccompPoint};
pub use settings::SysctlPlan;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::id::ContainerId;
use crate::options::CreateOptions;
use crate::spec::{self, Spec};
use mounts::MountContext;
use problems::{Pointer, Problems};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Everything that `create` will do, decided.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Namespaces: new, joined, mapped.
    pub namespaces: NamespacePlan,
    /// The container's root.
    pub rootfs: RootfsPlan,
    /// What is mounted into it, in order.
    pub mounts: Vec<MountPlan>,
    /// What stands in `/dev`.
    pub devices: DevicePlan,
    /// What is masked or read-only in it.
    pub masks: MaskPlan,
    /// Kernel parameters.
    pub sysctls: Vec<SysctlPlan>,
    /// Network devices of the host that move into it.
    pub net_devices: Vec<NetDevicePlan>,
    /// Its share of cache and memory bandwidth, when the config gives one.
    pub rdt: Option<RdtPlan>,
    /// The host name, when the config gives one.
    pub hostname: Option<CString>,
    /// The NIS domain name, when the config gives one.
    pub domainname: Option<CString>,
    /// The container's process. The spec lets a config do without until `start`; husk, as runc, wants it at once,
    /// since nothing could be checked otherwise.
    pub process: ProcessPlan,
    /// Hooks.
    pub hooks: HooksPlan,
    /// Cgroup.
    pub cgroup: CgroupPlan,
    /// A further socket that gets the pidfd of the container's process, absolute, when one is given.
    pub pidfd_receiver: Option<PathBuf>,
    /// Name of the new session keyring, `_ses.ID`; `None` to keep the caller's (`--no-new-keyring`).
    pub session_keyring: Option<CString>,
}

impl Plan {
    /// Plans a container. Nothing is read or changed; all that the plan depends on is given.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) with everything that is wrong with the config:
    /// see [`Error::problems`](crate::Error::problems).
    pub fn new(
        spec: &Spec,
        bundle: &Path,
        id: &ContainerId,
        host: &Host,
        options: &CreateOptions,
    ) -> Result<Plan> {
        Plan::compiled_by(&Anew, spec, bundle, id, host, options)
    }

    /// The same with a filter that this one compiles.
    pub(crate) fn compiled_by(
        compiler: &dyn Compile,
        spec: &Spec,
        bundle: &Path,
        id: &ContainerId,
        host: &Host,
        options: &CreateOptions,
    ) -> Result<Plan> {
        let mut problems = Problems::new();
        check_version(spec.version(), &mut problems);
        annotations::check(spec, &mut problems);
        let no_linux = empty_linux();
        let linux = spec.linux().as_ref().unwrap_or(&no_linux);
        unsupported::check(spec, &mut problems);

        let namespaces = namespaces::plan(linux, host, &mut problems);
        let rootfs = rootfs::plan(
            spec,
            bundle,
            !host.privileged && namespaces.is_new(NamespaceKind::Mount),
            options.no_pivot,
            &mut problems,
        );
        let mut cgroup = cgroup::plan(spec.linux().as_ref(), id, host, options, problems.list_mut());
        cgroup::plan_annotations(spec, &mut cgroup, problems.list_mut());
        let root = Path::new(OsStr::from_bytes(rootfs.path.to_bytes()));
        let label = mount_label::plan(spec, linux, host, &mut problems);
        let context = MountContext {
            bundle,
            rootfs: root,
            namespaces: &namespaces,
            cgroup: &cgroup,
            host,
            label: label.as_ref(),
        };
        let mount_list = spec.mounts().as_deref().unwrap_or_default();
        let mounts = mounts::plan(mount_list, context, &mut problems);
        mount_namespace::check(spec, linux, &namespaces, &mut problems);
        let listed_devices = linux.devices().as_deref().unwrap_or_default();
        let devices = devices::plan(listed_devices, mount_list, &namespaces, host, &mut problems);
        let masks = rootfs::plan_masks(linux, label.as_ref(), &mut problems);
        let sysctls = match linux.sysctl() {
            Some(sysctls) => settings::plan_sysctls(sysctls, &namespaces, &mut problems),
            None => Vec::new(),
        };
        let net_devices = net_devices::plan(linux.net_devices().as_ref(), &namespaces, host, &mut problems);
        let at_rdt = Pointer::ROOT.key("linux");
        let rdt = rdt::plan(linux.intel_rdt().as_ref(), id, &at_rdt.key("intelRdt"), &mut problems);
        let (hostname, domainname) = settings::plan_names(spec, &namespaces, &mut problems);
        let process = plan_init(compiler, spec, linux, &namespaces, host, options, &mut problems);
        let hooks = match spec.hooks() {
            Some(hooks) => {
                let output = annotations::hook_output(spec, &mut problems);
                hooks::plan(hooks, &output, &mut problems)
            }
            None => HooksPlan::default(),
        };
        let pidfd_receiver = annotations::pidfd_receiver(spec, &mut problems);
        let session_keyring =
            (!options.no_new_keyring).then(|| CString::new(format!("_ses.{id}")).unwrap_or_default());
        // Without a process there is a problem, and so no plan.
        let Some(process) = process else { return Err(Error::problems_found(problems.into_list())) };
        cgroup.owner = cgroup_owner::plan(&cgroup, &namespaces, &mounts, process.user.uid, host);
        problems.or(Plan {
            namespaces,
            rootfs,
            mounts,
            devices,
            masks,
            sysctls,
            net_devices,
            rdt,
            hostname,
            domainname,
            process,
            hooks,
            cgroup,
            pidfd_receiver,
            session_keyring,
        })
    }
}

fn plan_init(
    compiler: &dyn Compile,
    spec: &Spec,
    linux: &spec::Linux,
    namespaces: &NamespacePlan,
    host: &Host,
    options: &CreateOptions,
    problems: &mut Problems,
) -> Option<ProcessPlan> {
    let Some(process) = spec.process() else {
        problems.add(&Pointer::ROOT.key("process"), "process property must not be empty");
        return None;
    };
    let context = ProcessContext {
        host,
        namespaces,
        seccomp: SeccompContext { spec, compiler, receiver: options.seccomp_receiver.as_deref() },
        personality: linux.personality().as_ref(),
        memory_policy: linux.memory_policy().as_ref(),
        keep_groups: annotations::keep_groups(spec),
        listen_fds: options.listen_fds,
        listen_fd_names: options.listen_fd_names.as_deref(),
        preserve_fds: options.preserve_fds,
    };
    let mut plan = process::plan(process, &context, problems);
    if let Some(listener) = plan.seccomp.as_mut().and_then(|seccomp| seccomp.listener.as_mut()) {
        listener.taken_by_owner = !host.sys_admin && namespaces.is_new(NamespaceKind::User);
    }
    // The spec: "This setting is not applicable to the container's init process."
    Some(ProcessPlan { affinity: AffinityPlan::default(), ..plan })
}

/// A config without a `linux` section says nothing about Linux, unlike the crate's default one.
fn empty_linux() -> spec::Linux {
    let mut linux = spec::Linux::default();
    linux.set_resources(None).set_namespaces(None).set_masked_paths(None).set_readonly_paths(None);
    linux
}

/// Versions 1.x (semantic versioning). A newer minor version is a superset; what we do not know of it and is in use
/// shows up by its name.
fn check_version(version: &str, problems: &mut Problems) {
    let place = Pointer::ROOT.key("ociVersion");
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<Option<u32>> = core.split('.').map(|part| part.parse().ok()).collect();
    match numbers.as_slice() {
        _ if version.is_empty() => {
            problems.add(&place, "the version of the specification is missing, such as 1.2.0")
        }
        [Some(1), Some(_), Some(_)] => {}
        [Some(_), Some(_), Some(_)] => {
            problems.add(&place, format!("version {version} is not supported: 1.x is"))
        }
        _ => problems.add(&place, format!("{version:?} is no version, such as 1.2.0")),
    }
}

/// The options of a mount that are understood, for `features`.
pub(crate) fn known_mount_options() -> impl Iterator<Item = &'static str> {
    mount_options::known()
}

/// The names of the capabilities that the kernel knows, up to that number, for `features`.
pub(crate) fn capability_names(last: u8) -> Vec<String> {
    capabilities::names(u64::MAX >> (63 - u32::from(last.min(63))))
}

/// The modes and flags of a memory policy that are understood, for `features`.
pub(crate) fn memory_policies() -> (Vec<&'static str>, Vec<&'static str>) {
    memory_policy::known()
}

/// Plans a further process in a container that was made from `spec`.
pub(crate) fn plan_exec(
    spec: &Spec,
    process: &spec::Process,
    host: &Host,
    seccomp: SeccompContext<'_>,
    options: &crate::options::ExecOptions,
) -> Result<ProcessPlan> {
    let no_linux = empty_linux();
    let linux = spec.linux().as_ref().unwrap_or(&no_linux);
    let namespaces = namespaces::plan(linux, host, &mut Problems::new());
    let context = ProcessContext {
        host,
        namespaces: &namespaces,
        seccomp,
        personality: linux.personality().as_ref(),
        memory_policy: linux.memory_policy().as_ref(),
        keep_groups: annotations::keep_groups(spec),
        listen_fds: 0,
        listen_fd_names: None,
        preserve_fds: options.preserve_fds,
    };
    // What an engine writes for one process need not repeat what the config has for all.
    let affinity_of_all = spec.process().as_ref().and_then(|process| process.exec_cpu_affinity().clone());
    let mut process = process.clone();
    if process.exec_cpu_affinity().is_none() {
        process.set_exec_cpu_affinity(affinity_of_all);
    }
    plan_process(&process, &context).map_err(Error::problems_found)
}
