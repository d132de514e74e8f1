//! list: all containers, as runc's table or as an array of state objects; `null` where there are none, as engines expect.

use super::Context;
use crate::args::{List, TableFormat};
use crate::output;
use crate::report::Failure;
use husk_core::State;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(crate) fn run(context: &Context<'_>, args: &List) -> Result<u8, Failure> {
    let containers = context.runtime.list()?;
    if args.quiet {
        return output::write(|out| {
            containers.iter().try_for_each(|container| writeln!(out, "{}", container.id()))
        });
    }
    let mut users = Users::default();
    let mut states = Vec::with_capacity(containers.len());
    for container in containers {
        // One that was deleted in this moment is no longer to be listed.
        let Ok(mut state) = container.state() else { continue };
        state.owner = users.owner(&context.runtime.root().join(container.id().as_str()));
        states.push(state);
    }
    match args.format {
        TableFormat::Json if states.is_empty() => output::write(|out| writeln!(out, "null")),
        TableFormat::Json => {
            let text = serde_json::to_string(&states).map_err(|error| Failure::new(error.to_string()))?;
            output::write(|out| writeln!(out, "{text}"))
        }
        TableFormat::Table => output::write(|out| write!(out, "{}", table(&rows(&states)))),
    }
}

const HEADER: [&str; 6] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];

fn rows(states: &[State]) -> Vec<[String; 6]> {
    let mut rows = vec![HEADER.map(str::to_owned)];
    rows.extend(states.iter().map(|state| {
        [
            state.id.to_string(),
            state.pid.to_string(),
            state.status.to_string(),
            Path::new(&state.bundle).display().to_string(),
            state.created.clone(),
            state.owner.clone(),
        ]
    }));
    rows
}

/// Columns of at least twelve characters with three blanks between; nothing after the last.
fn table(rows: &[[String; 6]]) -> String {
    const LEAST: usize = 12;
    const GAP: usize = 3;
    let width = |column: usize| {
        let longest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        LEAST.max(longest + GAP)
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(&format!("{cell:width$}"));
        }
        text.push_str(&row[5]);
        text.push('\n');
    }
    text
}

/// Names of users, from this machine's passwd(5). Not from getpwuid(3), which loads modules into a static program.
#[derive(Default)]
struct Users(Option<HashMap<u32, String>>);

impl Users {
    /// Who made the container: its state directory's owner, `#uid` where it has no name.
    fn owner(&mut self, state_directory: &Path) -> String {
        let Ok(metadata) = std::fs::metadata(state_directory) else { return String::new() };
        let names =
            self.0.get_or_insert_with(|| names(&std::fs::read_to_string("/etc/passwd").unwrap_or_default()));
        names.get(&metadata.uid()).cloned().unwrap_or_else(|| format!("#{}", metadata.uid()))
    }
}

/// The first name of each uid.
fn names(passwd: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in passwd.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(Ok(uid))) = (fields.next(), fields.nth(1).map(str::parse)) {
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_their_longest_cell_and_have_a_least_width() {
        let long = "a-container-with-a-long-name";
        let row = [long, "7", "running", "/b", "2026", "root"].map(str::to_owned);
        let text = table(&[HEADER.map(str::to_owned), row]);
        let expected = format!(
            "{:31}{:12}{:12}{:12}{:12}OWNER\n{:31}{:12}{:12}{:12}{:12}root\n",
            "ID", "PID", "STATUS", "BUNDLE", "CREATED", long, "7", "running", "/b", "2026"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn the_first_name_of_a_uid_counts() {
        let names = names("root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\n# nonsense\nweb:x:33:33::/:\n");
        assert_eq!(names.get(&0).map(String::as_str), Some("root"));
        assert_eq!(names.get(&33).map(String::as_str), Some("web"));
        assert_eq!(names.len(), 2);
    }
}
