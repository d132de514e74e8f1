//! A kubelet sends a pod's config again with each of its containers. This client ends after each call, so it keeps
//! the config in a file until the pod is removed.

use crate::Outcome;
use k8s_cri::v1::PodSandboxConfig;
use std::fs;
use std::path::{Path, PathBuf};

const KEPT: &str = "/run/cri-client";

pub fn write(pod: &str, config: &PodSandboxConfig) -> Outcome<()> {
    fs::create_dir_all(KEPT)?;
    Ok(fs::write(path(pod), serde_json::to_vec(config)?)?)
}

pub fn read(pod: &str) -> Outcome<PodSandboxConfig> {
    let bytes = fs::read(path(pod)).map_err(|error| format!("the config of pod {pod:?}: {error}"))?;
    Ok(serde_json::from_slice(&bytes)?)
}

pub fn remove(pod: &str) {
    // A pod of somebody else's has no file.
    let _ = fs::remove_file(path(pod));
}

fn path(pod: &str) -> PathBuf {
    Path::new(KEPT).join(format!("{pod}.json"))
}
