//! Id-mapped mounts, made so by the runtime: only the owner of a file system may, and a mount that lies nowhere yet.
//!
//! The kernel takes a mapping from a user namespace. The container's serves where a mount wants the same ids; for each
//! other set of mappings one is made, by a process that does nothing else and is gone before the container is born.

use super::prepare::write_proc;
use crate::error::{Error, Result};
use crate::plan::{IdMapping, MountIds, MountPlan, MountSource, NamespaceKind, Plan, Step};
use crate::process::holder;
use crate::sys::{self, Call, Failed};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::fmt::Write;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The user namespaces that mounts take their ids from, and the mounts that wait for the container's.
#[derive(Debug, Default)]
pub(super) struct IdMaps {
    namespaces: Vec<(MountIds, OwnedFd)>,
    /// The index of each in the plan.
    waiting: Vec<(usize, OwnedFd)>,
}

impl IdMaps {
    /// Maps a mount that was just opened, now or, if its ids are those of a container that is not born yet, later.
    pub(super) fn map(&mut self, index: usize, copy: BorrowedFd<'_>, plan: &Plan) -> Result<()> {
        let Some(id_map) = plan.mounts.get(index).and_then(|mount| mount.id_map.as_ref()) else {
            return Ok(());
        };
        if id_map.ids == MountIds::Container && !self.knows(&id_map.ids) {
            match joined_user_namespace(plan)? {
                Some(namespace) => self.namespaces.push((MountIds::Container, namespace)),
                None => {
                    let copy = copy.try_clone_to_owned();
                    let copy =
                        copy.map_err(|error| Error::io("cannot keep a bind source", "fcntl", &error))?;
                    self.waiting.push((index, copy));
                    return Ok(());
                }
            }
        }
        self.map_now(index, copy, plan)
    }

    /// The container runs already.
    pub(super) fn know_container(&mut self, pid: i32) -> Result<()> {
        self.namespaces.push((MountIds::Container, user_namespace_of(pid)?));
        Ok(())
    }

    /// The container's process is born, and its user namespace has its maps.
    pub(super) fn map_waiting(&mut self, pid: i32, plan: &Plan) -> Result<()> {
        if !plan.mounts.iter().any(|mount| mount.id_map.is_some()) {
            return Ok(());
        }
        self.namespaces.push((MountIds::Container, user_namespace_of(pid)?));
        for (index, copy) in std::mem::take(&mut self.waiting) {
            self.map_now(index, copy.as_fd(), plan)?;
        }
        Ok(())
    }

    /// Maps a mount whose namespace there is, or can be made.
    pub(super) fn map_now(&mut self, index: usize, copy: BorrowedFd<'_>, plan: &Plan) -> Result<()> {
        let Some(mount) = plan.mounts.get(index) else { return Ok(()) };
        let Some(id_map) = &mount.id_map else { return Ok(()) };
        if let MountIds::Own { uids, gids } = &id_map.ids
            && !self.knows(&id_map.ids)
        {
            self.namespaces.push((id_map.ids.clone(), new_user_namespace(uids, gids, mount.item)?));
        }
        let found = self.namespaces.iter().find(|(ids, _)| *ids == id_map.ids);
        let Some((_, namespace)) = found else { return Ok(()) };
        sys::mount_idmap(copy, id_map.recursive, namespace.as_fd()).map_err(|failed| refused(mount, failed))
    }

    fn knows(&self, ids: &MountIds) -> bool {
        self.namespaces.iter().any(|(known, _)| known == ids)
    }
}

fn refused(mount: &MountPlan, failed: Failed) -> Error {
    let path = match &mount.source {
        MountSource::Bind { path, .. } => path.to_string_lossy(),
        _ => "".into(),
    };
    let what =
        format!("cannot show other ids of {path:?} (/mounts/{}): failed to set MOUNT_ATTR_IDMAP", mount.item);
    let error = Error::os(what, failed.call.name(), failed.errno);
    match failed.errno {
        Errno::EINVAL => error.with_hint(
            "maybe the filesystem used doesn't support idmap mounts on this kernel, or one of those mounted below it",
        ),
        Errno::EPERM => error.with_hint(
            "a mount that is id-mapped already keeps its mapping, and only the owner of a file system may map it",
        ),
        _ => error,
    }
}

/// The one that the container is to join, when it joins one.
fn joined_user_namespace(plan: &Plan) -> Result<Option<OwnedFd>> {
    let mut joined = plan.namespaces.joined.iter();
    let Some(join) = joined.find(|join| join.kind == NamespaceKind::User) else { return Ok(None) };
    let path = join.path.to_string_lossy();
    File::open(&*path).map(|file| Some(file.into())).map_err(|error| {
        let what = format!("cannot open user namespace {path} (/linux/namespaces/{}/path)", join.item);
        Error::io(what, "open", &error)
    })
}

fn user_namespace_of(pid: i32) -> Result<OwnedFd> {
    File::open(format!("/proc/{pid}/ns/user"))
        .map(OwnedFd::from)
        .map_err(|error| Error::io("cannot open a new user namespace", "open", &error))
}

/// A user namespace with these maps, which lives by its fd alone.
fn new_user_namespace(uids: &[IdMapping], gids: &[IdMapping], item: u32) -> Result<OwnedFd> {
    let internal = |failed: Failed| {
        let what = format!("cannot make a user namespace for the mappings of /mounts/{item}");
        Error::os(what, failed.call.name(), failed.errno)
    };
    let (theirs, ours) =
        nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(Failed::from(Call::Pipe)).map_err(internal)?;
    let flags = u64::from(NamespaceKind::User.clone_flag().unsigned_abs());
    let holder = sys::clone3(flags, None, || holder::run(theirs.as_fd())).map_err(internal)?;
    let write = |name: &str, list: &[IdMapping], key: &str| {
        let what = format!("map the ids of a mount (/mounts/{item}/{key})");
        write_proc(holder.pid, name, map_text(list).as_bytes(), Step::OpenSource, &what)
    };
    let made = write("uid_map", uids, "uidMappings")
        .and_then(|()| write("gid_map", gids, "gidMappings"))
        .and_then(|()| user_namespace_of(holder.pid));
    drop(ours);
    let _ = sys::waitid(holder.pidfd.as_fd(), true);
    made
}

/// As `/proc/PID/uid_map` takes it, user_namespaces(7).
pub(super) fn map_text(mappings: &[IdMapping]) -> String {
    mappings.iter().fold(String::new(), |mut lines, map| {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{} {} {}", map.inside, map.outside, map.count);
        lines
    })
}
