//! Where a process's terminal goes: to this program, or over `--console-socket`; in runc's words where it goes nowhere.

use crate::report::Failure;
use husk_core::Console;
use std::path::PathBuf;

/// `detached`: nobody here stays to serve the terminal.
pub(crate) fn console(detached: bool, terminal: bool, socket: Option<PathBuf>) -> Result<Console, Failure> {
    match socket {
        None if detached && terminal => {
            Err(Failure::new("cannot allocate tty if runc will detach without setting console socket")
                .hint("give --console-socket PATH, or let the process have no terminal"))
        }
        Some(_) if !detached || !terminal => {
            Err(Failure::new("cannot use console socket if runc will not detach or allocate tty"))
        }
        None => Ok(Console::Return),
        Some(path) => Ok(Console::Socket(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_needed_exactly_when_detached_with_a_terminal() {
        for detached in [false, true] {
            for terminal in [false, true] {
                for socket in [None, Some(PathBuf::from("/s"))] {
                    let fits = socket.is_some() == (detached && terminal);
                    assert_eq!(console(detached, terminal, socket).is_ok(), fits, "{detached} {terminal}");
                }
            }
        }
    }
}
