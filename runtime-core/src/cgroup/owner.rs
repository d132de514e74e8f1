//! Giving the container's cgroup to its user (runtime-spec config-linux.md, "Cgroup ownership"): the directory, in which
//! cgroups are made, and the files by which processes and controllers are moved into those.

#![forbid(unsafe_code)]

use super::directory::Directory;
use crate::error::{Error, Result};
use crate::plan::Step;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::unistd::{Uid, fchown, fchownat};

/// Where the kernel lists those files, since Linux 4.15.
const DELEGATE: &str = "/sys/kernel/cgroup/delegate";

/// What it would list, where sysfs is not mounted.
const LEAST: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

pub(super) fn give(directory: &Directory, owner: u32) -> Result<()> {
    let failed = |path: String, call: &'static str, errno: Errno| {
        Error::os(format!("cannot give {path} to user {owner} (/process/user/uid)"), call, errno)
            .at(Step::LimitCgroup)
    };
    let owner = Some(Uid::from_raw(owner));
    let whole = |call, errno| failed(directory.path().display().to_string(), call, errno);
    let fd = directory.fd().map_err(|errno| whole("open", errno))?;
    fchown(fd, owner, None).map_err(|errno| whole("fchown", errno))?;
    let listed = std::fs::read_to_string(DELEGATE).unwrap_or_else(|_| LEAST.to_owned());
    for file in listed.lines() {
        match fchownat(fd, file, owner, None, AtFlags::AT_SYMLINK_NOFOLLOW) {
            // Listed are the files of all controllers; this cgroup may lack some.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(failed(directory.file_path(file), "fchownat", errno)),
        }
    }
    Ok(())
}
