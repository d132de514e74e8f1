# report.sh: the measurements as tables. Sourced.
# shellcheck shell=bash

report() { # WORK ROOT
  local work=$1 root=$2 layout
  # shellcheck disable=SC2016  # backticks of Markdown
  printf 'Made by `make bench` on %s, by %s rounds of %s runs each, interleaved.\n\n' "$(date -u +%F)" "$ROUNDS" "$RUNS"
  machine "$work" "$root"
  for layout in unified host; do
    case $layout in
      unified) printf '\n### cgroup v2 alone\n\n' ;;
      host) printf '\n### The cgroup layout of this machine (%s)\n\ncrun refuses a hybrid host.\n\n' "$(layout_name)" ;;
    esac
    times "$root" "$work/out/$layout.jsonl"
    if [ "$layout" = unified ]; then
      printf '\n![run over the number of host mounts](performance/mounts.svg)\n![run over the number of running containers](performance/containers.svg)\n'
    fi
    echo
    footprint_table "$work/out/$layout.footprint"
  done
  printf '\n### Binaries\n\n'
  binaries "$work" "$root"
}

layout_name() {
  if [ -f /sys/fs/cgroup/cgroup.procs ]; then echo 'cgroup v2'; else echo 'v1 hierarchies and a v2 one'; fi
}

machine() {
  local cpu
  cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
  printf -- '- Linux %s on %s CPUs (%s)%s, %d MiB of memory\n' "$(uname -r)" "$(nproc)" "$cpu" \
    "$(grep -qw hypervisor /proc/cpuinfo && echo ', a virtual machine')" $(($(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo) / 1024))
  printf -- '- crun %s, runc %s, husk %s\n' "$(package_version "$2" crun)" "$(package_version "$2" runc)" \
    "$("$1/bin/husk" --version | awk 'NR == 1 { print $NF }')"
  printf -- '- load average (one minute) before and after: %s with cgroup v2, %s with the layout of the machine; the benchmark itself adds about 1\n' \
    "$(paste -sd, "$1/out/unified.load" | sed 's/,/ and /')" "$(paste -sd, "$1/out/host.load" | sed 's/,/ and /')"
  if awk '$1 > 1 { busy = 1 } END { exit !busy }' <(head -n 1 "$1/out/unified.load"); then
    printf -- '- **The machine was busy with other work.** Medians and ratios are rough; the minima are the better guide.\n'
  fi
}

package_version() { dpkg-query --admindir="$1/var/lib/dpkg" -W -f '${Version}' "$2"; }

# One row a workload and runtime. user and sys are means, as the processes that were waited for used them.
times() { # ROOT FILE
  echo '| workload | runtime | median ms | quartiles | min | user | sys | × crun | × floor |'
  echo '|---|---|--:|--:|--:|--:|--:|--:|--:|'
  # shellcheck disable=SC2016  # the dollars are jq's
  chroot "$1" jq -rs '
    def at($part): sort | .[((length - 1) * $part | round)];
    def ms: . * 1000 | if . < 9.95 then . * 100 | round / 100 else . * 10 | round / 10 end;
    def mean: add / length;
    def ratio($to): if $to then (. / $to * 100 | round / 100 | tostring) else "–" end;
    [.[].workload] as $order
    | group_by(.workload) | sort_by(.[0].workload as $name | $order | index([$name]))[]
    | group_by(.runtime) | map({name: .[0].runtime, times: (map(.times) | add), user: (map(.user) | mean), system: (map(.system) | mean), workload: .[0].workload})
    | (map({(.name): (.times | at(0.5))}) | add) as $medians
    | sort_by(.name as $name | ["husk", "crun", "runc", "floor"] | index([$name]))[]
    | [.workload, .name, (.times | at(0.5) | ms), "\(.times | at(0.25) | ms)–\(.times | at(0.75) | ms)", (.times | min | ms),
       (.user | ms), (.system | ms), ($medians[.name] | ratio($medians.crun)), ($medians[.name] | ratio($medians.floor))]
    | "| " + (map(tostring) | join(" | ")) + " |"' <"$2"
}

footprint_table() { # FILE
  echo '| command | runtime | peak memory KiB | page faults | system calls |'
  echo '|---|---|--:|--:|--:|'
  sort -t$'\t' -s -k2,2 "$1" | awk -F'\t' '{ printf "| %s | %s | %s | %s | %s |\n", $2, $1, $3, $4, $5 }'
}

binaries() { # WORK ROOT
  local name libraries
  echo '| runtime | binary KiB | shared libraries |'
  echo '|---|--:|--:|'
  for name in husk crun runc floor; do
    libraries=0
    case $name in crun | runc) libraries=$(chroot "$2" ldd "$(chroot "$2" bash -c "command -v $name")" | grep -c '/') || true ;; esac
    printf '| %s | %d | %d |\n' "$name" $(($(stat -c %s "$1/bin/$name") / 1024)) "$libraries"
  done
}

# Put the report between its marks: "<!-- MARK begins -->" and "<!-- MARK ends -->".
report_into() { # REPORT FILE [MARK]
  awk -v report="$1" -v begins="<!-- ${3:-make bench} begins -->" -v ends="<!-- ${3:-make bench} ends -->" '
    $0 == begins { print; while ((getline line < report) > 0) print line; skip = 1 }
    $0 == ends { skip = 0 }
    !skip && $0 != begins' "$2" >"$2.new"
  cat "$2.new" >"$2"
  rm "$2.new"
}
