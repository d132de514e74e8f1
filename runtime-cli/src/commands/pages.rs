//! completion and man: made from the same table as the parser and the help.

use crate::args::{Shell, table};
use crate::output;
use crate::report::Failure;
use clap_complete::Shell as Kind;
use clap_mangen::Man;
use std::path::Path;

/// Prints the script that a shell loads.
pub(crate) fn completion(shell: Shell) -> Result<u8, Failure> {
    let kind = match shell {
        Shell::Bash => Kind::Bash,
        Shell::Zsh => Kind::Zsh,
        Shell::Fish => Kind::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(kind, &mut table(), "husk", &mut script);
    output::write(|out| out.write_all(&script))
}

/// Writes husk.8 and one page a command, section 8: commands of an administrator (man(1)).
pub(crate) fn man(directory: &Path) -> Result<u8, Failure> {
    let failed =
        |error| Failure::system(format_args!("cannot write the man pages to {}", directory.display()), error);
    std::fs::create_dir_all(directory).map_err(failed)?;
    let mut table = table().disable_help_subcommand(true);
    table.build();
    let mut pages = vec![("husk".to_owned(), table.clone())];
    for command in table.get_subcommands().filter(|command| !command.is_hide_set()) {
        pages.push((format!("husk-{}", command.get_name()), command.clone()));
    }
    for (name, command) in pages {
        let mut page = Vec::new();
        let man =
            Man::new(command).section("8").manual("husk").source(concat!("husk ", env!("CARGO_PKG_VERSION")));
        man.render(&mut page).map_err(failed)?;
        std::fs::write(directory.join(format!("{name}.8")), page).map_err(failed)?;
    }
    Ok(0)
}
