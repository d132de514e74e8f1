//! What a new container's process needs and cannot make itself: fds and arrays, laid out before the clone.

use crate::error::{Error, ErrorKind, Problem, Result};
use crate::host::Host;
use crate::plan::{MountSource, NamespaceKind, Plan, Step};
use crate::recorder::Recorder;
use crate::rootfs;
use crate::state::replace_file;
use crate::sys::{self, Failed};
use nix::errno::Errno;
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use std::ffi::{CStr, CString, OsStr};
use std::fs::{File, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The rootfs, the bind sources and what goes with them.
#[derive(Debug)]
pub(super) struct FileSystem {
    pub(super) rootfs: OwnedFd,
    pub(super) sources: Vec<Option<OwnedFd>>,
    pub(super) mount_data: Vec<Option<CString>>,
    pub(super) seals: Vec<Option<OwnedFd>>,
}

impl FileSystem {
    pub(super) fn open(plan: &Plan, host: &Host, recorder: &Recorder) -> Result<FileSystem> {
        recorder.runtime_at(Step::OpenRootfs)?;
        let rootfs = open_rootfs(plan)?;
        recorder.runtime_at(Step::OpenSource)?;
        let mut sources = Vec::with_capacity(plan.mounts.len());
        for mount in &plan.mounts {
            if let MountSource::Bind { path, .. } = &mount.source
                && mount.target.as_c_str() == c"/proc"
            {
                check_is_proc(mount.item, path)?;
            }
            sources.push(match &mount.source {
                MountSource::Bind { path, recursive } if host.privileged => Some(
                    rootfs::open_bind(path, *recursive, mount)
                        .map_err(|failed| source_error(mount.item, path, failed))?,
                ),
                _ => None,
            });
        }
        Ok(FileSystem {
            rootfs,
            sources,
            mount_data: plan.mounts.iter().map(rootfs::legacy_data).collect(),
            seals: plan.mounts.iter().map(|_| None).collect(),
        })
    }
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

fn source_error(item: u32, path: &CStr, failed: Failed) -> Error {
    let path = path.to_string_lossy();
    Error::os(format!("cannot open {path:?} (/mounts/{item}/source)"), failed.call.name(), failed.errno)
        .at(Step::OpenSource)
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
    rootfs::open_rootfs(path).map_err(cannot)
}

/// The namespaces to enter by path. A path is the host's; that it leads to a namespace of that kind the kernel checks.
pub(super) fn open_joins(plan: &Plan) -> Result<Vec<(NamespaceKind, OwnedFd)>> {
    let mut fds = Vec::with_capacity(plan.namespaces.joined.len());
    for join in &plan.namespaces.joined {
        let path = OsStr::from_bytes(join.path.to_bytes());
        let file = File::open(path).map_err(|error| {
            let kind = join.kind.spec_name();
            Error::io(
                format!(
                    "cannot open {kind} namespace {} (/linux/namespaces/{}/path)",
                    path.display(),
                    join.item
                ),
                "open",
                &error,
            )
            .at(Step::JoinNamespace)
        })?;
        if is_own_namespace(&file, join.kind) {
            refuse_to_change_own(plan, join.kind)?;
        }
        fds.push((join.kind, OwnedFd::from(file)));
    }
    Ok(fds)
}

fn is_own_namespace(file: &File, kind: NamespaceKind) -> bool {
    let own = std::fs::metadata(format!("/proc/self/ns/{}", kind.proc_name()));
    let identity = |file: &Metadata| (file.dev(), file.ino());
    matches!((own, file.metadata()), (Ok(own), Ok(joined)) if identity(&own) == identity(&joined))
}

/// A path may lead back to the runtime's own namespace, as `/proc/1/ns/net` does. Nothing in that may change.
fn refuse_to_change_own(plan: &Plan, kind: NamespaceKind) -> Result<()> {
    let host = format!("the {} namespace to join is the host's", kind.spec_name());
    let sysctls = plan.sysctls.iter().filter(|sysctl| sysctl.namespace == kind);
    let mut problems: Vec<Problem> = sysctls
        .map(|sysctl| Problem {
            pointer: sysctl.pointer(),
            message: format!("sysctl {:?} is not allowed: {host}", sysctl.key),
        })
        .collect();
    if kind == NamespaceKind::Uts {
        let names = [("/hostname", plan.hostname.is_some()), ("/domainname", plan.domainname.is_some())];
        problems.extend(names.into_iter().filter(|(_, given)| *given).map(|(pointer, _)| Problem {
            pointer: pointer.to_owned(),
            message: format!("cannot be set: {host}"),
        }));
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::problems_found(problems).at(Step::JoinNamespace)) }
}

/// The caller promised these fds; one that is not open would become one of ours.
pub(super) fn check_preserved(count: u32) -> Result<()> {
    for fd in 3..3 + i32::try_from(count).unwrap_or(0) {
        if !sys::is_open(fd) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "cannot preserve {count} fds: fd {fd} is not open; please check that preserved-fds are present"
                ),
            ));
        }
    }
    Ok(())
}

/// A file below `/proc/PID`, written by the runtime for a process that it has just made.
pub(super) fn write_proc(pid: i32, name: &str, bytes: &[u8], step: Step, what: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    // One write(2): the kernel takes a whole map or none of it.
    File::options().write(true).open(&path).and_then(|mut file| std::io::Write::write_all(&mut file, bytes)).map_err(
        |error| {
            let denied = error.raw_os_error() == Some(Errno::EPERM as i32);
            let error = Error::io(format!("cannot {what}"), "write", &error).at(step);
            if denied && step == Step::WriteMaps {
                return error.with_hint("without privileges only your own user and group id can be mapped, each as one line of size 1");
            }
            error
        },
    )
}

/// The pid file of an init or of an executed process, replaced as a whole.
pub(super) fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    replace_file(path, pid.to_string().as_bytes(), 0o644).map_err(|error| {
        Error::io(format!("cannot write pid file {}", path.display()), "write", &error).at(Step::PidFile)
    })
}

/// `/process/oomScoreAdj`.
pub(super) fn write_oom_score(pid: i32, adjustment: i32) -> Result<()> {
    let what = format!("set oom_score_adj to {adjustment} (/process/oomScoreAdj)");
    write_proc(pid, "oom_score_adj", adjustment.to_string().as_bytes(), Step::OomScore, &what)
}
