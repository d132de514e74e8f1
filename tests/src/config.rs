//! A `config.json`, edited through JSON pointers (RFC 6901).
//!
//! It starts as the default of `runc spec`, without the terminal, so that each test states only what it changes.

use serde_json::{Map, Value, json};

use crate::user::{FIRST_OF_RANGE, USER};

/// The default configuration of runc 1.1, which every runtime's `spec` command follows.
pub const DEFAULT: &str = include_str!("default_config.json");

/// One container's configuration.
#[derive(Debug, Clone)]
pub struct Config(pub Value);

impl Default for Config {
    fn default() -> Self {
        let mut config = Config(serde_json::from_str(DEFAULT).expect("default_config.json is valid"));
        config.put("/process/terminal", json!(false));
        config
    }
}

impl Config {
    /// Sets the value at `pointer`; missing objects on the way are made, and `-` appends to an array
    /// (which is made as well).
    pub fn put(&mut self, pointer: &str, value: Value) -> &mut Self {
        let mut place = &mut self.0;
        for token in pointer.split('/').skip(1) {
            let key = token.replace("~1", "/").replace("~0", "~");
            if place.is_null() {
                *place = if key == "-" { json!([]) } else { Value::Object(Map::new()) };
            }
            place = match place {
                Value::Array(array) => {
                    if key == "-" {
                        array.push(Value::Null);
                    }
                    let index = if key == "-" { Ok(array.len() - 1) } else { key.parse() };
                    &mut array[index.unwrap_or_else(|_| panic!("{pointer}: {key} is no index"))]
                }
                Value::Object(object) => object.entry(key).or_insert(Value::Null),
                _ => panic!("{pointer}: {key} is inside something without members"),
            };
        }
        *place = value;
        self
    }

    /// Removes what is at `pointer`; nothing there is a mistake of the test.
    #[track_caller]
    pub fn remove(&mut self, pointer: &str) -> &mut Self {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer starts with /");
        let removed = match self.0.pointer_mut(parent) {
            Some(Value::Object(object)) => object.remove(key),
            Some(Value::Array(array)) => key.parse().ok().map(|index: usize| array.remove(index)),
            _ => None,
        };
        assert!(removed.is_some(), "{pointer} is not in the config");
        self
    }

    /// The process's arguments.
    pub fn args(&mut self, args: &[&str]) -> &mut Self {
        self.put("/process/args", json!(args))
    }

    /// Runs `script` in the container's shell.
    pub fn sh(&mut self, script: &str) -> &mut Self {
        self.args(&["/bin/sh", "-c", script])
    }

    /// Adds `NAME=value` to the environment.
    pub fn env(&mut self, assignment: &str) -> &mut Self {
        self.put("/process/env/-", json!(assignment))
    }

    /// Adds a mount after those that are there.
    pub fn mount(&mut self, kind: &str, source: &str, destination: &str, options: &[&str]) -> &mut Self {
        let mount = json!({"type": kind, "source": source, "destination": destination, "options": options});
        self.put("/mounts/-", mount)
    }

    /// Drops the mount on `destination`.
    pub fn without_mount(&mut self, destination: &str) -> &mut Self {
        self.retain("/mounts", |mount| mount["destination"] != destination)
    }

    /// Adds a namespace to make.
    pub fn namespace(&mut self, kind: &str) -> &mut Self {
        self.put("/linux/namespaces/-", json!({"type": kind}))
    }

    /// Joins the namespace at `path` in place of making one.
    pub fn join(&mut self, kind: &str, path: &str) -> &mut Self {
        self.without_namespace(kind).put("/linux/namespaces/-", json!({"type": kind, "path": path}))
    }

    /// Leaves the container in the runtime's own namespace of this kind.
    pub fn without_namespace(&mut self, kind: &str) -> &mut Self {
        self.retain("/linux/namespaces", |namespace| namespace["type"] != kind)
    }

    /// A user namespace in which the container's root is host user `base`, with 1000 ids.
    pub fn user_namespace(&mut self, base: u32) -> &mut Self {
        self.namespace("user")
            .put("/linux/uidMappings", json!([{"containerID": 0, "hostID": base, "size": 1000}]))
            .put("/linux/gidMappings", json!([{"containerID": 0, "hostID": base, "size": 1000}]))
    }

    /// What `spec --rootless` makes of the default: root inside is the test's user outside, and nothing is asked for
    /// that a user may not have.
    pub fn rootless(&mut self) -> &mut Self {
        let own = json!([{"containerID": 0, "hostID": USER, "size": 1}]);
        self.namespace("user")
            .put("/linux/uidMappings", own.clone())
            .put("/linux/gidMappings", own)
            .without_namespace("network")
            .remove("/linux/resources")
            .without_mount("/sys")
            .without_mount("/sys/fs/cgroup")
            .mount("none", "/sys", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"])
            .mount("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]);
        let terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
        self.without_mount("/dev/pts").mount("devpts", "devpts", "/dev/pts", &terminals)
    }

    /// Further ids for a rootless config, from a range that the test's user has: 1 inside and so on.
    pub fn with_ranges(&mut self) -> &mut Self {
        let further = json!({"containerID": 1, "hostID": FIRST_OF_RANGE, "size": 65536});
        self.put("/linux/uidMappings/-", further.clone()).put("/linux/gidMappings/-", further)
    }

    /// Gives all five sets exactly `names`.
    pub fn capabilities(&mut self, names: &[&str]) -> &mut Self {
        for set in ["bounding", "effective", "inheritable", "permitted", "ambient"] {
            self.put(&format!("/process/capabilities/{set}"), json!(names));
        }
        self
    }

    /// Lets the container write to its root.
    pub fn writable(&mut self) -> &mut Self {
        self.put("/root/readonly", json!(false))
    }

    fn retain(&mut self, pointer: &str, keep: impl Fn(&Value) -> bool) -> &mut Self {
        if let Some(Value::Array(array)) = self.0.pointer_mut(pointer) {
            array.retain(keep);
        }
        self
    }
}
