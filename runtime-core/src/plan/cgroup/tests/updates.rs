//! What an update changes.

use super::*;

/// The writes of an update, or its problem.
fn updated(controllers: &[&[&str]], given: Value, saved: Value) -> Vec<String> {
    let places = controllers.iter().map(|names| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let path = PathBuf::from(format!("/{}", names.join(",")));
        (names, path)
    });
    let given: spec::LinuxResources = serde_json::from_value(given).unwrap();
    let saved: spec::LinuxResources = serde_json::from_value(saved).unwrap();
    match plan_update(places.collect(), false, &given, Some(&saved)) {
        Ok(update) => {
            let writes = update.cgroup.writes.iter().map(|write| format!("{}={}", write.file, write.value));
            writes
                .chain(update.at_least_usage.iter().map(|(name, limit)| format!("check {name} {limit}")))
                .collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn an_update_writes_what_is_given_and_what_belongs_to_it() {
    let saved = json!({
        "memory": { "limit": 100, "swap": 150, "reservation": 7 },
        "cpu": { "quota": 5000, "period": 20000, "shares": 9 },
        "pids": { "limit": 5 },
    });
    let one: &[&[&str]] = &[&[], &["memory"], &["cpu", "cpuacct"], &["pids"]];
    let two: &[&[&str]] = &[&[]];
    for (given, v2, v1) in [
        (json!({}), vec![], vec![]),
        (
            json!({ "memory": { "limit": 120 }, "pids": { "limit": 6 }, "devices": [{ "allow": true, "access": "r" }] }),
            vec!["pids.max=6", "memory.swap.max=30", "memory.max=120"],
            vec!["pids.max=6", "memory.limit_in_bytes=120", "memory.memsw.limit_in_bytes=150"],
        ),
        (
            json!({ "memory": { "swap": 110, "checkBeforeUpdate": true } }),
            vec!["memory.swap.max=10", "memory.max=100", "check memory+swap 110"],
            vec!["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=110", "check memory+swap 110"],
        ),
        (
            json!({ "memory": { "limit": 50, "checkBeforeUpdate": true } }),
            vec!["memory.swap.max=100", "memory.max=50", "check memory 50"],
            vec!["memory.limit_in_bytes=50", "memory.memsw.limit_in_bytes=150", "check memory 50"],
        ),
        (
            json!({ "memory": { "limit": -1 } }),
            vec!["memory.swap.max=max", "memory.max=max"],
            vec!["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"],
        ),
        (
            json!({ "memory": { "limit": 200 } }),
            vec!["/linux/resources/memory/swap: memory+swap limit should be >= memory limit"],
            vec!["/linux/resources/memory/swap: memory+swap limit should be >= memory limit"],
        ),
        (
            json!({ "cpu": { "quota": 8000 } }),
            vec!["cpu.max=8000 20000"],
            vec!["cpu.cfs_period_us=20000", "cpu.cfs_quota_us=8000"],
        ),
        (
            json!({ "cpu": { "period": 30000 } }),
            vec!["cpu.max=5000 30000"],
            vec!["cpu.cfs_period_us=30000", "cpu.cfs_quota_us=5000"],
        ),
        (
            json!({ "unified": { "memory.high": "5" } }),
            vec!["memory.high=5"],
            vec!["/linux/resources/unified: invalid configuration: cannot use unified on cgroup v1"],
        ),
        (
            json!({ "memory": { "kernel": 5 } }),
            vec!["/linux/resources/memory/kernel: kernels since 5.16 have no kernel memory limit"],
            vec!["/linux/resources/memory/kernel: kernels since 5.16 have no kernel memory limit"],
        ),
    ] {
        assert_eq!(updated(two, given.clone(), saved.clone()), v2, "v2: {given}");
        assert_eq!(updated(one, given.clone(), saved.clone()), v1, "v1: {given}");
    }
}
