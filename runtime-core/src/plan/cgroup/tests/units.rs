//! What systemd is asked for.

use super::*;

/// Of a container `web-1` with this `/linux` and these annotations, by the machine's systemd or by a user's.
fn plan_unit(host: &Host, user: bool, linux: Value, annotations: Value) -> (CgroupPlan, Vec<String>) {
    let manager = if user { SystemdManager::user("/run/user/7", None) } else { SystemdManager::system() };
    let options = CreateOptions::new().systemd(manager);
    let config = json!({ "ociVersion": "1.2.0", "linux": linux, "annotations": annotations });
    let spec: spec::Spec = serde_json::from_value(config).unwrap();
    let mut problems = Vec::new();
    let id = "web-1".parse().unwrap();
    let mut plan = plan(spec.linux().as_ref(), &id, host, &options, &mut problems);
    plan_annotations(&spec, &mut plan, &mut problems);
    (plan, problems.iter().map(Problem::to_string).collect())
}

/// Its properties but for those that every unit has, as text.
fn properties(resources: Value, annotations: Value) -> Vec<String> {
    let text = |plan: CgroupPlan| -> Vec<String> {
        let unit = plan.unit.unwrap();
        unit.properties.iter().map(|property| format!("{}={}", property.name, property.value)).collect()
    };
    let base = text(plan_unit(&v2(), false, json!({}), json!({})).0);
    let (plan, problems) = plan_unit(&v2(), false, json!({ "resources": resources }), annotations);
    let given = text(plan).into_iter().filter(|line| !base.contains(line));
    given.chain(problems).collect()
}

#[test]
fn a_unit_is_named_by_slice_prefix_and_name() {
    for (user, path, slice, name, directory) in [
        (false, "", "system.slice", "husk-web-1.scope", "/cg/system.slice/husk-web-1.scope"),
        (false, "a-b.slice:x:y", "a-b.slice", "x-y.scope", "/cg/a.slice/a-b.slice/x-y.scope"),
        (false, "-:x:y", "-.slice", "x-y.scope", "/cg/x-y.scope"),
        (false, "::y", "system.slice", "-y.scope", "/cg/system.slice/-y.scope"),
        (false, "a.slice:x:b-c.slice", "a.slice", "b-c.slice", "/cg/b.slice/b-c.slice"),
        (
            true,
            ":x:y",
            "user.slice",
            "x-y.scope",
            "/cg/user.slice/user-7.slice/user@7.service/user.slice/x-y.scope",
        ),
    ] {
        let mut host = v2();
        host.cgroups = CgroupLayout::Unified { mountpoint: "/cg".into() };
        host.own_cgroup = "/user.slice/user-7.slice/user@7.service/app.slice/a.service".to_owned();
        let (plan, problems) = plan_unit(&host, user, json!({ "cgroupsPath": path }), json!({}));
        assert_eq!(problems, [] as [&str; 0], "{path}");
        let unit = plan.unit.unwrap();
        assert_eq!((unit.slice.as_str(), unit.name.as_str()), (slice, name), "{path}");
        assert_eq!(plan.directories[0].path.to_str().unwrap(), directory, "{path}");
    }
    for (path, message) in [
        ("/a/b", "expected \"slice:prefix:name\" for systemd cgroups, got \"/a/b\" instead"),
        ("a:b:c:d", "expected \"slice:prefix:name\" for systemd cgroups, got \"a:b:c:d\" instead"),
        ("a:b:c", "\"a\" is not the name of a slice, such as a-b.slice"),
        ("a--b.slice:b:c", "\"a--b.slice\" is not the name of a slice, such as a-b.slice"),
        ("a.slice:b:c/d", "\"b-c/d.scope\" cannot be the name of a unit of systemd"),
        ("a.slice:b:c+d", "\"b-c+d.scope\" cannot be the name of a unit of systemd"),
    ] {
        let (plan, problems) = plan_unit(&v2(), false, json!({ "cgroupsPath": path }), json!({}));
        assert_eq!(plan.unit, None, "{path}");
        assert_eq!(problems, [format!("/linux/cgroupsPath: {message}")], "{path}");
    }
    let (_, problems) = plan_unit(&v1(), false, json!({}), json!({}));
    assert!(problems[0].contains("needs a host with cgroup v2 alone"), "{problems:?}");
}

#[test]
fn systemd_is_told_what_is_written() {
    for (resources, expected) in [
        (
            json!({ "memory": { "limit": 100, "swap": 150, "reservation": 7 } }),
            vec!["MemorySwapMax=50", "MemoryMax=100", "MemoryLow=7"],
        ),
        (json!({ "memory": { "limit": -1 } }), vec!["MemorySwapMax=infinity", "MemoryMax=infinity"]),
        (json!({ "pids": { "limit": 0 } }), vec!["TasksMax=1"]),
        (
            json!({ "cpu": { "shares": 1024, "cpus": "0-1,9", "mems": "0" } }),
            vec!["CPUWeight=100", "AllowedCPUs=[0x03, 0x02]", "AllowedMemoryNodes=[0x01]"],
        ),
        (json!({ "cpu": { "shares": 1024, "idle": 1 } }), vec!["CPUWeight=0"]),
        (
            json!({ "cpu": { "quota": 20000, "period": 50000 } }),
            vec!["CPUQuotaPeriodUSec=50000", "CPUQuotaPerSecUSec=400000"],
        ),
        (json!({ "cpu": { "quota": -1 } }), vec!["CPUQuotaPeriodUSec=100000", "CPUQuotaPerSecUSec=infinity"]),
        (json!({ "blockIO": { "weight": 100 } }), vec!["IOWeight=910"]),
        // The last word is the unified one, and what has no property is only written.
        (
            json!({ "pids": { "limit": 5 }, "unified": { "pids.max": "6", "memory.high": "8", "memory.oom.group": "1",
            "cpu.max.burst": "1" } }),
            vec!["MemoryHigh=8", "OOMPolicy=\"kill\"", "TasksMax=6"],
        ),
    ] {
        assert_eq!(properties(resources.clone(), json!({})), expected, "{resources}");
    }
    // Whole percents, in both.
    let (plan, _) = plan_unit(&v2(), false, json!({ "resources": { "cpu": { "quota": 1500 } } }), json!({}));
    assert_eq!(plan.writes[0].value, "2000 100000");
}

#[test]
fn annotations_are_properties() {
    let sure = |name: &str| format!("org.systemd.property.{name}");
    let escaped = |name: &str| format!("/annotations/org.systemd.property.{name}");
    for (name, text, expected) in [
        ("TimeoutStopUSec", "uint64 5", "TimeoutStopUSec=5".to_owned()),
        ("TimeoutStopSec", "uint64 5", "TimeoutStopUSec=5000000".to_owned()),
        ("RuntimeMaxSec", "1.5", "RuntimeMaxUSec=1500000".to_owned()),
        ("CollectMode", "'inactive'", "CollectMode=\"inactive\"".to_owned()),
        ("After", "['a.service']", "After=[\"a.service\"]".to_owned()),
        ("KillSignal", "15", "KillSignal=15".to_owned()),
        ("TimeoutStopSec", "'5'", escaped("TimeoutStopSec") + ": \"'5'\" is no number of seconds"),
        ("No", "5", escaped("No") + ": \"No\" is not the name of a property: three or more letters"),
        (
            "No.Such",
            "5",
            escaped("No.Such") + ": \"No.Such\" is not the name of a property: three or more letters",
        ),
        (
            "Nice",
            "high",
            escaped("Nice")
                + ": \"high\" is no value in GVariant text format: \"high\" is neither a value nor a type",
        ),
    ] {
        assert_eq!(properties(json!({}), json!({ sure(name): text })), [expected], "{name}={text}");
    }
    // Without systemd they are labels like any other.
    let (plan, problems) = plan_linux(&v2(), json!({}));
    assert!(plan.unit.is_none() && problems.is_empty());
}
