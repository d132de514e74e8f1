//! `features` tells the whole truth: what it lists is taken, and what it does not list is not.

use std::collections::BTreeSet;
use std::fs;

use husk_conformance::agent::Agent;
use husk_conformance::suite::Case;
use husk_conformance::{Lab, Outcome, Stop, case};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(names_the_versions_and_hooks),
        case!(names_every_option, lacks "runc": "leaves out idmap and ridmap", "crun": "leaves out some"),
        case!(every_option_is_taken, lacks "runc": "hands \"defaults\" to the file system"),
        case!(no_other_option_is_taken),
        case!(names_every_namespace, lacks "runc 1.1": "has no time namespaces"),
        case!(names_the_capabilities_of_the_kernel),
        case!(seccomp_is_the_machines, lacks "runc": "names architectures of another byte order"),
        case!(seccomp_is_complete, lacks "runc 1.1": "takes no flags", "runc 1.3": "does not know all flags"),
        case!(names_memory_policies, lacks "runc 1.1": "does not know them", "runc 1.3": "does not know them"),
        case!(names_what_else_works, lacks "runc 1.1": "does not know them", "runc 1.3": "does not know them"),
        case!(names_unsafe_annotations, lacks "runc": "knows none of crun's"),
    ]
}

fn features(lab: &Lab) -> Result<Value, Stop> {
    let container = lab.container()?;
    Ok(serde_json::from_str(&container.runtime(["features"])?.output()?.ok().stdout)?)
}

/// The words of a list of features.
fn listed<'a>(features: &'a Value, pointer: &str) -> BTreeSet<&'a str> {
    let list = features.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn names_the_versions_and_hooks(lab: &Lab) -> Outcome {
    let features = features(lab)?;
    for key in ["ociVersionMin", "ociVersionMax"] {
        assert!(features[key].as_str().is_some_and(|version| version.starts_with("1.")), "{features}");
    }
    let hooks = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    assert_eq!(listed(&features, "/hooks"), BTreeSet::from(hooks));
    Ok(())
}

/// What the specification says that a runtime MUST or MAY take: config.md, "Linux mount options".
const OPTIONS: [&str; 59] = [
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
];

fn names_every_option(lab: &Lab) -> Outcome {
    let features = features(lab)?;
    let found = listed(&features, "/mountOptions");
    let missing: Vec<_> = OPTIONS.iter().filter(|option| !found.contains(**option)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    Ok(())
}

fn every_option_is_taken(lab: &Lab) -> Outcome {
    let features = features(lab)?;
    let names = listed(&features, "/mountOptions");
    assert!(names.len() > 50, "{features}");
    let mut container = lab.container()?;
    container.config.user_namespace(0);
    // Nobody but the owner of a cgroup namespace may mount cgroups.
    container.config.without_mount("/sys/fs/cgroup");
    let source = container.directory.join("source");
    fs::create_dir(&source)?;
    for name in &names {
        let target = format!("/o/{name}");
        fs::create_dir_all(container.rootfs().join(&target[1..]))?;
        let source = source.to_string_lossy();
        match *name {
            "bind" | "rbind" => container.config.mount("none", &source, &target, &[name]),
            "remount" => container.config.mount("none", "none", "/o/rw", &[name, "nosuid"]),
            "idmap" | "ridmap" | "copy-symlink" | "src-nofollow" | "dest-nofollow" => {
                container.config.mount("none", &source, &target, &["rbind", name])
            }
            _ => container.config.mount("tmpfs", "tmpfs", &target, &[name]),
        };
    }
    // The remount needs what it changes, which is listed after it.
    let mounts = container.config.0["mounts"].as_array_mut().expect("mounts");
    mounts.sort_by_key(|mount| mount["options"][0] == "remount");
    let finished = container.run_sh("grep -c ' /o/' /proc/self/mountinfo")?.ok();
    assert_eq!(finished.stdout.trim().parse::<usize>()?, names.len() - 1);
    container.nothing_left()
}

/// Words that mount(8) or some runtime knows, as far as they are not listed.
fn no_other_option_is_taken(lab: &Lab) -> Outcome {
    const CANDIDATES: [&str; 22] = [
        "acl",
        "auto",
        "copy-symlink",
        "dest-nofollow",
        "mand",
        "nofail",
        "nomand",
        "owner",
        "posixacl",
        "rasync",
        "rdirsync",
        "rec",
        "riversion",
        "rlazytime",
        "rmand",
        "rnomand",
        "rnodev",
        "rremount",
        "rsync",
        "src-nofollow",
        "unknown",
        "user",
    ];
    let features = features(lab)?;
    let names = listed(&features, "/mountOptions");
    let mut container = lab.container()?;
    for option in CANDIDATES.iter().filter(|option| !names.contains(**option)) {
        let kept = container.config.clone();
        container.config.mount("tmpfs", "tmpfs", "/o", &[option]).args(&["/bin/true"]);
        let finished = container.run()?;
        assert_ne!(finished.code(), 0, "{option}: {finished}");
        container.config = kept;
    }
    container.nothing_left()
}

fn names_every_namespace(lab: &Lab) -> Outcome {
    // That each of them works is shown where namespaces are tested.
    let all = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];
    assert_eq!(listed(&features(lab)?, "/linux/namespaces"), BTreeSet::from(all));
    Ok(())
}

fn names_the_capabilities_of_the_kernel(lab: &Lab) -> Outcome {
    let features = features(lab)?;
    let names =
        features.pointer("/linux/capabilities").and_then(Value::as_array).cloned().unwrap_or_default();
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    let last: usize = fs::read_to_string("/proc/sys/kernel/cap_last_cap")?.trim().parse()?;
    assert_eq!(names.len(), last + 1, "{names:?}");
    // Not every root has everything; the list's order is that of their numbers.
    let status = fs::read_to_string("/proc/self/status")?;
    let own = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    let own = u64::from_str_radix(own.trim(), 16)?;
    let mine: Vec<&str> =
        (0..).zip(&names).filter(|(bit, _)| own >> bit & 1 == 1).map(|(_, name)| *name).collect();
    let mut container = lab.container()?;
    container.config.capabilities(&mine);
    let finished = container.run_sh("grep CapBnd /proc/self/status | cut -f 2")?.ok();
    assert_eq!(u64::from_str_radix(finished.stdout.trim(), 16)?, own, "{finished}");
    assert_eq!(finished.stderr, "");
    Ok(())
}

fn profile(lab: &Lab, more: Value) -> Result<i32, Stop> {
    let mut container = lab.container()?;
    container.config.put("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}));
    for (key, value) in more.as_object().into_iter().flatten() {
        container.config.put(&format!("/linux/seccomp/{key}"), value.clone());
    }
    Ok(container.run_sh("true")?.code())
}

/// What is listed is taken, and nothing else of its kind is.
fn seccomp_is_the_machines(lab: &Lab) -> Outcome {
    let features = features(lab)?;
    for action in listed(&features, "/linux/seccomp/actions") {
        // A rule that does what the default does is an error to some, and one needs an agent.
        if !["SCMP_ACT_ALLOW", "SCMP_ACT_NOTIFY"].contains(&action) {
            let rule = json!([{"names": ["acct"], "action": action}]);
            assert_eq!(profile(lab, json!({"syscalls": rule}))?, 0, "{action}");
        }
    }
    for operator in listed(&features, "/linux/seccomp/operators") {
        let second = if operator == "SCMP_CMP_MASKED_EQ" { 3 } else { 0 };
        let compared = json!([{"index": 0, "value": 7, "valueTwo": second, "op": operator}]);
        let rule = json!([{"names": ["acct"], "action": "SCMP_ACT_ERRNO", "args": compared}]);
        assert_eq!(profile(lab, json!({"syscalls": rule}))?, 0, "{operator}");
    }
    // One flag goes with SCMP_ACT_NOTIFY alone.
    let mut container = lab.container()?;
    let agent = Agent::permitting(&container.directory)?;
    container.config.sh("true").put(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": agent.path,
            "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]
        }),
    );
    const WITH_AGENT: &str = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";
    let supported = listed(&features, "/linux/seccomp/supportedFlags");
    assert_eq!(container.run()?.code() == 0, supported.contains(WITH_AGENT));
    for flag in supported.iter().filter(|flag| **flag != WITH_AGENT) {
        assert_eq!(profile(lab, json!({"flags": [flag]}))?, 0, "{flag}");
    }
    let archs = listed(&features, "/linux/seccomp/archs");
    for arch in ARCHITECTURES {
        let name = format!("SCMP_ARCH_{arch}");
        let taken = profile(lab, json!({"architectures": [name]}))? == 0;
        assert_eq!(taken, archs.contains(name.as_str()), "{name}");
    }
    Ok(())
}

/// Those of the specification.
const ARCHITECTURES: [&str; 23] = [
    "X86",
    "X86_64",
    "X32",
    "ARM",
    "AARCH64",
    "MIPS",
    "MIPS64",
    "MIPS64N32",
    "MIPSEL",
    "MIPSEL64",
    "MIPSEL64N32",
    "PPC",
    "PPC64",
    "PPC64LE",
    "S390",
    "S390X",
    "PARISC",
    "PARISC64",
    "RISCV64",
    "LOONGARCH64",
    "M68K",
    "SH",
    "SHEB",
];

/// All actions, operators and flags of the specification are known, and on a kernel of these days they all work.
fn seccomp_is_complete(lab: &Lab) -> Outcome {
    let features = features(lab)?;
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    let count = |key: &str| listed(&features, &format!("/linux/seccomp/{key}")).len();
    assert_eq!((count("actions"), count("operators")), (9, 7), "{features}");
    let known = listed(&features, "/linux/seccomp/knownFlags");
    let flags = ["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"]
        .map(|flag| format!("SECCOMP_FILTER_FLAG_{flag}"));
    assert!(flags.iter().all(|flag| known.contains(flag.as_str())), "{known:?}");
    Ok(())
}

fn names_memory_policies(lab: &Lab) -> Outcome {
    let features = features(lab)?;
    let count = |pointer: &str| listed(&features, pointer).len();
    assert_eq!(count("/linux/memoryPolicy/modes"), 7, "{features}");
    assert_eq!(count("/linux/memoryPolicy/flags"), 3, "{features}");
    Ok(())
}

/// Each of them has tests of its own, which show that it works or how it is refused where the machine has none.
fn names_what_else_works(lab: &Lab) -> Outcome {
    let features = features(lab)?;
    for pointer in [
        "/linux/cgroup/v1",
        "/linux/cgroup/v2",
        "/linux/cgroup/systemd",
        "/linux/cgroup/systemdUser",
        "/linux/cgroup/rdma",
        "/linux/apparmor/enabled",
        "/linux/selinux/enabled",
        "/linux/intelRdt/enabled",
        "/linux/mountExtensions/idmap/enabled",
        "/linux/netDevices/enabled",
    ] {
        assert_eq!(features.pointer(pointer), Some(&json!(true)), "{pointer}");
    }
    Ok(())
}

/// An engine must not pass them on for somebody it does not trust: they reach the host.
fn names_unsafe_annotations(lab: &Lab) -> Outcome {
    let features = features(lab)?;
    let names = listed(&features, "/potentiallyUnsafeConfigAnnotations");
    for annotation in [
        "org.systemd.property.ExecStopPost",
        "run.oci.hooks.stdout",
        "run.oci.hooks.stderr",
        "run.oci.keep_original_groups",
        "run.oci.pidfd_receiver",
        "run.oci.seccomp.receiver",
        "run.oci.mount_context_type",
    ] {
        let covered =
            |name: &&str| *name == annotation || name.ends_with('.') && annotation.starts_with(*name);
        assert!(names.iter().any(covered), "{annotation}: {names:?}");
    }
    Ok(())
}
