//! What a command costs in system calls and page faults, held against `budget.txt`. These numbers stay the same on a
//! busy machine, which times do not; so this is where a start that has become dearer is noticed.

use std::fs;

use husk_conformance::suite::Case;
use husk_conformance::{Container, Invocation, Lab, Outcome, Stop, case, unprovided};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(run_costs_what_it_did, lacks "runc": "the budget is husk's", "crun": "the budget is husk's"),
        case!(exec_costs_what_it_did, lacks "runc": "the budget is husk's", "crun": "the budget is husk's"),
        case!(state_costs_what_it_did, lacks "runc": "the budget is husk's", "crun": "the budget is husk's"),
    ]
}

/// A system call now and then has to be made again, so the cheapest of some attempts counts. How many pages are mapped at
/// once differs between kernels, and with what the page cache holds of the binary.
const ATTEMPTS: u32 = 3;
const MORE_CALLS_PERCENT: u64 = 1;
const MORE_FAULTS_PERCENT: u64 = 10;

/// In a mount namespace with cgroup v2 alone, whatever the machine has: each v1 hierarchy would cost calls of its own.
const ON_CGROUP_V2: [&str; 6] = [
    "--mount",
    "--propagation=private",
    "/bin/sh",
    "-c",
    "mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec \"$@\"",
    "husk-budget",
];

/// The numbers of one command in the budget: system calls, page faults.
fn budget(command: &str) -> Result<[u64; 2], Stop> {
    let lines = include_str!("budget.txt").lines().filter(|line| !line.starts_with('#'));
    let mut rows = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    match rows.find(|row| row.first() == Some(&command)).as_deref() {
        Some([_, calls, faults]) => Ok([calls.parse()?, faults.parse()?]),
        _ => Err(Stop::Failed(format!("budget.txt says nothing of {command}"))),
    }
}

/// Runs the same command with its system calls counted, and again with its page faults counted.
fn compare(
    container: &Container<'_>,
    command: &str,
    invocation: impl Fn() -> Result<Invocation, Stop>,
) -> Outcome {
    let list = container.directory.join("calls").display().to_string();
    let busybox = container.rootfs().join("bin/busybox").display().to_string();
    let (mut calls, mut faults) = (u64::MAX, u64::MAX);
    for _ in 0..ATTEMPTS {
        let strace = ["strace", "-f", "-c", "-o", &list];
        invocation()?.wrapped("unshare", &[&ON_CGROUP_V2[..], &strace].concat())?.output()?.ok();
        calls = calls.min(counted(&fs::read_to_string(&list)?));
        let time = [busybox.as_str(), "time", "-v"];
        let timed = invocation()?.wrapped("unshare", &[&ON_CGROUP_V2[..], &time].concat())?.output()?.ok();
        let line =
            timed.stderr.lines().find(|line| line.contains("Minor (reclaiming a frame) page faults: "));
        let number = line.and_then(|line| line.rsplit(' ').next());
        faults = faults.min(number.unwrap_or_default().parse()?);
    }
    let [most_calls, most_faults] = budget(command)?;
    assert!(
        calls * 100 <= most_calls * (100 + MORE_CALLS_PERCENT)
            && faults * 100 <= most_faults * (100 + MORE_FAULTS_PERCENT),
        "{command} costs {calls} system calls and {faults} page faults; tests/conformance/budget.txt allows \
         {most_calls} and {most_faults}.\n{}",
        fs::read_to_string(&list)?
    );
    Ok(())
}

/// The fourth column of `strace -c`.
fn counted(list: &str) -> u64 {
    let rows = list.lines().filter(|line| !line.ends_with(" total"));
    rows.filter_map(|row| row.split_whitespace().nth(3)?.parse::<u64>().ok()).sum()
}

/// The budget is that of the binary which people install: the tools and that binary have to be there.
fn container(lab: &Lab) -> Result<Container<'_>, Stop> {
    if lab.runtime.label.starts_with("husk") && is_dynamic(&fs::read(&lab.runtime.path)?) {
        return unprovided("the budget is that of the static release binary");
    }
    if !std::process::Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()) {
        return unprovided("there is no strace to count system calls");
    }
    if fs::read_to_string("/proc/cpuinfo")?.contains("User Mode Linux") {
        return Err(Stop::Unable(
            "User Mode Linux cannot map a program anew, and the budget is for those who can".to_owned(),
        ));
    }
    let mut container = lab.container()?;
    container.config.args(&["/bin/true"]);
    Ok(container)
}

/// Whether a 64-bit ELF file names an interpreter (elf(5), PT_INTERP).
fn is_dynamic(file: &[u8]) -> bool {
    let number = |at: usize, length: usize| {
        let bytes = file.get(at..at + length).unwrap_or_default();
        bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte))
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|index| number(table + index * size, 4) == 3)
}

fn run_costs_what_it_did(lab: &Lab) -> Outcome {
    let container = container(lab)?;
    compare(&container, "run", || container.run_with(&[]))
}

/// With a container that runs, which has its cgroup where the commands look for it.
fn with_one_up(lab: &Lab, compare: impl Fn(&Container<'_>) -> Outcome) -> Outcome {
    let mut container = container(lab)?;
    container.config.args(&["/bin/sleep", "1000"]);
    container.run_with(&["--detach"])?.wrapped("unshare", &ON_CGROUP_V2)?.output()?.ok();
    let compared = compare(&container);
    let delete = container.runtime(["delete", "--force", &container.id])?;
    delete.wrapped("unshare", &ON_CGROUP_V2)?.output()?.ok();
    compared
}

fn exec_costs_what_it_did(lab: &Lab) -> Outcome {
    with_one_up(lab, |container| compare(container, "exec", || container.exec_with(&[], &["/bin/true"])))
}

fn state_costs_what_it_did(lab: &Lab) -> Outcome {
    with_one_up(lab, |container| compare(container, "state", || container.runtime(["state", &container.id])))
}
