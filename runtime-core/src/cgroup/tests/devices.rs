//! Device rules in force.

use super::*;

#[test]
fn device_rules_are_in_force() {
    for layout in layouts() {
        let devices = |rules: Value| json!({ "devices": rules });
        let none = json!({ "allow": false, "access": "rwm" });
        let all = json!({ "allow": true, "access": "rwm" });
        let kmsg = |allow: bool, access: &str| json!({ "allow": allow, "type": "c", "major": 1, "minor": 11, "access": access });

        let fixture = Fixture::new(&layout, devices(json!([none])));
        assert!(fixture.succeeds(": </dev/null >/dev/null </dev/zero </dev/urandom"));
        assert!(!fixture.succeeds(": </dev/kmsg"));
        assert!(!fixture.succeeds(": >/dev/kmsg"));
        let node = std::env::temp_dir().join(name());
        let mknod = format!("mknod {0} c 1 11 && rm {0}", node.display());
        assert!(fixture.succeeds(&mknod));

        let fixture = Fixture::new(&layout, json!({}));
        assert!(
            !fixture.succeeds(": </dev/kmsg"),
            "no rules at all have to mean the same as none that allow"
        );

        let fixture = Fixture::new(&layout, devices(json!([none, kmsg(true, "r")])));
        assert!(fixture.succeeds(": </dev/kmsg"));
        assert!(!fixture.succeeds(": >/dev/kmsg"));
        assert!(!fixture.succeeds(": <>/dev/kmsg"));

        let fixture = Fixture::new(&layout, devices(json!([all, kmsg(false, "w")])));
        assert!(fixture.succeeds(": </dev/kmsg"));
        assert!(!fixture.succeeds(": >/dev/kmsg"));

        let fixture = Fixture::new(&layout, devices(json!([all])));
        assert!(fixture.succeeds(": <>/dev/kmsg"));
    }
}

/// Whoever opens devices all the time, while the rules are replaced, never finds a moment without rules: neither one in
/// which all is allowed nor one in which nothing is.
#[test]
fn device_rules_are_replaced_without_a_gap() {
    if !can_make_cgroups() {
        return;
    }
    let Some(layout) = v2_alone() else { panic!("no cgroup v2 here") };
    let rule = |allow: bool, minor: u32| json!({ "allow": allow, "type": "c", "major": 1, "minor": minor, "access": "rw" });
    // The same about the kernel's log (11) and the full device (7), and different programs.
    let one = json!({ "devices": [{ "allow": false, "access": "rwm" }, rule(true, 7)] });
    let other = json!({ "devices": [{ "allow": true, "access": "rwm" }, rule(false, 11), rule(true, 200)] });
    let fixture = Fixture::new(&layout, one.clone());
    let directory = &fixture.plan.directories[0];
    let path = format!("/{}", directory.path.strip_prefix(&directory.mountpoint).unwrap().display());
    let rules = [plan_at(&layout, &path, &other), plan_at(&layout, &path, &one)];
    let script = "exec 2>&-; while :; do { :; } </dev/kmsg && exit 3; { :; } </dev/full || exit 4; done";
    let mut children = [fixture.spawn(script), fixture.spawn(script)];
    for round in 0..600 {
        fixture.cgroup.apply(&rules[round % 2]).unwrap();
        for child in &mut children {
            let ended = child.try_wait().unwrap().and_then(|status| status.code());
            assert_eq!(
                ended, None,
                "3: the denied device opened, 4: the allowed one did not (round {round})"
            );
        }
    }
    let [first, mut second] = children;
    fixture.kill_and_reap(first);
    second.wait().unwrap();
}

#[test]
fn device_rules_are_replaced_and_many_are_taken() {
    if !can_make_cgroups() {
        return;
    }
    let Some(layout) = v2_alone() else { panic!("no cgroup v2 here") };
    let fixture = Fixture::new(&layout, json!({ "devices": [{ "allow": true, "access": "rwm" }] }));
    let child = fixture.spawn("exec 2>&-; until ! true </dev/kmsg; do sleep 0.01; done");
    let path =
        fixture.plan.directories[0].path.strip_prefix(&fixture.plan.directories[0].mountpoint).unwrap();
    let many: Vec<Value> = (0..2000)
        .map(|n| json!({ "allow": n % 3 != 0, "type": "b", "major": n % 50, "minor": n, "access": "rw" }))
        .collect();
    let stricter = plan_at(&layout, &format!("/{}", path.display()), &json!({ "devices": many }));
    fixture.cgroup.apply(&stricter).unwrap();
    let mut child = child;
    assert!(child.wait().unwrap().success());
    let directory = fixture.cgroup.leading().unwrap();
    assert_eq!(crate::sys::bpf::attached_device_programs(directory.fd().unwrap()).unwrap().len(), 1);
}
