//! What a group of the resctrl file system may use and does use, with runc's keys (the kernel's filesystems/resctrl.rst,
//! "Info directory", "Resource monitoring").
//!
//! What this machine cannot share out or measure is left out; a number that the kernel does not have at the moment
//! ("Unavailable") is 0.

use super::RdtGroup;
use serde::Serialize;
use std::fs;
use std::path::Path;
use std::str::FromStr;

/// All of it. Of a container without a group nothing is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RdtStats {
    /// How this machine shares out its last-level cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l3_cache_info: Option<CacheInfo>,
    /// The cache of those that have no group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub l3_cache_schema_root: String,
    /// The group's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub l3_cache_schema: String,
    /// How this machine shares out its memory bandwidth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_bw_info: Option<BandwidthInfo>,
    /// The bandwidth of those that have no group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mem_bw_schema_root: String,
    /// The group's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mem_bw_schema: String,
    /// Every line of the group's shares.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schemata: Vec<String>,
    /// Bytes moved, for each cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mbm_stats: Option<Vec<BandwidthUsed>>,
    /// Bytes cached, for each cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmt_stats: Option<Vec<CacheUsed>>,
}

/// `info/L3`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the file of its name")]
pub struct CacheInfo {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cbm_mask: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub min_cbm_bits: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_closids: u64,
}

/// `info/MB`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the file of its name")]
pub struct BandwidthInfo {
    #[serde(skip_serializing_if = "is_zero")]
    pub bandwidth_gran: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub delay_linear: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub min_bandwidth: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_closids: u64,
}

/// What was moved over one cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the file of its name")]
pub struct BandwidthUsed {
    pub mbm_total_bytes: u64,
    pub mbm_local_bytes: u64,
}

/// What lies in one cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "it is the file of its name")]
pub struct CacheUsed {
    pub llc_occupancy: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl RdtGroup {
    /// What it may use and uses now. The container's own monitoring group is looked at, if it has one.
    pub(crate) fn stats(&self) -> RdtStats {
        let root = self.root();
        let (info, all, own) = (root.join("info"), shares(root), shares(&self.directory));
        let mut stats = RdtStats { schemata: own.clone(), ..RdtStats::default() };
        let cache = info.join("L3");
        if cache.is_dir() {
            stats.l3_cache_info = Some(CacheInfo {
                cbm_mask: text(&cache.join("cbm_mask")),
                min_cbm_bits: number(&cache.join("min_cbm_bits")),
                num_closids: number(&cache.join("num_closids")),
            });
            (stats.l3_cache_schema_root, stats.l3_cache_schema) = (share(&all, "L3"), share(&own, "L3"));
        }
        let bandwidth = info.join("MB");
        if bandwidth.is_dir() {
            stats.mem_bw_info = Some(BandwidthInfo {
                bandwidth_gran: number(&bandwidth.join("bandwidth_gran")),
                delay_linear: number(&bandwidth.join("delay_linear")),
                min_bandwidth: number(&bandwidth.join("min_bandwidth")),
                num_closids: number(&bandwidth.join("num_closids")),
            });
            (stats.mem_bw_schema_root, stats.mem_bw_schema) = (share(&all, "MB"), share(&own, "MB"));
        }
        let measured = text(&info.join("L3_MON/mon_features"));
        let caches = caches(&self.monitor.as_ref().unwrap_or(&self.directory).join("mon_data"));
        if measured.contains("mbm_") {
            let used = caches.iter().map(|cache| BandwidthUsed {
                mbm_total_bytes: number(&cache.join("mbm_total_bytes")),
                mbm_local_bytes: number(&cache.join("mbm_local_bytes")),
            });
            stats.mbm_stats = Some(used.collect());
        }
        if measured.contains("llc_occupancy") {
            let used =
                caches.iter().map(|cache| CacheUsed { llc_occupancy: number(&cache.join("llc_occupancy")) });
            stats.cmt_stats = Some(used.collect());
        }
        stats
    }
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default().trim().to_owned()
}

fn number(file: &Path) -> u64 {
    u64::from_str(&text(file)).unwrap_or(0)
}

/// The lines of a group's `schemata`.
fn shares(group: &Path) -> Vec<String> {
    text(&group.join("schemata")).lines().map(|line| line.trim().to_owned()).collect()
}

/// The line that speaks of a resource, whose name may have more behind it (`L3CODE`).
fn share(lines: &[String], resource: &str) -> String {
    lines.iter().rfind(|line| line.starts_with(resource)).cloned().unwrap_or_default()
}

/// The directories of the last-level caches, in their order.
fn caches(mon_data: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(mon_data).into_iter().flatten().flatten();
    let is_cache = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b"mon_L3_");
    let mut caches: Vec<_> =
        entries.filter(|entry| is_cache(&entry.file_name())).map(|entry| entry.path()).collect();
    caches.sort();
    caches
}

#[cfg(test)]
mod tests {
    use super::super::tests::{plan, root};
    use super::*;
    use serde_json::json;

    fn files(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("make a directory");
            fs::write(path, text).expect("write");
        }
    }

    #[test]
    fn a_machine_that_can_do_nothing_tells_nothing() {
        let root = root("nothing");
        let group = RdtGroup::make_in(&root, &plan(false, &[], false)).expect("make");
        assert_eq!(serde_json::to_value(group.stats()).expect("JSON"), json!({}));
        fs::remove_dir_all(root).expect("remove the root");
    }

    #[test]
    fn shares_and_measures_have_runcs_keys() {
        let root = root("stats");
        files(
            &root,
            &[
                ("schemata", "    MB:0=100;1=100\n    L3:0=fffff;1=fffff\n"),
                ("info/L3/cbm_mask", "fffff\n"),
                ("info/L3/min_cbm_bits", "1\n"),
                ("info/L3/num_closids", "16\n"),
                ("info/MB/bandwidth_gran", "10\n"),
                ("info/MB/delay_linear", "1\n"),
                ("info/MB/min_bandwidth", "10\n"),
                ("info/MB/num_closids", "8\n"),
                ("info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n"),
                ("c1/mon_groups/c1/mon_data/mon_L3_01/mbm_total_bytes", "Unavailable\n"),
                ("c1/mon_groups/c1/mon_data/mon_L3_00/mbm_total_bytes", "7\n"),
                ("c1/mon_groups/c1/mon_data/mon_L3_00/mbm_local_bytes", "5\n"),
                ("c1/mon_groups/c1/mon_data/mon_L3_00/llc_occupancy", "3\n"),
            ],
        );
        let group =
            RdtGroup::make_in(&root, &plan(false, &["L3:0=f;1=f", "MB:0=50;1=50"], true)).expect("make");
        let expected = json!({
            "l3_cache_info": { "cbm_mask": "fffff", "min_cbm_bits": 1, "num_closids": 16 },
            "l3_cache_schema_root": "L3:0=fffff;1=fffff",
            "l3_cache_schema": "L3:0=f;1=f",
            "mem_bw_info": { "bandwidth_gran": 10, "delay_linear": 1, "min_bandwidth": 10, "num_closids": 8 },
            "mem_bw_schema_root": "MB:0=100;1=100",
            "mem_bw_schema": "MB:0=50;1=50",
            "schemata": ["L3:0=f;1=f", "MB:0=50;1=50"],
            "mbm_stats": [
                { "mbm_total_bytes": 7, "mbm_local_bytes": 5 },
                { "mbm_total_bytes": 0, "mbm_local_bytes": 0 },
            ],
            "cmt_stats": [{ "llc_occupancy": 3 }, { "llc_occupancy": 0 }],
        });
        assert_eq!(serde_json::to_value(group.stats()).expect("JSON"), expected);
        fs::remove_dir_all(root).expect("remove the root");
    }
}
