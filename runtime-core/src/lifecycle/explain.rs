//! From the numbers that a new process reported to a sentence: the runtime knows the plan, so it writes the words.

use super::{hooks, mount_hints};
use crate::error::{Error, ErrorKind, words};
use crate::plan::{HookKind, MountSource, Plan, ProcessPlan, Step};
use crate::recorder::{NO_ITEM, Position, Recorder, Report};
use crate::sys::{Call, Ended, Failed};
use nix::errno::Errno;
use std::ffi::CStr;

/// What is being made, for the words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The plan of the container, when it is a container.
    pub(crate) plan: Option<&'a Plan>,
    pub(crate) process: &'a ProcessPlan,
}

/// A new process gave up, or died without a word.
pub(crate) fn explain(
    recorder: &Recorder,
    subject: Subject<'_>,
    ended: Option<Ended>,
    oom_killed: bool,
) -> Error {
    if let Some(report) = recorder.report() {
        return from_report(report, subject);
    }
    let place = match recorder.position() {
        Some(Position { step, item: NO_ITEM }) => format!("in step {step}"),
        Some(Position { step, item }) => format!("in step {step} {item}"),
        None => "before its first step".to_owned(),
    };
    let name = if subject.plan.is_some() { "container init" } else { "process" };
    let error = match ended {
        _ if oom_killed => {
            Error::new(ErrorKind::System, format!("{name} was OOM-killed (memory limit too low?) {place}"))
        }
        Some(Ended::Signalled(signal)) => {
            Error::new(ErrorKind::System, format!("{name} was killed by signal {signal} {place}"))
        }
        Some(Ended::Exited(code)) => {
            Error::new(ErrorKind::System, format!("{name} ended with status {code} {place}"))
        }
        None => Error::new(ErrorKind::System, format!("{name} ended {place}")),
    };
    match recorder.position() {
        Some(position) => error.at(position.step),
        None => error,
    }
}

/// The process cannot be heard: it stands still where the recorder shows it, or the channel failed.
pub(crate) fn unheard(failed: Failed, recorder: &Recorder, subject: Subject<'_>) -> Error {
    if failed.errno != Errno::ETIMEDOUT {
        return Error::os("cannot hear the new process", failed.call.name(), failed.errno);
    }
    let Some(Position { step, item }) = recorder.position() else {
        return Error::new(ErrorKind::TimedOut, "the new process did not come to its first step in time");
    };
    let place = if item == NO_ITEM { format!("step {step}") } else { format!("step {step} {item}") };
    let sentence = format!("{}: {place} did not end in time", what(step, item, subject));
    Error::new(ErrorKind::TimedOut, sentence)
        .with_hint("--step-timeout says how long a step may take; an unreachable disk or network file system never ends")
        .at(step)
}

fn from_report(report: Report, subject: Subject<'_>) -> Error {
    let Report { at: Position { step, item }, failed } = report;
    let error = match step {
        Step::FindExecutable => executable(failed, subject.process),
        Step::Exec => {
            let path = subject.process.args.first().map_or(c"", |name| name.as_c_str());
            not_executed(path, failed)
        }
        Step::WorkingDirectory if failed.call == Call::OutsideRoot => {
            Error::new(ErrorKind::PermissionDenied, failed.call.name())
        }
        Step::WorkingDirectory => {
            os(format!("chdir to cwd ({:?}) set in config.json failed", text(&subject.process.cwd)), failed)
        }
        Step::CreateContainerHook | Step::StartContainerHook => hook(step, item, failed, subject.plan),
        _ => os(what(step, item, subject), failed),
    };
    let error = match hint(step, item, failed, subject) {
        Some(hint) => error.with_hint(hint),
        None => error,
    };
    error.at(step)
}

fn text(text: &CStr) -> String {
    text.to_string_lossy().into_owned()
}

/// The sentence with the failed call, or the failed check, behind it.
fn os(what: String, failed: Failed) -> Error {
    match failed.call {
        Call::NotThisDevice
        | Call::NotADevpts
        | Call::NotProcfs
        | Call::NotADirectory
        | Call::InsideProc
        | Call::TooLong
        | Call::Unmapped
        | Call::RuntimeGone
        | Call::OutsideRoot => Error::new(ErrorKind::System, format!("{what}: {}", failed.call.name())),
        call => Error::os(what, call.name(), failed.errno),
    }
}

/// As runc words it, since engines derive the exit codes 126 and 127 from these words.
fn executable(failed: Failed, process: &ProcessPlan) -> Error {
    let name = process.args.first().map_or(c"", |name| name.as_c_str());
    let what = match failed.call {
        Call::NotInPath => {
            let found = format!("exec: {:?}: {}: no such file or directory", text(name), failed.call.name());
            return Error::new(ErrorKind::NotExecutable, found);
        }
        Call::IsADirectory => {
            return Error::new(ErrorKind::NotExecutable, format!("exec: {:?}: is a directory", text(name)));
        }
        Call::Stat => format!("exec: {:?}: stat {}", text(name), text(name)),
        _ => format!("exec: {:?}", text(name)),
    };
    let words = words(failed.errno);
    Error::new(ErrorKind::NotExecutable, format!("{what}: {words}"))
}

/// The executable was found, and execve(2) refused it. In one line and runc's words, as above.
fn not_executed(path: &CStr, failed: Failed) -> Error {
    Error::new(ErrorKind::NotExecutable, format!("exec {}: {}", text(path), words(failed.errno)))
}

fn hook(step: Step, item: u32, failed: Failed, plan: Option<&Plan>) -> Error {
    let (kind, list) = match step {
        Step::CreateContainerHook => {
            (HookKind::CreateContainer, plan.map(|plan| plan.hooks.create_container.as_slice()))
        }
        _ => (HookKind::StartContainer, plan.map(|plan| plan.hooks.start_container.as_slice())),
    };
    let hook = list.and_then(|list| list.get(item as usize));
    let what = hook
        .map_or_else(|| format!("error running {} hook #{item}", kind.key()), |hook| hooks::what(kind, hook));
    let sentence = match failed.call {
        Call::HookExited => format!("{what}: exit status {}", failed.number),
        Call::HookSignalled => format!("{what}: {}", hooks::killed(failed.number)),
        Call::HookTimedOut => {
            format!("{what}: it ran longer than its timeout{}", hook.map(hooks::seconds).unwrap_or_default())
        }
        call => {
            return Error::os(what, call.name(), failed.errno).with_kind(ErrorKind::Hook);
        }
    };
    Error::new(ErrorKind::Hook, sentence)
}

/// What the step wanted.
fn what(step: Step, item: u32, subject: Subject<'_>) -> String {
    let index = item as usize;
    let Some(plan) = subject.plan else { return of_process(step, item, subject.process) };
    match step {
        Step::OpenSource | Step::Mount => match plan.mounts.iter().find(|mount| mount.item == item) {
            Some(mount) => {
                let source = match &mount.source {
                    MountSource::Bind { path, .. } => text(path),
                    MountSource::Filesystem { fstype, .. } => text(fstype),
                    MountSource::Symlink { .. } => "a link".to_owned(),
                    MountSource::Existing => "what is there again".to_owned(),
                };
                let options = mount_hints::parameters(mount);
                // runc's words, which people search for.
                format!(
                    "error mounting {source:?} to rootfs at {:?} (/mounts/{item}){options}",
                    text(&mount.target)
                )
            }
            None => format!("cannot mount /mounts/{item}"),
        },
        Step::Device => match plan.devices.nodes.get(index) {
            Some(node) => {
                let pointer = node.item.map(|item| format!(" (/linux/devices/{item})")).unwrap_or_default();
                format!("cannot make device {}{pointer}", text(&node.path))
            }
            None => "cannot make a device".to_owned(),
        },
        Step::Unmount => match plan.mounts.iter().find(|mount| mount.item == item) {
            Some(mount) => format!("cannot unmount {} (/mounts/{item})", text(&mount.target)),
            None => format!("cannot unmount /mounts/{item}"),
        },
        Step::DeviceLink => match plan.devices.links.get(index) {
            Some(link) => format!("cannot make link {}", text(&link.path)),
            None => "cannot make a link".to_owned(),
        },
        Step::ReadonlyPath => match plan.masks.readonly.get(index) {
            Some(path) => format!("cannot make {} read-only (/linux/readonlyPaths/{item})", text(path)),
            None => "cannot make a path read-only".to_owned(),
        },
        Step::MaskedPath => match plan.masks.masked.iter().find(|(masked, _)| *masked == item) {
            Some((_, path)) => format!("cannot mask {} (/linux/maskedPaths/{item})", text(path)),
            None => "cannot mask a path".to_owned(),
        },
        Step::Sysctl => match plan.sysctls.get(index) {
            Some(sysctl) => {
                let value = String::from_utf8_lossy(&sysctl.value);
                format!(
                    "cannot set {} to {value:?} (/linux/sysctl/{})",
                    sysctl.key,
                    sysctl.key.replace('/', "~1")
                )
            }
            None => "cannot set a kernel parameter".to_owned(),
        },
        Step::JoinNamespace => match plan.namespaces.joined.get(index) {
            Some(join) => format!(
                "cannot join {} namespace {} (/linux/namespaces/{}/path)",
                join.kind.spec_name(),
                text(&join.path),
                join.item
            ),
            None => "cannot join a namespace".to_owned(),
        },
        Step::OpenRootfs => format!("cannot open the rootfs {:?} (/root/path)", text(&plan.rootfs.path)),
        Step::AttachRootfs => format!("cannot attach the rootfs {}", text(&plan.rootfs.path)),
        Step::Hostname => "cannot set the host name (/hostname)".to_owned(),
        Step::Domainname => "cannot set the domain name (/domainname)".to_owned(),
        Step::TimeOffsets => "cannot set the clocks' offsets (/linux/timeOffsets)".to_owned(),
        Step::Pivot => "cannot make the rootfs the root".to_owned(),
        _ => of_process(step, item, subject.process),
    }
}

fn of_process(step: Step, item: u32, process: &ProcessPlan) -> String {
    match step {
        Step::Clone => "cannot make a process".to_owned(),
        Step::LeaveOwnFile => "cannot keep the runtime's own binary out of the container's reach".to_owned(),
        Step::InitialAffinity => {
            "cannot run on these processors (/process/execCPUAffinity/initial)".to_owned()
        }
        Step::Affinity if process.affinity.last.is_some() => {
            "cannot run on these processors (/process/execCPUAffinity/final)".to_owned()
        }
        Step::Affinity => "cannot run on the processors of the cgroup".to_owned(),
        Step::Personality => "cannot set the execution domain (/linux/personality)".to_owned(),
        Step::MemoryPolicy => match &process.memory_policy {
            Some(policy) => format!("cannot have memory by {policy} (/linux/memoryPolicy)"),
            None => "cannot set the memory policy".to_owned(),
        },
        Step::Scheduler => match &process.scheduler {
            Some(scheduler) => format!("cannot be scheduled by {scheduler} (/process/scheduler)"),
            None => "cannot set the scheduling policy".to_owned(),
        },
        Step::IoPriority => match &process.io_priority {
            Some(priority) => format!("cannot have the I/O priority {priority} (/process/ioPriority)"),
            None => "cannot set the I/O priority".to_owned(),
        },
        Step::EnterCgroup => "cannot enter the container's cgroup".to_owned(),
        Step::JoinNamespace => "cannot enter the container's namespaces".to_owned(),
        Step::BecomeRoot => "cannot become root of the user namespace".to_owned(),
        Step::NewCgroupNamespace => "cannot make a cgroup namespace".to_owned(),
        Step::Keyring => "cannot make a session keyring".to_owned(),
        Step::Terminal => "cannot open a terminal (/process/terminal)".to_owned(),
        Step::Stdio => "cannot connect stdio".to_owned(),
        Step::BoundingSet => "cannot limit capabilities (/process/capabilities/bounding)".to_owned(),
        Step::Groups => "cannot set the groups (/process/user/additionalGids)".to_owned(),
        Step::User => "cannot become the user (/process/user)".to_owned(),
        Step::Capabilities => "cannot set the capabilities (/process/capabilities)".to_owned(),
        Step::NoNewPrivileges => "cannot set no_new_privs (/process/noNewPrivileges)".to_owned(),
        Step::Seccomp => "cannot install the system call filter (/linux/seccomp)".to_owned(),
        Step::SecurityLabel => match &process.selinux {
            Some(label) => not_labelled(&text(label)),
            None => {
                let profile = process.apparmor.as_deref().unwrap_or_default();
                let profile = String::from_utf8_lossy(profile.strip_prefix(b"exec ").unwrap_or(profile));
                format!("cannot set the AppArmor profile {profile:?} (/process/apparmorProfile)")
            }
        },
        Step::RaiseLimits => format!("cannot raise a limit (/process/rlimits/{item})"),
        Step::Limits => format!("cannot set a limit (/process/rlimits/{item})"),
        Step::PreserveFds => "cannot keep the preserved fds".to_owned(),
        _ if item == NO_ITEM => format!("step {step} failed"),
        _ => format!("step {step} {item} failed"),
    }
}

/// Podman knows a label that SELinux does not allow by the file's name between these marks (getOCIRuntimeError).
fn not_labelled(label: &str) -> String {
    format!(
        "cannot write the SELinux label {label:?} to `/proc/thread-self/attr/exec` (/process/selinuxLabel)"
    )
}

/// What the user can do about it.
fn hint(step: Step, item: u32, failed: Failed, subject: Subject<'_>) -> Option<String> {
    if let (Step::Scheduler, Errno::EPERM, Some(plan)) = (step, failed.errno, subject.plan)
        && plan.cgroup.writes.iter().any(|write| write.file == "cpuset.cpus")
    {
        return Some(
            "process scheduler can't be used together with AllowedCPUs (/linux/resources/cpu/cpus): a deadline is only \
             promised to who may run on every CPU"
                .to_owned(),
        );
    }
    if let (Step::Scheduler | Step::IoPriority, Errno::EPERM) = (step, failed.errno) {
        return Some(
            "what is better than ordinary takes CAP_SYS_NICE on the host, which no user namespace gives; a real-time \
             policy in a v1 cpu cgroup takes a realtimeRuntime too"
                .to_owned(),
        );
    }
    if step == Step::SecurityLabel && failed.errno == Errno::ENOENT && subject.process.selinux.is_none() {
        return Some("no profile of that name is loaded (apparmor_parser -r FILE)".to_owned());
    }
    if step == Step::Keyring && failed.errno == Errno::EDQUOT {
        return Some(
            "this user has too many keys (keyrings(7)); --no-new-keyring goes without one".to_owned(),
        );
    }
    if step == Step::MemoryPolicy && failed.errno == Errno::EINVAL {
        return Some(
            "the nodes have to be there and in the cpuset of the cgroup, and the flags have to fit the mode"
                .to_owned(),
        );
    }
    if let (Step::Exec, Errno::ENOENT) = (step, failed.errno) {
        return Some(
            "the file is there; the interpreter that its first line names, or its dynamic loader, is not"
                .to_owned(),
        );
    }
    let plan = subject.plan?;
    match (step, failed.errno) {
        (Step::RaiseLimits, Errno::EPERM) => {
            Some("more than the caller's own hard limit takes CAP_SYS_RESOURCE on the host".to_owned())
        }
        (Step::OpenProc | Step::OpenSource | Step::Mount, _) => mount_hints::hint(plan, step, item, failed),
        (Step::Unmount, Errno::EINVAL) => Some("nothing is mounted there".to_owned()),
        (Step::Terminal, Errno::ENOENT) => {
            Some("a terminal needs a devpts file system at /dev/pts in /mounts".to_owned())
        }
        (Step::Pivot, Errno::EINVAL) if failed.call == Call::PivotRoot => {
            Some("on a root that is the initial ramfs, use --no-pivot".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::not_labelled;

    /// Podman looks for /proc/ and a process, /attr and the rest between back quotes, and at which file it is.
    #[test]
    fn podman_finds_the_file_of_a_label() {
        let sentence = not_labelled("system_u:system_r:container_t:s0");
        let quoted = sentence.split('`').nth(1).unwrap_or_default();
        let process = quoted.strip_prefix("/proc/").and_then(|rest| rest.strip_suffix("/attr/exec"));
        assert!(process.is_some_and(|process| process.len() > 1), "{sentence}");
        assert_eq!(sentence.matches('`').count(), 2, "{sentence}");
    }
}
