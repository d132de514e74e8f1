//! `pause` and `resume`.

use crate::cgroup::Cgroup;
use crate::container::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::state::Status;

pub(crate) fn pause(container: &Container) -> Result<()> {
    let _lock = container.directory().lock()?;
    match container.status()?.0 {
        Status::Created | Status::Running => {
            let cgroup = Cgroup::open(&container.record()?.cgroup)?;
            cgroup.required_to("pause it")?;
            cgroup.freeze()
        }
        _ => Err(Error::new(ErrorKind::InvalidState, "container not running")),
    }
}

pub(crate) fn resume(container: &Container) -> Result<()> {
    let _lock = container.directory().lock()?;
    match container.status()?.0 {
        Status::Paused => Cgroup::open(&container.record()?.cgroup)?.thaw(),
        _ => Err(Error::new(ErrorKind::InvalidState, "container not paused")),
    }
}
