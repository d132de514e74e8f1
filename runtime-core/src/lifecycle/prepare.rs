//! What the runtime looks up and writes down for a new process: namespaces to join, files of `/proc`, the pid file.

use crate::error::{Error, ErrorKind, Problem, Result};
use crate::plan::{NamespaceKind, Plan, Step};
use crate::state::replace_file;
use crate::sys;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
    File::options()
        .write(true)
        .open(&path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, bytes))
        .map_err(|error| Error::io(format!("cannot {what}"), "write", &error).at(step))
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
