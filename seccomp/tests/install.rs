//! Installed programs: what the kernel does to a process that lives under one.
//!
//! Each test forks this program, which has several threads, and installs the filter in the child before
//! execve: the way a runtime does it.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use husk_seccomp::{Program, compile};
use serde_json::{Value, json};

/// Counts allocations, to show that `install` makes none.
struct Counting;
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: each call is handed on unchanged to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the system's too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from the system's `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn program(profile: Value) -> Program {
    compile(&serde_json::from_value(profile).expect("a profile")).expect("a program")
}

/// Allows everything but `getppid`.
fn getppid(action: &str) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getppid"], "action": action}]})
}

/// What became of a process that installs the filter and then makes one call.
#[derive(Debug, PartialEq)]
enum Fate {
    /// The call returned this; it is 0 or more.
    Returned(i64),
    /// The call, or the installation, failed with this errno.
    Errno(i32),
    /// A signal ended the process.
    Signal(i32),
}

#[derive(Clone, Copy)]
enum Privilege {
    /// `no_new_privs`, the way of a process without privileges.
    NoNewPrivs,
    /// A user with neither `no_new_privs` nor a capability.
    None,
}

/// Makes `call` in a child under the filter. The call's result comes back as the outcome of a spawn: an
/// errno of 1000 and more stands for a result of 0 and more.
fn fate(program: Program, privilege: Privilege, number: libc::c_long, args: [u64; 3]) -> Fate {
    let mut command = Command::new("/bin/true");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    if matches!(privilege, Privilege::None) {
        command.uid(65534).gid(65534);
    }
    let child = move || {
        if matches!(privilege, Privilege::NoNewPrivs) {
            // SAFETY: prctl(PR_SET_NO_NEW_PRIVS) reads five numbers and no memory.
            unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        }
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let installed = program.install();
        if ALLOCATIONS.load(Ordering::Relaxed) != before {
            return Err(io::Error::from_raw_os_error(999));
        }
        installed.map_err(io::Error::from_raw_os_error)?;
        // SAFETY: the callers pass system calls that take numbers, or a null pointer.
        let result = unsafe { libc::syscall(number, args[0], args[1], args[2]) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Err(io::Error::from_raw_os_error(1000 + i32::try_from(result.min(1000)).unwrap_or_default()))
    };
    // SAFETY: between fork and exec `child` makes system calls only; it neither allocates nor takes a lock.
    let spawned = unsafe { command.pre_exec(child) }.spawn();
    match spawned {
        Err(error) => match error.raw_os_error().expect("an errno") {
            999 => panic!("install allocated"),
            result @ 1000.. => Fate::Returned(i64::from(result) - 1000),
            errno => Fate::Errno(errno),
        },
        Ok(mut child) => {
            let status = child.wait().expect("wait");
            Fate::Signal(status.signal().expect("the child does not reach execve"))
        }
    }
}

fn fate_of_getppid(profile: Value) -> Fate {
    match fate(program(profile), Privilege::NoNewPrivs, libc::SYS_getppid, [0; 3]) {
        // The parent's id, whatever it is.
        Fate::Returned(1..) => Fate::Returned(1),
        other => other,
    }
}

#[test]
fn every_action_has_its_effect() {
    assert_eq!(fate_of_getppid(getppid("SCMP_ACT_ALLOW")), Fate::Returned(1));
    assert_eq!(fate_of_getppid(getppid("SCMP_ACT_LOG")), Fate::Returned(1));
    assert_eq!(fate_of_getppid(getppid("SCMP_ACT_ERRNO")), Fate::Errno(libc::EPERM));
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"] {
        assert_eq!(fate_of_getppid(getppid(action)), Fate::Signal(libc::SIGSYS), "{action}");
    }
    // Nobody traces the process, so the call is as if it did not exist (seccomp(2), SECCOMP_RET_TRACE).
    assert_eq!(fate_of_getppid(getppid("SCMP_ACT_TRACE")), Fate::Errno(libc::ENOSYS));
}

#[test]
fn an_errno_of_its_own() {
    let mut profile = getppid("SCMP_ACT_ERRNO");
    for errno in [libc::EACCES, libc::ENETDOWN] {
        profile["syscalls"][0]["errnoRet"] = errno.into();
        assert_eq!(fate_of_getppid(profile.clone()), Fate::Errno(errno));
    }
    // No error at all: the call seems to succeed, and nothing has been called.
    profile["syscalls"][0]["errnoRet"] = 0.into();
    assert_eq!(fate_of_getppid(profile), Fate::Returned(0));
}

#[test]
fn conditions_see_the_arguments() {
    // personality(0xffffffff) only asks; see personality(2).
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOTTY,
            "args": [{"index": 0, "op": "SCMP_CMP_NE", "value": 0xffff_ffff_u32}]}]
    });
    let personality =
        |value| fate(program(profile.clone()), Privilege::NoNewPrivs, libc::SYS_personality, [value, 0, 0]);
    assert_eq!(personality(0xffff_ffff), Fate::Returned(0));
    assert_eq!(personality(0), Fate::Errno(libc::ENOTTY));
}

#[test]
fn an_engines_profile_is_accepted_and_holds() {
    let engine: Value = serde_json::from_str(include_str!("profiles/engine.json")).expect("JSON");
    let call = |number, args| fate(program(engine.clone()), Privilege::NoNewPrivs, number, args);
    let (vsock, unix) = ([40, 1, 0], [1, 1, 0]);
    assert_eq!(call(libc::SYS_socket, vsock), Fate::Errno(libc::EPERM));
    assert!(matches!(call(libc::SYS_socket, unix), Fate::Returned(_)));
    assert_eq!(call(libc::SYS_unshare, [0; 3]), Fate::Errno(libc::EPERM), "older than the profile");
    assert_eq!(call(100_000, [0; 3]), Fate::Errno(libc::ENOSYS), "newer than the profile");
    assert_eq!(call(libc::SYS_clone3, [0; 3]), Fate::Errno(libc::ENOSYS), "as the profile says");
}

/// The action LOG and the flag LOG show in the kernel's log, as audit records of type 1326 (AUDIT_SECCOMP).
#[test]
fn logging_reaches_the_kernels_log() {
    let kmsg = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg");
    let (Ok(mut kmsg), false) = (kmsg, Path::new("/run/auditd.pid").exists()) else {
        println!("skipped: the kernel's log cannot be read, or an audit daemon takes the records");
        assert!(std::env::var_os("CI").is_none(), "CI can read /dev/kmsg");
        return;
    };
    let log = program(json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["getsid"], "action": "SCMP_ACT_LOG"}]
    }));
    let flag = program(json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [{"names": ["getsid"], "action": "SCMP_ACT_ERRNO"}]
    }));
    for (program, code) in [(log, "code=0x7ffc0000"), (flag, "code=0x50000")] {
        kmsg.seek(SeekFrom::End(0)).expect("seek to the end of the log");
        // The kernel drops records when there are many at once, so one may need a second call.
        let found = (0..60).any(|_| {
            fate(program.clone(), Privilege::NoNewPrivs, libc::SYS_getsid, [0; 3]);
            std::thread::sleep(Duration::from_millis(200));
            let syscall = format!("syscall={} ", libc::SYS_getsid);
            let mut record = [0; 8192];
            // Each read gives one record; EAGAIN is the end of the log, EPIPE a record that was overwritten.
            std::iter::from_fn(|| kmsg.read(&mut record).ok().map(|len| record[..len].to_vec()))
                .map(|record| String::from_utf8_lossy(&record).into_owned())
                .any(|record| {
                    record.contains("type=1326") && record.contains(&syscall) && record.contains(code)
                })
        });
        assert!(found, "no record with {code} in the kernel's log");
    }
}

#[test]
fn without_privilege_the_kernel_refuses() {
    let program = program(getppid("SCMP_ACT_ERRNO"));
    // SAFETY: geteuid(2) takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        println!("skipped: only root can become the user nobody");
        assert!(std::env::var_os("CI").is_none(), "CI runs this as root");
        return;
    }
    assert_eq!(fate(program, Privilege::None, libc::SYS_getppid, [0; 3]), Fate::Errno(libc::EACCES));
}

/// A whole command under a filter, and what the kernel says about it.
#[test]
fn a_command_runs_under_its_filter() {
    let program = program(json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::EROFS}]
    }));
    let directory = std::env::temp_dir().join(format!("husk-seccomp-{}", std::process::id()));
    let script = format!("mkdir {} ; grep ^Seccomp: /proc/self/status", directory.display());
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script).env("LC_ALL", "C");
    let child = move || {
        // SAFETY: prctl(PR_SET_NO_NEW_PRIVS) reads five numbers and no memory.
        unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        program.install().map(drop).map_err(io::Error::from_raw_os_error)
    };
    // SAFETY: between fork and exec `child` makes two system calls; it neither allocates nor takes a lock.
    let output = unsafe { command.pre_exec(child) }.output().expect("sh runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(stderr.contains("Read-only file system"), "{stderr}");
    assert!(!directory.exists());
    assert_eq!(stdout, "Seccomp:\t2\n");
}

/// Nobody answers, and in the end nobody listens: the call fails with ENOSYS. Then somebody answers.
#[test]
fn a_listener_answers() {
    assert_eq!(
        fate_of_getppid(getppid("SCMP_ACT_NOTIFY")),
        Fate::Errno(libc::ENOSYS),
        "its listener is closed at once"
    );

    let (offer, offered) = std::sync::mpsc::channel();
    let (answer, answered) = std::sync::mpsc::channel();
    let caller = std::thread::spawn(move || {
        // SAFETY: prctl(PR_SET_NO_NEW_PRIVS) reads five numbers and no memory.
        unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        let listener = program(getppid("SCMP_ACT_NOTIFY")).install().expect("installed").expect("a listener");
        offer.send(listener).expect("the other thread");
        // SAFETY: getppid(2) takes nothing and cannot fail.
        answer.send(unsafe { libc::syscall(libc::SYS_getppid) }).expect("the other thread");
    });
    let listener = offered.recv().expect("a listener");
    let fd = listener.as_raw_fd();
    // SAFETY: fcntl(F_GETFD) takes a number.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_GETFD) }, libc::FD_CLOEXEC);
    let asked = libseccomp::ScmpNotifReq::receive(fd).expect("a notification");
    assert_eq!(i64::from(i32::from(asked.data.syscall)), libc::SYS_getppid);
    let response =
        libseccomp::ScmpNotifResp::new_val(asked.id, 4711, libseccomp::ScmpNotifRespFlags::empty());
    response.respond(fd).expect("an answer");
    assert_eq!(answered.recv(), Ok(4711));
    caller.join().expect("the caller");
}
