//! Profiles that cannot be compiled: each has exactly these problems, at these places, in these words.

use husk_seccomp::{Problem, compile, libseccomp_version};
use serde_json::{Value, json};

fn problems(profile: Value) -> Vec<(String, String)> {
    let profile = serde_json::from_value(profile).expect("oci-spec takes the profile");
    let problems = compile(&profile).err().unwrap_or_default();
    problems.into_iter().map(|Problem { pointer, message }| (pointer, message)).collect()
}

#[track_caller]
fn has(profile: Value, expected: &[(&str, &str)]) {
    let found = problems(profile);
    let found: Vec<(&str, &str)> = found.iter().map(|(p, m)| (p.as_str(), m.as_str())).collect();
    assert_eq!(found, expected);
}

/// A profile with one entry for `read`, which is merged into the entry.
fn entry(more: Value) -> Value {
    let mut entry = json!({"names": ["read"], "action": "SCMP_ACT_ALLOW"});
    let fields = more.as_object().expect("an object").clone();
    entry.as_object_mut().expect("an object").extend(fields);
    json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [entry]})
}

fn arg(index: usize, op: &str, value: u64, second: u64) -> Value {
    json!({"index": index, "op": op, "value": value, "valueTwo": second})
}

#[test]
fn actions() {
    has(
        json!({"defaultAction": "SCMP_ACT_NOTIFY"}),
        &[("/defaultAction", "SCMP_ACT_NOTIFY cannot be used as default action")],
    );
    has(
        entry(json!({"action": "SCMP_ACT_NOTIFY", "names": ["read", "write"]})),
        &[("/syscalls/0/names/1", "SCMP_ACT_NOTIFY cannot be used for the write syscall")],
    );
    has(
        entry(json!({"action": "SCMP_ACT_NOTIFY", "errnoRet": 1})),
        &[("/syscalls/0/errnoRet", "SCMP_ACT_NOTIFY does not return an errno")],
    );
    for action in ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "ALLOW", "LOG"] {
        let action = format!("SCMP_ACT_{action}");
        let words = format!("{action} does not return an errno");
        has(json!({"defaultAction": action, "defaultErrnoRet": 1}), &[("/defaultErrnoRet", &words)]);
        has(entry(json!({"action": action, "errnoRet": 1})), &[("/syscalls/0/errnoRet", &words)]);
    }
}

#[test]
fn errnos() {
    let words = "errno 4095 is out of range: at most 4094 is possible";
    has(json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4095}), &[("/defaultErrnoRet", words)]);
    has(entry(json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 4095})), &[("/syscalls/0/errnoRet", words)]);
    has(
        entry(json!({"action": "SCMP_ACT_ERRNO", "errnoRet": u32::MAX})),
        &[("/syscalls/0/errnoRet", "errno 4294967295 is out of range: at most 4094 is possible")],
    );
    has(
        entry(json!({"action": "SCMP_ACT_TRACE", "errnoRet": 0x1_0000})),
        &[("/syscalls/0/errnoRet", "trace value 65536 is out of range: at most 65535 is possible")],
    );
    has(entry(json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 4094})), &[]);
    has(entry(json!({"action": "SCMP_ACT_TRACE", "errnoRet": 0xffff})), &[]);
}

#[test]
fn names() {
    has(entry(json!({"names": []})), &[("/syscalls/0/names", "an entry needs at least one system call")]);
    has(
        entry(json!({"names": ["read", "", "write"]})),
        &[("/syscalls/0/names/1", "an empty name is not a system call")],
    );
}

#[test]
fn unknown_names_are_no_problem_but_told() {
    let long = "x".repeat(300);
    let profile = entry(json!({"names": ["read", "no_such_call", "re\0ad", long]}));
    let program = compile(&serde_json::from_value(profile).expect("a profile")).expect("a program");
    let unknown: Vec<(&str, &str)> =
        program.unknown_names().iter().map(|u| (u.pointer.as_str(), u.name.as_str())).collect();
    assert_eq!(
        unknown,
        [
            ("/syscalls/0/names/1", "no_such_call"),
            ("/syscalls/0/names/2", "re\0ad"),
            ("/syscalls/0/names/3", long.as_str())
        ]
    );
    assert!(program.to_string().ends_with(", flags SPEC_ALLOW, 3 unknown names"), "{program}");
}

#[test]
fn arguments() {
    let words = "argument 6 does not exist: a system call has arguments 0 to 5";
    has(
        entry(json!({"args": [arg(5, "SCMP_CMP_EQ", 1, 0), arg(6, "SCMP_CMP_EQ", 1, 0)]})),
        &[("/syscalls/0/args/1/index", words)],
    );
    has(
        entry(json!({"args": [arg(usize::MAX, "SCMP_CMP_EQ", 1, 0)]})),
        &[(
            "/syscalls/0/args/0/index",
            "argument 18446744073709551615 does not exist: a system call has arguments 0 to 5",
        )],
    );
    for op in ["NE", "LT", "LE", "EQ", "GE", "GT"] {
        let op = format!("SCMP_CMP_{op}");
        has(
            entry(json!({"args": [arg(0, &op, 1, 2)]})),
            &[("/syscalls/0/args/0/valueTwo", &format!("{op} has no second value"))],
        );
    }
    has(
        entry(json!({"args": [arg(0, "SCMP_CMP_MASKED_EQ", 0xf0, 0x11)]})),
        &[("/syscalls/0/args/0/valueTwo", "0x11 has bits outside of the mask 0xf0, so it never matches")],
    );
}

#[test]
fn rules_that_contradict_each_other() {
    let args = [arg(0, "SCMP_CMP_EQ", 1, 0)];
    let one = |action: &str| json!({"names": ["getpid", "read"], "action": action, "args": args});
    has(
        json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [one("SCMP_ACT_ALLOW"), one("SCMP_ACT_KILL")]}),
        &[
            ("/syscalls/1/names/0", "getpid has another rule for these arguments, with another action"),
            ("/syscalls/1/names/1", "read has another rule for these arguments, with another action"),
        ],
    );
}

#[test]
fn a_flag_that_needs_a_listener() {
    let flag = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";
    has(
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "flags": ["SECCOMP_FILTER_FLAG_LOG", flag],
            "listenerPath": "/run/agent.sock"
        }),
        &[("/flags/1", &format!("{flag} needs a rule with SCMP_ACT_NOTIFY"))],
    );
}

#[test]
fn architectures() {
    let other_order = if cfg!(target_endian = "little") { "SCMP_ARCH_S390X" } else { "SCMP_ARCH_X86_64" };
    has(
        json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_NATIVE", other_order]}),
        &[("/architectures/1", &format!("{other_order} has another byte order than this machine"))],
    );
    // m68k came with libseccomp 2.6, and is big endian then.
    let words = problems(json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_M68K"]}));
    let old = libseccomp_version().is_some_and(|version| version.starts_with("2.5."));
    let expected = if old {
        "this libseccomp does not know SCMP_ARCH_M68K"
    } else {
        "SCMP_ARCH_M68K has another byte order than this machine"
    };
    assert_eq!(words, [("/architectures/0".to_owned(), expected.to_owned())]);
}

#[test]
fn all_problems_come_at_once() {
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "defaultErrnoRet": 5,
        "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_PARISC"],
        "syscalls": [
            {"names": ["", "read"], "action": "SCMP_ACT_KILL", "errnoRet": 1, "args": [arg(9, "SCMP_CMP_EQ", 0, 7)]},
            {"names": ["read"], "action": "SCMP_ACT_ERRNO"},
            {"names": [], "action": "SCMP_ACT_TRAP", "errnoRet": 1}
        ]
    });
    let pointers: Vec<String> = problems(profile).into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(
        pointers,
        [
            "/defaultErrnoRet",
            "/flags/0",
            "/architectures/1",
            "/syscalls/0/errnoRet",
            "/syscalls/0/args/0/valueTwo",
            "/syscalls/0/args/0/index",
            "/syscalls/0/names/0",
            "/syscalls/2/errnoRet",
            "/syscalls/2/names",
        ]
    );
}

/// More conditions than a program has room for.
#[test]
fn too_large() {
    let syscalls: Vec<Value> = (0..3000)
        .map(|value| arg(1, "SCMP_CMP_EQ", value << 32 | value, 0))
        .map(|arg| json!({"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [arg]}))
        .collect();
    let found = problems(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": syscalls}));
    let [(pointer, message)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(pointer, "");
    assert!(message.starts_with("the profile becomes "), "{message}");
    assert!(message.ends_with(" instructions; the kernel takes at most 4096"), "{message}");
}
