//! `exec --cgroup`: a further process in a cgroup below the container's.

use std::fs;
use std::path::Path;

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case, traces, unable};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(one_path_is_for_every_hierarchy),
        case!(each_controller_has_its_own),
        case!(root_is_the_containers_own),
        case!(is_gone_with_the_container),
        case!(parent_is_refused),
        case!(neighbour_is_refused, lacks "runc": "compares letters, so c-suffix lies below c"),
        case!(missing_one_is_refused),
        case!(unknown_controller_is_refused),
        case!(senseless_arguments_are_refused, lacks "runc 1.1": "takes a prefix without a controller"),
    ]
}

/// A running container with an empty cgroup `sub/cgroup` below its own in every hierarchy.
fn with_sub_cgroups(lab: &Lab) -> Result<Container<'_>, Stop> {
    let mut container = lab.container()?;
    container.up()?;
    for directory in traces::cgroups(&container.id) {
        fs::create_dir_all(directory.join("sub/cgroup"))?;
        // The v1 cpuset is the one whose new cgroups take no process before they have a set.
        for parent in ["sub", "sub/cgroup"] {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if directory.starts_with("/sys/fs/cgroup/cpuset") {
                    fs::write(directory.join(parent).join(file), fs::read(directory.join(file))?)?;
                }
            }
        }
    }
    Ok(container)
}

/// The lines of `/proc/self/cgroup` of an exec.
fn cgroups_of_exec(container: &Container<'_>, flags: &[&str]) -> Result<Vec<String>, Stop> {
    let finished = container.exec(flags, &["/bin/cat", "/proc/self/cgroup"])?.ok();
    Ok(finished.stdout.lines().map(str::to_owned).collect())
}

fn one_path_is_for_every_hierarchy(lab: &Lab) -> Outcome {
    let container = with_sub_cgroups(lab)?;
    let unit = if lab.systemd { ".scope" } else { "" };
    for path in ["sub/cgroup", "/sub/cgroup", "sub/other/../cgroup"] {
        let lines = cgroups_of_exec(&container, &["--cgroup", path])?;
        assert!(
            lines.iter().all(|line| line.ends_with(&format!("{}{unit}/sub/cgroup", container.id))),
            "{lines:?}"
        );
    }
    Ok(())
}

fn each_controller_has_its_own(lab: &Lab) -> Outcome {
    let named = |name: &str| Path::new("/sys/fs/cgroup").join(name).join("cgroup.procs").exists();
    if !["memory", "pids", "freezer"].into_iter().all(named) {
        return unable("there are no v1 hierarchies with names here");
    }
    let container = with_sub_cgroups(lab)?;
    let lines =
        cgroups_of_exec(&container, &["--cgroup", "memory,pids:sub", "--cgroup", "freezer:sub/cgroup"])?;
    for line in lines {
        let controllers = line.split(':').nth(1).unwrap_or_default();
        let place = match controllers {
            "memory" | "pids" => "/sub",
            "freezer" => "/sub/cgroup",
            _ => "",
        };
        assert!(line.ends_with(&format!("{}{place}", container.id)), "{line}");
    }
    Ok(())
}

fn root_is_the_containers_own(lab: &Lab) -> Outcome {
    let container = with_sub_cgroups(lab)?;
    let expected: Vec<String> = container.proc_file("cgroup")?.lines().map(str::to_owned).collect();
    for path in ["/", "sub/.."] {
        assert_eq!(cgroups_of_exec(&container, &["--cgroup", path])?, expected, "{path}");
    }
    Ok(())
}

fn is_gone_with_the_container(lab: &Lab) -> Outcome {
    let container = with_sub_cgroups(lab)?;
    container.exec(&["--detach", "--cgroup", "sub/cgroup"], &["/bin/sleep", "1000"])?.ok();
    container.force_delete()?.ok();
    container.nothing_left()
}

fn parent_is_refused(lab: &Lab) -> Outcome {
    let container = with_sub_cgroups(lab)?;
    for path in ["..", "../..", "sub/../.."] {
        let finished = container.exec(&["--cgroup", path], &["/bin/echo", "in"])?.exits(255);
        finished.prints("").says(&[&format!(" {path} is not a sub cgroup path")]);
    }
    Ok(())
}

/// Not every cgroup whose path begins like the container's is below it.
fn neighbour_is_refused(lab: &Lab) -> Outcome {
    let container = with_sub_cgroups(lab)?;
    for directory in traces::cgroups(&container.id).iter().filter(|path| path.ends_with(&container.id)) {
        fs::create_dir(directory.with_file_name(format!("{}-suffix", container.id)))?;
    }
    let path = format!("../{}-suffix", container.id);
    let finished = container.exec(&["--cgroup", &path], &["/bin/echo", "in"])?;
    finished.exits(255).prints("").says(&["is not a sub cgroup path"]);
    Ok(())
}

fn missing_one_is_refused(lab: &Lab) -> Outcome {
    let container = with_sub_cgroups(lab)?;
    let finished = container.exec(&["--cgroup", "missing"], &["/bin/echo", "in"])?.exits(255);
    finished.prints("").says(&[" adding pid ", "/missing/cgroup.procs: no such file or directory"]);
    for directory in traces::cgroups(&container.id) {
        assert!(!directory.ends_with("missing"), "{}", directory.display());
    }
    Ok(())
}

fn unknown_controller_is_refused(lab: &Lab) -> Outcome {
    let container = with_sub_cgroups(lab)?;
    let finished = container.exec(&["--cgroup", "whaaat:/"], &["/bin/echo", "in"])?;
    finished.exits(255).prints("").says(&["unknown controller whaaat"]);
    Ok(())
}

fn senseless_arguments_are_refused(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    for (arguments, words) in [
        (&["--cgroup", ":a"][..], "empty <controller> prefix"),
        (&["--cgroup", "a", "--cgroup", "b"], "missing <controller>: prefix"),
        (&["--cgroup", "memory:a", "--cgroup", "memory:b"], "controller memory specified multiple times"),
    ] {
        container.exec(arguments, &["/bin/true"])?.exits(255).says(&[words]);
    }
    Ok(())
}
