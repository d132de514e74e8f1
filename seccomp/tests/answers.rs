//! What compiled programs answer: every program is run, and held against the profile and against libseccomp.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod oracle;

use husk_seccomp::compile;
use libseccomp::{ScmpArch, ScmpSyscall};
use oci_spec::runtime::LinuxSeccomp;
use oracle::reading::Reading;
use oracle::{Abi, Dice, libseccomp_alone, machine, numbers, values};
use serde_json::{Value, json};

fn engine() -> Value {
    serde_json::from_str(include_str!("profiles/engine.json")).expect("the fixture is JSON")
}

fn profile(value: Value) -> LinuxSeccomp {
    serde_json::from_value(value).expect("a profile")
}

fn scmp_archs(profile: &LinuxSeccomp) -> Vec<ScmpArch> {
    let listed = profile.architectures().iter().flatten();
    listed.map(|arch| Abi::ALL.into_iter().find(|abi| abi.spec() == *arch).expect("an abi").scmp()).collect()
}

/// All numbers with boundary arguments, and 10,000 random calls for each kind of program, against the naive
/// reading.
fn agrees_with_the_profile(profile: &LinuxSeccomp, seed: u64) {
    let program = compile(profile).expect("the profile compiles");
    let values = values(profile);
    let mut dice = Dice(seed);
    for abi in Abi::ALL {
        let reading = Reading::new(profile, abi);
        let numbers = numbers(abi);
        let check = |number: u32, args: [u64; 6]| {
            let call = abi.call(number, args);
            let (ran, read) = (machine::run(program.instructions(), &call), reading.answer(&call));
            assert_eq!(ran, read, "{abi:?} {call:x?}\n{}", program.disassemble());
        };
        for &number in &numbers {
            for &value in &values {
                check(number, [value; 6]);
                check(number, std::array::from_fn(|i| if i == 0 { value } else { 0 }));
            }
        }
        for _ in 0..10_000 {
            check(dice.number(abi, &numbers), dice.args(&values));
        }
    }
}

#[test]
fn an_engines_default_profile() {
    for architectures in [
        json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
        json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"]),
    ] {
        let mut engine = engine();
        engine["architectures"] = architectures;
        agrees_with_the_profile(&profile(engine), 1);
    }
}

/// What Docker gives its containers, as it wrote it, and with the architecture that it leaves out here.
#[test]
fn dockers_profile() {
    let config = include_str!("../../runtime-core/tests/plan/docker.json");
    let config: Value = serde_json::from_str(config).expect("the fixture is JSON");
    let mut written = config["linux"]["seccomp"].clone();
    agrees_with_the_profile(&profile(written.clone()), 4);
    written["architectures"].as_array_mut().expect("a list").push("SCMP_ARCH_AARCH64".into());
    agrees_with_the_profile(&profile(written), 5);
}

/// What Podman gives its containers. Its rules for `socket` overlap, so that libseccomp decides what they mean.
#[test]
fn podmans_profile() {
    let config = include_str!("../../runtime-core/tests/plan/podman.json");
    let config: Value = serde_json::from_str(config).expect("the fixture is JSON");
    let profile = profile(config["linux"]["seccomp"].clone());
    let theirs = libseccomp_alone::compile(&profile, &scmp_archs(&profile)).expect("libseccomp takes it");
    let ours = compile(&profile).expect("the profile compiles");
    let values = values(&profile);
    let mut dice = Dice(6);
    for abi in Abi::ALL {
        let numbers = numbers(abi);
        let check = |call| {
            let (ran, expected) = (machine::run(ours.instructions(), &call), machine::run(&theirs, &call));
            assert_eq!(ran, expected, "{abi:?} {call:x?}");
        };
        for &number in &numbers {
            values.iter().for_each(|&value| check(abi.call(number, [value; 6])));
        }
        for _ in 0..10_000 {
            check(abi.call(dice.number(abi, &numbers), dice.args(&values)));
        }
    }
}

/// As Podman has it: conditions for `socket` that contradict each other when x86 reaches it through `socketcall`, were it
/// not for the rule that allows all of that.
#[test]
fn conditions_of_a_call_whose_carrier_is_allowed() {
    let socket = |action: &str, args: Value| json!({"names": ["socket"], "action": action, "args": args});
    let is = |index: u32, op: &str, value: u32| json!({"index": index, "op": op, "value": value});
    let profile = profile(json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            {"names": ["socketcall", "getpid"], "action": "SCMP_ACT_ALLOW"},
            socket("SCMP_ACT_ERRNO", json!([is(0, "SCMP_CMP_EQ", 40)])),
            socket("SCMP_ACT_ERRNO", json!([is(0, "SCMP_CMP_EQ", 16), is(2, "SCMP_CMP_EQ", 9)])),
            socket("SCMP_ACT_ALLOW", json!([is(0, "SCMP_CMP_EQ", 16), is(2, "SCMP_CMP_NE", 9)])),
            socket("SCMP_ACT_ALLOW", json!([is(0, "SCMP_CMP_NE", 16)])),
        ]
    }));
    let theirs = libseccomp_alone::compile(&profile, &scmp_archs(&profile)).expect("libseccomp takes it");
    let ours = compile(&profile).expect("the profile compiles");
    let values = values(&profile);
    let mut dice = Dice(7);
    for abi in Abi::ALL {
        let numbers = numbers(abi);
        for _ in 0..20_000 {
            let call = abi.call(dice.number(abi, &numbers), dice.args(&values));
            assert_eq!(
                machine::run(ours.instructions(), &call),
                machine::run(&theirs, &call),
                "{abi:?} {call:x?}"
            );
        }
    }
}

/// Every default action, so that newer calls, gaps and rules that repeat the default are all seen.
#[test]
fn every_default_action() {
    for (action, errno) in [
        ("SCMP_ACT_KILL", None),
        ("SCMP_ACT_KILL_THREAD", None),
        ("SCMP_ACT_KILL_PROCESS", None),
        ("SCMP_ACT_TRAP", None),
        ("SCMP_ACT_ERRNO", None),
        ("SCMP_ACT_ERRNO", Some(38)),
        ("SCMP_ACT_ERRNO", Some(4094)),
        ("SCMP_ACT_TRACE", Some(0xffff)),
        ("SCMP_ACT_ALLOW", None),
        ("SCMP_ACT_LOG", None),
    ] {
        let mut all = every_operator();
        all["defaultAction"] = action.into();
        if let Some(errno) = errno {
            all["defaultErrnoRet"] = errno.into();
        }
        agrees_with_the_profile(&profile(all), 2);
    }
}

/// Each action, each operator, several arguments, one argument twice, and names that one ABI has and
/// another lacks.
fn every_operator() -> Value {
    let compare = |index: usize, op: &str, value: u64| json!({"index": index, "op": op, "value": value});
    let rule =
        |name: &str, action: &str, args: Value| json!({"names": [name], "action": action, "args": args});
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_NATIVE", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"],
        "syscalls": [
            {"names": ["getpid", "no_such_call", "fork", "mmap2", "socket", "semop"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["getppid"], "action": "SCMP_ACT_KILL_PROCESS"},
            {"names": ["getuid"], "action": "SCMP_ACT_KILL"},
            {"names": ["getgid"], "action": "SCMP_ACT_TRAP"},
            {"names": ["geteuid"], "action": "SCMP_ACT_TRACE", "errnoRet": 7},
            {"names": ["getegid"], "action": "SCMP_ACT_LOG"},
            {"names": ["sync"], "action": "SCMP_ACT_NOTIFY"},
            rule("flock", "SCMP_ACT_NOTIFY", json!([compare(1, "SCMP_CMP_EQ", 2)])),
            {"names": ["gettid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0},
            rule("dup", "SCMP_ACT_ALLOW", json!([compare(0, "SCMP_CMP_NE", 0x1_0000_0005)])),
            rule("dup2", "SCMP_ACT_ALLOW", json!([compare(1, "SCMP_CMP_LT", 0x2_0000_0000)])),
            rule("dup3", "SCMP_ACT_ALLOW", json!([compare(2, "SCMP_CMP_LE", 7)])),
            rule("close", "SCMP_ACT_KILL_PROCESS", json!([compare(3, "SCMP_CMP_EQ", u64::MAX)])),
            rule("lseek", "SCMP_ACT_ALLOW", json!([compare(4, "SCMP_CMP_GE", 0xffff_ffff)])),
            rule("pread64", "SCMP_ACT_ALLOW", json!([compare(5, "SCMP_CMP_GT", 0x1_ffff_ffff_u64)])),
            rule("ioctl", "SCMP_ACT_ALLOW", json!([
                {"index": 1, "op": "SCMP_CMP_MASKED_EQ", "value": 0xff00_0000_ff00_u64, "valueTwo": 0x5400}
            ])),
            rule("fcntl", "SCMP_ACT_ALLOW", json!([
                compare(0, "SCMP_CMP_GT", 2), compare(1, "SCMP_CMP_EQ", 3), compare(2, "SCMP_CMP_NE", 0)
            ])),
            rule("read", "SCMP_ACT_ALLOW", json!([compare(0, "SCMP_CMP_EQ", 0), compare(0, "SCMP_CMP_EQ", 9)])),
            // One name in three entries; and one with a condition that its other entry makes void.
            rule("write", "SCMP_ACT_ALLOW", json!([compare(0, "SCMP_CMP_EQ", 1)])),
            rule("write", "SCMP_ACT_ALLOW", json!([compare(0, "SCMP_CMP_EQ", 2)])),
            rule("write", "SCMP_ACT_ERRNO", json!([compare(0, "SCMP_CMP_EQ", 77)])),
            rule("connect", "SCMP_ACT_ALLOW", json!([compare(1, "SCMP_CMP_EQ", 5)])),
            rule("openat2", "SCMP_ACT_LOG", json!([compare(1, "SCMP_CMP_EQ", 5)])),
            {"names": ["openat2", "statx"], "action": "SCMP_ACT_ALLOW"},
            // Of two answers the first holds.
            {"names": ["statx"], "action": "SCMP_ACT_KILL_PROCESS"},
        ]
    })
}

/// Profiles that no person would write, against the program that libseccomp writes for all of it.
#[test]
fn random_profiles_as_libseccomp_has_them() {
    let mut dice = Dice(0x5eed);
    let mut compared = 0;
    for round in 0..150 {
        let profile = profile(random_profile(&mut dice));
        let Some(theirs) = libseccomp_alone::compile(&profile, &scmp_archs(&profile)) else {
            assert!(compile(&profile).is_err(), "libseccomp refuses round {round}, husk does not");
            continue;
        };
        let Ok(ours) = compile(&profile) else {
            // The one thing that husk is stricter in: it does not look whether another rule makes a quarrel
            // void.
            continue;
        };
        compared += 1;
        let values = values(&profile);
        for abi in Abi::ALL {
            let numbers = numbers(abi);
            let reading = Reading::new(&profile, abi);
            for _ in 0..2000 {
                let call = abi.call(dice.number(abi, &numbers), dice.args(&values));
                let (ran, expected) =
                    (machine::run(ours.instructions(), &call), machine::run(&theirs, &call));
                // libseccomp itself errs now and then, with conditions that no person would write. Then the profile
                // as it reads decides.
                assert!(
                    ran == expected || ran == reading.answer(&call),
                    "round {round}, {abi:?} {call:x?}: {ran:x} instead of {expected:x}, {profile:#?}"
                );
            }
        }
    }
    assert!(compared > 75, "only {compared} of 150 profiles could be compared");
}

/// A profile with a default action that gives newer calls no answer of their own, as libseccomp has it.
fn random_profile(dice: &mut Dice) -> Value {
    let names: Vec<String> = (0..450)
        .flat_map(|n| {
            [ScmpArch::X8664, ScmpArch::X86].map(|arch| ScmpSyscall::from(n).get_name_by_arch(arch).ok())
        })
        .flatten()
        .collect();
    let actions =
        ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG", "SCMP_ACT_TRAP"];
    let entries: Vec<Value> = (0..1 + dice.below(12))
        .map(|_| {
            let args: Vec<Value> = (0..[0, 0, 1, 1, 2, 3][dice.below(6)])
                .map(|_| {
                    let op = husk_seccomp::OPERATORS[dice.below(husk_seccomp::OPERATORS.len())];
                    let value = [dice.roll(), dice.roll() & 0xff, 0xffff_ffff, 1 << 32][dice.below(4)];
                    let second = if op == "SCMP_CMP_MASKED_EQ" { dice.roll() & value } else { 0 };
                    json!({"index": dice.below(6), "op": op, "value": value, "valueTwo": second})
                })
                .collect();
            let count = 1 + dice.below(if args.is_empty() { 200 } else { 8 });
            let names: Vec<&str> = (0..count).map(|_| names[dice.below(names.len())].as_str()).collect();
            json!({"names": names, "action": dice.pick(&actions), "args": args})
        })
        .collect();
    let all = ["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_X86_64"];
    let architectures: Vec<&str> = all.into_iter().filter(|_| dice.below(2) == 0).collect();
    let default =
        [json!("SCMP_ACT_ALLOW"), json!("SCMP_ACT_ERRNO"), json!("SCMP_ACT_LOG")][dice.below(3)].clone();
    let mut profile = json!({"defaultAction": default, "architectures": architectures, "syscalls": entries});
    if default == "SCMP_ACT_ERRNO" {
        profile["defaultErrnoRet"] = libc::ENOSYS.into();
    }
    profile
}

/// More than 32 rules with conditions: libseccomp then arranges its part as a tree.
#[test]
fn many_conditions() {
    let entries: Vec<Value> = (0..120)
        .filter_map(|n| ScmpSyscall::from(n).get_name().ok())
        .enumerate()
        .map(|(value, name)| {
            let arg = json!({"index": value % 6, "op": "SCMP_CMP_EQ", "value": value});
            json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": [arg]})
        })
        .collect();
    agrees_with_the_profile(
        &profile(json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_AARCH64"],
            "syscalls": entries
        })),
        3,
    );
}

#[test]
fn newer_calls_are_unknown_and_old_ones_are_refused() {
    let program = compile(&profile(json!({
        "defaultAction": "SCMP_ACT_KILL_PROCESS",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_ARM"],
        "syscalls": [{"names": ["openat2", "set_tls"], "action": "SCMP_ACT_ALLOW"}]
    })))
    .expect("a program");
    let answer = |audit_arch, number| {
        machine::run(program.instructions(), &oracle::Call { number, audit_arch, args: [0; 6] })
    };
    let (x86_64, arm) = (0xc000_003e, 0x4000_0028);
    let (allow, kill, enosys) = (0x7fff_0000, 0x8000_0000, 0x0005_0026);
    for arch in [x86_64, arm] {
        assert_eq!(answer(arch, 436), kill, "close_range is older than openat2");
        assert_eq!(answer(arch, 437), allow, "openat2");
        assert_eq!(answer(arch, 438), enosys, "pidfd_getfd is newer");
    }
    for arch in [x86_64, arm] {
        assert_eq!(answer(arch, u32::MAX), kill, "-1 is not a new call");
    }
    assert_eq!(answer(x86_64, 0x4000_0000 + 437), 0, "x32 is not in the filter, so the thread is killed");
    // ARM's private calls have large numbers and are old.
    assert_eq!(answer(arm, 0x000f_0005), allow, "set_tls");
    assert_eq!(answer(arm, 0x000f_0002), kill, "cacheflush");
    assert_eq!(answer(arm, 0x000e_ffff), enosys, "the last number before the private ones");
}
