//! Planning, data-driven: `plan/NAME.json` holds a config, `plan/NAME.txt` the plan or the problems that come out.
//! `plan/edits/NAME.json` holds named edits of the default config, `plan/edits/NAME.txt` what each changes.
//!
//! `UPDATE_PLANS=1 cargo test -p husk-core --test plan` writes the expected files anew; read the difference.

use husk_core::{Bundle, CgroupLayout, ContainerId, CreateOptions, Hierarchy, Host};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A machine that does not depend on where the test runs.
fn host() -> Host {
    Host {
        kernel: (6, 12),
        cgroups: CgroupLayout::Unified { mountpoint: PathBuf::from("/sys/fs/cgroup") },
        own_cgroup: "/".to_owned(),
        euid: 0,
        egid: 0,
        privileged: true,
        sys_admin: true,
        may_map_ids: true,
        in_user_namespace: false,
        setgroups: true,
        apparmor: true,
        selinux: false,
        last_capability: 40,
        has_kcore: true,
    }
}

/// The same, with v1 hierarchies, two of them mounted as one.
fn hybrid_host() -> Host {
    let hierarchy = |name: &str, controllers: &[&str]| Hierarchy {
        mountpoint: Path::new("/sys/fs/cgroup").join(name),
        controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
        own_cgroup: "/".to_owned(),
    };
    let cgroups = CgroupLayout::Hybrid {
        hierarchies: vec![
            hierarchy("systemd", &["name=systemd"]),
            hierarchy("cpu,cpuacct", &["cpu", "cpuacct"]),
            hierarchy("memory", &["memory"]),
        ],
        unified: Some(PathBuf::from("/sys/fs/cgroup/unified")),
    };
    Host { cgroups, ..host() }
}

/// What comes out for a config, as text. Its bundle is at `/bundle`, wherever the file is.
fn outcome(config: &str, host: &Host) -> String {
    let directory = std::env::temp_dir().join(format!("husk-plan-{}-{:p}", std::process::id(), config));
    fs::create_dir_all(&directory).expect("make a bundle");
    fs::write(directory.join("config.json"), config).expect("write config.json");
    let id: ContainerId = "c1".parse().expect("an id");
    let text = Bundle::open(&directory)
        .and_then(|bundle| bundle.plan(&id, host, &CreateOptions::new()))
        .map_or_else(|error| format!("{error}\n"), |plan| plan.to_string());
    fs::remove_dir_all(&directory).expect("remove the bundle");
    stable(&text.replace(directory.to_str().expect("a UTF-8 path"), "/bundle"))
}

/// Without the length of the filter, which is up to the version of libseccomp, and without NULs, for which tools take a
/// file to be no text.
fn stable(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("system call filter: ") {
        Some((before, _)) => format!("{before}system call filter\n"),
        None => format!("{line}\n"),
    });
    lines.collect::<String>().replace('\0', "\\0")
}

/// Compares with the expected text, or replaces it.
fn compare(expected: &Path, found: &str, different: &mut Vec<String>) {
    if std::env::var_os("UPDATE_PLANS").is_some() {
        fs::write(expected, found).expect("write what is expected");
    } else if fs::read_to_string(expected).unwrap_or_default() != found {
        different.push(format!("--- {}\n{found}", expected.display()));
    }
}

fn json_files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)
        .expect("list the test data")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no test data in {}", directory.display());
    files
}

#[test]
fn configs_give_the_expected_plans() {
    let mut different = Vec::new();
    for path in json_files("tests/plan") {
        let config = fs::read_to_string(&path).expect("read a config");
        let is_hybrid = path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("_hybrid"));
        let has_selinux = path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("_selinux"));
        let host = if is_hybrid { hybrid_host() } else { Host { selinux: has_selinux, ..host() } };
        compare(&path.with_extension("txt"), &outcome(&config, &host), &mut different);
    }
    assert!(different.is_empty(), "different from what is expected:\n{}", different.join("\n"));
}

/// One edit of a config: a pointer, and a value, where null removes; `-` appends to a list.
type Edit = (String, Value);

fn edit(config: &mut Value, (pointer, value): &Edit) {
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer");
    let parent = config.pointer_mut(parent).unwrap_or_else(|| panic!("nothing at {parent:?}"));
    match parent {
        Value::Array(list) if last == "-" => list.push(value.clone()),
        Value::Array(list) if value.is_null() => drop(list.remove(last.parse().expect("an index"))),
        Value::Array(list) => list[last.parse::<usize>().expect("an index")] = value.clone(),
        Value::Object(map) if value.is_null() => drop(map.remove(last)),
        Value::Object(map) => drop(map.insert(last.to_owned(), value.clone())),
        _ => panic!("{pointer:?} is in neither a list nor an object"),
    }
}

/// What an edit changes in the plan, as lines with `+` and `-`; or the problems that it makes.
fn effect(before: &str, after: &str) -> String {
    if !after.starts_with("  1  ") {
        return after.to_owned();
    }
    // The number of a line is of no interest here.
    let lines = |text: &str| -> Vec<String> { text.lines().map(|line| line[5..].to_owned()).collect() };
    let (before, after) = (lines(before), lines(after));
    let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("- {line}\n"));
    let new = after.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}\n"));
    let text: String = gone.chain(new).collect();
    if text.is_empty() { "the same plan\n".to_owned() } else { text }
}

#[test]
fn edits_have_the_expected_effects() {
    let default = include_str!("plan/default.json");
    let mut different = Vec::new();
    for path in json_files("tests/plan/edits") {
        for (suffix, host) in [("txt", host()), ("hybrid.txt", hybrid_host())] {
            if suffix == "hybrid.txt" && !path.ends_with("mounts.json") {
                continue;
            }
            let before = outcome(default, &host);
            let text = fs::read_to_string(&path).expect("read edits");
            let rows: Vec<(String, Vec<Edit>)> = serde_json::from_str(&text).expect("a list of edits");
            let mut found = String::new();
            for (name, edits) in rows {
                let mut config: Value = serde_json::from_str(default).expect("the default config");
                edits.iter().for_each(|one| edit(&mut config, one));
                let after = outcome(&config.to_string(), &host);
                found += &format!("== {name}\n{}\n", effect(&before, &after));
            }
            compare(&path.with_extension(suffix), &found, &mut different);
        }
    }
    assert!(different.is_empty(), "different from what is expected:\n{}", different.join("\n"));
}

/// What `runc spec` writes, but for what changed between its versions, and for the host name.
#[test]
fn the_default_config_is_that_of_runc() {
    for (rootless, theirs) in
        [(false, include_str!("plan/runc_1_1.json")), (true, include_str!("plan/runc_1_1_rootless.json"))]
    {
        let mut theirs: Value = serde_json::from_str(theirs).expect("a config");
        let mut ours = serde_json::to_value(husk_core::default_spec(rootless)).expect("JSON");
        for config in [&mut ours, &mut theirs] {
            config["ociVersion"].take();
            config["hostname"].take();
            // Newer ones ask for no ambient capabilities.
            config["process"]["capabilities"].as_object_mut().expect("capabilities").remove("ambient");
            for set in config["process"]["capabilities"].as_object_mut().expect("capabilities").values_mut() {
                set.as_array_mut().expect("a list").sort_by_key(Value::to_string);
            }
            let linux = config["linux"].as_object_mut().expect("linux");
            for key in ["uidMappings", "gidMappings"] {
                if let Some(list) = linux.get_mut(key) {
                    list[0]["hostID"].take();
                }
            }
            // Only where cgroup v2 is mounted.
            linux["namespaces"]
                .as_array_mut()
                .expect("a list")
                .retain(|namespace| namespace["type"] != "cgroup");
        }
        assert_eq!(ours, theirs, "rootless: {rootless}");
    }
}
