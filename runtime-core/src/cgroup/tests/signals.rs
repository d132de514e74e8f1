//! Signals, and the freezer.

use super::*;

#[test]
fn any_signal_can_be_sent() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let mut child = fixture.spawn("exec sleep 1000");
        // The runtime need not know what there is: 0 only asks, 42 is one of the real-time signals.
        fixture.cgroup.kill(0).unwrap();
        let error = fixture.cgroup.kill(1000).unwrap_err();
        assert_eq!(error.errno(), Some(libc::EINVAL));
        fixture.cgroup.kill(42).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(42));
        assert!(!fixture.cgroup.is_frozen().unwrap());
    }
}

#[test]
fn freezing_stops_also_those_who_fork_and_thawing_lets_them_go_on() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let child = fixture.spawn("while :; do (:) & (:); done");
        wait_until("work", || cpu_ticks(&[pid_of(&child)]) > 0);
        for _ in 0..5 {
            fixture.cgroup.freeze().unwrap();
            assert!(fixture.cgroup.is_frozen().unwrap());
            let pids = fixture.cgroup.pids().unwrap();
            let before = cpu_ticks(&pids);
            sleep(Duration::from_millis(50));
            assert_eq!(fixture.cgroup.pids().unwrap(), pids, "somebody forked");
            assert_eq!(cpu_ticks(&pids), before, "somebody ran");
            fixture.cgroup.thaw().unwrap();
            assert!(!fixture.cgroup.is_frozen().unwrap());
            let before = cpu_ticks(&[pid_of(&child)]);
            wait_until("work after the thaw", || cpu_ticks(&[pid_of(&child)]) > before);
        }
        fixture.kill_and_reap(child);
        fixture.cgroup.destroy().unwrap();
    }
}

#[test]
fn nobody_escapes_a_kill_by_forking() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        // Each process starts another and ends, so that the list is never up to date; all leave their session.
        let child = fixture.spawn(
            "f() { while :; do setsid sh -c 'sleep 0.01; sleep 1000 &' & sleep 0.001; done; }; f & f & f",
        );
        wait_until("forks", || fixture.cgroup.pids().unwrap().len() > 30);
        fixture.kill_and_reap(child);
        wait_until("the end of all", || fixture.cgroup.pids().unwrap().is_empty());
        fixture.cgroup.destroy().unwrap();
    }
}

#[test]
fn a_signal_reaches_all_and_leaves_the_freezer_as_it_was() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let mut child =
            fixture.spawn("exec 2>&-; sleep 1000 & sleep 1000 & trap 'exit 7' USR1; sleep 1000; wait");
        wait_for_sleepers(&fixture.cgroup, 3);

        fixture.cgroup.freeze().unwrap();
        fixture.cgroup.kill(libc::SIGUSR1).unwrap();
        assert!(fixture.cgroup.is_frozen().unwrap(), "the signal has thawed them");
        assert!(child.try_wait().unwrap().is_none());
        fixture.cgroup.thaw().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7));
        wait_until("the end of all", || fixture.cgroup.pids().unwrap().is_empty());

        let mut child = fixture.spawn("exec sleep 1000");
        fixture.cgroup.kill(libc::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        assert!(!fixture.cgroup.is_frozen().unwrap());
    }
}

#[test]
fn the_frozen_can_be_killed() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let child = fixture.spawn("sleep 1000; sleep 1000");
        wait_for_sleepers(&fixture.cgroup, 1);
        // Also by the version's freezer that this runtime does not use.
        for freezer in fixture.cgroup.freezers() {
            freezer.freeze().unwrap();
        }
        fixture.kill_and_reap(child);
        fixture.cgroup.destroy().unwrap();
    }
}
