//! Several containers by one regular expression, as crun has it: `kill --regex`, `delete --regex`, and `list --regex`.

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(list_of_those_that_match, lacks "runc": "has no --regex", "crun": "has none for list"),
        case!(kill_of_those_that_match, lacks "runc": "has no --regex"),
        case!(delete_of_those_that_match, lacks "runc": "has no --regex"),
        case!(one_failure_keeps_the_others_from_nothing, lacks "runc": "has no --regex", "crun": "ends with 0"),
        case!(a_bad_expression_is_refused, lacks "runc": "has no --regex"),
    ]
}

/// Three that sleep, in one state directory.
fn three(lab: &Lab) -> Result<[Container<'_>; 3], Stop> {
    let mut first = lab.container()?;
    let (mut second, mut third) = (first.sibling()?, first.sibling()?);
    for container in [&mut first, &mut second, &mut third] {
        container.up()?;
    }
    Ok([first, second, third])
}

fn either(one: &Container<'_>, other: &Container<'_>) -> String {
    format!("^({}|{})$", one.id, other.id)
}

fn list_of_those_that_match(lab: &Lab) -> Outcome {
    let [first, second, third] = three(lab)?;
    let ids = |pattern: &str| first.runtime(["list", "--quiet", "--regex", pattern])?.output();
    ids(&either(&first, &third))?.ok().prints(&format!("{}\n{}", first.id, third.id));
    // It may be found anywhere.
    let middle = &second.id[1..second.id.len() - 1];
    ids(middle)?.ok().prints(&second.id);
    ids("nothing-like-it")?.ok().prints("");
    Ok(())
}

fn kill_of_those_that_match(lab: &Lab) -> Outcome {
    let [first, second, third] = three(lab)?;
    first.runtime(["kill", "--regex", &either(&first, &second), "KILL"])?.output()?.ok();
    first.becomes("stopped")?;
    second.becomes("stopped")?;
    assert_eq!(third.status()?, "running");
    first.runtime(["kill", "--regex", "nothing-like-it"])?.output()?.ok();
    Ok(())
}

fn delete_of_those_that_match(lab: &Lab) -> Outcome {
    let [first, second, third] = three(lab)?;
    first.runtime(["delete", "--force", "--regex", &either(&first, &second)])?.output()?.ok();
    first.runtime(["list", "--quiet"])?.output()?.ok().prints(&third.id);
    first.nothing_left()?;
    second.nothing_left()?;
    assert_eq!(third.status()?, "running");
    Ok(())
}

fn one_failure_keeps_the_others_from_nothing(lab: &Lab) -> Outcome {
    let [first, second, third] = three(lab)?;
    third.kill("KILL")?.ok();
    third.becomes("stopped")?;
    let finished = first.runtime(["delete", "--regex", "."])?.output()?.exits(1);
    finished.says(&["2 of 3 containers", &first.id, &second.id, "not stopped"]);
    third.nothing_left()
}

fn a_bad_expression_is_refused(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    container.runtime(["delete", "--regex", "("])?.output()?.exits(1).says(&["regular expression"]);
    Ok(())
}
