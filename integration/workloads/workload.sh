# workload.sh: what the script of each workload has. Sourced, first of all.
#
# A script says what it does in the words of the engine, and what has to come of it with `expect` and `expect_soon` of
# lib/check.sh, one line each. Whatever happens, it calls its own `clean` before it ends; its exit status is 0 only
# when nothing failed.
# shellcheck shell=bash

set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
# shellcheck source=/dev/null
. ../../lib/check.sh
CASE=${PWD##*/}
SCRATCH=$(mktemp -d)
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

finish() {
  local status=$?
  trap - EXIT
  clean >/dev/null 2>&1 || true
  rm -r "$SCRATCH"
  [ "$FAILED" = 0 ] || status=1
  exit "$status"
}

# The images are made of Debian's packages by `images` beside this file, since no registry is asked.
needs_images() {
  local image
  for image; do
    docker image inspect "$image" >/dev/null 2>&1 && continue
    fail 'its images' "$image" "Docker does not have it; make it by: integration/workloads/images"
    exit 1
  done
}
