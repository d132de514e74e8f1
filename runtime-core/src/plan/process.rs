//! A process: the container's init, or one that is executed in it later (runtime-spec config.md, "Process").

use super::problems::{Pointer, Problems};
use super::{
    AffinityPlan, IoPriorityPlan, MemoryPolicyPlan, NamespaceKind, NamespacePlan, RlimitPlan, SchedulerPlan,
    SeccompContext, SeccompPlan, capabilities, environment, execution, memory_policy, rlimits, seccomp,
};
use crate::error::Problem;
use crate::host::Host;
use crate::spec::{self, LinuxMemoryPolicy, LinuxPersonality};
use std::ffi::CString;
use std::path::Path;

/// Who the process is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserPlan {
    /// User id inside the container.
    pub uid: u32,
    /// Group id inside the container.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// False where the user namespace forbids setgroups(2) (`/proc/PID/setgroups` says `deny`), and where the caller's
    /// groups are to be kept.
    pub set_groups: bool,
    /// It may be forbidden all the same: the user namespace is joined, and only its maker knows. No group that is asked
    /// for is left out then; those of the caller stay, as they do for everyone there.
    pub groups_may_stay: bool,
    /// File mode creation mask, 0o022 unless given.
    pub umask: u32,
}

/// The five sets of capabilities(7), bit N being capability N.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CapabilityPlan {
    /// Ceiling of what can ever be gained.
    pub bounding: u64,
    /// In force.
    pub effective: u64,
    /// What may be made effective.
    pub permitted: u64,
    /// Kept across execve(2) by files that have them.
    pub inheritable: u64,
    /// Kept across execve(2) by ordinary files.
    pub ambient: u64,
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalPlan {
    /// Lines; 0 to leave it.
    pub rows: u16,
    /// Characters a line; 0 to leave it.
    pub columns: u16,
}

/// A process, ready to be made.
#[derive(Debug, Clone)]
pub struct ProcessPlan {
    /// `argv`.
    pub args: Vec<CString>,
    /// `envp`, without `HOME` when `home_from_passwd` is set.
    pub env: Vec<CString>,
    /// `HOME` is not given: look the user up in the container's `/etc/passwd`; `/` when it is not there.
    pub home_from_passwd: bool,
    /// The paths at which `args[0]` is tried, in order: itself if it has a slash, else one for each part of `PATH`.
    pub candidates: Vec<CString>,
    /// Working directory, absolute.
    pub cwd: CString,
    /// Who.
    pub user: UserPlan,
    /// With which capabilities.
    pub capabilities: CapabilityPlan,
    /// With which limits.
    pub rlimits: Vec<RlimitPlan>,
    /// Whether it is barred from gaining privileges by execve(2).
    pub no_new_privileges: bool,
    /// Its `oom_score_adj`, when one is given.
    pub oom_score_adj: Option<i32>,
    /// Whether it gets a terminal of its own.
    pub terminal: Option<TerminalPlan>,
    /// Its filter, when one is given.
    pub seccomp: Option<SeccompPlan>,
    /// The text for `/proc/self/attr/apparmor/exec`, `exec PROFILE`, when a profile is given.
    pub apparmor: Option<Vec<u8>>,
    /// Its SELinux context, when one is given: that of what it executes, and of its session keyring.
    pub selinux: Option<CString>,
    /// Its scheduling policy, when one is given; else the caller's.
    pub scheduler: Option<SchedulerPlan>,
    /// Its turn at the disks, when one is given; else the caller's.
    pub io_priority: Option<IoPriorityPlan>,
    /// The processors that it may run on.
    pub affinity: AffinityPlan,
    /// Its execution domain, for personality(2), when one is given.
    pub personality: Option<u32>,
    /// On which NUMA nodes its memory is, when that is given; else as the caller's.
    pub memory_policy: Option<MemoryPolicyPlan>,
    /// How many fds beyond stdio it keeps: 3 up to 3 + this.
    pub preserve_fds: u32,
}

/// What a process's plan depends on besides the process itself: the same for a container's init and for exec.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessContext<'a> {
    /// This machine.
    pub(crate) host: &'a Host,
    /// The container's namespaces.
    pub(crate) namespaces: &'a NamespacePlan,
    /// Its filter.
    pub(crate) seccomp: SeccompContext<'a>,
    /// The container's `/linux/personality`.
    pub(crate) personality: Option<&'a LinuxPersonality>,
    /// The container's `/linux/memoryPolicy`.
    pub(crate) memory_policy: Option<&'a LinuxMemoryPolicy>,
    /// Whether the caller's groups are kept.
    pub(crate) keep_groups: bool,
    /// Sockets to activate.
    pub(crate) listen_fds: u32,
    /// Their names, separated by colons.
    pub(crate) listen_fd_names: Option<&'a str>,
    /// Further fds to keep.
    pub(crate) preserve_fds: u32,
}

/// Used where the environment has no `PATH`, so that a bare name can still be found.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// File mode creation mask of a config that gives none.
const DEFAULT_UMASK: u32 = 0o022;

/// A process, with pointers below `/process`; its filter with pointers below `/linux/seccomp`.
///
/// # Errors
/// All problems at once.
pub(crate) fn plan_process(
    process: &spec::Process,
    context: &ProcessContext<'_>,
) -> Result<ProcessPlan, Vec<Problem>> {
    let mut problems = Problems::new();
    let plan = plan(process, context, &mut problems);
    if problems.is_empty() { Ok(plan) } else { Err(problems.into_list()) }
}

pub(super) fn plan(
    process: &spec::Process,
    context: &ProcessContext<'_>,
    problems: &mut Problems,
) -> ProcessPlan {
    let at = Pointer::ROOT.key("process");
    refuse_unsupported(process, &at, problems);
    let (mut env, home_from_passwd) = plan_env(process, &at.key("env"), problems);
    let args = plan_args(process, &at.key("args"), problems);
    let candidates = args.first().map(|program| candidates(program, &env)).unwrap_or_default();
    if context.listen_fds > 0 {
        // sd_listen_fds(3). The process is pid 1 of its namespace, or is told that it is the one that is meant.
        let own = |variable: &CString| {
            let variable = variable.to_bytes();
            [&b"LISTEN_FDS="[..], b"LISTEN_PID=", b"LISTEN_FDNAMES="]
                .iter()
                .any(|name| variable.starts_with(name))
        };
        env.retain(|variable| !own(variable));
        env.push(problems.text(&at, format!("LISTEN_FDS={}", context.listen_fds)));
        env.push(c"LISTEN_PID=1".to_owned());
        env.extend(
            context.listen_fd_names.map(|names| problems.text(&at, format!("LISTEN_FDNAMES={names}"))),
        );
    }
    let no_new_privileges = process.no_new_privileges().unwrap_or(false);
    ProcessPlan {
        args,
        env,
        home_from_passwd,
        candidates,
        cwd: plan_cwd(process.cwd(), &at.key("cwd"), problems),
        user: plan_user(process.user(), context, &at.key("user"), problems),
        capabilities: capabilities::plan(
            process.capabilities().as_ref(),
            context.host,
            &at.key("capabilities"),
            problems,
        ),
        rlimits: rlimits::plan(
            process.rlimits().as_deref().unwrap_or_default(),
            &at.key("rlimits"),
            problems,
        ),
        no_new_privileges,
        oom_score_adj: plan_oom_score_adj(process.oom_score_adj(), &at.key("oomScoreAdj"), problems),
        terminal: plan_terminal(process, &at.key("consoleSize"), problems),
        seccomp: seccomp::plan(context.seccomp, no_new_privileges, problems),
        apparmor: plan_apparmor(
            process.apparmor_profile().as_deref(),
            context.host,
            &at.key("apparmorProfile"),
            problems,
        ),
        selinux: plan_selinux(
            process.selinux_label().as_deref(),
            context.host,
            &at.key("selinuxLabel"),
            problems,
        ),
        scheduler: execution::plan_scheduler(process.scheduler().as_ref(), &at.key("scheduler"), problems),
        io_priority: execution::plan_io_priority(
            process.io_priority().as_ref(),
            &at.key("ioPriority"),
            problems,
        ),
        affinity: execution::plan_affinity(
            process.exec_cpu_affinity().as_ref(),
            &at.key("execCPUAffinity"),
            problems,
        ),
        personality: execution::plan_personality(
            context.personality,
            &Pointer::ROOT.key("linux").key("personality"),
            problems,
        ),
        memory_policy: memory_policy::plan(
            context.memory_policy,
            &Pointer::ROOT.key("linux").key("memoryPolicy"),
            problems,
        ),
        preserve_fds: context.listen_fds.saturating_add(context.preserve_fds),
    }
}

fn refuse_unsupported(process: &spec::Process, at: &Pointer<'_>, problems: &mut Problems) {
    if process.command_line().as_ref().is_some_and(|line| !line.is_empty()) {
        problems.add(&at.key("commandLine"), "is for Windows; on Linux use args");
    }
    let user = at.key("user");
    if process.user().username().as_ref().is_some_and(|name| !name.is_empty()) {
        problems.add(&user.key("username"), "is for Windows; on Linux use uid and gid");
    }
}

fn plan_args(process: &spec::Process, place: &Pointer<'_>, problems: &mut Problems) -> Vec<CString> {
    let args = process.args().as_deref().unwrap_or_default();
    match args.first() {
        None => problems.add(place, "args must not be empty: the first is the program"),
        Some(program) if program.is_empty() => {
            problems.add(&place.item(0), "is empty: the name of the program is expected");
        }
        Some(_) => {}
    }
    args.iter().enumerate().map(|(index, arg)| problems.text(&place.item(index), arg.as_str())).collect()
}

/// The environment, and whether `HOME` is to be looked up: where it is missing, or empty, as engines write it.
fn plan_env(process: &spec::Process, place: &Pointer<'_>, problems: &mut Problems) -> (Vec<CString>, bool) {
    let mut env = environment::plan(process.env().as_deref().unwrap_or_default(), place, problems);
    let home_is_given = environment::value(&env, "HOME").is_some_and(|home| !home.is_empty());
    if !home_is_given {
        env.retain(|variable| variable.to_bytes() != b"HOME=");
    }
    (env, !home_is_given)
}

/// Where to look for a program, as execvp(3) does: a name with a slash stands for itself. An empty part of `PATH`
/// is the working directory.
fn candidates(program: &CString, env: &[CString]) -> Vec<CString> {
    let name = program.to_bytes();
    if name.contains(&b'/') || name.is_empty() {
        return vec![program.clone()];
    }
    let path = environment::value(env, "PATH").unwrap_or(DEFAULT_PATH.as_bytes());
    let in_directory = |directory: &[u8]| {
        let directory = if directory.is_empty() { b"." } else { directory };
        // No part has a NUL: both come from CStrings.
        CString::new([directory, b"/", name].concat()).unwrap_or_default()
    };
    path.split(|byte| *byte == b':').map(in_directory).collect()
}

fn plan_cwd(cwd: &Path, place: &Pointer<'_>, problems: &mut Problems) -> CString {
    if !cwd.is_absolute() {
        problems.add(place, format!("Cwd must be an absolute path, not {cwd:?}"));
    }
    problems.path(place, cwd)
}

fn plan_user(
    user: &spec::User,
    context: &ProcessContext<'_>,
    place: &Pointer<'_>,
    problems: &mut Problems,
) -> UserPlan {
    let namespaces = context.namespaces;
    namespaces.check_uid(user.uid(), &place.key("uid"), problems);
    namespaces.check_gid(user.gid(), &place.key("gid"), problems);
    let groups = user.additional_gids().clone().unwrap_or_default();
    let list = place.key("additionalGids");
    for (index, gid) in groups.iter().enumerate() {
        namespaces.check_gid(*gid, &list.item(index), problems);
    }
    let allowed = context.host.setgroups && !maps_only_the_callers_group(context);
    if !allowed && !context.keep_groups && !groups.is_empty() {
        problems.add(&list, "cannot be set in a user namespace in which setgroups(2) is denied");
    }
    let umask = user.umask().unwrap_or(DEFAULT_UMASK);
    if umask > 0o777 {
        problems.add(&place.key("umask"), format!("{umask} is no mask: at most 511, which is 0777"));
    }
    let set_groups = allowed && !context.keep_groups;
    let groups_may_stay = groups.is_empty() && namespaces.is_joined(NamespaceKind::User);
    UserPlan { uid: user.uid(), gid: user.gid(), groups, set_groups, groups_may_stay, umask }
}

/// Who has no privilege may map their own group, and gives up setgroups(2) for it (user_namespaces(7)).
fn maps_only_the_callers_group(context: &ProcessContext<'_>) -> bool {
    let own = |mapping: &super::IdMapping| mapping.outside == context.host.egid && mapping.count == 1;
    context.namespaces.is_new(NamespaceKind::User)
        && !context.host.may_map_ids
        && matches!(context.namespaces.gid_mappings.as_slice(), [mapping] if own(mapping))
}

fn plan_oom_score_adj(score: Option<i32>, place: &Pointer<'_>, problems: &mut Problems) -> Option<i32> {
    if let Some(score) = score.filter(|score| !(-1000..=1000).contains(score)) {
        problems.add(place, format!("{score} is out of range: -1000 to 1000"));
    }
    score
}

fn plan_terminal(
    process: &spec::Process,
    place: &Pointer<'_>,
    problems: &mut Problems,
) -> Option<TerminalPlan> {
    if !process.terminal().unwrap_or(false) {
        // The spec: consoleSize is ignored without a terminal.
        return None;
    }
    let size = process.console_size().unwrap_or_default();
    let mut number = |key: &str, value: u64| {
        u16::try_from(value).unwrap_or_else(|_| {
            problems.add(&place.key(key), format!("{value} is more than a terminal can have, 65535"));
            0
        })
    };
    Some(TerminalPlan { rows: number("height", size.height()), columns: number("width", size.width()) })
}

/// A label that cannot be applied must not be dropped: somebody counts on it.
fn plan_selinux(
    label: Option<&str>,
    host: &Host,
    place: &Pointer<'_>,
    problems: &mut Problems,
) -> Option<CString> {
    let label = label.filter(|label| !label.is_empty())?;
    if !host.selinux {
        refuse_selinux(place, problems);
    }
    Some(problems.text(place, label))
}

/// On a machine without SELinux there are no labels.
pub(super) fn refuse_selinux(place: &Pointer<'_>, problems: &mut Problems) {
    problems
        .add(place, "selinux label is specified in config, but SELinux is disabled or not supported here");
}

fn plan_apparmor(
    profile: Option<&str>,
    host: &Host,
    place: &Pointer<'_>,
    problems: &mut Problems,
) -> Option<Vec<u8>> {
    let profile = profile.filter(|profile| !profile.is_empty())?;
    if !host.apparmor {
        // Without AppArmor everything is unconfined already.
        if profile != "unconfined" {
            problems.add(
                place,
                format!("AppArmor is not enabled on this host, so {profile:?} cannot be applied"),
            );
        }
        return None;
    }
    let profile = problems.text(place, profile);
    Some([b"exec ", profile.to_bytes()].concat())
}
