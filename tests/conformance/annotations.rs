//! Annotations that change what happens. They came up in crun, and engines set them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use husk_conformance::suite::Case;
use husk_conformance::{Lab, Outcome, case};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(groups_of_the_caller_are_kept, lacks "runc": "knows no run.oci.keep_original_groups"),
        case!(output_of_hooks_goes_to_files, lacks "runc": "knows no run.oci.hooks.stdout"),
        case!(output_of_hooks_cannot_be_written, lacks "runc": "knows no run.oci.hooks.stdout"),
        case!(groups_are_not_kept_unasked),
    ]
}

const CALLERS: [&str; 2] = ["--groups", "4242,4243"];

fn groups_of_the_caller_are_kept(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/annotations", json!({"run.oci.keep_original_groups": "1"}));
    container.config.put("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [7]}));
    container.config.sh("id -G");
    container.run_with(&[])?.wrapped("setpriv", &CALLERS)?.output()?.ok().prints("1000 4242 4243");
    container.up()?;
    let exec = container.exec_with(&["--user", "5:6"], &["/bin/id", "-G"])?;
    exec.wrapped("setpriv", &CALLERS)?.output()?.ok().prints("6 4242 4243");
    Ok(())
}

fn groups_are_not_kept_unasked(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/annotations", json!({"run.oci.keep_original_groups": "0"}));
    container.config.put("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [7]}));
    container.config.sh("id -G");
    container.run_with(&[])?.wrapped("setpriv", &CALLERS)?.output()?.ok().prints("1000 7");
    Ok(())
}

fn output_of_hooks_goes_to_files(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let [out, err] = ["out", "err"].map(|name| container.directory.join(name));
    fs::write(&out, "before\n")?;
    container.config.put("/annotations/run.oci.hooks.stdout", json!(out));
    container.config.put("/annotations/run.oci.hooks.stderr", json!(err));
    let kinds = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    for kind in kinds {
        let script = format!("echo {kind} out; echo {kind} err >&2");
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script]});
        container.config.put(&format!("/hooks/{kind}/-"), hook);
    }
    container.config.args(&["/bin/echo", "the container's own"]);
    container.run()?.ok().prints("the container's own");
    for (file, before, word) in [(&out, "before\n", "out"), (&err, "", "err")] {
        let lines: String = kinds.iter().map(|kind| format!("{kind} {word}\n")).collect();
        assert_eq!(fs::read_to_string(file)?, format!("{before}{lines}"));
    }
    assert_eq!(fs::metadata(&err)?.permissions().mode() & 0o077, 0, "nobody else may read it");
    container.nothing_left()
}

fn output_of_hooks_cannot_be_written(lab: &Lab) -> Outcome {
    for kind in ["createRuntime", "createContainer"] {
        let mut container = lab.container()?;
        container.config.put("/annotations/run.oci.hooks.stdout", json!("/nowhere/at/all"));
        container.config.put(&format!("/hooks/{kind}"), json!([{"path": "/bin/true"}]));
        container.run()?.exits(1).says(&["/nowhere/at/all", "run.oci.hooks", "no such file or directory"]);
        container.nothing_left()?;
    }
    let mut container = lab.container()?;
    container.config.put("/annotations/run.oci.hooks.stderr", json!("relative"));
    container.config.put("/hooks/poststop", json!([{"path": "/bin/true"}]));
    container.run()?.exits(1).says(&["/annotations/run.oci.hooks.stderr", "absolute"]);
    container.nothing_left()
}
