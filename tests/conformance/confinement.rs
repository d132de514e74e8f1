//! Roots that try to make the runtime write outside of them: symbolic links and dots where it mounts and makes nodes.

use std::fs;
use std::os::unix::fs::symlink;

use husk_conformance::suite::Case;
use husk_conformance::{Container, Finished, Lab, Outcome, Stop, case};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(symlink_in_a_target_stays_inside),
        case!(absolute_symlink_as_target),
        case!(dots_in_a_target_stay_inside),
        case!(dev_as_a_symlink_stays_inside, lacks "runc 1.1": "CVE-2026-41579"),
        case!(proc_as_a_symlink_is_refused),
        case!(a_source_in_the_root_stays_inside, lacks "runc": "follows an image's links on the host"),
        case!(null_as_a_symlink_masks_nothing_outside, lacks "runc 1.1": "CVE-2025-31133"),
    ]
}

/// The host is as it was, and the container either ran, saying so, or was refused with words.
#[track_caller]
fn assert_untouched(victim: &str, finished: &Finished) {
    let made = fs::read_dir(victim).map(Iterator::count);
    assert!(made.is_ok_and(|count| count == 0), "something was made on the host: {finished}");
    let refused = finished.code() != 0 && !finished.stderr.is_empty();
    assert!(finished.stdout.contains("ran") || refused, "{finished}");
}

/// A directory of the host that a root's symbolic links aim at, and that must stay as it is.
fn victim(container: &Container<'_>) -> Result<String, Stop> {
    let directory = container.directory.join("victim");
    fs::create_dir(&directory)?;
    Ok(directory.to_string_lossy().into_owned())
}

fn symlink_in_a_target_stays_inside(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = victim(&container)?;
    symlink(format!("../../../../../../../..{victim}"), container.rootfs().join("way"))?;
    container.config.mount("tmpfs", "tmpfs", "/way/out", &[]);
    let finished = container.run_sh("echo ran")?;
    assert_untouched(&victim, &finished);
    container.nothing_left()
}

fn absolute_symlink_as_target(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = victim(&container)?;
    symlink(&victim, container.rootfs().join("way"))?;
    container.config.mount("tmpfs", "tmpfs", "/way", &[]);
    let finished = container.run_sh("echo ran; echo x > /way/file")?;
    assert_untouched(&victim, &finished);
    container.nothing_left()
}

fn dots_in_a_target_stay_inside(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = victim(&container)?;
    container.config.mount("tmpfs", "tmpfs", &format!("/../../../../../../..{victim}/out"), &[]);
    let finished = container.run_sh(&format!("echo ran; ls -d {victim}/out"))?;
    assert_untouched(&victim, &finished);
    finished.ok().prints(&format!("ran\n{victim}/out"));
    container.nothing_left()
}

/// A bind source that lies in the root is the image's: a link there must not show the container files of the host.
fn a_source_in_the_root_stays_inside(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = victim(&container)?;
    fs::write(format!("{victim}/secret"), "secret\n")?;
    let way = container.rootfs().join("way");
    symlink(format!("{victim}/secret"), &way)?;
    container.config.mount("bind", &way.to_string_lossy(), "/here", &["bind"]);
    let finished = container.run_sh("cat /here")?;
    assert!(!finished.stdout.contains("secret") && finished.code() != 0, "{finished}");
    // What the link means in the container is what is bound.
    let inside = container.rootfs().join(victim.trim_start_matches('/'));
    fs::create_dir_all(&inside)?;
    fs::write(inside.join("secret"), "the image's own\n")?;
    container.run()?.ok().prints("the image's own");
    container.nothing_left()
}

/// CVE-2026-41579, CVE-2026-47766: device nodes and links are made in /dev, wherever an image says that is.
fn dev_as_a_symlink_stays_inside(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let victim = victim(&container)?;
    fs::remove_dir(container.rootfs().join("dev"))?;
    symlink(&victim, container.rootfs().join("dev"))?;
    for place in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        container.config.without_mount(place);
    }
    let finished = container.run_sh("echo ran")?;
    assert_untouched(&victim, &finished);
    container.nothing_left()
}

/// CVE-2019-19921, CVE-2023-27561: a /proc elsewhere makes the runtime write its settings into files of the image.
fn proc_as_a_symlink_is_refused(lab: &Lab) -> Outcome {
    for name in ["proc", "sys"] {
        let mut container = lab.container()?;
        fs::remove_dir(container.rootfs().join(name))?;
        fs::create_dir(container.rootfs().join("elsewhere"))?;
        symlink("/elsewhere", container.rootfs().join(name))?;
        container.config.args(&["/bin/true"]);
        container.create()?.exits(1).says(&[name]);
        container.nothing_left()?;
    }
    Ok(())
}

/// CVE-2025-31133: a file is masked with /dev/null, which must be that device and not what an image calls so.
fn null_as_a_symlink_masks_nothing_outside(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    for place in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        container.config.without_mount(place);
    }
    let target = container.rootfs().join("etc/target");
    fs::write(&target, "target\n")?;
    fs::write(container.rootfs().join("etc/masked"), "masked\n")?;
    symlink("/etc/target", container.rootfs().join("dev/null"))?;
    container.config.writable().put("/linux/maskedPaths", json!(["/etc/masked"]));
    let finished = container.run_sh("echo ran; cat /etc/masked; echo x > /etc/masked")?;
    assert!(finished.stdout.contains("ran") || !finished.stderr.is_empty(), "{finished}");
    assert!(!finished.stdout.contains("masked") && !finished.stdout.contains("target"), "{finished}");
    assert_eq!(fs::read(&target)?, b"target\n", "{finished}");
    container.nothing_left()
}
