//! Mounts that come to a container that runs, and go: `mounts add` and `mounts remove`, as crun has them.

use std::fs;
use std::os::unix::fs::symlink;

use husk_conformance::suite::Case;
use husk_conformance::{Container, Finished, Lab, Outcome, Stop, case};
use serde_json::{Value, json};

const NO_COMMAND: &[(&str, &str)] = &[("runc", "no command for it")];

pub(crate) fn cases() -> Vec<Case> {
    let cases = vec![
        case!(a_bind_mount_comes_and_goes),
        case!(a_file_comes_and_goes),
        case!(file_systems_come),
        case!(a_proc_shows_the_container),
        case!(in_a_user_namespace),
        case!(attributes_are_applied),
        case!(all_or_none),
        case!(what_is_not_mounted_is_not_removed),
        case!(a_target_stays_in_the_root),
        case!(a_stopped_container_gets_none),
        case!(what_makes_no_sense_is_refused),
    ];
    cases.into_iter().map(|case| case.lacks(NO_COMMAND)).collect()
}

/// `mounts ACTION ID FILE`.
fn mounts(container: &Container<'_>, action: &str, list: &Value) -> Result<Finished, Stop> {
    let file = container.directory.join("mounts.json");
    fs::write(&file, list.to_string())?;
    container.runtime(["mounts", action, &container.id])?.arg(&file).output()
}

/// A directory of the host with a file in it.
fn source(container: &Container<'_>) -> Result<String, Stop> {
    let directory = container.directory.join("source");
    fs::create_dir(&directory)?;
    fs::write(directory.join("file"), "content\n")?;
    Ok(directory.to_string_lossy().into_owned())
}

/// What the container has mounted at or below `/live`, of the whole of its mount table.
fn live(container: &Container<'_>) -> Result<Vec<String>, Stop> {
    let table = container.proc_file("mountinfo")?;
    let lines = table.lines().filter(|line| line.split(' ').nth(4).is_some_and(|at| at.starts_with("/live")));
    Ok(lines.map(str::to_owned).collect())
}

fn up(lab: &Lab) -> Result<Container<'_>, Stop> {
    let mut container = lab.container()?;
    container.config.writable();
    container.up()?;
    Ok(container)
}

fn a_bind_mount_comes_and_goes(lab: &Lab) -> Outcome {
    let container = up(lab)?;
    let source = source(&container)?;
    let list = json!([{"destination": "/live/a", "type": "bind", "source": source, "options": ["rbind"]}]);
    let hosts = fs::read_to_string("/proc/self/mountinfo")?.lines().count();
    mounts(&container, "add", &list)?.ok().prints("");
    container.exec_sh("cat /live/a/file; echo new > /live/a/new")?.ok().prints("content");
    assert_eq!(fs::read_to_string(format!("{source}/new"))?, "new\n");
    assert!(!fs::read_to_string("/proc/self/mountinfo")?.contains(&format!("{}/bundle", container.id)));
    mounts(&container, "remove", &list)?.ok();
    assert_eq!(live(&container)?.len(), 0);
    container.exec_sh("ls /live/a")?.ok().prints("");
    assert!(hosts > 0);
    container.force_delete()?.ok();
    container.nothing_left()
}

fn a_file_comes_and_goes(lab: &Lab) -> Outcome {
    let container = up(lab)?;
    let source = source(&container)?;
    let list =
        json!([{"destination": "/live/file", "source": format!("{source}/file"), "options": ["bind", "ro"]}]);
    mounts(&container, "add", &list)?.ok();
    container.exec_sh("cat /live/file; echo x > /live/file")?.exits(1).prints("content").says(&["read-only"]);
    // The destination is enough to take it away.
    mounts(&container, "remove", &json!([{"destination": "/live/file"}]))?.ok();
    assert_eq!(live(&container)?.len(), 0);
    Ok(())
}

fn file_systems_come(lab: &Lab) -> Outcome {
    let container = up(lab)?;
    let list = json!([
        {"destination": "/live/tmpfs", "type": "tmpfs", "source": "name", "options": ["size=1m", "noexec", "ro"]},
        {"destination": "/live/mqueue", "type": "mqueue", "source": "mqueue"},
    ]);
    mounts(&container, "add", &list)?.ok();
    let found = live(&container)?;
    assert!(found[0].contains(" ro,noexec") && found[0].contains("- tmpfs name "), "{found:?}");
    assert!(found[0].contains("size=1024k") && found[1].contains("- mqueue mqueue"), "{found:?}");
    Ok(())
}

/// A procfs shows the pid namespace of who makes it.
fn a_proc_shows_the_container(lab: &Lab) -> Outcome {
    let container = up(lab)?;
    let list =
        json!([{"destination": "/live/proc", "type": "proc", "source": "proc", "options": ["nosuid"]}]);
    mounts(&container, "add", &list)?.ok();
    let script = "tr '\\0' ' ' < /live/proc/1/cmdline; test -e /live/proc/200000 || echo";
    container.exec_sh(script)?.ok().prints("/bin/sleep 1000");
    mounts(&container, "remove", &list)?.ok();
    Ok(())
}

fn in_a_user_namespace(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.user_namespace(100_000).without_mount("/sys/fs/cgroup");
    for target in ["live/a", "live/b", "live/c"] {
        fs::create_dir_all(container.rootfs().join(target))?;
    }
    container.up()?;
    let source = source(&container)?;
    let list = json!([
        {"destination": "/live/a", "source": source, "options": ["bind"]},
        {"destination": "/live/b", "source": source, "options": ["bind", "idmap"]},
        {"destination": "/live/c", "type": "tmpfs", "source": "tmpfs"},
    ]);
    mounts(&container, "add", &list)?.ok();
    let script = "stat -c %u /live/a/file /live/b/file; echo x > /live/c/x && stat -c %u /live/c/x";
    container.exec_sh(script)?.ok().prints("65534\n0\n0");
    mounts(&container, "remove", &list)?.ok();
    container.force_delete()?.ok();
    container.nothing_left()
}

fn attributes_are_applied(lab: &Lab) -> Outcome {
    let container = up(lab)?;
    let source = source(&container)?;
    let options = ["rbind", "nosuid", "nodev", "noexec", "noatime", "rnosymfollow", "rslave"];
    let list = json!([{"destination": "/live/a", "source": source, "options": options}]);
    mounts(&container, "add", &list)?.ok();
    let found = live(&container)?;
    for option in ["nosuid", "nodev", "noexec", "noatime", "nosymfollow"] {
        assert!(found[0].contains(option), "{option}: {found:?}");
    }
    Ok(())
}

fn all_or_none(lab: &Lab) -> Outcome {
    let container = up(lab)?;
    let source = source(&container)?;
    let list = json!([
        {"destination": "/live/a", "source": source, "options": ["bind"]},
        {"destination": "/live/b", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/etc/passwd", "source": source, "options": ["bind"]},
    ]);
    mounts(&container, "add", &list)?.exits(1).says(&["/etc/passwd", "/mounts/2", "not a directory"]);
    assert_eq!(live(&container)?, [""; 0]);
    Ok(())
}

fn what_is_not_mounted_is_not_removed(lab: &Lab) -> Outcome {
    let container = up(lab)?;
    let list = json!([{"destination": "/etc"}]);
    mounts(&container, "remove", &list)?.exits(1).says(&["cannot unmount /etc", "nothing is mounted there"]);
    let list = json!([{"destination": "/not/there"}]);
    mounts(&container, "remove", &list)?.exits(1).says(&["/not/there", "no such file"]);
    assert!(!container.has("/not"), "looking made something");
    Ok(())
}

/// The container's own links lead nowhere but into its root.
fn a_target_stays_in_the_root(lab: &Lab) -> Outcome {
    let container = up(lab)?;
    let victim = container.directory.join("victim");
    fs::create_dir(&victim)?;
    let source = source(&container)?;
    symlink(&victim, container.rootfs().join("way"))?;
    let list = json!([{"destination": "/way/in", "source": source, "options": ["bind"]}]);
    mounts(&container, "add", &list)?.ok();
    assert_eq!(fs::read_dir(&victim)?.count(), 0);
    container.exec_sh("cat /way/in/file")?.ok().prints("content");
    mounts(&container, "remove", &list)?.ok();
    assert_eq!(fs::read_dir(&victim)?.count(), 0);
    Ok(())
}

fn a_stopped_container_gets_none(lab: &Lab) -> Outcome {
    let container = up(lab)?;
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    let list = json!([{"destination": "/live", "type": "tmpfs"}]);
    mounts(&container, "add", &list)?.exits(1).says(&["container not running"]);
    Ok(())
}

fn what_makes_no_sense_is_refused(lab: &Lab) -> Outcome {
    let container = up(lab)?;
    let rows: [(Value, &[&str]); 5] = [
        (json!({"destination": "/live"}), &["describes no mounts"]),
        (json!([{"destination": "/live", "type": "cgroup"}]), &["/mounts/0", "cgroup"]),
        (json!([{"destination": "/proc/1", "type": "tmpfs"}]), &["/mounts/0", "/proc"]),
        (json!([{"destination": "/live", "type": "nosuchfs"}]), &["/live", "nosuchfs"]),
        (
            json!([{"destination": "/live", "source": "/not/there", "options": ["bind"]}]),
            &["/not/there", "no such file"],
        ),
    ];
    for (list, words) in rows {
        mounts(&container, "add", &list)?.exits(1).says(words);
    }
    assert_eq!(live(&container)?, [""; 0]);
    Ok(())
}
