//! Configurations that no container can be made from: each must be refused by `create`, with exit status 1,
//! and must leave nothing behind.
//!
//! husk's error names the place by its JSON pointer and says what is wrong there, one line for each problem:
//! `husk: /process/cwd: must be an absolute path, not "x"`. The table below holds the pointers and the key
//! words; it is the list of what planning has to find. Of other runtimes only the refusal and the clean
//! exit are expected; where they accept the configuration, the row says so.

use std::fs;

use husk_conformance::suite::Case;
use husk_conformance::{Config, Lab, Outcome};
use serde_json::json;

/// How a bundle's `config.json` differs from the default one.
enum Change {
    Edit(fn(&mut Config) -> &mut Config),
    Raw(&'static [u8]),
    NoFile,
}

struct Row {
    name: &'static str,
    change: Change,
    /// Every one of them stands on stderr.
    pointers: &'static [&'static str],
    /// Every one of them stands on stderr, in any case of letters.
    words: &'static [&'static str],
    lacks: &'static [(&'static str, &'static str)],
}

impl Row {
    const fn edit(
        name: &'static str,
        pointers: &'static [&'static str],
        words: &'static [&'static str],
        edit: fn(&mut Config) -> &mut Config,
    ) -> Row {
        Row { name, change: Change::Edit(edit), pointers, words, lacks: &[] }
    }

    /// Bytes that are no configuration at all: the file is named, and the place as line and column.
    const fn raw(name: &'static str, words: &'static [&'static str], bytes: &'static [u8]) -> Row {
        Row { name, change: Change::Raw(bytes), pointers: &[], words, lacks: &[] }
    }

    const fn lacks(mut self, lacks: &'static [(&'static str, &'static str)]) -> Row {
        self.lacks = lacks;
        self
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let topics = [FILE, PROCESS, ROOT_AND_TOP, MOUNTS, NAMESPACES, SYSCTL, RESOURCES, DEVICES, SECCOMP, REST];
    let case = |row: &'static Row| {
        Case::new(format!("bad_config::{}", row.name), move |lab| refused(lab, row)).lacks(row.lacks)
    };
    topics.into_iter().flatten().map(case).collect()
}

fn refused(lab: &Lab, row: &Row) -> Outcome {
    // Without the controller that is what is wrong, whatever the value.
    if row
        .pointers
        .iter()
        .any(|pointer| matches!(*pointer, "/linux/resources/cpu/cpus" | "/linux/resources/cpu/mems"))
    {
        crate::cgroups::needs_controller("cpuset")?;
    }
    let mut container = lab.container()?;
    // A quota that the kernel finds too small is rounded up for systemd.
    container.by_itself();
    let create = match row.change {
        Change::Edit(edit) => {
            edit(&mut container.config);
            container.create_with(&[])?
        }
        Change::Raw(bytes) => {
            let create = container.create_with(&[])?;
            fs::write(container.bundle.join("config.json"), bytes)?;
            create
        }
        Change::NoFile => {
            let create = container.create_with(&[])?;
            fs::remove_file(container.bundle.join("config.json"))?;
            create
        }
    };
    let finished = create.output()?.exits(1);
    assert_ne!(finished.stderr, "", "it says why");
    if lab.runtime.is("husk") {
        let finished = finished.says(row.pointers).says(row.words);
        let mut lines: Vec<&str> = finished.stderr.lines().collect();
        lines.sort_unstable();
        assert!(lines.windows(2).all(|pair| pair[0] != pair[1]), "a problem is told twice: {finished}");
    }
    container.nothing_left()
}

const RUNC_ACCEPTS: &[(&str, &str)] = &[("runc", "accepts it")];
const RUNC_AT_START: &[(&str, &str)] = &[("runc", "finds it at start only")];
const RUNC_TOO_OLD: &[(&str, &str)] = &[("runc 1.1", IGNORED)];
const OLD_RUNCS_TOO_OLD: &[(&str, &str)] = &[("runc 1.1", IGNORED), ("runc 1.3", IGNORED)];
const IGNORED: &str = "does not know the field and ignores it";

static FILE: &[Row] = &[
    Row {
        name: "no_file",
        change: Change::NoFile,
        pointers: &[],
        words: &["config.json", "not found"],
        lacks: &[],
    },
    Row::raw("empty_file", &["config.json"], b""),
    Row::raw("truncated", &["config.json", "line 1"], br#"{"ociVersion": "1.0.2", "process": {"#),
    Row::raw("trailing_garbage", &["config.json", "line 2"], b"{\"ociVersion\": \"1.0.2\"}\n} trailing"),
    Row::raw("not_utf8", &["config.json"], b"{\"ociVersion\": \"1.0.2\", \"hostname\": \"\xff\xfe\"}"),
    Row::raw("an_array", &["config.json"], b"[]"),
    Row::raw("null", &["config.json"], b"null").lacks(&[("runc 1.1", "crashes on it")]),
];

static PROCESS: &[Row] = &[
    Row::edit("no_process", &["/process"], &[], |c| c.remove("/process")),
    Row::edit("no_args", &["/process/args"], &["empty"], |c| c.remove("/process/args")),
    Row::edit("empty_args", &["/process/args"], &["empty"], |c| c.args(&[])),
    Row::edit("empty_program", &["/process/args/0"], &["empty"], |c| c.args(&[""])),
    Row::edit("args_is_a_string", &["/process/args"], &["expected"], |c| {
        c.put("/process/args", json!("sh -c true"))
    }),
    Row::edit("args_has_nul", &["/process/args/1"], &["NUL"], |c| c.args(&["/bin/true", "a\0b"]))
        .lacks(RUNC_AT_START),
    Row::edit("cwd_is_relative", &["/process/cwd"], &["absolute", "\"x\""], |c| {
        c.put("/process/cwd", json!("x"))
    }),
    Row::edit("cwd_is_empty", &["/process/cwd"], &["absolute"], |c| c.put("/process/cwd", json!(""))),
    Row::edit("env_without_equals", &["/process/env/2"], &["=", "NO_VALUE"], |c| c.env("NO_VALUE")),
    Row::edit("env_has_nul", &["/process/env/2"], &["NUL"], |c| c.env("A=b\0c")),
    Row::edit("uid_is_negative", &["/process/user/uid"], &["-1"], |c| c.put("/process/user/uid", json!(-1))),
    Row::edit("rlimit_is_unknown", &["/process/rlimits/1"], &["RLIMIT_FOO"], |c| {
        c.put("/process/rlimits/-", json!({"type": "RLIMIT_FOO", "soft": 1, "hard": 1}))
    }),
    Row::edit("rlimit_soft_above_hard", &["/process/rlimits/0"], &["soft", "hard"], |c| {
        c.put("/process/rlimits/0/soft", json!(2048))
    }),
    Row::edit("rlimit_twice", &["/process/rlimits/1"], &["RLIMIT_NOFILE", "twice"], |c| {
        c.put("/process/rlimits/-", json!({"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}))
    }),
    Row::edit("oom_score_out_of_range", &["/process/oomScoreAdj"], &["1000"], |c| {
        c.put("/process/oomScoreAdj", json!(2000))
    }),
    Row::edit("scheduler_is_unknown", &["/process/scheduler"], &["SCHED_FOO"], |c| {
        c.put("/process/scheduler", json!({"policy": "SCHED_FOO"}))
    })
    .lacks(RUNC_TOO_OLD),
    // A policy that has a number and no code in the kernel.
    Row::edit("scheduler_is_not_linuxs", &["/process/scheduler/policy"], &["SCHED_ISO"], |c| {
        c.put("/process/scheduler", json!({"policy": "SCHED_ISO"}))
    })
    .lacks(RUNC_TOO_OLD),
    Row::edit("scheduler_clamps", &["/process/scheduler/flags/0"], &["utilization"], |c| {
        c.put("/process/scheduler", json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_UTIL_CLAMP_MIN"]}))
    })
    .lacks(RUNC_TOO_OLD),
    Row::edit("io_priority_is_unknown", &["/process/ioPriority"], &["IOPRIO_FOO"], |c| {
        c.put("/process/ioPriority", json!({"class": "IOPRIO_FOO", "priority": 0}))
    })
    .lacks(RUNC_TOO_OLD),
    Row::edit("selinux_without_selinux", &["/process/selinuxLabel"], &["SELinux"], |c| {
        c.put("/process/selinuxLabel", json!("system_u:system_r:nowhere_t:s0"))
    }),
    Row::edit("mount_label_without_selinux", &["/linux/mountLabel"], &["selinux"], |c| {
        c.put("/linux/mountLabel", json!("system_u:object_r:nowhere_t:s0"))
    }),
    Row::edit("apparmor_profile_is_unknown", &["/process/apparmorProfile"], &["AppArmor"], |c| {
        c.put("/process/apparmorProfile", json!("no-such-profile"))
    }),
];

static ROOT_AND_TOP: &[Row] = &[
    Row::edit("no_version", &["/ociVersion"], &["version"], |c| c.remove("/ociVersion")).lacks(RUNC_ACCEPTS),
    Row::edit("version_is_no_version", &["/ociVersion"], &["banana"], |c| {
        c.put("/ociVersion", json!("banana"))
    })
    .lacks(RUNC_ACCEPTS),
    Row::edit("version_2", &["/ociVersion"], &["2.0.0"], |c| c.put("/ociVersion", json!("2.0.0")))
        .lacks(RUNC_ACCEPTS),
    Row::edit("no_root", &["/root"], &[], |c| c.remove("/root")),
    Row::edit("root_path_is_empty", &["/root/path"], &["empty"], |c| c.put("/root/path", json!(""))),
    Row::edit("root_is_missing", &["/root/path"], &["no such file or directory"], |c| {
        c.put("/root/path", json!("nowhere"))
    }),
    Row::edit("root_is_a_file", &["/root/path"], &["not a directory"], |c| {
        c.put("/root/path", json!("config.json"))
    }),
    Row::edit("hostname_is_too_long", &["/hostname"], &["64"], |c| c.put("/hostname", json!("h".repeat(65)))),
    Row::edit("annotation_is_a_number", &["/annotations"], &["string"], |c| {
        c.put("/annotations/a", json!(1))
    }),
    Row::edit("annotation_key_is_empty", &["/annotations/"], &["empty"], |c| {
        c.put("/annotations", json!({"": "x"}))
    })
    .lacks(RUNC_ACCEPTS),
    Row::edit("command_line_of_windows", &["/process/commandLine"], &["Windows"], |c| {
        c.put("/process/commandLine", json!("cmd.exe"))
    })
    .lacks(RUNC_ACCEPTS),
    Row::edit("user_name_of_windows", &["/process/user/username"], &["Windows"], |c| {
        c.put("/process/user/username", json!("root"))
    })
    .lacks(RUNC_ACCEPTS),
    Row::edit("virtual_machine_section", &["/vm"], &["not supported"], |c| {
        c.put("/vm", json!({"hypervisor": {"path": "/bin/true"}, "kernel": {"path": "/kernel"}}))
    })
    .lacks(RUNC_ACCEPTS),
];

// The default config has seven mounts, so an added one is /mounts/7.
static MOUNTS: &[Row] = &[
    Row::edit("mount_without_destination", &["/mounts/7"], &["destination"], |c| {
        c.put("/mounts/-", json!({"type": "tmpfs", "source": "tmpfs"}))
    }),
    Row::edit("mount_destination_is_empty", &["/mounts/7/destination"], &["empty"], |c| {
        c.mount("tmpfs", "tmpfs", "", &[])
    }),
    Row::edit("mount_destination_has_nul", &["/mounts/7/destination"], &["NUL"], |c| {
        c.mount("tmpfs", "tmpfs", "/a\0b", &[])
    }),
    Row::edit("mount_source_has_nul", &["/mounts/7/source"], &["NUL"], |c| {
        c.mount("bind", "/tmp\0x", "/a", &["bind"])
    }),
    Row::edit(
        "bind_source_is_missing",
        &["/mounts/7"],
        &["/no/such/source", "no such file or directory"],
        |c| c.mount("bind", "/no/such/source", "/a", &["bind"]),
    ),
    Row::edit("bind_without_source", &["/mounts/7/source"], &[], |c| {
        c.put("/mounts/-", json!({"type": "bind", "destination": "/a", "options": ["bind"]}))
    })
    .lacks(RUNC_ACCEPTS),
    Row::edit("bind_directory_on_file", &["/mounts/7"], &["not a directory"], |c| {
        c.mount("bind", "/etc", "/etc/passwd", &["bind"])
    }),
    Row::edit("file_system_is_unknown", &["/mounts/7"], &["nosuchfs"], |c| {
        c.mount("nosuchfs", "none", "/a", &[])
    }),
    Row::edit("mount_without_type", &["/mounts/7"], &["type"], |c| {
        c.put("/mounts/-", json!({"source": "/etc", "destination": "/a"}))
    }),
    Row::edit("tmpfs_option_is_unknown", &["/mounts/7"], &["nosuchoption"], |c| {
        c.mount("tmpfs", "tmpfs", "/a", &["nosuchoption"])
    }),
    Row::edit("tmpfs_size_is_no_size", &["/mounts/7"], &["size=banana"], |c| {
        c.mount("tmpfs", "tmpfs", "/a", &["size=banana"])
    }),
    Row::edit("no_proc_on_proc", &["/mounts/7/source"], &["not of type proc"], |c| {
        c.mount("bind", "/tmp", "/proc", &["bind"])
    }),
    Row::edit("mount_inside_proc", &["/mounts/7/destination"], &["/proc"], |c| {
        c.mount("tmpfs", "tmpfs", "/proc/self", &[])
    }),
    Row::edit("idmap_without_mappings", &["/mounts/7"], &["idmap", "mapping"], |c| {
        c.mount("bind", "/tmp", "/a", &["bind", "idmap"])
    })
    .lacks(RUNC_TOO_OLD),
    Row::edit("options_is_a_string", &["/mounts/7/options"], &["expected"], |c| {
        c.put("/mounts/-", json!({"type": "tmpfs", "destination": "/a", "options": "ro"}))
    }),
];

// The default config has pid, network, ipc, uts and mount namespaces, in this order.
static NAMESPACES: &[Row] = &[
    Row::edit("namespace_is_unknown", &["/linux/namespaces/5"], &["foo"], |c| c.namespace("foo")),
    Row::edit("namespace_without_type", &["/linux/namespaces/5"], &["type"], |c| {
        c.put("/linux/namespaces/-", json!({}))
    }),
    Row::edit("namespace_twice", &["/linux/namespaces/5"], &["pid", "twice"], |c| c.namespace("pid")),
    Row::edit("namespace_path_is_relative", &["/linux/namespaces/1/path"], &["absolute"], |c| {
        c.put("/linux/namespaces/1/path", json!("run/net"))
    }),
    Row::edit(
        "namespace_path_is_missing",
        &["/linux/namespaces/1/path"],
        &["no such file or directory"],
        |c| c.put("/linux/namespaces/1/path", json!("/run/no/such/namespace")),
    ),
    Row::edit("namespace_path_is_a_file", &["/linux/namespaces/1/path"], &["namespace"], |c| {
        c.put("/linux/namespaces/1/path", json!("/etc/passwd"))
    }),
    Row::edit("namespace_path_of_another_kind", &["/linux/namespaces/1/path"], &["network"], |c| {
        c.put("/linux/namespaces/1/path", json!("/proc/self/ns/uts"))
    }),
    Row::edit("hostname_without_uts", &["/hostname"], &["uts"], |c| c.without_namespace("uts")),
    Row::edit("domainname_without_uts", &["/domainname"], &["uts"], |c| {
        c.without_namespace("uts").put("/domainname", json!("example.org"));
        c.remove("/hostname")
    })
    .lacks(RUNC_TOO_OLD),
    Row::edit("mappings_without_user", &["/linux/uidMappings"], &["user"], |c| {
        c.user_namespace(100_000).without_namespace("user")
    })
    .lacks(RUNC_ACCEPTS),
    Row::edit("user_without_mappings", &["/linux/uidMappings"], &["user"], |c| c.namespace("user")),
    Row::edit("mappings_overlap", &["/linux/uidMappings/1"], &["overlap"], |c| {
        let overlapping = json!({"containerID": 500, "hostID": 200_000, "size": 10});
        c.user_namespace(100_000).put("/linux/uidMappings/-", overlapping)
    }),
    Row::edit("mapping_of_nothing", &["/linux/gidMappings/0"], &["size"], |c| {
        c.user_namespace(100_000).put("/linux/gidMappings/0/size", json!(0))
    }),
    Row::edit("user_is_not_mapped", &["/process/user/uid"], &["5000", "mapped"], |c| {
        c.user_namespace(100_000).put("/process/user/uid", json!(5000))
    }),
    Row::edit("group_is_not_mapped", &["/process/user/additionalGids/0"], &["5000", "mapped"], |c| {
        c.user_namespace(100_000).put("/process/user/additionalGids", json!([5000]))
    }),
    Row::edit("offsets_without_time", &["/linux/timeOffsets"], &["time"], |c| {
        c.put("/linux/timeOffsets", json!({"boottime": {"secs": 100}}))
    })
    .lacks(RUNC_TOO_OLD),
    Row::edit("offset_of_unknown_clock", &["/linux/timeOffsets/realtime"], &["boottime"], |c| {
        c.namespace("time").put("/linux/timeOffsets", json!({"realtime": {"secs": 100}}))
    }),
];

static SYSCTL: &[Row] = &[
    Row::edit("sysctl_of_the_host", &["/linux/sysctl/vm.swappiness"], &["namespace"], |c| {
        c.put("/linux/sysctl", json!({"vm.swappiness": "1"}))
    }),
    Row::edit("sysctl_net_without_network", &["/linux/sysctl/net.ipv4.ip_forward"], &["network"], |c| {
        c.without_namespace("network").put("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
    }),
    Row::edit("sysctl_ipc_without_ipc", &["/linux/sysctl/kernel.msgmax"], &["ipc"], |c| {
        c.without_namespace("ipc").without_mount("/dev/mqueue");
        c.put("/linux/sysctl", json!({"kernel.msgmax": "8192"}))
    }),
    Row::edit("sysctl_of_a_joined_host_network", &["/linux/sysctl/net.ipv4.ip_forward"], &["network"], |c| {
        c.put("/linux/namespaces/1/path", json!("/proc/self/ns/net"));
        c.put("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
    }),
    Row::edit("sysctl_hostname", &["/linux/sysctl/kernel.hostname"], &["hostname"], |c| {
        c.put("/linux/sysctl", json!({"kernel.hostname": "other"}))
    }),
    Row::edit("sysctl_climbs_out", &["/linux/sysctl/net~1..~1kernel~1core_pattern"], &[".."], |c| {
        c.put("/linux/sysctl", json!({"net/../kernel/core_pattern": "core"}))
    }),
    Row::edit("sysctl_is_missing", &["/linux/sysctl/net.no.such"], &["no such file or directory"], |c| {
        c.put("/linux/sysctl", json!({"net.no.such": "1"}))
    }),
    Row::edit("sysctl_value_is_a_number", &["/linux/sysctl"], &["string"], |c| {
        c.put("/linux/sysctl", json!({"net.ipv4.ip_forward": 1}))
    }),
];

static RESOURCES: &[Row] = &[
    Row::edit("memory_limit_is_negative", &["/linux/resources/memory/limit"], &["-1"], |c| {
        c.put("/linux/resources/memory/limit", json!(-5))
    }),
    Row::edit("swap_below_memory", &["/linux/resources/memory/swap"], &["limit"], |c| {
        c.put("/linux/resources/memory", json!({"limit": 64 << 20, "swap": 32 << 20}))
    }),
    Row::edit("cpu_quota_is_too_small", &["/linux/resources/cpu/quota"], &["10"], |c| {
        c.put("/linux/resources/cpu/quota", json!(10))
    }),
    Row::edit("cpu_period_is_too_long", &["/linux/resources/cpu/period"], &["5000000"], |c| {
        c.put("/linux/resources/cpu", json!({"quota": 5_000_000, "period": 5_000_000}))
    }),
    Row::edit("cpus_is_no_list", &["/linux/resources/cpu/cpus"], &["banana"], |c| {
        c.put("/linux/resources/cpu/cpus", json!("banana"))
    }),
    Row::edit("cpus_do_not_exist", &["/linux/resources/cpu/cpus"], &["4000"], |c| {
        c.put("/linux/resources/cpu/cpus", json!("4000"))
    }),
    Row::edit("mems_do_not_exist", &["/linux/resources/cpu/mems"], &["900"], |c| {
        c.put("/linux/resources/cpu/mems", json!("900"))
    }),
    Row::edit("pids_limit_is_a_string", &["/linux/resources/pids/limit"], &["expected"], |c| {
        c.put("/linux/resources/pids/limit", json!("many"))
    }),
    // What kernels had once.
    Row::edit("kernel_memory_limit", &["/linux/resources/memory/kernel"], &["no kernel memory limit"], |c| {
        c.put("/linux/resources/memory", json!({"limit": 64 << 20, "kernel": 32 << 20}))
    })
    .lacks(&[("runc", "ignores it, with a warning")]),
    Row::edit("no_hierarchy", &["/linux/resources/memory/useHierarchy"], &["hierarchically"], |c| {
        c.put("/linux/resources/memory", json!({"limit": 64 << 20, "useHierarchy": false}))
    })
    .lacks(&[("runc", "ignores it")]),
    Row::edit("leaf_weight", &["/linux/resources/blockIO/leafWeight"], &["leaf"], |c| {
        c.put("/linux/resources/blockIO", json!({"leafWeight": 100}))
    }),
    Row::edit("page_size_is_unknown", &["/linux/resources/hugepageLimits/0"], &[], |c| {
        c.put("/linux/resources/hugepageLimits", json!([{"pageSize": "3KB", "limit": 0}]))
    }),
    Row::edit("block_weight_out_of_range", &["/linux/resources/blockIO/weight"], &["1000"], |c| {
        c.put("/linux/resources/blockIO/weight", json!(5))
    })
    .lacks(&[("runc", "drops the weight where the kernel has no such file")]),
    Row::edit("unified_key_is_unknown", &["/linux/resources/unified"], &[], |c| {
        c.put("/linux/resources/unified", json!({"no.such": "1"}))
    }),
    Row::edit("device_rule_type_is_unknown", &["/linux/resources/devices/1/type"], &["x"], |c| {
        c.put("/linux/resources/devices/-", json!({"allow": true, "type": "x", "access": "r"}))
    }),
    Row::edit("device_rule_access_is_unknown", &["/linux/resources/devices/1/access"], &["x"], |c| {
        c.put("/linux/resources/devices/-", json!({"allow": true, "type": "c", "access": "rwx"}))
    })
    .lacks(RUNC_ACCEPTS),
];

static DEVICES: &[Row] = &[
    Row::edit("device_type_is_unknown", &["/linux/devices/0/type"], &["x"], |c| {
        c.put("/linux/devices", json!([{"path": "/dev/a", "type": "x", "major": 1, "minor": 3}]))
    }),
    Row::edit("device_path_is_relative", &["/linux/devices/0/path"], &["absolute"], |c| {
        c.put("/linux/devices", json!([{"path": "dev/a", "type": "c", "major": 1, "minor": 3}]))
    })
    .lacks(RUNC_ACCEPTS),
    Row::edit("device_without_path", &["/linux/devices/0/path"], &[], |c| {
        c.put("/linux/devices", json!([{"type": "c", "major": 1, "minor": 3}]))
    })
    .lacks(RUNC_ACCEPTS),
    Row::edit("device_major_is_negative", &["/linux/devices/0/major"], &["-1"], |c| {
        c.put("/linux/devices", json!([{"path": "/dev/a", "type": "c", "major": -1, "minor": 3}]))
    }),
];

static SECCOMP: &[Row] = &[
    Row::edit("seccomp_without_default", &["/linux/seccomp"], &["defaultAction"], |c| {
        c.put("/linux/seccomp", json!({"syscalls": []}))
    })
    .lacks(RUNC_ACCEPTS),
    Row::edit("seccomp_action_is_unknown", &["/linux/seccomp/defaultAction"], &["SCMP_ACT_FOO"], |c| {
        c.put("/linux/seccomp/defaultAction", json!("SCMP_ACT_FOO"))
    }),
    Row::edit("seccomp_arch_is_unknown", &["/linux/seccomp/architectures/0"], &["SCMP_ARCH_FOO"], |c| {
        let architectures = json!(["SCMP_ARCH_FOO"]);
        c.put("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures}))
    }),
    Row::edit("seccomp_flag_is_unknown", &["/linux/seccomp/flags/0"], &["SECCOMP_FILTER_FLAG_FOO"], |c| {
        let flags = json!(["SECCOMP_FILTER_FLAG_FOO"]);
        c.put("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": flags}))
    }),
    Row::edit("seccomp_rule_without_names", &["/linux/seccomp/syscalls/0/names"], &["at least one"], |c| {
        seccomp_rule(c, &json!({"names": [], "action": "SCMP_ACT_ERRNO"}))
    })
    .lacks(RUNC_ACCEPTS),
    Row::edit(
        "seccomp_operator_is_unknown",
        &["/linux/seccomp/syscalls/0/args/0/op"],
        &["SCMP_CMP_FOO"],
        |c| {
            let args = json!([{"index": 0, "value": 1, "op": "SCMP_CMP_FOO"}]);
            seccomp_rule(c, &json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": args}))
        },
    ),
    Row::edit("seccomp_argument_6", &["/linux/seccomp/syscalls/0/args/0/index"], &["6"], |c| {
        let args = json!([{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]);
        seccomp_rule(c, &json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": args}))
    }),
    Row::edit("seccomp_errno_too_large", &["/linux/seccomp/syscalls/0/errnoRet"], &["70000"], |c| {
        seccomp_rule(c, &json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 70_000}))
    }),
    Row::edit("seccomp_notify_without_listener", &["/linux/seccomp"], &["SCMP_ACT_NOTIFY"], |c| {
        seccomp_rule(c, &json!({"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}))
    }),
];

fn seccomp_rule<'a>(config: &'a mut Config, rule: &serde_json::Value) -> &'a mut Config {
    config.put("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
}

static REST: &[Row] = &[
    Row::edit("root_propagation_is_unknown", &["/linux/rootfsPropagation"], &["sideways"], |c| {
        c.put("/linux/rootfsPropagation", json!("sideways"))
    }),
    Row::edit("masked_path_is_relative", &["/linux/maskedPaths/0"], &["absolute"], |c| {
        c.put("/linux/maskedPaths", json!(["proc/kcore"]))
    })
    .lacks(RUNC_ACCEPTS),
    Row::edit("readonly_path_is_relative", &["/linux/readonlyPaths/0"], &["absolute"], |c| {
        c.put("/linux/readonlyPaths", json!(["proc/sys"]))
    })
    .lacks(RUNC_ACCEPTS),
    Row::edit("personality_is_unknown", &["/linux/personality"], &["LINUX8"], |c| {
        c.put("/linux/personality", json!({"domain": "LINUX8"}))
    })
    .lacks(RUNC_TOO_OLD),
    Row::edit("personality_has_flags", &["/linux/personality/flags"], &["no flags"], |c| {
        c.put("/linux/personality", json!({"domain": "LINUX32", "flags": ["ADDR_NO_RANDOMIZE"]}))
    })
    .lacks(&[("runc", "ignores them")]),
    Row::edit("rdt_without_rdt", &["/linux/intelRdt"], &["resctrl"], |c| {
        c.put("/linux/intelRdt", json!({"closID": "none", "l3CacheSchema": "L3:0=f"}))
    }),
    Row::edit("memory_policy_is_unknown", &["/linux/memoryPolicy"], &["MPOL_FOO"], |c| {
        c.put("/linux/memoryPolicy", json!({"mode": "MPOL_FOO", "nodes": "0"}))
    })
    .lacks(OLD_RUNCS_TOO_OLD),
    Row::edit("memory_policy_without_mode", &["/linux/memoryPolicy"], &["invalid memory policy mode"], |c| {
        c.put("/linux/memoryPolicy", json!({"nodes": "0"}))
    })
    .lacks(OLD_RUNCS_TOO_OLD),
    Row::edit(
        "memory_policy_flag_is_unknown",
        &["/linux/memoryPolicy"],
        &["invalid memory policy flag"],
        |c| c.put("/linux/memoryPolicy", json!({"mode": "MPOL_PREFERRED", "flags": ["MPOL_F_FOO"]})),
    )
    .lacks(OLD_RUNCS_TOO_OLD),
    Row::edit(
        "memory_policy_node_is_absurd",
        &["/linux/memoryPolicy"],
        &["invalid memory policy node"],
        |c| c.put("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0-9876543210"})),
    )
    .lacks(OLD_RUNCS_TOO_OLD),
    Row::edit(
        "memory_policy_of_no_nodes",
        &["/linux/memoryPolicy"],
        &["mode requires 0 nodes but got 8"],
        |c| c.put("/linux/memoryPolicy", json!({"mode": "MPOL_DEFAULT", "nodes": "0-7"})),
    )
    .lacks(OLD_RUNCS_TOO_OLD),
    Row::edit("net_devices_without_network", &["/linux/netDevices"], &["network"], |c| {
        c.without_namespace("network").put("/linux/netDevices", json!({"absent0": {"name": "absent1"}}))
    })
    .lacks(OLD_RUNCS_TOO_OLD),
    Row::edit("hook_path_is_relative", &["/hooks/createRuntime/0/path"], &["absolute"], |c| {
        c.put("/hooks/createRuntime", json!([{"path": "bin/true"}]))
    }),
    Row::edit("hook_timeout_is_zero", &["/hooks/poststop/0/timeout"], &["greater than 0"], |c| {
        c.put("/hooks/poststop", json!([{"path": "/bin/true", "timeout": 0}]))
    })
    .lacks(RUNC_ACCEPTS),
    Row::edit("hook_env_without_equals", &["/hooks/poststop/0/env/0"], &["="], |c| {
        c.put("/hooks/poststop", json!([{"path": "/bin/true", "env": ["NO_VALUE"]}]))
    })
    .lacks(RUNC_ACCEPTS),
    Row::edit(
        "all_at_once",
        &["/process/cwd", "/hostname", "/linux/sysctl/vm.swappiness", "/mounts/7"],
        &[],
        |c| {
            c.put("/process/cwd", json!("x")).put("/linux/sysctl", json!({"vm.swappiness": "1"}));
            c.without_namespace("uts").mount("tmpfs", "tmpfs", "", &[])
        },
    ),
];
