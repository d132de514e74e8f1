//! Races: a root that changes while the runtime works in it. One name is a directory, or a file, at one moment and a
//! symbolic link out of the root at the next.

use std::cell::RefCell;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use husk_conformance::racer::Racer;
use husk_conformance::suite::Case;
use husk_conformance::terminal::ConsoleSocket;
use husk_conformance::{Container, Lab, Outcome, Stop, case};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::Pid;
use serde_json::json;

use crate::rounds;
use crate::victim::{SECRET, Victim};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(mount_target_becomes_a_link),
        case!(attributes_of_a_mount_whose_target_becomes_a_link),
        case!(way_to_a_mount_target_becomes_a_link),
        case!(file_under_a_bind_becomes_a_link),
        case!(dev_becomes_a_link, lacks "runc 1.1": "CVE-2026-41579"),
        case!(null_becomes_a_link),
        case!(console_becomes_a_link),
        case!(pts_becomes_a_link),
        case!(proc_becomes_a_link, lacks "runc 1.1": "CVE-2025-52881: kernel parameters land in files of the image"),
        case!(masked_path_becomes_a_link),
        case!(masks_of_a_proc_whose_name_changes, lacks "runc 1.1": "what is masked is looked up by name"),
        case!(readonly_path_becomes_a_link),
        case!(copied_up_file_becomes_a_link),
        case!(working_directory_becomes_a_link),
        case!(passwd_becomes_a_fifo, lacks "runc 1.1": "waits for ever for its writer"),
    ]
}

/// What is exchanged in the root while containers are created.
type Names = (PathBuf, PathBuf);

/// Creates and deletes a container again and again while the names change. Each time it is made or refused with
/// words; what is made is looked at by `inspect`, and the victim after each round.
fn race<'lab>(
    lab: &'lab Lab,
    prepare: impl Fn(&mut Container<'lab>, &Victim) -> Result<Names, Stop>,
    before_round: impl Fn(&mut Container<'lab>, usize) -> Result<Vec<String>, Stop>,
    inspect: impl Fn(&Container<'lab>, &Victim, Pid) -> Outcome,
) -> Outcome {
    let mut container = lab.container()?;
    let victim = Victim::of(&container)?;
    container.config.writable().args(&["/bin/sleep", "1000"]);
    let (one, other) = prepare(&mut container, &victim)?;
    let racer = Racer::exchange(&one, &other);
    let (mut made, mut refused) = (0, String::new());
    for round in 0..rounds() {
        let flags = before_round(&mut container, round)?;
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let finished = container.create_with(&flags)?.output()?;
        if finished.code() == 0 {
            made += 1;
            inspect(&container, &victim, container.pid()?)?;
            container.force_delete()?.ok();
        } else {
            assert!(finished.code() == 1 && !finished.stderr.is_empty(), "{finished}");
            refused = finished.stderr;
        }
        victim.check()?;
    }
    racer.finish()?;
    assert!(made > 0, "never made, at last: {refused}");
    container.nothing_left()
}

fn plain<'lab>(_: &mut Container<'lab>, _: usize) -> Result<Vec<String>, Stop> {
    Ok(Vec::new())
}

/// A directory of the root, and beside it a link to the victim, to be exchanged with it.
fn directory_and_link(container: &Container<'_>, victim: &Victim, name: &str) -> Result<Names, Stop> {
    let (directory, link) = (container.rootfs().join(name), container.rootfs().join("link-to-the-host"));
    fs::create_dir_all(&directory)?;
    symlink(&victim.directory, &link)?;
    Ok((directory, link))
}

/// Nothing of the host is mounted in there but what the config names.
fn no_mount_of_the_victim(_: &Container<'_>, victim: &Victim, pid: Pid) -> Outcome {
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
    let victim = victim.directory.to_string_lossy();
    let root = |line: &str| line.split(' ').nth(3).unwrap_or_default().to_owned();
    match mounts.lines().find(|line| victim.ends_with(&root(line)) && root(line).len() > 1) {
        Some(line) => Err(Stop::Failed(format!("of the host, in the container: {line}"))),
        None => Ok(()),
    }
}

/// CVE-2021-30465.
fn mount_target_becomes_a_link(lab: &Lab) -> Outcome {
    let prepare = |container: &mut Container<'_>, victim: &Victim| {
        container.config.mount("tmpfs", "tmpfs", "/volume", &[]);
        container.config.mount("tmpfs", "tmpfs", "/volume/below", &[]);
        directory_and_link(container, victim, "volume")
    };
    race(lab, prepare, plain, no_mount_of_the_victim)
}

/// What mount(2) has to make, since its parameters are long, gets its flags afterwards: it gets them, and no other mount.
fn attributes_of_a_mount_whose_target_becomes_a_link(lab: &Lab) -> Outcome {
    let prepare = |container: &mut Container<'_>, _: &Victim| {
        let layers = ["a", "b"].map(|name| container.directory.join(name.repeat(200)));
        layers.iter().try_for_each(fs::create_dir)?;
        let lower = format!("lowerdir={}:{}", layers[0].display(), layers[1].display());
        container.config.mount("tmpfs", "tmpfs", "/other", &[]);
        container.config.mount("overlay", "overlay", "/layered", &[&lower, "nosuid", "nodev", "noexec"]);
        fs::create_dir(container.rootfs().join("other"))?;
        let (directory, link) = (container.rootfs().join("layered"), container.rootfs().join("link"));
        fs::create_dir(&directory)?;
        symlink("/other", &link)?;
        Ok((directory, link))
    };
    let inspect = |_: &Container<'_>, _: &Victim, pid: Pid| {
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
        let layered = mounts.lines().find(|line| line.contains(" - overlay "));
        let layered = layered.ok_or_else(|| Stop::Failed(format!("no overlay in {mounts}")))?;
        assert!(layered.contains("nosuid,nodev,noexec"), "{layered}");
        let other = mounts.lines().find(|line| line.contains(" /other ") && line.contains(" - tmpfs "));
        assert!(other.is_some_and(|line| !line.contains("nosuid")), "{other:?}");
        Ok(())
    };
    race(lab, prepare, plain, inspect)
}

/// CVE-2024-45310: directories that are missing are made; a new name each time.
fn way_to_a_mount_target_becomes_a_link(lab: &Lab) -> Outcome {
    let prepare = |container: &mut Container<'_>, victim: &Victim| {
        container.config.mount("tmpfs", "tmpfs", "/way/0", &[]);
        fs::write(container.directory.join("source"), "x")?;
        let source = container.directory.join("source");
        container.config.mount("bind", &source.to_string_lossy(), "/way/0", &["bind"]);
        directory_and_link(container, victim, "way/through")
    };
    let before = |container: &mut Container<'_>, round: usize| {
        let mounts = container.config.0["mounts"].as_array_mut().map_or(&mut [][..], Vec::as_mut_slice);
        if let [.., directory, file] = mounts {
            directory["destination"] = json!(format!("/way/through/new-{round}/deep/er"));
            file["destination"] = json!(format!("/way/through/file-{round}"));
        }
        Ok(Vec::new())
    };
    race(lab, prepare, before, no_mount_of_the_victim)
}

fn file_under_a_bind_becomes_a_link(lab: &Lab) -> Outcome {
    let prepare = |container: &mut Container<'_>, victim: &Victim| {
        let source = container.directory.join("source");
        fs::write(&source, "x")?;
        container.config.mount("bind", &source.to_string_lossy(), "/target", &["bind"]);
        let (file, link) = (container.rootfs().join("target"), container.rootfs().join("link"));
        fs::write(&file, "")?;
        symlink(victim.file(), &link)?;
        Ok((file, link))
    };
    race(lab, prepare, plain, no_mount_of_the_victim)
}

fn own_dev(container: &mut Container<'_>) {
    for place in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        container.config.without_mount(place);
    }
}

/// CVE-2026-41579, CVE-2026-47766.
fn dev_becomes_a_link(lab: &Lab) -> Outcome {
    let prepare = |container: &mut Container<'_>, victim: &Victim| {
        own_dev(container);
        directory_and_link(container, victim, "dev")
    };
    race(lab, prepare, plain, no_mount_of_the_victim)
}

/// CVE-2025-31133, CVE-2025-62161, CVE-2026-88265: what masks is the null device, and nothing that the image calls so.
fn null_becomes_a_link(lab: &Lab) -> Outcome {
    let prepare = |container: &mut Container<'_>, victim: &Victim| {
        own_dev(container);
        fs::write(container.rootfs().join("etc/masked"), "masked\n")?;
        container.config.put("/linux/maskedPaths", json!(["/etc/masked", "/proc/kcore", "/proc/keys"]));
        let (null, link) = (container.rootfs().join("dev/null"), container.rootfs().join("dev/link"));
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
        let device = nix::sys::stat::makedev(1, 3);
        nix::sys::stat::mknod(&null, nix::sys::stat::SFlag::S_IFCHR, mode, device)?;
        symlink(victim.file(), &link)?;
        Ok((null, link))
    };
    let inspect = |_: &Container<'_>, _: &Victim, pid: Pid| {
        for path in ["etc/masked", "proc/kcore", "proc/keys"] {
            is_null(&format!("/proc/{pid}/root/{path}"))?;
        }
        Ok(())
    };
    race(lab, prepare, plain, inspect)
}

fn is_null(path: &str) -> Outcome {
    let found = match fs::symlink_metadata(path) {
        // Not every kernel has all of them.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if found.file_type().is_char_device() && found.rdev() == nix::sys::stat::makedev(1, 3) {
        return Ok(());
    }
    Err(Stop::Failed(format!(
        "{path} is masked by something else: {:?}, device {:x}",
        found.file_type(),
        found.rdev()
    )))
}

/// With a terminal, whose socket is a new one each time; what comes over it waits there.
fn with_console(lab: &Lab, prepared: impl Fn(&mut Container<'_>, &Victim) -> Result<Names, Stop>) -> Outcome {
    let prepare = |container: &mut Container<'_>, victim: &Victim| {
        container.config.put("/process/terminal", json!(true));
        prepared(container, victim)
    };
    let socket = RefCell::new(None);
    let before = |container: &mut Container<'_>, _: usize| {
        let _ = fs::remove_file(container.directory.join("console.sock"));
        let path = socket.borrow_mut().insert(ConsoleSocket::listen(&container.directory)?).path.clone();
        Ok(vec!["--console-socket".to_owned(), path.to_string_lossy().into_owned()])
    };
    let inspect = |_: &Container<'_>, _: &Victim, pid: Pid| {
        // Each of its streams is a slave of a devpts.
        let stdin = fs::metadata(format!("/proc/{pid}/fd/0"))?;
        assert_eq!(nix::sys::stat::major(stdin.rdev()), 136, "no slave of a devpts");
        Ok(())
    };
    race(lab, prepare, before, inspect)
}

/// CVE-2025-52565, CVE-2026-88264: the place of the terminal inside.
fn console_becomes_a_link(lab: &Lab) -> Outcome {
    with_console(lab, |container, victim| {
        let dev = container.rootfs().join("dev");
        container.config.without_mount("/dev").without_mount("/dev/shm").without_mount("/dev/mqueue");
        fs::create_dir(dev.join("pts"))?;
        fs::write(dev.join("console"), "")?;
        symlink(victim.file(), dev.join("link"))?;
        Ok((dev.join("console"), dev.join("link")))
    })
}

/// CVE-2025-52565: where the terminal comes from.
fn pts_becomes_a_link(lab: &Lab) -> Outcome {
    with_console(lab, |container, victim| {
        container.config.without_mount("/dev").without_mount("/dev/shm").without_mount("/dev/mqueue");
        directory_and_link(container, victim, "dev/pts")
    })
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-52881: kernel parameters land in the kernel, and a /proc
/// that lies elsewhere is refused.
fn proc_becomes_a_link(lab: &Lab) -> Outcome {
    let prepare = |container: &mut Container<'_>, _: &Victim| {
        let fake = container.rootfs().join("fake");
        fs::create_dir_all(fake.join("sys/kernel"))?;
        fs::create_dir_all(fake.join("sys/net/ipv4"))?;
        fs::write(fake.join("sys/kernel/shmmax"), "fake\n")?;
        fs::write(fake.join("sys/net/ipv4/ip_unprivileged_port_start"), "fake\n")?;
        container.config.put(
            "/linux/sysctl",
            json!({"net.ipv4.ip_unprivileged_port_start": "77", "kernel.shmmax": "77777"}),
        );
        let link = container.rootfs().join("to-the-fake");
        symlink("/fake", &link)?;
        Ok((container.rootfs().join("proc"), link))
    };
    let inspect = |container: &Container<'_>, _: &Victim, pid: Pid| {
        for file in ["sys/kernel/shmmax", "sys/net/ipv4/ip_unprivileged_port_start"] {
            assert_eq!(fs::read_to_string(container.rootfs().join("fake").join(file))?, "fake\n");
        }
        drop(procfs_of(pid)?);
        assert_eq!(inside(pid, "/proc/sys/net/ipv4/ip_unprivileged_port_start")?, "77");
        assert_eq!(inside(pid, "/proc/sys/kernel/shmmax")?, "77777");
        Ok(())
    };
    race(lab, prepare, plain, inspect)
}

/// A kernel parameter of the container's namespaces, read through the host's /proc.
fn inside(pid: Pid, file: &str) -> Result<String, Stop> {
    let mut nsenter = Command::new("nsenter");
    nsenter.args(["--target", &pid.to_string(), "--ipc", "--net", "cat", file]);
    Ok(String::from_utf8_lossy(&nsenter.output()?.stdout).trim().to_owned())
}

fn masked_path_becomes_a_link(lab: &Lab) -> Outcome {
    let prepare = |container: &mut Container<'_>, victim: &Victim| {
        container.config.put("/linux/maskedPaths", json!(["/hidden", "/hidden/below"]));
        directory_and_link(container, victim, "hidden")
    };
    race(lab, prepare, plain, no_mount_of_the_victim)
}

/// The procfs is where it was mounted, whatever its place is called a moment later; there it is masked, or not at all.
fn masks_of_a_proc_whose_name_changes(lab: &Lab) -> Outcome {
    let prepare = |container: &mut Container<'_>, _: &Victim| {
        container.config.put("/linux/maskedPaths", json!(["/proc/kcore", "/proc/keys", "/proc/timer_list"]));
        container.config.put("/linux/readonlyPaths", json!(["/proc/sys", "/proc/irq"]));
        fs::create_dir_all(container.rootfs().join("fake/sys"))?;
        let link = container.rootfs().join("to-the-fake");
        symlink("/fake", &link)?;
        Ok((container.rootfs().join("proc"), link))
    };
    let inspect = |_: &Container<'_>, _: &Victim, pid: Pid| {
        let proc = procfs_of(pid)?;
        let inside = |path: &str| format!("/proc/self/fd/{}/{path}", proc.as_raw_fd());
        ["kcore", "keys", "timer_list"].iter().try_for_each(|path| is_null(&inside(path)))?;
        for path in ["sys", "irq"] {
            let flags = statvfs(&*inside(path))?.flags();
            assert!(flags.contains(FsFlags::ST_RDONLY), "/proc/{path} can be written");
        }
        Ok(())
    };
    race(lab, prepare, plain, inspect)
}

/// The procfs of a container in whose root two names are exchanged.
fn procfs_of(pid: Pid) -> Result<File, Stop> {
    for name in ["proc", "to-the-fake"].iter().cycle().take(10_000) {
        let Ok(found) = File::open(format!("/proc/{pid}/root/{name}")) else { continue };
        if fstatfs(&found)?.filesystem_type() == PROC_SUPER_MAGIC {
            return Ok(found);
        }
    }
    Err(Stop::Failed("there is no procfs".to_owned()))
}

fn readonly_path_becomes_a_link(lab: &Lab) -> Outcome {
    let prepare = |container: &mut Container<'_>, victim: &Victim| {
        container.config.put("/linux/readonlyPaths", json!(["/fixed", "/fixed/below"]));
        directory_and_link(container, victim, "fixed")
    };
    race(lab, prepare, plain, no_mount_of_the_victim)
}

/// What a tmpfs starts with is the image's and never the host's.
fn copied_up_file_becomes_a_link(lab: &Lab) -> Outcome {
    let prepare = |container: &mut Container<'_>, victim: &Victim| {
        let copied = container.rootfs().join("copied");
        fs::create_dir(&copied)?;
        container.config.mount("tmpfs", "tmpfs", "/copied", &["tmpcopyup"]);
        fs::write(copied.join("file"), "of the image")?;
        symlink(victim.file(), copied.join("link"))?;
        Ok((copied.join("file"), copied.join("link")))
    };
    let inspect = |_: &Container<'_>, _: &Victim, pid: Pid| {
        for name in ["file", "link"] {
            let path = format!("/proc/{pid}/root/copied/{name}");
            // A link stays one; what it leads to from here is the host's own file.
            if fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
                assert_ne!(fs::read_to_string(&path)?, SECRET);
            }
        }
        Ok(())
    };
    race(lab, prepare, plain, inspect)
}

/// CVE-2024-21626: the directory that is entered lies inside.
fn working_directory_becomes_a_link(lab: &Lab) -> Outcome {
    let prepare = |container: &mut Container<'_>, victim: &Victim| {
        container.config.put("/process/cwd", json!("/work/below"));
        fs::create_dir_all(container.rootfs().join("work/below"))?;
        let names = directory_and_link(container, victim, "work")?;
        fs::remove_file(&names.1)?;
        symlink("/proc/self/fd", &names.1)?;
        Ok(names)
    };
    let inspect = |_: &Container<'_>, _: &Victim, pid: Pid| {
        let cwd = fs::read_link(format!("/proc/{pid}/cwd"))?;
        // Told in the words of the process's own root.
        assert!(cwd.starts_with("/work") || cwd.starts_with("/link-to-the-host"), "{}", cwd.display());
        Ok(())
    };
    race(lab, prepare, plain, inspect)
}

/// The file in which a home directory is looked up may be one that never ends, or never begins.
fn passwd_becomes_a_fifo(lab: &Lab) -> Outcome {
    let prepare = |container: &mut Container<'_>, _: &Victim| {
        let etc = container.rootfs().join("etc");
        nix::unistd::mkfifo(&etc.join("fifo"), nix::sys::stat::Mode::S_IRUSR)?;
        container.config.put("/process/env", json!(["PATH=/bin"]));
        Ok((etc.join("passwd"), etc.join("fifo")))
    };
    race(lab, prepare, plain, |_, _, _| Ok(()))
}
