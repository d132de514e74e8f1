//! The container's group in the resctrl file system, which shares out cache and memory bandwidth
//! (runtime-spec config-linux.md, "IntelRdt"; the kernel's filesystems/resctrl.rst).
//!
//! A directory is a group, as in a cgroup hierarchy of one level. Only what was made for the container is removed with it:
//! a group with a name of its own belongs to whoever gave it.

#![forbid(unsafe_code)]

mod stats;

pub use stats::{BandwidthInfo, BandwidthUsed, CacheInfo, CacheUsed, RdtStats};

use crate::error::{Error, ErrorKind, Result};
use crate::plan::{RdtPlan, Step};
use nix::sys::statfs::{FsType, statfs};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

/// From linux/magic.h (RDTGROUP_SUPER_MAGIC); nix does not have it.
const MAGIC: FsType = FsType(0x0765_5821);

/// Where nearly everybody mounts it.
const USUAL: &str = "/sys/fs/resctrl";

/// A container's group. It is written to the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RdtGroup {
    directory: PathBuf,
    monitor: Option<PathBuf>,
    /// The directories that are the container's alone, innermost first.
    own: Vec<PathBuf>,
}

impl RdtGroup {
    /// Makes the group on this machine, and writes its shares.
    pub(crate) fn make(plan: &RdtPlan) -> Result<RdtGroup> {
        let Some(root) = mountpoint() else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "intelRdt is specified in config, but Intel RDT is not enabled (/linux/intelRdt): no resctrl file system is mounted",
            )
            .at(Step::RdtGroup));
        };
        RdtGroup::make_in(&root, plan)
    }

    /// Why a container without a group cannot have new shares.
    pub(crate) fn missing() -> Error {
        match mountpoint() {
            None => Error::new(
                ErrorKind::Unsupported,
                "cannot change the schemata: Intel RDT is not enabled on this host, no resctrl file system is mounted",
            ),
            Some(_) => Error::new(
                ErrorKind::InvalidState,
                "cannot change the schemata: the container has no resctrl group",
            )
            .with_hint("it was created without /linux/intelRdt in its config"),
        }
    }

    fn make_in(root: &Path, plan: &RdtPlan) -> Result<RdtGroup> {
        let mut group = RdtGroup { directory: root.join(&plan.group), monitor: None, own: Vec::new() };
        let made = group.fill(root, plan);
        if made.is_err() {
            group.remove();
        }
        made.map(|()| group)
    }

    fn fill(&mut self, root: &Path, plan: &RdtPlan) -> Result<()> {
        let must_exist = plan.is_named && plan.schemata.is_empty();
        if must_exist && !self.directory.is_dir() {
            let message = format!(
                "there is no group {} (/linux/intelRdt/closID), and the config has no schemata to make it with",
                self.directory.display()
            );
            return Err(Error::new(ErrorKind::InvalidInput, message).at(Step::RdtGroup));
        }
        let is_new = make_directory(&self.directory, "/linux/intelRdt", root)?;
        if is_new {
            self.own.push(self.directory.clone());
        }
        if !plan.schemata.is_empty() {
            self.write_shares(&plan.schemata)?;
        }
        if let Some(name) = &plan.monitor {
            let monitor = self.directory.join("mon_groups").join(name);
            if make_directory(&monitor, "/linux/intelRdt/enableMonitoring", root)? {
                self.own.insert(0, monitor.clone());
            }
            self.monitor = Some(monitor);
        }
        // From now on it is of those who know its name.
        self.own.retain(|directory| !plan.is_named || *directory != self.directory);
        Ok(())
    }

    /// New shares, a line each; what no line speaks of stays as it is. The kernel takes all lines or none. Gives the old ones.
    pub(crate) fn share(&self, lines: &[String]) -> Result<Vec<String>> {
        let file = self.directory.join("schemata");
        let before = fs::read_to_string(&file).map_err(|error| {
            Error::io(format!("cannot read {} (/linux/intelRdt)", file.display()), "read", &error)
                .at(Step::RdtGroup)
        })?;
        self.write_shares(lines)?;
        Ok(before.lines().map(|line| line.trim().to_owned()).collect())
    }

    fn write_shares(&self, lines: &[String]) -> Result<()> {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let what = format!("cannot write {:?} (/linux/intelRdt)", text.trim_end());
        write(&self.directory.join("schemata"), &text, &what, self.root())
    }

    /// The root of the file system: groups lie in it side by side.
    fn root(&self) -> &Path {
        self.directory.parent().unwrap_or(Path::new(USUAL))
    }

    /// Moves a process in; what it makes from then on is born there.
    pub(crate) fn enter(&self, pid: i32) -> Result<()> {
        let directories = [Some(&self.directory), self.monitor.as_ref()];
        directories.into_iter().flatten().try_for_each(|directory| {
            let what = format!("cannot move the process into {} (/linux/intelRdt)", directory.display());
            write(&directory.join("tasks"), &pid.to_string(), &what, self.root())
        })
    }

    /// Removes what is the container's alone; its processes have ended. What is gone already is no failure.
    pub(crate) fn remove(&self) {
        for directory in &self.own {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Tells whether it is new.
fn make_directory(path: &Path, pointer: &str, root: &Path) -> Result<bool> {
    match fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == IoKind::AlreadyExists => Ok(false),
        Err(error) => {
            let what = format!("cannot make the group {} ({pointer})", path.display());
            Err(told(Error::io(what, "mkdir", &error), root))
        }
    }
}

fn write(path: &Path, text: &str, what: &str, root: &Path) -> Result<()> {
    fs::write(path, text).map_err(|error| told(Error::io(what, "write", &error), root))
}

/// The kernel says in words what it did not like.
fn told(error: Error, root: &Path) -> Error {
    let error = error.at(Step::RdtGroup);
    match fs::read_to_string(root.join("info/last_cmd_status")) {
        Ok(status) if status.trim() != "ok" && !status.trim().is_empty() => error.with_hint(status.trim()),
        _ => error,
    }
}

fn mountpoint() -> Option<PathBuf> {
    if statfs(USUAL).is_ok_and(|found| found.filesystem_type() == MAGIC) {
        return Some(PathBuf::from(USUAL));
    }
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = table.lines().find(|line| line.contains(" - resctrl "))?;
    line.split(' ').nth(4).map(PathBuf::from)
}

#[cfg(test)]
pub(super) mod tests {
    use super::{RdtGroup, RdtPlan};
    use std::fs;
    use std::path::PathBuf;

    /// A directory in the place of the file system, whose files come with each group.
    pub(crate) fn root(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("husk-rdt-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("info")).expect("make a root");
        root
    }

    pub(crate) fn plan(named: bool, schemata: &[&str], monitor: bool) -> RdtPlan {
        RdtPlan {
            group: if named { "gold" } else { "c1" }.to_owned(),
            is_named: named,
            schemata: schemata.iter().map(|line| (*line).to_owned()).collect(),
            monitor: monitor.then(|| "c1".to_owned()),
        }
    }

    #[test]
    fn a_group_of_its_own_is_made_written_entered_and_removed() {
        let root = root("own");
        let group = RdtGroup::make_in(&root, &plan(false, &["L3:0=f", "MB:0=50"], false)).expect("make");
        assert_eq!(fs::read_to_string(root.join("c1/schemata")).expect("read"), "L3:0=f\nMB:0=50\n");
        group.enter(42).expect("enter");
        assert_eq!(fs::read_to_string(root.join("c1/tasks")).expect("read"), "42");
        // What the file system would take away with the directory.
        for file in ["c1/schemata", "c1/tasks"] {
            fs::remove_file(root.join(file)).expect("remove");
        }
        group.remove();
        assert!(!root.join("c1").exists());
        fs::remove_dir_all(root).expect("remove the root");
    }

    #[test]
    fn new_shares_give_the_old_ones_back() {
        let root = root("share");
        let group = RdtGroup::make_in(&root, &plan(false, &["L3:0=f", "MB:0=50"], false)).expect("make");
        let before = group.share(&["L3:0=ff".to_owned()]).expect("share");
        assert_eq!(fs::read_to_string(root.join("c1/schemata")).expect("read"), "L3:0=ff\n");
        assert_eq!(before, ["L3:0=f", "MB:0=50"]);
        fs::remove_dir_all(root.join("c1")).expect("remove the group");
        group.share(&before).expect_err("it has gone");
        fs::remove_dir_all(root).expect("remove the root");
    }

    #[test]
    fn a_named_group_stays_and_its_monitor_goes() {
        let root = root("named");
        fs::create_dir_all(root.join("gold/mon_groups")).expect("make a group");
        let group = RdtGroup::make_in(&root, &plan(true, &[], true)).expect("make");
        assert!(root.join("gold/mon_groups/c1").is_dir());
        group.remove();
        assert!(root.join("gold/mon_groups").is_dir() && !root.join("gold/mon_groups/c1").exists());
        fs::remove_dir_all(root).expect("remove the root");
    }

    #[test]
    fn a_named_group_without_schemata_has_to_be_there() {
        let root = root("missing");
        let error = RdtGroup::make_in(&root, &plan(true, &[], false)).expect_err("it is not there");
        assert!(error.to_string().contains("/linux/intelRdt/closID"), "{error}");
        fs::remove_dir_all(root).expect("remove the root");
    }

    #[test]
    fn the_kernels_words_are_the_hint_and_nothing_is_left() {
        let root = root("words");
        fs::write(root.join("info/last_cmd_status"), "mask f has non-consecutive 1-bits\n").expect("write");
        // Without mon_groups the second directory cannot be made.
        let error = RdtGroup::make_in(&root, &plan(false, &[], true)).expect_err("no mon_groups");
        assert_eq!(error.hint(), Some("mask f has non-consecutive 1-bits"));
        assert!(!root.join("c1").exists(), "what was made is gone");
        fs::remove_dir_all(root).expect("remove the root");
    }
}
