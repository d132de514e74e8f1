//! What Go's flags take and clap's do not: one dash for two, since an engine passes `-no-subreaper`, which clap would read as
//! a row of short flags; and a value for a flag that is there or not, as in `--systemd-cgroup=true`.

use clap::{Arg, Command};
use std::ffi::OsString;

/// The same command line with two dashes before each long name that had one, and without the values of flags that take
/// none: what is true stands alone, what is false is left out.
///
/// It walks the line as the parser will, so that a flag's value and the words of `exec`'s program are left alone. A line
/// without such a word costs one look at each.
pub(crate) fn spell_out(args: Vec<OsString>, table: impl FnOnce() -> Command) -> Vec<OsString> {
    let suspect = |arg: &OsString| {
        arg.to_str().is_some_and(|text| {
            single_dash(text).is_some() || (text.starts_with('-') && truth(text).is_some())
        })
    };
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
        let lacks_a_dash = long.is_some() && single_dash(&text).is_some();
        let spelled = if lacks_a_dash { format!("-{text}").into() } else { word };
        let takes_value = found.is_some_and(takes_value);
        match spelled.to_str().and_then(truth).filter(|_| found.is_some() && !takes_value) {
            Some((name, true)) => out.push(name.into()),
            Some((_, false)) => {}
            None => out.push(spelled),
        }
        if takes_value && !text.contains('=') {
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

/// The option and the value in `--option=true` and the like, with the words for either that Go knows (strconv.ParseBool).
fn truth(text: &str) -> Option<(&str, bool)> {
    let (option, value) = text.split_once('=')?;
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some((option, true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some((option, false)),
        _ => None,
    }
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
    fn flags_are_true_or_left_out() {
        for (line, expected) in [
            ("husk --systemd-cgroup=true list -q=1", "husk --systemd-cgroup list -q"),
            ("husk -debug=false run --keep=T -detach=f x", "husk run --keep x"),
            ("husk --rootless=true --root=1 list", "husk --rootless=true --root=1 list"),
            ("husk exec --tty=true -e A=1 x --tty=true", "husk exec --tty -e A=1 x --tty=true"),
            ("husk exec --tty=maybe x true", "husk exec --tty=maybe x true"),
            ("husk update --nonsense=true x", "husk update --nonsense=true x"),
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
