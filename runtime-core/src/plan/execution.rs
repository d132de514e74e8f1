//! How the kernel runs a process: its scheduling policy, its turn at the disks, its processors, its execution domain
//! (runtime-spec config.md, "Linux Process", and config-linux.md, "Personality").

use super::problems::{Pointer, Problems};
use crate::spec::{
    ExecCPUAffinity, IOPriorityClass, LinuxIOPriority, LinuxPersonality, LinuxPersonalityDomain,
    LinuxSchedulerFlag, LinuxSchedulerPolicy, Scheduler,
};
use std::fmt;

/// A scheduling policy and its parameters, for sched_setattr(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerPlan {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// The nice value, -20 to 19, of an ordinary policy.
    pub nice: i32,
    /// 1 to 99 with a real-time policy, else 0.
    pub priority: u32,
    /// `SCHED_DEADLINE`: how long it may run in each period.
    pub runtime_ns: u64,
    /// Likewise: by when, counted from the period's start.
    pub deadline_ns: u64,
    /// Likewise: how long a period is.
    pub period_ns: u64,
}

/// A class and a level in it, for ioprio_set(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoPriorityPlan {
    /// `IOPRIO_CLASS_*`.
    pub class: u16,
    /// 0, the first, to 7.
    pub level: u16,
}

/// Processors, for sched_setaffinity(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuSet {
    /// Processor N is bit N % 64 of word N / 64.
    pub words: Vec<u64>,
}

/// A list such as `0-3,7` (cpuset(7), "List format").
impl std::str::FromStr for CpuSet {
    type Err = String;

    fn from_str(list: &str) -> Result<CpuSet, String> {
        numbers(list, CPUS, "processor").map(|words| CpuSet { words })
    }
}

/// As one number, the way taskset(1) shows it.
impl fmt::LowerHex for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.words.iter().rev().skip_while(|&&word| word == 0);
        let prefix = if f.alternate() { "0x" } else { "" };
        write!(f, "{prefix}{:x}", words.next().unwrap_or(&0))?;
        words.try_for_each(|word| write!(f, "{word:016x}"))
    }
}

/// Where an executed process may run. A container's first one may run on every processor that its cgroup has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AffinityPlan {
    /// Until it has entered the container's cgroup; the caller's own processors when not given.
    pub initial: Option<CpuSet>,
    /// From then on; every processor of the cgroup when not given.
    pub last: Option<CpuSet>,
}

/// More processors than any kernel is built for (`NR_CPUS`, 8192 at most).
const CPUS: usize = 8192;

/// Each policy, its name and its number (sched(7)); `SCHED_ISO` has a number and no code.
const POLICIES: [(LinuxSchedulerPolicy, &str, u32); 6] = [
    (LinuxSchedulerPolicy::SchedOther, "SCHED_OTHER", 0),
    (LinuxSchedulerPolicy::SchedFifo, "SCHED_FIFO", 1),
    (LinuxSchedulerPolicy::SchedRr, "SCHED_RR", 2),
    (LinuxSchedulerPolicy::SchedBatch, "SCHED_BATCH", 3),
    (LinuxSchedulerPolicy::SchedIdle, "SCHED_IDLE", 5),
    (LinuxSchedulerPolicy::SchedDeadline, "SCHED_DEADLINE", 6),
];

/// `/process/scheduler`.
pub(super) fn plan_scheduler(
    scheduler: Option<&Scheduler>,
    at: &Pointer<'_>,
    problems: &mut Problems,
) -> Option<SchedulerPlan> {
    use LinuxSchedulerPolicy::{SchedDeadline, SchedFifo, SchedRr};
    let scheduler = scheduler?;
    let policy = *scheduler.policy();
    let Some((_, name, number)) = POLICIES.iter().find(|row| row.0 == policy) else {
        problems.add(&at.key("policy"), format!("Linux has no policy {policy}"));
        return None;
    };
    let nice = scheduler.nice().unwrap_or(0);
    if !(-20..=19).contains(&nice) {
        problems.add(&at.key("nice"), format!("{nice} is out of range: -20 to 19"));
    }
    let priority = scheduler.priority().unwrap_or(0);
    let (lowest, highest) = if matches!(policy, SchedFifo | SchedRr) { (1, 99) } else { (0, 0) };
    if !(lowest..=highest).contains(&priority) {
        problems.add(
            &at.key("priority"),
            format!("{priority} is out of range for {name}: {lowest} to {highest}"),
        );
    }
    let times = [
        ("runtime", scheduler.runtime().unwrap_or(0)),
        ("deadline", scheduler.deadline().unwrap_or(0)),
        ("period", scheduler.period().unwrap_or(0)),
    ];
    let [(_, runtime_ns), (_, deadline_ns), (_, period_ns)] = times;
    if policy != SchedDeadline {
        for (key, _) in times.iter().filter(|(_, time)| *time != 0) {
            problems.add(&at.key(key), format!("is for SCHED_DEADLINE, not for {name}"));
        }
    } else if runtime_ns == 0 || runtime_ns > deadline_ns || period_ns != 0 && deadline_ns > period_ns {
        problems.add(at, "SCHED_DEADLINE needs 0 < runtime <= deadline <= period, in nanoseconds");
    }
    let flags = scheduler.flags().as_deref().unwrap_or_default();
    let flags = flags.iter().enumerate().fold(0, |all, (index, flag)| {
        all | plan_flag(*flag).unwrap_or_else(|message| {
            problems.add(&at.key("flags").item(index), message);
            0
        })
    });
    let priority = priority.unsigned_abs();
    Some(SchedulerPlan { policy: *number, flags, nice, priority, runtime_ns, deadline_ns, period_ns })
}

/// `SCHED_FLAG_*`, sched_setattr(2).
fn plan_flag(flag: LinuxSchedulerFlag) -> Result<u64, String> {
    match flag {
        LinuxSchedulerFlag::SchedResetOnFork => Ok(0x01),
        LinuxSchedulerFlag::SchedFlagReclaim => Ok(0x02),
        LinuxSchedulerFlag::SchedFlagDLOverrun => Ok(0x04),
        LinuxSchedulerFlag::SchedFlagKeepPolicy => Ok(0x08),
        LinuxSchedulerFlag::SchedFlagKeepParams => Ok(0x10),
        LinuxSchedulerFlag::SchedFlagUtilClampMin | LinuxSchedulerFlag::SchedFlagUtilClampMax => {
            Err("clamps to a utilization, for which the specification has no field".to_owned())
        }
    }
}

impl fmt::Display for SchedulerPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = POLICIES.iter().find(|row| row.2 == self.policy).map_or("an unknown policy", |row| row.1);
        f.write_str(name)?;
        if self.nice != 0 {
            write!(f, ", nice {}", self.nice)?;
        }
        if self.priority != 0 {
            write!(f, ", priority {}", self.priority)?;
        }
        if self.runtime_ns != 0 {
            write!(f, ", {} ns within {} ns", self.runtime_ns, self.deadline_ns)?;
        }
        if self.period_ns != 0 {
            write!(f, " of every {} ns", self.period_ns)?;
        }
        if self.flags != 0 { write!(f, ", flags {:#x}", self.flags) } else { Ok(()) }
    }
}

/// `/process/ioPriority`.
pub(super) fn plan_io_priority(
    priority: Option<&LinuxIOPriority>,
    at: &Pointer<'_>,
    problems: &mut Problems,
) -> Option<IoPriorityPlan> {
    let priority = priority?;
    let class = match priority.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    let level = priority.priority();
    match u16::try_from(level) {
        Ok(level @ 0..=7) => Some(IoPriorityPlan { class, level }),
        _ => {
            problems.add(&at.key("priority"), format!("{level} is out of range: 0 to 7"));
            None
        }
    }
}

impl fmt::Display for IoPriorityPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            1 => "real-time",
            2 => "best-effort",
            _ => "idle",
        };
        write!(f, "{class}, level {}", self.level)
    }
}

/// `/process/execCPUAffinity`.
pub(super) fn plan_affinity(
    affinity: Option<&ExecCPUAffinity>,
    at: &Pointer<'_>,
    problems: &mut Problems,
) -> AffinityPlan {
    let Some(affinity) = affinity else { return AffinityPlan::default() };
    let mut set = |key: &str, list: Option<&str>| {
        let list = list.filter(|list| !list.is_empty())?;
        let words = numbers(list, CPUS, "processor");
        words.map(|words| CpuSet { words }).map_err(|message| problems.add(&at.key(key), message)).ok()
    };
    AffinityPlan {
        initial: set("initial", affinity.initial().as_deref()),
        last: set("final", affinity.cpu_affinity_final().as_deref()),
    }
}

/// A list such as `0-3,7` (cpuset(7), "List format"), as bits. `what` they count, of which there are fewer than `limit`.
pub(super) fn numbers(list: &str, limit: usize, what: &str) -> Result<Vec<u64>, String> {
    let number = |text: &str| {
        let number: usize =
            text.trim().parse().map_err(|_| format!("{list:?} is no list of {what}s, such as 0-3,7"))?;
        if number < limit {
            Ok(number)
        } else {
            Err(format!("there is no {what} {number}: at most {}", limit - 1))
        }
    };
    let mut words = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("{part:?} counts backwards"));
        }
        if words.len() <= last / 64 {
            words.resize(last / 64 + 1, 0);
        }
        for cpu in first..=last {
            words[cpu / 64] |= 1 << (cpu % 64);
        }
    }
    Ok(words)
}

/// `/linux/personality`: the domain, for personality(2).
pub(super) fn plan_personality(
    personality: Option<&LinuxPersonality>,
    at: &Pointer<'_>,
    problems: &mut Problems,
) -> Option<u32> {
    let personality = personality?;
    if personality.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        problems.add(&at.key("flags"), "the specification has no flags yet");
    }
    Some(match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0x0000,
        LinuxPersonalityDomain::PerLinux32 => 0x0008,
    })
}

#[cfg(test)]
mod tests {
    use super::{CpuSet, numbers};

    #[test]
    fn processors_as_a_number() {
        for (list, number) in [("0", "0x1"), ("0-3,7", "0x8f"), ("64", "0x10000000000000000")] {
            assert_eq!(format!("{:#x}", list.parse::<CpuSet>().expect(list)), number);
        }
    }

    #[test]
    fn lists_of_processors() {
        for (list, words) in [
            ("0", &[1][..]),
            ("0-3,7", &[0x8f]),
            ("63,64", &[1 << 63, 1]),
            ("130", &[0, 0, 4]),
            ("1,1-2", &[6]),
        ] {
            assert_eq!(numbers(list, 8192, "processor").expect(list), words, "{list}");
        }
        assert_eq!(numbers("0-8191", 8192, "processor").expect("all"), [u64::MAX; 128]);
        for list in ["a", "3-1", "8192", "99999999999999999999", "1,", "-1", "1-"] {
            numbers(list, 8192, "processor").expect_err(list);
        }
    }
}
