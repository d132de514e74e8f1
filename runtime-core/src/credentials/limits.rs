//! Resource limits, in two halves.
//!
//! A hard limit can only be raised with a privilege over the host (CAP_SYS_RESOURCE in the initial user namespace), so
//! that comes first; a small limit would get in the way of everything that is still to be set up, so the exact values
//! come last, when the process has become its user: lowering is open to everyone.

use crate::plan::RlimitPlan;
use crate::sys::{self, Limit, Result};

/// Raises a hard limit that is too low. Process 0 is the caller itself.
pub(crate) fn raise(pid: i32, wanted: &RlimitPlan) -> Result<()> {
    let now = sys::prlimit(pid, wanted.resource, None)?;
    if now.hard < wanted.hard {
        sys::prlimit(pid, wanted.resource, Some(Limit { hard: wanted.hard, ..now }))?;
    }
    Ok(())
}

/// Sets one limit of the caller as the plan wants it.
pub(crate) fn set(wanted: &RlimitPlan) -> Result<()> {
    sys::prlimit(0, wanted.resource, Some(Limit { soft: wanted.soft, hard: wanted.hard })).map(drop)
}
