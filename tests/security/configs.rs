//! Configs made to mislead or to exhaust: each is done as it says, or refused with words.

use std::fs;

use husk_conformance::suite::Case;
use husk_conformance::{Lab, Outcome, case};
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use serde_json::{Value, json};

use crate::victim::Victim;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(mappings_of_64_kib),
        case!(paths_of_64_kib),
        case!(mounts_over_proc, lacks "runc 1.1": "mounts on what is in /proc"),
        case!(mounts_around_proc),
        case!(thousands_of_everything),
        case!(numbers_at_their_ends),
        case!(strings_with_nul, lacks "runc 1.1": "takes a string with a NUL in it"),
    ]
}

/// CVE-2021-43784: whatever the length, it is one value and never the next.
fn mappings_of_64_kib(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.user_namespace(100_000).args(&["/bin/cat", "/proc/self/uid_map"]);
    let lines: Vec<Value> = (0..200)
        .map(|number| json!({"containerID": number, "hostID": 100_000 + number, "size": 1}))
        .collect();
    container.config.put("/linux/uidMappings", json!(lines));
    let said = container.run()?.ok();
    assert_eq!(said.stdout.lines().count(), 200);
    let lines: Vec<Value> = (0..6000)
        .map(|number| json!({"containerID": number, "hostID": 100_000 + number, "size": 1}))
        .collect();
    container.config.put("/linux/uidMappings", json!(lines));
    let refused = container.create()?.exits(1);
    assert!(!refused.stderr.is_empty(), "{refused}");
    container.nothing_left()
}

fn paths_of_64_kib(lab: &Lab) -> Outcome {
    let long = format!("/{}", "x/".repeat(33_000));
    for pointer in [
        "/root/path",
        "/process/cwd",
        "/mounts/0/destination",
        "/linux/cgroupsPath",
        "/hostname",
        "/linux/namespaces/0/path",
    ] {
        let mut container = lab.container()?;
        container.config.args(&["/bin/true"]).put(pointer, json!(long));
        let refused = container.create()?.exits(1);
        assert!(!refused.stderr.is_empty(), "{pointer}: {refused}");
        container.nothing_left()?;
    }
    Ok(())
}

/// CVE-2019-16884, CVE-2025-52881: nothing but a procfs lies at /proc.
fn mounts_over_proc(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let fake = container.directory.join("fake");
    fs::create_dir_all(fake.join("self/attr"))?;
    fs::create_dir_all(fake.join("attr"))?;
    fs::write(fake.join("self/attr/exec"), "fake\n")?;
    let fake_name = fake.to_string_lossy().into_owned();
    container.config.args(&["/bin/true"]);
    let before = container.config.clone();
    for (kind, source, target) in [
        ("tmpfs", "tmpfs", "/proc"),
        ("bind", fake_name.as_str(), "/proc"),
        ("tmpfs", "tmpfs", "/proc/self"),
        ("tmpfs", "tmpfs", "/proc/sys"),
        ("bind", fake_name.as_str(), "/proc/self/attr"),
        ("bind", fake_name.as_str(), "/proc/1"),
        ("tmpfs", "tmpfs", "/proc/../proc/self"),
        ("tmpfs", "tmpfs", "/proc/./sys/../sys"),
    ] {
        container.config = before.clone();
        container.config.mount(kind, source, target, &if kind == "bind" { vec!["bind"] } else { Vec::new() });
        let made = container.create()?;
        if made.code() == 0 {
            let proc = format!("/proc/{}/root/proc", container.pid()?);
            assert_eq!(statfs(&*proc)?.filesystem_type(), PROC_SUPER_MAGIC, "{kind} on {target}");
            for below in ["sys", "1"] {
                let path = format!("{proc}/{below}");
                assert_eq!(
                    statfs(&*path)?.filesystem_type(),
                    PROC_SUPER_MAGIC,
                    "{kind} on {target}: {below}"
                );
            }
            container.force_delete()?.ok();
        } else {
            assert!(!made.stderr.is_empty(), "{made}");
        }
        assert_eq!(fs::read_to_string(fake.join("self/attr/exec"))?, "fake\n");
        container.nothing_left()?;
    }
    Ok(())
}

/// CVE-2023-28642: a link in the image leads a mount of the config over /proc.
fn mounts_around_proc(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = Victim::of(&container)?;
    std::os::unix::fs::symlink("/proc", container.rootfs().join("around"))?;
    container.config.mount("tmpfs", "tmpfs", "/around/self", &[]).args(&["/bin/sleep", "1000"]);
    container.config.put("/linux/sysctl", json!({"kernel.shmmax": "77777"}));
    let made = container.create()?;
    if made.code() == 0 {
        let path = format!("/proc/{}/root/proc/1", container.pid()?);
        assert_eq!(statfs(&*path)?.filesystem_type(), PROC_SUPER_MAGIC);
        container.force_delete()?.ok();
    } else {
        assert!(!made.stderr.is_empty(), "{made}");
    }
    victim.check()?;
    container.nothing_left()
}

/// Much of everything takes time and ends; the host is not exhausted by it.
fn thousands_of_everything(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/true"]);
    let before = container.config.clone();
    let many: [(&str, Value); 5] = [
        ("/linux/maskedPaths", (0..5000).map(|n| json!(format!("/missing/{n}"))).collect()),
        ("/linux/readonlyPaths", (0..5000).map(|n| json!(format!("/missing/{n}"))).collect()),
        ("/process/env", (0..5000).map(|n| json!(format!("A{n}=b"))).collect()),
        ("/process/user/additionalGids", (0..70_000).map(|n| json!(n)).collect()),
        (
            "/annotations",
            (0..5000).map(|n| (format!("a{n}"), json!("b"))).collect::<serde_json::Map<_, _>>().into(),
        ),
    ];
    for (pointer, value) in many {
        container.config = before.clone();
        container.config.put(pointer, value);
        let made = container.create()?;
        if made.code() == 0 {
            container.force_delete()?.ok();
        } else {
            assert!(made.code() == 1 && !made.stderr.is_empty(), "{pointer}: {made}");
        }
        container.nothing_left()?;
    }
    Ok(())
}

fn numbers_at_their_ends(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/true"]);
    let before = container.config.clone();
    let numbers = [
        json!(-1),
        json!(0),
        json!(u32::MAX),
        json!(1u64 << 32),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e300),
    ];
    for pointer in [
        "/process/user/uid",
        "/process/user/gid",
        "/process/user/umask",
        "/process/oomScoreAdj",
        "/process/rlimits/0/soft",
        "/process/consoleSize/height",
        "/linux/resources/memory/limit",
        "/linux/resources/cpu/quota",
        "/linux/resources/cpu/period",
        "/linux/resources/pids/limit",
    ] {
        for number in &numbers {
            container.config = before.clone();
            if pointer.starts_with("/process/consoleSize") {
                container.config.put("/process/consoleSize/width", json!(80));
            }
            container.config.put(pointer, number.clone());
            let made = container.create()?;
            // Refused with words, and no crash: 134 and 139 would be signals.
            assert!(
                made.code() == 0 || made.code() == 1 && !made.stderr.is_empty(),
                "{pointer} {number}: {made}"
            );
            if made.code() == 0 {
                container.force_delete()?.ok();
            }
        }
    }
    container.nothing_left()
}

fn strings_with_nul(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/true"]);
    let before = container.config.clone();
    for pointer in [
        "/process/args/0",
        "/process/cwd",
        "/root/path",
        "/mounts/0/destination",
        "/mounts/1/source",
        "/hostname",
        "/linux/cgroupsPath",
        "/process/env/0",
    ] {
        container.config = before.clone();
        container.config.put(pointer, json!("/bin/true\0/../../etc"));
        let refused = container.create()?.exits(1);
        assert!(!refused.stderr.is_empty(), "{pointer}: {refused}");
        container.nothing_left()?;
    }
    Ok(())
}
