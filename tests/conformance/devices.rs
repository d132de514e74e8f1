//! Device nodes and the rules about them.

use husk_conformance::suite::Case;
use husk_conformance::{Lab, Outcome, case};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(default_nodes_and_links),
        case!(listed_node_with_mode_and_owner),
        case!(listed_node_of_each_type),
        case!(listed_node_replaces_a_default),
        case!(unlisted_devices_are_refused),
        case!(no_rules_allow_no_more),
        case!(rules_allow_what_they_name),
        case!(rules_tell_access_apart),
        case!(later_rules_win),
        case!(everything_may_be_allowed),
        case!(rules_hold_for_exec),
        case!(making_default_nodes_is_allowed),
    ]
}

fn default_nodes_and_links(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let script = "cd /dev; for d in null zero full random urandom tty; do stat -c '%n %F %a %t:%T %u:%g' $d; done; \
                  for l in fd stdin stdout stderr ptmx; do echo $l $(readlink $l); done";
    container.run_sh(script)?.ok().prints(
        "null character special file 666 1:3 0:0\n\
         zero character special file 666 1:5 0:0\n\
         full character special file 666 1:7 0:0\n\
         random character special file 666 1:8 0:0\n\
         urandom character special file 666 1:9 0:0\n\
         tty character special file 666 5:0 0:0\n\
         fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\nstderr /proc/self/fd/2\nptmx pts/ptmx",
    );
    let script = "echo x > /dev/null; head -c 2 /dev/zero | wc -c; head -c 2 /dev/urandom | wc -c; \
                  echo x > /dev/full || echo full";
    container.run_sh(script)?.ok().prints("2\n2\nfull");
    Ok(())
}

fn listed_node_with_mode_and_owner(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let device = json!({"path": "/dev/sub/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 6});
    container.config.put("/linux/devices", json!([device]));
    container
        .run_sh("stat -c '%F %a %t:%T %u:%g' /dev/sub/mine")?
        .ok()
        .prints("character special file 640 1:3 5:6");
    Ok(())
}

fn listed_node_of_each_type(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put(
        "/linux/devices",
        json!([
            {"path": "/dev/block", "type": "b", "major": 7, "minor": 0, "fileMode": 0o600},
            {"path": "/dev/char", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666},
            {"path": "/dev/unbuffered", "type": "u", "major": 10, "minor": 200, "fileMode": 0o666},
            {"path": "/dev/pipe", "type": "p", "fileMode": 0o622},
        ]),
    );
    container.run_sh("cd /dev; stat -c '%F %a %t:%T' block char unbuffered pipe")?.ok().prints(
        "block special file 600 7:0\ncharacter special file 666 a:e5\n\
         character special file 666 a:c8\nfifo 622 0:0",
    );
    Ok(())
}

fn listed_node_replaces_a_default(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let device =
        json!({"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o646, "uid": 7});
    let rule = json!({"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"});
    container.config.put("/linux/devices", json!([device])).put("/linux/resources/devices/-", rule);
    container.run_sh("stat -c '%a %t:%T %u' /dev/null")?.ok().prints("646 1:3 7");
    Ok(())
}

/// Makes a node for the kernel's log (1:11), and tries to open the listed one. Making nodes is always allowed, as
/// build tools unpack them from archives; a node that may not be opened is of no use.
const TRY_KMSG: &str = "mknod /dev/log c 1 11 && echo made; (: < /dev/kmsg) && echo read; \
                        (: > /dev/kmsg) && echo wrote; (: < /dev/log) && echo again; true";

fn with_kmsg(lab: &Lab, rules: serde_json::Value, expected: &str) -> Outcome {
    let mut container = lab.container()?;
    // Making nodes and reading the kernel's log take a capability each, so that only the rules can refuse.
    container.config.capabilities(&["CAP_MKNOD", "CAP_SYSLOG", "CAP_DAC_OVERRIDE"]);
    let device = json!({"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666});
    container.config.put("/linux/devices", json!([device])).put("/linux/resources/devices", rules);
    let finished = container.run_sh(TRY_KMSG)?.ok();
    assert_eq!(finished.stdout.trim(), expected, "{finished}");
    container.nothing_left()
}

fn unlisted_devices_are_refused(lab: &Lab) -> Outcome {
    with_kmsg(lab, json!([{"allow": false, "access": "rwm"}]), "made")
}

/// GHSA-g54h-m393-cpwq: without any rule nothing but the defaults is allowed.
fn no_rules_allow_no_more(lab: &Lab) -> Outcome {
    with_kmsg(lab, json!([]), "made")
}

fn rules_allow_what_they_name(lab: &Lab) -> Outcome {
    let allow = json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rwm"});
    with_kmsg(lab, json!([{"allow": false, "access": "rwm"}, allow]), "made\nread\nwrote\nagain")
}

fn rules_tell_access_apart(lab: &Lab) -> Outcome {
    for (access, expected) in
        [("r", "made\nread\nagain"), ("w", "made\nwrote"), ("m", "made"), ("rw", "made\nread\nwrote\nagain")]
    {
        let allow = json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": access});
        with_kmsg(lab, json!([{"allow": false, "access": "rwm"}, allow]), expected)?;
    }
    Ok(())
}

/// The same device twice, as the v1 controller cannot make an exception from a wildcard.
fn later_rules_win(lab: &Lab) -> Outcome {
    let both = json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rw"});
    let not_writing = json!({"allow": false, "type": "c", "major": 1, "minor": 11, "access": "w"});
    let rules = json!([{"allow": false, "access": "rwm"}, both, not_writing]);
    with_kmsg(lab, rules, "made\nread\nagain")
}

fn everything_may_be_allowed(lab: &Lab) -> Outcome {
    with_kmsg(lab, json!([{"allow": true, "access": "rwm"}]), "made\nread\nwrote\nagain")
}

fn rules_hold_for_exec(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.capabilities(&["CAP_MKNOD", "CAP_SYSLOG", "CAP_DAC_OVERRIDE"]);
    let device = json!({"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666});
    container.config.put("/linux/devices", json!([device]));
    container.up()?;
    let finished = container.exec_sh(TRY_KMSG)?.ok();
    assert_eq!(finished.stdout, "made\n", "{finished}");
    Ok(())
}

fn making_default_nodes_is_allowed(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.capabilities(&["CAP_MKNOD"]);
    container.run_sh("mknod /dev/null2 c 1 3 && echo x > /dev/null2 && echo fine")?.ok().prints("fine");
    Ok(())
}
