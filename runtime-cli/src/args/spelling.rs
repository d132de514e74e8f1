//! Go's flags take one dash for two: an engine passes `-no-subreaper`. Clap would read that as a row of short flags.

use clap::{Arg, Command};
use std::ffi::OsString;

/// The same command line with two dashes before each long name that had one.
///
/// It walks the line as the parser will, so that a flag's value and the words of `exec`'s program are left alone. A line
/// without such a word costs one look at each.
pub(crate) fn spell_out(args: Vec<OsString>, table: impl FnOnce() -> Command) -> Vec<OsString> {
    let suspect = |arg: &OsString| arg.to_str().is_some_and(|text| single_dash(text).is_some());
    if !args.iter().any(suspect) {
        return args;
    }
    let mut table = table();
    // Clap builds a command's flags when they are asked for.
    table.build();
    let table = table;
    let mut command = &table;
    let mut words = args.into_iter();
    let mut out: Vec<OsString> = words.next().into_iter().collect();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        if text == "--" {
            out.push(word);
            break;
        }
        let Some(option) = text.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
            let subcommand = command.find_subcommand(&text);
            out.push(word);
            match subcommand {
                Some(found) if std::ptr::eq(command, &table) => command = found,
                _ if ends_options(command) => break,
                _ => {}
            }
            continue;
        };
        let name = option.trim_start_matches('-').split('=').next().unwrap_or_default();
        let long = command.get_arguments().find(|arg| arg.get_long() == Some(name));
        let short =
            || command.get_arguments().find(|arg| name.len() == 1 && arg.get_short() == name.chars().next());
        let found = long.or_else(short);
        out.push(if long.is_some() && single_dash(&text).is_some() {
            format!("-{text}").into()
        } else {
            word
        });
        if found.is_some_and(takes_value) && !text.contains('=') {
            out.extend(words.next());
        }
    }
    out.extend(words);
    out
}

/// The name in `-name` or `-name=value`, where it has more than one letter.
fn single_dash(text: &str) -> Option<&str> {
    let name = text.strip_prefix('-')?.split('=').next()?;
    (name.len() > 1 && !name.starts_with('-')).then_some(name)
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// Whether the first word that is no option ends the options, as for exec.
fn ends_options(command: &Command) -> bool {
    command.get_positionals().next().is_some_and(Arg::is_trailing_var_arg_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(line: &str) -> String {
        let args = line.split(' ').map(OsString::from).collect();
        let words = spell_out(args, super::super::table);
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn long_names_get_their_second_dash() {
        for (line, expected) in [
            ("husk run -no-subreaper x", "husk run --no-subreaper x"),
            ("husk -root /r run x -bundle /b", "husk --root /r run x --bundle /b"),
            ("husk -root=/r list", "husk --root=/r list"),
            ("husk kill -all x 9", "husk kill --all x 9"),
        ] {
            assert_eq!(spelled(line), expected);
        }
    }

    #[test]
    fn what_is_not_husks_own_is_left_alone() {
        for line in [
            "husk exec x ls -all -root",
            "husk exec -e -cwd x ls",
            "husk run -b -keep x",
            "husk exec -td x sh",
            "husk ps x -format",
            "husk try -- -memory",
            "husk -root -log list",
        ] {
            let expected = line.replacen("husk -root", "husk --root", 1);
            assert_eq!(spelled(line), expected);
        }
    }
}
