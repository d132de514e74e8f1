//! The default configuration, as every runtime's `spec` writes it, with a busybox root: what a newcomer runs first.

use husk_conformance::suite::Case;
use husk_conformance::{DEFAULT_CONFIG, Lab, Outcome, case};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(spec_writes_the_default),
        case!(spec_of_this_runtime_runs),
        case!(sees_only_itself),
        case!(has_its_own_mounts),
        case!(root_is_read_only),
        case!(has_its_own_hostname),
        case!(has_three_capabilities),
        case!(versions_to_come_are_taken),
        case!(loopback_is_up),
    ]
}

/// Field by field what runc 1.1 writes, but for the ambient capabilities, which without inheritable ones never had an
/// effect; newer versions may add fields and change the version and the hostname.
fn spec_writes_the_default(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    let directory = container.directory.join("spec");
    std::fs::create_dir(&directory)?;
    container.runtime(["spec"])?.current_dir(&directory).output()?.ok().prints("");
    let written: Value = serde_json::from_slice(&std::fs::read(directory.join("config.json"))?)?;
    let expected: Value = serde_json::from_str(DEFAULT_CONFIG)?;
    for pointer in
        ["/process", "/root", "/mounts", "/linux/resources", "/linux/maskedPaths", "/linux/readonlyPaths"]
    {
        let (found, wanted) = (written.pointer(pointer), expected.pointer(pointer));
        assert!(
            contains(found.unwrap_or(&Value::Null), wanted.unwrap_or(&Value::Null)),
            "{pointer}: {found:?}"
        );
    }
    let kinds = |config: &Value| -> Vec<String> {
        let namespaces = config["linux"]["namespaces"].as_array().cloned().unwrap_or_default();
        namespaces.iter().map(|namespace| namespace["type"].to_string()).collect()
    };
    for kind in kinds(&expected) {
        assert!(kinds(&written).contains(&kind), "namespace {kind} in {:?}", kinds(&written));
    }
    container.runtime(["spec"])?.current_dir(&directory).output()?.exits(1).says(&["config.json exists"]);
    Ok(())
}

/// Whether `found` has everything that `wanted` has.
fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| found.get(key).is_some_and(|found| contains(found, value)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            wanted.iter().all(|value| found.iter().any(|found| contains(found, value)))
        }
        _ => found == wanted,
    }
}

fn spec_of_this_runtime_runs(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.runtime(["spec", "--bundle"])?.arg(&container.bundle).output()?.ok();
    let written = std::fs::read(container.bundle.join("config.json"))?;
    container.config.0 = serde_json::from_slice(&written)?;
    container.config.put("/process/terminal", json!(false));
    container.run_sh("echo Hello World; exit 3")?.exits(3).prints("Hello World");
    container.nothing_left()
}

fn sees_only_itself(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let finished = container.run_sh("ps -o pid,comm; echo $$")?.ok();
    let lines: Vec<&str> = finished.stdout.lines().map(str::trim).collect();
    let header_shell_ps_and_pid = 4;
    assert_eq!(lines.len(), header_shell_ps_and_pid, "{finished}");
    assert!(lines[1].starts_with("1 "), "{finished}");
    assert_eq!(lines[3], "1", "{finished}");
    container.nothing_left()
}

fn has_its_own_mounts(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let finished = container.run_sh("cat /proc/self/mountinfo")?.ok();
    let places: Vec<&str> = finished.stdout.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    for place in ["/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"] {
        assert_eq!(places.iter().filter(|found| **found == place).count(), 1, "{place} in {finished}");
    }
    for place in &places {
        let known = ["/dev", "/proc", "/sys"].iter().any(|top| place.starts_with(top)) || *place == "/";
        assert!(known, "a mount of the host is visible: {place}");
    }
    container.nothing_left()
}

fn root_is_read_only(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let finished = container.run_sh("echo x > /etc/passwd; echo x > /new; mkdir /dir; exit 0")?.ok();
    assert_eq!(finished.stderr.matches("Read-only file system").count(), 3, "{finished}");
    container.nothing_left()
}

fn has_its_own_hostname(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/hostname", json!("a-name-of-its-own"));
    container
        .run_sh("hostname; cat /proc/sys/kernel/hostname")?
        .ok()
        .prints("a-name-of-its-own\na-name-of-its-own");
    let here = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    assert_ne!(here.trim(), "a-name-of-its-own");
    Ok(())
}

/// Audit write, kill and net bind service: bits 29, 5 and 10. Ambient ones need inheritable ones, which it has not.
fn has_three_capabilities(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let finished = container.run_sh("cat /proc/self/status")?.ok();
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(finished.value(set), "0000000020000420", "{set}");
    }
    assert_eq!(finished.value("CapInh:"), "0000000000000000");
    assert_eq!(finished.value("CapAmb:"), "0000000000000000");
    assert_eq!(finished.value("NoNewPrivs:"), "1");
    Ok(())
}

fn loopback_is_up(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.run_sh("ls /sys/class/net; cat /sys/class/net/lo/flags")?.ok().prints("lo\n0x9");
    Ok(())
}

/// A newer 1.x has more fields; one that nobody knows yet is nobody's business (config.md, "Extensibility").
fn versions_to_come_are_taken(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/ociVersion", json!("1.99.0")).put("/linux/soon", json!([1]));
    container.config.put("/process/later", json!({"x": true})).args(&["/bin/echo", "runs"]);
    container.run()?.ok().prints("runs");
    container.nothing_left()
}
