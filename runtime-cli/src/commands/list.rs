//! list: all containers, as runc's table or as an array of state objects; `null` where there are none, as engines expect.

use super::{Context, matching};
use crate::args::{List, TableFormat};
use crate::output;
use crate::report::Failure;
use husk_core::State;
use nix::errno::Errno;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

/// A state as runc's list has it: with the owner's name in place of nothing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    oci_version: String,
    id: String,
    pid: i32,
    status: husk_core::Status,
    bundle: PathBuf,
    rootfs: PathBuf,
    created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    owner: String,
}

impl Listed {
    fn new(state: State, users: &mut Users) -> Listed {
        Listed {
            oci_version: state.oci_version,
            id: state.id,
            pid: state.pid,
            status: state.status,
            bundle: state.bundle,
            rootfs: state.rootfs,
            created: state.created,
            annotations: state.annotations,
            owner: users.name(state.owner),
        }
    }

    fn row(&self) -> [String; 6] {
        let (status, bundle) = (self.status.to_string(), self.bundle.display().to_string());
        [self.id.clone(), self.pid.to_string(), status, bundle, self.created.clone(), self.owner.clone()]
    }
}

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, args: &List) -> Result<u8, Failure> {
    let root = context.runtime.root();
    if context.names_root && !root.exists() {
        // Nothing was ever created below the usual one; another one is a slip of the pen.
        return Err(Failure::system(format_args!("cannot read {}", root.display()), Errno::ENOENT));
    }
    let containers = match &args.regex {
        Some(regex) => matching(context, regex)?,
        None => context.runtime.list()?,
    };
    if args.quiet {
        return output::write(|out| {
            containers.iter().try_for_each(|container| writeln!(out, "{}", container.id()))
        });
    }
    let mut users = Users::default();
    // One that was deleted in this moment is no longer to be listed.
    let states = containers.iter().filter_map(|container| container.state().ok());
    let listed: Vec<Listed> = states.map(|state| Listed::new(state, &mut users)).collect();
    match args.format {
        TableFormat::Json if listed.is_empty() => output::write(|out| writeln!(out, "null")),
        TableFormat::Json => {
            let text = serde_json::to_string(&listed).map_err(|error| Failure::new(error.to_string()))?;
            output::write(|out| writeln!(out, "{text}"))
        }
        TableFormat::Table => {
            let heading = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
            let rows: Vec<_> = std::iter::once(heading).chain(listed.iter().map(Listed::row)).collect();
            output::write(|out| write!(out, "{}", table(&rows)))
        }
    }
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
#[derive(Debug, Default)]
struct Users(Option<HashMap<u32, String>>);

impl Users {
    /// `#uid` where it has no name.
    fn name(&mut self, uid: u32) -> String {
        let read = || names(&std::fs::read_to_string("/etc/passwd").unwrap_or_default());
        self.0.get_or_insert_with(read).get(&uid).cloned().unwrap_or_else(|| format!("#{uid}"))
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
        let heading = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
        let row = [long, "7", "running", "/b", "2026", "root"].map(str::to_owned);
        let text = table(&[heading, row]);
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
