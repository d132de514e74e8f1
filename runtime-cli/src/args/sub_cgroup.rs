//! `[CONTROLLER[,CONTROLLER]:]PATH`, as often as it is given: one path for all hierarchies, or one for each controller.

/// A sub-cgroup, and the controller in whose hierarchy it is; `None` for every hierarchy.
pub(crate) type SubCgroup = (Option<String>, String);

/// In runc's words where it makes no sense.
pub(crate) fn parse_sub_cgroups(texts: &[String]) -> Result<Vec<SubCgroup>, String> {
    let mut found: Vec<SubCgroup> = Vec::new();
    for text in texts {
        let Some((controllers, path)) = text.split_once(':') else {
            if texts.len() > 1 {
                return Err(format!("invalid --cgroup argument: {text} (missing <controller>: prefix)"));
            }
            return Ok(vec![(None, text.clone())]);
        };
        for controller in controllers.split(',') {
            if controller.is_empty() {
                return Err(format!("invalid --cgroup argument: {text} (empty <controller> prefix)"));
            }
            if found.iter().any(|(other, _)| other.as_deref() == Some(controller)) {
                return Err(format!(
                    "invalid --cgroup argument(s): controller {controller} specified multiple times"
                ));
            }
            found.push((Some(controller.to_owned()), path.to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<Vec<SubCgroup>, String> {
        parse_sub_cgroups(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn takes_one_path_or_controllers() {
        assert_eq!(parse(&[]), Ok(vec![]));
        assert_eq!(parse(&["a/b"]), Ok(vec![(None, "a/b".to_owned())]));
        let of = |name: &str, path: &str| (Some(name.to_owned()), path.to_owned());
        assert_eq!(parse(&["memory:a:b"]), Ok(vec![of("memory", "a:b")]));
        let found = vec![of("memory", "m"), of("cpu", "c"), of("cpuacct", "c")];
        assert_eq!(parse(&["memory:m", "cpu,cpuacct:c"]), Ok(found));
    }

    #[test]
    fn says_what_makes_no_sense() {
        for (texts, words) in [
            (&[":a"][..], "empty <controller> prefix"),
            (&["cpu,:a"], "empty <controller> prefix"),
            (&["a", "b"], "missing <controller>: prefix"),
            (&["cpu:a", "b"], "missing <controller>: prefix"),
            (&["cpu:a", "cpu:b"], "controller cpu specified multiple times"),
        ] {
            let error = parse(texts).expect_err("no sense");
            assert!(error.contains(words), "{texts:?}: {error}");
        }
    }
}
