//! Races, crashes, odd surroundings, and a container that attacks the runtime.

use std::fs;
use std::os::unix::fs::symlink;

use husk_conformance::suite::Case;
use husk_conformance::{Invocation, Lab, Outcome, Stop, case, eventually, traces, unable};
use nix::mount::{MsFlags, mount, umount};
use nix::sys::signal::Signal;
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(one_of_many_creates_wins),
        case!(deletes_at_once),
        case!(starts_at_once),
        case!(runtime_killed_in_create, lacks "runc": "leaves the cgroups"),
        case!(half_made_state),
        case!(foreign_files_in_the_state_root),
        case!(what_another_program_made_is_not_deleted, lacks "runc": "deletes it"),
        case!(bundle_has_spaces_and_links),
        case!(root_is_a_mount),
        case!(root_is_inside_a_shared_mount),
        case!(root_in_place_of_the_bundle),
        case!(absolute_root),
        case!(no_mounts_at_all, lacks "runc": "needs a /proc in the container"),
        case!(closed_streams),
        case!(output_cannot_be_written),
        case!(long_arguments),
        case!(current_directory_is_gone),
        case!(runtimes_binary_cannot_be_overwritten),
    ]
}

fn one_of_many_creates_wins(lab: &Lab) -> Outcome {
    if lab.runtime.is("runc 1.1") {
        return unable("runc 1.1 looks for the id and takes it in two steps, so that sometimes nobody wins");
    }
    let mut container = lab.container()?;
    container.config.args(&["/bin/sleep", "1000"]);
    container.write_config()?;
    let create = || container.runtime(["create", &container.id])?.current_dir(&container.bundle).spawn();
    let racing: Vec<_> = (0..6).map(|_| create()).collect::<Result<_, Stop>>()?;
    let mut won = 0;
    for running in racing {
        let finished = running.wait()?;
        if finished.code() == 0 {
            won += 1;
        } else {
            finished.exits(1).says(&["exist"]);
        }
    }
    assert_eq!(won, 1);
    assert_eq!(container.status()?, "created");
    container.delete()?.ok();
    container.nothing_left()
}

fn deletes_at_once(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let racing: Vec<_> = (0..6)
        .map(|_| container.runtime(["delete", "--force", &container.id])?.spawn())
        .collect::<Result<_, Stop>>()?;
    let finished: Vec<_> = racing.into_iter().map(|running| running.wait()).collect::<Result<_, Stop>>()?;
    assert!(finished.iter().any(|finished| finished.code() == 0), "{}", finished[0]);
    container.nothing_left()
}

fn starts_at_once(lab: &Lab) -> Outcome {
    if lab.runtime.is("runc 1.1") {
        return unable("two starts of runc 1.1 may each wait for the other's end of a pipe");
    }
    let mut container = lab.container()?;
    container.config.writable().sh("echo x >> /ran; sleep 1000");
    container.create()?.ok();
    let racing: Vec<_> =
        (0..4).map(|_| container.runtime(["start", &container.id])?.spawn()).collect::<Result<_, Stop>>()?;
    let codes: Vec<i32> =
        racing.into_iter().map(|running| Ok(running.wait()?.code())).collect::<Result<_, Stop>>()?;
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    eventually("the program", || Ok(container.has("/ran")))?;
    assert_eq!(fs::read(container.rootfs().join("ran"))?, b"x\n");
    container.force_delete()?.ok();
    container.nothing_left()
}

/// The runtime dies where a hook keeps it: `delete --force` has to find whatever there is by then.
fn runtime_killed_in_create(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let reached = container.directory.join("reached");
    let script = format!("echo x > {}; exec sleep 1000", reached.display());
    let hook =
        json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": [format!("ID={}", container.id)]});
    container.config.put("/hooks/createRuntime", json!([hook]));
    let running = container.create_with(&[])?.spawn()?;
    eventually("the hook", || Ok(reached.exists()))?;
    running.signal(Signal::SIGKILL)?;
    running.wait()?.exits(137);
    container.force_delete()?.ok();
    let left = traces::processes(&container.id);
    for pid in left {
        // The hook itself is nobody's: it was the dead runtime's child, outside of the container.
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(
            line.starts_with(b"sleep\0") || line.starts_with(b"sh\0"),
            "{:?}",
            String::from_utf8_lossy(&line)
        );
        nix::sys::signal::kill(pid, Signal::SIGKILL)?;
    }
    container.nothing_left()
}

fn half_made_state(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let half = lab.unique("half");
    fs::create_dir(container.state_root.join(&half))?;
    let listed = container.runtime(["list", "--quiet"])?.output()?.ok();
    assert!(listed.stdout.lines().any(|id| id == container.id), "one broken state hides no other: {listed}");
    container.runtime(["delete", "--force", &half])?.output()?.ok();
    assert!(!container.state_root.join(&half).exists());
    Ok(())
}

fn foreign_files_in_the_state_root(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    fs::write(container.state_root.join("a-file"), "x")?;
    container.runtime(["list", "--quiet"])?.output()?.ok().prints(&container.id);
    Ok(())
}

/// A root that belongs to another runtime, or was misspelt, loses nothing.
fn what_another_program_made_is_not_deleted(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let other = lab.unique("other");
    let directory = container.state_root.join(&other);
    fs::create_dir(&directory)?;
    for file in ["letter.txt", "lock"] {
        fs::write(directory.join(file), "dear reader")?;
        for command in [
            &["delete", &other][..],
            &["delete", "--force", &other],
            &["kill", &other, "KILL"],
            &["start", &other],
        ] {
            container
                .runtime(command)?
                .output()?
                .exits(1)
                .says(&["is not a container of husk: it holds letter.txt"]);
        }
        assert_eq!(fs::read_dir(&directory)?.count(), if file == "lock" { 2 } else { 1 });
    }
    container.runtime(["list", "--quiet"])?.output()?.ok().prints(&container.id);
    fs::remove_dir_all(&directory)?;
    Ok(())
}

fn bundle_has_spaces_and_links(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let odd = container.directory.join("odd ü \\040 name");
    fs::rename(&container.bundle, &odd)?;
    container.bundle = container.directory.join("link");
    symlink(&odd, &container.bundle)?;
    container.run_sh("echo here")?.ok().prints("here");
    container.nothing_left()
}

fn root_is_a_mount(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    let mut other = lab.container()?;
    let (root, upper) = (container.rootfs(), other.rootfs());
    mount(Some(&root), &upper, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    let finished = other.run_sh("echo here");
    let still = fs::read_to_string("/proc/self/mountinfo")?.contains(&*upper.to_string_lossy());
    umount(&upper)?;
    finished?.ok().prints("here");
    assert!(still, "the mount is the caller's and stays");
    other.nothing_left()
}

/// Distributions make / shared: what the runtime mounts under a shared mount must not come back to the host.
fn root_is_inside_a_shared_mount(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/true"]);
    let (bundle, name) = (container.bundle.clone(), container.bundle.to_string_lossy().into_owned());
    mount(Some(&bundle), &bundle, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    let run = || {
        mount(None::<&str>, &bundle, None::<&str>, MsFlags::MS_SHARED, None::<&str>)?;
        container.create()?.ok();
        assert_eq!(container.status()?, "created");
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        container.delete()?.ok();
        Ok::<_, Stop>(mounts.lines().filter(|line| line.contains(&name)).count())
    };
    let ran = run();
    umount(&bundle)?;
    assert_eq!(ran?, 1, "mounts of the host below the bundle: only its own");
    container.nothing_left()
}

/// `"path": "."` would make the bundle itself the root; it is a directory like any other.
fn root_in_place_of_the_bundle(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    lab.root_file_system(&container.bundle.join("rootfs/inner/deep"))?;
    container.config.put("/root/path", json!("./rootfs/inner/../inner/deep/"));
    container.run_sh("ls -d /bin/sh")?.ok().prints("/bin/sh");
    assert!(container.state_root.read_dir().map_or(0, Iterator::count) == 0);
    container.nothing_left()
}

fn absolute_root(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let root = container.directory.join("elsewhere");
    lab.root_file_system(&root)?;
    fs::write(root.join("mark"), "elsewhere\n")?;
    container.config.put("/root/path", json!(root));
    container.run_sh("cat /mark")?.ok().prints("elsewhere");
    container.nothing_left()
}

fn no_mounts_at_all(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/mounts", json!([]));
    container.up()?;
    container.exec(&[], &["/bin/ls", "/proc"])?.ok().prints("");
    container.force_delete()?.ok();
    container.nothing_left()
}

/// A daemon may have closed all three; nothing that the runtime opens may take their place.
fn closed_streams(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.writable().sh("exec > /seen; ls /proc/$$/fd; true");
    let run = container.run_with(&[])?.wrapped("/bin/sh", &["-c", "exec \"$@\" 0<&- 1>&- 2>&-", "sh"])?;
    run.output()?.ok();
    let seen = fs::read_to_string(container.rootfs().join("seen"))?;
    let more: Vec<&str> = seen.lines().filter(|fd| !["0", "1", "2"].contains(fd)).collect();
    assert_eq!(more, Vec::<&str>::new());
    container.nothing_left()
}

/// A failed write of the listing is an error and no crash, and the container does not suffer.
fn output_cannot_be_written(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let full = "(\"$@\"; echo $? >&3) 3>&1 1>/dev/full";
    let list = container.runtime(["list"])?.wrapped("/bin/sh", &["-c", full, "sh"])?;
    let code: i32 = list.output()?.stdout.trim().parse()?;
    assert!((0..=1).contains(&code), "{code}");
    assert_eq!(container.status()?, "running");
    Ok(())
}

/// One word may have 128 KiB less one byte.
fn long_arguments(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let long = "x".repeat(131_071);
    container.config.args(&["/bin/sh", "-c", "echo ${#1} ${#2} ${#LONG}", "sh", &long, &long]);
    container.config.env(&format!("LONG={}", "y".repeat(100_000)));
    container.run()?.ok().prints("131071 131071 100000");
    Ok(())
}

fn current_directory_is_gone(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("echo here");
    let gone = container.directory.join("gone");
    fs::create_dir(&gone)?;
    let script = "cd \"$0\" && rmdir \"$0\" && exec \"$@\"";
    let run = container.run_with(&[])?.wrapped("/bin/sh", &["-c", script, &gone.to_string_lossy()])?;
    run.output()?.ok().prints("here");
    Ok(())
}

/// CVE-2019-5736: through /proc/PID/exe a container holds the file of the runtime that enters it, and
/// writes to it when that has ended. The attack here is on a copy.
fn runtimes_binary_cannot_be_overwritten(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let copy = container.directory.join("runtime-copy");
    fs::copy(&lab.runtime.path, &copy)?;
    let before = fs::read(&copy)?;
    let attack = "while :; do for p in /proc/[0-9]*; do \
                    case \"$(readlink $p/exe)\" in /bin/*|'') continue;; esac; \
                    (exec 9<$p/exe; while [ -d $p ]; do :; done; echo overwritten > /proc/self/fd/9) 2>/dev/null; \
                  done; done";
    container.config.writable().sh(attack);
    container.run_with(&["--detach"])?.output()?.ok();
    assert_eq!(container.status()?, "running");
    for number in 0..10 {
        let output = container.directory.join(format!("attack-{number}"));
        let exec = Invocation::new(&copy, &output)?.arg("--root").arg(&container.state_root);
        let finished = exec.args(["exec", &container.id, "/proc/self/exe", "--version"]).output()?;
        assert_ne!(finished.code(), -1, "{finished}");
    }
    container.force_delete()?.ok();
    assert!(fs::read(&copy)? == before, "the container has written to the runtime's binary");
    container.nothing_left()
}
