//! Mounts of each kind, their options, and what keeps them inside the root.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use husk_conformance::suite::Case;
use husk_conformance::{Container, Finished, Lab, Outcome, Stop, case};
use nix::mount::{MsFlags, mount, umount};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(bind_shows_the_source),
        case!(bind_of_a_file),
        case!(bind_read_only),
        case!(bind_options_are_applied),
        case!(bind_options_are_cleared, lacks "runc 1.1": "leaves the options of the source"),
        case!(bind_leaves_submounts_out),
        case!(rbind_takes_submounts_along),
        case!(ro_leaves_submounts_writable),
        case!(rro_reaches_submounts),
        case!(bind_source_relative_to_the_bundle),
        case!(tmpfs_with_size_and_mode),
        case!(tmpfs_options),
        case!(proc_and_sysfs),
        case!(devpts_with_its_options),
        case!(shm_and_mqueue),
        case!(cgroup_is_readable, lacks "runc 1.3": "leaves the directory of the hierarchies writable"),
        case!(overlay_of_two_layers),
        case!(propagation_of_a_mount),
        case!(propagation_of_the_root),
        case!(private_by_default),
        case!(targets_are_made),
        case!(targets_are_kept),
        case!(target_without_a_slash),
        case!(order_is_the_configs),
        case!(root_is_read_only),
        case!(root_is_writable),
        case!(masked_paths),
        case!(what_is_masked_twice_is_masked_once, lacks "runc": "masks it twice"),
        case!(read_only_paths),
        case!(missing_masked_and_read_only_paths),
        case!(nothing_reaches_the_host),
    ]
}

/// The line of mountinfo for `place` in the container: mount options, optional fields, type, source, super options.
fn mount_line(container: &mut Container<'_>, place: &str) -> Result<String, Stop> {
    let finished = container.run_sh("cat /proc/self/mountinfo")?.ok();
    let line = finished.stdout.lines().rfind(|line| line.split(' ').nth(4) == Some(place));
    Ok(line.ok_or_else(|| Stop::Failed(format!("nothing is mounted on {place}: {finished}")))?.to_owned())
}

fn options_of(line: &str) -> Vec<&str> {
    line.split(' ').nth(5).unwrap_or_default().split(',').collect()
}

/// A directory beside the bundle with a file in it.
fn source(container: &Container<'_>, name: &str) -> Result<String, Stop> {
    let directory = container.directory.join(name);
    fs::create_dir(&directory)?;
    fs::write(directory.join("file"), "content\n")?;
    Ok(directory.to_string_lossy().into_owned())
}

/// A directory with a tmpfs mounted on its `sub`; it goes when this is dropped.
struct WithSubmount(String);

impl WithSubmount {
    fn new(container: &Container<'_>) -> Result<Self, Stop> {
        let directory = source(container, "with-submount")?;
        let sub = format!("{directory}/sub");
        fs::create_dir(&sub)?;
        mount(Some("tmpfs"), sub.as_str(), Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
        let this = WithSubmount(directory);
        fs::write(format!("{sub}/inner"), "inner\n")?;
        Ok(this)
    }
}

impl Drop for WithSubmount {
    fn drop(&mut self) {
        let _ = umount(format!("{}/sub", self.0).as_str());
    }
}

fn bind_shows_the_source(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = source(&container, "source")?;
    container.config.mount("bind", &source, "/mnt/here", &["bind"]);
    container.run_sh("cat /mnt/here/file; echo new > /mnt/here/new")?.ok().prints("content");
    assert_eq!(fs::read_to_string(format!("{source}/new"))?, "new\n");
    container.nothing_left()
}

fn bind_of_a_file(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = source(&container, "source")?;
    // The type does not matter for a bind mount; engines leave it out or write "none".
    container.config.mount("none", &format!("{source}/file"), "/etc/deep/hosts", &["rbind", "rprivate"]);
    container.run_sh("cat /etc/deep/hosts")?.ok().prints("content");
    Ok(())
}

fn bind_read_only(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = source(&container, "source")?;
    container.config.mount("bind", &source, "/here", &["bind", "ro"]);
    let finished = container.run_sh("cat /here/file; echo x > /here/file")?.exits(1).prints("content");
    finished.says(&["Read-only file system"]);
    assert!(!fs::metadata(&source)?.permissions().readonly());
    fs::write(format!("{source}/file"), "the source itself stays writable")?;
    Ok(())
}

fn bind_options_are_applied(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = source(&container, "source")?;
    container.config.mount("bind", &source, "/here", &["bind", "nosuid", "nodev", "noexec", "noatime"]);
    let line = mount_line(&mut container, "/here")?;
    for option in ["nosuid", "nodev", "noexec", "noatime", "rw"] {
        assert!(options_of(&line).contains(&option), "{option} in {line}");
    }
    let program = format!("{source}/program");
    fs::write(&program, "#!/bin/sh\necho ran\n")?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    container.run_sh("/here/program")?.exits(126).says(&["permission denied"]);
    Ok(())
}

fn bind_options_are_cleared(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let place = source(&container, "source")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), place.as_str(), Some("tmpfs"), flags, None::<&str>)?;
    container.config.mount("bind", &place, "/here", &["bind", "exec", "suid", "dev"]);
    let line = mount_line(&mut container, "/here");
    umount(place.as_str())?;
    let line = line?;
    for option in ["nosuid", "nodev", "noexec"] {
        assert!(!options_of(&line).contains(&option), "{option} in {line}");
    }
    Ok(())
}

fn bind_leaves_submounts_out(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = WithSubmount::new(&container)?;
    container.config.mount("bind", &source.0, "/here", &["bind"]);
    container.run_sh("ls /here/sub; cat /here/file")?.ok().prints("content");
    Ok(())
}

fn rbind_takes_submounts_along(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = WithSubmount::new(&container)?;
    container.config.mount("bind", &source.0, "/here", &["rbind"]);
    container.run_sh("cat /here/sub/inner /here/file")?.ok().prints("inner\ncontent");
    Ok(())
}

fn ro_leaves_submounts_writable(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = WithSubmount::new(&container)?;
    container.config.mount("bind", &source.0, "/here", &["rbind", "ro"]);
    container
        .run_sh("echo x > /here/sub/new && echo sub; touch /here/new || echo top")?
        .ok()
        .prints("sub\ntop");
    Ok(())
}

fn rro_reaches_submounts(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = WithSubmount::new(&container)?;
    container.config.mount("bind", &source.0, "/here", &["rbind", "rro"]);
    container.run_sh("touch /here/sub/new || echo sub; touch /here/new || echo top")?.ok().prints("sub\ntop");
    fs::write(format!("{}/sub/after", source.0), "the source itself stays writable")?;
    Ok(())
}

fn bind_source_relative_to_the_bundle(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    fs::create_dir(container.bundle.join("data"))?;
    fs::write(container.bundle.join("data/file"), "in the bundle\n")?;
    container.config.mount("bind", "data", "/here", &["bind"]).sh("cat /here/file");
    // From another directory than the bundle.
    container.run_with(&[])?.current_dir("/".as_ref()).output()?.ok().prints("in the bundle");
    Ok(())
}

fn tmpfs_with_size_and_mode(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.mount("tmpfs", "tmpfs", "/here", &["size=1m", "mode=1757", "uid=5", "gid=6"]);
    let script =
        "stat -c '%a %u %g' /here; df -k /here | tail -n 1; dd if=/dev/zero of=/here/x bs=1024 count=2000";
    let finished = container.run_sh(script)?.exits(1).says(&["No space left"]);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(lines[0], "1757 5 6");
    assert!(lines[1].split_whitespace().any(|word| word == "1024"), "{finished}");
    Ok(())
}

fn tmpfs_options(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let options = ["nosuid", "nodev", "noexec", "ro", "noatime", "nr_inodes=64"];
    container.config.mount("tmpfs", "a-name", "/here", &options);
    let line = mount_line(&mut container, "/here")?;
    for option in ["nosuid", "nodev", "noexec", "ro", "noatime"] {
        assert!(options_of(&line).contains(&option), "{option} in {line}");
    }
    assert!(line.contains(" tmpfs a-name "), "{line}");
    assert!(line.contains("nr_inodes=64"), "{line}");
    Ok(())
}

fn proc_and_sysfs(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let proc = mount_line(&mut container, "/proc")?;
    assert!(proc.contains(" - proc proc "), "{proc}");
    let sys = mount_line(&mut container, "/sys")?;
    assert!(sys.contains(" - sysfs sysfs "), "{sys}");
    for option in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(options_of(&sys).contains(&option), "{option} in {sys}");
    }
    Ok(())
}

fn devpts_with_its_options(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let line = mount_line(&mut container, "/dev/pts")?;
    for word in ["gid=5", "mode=620", "ptmxmode=666", "nosuid", "noexec"] {
        assert!(line.contains(word), "{word} in {line}");
    }
    container.run_sh("ls /dev/pts; readlink /dev/ptmx")?.ok().prints("ptmx\npts/ptmx");
    Ok(())
}

fn shm_and_mqueue(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let line = mount_line(&mut container, "/dev/shm")?;
    assert!(line.contains("size=65536k") && line.contains(" tmpfs shm "), "{line}");
    let line = mount_line(&mut container, "/dev/mqueue")?;
    assert!(line.contains(" - mqueue mqueue "), "{line}");
    container.run_sh("stat -c %a /dev/shm; echo x > /dev/shm/x")?.ok().prints("1777");
    Ok(())
}

fn cgroup_is_readable(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.namespace("cgroup");
    let script = "find /sys/fs/cgroup -name cgroup.procs -maxdepth 2 | head -n 1 | xargs cat; \
                  touch /sys/fs/cgroup/x || echo refused";
    let finished = container.run_sh(script)?.ok();
    assert!(finished.stdout.starts_with("1\n"), "the first process is in the visible cgroup: {finished}");
    assert!(finished.stdout.ends_with("refused\n"), "{finished}");
    Ok(())
}

fn overlay_of_two_layers(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    // The layers are on a tmpfs, as an overlay cannot be the upper layer of another one.
    let base = source(&container, "layers")?;
    mount(Some("tmpfs"), base.as_str(), Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    for directory in ["lower", "upper", "work"] {
        fs::create_dir(format!("{base}/{directory}"))?;
    }
    fs::write(format!("{base}/lower/file"), "lower\n")?;
    let options =
        [format!("lowerdir={base}/lower"), format!("upperdir={base}/upper"), format!("workdir={base}/work")];
    container.config.mount("overlay", "overlay", "/here", &options.each_ref().map(String::as_str));
    let finished = container.run_sh("cat /here/file; echo upper > /here/file; cat /here/file");
    let upper = fs::read_to_string(format!("{base}/upper/file"));
    umount(base.as_str())?;
    finished?.ok().prints("lower\nupper");
    assert_eq!(upper?, "upper\n");
    container.nothing_left()
}

fn propagation_of_a_mount(lab: &Lab) -> Outcome {
    for (option, field) in
        [("rshared", "shared:"), ("rslave", ""), ("rprivate", ""), ("unbindable", "unbindable")]
    {
        let mut container = lab.container()?;
        let source = source(&container, "source")?;
        container.config.mount("bind", &source, "/here", &["rbind", option]);
        let line = mount_line(&mut container, "/here")?;
        let optional = line.split(" - ").next().unwrap_or_default();
        assert_eq!(optional.contains("shared:"), option == "rshared", "{option}: {line}");
        assert!(optional.contains(field), "{option}: {line}");
    }
    Ok(())
}

/// A mount that the host makes later appears in the container when both are slaves or shared, else not.
fn appears_later(lab: &Lab, propagation: &str, mount_option: &str) -> Result<bool, Stop> {
    let mut container = lab.container()?;
    let place = source(&container, "place")?;
    mount(Some("tmpfs"), place.as_str(), Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    let seen = (|| {
        mount(None::<&str>, place.as_str(), None::<&str>, MsFlags::MS_SHARED, None::<&str>)?;
        fs::create_dir(format!("{place}/later"))?;
        container.config.put("/linux/rootfsPropagation", json!(propagation));
        container.config.mount("bind", &place, "/here", &["rbind", mount_option]);
        container.up()?;
        let later = format!("{place}/later");
        mount(Some("tmpfs"), later.as_str(), Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
        let seen = fs::write(format!("{later}/file"), "x")
            .map_err(Stop::from)
            .and_then(|()| container.exec(&[], &["/bin/ls", "/here/later"]));
        umount(later.as_str())?;
        Ok::<Finished, Stop>(seen?.ok())
    })();
    container.force_delete()?;
    umount(place.as_str())?;
    Ok(seen?.stdout.contains("file"))
}

fn propagation_of_the_root(lab: &Lab) -> Outcome {
    assert!(appears_later(lab, "rslave", "rslave")?, "a slave sees what its master mounts");
    assert!(!appears_later(lab, "rprivate", "rprivate")?, "a private mount does not");
    Ok(())
}

fn private_by_default(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let finished = container.run_sh("cat /proc/self/mountinfo")?.ok();
    assert!(finished.stdout.contains(" / / ") || finished.stdout.contains("/rootfs / "), "{finished}");
    assert!(!finished.stdout.contains("shared:"), "{finished}");
    Ok(())
}

fn targets_are_made(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = source(&container, "source")?;
    container.config.mount("bind", &source, "/a/new/directory", &["bind"]);
    container.config.mount("bind", &format!("{source}/file"), "/a/new/file", &["bind"]);
    container.config.mount("tmpfs", "tmpfs", "/b/tmpfs", &[]);
    container.run_sh("cat /a/new/directory/file /a/new/file; echo x > /b/tmpfs/x")?.ok();
    assert!(container.rootfs().join("a/new/directory").is_dir());
    assert!(container.rootfs().join("a/new/file").is_file());
    let mode = fs::metadata(container.rootfs().join("a/new"))?.permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    Ok(())
}

/// What is there is mounted upon, whatever its mode; the second container on a root finds all targets made.
/// It counts from the container's root all the same, as runc has it.
fn target_without_a_slash(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    fs::create_dir(container.rootfs().join("here"))?;
    container.config.mount("tmpfs", "tmpfs", "here", &["size=1m"]);
    container.run_sh("grep -c ' /here tmpfs ' /proc/mounts")?.ok().prints("1");
    container.nothing_left()
}

fn targets_are_kept(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = source(&container, "source")?;
    let target = container.rootfs().join("target");
    fs::create_dir(&target)?;
    fs::write(target.join("below"), "x")?;
    fs::set_permissions(&target, fs::Permissions::from_mode(0o500))?;
    container.config.mount("bind", &source, "/target", &["bind"]);
    for _ in 0..2 {
        container.run_sh("ls /target")?.ok().prints("file");
    }
    assert_eq!(fs::read(target.join("below"))?, b"x");
    assert_eq!(fs::metadata(&target)?.permissions().mode() & 0o7777, 0o500);
    Ok(())
}

fn order_is_the_configs(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = source(&container, "source")?;
    container.config.mount("tmpfs", "tmpfs", "/here", &[]);
    container.config.mount("bind", &source, "/here/inner", &["bind"]);
    container.config.mount("tmpfs", "tmpfs", "/here/inner/../over", &[]);
    container.run_sh("ls /here /here/inner")?.ok().prints("/here:\ninner\nover\n\n/here/inner:\nfile");
    assert!(!container.has("/here/inner"), "the inner target is on the tmpfs, not below it");
    Ok(())
}

fn root_is_read_only(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let finished = container.run_sh("echo x > /new; echo x > /dev/shm/new")?.ok();
    assert!(finished.stderr.contains("Read-only file system") && !container.has("/new"), "{finished}");
    Ok(())
}

fn root_is_writable(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.writable();
    container.run_sh("echo x > /new")?.ok();
    assert_eq!(fs::read(container.rootfs().join("new"))?, b"x\n");
    Ok(())
}

fn masked_paths(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    fs::create_dir(container.rootfs().join("hidden"))?;
    fs::write(container.rootfs().join("hidden/file"), "secret")?;
    fs::write(container.rootfs().join("secret"), "secret")?;
    container.config.writable().put("/linux/maskedPaths", json!(["/hidden", "/secret", "/proc/kcore"]));
    let script = "ls -A /hidden; cat /secret; head -c 1 /proc/kcore; touch /hidden/new || echo refused; \
                  echo x > /secret; cat /secret";
    container.run_sh(script)?.ok().prints("refused");
    assert_eq!(fs::read(container.rootfs().join("secret"))?, b"secret");
    Ok(())
}

fn what_is_masked_twice_is_masked_once(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    fs::create_dir(container.rootfs().join("hidden"))?;
    container.config.put("/linux/maskedPaths", json!(["/hidden", "/proc/kcore", "/hidden"]));
    container.run_sh("grep -c ' /hidden ' /proc/self/mountinfo")?.ok().prints("1");
    Ok(())
}

fn read_only_paths(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    fs::create_dir(container.rootfs().join("fixed"))?;
    container.config.writable().put("/linux/readonlyPaths", json!(["/fixed", "/proc/sys", "/etc/passwd"]));
    let script =
        "for f in /fixed/new /proc/sys/kernel/hostname /etc/passwd; do echo x >> $f || echo $f; done";
    container.run_sh(script)?.ok().prints("/fixed/new\n/proc/sys/kernel/hostname\n/etc/passwd");
    Ok(())
}

fn missing_masked_and_read_only_paths(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/linux/maskedPaths", json!(["/not/there", "/proc/not-there"]));
    container.config.put("/linux/readonlyPaths", json!(["/not/there", "/proc/not-there"]));
    container.run_sh("echo fine")?.ok().prints("fine");
    assert!(!container.has("/not"));
    Ok(())
}

fn nothing_reaches_the_host(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = source(&container, "source")?;
    container.config.mount("bind", &source, "/here", &["rbind", "rshared"]).mount(
        "tmpfs",
        "tmpfs",
        "/there",
        &[],
    );
    container.up()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let ours: Vec<&str> = mounts.lines().filter(|line| line.contains(&container.id)).collect();
    assert_eq!(ours, Vec::<&str>::new());
    container.force_delete()?.ok();
    container.nothing_left()
}
