#!/usr/bin/env bash
# What many real tunnels cost, idle and with a little to do: memory of adit and of
# the kernel, descriptors, time to open, CPU. The table is for the README.
#
#   scripts/sizing.sh [TUNNELS]
#
#   TUNNELS   how many (10000)
#
# ADIT      a binary to measure instead of the one built here
#
# Needs python3 and openssl, and takes about five minutes.
# Open files are raised to what is needed where that is allowed; else several
# processes of adit share the tunnels. Only root can read what the kernel keeps.

set -euo pipefail
cd "$(dirname "$0")/.."

if (($# > 1)) || [[ ${1:-1} != [1-9]* ]]; then
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
if [[ -z ${ADIT:-} ]]; then
  cargo build --release --locked --quiet
  ADIT=${CARGO_TARGET_DIR:-$PWD/target}/release/adit
fi
ADIT=$(realpath -e "$ADIT")

# A network of its own has all ports free; who is not root is root in there.
map=()
((EUID == 0)) || map=(--map-root-user)
# shellcheck disable=SC2016  # the inner shell's
exec unshare --net "${map[@]}" bash -euc '
  ip link set lo up
  exec python3 tests/load/sizing.py "$@"
' sizing "$ADIT" "$@"
