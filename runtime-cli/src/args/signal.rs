//! A signal on a command line: a number, or a name with or without SIG, in any case (signal(7)).

use nix::libc;
use nix::sys::signal::Signal;

/// The kernel's number. Zero is taken: it sends nothing and checks that the process is there (kill(2)).
pub(crate) fn parse_signal(text: &str) -> Result<i32, String> {
    let wrong = || format!("unknown signal {text:?}");
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|number| (0..=libc::SIGRTMAX()).contains(number)).ok_or_else(wrong);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(number) = real_time(name) {
        return Ok(number);
    }
    let signal: Signal = format!("SIG{name}").parse().map_err(|_| wrong())?;
    Ok(signal as i32)
}

/// RTMIN, RTMIN+n, RTMAX, RTMAX-n.
fn real_time(name: &str) -> Option<i32> {
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => first,
        (_, Some("")) => last,
        (Some(above), _) => first.checked_add(above.strip_prefix('+')?.parse::<u8>().ok()?.into())?,
        (_, Some(below)) => last.checked_sub(below.strip_prefix('-')?.parse::<u8>().ok()?.into())?,
        _ => return None,
    };
    (first..=last).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigkill", 9),
            ("Term", 15),
            ("0", 0),
            ("64", 64),
            ("winch", 28),
            ("RTMIN", libc::SIGRTMIN()),
            ("SIGRTMIN+3", libc::SIGRTMIN() + 3),
            ("rtmax-1", libc::SIGRTMAX() - 1),
        ] {
            assert_eq!(parse_signal(text), Ok(number), "{text}");
        }
    }

    #[test]
    fn anything_else_is_named_in_the_refusal() {
        for text in
            ["", "-9", "65", "SIGSIGKILL", "KILLER", "9 ", "+9", "RTMIN+99", "RTMIN-1", "999999999999"]
        {
            assert_eq!(parse_signal(text), Err(format!("unknown signal {text:?}")));
        }
    }
}
