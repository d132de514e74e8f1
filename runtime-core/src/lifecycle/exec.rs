//! `exec`: a further process in a running container.

use super::agent::Agent;
use super::birth::INTO_CGROUP;
use super::explain::{Subject, explain, unheard};
use super::hooks;
use super::prepare::{check_preserved, write_oom_score, write_pid_file};
use super::request::internal;
use crate::cgroup::{Cgroup, UnitRecord};
use crate::container::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::options::ExecOptions;
use crate::own_binary::Shelter;
use crate::patience::Patience;
use crate::plan::{NamespaceKind, ProcessPlan, Step};
use crate::process::channel::{Word, answer};
use crate::process::entry::{Home, Program};
use crate::process::executed::{self, Executed};
use crate::process::handle::Process;
use crate::process::joiner::{self, Joiner};
use crate::process::runtime::{Newborn, channel, needed};
use crate::recorder::{Position, Recorder};
use crate::resctrl::RdtGroup;
use crate::socket::{PidfdSocket, Whose};
use crate::spec;
use crate::state::{Alive, Record, Status, status};
use crate::stdio::{PreparedConsole, PreparedStdio};
use crate::sys;
use nix::errno::Errno;
use std::ffi::CString;
use std::fs::{File, metadata};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

pub(crate) fn exec(container: &Container, process: &spec::Process, options: &ExecOptions) -> Result<Process> {
    let shelter = container.shelter()?;
    let record = container.directory().read_record()?;
    let (status, alive) = status(container.directory(), record.as_ref())?;
    // In a paused container it stands still until the container goes on.
    let limit = (status != Status::Paused).then(|| container.step_timeout());
    let wrong = |message: &str| Err(Error::new(ErrorKind::InvalidState, message));
    let (init, record) = match (status, alive.zip(record)) {
        (Status::Paused, Some(_)) if !options.ignore_paused => {
            return wrong("cannot exec in a paused container (use --ignore-paused to override)");
        }
        (_, Some(alive)) => alive,
        _ => return wrong("cannot exec in a stopped container"),
    };
    let plan = container.plan_exec(process, &record, options)?;
    check_preserved(plan.preserve_fds)?;

    let recorder = Recorder::anonymous().map_err(|error| {
        Error::io("cannot make the flight recorder", "memfd_create", &error).at(Step::ClaimId)
    })?;
    #[cfg(feature = "fault-injection")]
    let recorder = recorder.with_fault(options.fault);
    recorder.runtime_at(Step::PidfdSocket)?;
    let pidfd_socket = options.pidfd_socket.as_ref().map(|path| PidfdSocket::connect(path)).transpose()?;
    recorder.runtime_at(Step::SeccompAgent)?;
    let agent = Agent::connect(&plan)?;
    let state = hooks::state_json(&record.id, status, init.pid, &record.bundle, &record.annotations);
    let (newborn, joins, console, moved_in) =
        give_birth(&init, &record, &plan, options, shelter.as_ref(), &recorder)?;
    let subject = Subject { plan: None, process: &plan };
    let patience = Patience::new(&recorder, limit);
    let rdt = record.rdt.as_ref();
    let mut guide = Guide { newborn, shelter, rdt, subject, recorder: &recorder, patience, agent, state };
    let made = guide
        .follow(joins)
        .and_then(|()| moved_in.map_or(Ok(()), |unit| unit.attach(guide.newborn.pid)))
        .and_then(|()| match pidfd_socket {
            Some(socket) => socket.send(guide.newborn.pidfd.as_fd(), Whose::Executed),
            None => Ok(()),
        })
        .and_then(|()| guide.finish(console, options));
    let Guide { newborn, .. } = guide;
    match made {
        Ok(terminal) => Ok(Process::new(newborn.pid, newborn.pidfd, terminal)),
        Err(error) => {
            let _ = newborn.abandon();
            Err(match status {
                Status::Created => explain_hidden(error),
                _ => error,
            })
        }
    }
}

/// A process that waits to be started shows itself to nobody without root (CVE-2016-9962); its namespaces are entered by
/// way of it.
fn explain_hidden(error: Error) -> Error {
    if error.step() == Some(Step::JoinNamespace) && error.errno() == Some(Errno::EPERM as i32) {
        error.with_hint("without root a container can be entered from its start on: start it first")
    } else {
        error
    }
}

/// Lays everything out and clones. Tells whether what was born is a joiner, whose child is the process, and the unit that
/// systemd has to move it into where it could not be born there.
fn give_birth<'a>(
    init: &Alive,
    record: &'a Record,
    plan: &ProcessPlan,
    options: &ExecOptions,
    shelter: Option<&Shelter>,
    recorder: &Recorder,
) -> Result<(Newborn, bool, Option<PreparedConsole>, Option<&'a UnitRecord>)> {
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
            .chain(shelter.map(|shelter| shelter.image.file()))
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
        image: shelter.map(|shelter| &*shelter.image),
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
    let mut clone = |into| sys::clone3(0, into, || joiner::run(&joiner, || executed::run(&mut executed)));
    let mut born = clone(into);
    let moved_in =
        record.unit.as_ref().filter(|_| born.as_ref().is_err_and(|failed| failed.errno == Errno::EACCES));
    if moved_in.is_some() {
        born = clone(None);
    }
    let born = born.map_err(|failed| match cgroup.busy() {
        Some(busy) if failed.errno == Errno::EBUSY => busy,
        _ if failed.errno == Errno::EACCES => {
            internal("cannot make a process")(failed).at(Step::Clone).with_hint(INTO_CGROUP)
        }
        _ => internal("cannot make a process")(failed).at(Step::Clone),
    })?;
    Ok((Newborn::new(born, channel), second_clone, console, moved_in))
}

/// Who sees a new process through until it executes its program.
struct Guide<'a> {
    newborn: Newborn,
    /// What it runs from.
    shelter: Option<Shelter>,
    /// The container's, to be entered before the process makes others.
    rdt: Option<&'a RdtGroup>,
    subject: Subject<'a>,
    recorder: &'a Recorder,
    patience: Patience<'a>,
    /// Who is to get the filter's listener.
    agent: Option<Agent<'a>>,
    /// The container's, for the agent.
    state: Vec<u8>,
}

impl Guide<'_> {
    /// Until it is ready.
    fn follow(&mut self, joins: bool) -> Result<()> {
        let silent = |failed| unheard(failed, self.recorder, self.subject);
        if joins && !self.newborn.follow(&mut self.patience).map_err(silent)? {
            return Err(self.why_it_ended());
        }
        if let Some(adjustment) = self.subject.process.oom_score_adj {
            self.recorder.runtime_at(Step::OomScore)?;
            write_oom_score(self.newborn.pid, adjustment)?;
        }
        if let Some(rdt) = self.rdt {
            self.recorder.runtime_at(Step::RdtGroup)?;
            rdt.enter(self.newborn.pid)?;
        }
        // Now, while the process is at work.
        drop(self.shelter.take());
        match self.next_word()? {
            Some(Word::Ready) => Ok(()),
            _ => Err(self.why_it_ended()),
        }
    }

    /// Lets it execute its program, and hears whether it did.
    fn finish(&mut self, console: Option<PreparedConsole>, options: &ExecOptions) -> Result<Option<OwnedFd>> {
        let terminal = match console {
            Some(console) => console.receive()?,
            None => None,
        };
        if let Some(path) = &options.pid_file {
            self.recorder.runtime_at(Step::PidFile)?;
            write_pid_file(path, self.newborn.pid)?;
        }
        answer(self.newborn.channel.as_fd(), Word::Go).map_err(internal("cannot answer the new process"))?;
        // The channel ends with execve, or with the process.
        self.next_word()?;
        let at_exec = matches!(self.recorder.position(), Some(Position { step: Step::Exec, .. }));
        if at_exec && self.recorder.report().is_none() { Ok(terminal) } else { Err(self.why_it_ended()) }
    }

    /// The next word that is not about the filter, whose listener goes to the agent.
    fn next_word(&mut self) -> Result<Option<Word>> {
        loop {
            let silent = |failed| unheard(failed, self.recorder, self.subject);
            let word = self.newborn.next_word(&mut self.patience).map_err(silent)?;
            match (word, &self.agent) {
                (Some(Word::Filtered), Some(agent)) => {
                    if !agent.serve(
                        &self.newborn,
                        &self.state,
                        self.recorder,
                        &mut self.patience,
                        self.subject,
                    )? {
                        return Ok(None);
                    }
                }
                (word, _) => return Ok(word),
            }
        }
    }

    fn why_it_ended(&self) -> Error {
        let ended = sys::waitid(self.newborn.pidfd.as_fd(), true).ok().flatten();
        explain(self.recorder, self.subject, ended, false)
    }
}

/// The namespaces that the init does not share with this process. The record knows which it may be; a user namespace
/// must not be entered twice, so those are compared.
pub(super) fn kinds_to_join(record: &Record, pid: i32) -> Vec<NamespaceKind> {
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
