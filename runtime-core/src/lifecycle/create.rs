//! `create`: from a plan to a process that waits at the start gate.
//!
//! The sequence stands in [`build`]; what has been made when it fails is taken away again by [`Undo`].

use super::container_hooks::ContainerHooks;
use super::explain::{Subject, explain};
use super::hooks;
use super::prepare::{FileSystem, check_preserved, open_joins, write_proc};
use super::undo::Undo;
use crate::bundle::Bundle;
use crate::cgroup::{Cgroup, CgroupRecord};
use crate::container::{Container, Created};
use crate::credentials::limits;
use crate::error::{Error, Result};
use crate::id::ContainerId;
use crate::options::CreateOptions;
use crate::plan::{HookKind, IdMapping, NamespaceKind, NamespacePlan, Plan, ProcessPlan, Step};
use crate::process::Recorder;
use crate::process::channel::{Word, say};
use crate::process::entry::{Home, Program};
use crate::process::handle::Process;
use crate::process::init::{self, Init};
use crate::process::joiner::{self, Joiner};
use crate::process::runtime::{Newborn, channel, needed};
use crate::process::start_gate::StartGate;
use crate::runtime::Runtime;
use crate::state::{InitRecord, Record, StateDirectory, Status, now, replace_file, start_time};
use crate::stdio::{PreparedConsole, PreparedStdio};
use crate::sys::{self, Failed};
use crate::trace;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// What is to be created.
struct Request<'a> {
    runtime: &'a Runtime,
    id: &'a ContainerId,
    bundle: &'a Bundle,
    options: &'a CreateOptions,
    plan: &'a Plan,
    annotations: BTreeMap<String, String>,
}

pub(crate) fn create(
    runtime: &Runtime,
    id: &ContainerId,
    bundle: &Bundle,
    options: &CreateOptions,
) -> Result<Created> {
    runtime.shared().check_own_binary()?;
    let plan = bundle.plan(id, runtime.host(), options)?;
    check_preserved(plan.process.preserve_fds)?;
    let annotations = bundle.spec().annotations().clone().unwrap_or_default().into_iter().collect();
    let request = Request { runtime, id, bundle, options, plan: &plan, annotations };

    let directory = StateDirectory::claim(runtime.root(), id)?;
    let mut undo = Undo { directory: &directory, cgroup: None, process: None, owes_poststop: None };
    let built = directory.lock().and_then(|lock| {
        let init = build(&request, &directory, &mut undo)?;
        drop(lock);
        Ok(init)
    });
    match built {
        Ok(init) => Ok(Created { container: Container::new(runtime.shared(), id.clone(), directory), init }),
        Err(error) => {
            undo.run(&plan, bundle.path());
            Err(error)
        }
    }
}

/// An error of the recorder's file or the like, which is ours and not the config's.
fn internal(what: &'static str) -> impl Fn(Failed) -> Error {
    move |failed| Error::os(what, failed.call.name(), failed.errno)
}

fn build(request: &Request<'_>, directory: &StateDirectory, undo: &mut Undo<'_>) -> Result<Process> {
    let recorder = directory
        .recorder_file(true)
        .and_then(|file| Recorder::begin(&file))
        .map_err(|error| Error::io("cannot make the flight recorder", "write", &error).at(Step::ClaimId))?;
    #[cfg(feature = "fault-injection")]
    let recorder = recorder.with_fault(request.options.fault);
    assemble(request, directory, undo, &recorder).map_err(|error| match recorder.runtime_step() {
        Some(step) => error.at(step),
        None => error,
    })
}

/// What the new process reports has its own step; all other failures are those of the runtime's step.
fn assemble(
    request: &Request<'_>,
    directory: &StateDirectory,
    undo: &mut Undo<'_>,
    recorder: &Recorder,
) -> Result<Process> {
    let (plan, options) = (request.plan, request.options);
    recorder.runtime_at(Step::ClaimId)?;
    // From here on a crash leaves a record that says what there is to remove.
    recorder.runtime_at(Step::WriteRecord)?;
    let mut record = new_record(request);
    directory.write_config(request.bundle.config())?;
    directory.write_record(&record)?;

    recorder.runtime_at(Step::MakeCgroup)?;
    let cgroup = undo.cgroup.insert(Cgroup::create(&plan.cgroup)?);
    recorder.runtime_at(Step::LimitCgroup)?;
    cgroup.apply(&plan.cgroup)?;
    let birthplace = cgroup.birthplace()?;

    // After the cgroup, whose directories may be among the bind sources.
    let mut files = FileSystem::open(plan, request.runtime.host(), recorder)?;
    let joins = open_joins(plan)?;
    let gate = StartGate::make(directory.as_fd())
        .map_err(|errno| Error::os("cannot make the start gate", "mkfifoat", errno))?;
    let stdio = PreparedStdio::new(&options.stdio)?;
    recorder.runtime_at(Step::OpenConsole)?;
    let console = plan.process.terminal.map(|_| PreparedConsole::new(&options.console)).transpose()?;
    let mut child_hooks = ContainerHooks::new(plan)?;
    let host_proc = open_host_proc(&plan.namespaces)?;
    let (channel, their_channel) = channel().map_err(internal("cannot make a channel"))?;

    // Everything that the new process holds on to; what is not in this list it closes first of all.
    let needed_fds = {
        let fds = [files.rootfs.as_fd(), their_channel.as_fd(), gate.start.as_fd(), gate.started.as_fd()]
            .into_iter()
            .chain(files.sources.iter().flatten().map(AsFd::as_fd))
            .chain(birthplace.procs.iter().map(AsFd::as_fd))
            .chain(joins.iter().map(|(_, fd)| fd.as_fd()))
            .chain(host_proc.as_ref().map(AsFd::as_fd))
            .chain(console.as_ref().map(|console| console.child.as_fd()))
            .chain(child_hooks.fds());
        needed(fds, stdio.numbers(), plan.process.preserve_fds)
    };
    let late_fds = {
        let fds = [their_channel.as_fd(), gate.start.as_fd(), gate.started.as_fd()];
        needed(fds.into_iter().chain(child_hooks.fds()), None, plan.process.preserve_fds)
    };
    let mut home = Home::new();
    let two_stages = needs_joiner(&plan.namespaces);
    let mut init = Init {
        plan,
        program: Program::new(&plan.process, &mut home, stdio.numbers()),
        recorder,
        channel: their_channel.as_fd(),
        start: gate.start.as_fd(),
        rootfs: Some(files.rootfs.as_fd()),
        sources: &files.sources,
        mount_data: &files.mount_data,
        seals: &mut files.seals,
        cgroup_procs: if two_stages { &[] } else { &birthplace.procs },
        joins: if two_stages { &[] } else { &joins },
        host_proc: host_proc.as_ref().map(AsFd::as_fd),
        wait_for_hooks: plan.hooks.run_before_pivot() || !plan.hooks.create_container.is_empty(),
        wait_for_runtime: plan.namespaces.is_new(NamespaceKind::User),
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
    let new = clone_flags(&plan.namespaces);
    let born = if two_stages {
        let targets: Vec<(BorrowedFd<'_>, i32)> =
            joins.iter().map(|(kind, fd)| (fd.as_fd(), kind.clone_flag())).collect();
        let joiner = Joiner {
            recorder,
            channel: their_channel.as_fd(),
            cgroup_procs: &birthplace.procs,
            targets: &targets,
            limits: &plan.process.rlimits,
            new,
            second_clone: true,
            needed_fds: &needed_fds,
        };
        sys::clone3(0, into, || joiner::run(&joiner, || init::run(&mut init)))
    } else {
        sys::clone3(new, into, || init::run(&mut init))
    };
    let born = born.map_err(|failed| clone_error(failed, &plan.namespaces))?;
    let process = undo.process.insert(Newborn::new(born, channel));
    // Theirs alone from now on, so that their end is seen.
    drop((their_channel, gate, joins));
    let failed = |process: &Newborn, cgroup: &Cgroup| {
        let ended = sys::waitid(process.pidfd.as_fd(), true).ok().flatten();
        let oom_killed = cgroup.oom_kills().ok().flatten().is_some_and(|kills| kills > 0);
        explain(recorder, Subject { plan: Some(plan), process: &plan.process }, ended, oom_killed)
    };
    if two_stages && !process.follow().map_err(internal("cannot follow the new process"))? {
        return Err(failed(process, cgroup));
    }

    let pid = process.pid;
    let state = |status| {
        hooks::state_json(request.id.as_str(), status, pid, request.bundle.path(), &request.annotations)
    };
    child_hooks.tell(&state(Status::Creating), &state(Status::Created))?;
    if plan.namespaces.is_new(NamespaceKind::User) {
        recorder.runtime_at(Step::WriteMaps)?;
        write_maps(process.pid, &plan.namespaces, &plan.process)?;
        recorder.runtime_at(Step::RaiseLimits)?;
        raise_limits(process.pid, &plan.process)?;
    }
    if let Some(adjustment) = plan.process.oom_score_adj {
        recorder.runtime_at(Step::OomScore)?;
        let what = format!("set oom_score_adj to {adjustment} (/process/oomScoreAdj)");
        write_proc(process.pid, "oom_score_adj", adjustment.to_string().as_bytes(), Step::OomScore, &what)?;
    }
    if plan.namespaces.is_new(NamespaceKind::User) {
        let _ = say(process.channel.as_fd(), Word::Go);
    }
    loop {
        match process.next_word().map_err(internal("cannot hear the new process"))? {
            Some(Word::Ready) => break,
            Some(Word::MountsDone) => {
                recorder.runtime_at(Step::RuntimeHook)?;
                let creating = state(Status::Creating);
                undo.owes_poststop = Some(state(Status::Stopped));
                let bundle = request.bundle.path();
                hooks::run_all(HookKind::Prestart, &plan.hooks.prestart, bundle, &creating)?;
                hooks::run_all(HookKind::CreateRuntime, &plan.hooks.create_runtime, bundle, &creating)?;
                let _ = say(process.channel.as_fd(), Word::Go);
            }
            _ => return Err(child_hooks.quoted(failed(process, cgroup))),
        }
    }

    let terminal = match console {
        Some(console) => console.receive()?,
        None => None,
    };
    recorder.runtime_at(Step::WriteRecord)?;
    let (start_time, _) = start_time(process.pid).unwrap_or((0, true));
    record.cgroup = cgroup.record();
    record.init = Some(InitRecord { pid: process.pid, start_time });
    directory.write_record(&record)?;
    if let Some(path) = &options.trace {
        trace::write(path, recorder)?;
    }
    // Last of all, since nothing takes it back.
    if let Some(path) = &options.pid_file {
        recorder.runtime_at(Step::PidFile)?;
        replace_file(path, process.pid.to_string().as_bytes(), 0o644).map_err(|error| {
            Error::io(format!("cannot write pid file {}", path.display()), "write", &error).at(Step::PidFile)
        })?;
    }
    let Some(process) = undo.process.take() else {
        return Err(Error::new(crate::ErrorKind::System, "no process"));
    };
    Ok(Process::new(process.pid, process.pidfd, terminal))
}

fn new_record(request: &Request<'_>) -> Record {
    let plan = request.plan;
    let kinds = NamespaceKind::ALL.into_iter().filter(|&kind| plan.namespaces.is_private(kind));
    let text = |text: &std::ffi::CString| text.to_string_lossy().into_owned();
    Record {
        id: request.id.as_str().to_owned(),
        bundle: request.bundle.path().to_owned(),
        rootfs: PathBuf::from(text(&plan.rootfs.path)),
        created: now(),
        owner: request.runtime.host().euid,
        annotations: request.annotations.clone(),
        cgroup: CgroupRecord::planned(&plan.cgroup),
        namespaces: kinds.map(|kind| kind.spec_name().to_owned()).collect(),
        chrooted: plan.rootfs.no_pivot || !plan.namespaces.is_new(NamespaceKind::Mount),
        session_keyring: plan.session_keyring.as_ref().map(text),
        has_poststart: !plan.hooks.poststart.is_empty(),
        has_last_hooks: !plan.hooks.poststop.is_empty(),
        init: None,
    }
}

/// A pid namespace is entered by children only; a user namespace has to be entered before what belongs to it is made;
/// and what belongs to the host's has to be entered before a new user namespace is made.
fn needs_joiner(namespaces: &NamespacePlan) -> bool {
    namespaces.is_joined(NamespaceKind::User)
        || namespaces.is_joined(NamespaceKind::Pid)
        || namespaces.is_new(NamespaceKind::User) && !namespaces.joined.is_empty()
}

/// The namespaces that are made with the clone. A cgroup namespace, and a time namespace with offsets, the process
/// makes itself.
fn clone_flags(namespaces: &NamespacePlan) -> u64 {
    let later = |kind| match kind {
        NamespaceKind::Cgroup => true,
        NamespaceKind::Time => !namespaces.time_offsets.is_empty(),
        _ => false,
    };
    let flags =
        namespaces.new.iter().filter(|&&kind| !later(kind)).map(|kind| kind.clone_flag().unsigned_abs());
    u64::from(flags.fold(0, |all, flag| all | flag))
}

fn clone_error(failed: Failed, namespaces: &NamespacePlan) -> Error {
    use nix::errno::Errno;
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
        Errno::EAGAIN => error.with_hint("a limit on the number of processes is reached (ulimit -u, pids.max)"),
        _ => error,
    }
}

fn open_host_proc(namespaces: &NamespacePlan) -> Result<Option<OwnedFd>> {
    if namespaces.time_offsets.is_empty() {
        return Ok(None);
    }
    File::open("/proc")
        .map(|file| Some(file.into()))
        .map_err(|error| Error::io("cannot open /proc", "open", &error))
}

fn write_maps(pid: i32, namespaces: &NamespacePlan, process: &ProcessPlan) -> Result<()> {
    let lines = |mappings: &[IdMapping]| {
        mappings.iter().fold(String::new(), |mut lines, map| {
            let _ = writeln!(lines, "{} {} {}", map.inside, map.outside, map.count);
            lines
        })
    };
    let write =
        |name: &str, text: &str, what: &str| write_proc(pid, name, text.as_bytes(), Step::WriteMaps, what);
    write("uid_map", &lines(&namespaces.uid_mappings), "map the users (/linux/uidMappings)")?;
    if !process.user.set_groups {
        write("setgroups", "deny", "deny setgroups")?;
    }
    write("gid_map", &lines(&namespaces.gid_mappings), "map the groups (/linux/gidMappings)")
}

/// For a process in a new user namespace, whose own privileges count for nothing on the host.
fn raise_limits(pid: i32, process: &ProcessPlan) -> Result<()> {
    limits::raise(pid, &process.rlimits).map_err(|failed| {
        Error::os("cannot raise a limit (/process/rlimits)", failed.call.name(), failed.errno)
            .at(Step::RaiseLimits)
    })
}
