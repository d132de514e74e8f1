//! Resource limits (runtime-spec config.md, "POSIX process"; getrlimit(2)).

use super::problems::{Pointer, Problems};
use crate::spec::{PosixRlimit, PosixRlimitType};

/// One limit, for prlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RlimitPlan {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Soft limit, in the resource's own unit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
    /// Its index in `/process/rlimits`.
    pub item: u32,
}

impl RlimitPlan {
    /// `RLIMIT_NOFILE`, say.
    #[must_use]
    pub fn name(&self) -> &'static str {
        RLIMITS.iter().find(|(_, _, number)| *number == self.resource).map_or("an unknown limit", |row| row.1)
    }
}

/// `/process/rlimits`.
pub(super) fn plan(rlimits: &[PosixRlimit], place: &Pointer<'_>, problems: &mut Problems) -> Vec<RlimitPlan> {
    let mut plans: Vec<RlimitPlan> = Vec::with_capacity(rlimits.len());
    for (index, rlimit) in rlimits.iter().enumerate() {
        let place = place.item(index);
        let name = rlimit.typ();
        let plan = RlimitPlan {
            resource: resource(name),
            soft: rlimit.soft(),
            hard: rlimit.hard(),
            item: u32::try_from(index).unwrap_or(u32::MAX),
        };
        if plan.soft > plan.hard {
            let RlimitPlan { soft, hard, .. } = plan;
            problems.add(&place, format!("the soft limit {soft} of {name} is above its hard limit {hard}"));
        }
        if plans.iter().any(|other| other.resource == plan.resource) {
            problems.add(&place, format!("{name} is listed twice"));
        } else {
            plans.push(plan);
        }
    }
    plans
}

/// Every limit: as the spec's types name it, as people do, and its number (getrlimit(2)).
const RLIMITS: [(PosixRlimitType, &str, u32); 16] = [
    (PosixRlimitType::RlimitCpu, "RLIMIT_CPU", libc::RLIMIT_CPU),
    (PosixRlimitType::RlimitFsize, "RLIMIT_FSIZE", libc::RLIMIT_FSIZE),
    (PosixRlimitType::RlimitData, "RLIMIT_DATA", libc::RLIMIT_DATA),
    (PosixRlimitType::RlimitStack, "RLIMIT_STACK", libc::RLIMIT_STACK),
    (PosixRlimitType::RlimitCore, "RLIMIT_CORE", libc::RLIMIT_CORE),
    (PosixRlimitType::RlimitRss, "RLIMIT_RSS", libc::RLIMIT_RSS),
    (PosixRlimitType::RlimitNproc, "RLIMIT_NPROC", libc::RLIMIT_NPROC),
    (PosixRlimitType::RlimitNofile, "RLIMIT_NOFILE", libc::RLIMIT_NOFILE),
    (PosixRlimitType::RlimitMemlock, "RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK),
    (PosixRlimitType::RlimitAs, "RLIMIT_AS", libc::RLIMIT_AS),
    (PosixRlimitType::RlimitLocks, "RLIMIT_LOCKS", libc::RLIMIT_LOCKS),
    (PosixRlimitType::RlimitSigpending, "RLIMIT_SIGPENDING", libc::RLIMIT_SIGPENDING),
    (PosixRlimitType::RlimitMsgqueue, "RLIMIT_MSGQUEUE", libc::RLIMIT_MSGQUEUE),
    (PosixRlimitType::RlimitNice, "RLIMIT_NICE", libc::RLIMIT_NICE),
    (PosixRlimitType::RlimitRtprio, "RLIMIT_RTPRIO", libc::RLIMIT_RTPRIO),
    (PosixRlimitType::RlimitRttime, "RLIMIT_RTTIME", libc::RLIMIT_RTTIME),
];

fn resource(name: PosixRlimitType) -> u32 {
    RLIMITS.iter().find(|row| row.0 == name).map_or(u32::MAX, |row| row.2)
}
