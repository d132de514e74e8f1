//! The root file system as a whole: how it is shared, what chroot in place of pivot_root leaves, what lies over it.

use husk_conformance::suite::Case;
use husk_conformance::{Lab, Outcome, case};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(shared_root_is_nobody_elses, lacks "runc 1.1": "leaves it private"),
        case!(no_pivot_hides_the_hosts_proc),
        case!(paths_masked_twice_are_masked_once, lacks "runc": "mounts twice"),
    ]
}

/// A root that is to be shared is so with what the container makes of it, not with the host.
fn shared_root_is_nobody_elses(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/linux/rootfsPropagation", json!("shared"));
    container.config.args(&["/bin/cat", "/proc/self/mountinfo"]);
    let finished = container.run()?.ok();
    let line = finished.stdout.lines().rfind(|line| line.split(' ').nth(4) == Some("/")).unwrap_or_default();
    let optional = line.split(" - ").next().unwrap_or_default();
    assert!(optional.contains("shared:") && !optional.contains("master:"), "{line}");
    Ok(())
}

/// With chroot the host's mounts stay where they were. A whole /proc among them would let a user namespace in the container
/// mount another one, without the masks.
fn no_pivot_hides_the_hosts_proc(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let script = "unshare -mrpf sh -c 'mount -t proc proc /proc && cat /proc/keys /proc/timer_list'";
    container.config.put("/process/capabilities/bounding/-", json!("CAP_SETFCAP"));
    container.config.put("/process/capabilities/permitted/-", json!("CAP_SETFCAP"));
    container.config.args(&["/bin/sh", "-c", script]);
    let finished = container.run_with(&["--no-pivot"])?.output()?;
    assert_ne!(finished.code(), 0, "{finished}");
    assert!(finished.stderr.contains("ermission"), "{finished}");
    container.nothing_left()
}

/// Engines add paths that the config has already.
fn paths_masked_twice_are_masked_once(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/linux/maskedPaths", json!(["/etc", "/etc", "/etc"]));
    container.config.args(&["/bin/cat", "/proc/self/mountinfo"]);
    let finished = container.run()?.ok();
    let on_etc = finished.stdout.lines().filter(|line| line.split(' ').nth(4) == Some("/etc"));
    assert_eq!(on_etc.count(), 1, "{finished}");
    Ok(())
}
