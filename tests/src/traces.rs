//! What the host still shows of a container: processes, mounts, cgroups, files.
//!
//! Other containers come and go on the same machine while a test runs, so nothing here compares the whole
//! host: a container is found by its id, which is unique and stands in its cgroup, in its bundle's path, and
//! in the command line, the environment or the directory of each process that serves it.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use crate::Stop;

/// One line for each thing of the container `id` that is still there.
pub fn of(id: &str, state_root: &Path) -> Result<Vec<String>, Stop> {
    let mut found = Vec::new();
    for pid in pids().filter(|pid| is_alive(*pid) && mentions(*pid, id)) {
        found.push(format!("process {pid} ({})", command_line(pid).trim()));
    }
    for line in fs::read_to_string("/proc/self/mountinfo")?.lines().filter(|line| line.contains(id)) {
        found.push(format!("mount {}", line.split(' ').nth(4).unwrap_or_default()));
    }
    found.extend(cgroups(id).iter().map(|path| format!("cgroup {}", path.display())));
    // systemd writes a file for each transient unit that it knows.
    let units = Path::new("/run/systemd/transient");
    for directory in [state_root, Path::new("/run"), units, &std::env::temp_dir()] {
        // What this very run keeps in the temporary directory has another name.
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().contains(id));
        found.extend(named.map(|entry| format!("file {}", entry.path().display())));
    }
    Ok(found)
}

/// Kills the processes of the container `id` and removes its cgroups.
pub fn remove(id: &str) {
    for pid in processes(id) {
        let _ = kill(pid, Signal::SIGKILL);
    }
    for _ in 0..50 {
        let cgroups = cgroups(id);
        // Children first; a cgroup can be removed only after its processes have been reaped.
        if cgroups.iter().rev().filter(|path| fs::remove_dir(path).is_err()).count() == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Removes a directory of the tests, unless something is mounted inside that cannot be unmounted:
/// what a failing runtime left mounted there may be a directory of the host.
pub fn remove_directory(directory: &Path) {
    for place in mounted_below(directory).iter().rev() {
        let _ = umount2(place, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
    }
    if mounted_below(directory).is_empty() {
        let _ = fs::remove_dir_all(directory);
    }
}

fn mounted_below(directory: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("a process can read its own mounts");
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    places.filter(|place| place.starts_with(directory)).collect()
}

/// The processes that serve the container, zombies not among them: those in a cgroup of its name, in one of its directories,
/// or with its id as an argument or in their environment. Not everybody who speaks of it: a person may be reading its log.
pub fn processes(id: &str) -> Vec<Pid> {
    pids().filter(|pid| is_alive(*pid) && serves(*pid, id)).collect()
}

fn pids() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw);
    pids.filter(|pid| *pid != getpid())
}

fn file_of(pid: Pid, name: &str) -> String {
    let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn directory_of(pid: Pid) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default()
}

fn mentions(pid: Pid, id: &str) -> bool {
    ["cgroup", "cmdline", "environ"].iter().any(|name| file_of(pid, name).contains(id))
        || directory_of(pid).to_string_lossy().contains(id)
}

fn serves(pid: Pid, id: &str) -> bool {
    let is_in_environment = |environ: String| environ.split(['\0', '=', ':', '/']).any(|word| word == id);
    file_of(pid, "cgroup").contains(id)
        || file_of(pid, "cmdline").split('\0').any(|argument| argument == id)
        // A hook is in no cgroup of the container, but starts in the bundle, or is given the id by the test.
        || directory_of(pid).iter().any(|name| name == id)
        || is_in_environment(file_of(pid, "environ"))
}

fn is_alive(pid: Pid) -> bool {
    // The state is the first field after the parenthesised name.
    file_of(pid, "stat").rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn command_line(pid: Pid) -> String {
    file_of(pid, "cmdline").replace('\0', " ")
}

/// Every cgroup directory with `id` in its name, parents before children, in all hierarchies.
pub fn cgroups(id: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), &mut |path| {
        if path.to_string_lossy().contains(id) {
            found.push(path.to_owned());
        }
    });
    found
}

fn walk(directory: &Path, visit: &mut impl FnMut(&Path)) {
    visit(directory);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
}
