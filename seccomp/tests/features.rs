//! What the crate says about itself, the library and the kernel: it has to be true.

use husk_seccomp::{
    ACTIONS, KNOWN_FLAGS, OPERATORS, compile, libseccomp_version, supported_actions, supported_architectures,
    supported_flags,
};
use oci_spec::runtime::LinuxSeccomp;
use serde_json::{Value, json};

fn compiles(profile: Value) -> bool {
    let profile: LinuxSeccomp = serde_json::from_value(profile).expect("the specification has these names");
    compile(&profile).is_ok()
}

#[test]
fn what_is_listed_compiles() {
    for action in supported_actions() {
        let entry = json!({"names": ["read"], "action": action});
        assert!(compiles(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [entry]})), "{action}");
    }
    for op in OPERATORS {
        let args = json!([{"index": 0, "op": op, "value": 0}]);
        let entry = json!({"names": ["read"], "action": "SCMP_ACT_KILL", "args": args});
        assert!(compiles(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [entry]})), "{op}");
    }
    for flag in supported_flags() {
        assert!(KNOWN_FLAGS.contains(&flag));
        let entry = json!({"names": ["read"], "action": "SCMP_ACT_NOTIFY"});
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag], "syscalls": [entry]});
        assert!(compiles(profile), "{flag}");
    }
}

/// Linux 5.14 and libseccomp 2.5 are the floor, so these have to be there.
#[test]
fn the_floor_has_everything() {
    assert_eq!(supported_actions(), ACTIONS);
    assert_eq!(
        supported_flags(),
        &KNOWN_FLAGS[..if linux_is_at_least(5, 19) { 4 } else { 3 }],
        "WAIT_KILLABLE_RECV came with Linux 5.19"
    );
    let architectures = supported_architectures();
    for arch in
        ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_RISCV64"]
    {
        assert!(architectures.iter().any(|known| known == arch), "{arch} is not among {architectures:?}");
    }
    let version = libseccomp_version().expect("a version");
    assert!(version.starts_with("2."), "{version}");
}

fn linux_is_at_least(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("proc(5)");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

#[test]
fn flags_become_bits() {
    let bits = |profile: Value| {
        let profile: LinuxSeccomp = serde_json::from_value(profile).expect("a profile");
        compile(&profile).expect("a program").flags()
    };
    let flags = |flags: Value| bits(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": flags}));
    assert_eq!(bits(json!({"defaultAction": "SCMP_ACT_ALLOW"})), 4, "without a word: SPEC_ALLOW");
    assert_eq!(flags(json!([])), 0);
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_TSYNC"])), 0);
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_LOG"])), 2);
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG"])), 6);
    let notify = json!([{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}]);
    assert_eq!(bits(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [], "syscalls": notify})), 8);
    let flags = json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
    assert_eq!(bits(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": flags, "syscalls": notify})), 40);
}
