//! `--log`, `--log-format`, `--debug`: records for engines, in the two forms that logrus writes and engines parse.
//!
//! A failure is exactly one record, success is none: containerd decodes every line and takes the last of level error,
//! Podman wants one object in the file. With --debug there are records of level debug too; without --log those go to standard error.

use crate::args::{Global, LogFormat};
use crate::clock;
use crate::report::Failure;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::SystemTime;

#[derive(Debug)]
pub(crate) struct Log {
    file: Option<File>,
    format: LogFormat,
    debug: bool,
}

impl Log {
    /// Opens the file for appending; several processes may share it.
    pub(crate) fn open(global: &Global) -> Result<Log, Failure> {
        let file = match &global.log {
            None => None,
            Some(path) => {
                let opened = OpenOptions::new().create(true).append(true).open(path);
                Some(opened.map_err(|error| {
                    Failure::system(format_args!("cannot open the log {}", path.display()), error)
                })?)
            }
        };
        Ok(Log { file, format: global.log_format, debug: global.debug })
    }

    /// The log of a line that names none, or names one that cannot be opened.
    pub(crate) fn nowhere() -> Log {
        Log { file: None, format: LogFormat::Text, debug: false }
    }

    /// The one record of a failure. Standard error has been told already.
    pub(crate) fn error(&self, message: &str) {
        if let Some(file) = &self.file {
            self.append(file, "error", message);
        }
    }

    /// Something to know beside a success.
    pub(crate) fn warning(&self, message: &str) {
        if let Some(file) = &self.file {
            self.append(file, "warning", message);
        }
    }

    /// Whether [`debug`](Log::debug) is heard by anybody.
    pub(crate) fn is_debugging(&self) -> bool {
        self.debug
    }

    /// What is done, when it was asked for.
    pub(crate) fn debug(&self, message: std::fmt::Arguments<'_>) {
        if !self.debug {
            return;
        }
        match &self.file {
            Some(file) => self.append(file, "debug", &message.to_string()),
            None => self.append(std::io::stderr(), "debug", &message.to_string()),
        }
    }

    /// One write a record, so that records of several processes do not mix.
    fn append(&self, mut to: impl Write, level: &str, message: &str) {
        let record = record(self.format, level, message, SystemTime::now());
        let _ = to.write_all(record.as_bytes());
    }
}

fn record(format: LogFormat, level: &str, message: &str, at: SystemTime) -> String {
    let time = clock::rfc3339(at);
    match format {
        LogFormat::Text => format!("time=\"{time}\" level={level} msg={message:?}\n"),
        LogFormat::Json => {
            let record = serde_json::json!({ "level": level, "msg": message, "time": time });
            format!("{record}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_whatever_the_message() {
        let message = "config.json has 2 problems\n  /a: \"x\"\n  /b: é";
        let json = record(LogFormat::Json, "error", message, SystemTime::UNIX_EPOCH);
        assert_eq!(json.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&json).expect("a record is JSON");
        assert_eq!(value["msg"], message);
        assert_eq!(value["time"], "1970-01-01T00:00:00Z");
        let text = record(LogFormat::Text, "error", "a \"b\"\nc", SystemTime::UNIX_EPOCH);
        assert_eq!(text, "time=\"1970-01-01T00:00:00Z\" level=error msg=\"a \\\"b\\\"\\nc\"\n");
    }
}
