//! Device rules.

use super::*;

/// The lines for the v1 devices controller, without the defaults, which are the same each time.
fn device_lines(devices: Value) -> Vec<String> {
    let (plan, problems) = plan_linux(&v1(), json!({ "resources": { "devices": devices } }));
    let defaults = plan_linux(&v1(), json!({})).0.writes;
    let lines =
        plan.writes.iter().filter(|w| !defaults.contains(w)).map(|w| format!("{} {}", w.file, w.value));
    lines.chain(problems.iter().map(Problem::to_string)).collect()
}

#[test]
fn device_rules_of_v1() {
    let none = json!({ "allow": false, "access": "rwm" });
    let all = json!({ "allow": true, "access": "rwm" });
    let rule = |allow: bool, kind: &str, major: i64, minor: i64, access: &str| json!({ "allow": allow, "type": kind, "major": major, "minor": minor, "access": access });
    let (plan, _) = plan_linux(&v1(), json!({}));
    let defaults: Vec<String> = plan.writes.iter().map(|w| format!("{} {}", w.file, w.value)).collect();
    assert_eq!(
        defaults[..4],
        ["devices.deny a", "devices.allow c *:* m", "devices.allow b *:* m", "devices.allow c 1:3 rwm",]
    );
    assert_eq!(defaults.len(), 12);

    // The pointer of the base is that of its rule, so it shows up here.
    let base = "devices.deny a";
    for (rules, lines) in [
        (json!([]), vec![]),
        (json!([none]), vec![base]),
        (json!([rule(true, "c", 10, 229, "rwm"), none]), vec![base]),
        (json!([none, rule(true, "c", 10, 229, "rw")]), vec![base, "devices.allow c 10:229 rwm"]),
        (json!([none, rule(true, "b", 8, -1, "r"), rule(false, "b", 8, -1, "r")]), vec![base]),
        (
            json!([none, rule(true, "b", 8, -1, "rw"), rule(true, "b", 8, -1, "m")]),
            vec![base, "devices.allow b 8:* rwm"],
        ),
        (
            json!([
                none,
                rule(true, "b", 8, 1, "r"),
                rule(true, "b", 8, 2, "w"),
                rule(false, "b", 8, -1, "w")
            ]),
            vec![base, "devices.allow b 8:1 rm"],
        ),
        // A letter that the specification does not have, where it can only mean everything.
        (json!([none, rule(true, "b", 8, 1, "rw"), rule(false, "b", 8, 1, "ra")]), vec![base]),
        // Two lines that overlap need a third for both rights at once.
        (
            json!([none, rule(true, "b", 8, -1, "r"), rule(true, "b", -1, 1, "w")]),
            vec![base, "devices.allow b 8:* rm", "devices.allow b *:1 wm", "devices.allow b 8:1 rwm"],
        ),
        (
            json!([none, rule(true, "b", 8, -1, "rw"), rule(false, "b", 8, 1, "w")]),
            vec![
                base,
                "devices.allow b 8:* rwm",
                "/linux/resources/devices/2: the cgroup v1 devices controller cannot make an exception from an earlier \
             rule's exception",
            ],
        ),
        (json!([rule(true, "a", -1, 7, "r")]), vec!["devices.allow b *:7 rm", "devices.allow c *:7 rm"]),
    ] {
        assert_eq!(device_lines(rules.clone()), lines, "{rules}");
    }

    let (plan, problems) = plan_linux(
        &v1(),
        json!({ "resources": { "devices": [all, rule(false, "b", 8, 0, "w"),
        rule(false, "c", -1, -1, "m")] } }),
    );
    assert_eq!(problems, []);
    let lines: Vec<String> = plan.writes.iter().map(|w| format!("{} {}", w.file, w.value)).collect();
    // Making nodes of character devices is among the defaults, which come last.
    assert_eq!(lines, ["devices.allow a", "devices.deny b 8:0 w"]);
}

#[test]
fn device_rules_that_are_wrong() {
    let devices = json!([
        { "allow": true },
        { "allow": true, "access": "rx" },
        { "allow": true, "access": "ra" },
        { "allow": true, "type": "p", "access": "r" },
        { "allow": true, "type": "c", "major": -2, "minor": 5_000_000_000_i64, "access": "r" },
        { "allow": true, "type": "u", "major": 1, "minor": 9, "access": "r" },
    ]);
    for host in [v1(), v2()] {
        let (_, problems) = plan_linux(&host, json!({ "resources": { "devices": devices } }));
        let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            texts,
            [
                "/linux/resources/devices/0/access: device access at 0 field cannot be empty; give letters of \"rwm\"",
                "/linux/resources/devices/1/access: 'x' is none of r, w and m",
                "/linux/resources/devices/2/access: 'a' is none of r, w and m",
                "/linux/resources/devices/3/type: access to a fifo is not controlled by rules",
                "/linux/resources/devices/4/major: -2 is no device number",
                "/linux/resources/devices/4/minor: 5000000000 is no device number",
            ]
        );
    }
}

#[test]
fn a_listed_device_takes_the_place_of_the_default_rule() {
    let listed = json!({ "devices": [{ "path": "/dev/null", "type": "c", "major": 99, "minor": 1 }] });
    let (plan, _) = plan_linux(&v2(), listed);
    let rules = plan.device_rules.unwrap();
    assert_eq!(rules.len(), 10);
    assert!(!rules.iter().any(|rule| (rule.major, rule.minor) == (Some(1), Some(3))));
}
