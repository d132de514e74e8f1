# workloads.sh: the quick ones of the workloads that people have: each a script of workloads/. Sourced by run.
# shellcheck shell=bash

workloads() { workloads_of site store gpu; }

workloads_of() { # WORKLOAD...
  local before name
  if ! cell_has_nat; then
    skip 'all of it' 'this kernel cannot translate addresses'
    return
  fi
  expect 'containerd starts' 0 '' containerd_up
  expect 'dockerd starts' 0 '' docker_up
  last_passed || return 0
  expect 'podman is set up' 0 '' podman_up
  expect 'docker run --rm' 0 '^Hello World$' cell docker run --rm busybox echo Hello World
  before=$(cell_inventory)
  for name; do workload "$name"; done
  expect 'no container is left' 0 '^$' cell docker ps -aq
  # What the engines make at the first use and keep.
  expect_same 'nothing is left of any' "$before" '^cgroup .*/(default|docker|docker/buildkit|libpod_parent|libpod_parent/conmon)$|^state .*/default$|^mount /run/netns$'
}
