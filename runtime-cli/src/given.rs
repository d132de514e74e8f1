//! JSON that a line names: a file, or standard input for `-`.

use crate::report::Failure;
use std::io::Read;
use std::path::Path;

/// Reads and parses it; `what` it is to hold.
pub(crate) fn read<T>(
    path: &Path,
    what: &str,
    parse: impl FnOnce(&[u8]) -> husk_core::Result<T>,
) -> Result<T, Failure> {
    let mut text = Vec::new();
    let (name, read) = match path.as_os_str() == "-" {
        true => ("standard input".to_owned(), std::io::stdin().read_to_end(&mut text)),
        false => {
            let file = std::fs::File::open(path);
            (path.display().to_string(), file.and_then(|mut file| file.read_to_end(&mut text)))
        }
    };
    read.map_err(|error| Failure::system(format_args!("cannot read the {what} from {name}"), error))?;
    parse(&text).map_err(|error| {
        let error = error.to_string();
        // The library takes every text for that file.
        let error = error.strip_prefix("config.json: ").unwrap_or(&error);
        Failure::new(format!("{name} describes no {what}: {error}"))
    })
}
