//! The shape of the library, held by a test: imports point one way, unsafe code has one place, a new process's code
//! has no words that allocate, nothing prints or reads the environment, every file says what it is.

#![allow(clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The crate's modules, from the top to the bottom: each may import what stands below it.
/// ARCHITECTURE.md draws the same picture.
const ORDER: &[&str] = &[
    "fuzzing",
    "lifecycle",
    "container",
    "runtime",
    "own_binary",
    "trace",
    "state",
    "process",
    "terminal",
    "credentials",
    "rootfs",
    "stdio",
    "socket",
    "network",
    "cgroup",
    "systemd",
    "start_gate",
    "patience",
    "recorder",
    "bundle",
    "config",
    "features",
    "resctrl",
    "plan",
    "default_spec",
    "options",
    "fault",
    "host",
    "id",
    "error",
    "step",
    "sys",
];

/// What the root defines and everybody may use.
const OF_THE_ROOT: &[&str] = &["spec", "SPEC_VERSION"];

/// The code that runs between clone3 and execve.
const OF_A_NEW_PROCESS: &[&str] = &[
    "credentials/",
    "rootfs/",
    "sys/",
    "terminal.rs",
    "process/channel.rs",
    "process/child_hook.rs",
    "process/entry.rs",
    "process/executed.rs",
    "process/filter.rs",
    "process/holder.rs",
    "process/init.rs",
    "process/joiner.rs",
    "process/live.rs",
    "process/template.rs",
    "start_gate.rs",
    "recorder.rs",
];

/// Words that allocate, or free, or print, or panic.
const WORDS: &[&str] = &[
    "vec!",
    "format!",
    "String",
    "Vec",
    "Box",
    "Rc",
    "Arc",
    "HashMap",
    "BTreeMap",
    "CString::",
    ".to_owned()",
    ".to_string()",
    ".to_vec()",
    ".collect()",
    ".into_owned()",
    "panic!",
    "unwrap()",
    "expect(",
    "assert!",
    "unreachable!",
    "todo!",
    "std::fs",
    "std::env",
    "std::thread",
    "Mutex",
    "println!",
];

/// Such words in code that stands beside a new process's and runs in the runtime, before the clone or after all.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("recorder.rs", "format!", "a failure of the runtime's own step is worded at once"),
    ("recorder.rs", "Vec", "the times are read for the timeline, by the runtime"),
    ("recorder.rs", ".collect()", "likewise"),
    ("recorder.rs", "std::fs", "the runtime makes the page's file"),
    ("sys/exec.rs", "Vec", "arguments are laid out as pointers before the clone"),
    ("sys/exec.rs", ".collect()", "likewise"),
    ("sys/bpf.rs", "Vec", "device programs are loaded by the runtime"),
    ("rootfs/legacy.rs", "Vec", "parameters for mount(2) are laid out before the clone"),
    ("rootfs/legacy.rs", "CString::", "likewise"),
];

/// What the library never does, wherever it is.
const NEVER: &[&str] = &[
    "print!",
    "println!",
    "eprint!",
    "eprintln!",
    "dbg!",
    "todo!",
    "unimplemented!",
    "set_current_dir",
    "set_var",
    "remove_var",
    "env::var",
    "env::vars_os",
    "env::var_os",
    "static mut",
    "process::exit",
    "thread::spawn",
];

/// And where it has to all the same.
const BUT: &[(&str, &str, &str)] =
    &[("own_binary.rs", "env::vars_os", "executing the own program again takes its environment along")];

/// Longer files have more than one thing to say.
const LONGEST: usize = 450;

/// A source file of the library, without its unit tests and comments.
struct Source {
    path: String,
    text: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut pending = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory).expect("read a directory") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("read a file");
                let path = path.strip_prefix(&root).expect("below src").display().to_string();
                found.push(Source { code: code_of(&path, &text), path, text });
            }
        }
    }
    assert!(found.len() > 50, "{} files", found.len());
    found
}

/// Unit tests in files of their own.
fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

/// The lines that are compiled into the library, without comments.
fn code_of(path: &str, text: &str) -> String {
    if is_test(path) {
        return String::new();
    }
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().map(|line| line.find("//").map_or(line, |start| &line[..start]));
    lines.collect::<Vec<_>>().join("\n")
}

/// The module at the crate's root that a file belongs to.
fn top(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

/// Every `crate::NAME` of a text.
fn imports(code: &str) -> BTreeSet<String> {
    let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found: BTreeSet<String> = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let is_word = code[..start].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let name = name(&code[start + "crate::".len()..]);
        if is_word && !name.is_empty() {
            found.insert(name);
        }
    }
    found
}

#[test]
fn imports_point_one_way() {
    let place = |module: &str| ORDER.iter().position(|name| *name == module);
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
        let own = top(&source.path);
        let Some(own_place) = place(own) else {
            wrong.push(format!("{}: {own} has no place in the order", source.path));
            continue;
        };
        for import in imports(&source.code) {
            if import == own || OF_THE_ROOT.contains(&import.as_str()) {
                continue;
            }
            match place(&import) {
                Some(place) if place > own_place => {}
                Some(_) => wrong.push(format!("{}: {own} stands below {import}", source.path)),
                None => wrong.push(format!("{}: imports crate::{import}, which is no module", source.path)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Inside a folder the files import each other without circles, too. A folder's `mod.rs` stands above its files.
#[test]
fn files_of_a_folder_import_without_circles() {
    let sources = sources();
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in &sources {
        let Some((folder, file)) = source.path.rsplit_once('/') else { continue };
        let own = file.trim_end_matches(".rs");
        if own == "mod" {
            continue;
        }
        let siblings = |name: &str| sources.iter().any(|other| other.path == format!("{folder}/{name}.rs"));
        for (start, _) in source.code.match_indices("use super::") {
            let rest = &source.code[start + "use super::".len()..];
            let statement = rest.split(';').next().unwrap_or("");
            for name in
                statement.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|name| siblings(name))
            {
                graph.entry(format!("{folder}/{own}")).or_default().insert(format!("{folder}/{name}"));
            }
        }
    }
    assert!(graph.len() > 10, "the imports are not seen: {graph:?}");
    // Files that import nothing (any more) are taken out until none is left, or only circles are.
    while let Some(leaf) = graph
        .iter()
        .find(|(_, to)| to.iter().all(|name| !graph.contains_key(name)))
        .map(|(from, _)| from.clone())
    {
        graph.remove(&leaf);
    }
    assert!(graph.is_empty(), "circles among {graph:#?}");
}

#[test]
fn unsafe_code_has_one_place() {
    for source in sources().iter().filter(|source| !source.path.starts_with("sys/")) {
        let code = source.code.replace("unsafe_code", "");
        assert!(!has_word(&code, "unsafe"), "{} has unsafe code", source.path);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lib = std::fs::read_to_string(root.join("src/lib.rs")).expect("read lib.rs");
    assert!(lib.contains("#![deny(unsafe_code)]"), "the compiler has to see to it too");
    let mut seccomp = Vec::new();
    for entry in std::fs::read_dir(root.join("../seccomp/src")).expect("read seccomp") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("read a file");
        if has_word(&code_of("", &text).replace("unsafe_code", ""), "unsafe") {
            seccomp.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
    assert_eq!(seccomp, ["install.rs"]);
}

/// A word as it stands, not as a part of a longer one.
fn has_word(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(start, _)| {
        let before = code[..start].chars().next_back();
        let after = code[start + word.len()..].chars().next();
        let starts = word.starts_with(|c: char| !is_part(c)) || before.is_none_or(|c| !is_part(c));
        let ends = word.ends_with(|c: char| !is_part(c)) || after.is_none_or(|c| !is_part(c));
        starts && ends
    })
}

/// Each hit that no exception allows, and each exception that allows nothing.
fn hits(sources: &[Source], words: &[&str], exceptions: &[(&str, &str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources {
        for word in words.iter().filter(|word| has_word(&source.code, word)) {
            match exceptions.iter().position(|(path, allowed, _)| source.path == *path && allowed == word) {
                Some(index) => drop(used.insert(index)),
                None => found.push(format!("{} has {word:?}", source.path)),
            }
        }
    }
    let unused = (0..exceptions.len()).filter(|index| !used.contains(index));
    found.extend(unused.map(|index| format!("{:?} is no exception any more", exceptions[index])));
    found
}

#[test]
fn a_new_process_has_no_words_that_allocate() {
    let runs_there = |source: &Source| {
        OF_A_NEW_PROCESS
            .iter()
            .any(|path| source.path == *path || path.ends_with('/') && source.path.starts_with(path))
    };
    let sources: Vec<Source> = sources().into_iter().filter(runs_there).collect();
    let found = hits(&sources, WORDS, EXCEPTIONS);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_library_leaves_its_caller_alone() {
    let found = hits(&sources(), NEVER, BUT);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_is_short() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//! ") {
            wrong.push(format!("{} does not open with //!", source.path));
        }
        let lines = source.text.lines().count();
        if lines > LONGEST {
            wrong.push(format!("{} has {lines} lines", source.path));
        }
        for drawer in ["utils", "util", "common", "helpers", "misc"] {
            if source.path.split(['/', '.']).any(|part| part == drawer) {
                wrong.push(format!("{} is a drawer", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The picture in the documentation is the order here.
#[test]
fn the_documentation_draws_this_order() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).expect("read ARCHITECTURE.md");
    let start = text.find("lib ▸").expect("the order");
    let drawn: Vec<&str> = text[start..]
        .split("```")
        .next()
        .unwrap_or("")
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|name| !name.is_empty() && *name != "lib")
        .collect();
    assert_eq!(drawn, ORDER);
}
