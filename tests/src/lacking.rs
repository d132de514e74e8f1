//! What runtimes lack, as `tests/lacking.txt` states it: a reason for several tests each.

const STATED: &str = include_str!("../lacking.txt");

/// One runtime's reason, and whom it concerns.
#[derive(Debug, PartialEq, Eq)]
struct Group<'a> {
    /// How the label of the runtime starts.
    runtime: &'a str,
    why: &'a str,
    tests: Vec<&'a str>,
}

/// `== RUNTIME` begins a runtime, a line at the margin a reason; indented below it stand the tests.
fn parse(text: &str) -> Result<Vec<Group<'_>>, String> {
    let mut runtime = None;
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let wrong = |what: &str| Err(format!("tests/lacking.txt:{number}: {what}: {line}"));
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            runtime = Some(name.trim());
            continue;
        }
        let Some(runtime) = runtime else { return wrong("no runtime stands before it") };
        match (line.strip_prefix("    "), groups.last_mut()) {
            (None, _) => groups.push(Group { runtime, why: line.trim(), tests: Vec::new() }),
            (Some(tests), Some(group)) if group.runtime == runtime => {
                group.tests.extend(tests.split_whitespace());
            }
            (Some(_), _) => return wrong("tests before the first reason"),
        }
    }
    Ok(groups)
}

/// What the runtime with this label is stated to do in place of what the test asks for, and how its label starts.
pub(crate) fn reason(label: &str, test: &str) -> Option<(&'static str, &'static str)> {
    let groups = parse(STATED).unwrap_or_default();
    let group =
        groups.iter().find(|group| label.starts_with(group.runtime) && group.tests.contains(&test))?;
    Some((group.runtime, group.why))
}

/// Whether every test that is named exists.
pub(crate) fn check(names: &[String]) -> Result<(), String> {
    let groups = parse(STATED)?;
    let gone = |test: &&&str| !names.iter().any(|name| name == *test);
    let wrong: Vec<String> = groups
        .iter()
        .flat_map(|group| group.tests.iter().filter(gone).map(move |test| (group.why, test)))
        .map(|(why, test)| format!("{why:?} names the test {test}, which is not there"))
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::{Group, check, parse, reason};

    #[test]
    fn reasons_are_read_with_their_tests() {
        let groups =
            parse("# about\n== crun\nno flag\n    a::b a::c\n    d::e\n").expect("it is well-formed");
        assert_eq!(groups, [Group { runtime: "crun", why: "no flag", tests: vec!["a::b", "a::c", "d::e"] }]);
        for wrong in ["a reason", "== crun\n    a::b", "== crun\nwhy\n    a::b\n== runc\n    a::b"] {
            parse(wrong).expect_err(wrong);
        }
    }

    #[test]
    fn a_reason_is_a_runtimes_and_a_tests() {
        let stated = reason("crun 1.28", "events::stats_are_one_line");
        assert_eq!(stated, Some(("crun", "has no command events")));
        assert_eq!(reason("husk 0.1.0", "events::stats_are_one_line"), None);
        assert_eq!(reason("crun 1.28", "lifecycle::create_waits_for_start"), None);
    }

    #[test]
    fn a_test_that_is_gone_is_told() {
        check(&[]).expect_err("no test is there");
    }
}
