//! Where the cgroup is, and what may be missing.

use super::*;

#[test]
fn paths() {
    let path = |host: &Host, controller: &str, asked: Value| {
        let (plan, problems) = plan_linux(host, asked);
        if let [problem] = problems.as_slice() {
            return problem.to_string();
        }
        let directory = plan.directories.iter().find(|directory| {
            if controller.is_empty() {
                directory.is_v2()
            } else {
                directory.controllers.contains(&controller.to_owned())
            }
        });
        directory.unwrap().path.display().to_string()
    };
    let asked = |text: &str| json!({ "cgroupsPath": text });
    for (asked, two, unified, memory) in [
        (json!({}), "user.slice/web-1", "two/web-1", "own/web-1"),
        (asked(""), "user.slice/web-1", "two/web-1", "own/web-1"),
        (asked("/a/b"), "a/b", "a/b", "a/b"),
        (asked("a/b"), "user.slice/a/b", "two/a/b", "own/a/b"),
        (asked("//a/.//b/"), "a/b", "a/b", "a/b"),
        (asked("/../../a/../b"), "b", "b", "b"),
        (asked("../../../b"), "user.slice/b", "two/b", "own/b"),
        (
            asked("system.slice:docker:web"),
            "user.slice/system.slice:docker:web",
            "two/system.slice:docker:web",
            "own/system.slice:docker:web",
        ),
    ] {
        assert_eq!(path(&v2(), "", asked.clone()), format!("/sys/fs/cgroup/{two}"));
        assert_eq!(path(&v1(), "", asked.clone()), format!("/sys/fs/cgroup/unified/{unified}"));
        assert_eq!(path(&v1(), "memory", asked.clone()), format!("/sys/fs/cgroup/memory/{memory}"));
        assert_eq!(path(&v1(), "cpuacct", asked), format!("/sys/fs/cgroup/cpu,cpuacct/{memory}"));
    }
    for root in ["/", "/..", "..", "a/.."] {
        let problem = path(&v2(), "", asked(root));
        assert!(
            problem.ends_with("is the root of the cgroup tree; a container needs a directory of its own")
        );
        assert!(problem.starts_with("/linux/cgroupsPath: "));
    }
    assert_eq!(path(&v2(), "", asked("/a\0b")), "/linux/cgroupsPath: contains a NUL byte");
}

#[test]
fn without_privilege_a_cgroup_is_optional_unless_it_was_asked_for() {
    let mut host = v2();
    (host.privileged, host.euid) = (false, 1000);
    let optional = |linux: Value| {
        let (plan, problems) = plan_linux(&host, linux);
        assert_eq!(problems, []);
        assert_eq!(plan.device_rules, None);
        plan.optional
    };
    assert_eq!(optional(json!({})), Absence::Any);
    let devices = json!({ "resources": { "devices": [{ "allow": false, "access": "rwm" }] } });
    assert_eq!(optional(devices), Absence::Any);
    // A limit fails where its own directory could not be made.
    assert_eq!(optional(json!({ "resources": { "pids": { "limit": 5 } } })), Absence::Any);
    assert_eq!(optional(json!({ "cgroupsPath": "/a" })), Absence::WithoutControllers);
    assert_eq!(plan_linux(&v2(), json!({})).0.optional, Absence::Never);
}

#[test]
fn what_may_be_missing_is_up_to_the_caller_too() {
    let optional = |host: &Host, options: CreateOptions| {
        plan(None, &"web-1".parse().unwrap(), host, &options, &mut Vec::new()).optional
    };
    let user = Host { privileged: false, euid: 1000, ..v2() };
    let nested = Host { privileged: false, in_user_namespace: true, ..v2() };
    assert_eq!(optional(&user, CreateOptions::new().rootless(false)), Absence::Never);
    assert_eq!(optional(&nested, CreateOptions::new()), Absence::Any);
    assert_eq!(optional(&v2(), CreateOptions::new().rootless(true)), Absence::Any);
}

#[test]
fn without_a_cgroup_nothing_can_be_limited() {
    let mut problems = Vec::new();
    let linux = json!({ "cgroupsPath": "/a", "resources": { "memory": { "limit": 1 << 20 }, "pids": { "limit": 5 } } });
    let linux: spec::Linux = serde_json::from_value(linux).unwrap();
    let options = CreateOptions::new().no_cgroup(true);
    let plan = plan(Some(&linux), &"web-1".parse().unwrap(), &v2(), &options, &mut problems);
    let pointers: Vec<&str> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    let resources = "/linux/resources";
    assert_eq!(
        pointers,
        ["/linux/cgroupsPath", &format!("{resources}/pids/limit"), &format!("{resources}/memory/limit")]
    );
    assert!(plan.disabled && plan.device_rules.is_none());
}
