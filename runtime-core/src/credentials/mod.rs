//! Who the process is: the order-sensitive steps from root to the container's user.
//!
//! Who runs here: the new process, in all its namespaces, its root in place; on entry root of its user namespace with
//! every capability there, at the end the container's user with no more than the plan gives. The order is forced:
//! the bounding set falls while CAP_SETPCAP is there, a filter without no_new_privs is installed while CAP_SYS_ADMIN
//! is, groups go before the user, capabilities outlive the change of user only with PR_SET_KEEPCAPS, ambient ones
//! need permitted and inheritable ones (capabilities(7)). The inheritable set is what the plan says and never more
//! (CVE-2022-29162).

pub(crate) mod execution;
pub(crate) mod labels;
pub(crate) mod limits;

use crate::plan::{CapabilityPlan, ProcessPlan, Step, UserPlan};
use crate::recorder::Recorder;
use crate::sys::{self, Call, Capabilities, Failed, Result};
use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use std::ffi::CStr;

/// Removes from the bounding set. A filter without no_new_privs comes right after this.
pub(crate) fn limit(plan: &ProcessPlan, recorder: &Recorder) -> Result<()> {
    recorder.at(Step::BoundingSet)?;
    limit_bounding_set(plan.capabilities.bounding)
}

/// Becomes the user, and no more than the user.
pub(crate) fn assume(plan: &ProcessPlan, recorder: &Recorder) -> Result<()> {
    recorder.at(Step::Groups)?;
    set_groups(&plan.user)?;
    recorder.at(Step::User)?;
    sys::keep_capabilities(true)?;
    sys::setresgid(plan.user.gid).map_err(unmapped)?;
    sys::setresuid(plan.user.uid).map_err(unmapped)?;
    sys::keep_capabilities(false)?;
    umask(Mode::from_bits_truncate(plan.user.umask));
    recorder.at(Step::Capabilities)?;
    set_capabilities(plan.capabilities)?;
    if plan.no_new_privileges {
        recorder.at(Step::NoNewPrivileges)?;
        sys::set_no_new_privs()?;
    }
    Ok(())
}

/// Leaves the caller's session keyring for one of this name. An executed process finds that of the container's init by
/// it, which takes the right to search it. Where there are no keyrings, or where a filter that the container inherits
/// forbids them (as in a container of Docker), there is nothing to part with.
pub(crate) fn join_keyring(name: &CStr, selinux: Option<&CStr>) -> Result<()> {
    if let Some(label) = selinux {
        labels::set(c"attr/keycreate", label.to_bytes())?;
    }
    match sys::join_session_keyring(name) {
        Err(Failed { errno: Errno::ENOSYS | Errno::EPERM, .. }) => {}
        other => sys::set_key_permissions(other?, sys::KEYRING_PERMISSIONS)?,
    }
    // Only this key was meant.
    if selinux.is_some() { labels::set(c"attr/keycreate", b"\n") } else { Ok(()) }
}

/// Removes what the plan does not have; a number that the kernel does not know ends the list.
fn limit_bounding_set(keep: u64) -> Result<()> {
    for capability in 0..64 {
        if keep & 1 << capability != 0 {
            continue;
        }
        match sys::drop_bounding(capability) {
            Err(Failed { errno: Errno::EINVAL, .. }) => break,
            other => other?,
        }
    }
    Ok(())
}

fn set_groups(user: &UserPlan) -> Result<()> {
    change_groups(user, &user.groups).map_err(unmapped)
}

/// Sets the supplementary groups, as far as the user namespace lets anybody do that.
pub(crate) fn change_groups(user: &UserPlan, groups: &[u32]) -> Result<()> {
    if !user.set_groups {
        return Ok(());
    }
    match sys::setgroups(groups) {
        Err(Failed { errno: Errno::EPERM, .. }) if user.groups_may_stay => Ok(()),
        result => result,
    }
}

/// The kernel says EINVAL where an id has no mapping, which tells nobody anything.
fn unmapped(failed: Failed) -> Failed {
    if failed.errno == Errno::EINVAL { Failed::new(Call::Unmapped, Errno::EINVAL) } else { failed }
}

fn set_capabilities(plan: CapabilityPlan) -> Result<()> {
    sys::capset(Capabilities {
        effective: plan.effective,
        permitted: plan.permitted,
        inheritable: plan.inheritable,
    })?;
    sys::clear_ambient()?;
    for capability in 0..64 {
        if plan.ambient & 1 << capability != 0 {
            sys::raise_ambient(capability)?;
        }
    }
    Ok(())
}
