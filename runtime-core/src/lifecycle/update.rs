//! `update`: new limits for a container, written to its cgroup and into its saved config; and new shares of its resctrl group.

use crate::cgroup::Cgroup;
use crate::container::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::plan_update;
use crate::resctrl::RdtGroup;
use crate::spec::LinuxResources;
use crate::state::{Record, Status};
use serde_json::{Map, Value};

pub(crate) fn update(container: &Container, given: &LinuxResources, schemata: &[String]) -> Result<()> {
    let _lock = container.directory().lock()?;
    if !matches!(container.status()?.0, Status::Created | Status::Running | Status::Paused) {
        return Err(Error::new(ErrorKind::InvalidState, "container not running"));
    }
    let record = container.record()?;
    let before = match (&record.rdt, schemata) {
        (_, []) => None,
        (Some(group), lines) => Some((group, group.share(lines)?)),
        (None, _) => return Err(RdtGroup::missing()),
    };
    let updated = update_limits(container, &record, given);
    if let (Err(_), Some((group, shares))) = (&updated, before) {
        // What failed already is what is reported.
        let _ = group.share(&shares);
    }
    updated
}

fn update_limits(container: &Container, record: &Record, given: &LinuxResources) -> Result<()> {
    let spec = container.spec()?;
    let saved = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let cgroup = Cgroup::open(&record.cgroup)?;
    cgroup.required_to("change its limits")?;
    let plan = plan_update(cgroup.places(), record.unit.is_some(), given, saved)?;
    let old_config = container.directory().read_config()?;
    let config = changed_config(&old_config, given)?;
    plan.at_least_usage.iter().try_for_each(|(name, limit)| cgroup.check_usage(name, *limit))?;
    let updated = cgroup.update(&plan.cgroup)?;
    if let Err(error) = container.directory().write_config(&config) {
        return Err(updated.take_back(error));
    }
    // Last, since systemd takes all or nothing: it keeps to the values that are in force already.
    let Some(unit) = record.unit.as_ref().filter(|_| !plan.properties.is_empty()) else { return Ok(()) };
    match unit.set_properties(&plan.properties) {
        Ok(()) => updated.affirm(),
        Err(error) => {
            let _ = container.directory().write_config(&old_config);
            Err(updated.take_back(error))
        }
    }
}

/// The saved config with the given resources in it; fields that this crate does not know stay.
fn changed_config(config: &[u8], given: &LinuxResources) -> Result<Vec<u8>> {
    let damaged = |error: serde_json::Error| {
        Error::new(ErrorKind::System, format!("cannot change the saved config: {error}"))
    };
    let mut document: Value = serde_json::from_slice(config).map_err(damaged)?;
    let mut given = serde_json::to_value(given).map_err(damaged)?;
    drop_unset(&mut given);
    let mut resources = &mut document;
    for name in ["linux", "resources"] {
        if !resources[name].is_object() {
            resources[name] = Value::Object(Map::new());
        }
        resources = &mut resources[name];
    }
    merge(resources, given);
    serde_json::to_vec(&document).map_err(damaged)
}

/// Where a zero, or an empty list, says "not set".
const ZERO_IS_UNSET: [&str; 14] = [
    "/memory/limit",
    "/memory/swap",
    "/memory/reservation",
    "/memory/kernel",
    "/memory/kernelTCP",
    "/cpu/shares",
    "/cpu/quota",
    "/cpu/period",
    "/cpu/realtimeRuntime",
    "/cpu/realtimePeriod",
    "/cpu/cpus",
    "/cpu/mems",
    "/blockIO/weight",
    "/network/classID",
];

fn drop_unset(given: &mut Value) {
    if let Some(given) = given.as_object_mut() {
        given.remove("devices");
    }
    for pointer in ZERO_IS_UNSET {
        let (group, field) = pointer[1..].split_once('/').unwrap_or_default();
        let Some(group) = given.get_mut(group).and_then(Value::as_object_mut) else { continue };
        if group.get(field).is_some_and(|value| *value == 0 || *value == "") {
            group.remove(field);
        }
    }
    let swappiness = given.pointer("/memory/swappiness").and_then(Value::as_u64);
    if swappiness == Some(u64::MAX)
        && let Some(memory) = given.get_mut("memory").and_then(Value::as_object_mut)
    {
        memory.remove("swappiness");
    }
}

/// Objects are merged field by field, lists entry by entry.
fn merge(into: &mut Value, given: Value) {
    match (into, given) {
        (Value::Object(into), Value::Object(given)) => {
            for (key, value) in given {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(given)) => {
            for entry in given {
                match into.iter_mut().find(|present| same(present, &entry)) {
                    Some(present) => merge(present, entry),
                    None => into.push(entry),
                }
            }
        }
        (into, given) => *into = given,
    }
}

/// Whether two entries of a list speak of the same device, page size or interface.
fn same(one: &Value, other: &Value) -> bool {
    ["major", "minor", "pageSize", "name"].iter().all(|key| one.get(key) == other.get(key))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_saved_config_keeps_what_is_not_given() {
        let saved = json!({
            "future": 1,
            "linux": { "resources": {
                "devices": [{ "allow": false, "access": "rwm" }],
                "memory": { "limit": 5, "reservation": 4 },
                "hugepageLimits": [{ "pageSize": "2MB", "limit": 1 }, { "pageSize": "1GB", "limit": 2 }],
            }},
        });
        let given = json!({
            "devices": [],
            "memory": { "limit": 7, "reservation": 0 },
            "cpu": { "shares": 0, "cpus": "", "quota": 9, "idle": 0 },
            "hugepageLimits": [{ "pageSize": "2MB", "limit": 3 }],
        });
        let given: LinuxResources = serde_json::from_value(given).unwrap();
        let changed = changed_config(saved.to_string().as_bytes(), &given).unwrap();
        let expected = json!({
            "future": 1,
            "linux": { "resources": {
                "devices": [{ "allow": false, "access": "rwm" }],
                "memory": { "limit": 7, "reservation": 4 },
                "cpu": { "quota": 9, "idle": 0 },
                "hugepageLimits": [{ "pageSize": "2MB", "limit": 3 }, { "pageSize": "1GB", "limit": 2 }],
            }},
        });
        assert_eq!(serde_json::from_slice::<Value>(&changed).unwrap(), expected);
        let changed = changed_config(b"{}", &given).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&changed).unwrap()["linux"]["resources"]["memory"]["limit"],
            7
        );
    }
}
