//! Making the directories: v2 needs controllers handed down from above, the v1 cpuset its parents' sets.

#![forbid(unsafe_code)]

use super::directory::{Directory, Failed};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Absent, CgroupDirectory, CgroupPlan, Step};
use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::unistd::mkdir;
use std::path::{Path, PathBuf};

/// Directories that were made, parents first. Dropping it removes them again, unless it was kept.
#[derive(Debug, Default)]
pub(super) struct Made(Vec<PathBuf>);

impl Made {
    pub(super) fn keep(mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes directories that [`Made`] listed, as far as they are empty.
pub(super) fn remove(made: &[PathBuf]) {
    for path in made.iter().rev() {
        // Somebody else may live there by now.
        let _ = std::fs::remove_dir(path);
    }
}

/// What to do about a cgroup that may not be made or limited.
pub(super) const DELEGATE: &str = "without root, limits and a cgroupsPath need a cgroup that is delegated to the caller: \
     with systemd, call husk by way of systemd-run --user --scope -p Delegate=yes; without, have root give the caller a \
     cgroup (chown it and those files in it that /sys/kernel/cgroup/delegate lists) and start the caller there";

fn os(what: String, call: &'static str, errno: Errno) -> Error {
    match errno {
        // The first words are runc's.
        Errno::EACCES | Errno::EPERM | Errno::EROFS => {
            let denied = format!("unable to apply cgroup configuration, permission denied: {what}");
            Error::os(denied, call, errno)
                .at(Step::MakeCgroup)
                .with_kind(ErrorKind::PermissionDenied)
                .with_hint(DELEGATE)
        }
        _ => Error::os(what, call, errno).at(Step::MakeCgroup),
    }
}

/// Makes the container's directory in one hierarchy. Returns it, and whether it is new.
pub(super) fn make(
    plan: &CgroupPlan,
    index: usize,
    directory: &CgroupDirectory,
    made: &mut Made,
) -> Result<(Directory, bool)> {
    let before = made.0.len();
    make_directories(&directory.path, &directory.mountpoint, made)?;
    let new = made.0.len() > before;
    let opened = Directory::open(&directory.path)
        .map_err(|errno| os(format!("cannot open cgroup {}", directory.path.display()), "open", errno))?;
    if directory.is_v2() {
        // Beside v1 hierarchies v2 only groups processes: the limits are theirs, and enabling a controller here
        // would change the host's root cgroup for nothing.
        if plan.directories.len() > 1 {
            return Ok((opened, new));
        }
        hand_down_controllers(plan, index, directory, &opened)?;
    } else if directory.controllers.iter().any(|controller| controller == "cpuset") {
        fill_cpusets(plan, index, directory, &opened, new)?;
    }
    Ok((opened, new))
}

/// Makes the directory below the container's in which its processes are to live, and hands all controllers on to it: what
/// is in there may divide among its children what the container has.
pub(super) fn make_delegated(
    plan: &CgroupPlan,
    container: Option<&Directory>,
    made: &mut Made,
) -> Result<Option<Directory>> {
    let (Some(container), false) = (container, plan.delegated.as_os_str().is_empty()) else {
        return Ok(None);
    };
    let path = plan.birthplace_in(container.path());
    make_directories(&path, container.path(), made)?;
    hand_on(container.path(), &path)?;
    let opened = Directory::open(&path);
    opened.map(Some).map_err(|errno| os(format!("cannot open cgroup {}", path.display()), "open", errno))
}

/// Enables all controllers in each cgroup from `above` on, down to the one that `path` lies in.
fn hand_on(above: &Path, path: &Path) -> Result<()> {
    let between: Vec<&Path> = path.ancestors().skip(1).take_while(|path| path.starts_with(above)).collect();
    for path in between.into_iter().rev() {
        let directory = Directory::open(path)
            .map_err(|errno| os(format!("cannot open cgroup {}", path.display()), "open", errno))?;
        let mut refusals = Vec::new();
        enable_all(&directory, &mut refusals);
        if let Some((controller, path, errno)) = refusals.pop() {
            let what = format!("cannot hand the controller {controller} on in cgroup {}", path.display());
            return Err(os(what, "write", errno));
        }
    }
    Ok(())
}

/// mkdir -p below the mount point. The container's own directory is tried first, since its parents mostly exist.
/// A parent may vanish meanwhile, when another container's failed creation takes it away again.
pub(super) fn make_directories(path: &Path, mountpoint: &Path, made: &mut Made) -> Result<()> {
    const TRIES: u32 = 10;
    for attempt in 1.. {
        match mkdir(path, Mode::from_bits_truncate(0o755)) {
            Ok(()) => {
                made.0.push(path.to_owned());
                return Ok(());
            }
            Err(Errno::EEXIST) => return Ok(()),
            Err(Errno::ENOENT) if attempt < TRIES && path != mountpoint => {
                let Some(parent) = path.parent() else { break };
                make_directories(parent, mountpoint, made)?;
            }
            Err(errno) => return Err(os(format!("cannot make cgroup {}", path.display()), "mkdir", errno)),
        }
    }
    Err(os(format!("cannot make cgroup {}", path.display()), "mkdir", Errno::ENOENT))
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// The container's directory: that of a unit, which systemd has made, or a sub-cgroup of it.
pub(super) fn open_unit(plan: &CgroupPlan, unit: &Path) -> Result<Directory> {
    let path = &plan.directory_in(unit);
    hand_on(unit, path)?;
    let opened = Directory::open(path)
        .map_err(|errno| os(format!("cannot open cgroup {}", path.display()), "open", errno))?;
    if let [planned] = &plan.directories[..] {
        hand_down_controllers(plan, 0, &CgroupDirectory { path: path.clone(), ..planned.clone() }, &opened)?;
    }
    Ok(opened)
}

/// A v2 cgroup has the controllers that every cgroup above it has enabled for its children
/// (`cgroup.subtree_control`). As runc does, all that the host has are handed down, so that usage is counted also
/// where nothing is limited; only those that a limit needs have to arrive.
fn hand_down_controllers(
    plan: &CgroupPlan,
    index: usize,
    planned: &CgroupDirectory,
    opened: &Directory,
) -> Result<()> {
    let read = |directory: &Directory| {
        directory.read("cgroup.controllers").map_err(|Failed { call, errno }| {
            os(format!("cannot read {}", directory.file_path("cgroup.controllers")), call, errno)
        })
    };
    let open = |path: &Path| {
        Directory::open(path).map_err(|errno| os(format!("cannot open {}", path.display()), "open", errno))
    };
    let available = read(&open(&planned.mountpoint)?)?;
    let mut here = read(opened)?;
    let mut refusals = Vec::new();
    // Above a unit everything is systemd's to enable, which it was asked to.
    if plan.unit.is_none() && words(&available).iter().any(|controller| !words(&here).contains(controller)) {
        let ancestors: Vec<&Path> = planned
            .path
            .ancestors()
            .skip(1)
            .take_while(|path| path.starts_with(&planned.mountpoint))
            .collect();
        for path in ancestors.into_iter().rev() {
            enable_all(&open(path)?, &mut refusals);
        }
        here = read(opened)?;
        let kind = opened.read("cgroup.type").unwrap_or_default();
        if matches!(kind.trim(), "threaded" | "domain invalid") {
            let (path, kind) = (planned.path.display(), kind.trim());
            return Err(Error::new(
                ErrorKind::InvalidState,
                format!("cannot use cgroup {path}: its type is {kind:?}"),
            )
            .at(Step::MakeCgroup)
            .with_hint("a cgroup above it is threaded; give another /linux/cgroupsPath"));
        }
    }
    let here = words(&here);
    for write in plan.writes.iter().filter(|write| write.directory == index && write.absent == Absent::Fail) {
        // Files named cgroup.* belong to no controller.
        if write.controller == "cgroup" || here.contains(&write.controller.as_str()) {
            continue;
        }
        let error = Error::new(
            ErrorKind::Unsupported,
            format!(
                "cannot set {} ({}): the {} controller is not available in {}",
                write.file,
                write.pointer,
                write.controller,
                planned.path.display()
            ),
        )
        .at(Step::MakeCgroup);
        let refusal = refusals.iter().find(|(controller, ..)| *controller == write.controller);
        return Err(match refusal {
            Some((_, path, errno)) => error.with_hint(format!(
                "{} would not enable it for its children: {}{}",
                path.display(),
                errno.desc(),
                if *errno == Errno::EBUSY { "; it has processes of its own" } else { "" }
            )),
            None => error.with_hint(format!(
                "{} has only: {}",
                planned.mountpoint.join("cgroup.controllers").display(),
                available.trim()
            )),
        });
    }
    Ok(())
}

/// Enables for its children all that the cgroup has: at once, or, if one of them is refused, one by one.
///
/// A cgroup with processes of its own, the root excepted, is left alone. The kernel would refuse most controllers
/// (EBUSY), but take `cpu` and `pids` and make the cgroup a threaded one, where no container can live.
fn enable_all(directory: &Directory, refusals: &mut Vec<(String, PathBuf, Errno)>) {
    const FILE: &str = "cgroup.subtree_control";
    let controllers = directory.read("cgroup.controllers").unwrap_or_default();
    let enabled = directory.read(FILE).unwrap_or_default();
    let missing: Vec<&str> =
        words(&controllers).into_iter().filter(|controller| !words(&enabled).contains(controller)).collect();
    if missing.is_empty() {
        return;
    }
    let mut refuse = |controller: &str, errno| {
        refusals.push((controller.to_owned(), directory.path().to_owned(), errno));
    };
    let is_root = directory.read("cgroup.type").is_err_and(|failed| failed.errno == Errno::ENOENT);
    if !is_root && directory.read("cgroup.procs").is_ok_and(|pids| !pids.is_empty()) {
        missing.into_iter().for_each(|controller| refuse(controller, Errno::EBUSY));
        return;
    }
    if directory.write(FILE, &format!("+{}", missing.join(" +"))).is_err() {
        for controller in missing {
            if let Err(failed) = directory.write(FILE, &format!("+{controller}")) {
                refuse(controller, failed.errno);
            }
        }
    }
}

/// A new v1 cpuset is empty, and nobody can enter an empty one: what neither the plan nor an earlier user has set is
/// copied from above.
fn fill_cpusets(
    plan: &CgroupPlan,
    index: usize,
    planned: &CgroupDirectory,
    opened: &Directory,
    new: bool,
) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let is_planned = plan.writes.iter().any(|write| write.directory == index && write.file == file);
        // Its parents have to be filled all the same: a set is a part of the one above.
        let mut empty: Vec<Directory> = Vec::new();
        let mut value = String::new();
        let above = planned.path.ancestors().skip(1).take_while(|path| path.starts_with(&planned.mountpoint));
        for path in above {
            let directory = Directory::open(path)
                .map_err(|errno| os(format!("cannot open {}", path.display()), "open", errno))?;
            value = read_cpuset(&directory, file)?;
            if !value.is_empty() {
                break;
            }
            empty.push(directory);
        }
        for directory in empty.iter().rev() {
            write_cpuset(directory, file, &value)?;
        }
        if !is_planned && (new || read_cpuset(opened, file)?.is_empty()) {
            write_cpuset(opened, file, &value)?;
        }
    }
    Ok(())
}

fn read_cpuset(directory: &Directory, file: &str) -> Result<String> {
    match directory.read(file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(failed) => {
            Err(os(format!("cannot read {}", directory.file_path(file)), failed.call, failed.errno))
        }
    }
}

fn write_cpuset(directory: &Directory, file: &str, value: &str) -> Result<()> {
    directory.write(file, value).map_err(|failed| {
        os(format!("cannot write {value:?} to {}", directory.file_path(file)), failed.call, failed.errno)
    })
}
