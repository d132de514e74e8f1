//! Standard output. A reader that has left (`husk list | head -1`) is no failure; a full disk is.

use crate::report::Failure;
use std::io::{BufWriter, ErrorKind, Write};

/// Writes all of it and gives the status 0.
pub(crate) fn write(fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<u8, Failure> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    match fill(&mut out).and_then(|()| out.flush()) {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(Failure::system("cannot write to standard output", error)),
    }
}
