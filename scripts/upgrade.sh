#!/usr/bin/env bash
# Replaces a running adit by another, ten times, while 10,000 clients come: a new
# process with --reuse-port, then SIGTERM for the old one. None may be refused.
#
#   scripts/upgrade.sh
#
# ADIT    a binary to test instead of the one built here

set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -z ${ADIT:-} ]]; then
  cargo build --release --locked
  ADIT=${CARGO_TARGET_DIR:-$PWD/target}/release/adit
fi
ADIT=$(realpath "$ADIT")

# A network of its own has the port free; who is not root is root in there.
map=()
((EUID == 0)) || map=(--map-root-user)
# shellcheck disable=SC2016  # the inner shell's
exec unshare --net "${map[@]}" bash -euc '
  ip link set lo up
  exec python3 tests/deploy/upgrade.py "$1"
' upgrade "$ADIT"
