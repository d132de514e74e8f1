//! The AppArmor profile of a process: that it is confined by it, and what becomes of one that is not loaded.

use std::fs;
use std::process::Command;

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case, unable, unprovided};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(profile_confines_the_container),
        case!(profile_confines_an_exec),
        case!(exec_may_have_another),
        case!(profile_confines_a_user_namespace),
        case!(unknown_profile_is_refused),
    ]
}

/// A loaded profile that allows everything but to write below one directory. It goes when dropped.
struct Profile {
    name: String,
    text: String,
}

impl Profile {
    fn load(lab: &Lab) -> Result<Profile, Stop> {
        let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
        if enabled.trim() != "Y" {
            return unable("AppArmor is not enabled here");
        }
        let name = lab.unique("husk-test");
        let rules = "file, capability, network, mount, umount, pivot_root, signal, ptrace, userns, unix,";
        let text = format!("profile {name} flags=(attach_disconnected) {{ {rules} deny /tmp/** w, }}");
        let profile = Profile { name, text };
        match profile.parser("--replace")?.success() {
            true => Ok(profile),
            false => Err(Stop::Failed(format!("the profile is not taken: {}", profile.text))),
        }
    }

    fn parser(&self, action: &str) -> Result<std::process::ExitStatus, Stop> {
        let file = std::env::temp_dir().join(&self.name);
        fs::write(&file, &self.text)?;
        let status =
            Command::new("apparmor_parser").args([action, "--skip-cache", "--quiet"]).arg(&file).status();
        fs::remove_file(&file)?;
        status.or_else(|_| unprovided("there is no apparmor_parser; Debian's package is apparmor"))
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let _ = self.parser("--remove");
    }
}

const LOOK: &str = "cat /proc/self/attr/current; touch /root/x && echo may; touch /tmp/x || echo may not";

fn confined<'lab>(lab: &'lab Lab, profile: &Profile) -> Result<Container<'lab>, Stop> {
    let mut container = lab.container()?;
    container.config.put("/process/apparmorProfile", json!(profile.name)).writable();
    Ok(container)
}

fn profile_confines_the_container(lab: &Lab) -> Outcome {
    let profile = Profile::load(lab)?;
    let mut container = confined(lab, &profile)?;
    container.run_sh(LOOK)?.ok().prints(&format!("{} (enforce)\nmay\nmay not", profile.name));
    container.nothing_left()
}

fn profile_confines_an_exec(lab: &Lab) -> Outcome {
    let profile = Profile::load(lab)?;
    let mut container = confined(lab, &profile)?;
    container.up()?;
    container.exec_sh(LOOK)?.ok().prints(&format!("{} (enforce)\nmay\nmay not", profile.name));
    Ok(())
}

fn exec_may_have_another(lab: &Lab) -> Outcome {
    let profile = Profile::load(lab)?;
    let mut container = lab.container()?;
    container.up()?;
    let flags = ["--apparmor", profile.name.as_str()];
    let finished = container.exec(&flags, &["/bin/cat", "/proc/self/attr/current"])?.ok();
    finished.prints(&format!("{} (enforce)", profile.name));
    Ok(())
}

fn profile_confines_a_user_namespace(lab: &Lab) -> Outcome {
    let profile = Profile::load(lab)?;
    let mut container = confined(lab, &profile)?;
    container.config.user_namespace(100_000).without_mount("/sys/fs/cgroup");
    let finished = container.run_sh("cat /proc/self/attr/current")?.ok();
    assert!(finished.stdout.contains(&profile.name), "{finished}");
    container.nothing_left()
}

fn unknown_profile_is_refused(lab: &Lab) -> Outcome {
    drop(Profile::load(lab)?);
    let mut container = lab.container()?;
    container.config.put("/process/apparmorProfile", json!("no-such-profile")).args(&["/bin/true"]);
    let finished = container.run()?;
    assert_ne!(finished.code(), 0, "{finished}");
    assert!(finished.stderr.to_lowercase().contains("apparmor"), "{finished}");
    container.nothing_left()
}
