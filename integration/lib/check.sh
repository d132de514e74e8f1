# check.sh: what a check is, how it is printed and counted. Sourced by run.
#
# A check runs one command without stdin and compares its exit status and its output (stdout and
# stderr together) with what is wanted. One line each: ok or FAIL, the name, and what was seen.
# shellcheck shell=bash

PASSED=0 FAILED=0 SKIPPED=0
CASE=
PASSED_LAST=

pass() { # NAME SEEN
  local seen=${2//$'\n'/ | }
  PASSED=$((PASSED + 1)) PASSED_LAST=1
  printf 'ok    %s: %s%s\n' "$CASE" "$1" "${seen:+  [${seen:0:90}]}"
}

fail() { # NAME WANTED SEEN
  FAILED=$((FAILED + 1)) PASSED_LAST=
  printf 'FAIL  %s: %s\n      wanted: %s\n' "$CASE" "$1" "$2"
  printf '%s\n' "$3" | tail -n 20 | sed 's/^/      seen:   /'
}

# This machine cannot do it, whatever the runtime. Counted and printed; on CI, where the machine is
# chosen to be able, a failure.
skip() { # NAME REASON
  if [ "${CI:-}" = true ]; then fail "$1" 'a machine that can do this' "$2"; return; fi
  SKIPPED=$((SKIPPED + 1))
  printf 'skip  %s: %s  [%s]\n' "$CASE" "$1" "$2"
}

# After a check that everything else stands on: last_passed || return 0
last_passed() { [ -n "$PASSED_LAST" ]; }

expect() { # NAME STATUS REGEX COMMAND...
  local name=$1 status=$2 pattern=$3 got=0 seen
  shift 3
  # In the background, so that Ctrl-C ends the wait and not only the command.
  "$@" >"$SCRATCH/output" 2>&1 </dev/null &
  wait $! || got=$?
  seen=$(tr -d '\r\000' <"$SCRATCH/output")
  if [ "$got" = "$status" ] && [[ $seen =~ $pattern ]]; then
    pass "$name" "${BASH_REMATCH[0]:-$seen}"
  else
    fail "$name" "exit $status, output like: $pattern" "exit $got"$'\n'"$seen"
  fi
}

# Like expect for exit 0, but tries again for some seconds: for what an engine does after it has answered.
expect_soon() { # SECONDS NAME REGEX COMMAND...
  local seconds=$1 name=$2 pattern=$3 seen='' until
  shift 3
  until=$((SECONDS + seconds))
  while :; do
    "$@" >"$SCRATCH/output" 2>&1 </dev/null &
    if wait $!; then
      seen=$(tr -d '\r\000' <"$SCRATCH/output")
      if [[ $seen =~ $pattern ]]; then pass "$name" "${BASH_REMATCH[0]:-$seen}"; return; fi
    fi
    [ "$SECONDS" -lt "$until" ] || break
    sleep 0.1
  done
  fail "$name" "within $seconds s, output like: $pattern" "$(cat "$SCRATCH/output")"
}

# A container's limit as its cgroup's file says it.
expect_limit() { # NAME REGEX CGROUP CONTROLLER V1-FILE V2-FILE (the files without the controller's name)
  local name=$1 pattern=$2
  shift 2
  # shellcheck disable=SC2016  # expanded by the inner shell
  if cell sh -c '[ -d "/sys/fs/cgroup/$1" ] || grep -qw "$1" /sys/fs/cgroup/cgroup.controllers' can "$2"; then
    expect "$name" 0 "$pattern" cell_limit "$@"
  else
    skip "$name" "no $2 controller on this machine"
  fi
}

# What is there now equals what was there before, but for lines like KEPT, which the engine makes
# and keeps for itself. Tried for some seconds: engines finish their cleaning after they answer.
expect_same() { # NAME INVENTORY [KEPT]
  local name=$1 before=$2 kept=${3:-^$} difference=''
  for _ in $(seq 50); do
    difference=$(diff <(grep -vE "$kept" <<<"$before") <(cell_inventory | grep -vE "$kept")) && { pass "$name" ''; return; }
    sleep 0.1
  done
  fail "$name" 'no difference' "$difference"
}

# What husk says of the engine's set-up; another runtime says nothing of it.
expect_doctor() { # ENGINE REGEX
  [[ $(basename "$RUNTIME") == husk ]] || return 0
  # shellcheck disable=SC2016  # expanded by the inner shell
  expect "husk doctor on $1" 0 "$2" cell sh -c '"$RUNTIME" doctor | sed -n "/^$1\$/,/^\$/p"' doctor "$1"
}
