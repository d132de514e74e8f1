//! Id-mapped bind mounts: files that show other owners than they have.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case};
use nix::mount::{MsFlags, mount, umount};
use serde_json::{Value, json};

const TOO_OLD: &[(&str, &str)] = &[("runc 1.1", "id-mapped mounts came with runc 1.2")];

pub(crate) fn cases() -> Vec<Case> {
    let cases = vec![
        case!(own_mappings_are_shown),
        case!(the_containers_mappings_are_implied),
        case!(what_is_written_has_the_files_ids),
        case!(the_joined_namespaces_mappings_are_implied),
        case!(mappings_differ_from_the_containers),
        case!(several_lines_and_several_mounts),
        case!(idmap_leaves_submounts_alone),
        case!(ridmap_reaches_submounts),
        case!(a_source_in_the_rootfs),
        case!(a_source_that_cannot_be_mapped),
    ];
    let in_the_option =
        case!(mappings_in_the_option, lacks "runc": "takes \"idmap=\" for data of a file system");
    cases.into_iter().map(|case| case.lacks(TOO_OLD)).chain([in_the_option]).collect()
}

/// A directory with a file of user 100 and group 200 in it.
fn source(container: &Container<'_>, name: &str) -> Result<String, Stop> {
    let directory = container.directory.join(name);
    fs::create_dir(&directory)?;
    fs::write(directory.join("file"), "content\n")?;
    chown(directory.join("file"), Some(100), Some(200))?;
    Ok(directory.to_string_lossy().into_owned())
}

fn maps(inside: u32, outside: u32, size: u32) -> Value {
    json!([{"containerID": inside, "hostID": outside, "size": size}])
}

/// Binds `source` on `target`, with mappings of its own.
fn mapped(
    container: &mut Container<'_>,
    source: &str,
    target: &str,
    options: &[&str],
    uids: Value,
    gids: Value,
) {
    let mount = json!({
        "type": "bind", "source": source, "destination": target, "options": options,
        "uidMappings": uids, "gidMappings": gids,
    });
    container.config.put("/mounts/-", mount);
}

/// A container whose root is 100000 on the host.
fn in_user_namespace(lab: &Lab) -> Result<Container<'_>, Stop> {
    let mut container = lab.container()?;
    container.config.user_namespace(100_000).without_mount("/sys/fs/cgroup");
    // The root belongs to the host's root, so the container could not make the targets.
    for target in ["here", "plain", "first"] {
        fs::create_dir(container.rootfs().join(target))?;
    }
    Ok(container)
}

fn own_mappings_are_shown(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = source(&container, "source")?;
    mapped(&mut container, &source, "/here", &["bind", "ro"], maps(100, 5100, 1), maps(200, 7200, 1));
    container.config.mount("bind", &source, "/plain", &["bind"]);
    container.run_sh("stat -c %u:%g /here/file /plain/file")?.ok().prints("5100:7200\n100:200");
    let file = fs::metadata(format!("{source}/file"))?;
    assert_eq!((file.uid(), file.gid()), (100, 200), "the file itself is not changed");
    container.nothing_left()
}

fn the_containers_mappings_are_implied(lab: &Lab) -> Outcome {
    let mut container = in_user_namespace(lab)?;
    let source = source(&container, "source")?;
    container.config.mount("bind", &source, "/here", &["bind", "idmap"]);
    container.config.mount("bind", &source, "/plain", &["bind"]);
    container.run_sh("stat -c %u:%g /here/file /plain/file")?.ok().prints("100:200\n65534:65534");
    container.nothing_left()
}

fn what_is_written_has_the_files_ids(lab: &Lab) -> Outcome {
    let mut container = in_user_namespace(lab)?;
    let source = source(&container, "source")?;
    container.config.mount("bind", &source, "/here", &["rbind", "idmap"]);
    container.config.capabilities(&["CAP_CHOWN"]);
    container.run_sh("echo x > /here/new; chown 7:8 /here/file")?.ok();
    let owner = |name: &str| fs::metadata(format!("{source}/{name}")).map(|file| (file.uid(), file.gid()));
    assert_eq!(owner("new")?, (0, 0));
    assert_eq!(owner("file")?, (7, 8));
    Ok(())
}

fn the_joined_namespaces_mappings_are_implied(lab: &Lab) -> Outcome {
    let mut holder = in_user_namespace(lab)?;
    holder.up()?;
    let mut container = lab.container()?;
    fs::create_dir(container.rootfs().join("here"))?;
    let source = source(&container, "source")?;
    container.config.join("user", &format!("/proc/{}/ns/user", holder.pid()?));
    container.config.without_mount("/sys/fs/cgroup").mount("bind", &source, "/here", &["bind", "idmap"]);
    container.run_sh("stat -c %u:%g /here/file")?.ok().prints("100:200");
    container.nothing_left()
}

/// On top of its user namespace a container sees what the mount's mappings give on the host.
fn mappings_differ_from_the_containers(lab: &Lab) -> Outcome {
    let mut container = in_user_namespace(lab)?;
    let source = source(&container, "source")?;
    mapped(&mut container, &source, "/here", &["bind"], maps(100, 100_003, 1), maps(200, 100_004, 1));
    container.run_sh("stat -c %u:%g /here/file")?.ok().prints("3:4");
    Ok(())
}

fn several_lines_and_several_mounts(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = source(&container, "source")?;
    fs::write(format!("{source}/second"), "")?;
    chown(format!("{source}/second"), Some(300), Some(400))?;
    let lines = || {
        json!([
            {"containerID": 100, "hostID": 1000, "size": 2}, {"containerID": 200, "hostID": 2000, "size": 1},
            {"containerID": 300, "hostID": 3000, "size": 1}, {"containerID": 400, "hostID": 4000, "size": 1},
        ])
    };
    for target in ["/one", "/two"] {
        mapped(&mut container, &source, target, &["bind"], lines(), lines());
    }
    mapped(&mut container, &source, "/three", &["bind"], maps(0, 10_000, 500), maps(0, 20_000, 500));
    let files = "stat -c %u:%g /one/file /one/second /two/file /three/file /three/second";
    container.run_sh(files)?.ok().prints("1000:2000\n3000:4000\n1000:2000\n10100:20200\n10300:20400");
    Ok(())
}

/// What a container sees of a tree whose top and submount have files of 100:200.
fn tree(lab: &Lab, option: &str) -> Result<String, Stop> {
    let mut container = lab.container()?;
    let (top, below) = (source(&container, "top")?, source(&container, "below")?);
    let place = format!("{top}/sub");
    fs::create_dir(&place)?;
    mount(Some(below.as_str()), place.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    mapped(&mut container, &top, "/here", &["rbind", option], maps(100, 5, 1), maps(200, 6, 1));
    let finished = container.run_sh("stat -c %u:%g /here/file /here/sub/file");
    umount(place.as_str())?;
    Ok(finished?.ok().stdout)
}

fn idmap_leaves_submounts_alone(lab: &Lab) -> Outcome {
    assert_eq!(tree(lab, "idmap")?.trim(), "5:6\n100:200");
    Ok(())
}

fn ridmap_reaches_submounts(lab: &Lab) -> Outcome {
    assert_eq!(tree(lab, "ridmap")?.trim(), "5:6\n5:6");
    Ok(())
}

/// It is there only once an earlier mount is; and in a user namespace the container's process could not map it.
fn a_source_in_the_rootfs(lab: &Lab) -> Outcome {
    for with_users in [false, true] {
        let mut container = if with_users { in_user_namespace(lab)? } else { lab.container()? };
        let source = source(&container, "source")?;
        container.config.mount("bind", &source, "/first", &["bind"]);
        let inside = container.rootfs().join("first").to_string_lossy().into_owned();
        let base = if with_users { 100_000 } else { 0 };
        mapped(&mut container, &inside, "/here", &["bind"], maps(100, base + 5, 1), maps(200, base + 6, 1));
        container.run_sh("stat -c %u:%g /here/file")?.ok().prints("5:6");
        container.nothing_left()?;
    }
    Ok(())
}

fn a_source_that_cannot_be_mapped(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    mapped(&mut container, "/sys", "/here", &["rbind"], maps(0, 1000, 1), maps(0, 1000, 1));
    let words = ["MOUNT_ATTR_IDMAP", "/sys", "doesn't support idmap mounts"];
    container.run_sh("true")?.exits(1).says(&words);
    container.nothing_left()
}

fn mappings_in_the_option(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = source(&container, "source")?;
    container.config.mount("bind", &source, "/here", &["bind", "idmap=uids=0-50-10#100-3-1;gids=200-4-1"]);
    container.run_sh("stat -c %u:%g /here/file")?.ok().prints("3:4");
    // Relative to the container's user namespace.
    let mut container = in_user_namespace(lab)?;
    container.config.mount("bind", &source, "/here", &["bind", "idmap=uids=@100-3-1;gids=@200-4-1"]);
    container.run_sh("stat -c %u:%g /here/file")?.ok().prints("3:4");
    container.nothing_left()
}
