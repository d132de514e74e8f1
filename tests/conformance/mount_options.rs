//! What mount options do: each kind, opposites, and those that only some calls of the kernel can express.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use husk_conformance::mounted::Flagged;
use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case};
use nix::mount::{MsFlags, mount, umount};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(flags_of_the_file_system),
        case!(iversion_and_silent_with_everything_else),
        case!(the_last_of_opposites_wins),
        case!(access_times),
        case!(
            flags_of_a_bind_replace_those_of_its_source,
            lacks "runc 1.1": "keeps those that no option names"
        ),
        case!(flags_of_a_source_are_locked_in_a_user_namespace, lacks "runc 1.1": "keeps those that no option names"),
        case!(recursive_options_reach_submounts),
        case!(recursive_options_are_cleared, lacks "runc 1.1": "says \"ratime\" as the kernel does not take it"),
        case!(tmpcopyup_takes_everything_along),
        case!(tmpfs_has_the_mode_of_what_it_covers),
        case!(a_shared_root_has_no_master, lacks "runc 1.1": "leaves it private"),
        case!(bind_refuses_options_of_a_file_system, lacks "runc 1.1": "drops them"),
        case!(src_nofollow_and_dest_nofollow, lacks "runc": "takes \"src-nofollow\" for data of a file system"),
        case!(relative_destination_is_told_of),
        case!(copy_symlink_copies_the_link, lacks "runc": "takes \"copy-symlink\" for data of a file system"),
        case!(copy_symlink_keeps_what_is_there, lacks "runc": "takes \"copy-symlink\" for data of a file system"),
    ]
}

/// It should be absolute, and always was taken from the root: a warning, for people and in the log.
fn relative_destination_is_told_of(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let mount = serde_json::json!({"destination": "mnt/here", "type": "tmpfs", "source": "tmpfs"});
    container.config.put("/mounts/-", mount).sh("grep -c ' /mnt/here ' /proc/self/mountinfo");
    container.write_config()?;
    let log = container.directory.join("log");
    let global = ["--log-format", "json", "--log", &log.to_string_lossy()];
    let run = container.runtime(global)?.args(["run", "--bundle"]).arg(&container.bundle).arg(&container.id);
    run.output()?.ok().prints("1");
    let log = fs::read_to_string(log)?;
    let record: serde_json::Value = serde_json::from_str(log.lines().next().unwrap_or_default())?;
    assert_eq!(record["level"], "warning", "{log}");
    let message = record["msg"].as_str().unwrap_or_default();
    assert!(message.contains("mnt/here") && message.contains("is not absolute"), "{log}");
    Ok(())
}

/// The lines of mountinfo for `places`, joined, as the container sees them.
fn mount_lines(container: &mut Container<'_>, places: &[&str]) -> Result<Vec<String>, Stop> {
    let finished = container.run_sh("cat /proc/self/mountinfo")?.ok();
    let line = |place: &&str| {
        let found = finished.stdout.lines().rfind(|line| line.split(' ').nth(4) == Some(place));
        found
            .map(str::to_owned)
            .ok_or_else(|| Stop::Failed(format!("nothing is mounted on {place}: {finished}")))
    };
    places.iter().map(line).collect()
}

fn mount_line(container: &mut Container<'_>, place: &str) -> Result<String, Stop> {
    Ok(mount_lines(container, &[place])?.remove(0))
}

/// Options of the mount, and those of its file system.
fn options_of(line: &str) -> (Vec<&str>, Vec<&str>) {
    let words: Vec<&str> = line.split(' ').collect();
    (words[5].split(',').collect(), words[words.len() - 1].split(',').collect())
}

/// A directory with a file in it, and a tmpfs with another one on its `sub`.
struct Tree(String);

impl Tree {
    fn new(container: &Container<'_>, flags: MsFlags) -> Result<Self, Stop> {
        let directory = container.directory.join("tree");
        let sub = directory.join("sub");
        fs::create_dir_all(&sub)?;
        mount(Some("tmpfs"), &sub, Some("tmpfs"), flags, None::<&str>)?;
        let tree = Tree(directory.to_string_lossy().into_owned());
        for place in [&directory, &sub] {
            fs::write(place.join("file"), "content\n")?;
            symlink("file", place.join("link"))?;
        }
        Ok(tree)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = umount(format!("{}/sub", self.0).as_str());
    }
}

fn flags_of_the_file_system(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    for name in ["sync", "dirsync", "lazytime"] {
        container.config.mount("tmpfs", "tmpfs", &format!("/{name}"), &[name, "size=1m"]);
    }
    let places = ["/sync", "/dirsync", "/lazytime"];
    for (place, line) in places.iter().zip(mount_lines(&mut container, &places)?) {
        assert!(options_of(&line).1.contains(&place.trim_start_matches('/')), "{line}");
    }
    Ok(())
}

/// mount(2) alone knows these two; everything else has to hold with them as well.
fn iversion_and_silent_with_everything_else(lab: &Lab) -> Outcome {
    for option in ["iversion", "silent"] {
        let mut container = lab.container()?;
        fs::create_dir(container.rootfs().join("here"))?;
        fs::write(container.rootfs().join("here/file"), "copied\n")?;
        fs::set_permissions(container.rootfs().join("here"), fs::Permissions::from_mode(0o1751))?;
        let options =
            [option, "tmpcopyup", "size=1m", "nosuid", "noexec", "noatime", "lazytime", "ro", "rprivate"];
        container.config.mount("tmpfs", "a-name", "/here", &options);
        let line = mount_line(&mut container, "/here")?;
        let (of_mount, of_file_system) = options_of(&line);
        for name in ["ro", "nosuid", "noexec", "noatime"] {
            assert!(of_mount.contains(&name), "{name} in {line}");
        }
        assert!(of_file_system.contains(&"size=1024k") && of_file_system.contains(&"lazytime"), "{line}");
        assert!(line.contains(" - tmpfs a-name "), "{line}");
        container.run_sh("cat /here/file; stat -c %a /here")?.ok().prints("copied\n1751");
        container.nothing_left()?;
    }
    Ok(())
}

fn the_last_of_opposites_wins(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let on = [
        "rw",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "rw",
        "ro",
        "async",
        "sync",
        "nolazytime",
        "lazytime",
        "loud",
        "silent",
        "loud",
    ];
    let off = [
        "nosuid",
        "suid",
        "nodev",
        "dev",
        "ro",
        "rw",
        "sync",
        "async",
        "lazytime",
        "nolazytime",
        "iversion",
        "noiversion",
    ];
    container.config.mount("tmpfs", "tmpfs", "/on", &on).mount("tmpfs", "tmpfs", "/off", &off);
    let lines = mount_lines(&mut container, &["/on", "/off"])?;
    let (of_mount, of_file_system) = options_of(&lines[0]);
    assert!(["ro", "nosuid", "nodev"].iter().all(|name| of_mount.contains(name)), "{}", lines[0]);
    assert!(["sync", "lazytime"].iter().all(|name| of_file_system.contains(name)), "{}", lines[0]);
    let (of_mount, of_file_system) = options_of(&lines[1]);
    assert!(!["ro", "nosuid", "nodev"].iter().any(|name| of_mount.contains(name)), "{}", lines[1]);
    assert!(!["sync", "lazytime"].iter().any(|name| of_file_system.contains(name)), "{}", lines[1]);
    Ok(())
}

fn access_times(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let modes: [(&str, &[&str], &[&str]); 4] = [
        ("/never", &["noatime"], &["noatime"]),
        ("/strict", &["strictatime"], &[]),
        ("/usual", &["noatime", "atime"], &["relatime"]),
        ("/directories", &["nodiratime"], &["nodiratime", "relatime"]),
    ];
    for (place, options, _) in modes {
        container.config.mount("tmpfs", "tmpfs", place, options);
    }
    for (place, options, expected) in modes {
        let line = mount_line(&mut container, place)?;
        let mut found = options_of(&line).0;
        found.retain(|option| option.contains("atime"));
        found.sort_unstable();
        assert_eq!(found, expected, "{options:?}: {line}");
    }
    Ok(())
}

fn recursive_options_reach_submounts(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let tree = Tree::new(&container, MsFlags::empty())?;
    let options = ["rbind", "rro", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rnodiratime", "rnosymfollow"];
    container.config.mount("bind", &tree.0, "/here", &options);
    for line in mount_lines(&mut container, &["/here", "/here/sub"])? {
        let found = options_of(&line).0;
        for option in options.iter().skip(1) {
            assert!(found.contains(&&option[1..]), "{option}: {line}");
        }
    }
    let script =
        "cat /here/file /here/sub/file; for d in /here /here/sub; do cat $d/link || echo refused; done";
    container.run_sh(script)?.ok().prints("content\ncontent\nrefused\nrefused");
    fs::write(format!("{}/sub/file", tree.0), "the host's stay as they are\n")?;
    Ok(())
}

fn recursive_options_are_cleared(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let tree = Tree::new(&container, MsFlags::empty())?;
    let sub = format!("{}/sub", tree.0);
    let none = None::<&str>;
    mount(
        none,
        sub.as_str(),
        none,
        MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags | MsFlags::MS_NOATIME,
        none,
    )?;
    let options = ["rbind", "rrw", "rsuid", "rdev", "rexec", "ratime", "rdiratime", "rsymfollow"];
    container.config.mount("bind", &tree.0, "/here", &options);
    let line = mount_line(&mut container, "/here/sub")?;
    let found = options_of(&line).0;
    for option in ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"] {
        assert!(!found.contains(&option), "{option}: {line}");
    }
    Ok(())
}

fn tmpcopyup_takes_everything_along(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let root = container.rootfs().join("here");
    fs::create_dir_all(root.join("a/b"))?;
    fs::write(root.join("a/b/file"), "content\n")?;
    fs::set_permissions(root.join("a/b/file"), fs::Permissions::from_mode(0o4711))?;
    symlink("/no/where", root.join("link"))?;
    std::os::unix::fs::chown(root.join("a"), Some(5), Some(6))?;
    container.config.mount("tmpfs", "tmpfs", "/here", &["tmpcopyup"]);
    let script =
        "cd /here; cat a/b/file; stat -c '%a %u:%g %n' a a/b/file; readlink link; echo new > a/b/file";
    container.run_sh(script)?.ok().prints("content\n755 5:6 a\n4711 0:0 a/b/file\n/no/where");
    assert_eq!(fs::read_to_string(root.join("a/b/file"))?, "content\n", "the root keeps what it has");
    container.nothing_left()
}

fn tmpfs_has_the_mode_of_what_it_covers(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    fs::create_dir(container.rootfs().join("there"))?;
    fs::set_permissions(container.rootfs().join("there"), fs::Permissions::from_mode(0o2710))?;
    container.config.mount("tmpfs", "tmpfs", "/there", &[]).mount("tmpfs", "tmpfs", "/new", &[]);
    container.config.mount("tmpfs", "tmpfs", "/said", &["mode=1711"]);
    container.run_sh("stat -c %a /there /new /said")?.ok().prints("2710\n1777\n1711");
    Ok(())
}

fn a_shared_root_has_no_master(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/linux/rootfsPropagation", "shared".into());
    container.config.sh("grep ' / / \\|rootfs / ' /proc/self/mountinfo");
    let shared = ["--mount", "--propagation", "shared"];
    let finished = container.run_with(&[])?.wrapped("unshare", &shared)?.output()?.ok();
    let root = finished.stdout.lines().last().unwrap_or_default();
    assert!(root.contains("shared:") && !root.contains("master:"), "{finished}");
    container.nothing_left()
}

fn bind_refuses_options_of_a_file_system(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.mount("bind", "/etc", "/here", &["bind", "size=1m"]);
    container
        .run_sh("true")?
        .exits(1)
        .says(&["bind mounts cannot have any filesystem-specific options applied"]);
    container.nothing_left()
}

/// A directory of the host with a file and a link to it.
fn links(container: &Container<'_>) -> Result<String, Stop> {
    let directory = container.directory.join("links");
    fs::create_dir(&directory)?;
    fs::write(directory.join("file"), "the host's\n")?;
    symlink("file", directory.join("link"))?;
    Ok(directory.to_string_lossy().into_owned())
}

fn src_nofollow_and_dest_nofollow(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = links(&container)?;
    let root = container.rootfs();
    fs::write(root.join("etc/file"), "the image's\n")?;
    symlink("file", root.join("etc/link"))?;
    // The link itself, so it leads to what has that name here.
    container.config.mount("bind", &format!("{source}/link"), "/etc/mounted", &["bind", "src-nofollow"]);
    // Onto the link, which leaves what it leads to alone.
    container.config.mount("bind", &format!("{source}/file"), "/etc/link", &["bind", "dest-nofollow"]);
    let script = "readlink /etc/mounted; cat /etc/mounted /etc/link /etc/file";
    container.run_sh(script)?.ok().prints("file\nthe image's\nthe host's\nthe image's");
    container.nothing_left()
}

fn copy_symlink_copies_the_link(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = links(&container)?;
    let options = ["bind", "copy-symlink"];
    container.config.mount("bind", &format!("{source}/link"), "/etc/copied", &options);
    container.config.mount("bind", &format!("{source}/file"), "/etc/bound", &options);
    container.run_sh("readlink /etc/copied; cat /etc/bound")?.ok().prints("file\nthe host's");
    // A second time it is there already, and the same.
    container.run_sh("readlink /etc/copied")?.ok().prints("file");
    container.nothing_left()
}

fn copy_symlink_keeps_what_is_there(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = links(&container)?;
    symlink("other", container.rootfs().join("etc/link"))?;
    container.config.mount("bind", &format!("{source}/link"), "/etc/link", &["bind", "copy-symlink"]);
    container.run_sh("true")?.exits(1).says(&["/etc/link", "file exists"]);
    container.nothing_left()
}

/// As mount(8) does it: whoever names one flag has named them all. Without any, the source's stay.
fn flags_of_a_bind_replace_those_of_its_source(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = Flagged::new(&container)?;
    for (place, options) in [
        ("/mnt/plain", &["bind"][..]),
        ("/mnt/readonly", &["bind", "ro"]),
        ("/mnt/clear", &["bind", "dev", "atime"]),
        ("/mnt/times", &["bind", "nodiratime"]),
    ] {
        container.config.mount("bind", &source.0, place, options);
    }
    let lines = mount_lines(&mut container, &["/mnt/plain", "/mnt/readonly", "/mnt/clear", "/mnt/times"])?;
    let options: Vec<_> = lines.iter().map(|line| options_of(line).0).collect();
    assert_eq!(options[0], ["rw", "nosuid", "nodev", "noexec", "noatime"]);
    assert_eq!(options[1], ["ro", "noatime"]);
    assert_eq!(options[2], ["rw", "noatime"]);
    assert_eq!(options[3], ["rw", "nodiratime", "relatime"]);
    drop(source);
    container.nothing_left()
}

/// Root outside could clear them: what the container is, and not who makes it, decides.
fn flags_of_a_source_are_locked_in_a_user_namespace(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = Flagged::new(&container)?;
    fs::create_dir_all(container.rootfs().join("mnt"))?;
    container.config.user_namespace(200_000).without_mount("/sys/fs/cgroup").mount(
        "bind",
        &source.0,
        "/mnt",
        &["bind", "ro"],
    );
    let line = mount_line(&mut container, "/mnt")?;
    assert_eq!(options_of(&line).0, ["ro", "nosuid", "nodev", "noexec", "noatime"]);
    drop(source);
    container.nothing_left()?;
    let usual = MsFlags::MS_NOEXEC | MsFlags::MS_NOATIME;
    // Those of directories alone are not strict.
    let directories = MsFlags::MS_NODIRATIME | MsFlags::MS_STRICTATIME;
    for (flags, option) in [(usual, "exec"), (usual, "strictatime"), (directories, "strictatime")] {
        let mut container = lab.container()?;
        let source = Flagged::with(&container, flags)?;
        fs::create_dir_all(container.rootfs().join("mnt"))?;
        container.config.user_namespace(200_000).without_mount("/sys/fs/cgroup").mount(
            "bind",
            &source.0,
            "/mnt",
            &["bind", option],
        );
        container.run_sh("true")?.exits(1).says(&["flagged", "operation not permitted", "locked"]);
        drop(source);
        container.nothing_left()?;
    }
    Ok(())
}
