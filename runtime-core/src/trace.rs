//! The timeline of a creation as Chrome trace JSON, from the flight recorder.

use crate::error::{Error, Result};
use crate::recorder::Recorder;
use serde_json::json;
use std::path::Path;

/// Writes it: one event a step, in microseconds, from the step's beginning to that of the next.
pub(crate) fn write(path: &Path, recorder: &Recorder) -> Result<()> {
    let mut times = recorder.times();
    times.sort_by_key(|&(_, time)| time);
    let first = times.first().map_or(0, |&(_, time)| time);
    let ends = times.iter().skip(1).map(|&(_, time)| time).chain(times.last().map(|&(_, time)| time));
    let micros = |nanoseconds: u64| nanoseconds / 1000;
    let events: Vec<_> = times
        .iter()
        .zip(ends)
        .map(|(&(step, begin), end)| {
            let (thread, name) = if step.belongs_to_runtime() { (1, "runtime") } else { (2, "init") };
            json!({
                "name": step.name(), "cat": name, "ph": "X", "pid": 1, "tid": thread,
                "ts": micros(begin - first), "dur": micros(end - begin),
            })
        })
        .collect();
    let text = json!({ "traceEvents": events, "displayTimeUnit": "ms" }).to_string();
    std::fs::write(path, text)
        .map_err(|error| Error::io(format!("cannot write the trace {}", path.display()), "write", &error))
}
