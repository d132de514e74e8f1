//! Seccomp filters, by what the kernel then does.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, case, unable};
use nix::errno::Errno;
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(starts_under_filters_that_know_no_new_calls),
        case!(errno_is_given),
        case!(errno_is_the_rules_own),
        case!(errno_of_the_default),
        case!(kill_process_ends_it),
        case!(kill_thread_ends_it),
        case!(trap_ends_it),
        case!(trace_without_a_tracer),
        case!(log_allows),
        case!(calls_newer_than_the_profile, lacks "runc 1.1": "refuses them as all others", "crun": "refuses them as all others"),
        case!(unknown_names_are_skipped),
        case!(unknown_names_fail_where_asked, lacks "runc": "crun's annotation"),
        case!(hooks_at_the_start_are_filtered),
        case!(first_process_is_filtered),
        case!(exec_is_filtered),
        case!(without_no_new_privileges),
        case!(operators_compare),
        case!(conditions_are_all_needed),
        case!(same_argument_twice_is_either),
        case!(rules_of_one_call_add_up),
        case!(other_architectures),
        case!(flags_are_taken, lacks "runc 1.1": "takes no flags"),
        case!(no_filter_without_a_profile),
    ]
}

/// Allows everything but what `rules` say.
fn allow_but(container: &mut Container<'_>, rules: Value) {
    container.config.writable();
    container.config.put("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
}

fn refuse_mkdir(action: &str) -> Value {
    json!([{"names": ["mkdir", "mkdirat"], "action": action}])
}

fn errno_is_given(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    allow_but(&mut container, refuse_mkdir("SCMP_ACT_ERRNO"));
    container
        .run_sh("mkdir /new; touch /file && echo others")?
        .ok()
        .prints("others")
        .says(&["Operation not permitted"]);
    assert!(!container.has("/new"));
    container.nothing_left()
}

fn errno_is_the_rules_own(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let rule = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38});
    allow_but(&mut container, json!([rule]));
    container.run_sh("mkdir /new")?.exits(1).says(&["Function not implemented"]);
    Ok(())
}

/// What a shell needs, and the runtime before it.
const ALLOWED: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "capget",
    "capset",
    "chdir",
    "chmod",
    "clone",
    "clone3",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "eventfd2",
    "execve",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fchdir",
    "fchown",
    "fcntl",
    "fork",
    "fstat",
    "fstatfs",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getpgid",
    "getpid",
    "getppid",
    "getrandom",
    "gettid",
    "getuid",
    "ioctl",
    "kill",
    "lseek",
    "lstat",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "nanosleep",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pipe",
    "pipe2",
    "poll",
    "prctl",
    "prlimit64",
    "read",
    "readlink",
    "readlinkat",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "seccomp",
    "sendfile",
    "set_robust_list",
    "set_tid_address",
    "setgid",
    "setgroups",
    "setsid",
    "setuid",
    "sigaltstack",
    "stat",
    "statfs",
    "statx",
    "sysinfo",
    "tgkill",
    "umask",
    "uname",
    "vfork",
    "wait4",
    "write",
    "writev",
];

fn allow_only(container: &mut Container<'_>) {
    let rules = json!([{"names": ALLOWED, "action": "SCMP_ACT_ALLOW"}]);
    let profile = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": rules});
    container.config.writable().put("/linux/seccomp", profile);
}

/// A profile the other way round: the default refuses, and one rule allows what a shell needs.
fn errno_of_the_default(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    allow_only(&mut container);
    container.run_sh("echo fine; mkdir /new")?.exits(1).prints("fine").says(&["Operation not permitted"]);
    Ok(())
}

/// Programs ask whether there is a call, and do without. A profile that was written before it refuses nothing of it.
fn calls_newer_than_the_profile(lab: &Lab) -> Outcome {
    if !cfg!(target_arch = "x86_64") {
        return unable("the program that makes the calls is for x86_64");
    }
    let mut container = lab.container()?;
    allow_only(&mut container);
    // acct(2) is older than what the profile allows; mseal(2) and what comes after it are newer.
    for (name, number) in [("acct", 163), ("mseal", 462), ("no_such", 900)] {
        let program = container.rootfs().join("bin").join(name);
        fs::write(&program, program_of_one_call(number))?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    }
    let (refused, missing) = (Errno::EPERM as i32, Errno::ENOSYS as i32);
    let script = "for name in acct mseal no_such; do /bin/$name; echo $?; done";
    container.run_sh(script)?.ok().prints(&format!("{refused}\n{missing}\n{missing}"));
    container.nothing_left()
}

/// An ELF file for x86_64 that makes one call, whose arguments are zero, and ends with its errno.
fn program_of_one_call(number: u32) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let mut code = vec![0xb8]; // mov eax, NUMBER
    code.extend(number.to_le_bytes());
    code.extend([0x31, 0xff, 0x31, 0xf6, 0x31, 0xd2]); // xor edi, edi; xor esi, esi; xor edx, edx
    code.extend([0x0f, 0x05, 0xf7, 0xd8, 0x89, 0xc7]); // syscall; neg eax; mov edi, eax
    code.extend([0xb8, 0xe7, 0, 0, 0, 0x0f, 0x05]); // mov eax, exit_group; syscall
    let size = HEADERS + code.len() as u64;
    // elf(5): the file's header, then that of the one segment, which is the whole file.
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([2_u16, 62].iter().flat_map(|number| number.to_le_bytes()));
    file.extend(1_u32.to_le_bytes());
    file.extend([BASE + HEADERS, 64, 0].iter().flat_map(|number| number.to_le_bytes()));
    file.extend(0_u32.to_le_bytes());
    file.extend([64_u16, 56, 1, 0, 0, 0].iter().flat_map(|number| number.to_le_bytes()));
    file.extend([1_u32, 5].iter().flat_map(|number| number.to_le_bytes()));
    file.extend([0, BASE, BASE, size, size, 0x1000].iter().flat_map(|number: &u64| number.to_le_bytes()));
    file.extend(code);
    file
}

/// The status of a process that ended by SIGSYS.
const SIGSYS: i32 = 128 + 31;

fn mkdir_ends_with(lab: &Lab, action: &str, code: i32) -> Outcome {
    let mut container = lab.container()?;
    allow_but(&mut container, refuse_mkdir(action));
    container.run_sh("mkdir /new; echo $?")?.ok().prints(&code.to_string());
    assert!(!container.has("/new"));
    container.nothing_left()
}

fn kill_process_ends_it(lab: &Lab) -> Outcome {
    mkdir_ends_with(lab, "SCMP_ACT_KILL_PROCESS", SIGSYS)
}

fn kill_thread_ends_it(lab: &Lab) -> Outcome {
    mkdir_ends_with(lab, "SCMP_ACT_KILL_THREAD", SIGSYS)?;
    mkdir_ends_with(lab, "SCMP_ACT_KILL", SIGSYS)
}

fn trap_ends_it(lab: &Lab) -> Outcome {
    mkdir_ends_with(lab, "SCMP_ACT_TRAP", SIGSYS)
}

/// With nobody tracing the call fails with ENOSYS.
fn trace_without_a_tracer(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    allow_but(&mut container, refuse_mkdir("SCMP_ACT_TRACE"));
    container.run_sh("mkdir /new")?.exits(1).says(&["Function not implemented"]);
    Ok(())
}

fn log_allows(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    allow_but(&mut container, refuse_mkdir("SCMP_ACT_LOG"));
    container.run_sh("mkdir /new && echo made")?.ok().prints("made");
    Ok(())
}

fn unknown_names_are_skipped(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let names = json!(["no_such_call", "mkdir", "mkdirat"]);
    allow_but(&mut container, json!([{"names": names, "action": "SCMP_ACT_ERRNO"}]));
    container.run_sh("mkdir /new")?.exits(1).says(&["Operation not permitted"]);
    Ok(())
}

/// As crun has it.
fn unknown_names_fail_where_asked(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let names = json!(["mkdir", "no_such_call"]);
    allow_but(&mut container, json!([{"names": names, "action": "SCMP_ACT_ERRNO"}]));
    container.config.put("/annotations/run.oci.seccomp_fail_unknown_syscall", json!("0"));
    container.run_sh("true")?.ok();
    container.config.put("/annotations/run.oci.seccomp_fail_unknown_syscall", json!("1"));
    container.create()?.exits(1).says(&["/linux/seccomp/syscalls/0/names/1", "no_such_call"]);
    container.nothing_left()
}

/// Both when the filter comes right before the program, and when it is there already; also one that lets a runtime do
/// little (engines' profiles know clone3(2) only to forbid it).
fn hooks_at_the_start_are_filtered(lab: &Lab) -> Outcome {
    for no_new_privileges in [true, false] {
        let mut container = lab.container()?;
        let clone3 = json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38});
        allow_but(&mut container, json!([refuse_mkdir("SCMP_ACT_ERRNO")[0], clone3]));
        container.config.put("/process/noNewPrivileges", json!(no_new_privileges));
        let script = "mkdir /new; echo $? > /seen; grep Seccomp: /proc/self/status >> /seen";
        container
            .config
            .put("/hooks/startContainer", json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]));
        container.run_sh("true")?.ok();
        assert_eq!(fs::read_to_string(container.rootfs().join("seen"))?, "1\nSeccomp:\t2\n");
    }
    Ok(())
}

fn first_process_is_filtered(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    allow_but(&mut container, refuse_mkdir("SCMP_ACT_KILL_PROCESS"));
    container.config.args(&["/bin/mkdir", "/new"]);
    container.run()?.exits(SIGSYS);
    container.config.args(&["/bin/cat", "/proc/self/status"]);
    let status = container.run()?.ok();
    assert_eq!((status.value("Seccomp:"), status.value("Seccomp_filters:")), ("2", "1"));
    container.nothing_left()
}

fn exec_is_filtered(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    allow_but(&mut container, refuse_mkdir("SCMP_ACT_ERRNO"));
    container.up()?;
    container.exec(&[], &["/bin/mkdir", "/new"])?.exits(1).says(&["Operation not permitted"]);
    let status = container.exec(&[], &["/bin/cat", "/proc/self/status"])?.ok();
    assert_eq!((status.value("Seccomp:"), status.value("Seccomp_filters:")), ("2", "1"));
    Ok(())
}

/// Then the filter goes in while the capabilities are still there, and has to let the runtime finish.
fn without_no_new_privileges(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    allow_but(&mut container, refuse_mkdir("SCMP_ACT_ERRNO"));
    container.config.put("/process/noNewPrivileges", json!(false));
    container.config.put("/process/user", json!({"uid": 1000, "gid": 1000}));
    let status = container
        .run_sh("cat /proc/self/status; mkdir /dev/shm/new")?
        .exits(1)
        .says(&["Operation not permitted"]);
    assert_eq!((status.value("Seccomp:"), status.value("NoNewPrivs:")), ("2", "0"));
    assert_eq!(status.value("CapEff:"), "0000000000000000");
    Ok(())
}

/// `truncate` gives a file the length of 4, 5 and 6 bytes, which is ftruncate's argument 1. Prints what was refused.
const TRY_LENGTHS: &str = "for n in 4 5 6; do truncate -s $n /file 2>/dev/null || echo -n $n; done; true";

fn refused_lengths(lab: &Lab, rules: Value, refused: &str) -> Outcome {
    let mut container = lab.container()?;
    let shown = rules.to_string();
    allow_but(&mut container, rules);
    let finished = container.run_sh(TRY_LENGTHS)?.ok();
    assert_eq!(finished.stdout, refused, "{shown}: {finished}");
    Ok(())
}

fn length_rule(args: Value) -> Value {
    json!({"names": ["ftruncate"], "action": "SCMP_ACT_ERRNO", "args": args})
}

fn operators_compare(lab: &Lab) -> Outcome {
    for (op, value, mask_result, refused) in [
        ("SCMP_CMP_EQ", 5, 0, "5"),
        ("SCMP_CMP_NE", 5, 0, "46"),
        ("SCMP_CMP_LT", 5, 0, "4"),
        ("SCMP_CMP_LE", 5, 0, "45"),
        ("SCMP_CMP_GT", 5, 0, "6"),
        ("SCMP_CMP_GE", 5, 0, "56"),
        // The lowest two bits of the argument have to be 10 in binary.
        ("SCMP_CMP_MASKED_EQ", 3, 2, "6"),
    ] {
        let arg = json!({"index": 1, "value": value, "valueTwo": mask_result, "op": op});
        refused_lengths(lab, json!([length_rule(json!([arg]))]), refused)?;
    }
    Ok(())
}

fn conditions_are_all_needed(lab: &Lab) -> Outcome {
    let any_file = json!({"index": 0, "value": 0, "op": "SCMP_CMP_GE"});
    let no_file = json!({"index": 0, "value": 1000, "op": "SCMP_CMP_EQ"});
    let five = json!({"index": 1, "value": 5, "op": "SCMP_CMP_EQ"});
    refused_lengths(lab, json!([length_rule(json!([any_file, five]))]), "5")?;
    refused_lengths(lab, json!([length_rule(json!([no_file, five]))]), "")
}

/// libseccomp takes an argument once a rule; the conditions then become a rule each.
fn same_argument_twice_is_either(lab: &Lab) -> Outcome {
    let four = json!({"index": 1, "value": 4, "op": "SCMP_CMP_EQ"});
    let six = json!({"index": 1, "value": 6, "op": "SCMP_CMP_EQ"});
    refused_lengths(lab, json!([length_rule(json!([four, six]))]), "46")
}

fn rules_of_one_call_add_up(lab: &Lab) -> Outcome {
    let rule = |value: u64| length_rule(json!([{"index": 1, "value": value, "op": "SCMP_CMP_EQ"}]));
    refused_lengths(lab, json!([rule(4), rule(5)]), "45")
}

fn other_architectures(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    allow_but(&mut container, refuse_mkdir("SCMP_ACT_ERRNO"));
    let architectures =
        json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]);
    container.config.put("/linux/seccomp/architectures", architectures);
    container.run_sh("echo fine; mkdir /new")?.exits(1).prints("fine").says(&["Operation not permitted"]);
    Ok(())
}

fn flags_are_taken(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    allow_but(&mut container, refuse_mkdir("SCMP_ACT_ERRNO"));
    let flags =
        json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"]);
    container.config.put("/linux/seccomp/flags", flags);
    container.run_sh("mkdir /new")?.exits(1).says(&["Operation not permitted"]);
    Ok(())
}

fn no_filter_without_a_profile(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let status = container.run_sh("cat /proc/self/status")?.ok();
    assert_eq!((status.value("Seccomp:"), status.value("Seccomp_filters:")), ("0", "0"));
    Ok(())
}

/// Without no_new_privs the filter is in force while the process still is to find its program; profiles of some years ago
/// refuse what was new then.
fn starts_under_filters_that_know_no_new_calls(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let names = [
        "clone3",
        "close_range",
        "fsopen",
        "fsconfig",
        "openat2",
        "open_tree",
        "move_mount",
        "mount_setattr",
    ];
    container.config.put("/process/noNewPrivileges", json!(false)).put(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW",
               "syscalls": [{"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}),
    );
    container.config.args(&["echo", "started"]);
    container.run()?.ok().prints("started");
    Ok(())
}
