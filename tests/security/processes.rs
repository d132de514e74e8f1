//! A container that attacks the processes by which the runtime enters it, and callers that leave files open.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use husk_conformance::suite::Case;
use husk_conformance::{Container, Finished, Invocation, Lab, Outcome, Stop, case, eventually};
use serde_json::json;

use crate::attacker::NOTES;
use crate::rounds;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(nothing_of_the_host_in_proc),
        case!(nothing_of_the_host_in_proc_with_a_user_namespace),
        case!(nothing_of_the_host_in_proc_for_one_who_may_trace),
        case!(nothing_of_the_host_in_proc_of_a_neighbour),
        case!(nothing_of_the_host_in_proc_of_a_neighbour_with_a_user_namespace),
        case!(runtimes_binary_cannot_be_overwritten),
        case!(fifty_inherited_files_stay_outside),
        case!(working_directory_through_an_open_file),
        case!(program_through_an_open_file),
        case!(exec_directory_through_an_open_file),
        case!(capabilities_do_not_grow),
        case!(users_are_numbers_first),
        case!(users_are_parsed_strictly),
    ]
}

/// A container in which this very program runs as the attacker, and the directory of its notes.
fn under_attack<'lab>(
    lab: &'lab Lab,
    attack: &str,
    change: impl Fn(&mut Container<'lab>),
) -> Result<(Container<'lab>, PathBuf), Stop> {
    let mut container = lab.container()?;
    let notes = container.directory.join("notes");
    fs::create_dir(&notes)?;
    fs::set_permissions(&notes, fs::Permissions::from_mode(0o777))?;
    let own = std::env::current_exe()?;
    container.config.writable().args(&["/attacker", "--attack", attack]);
    container.config.mount("bind", &own.to_string_lossy(), "/attacker", &["bind", "ro"]);
    // The loader and the libraries, where every distribution has them.
    for library in ["/lib", "/lib64", "/usr/lib"] {
        if fs::metadata(library).is_ok() {
            container.config.mount("bind", library, library, &["rbind", "ro"]);
        }
    }
    container.config.mount("bind", &notes.to_string_lossy(), NOTES, &["bind"]);
    container.config.env(&format!("HOST_DIRECTORY={}", container.directory.display()));
    // In a user namespace the container's root may make nothing in this one.
    fs::write(container.rootfs().join("attacker"), "")?;
    for directory in ["lib", "lib64", "usr/lib", "notes"] {
        fs::create_dir_all(container.rootfs().join(directory))?;
    }
    change(&mut container);
    container.run_with(&["--detach"])?.output()?.ok();
    assert_eq!(container.status()?, "running");
    Ok((container, notes))
}

/// Enters again and again, and reads the notes.
fn enter_and_read(container: &Container<'_>, notes: &Path) -> Result<(Vec<String>, u64), Stop> {
    disturb_and_read(notes, || Ok(container.exec(&[], &["/bin/true"])?.ok()))
}

/// Lets processes come into the attacker's sight again and again, and reads its notes.
fn disturb_and_read(
    notes: &Path,
    come: impl Fn() -> Result<Finished, Stop>,
) -> Result<(Vec<String>, u64), Stop> {
    let entries = rounds().min(500);
    for _ in 0..entries {
        come()?;
    }
    fs::write(notes.join("over"), "")?;
    eventually("the notes", || Ok(notes.join("counts").exists()))?;
    let counts = fs::read_to_string(notes.join("counts"))?;
    let (seen, refused) = counts.split_once(' ').ok_or_else(|| Stop::Failed(counts.clone()))?;
    assert!(seen.parse::<usize>()? * 10 > entries, "of {entries} processes the attacker saw {seen} only");
    let found = fs::read_to_string(notes.join("found"))?.lines().map(String::from).collect();
    Ok((found, refused.parse()?))
}

/// What the container may see of the processes that enter it: its own programs, and the streams that the caller gave
/// to the process, for which they were meant.
fn is_harmless(line: &str) -> bool {
    let words: Vec<&str> = line.splitn(3, ' ').collect();
    match words.as_slice() {
        ["exe", path] => path.starts_with("/bin/") || *path == "/attacker",
        ["cwd" | "root", path] => *path == "/",
        ["fd", number, _] => matches!(*number, "0" | "1" | "2"),
        _ => false,
    }
}

fn assert_harmless(found: &[String]) {
    let harm: Vec<&String> = found.iter().filter(|line| !is_harmless(line)).collect();
    assert!(harm.is_empty(), "the container found {harm:?}");
}

/// CVE-2016-9962, CVE-2024-21626.
fn nothing_of_the_host_in_proc(lab: &Lab) -> Outcome {
    let (container, notes) = under_attack(lab, "watch-proc", |_| {})?;
    let (found, refused) = enter_and_read(&container, &notes)?;
    assert_harmless(&found);
    assert!(refused > 0, "the attacker was always too late");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn nothing_of_the_host_in_proc_with_a_user_namespace(lab: &Lab) -> Outcome {
    let (container, notes) = under_attack(lab, "watch-proc", may_trace_in_a_user_namespace)?;
    let (found, refused) = enter_and_read(&container, &notes)?;
    assert_harmless(&found);
    assert!(refused > 0, "the attacker was always too late");
    container.force_delete()?.ok();
    container.nothing_left()
}

/// What it takes to look into other processes, as far as they are the user namespace's.
const TRACING: [&str; 4] = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_KILL"];

fn may_trace_in_a_user_namespace(container: &mut Container<'_>) {
    container.config.user_namespace(100_000).capabilities(&TRACING);
}

/// Another container is made in the attacker's pid namespace, as in a pod: until its root is its own, its `/proc/PID/root`
/// is the host's.
fn nothing_of_the_host_in_proc_of_a_neighbour(lab: &Lab) -> Outcome {
    neighbours(lab, |_| {}, &["pid"])
}

fn nothing_of_the_host_in_proc_of_a_neighbour_with_a_user_namespace(lab: &Lab) -> Outcome {
    neighbours(lab, may_trace_in_a_user_namespace, &["user", "pid"])
}

fn neighbours<'lab>(lab: &'lab Lab, change: impl Fn(&mut Container<'lab>), shared: &[&str]) -> Outcome {
    let (container, notes) = under_attack(lab, "watch-proc", change)?;
    let mut neighbour = container.sibling()?;
    let attacker = container.pid()?;
    for kind in shared {
        neighbour.config.join(kind, &format!("/proc/{attacker}/ns/{kind}"));
    }
    neighbour.config.args(&["/bin/true"]);
    let (found, refused) = disturb_and_read(&notes, || Ok(neighbour.run()?.ok()))?;
    assert_harmless(&found);
    assert!(refused > 0, "the attacker was always too late");
    container.force_delete()?.ok();
    neighbour.nothing_left()?;
    container.nothing_left()
}

/// Who may trace looks into every process of the container: what enters it then has nothing to take.
fn nothing_of_the_host_in_proc_for_one_who_may_trace(lab: &Lab) -> Outcome {
    let (container, notes) = under_attack(lab, "watch-proc", |container| {
        container.config.capabilities(&TRACING);
    })?;
    let (found, _) = enter_and_read(&container, &notes)?;
    // The runtime's own ways of talking, its binary, which nobody can write to, and the container's own files.
    let own = |line: &str| {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        match words.as_slice() {
            // A detached mount of the binary, or a copy in memory, has no path of its own.
            ["exe", path] => *path == "/" || path.starts_with("/memfd:"),
            ["fd", _, target] => {
                let kinds = ["socket:[", "pipe:[", "anon_inode:"];
                let of_the_container = ["/", "/etc/passwd"].contains(target) || target.starts_with("/proc/");
                of_the_container || kinds.iter().any(|kind| target.starts_with(kind))
            }
            _ => false,
        }
    };
    let harm: Vec<&String> = found.iter().filter(|line| !is_harmless(line) && !own(line)).collect();
    assert!(harm.is_empty(), "the container found {harm:?}");
    container.force_delete()?.ok();
    container.nothing_left()
}

/// CVE-2019-5736, on a copy of the runtime.
fn runtimes_binary_cannot_be_overwritten(lab: &Lab) -> Outcome {
    let (container, notes) = under_attack(lab, "overwrite-exe", |container| {
        let more = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_SYS_ADMIN"];
        container.config.capabilities(&more);
    })?;
    let copy = container.directory.join("runtime-copy");
    fs::copy(&lab.runtime.path, &copy)?;
    let before = fs::read(&copy)?;
    for number in 0..rounds().min(200) {
        let output = container.directory.join(format!("attack-{number}"));
        let exec = Invocation::new(&copy, &output)?.arg("--root").arg(&container.state_root);
        // What executes its own executable is the runtime, for whoever looks at it then.
        let finished = exec.args(["exec", &container.id, "/proc/self/exe", "--version"]).output()?;
        assert_ne!(finished.code(), -1, "{finished}");
    }
    fs::write(notes.join("over"), "")?;
    eventually("the notes", || Ok(notes.join("counts").exists()))?;
    assert!(fs::read(&copy)? == before, "the container has written to the runtime's binary");
    let counts = fs::read_to_string(notes.join("counts"))?;
    assert!(counts.ends_with(" 0"), "held and written: {counts}");
    container.force_delete()?.ok();
    container.nothing_left()
}

/// Starts the command with files of the host open as 3 to 63: directories, files, devices.
fn with_open_files(invocation: Invocation) -> Result<Invocation, Stop> {
    let open = "for ((fd = 3; fd < 64; fd++)); do case $((fd % 4)) in 0) eval \"exec $fd</\";; \
                1) eval \"exec $fd</etc\";; 2) eval \"exec $fd</etc/passwd\";; 3) eval \"exec $fd<>/dev/null\";; esac; \
                done; exec \"$@\"";
    invocation.wrapped("/bin/bash", &["-c", open, "bash"])
}

fn fifty_inherited_files_stay_outside(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let list = "for fd in /proc/self/fd/*; do echo ${fd##*/}; done";
    container.config.sh(list);
    // The shell has the directory open that it lists.
    let expect = |text: &str, more: &[&str]| {
        let fds: Vec<&str> = text.split_whitespace().filter(|fd| !["0", "1", "2"].contains(fd)).collect();
        let own: Vec<&str> = fds.iter().copied().filter(|fd| !more.contains(fd)).collect();
        assert!(own.len() <= 1, "files that nobody was promised: {own:?}");
    };
    expect(&with_open_files(container.run_with(&[])?)?.output()?.ok().stdout, &[]);
    let preserved = with_open_files(container.run_with(&["--preserve-fds", "2"])?)?.output()?.ok();
    expect(&preserved.stdout, &["3", "4"]);
    assert!(preserved.stdout.contains('3') && preserved.stdout.contains('4'), "{preserved}");
    container.up()?;
    let exec = container.exec_with(&[], &["/bin/sh", "-c", list])?;
    expect(&with_open_files(exec)?.output()?.ok().stdout, &[]);
    container.force_delete()?.ok();
    container.nothing_left()
}

/// CVE-2024-21626: for each number that a directory of the host could have, the runtime's own or one of its caller's.
fn working_directory_through_an_open_file(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("echo inside; pwd -P; ls -a ../../../..");
    for fd in (3..64).step_by(if rounds() > 100 { 1 } else { 4 }) {
        for path in [format!("/proc/self/fd/{fd}"), format!("/proc/self/fd/{fd}/../../..")] {
            container.config.put("/process/cwd", json!(path));
            let finished = with_open_files(container.run_with(&[])?)?.output()?;
            assert_ne!(finished.code(), 0, "{finished}");
            assert!(!finished.stdout.contains("inside"), "{finished}");
        }
    }
    container.nothing_left()
}

fn program_through_an_open_file(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    for fd in (3..64).step_by(if rounds() > 100 { 1 } else { 4 }) {
        let program = format!("/proc/self/fd/{fd}/bin/bash");
        container.config.args(&[&program, "-c", "echo outside"]);
        let finished = with_open_files(container.run_with(&[])?)?.output()?;
        assert_ne!(finished.code(), 0, "{finished}");
        assert!(!finished.stdout.contains("outside"), "{finished}");
    }
    container.nothing_left()
}

/// The same for a further process, and with a directory that the container replaces by a link meanwhile.
fn exec_directory_through_an_open_file(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.writable();
    container.up()?;
    container
        .exec_sh("mkdir /work; for fd in 3 4 5 6 7 8 9 10 11; do ln -s /proc/self/fd/$fd /work/$fd; done")?
        .ok();
    let paths =
        (3..64).map(|fd| format!("/proc/self/fd/{fd}")).chain((3..12).map(|fd| format!("/work/{fd}")));
    for path in paths.step_by(if rounds() > 100 { 1 } else { 3 }) {
        let exec =
            container.exec_with(&["--cwd", &path], &["/bin/sh", "-c", "echo inside; ls -a ../../.."])?;
        let finished = with_open_files(exec)?.output()?;
        assert_ne!(finished.code(), 0, "{finished}");
        assert!(!finished.stdout.contains("inside"), "{finished}");
    }
    container.force_delete()?.ok();
    container.nothing_left()
}

/// CVE-2016-8867, CVE-2022-29162, CVE-2022-27650, CVE-2025-27612.
fn capabilities_do_not_grow(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let sets = |finished: Finished| {
        let words = ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"];
        words.map(|word| u64::from_str_radix(finished.value(word), 16).unwrap_or(u64::MAX))
    };
    let status = ["/bin/cat", "/proc/self/status"];
    let [inheritable, ..] =
        sets(container.exec(&["--cap", "CAP_NET_RAW", "--cap", "CAP_SYS_TIME"], &status)?.ok());
    assert_eq!(inheritable, 0, "exec --cap has set inheritable capabilities");
    let none = sets(container.exec(&["--user", "1000:1000"], &status)?.ok());
    assert_eq!(none, [0; 4], "of a user who is not root");
    let none = sets(container.exec(&["--user", "1000:1000", "--cap", "CAP_SYS_ADMIN"], &status)?.ok());
    assert_eq!([none[0], none[3]], [0; 2], "inheritable and ambient of a user who is not root");
    container.force_delete()?.ok();
    container.nothing_left()
}

/// CVE-2016-3697: an image says that user 1000 is called otherwise, and that somebody called 1000 is root.
fn users_are_numbers_first(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    fs::write(
        container.rootfs().join("etc/passwd"),
        "1000:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n",
    )?;
    fs::write(container.rootfs().join("etc/group"), "1000:x:0:\n")?;
    container.up()?;
    let finished = container.exec(&["--user", "1000:1000"], &["/bin/sh", "-c", "id -u; id -g"])?;
    finished.ok().prints("1000\n1000");
    container.force_delete()?.ok();
    container.nothing_left()
}

/// CVE-2026-30892: what is not exactly a number, or two, is nobody.
fn users_are_parsed_strictly(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let nobody = [
        "1000:",
        ":1000",
        " 1000",
        "1000 ",
        "1000abc",
        "abc",
        "1000:abc",
        "1000:1000:1000",
        "0x10",
        "1e3",
        "-1",
        "1000:-1",
        "1000.0",
        "1000,1000",
        "\u{661}",
    ];
    for user in nobody {
        let finished = container.exec(&["--user", user], &["/bin/sh", "-c", "echo ran as $(id -u)"])?;
        assert_ne!(finished.code(), 0, "{finished}");
        assert!(!finished.stdout.contains("ran"), "{finished}");
    }
    container.force_delete()?.ok();
    container.nothing_left()
}
