//! ps: the pids as JSON, or the host's ps(1) cut down to the container's processes.

use super::Context;
use crate::args::{Ps, TableFormat, after_dashes};
use crate::output;
use crate::report::Failure;
use std::process::{Command, Stdio};

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, args: Ps) -> Result<u8, Failure> {
    let pids = context.load(&args.id_and_options[0])?.processes()?;
    if args.format == TableFormat::Json {
        let text = serde_json::to_string(&pids).map_err(|error| Failure::new(error.to_string()))?;
        return output::write(|out| writeln!(out, "{text}"));
    }
    let options = after_dashes(&args.id_and_options[1..]);
    let mut command = Command::new("ps");
    match options.is_empty() {
        true => command.arg("-ef"),
        false => command.args(options),
    };
    let listed = command.stderr(Stdio::inherit()).output().map_err(|error| {
        Failure::system("cannot run ps(1)", error).hint("husk ps --format json needs no ps(1)")
    })?;
    if !listed.status.success() {
        return Err(Failure::new(format!("ps(1) failed: {}", listed.status)));
    }
    let text = String::from_utf8_lossy(&listed.stdout);
    let lines = ours(&text, &pids).ok_or_else(|| {
        Failure::new("the output of ps(1) has no column PID").hint("add pid to its -o option")
    })?;
    output::write(|out| lines.iter().try_for_each(|line| writeln!(out, "{line}")))
}

/// The heading and the lines of these processes; `None` without a column PID.
fn ours<'a>(text: &'a str, pids: &[i32]) -> Option<Vec<&'a str>> {
    let mut lines = text.lines();
    let heading = lines.next()?;
    let column = heading.split_whitespace().position(|name| name == "PID")?;
    let wanted = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|cell| cell.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    Some(std::iter::once(heading).chain(lines.filter(wanted)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_by_the_pid_column() {
        let text = "UID   PID  PPID CMD\nroot   12     7 sh\nroot    7    12 init\n";
        assert_eq!(ours(text, &[7]), Some(vec!["UID   PID  PPID CMD", "root    7    12 init"]));
        assert_eq!(ours("CMD\nsh\n", &[7]), None);
    }
}
