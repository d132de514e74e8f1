//! Stopping all processes of a cgroup at once, and letting them go on.
//!
//! A freeze that does not come about within its time is taken back: a cgroup that is left half frozen hangs whoever
//! enters it and cannot be removed.

#![forbid(unsafe_code)]

use super::directory::{Directory, Failed, is_gone};
use super::events;
use crate::error::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};

/// Processes in an uninterruptible system call freeze late, after a slow disk or network mount has answered.
const FREEZE_WITHIN: Duration = Duration::from_secs(10);

/// What can freeze a cgroup.
#[derive(Debug, Clone, Copy)]
pub(super) enum Freezer<'a> {
    V2(&'a Directory),
    V1(&'a Directory),
}

impl Freezer<'_> {
    fn failed(self, what: &str, file: &str, failed: Failed) -> Error {
        let (Freezer::V2(directory) | Freezer::V1(directory)) = self;
        Error::os(format!("cannot {what} {}", directory.file_path(file)), failed.call, failed.errno)
    }

    fn timed_out(self) -> Error {
        let (Freezer::V2(directory) | Freezer::V1(directory)) = self;
        let path = directory.path().display();
        Error::new(
            ErrorKind::TimedOut,
            format!(
                "unable to freeze {path}: some process did not stop within {} s",
                FREEZE_WITHIN.as_secs()
            ),
        )
        .with_hint("a process in an uninterruptible system call (state D in ps) cannot be frozen")
    }

    /// Returns when every process stands still.
    pub(super) fn freeze(self) -> Result<()> {
        self.freeze_until(Instant::now() + FREEZE_WITHIN)
    }

    fn freeze_until(self, deadline: Instant) -> Result<()> {
        let frozen = match self {
            Freezer::V2(directory) => self.freeze_v2(directory, deadline),
            Freezer::V1(directory) => self.freeze_v1(directory, deadline),
        };
        if frozen.is_err() {
            // The first error is the one to tell.
            let _ = self.thaw();
        }
        frozen
    }

    fn freeze_v2(self, directory: &Directory, deadline: Instant) -> Result<()> {
        directory
            .write("cgroup.freeze", "1")
            .map_err(|failed| self.failed("write", "cgroup.freeze", failed))?;
        match events::wait_for(directory, "frozen", true, deadline) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.timed_out()),
            Err(failed) => Err(self.failed("read", "cgroup.events", failed)),
        }
    }

    /// Under v1 a process that is forked while the freezing goes on may be missed: until the state is FROZEN the
    /// request has to be repeated. If forks keep winning, thawing for a moment gives the next try a new start.
    fn freeze_v1(self, directory: &Directory, deadline: Instant) -> Result<()> {
        const FILE: &str = "freezer.state";
        let mut tries = 0u32;
        loop {
            directory.write(FILE, "FROZEN").map_err(|failed| self.failed("write", FILE, failed))?;
            let state = directory.read(FILE).map_err(|failed| self.failed("read", FILE, failed))?;
            if state.trim() == "FROZEN" {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(self.timed_out());
            }
            tries += 1;
            if tries.is_multiple_of(50) {
                self.thaw()?;
                std::thread::sleep(Duration::from_millis(10));
            } else if tries.is_multiple_of(5) {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }

    /// Lets the processes go on; nothing if the cgroup is gone.
    pub(super) fn thaw(self) -> Result<()> {
        let (directory, file, value) = match self {
            Freezer::V2(directory) => (directory, "cgroup.freeze", "0"),
            Freezer::V1(directory) => (directory, "freezer.state", "THAWED"),
        };
        match directory.write(file, value) {
            Ok(()) => Ok(()),
            Err(failed) if is_gone(failed.errno) => Ok(()),
            Err(failed) => Err(self.failed("write", file, failed)),
        }
    }

    /// Whether this cgroup itself was asked to freeze; one that only lies below a frozen one was not.
    pub(super) fn is_frozen(self) -> Result<bool> {
        let (directory, file) = match self {
            Freezer::V2(directory) => (directory, "cgroup.freeze"),
            Freezer::V1(directory) => (directory, "freezer.self_freezing"),
        };
        match directory.read(file) {
            Ok(text) => Ok(text.trim() == "1"),
            Err(failed) if is_gone(failed.errno) => Ok(false),
            Err(failed) => Err(self.failed("read", file, failed)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::fs;

    /// A kernel that never says that all stand still: what a process on a dead disk looks like from here.
    #[test]
    fn what_does_not_freeze_in_time_is_thawed_and_named() {
        let path = std::env::temp_dir().join(format!("husk-freezer-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("cgroup.freeze"), "0").unwrap();
        fs::write(path.join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
        let directory = Directory::at(&path);
        let error =
            Freezer::V2(&directory).freeze_until(Instant::now() + Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(error.to_string().contains("unable to freeze"), "{error}");
        assert_eq!(fs::read_to_string(path.join("cgroup.freeze")).unwrap(), "0");
        fs::remove_dir_all(path).unwrap();
    }
}
