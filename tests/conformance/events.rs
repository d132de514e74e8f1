//! `events`: what a container uses, in runc's JSON, and when it runs out of memory.

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case, eventually};
use serde_json::{Value, json};

use crate::cgroups::{file, up_with};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(stats_are_one_line),
        case!(stats_have_runcs_keys),
        case!(stats_count),
        case!(stats_of_a_created_container),
        case!(stats_of_a_stopped_container),
        case!(lines_come_at_the_interval_until_the_end),
        case!(lack_of_memory_is_told),
        case!(an_interval_of_nothing_is_refused),
    ]
}

fn stats(container: &Container<'_>) -> Result<Value, Stop> {
    let finished = container.runtime(["events", "--stats", &container.id])?.output()?.ok();
    assert_eq!(finished.stdout.lines().count(), 1, "{finished}");
    let event: Value = serde_json::from_str(&finished.stdout)?;
    assert_eq!(event["type"], "stats");
    assert_eq!(event["id"], container.id);
    Ok(event["data"].clone())
}

fn stats_are_one_line(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    stats(&container)?;
    Ok(())
}

/// Those that runc always prints.
fn stats_have_runcs_keys(lab: &Lab) -> Outcome {
    let container = up_with(lab, "memory", json!({"limit": 64 << 20}))?;
    // Where time is counted in ticks, less than one is none, and none is left out.
    container.exec_sh("i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done")?.ok();
    let data = stats(&container)?;
    let keys = |value: &Value| {
        let keys: Vec<String> = value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
        keys
    };
    let groups = ["blkio", "cpu", "cpuset", "hugetlb", "intel_rdt", "memory", "network_interfaces", "pids"];
    let mut found = keys(&data);
    found.sort();
    assert_eq!(found, groups);
    for pointer in [
        "/cpu/usage/total",
        "/cpu/usage/kernel",
        "/cpu/usage/user",
        "/cpu/throttling",
        "/cpuset/cpu_exclusive",
        "/cpuset/sched_relax_domain_level",
        "/memory/usage/limit",
        "/memory/usage/usage",
        "/memory/usage/failcnt",
        "/memory/swap/limit",
        "/memory/raw/pgfault",
        "/pids/current",
    ] {
        assert!(data.pointer(pointer).is_some(), "{pointer} is not in {data}");
    }
    // Only v1 counts these; newer runcs have no key for them elsewhere.
    if !std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        assert!(data.pointer("/memory/kernelTCP/failcnt").is_some(), "{data}");
    }
    assert_eq!(data["network_interfaces"], Value::Null);
    Ok(())
}

fn stats_count(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/linux/resources/memory", json!({"limit": 64 << 20}));
    container.config.put("/linux/resources/pids", json!({"limit": 77}));
    container.up()?;
    let before = stats(&container)?;
    assert_eq!(before["memory"]["usage"]["limit"], 64 << 20);
    assert_eq!(before["pids"], json!({"current": 1, "limit": 77}));
    container.exec_sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")?.ok();
    let after = stats(&container)?;
    let total = |data: &Value| data["cpu"]["usage"]["total"].as_u64().unwrap_or_default();
    assert!(total(&after) > total(&before) + 1_000_000, "nanoseconds: {} {}", total(&before), total(&after));
    Ok(())
}

fn stats_of_a_created_container(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    container.create()?.ok();
    stats(&container)?;
    container.delete()?.ok();
    container.nothing_left()
}

fn stats_of_a_stopped_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    let words = format!("container with id {} is not running", container.id);
    container.runtime(["events", "--stats", &container.id])?.output()?.exits(1).says(&[&words]);
    container.runtime(["events", &container.id])?.output()?.exits(1).says(&[&words]);
    Ok(())
}

fn lines_come_at_the_interval_until_the_end(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let mut events = container.runtime(["events", "--interval", "50ms", &container.id])?.spawn()?;
    eventually("three lines", || Ok(events.stdout()?.lines().count() >= 3))?;
    assert!(events.is_running()?);
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    // runc notices when the cgroup goes.
    container.delete()?.ok();
    let finished = events.wait()?.ok();
    for line in finished.stdout.lines() {
        let event: Value = serde_json::from_str(line)?;
        assert_eq!(event["type"], "stats");
    }
    container.nothing_left()
}

fn lack_of_memory_is_told(lab: &Lab) -> Outcome {
    let container = up_with(lab, "memory", json!({"limit": 32 << 20, "swap": 32 << 20}))?;
    file(&container, "memory", "", "")?;
    let events = container.runtime(["events", "--interval", "50ms", &container.id])?.spawn()?;
    // It listens when it has printed.
    eventually("a first line", || Ok(!events.stdout()?.is_empty()))?;
    container.exec_sh("dd if=/dev/zero of=/dev/null bs=200M count=1")?.exits(137);
    let oom = json!({"type": "oom", "id": container.id});
    eventually("an event", || {
        let text = events.stdout()?;
        Ok(text.lines().any(|line| serde_json::from_str::<Value>(line).is_ok_and(|event| event == oom)))
    })?;
    container.force_delete()?.ok();
    events.wait()?.ok();
    container.nothing_left()
}

fn an_interval_of_nothing_is_refused(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container
        .runtime(["events", "--interval", "0s", &container.id])?
        .output()?
        .exits(1)
        .says(&["duration interval must be greater than 0"]);
    Ok(())
}
