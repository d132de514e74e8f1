//! `floor run`: a container's whole life, in the order of husk's steps.

use crate::call::{EMPTY, call, clone, execute, give_up_privileges, install_filter, open, wait};
use crate::{Rest, c_string, cgroup};
use std::ffi::CStr;
use std::io::Write;
use std::time::Instant;

const SET_FLAG: i32 = 0;
const SET_STRING: i32 = 1;
const CREATE: i32 = 6;
const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;
const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const STRICTATIME: u64 = libc::MOUNT_ATTR_STRICTATIME;
/// open_tree(2) with OPEN_TREE_CLONE and O_CLOEXEC, of the fd itself.
const TREE: i32 = 1 | libc::O_CLOEXEC | libc::AT_EMPTY_PATH;
/// move_mount(2) from one fd onto another.
const FD_ONTO_FD: i32 = 0x04 | 0x40;

pub(crate) fn run(rootfs: &str, rest: &Rest) {
    let mut v2 = None;
    for directory in &rest.cgroups {
        v2 = cgroup::make(directory).or(v2);
    }
    let rootfs = open(&c_string(rootfs), libc::O_PATH | libc::O_DIRECTORY);
    let tree = call!(SYS_open_tree, rootfs, EMPTY.as_ptr(), TREE | libc::AT_RECURSIVE);
    let new =
        libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let started = Instant::now();
    let pid = clone(new, v2);
    if pid == 0 {
        contained(tree, rest);
    }
    wait(pid);
    if !rest.resident.is_empty() {
        // Without the time that it took to touch so much.
        writeln!(std::io::stdout(), "{}", started.elapsed().as_secs_f64()).expect("stdout takes a line");
    }
    rest.cgroups.iter().for_each(|directory| cgroup::remove(directory));
}

fn contained(root: i32, rest: &Rest) -> ! {
    let v1: Vec<&str> = rest.cgroups.iter().map(String::as_str).filter(|one| !cgroup::is_v2(one)).collect();
    for directory in &v1 {
        cgroup::fill_cpuset(directory);
        cgroup::join(directory);
    }
    call!(SYS_setsid);
    call!(SYS_unshare, libc::CLONE_NEWCGROUP);
    loopback_up();
    call!(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, c"_ses.floor".as_ptr());
    call!(SYS_mount, 0, c"/".as_ptr(), 0, libc::MS_REC | libc::MS_SLAVE, 0);
    call!(SYS_move_mount, root, EMPTY.as_ptr(), libc::AT_FDCWD, c"/".as_ptr(), FD_ONTO_FD);

    mount(root, c"proc", c"proc", &[], 0);
    mount(root, c"dev", c"tmpfs", &[(c"mode", c"755"), (c"size", c"65536k")], NOSUID | STRICTATIME);
    for directory in [c"dev/pts", c"dev/shm", c"dev/mqueue"] {
        call!(SYS_mkdirat, root, directory.as_ptr(), 0o755);
    }
    let devpts = [(c"newinstance", EMPTY), (c"ptmxmode", c"0666"), (c"mode", c"0620"), (c"gid", c"5")];
    mount(root, c"dev/pts", c"devpts", &devpts, NOSUID | NOEXEC);
    mount(root, c"dev/shm", c"tmpfs", &[(c"mode", c"1777"), (c"size", c"65536k")], NOSUID | NODEV | NOEXEC);
    mount(root, c"dev/mqueue", c"mqueue", &[], NOSUID | NODEV | NOEXEC);
    mount(root, c"sys", c"sysfs", &[], RDONLY | NOSUID | NODEV | NOEXEC);
    mount_cgroups(root, &v1);
    devices(root);
    hide(root);
    let attributes = [RDONLY, 0, 0, 0];
    call!(SYS_mount_setattr, root, EMPTY.as_ptr(), libc::AT_EMPTY_PATH, attributes.as_ptr(), 32);

    let old = open(c"/", libc::O_PATH | libc::O_DIRECTORY);
    call!(SYS_fchdir, root);
    call!(SYS_pivot_root, c".".as_ptr(), c".".as_ptr());
    call!(SYS_fchdir, old);
    call!(SYS_umount2, c".".as_ptr(), libc::MNT_DETACH);
    call!(SYS_chdir, c"/".as_ptr());
    call!(SYS_sethostname, c"floor".as_ptr(), 5);
    give_up_privileges();
    if let Some(filter) = &rest.filter {
        install_filter(filter);
    }
    execute(&rest.program)
}

fn loopback_up() {
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
    // struct ifreq: a name of 16 bytes, then the flags (IFF_UP is 1), in 40 bytes.
    let mut request = [0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16..18].copy_from_slice(&1_u16.to_ne_bytes());
    call!(SYS_ioctl, socket, libc::SIOCSIFFLAGS, request.as_ptr());
    call!(SYS_close, socket);
}

/// A new file system at a place below the root. An option without a value is a flag.
fn mount(root: i32, place: &CStr, kind: &CStr, options: &[(&CStr, &CStr)], attributes: u64) {
    let context = call!(SYS_fsopen, kind.as_ptr(), 1);
    for (key, value) in options {
        match value.is_empty() {
            true => call!(SYS_fsconfig, context, SET_FLAG, key.as_ptr(), 0, 0),
            false => call!(SYS_fsconfig, context, SET_STRING, key.as_ptr(), value.as_ptr(), 0),
        };
    }
    call!(SYS_fsconfig, context, CREATE, 0, 0, 0);
    let mount = call!(SYS_fsmount, context, 1, attributes);
    call!(SYS_move_mount, mount, EMPTY.as_ptr(), root, place.as_ptr(), 0x04);
    call!(SYS_close, context);
    call!(SYS_close, mount);
}

/// v2: one mount. v1: a tmpfs, and in it each hierarchy under its name on the host.
fn mount_cgroups(root: i32, v1: &[&str]) {
    let attributes = RDONLY | NOSUID | NODEV | NOEXEC;
    if v1.is_empty() {
        return mount(root, c"sys/fs/cgroup", c"cgroup2", &[], attributes);
    }
    mount(root, c"sys/fs/cgroup", c"tmpfs", &[(c"mode", c"755")], NOSUID | NODEV | NOEXEC);
    for directory in v1 {
        let name = directory.trim_start_matches("/sys/fs/cgroup/").split('/').next().expect("a hierarchy");
        let place = c_string(&format!("sys/fs/cgroup/{name}"));
        call!(SYS_mkdirat, root, place.as_ptr(), 0o755);
        let option = c_string(name);
        match name {
            // A hierarchy without a controller has a name instead.
            "systemd" => mount(root, &place, c"cgroup", &[(c"none", EMPTY), (c"name", &option)], attributes),
            _ => mount(root, &place, c"cgroup", &[(&option, EMPTY)], attributes),
        }
    }
}

fn devices(root: i32) {
    call!(SYS_umask, 0);
    let nodes = [(c"null", 3), (c"zero", 5), (c"full", 7), (c"random", 8), (c"urandom", 9)];
    let dev = call!(SYS_openat, root, c"dev".as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
    for (name, minor) in nodes {
        call!(SYS_mknodat, dev, name.as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(1, minor));
    }
    call!(SYS_mknodat, dev, c"tty".as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(5, 0));
    let links = [
        (c"/proc/self/fd", c"fd"),
        (c"/proc/self/fd/0", c"stdin"),
        (c"/proc/self/fd/1", c"stdout"),
        (c"/proc/self/fd/2", c"stderr"),
        (c"pts/ptmx", c"ptmx"),
    ];
    for (target, name) in links {
        call!(SYS_symlinkat, target.as_ptr(), dev, name.as_ptr());
    }
    call!(SYS_umask, 0o022);
}

/// The read-only and the masked paths of `runc spec`, as far as this kernel has them.
fn hide(root: i32) {
    for path in [c"proc/bus", c"proc/fs", c"proc/irq", c"proc/sys", c"proc/sysrq-trigger"] {
        let Some(place) = find(root, path) else { continue };
        let tree = call!(SYS_open_tree, place, EMPTY.as_ptr(), TREE | libc::AT_RECURSIVE);
        let attributes = [RDONLY, 0, 0, 0];
        let whole = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
        call!(SYS_mount_setattr, tree, EMPTY.as_ptr(), whole, attributes.as_ptr(), 32);
        cover(tree, place);
    }
    let context = call!(SYS_fsopen, c"tmpfs".as_ptr(), 1);
    call!(SYS_fsconfig, context, SET_STRING, c"nr_inodes".as_ptr(), c"1".as_ptr(), 0);
    call!(SYS_fsconfig, context, CREATE, 0, 0, 0);
    let directory = call!(SYS_fsmount, context, 1, RDONLY | NOSUID | NODEV | NOEXEC);
    call!(SYS_close, context);
    for path in [c"proc/acpi", c"proc/asound", c"proc/scsi", c"sys/firmware"] {
        let Some(place) = find(root, path) else { continue };
        cover(call!(SYS_open_tree, directory, EMPTY.as_ptr(), TREE), place);
    }
    call!(SYS_close, directory);
    let null = call!(SYS_openat, root, c"dev/null".as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
    for path in [
        c"proc/kcore",
        c"proc/keys",
        c"proc/latency_stats",
        c"proc/timer_list",
        c"proc/timer_stats",
        c"proc/sched_debug",
    ] {
        let Some(place) = find(root, path) else { continue };
        cover(call!(SYS_open_tree, null, EMPTY.as_ptr(), TREE), place);
    }
}

fn find(root: i32, path: &CStr) -> Option<i32> {
    // SAFETY: the path is a C string. That it is missing is no failure here, so this is not `call!`.
    let fd = unsafe { libc::openat(root, path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    (fd >= 0).then_some(fd)
}

fn cover(tree: i32, place: i32) {
    call!(SYS_move_mount, tree, EMPTY.as_ptr(), place, EMPTY.as_ptr(), FD_ONTO_FD);
    call!(SYS_close, tree);
    call!(SYS_close, place);
}
