# workload.sh: the scripts of workloads/ in a cell, and the images that they use. Sourced.
#
# No registry is asked: an image is a Debian tree, made like the others (root.sh) when the first workload wants it, and
# imported.
# shellcheck shell=bash

SHOP_PACKAGES="postgresql python3-flask python3-psycopg2 gunicorn"
JAVA_PACKAGES="default-jdk-headless"
CI_PACKAGES="docker.io docker-cli docker-buildx containerd runc crun iptables busybox-static gcc libc6-dev make procps"

# The image debian-NAME, given as the tar of a root to COMMAND... - debian-NAME, as docker import wants it.
workload_image() { # servers|shop|java|ci COMMAND...
  local name=$1 tree=$1
  shift
  case $name in servers) tree=services ;; esac
  (
    flock 9
    case $name in
      servers) ;; # made with the engines
      shop) root_with shop "$SHOP_PACKAGES" ;;
      java) root_with java "$JAVA_PACKAGES" ;;
      ci) root_with ci "$CI_PACKAGES" ;;
    esac
  ) 9>"$HUSK_CACHE/roots/.lock"
  # What dpkg and apt keep for themselves is of no use in an image.
  tar -C "$(root_path "$tree")" --one-file-system --numeric-owner --exclude='./var/lib/apt/lists/*' \
    --exclude='./var/cache/*' --exclude='./usr/share/doc/*' --exclude='./usr/share/locale/*' -cf - . |
    "$@" - "debian-$name"
}

# The scripts and the images of a workload, in the cell.
workload_prepare() { # NAME
  local image
  tar -C "$HERE" -cf - lib/check.sh workloads | cell sh -c 'mkdir -p /srv/integration && tar -C /srv/integration -xf -'
  for image in $(sed -n 's/^needs_images //p' "$HERE/workloads/$1/run"); do
    cell docker image inspect "$image" >/dev/null 2>&1 || HUSK_TIMEOUT=300 workload_image "${image#debian-}" cell docker import >/dev/null
  done
}

# Its lines are printed and counted as checks of this case.
workload() { # NAME
  local line
  workload_prepare "$1"
  HUSK_TIMEOUT=600 cell "/srv/integration/workloads/$1/run" >"$SCRATCH/workload" 2>&1 </dev/null || true
  while IFS= read -r line; do
    case $line in
      ok*) PASSED=$((PASSED + 1)) ;;
      FAIL*) FAILED=$((FAILED + 1)) ;;
      skip*) SKIPPED=$((SKIPPED + 1)) ;;
    esac
    printf '%s\n' "${line/ $1: / $CASE: $1: }"
  done <"$SCRATCH/workload"
  grep -qE '^(ok|FAIL|skip) ' "$SCRATCH/workload" || fail "$1" 'checks' 'none was made'
}
