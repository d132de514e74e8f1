//! What the kernel says of this process, to see that a library that it calls changes nothing of it.

use std::path::Path;

/// What the kernel says of this process: umask, signals, capabilities, threads, limits, namespaces and so on.
pub(crate) fn caller() -> Vec<String> {
    let is_steady = |line: &String| {
        !["Vm", "Rss", "voluntary", "nonvoluntary", "Cpus", "Mems", "Hugetlb", "SigQ", "FDSize"]
            .iter()
            .any(|key| line.starts_with(key))
    };
    let mut all: Vec<String> = lines("/proc/thread-self/status").into_iter().filter(is_steady).collect();
    for file in ["limits", "cgroup", "oom_score_adj", "comm", "personality"] {
        all.extend(lines(&format!("/proc/thread-self/{file}")));
    }
    for entry in names(Path::new("/proc/thread-self/ns")) {
        all.push(format!("{:?}", std::fs::read_link(entry.path())));
    }
    all.push(format!("cwd {:?}", std::env::current_dir()));
    all.push(format!("environment {:?}", std::env::vars_os().collect::<Vec<_>>()));
    all.push(format!("dumpable {:?}", nix::sys::prctl::get_dumpable()));
    all.push(format!("subreaper {:?}", nix::sys::prctl::get_child_subreaper()));
    all
}

/// From here on this thread is root by name only.
pub(crate) fn drop_privileges() {
    use caps::{CapSet, Capability};
    for capability in [Capability::CAP_SYS_ADMIN, Capability::CAP_SETUID, Capability::CAP_SETGID] {
        for set in [CapSet::Effective, CapSet::Permitted] {
            caps::drop(None, set, capability).expect("drop a capability");
        }
    }
}

pub(crate) fn lines(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("read a file of /proc");
    text.lines().map(str::to_owned).collect()
}

pub(crate) fn names(directory: &Path) -> Vec<std::fs::DirEntry> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(Result::ok).collect()
}
