//! Planning, data-driven: `plan/NAME.json` holds a config, `plan/NAME.txt` the plan or the problems that come out.
//!
//! `UPDATE_PLANS=1 cargo test -p husk-core --test plan` writes the expected files anew; read the difference.

use husk_core::{Bundle, CgroupLayout, ContainerId, CreateOptions, Hierarchy, Host};
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

/// Without the length of the filter, which is up to the version of libseccomp.
fn stable(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("system call filter: ") {
        Some((before, _)) => format!("{before}system call filter\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn configs_give_the_expected_plans() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan");
    let update = std::env::var_os("UPDATE_PLANS").is_some();
    let mut configs: Vec<PathBuf> = fs::read_dir(&directory)
        .expect("list tests/plan")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    configs.sort();
    assert!(configs.len() > 1, "no configs in {}", directory.display());
    let mut different = Vec::new();
    for path in configs {
        let config = fs::read_to_string(&path).expect("read a config");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let host = if name.ends_with("_hybrid") { hybrid_host() } else { host() };
        let found = outcome(&config, &host);
        let expected = path.with_extension("txt");
        if update {
            fs::write(&expected, &found).expect("write the expected plan");
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            different.push(format!("--- {name}\n{found}"));
        }
    }
    assert!(different.is_empty(), "different from what is expected:\n{}", different.join("\n"));
}
