# workloads_wide.sh: the workloads that take images of their own, and minutes. Sourced by run.
# shellcheck shell=bash

# shellcheck source=/dev/null
. "$HERE/cases/workloads.sh"

workloads_wide() { workloads_of edge ci shop data; }
