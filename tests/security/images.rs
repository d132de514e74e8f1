//! Images made to mislead: links, nodes and files where the runtime works.

use std::fs;
use std::os::unix::fs::symlink;

use husk_conformance::suite::Case;
use husk_conformance::terminal::ConsoleSocket;
use husk_conformance::{Container, Lab, Outcome, Stop, case};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::json;

use crate::victim::{SECRET, Victim};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(last_component_of_a_target_is_a_link),
        case!(console_is_a_link),
        case!(console_is_a_link_without_a_terminal),
        case!(null_is_a_link_with_pipes_for_streams),
        case!(null_is_another_device, lacks "runc 1.1": "CVE-2025-31133: masks with what the image calls so"),
        case!(ptmx_is_another_device),
        case!(proc_of_the_image_is_a_fake),
        case!(self_fd_of_the_image_is_a_fake, lacks "runc 1.1": "cannot do without a /proc"),
        case!(runtimes_files_are_links),
        case!(target_that_looks_like_a_key),
        case!(program_is_a_link_to_the_host),
        case!(links_without_end, lacks "runc 1.1": "makes something of a link to itself"),
    ]
}

/// Runs it, and expects that it ran or was refused with words, and that the host is as before.
fn run_and_check(container: &mut Container<'_>, victim: &Victim, script: &str) -> Result<String, Stop> {
    let finished = container.run_sh(script)?;
    let refused = finished.code() != 0 && !finished.stderr.is_empty();
    assert!(finished.stdout.contains("ran") || refused, "{finished}");
    assert!(!finished.stdout.contains(SECRET), "{finished}");
    victim.check()?;
    Ok(finished.stdout)
}

/// Takes the mounts below /dev away, so that the image's own /dev is used.
fn own_dev(container: &mut Container<'_>) {
    for place in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        container.config.without_mount(place);
    }
}

/// CVE-2019-18837.
fn last_component_of_a_target_is_a_link(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = Victim::of(&container)?;
    let source = container.directory.join("source");
    fs::write(&source, "x")?;
    for (name, to) in [
        ("one", victim.file()),
        ("two", victim.directory.join("new")),
        ("three", victim.directory.join("new/er")),
    ] {
        symlink(to, container.rootfs().join(name))?;
        container.config.mount("bind", &source.to_string_lossy(), &format!("/{name}"), &["bind"]);
    }
    run_and_check(&mut container, &victim, "echo ran; echo x > /one; echo x > /two")?;
    container.nothing_left()
}

/// CVE-2026-88264.
fn console_is_a_link(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = Victim::of(&container)?;
    container.config.without_mount("/dev").without_mount("/dev/shm").without_mount("/dev/mqueue");
    fs::create_dir(container.rootfs().join("dev/pts"))?;
    for target in [victim.file(), victim.directory.join("new")] {
        let link = container.rootfs().join("dev/console");
        let _ = fs::remove_file(&link);
        symlink(target, &link)?;
        container.config.put("/process/terminal", json!(true)).args(&["/bin/true"]);
        let _ = fs::remove_file(container.directory.join("console.sock"));
        let socket = ConsoleSocket::listen(&container.directory)?;
        let made = container.create_with(&["--console-socket", &socket.path.to_string_lossy()])?.output()?;
        assert!(made.code() == 0 || !made.stderr.is_empty(), "{made}");
        victim.check()?;
        if made.code() == 0 {
            container.force_delete()?.ok();
        }
    }
    container.nothing_left()
}

fn console_is_a_link_without_a_terminal(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = Victim::of(&container)?;
    own_dev(&mut container);
    for name in ["console", "null", "zero", "ptmx", "fd", "stdin", "core"] {
        symlink(victim.directory.join(name), container.rootfs().join("dev").join(name))?;
    }
    run_and_check(&mut container, &victim, "echo ran; echo x > /dev/console; echo x > /dev/null")?;
    container.nothing_left()
}

/// CVE-2026-88265: streams are given to the user, and must be streams.
fn null_is_a_link_with_pipes_for_streams(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = Victim::of(&container)?;
    own_dev(&mut container);
    symlink(victim.file(), container.rootfs().join("dev/null"))?;
    container
        .config
        .put("/process/user", json!({"uid": 1000, "gid": 1000}))
        .sh("echo ran; cat; cat /dev/null");
    let (reader, writer) = std::io::pipe()?;
    drop(writer);
    let finished = container.run_with(&[])?.stdin(reader).output()?;
    assert!(finished.stdout.contains("ran") || !finished.stderr.is_empty(), "{finished}");
    assert!(!finished.stdout.contains(SECRET), "{finished}");
    victim.check()?;
    container.nothing_left()
}

/// What is at /dev/null is believed only if it is that device.
fn null_is_another_device(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = Victim::of(&container)?;
    own_dev(&mut container);
    fs::write(container.rootfs().join("etc/masked"), "masked\n")?;
    container.config.put("/linux/maskedPaths", json!(["/etc/masked"]));
    mknod(
        &container.rootfs().join("dev/null"),
        SFlag::S_IFCHR,
        Mode::from_bits_truncate(0o666),
        makedev(1, 5),
    )?;
    let said = run_and_check(&mut container, &victim, "echo ran; head -c 4 /etc/masked | od -c")?;
    assert!(!said.contains("\\0"), "masked by a device of zeroes: {said}");
    container.nothing_left()
}

/// CVE-2025-52565.
fn ptmx_is_another_device(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = Victim::of(&container)?;
    own_dev(&mut container);
    let pts = container.rootfs().join("dev/pts");
    fs::create_dir(&pts)?;
    for node in ["ptmx", "0"] {
        mknod(&pts.join(node), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3))?;
    }
    container.config.put("/process/terminal", json!(true)).args(&["/bin/true"]);
    let socket = ConsoleSocket::listen(&container.directory)?;
    container.create_with(&["--console-socket", &socket.path.to_string_lossy()])?.output()?.exits(1);
    victim.check()?;
    container.nothing_left()
}

/// CVE-2019-16884, CVE-2025-62596: without a /proc of the config's, the image's own is nothing that husk writes to.
fn proc_of_the_image_is_a_fake(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let proc = container.rootfs().join("proc");
    let fakes = [
        "self/attr/exec",
        "self/attr/apparmor/exec",
        "thread-self/attr/exec",
        "sys/kernel/shmmax",
        "self/oom_score_adj",
    ];
    for fake in fakes {
        fs::create_dir_all(proc.join(fake).parent().unwrap_or(&proc))?;
        fs::write(proc.join(fake), "fake\n")?;
    }
    container.config.without_mount("/proc").put("/linux/sysctl", json!({"kernel.shmmax": "77777"}));
    container.config.put("/process/oomScoreAdj", json!(77)).put("/linux/maskedPaths", json!([]));
    container.config.put("/linux/readonlyPaths", json!([])).args(&["/bin/sleep", "1000"]);
    let made = container.run_with(&["--detach"])?.output()?;
    for fake in fakes {
        assert_eq!(fs::read_to_string(proc.join(fake))?, "fake\n", "{fake} was written to");
    }
    if made.code() == 0 {
        assert_eq!(container.proc_file("oom_score_adj")?.trim(), "77");
        // A process of the host that enters the container's ipc namespace alone.
        let pid = container.pid()?.to_string();
        let read = std::process::Command::new("nsenter")
            .args(["--target", &pid, "--ipc", "cat", "/proc/sys/kernel/shmmax"])
            .output()?;
        assert_eq!(String::from_utf8_lossy(&read.stdout).trim(), "77777");
        container.force_delete()?.ok();
    }
    container.nothing_left()
}

/// CVE-2026-115521: read-only is read-only, whatever the image has at /proc/self/fd.
fn self_fd_of_the_image_is_a_fake(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = Victim::of(&container)?;
    let fds = container.rootfs().join("proc/self/fd");
    fs::create_dir_all(&fds)?;
    fs::create_dir_all(container.rootfs().join("elsewhere"))?;
    for fd in 0..64 {
        symlink("/elsewhere", fds.join(fd.to_string()))?;
    }
    container.config.without_mount("/proc").put("/linux/maskedPaths", json!([]));
    container.config.put("/linux/readonlyPaths", json!([])).put("/root/readonly", json!(true));
    container.config.mount("tmpfs", "tmpfs", "/sealed", &["ro"]);
    let said = run_and_check(
        &mut container,
        &victim,
        "touch /new || echo ran: sealed; touch /sealed/new || echo sealed",
    )?;
    assert_eq!(said.matches("sealed").count(), 2, "{said}");
    assert!(!container.has("/new"));
    container.nothing_left()
}

/// CVE-2025-24965: files that a runtime may want to write into the root.
fn runtimes_files_are_links(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = Victim::of(&container)?;
    for name in [".krun_config.json", ".dockerenv", ".old_root", "run", ".oldroot"] {
        symlink(victim.directory.join("new"), container.rootfs().join(name))?;
    }
    run_and_check(&mut container, &victim, "echo ran")?;
    container.nothing_left()
}

/// CVE-2026-119101, CVE-2026-115520: names that mean something to other tools are names here.
fn target_that_looks_like_a_key(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = Victim::of(&container)?;
    let odd = "a]:b,c=d \\040\n";
    fs::create_dir(container.rootfs().join(odd))?;
    symlink(odd, container.rootfs().join("way"))?;
    container.config.mount("tmpfs", "tmpfs", "/way/below", &["ro"]);
    let said = run_and_check(&mut container, &victim, "cd /way/below && echo ran; touch x || echo sealed")?;
    assert!(said.contains("sealed"), "{said}");
    container.nothing_left()
}

fn program_is_a_link_to_the_host(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = Victim::of(&container)?;
    symlink(victim.file(), container.rootfs().join("bin/out"))?;
    container.config.args(&["/bin/out"]);
    container.run()?.exits(1).says(&["no such file"]);
    victim.check()?;
    container.nothing_left()
}

/// A link to itself, a chain of many, and a very long way.
fn links_without_end(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let root = container.rootfs();
    symlink("self", root.join("self"))?;
    symlink("pong", root.join("ping"))?;
    symlink("ping", root.join("pong"))?;
    for number in 0..60 {
        symlink(format!("chain-{}", number + 1), root.join(format!("chain-{number}")))?;
    }
    for target in ["/self/x", "/ping", "/chain-0/x"] {
        let mounts = container.config.0["mounts"].clone();
        container.config.mount("tmpfs", "tmpfs", target, &[]).args(&["/bin/true"]);
        container.create()?.exits(1).says(&[target]);
        container.config.put("/mounts", mounts);
        container.nothing_left()?;
    }
    Ok(())
}
