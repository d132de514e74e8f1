//! `floor exec`: one more program in a container.

use crate::call::{call, clone, execute, give_up_privileges, open, wait};
use crate::{Rest, c_string, cgroup};

pub(crate) fn exec(pid: i32, rest: &Rest) {
    let pidfd = call!(SYS_pidfd_open, pid, 0);
    let v2 = rest.cgroups.iter().find(|one| cgroup::is_v2(one));
    let v2 = v2.map(|directory| open(&c_string(directory), libc::O_DIRECTORY));
    // A pid namespace is entered by the next child, so that one call before the clone serves for all namespaces.
    let all = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    for directory in rest.cgroups.iter().filter(|one| !cgroup::is_v2(one)) {
        cgroup::join(directory);
    }
    call!(SYS_setns, pidfd, all);
    let child = clone(0, v2);
    if child == 0 {
        call!(SYS_setsid);
        call!(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, c"_ses.floor".as_ptr());
        give_up_privileges();
        execute(&rest.program);
    }
    wait(child);
}
