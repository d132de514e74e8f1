//! Pause and resume.

use std::thread::sleep;
use std::time::Duration;

use husk_conformance::suite::Case;
use husk_conformance::{Lab, Outcome, case, eventually};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(pause_stops_every_process),
        case!(pause_twice),
        case!(resume_of_a_running_container),
        case!(pause_of_a_stopped_container),
        case!(exec_is_refused),
        case!(exec_may_ignore_it),
        case!(kill_ends_a_paused_container),
        case!(delete_force_of_a_paused_container),
        case!(delete_of_a_paused_container),
        case!(start_of_a_paused_container),
    ]
}

fn pause_stops_every_process(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("while :; do echo x; sleep 0.02; done");
    let output = container.run_with(&["--detach"])?.output()?.ok();
    eventually("output", || Ok(output.stdout_now()?.len() > 4))?;
    container.verb("pause")?.ok().prints("");
    assert_eq!(container.status()?, "paused");
    let before = output.stdout_now()?.len();
    sleep(Duration::from_millis(200));
    assert_eq!(output.stdout_now()?.len(), before, "a paused container writes nothing");
    container.verb("resume")?.ok().prints("");
    assert_eq!(container.status()?, "running");
    eventually("more output", || Ok(output.stdout_now()?.len() > before))?;
    container.force_delete()?.ok();
    container.nothing_left()
}

fn pause_twice(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.verb("pause")?.ok();
    container.verb("pause")?.exits(1).says(&["container not running"]);
    container.verb("resume")?.ok();
    Ok(())
}

fn resume_of_a_running_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.verb("resume")?.exits(1).says(&["container not paused"]);
    Ok(())
}

fn pause_of_a_stopped_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    container.verb("pause")?.exits(1).says(&["container not running"]);
    container.delete()?.ok();
    container.nothing_left()
}

fn exec_is_refused(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.verb("pause")?.ok();
    let words = ["cannot exec in a paused container (use --ignore-paused to override)"];
    container.exec(&[], &["/bin/true"])?.exits(255).says(&words);
    container.verb("resume")?.ok();
    container.exec(&[], &["/bin/true"])?.ok();
    Ok(())
}

/// The process stands still with the others, and goes on with them.
fn exec_may_ignore_it(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.verb("pause")?.ok();
    let running = container.exec_with(&["--ignore-paused"], &["/bin/echo", "thawed"])?.spawn()?;
    sleep(Duration::from_millis(100));
    container.verb("resume")?.ok();
    running.wait()?.ok().prints("thawed");
    Ok(())
}

fn kill_ends_a_paused_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.verb("pause")?.ok();
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    container.delete()?.ok();
    container.nothing_left()
}

fn delete_force_of_a_paused_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.verb("pause")?.ok();
    container.force_delete()?.ok();
    container.nothing_left()
}

fn delete_of_a_paused_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.verb("pause")?.ok();
    container.delete()?.exits(1).says(&["that is not stopped: paused"]);
    assert_eq!(container.status()?, "paused");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn start_of_a_paused_container(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    container.create()?.ok();
    container.verb("pause")?.ok();
    container.start()?.exits(1).says(&["cannot start a container in the paused state"]);
    container.verb("resume")?.ok();
    assert_eq!(container.status()?, "created");
    container.delete()?.ok();
    container.nothing_left()
}
