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
mod oom;
mod owner;
mod processes;
mod removal;
mod stats;
mod sub_cgroup;
#[cfg(test)]
mod tests;
mod unit;
mod update;

pub(crate) use oom::OomWatch;
pub use stats::*;
pub(crate) use unit::UnitRecord;

use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Absent, CgroupPlan, CgroupWrite, Step, UnitPlan};
use directory::{Directory, Failed, is_gone, open_in};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::Pid;
use processes::pids_error;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use unit::Unit;

/// A killed process may take a while to go: its memory is given back, its files are written.
const EMPTY_WITHIN: Duration = Duration::from_secs(10);

/// The file that has to wait for a placeholder, where it says so little that there is no room for that.
const PIDS_LIMIT: &str = "pids.max";

/// The cgroup of one container.
#[derive(Debug, Default)]
pub(crate) struct Cgroup {
    v2: Option<Directory>,
    v1: Vec<Legacy>,
    /// Where the container's first process is born, if that is below its v2 directory.
    delegated: Option<Directory>,
    made: Vec<PathBuf>,
    unit: Option<Unit>,
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
    /// `cgroup.procs` of the v1 hierarchies, or of all: the new process writes `0` into each, before anything else.
    pub(crate) procs: Vec<OwnedFd>,
    /// The directories of `procs`, for messages.
    pub(crate) paths: Vec<PathBuf>,
}

impl Birthplace {
    /// The same for a process that is born where its maker is, and enters every hierarchy itself.
    pub(crate) fn entered_by_hand(mut self) -> Result<Birthplace> {
        if let Some(directory) = self.into.take() {
            let procs = open_in(directory.as_fd(), "cgroup.procs", OFlag::O_WRONLY).map_err(|errno| {
                Error::os("cannot open cgroup.procs of the container's cgroup", "open", errno)
                    .at(Step::EnterCgroup)
            })?;
            self.procs.push(procs);
        }
        Ok(self)
    }
}

impl CgroupRecord {
    /// Of a cgroup that is going to be made.
    pub(crate) fn planned(plan: &CgroupPlan) -> CgroupRecord {
        let mut record = BTreeMap::new();
        let wanted = if plan.disabled { &[][..] } else { &plan.directories };
        for planned in wanted {
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
        if let (Some(unit), Some(directory)) = (&plan.unit, plan.directories.first()) {
            return Cgroup::of_unit(plan, unit, &directory.mountpoint);
        }
        let mut made = create::Made::default();
        let mut cgroup = Cgroup::default();
        let mut existed = false;
        if plan.disabled {
            return Ok(cgroup);
        }
        for (index, planned) in plan.directories.iter().enumerate() {
            let (directory, new) = match create::make(plan, index, planned, &mut made) {
                Ok(made) => made,
                Err(error) if error.kind() == ErrorKind::PermissionDenied && plan.can_do_without(planned) => {
                    continue;
                }
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
        cgroup.delegated = create::make_delegated(plan, cgroup.v2.as_ref(), &mut made)?;
        cgroup.made = made.keep();
        Ok(cgroup)
    }

    /// Has systemd make it.
    fn of_unit(plan: &CgroupPlan, planned: &UnitPlan, mountpoint: &Path) -> Result<Cgroup> {
        let unused =
            |path: &Path| Cgroup { v2: Some(Directory::at(path)), ..Cgroup::default() }.check_unused();
        // systemd takes a directory that is there as it is, and a placeholder would stand still in a frozen one.
        plan.directories.iter().try_for_each(|expected| unused(&expected.path))?;
        let (mut unit, path) = Unit::start(plan, planned, mountpoint)?;
        // A scope is new, and has the placeholder in it; a slice may be another than was expected.
        if planned.is_slice() {
            unused(&path)?;
        }
        let birthplace = plan.birthplace_in(&plan.directory_in(&path));
        let mut made = create::Made::default();
        if birthplace != path {
            create::make_directories(&birthplace, &path, &mut made)?;
            unit.move_down(&birthplace)?;
        }
        let v2 = create::open_unit(plan, &path)?;
        let delegated = create::make_delegated(plan, Some(&v2), &mut made)?;
        let mut cgroup = Cgroup { v2: Some(v2), delegated, made: made.keep(), ..Cgroup::default() };
        unit.keep();
        cgroup.unit = Some(unit);
        Ok(cgroup)
    }

    /// The unit that it is made by, if it is.
    pub(crate) fn unit(&self) -> Option<&UnitRecord> {
        self.unit.as_ref().map(|unit| &unit.record)
    }

    /// To be called when the container's process is in it.
    pub(crate) fn settle(&mut self, plan: &CgroupPlan) -> Result<()> {
        let Some(unit) = &mut self.unit else { return Ok(()) };
        let is_late = unit.has_late_limit();
        unit.settle()?;
        let mut limits = plan.writes.iter().filter(|write| is_late && write.file == PIDS_LIMIT);
        limits.try_for_each(|write| self.write(plan, write))
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
    pub(crate) fn undo(&mut self) -> Result<()> {
        if let Some(unit) = &mut self.unit {
            unit.dismiss();
        }
        let destroyed = self.destroy();
        if let Some(unit) = &mut self.unit {
            unit.stop()?;
        }
        create::remove(&self.made);
        destroyed
    }

    /// Writes the limits and the device rules, and hands it over.
    pub(crate) fn apply(&self, plan: &CgroupPlan) -> Result<()> {
        let is_late = self.unit.as_ref().is_some_and(Unit::has_late_limit);
        for write in plan.writes.iter().filter(|write| !(is_late && write.file == PIDS_LIMIT)) {
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
        // Where it lives one level below its limits, that is all it sees.
        match (plan.owner, self.delegated.as_ref().or(self.v2.as_ref())) {
            (Some(owner), Some(directory)) => owner::give(directory, owner),
            _ => Ok(()),
        }
    }

    /// Whether the container has a cgroup in that directory of the plan.
    pub(crate) fn has(&self, plan: &CgroupPlan, index: usize) -> bool {
        let planned = plan.directories.get(index);
        planned.is_some_and(|planned| self.directories().any(|directory| directory.path() == planned.path))
    }

    /// Whether it has one anywhere.
    pub(crate) fn exists(&self) -> bool {
        self.directories().next().is_some()
    }

    /// What only a cgroup makes possible is refused where there is none.
    pub(crate) fn required_to(&self, what: &str) -> Result<()> {
        if self.exists() {
            return Ok(());
        }
        let message = format!("cannot {what}: the container has no cgroup (cgroup not exist)");
        Err(Error::new(ErrorKind::Unsupported, message).with_hint(
            "it was created with --cgroup-manager disabled, or without root and without a cgroup that is delegated",
        ))
    }

    /// The directory of a planned write.
    fn planned_directory(&self, plan: &CgroupPlan, write: &CgroupWrite) -> Result<&Directory> {
        let planned = &plan.directories[write.directory];
        let is_planned = |directory: &&Directory| directory.path() == planned.path;
        let found = if planned.is_v2() { self.v2.as_ref() } else { self.directories().find(is_planned) };
        found.ok_or_else(|| {
            let controller = &write.controller;
            let message = format!("cannot set {controller} limit: container could not join or create cgroup");
            Error::new(ErrorKind::PermissionDenied, format!("{message} ({})", write.pointer))
                .at(Step::LimitCgroup)
                .with_hint(create::DELEGATE)
        })
    }

    fn write(&self, plan: &CgroupPlan, write: &CgroupWrite) -> Result<()> {
        let directory = self.planned_directory(plan, write)?;
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
        result.map_err(|failed| limit_error(directory, file, value, write, failed))
    }

    /// Opens what a new process needs to be born in the cgroup.
    pub(crate) fn birthplace(&self) -> Result<Birthplace> {
        let into = match self.delegated.as_ref().or(self.v2.as_ref()) {
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
        let mut cgroup = Cgroup::default();
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

    /// Its directories as a plan has them: controllers, none for v2, and the path.
    pub(crate) fn places(&self) -> Vec<(Vec<String>, PathBuf)> {
        let v2 = self.v2.iter().map(|directory| (Vec::new(), directory.path().to_owned()));
        let v1 = self.v1.iter().map(|l| (l.controllers.clone(), l.directory.path().to_owned()));
        v2.chain(v1).collect()
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

/// A limit that the kernel did not take.
fn limit_error(directory: &Directory, file: &str, value: &str, write: &CgroupWrite, failed: Failed) -> Error {
    let Failed { call, errno } = failed;
    let path = directory.file_path(file);
    let error = Error::os(format!("cannot write {value:?} to {path} ({})", write.pointer), call, errno)
        .at(Step::LimitCgroup);
    if errno == Errno::ENOENT {
        let controller = &write.controller;
        error
            .with_kind(ErrorKind::Unsupported)
            .with_hint(format!("this kernel's {controller} controller has no such limit"))
    } else {
        error
    }
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
