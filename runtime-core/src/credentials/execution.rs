//! How the kernel runs the process and where its memory is, set while it still may: the order does not matter, the privilege does
//! (CAP_SYS_NICE for what is better than ordinary).

use crate::plan::{CpuSet, ProcessPlan, Step};
use crate::recorder::Recorder;
use crate::sys::{self, Result, SchedAttr};

/// The execution domain, the memory policy, the scheduling policy and the I/O priority.
pub(crate) fn set(plan: &ProcessPlan, recorder: &Recorder) -> Result<()> {
    if let Some(domain) = plan.personality {
        recorder.at(Step::Personality)?;
        sys::personality(domain)?;
    }
    if let Some(policy) = &plan.memory_policy {
        recorder.at(Step::MemoryPolicy)?;
        sys::set_mempolicy(policy.mode, &policy.nodes)?;
    }
    if let Some(scheduler) = plan.scheduler {
        recorder.at(Step::Scheduler)?;
        sys::sched_setattr(SchedAttr {
            policy: scheduler.policy,
            flags: scheduler.flags,
            nice: scheduler.nice,
            priority: scheduler.priority,
            runtime_ns: scheduler.runtime_ns,
            deadline_ns: scheduler.deadline_ns,
            period_ns: scheduler.period_ns,
            size: 0,
        })?;
    }
    if let Some(priority) = plan.io_priority {
        recorder.at(Step::IoPriority)?;
        sys::ioprio_set(priority.class, priority.level)?;
    }
    Ok(())
}

/// These processors, or every one that the cgroup has: what the caller is bound to is no matter of the container's.
pub(crate) fn bind(cpus: Option<&CpuSet>) -> Result<()> {
    match cpus {
        Some(cpus) => sys::sched_setaffinity(&cpus.words),
        None => sys::sched_setaffinity(&[u64::MAX; 128]),
    }
}
