//! spec: a config.json to start from, never over one that is there.

use crate::args::SpecArgs;
use crate::report::Failure;
use serde_json::ser::{PrettyFormatter, Serializer};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;

#[inline(never)] // see `dispatch`
pub(crate) fn run(args: &SpecArgs) -> Result<u8, Failure> {
    let path = args.bundle.join("config.json");
    let text = indented(&husk_core::default_spec(args.rootless))?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o666).open(&path);
    match file.and_then(|mut file| file.write_all(&text)) {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Failure::new("File config.json exists. Remove it first"))
        }
        Err(error) => Err(Failure::system(format_args!("cannot write {}", path.display()), error)),
    }
}

/// JSON with one tab a level, as runc writes it, and the capabilities, which the type keeps as sets, in order.
pub(crate) fn indented(spec: &husk_core::spec::Spec) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"\t"));
    serde::Serialize::serialize(spec, &mut serializer).map_err(|error| Failure::new(error.to_string()))?;
    text.push(b'\n');
    Ok(in_order(&String::from_utf8_lossy(&text)).into_bytes())
}

/// Sorts each run of lines that hold nothing but a capability.
fn in_order(json: &str) -> String {
    let capability = |line: &str| line.trim_start().starts_with("\"CAP_");
    let mut lines: Vec<String> = json.lines().map(str::to_owned).collect();
    for run in lines.chunk_by_mut(|a, b| capability(a) && capability(b)).filter(|run| capability(&run[0])) {
        run.iter_mut().for_each(|line| line.truncate(line.trim_end_matches(',').len()));
        run.sort();
        let last = run.len() - 1;
        run[..last].iter_mut().for_each(|line| line.push(','));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_in_order_every_time() {
        let text = "[\n\t\"CAP_KILL\",\n\t\"CAP_CHOWN\"\n],\n[\n\t\"CAP_B\"\n]\n";
        assert_eq!(in_order(text), "[\n\t\"CAP_CHOWN\",\n\t\"CAP_KILL\"\n],\n[\n\t\"CAP_B\"\n]\n");
    }
}
