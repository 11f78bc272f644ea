#!/usr/bin/env bash
# adit between programs of other people: each part of tests/interop puts it
# between a peer that speaks WebSocket and one that never heard of it.
#
#   scripts/interop.sh [--quick] [--bless] [PART...]
#
#   --quick   only the parts that CI runs on each change
#   --bless   write the Autobahn results down instead of only comparing them
#   PART      autobahn demo mqtt fuzzing novnc lsp wss curl openssl nginx haproxy
#             websockify prometheus inetd deploy ssh databases ends; all of them
#             if none is named
#
# ADIT                  a binary to test instead of the one built here
# ADIT_INTEROP_CACHE    where peers are installed (target/interop)
# ADIT_INTEROP_SHOTS    where to keep pictures of the demo's page

# shellcheck disable=SC2329  # functions are called through step and trap
set -euo pipefail
cd "$(dirname "$0")/.."

parts=$PWD/tests/interop
QUICK=(autobahn demo mqtt)
FULL=("${QUICK[@]}" fuzzing novnc lsp wss curl openssl nginx haproxy websockify prometheus inetd
  deploy ssh databases ends)
SUITE=autobahntestsuite==25.10.1
VIRTUALENV=virtualenv==20.21.1
PYLSP_PACKAGE=python-lsp-server==1.15.0
# Nothing here takes that long; a part that hangs is a part that failed.
LIMIT=900

wanted=()
selection=("${FULL[@]}")
while (($# > 0)); do
  case $1 in
    --quick) selection=("${QUICK[@]}") ;;
    --bless) export ADIT_INTEROP_BLESS=1 ;;
    *)
      if [[ $1 == -* || " ${FULL[*]} " != *" $1 "* ]]; then
        sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
        exit 2
      fi
      wanted+=("$1")
      ;;
  esac
  shift
done
((${#wanted[@]} > 0)) || wanted=("${selection[@]}")

cache=${ADIT_INTEROP_CACHE:-target/interop}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# shellcheck source=scripts/install.sh
source scripts/install.sh
# shellcheck source=tests/interop/install.sh
source "$parts/install.sh"

work=$(mktemp -d)
running=
failed=0
rows=()

finish() {
  # timeout hands the signal to all that the part started.
  if [[ -n $running ]]; then
    kill "$running" 2>/dev/null && wait "$running" || true
  fi
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# step NAME COMMAND...: runs a command and notes how it went.
step() {
  local name=$1 began=$SECONDS result=ok
  shift
  echo "== $name"
  "$@" || result=FAILED
  [[ $result == ok ]] || failed=1
  rows+=("$(printf '%-10s | %-6s | %4d' "$name" "$result" $((SECONDS - began)))")
  [[ $result == ok ]]
}

install_all() {
  local part
  install_python3 && install_node_peers || return
  for part in "${wanted[@]}"; do
    "install_$part" || return
  done
}

# Runs in the background, for only a shell that waits can act on a signal.
run_part() {
  local status=0
  mkdir "$work/$1"
  (cd "$work/$1" && exec timeout --kill-after=10 "$LIMIT" node "$cache/npm/$1.mjs") &
  running=$!
  wait "$running" || status=$?
  running=
  return "$status"
}

report() {
  printf '\n%-10s | %-6s | %s\n' part result seconds
  printf '%s\n' "${rows[@]}"
}

if [[ -z ${ADIT:-} ]]; then
  step build cargo build --release || { report && exit 1; }
  ADIT=${CARGO_TARGET_DIR:-$PWD/target}/release/adit
fi
ADIT=$(realpath "$ADIT")
step install install_all || { report && exit 1; }

if [[ -n ${ADIT_INTEROP_SHOTS:-} ]]; then
  mkdir -p "$ADIT_INTEROP_SHOTS"
  ADIT_INTEROP_SHOTS=$(cd "$ADIT_INTEROP_SHOTS" && pwd)
fi
export ADIT ADIT_INTEROP_SHOTS
# Debian's servers lie there, and not everybody's PATH has it.
export PATH=$PATH:/usr/sbin
export ADIT_INTEROP_SOURCE=$parts
export ADIT_INTEROP_NPM=$cache/npm
export WSTEST=$cache/autobahn/suite/bin/wstest
export PYLSP=$cache/pylsp/venv/bin/pylsp
export BUSYBOX=$cache/busybox/source/busybox

for part in "${wanted[@]}"; do
  step "$part" run_part "$part" || true
done
report
exit "$failed"
