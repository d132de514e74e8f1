//! `exec`: a further process in a running container.

use super::explain::{Subject, explain, unheard};
use super::prepare::{check_preserved, write_oom_score, write_pid_file};
use super::request::internal;
use crate::cgroup::Cgroup;
use crate::container::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::options::ExecOptions;
use crate::patience::Patience;
use crate::plan::{NamespaceKind, ProcessPlan, Step};
use crate::process::channel::{Word, say};
use crate::process::entry::{Home, Program};
use crate::process::executed::{self, Executed};
use crate::process::handle::Process;
use crate::process::joiner::{self, Joiner};
use crate::process::runtime::{Newborn, channel, needed};
use crate::recorder::{Position, Recorder};
use crate::socket::{PidfdSocket, Whose};
use crate::spec;
use crate::state::{Alive, Record, Status};
use crate::stdio::{PreparedConsole, PreparedStdio};
use crate::sys;
use nix::errno::Errno;
use std::ffi::CString;
use std::fs::{File, metadata};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

pub(crate) fn exec(container: &Container, process: &spec::Process, options: &ExecOptions) -> Result<Process> {
    container.check_own_binary()?;
    let (status, alive) = container.status()?;
    // In a paused container it stands still until the container goes on.
    let limit = (status != Status::Paused).then(|| container.step_timeout());
    let wrong = |message: &str| Err(Error::new(ErrorKind::InvalidState, message));
    let init = match (status, alive) {
        (Status::Paused, Some(_)) if !options.ignore_paused => {
            return wrong("cannot exec in a paused container (use --ignore-paused to override)");
        }
        (_, Some(alive)) => alive,
        _ => return wrong("cannot exec in a stopped container"),
    };
    let record = container.record()?;
    let plan = container.plan_exec(process, options)?;
    check_preserved(plan.preserve_fds)?;

    let recorder =
        container.directory().anonymous_recorder().and_then(|file| Recorder::begin(&file)).map_err(
            |error| Error::io("cannot make the flight recorder", "write", &error).at(Step::ClaimId),
        )?;
    #[cfg(feature = "fault-injection")]
    let recorder = recorder.with_fault(options.fault);
    recorder.runtime_at(Step::PidfdSocket)?;
    let pidfd_socket = PidfdSocket::connect(options.pidfd_socket.as_ref())?;
    let (mut newborn, joins, console) = give_birth(&init, &record, &plan, options, &recorder)?;
    let subject = Subject { plan: None, process: &plan };
    let mut patience = Patience::new(&recorder, limit);
    let made = follow(&mut newborn, joins, subject, &recorder, &mut patience)
        .and_then(|()| match pidfd_socket {
            Some(socket) => socket.send(newborn.pidfd.as_fd(), Whose::Executed),
            None => Ok(()),
        })
        .and_then(|()| finish(&mut newborn, console, options, subject, &recorder, &mut patience));
    match made {
        Ok(terminal) => Ok(Process::new(newborn.pid, newborn.pidfd, terminal)),
        Err(error) => {
            let _ = newborn.abandon();
            Err(error)
        }
    }
}

/// Lays everything out and clones. Tells whether what was born is a joiner, whose child is the process.
fn give_birth(
    init: &Alive,
    record: &Record,
    plan: &ProcessPlan,
    options: &ExecOptions,
    recorder: &Recorder,
) -> Result<(Newborn, bool, Option<PreparedConsole>)> {
    let (cgroup, birthplace) = if options.sub_cgroups.is_empty() {
        let cgroup = Cgroup::open(&record.cgroup)?;
        let birthplace = cgroup.birthplace_for_exec(nix::unistd::Pid::from_raw(init.pid))?;
        (cgroup, birthplace)
    } else {
        let cgroup = Cgroup::open(&record.cgroup.below(&options.sub_cgroups)?)?;
        let birthplace = cgroup.birthplace_below()?;
        (cgroup, birthplace)
    };
    // Who is to run elsewhere until it is in the cgroup cannot be born there.
    let birthplace = if plan.affinity.initial.is_some() { birthplace.entered_by_hand()? } else { birthplace };
    let kinds = kinds_to_join(record, init.pid);
    let flags = kinds.iter().fold(0, |all, kind| all | kind.clone_flag());
    let root = container_root(record, init.pid)?;
    let stdio = PreparedStdio::new(&options.stdio)?;
    recorder.runtime_at(Step::OpenConsole)?;
    let console = plan.terminal.map(|_| PreparedConsole::new(&options.console)).transpose();
    let console = console.map_err(|error| error.at(Step::OpenConsole))?;
    let keyring = record.session_keyring.as_ref().and_then(|name| CString::new(name.as_str()).ok());
    let (channel, their_channel) = channel().map_err(internal("cannot make a channel"))?;

    let needed_fds = {
        let fds = [their_channel.as_fd(), init.pidfd.as_fd()]
            .into_iter()
            .chain(birthplace.procs.iter().map(AsFd::as_fd))
            .chain(root.as_ref().map(AsFd::as_fd))
            .chain(console.as_ref().map(|console| console.child.as_fd()));
        needed(fds, stdio.numbers(), plan.preserve_fds)
    };
    let late_fds = needed([their_channel.as_fd()], None, plan.preserve_fds);
    let second_clone = kinds.contains(&NamespaceKind::Pid);
    let targets: &[(BorrowedFd<'_>, i32)] = if flags == 0 { &[] } else { &[(init.pidfd.as_fd(), flags)] };
    let joiner = Joiner {
        recorder,
        channel: their_channel.as_fd(),
        cgroup_procs: &birthplace.procs,
        affinity: Some(&plan.affinity),
        targets,
        limits: &plan.rlimits,
        new: 0,
        second_clone,
        needed_fds: &needed_fds,
    };
    let mut home = Home::new();
    let mut executed = Executed {
        program: Program::new(plan, &mut home, stdio.numbers()),
        recorder,
        channel: their_channel.as_fd(),
        become_root: kinds.contains(&NamespaceKind::User),
        root: root.as_ref().map(AsFd::as_fd),
        session_keyring: keyring.as_ref(),
        console_socket: console.as_ref().map(|console| console.child.as_fd()),
        late_fds: &late_fds,
    };
    let into = birthplace.into.as_ref().map(AsFd::as_fd);
    recorder.runtime_at(Step::Clone)?;
    let born =
        sys::clone3(0, into, || joiner::run(&joiner, || executed::run(&mut executed))).map_err(|failed| {
            match cgroup.busy() {
                Some(busy) if failed.errno == Errno::EBUSY => busy,
                _ => internal("cannot make a process")(failed).at(Step::Clone),
            }
        })?;
    Ok((Newborn::new(born, channel), second_clone, console))
}

/// Sees the process through until it is ready.
fn follow(
    newborn: &mut Newborn,
    joins: bool,
    subject: Subject<'_>,
    recorder: &Recorder,
    patience: &mut Patience<'_>,
) -> Result<()> {
    let silent = |failed| unheard(failed, recorder, subject);
    if joins && !newborn.follow(patience).map_err(silent)? {
        return Err(why_it_ended(newborn, subject, recorder));
    }
    if let Some(adjustment) = subject.process.oom_score_adj {
        recorder.runtime_at(Step::OomScore)?;
        write_oom_score(newborn.pid, adjustment)?;
    }
    match newborn.next_word(patience).map_err(silent)? {
        Some(Word::Ready) => Ok(()),
        _ => Err(why_it_ended(newborn, subject, recorder)),
    }
}

/// Lets it execute its program, and hears whether it did.
fn finish(
    newborn: &mut Newborn,
    console: Option<PreparedConsole>,
    options: &ExecOptions,
    subject: Subject<'_>,
    recorder: &Recorder,
    patience: &mut Patience<'_>,
) -> Result<Option<OwnedFd>> {
    let terminal = match console {
        Some(console) => console.receive()?,
        None => None,
    };
    if let Some(path) = &options.pid_file {
        recorder.runtime_at(Step::PidFile)?;
        write_pid_file(path, newborn.pid)?;
    }
    let _ = say(newborn.channel.as_fd(), Word::Go);
    // The channel ends with execve, or with the process.
    newborn.next_word(patience).map_err(|failed| unheard(failed, recorder, subject))?;
    let at_exec = matches!(recorder.position(), Some(Position { step: Step::Exec, .. }));
    if at_exec && recorder.report().is_none() {
        Ok(terminal)
    } else {
        Err(why_it_ended(newborn, subject, recorder))
    }
}

fn why_it_ended(newborn: &Newborn, subject: Subject<'_>, recorder: &Recorder) -> Error {
    let ended = sys::waitid(newborn.pidfd.as_fd(), true).ok().flatten();
    explain(recorder, subject, ended, false)
}

/// The namespaces that the init does not share with this process. The record knows which it may be; a user namespace
/// must not be entered twice, so those are compared.
fn kinds_to_join(record: &Record, pid: i32) -> Vec<NamespaceKind> {
    let identity = |path: String| metadata(path).map(|file| (file.dev(), file.ino())).ok();
    record
        .private_namespaces()
        .filter(|kind| {
            let name = kind.proc_name();
            *kind != NamespaceKind::User
                || identity(format!("/proc/{pid}/ns/{name}")) != identity(format!("/proc/self/ns/{name}"))
        })
        .collect()
}

/// The container's root, where entering its mount namespace does not lead there.
fn container_root(record: &Record, pid: i32) -> Result<Option<OwnedFd>> {
    if !record.chrooted {
        return Ok(None);
    }
    File::open(format!("/proc/{pid}/root"))
        .map(|file| Some(file.into()))
        .map_err(|error| Error::io("cannot open the container's root", "open", &error))
}
