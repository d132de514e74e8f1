//! The session keyring: the container has one of its own, which every process in it shares.

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(keyring_is_the_containers),
        case!(keyring_in_a_user_namespace, lacks "runc": "gives each exec another one"),
        case!(keyring_of_an_exec_is_the_containers),
        case!(no_new_keyring_keeps_the_callers),
    ]
}

/// What a user who owns no keys sees of this container's keyrings: those in its own session (proc_keys(5)).
fn own_keyring(keys: &str, container: &Container<'_>) -> Result<String, Stop> {
    let name = format!("_ses.{}:", container.id);
    let mut serials =
        keys.lines().filter(|line| line.contains(&name)).filter_map(|line| line.split(' ').next());
    let first = serials.next().unwrap_or_default().to_owned();
    assert_eq!(serials.next(), None, "one, not several:\n{keys}");
    Ok(first)
}

fn without_masks<'lab>(lab: &'lab Lab) -> Result<Container<'lab>, Stop> {
    let mut container = lab.container()?;
    container.config.put("/linux/maskedPaths", json!([]));
    Ok(container)
}

fn keyring_is_the_containers(lab: &Lab) -> Outcome {
    let mut container = without_masks(lab)?;
    container.config.put("/process/user", json!({"uid": 1000, "gid": 1000}));
    let keys = container.run_sh("cat /proc/keys")?.ok().stdout;
    assert_ne!(own_keyring(&keys, &container)?, "", "{keys}");
    Ok(())
}

fn keyring_in_a_user_namespace(lab: &Lab) -> Outcome {
    let mut container = without_masks(lab)?;
    container.config.user_namespace(100_000).without_mount("/sys/fs/cgroup");
    container.up()?;
    let first = container.exec(&["--user", "999:999"], &["/bin/cat", "/proc/keys"])?.ok().stdout;
    let first = own_keyring(&first, &container)?;
    assert_ne!(first, "");
    let second = container.exec(&["--user", "999:999"], &["/bin/cat", "/proc/keys"])?.ok().stdout;
    assert_eq!(own_keyring(&second, &container)?, first);
    Ok(())
}

fn keyring_of_an_exec_is_the_containers(lab: &Lab) -> Outcome {
    let mut container = without_masks(lab)?;
    container.config.put("/process/user", json!({"uid": 1000, "gid": 1000}));
    container.config.sh("cat /proc/keys; exec sleep 1000");
    let started = container.run_with(&["--detach"])?.output()?.ok();
    container.becomes("running")?;
    husk_conformance::eventually("the list of keys", || Ok(started.stdout_now()?.contains("_ses")))?;
    let of_init = own_keyring(&started.stdout_now()?, &container)?;
    for user in ["1000:1000", "1001:1001"] {
        let keys = container.exec(&["--user", user], &["/bin/cat", "/proc/keys"])?.ok().stdout;
        assert_eq!(own_keyring(&keys, &container)?, of_init, "{user}: {keys}");
    }
    Ok(())
}

fn no_new_keyring_keeps_the_callers(lab: &Lab) -> Outcome {
    let mut container = without_masks(lab)?;
    container.config.put("/process/user", json!({"uid": 1000, "gid": 1000}));
    container.config.sh("cat /proc/keys");
    let keys = container.run_with(&["--no-new-keyring"])?.output()?.ok().stdout;
    assert_eq!(own_keyring(&keys, &container)?, "", "{keys}");
    container.config.args(&["/bin/sleep", "1000"]);
    container.run_with(&["--detach", "--no-new-keyring"])?.output()?.ok();
    let keys = container.exec(&[], &["/bin/cat", "/proc/keys"])?.ok().stdout;
    assert_eq!(own_keyring(&keys, &container)?, "", "nor an exec: {keys}");
    Ok(())
}
