//! The birth of a container's process: what it needs is laid out, and one clone3(2) makes it.

use super::agent::Agent;
use super::container_hooks::ContainerHooks;
use super::file_system::{FileSystem, host_proc_mounts};
use super::id_maps::IdMaps;
use super::prepare::open_joins;
use super::request::{Request, internal};
use super::small_namespace::SmallNamespace;
use crate::cgroup::Cgroup;
use crate::error::{Error, ErrorKind, Result};
use crate::own_binary::Shelter;
use crate::plan::{NamespaceKind, NamespacePlan, Plan, Step};
use crate::process::entry::{Home, Program};
use crate::process::init::{self, Init};
use crate::process::joiner::{self, Joiner};
use crate::process::runtime::{Newborn, channel, needed};
use crate::recorder::Recorder;
use crate::socket::PidfdSocket;
use crate::start_gate::StartGate;
use crate::state::StateDirectory;
use crate::stdio::{PreparedConsole, PreparedStdio};
use crate::sys::{self, Failed};
use nix::errno::Errno;
use nix::sys::statfs::PROC_SUPER_MAGIC;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A process that sets itself up, and what the runtime keeps of what it was given.
pub(super) struct Birth<'a> {
    pub(super) newborn: Newborn,
    /// The newborn is a joiner, whose child is the container's process.
    pub(super) is_joiner: bool,
    /// It could not be born in its cgroup, and systemd has to move it there.
    pub(super) moved_in: bool,
    pub(super) console: Option<PreparedConsole>,
    pub(super) pidfd_sockets: Vec<PidfdSocket>,
    pub(super) agent: Option<Agent<'a>>,
    pub(super) hooks: ContainerHooks<'a>,
    pub(super) id_maps: IdMaps,
}

/// Lays everything out and clones. When this returns, the ends that belong to the new process are its alone.
pub(super) fn give_birth<'a>(
    request: &Request<'a>,
    directory: &StateDirectory,
    cgroup: &Cgroup,
    shelter: Option<&Shelter>,
    recorder: &Recorder,
) -> Result<Birth<'a>> {
    let (plan, options) = (request.plan, request.options);
    let birthplace = cgroup.birthplace()?;
    let mut files = FileSystem::open(plan, request.runtime, cgroup, recorder)?;
    let joins = open_joins(plan)?;
    let gate = StartGate::make(directory.as_fd())
        .map_err(|errno| Error::os("cannot make the start gate", "mkfifoat", errno))?;
    let stdio = PreparedStdio::new(&options.stdio)?;
    recorder.runtime_at(Step::OpenConsole)?;
    let console = plan.process.terminal.map(|_| PreparedConsole::new(&options.console)).transpose()?;
    recorder.runtime_at(Step::PidfdSocket)?;
    let receivers = [&options.pidfd_socket, &plan.pidfd_receiver].into_iter().flatten();
    let pidfd_sockets = receivers.map(|path| PidfdSocket::connect(path)).collect::<Result<_>>()?;
    recorder.runtime_at(Step::SeccompAgent)?;
    let agent = Agent::connect(&plan.process)?;
    let child_hooks = ContainerHooks::new(plan, directory)?;
    let host_proc = open_host_proc(plan)?;
    let host_proc_mounts = if plan.rootfs.no_pivot { host_proc_mounts(plan)? } else { Vec::new() };
    let (channel, their_channel) = channel().map_err(internal("cannot make a channel"))?;

    // Everything that the new process holds on to; what is not in this list it closes first of all.
    let needed_fds = {
        let fds = [their_channel.as_fd(), gate.start.as_fd()]
            .into_iter()
            .chain(files.rootfs.as_ref().map(AsFd::as_fd))
            .chain(files.mounts.iter().filter_map(|mount| Some(mount.source.as_ref()?.as_fd())))
            .chain(
                files.small_namespace.iter().flat_map(|small| [small.namespace.as_fd(), small.null.as_fd()]),
            )
            .chain(birthplace.procs.iter().map(AsFd::as_fd))
            .chain(joins.iter().map(|(_, fd)| fd.as_fd()))
            .chain(shelter.map(|shelter| shelter.image.file()))
            .chain(host_proc.as_ref().map(AsFd::as_fd))
            .chain(console.as_ref().map(|console| console.child.as_fd()))
            .chain(child_hooks.fds());
        needed(fds, stdio.numbers(), plan.process.preserve_fds)
    };
    let late_fds = {
        let fds = [their_channel.as_fd(), gate.start.as_fd()];
        needed(fds.into_iter().chain(child_hooks.fds()), None, plan.process.preserve_fds)
    };
    let mut home = Home::new();
    let two_stages = needs_joiner(&plan.namespaces);
    let mut init = Init {
        plan,
        program: Program::new(&plan.process, &mut home, stdio.numbers()),
        recorder,
        channel: their_channel.as_fd(),
        image: shelter.map(|shelter| &*shelter.image).filter(|_| !two_stages),
        start: gate.start.as_fd(),
        rootfs: files.rootfs.as_ref().map(AsFd::as_fd),
        mounts: &mut files.mounts,
        small_namespace: files.small_namespace.as_ref().map(SmallNamespace::way_in),
        null: files.small_namespace.as_ref().map(|small| small.null.as_fd()),
        attached: &mut files.attached,
        cgroup_procs: if two_stages { &[] } else { &birthplace.procs },
        joins: if two_stages { &[] } else { &joins },
        host_proc: host_proc.as_ref().map(AsFd::as_fd),
        host_proc_mounts: &host_proc_mounts,
        wait_for_hooks: plan.hooks.run_before_pivot() || !plan.hooks.create_container.is_empty(),
        wait_for_runtime: super::guide::is_waited_for(plan),
        console_socket: console.as_ref().map(|console| console.child.as_fd()),
        create_container_hooks: &child_hooks.create_container,
        start_container_hooks: &child_hooks.start_container,
        hook_state: child_hooks.states(),
        hook_output: child_hooks.output(),
        needed_fds: &needed_fds,
        late_fds: &late_fds,
    };

    recorder.runtime_at(Step::Clone)?;
    let into = birthplace.into.as_ref().map(AsFd::as_fd);
    let new = clone_flags(&plan.namespaces, files.small_namespace.is_some());
    let targets: Vec<(BorrowedFd<'_>, i32)> =
        joins.iter().map(|(kind, fd)| (fd.as_fd(), kind.clone_flag())).collect();
    let joiner = Joiner {
        recorder,
        channel: their_channel.as_fd(),
        image: shelter.map(|shelter| &*shelter.image),
        cgroup_procs: &birthplace.procs,
        affinity: None,
        targets: &targets,
        limits: &plan.process.rlimits,
        new,
        second_clone: true,
        needed_fds: &needed_fds,
    };
    let mut clone = |into| match two_stages {
        true => sys::clone3(0, into, || joiner::run(&joiner, || init::run(&mut init))),
        false => sys::clone3(new, into, || init::run(&mut init)),
    };
    let mut born = clone(into);
    let moved_in = matches!(born, Err(Failed { errno: Errno::EACCES, .. })) && cgroup.unit().is_some();
    if moved_in {
        born = clone(None);
    }
    let born = born.map_err(|failed| clone_error(failed, &plan.namespaces))?;
    let newborn = Newborn::new(born, channel);
    Ok(Birth {
        newborn,
        moved_in,
        is_joiner: two_stages,
        console,
        pidfd_sockets,
        agent,
        hooks: child_hooks,
        id_maps: files.id_maps,
    })
}

/// A pid namespace is entered by children only; a user namespace has to be entered before what belongs to it is made;
/// and what belongs to the host's has to be entered before a new user namespace is made.
fn needs_joiner(namespaces: &NamespacePlan) -> bool {
    namespaces.is_joined(NamespaceKind::User)
        || namespaces.is_joined(NamespaceKind::Pid)
        || namespaces.is_new(NamespaceKind::User) && !namespaces.joined.is_empty()
}

/// The namespaces that are made with the clone. A cgroup namespace, and a time namespace with offsets, the process
/// makes itself; a small mount namespace is there.
fn clone_flags(namespaces: &NamespacePlan, small_namespace: bool) -> u64 {
    let later = |kind| match kind {
        NamespaceKind::Cgroup => true,
        NamespaceKind::Time => !namespaces.time_offsets.is_empty(),
        NamespaceKind::Mount => small_namespace,
        _ => false,
    };
    let flags =
        namespaces.new.iter().filter(|&&kind| !later(kind)).map(|kind| kind.clone_flag().unsigned_abs());
    u64::from(flags.fold(0, |all, flag| all | flag))
}

/// cgroups(7), "Delegation containment rules".
pub(super) const INTO_CGROUP: &str = "without root a process gets into a cgroup only from below the one that was delegated: start the caller there";

fn clone_error(failed: Failed, namespaces: &NamespacePlan) -> Error {
    let kinds: Vec<&str> = namespaces.new.iter().map(|kind| kind.spec_name()).collect();
    let error = Error::os(
        format!("cannot make the container's process with new namespaces {}", kinds.join(", ")),
        failed.call.name(),
        failed.errno,
    )
    .at(Step::Clone);
    match failed.errno {
        Errno::ENOSPC | Errno::EUSERS => error.with_hint("a limit in /proc/sys/user/max_*_namespaces is reached"),
        Errno::EPERM => error.with_hint("without privileges a container needs a user namespace: add {\"type\":\"user\"} to /linux/namespaces"),
        Errno::EACCES => error.with_hint(INTO_CGROUP),
        Errno::EAGAIN => error.with_hint("a limit on the number of processes is reached (ulimit -u, pids.max)"),
        _ => error,
    }
}

/// The runtime's own procfs, where the new process cannot do with one that it makes: time offsets are written before it
/// may, and in a pid namespace that its user namespace does not own (`--pid host` without privileges) it never may.
fn open_host_proc(plan: &Plan) -> Result<Option<OwnedFd>> {
    let for_sysctls = !plan.sysctls.is_empty() && !plan.namespaces.is_new(NamespaceKind::Pid);
    if plan.namespaces.time_offsets.is_empty() && !for_sysctls {
        return Ok(None);
    }
    let proc = File::open("/proc").map_err(|error| Error::io("cannot open /proc", "open", &error))?;
    match nix::sys::statfs::fstatfs(&proc) {
        Ok(found) if found.filesystem_type() == PROC_SUPER_MAGIC => Ok(Some(proc.into())),
        _ => Err(Error::new(ErrorKind::Unsupported, "/proc is no procfs")),
    }
}
