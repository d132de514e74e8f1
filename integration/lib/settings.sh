# settings.sh: where things live and what is under test. Sourced; every value can be given in the environment.
# shellcheck shell=bash disable=SC2034  # the files that source this one use the values

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Roots, images, logs and running cells. Safe to remove when nothing runs; the next run fills it again.
HUSK_CACHE=${HUSK_CACHE:-/var/tmp/husk-integration}
# The Debian suite that the engines come from: the newest ones, because those are what users meet next.
HUSK_SUITE=${HUSK_SUITE:-sid}
# A Debian mirror; by default the one that apt on this machine uses.
HUSK_MIRROR=${HUSK_MIRROR:-}
# The runtime under test: a file of this machine, or a bare name (runc, crun) for the one that Debian ships.
RUNTIME=${RUNTIME:-${CARGO_TARGET_DIR:-$HERE/../target}/release/husk}
[[ $RUNTIME != */* ]] || RUNTIME=$(realpath -m -- "$RUNTIME")
# What a cell of a hybrid machine shows of its cgroups: all, or v1 alone. crun refuses the mixture.
HUSK_CGROUPS=${HUSK_CGROUPS:-$([ "${RUNTIME##*/}" = crun ] && echo v1 || echo all)}
# Seconds that one command inside a cell may take.
HUSK_TIMEOUT=${HUSK_TIMEOUT:-60}
# The name of a stand-in for the runtime, while its input is being recorded (see record.sh).
RECORDER=

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'integration: %s\n' "$*" >&2; exit 1; }
