//! config.json: bytes to the types of the spec, and what is wrong with bytes that are none.

use crate::error::{Error, Problem, Result};
use crate::plan::problems::escaped;
use crate::spec::Spec;
use serde_json::Value;
use serde_path_to_error::{Path as JsonPath, Segment};

/// A config as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) spec: Spec,
    /// What was left out of it, which the spec wants to be a warning and no error.
    pub(crate) warnings: Vec<Problem>,
}

/// Bytes to a spec. What is no JSON at all is named by line and column, a value of the wrong kind by its pointer.
pub(crate) fn parse(config: &[u8]) -> Result<Config> {
    let parsed = match serde_json::from_slice(config) {
        Ok(spec) => Config { spec, warnings: Vec::new() },
        Err(_) => parse_leniently(config)?,
    };
    check_raw(config)?;
    Ok(parsed)
}

/// "Any value which cannot be mapped to a relevant kernel interface … MUST be logged as a warning": a capability of
/// which nobody here has heard is left out (runtime-spec config.md, "Linux Process"). All else is an error.
fn parse_leniently(config: &[u8]) -> Result<Config> {
    let mut warnings = Vec::new();
    let Ok(mut value) = serde_json::from_slice::<Value>(config) else { return Err(misread(config)) };
    loop {
        let bytes = value.to_string().into_bytes();
        if let Ok(spec) = serde_json::from_slice(&bytes) {
            return Ok(Config { spec, warnings });
        }
        let error = misread(&bytes);
        match error.problems() {
            [problem] if forget_capability(&mut value, &problem.pointer) => {
                // Pointers count as the file does, from which nothing was left out.
                let name = problem.message.clone();
                warnings.push(Problem {
                    pointer: parent(&problem.pointer).to_owned(),
                    message: format!("{name}; it is left out"),
                });
            }
            _ => return Err(misread(config)),
        }
    }
}

fn parent(pointer: &str) -> &str {
    pointer.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Removes a name from a list of capabilities, if that is what the pointer leads to.
fn forget_capability(config: &mut Value, pointer: &str) -> bool {
    let list = parent(pointer);
    let index = pointer.rsplit('/').next().and_then(|index| index.parse::<usize>().ok());
    match (parent(list), config.pointer_mut(list), index) {
        ("/process/capabilities", Some(Value::Array(names)), Some(index))
            if names.get(index).is_some_and(Value::is_string) =>
        {
            names.remove(index);
            true
        }
        _ => false,
    }
}

/// What is wrong with bytes that are no spec. To follow the path to every value takes time, so only who fails does.
fn misread(config: &[u8]) -> Error {
    let mut deserializer = serde_json::Deserializer::from_slice(config);
    let problem = match serde_path_to_error::deserialize::<_, Spec>(&mut deserializer) {
        Err(error) => explained(pointer(error.path()), error.inner()),
        Ok(_) => match deserializer.end() {
            Err(error) => explained(String::new(), &error),
            Ok(()) => Problem { pointer: String::new(), message: "cannot be read".to_owned() },
        },
    };
    Error::problems_found(vec![problem])
}

/// What the types of the spec cannot say. Both are rare, so the text is looked at first.
fn check_raw(config: &[u8]) -> Result<()> {
    let contains = |text: &str| std::str::from_utf8(config).is_ok_and(|config| config.contains(text));
    if !contains(r"\u0000") && !contains(r#""freebsd""#) {
        return Ok(());
    }
    let value: Value = serde_json::from_slice(config)
        .map_err(|error| Error::problems_found(vec![explained(String::new(), &error)]))?;
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

fn pointer(path: &JsonPath) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escaped(key))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
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

/// serde's sentence, without the line where a pointer says it better.
fn explained(mut pointer: String, error: &serde_json::Error) -> Problem {
    let mut message = error.to_string();
    if !error.is_data() {
        return Problem { pointer: String::new(), message };
    }
    if let Some(end) = message.rfind(" at line ") {
        message.truncate(end);
    }
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    if let Some(field) = missing {
        pointer = format!("{pointer}/{}", escaped(field));
        message = format!("missing field {field:?}, which is required");
    }
    if let Some((_, rest)) = message.split_once("no variant for ") {
        let name = rest.split(' ').next().unwrap_or_default();
        message = format!("{name:?} is no capability, see capabilities(7)");
    }
    for (theirs, ours) in WORDS {
        message = message.replace(theirs, ours);
    }
    Problem { pointer, message }
}
