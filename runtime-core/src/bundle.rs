//! [`Bundle`]: a directory with a `config.json`, read and parsed once (runtime-spec bundle.md).

#![forbid(unsafe_code)]

use crate::error::{Error, ErrorKind, Problem, Result};
use crate::host::Host;
use crate::id::ContainerId;
use crate::options::CreateOptions;
use crate::plan::Plan;
use crate::plan::problems::escaped;
use crate::spec::Spec;
use serde_path_to_error::{Path as JsonPath, Segment};
use std::io;
use std::path::{Path, PathBuf};

/// The file that describes the container.
const CONFIG: &str = "config.json";

/// A directory, and the description of the container in it.
#[derive(Debug, Clone)]
pub struct Bundle {
    path: PathBuf,
    spec: Spec,
    config: Vec<u8>,
}

impl Bundle {
    /// Reads `DIR/config.json`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when it is not there, no JSON, or has a value of the wrong kind; then with a
    /// pointer to it in [`Error::problems`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Bundle> {
        let path = absolute(dir.as_ref())?;
        let file = path.join(CONFIG);
        let config = std::fs::read(&file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::io(
                format!("JSON specification file {CONFIG} not found in {}", path.display()),
                "open",
                &error,
            )
            .with_kind(ErrorKind::InvalidInput),
            _ => Error::io(format!("cannot read {}", file.display()), "read", &error),
        })?;
        let spec = parse(&config)?;
        Ok(Bundle { path, spec, config })
    }

    /// A container described in memory. A relative `root.path` is relative to `dir`.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when `dir` is relative and there is no working directory.
    pub fn from_spec(spec: Spec, dir: impl AsRef<Path>) -> Result<Bundle> {
        let config = serde_json::to_vec(&spec).map_err(|error| {
            Error::new(ErrorKind::InvalidInput, format!("cannot write {CONFIG}: {error}"))
        })?;
        Ok(Bundle { path: absolute(dir.as_ref())?, spec, config })
    }

    /// What it describes.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Where it is, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of `config.json`.
    #[must_use]
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// What `create` would do with it, without doing anything.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] with everything that is wrong: see [`Error::problems`].
    pub fn plan(&self, id: &ContainerId, host: &Host, options: &CreateOptions) -> Result<Plan> {
        Plan::new(&self.spec, &self.path, id, host, options)
    }
}

fn absolute(dir: &Path) -> Result<PathBuf> {
    std::path::absolute(dir)
        .map_err(|error| Error::io(format!("cannot find {}", dir.display()), "getcwd", &error))
}

/// Bytes to a spec. What is no JSON at all is named by line and column, a value of the wrong kind by its pointer.
pub(crate) fn parse(config: &[u8]) -> Result<Spec> {
    let spec = serde_json::from_slice(config).map_err(|_| misread(config))?;
    check_raw(config)?;
    Ok(spec)
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
    let value: serde_json::Value = serde_json::from_slice(config)
        .map_err(|error| Error::problems_found(vec![explained(String::new(), &error)]))?;
    let mut problems = Vec::new();
    if value.get("freebsd").is_some() {
        let message = "not supported: husk runs Linux containers".to_owned();
        problems.push(Problem { pointer: "/freebsd".to_owned(), message });
    }
    find_nul(&value, &mut String::new(), &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(Error::problems_found(problems)) }
}

fn find_nul(value: &serde_json::Value, pointer: &mut String, problems: &mut Vec<Problem>) {
    let length = pointer.len();
    let mut found = |pointer: &str| {
        let message = "contains a NUL byte, which no string of the kernel can".to_owned();
        problems.push(Problem { pointer: pointer.to_owned(), message });
    };
    match value {
        serde_json::Value::String(text) if text.contains('\0') => found(pointer),
        serde_json::Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                find_nul(item, pointer, problems);
                pointer.truncate(length);
            }
        }
        serde_json::Value::Object(map) => {
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
