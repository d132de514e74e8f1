//! config.json: bytes to the types of the spec, and what is wrong with bytes that are none.

#![forbid(unsafe_code)]

mod place;

use crate::error::{Error, Problem, Result};
use crate::plan::problems::escaped;
use crate::spec::{Capability, LinuxResources, Mount, Process, Spec};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A config as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) spec: Spec,
    /// What the spec wants to be a warning and no error: what was left out of it, and what should be otherwise.
    pub(crate) warnings: Vec<Problem>,
}

/// Bytes to a spec. What is no JSON at all is named by line and column, a value of the wrong kind by its pointer.
pub(crate) fn parse(config: &[u8]) -> Result<Config> {
    let (spec, mut warnings) = read::<Spec>(config, "/process")?;
    check_raw(config)?;
    warnings.extend(relative_destinations(spec.mounts().as_deref().unwrap_or_default()));
    Ok(Config { spec, warnings })
}

/// "For Linux, this value SHOULD be an absolute path" (runtime-spec config.md, "Mounts").
fn relative_destinations(mounts: &[Mount]) -> impl Iterator<Item = Problem> + '_ {
    let relative = mounts.iter().enumerate().filter(|(_, mount)| mount.destination().is_relative());
    relative.map(|(index, mount)| Problem {
        pointer: format!("/mounts/{index}/destination"),
        message: format!(
            "mount destination {:?} is not absolute; it is taken from the container's root",
            mount.destination().display().to_string()
        ),
    })
}

/// Reads a whole config.json. Beside it comes what was left out, which the specification wants to be a warning and no
/// error.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput), with a pointer into `json` to the value that is wrong.
pub fn read_spec(json: &[u8]) -> Result<(Spec, Vec<Problem>)> {
    parse(json).map(|config| (config.spec, config.warnings))
}

/// Reads a process in the form of `/process` of a config.json, as `exec --process` takes it. Beside it comes what was
/// left out, which the specification wants to be a warning and no error.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput), with a pointer into `json` to the value that is wrong.
pub fn read_process(json: &[u8]) -> Result<(Process, Vec<Problem>)> {
    let read = read(json, "")?;
    check_raw(json)?;
    Ok(read)
}

/// Reads resources in the form of `/linux/resources` of a config.json, as `update --resources` takes them.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput), with a pointer into `json` to the value that is wrong.
pub fn read_resources(json: &[u8]) -> Result<LinuxResources> {
    let (resources, _) = read(json, "/no/capabilities")?;
    check_raw(json)?;
    Ok(resources)
}

/// Reads mounts in the form of `/mounts` of a config.json, as `mounts add` and `mounts remove` take them.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput), with a pointer into `json` to the value that is wrong.
pub fn read_mounts(json: &[u8]) -> Result<Vec<Mount>> {
    let (mounts, _) = read(json, "/no/capabilities")?;
    Ok(mounts)
}

/// serde reads once. Only a text that fails is looked at more closely.
fn read<T: DeserializeOwned>(json: &[u8], process: &str) -> Result<(T, Vec<Problem>)> {
    let failed = match serde_json::from_slice(json) {
        Ok(value) => return Ok((value, Vec::new())),
        Err(failed) => failed,
    };
    let Ok(mut document) = serde_json::from_slice::<Value>(json) else { return Err(misread(json, &failed)) };
    let capabilities = format!("{process}/capabilities");
    let warnings = match document.pointer_mut(&capabilities) {
        Some(sets) => leave_out_unknown(sets, &capabilities),
        None => Vec::new(),
    };
    let flags = document.pointer_mut(&format!("{process}/scheduler/flags"));
    let respelled = flags.is_some_and(respell_flags);
    let completed = document.pointer_mut(process).is_some_and(give_user);
    if warnings.is_empty() && !respelled && !completed {
        return Err(misread(json, &failed));
    }
    let rest = document.to_string().into_bytes();
    serde_json::from_slice(&rest).map(|value| (value, warnings)).map_err(|failed| misread(&rest, &failed))
}

/// "Any value which cannot be mapped to a relevant kernel interface … MUST be logged as a warning": a capability of
/// which nobody here has heard is left out (runtime-spec config.md, "Linux Process"). All else is an error.
fn leave_out_unknown(sets: &mut Value, place: &str) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for (set, list) in sets.as_object_mut().into_iter().flatten() {
        let Some(list) = list.as_array_mut() else { continue };
        let mut index = 0;
        list.retain(|name| {
            let pointer = format!("{place}/{}/{index}", escaped(set));
            index += 1;
            let is_unknown = name.is_string() && serde_json::from_value::<Capability>(name.clone()).is_err();
            if is_unknown {
                let message = format!("{name} is no capability, see capabilities(7); it is left out");
                warnings.push(Problem { pointer, message });
            }
            !is_unknown
        });
    }
    warnings
}

/// The specification's names of scheduling flags that the types spell in another way.
const FLAGS: [(&str, &str); 2] = [
    ("SCHED_FLAG_RESET_ON_FORK", "SCHED_RESET_ON_FORK"),
    ("SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_D_L_OVERRUN"),
];

/// As the types spell them. Tells whether there were any.
fn respell_flags(flags: &mut Value) -> bool {
    let mut found = false;
    for flag in flags.as_array_mut().into_iter().flatten() {
        if let Some((_, other)) = FLAGS.iter().find(|(name, _)| flag == name) {
            *flag = (*other).into();
            found = true;
        }
    }
    found
}

/// A process of which no user is said is root's, as runc has it; many a file for `exec --process` is written so. Tells
/// whether it was.
fn give_user(process: &mut Value) -> bool {
    let Some(process) = process.as_object_mut().filter(|process| process.contains_key("cwd")) else {
        return false;
    };
    let missing = !process.contains_key("user");
    process.entry("user").or_insert_with(|| serde_json::json!({ "uid": 0, "gid": 0 }));
    missing
}

fn misread(json: &[u8], failed: &serde_json::Error) -> Error {
    Error::problems_found(vec![explained(json, failed)])
}

/// What the types of the spec cannot say. Both are rare, so the text is looked at first.
fn check_raw(config: &[u8]) -> Result<()> {
    let contains = |text: &str| std::str::from_utf8(config).is_ok_and(|config| config.contains(text));
    if !contains(r"\u0000") && !contains(r#""freebsd""#) {
        return Ok(());
    }
    let value: Value = serde_json::from_slice(config).map_err(|failed| misread(config, &failed))?;
    let mut problems = Vec::new();
    if value.get("freebsd").is_some() {
        let message = "not supported: husk runs Linux containers".to_owned();
        problems.push(Problem { pointer: "/freebsd".to_owned(), message });
    }
    find_nul(&value, &mut String::new(), &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(Error::problems_found(problems)) }
}

fn find_nul(value: &Value, pointer: &mut String, problems: &mut Vec<Problem>) {
    let length = pointer.len();
    let mut found = |pointer: &str| {
        let message = "contains a NUL byte, which no string of the kernel can".to_owned();
        problems.push(Problem { pointer: pointer.to_owned(), message });
    };
    match value {
        Value::String(text) if text.contains('\0') => found(pointer),
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                find_nul(item, pointer, problems);
                pointer.truncate(length);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                pointer.push('/');
                pointer.push_str(&escaped(key));
                if key.contains('\0') {
                    problems.push(Problem {
                        pointer: pointer.clone(),
                        message: "its key contains a NUL byte".to_owned(),
                    });
                }
                find_nul(item, pointer, problems);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// What serde calls it, and what a reader of JSON does.
const WORDS: [(&str, &str); 8] = [
    ("unknown variant `", "unknown value `"),
    ("a sequence", "a list"),
    ("a map", "an object"),
    ("expected u16", "expected a number from 0 to 65535"),
    ("expected u32", "expected a number from 0 to 4294967295"),
    ("expected u64", "expected a number from 0 to 18446744073709551615"),
    ("expected i32", "expected a number from -2147483648 to 2147483647"),
    ("expected i64", "expected a number"),
];

/// How runc begins what it says of a field, where people and tests know the words.
const BEGINNINGS: [(&str, &str); 2] = [
    ("/linux/memoryPolicy/mode", "invalid memory policy mode"),
    ("/linux/memoryPolicy/flags/", "invalid memory policy flag"),
];

/// serde's sentence, without the line where a pointer says it better.
fn explained(json: &[u8], error: &serde_json::Error) -> Problem {
    let mut message = error.to_string();
    if !error.is_data() {
        return Problem { pointer: String::new(), message };
    }
    let mut pointer = place::pointer_at(json, error.line(), error.column());
    if let Some(end) = message.rfind(" at line ") {
        message.truncate(end);
    }
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    if let Some(field) = missing {
        pointer = format!("{pointer}/{}", escaped(field));
        message = format!("missing field {field:?}, which is required");
    }
    for (theirs, ours) in WORDS {
        message = message.replace(theirs, ours);
    }
    if let Some((_, beginning)) = BEGINNINGS.iter().find(|(place, _)| pointer.starts_with(place)) {
        message = format!("{beginning}: {message}");
    }
    Problem { pointer, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_capabilities_are_left_out_with_a_warning() {
        let json =
            br#"{"cwd": "/", "user": {}, "capabilities": {"bounding": ["CAP_KILL", "CAP_OF_THE_FUTURE"]}}"#;
        let (process, warnings) = read_process(json).expect("a process");
        let bounding = process.capabilities().as_ref().and_then(|sets| sets.bounding().clone());
        assert_eq!(bounding, Some([Capability::Kill].into()));
        let warnings: Vec<_> = warnings.iter().map(Problem::to_string).collect();
        let expected = r#"/capabilities/bounding/1: "CAP_OF_THE_FUTURE" is no capability, see capabilities(7); it is left out"#;
        assert_eq!(warnings, [expected]);
    }

    #[test]
    fn scheduling_flags_have_the_specifications_names() {
        let json = br#"{"cwd": "/", "user": {}, "scheduler": {"policy": "SCHED_DEADLINE",
                        "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"]}}"#;
        let (process, warnings) = read_process(json).expect("a process");
        let flags = process.scheduler().as_ref().and_then(|scheduler| scheduler.flags().clone());
        assert_eq!((flags.map(|flags| flags.len()), warnings.len()), (Some(3), 0));
    }

    #[test]
    fn a_process_without_a_user_is_roots() {
        let (process, warnings) = read_process(br#"{"cwd": "/", "args": ["true"]}"#).expect("a process");
        assert_eq!((process.user().uid(), process.user().gid(), warnings.len()), (0, 0, 0));
        read_process(br#"{"args": ["true"]}"#).expect_err("there is no cwd");
    }

    #[test]
    fn other_mistakes_are_found_behind_an_unknown_capability() {
        let json = br#"{"capabilities": {"bounding": ["CAP_OF_THE_FUTURE"]}, "user": {}, "cwd": 5}"#;
        let error = read_process(json).expect_err("the cwd is a number");
        assert_eq!(error.problems()[0].pointer, "/cwd");
    }
}
