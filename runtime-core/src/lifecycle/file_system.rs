//! The rootfs and the bind sources of a new container, opened and laid out before the clone.

use super::id_maps::IdMaps;
use super::mount_hints;
use super::small_namespace::SmallNamespace;
use crate::cgroup::Cgroup;
use crate::error::{Error, ErrorKind, Problem, Result};
use crate::plan::{MountPlan, MountSource, NamespaceKind, Plan, Step};
use crate::recorder::Recorder;
use crate::rootfs::{self, Legacy, MountInput};
use crate::runtime::Runtime;
use crate::sys::{self, Call, Failed};
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use procfs::process::MountInfo;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The rootfs, the bind sources and what goes with them.
#[derive(Debug)]
pub(super) struct FileSystem {
    /// `None`, and no sources, where the new process has to open them.
    pub(super) rootfs: Option<OwnedFd>,
    pub(super) mounts: Vec<MountInput>,
    pub(super) attached: Vec<Option<OwnedFd>>,
    pub(super) id_maps: IdMaps,
    /// Where the new process builds it, if not in a copy of the runtime's mount namespace.
    pub(super) small_namespace: Option<SmallNamespace>,
}

impl FileSystem {
    pub(super) fn open(
        plan: &Plan,
        runtime: &Runtime,
        cgroup: &Cgroup,
        recorder: &Recorder,
    ) -> Result<FileSystem> {
        let inside = plan.rootfs.opened_inside;
        let mut rootfs = None;
        if !inside {
            recorder.runtime_at(Step::OpenRootfs)?;
            rootfs = Some(open_rootfs(plan)?);
            recorder.runtime_at(Step::OpenSource)?;
        }
        let mut mounts = Vec::with_capacity(plan.mounts.len());
        let mut id_maps = IdMaps::default();
        for (index, mount) in plan.mounts.iter().enumerate() {
            let lacks_cgroup = mount.cgroup.is_some_and(|index| !cgroup.has(&plan.cgroup, index));
            let mut input = MountInput { lacks_cgroup, legacy: Legacy::of(mount), ..MountInput::default() };
            open_source(index, plan, inside, &mut input, &mut id_maps)?;
            mounts.push(input);
        }
        let attached = plan.mounts.iter().map(|_| None).collect();
        let small_namespace = SmallNamespace::open(plan, runtime, &mounts);
        Ok(FileSystem { rootfs, mounts, attached, id_maps, small_namespace })
    }
}

/// The bind source of one mount, if it has one on the host, with its ids; or only what a link there says, where the
/// new process opens the rest `inside`.
pub(super) fn open_source(
    index: usize,
    plan: &Plan,
    inside: bool,
    input: &mut MountInput,
    id_maps: &mut IdMaps,
) -> Result<()> {
    let Some(mount) = plan.mounts.get(index) else { return Ok(()) };
    let MountSource::Bind { path, in_rootfs: false, links, .. } = &mount.source else { return Ok(()) };
    if mount.target.as_c_str() == c"/proc" {
        check_is_proc(mount.item, path)?;
    }
    if links.copy {
        input.link = link_at(path);
    }
    if !inside && input.is_bound_from_host(mount) {
        let copy = rootfs::open_bind(mount).map_err(|failed| source_error(mount, path, failed))?;
        id_maps.map(index, copy.as_fd(), plan)?;
        input.source = Some(copy);
    }
    Ok(())
}

/// What the symbolic link there says, if it is one.
fn link_at(path: &CStr) -> Option<CString> {
    let text = std::fs::read_link(OsStr::from_bytes(path.to_bytes())).ok()?;
    CString::new(text.into_os_string().into_vec()).ok()
}

/// Programs believe what /proc says, so a container's is a real one (as runc has it since CVE-2019-16884).
fn check_is_proc(item: u32, path: &CStr) -> Result<()> {
    match statfs(path) {
        Ok(found) if found.filesystem_type() == PROC_SUPER_MAGIC => Ok(()),
        Ok(_) => {
            let message = format!("{path:?} cannot be mounted on \"/proc\" because it is not of type proc");
            let problem = Problem { pointer: format!("/mounts/{item}/source"), message };
            Err(Error::problems_found(vec![problem]).at(Step::OpenSource))
        }
        Err(errno) => {
            let what = format!("cannot look at {path:?} (/mounts/{item}/source)");
            Err(Error::os(what, "statfs", errno).at(Step::OpenSource))
        }
    }
}

fn source_error(mount: &MountPlan, path: &CStr, failed: Failed) -> Error {
    let (path, item) = (path.to_string_lossy(), mount.item);
    let what = match failed.call {
        Call::MountSetattr => {
            let target = mount.target.to_string_lossy();
            format!("error mounting {path:?} to rootfs at {target:?} (/mounts/{item}/options)")
        }
        _ => format!("cannot open {path:?} (/mounts/{item}/source)"),
    };
    let error = Error::os(what, failed.call.name(), failed.errno).at(Step::OpenSource);
    match mount_hints::attributes(mount, failed) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// A detached copy where the container has a mount namespace of its own, else the directory itself.
fn open_rootfs(plan: &Plan) -> Result<OwnedFd> {
    let path = plan.rootfs.path.as_c_str();
    let shown = path.to_string_lossy();
    let cannot = |failed: Failed| {
        Error::os(format!("cannot open the rootfs {shown:?} (/root/path)"), failed.call.name(), failed.errno)
            .at(Step::OpenRootfs)
    };
    let directory = sys::openat2(sys::cwd(), path, libc::O_PATH | libc::O_DIRECTORY, 0, 0).map_err(cannot)?;
    if !plan.namespaces.is_new(NamespaceKind::Mount) {
        return Ok(directory);
    }
    rootfs::open_rootfs(directory.as_fd(), c"", plan.rootfs.propagation).map_err(cannot)
}

/// Every mount of proc and sysfs that the host has outside of the rootfs, the latest first.
pub(super) fn host_proc_mounts(plan: &Plan) -> Result<Vec<CString>> {
    let failed = |error| Error::new(ErrorKind::System, format!("cannot read /proc/self/mountinfo: {error}"));
    let table = std::fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| Error::io("cannot read /proc/self/mountinfo", "read", &error))?;
    let rootfs = Path::new(OsStr::from_bytes(plan.rootfs.path.to_bytes()));
    let mut found = Vec::new();
    for line in table.lines().rev().filter(|line| line.contains(" - proc ") || line.contains(" - sysfs ")) {
        let mount = MountInfo::from_line(line).map_err(failed)?;
        let is_hosts = rootfs == Path::new("/") || !mount.mount_point.starts_with(rootfs);
        if let (true, Ok(path)) = (is_hosts, CString::new(mount.mount_point.as_os_str().as_bytes())) {
            found.push(path);
        }
    }
    Ok(found)
}
