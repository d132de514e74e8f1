# matrix.sh: what integration/run printed with several runtimes, as one table. Sourced by integration/matrix.
#
# A result is one line: case, check, number of that check in the case, and ok, FAIL or skip. The joined table has one
# column a runtime, and - where it made no such check.
# shellcheck shell=bash

matrix_results() { # OUTPUT OF run
  awk '
    /^(ok|FAIL|skip) / {
      word = $1
      line = $0; sub(/^[a-zA-Z]+ +/, "", line)
      split(line, part, ": "); name = part[1]
      check = substr(line, length(name) + 3); sub(/  \[.*$/, "", check)
      printf "%s\t%s\t%d\t%s\n", name, check, ++seen[name, check], word
    }' "$1"
}

# The order is that of the first, then what only later ones have.
matrix_join() { # RUNTIME...: from $out/RUNTIME.tsv
  local name
  for name; do sed "s/^/$name\t/" "$out/$name.tsv"; done | awk -F'\t' -v runtimes="$*" '
    BEGIN { count = split(runtimes, names, " ") }
    { key = $2 "\t" $3 "\t" $4; if (!(key in known)) { known[key] = 1; order[++keys] = key }; result[key, $1] = $5 }
    END {
      for (i = 1; i <= keys; i++) {
        printf "%s", order[i]
        for (j = 1; j <= count; j++) printf "\t%s", ((order[i], names[j]) in result) ? result[order[i], names[j]] : "-"
        print ""
      }
    }'
}

matrix_head() {
  # shellcheck disable=SC2016  # backticks of Markdown
  printf 'Made by `make matrix` on %s; Linux %s, cgroups %s; runc %s, crun %s, containerd %s, Docker %s, Podman %s.\n' \
    "$(date -u +%F)" "$(uname -r)" "$(matrix_cgroups)" \
    "$(matrix_version runc)" "$(matrix_version crun)" "$(matrix_version containerd)" "$(matrix_version docker.io)" "$(matrix_version podman)"
  printf 'A number is that of the checks passed; skipped ones, which the machine cannot do, are not counted.\n\n'
}

matrix_cgroups() {
  if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then echo v2; else echo 'v1 and v2 (crun: v1 alone)'; fi
}

matrix_version() {
  dpkg-query --admindir="$HUSK_CACHE/roots/engines/var/lib/dpkg" -W -f '${Version}' "$1"
}

matrix_cases() { # TABLE
  awk -F'\t' -v runtimes="${RUNTIMES[*]}" '
    BEGIN {
      count = split(runtimes, names, " ")
      printf "| case |"; for (j = 1; j <= count; j++) printf " %s |", names[j]; print ""
      printf "|---|"; for (j = 1; j <= count; j++) printf "--:|"; print ""
    }
    {
      if (!($1 in known)) { known[$1] = 1; order[++cases] = $1 }
      for (j = 1; j <= count; j++) {
        if ($(3 + j) == "ok") passed[$1, j]++
        if ($(3 + j) == "ok" || $(3 + j) == "FAIL") made[$1, j]++
      }
    }
    END {
      for (i = 1; i <= cases; i++) {
        printf "| `%s` |", order[i]
        for (j = 1; j <= count; j++) { if (made[order[i], j]) printf " %d of %d |", passed[order[i], j], made[order[i], j]; else printf " – |"; all[j] += passed[order[i], j]; of[j] += made[order[i], j] }
        print ""
      }
      printf "| all |"; for (j = 1; j <= count; j++) printf " %d of %d |", all[j], of[j]; print "\n"
    }' "$1"
}

# The checks that did not pass with each runtime that made them, with the reason where it is known.
matrix_misses() { # TABLE REASONS: lines of CASE, a pattern of the check's name, the reason
  awk -F'\t' -v reasons="$2" -v runtimes="${RUNTIMES[*]}" '
    BEGIN {
      while ((getline line < reasons) > 0) {
        if (line ~ /^#/) continue
        split(line, part, "\t"); of[++known] = part[1]; pattern[known] = part[2]; why[known] = part[3]
      }
      count = split(runtimes, names, " ")
    }
    function cell(word) { return word == "FAIL" ? "**no**" : word == "ok" ? "yes" : word == "skip" ? "skipped" : "not made" }
    /\t(FAIL|skip)(\t|$)/ {
      if (!any++) {
        printf "Those that did not pass with all three:\n\n| case | check |"
        for (j = 1; j <= count; j++) printf " %s |", names[j]
        printf " why |\n|---|---|"; for (j = 1; j <= count; j++) printf "---|"; print "---|"
      }
      reason = "not known"
      for (i = known; i >= 1; i--) if ($1 ~ "^(" of[i] ")$" && $2 ~ pattern[i]) reason = why[i]
      name = $2; gsub(/\|/, "\\|", name)
      printf "| `%s` | %s%s |", $1, name, ($3 > 1 ? " (" $3 ")" : "")
      for (j = 1; j <= count; j++) printf " %s |", cell($(3 + j))
      printf " %s |\n", reason
    }
    END { if (any) print "" }' "$1"
}

matrix_list() { # TABLE
  printf '# Every check of the engines\n\nMade by `make matrix`; the numbers are in [README.md](README.md#the-matrix).\n'
  awk -F'\t' -v runtimes="${RUNTIMES[*]}" '
    BEGIN { count = split(runtimes, names, " ") }
    $1 != last {
      last = $1
      printf "\n## %s\n\n| check |", $1; for (j = 1; j <= count; j++) printf " %s |", names[j]
      printf "\n|---|"; for (j = 1; j <= count; j++) printf "---|"; print ""
    }
    {
      name = $2; gsub(/\|/, "\\|", name)
      printf "| %s%s |", name, ($3 > 1 ? " (" $3 ")" : "")
      for (j = 1; j <= count; j++) { word = $(3 + j); printf " %s |", word == "FAIL" ? "**no**" : word == "ok" ? "yes" : word == "skip" ? "skipped" : "–" }
      print ""
    }' "$1"
}
