//! Changing the limits of a cgroup that is in use: all of them or none.
//!
//! Order: the present values are read, then the new ones written, and when one is refused the old ones written back.

#![forbid(unsafe_code)]

use super::Cgroup;
use super::directory::{Directory, Failed};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Absent, CgroupPlan, CgroupWrite, Step};
use nix::errno::Errno;

/// One write and the one that takes it back.
#[derive(Debug)]
struct Change<'a> {
    write: &'a CgroupWrite,
    directory: &'a Directory,
    file: &'a str,
    value: &'a str,
    old: String,
}

/// An update that was made. It stays, unless it is taken back.
#[derive(Debug)]
#[must_use]
pub(crate) struct Updated<'a>(Vec<Change<'a>>);

impl Updated<'_> {
    /// Writes the values once more, since systemd has written what it makes of them: it keeps no period of a quota that
    /// there is not, for one.
    pub(crate) fn affirm(self) -> Result<()> {
        match settle(self.0, |change| change.value).1 {
            None => Ok(()),
            Some((change, failed)) => {
                Err(super::limit_error(change.directory, change.file, change.value, change.write, failed))
            }
        }
    }

    /// Writes the old values back; what cannot be written back is the failure's end.
    pub(crate) fn take_back(self, failure: Error) -> Error {
        take_back(self.0, failure)
    }
}

impl Cgroup {
    /// Makes the plan's writes. After a failure every file has the value that it had.
    pub(crate) fn update<'a>(&'a self, plan: &'a CgroupPlan) -> Result<Updated<'a>> {
        let mut changes = Vec::with_capacity(plan.writes.len());
        for write in &plan.writes {
            changes.extend(self.prepare(plan, write)?);
        }
        let (done, refused) = settle(changes, |change| change.value);
        match refused {
            None => Ok(Updated(done)),
            Some((change, failed)) => {
                let error =
                    super::limit_error(change.directory, change.file, change.value, change.write, failed);
                let error = match (failed.errno, self.memory_usage()) {
                    (Errno::EBUSY, Ok(Some(usage))) if change.write.controller == "memory" => {
                        error.with_hint(format!("the container uses {usage} bytes now"))
                    }
                    _ => error,
                };
                Err(take_back(done, error))
            }
        }
    }

    /// What has to be known before anything is written; `None` if nothing has to be.
    fn prepare<'a>(&'a self, plan: &CgroupPlan, write: &'a CgroupWrite) -> Result<Option<Change<'a>>> {
        let directory = self.planned_directory(plan, write)?;
        let (mut file, mut value) = (write.file.as_str(), write.value.as_str());
        let mut present = directory.read(file);
        if let Err(Failed { errno: Errno::ENOENT, .. }) = present {
            match &write.absent {
                Absent::Fail => {}
                Absent::Skip => return Ok(None),
                Absent::Instead { file: other_file, value: other_value } => {
                    (file, value) = (other_file, other_value);
                    present = directory.read(file);
                }
            }
        }
        let present = match present {
            Ok(present) => present,
            Err(failed) if failed.errno == Errno::ENOENT => {
                return Err(super::limit_error(directory, file, value, write, failed));
            }
            Err(failed) => {
                let what = format!("cannot read {} ({})", directory.file_path(file), write.pointer);
                return Err(Error::os(what, failed.call, failed.errno).at(Step::LimitCgroup));
            }
        };
        let Some(old) = restoring(file, value, &present) else {
            let path = directory.file_path(file);
            let message =
                format!("cannot update {path} ({}): its value could not be taken back", write.pointer);
            return Err(Error::new(ErrorKind::Unsupported, message).at(Step::LimitCgroup));
        };
        Ok(Some(Change { write, directory, file, value, old }))
    }

    /// Bytes; `None` where nobody counts.
    fn memory_usage(&self) -> Result<Option<u64>> {
        let (directory, file) = match (self.v1_directory("memory"), &self.v2) {
            (Some(directory), _) => (directory, "memory.usage_in_bytes"),
            (None, Some(directory)) => (directory, "memory.current"),
            (None, None) => return Ok(None),
        };
        match directory.read(file) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(Failed { errno: Errno::ENOENT, .. }) => Ok(None),
            Err(failed) => {
                let what = format!("cannot read {}", directory.file_path(file));
                Err(Error::os(what, failed.call, failed.errno))
            }
        }
    }

    /// `checkBeforeUpdate`: refuses a limit that the container exceeds already.
    pub(crate) fn check_usage(&self, name: &str, limit: u64) -> Result<()> {
        match self.memory_usage()? {
            Some(usage) if usage > limit => {
                let message =
                    format!("rejecting {name} limit {limit}: the container uses {usage} bytes already");
                Err(Error::new(ErrorKind::InvalidState, message)
                    .with_hint("checkBeforeUpdate asks for this check"))
            }
            _ => Ok(()),
        }
    }
}

/// Writes one value of each change. The kernel takes some only in one order, which depends on the values that are
/// there (memory may never exceed memory and swap, nor a burst its quota): what is refused is tried again as long as
/// another write has succeeded meanwhile. Gives what was written, and the first of those that never were.
fn settle<'a>(
    changes: Vec<Change<'a>>,
    value: impl for<'c> Fn(&'c Change<'a>) -> &'c str,
) -> (Vec<Change<'a>>, Option<(Change<'a>, Failed)>) {
    let (mut done, mut open) = (Vec::new(), changes);
    loop {
        let before = done.len();
        let mut refused = Vec::new();
        for change in open {
            match change.directory.write(change.file, value(&change)) {
                Ok(()) => done.push(change),
                Err(failed) => refused.push((change, failed)),
            }
        }
        if refused.is_empty() || done.len() == before {
            return (done, refused.into_iter().next());
        }
        open = refused.into_iter().map(|(change, _)| change).collect();
    }
}

fn take_back(mut done: Vec<Change<'_>>, failure: Error) -> Error {
    done.reverse();
    match settle(done, |change| &change.old).1 {
        None => failure,
        Some((change, failed)) => {
            let path = change.directory.file_path(change.file);
            failure.followed_by(&format!(
                "; and the old value {:?} could not be written back to {path}: {}",
                change.old, failed.errno
            ))
        }
    }
}

/// Files of one line a device (or interface, or size): a write changes the line of its first word.
const BY_DEVICE: [&str; 5] =
    ["blkio.throttle.", "blkio.bfq.weight_device", "io.", "rdma.max", "net_prio.ifpriomap"];

/// What to write to get back what a file shows now, after `value` was written to it; `None` when there is nothing.
fn restoring(file: &str, value: &str, present: &str) -> Option<String> {
    if file == "memory.oom_control" {
        let line = present.lines().find_map(|line| line.strip_prefix("oom_kill_disable "))?;
        return Some(line.to_owned());
    }
    if !BY_DEVICE.iter().any(|start| file.starts_with(start)) {
        let mut lines = present.lines();
        // A write of no bytes at all would change nothing; an empty list is a line too.
        let line = lines.next().filter(|line| !line.is_empty()).unwrap_or("\n");
        return lines.next().is_none().then(|| line.to_owned());
    }
    let mut words = value.split_whitespace();
    let first = words.next()?;
    let key = if words.next().is_some() { first } else { "default" };
    let shown = present.lines().find(|line| line.split_whitespace().next() == Some(key));
    if let Some(line) = shown {
        return Some(line.to_owned());
    }
    let unset = match file {
        "io.max" => "rbps=max wbps=max riops=max wiops=max",
        "rdma.max" => "hca_handle=max hca_object=max",
        "io.weight" | "io.bfq.weight" | "blkio.bfq.weight_device" if key != "default" => "default",
        "net_prio.ifpriomap" => "0",
        _ if file.starts_with("blkio.throttle.") => "0",
        _ => return None,
    };
    Some(format!("{key} {unset}"))
}

#[cfg(test)]
mod tests {
    use super::restoring;

    #[test]
    fn what_takes_a_write_back() {
        for (file, value, present, expected) in [
            ("memory.max", "5", "max\n", Some("max")),
            ("cpu.max", "5000 100000", "max 100000\n", Some("max 100000")),
            ("cpuset.cpus", "0", "\n", Some("\n")),
            ("memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", Some("0")),
            ("io.weight", "50", "default 100\n8:0 7\n", Some("default 100")),
            ("io.weight", "8:0 50", "default 100\n8:0 7\n", Some("8:0 7")),
            ("io.weight", "8:16 50", "default 100\n8:0 7\n", Some("8:16 default")),
            ("io.max", "8:0 rbps=1", "", Some("8:0 rbps=max wbps=max riops=max wiops=max")),
            ("io.max", "8:0 rbps=1", "8:0 rbps=9 wbps=max\n", Some("8:0 rbps=9 wbps=max")),
            ("blkio.throttle.read_bps_device", "8:0 1", "", Some("8:0 0")),
            ("net_prio.ifpriomap", "lo 1", "lo 0\neth0 5\n", Some("lo 0")),
            ("io.latency", "8:0 target=5", "", None),
            ("memory.stat", "1", "anon 1\nfile 2\n", None),
        ] {
            assert_eq!(restoring(file, value, present).as_deref(), expected, "{file}={value}");
        }
    }
}
