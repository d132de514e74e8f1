//! SELinux: the labels of processes, of what they mount and of their keys, and that they are denied what the policy denies
//! them.
//!
//! Where the policy is that of `integration/vm/guest/selinux.cil`, and nowhere else: only that one is known to have
//! these types.

use std::fs;
use std::process::Command;

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case, unable};
use nix::unistd::Pid;
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(process_has_its_label),
        case!(exec_may_have_another),
        case!(user_namespace_changes_no_label),
        case!(mounts_have_their_label),
        case!(kind_of_a_mount_label, lacks "runc": "knows no such annotation"),
        case!(keyring_has_the_processs_label),
        case!(policy_confines_the_container),
        case!(unknown_label_is_refused),
        case!(unknown_mount_label_is_refused),
    ]
}

const CONFINED: &str = "test_u:test_r:confined_t:s0:c1,c2";
const OTHER: &str = "test_u:test_r:other_t:s0";
const CONTENT: &str = "test_u:test_r:content_t:s0";
const GUARDED: &str = "test_u:test_r:guarded_t:s0";

/// A container, where the policy of these tests is loaded.
fn container(lab: &Lab) -> Result<Container<'_>, Stop> {
    // The kernel takes a context here if there can be such a one (security/selinux/selinuxfs.c).
    match fs::write("/sys/fs/selinux/context", CONFINED) {
        Ok(()) => lab.container(),
        Err(_) => unable("SELinux is not enabled here, with the policy of these tests"),
    }
}

fn confined(lab: &Lab) -> Result<Container<'_>, Stop> {
    let mut container = container(lab)?;
    container.config.put("/process/selinuxLabel", json!(CONFINED)).writable();
    Ok(container)
}

/// The label of a file, as coreutils see it.
fn label_of(path: &str) -> Result<String, Stop> {
    let output = Command::new("stat").args(["--format", "%C", path]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What the kernel ends with a null byte.
fn label_of_process(pid: Pid) -> Result<String, Stop> {
    Ok(fs::read_to_string(format!("/proc/{pid}/attr/current"))?.trim_end_matches(['\0', '\n']).to_owned())
}

const LOOK: &str = "tr -d '\\000' </proc/self/attr/current; echo; tr -d '\\000' </proc/self/attr/exec";

fn process_has_its_label(lab: &Lab) -> Outcome {
    let mut container = confined(lab)?;
    container.up()?;
    assert_eq!(label_of_process(container.pid()?)?, CONFINED);
    // What it executes in turn is labelled by the policy, not by what was asked for once.
    container.exec_sh(LOOK)?.ok().prints(CONFINED);
    Ok(())
}

fn exec_may_have_another(lab: &Lab) -> Outcome {
    let mut container = confined(lab)?;
    container.up()?;
    container.exec(&["--process-label", OTHER], &["/bin/sh", "-c", LOOK])?.ok().prints(OTHER);
    assert_eq!(label_of_process(container.pid()?)?, CONFINED);
    Ok(())
}

fn user_namespace_changes_no_label(lab: &Lab) -> Outcome {
    let mut container = confined(lab)?;
    container.config.user_namespace(100_000).without_mount("/sys/fs/cgroup");
    container.run_sh(LOOK)?.ok().prints(CONFINED);
    container.nothing_left()
}

fn mounts_have_their_label(lab: &Lab) -> Outcome {
    let mut container = confined(lab)?;
    container.config.put("/linux/mountLabel", json!(CONTENT)).mount("tmpfs", "tmpfs", "/data", &[]);
    container.up()?;
    let pid = container.pid()?;
    for place in ["data", "dev", "dev/shm", "dev/mqueue"] {
        assert_eq!(label_of(&format!("/proc/{pid}/root/{place}"))?, CONTENT, "{place}");
    }
    // A file system that the kernel labels by what its files are.
    assert_ne!(label_of(&format!("/proc/{pid}/root/proc"))?, CONTENT);
    container.exec_sh("echo >/data/file")?.ok();
    assert_eq!(label_of(&format!("/proc/{pid}/root/data/file"))?, CONTENT);
    Ok(())
}

fn kind_of_a_mount_label(lab: &Lab) -> Outcome {
    let mut container = confined(lab)?;
    container.config.put("/linux/mountLabel", json!(CONTENT)).mount("tmpfs", "tmpfs", "/data", &[]);
    container.config.put("/annotations", json!({"run.oci.mount_context_type": "rootcontext"}));
    container.up()?;
    container.exec_sh("echo >/data/file; mkdir /data/directory")?.ok();
    let root = format!("/proc/{}/root/data", container.pid()?);
    assert_eq!(label_of(&root)?, CONTENT);
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", container.pid()?))?;
    let line = mounts.lines().find(|line| line.contains(" /data ")).unwrap_or_default();
    assert!(line.contains("rootcontext=") && !line.contains(",context="), "{line}");
    Ok(())
}

fn keyring_has_the_processs_label(lab: &Lab) -> Outcome {
    let mut container = confined(lab)?;
    container.up()?;
    let keys = fs::read_to_string("/proc/keys")?;
    let name = format!("_ses.{}:", container.id);
    let serial = keys.lines().find(|line| line.contains(&name)).and_then(|line| line.split(' ').next());
    let serial = serial.unwrap_or_else(|| panic!("no {name} in {keys}"));
    let told = Command::new("keyctl").args(["security", &format!("0x{serial}")]).output()?;
    assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), CONFINED, "{told:?}");
    Ok(())
}

/// Lets denied be what the policy denies, for as long as it lives.
struct Enforcing;

impl Enforcing {
    fn new() -> Result<Enforcing, Stop> {
        fs::write("/sys/fs/selinux/enforce", "1")?;
        Ok(Enforcing)
    }
}

impl Drop for Enforcing {
    fn drop(&mut self) {
        let _ = fs::write("/sys/fs/selinux/enforce", "0");
    }
}

fn policy_confines_the_container(lab: &Lab) -> Outcome {
    let mut container = confined(lab)?;
    container.config.mount("tmpfs", "tmpfs", "/content", &[&format!("context=\"{CONTENT}\"")]);
    container.config.mount("tmpfs", "tmpfs", "/guarded", &[&format!("context=\"{GUARDED}\"")]);
    let enforcing = Enforcing::new()?;
    let touch = "touch /content/x && echo may; touch /guarded/x || echo may not";
    container.up()?;
    let finished = container.exec_sh(touch)?.ok().prints("may\nmay not");
    assert!(finished.stderr.contains("Permission denied"), "{finished}");
    // It is the label that is denied this, not the container.
    container.exec(&["--process-label", OTHER], &["/bin/touch", "/guarded/x"])?.ok();
    drop(enforcing);
    Ok(())
}

fn unknown_label_is_refused(lab: &Lab) -> Outcome {
    let mut container = container(lab)?;
    container.config.put("/process/selinuxLabel", json!("nobody:has:such:s0")).args(&["/bin/true"]);
    let finished = container.run()?;
    assert_ne!(finished.code(), 0, "{finished}");
    container.nothing_left()
}

fn unknown_mount_label_is_refused(lab: &Lab) -> Outcome {
    let mut container = container(lab)?;
    container.config.put("/linux/mountLabel", json!("nobody:has:such:s0")).args(&["/bin/true"]);
    let finished = container.run()?;
    assert_ne!(finished.code(), 0, "{finished}");
    container.nothing_left()
}
