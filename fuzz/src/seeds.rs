//! What the targets start from: the stored corpus, and the configs of real engines.

use serde_json::Value;
use std::path::Path;

/// What a target starts from: its corpus, and for the formats that engines write, theirs.
#[must_use]
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |directory: &str| -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(here.join(directory)).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        paths.sort();
        paths.iter().map(|path| std::fs::read(path).expect("a seed")).collect()
    };
    let mut seeds = read(&format!("corpus/{target}"));
    let configs: Vec<Value> = read("../runtime-core/tests/plan")
        .iter()
        .filter_map(|bytes| serde_json::from_slice(bytes).ok())
        .collect();
    let parts = |pointer: &str| -> Vec<Vec<u8>> {
        configs
            .iter()
            .filter_map(|config| config.pointer(pointer))
            .map(|part| part.to_string().into_bytes())
            .collect()
    };
    match target {
        "config" => seeds.extend(parts("")),
        "process" => seeds.extend(parts("/process")),
        "resources" => seeds.extend(parts("/linux/resources")),
        "seccomp" => {
            seeds.extend(parts("/linux/seccomp"));
            seeds.extend(read("../seccomp/tests/profiles"));
        }
        _ => {}
    }
    assert!(!seeds.is_empty(), "{target} has nothing to start from");
    seeds
}
