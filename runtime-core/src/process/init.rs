//! The container's init, from its birth to its execve. [`assemble`] *is* the list of steps: read it from top to bottom.
//!
//! The process is a copy of the runtime, which may be a program with many threads: it allocates nothing, takes no
//! lock, prints nothing, panics nowhere, and leaves by `_exit`. It reads the plan, which was made before the clone,
//! and reports numbers through the flight recorder; the runtime writes the sentences.

use super::channel::{Word, say, say_with, wait_for_go};
use super::child_hook::ChildHook;
use super::entry::{self, Program};
use super::filter;
use crate::credentials::{self, execution, limits};
use crate::plan::{MountPlan, MountSource, NamespaceKind, Plan, SeccompPoint, Step};
use crate::recorder::Recorder;
use crate::rootfs::{self, Directories, Mask, MountInput, Mounter, Places, Small, resolve};
use crate::start_gate;
use crate::sys::{self, Failed, NewImage, RESOLVE_STRICT, Result};
use crate::terminal;
use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

/// Everything that the new process has, laid out before the clone.
#[derive(Debug)]
pub(crate) struct Init<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) program: Program<'a>,
    pub(crate) recorder: &'a Recorder,
    pub(crate) channel: BorrowedFd<'a>,
    /// What it runs from, unless it does so already.
    pub(crate) image: Option<&'a NewImage>,
    /// Its end of the start gate.
    pub(crate) start: BorrowedFd<'a>,
    /// The rootfs as a detached mount, or as a directory where there is no mount namespace of its own; `None` where
    /// the runtime has no privilege to open it.
    pub(crate) rootfs: Option<BorrowedFd<'a>>,
    /// One for each mount of the plan; the sources have room here where the runtime could not open them.
    pub(crate) mounts: &'a mut [MountInput],
    /// A mount namespace to build it in that is not a copy of the runtime's, and the null device, detached, for there.
    pub(crate) small_namespace: Option<Small<'a>>,
    pub(crate) null: Option<BorrowedFd<'a>>,
    /// Room for what is needed once more when all is mounted, one for each mount.
    pub(crate) attached: &'a mut [Option<OwnedFd>],
    /// `cgroup.procs` of each v1 hierarchy.
    pub(crate) cgroup_procs: &'a [OwnedFd],
    /// The namespaces to join from inside, when no second process is needed for that.
    pub(crate) joins: &'a [(NamespaceKind, OwnedFd)],
    /// A directory fd of the host's procfs, for what a procfs of its own cannot do.
    pub(crate) host_proc: Option<BorrowedFd<'a>>,
    /// Where the host has proc and sysfs, for a container whose root is made with chroot(2).
    pub(crate) host_proc_mounts: &'a [CString],
    /// Whether the runtime runs hooks of its own between the mounts and the pivot.
    pub(crate) wait_for_hooks: bool,
    /// Whether the runtime has work to do before this process may go on.
    pub(crate) wait_for_runtime: bool,
    pub(crate) console_socket: Option<BorrowedFd<'a>>,
    pub(crate) create_container_hooks: &'a [ChildHook<'a>],
    pub(crate) start_container_hooks: &'a [ChildHook<'a>],
    /// The state for the hooks' stdin, before `start` and after, and room for what they say.
    pub(crate) hook_state: Option<[BorrowedFd<'a>; 2]>,
    pub(crate) hook_output: Option<[BorrowedFd<'a>; 2]>,
    /// The fds that this process needs, ascending; all others are closed at once.
    pub(crate) needed_fds: &'a [RawFd],
    /// Those that it needs to the end, likewise.
    pub(crate) late_fds: &'a [RawFd],
}

/// The whole life of the process as far as it is ours. It borrows: what is owned would be dropped, and dropping frees
/// memory, under a lock that another thread of the runtime may have held when this process was made.
pub(crate) fn run(init: &mut Init<'_>) -> i32 {
    let Err(failed) = assemble(init);
    init.recorder.fail(failed);
    1
}

fn assemble(init: &mut Init<'_>) -> Result<Infallible> {
    let plan = init.plan;
    let recorder = init.recorder;

    // Who: a copy of the runtime, with its privileges, in new namespaces; in a new user namespace without an identity
    // yet. Where: the host's file system, the container's cgroup (v2).
    close_foreign_fds(init.needed_fds)?;
    leave_own_file(init.image, recorder)?;
    // From here on nobody in the container can look into this process (CVE-2016-9962), but where the runtime needs its
    // files in /proc first, which are root's then.
    if !init.wait_for_runtime {
        sys::set_dumpable(false)?;
    }
    recorder.at(Step::EnterCgroup)?;
    for procs in init.cgroup_procs {
        sys::write_all(procs.as_fd(), b"0")?;
    }
    recorder.at(Step::Affinity)?;
    execution::bind(None)?;
    join_namespaces(init)?;
    if init.wait_for_runtime {
        recorder.at(Step::WaitForRuntime)?;
        wait_for_go(init.channel)?;
    }
    let opened = match init.rootfs {
        Some(_) => None,
        None => Some(open_files(init)?),
    };
    let rootfs = opened.as_ref().map(AsFd::as_fd).or(init.rootfs);
    let is_private = plan.namespaces.is_private(NamespaceKind::User);
    if is_private {
        recorder.at(Step::BecomeRoot)?;
        become_root(plan)?;
    }
    if is_private || init.wait_for_runtime {
        sys::set_dumpable(false)?;
    }

    // Who: root of the user namespace, with every capability in it.
    settle(init)?;
    let proc = open_proc(init)?;
    if !plan.sysctls.is_empty() {
        set_sysctls(init, proc.as_ref().map(AsFd::as_fd).or(init.host_proc))?;
    }
    let mut terminal = None;
    if let Some(rootfs) = rootfs {
        if plan.namespaces.is_new(NamespaceKind::Mount) {
            terminal = build_rootfs(init, rootfs, proc.as_ref().map(AsFd::as_fd))?;
        } else {
            recorder.at(Step::Pivot)?;
            rootfs::change_root(rootfs)?;
            terminal = open_terminal(init, rootfs, false)?;
        }
    }
    name_host(plan, recorder)?;

    // Where: the container's own file system. What is left is to become its user.
    entry::connect_stdio(&init.program, terminal.as_ref().map(AsFd::as_fd), recorder)?;
    drop((terminal, proc, opened));
    // What the container's own paths could lead to, as `/proc/self/fd/N`, is gone before the first of them is used.
    close_foreign_fds(init.late_fds)?;
    // It may wait for long, beside many others; and after this a filter may be in the way.
    sys::give_back_stack();
    let index = entry::prepare(&mut init.program, init.channel, recorder)?;

    // Who: the container's user, who holds no privilege that its process will not have. Whoever wants to end it while it
    // waits can, also where it is process 1.
    sys::end_on_signals()?;
    recorder.at(Step::Ready)?;
    say(init.channel, Word::Ready)?;
    // What matters only to the program, while the runtime has its own to do.
    sys::reset_other_signals();
    filter::install_at(SeccompPoint::BeforeStart, &plan.process, init.channel, recorder)?;
    recorder.at(Step::StartGate)?;
    start_gate::wait(init.start)?;
    run_hooks(init, Step::StartContainerHook, init.start_container_hooks)?;
    entry::execute(&init.program, init.channel, index, recorder)
}

/// The copy has every fd of the runtime, also those that its other threads were using at that moment.
pub(super) fn close_foreign_fds(needed: &[RawFd]) -> Result<()> {
    let mut first = 3;
    for &fd in needed {
        sys::close_range(first, fd - 1)?;
        first = fd + 1;
    }
    sys::close_range(first, RawFd::MAX)
}

/// What is made to execute `/proc/self/exe` in there executes what cannot be written to (CVE-2019-5736).
pub(super) fn leave_own_file(image: Option<&NewImage>, recorder: &Recorder) -> Result<()> {
    let Some(image) = image else { return Ok(()) };
    recorder.at(Step::LeaveOwnFile)?;
    image.enter()
}

fn join_namespaces(init: &Init<'_>) -> Result<()> {
    for (item, (kind, fd)) in (0..).zip(init.joins) {
        init.recorder.at_item(Step::JoinNamespace, item)?;
        sys::setns(fd.as_fd(), kind.clone_flag())?;
    }
    Ok(())
}

/// What the runtime has no privilege to open. The process is the caller still, who may have rights to files that root of
/// the user namespace has not, and it has every capability in its namespaces.
fn open_files(init: &mut Init<'_>) -> Result<OwnedFd> {
    init.recorder.at(Step::OpenRootfs)?;
    let rootfs = rootfs::open_rootfs(sys::cwd(), &init.plan.rootfs.path, init.plan.rootfs.propagation)?;
    for (plan, input) in init.plan.mounts.iter().zip(init.mounts.iter_mut()) {
        if input.is_bound_from_host(plan) {
            init.recorder.at_item(Step::OpenSource, plan.item)?;
            input.source = Some(rootfs::open_bind(plan)?);
        }
    }
    Ok(rootfs)
}

fn become_root(plan: &Plan) -> Result<()> {
    sys::setresgid(0)?;
    sys::setresuid(0)?;
    credentials::change_groups(&plan.process.user, &[])
}

/// Session, keyring, and the namespaces that only the process itself can make.
fn settle(init: &Init<'_>) -> Result<()> {
    let (plan, recorder) = (init.plan, init.recorder);
    umask(Mode::empty());
    if !plan.namespaces.is_private(NamespaceKind::User) {
        for limit in &plan.process.rlimits {
            recorder.at_item(Step::RaiseLimits, limit.item)?;
            limits::raise(0, limit)?;
        }
    }
    nix::unistd::setsid().map_err(Failed::from(sys::Call::Setsid))?;
    if plan.namespaces.is_new(NamespaceKind::Cgroup) {
        recorder.at(Step::NewCgroupNamespace)?;
        // Not with the clone: the namespace's root is where its maker is, and that was the runtime's cgroup.
        sys::unshare(NamespaceKind::Cgroup.clone_flag())?;
    }
    if let (Some(proc), false) = (init.host_proc, plan.namespaces.time_offsets.is_empty()) {
        recorder.at(Step::TimeOffsets)?;
        // While a process is not dumpable its files in /proc belong to the host's root, which root of a user
        // namespace is not. In a new one there is nobody who could look into this process meanwhile.
        let is_alone = plan.namespaces.is_new(NamespaceKind::User);
        sys::set_dumpable(is_alone)?;
        let entered = enter_time_namespace(proc, &plan.namespaces.time_offsets);
        sys::set_dumpable(false)?;
        entered?;
    }
    if plan.namespaces.is_new(NamespaceKind::Network) {
        recorder.at(Step::Loopback)?;
        sys::bring_up_loopback()?;
    }
    if let Some(name) = &plan.session_keyring {
        recorder.at(Step::Keyring)?;
        credentials::join_keyring(name, plan.process.selinux.as_deref())?;
    }
    Ok(())
}

/// Offsets can be written until the first process lives in the namespace, so: make it, write, enter (time_namespaces(7)).
fn enter_time_namespace(proc: BorrowedFd<'_>, offsets: &[u8]) -> Result<()> {
    sys::unshare(NamespaceKind::Time.clone_flag())?;
    let file = sys::openat2(proc, c"self/timens_offsets", libc::O_WRONLY, 0, 0)?;
    sys::write_all(file.as_fd(), offsets)?;
    let namespace = sys::openat2(proc, c"self/ns/time_for_children", libc::O_RDONLY, 0, 0)?;
    sys::setns(namespace.as_fd(), NamespaceKind::Time.clone_flag())
}

/// Everything between the host's root and the container's. Gives the terminal, if there is to be one.
fn build_rootfs(
    init: &mut Init<'_>,
    rootfs: BorrowedFd<'_>,
    proc: Option<BorrowedFd<'_>>,
) -> Result<Option<OwnedFd>> {
    let (plan, recorder) = (init.plan, init.recorder);
    recorder.at(Step::IsolateMounts)?;
    if let Some(namespace) = init.small_namespace {
        rootfs::enter(namespace)?;
    }
    rootfs::isolate()?;
    recorder.at(Step::AttachRootfs)?;
    if init.wait_for_hooks && !plan.rootfs.no_pivot {
        rootfs::attach_at(rootfs, &plan.rootfs.path)?;
    } else {
        rootfs::attach(rootfs)?;
    }
    mount_all(init, rootfs, proc)?;
    let mut directories = Directories::new(rootfs);
    for (item, node) in (0..).zip(&plan.devices.nodes) {
        recorder.at_item(Step::Device, item)?;
        rootfs::make_device(&mut directories, node, plan.devices.bind)?;
    }
    for (item, link) in (0..).zip(&plan.devices.links) {
        recorder.at_item(Step::DeviceLink, item)?;
        rootfs::make_link(&mut directories, link)?;
    }
    drop(directories);
    recorder.at(Step::MakeCwd)?;
    // As runc does. Where it cannot be made, entering it says why, as the user who is to work there.
    let _ = resolve::open_or_make(rootfs, &plan.process.cwd, resolve::Make::Directory);
    let terminal = open_terminal(init, rootfs, true)?;
    if init.wait_for_hooks {
        recorder.at(Step::WaitForHooks)?;
        say(init.channel, Word::MountsDone)?;
        wait_for_go(init.channel)?;
    }
    if !init.create_container_hooks.is_empty() {
        // As runc does: many a hook names the container's files by relative paths.
        nix::unistd::fchdir(rootfs).map_err(Failed::from(sys::Call::Fchdir))?;
    }
    run_hooks(init, Step::CreateContainerHook, init.create_container_hooks)?;
    mask(plan, rootfs, init)?;
    seal(plan, rootfs, init)?;
    recorder.at(Step::Pivot)?;
    if plan.rootfs.no_pivot {
        rootfs::hide_host_proc(init.host_proc_mounts)?;
        rootfs::change_root(rootfs)?;
    } else {
        rootfs::pivot(rootfs)?;
    }
    recorder.at(Step::RootPropagation)?;
    rootfs::set_propagation(rootfs, plan.rootfs.propagation)?;
    Ok(terminal)
}

/// A procfs that nobody else can reach, where one is needed. The kernel makes none for a pid namespace that the user
/// namespace does not own; then the runtime's own, which it has opened and checked, leads to the same parameters.
fn open_proc(init: &Init<'_>) -> Result<Option<OwnedFd>> {
    if init.plan.sysctls.is_empty() {
        return Ok(None);
    }
    init.recorder.at(Step::OpenProc)?;
    match rootfs::detached_proc() {
        Err(failed) if failed.errno == Errno::EPERM && init.host_proc.is_some() => Ok(None),
        proc => proc.map(Some),
    }
}

/// Kernel parameters, while our procfs still lies nowhere and nothing can lie over its files.
fn set_sysctls(init: &Init<'_>, proc: Option<BorrowedFd<'_>>) -> Result<()> {
    let Some(proc) = proc else { return Ok(()) };
    let sys_directory = sys::openat2(proc, c"sys", libc::O_PATH | libc::O_DIRECTORY, 0, RESOLVE_STRICT)?;
    for (item, sysctl) in (0..).zip(&init.plan.sysctls) {
        init.recorder.at_item(Step::Sysctl, item)?;
        let file = sys::openat2(sys_directory.as_fd(), &sysctl.path, libc::O_WRONLY, 0, RESOLVE_STRICT)?;
        sys::write_all(file.as_fd(), &sysctl.value)?;
    }
    Ok(())
}

fn mount_all(init: &mut Init<'_>, root: BorrowedFd<'_>, proc: Option<BorrowedFd<'_>>) -> Result<()> {
    let mut mounter = Mounter { root, proc };
    let rows = init.plan.mounts.iter().zip(init.mounts.iter()).zip(init.attached.iter_mut());
    for (index, ((plan, input), attached)) in (0..).zip(rows) {
        init.recorder.at_item(Step::Mount, plan.item)?;
        let inside = open_inside(init.channel, root, index, plan)?;
        let source = inside.as_ref().or(input.source.as_ref()).map(AsFd::as_fd);
        *attached = mounter.mount(plan, source, input)?;
        mounter.forget_proc_if_used(plan);
    }
    Ok(())
}

/// A bind source in the rootfs is opened when its turn comes, with what is mounted there by then. Its ids are mapped
/// by the runtime, since in a user namespace this process may not.
fn open_inside(
    channel: BorrowedFd<'_>,
    root: BorrowedFd<'_>,
    index: i32,
    plan: &MountPlan,
) -> Result<Option<OwnedFd>> {
    let MountSource::Bind { in_rootfs: true, .. } = &plan.source else { return Ok(None) };
    let copy = rootfs::open_inside(root, plan)?;
    if plan.id_map.is_some() {
        say_with(channel, Word::MapIds(index), copy.as_fd())?;
        wait_for_go(channel)?;
    }
    Ok(Some(copy))
}

fn open_terminal(init: &Init<'_>, root: BorrowedFd<'_>, console: bool) -> Result<Option<OwnedFd>> {
    let (Some(plan), Some(socket)) = (init.plan.process.terminal, init.console_socket) else {
        return Ok(None);
    };
    init.recorder.at(Step::Terminal)?;
    terminal::open(root, plan, socket, console).map(Some)
}

fn mask(plan: &Plan, root: BorrowedFd<'_>, init: &Init<'_>) -> Result<()> {
    let places = Places { root, mounts: &plan.mounts, inputs: init.mounts, attached: init.attached };
    for (item, path) in (0..).zip(&plan.masks.readonly) {
        init.recorder.at_item(Step::ReadonlyPath, item)?;
        rootfs::make_readonly(places, path)?;
    }
    let mut mask = Mask { label: plan.masks.label.as_ref(), given_null: init.null, ..Mask::default() };
    for (item, path) in &plan.masks.masked {
        init.recorder.at_item(Step::MaskedPath, *item)?;
        mask.cover(places, path)?;
    }
    Ok(())
}

/// Read-only at last, now that nothing more has to be made inside.
fn seal(plan: &Plan, root: BorrowedFd<'_>, init: &Init<'_>) -> Result<()> {
    init.recorder.at(Step::SealMounts)?;
    for (_, mount) in plan.mounts.iter().zip(init.attached.iter()).filter(|(plan, _)| plan.seal_readonly) {
        if let Some(mount) = mount {
            sys::mount_setattr(mount.as_fd(), false, sys::MOUNT_ATTR_RDONLY, 0, 0)?;
        }
    }
    if plan.rootfs.readonly {
        sys::mount_setattr(root, false, sys::MOUNT_ATTR_RDONLY, 0, 0)?;
    }
    Ok(())
}

fn name_host(plan: &Plan, recorder: &Recorder) -> Result<()> {
    if let Some(name) = &plan.hostname {
        recorder.at(Step::Hostname)?;
        sys::sethostname(name)?;
    }
    if let Some(name) = &plan.domainname {
        recorder.at(Step::Domainname)?;
        sys::setdomainname(name)?;
    }
    Ok(())
}

fn run_hooks(init: &Init<'_>, step: Step, hooks: &[ChildHook<'_>]) -> Result<()> {
    let (Some([before, after]), Some(output)) = (init.hook_state, init.hook_output) else { return Ok(()) };
    let state = if step == Step::StartContainerHook { after } else { before };
    let filter = match &init.plan.process.seccomp {
        // It comes right after these hooks, and is for them too (as runc has it).
        Some(seccomp)
            if step == Step::StartContainerHook && seccomp.point == SeccompPoint::LastBeforeExec =>
        {
            Some(&seccomp.program)
        }
        _ => None,
    };
    for hook in hooks {
        init.recorder.at_item(step, hook.item())?;
        hook.run(state, output, filter, &init.program.envp)?;
    }
    Ok(())
}
