//! How the kernel runs the container's processes: scheduling policy, I/O priority, processors, memory, execution domain.

use std::fs;
use std::process::Command;

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case, unable};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(scheduler_is_the_configs, lacks "runc 1.1": "ignores process.scheduler"),
        case!(scheduler_of_an_exec_is_its_own, lacks "runc 1.1": "ignores process.scheduler"),
        case!(real_time_scheduler, lacks "runc 1.1": "ignores process.scheduler"),
        case!(deadline_beside_chosen_processors, lacks "runc 1.1": "ignores process.scheduler"),
        case!(scheduler_needs_a_privilege, lacks "runc 1.1": "ignores process.scheduler", "runc 1.3": "does not say which policy"),
        case!(io_priority_is_the_configs, lacks "runc 1.1": "ignores process.ioPriority"),
        case!(domain_is_the_configs, lacks "runc 1.1": "ignores linux.personality"),
        case!(processors_are_not_the_callers, lacks "runc 1.1": "binds a container to the processors that it is bound to"),
        case!(processors_of_an_exec_are_not_the_callers, lacks "runc 1.1": "binds a container to the processors that it is bound to"),
        case!(processors_of_an_exec_are_the_configs, lacks "runc 1.1": "ignores process.execCPUAffinity", "runc 1.3": "leaves it on the first processors where no last ones are given"),
        case!(processors_of_an_exec_are_its_own, lacks "runc 1.1": "ignores process.execCPUAffinity"),
        case!(memory_is_where_the_config_says, lacks "runc 1.1": "ignores linux.memoryPolicy", "runc 1.3": "ignores linux.memoryPolicy"),
        case!(memory_where_there_is_none, lacks "runc 1.1": "ignores linux.memoryPolicy", "runc 1.3": "ignores linux.memoryPolicy"),
        case!(processors_that_are_not_there, lacks "runc 1.1": "ignores process.execCPUAffinity", "runc 1.3": "takes no processor above 1023"),
    ]
}

/// Policy, nice value and real-time priority in a `/proc/PID/stat` (proc_pid_stat(5), fields 41, 19 and 40).
fn scheduling(stat: &str) -> [i64; 3] {
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = rest.split(' ').collect();
    [41, 19, 40].map(|number: usize| {
        fields.get(number - 3).and_then(|field| field.trim().parse().ok()).unwrap_or(i64::MIN)
    })
}

/// Runs a process of its own description.
fn exec_process(
    container: &Container<'_>,
    changes: &[(&str, Value)],
    command: &[&str],
) -> Result<String, Stop> {
    let mut process = container.config.0["process"].clone();
    process["args"] = json!(command);
    for (key, value) in changes {
        process[*key] = value.clone();
    }
    let file = container.directory.join("process.json");
    fs::write(&file, process.to_string())?;
    let exec = container.runtime(["exec", "--process", &file.to_string_lossy(), &container.id])?;
    Ok(exec.output()?.ok().stdout)
}

fn scheduler_is_the_configs(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 7}));
    container.up()?;
    assert_eq!(scheduling(&container.proc_file("stat")?), [3, 7, 0]);
    let stat = container.exec(&[], &["/bin/cat", "/proc/self/stat"])?.ok().stdout;
    assert_eq!(scheduling(&stat), [3, 7, 0], "an exec takes it over");
    Ok(())
}

fn scheduler_of_an_exec_is_its_own(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    assert_eq!(scheduling(&container.proc_file("stat")?), [0, 0, 0]);
    let idle = ("scheduler", json!({"policy": "SCHED_IDLE"}));
    let stat = exec_process(&container, &[idle], &["/bin/cat", "/proc/self/stat"])?;
    assert_eq!(scheduling(&stat), [5, 0, 0]);
    Ok(())
}

fn real_time_scheduler(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    // Kernels with RT_GROUP_SCHED and cgroup v2 give such time to nobody outside of the root cgroup.
    let here = fs::read_to_string("/proc/self/cgroup")?;
    let unified = fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok();
    let can =
        || Command::new("chrt").args(["--rr", "3", "true"]).status().is_ok_and(|status| status.success());
    if unified && here.trim() != "0::/" && !can() {
        return unable("this kernel has no real-time policy for processes in a cgroup");
    }
    if fs::metadata("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").is_ok() {
        // A new group of v1 has no time for such processes unless it is given some.
        let time = json!({"realtimeRuntime": 10_000, "realtimePeriod": 1_000_000});
        container.config.put("/linux/resources/cpu", time);
    }
    container.config.put("/process/scheduler", json!({"policy": "SCHED_RR", "priority": 3}));
    container.up()?;
    let [policy, _, priority] = scheduling(&container.proc_file("stat")?);
    assert_eq!([policy, priority], [2, 3]);
    Ok(())
}

/// The kernel promises a deadline only to who may run on all of its processors (sched(7)), and says no more than EPERM.
fn deadline_beside_chosen_processors(lab: &Lab) -> Outcome {
    if std::thread::available_parallelism()?.get() < 2 {
        return unable("this machine has one processor");
    }
    let mut container = lab.container()?;
    container.config.put("/linux/resources/cpu", json!({"cpus": "0"}));
    let times =
        json!({"policy": "SCHED_DEADLINE", "runtime": 42_000, "deadline": 1_000_000, "period": 1_000_000});
    container.config.put("/process/scheduler", times);
    container.run()?.exits(1).says(&["process scheduler can't be used together with AllowedCPUs"]);
    container.nothing_left()
}

/// Root of a user namespace is nobody to the scheduler.
fn scheduler_needs_a_privilege(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.user_namespace(100_000).without_mount("/sys/fs/cgroup");
    container.config.put("/process/scheduler", json!({"policy": "SCHED_FIFO", "priority": 3}));
    let finished = container.run()?.exits(1);
    finished.says(&["SCHED_FIFO", "/process/scheduler", "operation not permitted"]);
    container.nothing_left()
}

fn io_priority_is_the_configs(lab: &Lab) -> Outcome {
    for (class, level, seen) in
        [("IOPRIO_CLASS_BE", 6, "best-effort: prio 6"), ("IOPRIO_CLASS_RT", 1, "realtime: prio 1")]
    {
        let mut container = lab.container()?;
        container.config.put("/process/ioPriority", json!({"class": class, "priority": level}));
        container.run_sh("ionice")?.ok().prints(seen);
        container.up()?;
        container.exec(&[], &["/bin/ionice"])?.ok().prints(seen);
    }
    Ok(())
}

fn domain_is_the_configs(lab: &Lab) -> Outcome {
    let native = String::from_utf8(Command::new("uname").arg("-m").output()?.stdout)?;
    let other = Command::new("setarch").args(["linux32", "uname", "-m"]).output()?.stdout;
    if other == native.as_bytes() {
        return unable("this kernel runs no programs of 32 bits and names no other machine for them");
    }
    for (domain, is_native) in [("LINUX", true), ("LINUX32", false)] {
        let mut container = lab.container()?;
        container.config.put("/linux/personality", json!({"domain": domain}));
        let seen = container.run_sh("uname -m")?.ok().stdout;
        assert_eq!(seen == native, is_native, "{domain}: {seen}");
        container.up()?;
        assert_eq!(container.exec(&[], &["/bin/uname", "-m"])?.ok().stdout, seen, "{domain}");
    }
    Ok(())
}

/// The processors that a process of the container may run on.
const LIST: &str = "grep Cpus_allowed_list: /proc/self/status | cut -f 2";

/// All that this machine gives a container; a test of fewer needs two.
fn all_processors(lab: &Lab) -> Result<String, Stop> {
    let all = lab.container()?.run_sh(LIST)?.ok().stdout.trim().to_owned();
    if !all.starts_with("0-") && !all.starts_with("0,1") {
        return unable(format!("the processors here are {all}, and the test needs 0 and 1"));
    }
    Ok(all)
}

fn processors_are_not_the_callers(lab: &Lab) -> Outcome {
    let all = all_processors(lab)?;
    let mut container = lab.container()?;
    container.config.sh(LIST);
    container.run_with(&[])?.wrapped("taskset", &["-c", "1"])?.output()?.ok().prints(&all);
    Ok(())
}

fn processors_of_an_exec_are_not_the_callers(lab: &Lab) -> Outcome {
    let all = all_processors(lab)?;
    let mut container = lab.container()?;
    container.up()?;
    let exec = container.exec_with(&[], &["/bin/sh", "-c", LIST])?;
    exec.wrapped("taskset", &["-c", "1"])?.output()?.ok().prints(&all);
    Ok(())
}

fn processors_of_an_exec_are_the_configs(lab: &Lab) -> Outcome {
    let all = all_processors(lab)?;
    for (affinity, seen) in [
        (json!({"final": "1"}), "1"),
        (json!({"initial": "0", "final": "1"}), "1"),
        (json!({"initial": "1", "final": "0-1"}), "0-1"),
        (json!({"initial": "1"}), all.as_str()),
    ] {
        let mut container = lab.container()?;
        container.config.put("/process/execCPUAffinity", affinity);
        container.up()?;
        let status = container.proc_file("status")?;
        let own = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
        assert_eq!(own.trim(), all, "the init is not concerned");
        let expected = container.proc_file("cgroup")?;
        let script = format!("{LIST}; cat /proc/self/cgroup");
        container.exec_sh(&script)?.ok().prints(&format!("{seen}\n{}", expected.trim_end()));
    }
    Ok(())
}

fn processors_of_an_exec_are_its_own(lab: &Lab) -> Outcome {
    all_processors(lab)?;
    let mut container = lab.container()?;
    container.config.put("/process/execCPUAffinity", json!({"final": "1"}));
    container.up()?;
    let other = ("execCPUAffinity", json!({"final": "0"}));
    assert_eq!(exec_process(&container, &[other], &["/bin/sh", "-c", LIST])?.trim(), "0");
    let none = ("execCPUAffinity", Value::Null);
    assert_eq!(exec_process(&container, &[none], &["/bin/sh", "-c", LIST])?.trim(), "1", "the config's");
    Ok(())
}

fn processors_that_are_not_there(lab: &Lab) -> Outcome {
    for key in ["initial", "final"] {
        let mut container = lab.container()?;
        container.config.put(&format!("/process/execCPUAffinity/{key}"), json!("8000"));
        container.up()?;
        let finished = container.exec(&[], &["/bin/true"])?.exits(255);
        finished.says(&[&format!("/process/execCPUAffinity/{key}"), "invalid argument"]);
    }
    Ok(())
}

/// Each mode, and each flag with a mode that takes it, as the kernel shows them in numa_maps (numa(7)).
const POLICIES: [(&str, &str, &[&str], &str); 10] = [
    ("MPOL_DEFAULT", "", &[], "default"),
    ("MPOL_BIND", "0", &[], "bind:0"),
    ("MPOL_INTERLEAVE", "0", &[], "interleave:0"),
    ("MPOL_WEIGHTED_INTERLEAVE", "0", &[], "weighted interleave:0"),
    ("MPOL_PREFERRED", "0", &[], "prefer:0"),
    ("MPOL_PREFERRED_MANY", "0-0", &[], "prefer (many):0"),
    ("MPOL_LOCAL", "", &[], "local"),
    ("MPOL_BIND", "0", &["MPOL_F_STATIC_NODES"], "bind=static:0"),
    ("MPOL_INTERLEAVE", "0", &["MPOL_F_RELATIVE_NODES"], "interleave=relative:0"),
    ("MPOL_BIND", "0", &["MPOL_F_NUMA_BALANCING"], "bind=balancing:0"),
];

fn memory_is_where_the_config_says(lab: &Lab) -> Outcome {
    if fs::metadata("/proc/self/numa_maps").is_err() {
        return unable("this kernel is built without NUMA");
    }
    for (mode, nodes, flags, seen) in POLICIES {
        let mut container = lab.container()?;
        let policy = json!({"mode": mode, "nodes": nodes, "flags": flags});
        container.config.put("/linux/memoryPolicy", policy);
        container.up()?;
        // The second column, which may hold a space.
        let policy = |maps: &str| {
            let line = maps.lines().next().unwrap_or_default().to_owned();
            let rest = line.split_once(' ').map_or("", |(_, rest)| rest).to_owned();
            assert!(rest.starts_with(&format!("{seen} ")), "{mode} {flags:?}: {line}");
        };
        policy(&container.proc_file("numa_maps")?);
        policy(&container.exec(&[], &["/bin/cat", "/proc/self/numa_maps"])?.ok().stdout);
    }
    Ok(())
}

fn memory_where_there_is_none(lab: &Lab) -> Outcome {
    if fs::metadata("/proc/self/numa_maps").is_err() {
        return unable("this kernel is built without NUMA");
    }
    let mut container = lab.container()?;
    container.config.put("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "1023"}));
    container.run()?.exits(1).says(&[
        "MPOL_BIND on 1023",
        "/linux/memoryPolicy",
        "invalid argument",
        "cpuset",
    ]);
    container.nothing_left()
}
