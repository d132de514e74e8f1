//! The container's cgroup: made, limited, entered, frozen, killed, removed.
//!
//! One handle serves v2 alone, v1, and both side by side (cgroups(7)). Everything here runs in the calling process.
//! The order of a creation is [`Cgroup::create`], [`Cgroup::apply`], then the clone with [`Cgroup::birthplace`], so
//! that no process of the container ever lives without its limits. Where there is a v2 hierarchy, even one without
//! controllers, it is the one that is asked for processes, frozen and killed, since only there the kernel does that
//! for a whole tree at once.

#![forbid(unsafe_code)]

mod create;
mod devices;
mod directory;
mod events;
mod freezer;
#[cfg(test)]
mod tests;

use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Absent, CgroupPlan, CgroupWrite, Step};
use crate::sys;
use directory::{Directory, Failed, is_gone};
use freezer::Freezer;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A killed process may take a while to go: its memory is given back, its files are written.
const EMPTY_WITHIN: Duration = Duration::from_secs(10);

/// The cgroup of one container.
#[derive(Debug)]
pub(crate) struct Cgroup {
    v2: Option<Directory>,
    v1: Vec<Legacy>,
    made: Vec<PathBuf>,
}

/// A directory in a v1 hierarchy.
#[derive(Debug)]
struct Legacy {
    controllers: Vec<String>,
    directory: Directory,
}

/// Where the cgroup is, for the record on disk: absolute directories by controller, `name=systemd` for a named
/// hierarchy and the empty key for v2, as runc has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct CgroupRecord(pub(crate) BTreeMap<String, PathBuf>);

/// How a new process gets into the cgroup.
#[derive(Debug)]
pub(crate) struct Birthplace {
    /// For CLONE_INTO_CGROUP.
    pub(crate) into: Option<OwnedFd>,
    /// `cgroup.procs` of the v1 hierarchies: the new process writes `0` into each, before anything else.
    pub(crate) procs: Vec<OwnedFd>,
    /// The directories of `procs`, for messages.
    pub(crate) paths: Vec<PathBuf>,
}

impl CgroupRecord {
    /// Of a cgroup that is going to be made.
    pub(crate) fn planned(plan: &CgroupPlan) -> CgroupRecord {
        let mut record = BTreeMap::new();
        for planned in &plan.directories {
            if planned.is_v2() {
                record.insert(String::new(), planned.path.clone());
            }
            for controller in &planned.controllers {
                record.insert(controller.clone(), planned.path.clone());
            }
        }
        CgroupRecord(record)
    }
}

impl Cgroup {
    /// Makes the directories. A failure leaves none behind that was not there before.
    pub(crate) fn create(plan: &CgroupPlan) -> Result<Cgroup> {
        let mut made = create::Made::default();
        let mut cgroup = Cgroup { v2: None, v1: Vec::new(), made: Vec::new() };
        let mut existed = false;
        for (index, planned) in plan.directories.iter().enumerate() {
            let (directory, new) = match create::make(plan, index, planned, &mut made) {
                Ok(made) => made,
                Err(error) if plan.optional && error.kind() == ErrorKind::PermissionDenied => continue,
                Err(error) => return Err(error),
            };
            existed |= !new;
            if planned.is_v2() {
                cgroup.v2 = Some(directory);
            } else {
                cgroup.v1.push(Legacy { controllers: planned.controllers.clone(), directory });
            }
        }
        if existed {
            cgroup.check_unused()?;
        }
        cgroup.made = made.keep();
        Ok(cgroup)
    }

    /// An existing directory is taken over, but not one that somebody uses.
    fn check_unused(&self) -> Result<()> {
        for directory in self.directories() {
            let pids = directory.pids().map_err(|failed| pids_error(directory, failed))?;
            if !pids.is_empty() {
                let message = format!("container's cgroup is not empty: {} process(es) found", pids.len());
                return Err(Error::new(ErrorKind::InvalidState, message)
                    .at(Step::MakeCgroup)
                    .with_hint(format!("they are in {}", directory.path().display())));
            }
        }
        for freezer in self.freezers() {
            if freezer.is_frozen()? {
                return Err(Error::new(ErrorKind::InvalidState, "container's cgroup unexpectedly frozen")
                    .at(Step::MakeCgroup));
            }
        }
        Ok(())
    }

    /// Takes back [`Cgroup::create`] when a later step of the creation failed: also parents that it made go, if
    /// nobody else has moved in. The processes have to be dead or dying.
    pub(crate) fn undo(&self) -> Result<()> {
        let destroyed = self.destroy();
        create::remove(&self.made);
        destroyed
    }

    /// Writes the limits and the device rules.
    pub(crate) fn apply(&self, plan: &CgroupPlan) -> Result<()> {
        for write in &plan.writes {
            self.write(plan, write)?;
        }
        match (&plan.device_rules, &self.v2) {
            (Some(rules), Some(directory)) => devices::enforce(directory, rules)?,
            (Some(_), None) => {
                let message = "cannot set device rules: container could not join or create cgroup";
                return Err(Error::new(ErrorKind::PermissionDenied, message).at(Step::LimitCgroup));
            }
            (None, _) => {}
        }
        Ok(())
    }

    fn write(&self, plan: &CgroupPlan, write: &CgroupWrite) -> Result<()> {
        let planned = &plan.directories[write.directory];
        let Some(directory) = self.directories().find(|directory| directory.path() == planned.path) else {
            let controller = &write.controller;
            let message = format!("cannot set {controller} limit: container could not join or create cgroup");
            return Err(Error::new(ErrorKind::PermissionDenied, message).at(Step::LimitCgroup));
        };
        let (mut file, mut value) = (&write.file, &write.value);
        let mut result = directory.write(file, value);
        if let Err(Failed { errno: Errno::ENOENT, .. }) = result {
            match &write.absent {
                Absent::Fail => {}
                Absent::Skip => return Ok(()),
                Absent::Instead { file: other_file, value: other_value } => {
                    (file, value) = (other_file, other_value);
                    result = directory.write(file, value);
                }
            }
        }
        let Err(Failed { call, errno }) = result else { return Ok(()) };
        let path = directory.file_path(file);
        let error = Error::os(format!("cannot write {value:?} to {path} ({})", write.pointer), call, errno)
            .at(Step::LimitCgroup);
        Err(if errno == Errno::ENOENT {
            let controller = &write.controller;
            error
                .with_kind(ErrorKind::Unsupported)
                .with_hint(format!("this kernel's {controller} controller has no such limit"))
        } else {
            error
        })
    }

    /// Opens what a new process needs to be born in the cgroup.
    pub(crate) fn birthplace(&self) -> Result<Birthplace> {
        let into = match &self.v2 {
            Some(directory) => Some(duplicate(directory)?),
            None => None,
        };
        self.birthplace_into(into)
    }

    /// The same for a further process of a running container. If the container has handed controllers on to
    /// cgroups of its own, its cgroup takes no processes any more (cgroups(7), "no internal processes"): the new one
    /// then joins the container's first process where that is.
    pub(crate) fn birthplace_for_exec(&self, init: Pid) -> Result<Birthplace> {
        let into = match &self.v2 {
            Some(directory) => {
                let delegates =
                    directory.read("cgroup.subtree_control").is_ok_and(|text| !text.trim().is_empty());
                let found = if delegates {
                    directory.find(init.as_raw()).map_err(|failed| pids_error(directory, failed))?
                } else {
                    None
                };
                Some(match found {
                    Some(fd) => fd,
                    None => duplicate(directory)?,
                })
            }
            None => None,
        };
        self.birthplace_into(into)
    }

    fn birthplace_into(&self, into: Option<OwnedFd>) -> Result<Birthplace> {
        let mut birthplace = Birthplace { into, procs: Vec::new(), paths: Vec::new() };
        for Legacy { directory, .. } in &self.v1 {
            let fd = directory.open_file("cgroup.procs", OFlag::O_WRONLY).map_err(|errno| {
                Error::os(format!("cannot open {}", directory.file_path("cgroup.procs")), "open", errno)
                    .at(Step::MakeCgroup)
            })?;
            birthplace.procs.push(fd);
            birthplace.paths.push(directory.path().to_owned());
        }
        Ok(birthplace)
    }

    /// What [`Cgroup::open`] needs.
    pub(crate) fn record(&self) -> CgroupRecord {
        let mut record = BTreeMap::new();
        if let Some(directory) = &self.v2 {
            record.insert(String::new(), directory.path().to_owned());
        }
        for Legacy { controllers, directory } in &self.v1 {
            for controller in controllers {
                record.insert(controller.clone(), directory.path().to_owned());
            }
        }
        CgroupRecord(record)
    }

    /// The cgroup of a container that was made earlier. Costs no system call: directories are opened as they are
    /// needed, and one that is gone has no processes, is not frozen, and is removed already.
    pub(crate) fn open(record: &CgroupRecord) -> Result<Cgroup> {
        let mut cgroup = Cgroup { v2: None, v1: Vec::new(), made: Vec::new() };
        for (controller, path) in &record.0 {
            if !path.is_absolute() {
                let message = format!("the record of the container is damaged: its cgroup is {path:?}");
                return Err(Error::new(ErrorKind::System, message));
            }
            if controller.is_empty() {
                cgroup.v2 = Some(Directory::at(path));
            } else if let Some(known) = cgroup.v1.iter_mut().find(|legacy| legacy.directory.path() == path) {
                known.controllers.push(controller.clone());
            } else {
                let directory = Directory::at(path);
                cgroup.v1.push(Legacy { controllers: vec![controller.clone()], directory });
            }
        }
        Ok(cgroup)
    }

    fn directories(&self) -> impl Iterator<Item = &Directory> {
        self.v2.iter().chain(self.v1.iter().map(|legacy| &legacy.directory))
    }

    fn v1_directory(&self, controller: &str) -> Option<&Directory> {
        let legacy = self.v1.iter().find(|legacy| legacy.controllers.iter().any(|c| c == controller))?;
        Some(&legacy.directory)
    }

    /// The one that is asked for processes.
    fn leading(&self) -> Option<&Directory> {
        self.v2.as_ref().or_else(|| self.v1_directory("freezer")).or_else(|| self.directories().next())
    }

    fn freezers(&self) -> impl Iterator<Item = Freezer<'_>> {
        self.v2.as_ref().map(Freezer::V2).into_iter().chain(self.v1_directory("freezer").map(Freezer::V1))
    }

    fn freezer(&self) -> Result<Freezer<'_>> {
        self.freezers().next().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "cannot toggle freezer: cgroups not configured for container")
        })
    }

    /// Stops every process in the cgroup and below. Returns when all stand still; a failure leaves them running.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.freezer()?.freeze()
    }

    /// Lets them go on, whoever has frozen them and by which version's freezer.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.freezer()?;
        self.freezers().try_for_each(Freezer::thaw)
    }

    /// Whether the cgroup was frozen, by this runtime or another tool.
    pub(crate) fn is_frozen(&self) -> Result<bool> {
        for freezer in self.freezers() {
            if freezer.is_frozen()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Every process in the cgroup and below, by its number in the caller's pid namespace.
    pub(crate) fn pids(&self) -> Result<Vec<i32>> {
        match self.leading() {
            Some(directory) => directory.pids().map_err(|failed| pids_error(directory, failed)),
            None => Ok(Vec::new()),
        }
    }

    /// Sends a signal to every process in the cgroup and below. No process escapes by forking, and the cgroup is as
    /// frozen or thawed afterwards as it was before.
    pub(crate) fn kill(&self, signal: i32) -> Result<()> {
        if signal == libc::SIGKILL {
            return self.kill_all();
        }
        let frozen_before = self.is_frozen()?;
        // Where there is no freezer, or it does not succeed, the signal still goes to all that can be seen.
        let frozen_now = !frozen_before && self.freezer().is_ok_and(|freezer| freezer.freeze().is_ok());
        let sent = self.signal_each(signal);
        if frozen_now {
            self.freezer()?.thaw()?;
        }
        sent
    }

    fn kill_all(&self) -> Result<()> {
        let by_kernel = match &self.v2 {
            // Since Linux 5.14: the whole tree at once, also frozen, and forks on the way are killed too.
            Some(directory) => match directory.write("cgroup.kill", "1") {
                Ok(()) => true,
                Err(failed) if is_gone(failed.errno) => true,
                Err(failed) => {
                    let what = format!("cannot write \"1\" to {}", directory.file_path("cgroup.kill"));
                    return Err(Error::os(what, failed.call, failed.errno));
                }
            },
            None => false,
        };
        if by_kernel {
            // A process that v1 has frozen does not even die.
            return self.v1_directory("freezer").map_or(Ok(()), |directory| Freezer::V1(directory).thaw());
        }
        if self.freezer().is_ok_and(|freezer| freezer.freeze().is_ok()) {
            let sent = self.signal_each(libc::SIGKILL);
            self.freezer()?.thaw()?;
            return sent;
        }
        // Those who fork while the list is read are in the next one; nobody forks for ever against this.
        let deadline = Instant::now() + EMPTY_WITHIN;
        while !self.pids()?.is_empty() && Instant::now() < deadline {
            self.signal_each(libc::SIGKILL)?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn signal_each(&self, signal: i32) -> Result<()> {
        for pid in self.pids()? {
            let sent = sys::pidfd_open(pid).and_then(|pidfd| sys::pidfd_send_signal(pidfd.as_fd(), signal));
            match sent {
                Ok(()) => {}
                Err(failed) if failed.errno == Errno::ESRCH => {}
                Err(failed) => {
                    let what = format!("cannot send signal {signal} to process {pid}");
                    return Err(Error::os(what, failed.call.name(), failed.errno));
                }
            }
        }
        Ok(())
    }

    /// Removes the cgroup and all below it. Kills nothing: waits, for a time, until those who were killed are gone.
    /// Removing what is gone already succeeds.
    pub(crate) fn destroy(&self) -> Result<()> {
        let deadline = Instant::now() + EMPTY_WITHIN;
        let mut waited = false;
        for directory in self.directories() {
            let mut pause = Duration::from_micros(500);
            loop {
                let errno = match std::fs::remove_dir(directory.path()) {
                    Ok(()) => break,
                    Err(error) => Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)),
                };
                match errno {
                    errno if is_gone(errno) => break,
                    Errno::EBUSY if Instant::now() < deadline => {}
                    errno => return Err(self.remove_error(directory, errno)),
                }
                if let (Some(v2), false) = (&self.v2, waited) {
                    // The processes are the same in all hierarchies, but only v2 tells when the last one has gone.
                    waited = true;
                    let _ = events::wait_for(v2, "populated", false, deadline);
                } else {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
                match directory.remove_children() {
                    Ok(()) => {}
                    Err(failed) if failed.errno == Errno::EBUSY || is_gone(failed.errno) => {}
                    Err(failed) => return Err(self.remove_error(directory, failed.errno)),
                }
            }
        }
        Ok(())
    }

    /// Removes its directories as far as they are empty: they may be somebody else's.
    pub(crate) fn remove_unused(&self) {
        for directory in self.directories() {
            let _ = std::fs::remove_dir(directory.path());
        }
    }

    fn remove_error(&self, directory: &Directory, errno: Errno) -> Error {
        let error = Error::os(format!("cannot remove cgroup {}", directory.path().display()), "rmdir", errno);
        match directory.pids() {
            Ok(pids) if !pids.is_empty() => error.with_hint(format!("processes are left in it: {pids:?}")),
            _ => error,
        }
    }

    /// How many processes of the cgroup the kernel has killed for lack of memory; `None` where nobody counts.
    pub(crate) fn oom_kills(&self) -> Result<Option<u64>> {
        let (directory, file) = match (self.v1_directory("memory"), &self.v2) {
            (Some(directory), _) => (directory, "memory.oom_control"),
            (None, Some(directory)) => (directory, "memory.events"),
            (None, None) => return Ok(None),
        };
        match directory.read_number(file, "oom_kill") {
            Ok(count) => Ok(count),
            Err(failed) if is_gone(failed.errno) => Ok(None),
            Err(failed) => Err(Error::os(
                format!("cannot read {}", directory.file_path(file)),
                failed.call,
                failed.errno,
            )),
        }
    }
}

fn pids_error(directory: &Directory, failed: Failed) -> Error {
    Error::os(
        format!("cannot list the processes of cgroup {}", directory.path().display()),
        failed.call,
        failed.errno,
    )
}

fn duplicate(directory: &Directory) -> Result<OwnedFd> {
    let path = directory.path().display();
    let fd = directory.fd().map_err(|errno| {
        Error::os(format!("cannot open cgroup {path}"), "open", errno).at(Step::MakeCgroup)
    })?;
    fd.try_clone_to_owned().map_err(|error| {
        Error::io(format!("cannot keep cgroup {path} open"), "fcntl", &error).at(Step::MakeCgroup)
    })
}
