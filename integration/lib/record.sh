# record.sh: keeps the input of the runtime under test: the config.json of each create and run, and
# the process.json of each exec, as engines write them. Sourced by run, used with --record.
#
# A recorder stands in for the runtime inside the cell. What it kept goes to $HUSK_CACHE/configs/CASE;
# the config of each engine's first container, made anonymous, to configs/CASE.json beside this folder:
# plan tests read those.
# shellcheck shell=bash

record_begin() {
  local real
  real=/opt/runtime/$(basename "$RUNTIME")
  cell sh -c 'mkdir -p /run/record && cat >/opt/runtime/recorder && chmod 755 /opt/runtime/recorder' <<E2
#!/bin/bash
# Stands in for $real and keeps what it is given.
bundle=\$PWD verb= process= before=
for word in "\$@"; do
  case \$word in
    create | run | exec) verb=\${verb:-\$word} ;;
    --bundle=*) bundle=\${word#*=} ;;
    --process=*) process=\${word#*=} ;;
  esac
  case \$before in
    --bundle | -b) bundle=\$word ;;
    --process | -p) process=\$word ;;
  esac
  before=\$word
done
name=/run/record/\$(date +%s%N)
case \$verb in
  create | run) cp "\$bundle/config.json" "\$name.config.json" ;;
  exec) [ ! -f "\$process" ] || cp "\$process" "\$name.process.json" ;;
esac
exec $real "\$@"
E2
}

record_collect() { # CASE
  local to=$HUSK_CACHE/configs/$1 file number=0
  rm -rf "$to"
  mkdir -p "$to"
  for file in $(cell sh -c 'ls /run/record'); do
    number=$((number + 1))
    cell cat "/run/record/$file" >"$to/$(printf '%03d' "$number").${file#*.}"
  done
  say "$number recorded in $to"
  [ "$1" = services ] || record_sample "$to/001.config.json" >"$HERE/configs/$1.json"
}

# Ids, layers and limits of this machine become the same neutral ones on every machine.
record_sample() { # FILE
  local id=c1d2e3f4a5b6
  cell jq '.process.rlimits[]? |= (.hard = 4096 | .soft = 1024)' <"$1" |
    sed -E -e "s,/(overlay2?)/[0-9a-f]{64}/,/\1/layer/,; s,netns-[0-9a-f-]{36},netns-1," \
      -e "s,[0-9a-f]{64},$id$id$id$id$id${id:0:4},g; s,HOSTNAME=[0-9a-f]{12},HOSTNAME=$id,; s,(\"hostname\": \")[0-9a-f]{12},\1$id,"
}
