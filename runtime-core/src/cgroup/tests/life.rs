//! How a cgroup comes to be, and goes.

use super::*;

#[test]
fn a_process_lives_in_every_hierarchy_and_the_cgroup_goes_after_it() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let child = fixture.spawn("exec sleep 100");
        assert_eq!(fixture.cgroup.pids().unwrap(), [pid_of(&child)]);
        let inside = fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
        let here = inside.lines().filter(|line| line.contains("/husk-test-")).count();
        assert_eq!(here, fixture.plan.directories.len(), "{inside}");

        fixture.kill_and_reap(child);
        fixture.cgroup.destroy().unwrap();
        fixture.cgroup.destroy().unwrap();
        assert!(fixture.cgroup.pids().unwrap().is_empty());
        assert!(!fixture.cgroup.is_frozen().unwrap());
        fixture.cgroup.kill(libc::SIGKILL).unwrap();
    }
}

#[test]
fn a_record_finds_the_cgroup_again() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let child = fixture.spawn("exec sleep 100");
        let text = serde_json::to_string(&fixture.cgroup.record()).unwrap();
        let record: CgroupRecord = serde_json::from_str(&text).unwrap();
        let again = Cgroup::open(&record).unwrap();
        assert_eq!(again.pids().unwrap(), [pid_of(&child)]);
        assert_eq!(again.record(), record);
        let keys: Vec<&str> = record.0.keys().map(String::as_str).collect();
        match layout {
            CgroupLayout::Unified { .. } => assert_eq!(keys, [""]),
            CgroupLayout::Hybrid { unified, .. } => {
                assert_eq!(keys.contains(&""), unified.is_some());
                assert!(keys.contains(&"memory") && keys.contains(&"name=systemd"), "{keys:?}");
            }
            CgroupLayout::None => unreachable!(),
        }
        fixture.kill_and_reap(child);
        fixture.cgroup.destroy().unwrap();
        let gone = Cgroup::open(&record).unwrap();
        assert!(gone.pids().unwrap().is_empty());
        assert!(!gone.is_frozen().unwrap());
        gone.kill(libc::SIGTERM).unwrap();
        gone.thaw().unwrap();
        gone.destroy().unwrap();
    }
}

#[test]
fn a_cgroup_in_use_is_refused_and_left_alone() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let child = fixture.spawn("exec sleep 1000");
        let error = Cgroup::create(&fixture.plan).unwrap_err();
        assert_eq!(error.to_string(), "container's cgroup is not empty: 1 process(es) found");
        assert_eq!(error.kind(), ErrorKind::InvalidState);
        assert_eq!(fixture.cgroup.pids().unwrap(), [pid_of(&child)]);
        fixture.kill_and_reap(child);

        fixture.cgroup.freeze().unwrap();
        let error = Cgroup::create(&fixture.plan).unwrap_err();
        assert_eq!(error.to_string(), "container's cgroup unexpectedly frozen");
        fixture.cgroup.thaw().unwrap();

        // Empty and running, it is taken over.
        drop(Cgroup::create(&fixture.plan).unwrap());
    }
}

#[test]
fn a_creation_that_fails_half_way_leaves_nothing() {
    for layout in layouts() {
        let mut plan = plan_at(&layout, &format!("/{}/a/b", name()), &json!({}));
        let v2 = plan.directories[0].mountpoint.clone();
        let _ = fs::create_dir(&v2);
        let last = plan.directories.last_mut().unwrap();
        // No cgroup may have such a name.
        last.path.push("new\nline");
        let error = Cgroup::create(&plan).unwrap_err();
        assert_eq!((error.step(), error.errno()), (Some(Step::MakeCgroup), Some(libc::EINVAL)), "{error}");
        for directory in &plan.directories {
            let top = directory.path.ancestors().find(|path| path.parent() == Some(&directory.mountpoint));
            assert!(!top.unwrap().exists(), "{top:?} is left");
        }
        let _ = fs::remove_dir(&v2);
    }
}

#[test]
fn what_the_container_has_nested_is_removed_too() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        for path in fixture.cgroup.record().0.into_values() {
            // Deeper than a path may be long, as only a process inside can make it, and some beside each other.
            let script = r#"cd "$0" && mkdir side side/a side/b &&
                for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do mkdir "$1" && cd -P "./$1" || exit 1; done"#;
            let made = Command::new("/bin/sh")
                .args(["-c", script])
                .arg(&path)
                .arg("d".repeat(240))
                .status()
                .unwrap();
            assert!(made.success());
        }
        let child = fixture.spawn("exec sleep 1000");
        assert_eq!(fixture.cgroup.pids().unwrap(), [pid_of(&child)]);
        fixture.kill_and_reap(child);
        fixture.cgroup.destroy().unwrap();
    }
}

#[test]
fn a_process_in_a_nested_cgroup_belongs_to_it() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let child = fixture.spawn("exec sleep 1000");
        let nested = fixture.cgroup.leading().unwrap().path().join("a/b");
        fs::create_dir_all(&nested).unwrap();
        fs::write(nested.join("cgroup.procs"), child.id().to_string()).unwrap();
        assert_eq!(fixture.cgroup.pids().unwrap(), [pid_of(&child)]);

        let found = fixture.cgroup.leading().unwrap().find(pid_of(&child)).unwrap().unwrap();
        assert_eq!(fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).unwrap(), nested);
        drop(found);
        fixture.kill_and_reap(child);
        fixture.cgroup.destroy().unwrap();
    }
}

#[test]
fn removing_waits_for_the_dying() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let mut child = fixture.spawn("trap 'sleep 0.3; exit' TERM; sleep 1000 & wait");
        wait_for_sleepers(&fixture.cgroup, 1);
        fixture.cgroup.kill(libc::SIGTERM).unwrap();
        fixture.cgroup.destroy().unwrap();
        assert!(child.try_wait().unwrap().is_some());
    }
}

#[test]
fn many_can_be_made_and_undone_at_once_below_one_parent() {
    if !can_make_cgroups() {
        return;
    }
    let parent = name();
    let layout = layout();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (parent, layout) = (&parent, &layout);
            scope.spawn(move || {
                for _ in 0..25 {
                    let plan = plan_at(layout, &format!("/{parent}/x/{thread}"), &json!({}));
                    let mut cgroup = Cgroup::create(&plan).unwrap();
                    cgroup.apply(&plan).unwrap();
                    cgroup.undo().unwrap();
                }
            });
        }
    });
    // Whoever made the parents was not always the last to leave.
    for directory in plan_at(&layout, &format!("/{parent}/x"), &json!({})).directories {
        let _ = fs::remove_dir(&directory.path);
        let _ = fs::remove_dir(directory.path.parent().unwrap());
    }
}
