//! The status of a container, asked of the kernel: is its init alive, does it wait at the start gate, is it frozen.

use super::directory::StateDirectory;
use super::record::{InitRecord, Record};
use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::plan::Step;
use crate::recorder::{NO_ITEM, Position, Recorder};
use crate::start_gate;
use crate::sys;
use nix::errno::Errno;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Where a container is in its life (runtime-spec runtime.md, "State"; `paused` is runc's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Status {
    /// It is being made, or was when its runtime died.
    Creating,
    /// Its init waits to be started.
    Created,
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its init has ended.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        })
    }
}

/// What `state` says of a container; serialized as runc prints it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct State {
    /// The version of the runtime-spec that this crate follows.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// Its init's pid, 0 when it has ended.
    pub pid: i32,
    /// Where it is in its life.
    pub status: Status,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The root file system.
    pub rootfs: PathBuf,
    /// When it was created, RFC 3339.
    pub created: String,
    /// The config's annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Who made it: a user id.
    #[serde(serialize_with = "empty_owner")]
    pub owner: u32,
    /// The step that its init is in, while it is being made or is on its way from `start` to its program; the
    /// runtime's, as long as there is no init.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "step_name")]
    pub step: Option<Step>,
    /// Which of several like steps: the index in `/mounts`, or in a list of hooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_item: Option<u32>,
    /// For how long, in seconds since the first of these steps began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_seconds: Option<u64>,
}

/// runc's `state` leaves the owner empty; `list` prints it.
fn empty_owner<S: serde::Serializer>(_: &u32, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str("")
}

#[allow(clippy::ref_option)] // serde's signature
fn step_name<S: serde::Serializer>(
    step: &Option<Step>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    match step {
        Some(step) => serializer.serialize_str(&step.name()),
        None => serializer.serialize_none(),
    }
}

/// An init that lives.
#[derive(Debug)]
pub(crate) struct Alive {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

/// The start time in clock ticks since boot and whether it is a zombie, from `/proc/PID/stat` (proc_pid_stat(5)).
pub(crate) fn start_time(pid: i32) -> Option<(u64, bool)> {
    let mut stat = [0; 1024];
    let length = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut stat)).ok()?;
    // The name in parentheses may itself have spaces and parentheses, or be no text at all.
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let mut fields = std::str::from_utf8(stat.get(name_end + 1..length)?).ok()?.split_ascii_whitespace();
    let dead = matches!(fields.next()?, "Z" | "X");
    Some((fields.nth(18)?.parse().ok()?, dead))
}

/// The init, if it is that very process and lives.
pub(crate) fn find_init(record: &Record) -> Result<Option<Alive>> {
    let Some(InitRecord { pid, start_time: expected }) = record.init else { return Ok(None) };
    let pidfd = match sys::pidfd_open(pid) {
        Ok(pidfd) => pidfd,
        Err(failed) if failed.errno == Errno::ESRCH => return Ok(None),
        Err(failed) => {
            return Err(Error::os(format!("cannot open process {pid}"), failed.call.name(), failed.errno));
        }
    };
    // Asked after the pidfd was opened: if this is the process, the pidfd is its.
    match start_time(pid) {
        Some((found, false)) if found == expected => Ok(Some(Alive { pid, pidfd })),
        _ => Ok(None),
    }
}

/// The status, and the init if it lives.
pub(crate) fn status(directory: &StateDirectory, record: Option<&Record>) -> Result<(Status, Option<Alive>)> {
    let Some(record) = record else { return Ok((Status::Creating, None)) };
    if record.init.is_none() {
        return Ok((Status::Creating, None));
    }
    let Some(alive) = find_init(record)? else { return Ok((Status::Stopped, None)) };
    let frozen = Cgroup::open(&record.cgroup)?.is_frozen()?;
    let waiting = start_gate::is_waiting(directory.as_fd()).map_err(|errno| {
        Error::os(format!("cannot look at the start gate of {}", record.id), "open", errno)
    })?;
    let status = match (frozen, waiting) {
        (true, _) => Status::Paused,
        (false, true) => Status::Created,
        (false, false) => Status::Running,
    };
    Ok((status, Some(alive)))
}

/// Where a container stands that is not running yet.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    pub(crate) step: Option<Step>,
    pub(crate) item: Option<u32>,
    pub(crate) seconds: Option<u64>,
}

/// What the flight recorder shows. Nothing of a container that waits to be started, or has been.
pub(crate) fn standing(directory: &StateDirectory, status: Status) -> Standing {
    let nowhere = Standing::default();
    if !matches!(status, Status::Creating | Status::Created) {
        return nowhere;
    }
    let Some(recorder) = directory.recorder_file(false).ok().and_then(|file| Recorder::read(&file)) else {
        return nowhere;
    };
    let (step, item) = match (recorder.position(), recorder.runtime_step()) {
        (Some(Position { step: Step::Ready | Step::StartGate, .. }), _) if status == Status::Created => {
            return nowhere;
        }
        // A process that waits for the runtime's hooks shows which side it is.
        (Some(Position { step: Step::WaitForHooks, .. }), Some(Step::RuntimeHook)) => {
            (Step::RuntimeHook, NO_ITEM)
        }
        (Some(Position { step, item }), _) => (step, item),
        (None, Some(step)) => (step, NO_ITEM),
        (None, None) => return nowhere,
    };
    let began = recorder.times().into_iter().find(|&(timed, _)| timed == step);
    let seconds = began.map(|(_, began)| sys::monotonic_ns().saturating_sub(began) / 1_000_000_000);
    Standing { step: Some(step), item: (item != NO_ITEM).then_some(item), seconds }
}
