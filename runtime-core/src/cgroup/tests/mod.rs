//! Real cgroups and real processes, as root: in a directory of this test's own in every hierarchy of this host.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod devices;
mod life;
mod limits;
mod signals;

use super::{Birthplace, Cgroup, CgroupRecord};
use crate::error::ErrorKind;
use crate::host::{CgroupLayout, Host};
use crate::options::CreateOptions;
use crate::plan::{CgroupPlan, Step, plan_cgroup};
use nix::unistd::Pid;
use oci_spec::runtime as spec;
use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How this host mounts cgroups.
fn layout() -> CgroupLayout {
    Host::probe().unwrap().cgroups
}

/// Whether this test can run; where it should (in continuous integration), it fails in place of a skip.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn can_make_cgroups() -> bool {
    let can = Host::probe().unwrap().privileged && layout() != CgroupLayout::None;
    if !can {
        assert!(std::env::var_os("CI").is_none(), "needs root and a mounted cgroup file system");
        eprintln!("SKIPPED: needs root and a mounted cgroup file system");
    }
    can
}

/// Only the v1 hierarchies, as on hosts that never mounted v2.
fn v1_alone() -> Option<CgroupLayout> {
    match layout() {
        CgroupLayout::Hybrid { hierarchies, .. } => Some(CgroupLayout::Hybrid { hierarchies, unified: None }),
        _ => None,
    }
}

/// v2 as if it were alone, also where v1 is mounted beside it. There it begins at a directory of the test's own, so
/// that no controller is enabled in the host's root cgroup.
fn v2_alone() -> Option<CgroupLayout> {
    match layout() {
        CgroupLayout::Hybrid { unified: Some(mountpoint), .. } => {
            let mountpoint = mountpoint.join(format!("husk-test-{}-root", std::process::id()));
            Some(CgroupLayout::Unified { mountpoint })
        }
        CgroupLayout::Unified { mountpoint } => Some(CgroupLayout::Unified { mountpoint }),
        _ => None,
    }
}

/// Every layout that this host can show; none, with a word about it, to a caller who may not make cgroups.
fn layouts() -> Vec<CgroupLayout> {
    if !can_make_cgroups() {
        return Vec::new();
    }
    let mut layouts: Vec<CgroupLayout> =
        [Some(layout()), v1_alone(), v2_alone()].into_iter().flatten().collect();
    layouts.dedup();
    assert!(layouts.len() == 3 || matches!(layouts[0], CgroupLayout::Unified { .. }), "{layouts:?}");
    layouts
}

/// `husk-test-PID-N`, which every test has for itself.
fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("husk-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn plan_at(layout: &CgroupLayout, path: &str, resources: &Value) -> CgroupPlan {
    let linux = json!({ "cgroupsPath": path, "resources": resources });
    let linux: spec::Linux = serde_json::from_value(linux).unwrap();
    let mut problems = Vec::new();
    let id = "test".parse().unwrap();
    let options = CreateOptions::new();
    let host = Host { cgroups: layout.clone(), privileged: true, ..Host::probe().unwrap() };
    let plan = plan_cgroup(Some(&linux), &id, &host, &options, &mut problems);
    assert_eq!(problems, []);
    plan
}

/// A cgroup of the test's own, gone at its end, with the directory that was made around it.
struct Fixture {
    plan: CgroupPlan,
    cgroup: Cgroup,
}

impl Fixture {
    fn new(layout: &CgroupLayout, resources: Value) -> Fixture {
        let plan = plan_at(layout, &format!("/{}/inner", name()), &resources);
        for directory in plan.directories.iter().filter(|directory| directory.is_v2()) {
            // See v2_alone.
            let _ = fs::create_dir(&directory.mountpoint);
        }
        let cgroup = Cgroup::create(&plan).unwrap();
        let fixture = Fixture { plan, cgroup };
        fixture.cgroup.apply(&fixture.plan).unwrap();
        fixture
    }

    fn read(&self, controller: &str, file: &str) -> String {
        let record = self.cgroup.record().0;
        let directory = record.get(controller).or_else(|| record.get("")).unwrap();
        fs::read_to_string(directory.join(file)).unwrap().trim().to_owned()
    }

    fn spawn(&self, script: &str) -> Child {
        spawn_in(&self.cgroup.birthplace().unwrap(), script)
    }

    /// Runs a script in the cgroup to its end; whether it succeeded.
    fn succeeds(&self, script: &str) -> bool {
        self.spawn(&format!("exec 2>&-; {script}")).wait().unwrap().success()
    }

    fn kill_and_reap(&self, mut child: Child) {
        self.cgroup.kill(libc::SIGKILL).unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.cgroup.kill(libc::SIGKILL);
        let undone = self.cgroup.undo();
        for directory in &self.plan.directories {
            // The last test to use it removes it.
            if directory.mountpoint.to_string_lossy().contains("husk-test-") {
                let _ = fs::remove_dir(&directory.mountpoint);
            }
        }
        if !std::thread::panicking() {
            undone.unwrap();
            for directory in &self.plan.directories {
                assert!(!directory.path.parent().unwrap().exists(), "{:?} is left", directory.path);
            }
        }
    }
}

/// A shell that writes itself into the cgroup, as a container's process does, before it goes on.
fn spawn_in(birthplace: &Birthplace, script: &str) -> Child {
    let mut enter = String::new();
    let parent = std::process::id();
    for fd in &birthplace.procs {
        enter.push_str(&format!("echo 0 >/proc/{parent}/fd/{} || exit 99; ", fd.as_raw_fd()));
    }
    // Only clone3 makes use of the directory itself.
    if let Some(into) = &birthplace.into {
        enter.push_str(&format!("echo 0 >/proc/{parent}/fd/{}/cgroup.procs || exit 99; ", into.as_raw_fd()));
    }
    let script = format!("{enter} echo in; exec >&-; {script}");
    let mut child = Command::new("/bin/sh").arg("-c").arg(script).stdout(Stdio::piped()).spawn().unwrap();
    // The fds have to stay open until it is in.
    let mut answer = String::new();
    child.stdout.as_mut().unwrap().read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "in\n");
    child
}

fn pid_of(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within 10 s");
        sleep(Duration::from_millis(2));
    }
}

/// Waits until so many of its processes execute sleep(1): what a shell has only forked still has its traps.
fn wait_for_sleepers(cgroup: &Cgroup, count: usize) {
    let sleeps =
        |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n");
    wait_until("sleepers", || cgroup.pids().unwrap().iter().filter(|pid| sleeps(pid)).count() == count);
}

/// How much processor time the processes of a cgroup have used; what stands still uses none.
fn cpu_ticks(pids: &[i32]) -> u64 {
    let ticks = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<u64> =
            stat.rsplit(") ").next().unwrap().split(' ').filter_map(|f| f.parse().ok()).collect();
        // The fields 14 and 15, of which the first three are not among these.
        fields.get(10).unwrap_or(&0) + fields.get(11).unwrap_or(&0)
    };
    pids.iter().map(ticks).sum()
}
