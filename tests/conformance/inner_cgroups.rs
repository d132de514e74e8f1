//! Cgroups below the container's: a sub-cgroup of systemd's unit that has the limits, and one whose processes may divide
//! what they have. Annotations of crun.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use husk_conformance::suite::Case;
use husk_conformance::user::User;
use husk_conformance::{Container, Lab, Outcome, Stop, case, eventually, unable};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(subgroup_of_the_unit_has_the_limits, lacks "runc": "crun's annotation"),
        case!(subgroup_may_be_none),
        case!(subgroup_of_a_users_unit, lacks "runc": "crun's annotation", "crun": "does not get an exec out of a session"),
        case!(subgroup_goes_when_the_creation_fails),
        case!(delegated_one_is_below_the_limits, lacks "runc": "crun's annotation"),
        case!(delegated_one_is_divided_inside, lacks "runc": "crun's annotation", "crun": "shows the limited cgroup, too"),
        case!(delegated_one_below_a_subgroup, lacks "runc": "crun's annotation"),
        case!(delegated_one_needs_cgroup_v2, lacks "runc": "crun's annotation", "crun": "leaves it out with a warning"),
        case!(paths_stay_inside, lacks "runc": "crun's annotation"),
    ]
}

const SUBGROUP: &str = "/annotations/run.oci.systemd.subgroup";
const DELEGATED: &str = "/annotations/run.oci.delegate-cgroup";
const ROOT: &str = "/sys/fs/cgroup";

fn needs_v2_alone() -> Outcome {
    match Path::new(ROOT).join("cgroup.controllers").exists() {
        true => Ok(()),
        false => unable("no controller is in the v2 hierarchy of this machine"),
    }
}

/// Where the container's first process is, as a directory of the host.
fn place(container: &Container<'_>) -> Result<PathBuf, Stop> {
    let text = container.proc_file("cgroup")?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    Ok(Path::new(ROOT).join(path))
}

fn limit(directory: &Path) -> Result<String, Stop> {
    let file = directory.join("pids.max");
    let text =
        fs::read_to_string(&file).map_err(|error| Stop::Failed(format!("{}: {error}", file.display())))?;
    Ok(text.trim().to_owned())
}

/// The same place, limit and life for whoever has it: `inner` is where the limit is, `lives` where the process is.
fn lives_below(container: &mut Container<'_>, above: &str, inner: &str) -> Outcome {
    container.config.put("/linux/resources/pids", json!({"limit": 44}));
    container.up()?;
    let lives = place(container)?;
    let above =
        lives.ancestors().find(|path| path.to_string_lossy().ends_with(above)).unwrap_or(&lives).to_owned();
    assert_eq!(lives.strip_prefix(&above).ok(), Some(Path::new(inner)), "{}", lives.display());
    let limited = above.join(inner.split('/').next().unwrap_or_default());
    assert_eq!(limit(&limited)?, "44", "{}", limited.display());
    let exec = container.exec_sh("cat /proc/self/cgroup")?.ok();
    assert!(exec.stdout.trim().ends_with(inner), "{exec}");
    container.runtime(["update", "--pids-limit", "33", &container.id])?.output()?.ok();
    assert_eq!(limit(&limited)?, "33");
    container.verb("pause")?.ok();
    assert_eq!(container.status()?, "paused");
    container.verb("resume")?.ok();
    container.force_delete()?.ok();
    assert!(!limited.exists(), "{}", limited.display());
    container.nothing_left()
}

fn subgroup_of_the_unit_has_the_limits(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.by_systemd()?;
    container.config.put(SUBGROUP, json!("container"));
    lives_below(&mut container, ".scope", "container")?;
    // So it is with the smallest of limits.
    container.config.put("/linux/resources/pids", json!({"limit": 1}));
    container.up()?;
    assert_eq!(limit(&place(&container)?)?, "1");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn subgroup_may_be_none(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.by_systemd()?;
    container.config.put(SUBGROUP, json!(""));
    container.up()?;
    let lives = place(&container)?;
    assert!(lives.to_string_lossy().ends_with(".scope"), "{}", lives.display());
    Ok(())
}

fn subgroup_of_a_users_unit(lab: &Lab) -> Outcome {
    // The kernel lets nobody carry a process out of a session into what is delegated; systemd does it.
    for from in ["user@4242.service/app.slice", "session-42.scope"] {
        let mut container = lab.container_of(&User::of_systemd(lab, from)?)?;
        container.by_systemd()?;
        container.config.put(SUBGROUP, json!("container"));
        lives_below(&mut container, ".scope", "container")?;
    }
    Ok(())
}

fn subgroup_goes_when_the_creation_fails(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.by_systemd()?;
    container.config.put(SUBGROUP, json!("a/b")).put(DELEGATED, json!("c")).args(&["/no/such/program"]);
    container.create()?.exits(1).says(&["/no/such/program"]);
    let known = Command::new("systemctl").args(["list-units", "--all", "--no-legend", "--plain"]).output()?;
    assert!(!String::from_utf8_lossy(&known.stdout).contains(&container.id));
    container.nothing_left()
}

fn delegated_one_is_below_the_limits(lab: &Lab) -> Outcome {
    needs_v2_alone()?;
    let mut container = lab.container()?;
    container.by_itself();
    container.config.put("/linux/cgroupsPath", json!(format!("/{}", container.id)));
    container.config.put(DELEGATED, json!("/payload"));
    container.config.put("/linux/resources/pids", json!({"limit": 44}));
    container.up()?;
    let lives = place(&container)?;
    assert_eq!(lives, Path::new(ROOT).join(&container.id).join("payload"));
    let above = lives.parent().unwrap_or(&lives);
    assert_eq!(limit(above)?, "44");
    assert_eq!(limit(&lives)?, "max", "what is delegated has no limit of its own");
    container.exec_sh("cat /proc/self/cgroup")?.ok().prints(&format!("0::/{}/payload", container.id));
    container.runtime(["update", "--pids-limit", "33", &container.id])?.output()?.ok();
    assert_eq!(limit(above)?, "33");
    container.force_delete()?.ok();
    assert!(!above.exists());
    container.nothing_left()
}

/// The container's root moves its processes into a leaf, and gives that a limit. Its own limit is out of its sight.
fn delegated_one_is_divided_inside(lab: &Lab) -> Outcome {
    needs_v2_alone()?;
    let mut container = lab.container()?;
    container.config.namespace("cgroup").writable().put(DELEGATED, json!("payload"));
    container.config.mount("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev"]);
    container.config.put("/linux/resources/pids", json!({"limit": 44}));
    let script = "exec >/said; cat /proc/self/cgroup; cd /sys/fs/cgroup; cat pids.max; mkdir leaf; echo 0 >leaf/cgroup.procs; \
                  echo +pids >cgroup.subtree_control; echo 7 >leaf/pids.max; cat leaf/pids.max /proc/self/cgroup; \
                  exec sleep 1000";
    container.config.sh(script);
    container.run_with(&["--detach"])?.output()?.ok();
    let said = || Ok::<_, Stop>(fs::read_to_string(container.rootfs().join("said")).unwrap_or_default());
    eventually("it has divided its cgroup", || Ok(said()?.lines().count() == 4))?;
    assert_eq!(said()?, "0::/\nmax\n7\n0::/leaf\n");
    // A further process joins the first one: the cgroups above have no processes.
    container.exec_sh("cat /proc/self/cgroup")?.ok().prints("0::/leaf");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn delegated_one_below_a_subgroup(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.by_systemd()?;
    container.config.put(SUBGROUP, json!("app")).put(DELEGATED, json!("payload"));
    lives_below(&mut container, ".scope", "app/payload")
}

fn delegated_one_needs_cgroup_v2(lab: &Lab) -> Outcome {
    if needs_v2_alone().is_ok() {
        return unable("this machine has cgroup v2 alone");
    }
    let mut container = lab.container()?;
    container.config.put(DELEGATED, json!("payload")).args(&["/bin/true"]);
    container.create()?.exits(1).says(&["run.oci.delegate-cgroup", "cgroup v2 alone"]);
    container.nothing_left()
}

fn paths_stay_inside(lab: &Lab) -> Outcome {
    needs_v2_alone()?;
    let mut container = lab.container()?;
    container.config.put(DELEGATED, json!("../neighbour")).args(&["/bin/true"]);
    let finished = container.create()?.says(&["neighbour"]);
    assert_ne!(finished.code(), 0, "{finished}");
    container.nothing_left()
}
